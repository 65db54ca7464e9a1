"""Block commands: ranges, bytes, verification (SBC-3)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, sampled_from

from ietpy.scsi.asc import Asc
from ietpy.scsi.limits import EXTENT_MINIMUM, MAXIMUM_TRANSFER
from ietpy.scsi.status import SenseKey
from ietpy.scsi.store import Capabilities, Extent

INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
RANGE = (SenseKey.ILLEGAL_REQUEST, Asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
PROTECTED = (SenseKey.DATA_PROTECT, Asc.WRITE_PROTECTED)
MISCOMPARE = (SenseKey.MISCOMPARE, Asc.MISCOMPARE_DURING_VERIFY_OPERATION)

#: Operation codes by length of the CDB.
READS = {6: 0x08, 10: 0x28, 12: 0xA8, 16: 0x88}
WRITES = {6: 0x0A, 10: 0x2A, 12: 0xAA, 16: 0x8A}
VERIFIES = {10: 0x2F, 12: 0xAF, 16: 0x8F}
WRITE_AND_VERIFIES = {10: 0x2E, 12: 0xAE, 16: 0x8E}


def cdb(opcode: int, size: int, lba: int, blocks: int, flags: int = 0) -> str:
    """A CDB of the family's common shapes."""
    return {
        6: f"{opcode:02X} {lba:06X} {blocks & 0xFF:02X} 00",
        10: f"{opcode:02X} {flags:02X} {lba:08X} 00 {blocks & 0xFFFF:04X} 00",
        12: f"{opcode:02X} {flags:02X} {lba:08X} {blocks:08X} 00 00",
        16: f"{opcode:02X} {flags:02X} {lba:016X} {blocks:08X} 00 00",
    }[size]


def pattern(length: int, seed: int = 1) -> bytes:
    return bytes((place * 7 + (place >> 9) + seed) & 0xFF for place in range(length))


# READ CAPACITY


@pytest.mark.parametrize(("options", "short", "long"), [
    pytest.param({}, "000007FF 00000200", "00000000000007FF 00000200 00 03 C000", id="thin, 4096 physical"),
    pytest.param({"block_size": 4096}, "000000FF 00001000", "00000000000000FF 00001000 00 00 C000", id="4096"),
    pytest.param(
        {"block_size": 4096, "physical_block_size": 512}, "000000FF 00001000",
        "00000000000000FF 00001000 00 00 C000", id="physical blocks smaller than logical ones",
    ),
    pytest.param(
        {"capabilities": Capabilities(discard=True)}, "000007FF 00000200", "00000000000007FF 00000200 00 03 8000",
        id="LBPME without LBPRZ",
    ),
    pytest.param({"capabilities": Capabilities()}, "000007FF 00000200", "00000000000007FF 00000200 00 03 0000",
                 id="fully provisioned"),
    pytest.param({"size": (1 << 41) + 1000}, "FFFFFFFF 00000200", "0000000100000000 00000200 00 03 C000",
                 id="2^32 + 1 blocks, and a part of one that does not count"),
    pytest.param({"size": (1 << 41) - 512}, "FFFFFFFE 00000200", "00000000FFFFFFFE 00000200 00 03 C000",
                 id="the most READ CAPACITY(10) can say"),
])
def test_read_capacity(make_disk: Callable[..., Any], options: dict[str, Any], short: str, long: str) -> None:
    disk = make_disk(**options)
    assert disk.run("25").data == bytes.fromhex(short)
    assert disk.run("9E 10 0000000000000000 00000020 00 00").data == bytes.fromhex(long) + bytes(16)
    assert disk.run("9E 10 0000000000000000 0000000C 00 00").data == bytes.fromhex(long)[:12]


@pytest.mark.parametrize(("words", "field"), [
    pytest.param("25 00 00000000 0000 01 00", (8, 0), id="PMI is obsolete"),
    pytest.param("25 00 00000001 0000 00 00", (5, 0), id="LBA is obsolete"),
    pytest.param("9E 11 0000000000000000 00000020 00 00", (1, 4), id="unknown service action"),
])
def test_capacity_refuses(disk: Any, words: str, field: tuple[int, ...]) -> None:
    assert disk.run(words)[::3] == (INVALID, field)


# Ranges


@pytest.mark.parametrize("size", [10, 12, 16])
@pytest.mark.parametrize(("lba", "blocks", "sense", "information"), [
    pytest.param(0, 1, 0, None, id="first block"),
    pytest.param(0, 0, 0, None, id="zero blocks is not an error"),
    pytest.param(2047, 1, 0, None, id="last block"),
    pytest.param(2048, 0, 0, None, id="zero blocks at the end"),
    pytest.param(2049, 0, RANGE, 2049, id="zero blocks behind the end"),
    pytest.param(2047, 2, RANGE, 2048, id="crosses the end"),
    pytest.param(2048, 1, RANGE, 2048, id="starts past the end"),
    pytest.param(0xFFFFFFFF, 1, RANGE, 0xFFFFFFFF, id="the last LBA 32 bits can say"),
])
def test_range(disk: Any, size: int, lba: int, blocks: int, sense: Any, information: int | None) -> None:
    for opcodes in (READS, WRITES, VERIFIES, WRITE_AND_VERIFIES):
        words = cdb(opcodes[size], size, lba, blocks)
        data = bytes(blocks * 512) if opcodes in (WRITES, WRITE_AND_VERIFIES) else b""
        outcome = disk.run(words, data)
        assert outcome.sense == sense
        if information is None:
            assert disk.refused(words) is None
        else:
            assert outcome.raw_sense[0] == 0xF0
            assert int.from_bytes(outcome.raw_sense[3:7], "big") == information
            assert opcodes is READS or disk.refused(words).sense == sense


@pytest.mark.parametrize("lba", [(1 << 63), (1 << 64) - 1])
def test_64_bit_addresses(disk: Any, lba: int) -> None:
    outcome = disk.run(cdb(0x88, 16, lba, 1))
    assert (outcome.sense, outcome.raw_sense[0]) == (RANGE, 0x70)


@pytest.mark.parametrize("family", [READS, WRITES, VERIFIES, WRITE_AND_VERIFIES])
def test_maximum_transfer_length(make_disk: Callable[..., Any], family: dict[int, int]) -> None:
    disk = make_disk(size=1 << 40)
    words = cdb(family[16], 16, 0, (MAXIMUM_TRANSFER >> 9) + 1)
    assert disk.run(words)[::3] == (INVALID, None)
    assert disk.refused(words) is None or disk.refused(words).sense == INVALID


def test_six_byte_commands_count_zero_as_256(disk: Any) -> None:
    data = pattern(256 * 512)
    assert disk.wants("0A 000100 00 00") == 256 * 512
    assert disk.run("0A 000100 00 00", data).sense == 0
    assert disk.run("08 000100 00 00").data == data
    assert disk.run("08 000701 00 00").sense == RANGE
    assert disk.refused("0A 000701 00 00").sense == RANGE
    assert disk.refused("0A 000700 00 00") is None


@pytest.mark.parametrize("read", READS.values())
@pytest.mark.parametrize(("bits", "field"), [
    pytest.param(0x80, (1, 7), id="RDPROTECT"),
    pytest.param(0x02, (1, 1), id="FUA_NV"),
    pytest.param(0x04, (1, 2), id="RARC"),
])
def test_reserved_bits_of_reads(disk: Any, read: int, bits: int, field: tuple[int, ...]) -> None:
    if read == 0x08 and bits != 0x80:
        bits, field = 0x40, (1, 6)
    assert disk.run(f"{read:02X} {bits:02X}")[::3] == (INVALID, field)


# Reading


def test_extents_are_promised_only_where_allowed(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(capabilities=Capabilities(immediate=True, extents=True))
    blocks = EXTENT_MINIMUM >> 9
    extent = disk.run(cdb(0x28, 10, 8, blocks), extents=True).data
    assert isinstance(extent, Extent)
    assert (extent.offset, len(extent)) == (8 * 512, EXTENT_MINIMUM)
    assert isinstance(disk.run(cdb(0x28, 10, 8, blocks - 1), extents=True).data, bytes)
    assert isinstance(disk.run(cdb(0x28, 10, 8, blocks), extents=False).data, bytes)


def test_a_store_may_refuse_an_extent(disk: Any) -> None:
    assert isinstance(disk.run(cdb(0x28, 10, 8, EXTENT_MINIMUM >> 9), extents=True).data, bytes)


def test_reads_fill_the_sink(disk: Any) -> None:
    memory = bytearray(2048)
    asked: list[int] = []

    def sink(length: int) -> memoryview:
        asked.append(length)
        return memoryview(memory)[48:48 + length]

    disk.store.content[512:1536] = pattern(1024)
    disk.run(cdb(0x28, 10, 1, 2), sink=sink)
    assert asked == [1024]
    assert memory[48:48 + 1024] == pattern(1024)
    disk.run(cdb(0x28, 10, 1, 0), sink=sink)
    assert asked == [1024]


@pytest.mark.parametrize("size", READS)
def test_reads_that_would_wait_say_so(disk: Any, size: int) -> None:
    words = cdb(READS[size], size, 0, 1)
    assert not disk.waits(words)
    disk.store.ready = False
    assert disk.waits(words)
    assert disk.run(words).data == bytes(512)


@pytest.mark.parametrize("size", [10, 12, 16])
def test_forced_reads_write_the_cache_first(make_disk: Callable[..., Any], size: int) -> None:
    words = cdb(READS[size], size, 0, 1, flags=0x08)
    through, cached = make_disk(), make_disk(write_cache=True)
    assert not through.waits(words)
    assert cached.waits(words)
    assert cached.run(words).data == bytes(512)
    assert (through.store.log, cached.store.log) == ([], [("flush",)])


@pytest.mark.parametrize("words", [cdb(0x28, 10, 0, 1, flags=0x08), cdb(0x2F, 10, 0, 1)])
def test_what_the_cache_cannot_write_is_a_write_error(make_disk: Callable[..., Any], words: str) -> None:
    disk = make_disk(write_cache=True)
    disk.store.fail = errno.EIO
    assert disk.run(words).sense == (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)


@pytest.mark.parametrize("may_block", [True, False])
def test_a_read_error_is_a_medium_error(disk: Any, may_block: bool) -> None:
    disk.store.fail = errno.EIO
    assert disk.run("28 00 00000000 00 0001 00", may_block=may_block).sense == (
        SenseKey.MEDIUM_ERROR, Asc.UNRECOVERED_READ_ERROR
    )


# Writing


@pytest.mark.parametrize("size", [10, 12, 16])
@pytest.mark.parametrize(("write_cache", "flags", "fua"), [
    pytest.param(True, 0x00, False, id="write cache"),
    pytest.param(True, 0x18, True, id="write cache, FUA and DPO"),
    pytest.param(False, 0x00, True, id="write through"),
])
def test_force_unit_access(
    make_disk: Callable[..., Any], size: int, write_cache: bool, flags: int, fua: bool
) -> None:
    disk = make_disk(write_cache=write_cache)
    words = cdb(WRITES[size], size, 3, 2, flags)
    assert disk.waits(words, pattern(1024)) is fua
    assert disk.run(words, pattern(1024)).sense == 0
    assert disk.store.log[-1] == ("write", 3 * 512, 1024, fua)
    assert bytes(disk.store.content[3 * 512:5 * 512]) == pattern(1024)


def test_writes_of_a_slow_store_wait(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(write_cache=True, capabilities=Capabilities())
    assert disk.waits(cdb(0x2A, 10, 0, 1), bytes(512))
    assert disk.store.log == []


@pytest.mark.parametrize(("came", "written"), [
    pytest.param(0, None, id="nothing came"),
    pytest.param(511, None, id="less than a block"),
    pytest.param(1300, 1024, id="two blocks and a part"),
    pytest.param(2048, 2048, id="all"),
    pytest.param(3000, 2048, id="more than the CDB says"),
])
def test_only_whole_blocks_are_written(disk: Any, came: int, written: int | None) -> None:
    assert disk.run(cdb(0x2A, 10, 0, 4), pattern(came)).sense == 0
    assert disk.store.log == ([] if written is None else [("write", 0, written, True)])


@pytest.mark.parametrize("family", [WRITES, WRITE_AND_VERIFIES])
def test_write_protection(make_disk: Callable[..., Any], family: dict[int, int]) -> None:
    disk = make_disk(read_only=True)
    for size, opcode in family.items():
        words = cdb(opcode, size, 0, 1)
        assert disk.run(words, bytes(512)).sense == PROTECTED
        assert disk.refused(words).sense == PROTECTED


@pytest.mark.parametrize(("number", "sense"), [
    (errno.EIO, (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)),
    (errno.ENOSPC, (SenseKey.DATA_PROTECT, Asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT)),
])
@pytest.mark.parametrize("words", ["2A 00 00000000 00 0001", "2E 02 00000000 00 0001"])
def test_write_errors(disk: Any, words: str, number: int, sense: Any) -> None:
    disk.store.fail = number
    assert disk.run(words, bytes(512)).sense == sense


@pytest.mark.parametrize(("family", "flags", "length"), [
    pytest.param(WRITES, 0x00, 3 * 512, id="WRITE"),
    pytest.param(READS, 0x00, 0, id="READ"),
    pytest.param(WRITE_AND_VERIFIES, 0x02, 3 * 512, id="WRITE AND VERIFY"),
    pytest.param(VERIFIES, 0x00, 0, id="VERIFY BYTCHK 00b"),
    pytest.param(VERIFIES, 0x02, 3 * 512, id="VERIFY BYTCHK 01b"),
    pytest.param(VERIFIES, 0x04, 0, id="VERIFY BYTCHK 10b"),
    pytest.param(VERIFIES, 0x06, 512, id="VERIFY BYTCHK 11b"),
])
def test_data_out_length(disk: Any, family: dict[int, int], flags: int, length: int) -> None:
    for size, opcode in family.items():
        assert disk.wants(cdb(opcode, size, 0, 3, flags)) == length


def test_verify_of_no_blocks_wants_no_block(disk: Any) -> None:
    assert disk.wants(cdb(0x2F, 10, 0, 0, 0x06)) == 0
    assert disk.run(cdb(0x2F, 10, 0, 0, 0x06)).sense == 0
    assert disk.run(cdb(0x2F, 10, 0, 0, 0x06), bytes(512)).sense == 0


# Verifying


@pytest.mark.parametrize("size", [10, 12, 16])
def test_verify_without_comparison_reads_the_medium(disk: Any, size: int) -> None:
    words = cdb(VERIFIES[size], size, 0, 4)
    assert disk.waits(words)
    assert disk.run(words) == (0, None, b"", None)
    disk.store.fail = errno.EIO
    assert disk.run(words).sense == (SenseKey.MEDIUM_ERROR, Asc.UNRECOVERED_READ_ERROR)


@pytest.mark.parametrize(("write_cache", "log"), [(True, [("flush",)]), (False, [])])
def test_verify_writes_the_cache_first(make_disk: Callable[..., Any], write_cache: bool, log: list[Any]) -> None:
    disk = make_disk(write_cache=write_cache)
    assert disk.run(cdb(0x2F, 10, 0, 4)).sense == 0
    assert disk.store.log == log


@pytest.mark.parametrize(("flags", "data", "wrong"), [
    pytest.param(0x02, pattern(2048), None, id="01b, equal"),
    pytest.param(0x02, pattern(1100), None, id="01b, what came is equal"),
    pytest.param(0x02, b"", None, id="01b, nothing came"),
    pytest.param(0x02, pattern(1024) + bytes(1024), 12, id="01b, third block differs"),
    pytest.param(0x02, bytes(2048), 10, id="01b, all differ"),
    pytest.param(0x06, pattern(512), 11, id="11b, second block differs"),
    pytest.param(0x06, b"", None, id="11b, nothing came"),
])
@pytest.mark.parametrize("size", [10, 12, 16])
def test_verify_compares(disk: Any, size: int, flags: int, data: bytes, wrong: int | None) -> None:
    disk.store.content[5120:5120 + 2048] = pattern(2048)
    outcome = disk.run(cdb(VERIFIES[size], size, 10, 4, flags), data)
    if wrong is None:
        assert outcome.sense == 0
    else:
        assert outcome.sense == MISCOMPARE
        assert int.from_bytes(outcome.raw_sense[3:7], "big") == wrong


def test_verify_works_in_chunks(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(size=4 << 20)
    data = pattern(512) * 4097
    disk.store.content[:len(data)] = data
    assert disk.run(cdb(0x2F, 10, 0, 4097, 0x06), pattern(512)).sense == 0
    assert disk.run(cdb(0x2F, 10, 0, 4097, 0x02), data).sense == 0
    disk.store.content[4096 * 512] ^= 1
    for flags, sent in ((0x06, pattern(512)), (0x02, data)):
        outcome = disk.run(cdb(0x2F, 10, 0, 4097, flags), sent)
        assert outcome.sense == MISCOMPARE
        assert int.from_bytes(outcome.raw_sense[3:7], "big") == 4096


@pytest.mark.parametrize("size", [10, 12, 16])
def test_bytchk_10b_is_reserved(disk: Any, size: int) -> None:
    words = cdb(VERIFIES[size], size, 0, 1, 0x04)
    assert disk.run(words)[::3] == (INVALID, (1, 2))
    assert disk.refused(words).sense == INVALID


@pytest.mark.parametrize("size", [10, 12, 16])
@pytest.mark.parametrize("flags", [0x00, 0x02])
def test_write_and_verify(make_disk: Callable[..., Any], size: int, flags: int) -> None:
    disk = make_disk(write_cache=True)
    words = cdb(WRITE_AND_VERIFIES[size], size, 1, 2, flags)
    assert disk.waits(words, pattern(1024))
    assert disk.run(words, pattern(1024)).sense == 0
    assert disk.store.log == [("write", 512, 1024, True)]


def test_write_and_verify_notices(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.store, "write", lambda offset, views, fua: None)
    assert disk.run(cdb(0x2E, 10, 1, 2, 0x02), pattern(1024)).sense == MISCOMPARE
    assert disk.run(cdb(0x2E, 10, 1, 2, 0x00), pattern(1024)).sense == 0


# Defects


@pytest.mark.parametrize(("lists", "answer"), [
    pytest.param(0x00, "00", id="neither list"),
    pytest.param(0x08, "08", id="GLIST, short block format"),
    pytest.param(0x13, "13", id="PLIST, long block format"),
    pytest.param(0x1D, "1D", id="both, physical sector format"),
])
def test_read_defect_data_has_none(disk: Any, lists: int, answer: str) -> None:
    assert disk.run(f"37 00 {lists:02X} 00000000 00FF 00").data == bytes.fromhex(f"00 {answer} 0000")
    assert disk.run(f"37 00 {lists:02X} 00000000 0002 00").data == bytes.fromhex(f"00 {answer}")
    assert disk.run(f"B7 {lists:02X} 00000000 000000FF 00 00").data == bytes.fromhex(f"00 {answer} 0000 00000000")
    assert disk.run(f"B7 {lists:02X} 00000007 00000005 00 00").data == bytes.fromhex(f"00 {answer} 0000 00")


@pytest.mark.parametrize("form", [6, 7])
def test_defect_lists_of_no_known_format(disk: Any, form: int) -> None:
    assert disk.run(f"37 00 {0x18 | form:02X} 00000000 00FF 00")[::3] == (INVALID, (2, 2))
    assert disk.run(f"B7 {0x18 | form:02X} 00000000 000000FF 00 00")[::3] == (INVALID, (1, 2))


# What there is not


@pytest.mark.parametrize("words", [
    pytest.param("9C 00 0000000000000000 0000 0001 00 00", id="WRITE ATOMIC(16): no journal"),
    pytest.param("7F 00 00000000 00 18 0009" + "00" * 22, id="READ(32): only with type 2 protection"),
    pytest.param("7F 00 00000000 00 18 000E" + "00" * 22, id="ORWRITE(32): no generation codes"),
    pytest.param("07 00 0000 00 00", id="REASSIGN BLOCKS: no spare blocks"),
    pytest.param("3E 00 00000000 00 0200 00", id="READ LONG(10): no physical blocks"),
    pytest.param("3F 40 00000000 00 0000 00", id="WRITE LONG(10): they cannot be made bad"),
    pytest.param("9F 11 0000000000000000 00000000 00 00", id="WRITE LONG(16)"),
])
def test_what_cannot_be_honoured_is_refused(disk: Any, words: str) -> None:
    refusal = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_COMMAND_OPERATION_CODE)
    assert disk.run(words).sense == disk.refused(words).sense == refusal


def test_read_long_is_no_service_action(disk: Any) -> None:
    assert disk.run("9E 11 0000000000000000 0000 0200 00 00")[::3] == (INVALID, (1, 4))


# The model


@settings(max_examples=40, deadline=None)
@given(
    read=sampled_from(sorted(READS)), write=sampled_from(sorted(WRITES)), lba=integers(0, 70),
    blocks=integers(0, 70), seed=integers(0, 255), large=booleans(),
)
def test_what_was_written_is_read(
    make_disk: Callable[..., Any], read: int, write: int, lba: int, blocks: int, seed: int, large: bool
) -> None:
    block = 4096 if large else 512
    disk = make_disk(size=64 * block, block_size=block)
    fits = lba + blocks <= 64 and (blocks > 0 or 6 not in (read, write))
    data = pattern(blocks * block, seed)
    written, content = disk.run(cdb(WRITES[write], write, lba, blocks), data), disk.run(
        cdb(READS[read], read, lba, blocks)
    )
    if fits:
        assert (written.sense, content.sense, content.data or b"") == (0, 0, data)
        assert disk.store.content[lba * block:][:len(data)] == data
    elif blocks:
        assert written.sense == content.sense == RANGE
        assert not any(disk.store.content)
