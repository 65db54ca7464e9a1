"""Lines that restrict who may use a target: ``Initiator``, and tgt's ``initiator-address`` and ``initiator-name``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from ietpy.config.access_rules import EVERYBODY, read_restriction
from ietpy.config.block import Block
from ietpy.config.findings import Finding, Report, quoted
from ietpy.config.initiator import read_initiator
from ietpy.config.options import Option, Reader
from ietpy.config.portals import limit
from ietpy.config.syntax import Statement, Word
from ietpy.config.values import is_comment

_ITEM: Final = re.compile("[^,]+")


def restrict(option: Option, statement: Statement, block: Block, report: Report) -> None:
    """Admit to ``block`` whom this line names, or by what; several lines, or several words, widen each other."""
    if option.reader is Reader.PORTAL_GROUPS:
        limit(statement, block, report)
        return
    if option.reader is Reader.ADMITTED:
        block.admitted.append(read_initiator(statement, report))
        return
    items = list(_items(statement))
    if not items:
        problem, hint = f"{option.name} names nobody; what it is about is closed", "write whom it admits"
        report.add(Finding.EMPTY_RESTRICTION, statement.keyword, problem, hint)
        block.close(f"line {statement.line} is a restriction without a value")
    everybody = [item for item in items if item.text == EVERYBODY]
    if 0 < len(everybody) < len(items):
        problem, hint = "ALL beside others is not honoured", "leave it alone, or remove it"
        report.add(Finding.ACL_EVERYBODY, everybody[0], problem, hint, "ignored the line")
        items = [item for item in items if item.text != EVERYBODY]
    if option.reader is Reader.INITIATOR:
        block.initiators += items
        return
    block.addresses += items
    for item in items:
        meant = read_restriction(item.text, report.span(item))
        if not meant.everybody and meant.network is None:
            problem, hint = f"{quoted(item.text)} is no address and admits nobody", "write an address or a network"
            report.add(Finding.EMPTY_RESTRICTION, item, problem, hint)


def _items(statement: Statement) -> Iterator[Word]:
    """The items between blanks and commas, up to a comment."""
    for word in takewhile(lambda word: not is_comment(word), statement.words):
        for match in _ITEM.finditer(word.text):
            yield word.at(match.start(), match.group())
