"""The UCL form of ctl.conf (``ctld -u``) as entries of the plain form. Unknown keys are passed over, as ctld does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, UnexpectedToken, VisitError

from ietpy.errors import ConfigError, Span
from ietpy.migrate.ctl_text import Entry
from ietpy.migrate.model import refusal

DEEPEST: Final = 16
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
#: Members of sections that stand as they are.
_PLAIN: Final = {
    "auth-group": ("auth-type", "initiator-name", "initiator-portal"),
    "portal-group": (
        "discovery-auth-group", "discovery-filter", "listen", "listen-iser", "redirect", "tag", "offload", "dscp",
        "pcp", "foreign",
    ),
    "lun": ("backend", "path", "size", "blocksize", "serial", "device-id", "device-type", "ctl-lun"),
    "target": ("alias", "auth-group", "auth-type", "initiator-name", "initiator-portal", "redirect", "port", "offload"),
}
_CHAP: Final = {"chap": ("user", "secret"), "chap-mutual": ("user", "secret", "mutual-user", "mutual-secret")}


@dataclass(frozen=True, slots=True)
class Value:
    """A text, a list of values, or the members of an object in their order, and its place."""

    span: Span
    text: str = ""
    items: tuple[Value, ...] | None = None
    members: tuple[tuple[str, Value], ...] | None = None

    def each(self) -> tuple[Value, ...]:
        """A list's items; anything else is a list of one."""
        return self.items if self.items is not None else (self,)

    def get(self, name: str) -> Value | None:
        return next((value for key, value in self.members or () if key == name), None)

    def all(self, name: str) -> Iterator[Value]:
        """The values of all members of a name, lists as their items."""
        return (each for key, value in self.members or () if key == name for each in value.each())


def parse_ucl(text: str, file: str) -> tuple[Entry, ...]:
    """The entries of a file. Raises ConfigError."""
    depth = deepest = 0
    for character in text:
        depth += (character in "{[") - (character in "}]")
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        problem = f"more than {DEEPEST} braces or brackets within each other"
        raise ConfigError([refusal(Span(file, 1, 1), problem, "close some")])
    try:
        root: Any = _ToValues().transform(_parser().parse(text))
    except UnexpectedToken as error:
        end = error.token.type == "$END"
        lines = text.split("\n")
        place = (len(lines), len(lines[-1]) + 1) if end else (max(error.line, 1), max(error.column, 1))
        span = Span(file, *place)
        found = "the end of the file" if end else f"{str(error.token)[:40]!r}"
        raise ConfigError([refusal(span, f"{found} has no place here", "write key = value; or name { ... }")]) from None
    except (UnexpectedInput, VisitError) as error:
        span = Span(file, max(getattr(error, "line", 1), 1), max(getattr(error, "column", 1), 1))
        raise ConfigError([refusal(span, "no word, text, list or object stands here", "close the quotes")]) from None
    return tuple(_Entries(file).of_file(root))


@dataclass(frozen=True, slots=True)
class _Entries:
    file: str

    def span(self, value: Value) -> Span:
        return Span(self.file, value.span.line, value.span.column)

    def of_file(self, root: Value) -> Iterator[Entry]:
        for key, value in root.members or ():
            if key in _PLAIN:
                for each in value.each():
                    for name, section in each.members or ():
                        for one in section.each():
                            yield Entry(key, (name,), self.span(one), tuple(self.section(key, one)))
            elif key == "isns-server" and value.items is None:
                problem = "isns-server must be a list here"
                raise ConfigError([refusal(self.span(value), problem, 'write isns-server = ["host:port"]')])
            else:
                for each in value.each():
                    yield Entry(key, (each.text,), self.span(each))

    def section(self, kind: str, section: Value) -> Iterator[Entry]:
        for key, value in section.members or ():
            for each in value.each():
                span = self.span(each)
                if key in _PLAIN[kind] and each.members is None:
                    yield Entry(key, (each.text,), span)
                elif key in _CHAP and kind in ("auth-group", "target"):
                    yield Entry(key, tuple(self.field(each, name) for name in _CHAP[key]), span)
                elif key == "options":
                    for name, option in each.members or ():
                        yield Entry("option", (name, option.text), self.span(option))
                elif kind == "target" and key == "portal-group":
                    yield self.portal_group(each)
                elif kind == "target" and key == "lun":
                    yield from self.luns(each)

    def field(self, value: Value, name: str) -> str:
        found = value.get(name)
        if found is None:
            problem = f"{name} is missing here"
            raise ConfigError([refusal(self.span(value), problem, f"write {name} = \"...\"")])
        return found.text

    def portal_group(self, value: Value) -> Entry:
        if value.members is None:
            return Entry("portal-group", (value.text,), self.span(value))
        auth = value.get("auth-group-name")
        name = self.field(value, "name")
        return Entry("portal-group", (name, auth.text) if auth is not None else (name,), self.span(value))

    def luns(self, value: Value) -> Iterator[Entry]:
        """``{ number = 0, name = "x" }``, ``{ number = 0, path = ... }``, or ``{ 0 = "x" }``."""
        number, name = value.get("number"), value.get("name")
        if number is not None:
            inner = None if name is not None else tuple(self.section("lun", value))
            values = (number.text,) if name is None else (number.text, name.text)
            yield Entry("lun", values, self.span(value), inner)
            return
        for key, each in value.members or ():
            if each.members is None:
                yield Entry("lun", (key, each.text), self.span(each))
            else:
                named = each.get("name")
                inner = tuple(self.section("lun", each)) if named is None else None
                yield Entry("lun", (key,) if named is None else (key, named.text), self.span(each), inner)


@v_args(meta=True)
class _ToValues(Transformer[Token, Any]):
    def start(self, meta: Any, children: list[Any]) -> Value:
        return Value(Span("", 1, 1), members=tuple(children))

    def object(self, meta: Any, children: list[Any]) -> Value:
        return Value(_place(meta), members=tuple(children))

    def array(self, meta: Any, children: list[Any]) -> Value:
        return Value(_place(meta), items=tuple(_value(child) for child in children))

    def key(self, meta: Any, children: list[Token]) -> str:
        return _text(children[0])

    def pair(self, meta: Any, children: list[Any]) -> tuple[str, Value]:
        *keys, value = children
        made = _value(value)
        for key in reversed(keys[1:]):  # name other { ... } is name { other { ... } }
            made = Value(made.span, members=((key, made),))
        return keys[0], made


def _place(meta: Any) -> Span:
    return Span("", getattr(meta, "line", 1), getattr(meta, "column", 1))


def _value(child: Value | Token) -> Value:
    return child if isinstance(child, Value) else Value(Span("", child.line or 1, child.column or 1), _text(child))


def _text(token: Token) -> str:
    return _ESCAPE.sub(r"\1", str(token)[1:-1]) if token.type == "QUOTED" else str(token)


@cache
def _parser() -> Lark:
    grammar = resources.files("ietpy.migrate").joinpath("ucl.lark").read_text("ascii")
    return Lark(grammar, parser="lalr", propagate_positions=True)
