"""What is wrong at this moment with what is served, as problems of ``status``: what is stuck, or was lost, by unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ietpy.daemon.served import ServedTarget
from ietpy.errors import Diagnostic, Span
from ietpy.scsi import cache

STUCK: Final = "lun-stuck"
LOST: Final = "lun-cache-lost"
_HINT: Final = "look at the device and the kernel's log; other LUNs are served"
_LOST_HINT: Final = (
    "look at the device and the kernel's log; when it is well, remove the LUN and add it again, or restart the daemon,"
    " and have initiators check their file systems"
)


def stuck(found: Iterable[dict[str, Any]], targets: Sequence[ServedTarget], file: str) -> list[Diagnostic]:
    """One problem for each unit of which commands are stuck (``server.stuck``), at its line, or that of ``file``."""
    by_unit: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for each in found:
        by_unit.setdefault((each["target"], each["lun"]), []).append(each)
    lines = {
        (target.config.name, number): unit.config.span
        for target in targets for number, unit in tuple(target.units.items())
    }
    problems = []
    for (target, lun), commands in by_unit.items():
        oldest, more = commands[0], len(commands) - 1
        problem = (
            f"LUN {lun} of {target} does not answer: {oldest['command']} of {oldest['initiator']} has been waiting for"
            f" its medium for {oldest['seconds']} s"
        ) + (f", and {more} more" if more else "")
        problems.append(Diagnostic(lines.get((target, lun), Span(file, 1, 1)), "error", STUCK, problem, _HINT))
    return problems


def lost(targets: Sequence[ServedTarget]) -> list[Diagnostic]:
    """One problem for each unit whose write cache has lost something (decisions 60)."""
    return [
        Diagnostic(
            unit.config.span, "error", LOST,
            f"LUN {number} of {target.config.name} has lost something of its write cache: flushing it failed",
            _LOST_HINT,
        )
        for target in targets for number, unit in tuple(target.units.items()) if cache.lost(unit.unit)
    ]
