"""PERSISTENT RESERVE IN and OUT as tests send them, and a short language for what goes before and comes after.

A step is ``who action RESERVATION-KEY SERVICE-ACTION-KEY [TYPE]``, e.g. ``A reserve 1 0 WE``. The state is all keys in
their order and the reservation with its key, e.g. ``A=1 B=2 | WE 1``.
"""

from __future__ import annotations

import struct
from typing import Any

from ietpy.scsi import transport_id

ACTIONS = {
    "register": 0, "reserve": 1, "release": 2, "clear": 3, "preempt": 4, "abort": 5, "ignore": 6, "move": 7,
}
TYPES = {"WE": 1, "EA": 3, "WERO": 5, "EARO": 6, "WEAR": 7, "EAAR": 8}

SPEC_I_PT, ALL_TG_PT, APTPL = 8, 4, 1
UNREG = 2


def port(name: str) -> str:
    """The initiator port of somebody with a name of one letter."""
    return f"iqn.2001-04.com.example:{name.lower()},i,0x4000000000{ord(name):02x}"


def name_of(port: str) -> str:
    return port.partition(",")[0][-1].upper()


def out(
    action: str | int, key: int = 0, action_key: int = 0, scope_type: int = 0, flags: int = 0, extra: bytes = b"",
    length: int | None = None,
) -> tuple[str, bytes]:
    """(CDB, Data-Out) of all service actions but REGISTER AND MOVE."""
    data = struct.pack(">QQ4xB3x", key, action_key, flags) + extra
    number = ACTIONS[action] if isinstance(action, str) else action
    return f"5F {number:02X} {scope_type:02X} 0000 {len(data) if length is None else length:08X} 00", data


def naming(*ports: str, length: int | None = None) -> bytes:
    """What follows the first 24 bytes with SPEC_I_PT."""
    identifiers = b"".join(map(transport_id.encode, ports))
    return (len(identifiers) if length is None else length).to_bytes(4, "big") + identifiers


def move(
    key: int, action_key: int, to: str | bytes, flags: int = 0, relative_port: int = 1, length: int | None = None
) -> tuple[str, bytes]:
    """REGISTER AND MOVE; ``length``: TRANSPORTID LENGTH, if it is to be wrong."""
    identifier = transport_id.encode(to) if isinstance(to, str) else to
    size = len(identifier) if length is None else length
    data = struct.pack(">QQxBHI", key, action_key, flags, relative_port, size) + identifier
    return f"5F 07 00 0000 {len(data):08X} 00", data


def step(text: str) -> tuple[str, str, bytes]:
    """(who, CDB, Data-Out)"""
    who, action, key, action_key, *kind = text.split()
    return (who, *out(action, int(key), int(action_key), TYPES[kind[0]] if kind else 0))


def steps(text: str) -> list[tuple[str, str, bytes]]:
    return [step(each) for each in text.split(";") if each.strip()]


class Cluster:
    """A disk and nexuses A, B and C with it, which have nothing pending."""

    def __init__(self, make_disk: Any, names: str = "ABC", **options: Any) -> None:
        self.disk = make_disk(**options)
        self.nexuses = {name: self.disk.nexus(port(name)) for name in names}

    def run(self, who: str, cdb: str, data: bytes = b"", **fields: Any) -> Any:
        return self.disk.run(cdb, data, nexus=self.nexuses[who], **fields)

    def prepare(self, text: str) -> None:
        """Steps that are GOOD; what they leave pending is reported."""
        for who, cdb, data in steps(text):
            assert self.run(who, cdb, data).sense == 0, f"{who} {cdb}"
        self.quiet()

    def quiet(self) -> None:
        for nexus in self.nexuses.values():
            while nexus.attentions:
                self.disk.run("00", nexus=nexus)

    def pending(self) -> dict[str, list[str]]:
        """Names of what is pending, by who has anything."""
        return {
            who: [each.asc.name for each in nexus.attentions]
            for who, nexus in self.nexuses.items() if nexus.attentions
        }

    def read(self, action: int, length: int = 0xFFFF, who: str = "") -> bytes:
        """PERSISTENT RESERVE IN by ``who``, or by somebody else who stays for just that."""
        nexus = self.nexuses[who] if who else self.disk.nexus(port("Z"))
        outcome = self.disk.run(f"5E {action:02X} 0000000000 {length:04X} 00", nexus=nexus)
        if not who:
            self.disk.lu.detach(nexus)
        assert outcome.sense == 0
        data: bytes = outcome.data
        return data

    @property
    def generation(self) -> int:
        return int.from_bytes(self.read(0)[:4], "big")

    @property
    def capabilities(self) -> bytes:
        return self.read(2)

    def state(self) -> str:
        """As READ FULL STATUS and READ RESERVATION tell, which must agree with READ KEYS."""
        keys, reserved, full = (self.read(action) for action in (0, 1, 3))
        for data in (keys, reserved, full):
            assert int.from_bytes(data[4:8], "big") == len(data) - 8
            assert data[:4] == keys[:4]
        words, found, place = [], [], 8
        kind, holding_key = ("", 0)
        if len(reserved) > 8:
            holding_key, kind_number = struct.unpack(">8xQ5xB2x", reserved)
            kind = next(name for name, number in TYPES.items() if number == kind_number)
        while place < len(full):
            key, flags, scope_type, relative, size = struct.unpack_from(">Q4xBB4xHI", full, place)
            name, stop = transport_id.decode(full, place + 24, place + 24 + size)
            assert (relative, stop) == (1, place + 24 + size)
            holds = kind.endswith("AR") or (flags == 1 and key == holding_key)
            assert (flags, scope_type) == ((1, TYPES[kind]) if kind and holds else (0, 0))
            words.append(f"{name_of(name)}={key}")
            found.append(key)
            place = stop
        assert keys[8:] == b"".join(key.to_bytes(8, "big") for key in found)
        return " ".join([*words, "|", kind, str(holding_key)] if kind else words)
