"""The LUNs of a target in ietd.conf's words: units with numbers of the target's own, and what initiators see of them.

A LUN that only some initiators have becomes a unit with a free number, and their ``Initiator`` lines map it. Nobody
else sees it: once there are such units, every line names its LUNs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from ietpy.config.load import loads
from ietpy.config.lun_option import UNSAID, rendered, said
from ietpy.config.model import LunConfig, LunMapping
from ietpy.config.options import BLOCK_SIZES
from ietpy.config.render import UnwritableError, lun_line
from ietpy.migrate.ietd_identity import options_of, unknown, unsaid
from ietpy.migrate.model import Disk, Grant, Kind, Lun, Note, Store, Target

HIGHEST_LUN: Final = 16383
_TYPES: Final = {Store.FILE: "fileio", Store.DIRECT: "blockio", Store.NULL: "nullio"}
_DEVICES: Final = "/dev/"
_IET_ID: Final = 16  #: bytes of a ScsiId, which under IET was the only identity there was


@dataclass(slots=True)
class Units:
    """The units of one target, each with the disk behind it."""

    target: Target
    notes: list[Note] = field(default_factory=list)
    luns: dict[int, LunConfig] = field(default_factory=dict)
    disks: dict[int, Disk] = field(default_factory=dict)
    own: set[int] = field(default_factory=set)  #: of whom no grant gives others
    wanted: list[tuple[LunMapping, ...] | None] = field(default_factory=list)  #: by grant

    def __post_init__(self) -> None:
        for lun in self.target.luns:
            self._own(lun)
        self.wanted = [self._mapping(grant) for grant in self.target.grants]

    def configs(self) -> tuple[LunConfig, ...]:
        return tuple(self.luns.values())

    def mappings(self) -> list[tuple[LunMapping, ...] | None]:
        """What whom each grant is about sees; None: all there is."""
        ours = tuple(LunMapping(number, number) for number in self.luns if number in self.own)
        everything = len(ours) == len(self.luns)
        return [luns if luns is not None else None if everything else ours for luns in self.wanted]

    # -- numbers -----------------------------------------------------------------------------------------------------

    def _own(self, lun: Lun) -> None:
        if lun.number in self.luns:
            self._note(Kind.LOST, lun, "the target has this number twice")
        elif self._unit(lun, lun.number, lun.read_only):
            self.own.add(lun.number)

    def _mapping(self, grant: Grant) -> tuple[LunMapping, ...] | None:
        if grant.luns is None or grant.denies:
            return None
        found: dict[int, LunMapping] = {}
        for lun in grant.luns:
            if not 0 <= lun.number <= HIGHEST_LUN or lun.number in found:
                self._note(Kind.LOST, lun, f"numbers are unique, and go from 0 to {HIGHEST_LUN}")
                continue
            taken = {mapping.unit for mapping in found.values()}
            unit = self._for(lun, taken)
            if unit is not None:
                found[lun.number] = LunMapping(lun.number, unit, lun.read_only and not self.luns[unit].read_only)
        plain = all(mapping.lun == mapping.unit and not mapping.read_only for mapping in found.values())
        if not plain or set(found) != set(self.luns):
            who = grant.label or ", ".join(grant.names[:3])
            what = f"per-initiator LUN map: {who} of {self.target.name}"
            self.notes.append(Note(Kind.EXTENSION, grant.span, what, "Luns of the Initiator line"))
        return tuple(found.values())

    def _for(self, lun: Lun, taken: set[int]) -> int | None:
        """The unit with the LUN's disk, a new one if need be; None if it cannot be served."""
        for number, disk in self.disks.items():
            fits = lun.read_only or not self.luns[number].read_only or disk.read_only
            if disk == lun.disk and fits and number not in taken:
                return number
        number = lun.number
        while number in self.luns or (number != lun.number and self._claimed(number)):
            number = (number + 1) % (HIGHEST_LUN + 1)
        return number if self._unit(lun, number, False) else None

    def _claimed(self, number: int) -> bool:
        return any(lun.number == number for lun in self.target.luns)

    # -- one unit ----------------------------------------------------------------------------------------------------

    def _unit(self, lun: Lun, number: int, read_only: bool) -> bool:
        config = self._config(lun, number, read_only)
        if config is None:
            return False
        if not _reads(config):
            self._note(Kind.LOST, lun, "ietd.conf cannot say its path")
            return False
        self.luns[number], self.disks[number] = config, lun.disk
        self._note(Kind.TAKEN, lun, f"Lun {number}, Type={config.type}")
        self._say_extensions(lun, config)
        return True

    def _config(self, lun: Lun, number: int, read_only: bool) -> LunConfig | None:
        disk, why = lun.disk, ""
        if disk.store is Store.MEMORY:
            why = "ramdisk: what is in memory only is lost when the source stops; make an image and copy it"
        elif disk.store is Store.FOREIGN:
            why = f"{disk.detail}: ietpy serves files and block devices"
        elif disk.block_size is not None and str(disk.block_size) not in BLOCK_SIZES:
            why = f"blocks of {disk.block_size} bytes: ietpy has {', '.join(BLOCK_SIZES)}"
        elif not 0 <= number <= HIGHEST_LUN:
            why = f"numbers go from 0 to {HIGHEST_LUN}"
        elif disk.store is not Store.NULL and not disk.path.startswith("/"):
            why = "it has no absolute path"
        if why:
            self._note(Kind.LOST, lun, why)
            return None
        kind = _TYPES[disk.store]
        if disk.store is Store.DIRECT and not disk.path.startswith(_DEVICES):
            kind = "fileio"
            self._note(Kind.WARNING, lun, "direct I/O to a file: it goes through the page cache here")
        options: dict[str, Any] = {}
        size = disk.block_size
        if disk.store is Store.NULL and disk.size is not None:
            options["Blocks"] = disk.size // (size or 512)
        return LunConfig(
            number, lun.span, path="" if kind == "nullio" else disk.path, type=kind,
            read_only=(disk.read_only or read_only) and kind != "nullio",
            write_cache=disk.write_cache and kind == "fileio",
            block_size=size if kind == "blockio" or size != 512 else None,
            options=MappingProxyType(options),
            identity=options_of(disk.identity, self.target.name, number),
            removable=disk.removable,
            cached=disk.write_cache and kind == "blockio",
        )

    def _say_extensions(self, lun: Lun, config: LunConfig) -> None:
        identity, options = lun.disk.identity, config.identity
        if " " in config.path:
            self._note(Kind.EXTENSION, lun, "a path with a blank: IET did not serve it, ietpy does")
        parts = [
            f"{option} {value!r}" for option, value in (
                ("vendor", options.vendor), ("product", options.product), ("revision", options.revision)
            ) if value
        ]
        if options.serial or options.page_80:
            long = " longer than 16 characters" if len(identity.serial or b"") > _IET_ID else ""
            parts.append(f"serial{long}")
        if options.page_83:
            parts.append("designators of VPD page 83h (naa and what else it had)")
        if parts:
            self._note(Kind.EXTENSION, lun, f"identity kept by LunOption: {', '.join(parts)}")
        for part in unsaid(identity):
            self._note(Kind.LOST, lun, f"its {part}: LunOption cannot say these bytes")
        missing = unknown(identity)
        if missing:
            why = f"the files do not tell its {', '.join(missing)}: initiators may know the disk by another name"
            self._note(Kind.WARNING, lun, why)

    def _note(self, kind: Kind, lun: Lun, why: str) -> None:
        head, _, tail = why.partition(": ")
        what = f"LUN {lun.number} of {self.target.name}"
        if tail:
            what = f"{head} ({what})"
        self.notes.append(Note(kind, lun.span, what, tail or head))


def _lines(config: LunConfig) -> Iterator[str]:
    yield lun_line(config)
    if said(config) != UNSAID:
        yield rendered(config)


def _reads(config: LunConfig) -> bool:
    """Whether ``config`` is what is read where its lines are written."""
    try:
        text = "\n".join(["Target t", *_lines(config)]) + "\n"
    except UnwritableError:
        return False
    read = loads(text).targets
    return len(read) == 1 and read[0].luns == (replace(config),)
