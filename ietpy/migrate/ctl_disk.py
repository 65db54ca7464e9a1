"""A lun of FreeBSD's ctl.conf: what it is made of, and the names it tells; and what all readers of the file share."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from ietpy.errors import Diagnostic, Span
from ietpy.migrate import identities
from ietpy.migrate.ctl_text import Entry
from ietpy.migrate.model import Disk, Identity, Kind, Note, Store, refusal

_SIZE: Final = re.compile(r"(0[xX][0-9a-fA-F]{1,15}|[0-9]{1,18})([kKmMgGtT]?)", re.ASCII)
_SHIFT: Final = MappingProxyType({"": 0, "k": 10, "m": 20, "g": 30, "t": 40})
_HEX: Final = re.compile("(?:0[xX])?((?:[0-9a-fA-F]{2})+)", re.ASCII)
_ON: Final = ("on", "1", "yes", "true")
#: LUN options that change nothing of what initiators rely on.
_HARMLESS: Final = (
    "rpm", "formfactor", "pblocksize", "pblockoffset", "ublocksize", "ublockoffset", "capacity", "num_threads",
    "readcache", "ha_role", "ha_shared", "pool-avail-threshold", "pool-used-threshold", "avail-threshold",
    "used-threshold", "provisioning_type", "reordering", "file",
)
_KNOWN: Final = (
    "vendor", "product", "revision", "scsiname", "naa", "eui", "uuid", "readonly", "removable", "unmap", "writecache",
)
_NAMES: Final = ("vendor", "product", "revision", "scsiname")
_LONGEST: Final = 16  #: bytes of a designator
_DISKS: Final = ("disk", "direct", "0", "")


@dataclass(slots=True)
class Findings:
    """The report, and the problems that refuse the file."""

    notes: list[Note] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)

    def note(self, kind: Kind, span: Span, what: str, why: str) -> None:
        self.notes.append(Note(kind, span, what, why))

    def refuse(self, span: Span, problem: str, hint: str) -> None:
        self.problems.append(refusal(span, problem, hint))


def disk(section: Entry, what: str, found: Findings) -> Disk:
    """What a lun's braces say. ``what``: its name in messages."""
    values: dict[str, Entry] = {}
    options: dict[str, Entry] = {}
    for entry in section.entries or ():
        kept, key = (options, entry.value.lower()) if entry.key == "option" else (values, entry.key)
        if key in kept:
            found.refuse(entry.span, f"{key} given twice in {what}", "leave one of them")
        kept[key] = entry
    for key, entry in options.items():
        if key not in (*_KNOWN, *_HARMLESS):
            found.note(Kind.LOST, entry.span, f"option {key[:40]} of {what}", "ietpy has no such thing")
    path = values["path"].value if "path" in values else ""
    memory = "backend" in values and values["backend"].value == "ramdisk"
    if not memory and not path:
        found.refuse(section.span, f"{what} has no path", "write path, or backend ramdisk")
    kind = values["device-type"].value if "device-type" in values else ""
    store = Store.MEMORY if memory else Store.DIRECT if path.startswith("/dev/") else Store.FILE
    return Disk(
        Store.FOREIGN if kind.lower() not in _DISKS else store, path, section.value,
        number(values["size"], found) if "size" in values else None,
        (number(values["blocksize"], found) if "blocksize" in values else None) or 512,
        write_cache=_on(options, "writecache", True), read_only=_on(options, "readonly", False),
        removable=_on(options, "removable", False),
        unmap=_on(options, "unmap", False) if "unmap" in options else None,
        identity=_identity(values, options, found), detail=f"{kind} {path}", span=section.span,
    )


def _identity(values: dict[str, Entry], options: dict[str, Entry], found: Findings) -> Identity:
    said = {name: options[name].values[1] if name in options else "" for name in _NAMES}
    return identities.ctl(
        values["serial"].value if "serial" in values else "",
        values["device-id"].value if "device-id" in values else "",
        said["vendor"], said["product"], said["revision"],
        _bytes(options.get("naa"), found), _bytes(options.get("eui"), found), _bytes(options.get("uuid"), found),
        said["scsiname"],
    )


def _bytes(entry: Entry | None, found: Findings) -> bytes:
    """An option in hexadecimal digits."""
    if entry is None:
        return b""
    match = _HEX.fullmatch(entry.values[1].replace("-", ""))
    if match is None or len(match[1]) > 2 * _LONGEST:
        what = f"option {entry.value}"
        found.note(Kind.WARNING, entry.span, what, f"it is not up to {_LONGEST} bytes in hexadecimal digits")
        return b""
    return bytes.fromhex(match[1])


def number(entry: Entry, found: Findings) -> int | None:
    """A number with or without K, M, G or T; None for what is none, which is a problem."""
    match = _SIZE.fullmatch(entry.value)
    if match is None:
        found.refuse(entry.span, f"{entry.key} {entry.value[:40]!r} is no number", "write one, with K, M, G or T")
        return None
    return int(match[1], 0 if match[1][:2] in ("0x", "0X") else 10) << _SHIFT[match[2].lower()]


def _on(options: dict[str, Entry], name: str, default: bool) -> bool:
    return options[name].values[1].lower() in _ON if name in options else default
