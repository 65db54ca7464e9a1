"""Block commands (SBC-3 section 5): the medium, what is on it, and what is known of it."""

from __future__ import annotations

from typing import Final

from ietpy.scsi.store import Capabilities
from tests.scsi.golden import Case

_IN_CDB: Final = "70 00 05 00000000 0A 00000000 2400 00 {}"
_NO_POINTER: Final = _IN_CDB.format("000000")
_OUT_OF_RANGE: Final = "F0 00 05 {} 0A 00000000 2100 00 000000"
_PROTECTED: Final = "70 00 07 00000000 0A 00000000 2700 00 000000"
_MISCOMPARE: Final = "F0 00 0E {} 0A 00000000 1D00 00 000000"
_READ_ONLY: Final = {"read_only": True}
_THICK: Final = {"capabilities": Capabilities(immediate=True)}
_NO_PROMISE: Final = {"capabilities": Capabilities(immediate=True, discard=True)}

_A: Final = "41" * 512
_B: Final = "42" * 512
_NOTHING: Final = "00" * 512
#: Block 1 holds A's.
_WRITTEN: Final = (("2A 00 00000001 00 0001 00", _A),)

CASES: Final[list[Case]] = [
    # Capacity
    Case("25 00 00000000 0000 00 00", "000007FF 00000200"),
    Case("25 00 00000000 0000 00 00", "000000FF 00001000", options={"block_size": 4096}),
    Case("9E 10 0000000000000000 00000020 00 00", "00000000000007FF 00000200 00 03 C000" + "00" * 16),
    Case("9E 10 0000000000000000 0000000E 00 00", "00000000000007FF 00000200 00 03"),
    Case(
        "9E 10 0000000000000000 00000020 00 00", "00000000000000FF 00001000 00 00 C000" + "00" * 16,
        options={"block_size": 4096},
    ),
    Case("9E 10 0000000000000000 00000020 00 00", "00000000000007FF 00000200 00 03 0000" + "00" * 16, options=_THICK),
    # Reading
    Case("08 000001 01 00", _A, before=_WRITTEN),
    Case("28 00 00000001 00 0001 00", _A, before=_WRITTEN),
    Case("28 18 00000001 1F 0002 00", _A + _NOTHING, before=_WRITTEN),
    Case("A8 00 00000001 00000001 00 00", _A, before=_WRITTEN),
    Case("88 00 0000000000000001 00000001 00 00", _A, before=_WRITTEN),
    Case("28 20 00000001 00 0001 00", sense=_IN_CDB.format("CD0001")),
    Case("28 00 00000800 00 0001 00", sense=_OUT_OF_RANGE.format("00000800")),
    Case("88 00 FFFFFFFFFFFFFFFF 00000001 00 00", sense="70 00 05 00000000 0A 00000000 2100 00 000000"),
    # Writing
    Case("0A 000001 01 00", out=_A, medium=(512, _A + _NOTHING)),
    Case("2A 18 00000001 1F 0001 00", out=_A, medium=(512, _A + _NOTHING)),
    Case("AA 00 00000001 00000001 00 00", out=_A, medium=(512, _A + _NOTHING)),
    Case("8A 00 0000000000000001 00000002 00 00", out=_A + _B, medium=(512, _A + _B)),
    Case("2A 20 00000001 00 0001 00", out=_A, sense=_IN_CDB.format("CD0001"), medium=(512, _NOTHING)),
    Case("2A 00 000007FF 00 0002 00", out=_A + _B, sense=_OUT_OF_RANGE.format("00000800")),
    Case("2A 00 00000001 00 0001 00", out=_A, sense=_PROTECTED, options=_READ_ONLY),
    Case("41 08 00000001 00 0001 00", out=_A, sense=_PROTECTED, options=_READ_ONLY),  # UNMAP where there is no LBPWS10
    # Verifying
    Case("2F 00 00000001 00 0001 00", before=_WRITTEN),
    Case("2F 02 00000001 00 0001 00", out=_A, before=_WRITTEN),
    Case("2F 02 00000000 00 0002 00", out=_NOTHING + _B, before=_WRITTEN, sense=_MISCOMPARE.format("00000001")),
    Case("AF 06 00000002 00000009 00 00", out=_NOTHING, before=_WRITTEN),
    Case("AF 06 00000001 00000002 00 00", out=_A, before=_WRITTEN, sense=_MISCOMPARE.format("00000002")),
    Case("8F 02 0000000000000001 00000001 00 00", out=_A, before=_WRITTEN),
    Case("2F 04 00000001 00 0001 00", sense=_IN_CDB.format("CA0001")),
    Case("2E 02 00000001 00 0001 00", out=_A, medium=(512, _A)),
    Case("AE 00 00000001 00000001 00 00", out=_A, medium=(512, _A)),
    Case("8E 12 0000000000000001 00000001 00 00", out=_A, medium=(512, _A)),
    Case("2E 06 00000001 00 0001 00", out=_A, sense=_IN_CDB.format("CA0001")),
    Case("8E 04 0000000000000001 00000001 00 00", out=_A, sense=_IN_CDB.format("CA0001")),
    # COMPARE AND WRITE, ORWRITE
    Case("89 00 0000000000000001 000000 01 00 00", out=_A + _B, before=_WRITTEN, medium=(512, _B + _NOTHING)),
    Case(
        "89 08 0000000000000000 000000 02 00 00", out=_NOTHING + _B + _A + _A, before=_WRITTEN,
        sense=_MISCOMPARE.format("00000200"), medium=(0, _NOTHING + _A),
    ),
    Case("89 00 0000000000000001 000000 00 00 00"),
    Case("89 00 0000000000000001 000000 01 00 00", out=_A, before=_WRITTEN, sense=_IN_CDB.format("C0000D")),
    Case("89 20 0000000000000001 000000 01 00 00", out=_A + _B, sense=_IN_CDB.format("CD0001")),
    Case("89 00 00000000000007FF 000000 02 00 00", out=_A + _B + _A + _B, sense=_OUT_OF_RANGE.format("00000800")),
    Case("89 00 0000000000000001 000000 01 00 00", out=_A + _B, sense=_PROTECTED, options=_READ_ONLY),
    Case(
        "8B 00 0000000000000001 00000001 00 00", out="12" * 512, before=_WRITTEN, medium=(512, "53" * 512 + _NOTHING)
    ),
    Case("8B 20 0000000000000001 00000001 00 00", out=_A, sense=_IN_CDB.format("CD0001")),
    Case("8B 00 0000000000000801 00000000 00 00", sense=_OUT_OF_RANGE.format("00000801")),
    # Caches
    Case("34 00 00000001 00 0001 00", status=4),
    Case("34 02 00000001 1F 0000 00", status=4),
    Case("34 00 00000001 00 0001 00", options={"capabilities": Capabilities()}),
    Case("34 00 000007FF 00 0002 00", sense=_OUT_OF_RANGE.format("00000800")),
    Case("90 00 0000000000000001 00000001 00 00", status=4),
    Case("90 02 0000000000000801 00000000 00 00", sense=_OUT_OF_RANGE.format("00000801")),
    Case("35 00 00000000 00 0000 00"),
    Case("35 02 00000001 1F 0001 00"),
    Case("35 00 00000001 00 0800 00", sense=_OUT_OF_RANGE.format("00000800")),
    Case("91 00 0000000000000000 00000000 00 00"),
    # Defects
    Case("37 00 1D 00000000 0008 00", "00 1D 0000"),
    Case("37 00 0F 00000000 0008 00", sense=_IN_CDB.format("CA0002")),
    Case("B7 10 00000000 00000010 00 00", "00 10 0000 00000000"),
    # Provisioning
    Case(
        "42 00 00000000 00 0028 00",
        out="0026 0020 00000000  0000000000000001 00000001 00000000  0000000000000007 00000000 00000000",
        before=_WRITTEN, medium=(512, _NOTHING),
    ),
    Case("42 00 00000000 00 0000 00"),
    Case("42 00 00000000 00 0007 00", out="00" * 7, sense="70 00 05 00000000 0A 00000000 1A00 00 000000"),
    Case("42 01 00000000 00 0000 00", sense=_IN_CDB.format("C80001")),
    Case(
        "42 00 00000000 00 0018 00", out="0016 0010 00000000  0000000000000800 00000001 00000000",
        sense=_OUT_OF_RANGE.format("00000800"),
    ),
    Case(
        "9E 12 0000000000000001 00000028 00 00",
        "00000024 00000000  0000000000000001 00000007 00 000000  0000000000000008 000007F8 01 000000", before=_WRITTEN,
    ),
    Case("9E 12 0000000000000009 00000008 00 00", "00000014 00000000", before=_WRITTEN),
    Case("9E 12 0000000000000800 00000018 00 00", sense=_OUT_OF_RANGE.format("00000800")),
    Case("9E 12 0000000000000000 00000018 00 00", sense=_IN_CDB.format("CC0001"), options=_NO_PROMISE),
    Case("41 00 00000001 00 0002 00", out=_A, medium=(512, _A + _A + _NOTHING)),
    Case("41 00 000007FE 00 0000 00", out=_B, medium=(0xFFA00, _NOTHING + _B + _B)),
    Case("41 08 00000001 00 0001 00", out=_NOTHING, sense=_IN_CDB.format("CB0001")),
    Case("41 08 00000001 00 0002 00", out=_B, before=_WRITTEN, medium=(512, _B + _B), options=_NO_PROMISE),
    Case("41 10 00000001 00 0001 00", out=_NOTHING, sense=_IN_CDB.format("CC0001")),
    Case("41 00 00000001 00 0001 00", out=_A + _B, sense=_NO_POINTER),
    Case("93 08 0000000000000001 00000001 00 00", out=_NOTHING, before=_WRITTEN, medium=(512, _NOTHING)),
    Case("93 09 0000000000000000 00000000 00 00", before=_WRITTEN, medium=(512, _NOTHING)),
    Case("93 08 0000000000000001 00000001 00 00", out=_B, before=_WRITTEN, medium=(512, _B)),
]
