"""Every error ietpy raises on purpose, in one tree. Imports nothing of ietpy.

    IetpyError
      ConfigError(diagnostics)           a configuration file cannot be used; exit status 2
      UsageError(problem)                a command was called wrongly; exit status 2
      ProtocolError                      decided by the iSCSI core, in one place
        Reject(reason, ...)              a Reject PDU is the answer; the connection lives
        LoginFailure(status, problem)    a Login Response is the answer; the connection closes
        FormatError(problem)             no answer; the connection drops
          HeaderDigestError              as for any other, but counted
        TargetFault                      (``ietpy.initiator.errors``) a target broke RFC 7143
      CheckCondition(key, asc, field)    (``ietpy.scsi.sense``) a SCSI command's ordinary bad news
      ReservationConflict                (``ietpy.scsi.persistent``) a rule of persistent reservations says so
      StoreError(errno, problem)         raised by stores and kept states; becomes sense data in one function
        NoRoom(errno, problem)           for the moment: others have the memory; becomes BUSY
      AdminError(code, problem)          the reply on the control socket
      IsnsError                          (``ietpy.isns.attributes``) an iSNS server broke RFC 4171, or refused
      InitiatorError                     (``ietpy.initiator.errors``) what our own initiator meets; a tree of its own
      LunRefused, CannotListen, AlreadyRunning    (``ietpy.daemon``) why something is not served, or nothing is
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A place in a configuration file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding about a configuration file: where, what was found, how to fix it, what IET did.

    ``severity`` is ``"error"`` or ``"warning"``; ``code`` is a stable short name for machines.
    """

    span: Span
    severity: str
    code: str
    problem: str
    hint: str = ""
    iet: str = ""

    def __str__(self) -> str:
        parts = [self.problem, self.hint, f"IET: {self.iet}" if self.iet else ""]
        return f"{self.span}: {self.severity}: " + "; ".join(part for part in parts if part)


class IetpyError(Exception):
    """Root of the tree; ``str()`` of any of them is a sentence for its reader."""


class ConfigError(IetpyError):
    """A configuration that cannot be used; carries every diagnostic found, in file order."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(diagnostic) for diagnostic in self.diagnostics))


class UsageError(IetpyError):
    """A command was called wrongly; one clear sentence, exit status 2."""


class ProtocolError(IetpyError):
    """What a peer sent breaks RFC 7143."""


class Reject(ProtocolError):
    """Answer with a Reject PDU carrying ``reason`` (RFC 7143 section 11.17.1); the connection lives.

    ``data_sn``: of a SNACK for data, what number the next PDU of the task would have (11.17.2).
    """

    def __init__(self, reason: int, problem: str, data_sn: int = 0) -> None:
        super().__init__(problem)
        self.reason = reason
        self.data_sn = data_sn


class LoginFailure(ProtocolError):
    """Answer with a Login Response of this status (class << 8 | detail, 11.13.5); the connection closes."""

    def __init__(self, status: int, problem: str, address: str = "") -> None:
        super().__init__(problem)
        self.status = status
        #: TargetAddress of a redirection (status class 1), else empty.
        self.address = address


class FormatError(ProtocolError):
    """No answer is possible or safe; the connection drops (RFC 7143 section 7.7)."""


class HeaderDigestError(FormatError):
    """A header digest does not fit its header (RFC 7143 section 7.8)."""


class StoreError(IetpyError):
    """A backing store failed; ``errno`` says how, as the operating system would."""

    def __init__(self, errno: int, problem: str) -> None:
        super().__init__(problem)
        self.errno = errno


class NoRoom(StoreError):
    """Others have the memory that is needed at the moment: the same may go well in a while."""


class AdminError(IetpyError):
    """An operation on the control socket failed; ``code`` is an errno value."""

    def __init__(self, code: int, problem: str) -> None:
        super().__init__(problem)
        self.code = code
