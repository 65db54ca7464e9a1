"""A target and a logical unit as they are served, and the plain facts that are told of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ietpy.config.model import LunConfig, TargetConfig
from ietpy.config.options import OPTIONS
from ietpy.daemon.media import Held
from ietpy.errors import Diagnostic
from ietpy.iscsi.keys import KEYS, Parameters, Result
from ietpy.iscsi.target import TargetNode
from ietpy.schema import WordList
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.server.facts import error_facts, latency_facts, tally_facts
from ietpy.stores.state import FileState


@dataclass(slots=True, eq=False)
class ServedUnit:
    """A Lun line that is served, and with what. ``state``: what it keeps over a loss of power, if it can."""

    config: LunConfig
    unit: LogicalUnit
    held: Held
    state: FileState | None = None


@dataclass(slots=True, eq=False)
class ServedTarget:
    """A target with IET's number for it. ``units`` in the order of creation, by LUN."""

    tid: int
    config: TargetConfig
    node: TargetNode
    units: dict[int, ServedUnit] = field(default_factory=dict)
    #: Removed, while their last commands are being finished.
    leaving: list[ServedUnit] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        return bool(self.node.sessions or self.node.ending)


def target_facts(target: ServedTarget) -> dict[str, Any]:
    """A target for ``status --json``; what is counted is of all sessions it had and has."""
    units = [lun_facts(each, False) for each in list(target.units.values())]
    tally = target.node.tally()
    return {
        "tid": target.tid,
        "name": target.config.name,
        "sessions": len(target.node.sessions),
        "logins": tally.sessions,
        **tally_facts(tally),
        "luns": [*units, *(lun_facts(each, True) for each in list(target.leaving))],
    }


def lun_facts(served: ServedUnit, leaving: bool) -> dict[str, Any]:
    """A logical unit for ``status --json``; sizes in bytes. ``leaving``: removed, its last commands are finished."""
    lun, unit = served.config, served.unit
    counted, size, latency = unit.statistics(), unit.block_size, unit.latency()
    return {
        "number": lun.number,
        "type": lun.type,
        "path": lun.path,
        "mode": mode_of(lun),
        "block_size": unit.block_size,
        "size": unit.blocks * unit.block_size,
        "leaving": leaving,
        "reads": counted.reads,
        "writes": counted.writes,
        "bytes_read": counted.blocks_read * size,
        "bytes_written": counted.blocks_written * size,
        "errors": error_facts(dict(unit.record.errors)),
        "latency": latency_facts(latency) if any(latency.counts) else None,
    }


def mode_of(lun: LunConfig) -> str:
    """IOMode as IET showed it: of several that were given, ro before wb before wt."""
    return "ro" if lun.read_only else "wb" if lun.caches else "wt"


def problem_facts(problem: Diagnostic) -> dict[str, Any]:
    """A diagnostic for ``status --json``."""
    span = problem.span
    return {
        "file": span.file,
        "line": span.line,
        "column": span.column,
        "severity": problem.severity,
        "code": problem.code,
        "problem": problem.problem,
        "hint": problem.hint,
        "text": str(problem),
    }


#: What IET showed for keys that are answered without a look at what is configured (RFC 7143 section 13.25).
_ANSWERS: Final = {Result.OBSOLETE_NO: "No", Result.OBSOLETE_REJECT: "Reject"}


def configured(target: TargetConfig) -> dict[str, str]:
    """Session parameters by name; those the configuration does not name as IET had them (decisions 7)."""
    rows = {row.name: row for row in OPTIONS if row.session_key}
    shown = {name: row.iet_default for name, row in rows.items()}
    for name, value in target.session_keys.items():
        kind = rows[name].value
        if isinstance(kind, WordList):
            value = sorted(value, key=kind.words.index)
        shown[name] = kind.render(value)
    return shown | {key.name: _ANSWERS[key.result] for key in KEYS if key.result in _ANSWERS}


def negotiated(parameters: Parameters) -> dict[str, str]:
    """Session parameters by name, as they hold: those that have an option, as with IET."""
    shown = {}
    for key in KEYS:
        if key.attribute and key.option:
            value = getattr(parameters, key.attribute)
            if isinstance(key.value, WordList):
                value = ("CRC32C",) if value else ("None",)
            shown[key.name] = key.value.render(value)
            if key.cap:
                shown[key.cap] = key.value.render(getattr(parameters, key.peer))
    return shown | {key.name: _ANSWERS[key.result] for key in KEYS if key.result in _ANSWERS}
