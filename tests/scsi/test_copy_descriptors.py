"""Parameter lists of EXTENDED COPY: what is accepted, and what is found wrong before anything is copied."""

from __future__ import annotations

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.copy_descriptors import MAXIMUM_CSCDS, MAXIMUM_SEGMENTS, CopyList, Cscd, Segment, parse
from ietpy.scsi.sense import CheckCondition
from ietpy.scsi.status import SenseKey

NAA = bytes.fromhex("6001405a1b2c3d4e5f60718293a4b5c6")
ILLEGAL = SenseKey.ILLEGAL_REQUEST


def cscd(
    kind: int = 0xE4, peripheral: int = 0, code_set: int = 1, designator_type: int = 3, value: bytes = NAA,
    length: int | None = None, block: int = 512,
) -> bytes:
    return bytes((kind, peripheral, 0, 0, code_set, designator_type, 0, len(value) if length is None else length)) + (
        value[:20].ljust(20, b"\0") + block.to_bytes(4, "big")
    )


def segment(
    source: int = 0, destination: int = 0, blocks: int = 8, start: int = 0, to: int = 64, flags: int = 0,
    kind: int = 2, length: int = 24,
) -> bytes:
    return b"".join((
        bytes((kind, flags)), length.to_bytes(2, "big"), source.to_bytes(2, "big"), destination.to_bytes(2, "big"),
        bytes(2), blocks.to_bytes(2, "big"), start.to_bytes(8, "big"), to.to_bytes(8, "big"),
    ))


def copy_list(
    cscds: bytes = b"", segments: bytes = b"", identifier: int = 0, usage: int = 3, inline: int = 0,
    cscd_length: int | None = None, segment_length: int | None = None,
) -> bytes:
    return b"".join((
        bytes((identifier, usage << 3)),
        (len(cscds) if cscd_length is None else cscd_length).to_bytes(2, "big"), bytes(4),
        (len(segments) if segment_length is None else segment_length).to_bytes(4, "big"),
        inline.to_bytes(4, "big"), cscds, segments,
    ))


def test_a_whole_list() -> None:
    data = copy_list(cscd() + cscd(value=b"x", peripheral=0x20), segment(0, 1, 9, 10, 11, flags=3), 7, 0)
    assert parse(data) == CopyList(
        7, [Cscd(1, 3, NAA, 16, 512, 0, False), Cscd(1, 3, b"x", 1, 512, 0, True)], [Segment(0, 1, 9, 10, 11, True)]
    )


@pytest.mark.parametrize(("usage", "identifier"), [(0, 9), (2, 9), (3, None)])
def test_who_keeps_a_result(usage: int, identifier: int | None) -> None:
    assert parse(copy_list(identifier=identifier or 0, usage=usage)).identifier == identifier


def test_lu_id_type_is_obsolete() -> None:
    assert parse(copy_list(cscd(peripheral=0xC0))).cscds == [Cscd(1, 3, NAA, 16, 512, 0, False)]


def test_the_most_that_fits() -> None:
    found = parse(copy_list(cscd() * MAXIMUM_CSCDS, segment() * MAXIMUM_SEGMENTS))
    assert (len(found.cscds), len(found.segments)) == (16, 64)


def test_where_descriptors_are() -> None:
    found = parse(copy_list(cscd() * 3, segment() * 2))
    assert (found.cscd_place(0), found.cscd_place(2)) == (16, 80)
    assert (found.segment_place(0), found.segment_place(1)) == (112, 140)


@pytest.mark.parametrize(("data", "key", "asc", "field"), [
    pytest.param(b"", ILLEGAL, Asc.PARAMETER_LIST_LENGTH_ERROR, None, id="no header"),
    pytest.param(copy_list()[:15], ILLEGAL, Asc.PARAMETER_LIST_LENGTH_ERROR, None, id="part of a header"),
    pytest.param(copy_list(usage=1), ILLEGAL, Asc.INVALID_FIELD_IN_PARAMETER_LIST, (1, 4), id="reserved usage"),
    pytest.param(
        copy_list(identifier=1, usage=3), ILLEGAL, Asc.INVALID_FIELD_IN_PARAMETER_LIST, (0, None), id="not used"
    ),
    pytest.param(copy_list(inline=1), ILLEGAL, Asc.INVALID_FIELD_IN_PARAMETER_LIST, (12, None), id="inline data"),
    pytest.param(
        copy_list(cscd(), segment())[:-1], ILLEGAL, Asc.PARAMETER_LIST_LENGTH_ERROR, None, id="segment cut short"
    ),
    pytest.param(copy_list(cscd())[:-1], ILLEGAL, Asc.PARAMETER_LIST_LENGTH_ERROR, None, id="CSCD cut short"),
    pytest.param(
        copy_list(cscd() + b"\xe4"), ILLEGAL, Asc.PARAMETER_LIST_LENGTH_ERROR, None, id="part of a second CSCD"
    ),
    pytest.param(
        copy_list(cscd(), segment() + b"\x02"), ILLEGAL, Asc.PARAMETER_LIST_LENGTH_ERROR, None, id="part of a segment"
    ),
    pytest.param(
        copy_list(segment_length=2305), ILLEGAL, Asc.PARAMETER_LIST_LENGTH_ERROR, None, id="more than the most"
    ),
    pytest.param(copy_list(cscd() * 17), ILLEGAL, Asc.TOO_MANY_TARGET_DESCRIPTORS, None, id="17 CSCDs"),
    pytest.param(
        copy_list(cscd(), segment() * 65), ILLEGAL, Asc.TOO_MANY_SEGMENT_DESCRIPTORS, None, id="65 segments"
    ),
    pytest.param(
        copy_list(cscd(kind=0xE0)), ILLEGAL, Asc.UNSUPPORTED_TARGET_DESCRIPTOR_TYPE_CODE, (16, None), id="Fibre Channel"
    ),
    pytest.param(
        copy_list(cscd(), segment(kind=3)), ILLEGAL, Asc.UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE_CODE, (48, None),
        id="stream to stream",
    ),
    pytest.param(
        copy_list(cscd(), segment(length=20)), ILLEGAL, Asc.INVALID_FIELD_IN_PARAMETER_LIST, (50, None), id="length"
    ),
    pytest.param(
        copy_list(cscd(designator_type=0x13)), ILLEGAL, Asc.INVALID_FIELD_IN_PARAMETER_LIST, (21, 5), id="of a port"
    ),
])
def test_mistakes(data: bytes, key: SenseKey, asc: Asc, field: tuple[int, int | None] | None) -> None:
    with pytest.raises(CheckCondition) as caught:
        parse(data)
    assert (caught.value.key, caught.value.asc, caught.value.field) == (key, asc, field)
    assert field is None or not caught.value.in_cdb


@pytest.mark.parametrize(("value", "length", "named", "same"), [
    pytest.param(NAA, 16, NAA, True, id="whole"),
    pytest.param(NAA, 16, NAA[:-1] + b"x", False, id="another"),
    pytest.param(NAA[:15], 15, NAA, False, id="shorter"),
    pytest.param(b"IET".ljust(20, b"\0"), 24, b"IET".ljust(24, b"\0"), True, id="only 20 bytes fit"),
    pytest.param(b"IET".ljust(20, b"\0"), 20, b"IET".ljust(24, b"\0"), False, id="not its length"),
])
def test_names(value: bytes, length: int, named: bytes, same: bool) -> None:
    assert Cscd(1, 3, value, length, 512, 0, False).names(1, 3, named) is same
    assert not Cscd(2, 3, value, length, 512, 0, False).names(1, 3, named)
