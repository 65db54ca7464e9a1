"""A configuration file to a Configuration: ``load`` reads the file and those it names, ``loads`` its text.

Bad content never raises: everything found is in ``Configuration.diagnostics``, in file order, and what could
be understood is in the rest. The mode (decisions 1) is the argument, else the file's ``Compat`` line, else
``repair``, whose rule is: nobody may log in, discover or write who could not under IET, unless the file names him.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final

from ietpy.config.files import read_file
from ietpy.config.findings import MODES, Finding, Report
from ietpy.config.loader import Loader
from ietpy.config.model import Configuration
from ietpy.config.secret_files import resolved
from ietpy.config.syntax import Statement, Word, read
from ietpy.errors import ConfigError, Diagnostic, Span

DEFAULT_PATHS: Final = ("/etc/iet/ietd.conf", "/etc/ietd.conf")  #: iet-compat 1.1
DEFAULT_MODE: Final = "repair"
_UNPAIRED: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def load(
    path: str | os.PathLike[str] | None = None, compat: str | None = None, *, regular: bool = False
) -> Configuration:
    """The configuration in the file ``path``, or in the first of ``DEFAULT_PATHS`` that exists.

    Raises ConfigError if the file cannot be read or ``path`` does not exist: another file is never taken in its
    stead. Without ``path`` and without a file there are no targets, and a warning. ``regular``: refuse what may keep
    its reader waiting (``files``).
    """
    if path is not None:
        return _loaded(os.fspath(path), compat, regular)
    return search(DEFAULT_PATHS, compat, regular)


def search(places: Sequence[str], compat: str | None, regular: bool = False) -> Configuration:
    """The configuration in the first of ``places`` that exists; all but the first are deprecated."""
    for candidate in places:
        if not os.path.lexists(candidate):
            continue
        found = _loaded(candidate, compat, regular)
        if candidate == places[0]:
            return found
        report = Report(candidate, found.compat)
        report.add(Finding.OLD_PLACE, Word("", 1, 1), "this place is deprecated", f"move it to {places[0]}")
        return found.with_diagnostics((*report.in_order(), *found.diagnostics))
    return nothing(places[0], compat or "")


def nothing(path: str, compat: str = "") -> Configuration:
    """What a file that does not exist means: no targets, and a warning."""
    report = Report(path, compat or DEFAULT_MODE)
    problem = "ietd.conf not found, configure through ietadm"
    report.add(Finding.NOT_FOUND, Word("", 1, 1), problem, "or name one with -c")
    return Configuration(path, report.mode, diagnostics=report.in_order())


def _loaded(path: str, compat: str | None, regular: bool) -> Configuration:
    return resolved(loads(_content(path, regular), path, compat), os.environ)


def _content(path: str, regular: bool) -> str:
    try:
        return read_file(path, regular=regular)
    except OSError as error:
        raise ConfigError(
            [
                Diagnostic(
                    Span(path, 1, 1),
                    "error",
                    "file-unreadable",
                    f"cannot read this file: {error.strerror}",
                    "name a readable configuration file with -c",
                    f"tried {DEFAULT_PATHS[-1]} in its stead",
                )
            ]
        ) from error


def loads(text: str, file: str = "ietd.conf", compat: str | None = None) -> Configuration:
    """The configuration that ``text`` means; ``file`` is its name in messages."""
    report, statements = parsed(text, file, compat)
    return Loader(report).run(statements)


def parsed(text: str, file: str, compat: str | None) -> tuple[Report, list[Statement]]:
    """The statements of ``text``, and what is to collect the findings, in the mode that holds."""
    text = _UNPAIRED.sub("\ufffd", text)
    report = Report(file, compat or DEFAULT_MODE)
    statements = read(text, report)
    mode = compat or _mode(statements)
    if mode != report.mode:
        report = Report(file, mode)
        statements = read(text, report)
    return report, statements


def _mode(statements: list[Statement]) -> str:
    """The mode that a ``Compat`` line at the top asks for."""
    first = next((statement for statement in statements if not statement.tail), None)
    if first is None or first.keyword.text.lower() != "compat":
        return DEFAULT_MODE
    return next((word.text.lower() for word in first.words if word.text.lower() in MODES), DEFAULT_MODE)
