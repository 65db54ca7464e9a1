"""What makes a unit of the model unready: the medium's removal, FORMAT UNIT, SANITIZE (SBC-3 4.9, 4.11, 5.13, 5.25)."""

from __future__ import annotations

from typing import Final

from tests.scsi.model import Nexus, Operation, Unit
from tests.scsi.model_rows import ALWAYS, command
from tests.scsi.model_sense import (
    FORMAT_FAILED,
    ILLEGAL_REQUEST,
    MEDIUM_CHANGED,
    MEDIUM_ERROR,
    NOT_READY,
    NOTHING_PRESENT,
    SANITIZE_FAILED,
    Check,
    bad_cdb,
    bad_list,
    number,
    too_short,
)

REMOVAL_PREVENTED: Final = 0x5302


# Removal


@command("1E 00 00 00 03 00", "PREVENT ALLOW MEDIUM REMOVAL", ALWAYS, harmless=lambda cdb: not cdb[4] & 3)
def prevent_allow(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    if cdb[4] & 2:
        raise bad_cdb(4)
    if cdb[4] & 1:
        unit.preventing.add(nexus)
    else:
        unit.preventing.discard(nexus)


@command("1B 01 00 00 F7 00", "START STOP UNIT", ALWAYS, harmless=lambda cdb: cdb[4] & 0xF1 == 1)
def start_stop(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """5.25. Choices: stopping leaves the unit ready; POWER CONDITION has no effect; loading, too, can be prevented."""
    condition, no_flush, eject, start = cdb[4] >> 4, cdb[4] & 4, cdb[4] & 2, cdb[4] & 1
    if eject and not condition:
        if not unit.options.removable:
            raise bad_cdb(4)
        if unit.preventing:
            raise Check(ILLEGAL_REQUEST, REMOVAL_PREVENTED)
        if start:
            if unit.ejected:
                unit.ejected = False
                unit.tell_others(nexus, MEDIUM_CHANGED)
        elif not unit.ejected:
            if not no_flush:
                unit.medium.flush(unit.bit)
            unit.ejected = True
        return
    if start and not condition:
        if unit.ejected:
            raise Check(NOT_READY, NOTHING_PRESENT)
        return
    if not no_flush:
        unit.medium.flush(unit.bit)


# Format and sanitize


@command(
    "04 3F 00 00 00 00", "FORMAT UNIT", ALWAYS, medium=True, heals="format", announced=True,
    out=lambda unit, cdb: 12 + unit.block if cdb[1] & 0x10 else 0,
)
def format_unit(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """5.3, without defects and protection information. Choice: the default pattern are zeros."""
    if not cdb[1] & 0x10:
        if cdb[1] & 0x07:
            raise bad_cdb(1)
        unit.check_writable()
        operate(unit, Operation("format", b"\0", {}), immediate=False)
        return
    if cdb[1] & 0x07 > 5:
        raise bad_cdb(1)
    unit.check_writable()
    head = 8 if cdb[1] & 0x20 else 4
    if len(out) < head:
        raise too_short()
    if out[0]:
        raise bad_list(0)
    if head == 8 and out[3]:
        raise bad_list(3)
    if out[1] & 0x05 or (out[1] & 0x78 and not out[1] & 0x80):
        raise bad_list(1)
    if any(out[head // 2:head]):
        raise bad_list(head // 2)
    pattern = b"\0"
    if out[1] & 0x08:
        if len(out) < head + 4:
            raise too_short()
        kind, length = out[head + 1], number(out, head + 2, 2)
        if out[head] & 0xDF:
            raise bad_list(head)
        if kind > 1:
            raise bad_list(head + 1)
        if length > unit.block or (length == 0) is (kind == 1):
            raise bad_list(head + 2)
        if len(out) < head + 4 + length:
            raise too_short()
        if kind == 1:
            pattern = out[head + 4:head + 4 + length]
    operate(unit, Operation("format", pattern, {}), immediate=bool(out[1] & 0x02))


def operate(unit: Unit, operation: Operation, immediate: bool) -> None:
    """It is noted before it begins."""
    unit.put(operation.kind, operation.record)
    if immediate:
        unit.begin(operation)
        return
    unit.operation = operation
    if not unit.carry_out():
        raise Check(MEDIUM_ERROR, FORMAT_FAILED if operation.kind == "format" else SANITIZE_FAILED)


def sanitize(unit: Unit, cdb: bytes, pattern: bytes) -> None:
    restricted = not cdb[1] & 0x20  # AUSE
    record = {"restricted": restricted, "pattern": pattern}
    operate(unit, Operation("sanitize", pattern, record), immediate=bool(cdb[1] & 0x80))


def check_sanitize(unit: Unit, cdb: bytes) -> None:
    """4.11.3: after a restricted one has failed, only restricted ones."""
    unit.check_writable()
    if cdb[1] & 0x20 and unit.sanitize_failed and unit.restricted:
        raise bad_cdb(1)


@command(
    "48 A1 00 00 00 00 00 FF FF 00", "SANITIZE OVERWRITE", ALWAYS, 0x01, medium=True, heals="sanitize",
    out=lambda unit, cdb: number(cdb, 7, 2),
)
def overwrite(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """5.24.2.2. Choice: the last pass writes the pattern as it is."""
    length = number(cdb, 7, 2)
    if not 4 < length <= 4 + unit.block:
        raise bad_cdb(7)
    check_sanitize(unit, cdb)
    if len(out) < length:
        raise too_short()
    if out[0] & 0x60 or not out[0] & 0x1F:
        raise bad_list(0)
    size = number(out, 2, 2)
    if not 0 < size <= unit.block:
        raise bad_list(2)
    if 4 + size > length:
        raise too_short()
    sanitize(unit, cdb, out[4:4 + size])


@command(
    "48 A2 00 00 00 00 00 00 00 00", "SANITIZE BLOCK ERASE", ALWAYS, 0x02, medium=True, heals="sanitize",
    have=lambda unit: unit.medium.traits.thin == "zeros",
)
def block_erase(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    check_sanitize(unit, cdb)
    sanitize(unit, cdb, b"\0")


@command("48 BF 00 00 00 00 00 00 00 00", "SANITIZE EXIT FAILURE MODE", ALWAYS, 0x1F, medium=True, heals="sanitize")
def exit_failure_mode(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    if not unit.sanitize_failed:
        return
    if unit.restricted:
        raise bad_cdb(1)
    unit.put("sanitize", None)
    unit.sanitize_failed = False
