"""What can go wrong between this initiator and a target; ``TargetFault`` is the one tests hunt for."""

from __future__ import annotations

from ietpy.errors import IetpyError, ProtocolError
from ietpy.iscsi.errors import LoginStatus, RejectReason
from ietpy.scsi.status import SenseKey, Status


class InitiatorError(IetpyError):
    """Root of everything the initiator raises, but ``TargetFault``."""


class TargetFault(ProtocolError):
    """The target broke RFC 7143; ``section`` says where that is written."""

    def __init__(self, section: str, problem: str) -> None:
        super().__init__(f"the target broke RFC 7143 section {section}: {problem}")
        self.section = section
        self.problem = problem


class LoginRefused(InitiatorError):
    """A Login Response of another status class than success (RFC 7143 section 11.13.5)."""

    def __init__(self, status: int, address: str = "") -> None:
        known = {int(member): member.name.replace("_", " ").lower() for member in LoginStatus}
        words = known.get(status, "an unknown status")
        moved = f", go to {address}" if address else ""
        super().__init__(f"the target refused the login with {status >> 8:02x}/{status & 0xFF:02x} ({words}{moved})")
        self.status = status
        #: TargetAddress of a redirection (status class 1), else empty.
        self.address = address


class AuthenticationFailed(InitiatorError):
    """The target did not prove that it knows the mutual CHAP secret (RFC 7143 section 12.1.3)."""


class Rejected(InitiatorError):
    """A Reject PDU (RFC 7143 section 11.17). ``header``: the basic header segment the target complains about."""

    def __init__(self, reason: int, header: bytes) -> None:
        known = {int(member): member.name.replace("_", " ").lower() for member in RejectReason}
        super().__init__(f"the target rejected a PDU with reason {reason:#04x} ({known.get(reason, 'unknown')})")
        self.reason = reason
        self.header = header


class CommandFailed(InitiatorError):
    """A SCSI command of a helper ended with another status than GOOD."""

    def __init__(self, operation: str, status: int, sense: bytes) -> None:
        known = {int(member): member.name.replace("_", " ") for member in Status}
        self.status = status
        self.sense = sense
        self.key, self.asc = decode_sense(sense)
        keys = {int(member): member.name.replace("_", " ") for member in SenseKey}
        detail = f", {keys.get(self.key, 'unknown sense key')}, ASC/ASCQ {self.asc:04x}h" if sense else ""
        super().__init__(f"{operation} ended with {known.get(status, f'status {status:#04x}')}{detail}")


class TimedOut(InitiatorError):
    """The target did not answer, or did not take our data, in time."""


class ConnectionLost(InitiatorError):
    """The TCP connection could not be made, or ended before the answer came."""


def decode_sense(sense: bytes) -> tuple[int, int]:
    """(sense key, ASC << 8 | ASCQ) of fixed or descriptor sense data (SPC-4 section 4.5); zeros where it is cut."""
    padded = sense.ljust(14, b"\0")
    if padded[0] & 0x7F in (0x72, 0x73):
        return padded[1] & 0x0F, padded[2] << 8 | padded[3]
    return padded[2] & 0x0F, padded[12] << 8 | padded[13]


class TaskAborted(InitiatorError):
    """The command ended without status, by a task management function of ours."""
