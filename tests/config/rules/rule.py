"""What a row of the rule suite is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

T: Final = "Target t\n"
#: A comment as long as IET's buffer: what follows on the line IET read as a line of its own.
LONG: Final = "#" + "x" * 4094


@dataclass(frozen=True)
class Rule:
    """One rule of iet-compat: a text, what IET did with it, and what each mode makes of it.

    What a mode makes of it is written as the fixture ``dump`` does; findings are ``code@line``. Where ``iet`` and its
    findings are None they are those of ``repair``, and so are the findings of ``strict``. ``starts``: whether
    ``strict`` accepts it; it then means the same in all modes.
    """

    section: str
    title: str
    text: str
    did: str
    repair: str = ""
    found: str = ""
    iet: str | None = None
    iet_found: str | None = None
    strict_found: str | None = None
    starts: bool = False

    def __str__(self) -> str:
        return f"{self.section} {self.title}"


def lun(line: str) -> str:
    """A file whose only target has this line."""
    return f"{T}{line}\n"
