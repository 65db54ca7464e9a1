"""The keys of iet-compat 2.2 and 2.4: least and greatest value, what lies beyond, what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from .rule import Rule, T


@dataclass(frozen=True)
class NumberKey:
    """A number. ``beyond``: what IET took out of range; ``forced``: the only value it worked with."""

    section: str
    name: str
    default: int
    low: int
    high: int
    beyond: int
    shown: str = ""  #: how ``dump`` names it; empty: as a session key
    forced: int | None = None
    honoured: bool = False  #: ietpy takes the others at their word, unless it reads as IET
    kernel: int | None = None  #: above it IET's kernel module took ``beyond``
    above: str = ""  #: lines without which it has no effect

    @property
    def crashes(self) -> bool:
        """Whether ietd crashed without a value, as with all session keys."""
        return not self.shown and self.name != "Type"


@dataclass(frozen=True)
class BoolKey:
    """Yes or No; ``forced``: the only value IET worked with."""

    name: str
    default: bool
    forced: bool | None = None
    honoured: bool = False


NUMBERS: Final = (
    NumberKey("2.2", "Wthreads", 8, 1, 128, 1, "wthreads"),
    NumberKey("2.2", "Type", 0, 0, 16, 0, forced=0),
    NumberKey("2.2", "QueuedCommands", 32, 1, 256, 1, "queued_commands"),
    NumberKey("2.2", "NOPInterval", 0, 0, 90, 0, "nop_interval"),
    NumberKey("2.2", "NOPTimeout", 0, 0, 90, 0, "nop_timeout", above="NOPInterval 90\n"),
    NumberKey("2.4", "MaxConnections", 1, 1, 65535, 1),
    NumberKey("2.4", "MaxRecvDataSegmentLength", 8192, 512, 16777215, 512, kernel=262144),
    NumberKey("2.4", "MaxXmitDataSegmentLength", 8192, 512, 16777215, 512, kernel=262144),
    NumberKey("2.4", "MaxBurstLength", 262144, 512, 16777215, 512),
    NumberKey("2.4", "FirstBurstLength", 65536, 512, 16777215, 512),
    NumberKey("2.4", "DefaultTime2Wait", 2, 0, 3600, 3600),
    NumberKey("2.4", "DefaultTime2Retain", 0, 0, 3600, 0, forced=0, honoured=True),
    NumberKey("2.4", "MaxOutstandingR2T", 1, 1, 65535, 1),
    NumberKey("2.4", "ErrorRecoveryLevel", 0, 0, 2, 0, forced=0, honoured=True),
)

BOOLS: Final = (
    BoolKey("InitialR2T", True),
    BoolKey("ImmediateData", True),
    BoolKey("DataPDUInOrder", True, True, True),
    BoolKey("DataSequenceInOrder", True, True, True),
    BoolKey("OFMarker", False, False),
    BoolKey("IFMarker", False, False),
)

#: What has no range, as iet-compat writes the default.
OTHERS: Final = {
    "MaxSessions": "0",
    "HeaderDigest": "None",
    "DataDigest": "None",
    "OFMarkInt": "2048",
    "IFMarkInt": "2048",
}

_HIDDEN: Final = {"wthreads": 8, "queued_commands": None, "nop_interval": 0, "nop_timeout": 0}


def _dumped(key: NumberKey, value: int | None) -> str:
    """The target with this value, as ``dump`` writes it; None: without the line."""
    if key.name == "Type":
        return "t:"
    if not key.shown:
        return "t:" if value is None else f"t: {key.name}={value}"
    values: dict[str, Any] = {key.shown: value}
    if key.shown.startswith("nop"):
        interval = value if key.name == "NOPInterval" else 90
        values = {"nop_interval": interval, "nop_timeout": (value if key.name == "NOPTimeout" else 0) or interval}
    words = [f"{name}={one}" for name, one in values.items() if one not in (None, _HIDDEN[name])]
    return " ".join(["t:", *words])


def _number_rules(key: NumberKey) -> Iterator[Rule]:
    line = f"@{2 + bool(key.above)}"
    forced = f" forced-value{line}"

    def held(value: int) -> int:
        return value if key.forced is None else key.forced

    def rule(value: int | str, did: str, **expected: Any) -> Rule:
        return Rule(key.section, f"{key.name} {value}".strip(), f"{T}{key.above}{key.name} {value}\n", did, **expected)

    for value in (key.low, key.high):
        found = forced.strip() if held(value) != value else ""
        did = f"accepted {key.low} to {key.high}" + (f" and forced {key.forced}" if key.forced is not None else "")
        if key.kernel is not None and value > key.kernel:
            found = f"over-kernel-limit{line}"
            did = f"accepted it in ietd; the kernel module took {key.beyond}"
            yield rule(value, did, repair=_dumped(key, value), found=found, iet=_dumped(key, key.beyond))
        else:
            meant = {"repair": _dumped(key, held(value)), "found": found}
            if key.honoured and found:
                meant = {"repair": _dumped(key, value), "iet": _dumped(key, held(value)), "iet_found": found}
            yield rule(value, did, **meant, starts=True)
    for value, nearest in ((key.low - 1, key.low), (key.high + 1, key.high)):
        yield rule(
            value,
            f"took {key.beyond}, in silence",
            repair=_dumped(key, nearest if key.honoured else held(nearest)),
            found=f"out-of-range{line}" + (forced if held(nearest) != nearest and not key.honoured else ""),
            iet=_dumped(key, held(key.beyond)),
            iet_found=f"out-of-range{line}",
        )
    if key.crashes:
        yield rule("", "crashed", repair="t:", found=f"missing-value{line}")
    else:
        beyond = "" if key.low == 0 else f" out-of-range{line}"
        yield rule(
            "",
            f"took 0, so {max(0, key.low)}",
            repair=_dumped(key, None),
            found=f"missing-value{line}",
            iet=_dumped(key, max(0, key.low)),
            iet_found=f"missing-value{line}{beyond}",
        )


def _bool_rules(key: BoolKey) -> Iterator[Rule]:
    for word, value in (("Yes", True), ("No", False)):
        held = value if key.forced is None else key.forced
        found = "" if held == value else "forced-value@2"
        yield Rule(
            "2.4",
            f"{key.name} {word}",
            f"{T}{key.name} {word}\n",
            "held to it" if held == value else f"forced {'Yes' if key.forced else 'No'}",
            f"t: {key.name}={value if key.honoured else held}",
            "" if key.honoured else found,
            f"t: {key.name}={held}",
            found,
            "" if key.honoured else found,
            starts=True,
        )


RULES: Final = (
    *(rule for key in NUMBERS for rule in _number_rules(key)),
    *(rule for key in BOOLS for rule in _bool_rules(key)),
)
