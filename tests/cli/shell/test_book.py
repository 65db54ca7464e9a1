"""The book of names: what was written is read, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ietpy.cli.shell.book import Backstore, Book, from_text, to_text

ONE = Backstore("fileio", "a", "/srv/a\udcff.img", write_back=True)
FULL = Book((ONE, Backstore("block", "b", "/dev/b")), {"iqn.x": {"authentication": False}}, {"auto_save_on_exit": True})


def test_what_was_written_is_read() -> None:
    assert from_text(to_text(FULL)) == FULL
    assert from_text(to_text(Book())) == Book()


def changed(**changes: Any) -> str:
    return json.dumps({**json.loads(to_text(FULL)), **changes})


@pytest.mark.parametrize("text", [
    "", "{", "[]", "1", "{}", changed(format=2), changed(backstores=1), changed(backstores=[{"plugin": "block"}]),
    changed(backstores=[{"plugin": "block", "name": 1, "path": "/x"}]), changed(targets=[1]),
    changed(targets={"t": {"authentication": "no"}}), changed(preferences={"x": 1}), "[" * 100_000,
    changed(backstores=[{"plugin": "block", "name": "a", "path": "/x", "write_back": "yes"}]),
])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_text(text)


def test_entries() -> None:
    book = Book().with_backstore(ONE).with_backstore(Backstore("fileio", "a", "/other"))
    assert [one.path for one in book.backstores] == ["/other"]
    assert not book.without_backstore(ONE).backstores
    book = book.with_attribute("IQN.X", "authentication", False)
    assert not book.attribute("iqn.x", "authentication", True)
    assert book.attribute("iqn.y", "authentication", True)
    assert book.without_target("iqn.X").attribute("iqn.x", "authentication", True)
    assert book.with_preference("p", True).preferences == {"p": True}
