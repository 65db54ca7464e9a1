"""FORMAT UNIT, SANITIZE and medium removal (SBC-3 sections 5.3, 5.10, 5.24, 5.25)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from tests.scsi.golden import Case

_REMOVABLE: Final[Mapping[str, Any]] = MappingProxyType({"removable": True})
_PROTECTED: Final[Mapping[str, Any]] = MappingProxyType({"read_only": True})
_WRITE: Final = ("2A 00 00000001 00 0001 00", "5A" * 512)
_EJECT: Final = ("1B 01 00 00 02 00", "")
_PREVENT: Final = ("1E 00 00 00 01 00", "")

_NO_MEDIUM: Final = "70 00 02 00000000 0A 00000000 3A00 00 000000"
_REMOVAL_PREVENTED: Final = "70 00 05 00000000 0A 00000000 5302 00 000000"
_WRITE_PROTECTED: Final = "70 00 07 00000000 0A 00000000 2700 00 000000"
_IN_CDB: Final = "70 00 05 00000000 0A 00000000 2400 00 {}"
_IN_LIST: Final = "70 00 05 00000000 0A 00000000 2600 00 {}"
_LIST_LENGTH: Final = "70 00 05 00000000 0A 00000000 1A00 00 000000"

CASES: Final[list[Case]] = [
    # FORMAT UNIT
    Case("04 00 00 00 00 00", before=(_WRITE,), medium=(512, "00" * 512)),
    Case("04 18 00 00 00 00", out="00 82 0000", before=(_WRITE,), medium=(512, "00" * 512)),
    Case("04 30 00 00 00 00", out="00 E8 00 00 00000000  20 01 0003 C0FFEE", medium=(510, "C0FF C0FFEE")),
    Case("04 00 00 00 00 00", options=_PROTECTED, sense=_WRITE_PROTECTED),
    Case("04 90 00 00 00 00", out="00000000", sense=_IN_CDB.format("CF 0001")),
    Case("04 01 00 00 00 00", sense=_IN_CDB.format("CA 0001")),
    Case("04 10 00 00 00 00", out="02 00 0000", sense=_IN_LIST.format("80 0000")),
    Case("04 10 00 00 00 00", out="00 20 0000", sense=_IN_LIST.format("8D 0001")),
    Case("04 10 00 00 00 00", out="00 00 0008 0000000000000001", sense=_IN_LIST.format("80 0002")),
    Case("04 10 00 00 00 00", out="000000", sense=_LIST_LENGTH),
    # SANITIZE
    Case("48 01 00 00 00 00 00 0007 00", out="81 00 0003 C0FFEE", medium=(510, "C0FF C0FFEE")),
    Case("48 A1 00 00 00 00 00 0008 00", out="82 00 0004 C0FFEE00", medium=(0x100000 - 4, "C0FFEE00")),
    Case("48 02 00 00 00 00 00 0000 00", before=(_WRITE,), medium=(512, "00" * 512)),
    Case("48 1F 00 00 00 00 00 0000 00"),
    Case("48 03 00 00 00 00 00 0000 00", sense=_IN_CDB.format("CC 0001")),
    Case("48 01 00 00 00 00 00 0004 00", out="01 00 0000", sense=_IN_CDB.format("C0 0007")),
    Case("48 01 00 00 00 00 00 0006 00", out="00 00 0002 C0FF", sense=_IN_LIST.format("8C 0000")),
    Case("48 01 00 00 00 00 00 0006 00", out="01 00 0000 C0FF", sense=_IN_LIST.format("80 0002")),
    Case("48 02 00 00 00 00 00 0008 00", out="01 00 0004 C0FFEE00", sense=_IN_CDB.format("CB 0008")),
    Case("48 02 00 00 00 00 00 0000 00", options=_PROTECTED, sense=_WRITE_PROTECTED),
    # A medium that can be removed
    Case("12 00 00 0005 00", answer="00 80 06 12 5B", options=_REMOVABLE),
    Case("1E 00 00 00 01 00"),
    Case("1E 00 00 00 02 00", sense=_IN_CDB.format("C9 0004")),
    Case("1B 00 00 00 00 00"),
    Case("1B 00 00 00 02 00", sense=_IN_CDB.format("C9 0004")),
    Case("1B 01 00 00 02 00", options=_REMOVABLE),
    Case("1B 01 00 00 02 00", before=(_PREVENT,), options=_REMOVABLE, sense=_REMOVAL_PREVENTED),
    Case("00 00 00 00 00 00", before=(_EJECT,), options=_REMOVABLE, sense=_NO_MEDIUM),
    Case("28 00 00000000 00 0001 00", before=(_EJECT,), options=_REMOVABLE, sense=_NO_MEDIUM),
    Case("25 00 00000000 00 0000 00", before=(_EJECT,), options=_REMOVABLE, sense=_NO_MEDIUM),
    Case("03 00 00 00 12 00", before=(_EJECT,), options=_REMOVABLE, answer=_NO_MEDIUM),
    Case("1B 01 00 00 03 00", before=(_EJECT,), options=_REMOVABLE),
]
