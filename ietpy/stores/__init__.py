"""Backing stores, the only openers of disks. One row per ``Type=``; a store is imported when one is opened.

To add a store: one module with a class of the BackingStore shape (``ietpy.scsi.store``) and one row here. Its
constructor takes ``(path, *, read_only, block_size, options)`` and raises StoreError.
"""

from __future__ import annotations

import errno
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ietpy.errors import StoreError
from ietpy.schema import Number, Value

if TYPE_CHECKING:
    from ietpy.scsi.store import BackingStore


@dataclass(frozen=True, slots=True)
class StoreOption:
    """One parameter of a ``Lun`` line that only this store knows."""

    name: str
    value: Value
    help: str


@dataclass(frozen=True, slots=True)
class StoreType:
    """One value of ``Type=``. ``opener`` is ``module:class``; without ``takes_path`` a path is refused."""

    name: str
    opener: str
    help: str
    takes_path: bool = True
    options: tuple[StoreOption, ...] = ()


#: More blocks would not fit the 63 bits of a file offset with the largest block size.
_BLOCKS: Final = Number(0, 2**63 // 4096 - 1)

STORES: Final[Mapping[str, StoreType]] = MappingProxyType({row.name: row for row in (
    StoreType(
        "fileio", "ietpy.stores.fileio:FileStore",
        "a regular file or a block device, through the page cache"),
    StoreType(
        "blockio", "ietpy.stores.blockio:BlockStore",
        "a block device, past the page cache and claimed exclusively"),
    StoreType(
        "nullio", "ietpy.stores.nullio:NullStore",
        "no medium: reads zeros and forgets writes, for measuring everything except a disk",
        takes_path=False, options=(
            StoreOption("Blocks", _BLOCKS, "size in blocks of BlockSize; 0, the default: 64 GiB worth"),
            StoreOption("Sectors", _BLOCKS, "the older name of Blocks"),
        )),
)})


def open_store(
    type: str,
    path: str,
    *,
    read_only: bool = False,
    block_size: int | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> BackingStore:
    """Open a store of ``type`` on ``path`` (empty if the type takes none).

    ``block_size``: the LUN's in bytes, None to take the medium's. ``options``: parsed values by the names of
    the row's ``options``. Whether writes are forced to the medium (FUA) is decided for each write, not here.
    Raises StoreError: EINVAL for a wrong call or medium, otherwise what the system said.
    """
    row = STORES.get(type)
    if row is None:
        raise StoreError(errno.EINVAL, f"there is no store type {type!r}; use {', '.join(STORES)}")
    if bool(path) != row.takes_path:
        raise StoreError(
            errno.EINVAL, f"{type} needs the path of its medium" if row.takes_path
            else f"{type} has no medium; leave out the path {path}")
    known = [option.name for option in row.options]
    for name in options:
        if name not in known:
            accepted = ", ".join(known) or "none"
            raise StoreError(errno.EINVAL, f"{type} has no option {name}; it has {accepted}")
    module, _, attribute = row.opener.partition(":")
    opener = getattr(importlib.import_module(module), attribute)
    store: BackingStore = opener(path, read_only=read_only, block_size=block_size, options=options)
    return store
