"""What a page must become to be a man page: Sphinx's and docutils' writers leave some of it to the reader."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

#: A blank line that man(7) makes anyway.
_SURPLUS: Final = re.compile(r"(?<=\n)(\.S[HS] .*\n)\.sp\n")
#: A font of typesetters, which docutils up to 0.19 asks for.
_FONT: Final = re.compile(r"^\.ft [CP]\n", re.MULTILINE)


def adapt(app: Sphinx, document: nodes.document, name: str) -> None:
    """At ``doctree-resolved``: links are words, as there is nowhere to go; options are definitions."""
    if app.builder.name != "man":
        return
    for link in list(document.findall(nodes.reference)):
        link.replace_self(nodes.inline("", "", *link.children))
    for listed in list(document.findall(nodes.bullet_list)):
        if all(_is_option(item) for item in listed.children):
            listed.replace_self(nodes.definition_list("", *map(_definition, listed.children)))


def _is_option(item: nodes.Node) -> bool:
    """Whether an item is code, a colon, and what it means."""
    first = item.children[0] if item.children else None
    return isinstance(first, nodes.paragraph) and isinstance(first.children[0], nodes.literal) and _colon(first) > 0


def _colon(paragraph: nodes.Node) -> int:
    """The place of the text with the colon among the children, -1 if it has none."""
    places = (at for at, one in enumerate(paragraph.children) if isinstance(one, nodes.Text) and ": " in one)
    return next(places, -1)


def _definition(item: nodes.Node) -> nodes.definition_list_item:
    paragraph, *more = item.children
    at = _colon(paragraph)
    before, _, after = str(paragraph.children[at]).partition(": ")
    term = nodes.term("", "", *paragraph.children[:at], nodes.Text(before))
    meaning = nodes.paragraph("", "", nodes.Text(after), *paragraph.children[at + 1:])
    return nodes.definition_list_item("", term, nodes.definition("", meaning, *more))


def tidy(text: str) -> str:
    """A written man page without what mandoc warns of."""
    return _FONT.sub("", _SURPLUS.sub(r"\1", text))
