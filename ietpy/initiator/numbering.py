"""What holds for every PDU a target sends: reserved bits, StatSN and the command window (RFC 7143 sections 4.2.2, 11).

Reserved fields are found from the layouts (what a layout does not name must be zero); flags and the StatSN rule of each
opcode are one row of ``RULES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ietpy.initiator.errors import TargetFault
from ietpy.initiator.framing import Pdu, layout_of
from ietpy.iscsi.pdu import (
    ACKNOWLEDGE,
    BHS_SIZE,
    CONTINUE,
    FINAL,
    HAS_STATUS,
    IMMEDIATE,
    NO_TAG,
    OPCODE_MASK,
    OVERFLOW,
    TRANSIT,
    UNDERFLOW,
    UNNUMBERED,
    Opcode,
)
from ietpy.wire.serial import advance, before

_STAGES: Final = 0x0F  #: CSG and NSG (11.12.3)


class StatSn(Enum):
    """How a PDU stands to the StatSN counter of its connection (RFC 7143 section 4.2.2.2)."""

    ADVANCES = "carries a status and takes a number"
    NEXT = "names the next StatSN without taking it"
    IF_ANSWER = "takes a number unless its Initiator Task Tag is reserved"
    IF_STATUS = "takes a number if the S bit is set, else the field means nothing"


@dataclass(frozen=True, slots=True)
class Rule:
    """The header of one target opcode: flag bits that must be and may be set, its StatSN, whether it has data."""

    section: str
    required: int
    allowed: int
    stat_sn: StatSn
    data: bool = False


RULES: Final[Mapping[int, Rule]] = {
    Opcode.NOP_IN: Rule("11.19", FINAL, FINAL, StatSn.IF_ANSWER, data=True),
    Opcode.SCSI_RESPONSE: Rule("11.4", FINAL, FINAL | OVERFLOW | UNDERFLOW, StatSn.ADVANCES, data=True),
    Opcode.TASK_MANAGEMENT_RESPONSE: Rule("11.6", FINAL, FINAL, StatSn.ADVANCES),
    Opcode.LOGIN_RESPONSE: Rule("11.13", 0, TRANSIT | CONTINUE | _STAGES, StatSn.ADVANCES, data=True),
    Opcode.TEXT_RESPONSE: Rule("11.11", 0, FINAL | CONTINUE, StatSn.ADVANCES, data=True),
    Opcode.DATA_IN: Rule(
        "11.7", 0, FINAL | ACKNOWLEDGE | OVERFLOW | UNDERFLOW | HAS_STATUS, StatSn.IF_STATUS, data=True
    ),
    Opcode.LOGOUT_RESPONSE: Rule("11.15", FINAL, FINAL, StatSn.ADVANCES),
    Opcode.READY_TO_TRANSFER: Rule("11.8", FINAL, FINAL, StatSn.NEXT),
    Opcode.ASYNC_MESSAGE: Rule("11.9", FINAL, FINAL, StatSn.ADVANCES, data=True),
    Opcode.REJECT: Rule("11.17", FINAL, FINAL, StatSn.ADVANCES, data=True),
}


def check_header(pdu: Pdu) -> Rule:
    """The opcode's row. Raises TargetFault for an opcode, a flag or a reserved byte no target may send."""
    if pdu.opcode not in RULES:
        raise TargetFault("11.2.1.2", f"opcode {pdu.opcode:#04x} is none a target sends")
    rule = RULES[pdu.opcode]
    name = layout_of(pdu.opcode).name
    if pdu.raw[0] & ~OPCODE_MASK:
        raise TargetFault("11.2.1.1", f"{name}: byte 0 is {pdu.raw[0]:#04x}; its first two bits are reserved")
    flags = pdu.header["flags"]
    if flags & rule.required != rule.required or flags & ~rule.allowed:
        raise TargetFault(
            rule.section,
            f"{name}: flags are {flags:#04x}; required is {rule.required:#04x}, allowed {rule.allowed:#04x}",
        )
    clean = layout_of(pdu.opcode).pack(**pdu.header)
    if clean != pdu.raw:
        place = next(index for index in range(len(clean)) if clean[index] != pdu.raw[index])
        raise TargetFault(rule.section, f"{name}: reserved byte {place} is {pdu.raw[place]:#04x}; it must be zero")
    if pdu.ahs:
        raise TargetFault("11.2.2", f"{name}: it has an additional header segment of {len(pdu.ahs)} bytes")
    if pdu.data and not rule.data:
        raise TargetFault(rule.section, f"{name}: it has {len(pdu.data)} bytes of data; DataSegmentLength must be 0")
    return rule


class Commands:
    """The counters of a session, common to its connections: tags, CmdSN and the command window."""

    def __init__(self, cmd_sn: int = 1) -> None:
        #: CmdSN of the next command.
        self.cmd_sn = cmd_sn
        self.exp_cmd_sn = cmd_sn
        self.max_cmd_sn = cmd_sn
        #: CmdSNs of rejected requests: the target takes nothing behind them before they came again (section 7.3).
        self.gaps: list[int] = []
        self._tag = 0

    @property
    def window_open(self) -> bool:
        """Whether the target takes one more non-immediate command (RFC 7143 section 4.2.2.1)."""
        return bool(self.gaps) or not before(self.max_cmd_sn, self.cmd_sn)

    def new_tag(self) -> int:
        """An Initiator Task Tag that was not used before."""
        self._tag = (self._tag + 1) % NO_TAG
        return self._tag

    def take_cmd_sn(self, immediate: bool) -> int:
        """The CmdSN to send; an immediate command carries the number without taking it."""
        if self.gaps and not immediate:
            return self.gaps.pop(0)
        number = self.cmd_sn
        if not immediate:
            self.cmd_sn = advance(self.cmd_sn)
        return number

    def follow(self, expected: int, maximum: int) -> None:
        """Take ExpCmdSN and MaxCmdSN, which connections may bring out of their order (section 4.2.2.1)."""
        if before(self.exp_cmd_sn, expected):
            self.exp_cmd_sn = expected
        if before(self.max_cmd_sn, maximum):
            self.max_cmd_sn = maximum
        self.gaps = [gap for gap in self.gaps if not before(gap, self.exp_cmd_sn)]

    def rejected(self, header: bytes) -> None:
        """A request with this header was rejected: if it was numbered, the next one takes its number."""
        number = int.from_bytes(header[24:28], "big")
        numbered = not header[0] & IMMEDIATE and header[0] & OPCODE_MASK not in UNNUMBERED
        if numbered and not before(number, self.exp_cmd_sn) and number not in self.gaps:
            self.gaps.append(number)


class Numbering:
    """The counters of one connection: its StatSN, and with others of a session ``commands``."""

    def __init__(self, cmd_sn: int = 1, commands: Commands | None = None) -> None:
        self.commands = Commands(cmd_sn) if commands is None else commands
        #: StatSN of the next status; None until the first Login Response tells.
        self.next_stat_sn: int | None = None
        self._exp_cmd_sn = self.commands.exp_cmd_sn  #: as this connection was told last

    @property
    def exp_stat_sn(self) -> int:
        """What to put into ExpStatSN."""
        return self.next_stat_sn or 0

    @property
    def cmd_sn(self) -> int:
        """CmdSN of the next command."""
        return self.commands.cmd_sn

    @cmd_sn.setter
    def cmd_sn(self, number: int) -> None:
        self.commands.cmd_sn = number

    @property
    def exp_cmd_sn(self) -> int:
        return self.commands.exp_cmd_sn

    @property
    def max_cmd_sn(self) -> int:
        return self.commands.max_cmd_sn

    @max_cmd_sn.setter
    def max_cmd_sn(self, number: int) -> None:
        self.commands.max_cmd_sn = number

    @property
    def window_open(self) -> bool:
        return self.commands.window_open

    def new_tag(self) -> int:
        return self.commands.new_tag()

    def take_cmd_sn(self, immediate: bool) -> int:
        return self.commands.take_cmd_sn(immediate)

    def accept(self, pdu: Pdu, *, late: bool = False) -> None:
        """Check the header and all counters of ``pdu`` and follow them. Raises TargetFault.

        ``late``: others that were sent behind it may have come before it, or some before it be lost.
        """
        rule = check_header(pdu)
        if not (late and rule.stat_sn is StatSn.NEXT):
            self._check_stat_sn(pdu, rule)
        self._check_window(pdu, late=late)
        self.follow(pdu)

    def follow(self, pdu: Pdu) -> None:
        """Move the counters as ``pdu`` says, judging nothing."""
        if pdu.opcode not in RULES:
            return
        if takes_stat_sn(pdu, RULES[pdu.opcode].stat_sn):
            self.next_stat_sn = advance(pdu.header["stat_sn"])
        if before(self._exp_cmd_sn, pdu.header["exp_cmd_sn"]):
            self._exp_cmd_sn = pdu.header["exp_cmd_sn"]
        self.commands.follow(pdu.header["exp_cmd_sn"], pdu.header["max_cmd_sn"])
        if pdu.opcode == Opcode.REJECT and len(pdu.data) >= BHS_SIZE:
            self.commands.rejected(pdu.data)

    def _check_stat_sn(self, pdu: Pdu, rule: Rule) -> None:
        came, expected = pdu.header["stat_sn"], self.next_stat_sn
        meaningless = rule.stat_sn is StatSn.IF_STATUS and not takes_stat_sn(pdu, rule.stat_sn)
        if expected is not None and not meaningless and came != expected:
            raise TargetFault("4.2.2.2", f"StatSN is {came:#x} where {expected:#x} was due ({pdu})")

    def _check_window(self, pdu: Pdu, *, late: bool) -> None:
        expected, maximum = pdu.header["exp_cmd_sn"], pdu.header["max_cmd_sn"]
        if before(self.cmd_sn, expected):
            raise TargetFault("4.2.2.1", f"ExpCmdSN is {expected:#x}, but {self.cmd_sn:#x} was not sent yet ({pdu})")
        if before(expected, self._exp_cmd_sn) and not late:
            raise TargetFault("4.2.2.1", f"ExpCmdSN went back from {self._exp_cmd_sn:#x} to {expected:#x} ({pdu})")
        if before(maximum, advance(expected, -1)):
            raise TargetFault("4.2.2.1", f"MaxCmdSN {maximum:#x} is less than ExpCmdSN {expected:#x} - 1 ({pdu})")


def takes_stat_sn(pdu: Pdu, rule: StatSn) -> bool:
    """Whether this PDU uses up a StatSN."""
    if rule is StatSn.IF_ANSWER:
        return bool(pdu.header["initiator_task_tag"] != NO_TAG)
    if rule is StatSn.IF_STATUS:
        return bool(pdu.header["flags"] & HAS_STATUS)
    return rule is StatSn.ADVANCES
