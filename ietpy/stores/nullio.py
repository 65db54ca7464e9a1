"""Type=nullio: reads zeros, forgets writes; for measuring everything except a disk."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from ietpy.errors import StoreError
from ietpy.scsi.store import BackingStore, Capabilities, Extent

#: IET's size unless the options say otherwise: 64 GiB.
DEFAULT_SIZE: Final = 1 << 36
_ZEROS: Final = memoryview(bytes(1 << 20))


class NullStore:
    """A BackingStore (``ietpy.scsi.store``) without a medium.

    Options: ``Blocks``, or its older name ``Sectors``: how many blocks of ``block_size``; 0: 64 GiB worth.
    """

    __slots__ = ("block_size", "capabilities", "physical_block_size", "size")

    def __init__(
        self,
        path: str = "",
        *,
        read_only: bool = False,
        block_size: int | None = None,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        unit = block_size or 512
        blocks = options.get("Blocks") or options.get("Sectors") or DEFAULT_SIZE // unit
        self.size: int = blocks * unit
        self.block_size: int = 512
        self.physical_block_size: int = 512
        self.capabilities: Capabilities = Capabilities(immediate=True)

    def read(self, offset: int, buffer: memoryview) -> None:
        for start in range(0, len(buffer), len(_ZEROS)):
            part = buffer[start:start + len(_ZEROS)]
            part[:] = _ZEROS[:len(part)]

    def read_now(self, offset: int, buffer: memoryview) -> bool:
        self.read(offset, buffer)
        return True

    def extent(self, offset: int, length: int) -> Extent | None:
        return None

    def write(self, offset: int, views: Sequence[memoryview], fua: bool) -> None: ...

    losses = 0

    def mark(self) -> int | None:
        return None

    def commit(self, mark: int) -> None:
        self.flush()

    def flush(self) -> None: ...

    def discard(self, offset: int, length: int) -> None: ...

    def zero(self, offset: int, length: int) -> None: ...

    def mapped(self, offset: int, length: int) -> tuple[bool, int]:
        return True, length

    def copy(self, offset: int, source: BackingStore, source_offset: int, length: int) -> bool:
        return False

    def prefetch(self, offset: int, length: int) -> None: ...

    def measured(self) -> int:
        return self.size

    def resize(self, size: int) -> None:
        raise StoreError(errno.EOPNOTSUPP, "nullio has no file; its size is Blocks of the Lun line")

    def close(self) -> None: ...
