"""What belongs to one ``Target`` line, or to discovery, while the file is being read."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from ietpy.config.findings import Finding, Report
from ietpy.config.model import Account, LunConfig, TargetConfig
from ietpy.config.options import OPTIONS
from ietpy.config.syntax import Word, to_bytes, to_text

LONGEST_NAME: Final = 255  #: bytes; iet-compat 1.4
ISCSI_NAME: Final = 223  #: bytes; RFC 7143 section 4.2.7.1


@dataclass(slots=True)
class Block:
    """A target being read. ``heir`` makes it an orphan: nothing of it is served, its accounts go to the heir.

    IET gave the accounts below a Target line it could not use to somebody else, and that somebody may be closed
    to the world only by them (iet-compat 1.3); so ``repair`` does the same.
    """

    place: Word
    name: str = ""
    heir: Block | None = None
    luns: dict[int, LunConfig] = field(default_factory=dict)
    incoming: list[Account] = field(default_factory=list)
    outgoing: Account | None = None
    closed: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    alias: str = ""
    addresses: list[str] = field(default_factory=list)
    initiators: list[str] = field(default_factory=list)

    def add_incoming(self, account: Account, report: Report, place: Word) -> None:
        if any(other.name == account.name for other in self.incoming):
            report.add(
                Finding.SAME_USER,
                place,
                "this user has an account already; the later line counts",
                "remove one of the lines",
            )
        self.incoming.append(account)

    def add_outgoing(self, account: Account, report: Report, place: Word) -> None:
        if self.outgoing is not None:
            report.add(
                Finding.SECOND_OUTGOING,
                place,
                "there is an OutgoingUser already; the later line counts",
                "remove one of the lines",
            )
        self.outgoing = account

    def add_lun(self, lun: LunConfig, report: Report, place: Word) -> None:
        first = self.luns.get(lun.number)
        if first is not None:
            report.add(
                Finding.DUPLICATE_LUN,
                place,
                f"target {self.name} has a LUN {lun.number} already, at {first.span}; this one is not served",
                "give it another number",
            )
            return
        self.luns[lun.number] = lun

    def finished(self, report: Report) -> TargetConfig:
        """The target as the model has it."""
        fields = {
            option.attribute: self.values[option.name]
            for option in OPTIONS
            if option.attribute and option.name in self.values and option.attribute != "scsi_type"
        }
        keys = {
            option.name: self.values[option.name]
            for option in OPTIONS
            if option.session_key and option.name in self.values
        }
        interval, timeout = fields.get("nop_interval", 0), fields.get("nop_timeout", 0)
        fields["nop_timeout"] = timeout if 0 < timeout <= interval else interval
        return TargetConfig(
            self.name,
            report.span(self.place),
            alias=self.alias,
            luns=tuple(self.luns.values()),
            incoming=tuple(self.incoming),
            outgoing=self.outgoing,
            closed=self.closed,
            session_keys=MappingProxyType(keys),
            initiator_addresses=tuple(self.addresses),
            initiator_names=tuple(self.initiators),
            **fields,
        )


def usable_name(word: Word, report: Report) -> str | None:
    """A target's name as it holds in this mode, or None for one that cannot be served."""
    data = to_bytes(word.text)
    if len(data) > LONGEST_NAME:
        problem = f"a name of {len(data)} bytes; nothing below it is served"
        iet = f"cut it after {LONGEST_NAME} bytes"
        report.add(Finding.TARGET_NAME, word, problem, f"use at most {ISCSI_NAME}", iet)
        return to_text(data[:LONGEST_NAME]) if report.mode == "iet" else None
    if len(data) > ISCSI_NAME:
        problem = f"a name of {len(data)} bytes, more than iSCSI allows"
        report.add(Finding.LONG_NAME, word, problem, f"use at most {ISCSI_NAME}")
    return word.text
