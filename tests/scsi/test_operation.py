"""What format and sanitize operations have in common: progress, readiness, notes, failures, the end of things."""

from __future__ import annotations

import errno
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.scsi import operation
from ietpy.scsi.asc import Asc
from ietpy.scsi.direct_access import DIRECT_ACCESS
from ietpy.scsi.limits import CHUNK
from ietpy.scsi.operation import filling
from ietpy.scsi.status import SenseKey
from tests.scsi.background import Transport
from tests.scsi.conftest import BOB, Kept, Memory

STEP = 128 << 10  #: of these tests, so 1 MiB takes eight
SANITIZING = (SenseKey.NOT_READY, Asc.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS)
FORMATTING = (SenseKey.NOT_READY, Asc.LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS)
SANITIZE_FAILED = (SenseKey.MEDIUM_ERROR, Asc.SANITIZE_COMMAND_FAILED)
FORMAT_FAILED = (SenseKey.MEDIUM_ERROR, Asc.FORMAT_COMMAND_FAILED)
CORRUPTED = (SenseKey.MEDIUM_ERROR, Asc.MEDIUM_FORMAT_CORRUPTED)
READ = "28 00 00000000 00 0001 00"

#: (CDB, Data-Out) with IMMED and without, what commands are told meanwhile, what the command is told of a failure.
OVERWRITE = ("48 81 0000000000 0005 00", "48 01 0000000000 0005 00", b"\x01\0\0\x01\xAA", SANITIZING, SANITIZE_FAILED)
FORMAT = ("04 10 00 00 00 00", "04 10 00 00 00 00", b"\0\x02\0\0", FORMATTING, FORMAT_FAILED)
each_kind = pytest.mark.parametrize("kind", [OVERWRITE, FORMAT], ids=["sanitize", "format"])


def at_once(kind: Any) -> tuple[str, bytes]:
    return kind[0], kind[2]


def waiting(kind: Any) -> tuple[str, bytes]:
    return kind[1], kind[2] if kind is OVERWRITE else bytes(4)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "STEP", STEP)
    monkeypatch.setattr(operation, "MARK", STEP)


def progress(outcome: Any) -> int:
    """The PROGRESS INDICATION field of sense data, which is valid."""
    sense = outcome.raw_sense or outcome.data
    assert sense[15] == 0x80
    return int.from_bytes(sense[16:18], "big")


# Readiness meanwhile


@each_kind
def test_an_immediate_command_is_answered_and_goes_on(disk: Any, kind: Any) -> None:
    transport = Transport(disk.device)
    disk.store.content[:] = b"x" * len(disk.store.content)
    assert disk.run(*at_once(kind)).sense == 0
    assert disk.store.log == []
    assert [unit for unit, _ in transport.jobs] == [disk.lu]
    outcome = disk.run(READ)
    assert (outcome.sense, progress(outcome)) == (kind[3], 0)
    transport.run()
    assert transport.quiesced == 1, "what was being written in place is over"
    assert disk.run(READ).data == (b"\xAA" if kind is OVERWRITE else b"\0") * 512
    assert disk.lu.gates == disk.ann.barrier == 0


@each_kind
def test_a_waiting_command_is_answered_when_it_is_done(disk: Any, kind: Any) -> None:
    told = []
    Transport(disk.device, [lambda: told.append(disk.run(READ))] * 8)
    assert disk.waits(*waiting(kind))
    assert disk.store.log == []
    assert disk.run(*waiting(kind)).sense == 0
    assert [outcome.sense for outcome in told] == [kind[3]] * 8
    assert [progress(outcome) for outcome in told] == [0x2000 * step for step in range(8)]
    assert disk.run(READ).sense == 0


def test_no_progress_says_that_it_is_over(disk: Any) -> None:
    Transport(disk.device)
    disk.run(*at_once(OVERWRITE))
    disk.lu.readiness.operation.done = disk.lu.readiness.operation.total
    assert progress(disk.run(READ)) == 0xFFFF


def test_rows_that_are_answered_meanwhile(disk: Any) -> None:
    assert {row.name for row in DIRECT_ACCESS if row.unready} == {
        "INQUIRY", "REPORT LUNS", "REQUEST SENSE", "REPORT SUPPORTED OPERATION CODES",
        "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", "LOG SENSE",
    }
    Transport(disk.device)
    disk.run(*at_once(OVERWRITE))
    for row in DIRECT_ACCESS:
        cdb = bytearray(row.usage[:1] + bytes(15))
        cdb[1] = row.service_action or 0
        cdb[2] = 0x0D if row.name == "LOG SENSE" else 0  # of its pages only Temperature
        assert (disk.run(cdb.hex()).sense == SANITIZING) is not row.unready, row.name
    assert disk.run("FF").sense == SANITIZING
    assert disk.run("1B 40 00 00 17 80").sense == SANITIZING


def test_request_sense_tells_progress_first_and_keeps_unit_attentions(disk: Any) -> None:
    transport = Transport(disk.device)
    disk.run(*at_once(OVERWRITE))
    bob = disk.nexus(BOB, quiet=False)
    outcome = disk.run("03 00 00 00 12", nexus=bob)
    assert (outcome.data[2], outcome.data[12:14], progress(outcome)) == (2, b"\x04\x1B", 0)
    transport.run()
    assert disk.run("03 00 00 00 12", nexus=bob).data[2] == SenseKey.UNIT_ATTENTION
    assert disk.run("03 00 00 00 12", nexus=bob).data[2] == SenseKey.NO_SENSE


def test_resets_and_lost_nexuses_do_not_end_it(disk: Any, bob: Any) -> None:
    transport = Transport(disk.device)
    disk.run(*at_once(OVERWRITE))
    disk.lu.reset()
    disk.lu.detach(disk.ann)
    assert disk.run("00", nexus=bob).sense[0] == SenseKey.UNIT_ATTENTION
    assert disk.run("00", nexus=bob).sense == SANITIZING
    carol = disk.nexus("carol", quiet=False)
    assert disk.run("00", nexus=carol).sense[0] == SenseKey.UNIT_ATTENTION
    assert disk.run("00", nexus=carol).sense == SANITIZING
    transport.run()
    assert disk.run("00", nexus=carol).sense == 0


def test_of_two_at_once_one_is_not_begun(disk: Any) -> None:
    """Both were admitted; the other one found its worker first."""
    Transport(disk.device)
    disk.run(*at_once(OVERWRITE))
    disk.lu.obstruct(None)
    assert disk.run(*at_once(FORMAT)).sense == SANITIZING
    assert disk.run(*at_once(OVERWRITE)).sense == SANITIZING


# The medium


def test_a_step_shares_the_medium_with_other_writers_only(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    met = []
    write = Memory.write

    def look(self: Memory, offset: int, views: Any, fua: bool) -> None:
        claim = disk.lu.exclusion.sole(offset, 512)
        with disk.lu.exclusion.shared(offset, 512), pytest.raises(RuntimeError, match="waits for itself"), claim:
            pass
        with disk.lu.exclusion.sole((offset + STEP) % disk.store.size, 512):
            met.append(offset)
        write(self, offset, views, fua)

    monkeypatch.setattr(Memory, "write", look)
    assert disk.run(*waiting(OVERWRITE)).sense == 0
    assert met == list(range(0, 1 << 20, STEP))


def test_every_pass_reaches_the_medium(disk: Any) -> None:
    assert disk.run("48 01 0000000000 0005 00", b"\x02\0\0\x01\xAA").sense == 0
    one = [("write", offset, STEP, False) for offset in range(0, 1 << 20, STEP)]
    assert disk.store.log == [*one, ("flush",), *one, ("flush",)]


def test_the_last_step_is_as_long_as_what_is_left(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(size=STEP + 1024)
    assert disk.run(*waiting(OVERWRITE)).sense == 0
    assert disk.store.log == [("write", 0, STEP, False), ("write", STEP, 1024, False), ("flush",)]


@pytest.mark.parametrize(("pattern", "block_size"), [(b"abc", 512), (bytes(range(256)) * 2, 512), (b"\x5A", 4096)])
def test_a_pattern_begins_anew_with_every_block(pattern: bytes, block_size: int) -> None:
    store = Memory(2 << 20)
    length = CHUNK + 3 * block_size
    filling(pattern, block_size)(store, block_size, length)
    block = (pattern * block_size)[:block_size]
    assert store.content[block_size:block_size + length] == block * (length // block_size)
    assert not any(store.content[:block_size])
    assert not any(store.content[block_size + length:])


# The initiator goes


@pytest.mark.parametrize("gone", [
    {"aborted_by": [object()]},
    {"connection": SimpleNamespace(closing=True)},
], ids=["aborted", "disconnected"])
def test_without_whoasked_for_it_the_rest_is_done_in_the_background(disk: Any, gone: dict[str, Any]) -> None:
    task = disk.task(*waiting(OVERWRITE))
    transport = Transport(disk.device, [lambda: None, lambda: [setattr(task, *item) for item in gone.items()]])
    assert disk.lu.execute(task)
    assert disk.store.log == [("write", 0, STEP, False)], "one step, and then it was asked"
    assert disk.run(READ).sense == SANITIZING
    transport.run()
    assert [call[1] for call in disk.store.log if call[0] == "write"] == list(range(0, 1 << 20, STEP))
    assert disk.run(READ).sense == 0


def test_an_initiator_that_stays_is_waited_for(disk: Any) -> None:
    transport = Transport(disk.device)
    assert disk.run(*waiting(OVERWRITE), connection=SimpleNamespace(closing=False)).sense == 0
    assert transport.jobs == []


# The daemon ends and begins


def again(disk: Any, make_disk: Callable[..., Any], state: Kept | None) -> Any:
    """The same medium with another daemon."""
    after = make_disk(state=state)
    after.store.content[:] = disk.store.content
    return after


@pytest.mark.parametrize("immediate", [True, False])
def test_the_end_of_the_daemon_is_a_pause(make_disk: Callable[..., Any], immediate: bool) -> None:
    state = Kept()
    disk = make_disk(state=state)
    transport = Transport(disk.device)
    transport.then(*[lambda: None] * 3, transport.end)
    if immediate:
        disk.run(*at_once(OVERWRITE))
        assert state.sections["sanitize"] == {
            "restricted": True, "passes": 1, "invert": False, "pattern": "aa", "size": 1 << 20,
        }
        transport.run()
    else:
        outcome = disk.run(*waiting(OVERWRITE))
        assert (outcome.sense, progress(outcome)) == (SANITIZING, 0x6000)
    assert disk.store.log[-2:] == [("write", 2 * STEP, STEP, False), ("flush",)], "what is noted is on the medium"
    assert state.sections["sanitize"]["done"] == 3 * STEP

    after = again(disk, make_disk, state)
    assert after.run("00").sense == SANITIZING, "nobody serves yet"
    transport = Transport(after.device)
    outcome = after.run(READ)
    assert (outcome.sense, progress(outcome), len(transport.jobs)) == (SANITIZING, 0x6000, 1)
    transport.run()
    assert [call[1] for call in after.store.log if call[0] == "write"] == [step * STEP for step in range(3, 8)]
    assert bytes(after.store.content) == b"\xAA" * (1 << 20)
    assert after.run(READ).sense == 0
    assert state.get("sanitize") is None


def test_a_unit_that_comes_while_the_daemon_serves_goes_on_at_once(make_disk: Callable[..., Any]) -> None:
    other = make_disk()
    transport = Transport(other.device)
    assert transport.jobs == []
    state = Kept(sanitize={"restricted": True, "size": 1 << 20})
    disk = make_disk(device=other.device, number=1, state=state)
    assert [unit for unit, _ in transport.jobs] == [disk.lu]
    disk.lu.resume()
    assert len(transport.jobs) == 1, "it goes on already"
    other.lu.resume()
    assert len(transport.jobs) == 1, "there is nothing to go on with"
    transport.run()
    assert disk.run(READ).sense == 0


def test_what_was_done_of_another_medium_counts_for_nothing(make_disk: Callable[..., Any]) -> None:
    state = Kept(sanitize={"restricted": True, "size": 2 << 20, "done": 1 << 19})
    disk = make_disk(state=state)
    transport = Transport(disk.device)
    transport.run()
    assert [call[:2] for call in disk.store.log if call[0] == "discard"] == [
        ("discard", offset) for offset in range(0, 1 << 20, STEP)
    ]


def test_a_removed_unit_rests_and_notes_nothing(make_disk: Callable[..., Any]) -> None:
    state = Kept()
    disk = make_disk(state=state)
    Transport(disk.device, [lambda: None, lambda: disk.device.remove(0)])
    noted: list[Any] = []
    put = state.put
    state.put = lambda *note: (noted.append(note), put(*note))  # type: ignore[assignment, func-returns-value]
    assert disk.run(*waiting(OVERWRITE)).sense == SANITIZING
    assert [note[1].get("done") for note in noted] == [None, STEP], "the mark of its first step"
    assert disk.store.log[-1] == ("flush",)


@pytest.mark.parametrize(("least", "often"), [
    pytest.param(4096, 1 << 14, id="a 64th"), pytest.param(1 << 17, 1 << 17, id="as much as is worth a mark"),
])
def test_marks_are_few_and_what_they_say_is_on_the_medium(
    make_disk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, least: int, often: int
) -> None:
    monkeypatch.setattr(operation, "STEP", 4096)
    monkeypatch.setattr(operation, "MARK", least)
    state = Kept()
    disk = make_disk(state=state)
    done = []
    put = state.put

    def note(section: str, value: Any) -> None:
        if value and value.get("done"):
            assert disk.store.log[-1] == ("flush",)
            done.append(value["done"])
        put(section, value)

    state.put = note  # type: ignore[method-assign]
    assert disk.run(*waiting(OVERWRITE)).sense == 0
    assert done == [*range(often, 1 << 20, often)]


def test_a_mark_that_cannot_be_noted_costs_nothing(make_disk: Callable[..., Any]) -> None:
    state = Kept()
    disk = make_disk(state=state)
    full, empty = [lambda fail=fail: setattr(state, "fail", fail) for fail in (errno.ENOSPC, 0)]
    Transport(disk.device, [full, *[lambda: None] * 6, empty])
    assert disk.run(*waiting(OVERWRITE)).sense == 0
    assert state.get("sanitize") is None
    assert disk.run(READ).sense == 0


def test_a_format_is_not_marked(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(state=Kept())
    transport = Transport(disk.device)
    disk.run(*at_once(FORMAT))
    transport.then(*[lambda: None] * 3, transport.end)
    transport.run()
    assert disk.store.log == [("discard", step * STEP, STEP) for step in range(3)]
    assert disk.lu.state.sections["format"] == {"size": 1 << 20}


def test_without_a_state_an_interrupted_one_is_forgotten(make_disk: Callable[..., Any]) -> None:
    disk = make_disk()
    transport = Transport(disk.device)
    disk.run(*at_once(OVERWRITE))
    transport.end()
    transport.run()
    assert again(disk, make_disk, None).run(READ).sense == 0


# Failures


@each_kind
def test_what_cannot_be_noted_is_not_begun(make_disk: Callable[..., Any], kind: Any) -> None:
    state = Kept()
    disk = make_disk(state=state)
    state.fail = errno.EIO
    for cdb, data in (at_once(kind), waiting(kind)):
        assert disk.run(cdb, data).sense == (SenseKey.HARDWARE_ERROR, Asc.INTERNAL_TARGET_FAILURE)
        assert disk.store.log == []
        assert disk.run(READ).sense == 0


@each_kind
def test_a_failure_of_the_medium(make_disk: Callable[..., Any], kind: Any) -> None:
    state = Kept()
    disk = make_disk(state=state)
    Transport(disk.device, [lambda: None, lambda: setattr(disk.store, "fail", errno.EIO)])
    assert disk.run(*waiting(kind)).sense == kind[4]
    disk.store.fail = 0
    broken = kind[4] if kind is OVERWRITE else CORRUPTED
    for cdb in (READ, "00", "25"):
        assert disk.run(cdb).sense == broken
    assert disk.run("03 00 00 00 12").data[12:14] == broken[1].to_bytes(2, "big")
    after = again(disk, make_disk, state)
    for cdb in (READ, "00"):
        assert after.run(cdb).sense == broken
    assert after.run(*waiting(kind)).sense == 0
    assert after.run(READ).sense == 0
    assert again(after, make_disk, state).run(READ).sense == 0


@pytest.mark.parametrize("fails", ["store", "state"])
def test_a_failure_when_the_daemon_ends_is_no_failure(make_disk: Callable[..., Any], fails: str) -> None:
    """Its store and its state are closed in the end, whether it has seen that or not."""
    state = Kept()
    disk = make_disk(state=state)
    transport = Transport(disk.device)
    disk.run(*at_once(OVERWRITE))
    closed = disk.store if fails == "store" else state
    turns = 3 if fails == "store" else 7
    transport.then(*[lambda: None] * turns, lambda: setattr(closed, "fail", errno.EBADF), transport.end)
    transport.run()
    assert disk.run(READ).sense == SANITIZING
    after = again(disk, make_disk, Kept(**state.sections))
    transport = Transport(after.device)
    assert after.run(READ).sense == SANITIZING
    transport.run()
    assert bytes(after.store.content) == b"\xAA" * (1 << 20)
    assert after.run(READ).sense == 0


@each_kind
def test_on_another_medium_it_does_not_go_on(make_disk: Callable[..., Any], kind: Any) -> None:
    state = Kept()
    disk = make_disk(state=state)
    Transport(disk.device)
    disk.run(*at_once(kind))
    state.elsewhere = "/old.img"
    section = "sanitize" if kind is OVERWRITE else "format"
    with pytest.raises(ValueError, match=f"'{section}' says that an operation on /old.img has not succeeded"):
        make_disk(state=state)
    state.put(section, None)
    assert make_disk(state=state).run(READ).sense == 0


@each_kind
def test_a_failure_in_the_background_is_told_by_what_follows(disk: Any, kind: Any) -> None:
    transport = Transport(disk.device)
    assert disk.run(*at_once(kind)).sense == 0
    disk.store.fail = errno.EIO
    transport.run()
    disk.store.fail = 0
    assert disk.run(READ).sense == (kind[4] if kind is OVERWRITE else CORRUPTED)


def test_success_that_cannot_be_noted_is_none(make_disk: Callable[..., Any]) -> None:
    """Else the next daemon would sanitize what has been written since."""
    state = Kept()
    disk = make_disk(state=state)
    Transport(disk.device, [*[lambda: None] * 7, lambda: setattr(state, "fail", errno.EIO)])
    assert disk.run(*waiting(OVERWRITE)).sense == SANITIZE_FAILED
    assert disk.run("2A 00 00000000 00 0001 00", bytes(512)).sense == SANITIZE_FAILED
    state.fail = 0
    assert "failed" not in state.sections["sanitize"]
    assert again(disk, make_disk, state).run(READ).sense == SANITIZING
