"""UNMAP and WRITE SAME (SBC-3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, data, integers

from ietpy.scsi.asc import Asc
from ietpy.scsi.limits import MAXIMUM_UNMAP, MAXIMUM_WRITE_SAME
from ietpy.scsi.status import SenseKey
from ietpy.scsi.store import Capabilities

INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
PARAMETER = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_PARAMETER_LIST)
LENGTH = (SenseKey.ILLEGAL_REQUEST, Asc.PARAMETER_LIST_LENGTH_ERROR)
RANGE = (SenseKey.ILLEGAL_REQUEST, Asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
PROTECTED = (SenseKey.DATA_PROTECT, Asc.WRITE_PROTECTED)
BLOCK = bytes(range(256)) * 2
THICK = Capabilities(immediate=True)


def unmap_list(*ranges: tuple[int, int]) -> bytes:
    body = b"".join(lba.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes(4) for lba, blocks in ranges)
    return (len(body) + 6).to_bytes(2, "big") + len(body).to_bytes(2, "big") + bytes(4) + body


def unmap(disk: Any, parameters: bytes, **fields: Any) -> Any:
    return disk.run(f"42 00 00000000 00 {len(parameters):04X} 00", parameters, **fields)


# UNMAP


def test_unmap_discards_every_range(disk: Any) -> None:
    disk.store.content[:] = b"x" * len(disk.store.content)
    assert unmap(disk, unmap_list((1, 2), (2047, 1), (5, 0))) == (0, None, b"", None)
    assert disk.store.log == [("discard", 512, 1024), ("discard", 2047 * 512, 512)]
    assert bytes(disk.store.content[512:1536]) == bytes(1024)


@pytest.mark.parametrize("parameters", [
    pytest.param(b"", id="no list"),
    pytest.param(unmap_list(), id="no block descriptor"),
])
def test_unmap_of_nothing(disk: Any, parameters: bytes) -> None:
    assert unmap(disk, parameters).sense == 0
    assert disk.store.log == []


@pytest.mark.parametrize(("parameters", "sense", "field"), [
    pytest.param(bytes(7), LENGTH, None, id="cut in the header"),
    pytest.param(unmap_list((0, 1))[:-1], LENGTH, None, id="cut in a descriptor"),
    pytest.param(bytes.fromhex("000E 0008 00000000") + bytes(8), LENGTH, None, id="half a descriptor"),
    pytest.param(unmap_list((0, 1), (2047, 2)), RANGE, None, id="second range past the end"),
    pytest.param(unmap_list(*[(0, 1)] * 257), PARAMETER, (2,), id="too many descriptors"),
])
def test_unmap_refuses_as_a_whole(disk: Any, parameters: bytes, sense: Any, field: Any) -> None:
    assert unmap(disk, parameters)[::3] == (sense, field)
    assert disk.store.log == []


def test_unmap_of_too_many_blocks(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(size=4 << 30)
    outcome = unmap(disk, unmap_list((0, 1), (0, (MAXIMUM_UNMAP >> 9) + 1)))
    assert outcome[::3] == (PARAMETER, (8 + 16 + 8,))


def test_unmap_with_less_data_than_promised(disk: Any) -> None:
    assert disk.run("42 00 00000000 00 0018 00", unmap_list()).sense == LENGTH


def test_unmap_anchor_is_refused(disk: Any) -> None:
    assert disk.run("42 01 00000000 00 0000 00")[::3] == (INVALID, (1, 0))


def test_unmap_of_a_protected_unit(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(read_only=True)
    assert unmap(disk, unmap_list((0, 1))).sense == PROTECTED
    assert disk.refused("42 00 00000000 00 0018 00").sense == PROTECTED


# GET LBA STATUS


@pytest.mark.parametrize(("size", "cdb", "data"), [
    pytest.param(1 << 20, "9E 12 0000000000000001 00000018", "00000014 00000000 0000000000000001 000007FF 00 000000",
                 id="all to the end may be mapped"),
    pytest.param(1 << 50, "9E 12 0000000000000000 00000018", "00000014 00000000 0000000000000000 FFFFFFFF 00 000000",
                 id="as many as it can say"),
    pytest.param(1 << 20, "9E 12 0000000000000001 00000008", "00000014 00000000", id="cut to the allocation length"),
])
def test_get_lba_status(make_disk: Callable[..., Any], size: int, cdb: str, data: str) -> None:
    assert make_disk(size=size).run(cdb) == (0, bytes.fromhex(data), b"", None)


def test_get_lba_status_past_the_end(disk: Any) -> None:
    assert disk.run("9E 12 0000000000000800 00000018").sense == RANGE


# WRITE SAME


@pytest.mark.parametrize(("cdb", "block", "log"), [
    pytest.param("41 00 00000001 00 0003 00", BLOCK, [("write", 512, 1536, True)], id="(10)"),
    pytest.param("93 00 0000000000000001 00000003 00 00", BLOCK, [("write", 512, 1536, True)], id="(16)"),
    pytest.param(
        "93 08 0000000000000001 00000003 00 00", BLOCK, [("write", 512, 1536, True)], id="UNMAP of other than zeros"
    ),
    pytest.param("41 00 00000001 00 0003 00", bytes(512), [("zero", 512, 1536), ("flush",)], id="(10) zeros"),
    pytest.param("41 08 00000001 00 0003 00", bytes(512), [("discard", 512, 1536), ("flush",)], id="(10) UNMAP"),
    pytest.param(
        "93 08 0000000000000001 00000003 00 00", bytes(512), [("discard", 512, 1536), ("flush",)], id="(16) UNMAP"
    ),
    pytest.param("93 01 0000000000000001 00000003 00 00", b"", [("zero", 512, 1536), ("flush",)], id="NDOB"),
    pytest.param(
        "93 09 0000000000000001 00000003 00 00", b"", [("discard", 512, 1536), ("flush",)], id="UNMAP NDOB"
    ),
    pytest.param(
        "41 00 000007F0 00 0000 00", BLOCK, [("write", 0x7F0 * 512, 8192, True)], id="length 0: to the end"
    ),
    pytest.param("41 00 00000800 00 0000 00", BLOCK, [], id="length 0 at the end"),
])
def test_write_same(disk: Any, cdb: str, block: bytes, log: list[Any]) -> None:
    assert disk.run(cdb, block) == (0, None, b"", None)
    assert disk.store.log == log


@pytest.mark.parametrize("block", [b"", BLOCK[:511], BLOCK * 2], ids=["none", "less", "two"])
def test_write_same_of_anything_but_a_block(disk: Any, block: bytes) -> None:
    assert disk.run("41 00 00000000 00 0001 00", block).sense == INVALID
    assert disk.store.log == []


def test_write_same_repeats_the_block_in_chunks(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(size=4 << 20)
    assert disk.run("41 00 00000001 00 1001 00", BLOCK).sense == 0
    assert bytes(disk.store.content[:(4097 + 2) * 512]) == bytes(512) + BLOCK * 4097 + bytes(512)
    assert [call[2] for call in disk.store.log] == [1 << 20, 1 << 20, 512]


def test_write_same_needs_no_flush_with_write_cache(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(write_cache=True)
    disk.run("41 00 00000000 00 0001 00", bytes(512))
    disk.run("41 00 00000000 00 0001 00", BLOCK)
    assert disk.store.log == [("zero", 0, 512), ("write", 0, 512, False)]


def test_unmap_that_would_not_read_as_zeros_writes_them(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(capabilities=Capabilities(discard=True), write_cache=True)
    disk.run("41 08 00000000 00 0001 00", bytes(512))
    assert disk.store.log == [("zero", 0, 512)]


@pytest.mark.parametrize(("options", "cdb", "sense", "field"), [
    pytest.param({}, "41 10 00000000 00 0001 00", INVALID, (1, 4), id="ANCHOR"),
    pytest.param({}, "41 20 00000000 00 0001 00", INVALID, (1, 5), id="WRPROTECT"),
    pytest.param({}, "41 01 00000000 00 0001 00", INVALID, (1, 0), id="NDOB in WRITE SAME(10)"),
    pytest.param({"capabilities": THICK}, "41 08 00000000 00 0001 00", INVALID, (1, 3), id="UNMAP, cannot discard"),
    pytest.param({}, "41 00 000007FF 00 0002 00", RANGE, None, id="past the end"),
    pytest.param({}, "41 00 00000801 00 0000 00", RANGE, None, id="length 0 behind the end"),
    pytest.param(
        {"size": 1 << 40}, f"93 00 0000000000000000 {(MAXIMUM_WRITE_SAME >> 9) + 1:08X} 00 00", INVALID, None,
        id="more than MAXIMUM WRITE SAME LENGTH",
    ),
    pytest.param({"size": 1 << 40}, "93 00 0000000000000000 00000000 00 00", INVALID, None, id="0: too much"),
    pytest.param({"read_only": True}, "41 00 00000000 00 0001 00", PROTECTED, None, id="read only"),
])
def test_write_same_refuses_before_and_after_data(
    make_disk: Callable[..., Any], options: dict[str, Any], cdb: str, sense: Any, field: Any
) -> None:
    disk = make_disk(**options)
    assert disk.run(cdb, BLOCK)[::3] == (sense, field)
    assert disk.refused(cdb)[::3] == (sense, field)
    assert disk.store.log == []


def test_data_out_lengths(disk: Any) -> None:
    assert disk.wants("41 00 00000000 00 0010 00") == 512
    assert disk.wants("93 00 0000000000000000 00000010 00 00") == 512
    assert disk.wants("93 01 0000000000000000 00000010 00 00") == 0
    assert disk.wants("42 00 00000000 00 0018 00") == 0x18


@pytest.mark.parametrize("cdb", ["41 00 00000000 00 0001 00", "42 00 00000000 00 0018 00"])
def test_both_wait_for_the_device_elsewhere(disk: Any, cdb: str) -> None:
    assert disk.waits(cdb, bytes(512))
    assert disk.store.log == []


@settings(max_examples=30, deadline=None)
@given(choices=data())
def test_reads_show_what_writes_unmaps_and_write_sames_made(make_disk: Callable[..., Any], choices: Any) -> None:
    """A bytearray is the model of the medium; commands that fail must leave it alone."""
    disk = make_disk(size=64 * 512)
    model = bytearray(disk.store.size)
    for step in range(choices.draw(integers(1, 12))):
        kind = choices.draw(integers(0, 3))
        lba = choices.draw(integers(0, 66))
        blocks = choices.draw(integers(0, 20))
        start, length = lba * 512, blocks * 512
        fits = lba + blocks <= 64
        pattern = bytes((step + 1,)) * 512 if choices.draw(booleans()) else bytes(512)
        if kind == 0:
            sense = disk.run(f"2A 00 {lba:08X} 00 {blocks:04X} 00", pattern * blocks).sense
            change = pattern * blocks
        elif kind == 1:
            sense = unmap(disk, unmap_list((lba, blocks))).sense
            change = bytes(length)
        elif kind == 2:
            sense = disk.run(f"93 08 {lba:016X} {blocks:08X} 00 00", pattern).sense
            change = pattern * (blocks or max(0, 64 - lba))
        else:
            outcome = disk.run(f"28 00 {lba:08X} 00 {blocks:04X} 00")
            sense, change = outcome.sense, b""
            assert not fits or (outcome.data or b"") == bytes(model[start:start + length])
        assert sense == (0 if fits else RANGE)
        if fits and change:
            model[start:start + len(change)] = change
    assert disk.store.content == model
