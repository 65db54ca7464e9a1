"""A plain model of SCSI target devices, for test_model: what disk, reservations and unit attentions must be.

Written from SAM-5, SPC-4, SBC-3 and (RESERVE) SPC-2; it shares no code with ``ietpy``. Where these leave a choice, a
comment that begins with "Choice" says which one the project has made. Here are media, logical units, nexuses, what
happens to them, and in which order a command is judged; ``model_spc``, ``model_reservations``, ``model_sbc`` and
``model_copy`` have the commands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from tests.scsi.model_medium import Medium
from tests.scsi.model_rows import (
    BY_EXCLUSIVE_ACCESS,
    BY_RESERVE,
    NEVER,
    UNKNOWN,
    UNKNOWN_SANITIZE,
    WITH_ACTIONS,
    Row,
    check_reserved,
    find,
)
from tests.scsi.model_sense import (
    CAPACITY_CHANGED,
    CHECK_CONDITION,
    CONFLICT,
    DATA_PROTECT,
    FORMAT_CORRUPTED,
    FORMATTING,
    GOOD,
    HARDWARE_ERROR,
    ILLEGAL_REQUEST,
    INQUIRY_CHANGED,
    INTERNAL_FAILURE,
    INVALID_MESSAGE,
    LUNS_CHANGED,
    MEDIUM_ERROR,
    NEXUS_LOST,
    NO_SUCH_UNIT,
    NOT_READY,
    NOTHING_PRESENT,
    OUT_OF_RANGE,
    POWER_ON,
    PREVIOUS_CONFLICT,
    RESETS,
    SANITIZE_FAILED,
    SANITIZING,
    UNIT_ATTENTION,
    UNKNOWN_OPERATION,
    WRITE_PROTECTED,
    Answer,
    Check,
    Conflict,
    bad_cdb,
    number,
    told,
)

# Nexuses and logical units


class Nexus:
    """An initiator port's nexus with one logical unit. ``copies``: what is kept of EXTENDED COPY commands, by list
    identifier; ``echo``: the echo buffer."""

    def __init__(self, port: str) -> None:
        self.port = port
        self.unit: Unit | None = None
        self.attentions: list[int] = []
        self.copies: dict[int, Any] = {}
        self.echo: bytes | None = None

    def tell(self, code: int) -> None:
        if code not in self.attentions:
            self.attentions.append(code)

    def first(self) -> int | None:
        """The condition that is reported next."""
        return next((code for code in RESETS if code in self.attentions), next(iter(self.attentions), None))


class Options(NamedTuple):
    """How a unit is configured. ``keeps``: has a place for what survives a loss of power. ``variant``: two units that
    differ here have another identity."""

    block: int = 512
    read_only: bool = False
    write_cache: bool = False
    removable: bool = False
    keeps: bool = True
    variant: int = 0


#: Parameters of the caching and control mode pages by name, and their defaults; WCE's is configured.
PARAMETERS: Final = ("WCE", "TST", "D_SENSE", "UA_INTLCK_CTRL", "SWP", "TAS")


class Operation(NamedTuple):
    """A format or sanitize operation. ``pattern``: what all blocks have afterwards, over and over."""

    kind: str
    pattern: bytes
    record: dict[str, Any]


class Registrations:
    """Persistent reservations (SPC-4 5.13). ``kind``: the TYPE, 0 for no reservation."""

    def __init__(self) -> None:
        self.keys: dict[str, int] = {}
        self.kind = 0
        self.holder: str | None = None
        self.aptpl = False
        self.generation = 0


class Unit:
    """``memory`` is what survives a loss of power: "mode", "reservations", "format", "sanitize", "identifying" and
    "identifying_text".

    ``operation`` is under way. ``sanitize_failed``: the last one did; ``restricted``: only another one helps.
    ``corrupt``: so is the format.
    """

    def __init__(self, device: Device, lun: int, medium: Medium, options: Options, memory: dict[str, Any]) -> None:
        self.device, self.lun, self.medium, self.options, self.memory = device, lun, medium, options, memory
        self.bit = device.bits.setdefault(lun, 1 << len(device.bits) + 4 * device.index)
        self.blocks = medium.size // options.block
        self.nexuses: list[Nexus] = []
        self.holder: Nexus | None = None  #: of RESERVE
        self.preventing: set[Nexus] = set()
        self.ejected = False
        self.removed = False
        self.doubt: Check | None = None  #: what the current command may end with, too
        self.mode: dict[str, int] = {}
        self.restore_mode()
        self.persistent = Registrations()
        kept = memory.get("reservations")
        if kept is not None:
            self.persistent.aptpl = True
            self.persistent.keys = dict(kept["keys"])
            self.persistent.kind, self.persistent.holder = kept["kind"], kept["holder"]
        self.corrupt = "format" in memory
        self.operation: Operation | None = None
        self.sanitize_failed = self.restricted = False
        record = memory.get("sanitize")
        if record is not None:
            self.restricted = record["restricted"]
            self.sanitize_failed = "failed" in record
            if not self.sanitize_failed:
                self.begin(Operation("sanitize", record["pattern"], record))

    # What it is

    @property
    def block(self) -> int:
        return self.options.block

    @property
    def protected(self) -> bool:
        return self.options.read_only or bool(self.mode["SWP"])

    @property
    def cache_bit(self) -> int:
        """For what is written without FUA: 0 if that is safe."""
        return self.bit if self.mode["WCE"] else 0

    @property
    def identifier(self) -> bytes:
        """IET's 16 bytes: MD5 of the target's name and the LUN, little-endian."""
        if self.options.variant:
            return f"variant {self.options.variant}".encode().ljust(16, b"\0")
        return hashlib.md5(self.device.name.encode() + self.lun.to_bytes(4, "little")).digest()

    def default_mode(self) -> dict[str, int]:
        return dict.fromkeys(PARAMETERS, 0) | {"WCE": int(self.options.write_cache)}

    def saved_mode(self) -> dict[str, int]:
        return self.default_mode() | self.memory.get("mode", {})

    def restore_mode(self) -> None:
        self.mode = self.saved_mode()

    def put(self, section: str, value: Any) -> None:
        """Keep over a loss of power. Choice: where that fails nothing has changed, and it is a HARDWARE ERROR."""
        if not self.options.keeps:
            return
        if self.device.world.memory_fails:
            raise Check(HARDWARE_ERROR, INTERNAL_FAILURE)
        if value is None:
            self.memory.pop(section, None)
        else:
            self.memory[section] = value

    def begin(self, operation: Operation) -> None:
        """It goes on when the transport lets it."""
        self.operation = operation
        self.device.world.jobs.append((self, operation))

    def carry_out(self) -> bool:
        """Do what is under way; whether it succeeded. What cannot be noted as failed begins anew after a power loss."""
        operation, self.operation = self.operation, None
        assert operation is not None
        succeeded = True
        try:
            block = (operation.pattern * self.block)[:self.block]
            self.medium.write(0, block * self.blocks, 0)
            for section in ("format", "sanitize") if operation.kind == "sanitize" else ("format",):
                self.put(section, None)
        except Check:
            succeeded = False
            if not self.device.world.memory_fails:
                self.put(operation.kind, operation.record | {"failed": True})
        if operation.kind == "format":
            self.corrupt = not succeeded
        else:
            self.sanitize_failed, self.restricted = not succeeded, operation.record["restricted"]
            self.corrupt = self.corrupt and not succeeded
        return succeeded

    # What it says

    def unready(self) -> Check | None:
        """What TEST UNIT READY says (SBC-3 4.11.2, 4.11.3)."""
        if self.operation is not None:
            code = FORMATTING if self.operation.kind == "format" else SANITIZING
            return Check(NOT_READY, code, pointer=("progress", 0))
        if self.sanitize_failed:
            return Check(MEDIUM_ERROR, SANITIZE_FAILED)
        if self.ejected:
            return Check(NOT_READY, NOTHING_PRESENT)
        return Check(MEDIUM_ERROR, FORMAT_CORRUPTED) if self.corrupt else None

    def obstacle(self, row: Row) -> Check | None:
        """Why it does not execute this now. Choice: after a failed format everything but access to the medium is."""
        if self.operation is not None:
            return None if row.unready else self.unready()
        if self.sanitize_failed:
            return None if row.unready or row.heals == "sanitize" else self.unready()
        if self.ejected:
            return self.unready() if row.medium else None
        return self.unready() if row.medium and not row.heals else None

    def check_range(self, lba: int, blocks: int) -> None:
        """Choice: a range of no blocks may begin where the medium ends. INFORMATION has the first LBA that is not
        there (SBC-3 4.18)."""
        if lba + blocks > self.blocks:
            raise Check(ILLEGAL_REQUEST, OUT_OF_RANGE, information=max(lba, self.blocks))

    def check_writable(self) -> None:
        """Choice: also by SWP it is WRITE PROTECTED; and this comes before ranges."""
        if self.protected:
            raise Check(DATA_PROTECT, WRITE_PROTECTED)

    # What happens

    def tell_others(self, author: Nexus | None, code: int) -> None:
        for nexus in self.nexuses:
            if nexus is not author:
                nexus.tell(code)

    def join(self, nexus: Nexus) -> None:
        nexus.unit = self
        nexus.attentions = [POWER_ON]
        nexus.copies = {}
        nexus.echo = None
        self.nexuses.append(nexus)

    def lose(self, nexus: Nexus) -> None:
        """I_T nexus loss (SAM-5 6.3.4): RESERVE ends, removal is not prevented any more, copies are forgotten."""
        if self.holder is nexus:
            self.holder = None
        self.preventing.discard(nexus)
        nexus.copies = {}

    def reset(self) -> None:
        """Logical unit reset (SAM-5 6.3.3). Choice: it is reported as POWER ON."""
        self.holder = None
        self.preventing.clear()
        self.restore_mode()
        for nexus in self.nexuses:
            nexus.tell(POWER_ON)
            nexus.copies = {}

    def capacity_changed(self) -> None:
        self.blocks = self.medium.size // self.block
        self.tell_others(None, CAPACITY_CHANGED)

    # Commands

    def admits(self, nexus: Nexus, row: Row, cdb: bytes) -> bool:
        """Whether no reservation of others is in the way (SPC-2 table 10, SPC-4 table 65, SBC-3 table 13)."""
        if row.denied == NEVER or (row.harmless is not None and row.harmless(cdb)):
            return True
        if self.holder is not None:
            return self.holder is nexus
        kept = self.persistent
        if kept.kind == 0 or row.denied == BY_RESERVE:
            return True
        if kept.holder == nexus.port or (kept.kind >= 5 and nexus.port in kept.keys):
            return True
        exclusive_access = kept.kind in (3, 6, 8)
        return row.denied == BY_EXCLUSIVE_ACCESS and not exclusive_access

    def report(self, nexus: Nexus, code: int, clear: bool) -> None:
        """Unit attention ``code`` is told; with UA_INTLCK_CTRL other than 0 only REQUEST SENSE clears it.

        Choice: REPORTED LUNS DATA HAS CHANGED is told once for all units of the device (LUICLR of VPD page 86h).
        """
        if clear:
            nexus.attentions.remove(code)
            if code == LUNS_CHANGED:
                self.device.inventory_known(nexus.port)

    def judge(self, nexus: Nexus, row: Row, cdb: bytes) -> None:
        """What is told before the command is looked at (SAM-5 5.3.3): resets, conflicts, other unit attentions."""
        code = nexus.first() if row.attention else None
        conflict = not self.admits(nexus, row, cdb)
        if code is not None and (code in RESETS or not conflict):
            self.report(nexus, code, clear=not self.mode["UA_INTLCK_CTRL"])
            raise Check(UNIT_ATTENTION, code)
        if conflict:
            raise Conflict
        obstacle = self.obstacle(row)
        if obstacle is not None:
            raise obstacle


# Devices


class Device:
    """A SCSI target device. ``memories``: by LUN, what survives a loss of power."""

    def __init__(self, world: Model, index: int, name: str) -> None:
        self.world, self.index, self.name = world, index, name
        self.units: dict[int, Unit] = {}
        self.bits: dict[int, int] = {}
        self.memories: dict[int, dict[str, Any]] = {}
        self.active = True  #: the state of its target port group: active/optimized, or active/non-optimized
        self.asked = False  #: whether an initiator chose it

    def inventory_known(self, port: str) -> None:
        """Choice: interlocked conditions stay, as only REQUEST SENSE clears them."""
        for unit in self.units.values():
            for nexus in unit.nexuses:
                if nexus.port == port and not unit.mode["UA_INTLCK_CTRL"] and LUNS_CHANGED in nexus.attentions:
                    nexus.attentions.remove(LUNS_CHANGED)

    def announce(self) -> None:
        for unit in self.units.values():
            unit.tell_others(None, LUNS_CHANGED)

    def add(self, lun: int, medium: Medium, options: Options) -> None:
        self.announce()
        memory = self.memories.setdefault(lun, {}) if options.keeps else {}
        self.units[lun] = Unit(self, lun, medium, options, memory)

    def remove(self, lun: int) -> None:
        self.units.pop(lun).removed = True
        self.announce()


class Model:
    """Everything. ``sessions``: nexuses by LUN, of an initiator port with a device; they come to be when addressed."""

    def __init__(self) -> None:
        self.media: list[Medium] = []
        self.devices: list[Device] = []
        self.sessions: dict[tuple[str, int], dict[int, Nexus]] = {}
        self.memory_fails = False
        self.jobs: list[tuple[Unit, Operation]] = []

    def nexus(self, port: str, index: int, lun: int) -> Nexus:
        """The nexus a command comes by; where there is no unit it belongs to none."""
        known = self.sessions.setdefault((port, index), {})
        nexus = known.get(lun)
        if nexus is None:
            nexus = Nexus(port)
            unit = self.devices[index].units.get(lun)
            if unit is not None:
                unit.join(nexus)
                known[lun] = nexus
        return nexus

    @staticmethod
    def wanted(nexus: Nexus, cdb: bytes, announced: int) -> int:
        """Data-Out bytes the CDB asks for."""
        row = find(nexus.unit, cdb)
        if row is None or row.out is None:
            return 0
        wanted = row.out(nexus.unit, cdb)
        return min(wanted, announced) if row.announced else wanted

    def execute(self, port: str, index: int, lun: int, cdb: bytes, data: bytes, attribute: int) -> list[Answer]:
        """The answer to a command, with what may be answered instead."""
        nexus = self.nexus(port, index, lun)
        device = self.devices[index]
        moved = nexus.unit is not None and nexus.unit.removed
        if moved:
            self.move(nexus, device.units.get(lun))
        unit = nexus.unit if nexus.unit is not None and not nexus.unit.removed else None
        row = find(unit, cdb)
        try:
            if attribute > 3 and unit is not None and not (moved and (row or UNKNOWN).attention):
                # ACA without an ACA condition (SAM-5 8.6.5). Choice: told before all but that the unit is another.
                raise Check(ILLEGAL_REQUEST, INVALID_MESSAGE)
            answers = answered(self.perform(unit, device, nexus, row, cdb, data), row, cdb)
        except Conflict:
            answers = [Answer(CONFLICT)]
            if unit is not None and unit.mode["UA_INTLCK_CTRL"] == 3:
                nexus.tell(PREVIOUS_CONFLICT)
        except Check as check:
            descriptors = unit is not None and bool(unit.mode["D_SENSE"])
            answers = [Answer(CHECK_CONDITION, b"", told(each, descriptors)) for each in (check, *check.also)]
        if unit is not None and unit.doubt is not None:
            answers.append(Answer(CHECK_CONDITION, b"", told(unit.doubt, bool(unit.mode["D_SENSE"]))))
            unit.doubt = None
        return answers

    @staticmethod
    def perform(
        unit: Unit | None, device: Device, nexus: Nexus, row: Row | None, cdb: bytes, data: bytes
    ) -> Any:
        if unit is None:
            if row is None:
                raise Check(ILLEGAL_REQUEST, NO_SUCH_UNIT)
            check_reserved(row, cdb)
            return row.function(device, nexus, cdb, b"", 0)
        unit.judge(nexus, row or (UNKNOWN_SANITIZE if cdb[0] == 0x48 else UNKNOWN), cdb)
        if row is None:
            known = cdb[0] in WITH_ACTIONS
            raise bad_cdb(1) if known else Check(ILLEGAL_REQUEST, UNKNOWN_OPERATION)
        check_reserved(row, cdb)
        out = data[:row.out(unit, cdb)] if row.out is not None else b""
        return row.function(unit, nexus, cdb, out, len(data))

    @staticmethod
    def move(nexus: Nexus, successor: Unit | None) -> None:
        """Another unit has the number now: to the initiator as if new, with what is different."""
        if successor is None:
            return
        before = nexus.unit
        assert before is not None
        successor.join(nexus)
        if (successor.identifier, successor.options.removable) != (before.identifier, before.options.removable):
            nexus.tell(INQUIRY_CHANGED)
        if (successor.blocks, successor.block) != (before.blocks, before.block):
            nexus.tell(CAPACITY_CHANGED)

    # Events

    def end_session(self, port: str, index: int) -> None:
        for nexus in self.sessions.pop((port, index), {}).values():
            assert nexus.unit is not None
            nexus.unit.lose(nexus)
            if nexus in nexus.unit.nexuses:
                nexus.unit.nexuses.remove(nexus)

    def reset_nexus(self, port: str, index: int) -> None:
        """I_T NEXUS RESET (SAM-5 7.6)."""
        for nexus in self.sessions.get((port, index), {}).values():
            assert nexus.unit is not None
            nexus.unit.lose(nexus)
            nexus.tell(NEXUS_LOST)

    def work(self) -> None:
        """Operations in the background are carried out, of units that are there still."""
        jobs, self.jobs = self.jobs, []
        for unit, operation in jobs:
            if unit.operation is operation and not unit.removed:
                unit.carry_out()

    def lose_power(self) -> None:
        self.sessions.clear()
        self.jobs.clear()
        for device in self.devices:
            device.active, device.asked = True, False
            for lun, unit in device.units.items():
                device.units[lun] = Unit(device, lun, unit.medium, unit.options, unit.memory)

    def units_over(self, medium: Medium) -> Iterable[Unit]:
        return (unit for device in self.devices for unit in device.units.values() if unit.medium is medium)


def answered(result: Any, row: Row | None, cdb: bytes) -> list[Answer]:
    """What a command's function returned: answers, a status, or Data-In to be cut to the allocation length."""
    if isinstance(result, list):
        return result
    if isinstance(result, int):
        return [Answer(result)]
    if result is not None and row is not None and row.allocation is not None:
        result = result[:number(cdb, *row.allocation)]
    return [Answer(GOOD, result or b"")]
