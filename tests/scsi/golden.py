"""One exchange with a logical unit, byte for byte. The tables are ``golden_*.py``; ``test_golden`` runs them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Case(NamedTuple):
    """All bytes in hexadecimal, blanks allowed.

    The disk is ``make_disk(**options)``: 1 MiB of zeros in blocks of 512 bytes, LUN 0 of conftest's NAME, thin, write
    through, no state kept. ``before``: (CDB, Data-Out) pairs executed first by the same nexus, which must end GOOD.
    ``out`` is Data-Out, ``answer`` all of Data-In. ``sense`` is all sense data, where the answer is CHECK CONDITION;
    ``status`` any other status than GOOD. ``medium``: (offset in bytes, bytes that are there afterwards).
    """

    cdb: str
    answer: str = ""
    out: str = ""
    sense: str = ""
    status: int = 0
    before: tuple[tuple[str, str], ...] = ()
    medium: tuple[int, str] | None = None
    options: Mapping[str, Any] = MappingProxyType({})
