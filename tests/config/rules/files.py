"""Which file is read (iet-compat 1.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class FileRule:
    """Files by name, and what comes out when one is named, or none is.

    ``first`` and ``second`` stand for /etc/iet/ietd.conf and /etc/ietd.conf; a text of None is a directory. ``found``
    names the file whose findings these are.
    """

    title: str
    did: str
    files: dict[str, str | None] = field(default_factory=dict)
    named: str = ""
    read: str | None = None  #: None: an error
    found: str = ""
    starts: bool = False

    def __str__(self) -> str:
        return f"1.1 {self.title}"


RULES: Final = (
    FileRule("no file", "warned and ran without targets", {}, "", "", "file-not-found@1"),
    FileRule("the first place", "read it", {"first": "Target a\n", "second": "Target b\n"}, "", "a:", starts=True),
    FileRule(
        "the second place", "read it, with a warning that it is deprecated",
        {"second": "Target b\n"}, "", "b:", "old-location@1", starts=True,
    ),
    FileRule(
        "the first place cannot be read", "tried the second; never copied",
        {"first": None, "second": "Target b\n"}, "", None, "file-unreadable@1",
    ),
    FileRule("a named file", "read it", {"mine": "Target m\n", "first": "Target a\n"}, "mine", "m:", starts=True),
    FileRule(
        "a named file that is not there", "took /etc/ietd.conf in its stead; never copied",
        {"second": "Target b\n"}, "mine", None, "file-unreadable@1",
    ),
    FileRule(
        "a named file that cannot be read", "took /etc/ietd.conf in its stead; never copied",
        {"mine": None, "second": "Target b\n"}, "mine", None, "file-unreadable@1",
    ),
)
