"""Every call fails once: what the initiator is told, that the connection goes on, and that the next command works."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.scsi import cache
from ietpy.scsi.asc import Asc
from ietpy.scsi.status import SenseKey
from tests.simulation.machine import Fault
from tests.simulation.matrix import CODES, COMMANDS, State, Trial, cases, rows
from tests.simulation.served import answer_of, served
from tests.simulation.world import KINDS, World

READ_ERROR = (SenseKey.MEDIUM_ERROR, Asc.UNRECOVERED_READ_ERROR)
WRITE_ERROR = (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)
FULL = (SenseKey.DATA_PROTECT, Asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT)
INTERNAL = (SenseKey.HARDWARE_ERROR, Asc.INTERNAL_TARGET_FAILURE)

#: By what fails, and by errno.
READING = {errno.EIO: READ_ERROR, errno.EINTR: READ_ERROR, errno.ENOSPC: READ_ERROR, errno.EDQUOT: READ_ERROR,
           errno.EBADF: INTERNAL}
WRITING = {errno.EIO: WRITE_ERROR, errno.EINTR: WRITE_ERROR, errno.ENOSPC: FULL, errno.EDQUOT: FULL,
           errno.EBADF: INTERNAL}
#: Of commands that only read.
READERS = {"READ", "READ with FUA", "READ of 128 KiB", "READ, two at once", "VERIFY", "PRE-FETCH", "GET LBA STATUS"}
#: Commands that fail in a way of their own.
OWN = {
    "EXTENDED COPY": (SenseKey.COPY_ABORTED, Asc.THIRD_PARTY_DEVICE_FAILURE),
    "FORMAT UNIT": (SenseKey.MEDIUM_ERROR, Asc.FORMAT_COMMAND_FAILED),
    "SANITIZE, block erase": (SenseKey.MEDIUM_ERROR, Asc.SANITIZE_COMMAND_FAILED),
    "SANITIZE, overwrite": (SenseKey.MEDIUM_ERROR, Asc.SANITIZE_COMMAND_FAILED),
}
#: Calls that may fail without anybody noticing, as there is another way: a hint, and what is done by reading and
#: writing where it cannot be done otherwise.
OPTIONAL = {"posix_fadvise", "io_setup", "copy_file_range"}


def expected(command: Any, call: str, number: int, code: int) -> set[Any]:
    """What may be answered: by SPC-4 and SBC-3, and by what ``docs/reliability.md`` says in words."""
    if call == "sendfile":
        return {READ_ERROR}  # the peer has the header by then
    if not code or call in OPTIONAL:
        return {command.good}
    if call == "state file":  # nothing has begun; but of an operation it may be the end
        return {INTERNAL} if number == 0 else {OWN[command.name]}
    if command.name in OWN:
        return {OWN[command.name]}
    if (command.name in READERS and call != "fdatasync") or call == "preadv":
        return {READING[code]}
    return {WRITING[code]}


@pytest.mark.parametrize("kind", KINDS)
def test_every_call_of_every_command_fails_once(kind: str) -> None:
    seen = 0
    for command, number, call, code, trial in cases(kind, CODES):
        what = f"{command.name}, {call} ({number}), {Fault(code).name}"
        allowed = expected(command, call, number, code)
        if command.many and number > 0:
            allowed |= {command.good}  # it may have been the other one's
        assert trial.answer in allowed, what
        if not command.whole:
            assert trial.next == 0, f"the next command after {what}"
        if trial.answer == command.good and command.new and not KINDS[kind].cache:
            assert trial.after == "new", what
        seen += 1
    assert seen > 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_that_changes_much_ends_that_way_when_it_is_asked_again(kind: str) -> None:
    """FORMAT UNIT and SANITIZE leave a unit that is not ready; another one succeeds."""
    for command in COMMANDS:
        if command.whole and command.kinds(kind):
            for number in range(len(Trial(kind, command).calls)):
                trial = Trial(kind, command, (number,), errno.EIO)
                with trial.world.machine.beneath():
                    assert trial._run(command.cdb, command.data_out(trial.world)).answer == 0
                    assert trial._run("28 00 00000004 00 0002 00").answer == 0


def test_the_page_has_every_command_and_what_is_lost() -> None:
    named = {row.command.name for kind in KINDS for row in rows(kind)}
    assert named == {command.name for command in COMMANDS}
    assert not any(row.lost for kind in KINDS if not KINDS[kind].cache for row in rows(kind))
    lost = {(row.command.name, row.call) for row in rows("fileio, wb") if row.lost}
    assert lost >= {("SYNCHRONIZE CACHE", "fdatasync"), ("WRITE with FUA", "writeback")}


# Through a real connection ------------------------------------------------------------------------------------------


@pytest.fixture(params=list(KINDS))
def session(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A unit of each kind, and a session that is to last."""
    world = World(request.param, sectors=256, condition=threading.Condition())
    world.machine.changed = lambda file: None
    with served(world) as connect:
        yield SimpleNamespace(kind=request.param, world=world, client=connect())


def test_one_connection_lives_through_all_of_them(session: Any) -> None:
    """The same session, from the first fault to the last; what it is told is what the page says."""
    world, client = session.world, session.client
    content = bytes(world.file.cache)

    def run(command: Any) -> Any:
        cdb = bytes.fromhex(command.cdb)
        data = command.data_out(world)
        return client.command(0, cdb, write=data) if data else client.command(0, cdb, read=command.data_in)

    run(COMMANDS[0])  # what is made once is there
    faults = 0
    for command in COMMANDS:
        if not command.kinds(session.kind) or command.many or command.whole or "APTPL" in command.name:
            continue  # these leave something behind, or need another
        calls: list[str] = []
        for number in range(-1, 8):
            world.file.cache[:] = content
            world.lu.state = State(world)
            world.lu.cached = cache.Cached(world.store.losses) if world.kind.cache else None  # as if opened anew
            world.lu.set_write_cache(world.kind.cache)
            first = len(world.machine.calls)
            if number >= 0:
                numbers = (number, number + 1) if calls[number:] == ["preadv"] else (number,)
                world.machine.faults = {first + each: Fault(errno.EIO) for each in numbers}
            response = run(command)
            if number < 0:
                calls = world.machine.calls[first:]
                assert answer_of(response) in {0, command.good}, command.name  # blockio has no cache to fetch into
            else:
                allowed = expected(command, calls[number], number, errno.EIO)
                assert answer_of(response) in allowed, f"{command.name}: {calls[number]} fails"
                faults += 1
            world.machine.faults = {}
            assert client.read(0, 4, 2) == bytes(world.file.cache[2048:3072]), command.name
            if number + 1 == len(calls):
                break
    assert faults > 15
