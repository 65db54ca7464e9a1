"""Initiators, a logical unit over a real store on a simulated machine, and what they may rely on after a power cut.

Tasks go the way a pump sends them (``server/pump.py``): executed in place where they need not wait, else parked for a
worker, who has those of one unit together (``scsi/joint.py``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ietpy.scsi import joint
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.exclusion import Exclusion
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.nexus import Nexus
from ietpy.scsi.task import Task
from ietpy.stores.blockio import BlockStore
from ietpy.stores.fileio import FileStore
from tests.scsi.conftest import ANN, BOB, NAME, outcome_of
from tests.scsi.mode_requests import CACHING_OFF, CACHING_ON
from tests.scsi.test_copy_descriptors import copy_list, cscd, segment
from tests.simulation.machine import SECTOR, File, Machine

SECTORS: Final = 16
#: Where the source of copies lies; nobody writes there.
SOURCE: Final = 12


class Kind(NamedTuple):
    """Of a LUN: a line of ietd.conf."""

    store: Callable[..., Any]
    device: bool
    cache: bool


KINDS: Final = {
    "fileio, wt": Kind(FileStore, False, False),
    "fileio, wb": Kind(FileStore, False, True),
    "fileio on a device, wt": Kind(FileStore, True, False),
    "blockio, wt": Kind(BlockStore, True, False),
    "blockio, wb": Kind(BlockStore, True, True),
}


@dataclass(eq=False)
class Written:
    """What one command was to make of some sectors. ``ended``: when it was answered. ``good``: with GOOD."""

    begun: int
    values: dict[int, bytes]
    promised: bool = False  #: that it is stable, when it is answered with GOOD
    ended: int | None = None
    good: bool = False


class Promises:
    """What may be on the medium after a power cut, by what initiators sent and were told; sector by sector.

    Something may not be there any more when it had been answered before a write began that is promised to be stable.
    """

    def __init__(self, content: File) -> None:
        self._time = 0
        initial = Written(0, {number: content.sector(number) for number in range(len(content.left))}, ended=0)
        self.live: dict[int, list[Written]] = {number: [initial] for number in range(len(content.left))}
        self._cached: list[Written] = []  #: answered with GOOD, and perhaps only in the cache
        self._through: int | None = None  #: since when initiators know that there is no write cache

    def now(self) -> int:
        self._time += 1
        return self._time

    def write_cache(self, enabled: bool) -> None:
        """It is known from now on."""
        self._through = None if enabled else self.now()

    def begin(self, values: dict[int, bytes], fua: bool) -> Written:
        written = Written(self.now(), values, fua or self._through is not None)
        for number in values:
            self.live[number].append(written)
        return written

    def end(self, written: Written, good: bool) -> None:
        written.ended, written.good = self.now(), good
        if good and written.promised:
            self._settle(written)
        elif good:
            self._cached.append(written)

    def synchronized(self, begun: int) -> None:
        """A command that empties the cache and had begun then was answered with GOOD."""
        for written in [each for each in self._cached if each.ended is not None and each.ended < begun]:
            self._cached.remove(written)
            self._settle(written)

    def _settle(self, stable: Written) -> None:
        for number in stable.values:
            self.live[number] = [
                each for each in self.live[number] if each.ended is None or each.ended >= stable.begun
            ]

    def check(self, file: File) -> None:
        """Whatever a power cut leaves at this moment may be there."""
        for number, values in self.live.items():
            allowed = {each.values[number] for each in values}
            may = file.may(number)
            assert may <= allowed, (
                f"sector {number}: {[each[:16] for each in may - allowed]} may be there after a power cut,"
                f" but only {[each[:16] for each in allowed]} was promised")


@dataclass
class Going:
    """A command under way. ``after`` is told when it was answered: whether with GOOD."""

    name: str
    task: Task
    after: Callable[[bool], None]
    answer: Any = None


class World:
    """One unit of a kind, LUN 0, and two sessions."""

    def __init__(self, kind: str, *, condition: Any = None, sectors: int = SECTORS) -> None:
        self.kind = KINDS[kind]
        content = [b"before %d" % number for number in range(sectors)]
        self.file = File(b"".join(each.ljust(SECTOR, b".") for each in content), device=self.kind.device)
        self.machine = Machine(medium=self.file)
        self.device = ScsiDevice(NAME, threading.RLock())
        with self.machine.beneath():
            self.store = self.kind.store("medium")
        self.lu = LogicalUnit(
            self.store, iet_identity(NAME, 0), device=self.device, number=0, write_cache=self.kind.cache,
            exclusion=Exclusion(condition))
        self.device.add(0, self.lu)
        self.sessions = [self._session(name) for name in (ANN, BOB)]
        self.promises = Promises(self.file)
        self.promises.write_cache(self.kind.cache)
        self.machine.opened()
        self.machine.changed = self.promises.check
        self.parked: list[Going] = []
        self.answered: list[tuple[str, Any]] = []
        self._stamps = 0

    def _session(self, name: str) -> Nexus:
        nexus = self.device.nexus(0, name)
        task = self._task(nexus, "00", b"")
        self.lu.execute(task)  # the unit attention
        return nexus

    def _task(self, nexus: Nexus, cdb: str, data: bytes) -> Task:
        task = Task()
        task.nexus, task.cdb = nexus, bytes.fromhex(cdb).ljust(16, b"\0")
        task.data, task.data_length, task.expected = [memoryview(data)] if data else [], len(data), len(data)
        task.may_block = False
        task.extents = True
        return task

    # What initiators do ---------------------------------------------------------------------------------------------

    def _stamp(self) -> bytes:
        """A block like no other."""
        self._stamps += 1
        return (b"written %d" % self._stamps).ljust(SECTOR, b".")

    def start(self, session: int, name: str, cdb: str, data: bytes, after: Callable[[bool], None]) -> Going:
        """Send a command, and do what a pump does with it."""
        nexus = self.sessions[session]
        if nexus.attentions:  # mode parameters have changed, say
            self.lu.execute(self._task(nexus, "00", b""))
        going = Going(f"{name} of {session}", self._task(nexus, cdb, data), after)
        if self.lu.execute(going.task):
            self.end(going)
        else:
            going.task.may_block = True
            self.parked.append(going)
        return going

    def _writing(
        self, session: int, name: str, cdb: str, data: bytes, values: dict[int, bytes], *, fua: bool = False
    ) -> Going:
        written = self.promises.begin(values, fua)
        return self.start(session, name, cdb, data, lambda good: self.promises.end(written, good))

    def write(self, session: int, lba: int, blocks: int = 1, *, fua: bool = False, verify: bool = False) -> Going:
        stamps = [self._stamp() for _ in range(blocks)]
        cdb = f"{'2e' if verify else '2a'} {'08' if fua and not verify else '00'} {lba:08x} 00 {blocks:04x} 00"
        return self._writing(
            session, "WRITE", cdb, b"".join(stamps), dict(enumerate(stamps, lba)), fua=fua or verify)

    def write_same(self, session: int, lba: int, blocks: int = 2, *, zeros: bool = False, unmap: bool = False) -> Going:
        block = bytes(SECTOR) if zeros else self._stamp()
        flags = 8 if unmap else 0
        return self._writing(
            session, "WRITE SAME", f"93 {flags:02x} {lba:016x} {blocks:08x} 00 00", block,
            dict.fromkeys(range(lba, lba + blocks), block))

    def unmap(self, session: int, lba: int, blocks: int = 2) -> Going:
        data = bytes.fromhex(f"0016 0010 00000000 {lba:016x} {blocks:08x} 00000000")
        return self._writing(
            session, "UNMAP", f"42 00 00 00 00 00 00 {len(data):04x} 00", data,
            dict.fromkeys(range(lba, lba + blocks), bytes(SECTOR)))

    def compare_and_write(self, session: int, lba: int, *, fua: bool = False) -> Going:
        found, stamp = self.file.sector(lba), self._stamp()
        return self._writing(
            session, "COMPARE AND WRITE", f"89 {8 if fua else 0:02x} {lba:016x} 000000 01 00 00", found + stamp,
            {lba: stamp}, fua=fua)

    def or_write(self, session: int, lba: int, *, fua: bool = False) -> Going:
        stamp = self._stamp()
        both = bytes(one | other for one, other in zip(self.file.sector(lba), stamp, strict=True))
        return self._writing(
            session, "ORWRITE", f"8b {8 if fua else 0:02x} {lba:016x} 00000001 00 00", stamp, {lba: both}, fua=fua)

    def copy(self, session: int, lba: int, blocks: int = 2) -> Going:
        itself = cscd(designator_type=1, value=b"IET\0\0\0\0\0" + self.lu.identity.device_id, block=SECTOR)
        data = copy_list(itself, segment(0, 0, blocks, SOURCE, lba))
        return self._writing(
            session, "EXTENDED COPY", f"83 00 00000000 00000000 {len(data):08x} 00 00", data,
            {lba + each: self.file.sector(SOURCE + each) for each in range(blocks)})

    def read(self, session: int, lba: int, blocks: int = 1, *, fua: bool = False) -> Going:
        cdb = f"28 {8 if fua else 0:02x} {lba:08x} 00 {blocks:04x} 00"
        return self.start(session, "READ", cdb, b"", lambda good: None)

    def _emptying(self, session: int, name: str, cdb: str, data: bytes = b"", also: Any = None) -> Going:
        begun = self.promises.now()

        def after(good: bool) -> None:
            if good:
                self.promises.synchronized(begun)
                if also is not None:
                    also()

        return self.start(session, name, cdb, data, after)

    def synchronize(self, session: int) -> Going:
        return self._emptying(session, "SYNCHRONIZE CACHE", "35 00 00000000 00 0000 00")

    def stop(self, session: int) -> Going:
        return self._emptying(session, "START STOP UNIT", "1b 00 00 00 00 00")

    def write_cache(self, session: int, enabled: bool) -> Going:
        """MODE SELECT."""
        data = bytes(4) + bytes.fromhex(CACHING_ON if enabled else CACHING_OFF)
        cdb = f"15 10 00 00 {len(data):02x} 00"
        if enabled:
            self.promises.write_cache(True)
            return self.start(session, "MODE SELECT", cdb, data, lambda good: None)
        return self._emptying(session, "MODE SELECT", cdb, data, lambda: self.promises.write_cache(False))

    # What workers do ------------------------------------------------------------------------------------------------

    def work(self, parked: Iterable[Going] | None = None) -> None:
        """Do what is parked, or these of it; those that share a job together."""
        chosen = [*(self.parked if parked is None else parked)]
        while chosen:
            first = chosen[0]
            unit = self.lu.shares(first.task)
            job = [each for each in chosen if self.lu.shares(each.task) is unit] if unit else [first]
            for each in job:
                chosen.remove(each)
                self.parked.remove(each)
            if unit is not None:
                self._together(unit, [each.task for each in job])
            else:
                self.lu.execute(first.task)
            for each in job:
                self.end(each)

    def _together(self, unit: LogicalUnit, tasks: list[Task]) -> None:
        """A connection's own thread begins, if it may, and a worker does what is left."""
        moving = joint.begin(unit, tasks)
        left = tasks
        if moving is not None:
            moving.wait()
            left = moving.conclude()
        if left:
            joint.work(unit, left)

    def end(self, going: Going) -> None:
        going.answer = outcome_of(going.task).sense
        self.answered.append((going.name, going.answer))
        going.after(going.answer == 0)
        self.machine.changed(self.file)
