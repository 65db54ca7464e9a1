"""What initiators of the model test send: every maker makes one command of its kind, chosen at random.

Choices may look at the model, so that keys, contents and ranges are often right.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from tests.scsi.model import Model, Nexus, Unit
from tests.scsi.model_reservations import ALL_REGISTRANTS, APTPL, KINDS, SPEC_I_PT, UNREG, transport_id
from tests.scsi.model_rows import ROWS
from tests.scsi.model_sbc import LENGTHS
from tests.scsi.model_spc import WHERE, blank_pages, page
from tests.scsi.model_world import LARGEST, PORTS

T = TypeVar("T")


class Source(Protocol):
    def below(self, limit: int) -> int:
        """A number from 0 to ``limit`` - 1."""


class Randomly:
    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random

    def below(self, limit: int) -> int:
        return int(self._random() * limit)


class Chooser:
    def __init__(self, source: Source, model: Model) -> None:
        self.below = source.below
        self.model = model

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def rarely(self, once_in: int) -> bool:
        return self.below(once_in) == once_in - 1

    # What commands are made of

    def lba(self, unit: Unit | None) -> int:
        blocks = unit.blocks if unit is not None else 8
        kind = self.below(12)
        if kind < 4:
            return self.below(4)
        if kind < 7:
            return self.below(min(blocks, 24))
        if kind < 9:
            return max(0, blocks - 1 - self.below(9))
        if kind == 9:
            return blocks + self.below(3)
        return self.pick((0, blocks // 2, (1 << 32) - 1, 1 << 32, (1 << 64) - 1, 0x1FFFFF))

    def count(self, unit: Unit | None, lba: int) -> int:
        left = max(0, (unit.blocks if unit is not None else 8) - lba)
        kind = self.below(12)
        if kind < 8:
            return 1 + self.below(4)
        if kind == 8:
            return 0
        if kind == 9:
            return left
        if kind == 10:
            return left + 1
        return self.pick((16, 17, 64, 255, 256, 0xFFFF))

    def content(self, unit: Unit | None, lba: int, blocks: int) -> str:
        """Data for blocks: noise, zeros, or what is there."""
        size = unit.block if unit is not None else 512
        length = min(blocks * size, LARGEST)
        kind = self.below(6)
        if kind == 0:
            return f"z:{length}"
        if kind == 1 and unit is not None:
            return self.present(unit, lba, blocks)
        return f"n:{self.below(256) * 512}:{length}"

    def present(self, unit: Unit, lba: int, blocks: int) -> str:
        medium = self.model.media.index(unit.medium)
        length = min(blocks * unit.block, LARGEST)
        return f"c:{medium}:{min(lba * unit.block, LARGEST)}:{length}"


def transfer_cdb(opcode: int, flags: int, lba: int, blocks: int) -> bytes:
    length = LENGTHS[opcode >> 5]
    if length == 6:
        return bytes((opcode,)) + (lba & 0x1FFFFF).to_bytes(3, "big") + bytes((blocks & 0xFF, 0))
    if length == 10:
        middle = (lba & 0xFFFFFFFF).to_bytes(4, "big") + b"\0" + (blocks & 0xFFFF).to_bytes(2, "big")
        return bytes((opcode, flags)) + middle + b"\0"
    if length == 12:
        return bytes((opcode, flags)) + (lba & 0xFFFFFFFF).to_bytes(4, "big") + blocks.to_bytes(4, "big") + b"\0\0"
    return bytes((opcode, flags)) + (lba & (1 << 64) - 1).to_bytes(8, "big") + blocks.to_bytes(4, "big") + b"\0\0"


def moved(opcode: int, lba: int, blocks: int) -> tuple[int, int]:
    """LBA and number as far as the CDB can say them."""
    length = LENGTHS[opcode >> 5]
    if length == 6:
        return lba & 0x1FFFFF, blocks & 0xFF or 256
    return lba & (1 << 32 if length < 16 else 1 << 64) - 1, blocks & (0xFFFF if length == 10 else 0xFFFFFFFF)


Made = tuple[bytes, str]  #: CDB and recipe of Data-Out
Maker = Callable[[Chooser, "Unit | None", Nexus], Made]


# Block commands


def reading(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    opcode = c.pick((0x28, 0x88, 0x08, 0xA8))
    lba = c.lba(unit)
    return transfer_cdb(opcode, c.pick((0, 0x08, 0, 0x10)), lba, c.count(unit, lba)), ""


def writing(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    opcode = c.pick((0x2A, 0x8A, 0x0A, 0xAA, 0x8B, 0x2E, 0x8E, 0xAE))
    lba = c.lba(unit)
    lba, blocks = moved(opcode, lba, c.count(unit, lba))
    flags = c.pick((0, 0x10, 0x02, 0x02, 0x04)) if opcode in (0x2E, 0x8E, 0xAE) else c.pick((0, 0, 0x08, 0x10))
    return transfer_cdb(opcode, flags, lba, blocks), c.content(unit, lba, blocks)


def verifying(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    opcode = c.pick((0x2F, 0x8F, 0xAF))
    lba = c.lba(unit)
    lba, blocks = moved(opcode, lba, c.count(unit, lba))
    bytchk = c.pick((1, 1, 3, 3, 0, 0, 2))
    recipe = ""
    if bytchk in (1, 3) and unit is not None:
        recipe = c.present(unit, lba, blocks if bytchk == 1 else min(blocks, 1))
        if c.rarely(3):
            recipe += f"+f:{c.below(4000)}"
    return transfer_cdb(opcode, bytchk << 1, lba, blocks), recipe


def comparing(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    lba = c.lba(unit)
    blocks = c.pick((1, 1, 2, 3, 0, 17, 255))
    cdb = bytes((0x89, c.pick((0, 0, 0x08, 0x10)))) + lba.to_bytes(8, "big") + bytes((0, 0, 0, blocks, 0, 0))
    if unit is None:
        return cdb, ""
    first = c.present(unit, lba, blocks)
    if c.rarely(3):
        first += f"+f:{c.below(4000)}"
    return cdb, f"{first}+{c.content(unit, lba, blocks)}"


def filling(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    opcode = c.pick((0x93, 0x41))
    lba = c.lba(unit)
    blocks = 0 if c.rarely(6) else c.count(unit, lba)
    flags = c.pick((0, 0, 0x08, 0x01, 0x09) if opcode == 0x93 else (0, 0, 0x08))
    cdb = transfer_cdb(opcode, flags, lba, blocks)
    return cdb, "" if flags & 1 and opcode == 0x93 else c.content(unit, lba, 1)


def unmapping(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    ranges = []
    for _ in range(c.pick((1, 2, 3, 0, 16, 257) if c.rarely(6) else (1, 2))):
        lba = c.lba(unit)
        ranges.append(lba.to_bytes(8, "big") + c.count(unit, lba).to_bytes(4, "big") + bytes(4))
    body = b"".join(ranges)
    described = len(body) if not c.rarely(12) else c.below(64)
    data = (len(body) + 6).to_bytes(2, "big") + described.to_bytes(2, "big") + bytes(4) + body
    length = len(data) if not c.rarely(12) else c.pick((0, 4, 8, 20, len(data) + 1))
    return bytes((0x42, 0, 0, 0, 0, 0, 0)) + length.to_bytes(2, "big") + b"\0", f"h:{data.hex()}"


def asking_lba_status(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    room = c.pick((24, 40, 8, 0, 512, 1 << 20))
    return bytes((0x9E, 0x12)) + c.lba(unit).to_bytes(8, "big") + room.to_bytes(4, "big") + b"\0\0", ""


def caching(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    opcode = c.pick((0x35, 0x91, 0x34, 0x90))
    lba = c.lba(unit)
    return transfer_cdb(opcode, c.pick((0, 0x02)), lba, c.count(unit, lba)), ""


def asking_capacity(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    return c.pick((
        bytes((0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0)), bytes((0x9E, 0x10)) + bytes(11) + b"\x20\0\0",
        bytes((0x9E, 0x10)) + bytes(11) + b"\x0c\0\0",
    )), ""


def asking_defects(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    how = c.below(32)
    return c.pick((
        bytes((0x37, 0, how, 0, 0, 0, 0, 0, 8, 0)), bytes((0xB7, how, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0)),
    )), ""


def removing(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    if c.rarely(3):
        return bytes((0x1E, 0, 0, 0, c.pick((0, 1)), 0)), ""
    how = c.pick((3, 2, 3, 2, 6, 1, 0, 4, 0x10, 0x12, 0x33))
    if unit is not None and unit.ejected and c.below(2):
        how = 3
    return bytes((0x1B, c.below(2), 0, 0, how, 0)), ""


def formatting(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    size = unit.block if unit is not None else 512
    if c.below(2):
        with_list = c.below(3)
        byte1 = (0x30 if c.below(2) else 0x10) if with_list else c.pick((0, 0, 0x08, 1))
        options = c.pick((0x02, 0, 0x88, 0x8A, 0x08, 0xF2, 0x01))
        head = bytes((0, options, 0, 0, 0, 0, 0, 0)) if byte1 & 0x20 else bytes((0, options, 0, 0))
        length = c.pick((1, 4, size, 0, size + 1))
        pattern = bytes((c.pick((0, 0x20, 0x40)), c.pick((1, 1, 0, 2)))) + length.to_bytes(2, "big")
        recipe = f"h:{(head + pattern).hex()}+n:512:{length}" if options & 8 else f"h:{head.hex()}"
        return bytes((0x04, byte1, 0, 0, 0, 0)), recipe if with_list else ""
    byte1 = c.pick((0, 0x80, 0x20, 0xA0))
    kind = c.pick((2, 1, 1, 0x1F, 3))
    if unit is not None and unit.sanitize_failed and c.below(2):
        kind = 0x1F
    if kind != 1:
        return bytes((0x48, byte1 & (0xA0 if kind == 2 else 0x20) | kind)) + bytes(8), ""
    length = c.pick((4, 1, size, 0, size + 1))
    method = c.pick((1, 0x82, 0x83, 0, 0x21))
    list_length = 4 + length if not c.rarely(6) else c.pick((0, 4, 5, 5000))
    recipe = f"h:{bytes((method, 0)).hex()}{length:04x}+n:{c.below(64)}:{length}"
    return bytes((0x48, byte1 | 1)) + bytes(5) + list_length.to_bytes(2, "big") + b"\0", recipe


# Primary commands


def testing(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    return bytes(6), ""


def sensing(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    return bytes((0x03, c.below(2), 0, 0, c.pick((252, 18, 252, 0, 4)), 0)), ""


def inquiring(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    room = c.pick((255, 96, 36, 5, 1024)).to_bytes(2, "big")
    vital = c.below(2)
    codes = (0x83, 0x00, 0x80, 0xB0, 0xB1, 0xB2, 0x85, 0x86, 0x87, 0x88, 0x8F, 0x84, 0xFF) if vital else (0, 0, 0, 1)
    code = c.pick(codes)
    return bytes((0x12, vital, code)) + room + b"\0", ""


def listing(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    room = c.pick((256, 24, 16, 256, 24, 16, 256, 15, 0)).to_bytes(4, "big")
    return bytes((0xA0, 0, c.pick((0, 2, 1, 0, 2, 0, 2, 3)), 0, 0, 0)) + room + b"\0\0", ""


def grouping(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    if c.below(2):
        return bytes((0xA3, c.pick((0x0A, 0x2A, 0x4A)), 0, 0, 0, 0, 0, 0, 0, c.pick((255, 8)), 0, 0)), ""
    data = bytes(4) + bytes((c.pick((0, 1, 2, 0x0F)), 0, 0, c.pick((1, 1, 2))))
    length = c.pick((8, 8, 4, 0, 12, 6))
    return bytes((0xA4, 0x0A, 0, 0, 0, 0, 0, 0, 0, length, 0, 0)), f"h:{(data + bytes(4)).hex()}"


def sensing_modes(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    code = c.pick((0x3F, 0x0A, 0x08, 0x01, 0x02, 0x03, 0x04, 0x1C, 0x00, 0x15))
    byte2, subpage = c.below(4) << 6 | code, c.pick((0, 0, 0xFF, 1, 2))
    flags = c.pick((0, 0x08, 0x10, 0x18))
    if c.below(2):
        return bytes((0x5A, flags, byte2, subpage, 0, 0, 0)) + c.pick((512, 8, 20)).to_bytes(2, "big") + b"\0", ""
    return bytes((0x1A, flags & 0x08, byte2, subpage, c.pick((255, 4, 16)), 0)), ""


def selecting_modes(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    long = c.below(2)
    saving = c.below(2)
    pages = b""
    if unit is not None:
        for _ in range(c.pick((1, 1, 1, 2, 0))):
            key = c.pick([(0x0A, 0), (0x08, 0), (0x0A, 0), (0x08, 0), (0x0A, 0), c.pick(list(blank_pages(unit)))])
            pages += changed_page(c, unit, key)
    long_lba = long and c.below(2)
    descriptor = b""
    if unit is not None and c.rarely(3):
        blocks = unit.blocks if not c.rarely(4) else c.pick((0, 1, 0xFFFFFFFF))
        size = unit.block if not c.rarely(6) else c.pick((512, 0, 1024))
        descriptor = blocks.to_bytes(8, "big") + bytes(4) + size.to_bytes(4, "big") if long_lba else (
            blocks.to_bytes(4, "big") + size.to_bytes(4, "big")
        )
    said = len(descriptor) if not c.rarely(16) else c.below(20)
    head = bytes((0, 0, 0, 0, 1 if long_lba else 0, 0, 0, said)) if long else bytes((0, 0, 0, said))
    data = head + descriptor + pages
    if c.rarely(12):
        data = data[:c.below(len(data) + 1)]
    length = len(data) if not c.rarely(20) else 0
    flags = (0x10 if not c.rarely(20) else 0) | saving
    if long:
        return bytes((0x55, flags, 0, 0, 0, 0, 0)) + length.to_bytes(2, "big") + b"\0", f"h:{data.hex()}"
    return bytes((0x15, flags, 0, 0, length & 0xFF, 0)), f"h:{data.hex()}"


def changed_page(c: Chooser, unit: Unit, key: tuple[int, int]) -> bytes:
    content = bytearray(page(unit, key, 0))
    content[0] &= 0x7F if c.below(2) else 0xFF
    for code, byte, shift, mask, _ in WHERE.values():
        if (code, 0) == key and (c.rarely(3) or code == 0x08):
            value = c.pick((0, 0, 1, 2, 3)) if mask == 0x30 else c.pick((0, 1) if code == 0x08 else (0, 0, 1))
            content[byte] = content[byte] & ~mask | (value << shift & mask)
    if c.rarely(10):
        content[c.below(len(content))] ^= 1 << c.below(8)
    return bytes(content)


# Service


def supporting(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    if c.rarely(4):
        return bytes((0xA3, 0x0D, c.pick((0, 0x80)), 0, 0, 0, 0, 0, 0, c.pick((16, 4, 3)), 0, 0)), ""
    how = c.pick((3, 1, 2, 0, 4))
    opcode, action = c.pick((*ROWS, (0x01, None), (0x9E, 0x1E)))
    if c.rarely(8):
        action = 0x10
    room = 4 if how == 0 else c.pick((255, 4))
    return bytes((0xA3, 0x0C, how, opcode, 0, action or 0, 0, 0, 0, room, 0, 0)), ""


def naming(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    kind = c.pick((0, 0, 4, 2, 0xFE))
    if c.below(2):
        return bytes((0xA3, 0x05, 0, 0, 0, 0, 0, 0, 0, c.pick((255, 8)), kind, 0)), ""
    text = c.pick((b"one\0", b"two\0\0", b"", b"one\0two\0", b"one", b"\x80\0"))
    length = len(text) if not c.rarely(8) else c.pick((0, 255, 600))
    return bytes((0xA4, 0x06, 0, 0, 0, 0)) + length.to_bytes(4, "big") + bytes((kind, 0)), f"h:{text.hex()}"


def logging(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    code = c.below(4) << 6 | c.pick((0x19, 0x00, 0x0C, 0x0D, 0x0E, 0x2F, 0x2E))
    subpage = c.pick((0, 0, 0, 0xFF, 1))
    if c.rarely(3):
        return bytes((0x4C, c.pick((2, 0, 3, 1)), code, subpage, 0, 0, 0, 0, c.pick((0, 0, 0, 4)), 0)), ""
    room = 4 if code & 0x3F == 0x19 and not subpage else 64
    return bytes((0x4D, 0, code, subpage, 0, 0, c.pick((0, 0, 1, 5)), 0, room, 0)), ""


def diagnosing(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    kind = c.below(4)
    if kind == 0:
        return bytes((0x1C, c.below(2), c.pick((0, 1)), 0, c.pick((255, 4)), 0)), ""
    if kind == 1:
        data = bytes((c.pick((0, 0, 1)), 0, 0, c.pick((0, 0, 1)), 0))
        how, length = c.pick((0x10, 0x04, 0x10, 0x00, 0x14)), c.pick((0, 4, 4, 5, 3))
        return bytes((0x1D, how, 0, 0, length, 0)), f"h:{data.hex()}"
    length = c.pick((16, 0, 4096, 4097))
    if kind == 2:
        cdb = bytes((0x3B, c.pick((0x0A, 0x0A, 0x02)), 0, 0, 0, 0)) + length.to_bytes(3, "big") + b"\0"
        return cdb, f"n:9:{length}"
    return bytes((0x3C, c.pick((0x0A, 0x0A, 0x0B, 3, 2)), 0, 0, 0, 0)) + length.to_bytes(3, "big") + b"\0", ""


# Reservations


def reserving(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    if unit is not None and unit.holder is nexus:
        opcode = c.pick((0x17, 0x57, 0x17, 0x16))
    else:
        opcode = c.pick((0x16, 0x17, 0x56, 0x57))
    return bytes((opcode,)) + bytes(9 if opcode > 0x50 else 5), ""


def asking_reservations(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    room = c.pick((0xFFFF, 8, 24, 0)).to_bytes(2, "big")
    return bytes((0x5E, c.pick((0, 1, 3, 2, 4)), 0, 0, 0, 0, 0)) + room + b"\0", ""


def persisting(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    own = unit.persistent.keys.get(nexus.port, 0) if unit is not None else 0
    if unit is not None and unit.persistent.holder == nexus.port:
        action = c.pick((7, 2, 1, 4, 5, 0, 7, 3, 6))
    else:
        action = c.pick((1, 4, 2, 5, 0, 7, 3, 1, 6, 8, 4, 1) if own else (0, 6, 0, 6, 0, 6, 0, 6, 0, 1 + c.below(7)))
    key = c.pick((own, own, own, own, own, own, own, own, own, 0, 1, 2))
    new = c.pick((1, 2, 1, 3, 0, (1 << 64) - 1))
    if action in (4, 5) and unit is not None and unit.persistent.keys and c.below(2):
        new = c.pick([*unit.persistent.keys.values(), 0 if unit.persistent.kind in ALL_REGISTRANTS else new])
    kind = c.pick(KINDS)
    if unit is not None and unit.persistent.kind and not c.rarely(4 if action == 2 else 2):
        kind = unit.persistent.kind
    scope_type = kind if not c.rarely(16) else c.pick((0, 2, 4, 9, 0x11, 0xF1))
    if action == 7:
        identifier = named_port(c)
        flags = (APTPL if c.below(2) else 0) | (UNREG if c.below(2) else 0)
        length = len(identifier) if not c.rarely(16) else c.pick((0, 20, 24, 60))
        data = key.to_bytes(8, "big") + new.to_bytes(8, "big") + bytes((0, flags, 0, 1 if not c.rarely(12) else 2))
        data += length.to_bytes(4, "big") + identifier
    else:
        flags = (APTPL if c.below(2) else 0) | (4 if c.rarely(6) else 0)
        extra = b""
        if c.rarely(6):
            flags |= SPEC_I_PT
            identifiers = b"".join(named_port(c) for _ in range(c.below(3)))
            length = len(identifiers) if not c.rarely(10) else c.below(64)
            extra = length.to_bytes(4, "big") + identifiers
        data = key.to_bytes(8, "big") + new.to_bytes(8, "big") + bytes((0, 0, 0, 0, flags, 0, 0, 0)) + extra
    length = len(data) if not c.rarely(20) else c.pick((0, 8, 20, 28, len(data) + 4, 1 << 24))
    return bytes((0x5F, action, scope_type, 0, 0)) + length.to_bytes(4, "big") + b"\0", f"h:{data.hex()}"


def named_port(c: Chooser) -> bytes:
    identifier = bytearray(transport_id(PORTS[c.pick("ABC")]))
    if c.rarely(12):
        identifier[c.below(len(identifier))] ^= 1 << c.below(8)
    return bytes(identifier)


# Copies


def copying(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    device = unit.device if unit is not None else c.model.devices[0]
    units = list(device.units.values())
    named = [c.pick(units) for _ in range(c.pick((2, 1, 2, 3)))] if units else []
    cscds = b"".join(cscd(c, each) for each in named)
    segments = b"".join(segment(c, named) for _ in range(c.pick((1, 1, 2, 0, 3))))
    usage = c.pick((0, 0, 2, 3, 1)) << 3
    identifier = 0 if usage == 0x18 and not c.rarely(4) else c.below(3)
    inline = 0 if not c.rarely(20) else 8
    head = bytes((identifier, usage)) + len(cscds).to_bytes(2, "big") + bytes(4)
    head += len(segments).to_bytes(4, "big") + inline.to_bytes(4, "big")
    data = bytearray(head + cscds + segments)
    if c.rarely(12):
        data[c.below(len(data))] ^= 1 << c.below(8)
    length = len(data) if not c.rarely(16) else c.pick((0, 8, 15, 16, 48, len(data) + 1, 4000))
    return bytes((0x83, 0)) + bytes(8) + length.to_bytes(4, "big") + b"\0\0", f"h:{data.hex()}"


def cscd(c: Chooser, unit: Unit) -> bytes:
    block = unit.block if c.below(2) else 0
    designator = b"IET\0\0\0\0\0" + unit.identifier[:12]
    return bytes((0xE4, 0, 0, 0, 1, 1, 0, 24)) + designator + block.to_bytes(4, "big")


def segment(c: Chooser, named: list[Unit]) -> bytes:
    source, destination = c.below(len(named) or 1), c.below(len(named) or 1)
    if c.rarely(20):
        destination = 3
    ends = [named[index] if index < len(named) else None for index in (source, destination)]
    blocks = c.pick((1, 8, 2, 0, 16, 64))
    places = [c.lba(end) if c.rarely(4) else c.below(12) for end in ends]
    return bytes((0x02, c.pick((0, 2)), 0, 0x18)) + source.to_bytes(2, "big") + destination.to_bytes(2, "big") + bytes(
        2
    ) + blocks.to_bytes(2, "big") + b"".join(place.to_bytes(8, "big") for place in places)


def asking_copies(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    action = c.pick((0, 4, 0, 4, 3, 1))
    room = c.pick((255, 12, 4, 0)).to_bytes(4, "big")
    known = list(nexus.copies) or [0]
    return bytes((0x84, action, 0 if action == 3 else c.pick([*known, 1]))) + bytes(7) + room + b"\0\0", ""


def guessing(c: Chooser, unit: Unit | None, nexus: Nexus) -> Made:
    """Operation codes nobody has, and service actions."""
    return bytes((c.pick((0x01, 0x3E, 0x9F, 0xC1, 0xFF, 0x9E, 0x5F, 0x83)), 0x1E)) + bytes(14), ""


#: Kinds of steps, each with its commands and how often these come, together.
GROUPS: Final[dict[str, tuple[tuple[Maker, int], ...]]] = {
    "transfer": ((reading, 2), (writing, 3)),
    "compare": ((verifying, 1), (comparing, 1)),
    "provision": ((filling, 2), (unmapping, 2), (asking_lba_status, 1)),
    "cache": ((caching, 4), (asking_capacity, 2), (asking_defects, 1)),
    "removal": ((removing, 3), (testing, 1)),
    "attention": ((testing, 2), (sensing, 3)),
    "identity": ((inquiring, 2), (listing, 2), (grouping, 1), (guessing, 1)),
    "modes": ((selecting_modes, 2), (sensing_modes, 1)),
    "reserve": ((reserving, 2), (testing, 1)),
    "persist": ((persisting, 3), (asking_reservations, 1)),
    "register": ((persisting, 1),),
    "format": ((formatting, 1),),
    "service": ((supporting, 2), (naming, 2), (logging, 3), (diagnosing, 3)),
    "copy": ((copying, 2), (asking_copies, 1)),
}
COMMANDS: Final = {
    name: tuple(maker for maker, weight in group for _ in range(weight)) for name, group in GROUPS.items()
}
