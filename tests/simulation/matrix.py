"""What becomes of every command when any one of the system calls fails that it makes: ``docs/reliability.md``.

A fault is one call of one command. The rows come from running them: ``cases`` has every command make its calls once,
and then fail in each of them.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from ietpy.errors import StoreError
from ietpy.scsi.asc import Asc
from ietpy.scsi.status import SenseKey, Status
from tests.scsi.conftest import Kept
from tests.scsi.mode_requests import CACHING_OFF, CACHING_ON
from tests.scsi.test_copy_descriptors import copy_list, cscd, segment
from tests.simulation.machine import MOVING, SECTOR, Fault
from tests.simulation.world import KINDS, SOURCE, Going, World

LBA: Final = 4
#: What is in the cache, or on the medium, before, and must stay.
BEFORE: Final = 8
NEW: Final = b"new".ljust(SECTOR, b"!")
ZEROS: Final = bytes(SECTOR)
OLD: Final = [(b"before %d" % (LBA + each)).ljust(SECTOR, b".") for each in range(2)]
#: Codes of faults, in the order of the page; 0: half of what was asked for.
SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
CODES: Final = (errno.EIO, errno.EINTR, errno.ENOSPC, errno.EDQUOT, errno.EBADF, 0)
#: Of these, those that are not like another.
SHOWN: Final = (errno.EIO, errno.ENOSPC, errno.EBADF, 0)


@dataclass(frozen=True)
class Command:
    """``new``: what its blocks, from LBA on, hold when it succeeded; none if it changes none. ``whole``: so do all.

    ``data_in``: bytes it is answered with. ``kinds``: of which LUNs it makes sense. ``sectors``: of the medium.
    ``many``: it is there twice when a worker comes, so blockio makes a batch of it.
    """

    name: str
    cdb: str
    data: bytes | Callable[[World], bytes] = b""
    new: tuple[bytes, ...] = ()
    data_in: int = 0
    whole: bool = False
    good: int = int(Status.GOOD)
    sectors: int = 16
    many: bool = False
    kinds: Callable[[str], bool] = field(default=lambda kind: True)

    def data_out(self, world: World) -> bytes:
        return self.data(world) if callable(self.data) else self.data


def _copy(world: World) -> bytes:
    itself = cscd(designator_type=1, value=b"IET\0\0\0\0\0" + world.lu.identity.device_id, block=SECTOR)
    return copy_list(itself, segment(0, 0, 2, SOURCE, LBA))


def _cached(kind: str) -> bool:
    return KINDS[kind].cache


def _file(kind: str) -> bool:
    return not KINDS[kind].device


def _batches(kind: str) -> bool:
    return kind.startswith("blockio")


_PAGE: Final = bytes(4) + bytes.fromhex(CACHING_OFF)
_PAGE_ON: Final = bytes(4) + bytes.fromhex(CACHING_ON)
_COPIED: Final = tuple((b"before %d" % (SOURCE + each)).ljust(SECTOR, b".") for each in range(2))

COMMANDS: Final = (
    Command("READ", "28 00 00000004 00 0002 00", data_in=1024),
    Command("READ with FUA", "28 08 00000004 00 0002 00", data_in=1024),
    Command("READ of 128 KiB", "28 00 00000000 00 0100 00", data_in=128 << 10, sectors=256),
    Command("READ, two at once", "28 00 00000004 00 0002 00", data_in=1024, many=True, kinds=_batches),
    Command("VERIFY", "2f 00 00000004 00 0002 00"),
    Command("PRE-FETCH", "34 00 00000004 00 0002 00", good=int(Status.CONDITION_MET)),
    Command("GET LBA STATUS", "9e 12 0000000000000004 00000018 00 00", data_in=24, kinds=_file),
    Command("WRITE", "2a 00 00000004 00 0002 00", NEW * 2, (NEW, NEW)),
    Command(
        "WRITE, two at once", "2a 00 00000004 00 0002 00", NEW * 2, (NEW, NEW), many=True, kinds=_batches),
    Command("WRITE with FUA", "2a 08 00000004 00 0002 00", NEW * 2, (NEW, NEW)),
    Command("WRITE AND VERIFY", "2e 00 00000004 00 0002 00", NEW * 2, (NEW, NEW)),
    Command("WRITE SAME", "93 00 0000000000000004 00000002 00 00", NEW, (NEW, NEW)),
    Command("WRITE SAME of zeros", "93 00 0000000000000004 00000002 00 00", ZEROS, (ZEROS, ZEROS)),
    Command("WRITE SAME that unmaps", "93 08 0000000000000004 00000002 00 00", ZEROS, (ZEROS, ZEROS)),
    Command(
        "UNMAP", "42 00 00 00 00 00 00 0018 00", bytes.fromhex("0016 0010 00000000 0000000000000004 00000002 00000000"),
        (ZEROS, ZEROS)),
    Command("COMPARE AND WRITE", "89 00 0000000000000004 000000 02 00 00", b"".join(OLD) + NEW * 2, (NEW, NEW)),
    Command(
        "ORWRITE", "8b 00 0000000000000004 00000002 00 00", NEW * 2,
        tuple(bytes(one | other for one, other in zip(old, NEW, strict=True)) for old in OLD)),
    Command("EXTENDED COPY", "83 00 00000000 00000000 0000004c 00 00", _copy, _COPIED),
    Command("SYNCHRONIZE CACHE", "35 00 00000000 00 0000 00"),
    Command("START STOP UNIT", "1b 00 00 00 00 00"),
    Command("MODE SELECT, WCE 0", f"15 10 00 00 {len(_PAGE):02x} 00", _PAGE, kinds=_cached),
    Command("MODE SELECT, SP", f"15 11 00 00 {len(_PAGE):02x} 00", _PAGE_ON),
    Command(
        "PERSISTENT RESERVE OUT, APTPL", "5f 00 00 00 00 00000018 00",
        bytes.fromhex("0000000000000000 0000000000000001 00000000 01 00 0000")),
    Command("FORMAT UNIT", "04 00 00 00 00 00", new=(ZEROS, ZEROS), whole=True),
    Command("SANITIZE, block erase", "48 02 00 00 00 00 00 0000 00", new=(ZEROS, ZEROS), whole=True, kinds=_file),
    Command("SANITIZE, overwrite", "48 01 00 00 00 00 00 0005 00", b"\x01\0\0\x01\0", (ZEROS, ZEROS), whole=True),
)


class State(Kept):
    """What the unit keeps, over a call that may fail."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def put(self, section: str, value: Any) -> None:
        try:
            self._world.machine._begin("state file")
        except OSError as error:
            raise StoreError(error.errno or errno.EIO, "as told") from None
        super().put(section, value)


class Trial:
    """One command, in which these of its calls fail. ``answer``: its status, or (sense key, Asc)."""

    def __init__(self, kind: str, command: Command, fails: Sequence[int] = (), code: int = 0) -> None:
        self.command = command
        self.world = world = World(kind, sectors=command.sectors)
        world.lu.state = State(world)
        world.machine.changed = lambda file: None  # checked at the end: the commands are not of ``World``
        with world.machine.beneath():
            world.write(0, BEFORE)
            world.work()
            first = len(world.machine.calls)
            world.machine.faults = {first + number: Fault(code) for number in fails}
            going = self._run(command.cdb, command.data_out(world), many=command.many)
            self.calls = world.machine.calls[first:]
            self.answer = going.answer
            self.after = self._after()  # at this moment the power is cut
            world.machine.faults = {}
            self.next = self._run("28 00 00000004 00 0002 00").answer
            self.flush = self._run("35 00 00000000 00 0000 00").answer

    def _run(self, cdb: str, data: bytes = b"", *, many: bool = False) -> Going:
        world = self.world
        going = world.start(0, self.command.name, cdb, data, lambda good: None)
        if many:
            world.start(1, self.command.name, cdb.replace("00000004", "0000000a"), data, lambda good: None)
        if going in world.parked:
            world.work()
        if going.task.data_in.__class__.__name__ == "Extent":
            length = len(going.task.data_in)  # type: ignore[arg-type]
            if world.machine.sendfile(length) < length:
                going.answer = (SenseKey.MEDIUM_ERROR, Asc.UNRECOVERED_READ_ERROR)  # ``iscsi/streaming.py``
        return going

    def _after(self) -> str:
        """What a power cut leaves of the command's blocks: each sector is one or the other."""
        may, command = self.world.file.may, self.command
        there = {b"written 1".ljust(SECTOR, b".")}
        if self.world.kind.cache:
            there.add((b"before %d" % BEFORE).ljust(SECTOR, b"."))
        if command.whole:
            there.add(ZEROS)
        assert may(BEFORE) <= there, "what was written before has been promised"
        if not command.new:
            return "as before"
        sets = [(may(LBA + each), OLD[each], new) for each, new in enumerate(command.new)]
        assert all(left <= {old, new} for left, old, new in sets)
        if all(left == {old} for left, old, _ in sets):
            return "old"
        return "new" if all(left == {new} for left, _, new in sets) else "old or new"


def told(answer: Any) -> str:
    """An answer in words."""
    if isinstance(answer, tuple):
        return f"{SenseKey(answer[0]).name.replace('_', ' ')}, {answer[1].text}"
    return Status(answer).name.replace("_", " ")


@dataclass
class Row:
    """One call of a command. ``answers``: by code; those in ``lost`` have SYNCHRONIZE CACHE fail from then on.

    ``after``: what a power cut leaves of its blocks, by code.
    """

    command: Command
    call: str
    answers: dict[int, str] = field(default_factory=dict)
    after: dict[int, str] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)


def cases(kind: str, codes: Sequence[int]) -> Iterator[tuple[Command, int, str, int, Trial]]:
    """(command, number of the call that fails, its name, code, what came of it)."""
    for command in COMMANDS:
        if command.kinds(kind):
            whole = Trial(kind, command)
            assert whole.answer in (command.good, 0), f"{command.name} without a fault: {told(whole.answer)}"
            calls = whole.calls
            for number, call in enumerate(calls):
                for code in codes:
                    if code or call in MOVING:
                        numbers = (number, number + 1) if _again(calls[number:], code) else (number,)
                        yield command, number, call, code, Trial(kind, command, numbers, code)


def _again(calls: Sequence[str], code: int) -> bool:
    """Whether what fails in the first of these is tried once more, and fails again.

    A READ in place is tried by a worker; a forced write without the force, to see whether the medium is full.
    """
    if calls == ["preadv"]:
        return code != 0
    return code in SPACE and calls[:2] == ["pwritev", "writeback"]


@cache
def rows(kind: str, codes: tuple[int, ...] = SHOWN) -> tuple[Row, ...]:
    """What a LUN of this kind does; calls of one name that end alike are one row."""
    found: dict[tuple[str, int, str], Row] = {}
    for command, number, call, code, trial in cases(kind, codes):
        row = found.setdefault((command.name, number, call), Row(command, call))
        row.answers[code], row.after[code] = told(trial.answer), trial.after
        if trial.flush != 0 and not command.whole:
            row.lost.add(code)
    merged: list[Row] = []
    for row in found.values():
        if row not in merged:
            merged.append(row)
    return tuple(merged)
