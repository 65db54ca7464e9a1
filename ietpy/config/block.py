"""What belongs to one ``Target`` line, or to discovery, while the file is being read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from ietpy.config.findings import Finding, Report
from ietpy.config.initiator_access import look
from ietpy.config.lun_option import LunOptions
from ietpy.config.model import Account, InitiatorConfig, LunConfig, TargetConfig, effective_nop_timeout
from ietpy.config.options import OPTIONS, Option, Origin
from ietpy.config.secret_files import check_directions
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
    lun_options: LunOptions = field(default_factory=LunOptions)
    incoming: list[Account] = field(default_factory=list)
    outgoing: Account | None = None
    mended: list[Account] = field(default_factory=list)  #: accounts of lines IET did not read
    mended_outgoing: Account | None = None
    algorithms: tuple[str, ...] = ()  #: of CHAP; empty: all
    closed: str = ""
    asks: str = ""  #: why it is closed unless it has an account
    read_only: bool = False  #: whatever the Lun lines say
    second: bool = False  #: we are below a second Target line of its name, which IET ignored but for accounts
    unread: set[str] = field(default_factory=set)  #: values that stand on lines IET did not read
    values: dict[str, Any] = field(default_factory=dict)
    alias: str = ""
    addresses: list[Word] = field(default_factory=list)
    initiators: list[Word] = field(default_factory=list)
    admitted: list[InitiatorConfig] = field(default_factory=list)  #: Initiator lines
    portal_groups: dict[int, Word] = field(default_factory=dict)  #: tags, and where they stand

    def restricted(self, option: Option) -> Block | None:
        """What a restriction here is about; None: nothing that is served.

        In a second block of its name, of which IET read accounts only, an Initiator line is about the target all the
        same: it closes in every mode.
        """
        if self.heir is None or option.origin is not Origin.IETPY:
            return None if self.heir else self
        return self.heir if self.heir.name and self.place.text.lower() == self.heir.name.lower() else None

    def close(self, why: str) -> None:
        """Serve nobody; the first reason stays."""
        self.closed = self.closed or why

    def add_incoming(self, account: Account, report: Report, place: Word, *, read: bool = True) -> None:
        """``read``: IET read this line. One it did not read never takes the place of one it did."""
        same = [other for other in (*self.incoming, *self.mended) if other.name == account.name]
        if same:
            later = read or not any(other in self.incoming for other in same)
            counts = "the later line" if later else "the line IET read"
            problem = f"this user has an account already; {counts} counts"
            report.add(Finding.SAME_USER, place, problem, "remove one of the lines")
        (self.incoming if read else self.mended).append(account)

    def add_outgoing(self, account: Account, report: Report, place: Word, *, read: bool = True) -> None:
        if self.outgoing is not None or self.mended_outgoing is not None:
            counts = "the later line" if read or self.outgoing is None else "the line IET read"
            problem = f"there is an OutgoingUser already; {counts} counts"
            report.add(Finding.SECOND_OUTGOING, place, problem, "remove one of the lines")
        if read:
            self.outgoing = account
        else:
            self.mended_outgoing = account

    def accounts(self) -> tuple[Account, ...]:
        """Who may log in, in file order."""
        read = {account.name for account in self.incoming}
        accounts = (*self.incoming, *(account for account in self.mended if account.name not in read))
        return tuple(sorted(accounts, key=lambda account: account.span))

    def why_closed(self) -> str:
        """Why nobody may log in, or nothing."""
        return self.closed or ("" if self.accounts() else self.asks)

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

    def finished(self, report: Report, common: Block | None = None) -> TargetConfig:
        """The target as the model has it; ``common``: restrictions that hold for every target."""
        common = common or self
        check_directions(self.accounts(), self.outgoing or self.mended_outgoing, report, files=False)
        addresses, initiators = self.addresses or common.addresses, self.initiators or common.initiators
        admitted = self.admitted or common.admitted
        luns = self.lun_options.applied(self.luns, self.name, report)
        if self.read_only or common.read_only:
            luns = tuple(replace(lun, read_only=True) for lun in luns)
        look(admitted, luns, self.accounts(), self.name, report)
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
        fields["nop_timeout"] = effective_nop_timeout(fields.get("nop_interval", 0), fields.get("nop_timeout", 0))
        return TargetConfig(
            self.name,
            report.span(self.place),
            alias=self.alias,
            luns=luns,
            incoming=self.accounts(),
            outgoing=self.outgoing or self.mended_outgoing,
            chap_algorithms=self.algorithms or common.algorithms,
            closed=self.why_closed() or common.closed or ("" if self.accounts() else common.asks),
            session_keys=MappingProxyType(keys),
            initiator_addresses=tuple(word.text for word in addresses),
            initiator_names=tuple(word.text for word in initiators),
            address_spans=tuple(map(report.span, addresses)),
            name_spans=tuple(map(report.span, initiators)),
            initiators=tuple(admitted),
            portal_groups=tuple(self.portal_groups or common.portal_groups),
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
