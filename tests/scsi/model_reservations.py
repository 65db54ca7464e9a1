"""RESERVE and RELEASE (SPC-2), PERSISTENT RESERVE IN and OUT (SPC-4 5.13, 6.15, 6.16) in the model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from tests.scsi.model import Nexus, Registrations, Unit
from tests.scsi.model_rows import ALWAYS, BY_RESERVE, NEVER, command
from tests.scsi.model_sense import (
    ILLEGAL_REQUEST,
    REGISTRATIONS_PREEMPTED,
    RESERVATIONS_PREEMPTED,
    RESERVATIONS_RELEASED,
    Check,
    Conflict,
    bad_cdb,
    bad_list,
    number,
    too_short,
)

WRITE_EXCLUSIVE, EXCLUSIVE_ACCESS = 1, 3
REGISTRANTS_ONLY, ALL_REGISTRANTS = (5, 6), (7, 8)
KINDS: Final = (WRITE_EXCLUSIVE, EXCLUSIVE_ACCESS, *REGISTRANTS_ONLY, *ALL_REGISTRANTS)
INVALID_RELEASE: Final = 0x2604
#: Choice: 1024 registrations at most, and so no list longer than their TransportIDs.
LONGEST_LIST: Final = 28 + 1024 * 248

#: An initiator port: an iSCSI name in UTF-8 and the ISID.
NAME: Final = re.compile(rb"(.{1,223}),i,0x([0-9A-Fa-f]{1,12})", re.DOTALL)
SPEC_I_PT, APTPL, UNREG = 8, 1, 2


# RESERVE and RELEASE


def without_effect(unit: Unit, nexus: Nexus) -> bool:
    """5.13.3: with registrations there is no RESERVE; who may use the unit is told GOOD, others conflict."""
    kept = unit.persistent
    if not kept.keys:
        return False
    if not (is_holder(kept, nexus.port) or (kept.kind >= 5 and nexus.port in kept.keys)):
        raise Conflict
    return True


def reserve(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    if not without_effect(unit, nexus):
        unit.holder = nexus


def release(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """SPC-2 7.21: no error for who does not hold it."""
    if not without_effect(unit, nexus) and unit.holder is nexus:
        unit.holder = None


command("16 00 00 00 00 00", "RESERVE(6)", ALWAYS)(reserve)
command("56 00 00 00 00 00 00 00 00 00", "RESERVE(10)", ALWAYS)(reserve)
command("17 00 00 00 00 00", "RELEASE(6)", NEVER)(release)
command("57 00 00 00 00 00 00 00 00 00", "RELEASE(10)", NEVER)(release)


# Who holds it


def is_holder(kept: Registrations, port: str) -> bool:
    """5.13.10."""
    if kept.kind in ALL_REGISTRANTS:
        return port in kept.keys
    return kept.kind != 0 and kept.holder == port


def transport_id(port: str) -> bytes:
    """7.6.4.6: of an initiator port."""
    name = port.encode() + b"\0"
    name = name.ljust(max(20, -(-len(name) // 4) * 4), b"\0")
    return b"\x45\0" + len(name).to_bytes(2, "big") + name


def port_at(data: bytes, place: int, end: int) -> tuple[str, int]:
    """Choice: only format 01b, a name with an ISID, is taken."""
    if end < place + 24:
        raise too_short()
    if data[place] != 0x45:
        raise bad_list(place)
    length = number(data, place + 2, 2)
    if length < 20 or length % 4:
        raise bad_list(place + 2)
    stop = place + 4 + length
    if stop > end:
        raise too_short()
    found = NAME.fullmatch(bytes(data[place + 4:stop]).split(b"\0")[0])
    if not found:
        raise bad_list(place + 4)
    try:
        return f"{found[1].decode().lower()},i,0x{found[2].decode().lower().rjust(12, '0')}", stop
    except UnicodeDecodeError:
        raise bad_list(place + 4) from None


# PERSISTENT RESERVE IN


def check_not_reserved(unit: Unit) -> None:
    """SPC-2 5.5.1: whoever did RESERVE, these conflict."""
    if unit.holder is not None:
        raise Conflict


def with_header(unit: Unit, body: bytes) -> bytes:
    return unit.persistent.generation.to_bytes(4, "big") + len(body).to_bytes(4, "big") + body


@command("5E 00 00 00 00 00 00 FF FF 00", "PR IN READ KEYS", BY_RESERVE, 0, allocation=(7, 2))
def read_keys(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    check_not_reserved(unit)
    return with_header(unit, b"".join(key.to_bytes(8, "big") for key in unit.persistent.keys.values()))


@command("5E 01 00 00 00 00 00 FF FF 00", "PR IN READ RESERVATION", BY_RESERVE, 1, allocation=(7, 2))
def read_reservation(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    """6.15.3: for all registrants the key is zero."""
    check_not_reserved(unit)
    kept = unit.persistent
    if not kept.kind:
        return with_header(unit, b"")
    key = 0 if kept.holder is None else kept.keys[kept.holder]
    return with_header(unit, key.to_bytes(8, "big") + bytes((0, 0, 0, 0, 0, kept.kind, 0, 0)))


@command("5E 02 00 00 00 00 00 FF FF 00", "PR IN REPORT CAPABILITIES", BY_RESERVE, 2, allocation=(7, 2))
def report_capabilities(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    """6.15.4: CRH, SIP_C, ATP_C, PTPL_C; TMV, ALLOW COMMANDS 100b, PTPL_A; all types."""
    check_not_reserved(unit)
    return bytes((
        0, 8, 0x1C | (1 if unit.options.keeps else 0), 0xC0 | (1 if unit.persistent.aptpl else 0), 0xEA, 0x01, 0, 0,
    ))


@command("5E 03 00 00 00 00 00 FF FF 00", "PR IN READ FULL STATUS", BY_RESERVE, 3, allocation=(7, 2))
def read_full_status(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> bytes:
    check_not_reserved(unit)
    kept = unit.persistent
    body = b""
    for port, key in kept.keys.items():
        holds = is_holder(kept, port)
        name = transport_id(port)
        body += key.to_bytes(8, "big") + bytes(4) + bytes((int(holds), kept.kind if holds else 0)) + bytes(4)
        body += b"\0\1" + len(name).to_bytes(4, "big") + name
    return with_header(unit, body)


# PERSISTENT RESERVE OUT


class Request:
    def __init__(self, unit: Unit, nexus: Nexus, cdb: bytes, out: bytes) -> None:
        self.unit, self.port, self.kind, self.scope, self.data = unit, nexus.port, cdb[2] & 0x0F, cdb[2] >> 4, out
        self.key, self.new = number(out, 0, 8), number(out, 8, 8)

    def aptpl(self, byte: int = 20) -> bool:
        wanted = bool(self.data[byte] & APTPL)
        if wanted and not self.unit.options.keeps:
            raise bad_list(byte)
        return wanted

    def check_plain(self) -> None:
        """A list without TransportIDs (6.16.3)."""
        if self.data[20] & SPEC_I_PT:
            raise bad_list(20)
        if len(self.data) != 24:
            raise too_short()

    def check_kind(self) -> None:
        if self.scope:
            raise bad_cdb(2)
        if self.kind not in KINDS:
            raise bad_cdb(2)


def copied(kept: Registrations) -> Registrations:
    twin = Registrations()
    twin.__dict__.update(kept.__dict__, keys=dict(kept.keys))
    return twin


def reservations_of(kept: Registrations) -> tuple[object, ...]:
    return (kept.keys, list(kept.keys), kept.kind, kept.holder, kept.aptpl)


def ask(unit: Unit, nexus: Nexus, cdb: bytes, out: bytes, announced: int) -> None:
    """Any service action. What changes is kept first, if it shall survive a loss of power."""
    length = number(cdb, 5, 4)
    if length > LONGEST_LIST:
        raise too_short()
    if len(out) < length:
        raise too_short()
    check_not_reserved(unit)
    kept = copied(unit.persistent)
    action = cdb[1] & 0x1F
    if action not in (0, 6) and nexus.port not in kept.keys:
        raise Conflict  # table 66
    if action == 7 and kept.kind and kept.holder != nexus.port:
        raise Conflict
    if len(out) < 24:
        raise too_short()
    asked = Request(unit, nexus, cdb, out)
    if action not in (0, 6) and asked.key != kept.keys[nexus.port]:
        raise Conflict
    told, preempted, counts = ACTIONS[action](kept, asked)
    before = unit.persistent
    if (kept.aptpl or before.aptpl) and reservations_of(kept) != reservations_of(before):
        unit.put("reservations", {
            "keys": dict(kept.keys), "kind": kept.kind, "holder": kept.holder,
        } if kept.aptpl else None)
    if counts:
        kept.generation = (kept.generation + 1) % (1 << 32)
    unit.persistent = kept
    for other in unit.nexuses:
        if other.port in told:
            other.tell(told[other.port])
        if action == 5 and other.port in preempted:
            unit.preventing.discard(other)


Outcome = tuple[dict[str, int], set[str], bool]


def drop(kept: Registrations, ports: Iterable[str]) -> bool:
    """Remove registrations, and the reservation with its last holder; whether that was released so."""
    gone = False
    for port in ports:
        holder = kept.holder == port and kept.kind not in (0, *ALL_REGISTRANTS)
        del kept.keys[port]
        if holder or (kept.kind in ALL_REGISTRANTS and not kept.keys):
            gone, kept.kind, kept.holder = True, 0, None
    return gone


def register(kept: Registrations, asked: Request) -> Outcome:
    """REGISTER (table 67)."""
    known = kept.keys.get(asked.port, 0)
    if asked.key != known:
        raise Conflict
    if known or not asked.data[20] & SPEC_I_PT:
        asked.check_plain()
    return enrol(kept, asked)


def register_and_ignore(kept: Registrations, asked: Request) -> Outcome:
    asked.check_plain()
    return enrol(kept, asked)


def enrol(kept: Registrations, asked: Request) -> Outcome:
    """Choice: unregistering who is not registered has no effect, and does not count."""
    aptpl = asked.aptpl()
    if not asked.new:
        if asked.port not in kept.keys:
            return {}, set(), False
        tells = kept.kind in REGISTRANTS_ONLY
        released = drop(kept, [asked.port])
        kept.aptpl = aptpl
        return dict.fromkeys(kept.keys, RESERVATIONS_RELEASED) if released and tells else {}, set(), True
    ports = [asked.port]
    if asked.data[20] & SPEC_I_PT:
        if len(asked.data) < 28:
            raise too_short()
        place, end = 28, 28 + number(asked.data, 24, 4)
        if end > len(asked.data):
            raise too_short()
        while place < end:
            port, place = port_at(asked.data, place, end)
            ports.append(port)
        if any(port in kept.keys for port in ports[1:] if port != asked.port):
            raise bad_list(28)
    for port in ports:
        kept.keys[port] = asked.new
    kept.aptpl = aptpl
    return {}, set(), True


def make_reservation(kept: Registrations, asked: Request) -> Outcome:
    if kept.kind and not is_holder(kept, asked.port):
        raise Conflict
    asked.check_plain()
    asked.check_kind()
    if kept.kind and kept.kind != asked.kind:
        raise Conflict
    if not kept.kind:
        kept.kind = asked.kind
        kept.holder = None if asked.kind in ALL_REGISTRANTS else asked.port
    return {}, set(), False


def end_reservation(kept: Registrations, asked: Request) -> Outcome:
    asked.check_plain()
    if not is_holder(kept, asked.port):
        return {}, set(), False
    if (asked.scope, asked.kind) != (0, kept.kind):
        raise Check(ILLEGAL_REQUEST, INVALID_RELEASE)
    told = dict.fromkeys(kept.keys.keys() - {asked.port}, RESERVATIONS_RELEASED) if kept.kind >= 5 else {}
    kept.kind, kept.holder = 0, None
    return told, set(), False


def clear(kept: Registrations, asked: Request) -> Outcome:
    asked.check_plain()
    told = dict.fromkeys(kept.keys.keys() - {asked.port}, RESERVATIONS_PREEMPTED)
    kept.keys, kept.kind, kept.holder = {}, 0, None
    return told, set(), True


def preempt(kept: Registrations, asked: Request) -> Outcome:
    """5.13.11.2.4, figure 9. SCOPE and TYPE matter only if the reservation is replaced."""
    asked.check_plain()
    everybody = kept.kind in ALL_REGISTRANTS and not asked.new
    if kept.kind and not asked.new and not everybody:
        raise bad_list(8)
    named = {port for port, key in kept.keys.items() if everybody or key == asked.new}
    if not named:
        raise Conflict
    if everybody or (kept.holder is not None and kept.holder in named):
        asked.check_kind()
        before, losers = kept.kind, named - {asked.port}
        drop(kept, losers)
        kept.kind = asked.kind
        kept.holder = None if asked.kind in ALL_REGISTRANTS else asked.port
        told = dict.fromkeys(losers, REGISTRATIONS_PREEMPTED)
        if kept.kind != before:
            told |= dict.fromkeys(kept.keys.keys() - {asked.port}, RESERVATIONS_RELEASED)
        return told, named, True
    drop(kept, named)
    return dict.fromkeys(named - {asked.port}, REGISTRATIONS_PREEMPTED), named, True


def register_and_move(kept: Registrations, asked: Request) -> Outcome:
    """5.13.8, table 70; all registrants have nothing to move."""
    if not kept.kind:
        raise bad_cdb()
    if not asked.new:
        raise bad_list(8)
    aptpl = asked.aptpl(17)
    if number(asked.data, 18, 2) != 1:
        raise bad_list(18)
    end = 24 + number(asked.data, 20, 4)
    if end > len(asked.data):
        raise too_short()
    port, stop = port_at(asked.data, 24, end)
    if stop != end:
        raise bad_list(20)
    if port == asked.port:
        raise bad_list(24)
    kept.keys[port] = asked.new
    kept.holder = port
    if asked.data[17] & UNREG:
        del kept.keys[asked.port]
    kept.aptpl = aptpl
    return {}, set(), True


ACTIONS: Final = {
    0: register, 1: make_reservation, 2: end_reservation, 3: clear, 4: preempt, 5: preempt, 6: register_and_ignore,
    7: register_and_move,
}
NAMES: Final = (
    "REGISTER", "RESERVE", "RELEASE", "CLEAR", "PREEMPT", "PREEMPT AND ABORT", "REGISTER AND IGNORE EXISTING KEY",
    "REGISTER AND MOVE",
)
for _action, _name in enumerate(NAMES):
    command(
        f"5F {_action:02X} FF 00 00 FF FF FF FF 00", f"PR OUT {_name}", BY_RESERVE, _action,
        out=lambda unit, cdb: number(cdb, 5, 4),
    )(ask)
