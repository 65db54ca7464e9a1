"""The text of IET's /proc/net/iet/volume and session (iet-compat section 6), from plain facts about what is served.

``targets`` and ``sessions`` are what the operations of these names return (``admin.operations``).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Facts = Mapping[str, Any]

_DIGEST: Final = {False: "none", True: "crc32c"}


def session_id(isid: bytes, tsih: int) -> int:
    """IET's number of a session: the bytes of ISID and TSIH, in its byte order, as one little-endian number."""
    return int.from_bytes(isid + tsih.to_bytes(2, "little"), "little")


def volume(targets: Iterable[Facts]) -> str:
    """Targets, newest first, with their logical units in the order of creation."""
    lines = []
    for target in reversed(list(targets)):
        lines.append(_target_line(target))
        lines += [_lun_line(lun) for lun in target["luns"]]
    return "".join(lines)


def session(targets: Iterable[Facts], sessions: Iterable[Facts]) -> str:
    """All targets, newest first, each with its sessions, newest first, and their connections in order of login."""
    of_target: dict[str, dict[int, list[Facts]]] = {}
    for each in sessions:
        of_target.setdefault(each["target"], {}).setdefault(each["tsih"], []).append(each)
    lines = []
    for target in reversed(list(targets)):
        lines.append(_target_line(target))
        lines += [_session_lines(each) for each in reversed(of_target.get(target["name"], {}).values())]
    return "".join(lines)


def _target_line(target: Facts) -> str:
    return f"tid:{target['tid']} name:{target['name']}\n"


def _lun_line(lun: Facts) -> str:
    path = f" path:{lun['path']}" if lun["path"] else ""
    return (
        f"\tlun:{lun['number']} state:{int(lun['leaving'])} iotype:{lun['type']} iomode:{lun['mode']}"
        f" blocks:{lun['size'] // lun['block_size']} blocksize:{lun['block_size']}{path}\n"
    )


def _session_lines(connections: Sequence[Facts]) -> str:
    first = connections[0]
    sid = session_id(bytes.fromhex(first["isid"]), first["tsih"])
    return f"\tsid:{sid} initiator:{first['initiator']}\n" + "".join(map(_connection_line, connections))


def _connection_line(each: Facts) -> str:
    state = "closing" if each["closing"] else "active"
    return (
        f"\t\tcid:{each['cid']} ip:{_address(each['address'])} state:{state}"
        f" hd:{_DIGEST[each['header_digest']]} dd:{_DIGEST[each['data_digest']]}\n"
    )


def _address(address: str) -> str:
    """IPv6 with all its digits, in brackets; also of what stands for an IPv4 address."""
    if ":" not in address:
        return address
    digits = ipaddress.IPv6Address(address).packed.hex()
    return f"[{':'.join(digits[at : at + 4] for at in range(0, 32, 4))}]"
