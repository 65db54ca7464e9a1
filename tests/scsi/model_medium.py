"""A medium of the model: bytes, and which of them a loss of power may undo."""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.scsi.model_sense import Check

SECTOR: Final = 512  #: bytes; what is volatile is kept track of by these
PAGE: Final = 4096  #: what a thin medium of these tests maps at once


class Traits(NamedTuple):
    """``thin``: "zeros", what is unmapped reads as zeros; "free", it can be unmapped; "". ``cached``: has a cache."""

    thin: str = "zeros"
    cached: bool = True


class Medium:
    """Bytes. ``volatile``: for every sector the bit of the unit that wrote it last, if a loss of power may undo that.

    ``fault``: what the next access ends with, (key, code) when reading and when writing.
    """

    def __init__(self, size: int, traits: Traits) -> None:
        self.size = size
        self.traits = traits
        self.content = bytearray(size)
        self.volatile = bytearray(size // SECTOR)
        self.fault: tuple[tuple[int, int], tuple[int, int]] | None = None

    def touch(self, writing: bool) -> None:
        if self.fault is not None:
            raise Check(*self.fault[writing])

    def read(self, offset: int, length: int) -> bytes:
        """Also as a part of a command that writes."""
        if length:
            self.touch(False)
        return bytes(self.content[offset:offset + length])

    def write(self, offset: int, data: bytes, bit: int) -> None:
        """``bit``: 0 if it must survive a loss of power."""
        self.touch(True)
        self.content[offset:offset + len(data)] = data
        first, end = offset // SECTOR, -(-(offset + len(data)) // SECTOR)
        self.volatile[first:end] = bytes((bit,)) * (end - first)

    def flush(self, bit: int, offset: int = 0, length: int | None = None) -> None:
        """What ``bit`` wrote is safe now, in this range at least."""
        self.touch(True)
        if bit in self.volatile:
            first, end = offset // SECTOR, (self.size if length is None else offset + length) // SECTOR
            self.volatile[first:end] = self.volatile[first:end].replace(bytes((bit,)), b"\0")

    def resize(self, size: int) -> None:
        self.size = size
        self.content[size:] = bytes(len(self.content) - size)
        self.volatile[size // SECTOR:] = bytes(len(self.volatile) - size // SECTOR)

    def is_mapped(self, offset: int, length: int) -> bool:
        """Whether any page in the range is."""
        first = offset // PAGE * PAGE
        end = -(-(offset + length) // PAGE) * PAGE
        return any(self.content[first:min(end, self.size)])
