"""EXTENDED COPY between disks of one device, and RECEIVE COPY RESULTS."""

from __future__ import annotations

import errno
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.errors import StoreError
from ietpy.scsi.asc import Asc
from ietpy.scsi.limits import CHUNK
from ietpy.scsi.sense import CheckCondition
from ietpy.scsi.status import SenseKey, Status
from ietpy.scsi.third_party_copy import CopyResult
from tests.scsi.conftest import BOB, Disk, Memory
from tests.scsi.test_copy_descriptors import copy_list, cscd, segment
from tests.scsi.test_sbc import pattern

ABORTED = SenseKey.COPY_ABORTED
UNREACHABLE = (ABORTED, Asc.COPY_TARGET_DEVICE_NOT_REACHABLE)
FAILED = (ABORTED, Asc.THIRD_PARTY_DEVICE_FAILURE)


def named(disk: Disk, **fields: Any) -> bytes:
    """The CSCD descriptor of a disk: IET's designator, cut as it does not fit."""
    value = b"IET\0\0\0\0\0" + disk.lu.identity.device_id
    return cscd(designator_type=1, value=value, block=fields.pop("block", disk.lu.block_size), **fields)


def copy(disk: Disk, data: bytes, **fields: Any) -> Any:
    return disk.run(f"83 00 00000000 00000000 {len(data):08X} 00 00", data, **fields).sense


@pytest.fixture
def other(disk: Disk) -> Disk:
    """LUN 1 of the same device."""
    return second(disk)


def second(disk: Disk, **options: Any) -> Disk:
    other = Disk(Memory(1 << 20), number=1, device=disk.device, **options)
    disk.run("A0 00 00 000000 00000100 00 00".replace(" ", ""))  # the LUNs have changed, and that is known now
    return other


@pytest.mark.parametrize("offloaded", [True, False])
@pytest.mark.parametrize("write_cache", [True, False])
def test_from_one_disk_to_the_other(
    disk: Disk, other: Disk, offloaded: bool, write_cache: bool
) -> None:
    content = pattern(8 * 512)
    disk.store.content[512:512 + len(content)] = content
    other.store.copies = offloaded
    other.lu.set_write_cache(write_cache)
    other.store.log.clear()
    assert copy(disk, copy_list(named(disk) + named(other), segment(0, 1, 8, 1, 64))) == 0
    assert other.store.content[64 * 512:72 * 512] == content
    step = ("copy", 64 * 512, 512, 4096) if offloaded else ("write", 64 * 512, 4096, False)
    assert other.store.log == [step] + [("flush",)] * (not write_cache)


@pytest.mark.parametrize("to", [0, 1, 3, 8, 20])
@pytest.mark.parametrize("chunk", [512, 1024, CHUNK])
def test_overlapping_ranges_copy_what_was_there(
    disk: Disk, to: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ietpy.scsi.third_party_copy.CHUNK", chunk)
    disk.store.copies = False
    content = pattern(8 * 512)
    disk.store.content[512:512 + len(content)] = content
    assert copy(disk, copy_list(named(disk), segment(0, 0, 8, 1, to))) == 0
    assert disk.store.content[to * 512:to * 512 + len(content)] == content


def test_a_store_that_copies_a_part(disk: Disk, other: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ietpy.scsi.third_party_copy.COPY_PIECE", 1024)
    disk.store.content[:4096] = content = pattern(4096)
    copied = other.store.copy
    answers = iter((copied, lambda *_: False))
    monkeypatch.setattr(other.store, "copy", lambda *arguments: next(answers)(*arguments))
    assert copy(disk, copy_list(named(disk) + named(other), segment(0, 1, 8, 0, 0))) == 0
    assert other.store.content[:4096] == content


@pytest.mark.parametrize(("flags", "blocks", "copied"), [(0, 2, 1024), (2, 1, 4096)])
def test_blocks_are_counted_in_the_size_of_one_end(
    make_disk: Callable[..., Disk], flags: int, blocks: int, copied: int
) -> None:
    small = make_disk(size=1 << 20)
    large = second(small, block_size=4096)
    small.store.content[:8192] = pattern(8192)
    sense = copy(small, copy_list(named(small) + named(large), segment(0, 1, blocks, 0, 1, flags)))
    if copied % 4096:
        assert sense == (ABORTED, Asc.UNEXPECTED_INEXACT_SEGMENT)
    else:
        assert sense == 0
        assert large.store.content[4096:4096 + copied] == pattern(8192)[:copied]


OUTSIDE = (ABORTED, Asc.NO_ADDITIONAL_SENSE_INFORMATION)


def run(disk: Disk, data: bytes) -> Any:
    return disk.run(f"83 00 00000000 00000000 {len(data):08X} 00 00", data)


@pytest.mark.parametrize(("cscds", "segments", "sense", "field"), [
    pytest.param("d", segment(0, 1), UNREACHABLE, 48 + 6, id="no such CSCD as destination"),
    pytest.param("d", segment(1, 0), UNREACHABLE, 48 + 4, id="no such CSCD as source"),
    pytest.param("dn", segment(0, 1), UNREACHABLE, 48, id="the null CSCD"),
    pytest.param("ds", segment(0, 1), UNREACHABLE, 48, id="a disk of somebody else"),
    pytest.param("sd", segment(0, 1), UNREACHABLE, 16, id="from somebody else"),
    pytest.param("dt", segment(0, 1), (ABORTED, Asc.INCORRECT_COPY_TARGET_DEVICE_TYPE), 48, id="called a tape"),
    pytest.param("b", segment(), (ABORTED, Asc.INVALID_FIELD_IN_PARAMETER_LIST), 45, id="another block length"),
    pytest.param("d", segment(0, 0, 8, 2041), OUTSIDE, 48 + 12, id="source end"),
    pytest.param("d", segment(0, 0, 8, 0, 2041), OUTSIDE, 48 + 20, id="destination end"),
    pytest.param("dt", segment(), 0, None, id="a tape that is not meant"),
    pytest.param("z", segment(), 0, None, id="block length not told"),
    pytest.param("d", segment(blocks=0), 0, None, id="no blocks"),
    pytest.param("d", b"", 0, None, id="no segments"),
])
def test_what_cannot_be_copied(disk: Disk, cscds: str, segments: bytes, sense: Any, field: int | None) -> None:
    known = {
        "d": named(disk), "n": cscd(peripheral=0x20), "s": cscd(), "b": named(disk, block=4096),
        "z": named(disk, block=0), "t": named(disk, peripheral=1),
    }
    outcome = run(disk, copy_list(b"".join(known[each] for each in cscds), segments))
    assert (outcome.sense, outcome.field) == (sense, None if field is None else (field,))


def test_the_segment_that_failed_is_told(disk: Disk) -> None:
    outcome = run(disk, copy_list(named(disk), segment() * 2 + segment(0, 1), identifier=3, usage=0))
    told = "70 00 0A 00000000 0A 00000002 0D02 00 80006E"
    assert outcome.raw_sense == bytes.fromhex(told)
    assert disk.run("840003" + "00" * 7 + "0000000C0000").data == bytes.fromhex("00000008 02 0003 00 00002000")
    assert disk.run("840403" + "00" * 7 + "000000FF0000").data == bytes.fromhex(
        "0000004A" + "00" * 52 + "02 00 0012" + told
    )


def residual(raw: bytes) -> int | None:
    return int.from_bytes(raw[3:7], "big") if raw[0] & 0x80 else None


@pytest.mark.parametrize("write_cache", [True, False])
@pytest.mark.parametrize("offloaded", [True, False])
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_what_was_not_copied_when_the_destination_failed(
    disk: Disk, other: Disk, monkeypatch: pytest.MonkeyPatch, write_cache: bool, offloaded: bool, failing: int
) -> None:
    """The step that fails is the first, the second or the third of four, of two blocks each."""
    monkeypatch.setattr("ietpy.scsi.third_party_copy.CHUNK", 1024)
    monkeypatch.setattr("ietpy.scsi.third_party_copy.COPY_PIECE", 1024)
    other.store.copies = offloaded
    other.lu.set_write_cache(write_cache)
    name = "copy" if offloaded else "write"
    works, steps = getattr(other.store, name), iter(range(4))

    def step(*arguments: Any) -> Any:
        if next(steps) == failing:
            raise StoreError(errno.EIO, "injected")
        return works(*arguments)

    monkeypatch.setattr(other.store, name, step)
    outcome = run(disk, copy_list(named(disk) + named(other), segment(0, 1), identifier=3, usage=0))
    assert (outcome.sense, outcome.field) == (FAILED, (48,))
    assert residual(outcome.raw_sense) == (None if not failing else 8 - 2 * failing if write_cache else 8)
    status = disk.run("840003" + "00" * 7 + "0000000C0000").data
    assert status == bytes.fromhex("00000008 02 0001 00") + (failing * 1024).to_bytes(4, "big")


def test_the_residual_counts_blocks_of_the_destination(
    make_disk: Callable[..., Disk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ietpy.scsi.third_party_copy.CHUNK", 4096)
    small = make_disk(size=1 << 20)
    large = second(small, block_size=4096)
    large.store.copies = False
    large.lu.set_write_cache(True)
    reads, steps = small.store.read, iter(range(4))

    def read(offset: int, buffer: memoryview) -> None:
        if next(steps) == 1:
            raise StoreError(errno.EIO, "injected")
        reads(offset, buffer)

    monkeypatch.setattr(small.store, "read", read)
    outcome = run(small, copy_list(named(small) + named(large), segment(0, 1, 32)))
    assert (outcome.sense, outcome.field, residual(outcome.raw_sense)) == (FAILED, (16,), 3)


def test_the_residual_of_what_was_copied_from_its_end(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ietpy.scsi.third_party_copy.CHUNK", 1024)
    disk.lu.set_write_cache(True)
    writes, steps = disk.store.write, iter(range(4))

    def write(*arguments: Any) -> None:
        if next(steps) == 2:
            raise StoreError(errno.EIO, "injected")
        writes(*arguments)

    monkeypatch.setattr(disk.store, "write", write)
    outcome = run(disk, copy_list(named(disk), segment(0, 0, 8, 1, 2)))
    assert (outcome.sense, residual(outcome.raw_sense)) == (FAILED, 8)


def test_a_flush_that_fails_leaves_all_to_be_copied(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def commit(mark: int) -> None:
        raise StoreError(errno.EIO, "injected")

    monkeypatch.setattr(disk.store, "commit", commit)
    outcome = run(disk, copy_list(named(disk), segment()))
    assert (outcome.sense, outcome.field, residual(outcome.raw_sense)) == (FAILED, (16,), 8)


def test_an_operation_begun_meanwhile_ends_the_copy(
    disk: Disk, other: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ietpy.scsi.third_party_copy.COPY_PIECE", 1024)
    copies = other.store.copy

    class Begun:
        def condition(self) -> CheckCondition:
            return CheckCondition(SenseKey.NOT_READY, Asc.LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS, progress=0)

    def step(*arguments: Any) -> bool:
        other.lu.readiness.operation = Begun()  # type: ignore[assignment]
        return copies(*arguments)

    other.lu.set_write_cache(True)
    monkeypatch.setattr(other.store, "copy", step)
    outcome = run(disk, copy_list(named(disk) + named(other), segment(0, 1)))
    assert (outcome.sense, outcome.field, residual(outcome.raw_sense)) == (FAILED, (48,), 6)


@pytest.mark.parametrize(("transferred", "told"), [
    (0xFFFF_FFFF, "00 FFFFFFFF"), (0x1_0000_0000, "01 00400000"), (1 << 42, "02 00400000"),
])
def test_large_transfers_are_counted_in_larger_units(disk: Disk, transferred: int, told: str) -> None:
    result = disk.ann.copies[3] = CopyResult()
    result.segments, result.transferred = 1, transferred
    assert disk.run("840003" + "00" * 7 + "0000000C0000").data == bytes.fromhex("00000008 00 0001" + told)


def test_two_disks_of_one_name_cannot_be_told_apart(disk: Disk, other: Disk) -> None:
    other.lu.identity = disk.lu.identity
    assert copy(disk, copy_list(named(disk), segment())) == UNREACHABLE


def test_nobody_writes_what_is_protected(disk: Disk, other: Disk) -> None:
    other.lu.set_software_write_protect(True)
    assert copy(disk, copy_list(named(disk) + named(other), segment(0, 1))) == FAILED
    assert copy(disk, copy_list(named(other) + named(disk), segment(0, 1))) == 0


@pytest.mark.parametrize("mine", [True, False])
@pytest.mark.parametrize("end", [0, 1])
def test_reservations_hold_at_both_ends(disk: Disk, other: Disk, end: int, mine: bool) -> None:
    """RESERVE(6) of the end by the copying initiator's own nexus, or by another's."""
    other.run("16 00 00 00 00 00", nexus=other.ann if mine else other.nexus(BOB))
    both = named(disk) + named(other)
    assert copy(disk, copy_list(both, segment(end, 1 - end))) == (0 if mine else FAILED)


def test_who_has_not_used_the_other_end_asks_all_the_same(disk: Disk, other: Disk) -> None:
    other.lu.detach(other.ann)
    assert copy(disk, copy_list(named(disk) + named(other), segment(0, 1))) == 0
    assert other.lu.nexuses == ()


def test_an_end_that_is_not_ready(disk: Disk, other: Disk) -> None:
    other.lu.obstruct(lambda command: CheckCondition(SenseKey.NOT_READY, Asc.MEDIUM_NOT_PRESENT))
    assert copy(disk, copy_list(named(disk) + named(other), segment(0, 1))) == FAILED


def test_a_device_that_fails(disk: Disk, other: Disk) -> None:
    other.store.fail = errno.EIO
    assert copy(disk, copy_list(named(disk) + named(other), segment(0, 1), identifier=5, usage=0)) == FAILED
    other.store.fail = 0
    details = disk.run("84 04 05 00000000 000000 000000FF 00 00".replace(" ", ""))
    assert details.data is not None
    assert details.data[:4] == (56 + 18).to_bytes(4, "big")
    assert details.data[56:62] == bytes((2, 0, 0, 18, 0x70, 0))
    assert details.data[62] == ABORTED
    assert disk.run("84 04 05 00000000 000000 000000FF 00 00".replace(" ", "")).data == bytes(4)
    unknown = disk.run("84 04 06 00000000 000000 000000FF 00 00".replace(" ", ""))
    assert unknown.sense == (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
    assert unknown.field == (2,)


@pytest.mark.parametrize(("cdb", "data", "sense"), [
    pytest.param("83 00 00000000 00000000 00000000 00 00", b"", 0, id="nothing to do"),
    pytest.param(
        "83 00 00000000 00000000 00000010 00 00", copy_list()[:15],
        (SenseKey.ILLEGAL_REQUEST, Asc.PARAMETER_LIST_LENGTH_ERROR), id="data cut short",
    ),
    pytest.param(
        "83 01 00000000 00000000 00000010 00 00", copy_list(),
        (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB), id="LID4",
    ),
    pytest.param(
        "83 10 00000000 00000000 00000010 00 00", copy_list(),
        (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB), id="POPULATE TOKEN",
    ),
    pytest.param(
        "84 07 00000000 00000000 00000010 00 00", b"",
        (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB), id="RECEIVE ROD TOKEN INFORMATION",
    ),
])
def test_commands(disk: Disk, cdb: str, data: bytes, sense: Any) -> None:
    assert disk.run(cdb, data).sense == sense


def test_a_list_too_long_is_refused_before_it_is_sent(disk: Disk) -> None:
    refused = disk.refused("83 00 00000000 00000000 00000911 00 00")
    assert refused is not None
    assert refused.sense == (SenseKey.ILLEGAL_REQUEST, Asc.PARAMETER_LIST_LENGTH_ERROR)
    assert disk.refused("83 00 00000000 00000000 00000910 00 00") is None
    assert disk.wants("83 00 00000000 00000000 00000910 00 00") == 0x910


def test_copying_waits_for_a_device(disk: Disk) -> None:
    data = copy_list(named(disk), segment())
    assert disk.waits(f"83 00 00000000 00000000 {len(data):08X} 00 00", data)


def test_an_identifier_in_use_is_not_given_twice(disk: Disk, other: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    both = copy_list(named(disk) + named(other), segment(0, 1, 2048, 0, 0), identifier=1, usage=0)
    seen: list[Any] = []

    def meanwhile(*arguments: Any) -> bool:
        seen.append(copy(disk, both))
        seen.append(disk.run("84 00 01 00000000 000000 0000000C 00 00".replace(" ", "")).data)
        seen.append(disk.run("84 04 01 00000000 000000 0000000C 00 00".replace(" ", "")).field)
        return False

    monkeypatch.setattr(other.store, "copy", meanwhile)
    assert copy(disk, both) == 0
    assert seen == [
        (SenseKey.ILLEGAL_REQUEST, Asc.OPERATION_IN_PROGRESS), bytes.fromhex("00000008 00 0001 00 00000000"), (2,)
    ]
    done = disk.run("84 00 01 00000000 000000 0000000C 00 00".replace(" ", "")).data
    assert done == bytes.fromhex("00000008 01 0001 00 00100000")
    assert copy(disk, both) == 0


def test_results_belong_to_the_nexus(disk: Disk) -> None:
    assert copy(disk, copy_list(named(disk), segment(), identifier=9, usage=2)) == 0
    status = "840009" + "00" * 7 + "0000000C0000"
    assert disk.run(status).sense == 0
    assert disk.run(status, nexus=disk.nexus(BOB)).sense == (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)


def test_a_status_is_told_once(disk: Disk) -> None:
    assert copy(disk, copy_list(named(disk), segment(), identifier=9, usage=2)) == 0
    status = "840009" + "00" * 7 + "0000000C0000"
    assert disk.run(status).sense == 0
    assert disk.run(status).field == (2,)


def test_details_are_told_as_a_whole_or_thrown_away(disk: Disk) -> None:
    failing = copy_list(named(disk), segment(0, 1), identifier=9, usage=0)
    details = "840409" + "00" * 7 + "{:08X}0000"
    for last in (78, 0):
        assert copy(disk, failing) == UNREACHABLE
        assert len(disk.run(details.format(77)).data or b"") == 77
        assert disk.run("840009" + "00" * 7 + "0000000C0000").data == bytes.fromhex("00000008 02 0001 00 00000000")
        assert len(disk.run(details.format(last)).data or b"") == last
        assert disk.run(details.format(78)).data == bytes(4)


@pytest.mark.parametrize("event", ["reset", "nexus reset", "another unit"])
def test_results_end_with_a_reset(disk: Disk, event: str) -> None:
    assert copy(disk, copy_list(named(disk), segment(), identifier=9, usage=2)) == 0
    if event == "reset":
        disk.lu.reset()
    elif event == "nexus reset":
        disk.lu.nexus_reset(disk.ann)
    else:
        disk.lu.adopt(disk.ann)
    disk.run("00 00 00 00 00 00")
    assert disk.run("840009" + "00" * 7 + "0000000C0000").field == (2,)


@pytest.mark.parametrize("event", ["aborted", "the connection ended", "the daemon ends"])
def test_a_copy_nobody_waits_for_ends_after_a_piece(disk: Disk, event: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ietpy.scsi.third_party_copy.COPY_PIECE", 512)
    data = copy_list(named(disk), segment(0, 0, 8, 0, 64))
    task = disk.task(f"83 00 00000000 00000000 {len(data):08X} 00 00", data)
    copied = disk.store.copy

    def once(*arguments: Any) -> bool:
        if event == "aborted":
            task.aborted_by = ["a function"]
        elif event == "the connection ended":
            task.connection = SimpleNamespace(closing=True)
        else:
            monkeypatch.setattr(disk.device, "stopping", lambda: True)
        return bool(copied(*arguments))

    monkeypatch.setattr(disk.store, "copy", once)
    assert disk.lu.execute(task)
    assert task.sense[2] == ABORTED
    assert [call[0] for call in disk.store.log].count("copy") == 1


def test_a_copy_that_is_no_failure_has_no_details(disk: Disk) -> None:
    assert copy(disk, copy_list(named(disk), segment(), identifier=9, usage=2)) == 0
    assert disk.run("840409" + "00" * 7 + "000000FF0000").data == bytes(4)


def test_a_reservation_is_asked_before_the_copy_begins(disk: Disk) -> None:
    """EXTENDED COPY itself conflicts like any command that writes."""
    disk.run("16 00 00 00 00 00", nexus=disk.nexus(BOB))
    assert copy(disk, copy_list(named(disk), segment())) == Status.RESERVATION_CONFLICT


def test_a_failing_store_is_no_traceback(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> bool:
        raise StoreError(errno.ENOSPC, "full")

    monkeypatch.setattr(disk.store, "copy", broken)
    assert copy(disk, copy_list(named(disk), segment(0, 0, 1, 0, 100))) == FAILED
