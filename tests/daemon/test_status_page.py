"""The status page as it is without a script, and what its script is given. ``tests/interop`` has a real browser."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from ietpy.daemon import status_page
from ietpy.daemon.status_page import as_json, asset, page, size

HOSTILE = "iqn.x:<script>alert(1)</script>\"'&amp;"
LATENCY = {"le": [0.1], "counts": [1, 0], "sum": 0.05}


def unit(number: int, **more: Any) -> dict[str, Any]:
    return {
        "number": number, "type": "fileio", "path": f"/srv/{number}.img", "mode": "wt", "block_size": 512,
        "size": 10 << 30, "leaving": False, "reads": 3, "writes": 4, "bytes_read": 12288, "bytes_written": 2048,
        "errors": {"unit_attention": 7, "medium_error": 2}, "latency": None, **more,
    }


def session(tsih: int, **more: Any) -> dict[str, Any]:
    return {
        "tsih": tsih, "cid": 0, "initiator": "iqn.y:i", "address": "192.0.2.1", "target": "iqn.x:t", "since": 0.0,
        "reads": 1, "writes": 2, "bytes_read": 512, "bytes_written": 1024, "latency": LATENCY, "queue_depth": 5, **more,
    }


def facts(**more: Any) -> dict[str, Any]:
    usage = dict.fromkeys(status_page._USAGE, 1)
    return {
        "version": "1.2", "started": 1.0, "degraded": False, "problems": [], "targets": [], "sessions": [],
        "usage": [{**usage, "logins": {"success": 2}}, {**usage, "logins": {"success": 1, "not_found": 1}}],
        "options": {"secret": "nobody's business"}, **more,
    }


class Reader(HTMLParser):
    """Takes a page apart: its elements are closed as they were opened, and what text there is."""

    VOID = ("meta", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_a_page_of_nothing() -> None:
    read = Reader(page(facts()))
    assert {"No target is served.", "Nobody is logged in.", "healthy"} <= {*read.words}


def test_what_is_counted_is_shown_without_a_script() -> None:
    target = {"name": "iqn.x:t", "sessions": 1, "luns": [unit(0), unit(1, path="", type="nullio", leaving=True)]}
    read = Reader(page(facts(targets=[target], sessions=[session(1), session(1, cid=1)])))
    text = "|".join(read.words)
    assert "|0|/srv/0.img|fileio wt|10.0 GiB|3|4|12.0 KiB|2.00 KiB|2|" in text
    assert "|1|\u2013|nullio wt (leaving)|" in text
    assert text.count("|iqn.y:i|192.0.2.1|iqn.x:t|1970-01-01 00:00:00|1|2|512 B|1.00 KiB|5") == 1


@pytest.mark.parametrize(("degraded", "problems", "state"), [(True, 1, "degraded"), (False, 1, "warnings")])
def test_what_is_wrong_is_shown(degraded: bool, problems: int, state: str) -> None:
    problem = {"code": "lun-not-served", "severity": "error", "text": f"f:1:1: {HOSTILE}"}
    read = Reader(page(facts(degraded=degraded, problems=[problem] * problems)))
    assert state in read.words
    assert f"f:1:1: {HOSTILE}" in read.words


def test_nothing_that_others_name_is_html() -> None:
    target = {"name": HOSTILE, "sessions": 1, "luns": [unit(0, path=HOSTILE)]}
    text = page(facts(targets=[target], sessions=[session(1, initiator=HOSTILE, target=HOSTILE)], version=HOSTILE))
    read = Reader(text)
    assert [attributes.get("src") for tag, attributes in read.tags if tag == "script"] == ["status.js"]
    assert read.words.count(HOSTILE) == 4
    assert not re.search(r"\son[a-z]+=|style=|javascript:", text)  # what the policy of the page does not allow


@pytest.mark.parametrize(("luns", "opened"), [(20, True), (21, False)])
def test_many_luns_are_folded(luns: int, opened: bool) -> None:
    read = Reader(page(facts(targets=[{"name": "t", "sessions": 0, "luns": [unit(n) for n in range(luns)]}])))
    (attributes,) = [attributes for tag, attributes in read.tags if tag == "details"]
    assert ("open" in attributes) is opened


def test_the_script_is_told_what_it_shows_and_no_more() -> None:
    told = json.loads(as_json(facts(
        sessions=[session(1, user="joe"), session(1, cid=1)],
        targets=[{"name": "t", "sessions": 0, "luns": [unit(0)], "tid": 1}],
        problems=[{"code": "c", "severity": "error", "text": "t", "file": "/etc/f"}],
    )))
    assert told.keys() == {
        "now", "started", "degraded", "problems", "targets", "sessions", "usage", "logins",
    }
    (one,) = told["sessions"]
    assert one.keys() == {*status_page._SESSION}
    assert told["problems"] == [{"code": "c", "severity": "error", "text": "t"}]
    assert told["logins"] == {"success": 3, "not_found": 1}
    assert "nobody" not in json.dumps(told)


def test_a_page_names_no_other_place() -> None:
    text = page(facts()) + asset("status.css").decode() + asset("status.js").decode()
    assert {*re.findall(r"https?://[^\s\"']+", text)} == {"http://www.w3.org/2000/svg"}  # a name, which nobody opens
    assert "innerHTML" not in text
    assert "url(" not in text


@pytest.mark.parametrize(("count", "words"), [
    (0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (10 << 30, "10.0 GiB"), (100 << 20, "100 MiB"),
    (5 << 60, "5120 PiB"),
])
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words
