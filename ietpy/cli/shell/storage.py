"""targetcli's backstores: names for what LUNs are made of. Pure; ``book`` keeps them, LUNs are ietd.conf's."""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass, replace
from typing import Final

from ietpy.cli.shell.book import Backstore, Book
from ietpy.config.model import Configuration, LunConfig, TargetConfig
from ietpy.errors import UsageError
from ietpy.images import parse_size


@dataclass(frozen=True, slots=True)
class Plugin:
    """One row: a kind of backstores, and the Type of their LUNs."""

    name: str
    type: str
    help: str


PLUGINS: Final = (
    Plugin("block", "blockio", "block devices, around the page cache"),
    Plugin("fileio", "fileio", "files, through the page cache"),
)
#: LUNs that hold no data; targetcli knew none such, so they are shown and no more.
NULL: Final = Plugin("nullio", "nullio", "LUNs that hold no data, made by a Lun line of ietd.conf")
#: What targetcli has, and why ietpy has not.
ABSENT: Final = {
    "ramdisk": "ietpy has no RAM disks: /backstores/fileio create NAME /dev/shm/NAME.img SIZE makes one of a file",
    "pscsi": "ietpy passes no SCSI commands through: /backstores/block serves the device as a disk",
    "user": "ietpy has no backstores of user programs, being one itself",
}
_PLUGIN_OF_TYPE: Final = {each.type: each.name for each in (*PLUGINS, NULL)}
TYPE_OF_PLUGIN: Final = {each.name: each.type for each in (*PLUGINS, NULL)}
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.:-]+")
_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_SIZE: Final = re.compile(r"([0-9.,]+\s*[kmgt]?)b?", re.IGNORECASE | re.ASCII)
_LIO: Final = "LIO-ORG"
_IMAGE: Final = (".img", ".raw", ".iso")


def backstores(configuration: Configuration, book: Book) -> tuple[Backstore, ...]:
    """Those with names, then what LUNs are made of beside."""
    found = list(book.backstores)
    for target in configuration.targets:
        for lun in target.luns:
            index = next((number for number, one in enumerate(found) if _made_of(one, lun)), None)
            if index is None:
                found.append(unnamed(lun, found))
            else:  # the file is the truth
                found[index] = replace(found[index], write_back=lun.caches, read_only=lun.read_only)
    return tuple(found)


def users(configuration: Configuration, one: Backstore) -> list[tuple[TargetConfig, LunConfig]]:
    """The LUNs that are made of it."""
    return [(target, lun) for target in configuration.targets for lun in target.luns if _made_of(one, lun)]


def backstore_of(found: tuple[Backstore, ...], lun: LunConfig) -> Backstore:
    """The one a LUN is made of."""
    return next(one for one in found if _made_of(one, lun))


def _made_of(one: Backstore, lun: LunConfig) -> bool:
    return (TYPE_OF_PLUGIN.get(one.plugin), one.path) == (lun.type, lun.path)


def unnamed(lun: LunConfig, others: list[Backstore]) -> Backstore:
    """One with a name made of its path; a disk that came from LIO has the name it had there for its product."""
    plugin = _PLUGIN_OF_TYPE.get(lun.type, lun.type)
    base = os.path.basename(lun.path)
    stem, suffix = os.path.splitext(base)
    wanted = lun.identity.product if lun.identity.vendor == _LIO else None
    plain = _UNSAFE.sub("-", wanted or (stem if suffix in _IMAGE else base)).strip("-")[:60] or "disk"
    taken = {one.name for one in others if one.plugin == plugin}
    name = plain
    for number in range(2, len(taken) + 3):
        if name not in taken:
            break
        name = f"{plain}-{number}"
    return Backstore(plugin, name, lun.path, lun.caches, lun.read_only)


def check_name(name: str) -> None:
    """Raise UsageError for what cannot be a step of a path."""
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise UsageError(f"{name[:70]!a} is no name of a backstore; write up to 64 letters, digits and any of _ . : -")


def size_of(word: str) -> int:
    """Bytes of a size as targetcli has them: ``10G``, ``10GB``, ``512m``. Raises UsageError."""
    match = _SIZE.fullmatch(word.strip())
    return parse_size(match[1].replace(" ", "") if match else word)


def in_units(size: int) -> str:
    """As targetcli shows sizes: ``10.0GiB``."""
    amount = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{size}bytes" if unit == "bytes" else f"{amount:.1f}{unit}"
