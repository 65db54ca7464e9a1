"""A plain model of SCSI target devices, for test_model: what disk, reservations and unit attentions must be.

Written from SAM-5, SPC-4, SBC-3 and (RESERVE) SPC-2; it shares no code with ``ietpy``. Where these leave a choice, a
comment that begins with "Choice" says which one the project has made. Here are media, logical units, nexuses, what
happens to them, and in which order a command is judged; ``model_spc``, ``model_reservations``, ``model_sbc`` and
``model_copy`` have the commands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

GOOD, CHECK_CONDITION, CONDITION_MET, CONFLICT = 0x00, 0x02, 0x04, 0x18

NO_SENSE, NOT_READY, MEDIUM_ERROR, HARDWARE_ERROR, ILLEGAL_REQUEST = 0, 2, 3, 4, 5
UNIT_ATTENTION, DATA_PROTECT, COPY_ABORTED, MISCOMPARE = 6, 7, 10, 14

POWER_ON: Final = 0x2900
NEXUS_LOST: Final = 0x2907
MODE_CHANGED: Final = 0x2A01
LOG_CHANGED: Final = 0x2A02
RESERVATIONS_PREEMPTED, RESERVATIONS_RELEASED, REGISTRATIONS_PREEMPTED = 0x2A03, 0x2A04, 0x2A05
ACCESS_STATE_CHANGED: Final = 0x2A06
CAPACITY_CHANGED: Final = 0x2A09
MEDIUM_CHANGED: Final = 0x2800
PREVIOUS_CONFLICT: Final = 0x2C09
INQUIRY_CHANGED: Final = 0x3F03
IDENTIFIER_CHANGED: Final = 0x3F05
LUNS_CHANGED: Final = 0x3F0E
#: In the order they are reported; before a reservation conflict, which comes before all other conditions (SAM-5 5.3.3
#: and 5.14). Choice: the others are reported in the order they were established, and resets take none of them away.
RESETS: Final = (POWER_ON, NEXUS_LOST)

WRITE_ERROR, READ_ERROR = 0x0C00, 0x1100
LIST_LENGTH: Final = 0x1A00
UNKNOWN_OPERATION: Final = 0x2000
OUT_OF_RANGE: Final = 0x2100
BAD_CDB: Final = 0x2400
NO_SUCH_UNIT: Final = 0x2500
BAD_LIST: Final = 0x2600
WRITE_PROTECTED: Final = 0x2700
FORMAT_CORRUPTED, FORMAT_FAILED, SANITIZE_FAILED = 0x3100, 0x3101, 0x3103
FORMATTING, SANITIZING = 0x0404, 0x041B
NOTHING_PRESENT: Final = 0x3A00
INTERNAL_FAILURE: Final = 0x4400
INVALID_MESSAGE: Final = 0x4900

SECTOR: Final = 512  #: bytes; what is volatile is kept track of by these
PAGE: Final = 4096  #: what a thin medium of these tests maps at once


class Check(Exception):
    """CHECK CONDITION. ``pointer``: what the SENSE KEY SPECIFIC field has: (whether into the CDB, byte) of the field
    pointer, or ("progress", how much), None for nothing.

    ``also``: what may be told instead, where two things are wrong and no standard says which comes first.
    """

    def __init__(self, key: int, code: int, information: int | None = None, pointer: Any = None) -> None:
        super().__init__(f"{key:X}/{code:04X}")
        self.key, self.code, self.information, self.pointer = key, code, information, pointer
        self.also: tuple[Check, ...] = ()

    def __or__(self, other: Check) -> Check:
        self.also = (*self.also, other)
        return self


def bad_cdb(byte: int | None = None) -> Check:
    """INVALID FIELD IN CDB; ``byte`` is where the field begins."""
    return Check(ILLEGAL_REQUEST, BAD_CDB, pointer=None if byte is None else (True, byte))


def bad_list(byte: int) -> Check:
    """INVALID FIELD IN PARAMETER LIST."""
    return Check(ILLEGAL_REQUEST, BAD_LIST, pointer=(False, byte))


def too_short() -> Check:
    """PARAMETER LIST LENGTH ERROR."""
    return Check(ILLEGAL_REQUEST, LIST_LENGTH)


class Conflict(Exception):
    """RESERVATION CONFLICT."""


class Sense(NamedTuple):
    """What sense data say. ``pointer`` as with ``Check``."""

    descriptors: bool
    key: int
    code: int
    information: int | None = None
    pointer: Any = None


def packed_sense(key: int, code: int, descriptors: bool) -> bytes:
    """Sense data that say no more than this, as REQUEST SENSE returns them (SPC-4 4.5.2, 4.5.3)."""
    if descriptors:
        return bytes((0x72, key, code >> 8, code & 0xFF, 0, 0, 0, 0))
    return bytes((0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, code >> 8, code & 0xFF, 0, 0, 0, 0))


def sense_bytes(sense: Sense) -> bytes:
    """All of it; of a field pointer no bit."""
    pointer = b""
    if sense.pointer is not None:
        where, value = sense.pointer
        pointer = bytes((0xC0 if where is True else 0x80,)) + value.to_bytes(2, "big")
    data = bytearray(packed_sense(sense.key, sense.code, sense.descriptors))
    if not sense.descriptors:
        if sense.information is not None:
            data[0] |= 0x80
            data[3:7] = sense.information.to_bytes(4, "big")
        data[15:18] = pointer or bytes(3)
        return bytes(data)
    if sense.information is not None:
        data += bytes((0, 10, 0x80, 0)) + sense.information.to_bytes(8, "big")
    if pointer:
        data += bytes((2, 6, 0, 0)) + pointer + b"\0"
    data[7] = len(data) - 8
    return bytes(data)


class Answer(NamedTuple):
    status: int
    data: Any = b""
    sense: Any = None


def number(data: bytes, first: int, width: int) -> int:
    return int.from_bytes(data[first:first + width], "big")


# Media


class Traits(NamedTuple):
    """``thin``: "zeros", what is unmapped reads as zeros; "free", it can be unmapped; "". ``cached``: has a cache."""

    thin: str = "zeros"
    cached: bool = True


class Medium:
    """Bytes. ``volatile``: for every sector the bit of the unit that wrote it last, if a loss of power may undo that.

    ``fault``: what the next access ends with, (key, code) when reading and when writing.
    """

    def __init__(self, size: int, traits: Traits) -> None:
        self.size = size
        self.traits = traits
        self.content = bytearray(size)
        self.volatile = bytearray(size // SECTOR)
        self.fault: tuple[tuple[int, int], tuple[int, int]] | None = None

    def touch(self, writing: bool) -> None:
        if self.fault is not None:
            raise Check(*self.fault[writing])

    def read(self, offset: int, length: int, writing: bool = False) -> bytes:
        """``writing``: as a part of a command that does."""
        if length:
            self.touch(writing)
        return bytes(self.content[offset:offset + length])

    def write(self, offset: int, data: bytes, bit: int) -> None:
        """``bit``: 0 if it must survive a loss of power."""
        self.touch(True)
        self.content[offset:offset + len(data)] = data
        first, end = offset // SECTOR, -(-(offset + len(data)) // SECTOR)
        self.volatile[first:end] = bytes((bit,)) * (end - first)

    def flush(self, bit: int, offset: int = 0, length: int | None = None) -> None:
        """What ``bit`` wrote is safe now, in this range at least."""
        self.touch(True)
        if bit in self.volatile:
            first, end = offset // SECTOR, (self.size if length is None else offset + length) // SECTOR
            self.volatile[first:end] = self.volatile[first:end].replace(bytes((bit,)), b"\0")

    def is_volatile(self, bit: int, offset: int, length: int) -> bool:
        return bit in self.volatile[offset // SECTOR:(offset + length) // SECTOR]

    def resize(self, size: int) -> None:
        self.size = size
        self.content[size:] = bytes(len(self.content) - size)
        self.volatile[size // SECTOR:] = bytes(len(self.volatile) - size // SECTOR)

    def is_mapped(self, offset: int, length: int) -> bool:
        """Whether any page in the range is."""
        first = offset // PAGE * PAGE
        end = -(-(offset + length) // PAGE) * PAGE
        return any(self.content[first:min(end, self.size)])


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
        """Keep over a loss of power. Choice: HARDWARE ERROR where that fails, and nothing has changed; the project takes
        it for a write error of the medium in some commands."""
        if not self.options.keeps:
            return
        if self.device.world.memory_fails:
            raise Check(HARDWARE_ERROR, INTERNAL_FAILURE) | Check(MEDIUM_ERROR, WRITE_ERROR)
        if value is None:
            self.memory.pop(section, None)
        else:
            self.memory[section] = value

    def begin(self, operation: Operation) -> None:
        """It goes on when the transport lets it."""
        self.operation = operation
        self.device.world.jobs.append((self, operation))

    def carry_out(self) -> bool:
        """What is under way; whether it succeeded. What cannot be noted as failed begins again after a loss of power."""
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


# Commands

NEVER, BY_RESERVE, BY_EXCLUSIVE_ACCESS, ALWAYS = range(4)

#: unit, nexus, CDB, Data-Out, and how much of that the initiator announced; Data-In or a status.
Function = Callable[[Any, Nexus, bytes, bytes, int], Any]


class Row(NamedTuple):
    """``usage``: bits of the CDB that are not reserved. ``denied``: which reservations of others, and those before it.

    ``out``: how much Data-Out the CDB asks for. ``allocation``: (first byte, width) of the allocation length.
    ``announced``: that is the most, of what the initiator announced. ``have``: which units have it. ``medium``: accesses
    it. ``unready``: also while the unit is formatted or sanitized. ``heals``: "format" or "sanitize", what it does.
    ``anywhere``: also where there is no unit.
    """

    name: str
    usage: bytes
    function: Function
    denied: int
    attention: bool = True
    out: Callable[[Any, bytes], int] | None = None
    allocation: tuple[int, int] | None = None
    harmless: Callable[[bytes], bool] | None = None
    have: Callable[[Unit], bool] | None = None
    announced: bool = False
    medium: bool = False
    unready: bool = False
    heals: str = ""
    anywhere: bool = False


ROWS: dict[tuple[int, int | None], Row] = {}
WITH_ACTIONS: set[int] = set()


def command(usage: str, name: str, denied: int, action: int | None = None, **fields: Any) -> Callable[[Any], Any]:
    def declare(function: Function) -> Function:
        bits = bytes.fromhex(usage)
        ROWS[bits[0], action] = Row(name, bits, function, denied, **fields)
        if action is not None:
            WITH_ACTIONS.add(bits[0])
        return function

    return declare


def find(unit: Unit | None, cdb: bytes) -> Row | None:
    """The row of a CDB, or None if ``unit`` does not have it."""
    action = cdb[1] & 0x1F if cdb[0] in WITH_ACTIONS else None
    row = ROWS.get((cdb[0], action))
    if row is None or (unit is None and not row.anywhere):
        return None
    return row if unit is None or row.have is None or row.have(unit) else None


def check_reserved(row: Row, cdb: bytes) -> None:
    """Choice: reserved bits are looked at first of all in the CDB."""
    for place, allowed in enumerate(row.usage):
        stray = cdb[place] & ~allowed
        if place == 1 and row.usage[0] in WITH_ACTIONS:
            stray &= ~0x1F
        if place and stray:
            raise bad_cdb(place)


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
            result = self.perform(unit, device, nexus, row, cdb, data)
        except Conflict:
            if unit is not None and unit.mode["UA_INTLCK_CTRL"] == 3:
                nexus.tell(PREVIOUS_CONFLICT)
            return [Answer(CONFLICT)]
        except Check as check:
            descriptors = unit is not None and bool(unit.mode["D_SENSE"])
            return [Answer(CHECK_CONDITION, b"", told(each, descriptors)) for each in (check, *check.also)]
        if isinstance(result, int):
            return [Answer(result)]
        if isinstance(result, list):
            return result
        if result is not None and row is not None and row.allocation is not None:
            result = result[:number(cdb, *row.allocation)]
        return [Answer(GOOD, result or b"")]

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


UNKNOWN: Final = Row("unknown", b"", lambda *_: None, NEVER)
#: Choice: an unknown service action of SANITIZE, too, is looked at after a failure.
UNKNOWN_SANITIZE: Final = UNKNOWN._replace(heals="sanitize")


def told(check: Check, descriptors: bool) -> Sense:
    """Fixed format has no room for an INFORMATION of more than 32 bits, and leaves it out (SPC-4 4.5.3)."""
    information = check.information
    if not descriptors and information is not None and information > 0xFFFF_FFFF:
        information = None
    return Sense(descriptors, check.key, check.code, information, check.pointer)
