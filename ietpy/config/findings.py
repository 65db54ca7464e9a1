"""What can be found wrong in a configuration, one row each: a stable code, how grave it is, what IET did.

``repair`` and ``strict`` are the severities in these modes (decisions 1). In ``iet`` every finding is
a warning, because IET itself started. An error in ``repair`` means that something in the file has no effect or is
not served; a warning, that it was understood. Only ``strict`` refuses to start.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol

from ietpy.errors import Diagnostic, Span

MODES: Final = ("repair", "iet", "strict")
_LONGEST_QUOTE: Final = 60  #: characters of a file's text that a message repeats


class Place(Protocol):
    """Anything that stands somewhere in a file; lines and columns count from 1."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


class Finding(Enum):
    """Code, severity in ``repair`` and in ``strict``, what IET did (a reporter may say it more exactly)."""

    NOT_FOUND = ("file-not-found", "warning", "error", "ran with no targets")
    OLD_PLACE = ("old-location", "warning", "warning", "read this file too, with the same warning")
    BOM = (
        "byte-order-mark",
        "warning",
        "error",
        "took the mark as part of the first keyword and lost that line",
    )
    NUL = ("nul-byte", "warning", "error", "ended the line at the NUL byte")
    LONG_LINE = (
        "long-line",
        "warning",
        "error",
        "cut lines after 4095 bytes and read the rest as a new line",
    )
    NO_NEWLINE = (
        "no-final-newline",
        "warning",
        "error",
        "lost the last word of a file without a final newline",
    )
    COMPAT = ("compat-line", "error", "error", "has no such keyword and ignored it")
    UNKNOWN_KEYWORD = ("unknown-keyword", "warning", "error", "ignored the line")
    MISSPELT = ("misspelt-keyword", "warning", "error", "ignored the line")
    UNCLEAR_KEYWORD = ("unclear-keyword", "error", "error", "ignored the line")
    BORROWED = ("borrowed-keyword", "warning", "error", "ignored the line")
    JOINED = ("joined-by-equals", "warning", "error", "took both as one unknown keyword and ignored the line")
    SCOPE = ("outside-target", "error", "error", "ignored the line, as no Target line is above it")
    MISSING_VALUE = ("missing-value", "error", "error", "crashed at start")
    SURPLUS = ("surplus-words", "warning", "error", "ignored the rest of the line")
    REPEATED = ("repeated", "warning", "warning", "took the last")
    BAD_VALUE = ("bad-value", "error", "error", "ignored the line")
    REPAIRED_VALUE = ("repaired-value", "warning", "error", "ignored the line")
    BAD_NUMBER = ("bad-number", "error", "error", "took the digits at the beginning, or 0")
    SUFFIX = ("number-suffix", "warning", "error", "ignored the suffix")
    OCTAL = ("octal-number", "warning", "warning", "read a number with a leading 0 as octal")
    OUT_OF_RANGE = ("out-of-range", "warning", "error", "silently took another value")
    KERNEL_LIMIT = ("over-kernel-limit", "warning", "error", "silently took 512")
    FORCED = ("forced-value", "warning", "warning", "forced this value too")
    NO_EFFECT = ("no-effect", "warning", "warning", "ignored it too")
    TARGET_NAME = ("target-name", "error", "error", "ignored the lines that follow, but for accounts")
    LONG_NAME = ("long-target-name", "warning", "warning", "accepted it")
    DUPLICATE_TARGET = (
        "duplicate-target",
        "warning",
        "error",
        "ignored the second block but for its accounts",
    )
    NO_SECRET = ("account-without-secret", "error", "error", "ignored the line, which left the door open")
    EMPTY_OUTGOING = ("empty-outgoinguser", "warning", "error", "ignored the line")
    LONG_ACCOUNT = ("long-account", "warning", "error", "used the first 255 bytes only")
    QUOTES = ("quotes", "warning", "warning", "took quotes literally too")
    SECOND_OUTGOING = ("second-outgoinguser", "warning", "warning", "replaced the first, with a warning")
    SECRET_FILE = ("secret-file", "error", "error", "has no such keyword and ignored the line")
    SECRETS_EXPOSED = ("secrets-readable", "warning", "error", "did not look who can read them")
    SHORT_SECRET = ("short-secret", "warning", "warning", "accepted it")
    SAME_SECRET = ("same-secret-both-ways", "error", "error", "accepted it, which RFC 7143 section 9.2.1 forbids")
    SAME_USER = ("same-user-twice", "warning", "warning", "let the later line win")
    CHAP_ALGORITHMS = ("chap-algorithms", "error", "error", "has no such keyword and ignored the line")
    PROCESSES = ("processes", "error", "error", "has no such keyword and ignored the line")
    METRICS = ("metrics", "error", "error", "has no such keyword and ignored the line")
    CLOSED_DISCOVERY = ("stray-accounts", "error", "error", "took them as discovery accounts")
    EMPTY_RESTRICTION = ("empty-restriction", "error", "error", "ignored the line")
    ISNS_ALONE = ("access-control-alone", "error", "error", "ignored it and admitted everybody")
    LUN_NUMBER = ("lun-number", "error", "error", "did not serve this LUN")
    NO_LUN_NUMBER = ("lun-without-number", "warning", "error", "took it as LUN 0")
    DUPLICATE_LUN = ("duplicate-lun", "error", "error", "served the first only")
    LUN_REFUSED = ("lun-refused", "error", "error", "did not serve this LUN")
    LUN_QUIRK = (
        "lun-error-cleared",
        "warning",
        "error",
        "forgot the mistake when a valid ScsiId or ScsiSN followed",
    )
    LUN_REPAIRED = ("lun-repaired", "warning", "error", "did not serve this LUN")
    LUN_IGNORED = ("lun-parameter-ignored", "error", "error", "ignored the parameter")
    LUN_KEPT = ("identity-kept", "warning", "error", "served the LUN with it")
    LUN_NO_COMMA = ("missing-comma", "warning", "error", "took all up to the next comma for the value")
    LUN_COMMENT = ("comment-after-lun", "warning", "error", "took the comment as part of the last value")
    LUN_CONTINUED = (
        "continued-line",
        "warning",
        "error",
        "knew no continuation lines and did not serve this LUN",
    )
    LUN_POSITIONAL = ("positional-lun", "warning", "error", "did not serve this LUN since 0.4.8")
    LUN_OVERLAID = (
        "identity-overlaid",
        "warning",
        "error",
        "copied the second value over the first, whose tail stays if it is longer",
    )
    LUN_RELATIVE = (
        "relative-path",
        "warning",
        "warning",
        "took it from / (from the start directory with -f)",
    )
    LUN_OPTION = ("lun-option", "error", "error", "has no such keyword and ignored the line")
    PORTAL = ("portal", "error", "error", "has no such keyword and ignored the line")
    PORTAL_GROUP = ("portal-group", "error", "error", "has no such keyword and ignored the line")
    LUN_OPTION_ALONE = ("lun-option-without-lun", "error", "error", "has no such keyword and ignored the line")
    INITIATOR = ("initiator-line", "error", "error", "has no such keyword and ignored the line")
    INITIATOR_LUN = ("initiator-without-lun", "error", "error", "has no such keyword and ignored the line")
    INITIATOR_USER = ("initiator-without-user", "error", "error", "has no such keyword and ignored the line")
    INITIATOR_UNREACHED = ("initiator-unreached", "warning", "error", "has no such keyword and ignored the line")
    ACL_OLD_MODE = ("deny-file", "warning", "warning", "warned at start too, and read it the same way")
    ACL_ITEM = ("access-item", "warning", "error", "never matched this item")
    ACL_EVERYBODY = ("access-everybody", "error", "error", "never matched this item")
    ACL_REPAIRED = ("access-repaired", "warning", "error", "never matched this item")
    ACL_LINE = ("access-line", "warning", "error", "ignored the line")
    ACL_UNREADABLE = (
        "access-file-unreadable",
        "error",
        "error",
        "denied, or for a deny file admitted everybody",
    )

    def __init__(self, code: str, repair: str, strict: str, iet: str) -> None:
        self.code = code
        self.repair = repair
        self.strict = strict
        self.iet = iet

    def severity(self, mode: str) -> str:
        """``"error"`` or ``"warning"``."""
        return {"repair": self.repair, "strict": self.strict}.get(mode, "warning")


class Report:
    """Collects the diagnostics of one file read in one mode."""

    def __init__(self, file: str, mode: str) -> None:
        self.file = file
        self.mode = mode
        self.diagnostics: list[Diagnostic] = []

    def span(self, place: Place) -> Span:
        return Span(self.file, place.line, place.column)

    def add(self, finding: Finding, place: Place, problem: str, hint: str = "", iet: str = "") -> None:
        """Note a finding; ``iet`` replaces the row's words where the case is a special one."""
        severity = finding.severity(self.mode)
        self.diagnostics.append(
            Diagnostic(
                self.span(place),
                severity,
                finding.code,
                printable(problem),
                printable(hint),
                iet or finding.iet,
            )
        )

    def in_order(self) -> tuple[Diagnostic, ...]:
        """Everything found, in file order."""
        return tuple(sorted(self.diagnostics, key=lambda diagnostic: diagnostic.span))


def quoted(text: str) -> str:
    """``text`` in quotes and no longer than a message can bear. Never call it with a secret."""
    return "'" + (text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "...") + "'"


def printable(text: str) -> str:
    """``text`` without control characters and stand-ins for bytes that were not UTF-8."""
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    number = ord(character)
    stands_for_byte = number < 0x80 or 0xDC80 <= number <= 0xDCFF  # surrogateescape
    return f"\\x{number & 0xFF:02x}" if stands_for_byte else f"\\u{number:04x}"
