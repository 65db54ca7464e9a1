"""Devices of ``ietpy`` beside their model: every step is done with both, and what can be seen must be the same.

A step is a list of plain values, so a history can be printed, kept as JSON and done again. The first is the setup.
"""

from __future__ import annotations

import errno
import json
import random
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.exclusion import Exclusion
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.nexus import Nexus
from ietpy.scsi.store import Capabilities
from ietpy.scsi.task import Task
from tests.scsi import model_copy, model_readiness, model_reservations, model_sbc, model_service, model_spc
from tests.scsi.conftest import Kept, Memory
from tests.scsi.model import Model, Options, Unit
from tests.scsi.model_medium import SECTOR, Medium, Traits
from tests.scsi.model_rows import find
from tests.scsi.model_sense import COPY_ABORTED, ILLEGAL_REQUEST, Answer, Sense

#: To import them is to declare their commands.
COMMAND_SETS: Final = (model_spc, model_service, model_reservations, model_sbc, model_readiness, model_copy)

PORTS: Final = {name: f"iqn.2001-04.com.example:{name.lower()},i,0x4000000000{ord(name):02x}" for name in "ABC"}
TARGETS: Final = ("iqn.2001-04.com.example:storage.one", "iqn.2001-04.com.example:storage.two")
LARGEST: Final = 160 << 10  #: bytes of a medium
NOISE: Final = random.Random(4).randbytes(LARGEST * 2)

#: What fails during a command, by name: the errno of the stores, and the sense of a read and of a write.
FAULTS: Final = {
    "EIO": (errno.EIO, ((3, 0x1100), (3, 0x0C00))),
    "ENOSPC": (errno.ENOSPC, ((3, 0x1100), (7, 0x2707))),
}

#: How a command is executed. EARLY: its refusal is asked for before its data, as by a transport.
AT_ONCE, NOT_WAITING, EARLY = range(3)
#: Bits of what the stores can just now.
READY, COPIES = 1, 2


class Volatile(Memory):
    """``durable`` is what a loss of power leaves. A flush that fails loses nothing: see ``tests/simulation``."""

    def __init__(self, size: int, capabilities: Capabilities) -> None:
        super().__init__(size, capabilities)
        self.durable = bytearray(self.content)

    def write(self, offset: int, views: Sequence[memoryview], fua: bool) -> None:
        super().write(offset, views, fua)
        if fua:
            end = offset + sum(map(len, views))
            self.durable[offset:end] = self.content[offset:end]

    def _flush(self, *call: Any) -> None:
        self._note(*call)
        self.durable[:] = self.content

    def lose_power(self) -> None:
        self.content[:] = self.durable

    def resize(self, size: int) -> None:
        self.size = size
        for content in (self.content, self.durable):
            content[size:] = bytes(len(content) - size)


class SenselessError(Exception):
    """A step that cannot be done, as a history was shortened."""


class World:
    """``seen`` counts answers by command."""

    def __init__(self) -> None:
        self.model = Model()
        self.history: list[list[Any]] = []
        self.seen: Counter[tuple[str, str]] = Counter()
        self.stores: list[Volatile] = []
        self.exclusions: list[Exclusion] = []
        self.devices: list[ScsiDevice] = []
        self.states: dict[tuple[int, int], Kept] = {}
        self.sessions: dict[tuple[str, int], dict[int, Nexus]] = {}
        self.jobs: list[Any] = []  #: in the background

    def perform(self, step: list[Any]) -> None:
        """Raises AssertionError where the two differ, with the history."""
        self.history.append(step)
        try:
            getattr(self, step[0])(*step[1:])
            self.compare()
        except SenselessError:
            raise
        except Exception as problem:
            raise AssertionError(f"{problem!r}\nafter {len(self.history)} steps:\n{self.told()}") from problem

    def told(self) -> str:
        return "\n".join(map(json.dumps, self.history))

    # Steps that are no commands

    def setup(self, media: list[list[Any]], units: list[list[Any]]) -> None:
        """``media``: (size, thin, cached); ``units``: (device, LUN, medium, options)."""
        from tests.scsi.model import Device

        for size, thin, cached in media:
            medium = Medium(LARGEST, Traits(thin, cached))
            medium.resize(size)
            self.model.media.append(medium)
            store = Volatile(LARGEST, Capabilities(
                immediate=cached, discard=thin != "", discard_zeroes=thin == "zeros"
            ))
            store.resize(size)
            self.stores.append(store)
            self.exclusions.append(Exclusion())
        for index, name in enumerate(TARGETS):
            self.model.devices.append(Device(self.model, index, name))
            self.devices.append(self._serve(name))
        for unit in units:
            self.add(*unit)

    def _serve(self, name: str) -> ScsiDevice:
        device = ScsiDevice(name, threading.RLock())
        device.served(lambda: None, lambda unit, job: self.jobs.append(job), lambda: False)
        return device

    def add(self, index: int, lun: int, medium: int, options: list[Any]) -> None:
        self._check(index, lun, there=False)
        self.model.devices[index].add(lun, self.model.media[medium], Options(*options))
        self._offer(index, lun, medium, Options(*options))

    def _check(self, index: int, lun: int, there: bool = True) -> None:
        if (lun in self.model.devices[index].units) is not there:
            raise SenselessError

    def _offer(self, index: int, lun: int, medium: int, options: Options) -> None:
        device = self.devices[index]
        variant = f"variant {options.variant}".encode() if options.variant else None
        device.add(lun, LogicalUnit(
            self.stores[medium], iet_identity(device.name, lun, variant), device=device, number=lun,
            block_size=options.block, read_only=options.read_only, write_cache=options.write_cache,
            exclusion=self.exclusions[medium], removable=options.removable,
            state=self.states.setdefault((index, lun), Kept()) if options.keeps else None,
        ))

    def remove(self, index: int, lun: int) -> None:
        """With the last flush before a store is closed."""
        self._check(index, lun)
        unit = self.model.devices[index].units[lun]
        self._fail("")
        unit.medium.flush(unit.bit)
        self.stores[self.model.media.index(unit.medium)].flush()
        self.model.devices[index].remove(lun)
        self.devices[index].remove(lun)

    def work(self, fault: str) -> None:
        """What goes on in the background does."""
        self._fail(fault)
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            job()
        self.model.work()

    def resize(self, medium: int, size: int) -> None:
        """But not while the medium is formatted."""
        if any(unit.operation for unit in self.model.units_over(self.model.media[medium])):
            raise SenselessError
        self.model.media[medium].resize(size)
        self.stores[medium].resize(size)
        for device, twin in zip(self.devices, self.model.devices, strict=True):
            for lun, unit in twin.units.items():
                if unit.medium is self.model.media[medium]:
                    unit.capacity_changed()
                    device.logical_units[lun].capacity_changed()

    def reset(self, index: int, lun: int) -> None:
        self._check(index, lun)
        self.model.devices[index].units[lun].reset()
        self.devices[index].logical_units[lun].reset()

    def login(self, who: str, index: int) -> None:
        """The session ends, and the same port begins another."""
        self.model.end_session(PORTS[who], index)
        for nexus in self.sessions.pop((who, index), {}).values():
            nexus.lu.detach(nexus)

    def reset_nexus(self, who: str, index: int) -> None:
        self.model.reset_nexus(PORTS[who], index)
        for nexus in self.sessions.get((who, index), {}).values():
            nexus.lu.nexus_reset(nexus)

    def lose_power(self) -> None:
        """Of what is volatile the model knows nothing afterwards but what the medium says."""
        for medium, store in zip(self.model.media, self.stores, strict=True):
            store.lose_power()
            for sector, bit in enumerate(medium.volatile):
                if bit:
                    place = slice(sector * SECTOR, (sector + 1) * SECTOR)
                    medium.content[place] = store.content[place]
            medium.volatile = bytearray(len(medium.volatile))
        self.sessions.clear()
        self.model.lose_power()
        self.exclusions = [Exclusion() for _ in self.stores]
        self.jobs.clear()
        self.devices = [self._serve(device.name) for device in self.devices]
        for index, twin in enumerate(self.model.devices):
            for lun, unit in twin.units.items():
                self._offer(index, lun, self.model.media.index(unit.medium), unit.options)

    # Commands

    def nexus(self, who: str, index: int, lun: int) -> Nexus:
        """As a session has it: made when it is first addressed; of an absent unit a new one every time."""
        known = self.sessions.setdefault((who, index), {})
        nexus = known.get(lun)
        if nexus is None:
            device = self.devices[index]
            if lun not in device.logical_units:
                return device.nexus(None, PORTS[who])
            nexus = known[lun] = device.nexus(lun, PORTS[who])
        return nexus

    def data(self, recipe: str) -> bytes:
        """Data-Out: ``h`` hexadecimal, ``z`` zeros, ``n`` noise, ``c`` what a medium has, ``k`` cut, ``f`` one bit
        flipped."""
        data = bytearray()
        for piece in filter(None, recipe.split("+")):
            kind, *rest = piece.split(":")
            if kind == "h":
                data += bytes.fromhex(rest[0])
                continue
            values = [int(value) for value in rest]
            if kind == "z":
                data += bytes(values[0])
            elif kind == "n":
                data += NOISE[values[0]:values[0] + values[1]]
            elif kind == "c":
                data += self.model.media[values[0]].content[values[1]:values[1] + values[2]]
            elif kind == "k":
                del data[values[0]:]
            elif data:
                data[values[0] % len(data)] ^= 0x10
        return bytes(data)

    def command(
        self, who: str, index: int, lun: int, cdb: str, recipe: str, way: int, luck: int, attribute: int, fault: str
    ) -> None:
        """``fault``: what fails meanwhile, "" for nothing, "state" for what survives a loss of power."""
        data = self.data(recipe)
        whole = bytes.fromhex(cdb).ljust(16, b"\0")
        nexus = self.nexus(who, index, lun)
        twin = self.model.nexus(PORTS[who], index, lun)
        wanted = nexus.lu.data_out_length(self._task(nexus, whole, data, attribute))
        if twin.unit is None or not twin.unit.removed:
            assert wanted == self.model.wanted(twin, whole, len(data)), "Data-Out that is asked for"
        for store in self.stores:
            store.ready, store.copies = bool(luck & READY), bool(luck & COPIES)
        self._fail(fault)
        before = twin.unit
        task = self._task(nexus, whole, data[:wanted], attribute, len(data))
        if not self._refused(task, way):
            if way == NOT_WAITING:
                task.may_block = False
                done = nexus.lu.execute(task)
                if not done:
                    self.compare()
            else:
                done = False
            if not done:
                task.may_block = True
                assert nexus.lu.execute(task), "waiting where it may"
        answers = self.model.execute(PORTS[who], index, lun, whole, data, attribute)
        self.note(before, whole, answers[0])
        found = answer_of(task)
        assert found in answers, f"{found} instead of {' or '.join(map(str, answers))}"

    def _fail(self, fault: str) -> None:
        number, senses = FAULTS.get(fault, (0, None))
        for store, medium in zip(self.stores, self.model.media, strict=True):
            store.fail, medium.fault = number, senses
        for state in self.states.values():
            state.fail = errno.EIO if fault == "state" else 0
        self.model.memory_fails = fault == "state"

    def _refused(self, task: Task, way: int) -> bool:
        if way != EARLY:
            return False
        if task.nexus.lu.refuse_early(task):
            return True
        self.compare()
        return False

    @staticmethod
    def _task(nexus: Nexus, cdb: bytes, data: bytes, attribute: int, announced: int = 0) -> Task:
        task = Task()
        task.nexus, task.cdb, task.attribute = nexus, cdb, attribute
        middle = len(data) // 3
        task.data = [memoryview(data)[:middle], memoryview(data)[middle:]] if data else []
        task.data_length, task.expected = len(data), announced or len(data)
        return task

    def note(self, unit: Unit | None, cdb: bytes, answer: Answer) -> None:
        row = find(unit, cdb)
        sense = answer.sense
        told = f"{answer.status:02X}" if sense is None else f"{sense.key:X}/{sense.code:04X}"
        self.seen[row.name if row is not None else "unknown", told] += 1

    # What must be the same

    def compare(self) -> None:
        for medium, store in zip(self.model.media, self.stores, strict=True):
            store.log.clear()
            if store.content != medium.content:
                place = next(place for place in range(LARGEST) if store.content[place] != medium.content[place])
                raise AssertionError(f"medium differs at byte {place} ({place // SECTOR} sectors)")
            if store.durable != store.content:
                self.compare_durable(medium, store)
        for index, (device, twin) in enumerate(zip(self.devices, self.model.devices, strict=True)):
            assert list(device.logical_units) == list(twin.units), "LUNs"
            for lun, lu in device.logical_units.items():
                self.compare_unit(index, lu, twin.units[lun])

    @staticmethod
    def compare_durable(medium: Medium, store: Volatile) -> None:
        for sector, bit in enumerate(medium.volatile):
            if not bit:
                place = slice(sector * SECTOR, (sector + 1) * SECTOR)
                assert store.durable[place] == store.content[place], f"sector {sector} must survive a loss of power"

    def compare_unit(self, index: int, lu: Any, unit: Unit) -> None:
        found = [(nexus.initiator, [int(each.asc) for each in nexus.attentions]) for nexus in lu.nexuses]
        expected = [(nexus.port, nexus.attentions) for nexus in unit.nexuses]
        assert found == expected, f"unit attentions of LUN {unit.lun}: {found} instead of {expected}"
        holder = unit.holder and unit.holder.port
        assert (lu.holder and lu.holder.initiator) == holder, "who did RESERVE"
        assert {nexus.initiator for nexus in lu.readiness.preventing} == {nexus.port for nexus in unit.preventing}
        kept, now = unit.persistent, lu.persistent.now
        keys = [(each.initiator, key) for each, key in now.registrations.items()]
        assert keys == [*kept.keys.items()], "registrations"
        holding = now.holder and now.holder.initiator
        assert (now.type or 0, holding, now.aptpl) == (kept.kind, kept.holder, kept.aptpl), "reservation"
        assert lu.persistent.generation == kept.generation, "PRGENERATION"
        mode = unit.mode
        ready = lu.readiness
        assert (ready.operation is not None, ready.sanitize_failed, ready.format_corrupt) == (
            unit.operation is not None, unit.sanitize_failed, unit.corrupt
        ), "readiness"
        assert (lu.blocks, ready.ejected, lu.write_protected) == (unit.blocks, unit.ejected, unit.protected)
        assert (
            not lu.write_through, lu.separate_task_sets, lu.descriptor_sense, lu.unit_attention_interlock,
            lu.software_write_protect, lu.task_aborted_status,
        ) == (
            mode["WCE"], mode["TST"], mode["D_SENSE"], mode["UA_INTLCK_CTRL"], mode["SWP"], mode["TAS"],
        ), "mode parameters"
        if unit.options.keeps:
            sections = self.states[index, unit.lun].sections
            assert sections.get("mode") == unit.memory.get("mode"), "saved mode parameters"
            for section in ("reservations", "format", "sanitize"):
                assert (sections.get(section) is None) == (section not in unit.memory), section


def answer_of(task: Task) -> Answer:
    assert task.data_in is None or task.status != 2
    return Answer(task.status, bytes(task.data_in or b""), sense_of(task.sense) if task.status == 2 else None)


def sense_of(raw: bytes) -> Sense:
    """What sense data say, in either format."""
    if raw[0] & 0x7F == 0x70:
        assert len(raw) == 18
        assert raw[7] == 10
        information = int.from_bytes(raw[3:7], "big") if raw[0] & 0x80 else None
        assert raw[0] & 0x80 or raw[3:7] == bytes(4)
        segment = int.from_bytes(raw[8:12], "big") if raw[2] == COPY_ABORTED else None
        assert segment is not None or raw[8:12] == bytes(4)
        return Sense(False, raw[2], raw[12] << 8 | raw[13], information, pointer_of(raw[2], raw[15:18]), segment)
    assert raw[0] == 0x72
    assert len(raw) == 8 + raw[7]
    information = pointer = segment = None
    place = 8
    while place < len(raw):
        kind, length = raw[place], raw[place + 1]
        body = raw[place + 2:place + 2 + length]
        if kind == 0:
            assert (length, body[0]) == (10, 0x80)
            information = int.from_bytes(body[2:], "big")
        elif kind == 1:
            assert (length, body[:4], body[6:]) == (10, bytes(4), bytes(4))
            segment = body[4] << 8 | body[5]
        else:
            assert (kind, length) == (2, 6)
            pointer = pointer_of(raw[1], body[2:5])
            assert pointer is not None
        place += 2 + length
    return Sense(True, raw[1], raw[2] << 8 | raw[3], information, pointer, segment)


def pointer_of(key: int, specific: bytes) -> tuple[Any, int] | None:
    if not specific[0] & 0x80:
        assert specific == bytes(3)
        return None
    if key == 2:
        return "progress", specific[1] << 8 | specific[2]
    assert key in (COPY_ABORTED, ILLEGAL_REQUEST)
    assert specific[0] & 0x08 or not specific[0] & 0x07
    return bool(specific[0] & 0x40), specific[1] << 8 | specific[2]


def replay(history: list[list[Any]]) -> str:
    """What goes wrong with this history, "" for nothing."""
    world = World()
    try:
        for step in history:
            world.perform(step)
    except SenselessError:
        return ""
    except AssertionError as problem:
        return str(problem)
    return ""


def shorter(history: list[list[Any]]) -> list[list[Any]]:
    """A history that goes wrong, without steps that are not needed for that."""
    size = len(history) // 2
    while size:
        place = 1
        while place < len(history):
            attempt = history[:place] + history[place + size:]
            if replay(attempt):
                history = attempt
            else:
                place += size
        size //= 2
    return history
