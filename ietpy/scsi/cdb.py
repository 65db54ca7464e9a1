"""Where things are in CDBs, by their length (SPC-4 section 4.2): precompiled unpackers and field readers.

The data path calls the unpackers of this module and nothing else of it.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final

#: (21-bit LBA, TRANSFER LENGTH) where 0 means 256 blocks; the LBA's upper three bits are reserved.
unpack_6: Final = Struct(">IBx").unpack_from
LBA_6: Final = 0x1FFFFF

#: (byte 1, LOGICAL BLOCK ADDRESS, TRANSFER LENGTH)
unpack_10: Final = Struct(">xBIxHx").unpack_from
unpack_12: Final = Struct(">xBIIxx").unpack_from
unpack_16: Final = Struct(">xBQIxx").unpack_from

DPO: Final = 0x10  #: byte 1 of READ, WRITE and VERIFY: disable page out, a hint
FUA: Final = 0x08  #: byte 1 of READ and WRITE: force unit access

SERVICE_ACTION: Final = 0x1F  #: byte 1 of commands with a service action there


def field(offset: int, width: int) -> Callable[[bytes], int]:
    """A reader of the big-endian number of ``width`` bytes at ``offset``; not for the data path."""
    end = offset + width

    def read(cdb: bytes) -> int:
        return int.from_bytes(cdb[offset:end], "big")

    return read
