"""Commands of SPC-4 in the model by which a unit is served: what is supported, names, logs, diagnostics, buffers."""

from __future__ import annotations

from typing import Final

from tests.scsi.model import Nexus, Unit
from tests.scsi.model_medium import PAGE
from tests.scsi.model_rows import (
    ALWAYS,
    BY_EXCLUSIVE_ACCESS,
    BY_RESERVE,
    NEVER,
    ROWS,
    UNKNOWN,
    WITH_ACTIONS,
    command,
)
from tests.scsi.model_sense import (
    HARDWARE_ERROR,
    IDENTIFIER_CHANGED,
    ILLEGAL_REQUEST,
    LOG_CHANGED,
    Check,
    bad_cdb,
    bad_list,
    number,
    too_short,
)

SEQUENCE_ERROR: Final = 0x2C00
SELF_TEST_FAILED: Final = 0x3E03


# What is supported


@command(
    "A3 0C 87 FF FF FF FF FF FF FF 00 00", "REPORT SUPPORTED OPERATION CODES", BY_EXCLUSIVE_ACCESS, 0x0C,
    allocation=(6, 4), unready=True,
)
def report_supported_operation_codes(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    """6.35, but for the order of all commands, which nobody asks for here, and their timeouts."""
    rows = {key: row for key, row in ROWS.items() if row.have is None or row.have(unit)}
    how, opcode, action = cdb[2] & 7, cdb[3], number(cdb, 4, 2)
    if how == 0:
        return (8 * len(rows)).to_bytes(4, "big")
    if how > 3:
        raise bad_cdb(2)
    known = opcode in WITH_ACTIONS or (opcode, None) in rows
    if (how == 1 and opcode in WITH_ACTIONS) or (how == 2 and known and opcode not in WITH_ACTIONS):
        raise bad_cdb(2)
    plain = how == 1 or (how == 3 and opcode not in WITH_ACTIONS and action == 0)
    row = rows.get((opcode, None if plain else action))
    if row is None:
        return bytes((0, 1, 0, 0))
    return bytes((0, 3)) + len(row.usage).to_bytes(2, "big") + row.usage


@command(
    "A3 0D 80 00 00 00 FF FF FF FF 00 00", "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", BY_EXCLUSIVE_ACCESS, 0x0D,
    allocation=(6, 4), unready=True,
)
def report_task_management_functions(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    """6.36: of RFC 7143 without CLEAR ACA."""
    if number(cdb, 6, 4) < 4:
        raise bad_cdb(6)
    return bytes((0xDA, 0, 0, 12)) + bytes(12) if cdb[2] & 0x80 else bytes((0xDA, 0, 0, 0))


# Identifying information

#: INFORMATION TYPE: where it is kept, and its greatest length.
KINDS: Final = {0: ("identifying", 512), 2: ("identifying_text", 256)}


def kind_of(cdb: bytes) -> tuple[str, int]:
    kind = KINDS.get(cdb[10] >> 1)
    if kind is None:
        raise bad_cdb(10)
    return kind


@command(
    "A3 05 00 00 00 00 FF FF FF FF FE 00", "REPORT IDENTIFYING INFORMATION", NEVER, 0x05, allocation=(6, 4),
    have=lambda unit: unit.options.keeps,
)
def report_identifying_information(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    if cdb[10] >> 1 == 0x7F:
        body = b"".join(bytes((kind << 1, 0)) + most.to_bytes(2, "big") for kind, (_, most) in KINDS.items())
    else:
        body = unit.memory.get(kind_of(cdb)[0], b"")
    return len(body).to_bytes(4, "big") + body


@command(
    "A4 06 00 00 00 00 FF FF FF FF FE 00", "SET IDENTIFYING INFORMATION", ALWAYS, 0x06,
    out=lambda unit, cdb: number(cdb, 6, 4), have=lambda unit: unit.options.keeps,
)
def set_identifying_information(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """6.43. Text is UTF-8 and ends with a NUL, or several."""
    section, most = kind_of(cdb)
    length = number(cdb, 6, 4)
    if length > most:
        raise bad_cdb(6)
    if len(out) < length:
        raise too_short()
    if section == "identifying_text" and out:
        text = out.rstrip(b"\0")
        for place, byte in enumerate(out):
            if byte >= 0x80:  # never right as the tests send it
                raise bad_list(place)
            if byte == 0 and place < len(text):
                raise bad_list(place + 1)
        if len(text) == len(out):
            raise bad_list(len(out) - 1)
    if unit.memory.get(section, b"") != out:
        unit.put(section, out or None)
        unit.tell_others(nexus, IDENTIFIER_CHANGED)


# Logs


def log_pages(unit: Unit) -> dict[int, list[tuple[int, bytes]] | None]:
    """Parameters of all pages but the list of pages, and but the statistics."""
    pages: dict[int, list[tuple[int, bytes]] | None] = {0x00: None}
    if unit.medium.traits.thin == "zeros":
        size = unit.blocks * unit.block
        mapped = sum(PAGE for place in range(0, size, PAGE) if unit.medium.is_mapped(place, PAGE))
        used = -(-mapped // (2 * unit.block))
        pages[0x0C] = [(2, used.to_bytes(4, "big") + bytes((1, 0, 0, 0)))]
    return pages | {
        0x0D: [(0, b"\0\xff")], 0x0E: [(4, bytes(4))], 0x19: None, 0x2F: [(0, b"\0\0\xff\xff")],
    }


def log_page(unit: Unit, cdb: bytes) -> int:
    code = cdb[2] & 0x3F
    if code not in log_pages(unit):
        raise bad_cdb(2)
    if cdb[3] not in (0, 0xFF):
        raise bad_cdb(3)
    return code


@command("4D 00 FF FF 00 FF FF FF FF 00", "LOG SENSE", BY_RESERVE, allocation=(7, 2), unready=True)
def log_sense(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    """6.8. While the unit is sanitized only the temperature is told (SBC-3 4.11.2)."""
    code, subpage, pointer = log_page(unit, cdb), cdb[3], number(cdb, 5, 2)
    if code != 0x0D or subpage:
        obstacle = unit.obstacle(UNKNOWN)
        if obstacle is not None:
            raise obstacle
    parameters = log_pages(unit)[code]
    if code == 0x19 and not subpage:
        if pointer > 3:
            raise bad_cdb(5)
        sizes = {1: 68, 2: 12, 3: 12}
        length = sum(size for each, size in sizes.items() if each >= pointer)
        return bytes((0x80 | code, 0)) + length.to_bytes(2, "big")
    if parameters is None or subpage:
        if pointer:
            raise bad_cdb(5)
        listed = list(log_pages(unit)) if code == 0 else [code]
        body = b"".join(bytes((each, 0, each, 0xFF)) if subpage else bytes((each,)) for each in listed)
        flags = 0x40 if subpage else 0
    else:
        if pointer > parameters[-1][0]:
            raise bad_cdb(5)
        body = b"".join(each.to_bytes(2, "big") + bytes((0x23, len(value))) + value for each, value in parameters)
        flags = 0x80
    return bytes((flags | code, subpage)) + len(body).to_bytes(2, "big") + body


@command("4C 03 FF FF 00 00 00 FF FF 00", "LOG SELECT", ALWAYS, out=lambda unit, cdb: number(cdb, 7, 2))
def log_select(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """6.7, without a list: the statistics can begin anew, of which the others are told."""
    control, resets = cdb[2] >> 6, cdb[1] & 2
    if number(cdb, 7, 2):
        if resets:
            raise bad_cdb(1)
        if cdb[2] & 0x3F:
            raise bad_cdb(2)
        if cdb[3]:
            raise bad_cdb(3)
        raise too_short()  # the tests send nothing
    code = log_page(unit, cdb)
    if cdb[1] & 1 and control <= 1:
        raise bad_cdb(1)
    if (resets or control == 3) and (code == 0x19 or (code == 0 and cdb[3] == 0)):
        unit.tell_others(nexus, LOG_CHANGED)


# Diagnostics


@command("1D 17 00 FF FF 00", "SEND DIAGNOSTIC", ALWAYS, out=lambda unit, cdb: number(cdb, 3, 2))
def send_diagnostic(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """6.42. Choice: the self-test reads the first and the last block; the one page is what lists it."""
    length = number(cdb, 3, 2)
    if cdb[1] & 4:
        if cdb[1] & 0x10:
            raise bad_cdb(1)
        if length:
            raise bad_cdb(3)
        if unit.medium.fault is not None:
            raise Check(HARDWARE_ERROR, SELF_TEST_FAILED)
        return
    if length and not cdb[1] & 0x10:
        raise bad_cdb(1)
    if 0 < length < 4:
        raise bad_cdb(3)
    if len(out) < length:
        raise too_short()
    if not length:
        return
    if 4 + number(out, 2, 2) > length:
        raise bad_cdb(3)
    if out[0]:
        raise bad_list(0)
    if number(out, 2, 2):
        raise bad_list(2)
    if length > 4:
        raise bad_list(4)


@command("1C 01 FF FF FF 00", "RECEIVE DIAGNOSTIC RESULTS", BY_EXCLUSIVE_ACCESS, allocation=(3, 2))
def receive_diagnostic_results(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    if cdb[1] & 1 and cdb[2]:
        raise bad_cdb(2)
    return bytes((0, 0, 0, 1, 0))


# Buffers


@command("3C 1F FF FF FF FF FF FF FF 00", "READ BUFFER", BY_EXCLUSIVE_ACCESS, allocation=(6, 3))
def read_buffer(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    """6.18: no buffer but the echo buffer of 4096 bytes, each nexus its own."""
    mode = cdb[1] & 0x1F
    if mode == 0x03:
        return bytes(4)
    if mode == 0x0B:
        return bytes((1, 0, 16, 0))
    if mode not in (0x0A, 0x1A):
        raise bad_cdb(1)
    if nexus.echo is None:
        raise Check(ILLEGAL_REQUEST, SEQUENCE_ERROR)
    return nexus.echo


@command("3B 1F FF FF FF FF FF FF FF 00", "WRITE BUFFER", ALWAYS, out=lambda unit, cdb: number(cdb, 6, 3))
def write_buffer(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    if cdb[1] & 0x1F not in (0x0A, 0x1A):
        raise bad_cdb(1)
    if number(cdb, 6, 3) > 4096:
        raise bad_cdb(6)
    nexus.echo = out
