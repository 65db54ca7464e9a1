"""UNMAP and WRITE SAME (SBC-3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, data, integers, sampled_from, sets

from ietpy.scsi.asc import Asc
from ietpy.scsi.limits import LBA_STATUS_LOOKS, MAXIMUM_UNMAP, MAXIMUM_WRITE_SAME
from ietpy.scsi.status import SenseKey
from ietpy.scsi.store import Capabilities
from tests.scsi.conftest import CAPABLE, Disk, Memory

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
    assert disk.store.log == [("discard", 512, 1024), ("discard", 2047 * 512, 512), ("flush",)]
    assert bytes(disk.store.content[512:1536]) == bytes(1024)


def test_unmap_needs_no_flush_with_write_cache(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(write_cache=True)
    assert unmap(disk, unmap_list((1, 2))).sense == 0
    assert disk.store.log == [("discard", 512, 1024)]


@pytest.mark.parametrize("parameters", [
    pytest.param(b"", id="no list"),
    pytest.param(unmap_list(), id="no block descriptor"),
    pytest.param(unmap_list((0, 0), (2048, 0)), id="descriptors of no blocks"),
    pytest.param(bytes.fromhex("000E 0008 00000000") + bytes(8), id="half a descriptor"),
    pytest.param(unmap_list((0, 1))[:-1], id="cut in a descriptor by the parameter list length"),
])
def test_unmap_of_nothing(disk: Any, parameters: bytes) -> None:
    assert unmap(disk, parameters).sense == 0
    assert disk.store.log == []


@pytest.mark.parametrize(("parameters", "sense", "field"), [
    pytest.param(bytes(7), LENGTH, None, id="cut in the header"),
    pytest.param(unmap_list((0, 1), (2047, 2)), RANGE, None, id="second range past the end"),
    pytest.param(unmap_list(*[(0, 1)] * 257), PARAMETER, (2,), id="too many descriptors"),
])
def test_unmap_refuses_as_a_whole(disk: Any, parameters: bytes, sense: Any, field: Any) -> None:
    assert unmap(disk, parameters)[::3] == (sense, field)
    assert disk.store.log == []


def test_unmap_ignores_what_the_parameter_list_length_cuts(disk: Any) -> None:
    assert unmap(disk, unmap_list((0, 1), (2, 1), (9999, 9))[:-4]).sense == 0
    assert disk.store.log == [("discard", 0, 512), ("discard", 1024, 512), ("flush",)]


@pytest.mark.parametrize("ranges", [
    pytest.param(((0, 1), (0, MAXIMUM_UNMAP >> 9)), id="all together"),
    pytest.param(((0, 0), (5, (MAXIMUM_UNMAP >> 9) + 1)), id="one alone"),
])
def test_unmap_of_too_many_blocks(make_disk: Callable[..., Any], ranges: tuple[tuple[int, int], ...]) -> None:
    disk = make_disk(size=4 << 30)
    assert unmap(disk, unmap_list(*ranges))[::3] == (PARAMETER, (8 + 16 + 8,))
    assert disk.store.log == []


def test_unmap_with_less_data_than_promised(disk: Any) -> None:
    assert disk.run("42 00 00000000 00 0018 00", unmap_list()).sense == LENGTH


def test_unmap_anchor_is_refused(disk: Any) -> None:
    assert disk.run("42 01 00000000 00 0000 00")[::3] == (INVALID, (1, 0))


def test_unmap_of_a_protected_unit(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(read_only=True)
    assert unmap(disk, unmap_list((0, 1))).sense == PROTECTED
    assert disk.refused("42 00 00000000 00 0018 00").sense == PROTECTED


# GET LBA STATUS


class Patchy(Memory):
    """A store of which ``holes``, (start, end) in bytes, are not mapped, and that tells of ``step`` bytes at once."""

    def __init__(self, size: int, *holes: tuple[int, int], step: int = 1 << 60) -> None:
        super().__init__(size, CAPABLE)
        self.holes = holes
        self.step = step
        self.asked = 0

    def mapped(self, offset: int, length: int) -> tuple[bool, int]:
        self.asked += 1
        for start, end in self.holes:
            if offset < start:
                return True, min(length, start - offset, self.step)
            if offset < end:
                return False, min(length, end - offset, self.step)
        return True, min(length, self.step)


def lba_status(disk: Any, lba: int, room: int) -> list[tuple[int, int, int]]:
    """(LBA, blocks, PROVISIONING STATUS) of every descriptor."""
    outcome = disk.run(f"9E 12 {lba:016X} {8 + 16 * room:08X} 00 00")
    assert outcome.sense == 0
    assert int.from_bytes(outcome.data[:4], "big") == len(outcome.data) - 4
    assert outcome.data[4:8] == bytes(4)
    return [
        (int.from_bytes(each[:8], "big"), int.from_bytes(each[8:12], "big"), each[12])
        for each in (outcome.data[place:place + 16] for place in range(8, len(outcome.data), 16))
    ]


@pytest.mark.parametrize(("holes", "block_size", "lba", "room", "expected"), [
    pytest.param([], 512, 0, 9, [(0, 2048, 0)], id="all is mapped"),
    pytest.param([(0, 1 << 20)], 512, 5, 9, [(5, 2043, 1)], id="all is deallocated"),
    pytest.param(
        [(4096, 8192), (1 << 19, 1 << 20)], 512, 0, 9, [(0, 8, 0), (8, 8, 1), (16, 1008, 0), (1024, 1024, 1)], id="both"
    ),
    pytest.param([(4096, 8192), (1 << 19, 1 << 20)], 512, 9, 2, [(9, 7, 1), (16, 1008, 0)], id="room for two"),
    pytest.param([(4096, 8192)], 512, 0, 1, [(0, 8, 0)], id="room for one"),
    pytest.param([(4096, 8192)], 4096, 0, 9, [(0, 1, 0), (1, 1, 1), (2, 254, 0)], id="4096"),
    pytest.param([(2048, 9216)], 4096, 0, 9, [(0, 1, 0), (1, 1, 1), (2, 254, 0)], id="mapped in part is mapped"),
    pytest.param([(1024, 3072), (5120, 7168)], 4096, 0, 9, [(0, 256, 0)], id="no block is deallocated as a whole"),
])
def test_get_lba_status(
    holes: list[tuple[int, int]], block_size: int, lba: int, room: int, expected: list[tuple[int, int, int]]
) -> None:
    for step in (1 << 60, 1 << 15):
        assert lba_status(Disk(Patchy(1 << 20, *holes, step=step), block_size=block_size), lba, room) == expected


def test_get_lba_status_says_no_more_than_32_bits_can() -> None:
    disk = Disk(Patchy(1 << 43, (1 << 41, 1 << 43)))
    most = 0xFFFF_FFFF
    assert lba_status(disk, 7, 1) == [(7, most - 6, 0)]
    assert lba_status(disk, 1 << 32, 9) == [
        (1 << 32, most, 1), ((1 << 32) + most, most, 1), ((1 << 32) + 2 * most, most, 1), ((1 << 32) + 3 * most, 3, 1)
    ]


def test_get_lba_status_does_not_look_without_end() -> None:
    disk = Disk(Patchy(1 << 40, step=512))
    assert lba_status(disk, 0, 1) == [(0, LBA_STATUS_LOOKS, 0)]
    assert disk.store.asked == LBA_STATUS_LOOKS


@pytest.mark.parametrize("length", [0, 4, 8, 23])
def test_get_lba_status_cut_to_the_allocation_length(disk: Any, length: int) -> None:
    whole = bytes.fromhex("00000014 00000000 0000000000000001 000007FF 01 000000")
    assert disk.run(f"9E 12 0000000000000001 {length:08X} 00 00").data == whole[:length]


def test_get_lba_status_may_have_to_wait(disk: Any) -> None:
    assert disk.waits("9E 12 0000000000000001 00000018")


@pytest.mark.parametrize("capabilities", [THICK, Capabilities(immediate=True, discard=True)])
def test_only_who_knows_what_is_mapped_tells(make_disk: Callable[..., Any], capabilities: Capabilities) -> None:
    assert make_disk(capabilities=capabilities).run("9E 12 0000000000000000 00000018")[::3] == (INVALID, (1, 4))


@settings(max_examples=40, deadline=None)
@given(written=sets(integers(0, 63)), block_size=sampled_from([512, 4096]), lba=integers(0, 255), room=integers(1, 9))
def test_lba_status_agrees_with_the_medium(written: set[int], block_size: int, lba: int, room: int) -> None:
    """``Memory`` maps pages of 4 KiB that hold anything."""
    disk = Disk(Memory(64 * 4096, CAPABLE), block_size=block_size)
    for page in written:
        disk.store.content[page * 4096 + 100] = 1
    lba = min(lba, disk.lu.blocks - 1)
    found = lba_status(disk, lba, room)
    assert 1 <= len(found) <= room
    for start, blocks, status in found:
        assert start == lba
        pages = {place * block_size // 4096 for place in range(start, start + blocks)}
        assert pages <= written if status == 0 else not pages & written
        lba = start + blocks
    assert lba == disk.lu.blocks or len(found) == room


def test_get_lba_status_past_the_end(disk: Any) -> None:
    assert disk.run("9E 12 0000000000000800 00000018").sense == RANGE


def test_report_type_is_refused(disk: Any) -> None:
    """SBC-3 does not have it; who asks for some extents only must not take all for these."""
    assert disk.run("9E 12 0000000000000000 00000018 01 00")[::3] == (INVALID, (14, 0))


# WRITE SAME


@pytest.mark.parametrize(("cdb", "block", "log"), [
    pytest.param("41 00 00000001 00 0003 00", BLOCK, [("write", 512, 1536, True)], id="(10)"),
    pytest.param("93 00 0000000000000001 00000003 00 00", BLOCK, [("write", 512, 1536, True)], id="(16)"),
    pytest.param(
        "93 08 0000000000000001 00000003 00 00", BLOCK, [("write", 512, 1536, True)], id="UNMAP of other than zeros"
    ),
    pytest.param("41 00 00000001 00 0003 00", bytes(512), [("zero", 512, 1536), ("flush",)], id="(10) zeros"),
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


@pytest.mark.parametrize(("block", "log"), [
    pytest.param(BLOCK, [("write", 512, 1536, True)], id="other than zeros"),
    pytest.param(bytes(512), [("zero", 512, 1536), ("flush",)], id="zeros"),
])
@pytest.mark.parametrize("cdb", ["41 08 00000001 00 0003 00", "93 08 0000000000000001 00000003 00 00"])
def test_unmap_by_write_same_where_nothing_is_promised_of_reads(
    make_disk: Callable[..., Any], cdb: str, block: bytes, log: list[Any]
) -> None:
    """What is told to be written is read afterwards, whatever UNMAP says (SBC-3 section 4.7.3.4)."""
    disk = make_disk(capabilities=Capabilities(immediate=True, discard=True))
    assert disk.refused(cdb) is None
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


@pytest.mark.parametrize(("options", "cdb", "sense", "field"), [
    pytest.param({}, "41 10 00000000 00 0001 00", INVALID, (1, 4), id="ANCHOR"),
    pytest.param({}, "41 20 00000000 00 0001 00", INVALID, (1, 5), id="WRPROTECT"),
    pytest.param({}, "41 01 00000000 00 0001 00", INVALID, (1, 0), id="NDOB in WRITE SAME(10)"),
    pytest.param({"capabilities": THICK}, "41 08 00000000 00 0001 00", INVALID, (1, 3), id="UNMAP, cannot discard"),
    pytest.param({"capabilities": THICK}, "93 08 0000000000000000 00000001", INVALID, (1, 3), id="(16), neither"),
    pytest.param({}, "41 08 00000000 00 0001 00", INVALID, (1, 3), id="UNMAP in WRITE SAME(10), with LBPRZ"),
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
