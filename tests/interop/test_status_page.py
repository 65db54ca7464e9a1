"""The status page in a real Chromium: what it shows of none, one and a thousand LUNs, and of hostile names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.cli.conftest import Daemon, make_disk, until

TARGET = "iqn.2026-11.test:t"
HOSTILE = "iqn.x:<img/src=x/onerror=window.hurt=1><script>window.hurt=1</script>"
LOOKED = "return Number(document.body.dataset.looked || 0) >= {}"

Serve = Callable[[str], AbstractContextManager[Daemon]]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture
def serve(tmp_path: Path, browser: Browser) -> Serve:
    """A daemon of this text, whose page the browser has loaded, and whose script has looked once."""

    @contextmanager
    def serving(text: str) -> Iterator[Daemon]:
        with Daemon(tmp_path, f"Metrics 127.0.0.1:0\n{text}") as daemon:
            browser.open(f"http://{daemon.instance.watching.place}/")
            browser.await_(LOOKED.format(1))
            yield daemon
            browser.open("about:blank")

    return serving


def text_of(browser: Browser, place: str) -> str:
    """What a reader sees there."""
    found: str = browser.run("return document.querySelector(arguments[0]).innerText", place)
    return found


def test_nothing_is_served(serve: Serve, browser: Browser) -> None:
    with serve(""):
        assert text_of(browser, "#targets") == "No target is served."
        assert text_of(browser, "#no-session") == "Nobody is logged in."
        assert text_of(browser, "#state") == "healthy"
        assert text_of(browser, "#live") == "live"
        assert browser.run("return getComputedStyle(document.body).maxWidth + document.styleSheets.length") == "none1"
        assert browser.log() == []


def test_one_lun_is_live(serve: Serve, browser: Browser, tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "d.img")
    with serve(f"Target {TARGET}\nLun 0 Path={disk},Type=fileio\n") as daemon:
        client = daemon.login(TARGET, initiator="iqn.x:someone")
        assert client.command(0, bytes(6)).status == 2

        def busy() -> bool:
            client.read(0, 0, 8)
            return bool(browser.run(
                "const cell = document.querySelector('#targets tbody tr td:nth-child(5)');"
                "return cell && Number(cell.textContent) > 0"
            ))

        until(busy)
        assert str(disk) in text_of(browser, "#targets")
        assert "iqn.x:someone" in text_of(browser, "#sessions")
        assert text_of(browser, "#tile-reads b") != "\u2013"
        assert browser.run("return document.querySelectorAll('#targets svg path.line').length") <= 1
        assert browser.run("return document.getElementById('static').hidden")
        client.logout()
        browser.await_("return document.getElementById('sessions').children.length === 0")
        assert browser.log() == []


def test_a_thousand_luns_are_found_and_not_in_the_way(serve: Serve, browser: Browser) -> None:
    lines = [
        line
        for number in range(100)
        for line in (
            f"Target iqn.2026-11.test:t{number}", *(f"Lun {lun} Type=nullio,Blocks=2048" for lun in range(10))
        )
    ]
    with serve("\n".join(lines) + "\n"):
        shown = "return [...document.querySelectorAll('#targets > details')].filter((each) => !each.hidden).length"
        assert browser.run(shown) == 100
        assert browser.run("return document.querySelectorAll('#targets details[open]').length") == 0
        type_ = (
            "const box = document.getElementById('filter'); box.value = arguments[0];"
            "const began = performance.now(); box.dispatchEvent(new Event('input')); return performance.now() - began"
        )
        assert browser.run(type_, ":t42") < 1000
        assert browser.run(shown) == 1
        browser.run(type_, "no such thing")
        assert text_of(browser, "#nothing-found") == "No target or LUN is called that."
        browser.run(type_, "")
        assert browser.run(shown) == 100
        browser.run("document.querySelector('#targets > details').open = true")
        browser.await_("return document.querySelectorAll('#targets > details[open] tbody tr').length === 10")
        browser.await_(LOOKED.format(3))
        assert browser.run("return document.querySelectorAll('#targets details[open]').length") == 1  # as it was left
        assert browser.log() == []


def test_a_hostile_initiator_does_nothing_but_be_shown(serve: Serve, browser: Browser) -> None:
    with serve(f"Target {TARGET}\nLun 0 Type=nullio,Blocks=8\nLun 1 Path=/no/<b>where</b>&amp;\n") as daemon:
        daemon.login(TARGET, initiator=HOSTILE)
        browser.open(f"http://{daemon.instance.watching.place}/")
        browser.await_("return document.getElementById('sessions').children.length === 1")
        assert HOSTILE in text_of(browser, "#sessions")
        assert "/no/<b>where</b>&amp;" in text_of(browser, "#problems")
        assert text_of(browser, "#state") == "degraded"
        assert browser.run("return window.hurt === undefined && !document.querySelector('img, main b b, main script')")
        assert browser.log() == []


def test_a_daemon_that_has_gone_is_told_of(serve: Serve, browser: Browser) -> None:
    with serve("") as daemon:
        daemon.instance.watching.stop()
        browser.await_("return document.getElementById('live').textContent.startsWith('no answer')")
