"""Histories by which the model test has found something, shortened, with what was expected by which section."""

from __future__ import annotations

from typing import Any, Final

_MEDIA: Final = [[163840, "zeros", True], [65536, "zeros", True]]
#: One logical unit: of 512-byte blocks, write through, with a place for what survives.
_ONE: Final = ["setup", _MEDIA, [[0, 0, 0, [512, False, False, False, True, 0]]]]
_TEST: Final = "000000000000"
#: Caching mode pages with WCE.
_CACHE_ON, _CACHE_OFF = (f"h:0000000008121{wce}00ffff0000ffffffff0000000000000000" for wce in ("4", "0"))
#: EXTENDED COPY with list identifier 2, of one segment whose both ends are nobody.
_COPY_CDB: Final = "830000000000000000000000004c0000"
_COPY: Final = (
    "h:02000020000000000000001c00000000"
    "e400000001010018494554000000000000000000000000000000000000000000"
    "02000018000000000000000100000000000000000000000000000000"
)


def _command(who: str, cdb: str, data: str = "", fault: str = "") -> list[Any]:
    return ["command", who, 0, 0, cdb, data, 0, 3, 1, fault]


#: By what was wrong.
HISTORIES: Final[dict[str, list[list[Any]]]] = {
    # SAM-5 5.14: 29h/00h has the highest precedence, whatever is older, also for REQUEST SENSE
    "REQUEST SENSE told the oldest condition, not the reset": [
        _ONE, _command("A", _TEST), _command("B", _TEST), _command("B", _TEST),
        _command("A", "151000001800", _CACHE_ON), ["reset", 0, 0], _command("B", "03000000fc00"),
    ],
    # SAM-5 5.3.3
    "I_T NEXUS LOSS OCCURRED was told after a reservation conflict": [
        _ONE, _command("A", _TEST), _command("B", _TEST), _command("B", "160000000000"), ["reset_nexus", "A", 0],
        _command("A", "080000000100"),
    ],
    # SPC-4 7.5.8: D_SENSE is the logical unit's
    "the unit that was removed chose the format of its successor's sense data": [
        _ONE, _command("A", _TEST), _command("A", "151000001000", "h:000000000a0a06100000000000000000"),
        ["remove", 0, 0], ["add", 0, 0, 0, [512, False, False, False, False, 0]], _command("A", _TEST),
    ],
    # SBC-3 5.8 and 5.28: what was cached goes to the medium before it is read there
    "what was cached stayed volatile after a reset ended write caching": [
        _ONE, _command("A", _TEST), _command("A", "151000001800", _CACHE_ON),
        _command("A", "2a000000000000000100", "n:0:512"), ["reset", 0, 0], _command("A", _TEST),
        _command("A", "28080000000000000100"),
    ],
    "what was cached stayed volatile after the flush failed that ended write caching": [
        _ONE, _command("A", _TEST), _command("A", "151000001800", _CACHE_ON),
        _command("A", "2a000000000000000100", "n:0:512"), _command("A", "151000001800", _CACHE_OFF, "EIO"),
        _command("A", "2f000000000000000100"),
    ],
    # SPC-4 6.25: discarded with being told; 6.23: discarded when it was told in full, and then there are no details
    "the status of a copy was told twice, its failure details cut short and with its status": [
        _ONE, _command("A", _TEST), _command("A", _COPY_CDB, _COPY), _command("A", "840402000000000000000000000400"),
        _command("A", "84040200000000000000000000ff0000"), _command("A", "84040200000000000000000000ff0000"),
        _command("A", "84000200000000000000000000ff0000"), _command("A", "84000200000000000000000000ff0000"),
        _command("A", _COPY_CDB, _COPY), ["reset", 0, 0], _command("A", _TEST),
        _command("A", "84000200000000000000000000ff0000"),
    ],
}
