"""Commands of SPC-4 in the model, but for reservations and third-party copies: identity, senses, inventory, modes."""

from __future__ import annotations

from typing import Final

from ietpy.scsi import limits
from tests.scsi.model import Device, Nexus, Unit
from tests.scsi.model_rows import ALWAYS, BY_EXCLUSIVE_ACCESS, BY_RESERVE, NEVER, command
from tests.scsi.model_sense import (
    ACCESS_STATE_CHANGED,
    ILLEGAL_REQUEST,
    MODE_CHANGED,
    NO_SENSE,
    NO_SUCH_UNIT,
    UNIT_ATTENTION,
    Check,
    bad_cdb,
    bad_list,
    number,
    packed_sense,
    sense_bytes,
    told,
    too_short,
)

SAVING_NOT_SUPPORTED: Final = 0x3900


@command("00 00 00 00 00 00", "TEST UNIT READY", BY_RESERVE)
def test_unit_ready(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    unready = unit.unready()
    if unready is not None:
        raise unready


@command("03 01 00 00 FF 00", "REQUEST SENSE", NEVER, attention=False, allocation=(4, 1), anywhere=True, unready=True)
def request_sense(unit: Unit | Device, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    """6.39: a unit attention, which is cleared with that, else why the unit is not ready. Choice: how far an operation
    is comes before unit attentions."""
    descriptors = bool(cdb[1] & 1)
    if isinstance(unit, Device):
        return packed_sense(ILLEGAL_REQUEST, NO_SUCH_UNIT, descriptors)
    unready = unit.unready()
    first = nexus.first()
    if first is not None and unit.operation is None:
        unit.report(nexus, first, clear=True)
        return packed_sense(UNIT_ATTENTION, first, descriptors)
    return packed_sense(NO_SENSE, 0, descriptors) if unready is None else sense_bytes(told(unready, descriptors))


# INQUIRY

VENDOR: Final = b"IET     "


@command("12 01 FF FF FF 00", "INQUIRY", NEVER, attention=False, allocation=(3, 2), anywhere=True, unready=True)
def inquiry(unit: Unit | Device, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    if cdb[1] & 1:
        return vpd(unit, cdb[2])
    if cdb[2]:
        raise bad_cdb(2)
    if isinstance(unit, Device):
        head = bytes((0x7F, 0, 6, 0x12, 91, 0, 0, 2))
    else:  # TPGS 11b and 3PC; CMDQUE
        head = bytes((0, 0x80 if unit.options.removable else 0, 6, 0x12, 91, 0x38, 0, 2))
    text = VENDOR + b"VIRTUAL-DISK    " + b"0   "
    # SAM-5, iSCSI, SPC-4 and SBC-3 (in the order of 6.6.2), without a version claimed
    return (head + text + bytes(22) + bytes.fromhex("00A0 0960 0460 04C0")).ljust(96, b"\0")


def vpd(unit: Unit | Device, code: int) -> bytes:
    if isinstance(unit, Device):
        if code:
            raise bad_cdb(2)
        return bytes((0x7F, 0, 0, 1, 0))
    content = VPD.get(code)
    if content is None:
        raise bad_cdb(2)
    body = content(unit)
    return bytes((0, code)) + len(body).to_bytes(2, "big") + body


def name_string(text: str) -> bytes:
    name = text.encode() + b"\0"
    return name + bytes(-len(name) % 4)


def designator(code_set: int, kind: int, value: bytes) -> bytes:
    return bytes((code_set, kind, 0, len(value))) + value


def identification(unit: Unit) -> bytes:
    """IET's designator, the relative port, its group, the names of port and device. IET padded its name with NUL."""
    target = unit.device.name
    return b"".join((
        designator(0x01, 0x01, b"IET\0\0\0\0\0" + unit.identifier),
        designator(0x51, 0x94, bytes((0, 0, 0, 1))),
        designator(0x51, 0x95, bytes((0, 0, 0, 1))),
        designator(0x53, 0x98, name_string(f"{target},t,0x0001")),
        designator(0x53, 0xA8, name_string(target)),
    ))


def block_limits(unit: Unit) -> bytes:
    """SBC-3 6.6.3; how much at once is the project's choice."""
    shift = unit.block.bit_length() - 1
    granularity = 4096 >> shift
    fields = [
        (0, 1), (limits.MAXIMUM_COMPARE_AND_WRITE, 1), (granularity, 2), (limits.MAXIMUM_TRANSFER >> shift, 4),
        (limits.OPTIMAL_TRANSFER >> shift, 4), (0, 4),
    ]
    if unit.medium.traits.thin:
        precise = unit.block == 512  # choice: no granularity for other blocks, as QEMU stumbles over it
        fields += [
            (limits.MAXIMUM_UNMAP >> shift, 4), (limits.MAXIMUM_UNMAP_DESCRIPTORS, 4),
            (granularity if precise else 0, 4), (1 << 31 if precise else 0, 4),
        ]
    else:
        fields += [(0, 16)]
    fields += [(limits.MAXIMUM_WRITE_SAME >> shift, 8), (0, 20)]
    return b"".join(value.to_bytes(width, "big") for value, width in fields)


def provisioning(unit: Unit) -> bytes:
    """SBC-3 6.6.4: LBPU, LBPWS, and LBPWS10 without LBPRZ; the THRESHOLD EXPONENT of small disks is 1."""
    return {"zeros": bytes((1, 0xC4, 2, 0)), "free": bytes((0, 0xE0, 2, 0)), "": bytes(4)}[unit.medium.traits.thin]


def characteristics(unit: Unit) -> bytes:
    """SBC-3 6.6.2: WABEREQ says that erased blocks read as zeros, FUAB and VBULS what is done here."""
    return bytes((0, 0, 0, 0x40 if unit.medium.traits.thin == "zeros" else 0, 0x03)).ljust(60, b"\0")


def ports(unit: Unit) -> bytes:
    """7.8.14: one target port, which is no initiator port."""
    name = designator(0x53, 0x98, name_string(f"{unit.device.name},t,0x0001"))
    return bytes((0, 0, 0, 1)) + bytes(6) + len(name).to_bytes(2, "big") + name


def third_party_copy(unit: Unit) -> bytes:
    """7.8.17: which commands, limits of a parameter list, descriptor types, no identifiers, limits of all copies."""
    return bytes.fromhex(
        "0001 000C 08 83 01 00 84 03 00 03 04 000000"
        "0004 001C 00000000 0010 0040 00000900 00000000 000000000000000000000000"
        "0008 0004 02 02 E4 00"
        "000C 0004 0000 0000"
        "8001 0020 000000FF 000000FF 00000000 09 00 000000000000000000000000000000000000"
    )


VPD: Final = {
    0x00: lambda unit: bytes.fromhex("00 80 83 85 86 87 88 8F B0 B1 B2"),
    0x80: lambda unit: unit.identifier.hex().encode().rjust(32),
    0x83: identification,
    0x85: lambda unit: b"",
    0x86: lambda unit: bytes((0, 7, 1, 1)).ljust(60, b"\0"),
    0x87: lambda unit: bytes.fromhex("3F FF 00 00 02 00 80 00"),
    0x88: ports,
    0x8F: third_party_copy,
    0xB0: block_limits,
    0xB1: characteristics,
    0xB2: provisioning,
}


# Inventory


@command(
    "A0 00 FF 00 00 00 FF FF FF FF 00 00", "REPORT LUNS", NEVER, attention=False, allocation=(6, 4), anywhere=True,
    unready=True,
)
def report_luns(unit: Unit | Device, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    """6.33: LUNs in the order they were configured; who asks is not told any more that they changed."""
    device = unit if isinstance(unit, Device) else unit.device
    if number(cdb, 6, 4) < 16:
        raise bad_cdb(6)
    if cdb[2] > 2:
        raise bad_cdb(2)
    luns = [] if cdb[2] == 1 else list(device.units)
    if cdb[2] == 2 and not luns:
        luns = [0]
    device.inventory_known(nexus.port)
    fields = b"".join((lun if lun < 256 else 0x4000 | lun).to_bytes(2, "big") + bytes(6) for lun in luns)
    return len(fields).to_bytes(4, "big") + bytes(4) + fields


# Target port groups


@command("A3 2A 00 00 00 00 FF FF FF FF 00 00", "REPORT TARGET PORT GROUPS", NEVER, 0x0A, allocation=(6, 4))
def report_target_port_groups(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    """6.37: group 1 with port 1, active/optimized and active/non-optimized supported."""
    device = unit.device
    group = bytes((0 if device.active else 1, 3, 0, 1, 0, 1 if device.asked else 0, 0, 1, 0, 0, 0, 1))
    body = (bytes((0x10, 0, 0, 0)) if cdb[1] & 0x20 else b"") + group
    return len(body).to_bytes(4, "big") + body


@command(
    "A4 0A 00 00 00 00 FF FF FF FF 00 00", "SET TARGET PORT GROUPS", ALWAYS, 0x0A,
    out=lambda unit, cdb: number(cdb, 6, 4),
)
def set_target_port_groups(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """6.45. Choice: a list longer than all groups need, or with a part of a descriptor, is refused by its length."""
    device = unit.device
    length = number(cdb, 6, 4)
    if length % 4 or length > 8:
        raise bad_cdb(6)
    if len(out) < length:
        raise too_short()
    active = device.active
    for place in range(4, length, 4):
        if out[place] & 0x0F > 1:
            raise bad_list(place)
        if number(out, place + 2, 2) != 1:
            raise bad_list(place + 2)
        active = out[place] & 0x0F == 0
    if active is not device.active:
        device.active, device.asked = active, True
        for each in device.units.values():
            for other in each.nexuses:
                if other.port != nexus.port:
                    other.tell(ACCESS_STATE_CHANGED)


# Mode parameters

#: Byte and shift of the parameters in their pages; TST and UA_INTLCK_CTRL have the values that are accepted.
WHERE: Final = {
    "WCE": (0x08, 2, 2, 0x04, (0, 1)),
    "TST": (0x0A, 2, 5, 0xE0, (0, 1)),
    "D_SENSE": (0x0A, 2, 2, 0x04, (0, 1)),
    "UA_INTLCK_CTRL": (0x0A, 4, 4, 0x30, (0, 2, 3)),
    "SWP": (0x0A, 4, 3, 0x08, (0, 1)),
    "TAS": (0x0A, 5, 6, 0x40, (0, 1)),
}


def blank_pages(unit: Unit) -> dict[tuple[int, int], bytes]:
    """All pages by code and subpage, all that can change being zero."""
    cylinders = min(unit.blocks >> 14, 0xFFFFFF).to_bytes(3, "big")
    return {
        (0x01, 0): bytes.fromhex("01 0A") + bytes(10),
        (0x02, 0): bytes.fromhex("02 0E 80 80 00 0A") + bytes(10),
        (0x03, 0): b"\x03\x16" + bytes(8) + b"\1\0" + unit.block.to_bytes(2, "big") + bytes(6) + b"\x0c\0\0\0",
        (0x04, 0): bytes.fromhex("04 16") + cylinders + b"\x40" + bytes(14) + b"\x3a\x98\0\0",
        (0x08, 0): bytes.fromhex("08 12 10 00 FFFF 0000 FFFF FFFF") + bytes(8),
        (0x0A, 0): bytes.fromhex("0A 0A 02 10") + bytes(8),
        (0x0A, 1): bytes.fromhex("4A 01 00 1C 01") + bytes(27),
        (0x1C, 0): bytes.fromhex("1C 0A 08") + bytes(9),
        (0x1C, 2): bytes.fromhex("5C 02 00 14") + bytes(12) + bytes.fromhex("01 02 0000 00000000"),
    }


def page(unit: Unit, key: tuple[int, int], control: int) -> bytes:
    """``control``: 0 current values, 1 which bits can change, 2 defaults, 3 saved values."""
    content = bytearray(blank_pages(unit)[key])
    header = 4 if key[1] else 2
    if control == 1:
        content[header:] = bytes(len(content) - header)
    values = {0: unit.mode, 2: unit.default_mode(), 3: unit.saved_mode()}.get(control)
    for name, (code, byte, shift, mask, _) in WHERE.items():
        if (code, 0) == key:
            content[byte] |= mask if values is None else values[name] << shift
            if unit.options.keeps:
                content[0] |= 0x80
    return bytes(content)


def mode_sense(unit: Unit, cdb: bytes, long: bool) -> bytes:
    control, code, subpage = cdb[2] >> 6, cdb[2] & 0x3F, cdb[3]
    if control == 3 and not unit.options.keeps:
        raise Check(ILLEGAL_REQUEST, SAVING_NOT_SUPPORTED)
    pages = blank_pages(unit)
    if code == 0x3F:
        if subpage not in (0, 0xFF):
            raise bad_cdb(3)
        chosen = [key for key in pages if subpage or not key[1]]
    elif code == 0:  # choice: vendor specific, and empty
        if subpage not in (0, 0xFF):
            raise bad_cdb(3)
        chosen = []
    else:
        if (code, 0) not in pages:
            raise bad_cdb(2)
        chosen = [key for key in pages if key[0] == code and subpage in (0xFF, key[1])]
        if not chosen:
            raise bad_cdb(3)
    long_lba = long and bool(cdb[1] & 0x10)
    descriptor = b""
    if not cdb[1] & 0x08:
        blocks = unit.blocks.to_bytes(8, "big") + bytes(4) if long_lba else unit.blocks.to_bytes(4, "big")
        descriptor = blocks + unit.block.to_bytes(4, "big")
    body = descriptor + b"".join(page(unit, key, control) for key in chosen)
    specific = 0x10 | (0x80 if unit.protected else 0)
    if long:
        return (6 + len(body)).to_bytes(2, "big") + bytes((0, specific, int(long_lba), 0, 0, len(descriptor))) + body
    return bytes((3 + len(body), 0, specific, len(descriptor))) + body


@command("1A 08 FF FF FF 00", "MODE SENSE(6)", BY_EXCLUSIVE_ACCESS, allocation=(4, 1))
def mode_sense_6(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    return mode_sense(unit, cdb, long=False)


@command("5A 18 FF FF 00 00 00 FF FF 00", "MODE SENSE(10)", BY_EXCLUSIVE_ACCESS, allocation=(7, 2))
def mode_sense_10(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    return mode_sense(unit, cdb, long=True)


def mode_select(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, length: int, long: bool) -> None:
    """6.9. Choice: what is saved is all parameters as they are then; others are told if current or saved values change.

    A list of no bytes is no error, and saves if SP says so.
    """
    saving = cdb[1] & 0x01
    if length and not cdb[1] & 0x10:
        raise bad_cdb(1)
    if saving and not unit.options.keeps:
        raise bad_cdb(1)
    if len(out) < length:
        raise too_short()
    wanted = parameters(unit, out, long) if length else {}
    saved_changes = False
    if saving:
        values = unit.mode | wanted
        if values != unit.memory.get("mode"):
            unit.put("mode", values)
            saved_changes = True
    before = dict(unit.mode)
    unit.mode |= wanted
    if unit.mode != before or saved_changes:
        unit.tell_others(nexus, MODE_CHANGED)
    # The cache is written when it is disabled (SBC-3 6.5.5), and before the medium is write protected (SPC-4 7.5.8).
    protects = unit.mode["SWP"] and not before["SWP"] and not unit.options.read_only
    if before["WCE"] and (not unit.mode["WCE"] or protects):
        unit.medium.flush(unit.bit)


def parameters(unit: Unit, data: bytes, long: bool) -> dict[str, int]:
    """What a mode parameter list asks for. The mode data length is reserved; choice: whatever cannot change has to be
    as it is, PS is ignored, and of a page that comes twice the last holds."""
    head = 8 if long else 4
    if len(data) < head:
        raise too_short()
    described = number(data, 6, 2) if long else data[3]
    if data[2 if long else 1]:
        raise bad_list(2 if long else 1)
    long_lba = long and bool(data[4] & 1)
    if len(data) < head + described:
        raise too_short()
    if described:
        if described != (16 if long_lba else 8):
            raise bad_list(6 if long else 3)
        size, at = (number(data, head + 12, 4), head + 12) if long_lba else (number(data, head + 5, 3), head + 5)
        if size != unit.block:
            raise bad_list(at)
    wanted: dict[str, int] = {}
    place = head + described
    while place < len(data):
        if len(data) < place + 2:
            raise too_short()
        with_subpage = bool(data[place] & 0x40)
        key = (data[place] & 0x3F, data[place + 1] if with_subpage else 0)
        if key not in blank_pages(unit) or bool(key[1]) is not with_subpage:
            raise bad_list(place)
        current, mask = page(unit, key, 0), page(unit, key, 1)
        header = 4 if with_subpage else 2
        if len(data) < place + header:
            raise too_short()
        said = number(data, place + 2, 2) if with_subpage else data[place + 1]
        if said != len(current) - header:
            raise bad_list(place + (2 if with_subpage else 1))
        if len(data) < place + len(current):
            raise too_short()
        for byte in range(header, len(current)):
            if (data[place + byte] ^ current[byte]) & ~mask[byte]:
                raise bad_list(place + byte)
        for name, (code, byte, shift, bits, accepted) in WHERE.items():
            if (code, 0) == key:
                value = (data[place + byte] & bits) >> shift
                if value not in accepted:
                    raise bad_list(place + byte)
                wanted[name] = value
        place += len(current)
    return wanted


@command("15 11 00 00 FF 00", "MODE SELECT(6)", ALWAYS, out=lambda unit, cdb: cdb[4])
def mode_select_6(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    mode_select(unit, nexus, cdb, out, cdb[4], long=False)


@command("55 11 00 00 00 00 00 FF FF 00", "MODE SELECT(10)", ALWAYS, out=lambda unit, cdb: number(cdb, 7, 2))
def mode_select_10(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    mode_select(unit, nexus, cdb, out, number(cdb, 7, 2), long=True)

