"""Lines that IET passed over, as a ``Loader`` reads them: the same in every mode, and nothing in them is guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Final, TypeVar

from ietpy.config.findings import Finding, quoted
from ietpy.config.model import Account
from ietpy.config.options import Option, Reader
from ietpy.config.syntax import Statement
from ietpy.config.values import is_comment, listening, processes
from ietpy.iscsi.chap import ALGORITHMS

if TYPE_CHECKING:
    from ietpy.config.loader import Loader

_NAMES: Final = {algorithm.name.lower(): algorithm.name for algorithm in ALGORITHMS.values()}
_ITEM: Final = re.compile("[^,]+")


def read_lun_option(loader: Loader, option: Option, statement: Statement) -> None:
    if loader.in_target(option, statement.keyword):
        loader.current.lun_options.add(statement, loader.report)


def read_account_file(loader: Loader, option: Option, statement: Statement) -> None:
    """An account whose secret is elsewhere; one without a path closes its owner."""
    owner = loader.current.heir or loader.current
    words = [*takewhile(lambda word: not is_comment(word), statement.words)]
    loader.after_half_account = len(words) < 2
    if loader.after_half_account:
        problem = "an account is a name and the path of its secret; what the line is about is closed until it has both"
        loader.report.add(Finding.SECRET_FILE, statement.keyword, problem, "write both")
        owner.close(f"line {statement.line} is an account without a secret")
        return
    loader.surplus(option, tuple(words), 2)
    account = Account(words[0].text, "", loader.report.span(words[0]), words[1].text)
    add = owner.add_outgoing if option.reader is Reader.OUTGOING_FILE else owner.add_incoming
    add(account, loader.report, statement.keyword)


def read_algorithms(loader: Loader, option: Option, statement: Statement) -> None:
    """Admit by these algorithms alone; a line that names none closes what it is about."""
    top = loader.current is loader.discovery
    blocks = (loader.discovery, loader.everywhere) if top else (loader.current,)
    names: dict[str, None] = {}
    for word in statement.words:
        if is_comment(word):
            break
        for match in _ITEM.finditer(word.text):
            name = _NAMES.get(match.group().lower())
            if name is not None:
                names[name] = None
                continue
            problem = f"{quoted(match.group())} is no CHAP algorithm and is left out"
            hint = f"write {option.value.accepts}"
            loader.report.add(Finding.CHAP_ALGORITHMS, word.at(match.start(), match.group()), problem, hint)
    if not names:
        problem, hint = "no CHAP algorithm is left; what the line is about is closed", f"write {option.value.accepts}"
        loader.report.add(Finding.CHAP_ALGORITHMS, statement.keyword, problem, hint)
    for block in blocks:
        if not names:
            block.close(f"line {statement.line} names no CHAP algorithm")
        block.algorithms = tuple(names)


def read_portal(loader: Loader, option: Option, statement: Statement) -> None:
    loader.portals.add(statement, loader.current.heir or loader.current, loader.report)


_Value = TypeVar("_Value")


def _of_the_daemon(
    loader: Loader, option: Option, statement: Statement, noun: str, parse: Callable[[str], _Value],
    before: _Value | None, finding: Finding,
) -> _Value | None:
    """The one value of a line that is about no target; the last line counts. None where there is none."""
    words = [*takewhile(lambda word: not is_comment(word), statement.words)]
    text = words[0].text if words else ""
    try:
        value = parse(text)
    except ValueError as accepts:
        problem = f"{quoted(text)} is no {noun}" if words else f"{option.name} has no value"
        loader.report.add(finding, words[0] if words else statement.keyword, problem, f"write {accepts}")
        return before
    loader.surplus(option, tuple(words), 1)
    if before not in (None, value):
        problem = f"{option.name} is here twice with different values"
        loader.report.add(Finding.REPEATED, statement.keyword, problem, f"leave one of them; {text} is used")
    return value


def read_processes(loader: Loader, option: Option, statement: Statement) -> None:
    loader.processes = _of_the_daemon(
        loader, option, statement, "number of processes", processes, loader.processes, Finding.PROCESSES
    )


def read_metrics(loader: Loader, option: Option, statement: Statement) -> None:
    loader.metrics = _of_the_daemon(
        loader, option, statement, "address with a port", listening, loader.metrics, Finding.METRICS
    )


#: By what ``options`` says of a keyword.
EXTENSIONS: Final[Mapping[Reader, Callable[[Loader, Option, Statement], None]]] = {
    Reader.LUN_OPTION: read_lun_option,
    Reader.ALGORITHMS: read_algorithms,
    Reader.PROCESSES: read_processes,
    Reader.METRICS: read_metrics,
    Reader.PORTAL: read_portal,
    Reader.INCOMING_FILE: read_account_file,
    Reader.OUTGOING_FILE: read_account_file,
}
