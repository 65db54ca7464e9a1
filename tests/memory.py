"""What the system says of a stretch of memory; for tests of several packages."""

from __future__ import annotations

import ctypes
import mmap


def resident(buffer: mmap.mmap) -> int:
    """Bytes of ``buffer`` that are there (mincore(2))."""
    told = (ctypes.c_ubyte * (len(buffer) // mmap.PAGESIZE))()
    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    assert ctypes.CDLL(None).mincore(ctypes.c_void_p(address), ctypes.c_size_t(len(buffer)), told) == 0
    return sum(page & 1 for page in told) * mmap.PAGESIZE
