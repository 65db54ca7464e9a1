"""FreeBSD's ctl.conf as entries: a word, its values, and what stands in braces behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError, UnexpectedInput, UnexpectedToken

from ietpy.errors import ConfigError, Span
from ietpy.migrate.model import refusal

#: The words of the language; a name that is one of them has to be quoted.
KEYWORDS: Final = frozenset((
    "alias", "auth-group", "auth-type", "backend", "blocksize", "chap", "chap-mutual", "ctl-lun", "debug", "device-id",
    "device-type", "discovery-auth-group", "discovery-filter", "dscp", "foreign", "initiator-name", "initiator-portal",
    "isns-period", "isns-server", "isns-timeout", "listen", "listen-iser", "lun", "maxproc", "offload", "option",
    "path", "pcp", "pidfile", "port", "portal-group", "redirect", "serial", "size", "tag", "target", "timeout",
))


@dataclass(frozen=True, slots=True)
class Entry:
    """A word of the language with its values, and the entries in the braces behind them, if there are any."""

    key: str
    values: tuple[str, ...]
    span: Span
    entries: tuple[Entry, ...] | None = None

    @property
    def value(self) -> str:
        return self.values[0] if self.values else ""

    def all(self, key: str) -> Iterator[Entry]:
        return (entry for entry in self.entries or () if entry.key == key)


def parse_ctl(text: str, file: str) -> tuple[Entry, ...]:
    """The entries of a file. Raises ConfigError with the place of the first thing that has none."""
    try:
        tree: Any = _parser().parse(text)
    except UnexpectedToken as error:
        span = Span(file, max(error.line, 1), max(error.column, 1)) if error.token.type != "$END" else _end(text, file)
        found = "the end of the file" if error.token.type == "$END" else f"{str(error.token)[:40]!r}"
        wanted = sorted(name.lower().replace("_", "-") for name in error.accepts or error.expected)
        hint = f"write {', '.join(wanted[:8])}{', ...' if len(wanted) > 8 else ''}; a name that is a word of the"
        raise ConfigError([refusal(span, f"{found} has no place here", f"{hint} language has to be quoted")]) from None
    except UnexpectedInput as error:
        span = Span(file, max(error.line, 1), max(error.column, 1))
        raise ConfigError([refusal(span, "quotes that hold nothing, or have no end", "close them")]) from None
    except LarkError as error:  # pragma: no cover - there is no other
        raise ConfigError([refusal(Span(file, 1, 1), str(error)[:80])]) from None
    return tuple(_placed(entry, file) for entry in tree)


def _end(text: str, file: str) -> Span:
    lines = text.split("\n")
    return Span(file, len(lines), len(lines[-1]) + 1)


def _placed(entry: Entry, file: str) -> Entry:
    inner = None if entry.entries is None else tuple(_placed(one, file) for one in entry.entries)
    return Entry(entry.key, entry.values, Span(file, entry.span.line, entry.span.column), inner)


class _ToEntries(Transformer[Token, Any]):
    def value(self, tokens: list[Token]) -> str:
        word = str(tokens[0])
        return word[1:-1] if tokens[0].type == "QUOTED" else word

    def _entry(self, children: list[Any]) -> Entry:
        if isinstance(children[0], Entry):  # a LUN within a target
            return children[0]
        return _made(children[0], children[1:], None)

    def _section(self, children: list[Any]) -> Entry:
        return _made(children[0], children[1:2], tuple(children[2:]))

    start = list
    setting = auth_entry = portal_entry = lun_entry = target_entry = _entry
    auth_group = portal_group = lun = target = _section


def _made(token: Token, values: list[str], entries: tuple[Entry, ...] | None) -> Entry:
    return Entry(str(token), tuple(values), Span("", token.line or 1, token.column or 1), entries)


def _keyword(token: Token) -> Token:
    if token in KEYWORDS:
        token.type = token.upper().replace("-", "_")
    return token


@cache
def _parser() -> Lark:
    grammar = resources.files("ietpy.migrate").joinpath("ctl.lark").read_text("ascii")
    return Lark(grammar, parser="lalr", lexer="basic", transformer=_ToEntries(), lexer_callbacks={"WORD": _keyword})
