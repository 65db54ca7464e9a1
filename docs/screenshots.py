"""Makes the pictures below docs/screenshots, of a real daemon under load: ``docs/screenshots.py [NAME...]``, else all.

Run it with the interpreter of the tests. It needs rsvg-convert (Debian: librsvg2-bin) and a monospaced font, and for
the status page Chromium (Debian: chromium-driver).
"""

from __future__ import annotations

import io
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyte
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests are no package that is installed
from ietpy.errors import IetpyError
from tests.browser import Browser
from tests.cli.conftest import Daemon, make_disk
from tests.cli.terminals import AtTerminal

PICTURES: Final = Path(__file__).parent / "screenshots"
_SIZE: Final = 64 << 20  #: bytes of each disk
_DEPTH: Final = 8
_WARM_UP: Final = 4.0  #: seconds of load before the picture
_LOOKS: Final = 40  #: of the status page before its picture, one in two seconds
_FONTS: Final = "'DejaVu Sans Mono', 'Liberation Mono', monospace"
_BLANK: Final = "\xa0"  #: what SVG does not take for something to be left out

#: Who is at the daemon: initiator, target, bytes of each command, how many of 100 commands write, seconds between two.
LOAD: Final = (
    ("iqn.1993-08.org.debian:01:web-1", "iqn.2010-06.net.example:web", 4096, 30, 0.0),
    ("iqn.1993-08.org.debian:01:web-2", "iqn.2010-06.net.example:web", 4096, 20, 0.001),
    ("iqn.1998-01.com.vmware:esx-07", "iqn.2010-06.net.example:vmfs", 65536, 50, 0.001),
    ("iqn.1998-01.com.vmware:esx-08", "iqn.2010-06.net.example:vmfs", 16384, 70, 0.003),
    ("iqn.1991-05.com.microsoft:sql.corp", "iqn.2010-06.net.example:sql", 8192, 60, 0.002),
    ("iqn.2010-04.org.ipxe:backup", "iqn.2010-06.net.example:archive", 262144, 0, 0.002),
)


@contextmanager
def under_load(first: str = "") -> Iterator[Daemon]:
    """A daemon with four targets that all of ``LOAD`` use. ``first``: further lines of its file."""
    names = list(dict.fromkeys(target for _, target, *_ in LOAD))
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        text = first
        for number, name in enumerate(names):
            disk = make_disk(directory / f"disk{number}.img", _SIZE)
            text += f"Target {name}\n    Lun 0 Path={disk},Type=fileio,IOMode=wb\n"
        over = threading.Event()
        with Daemon(directory, text) as daemon:
            threads = [threading.Thread(target=_work, args=(daemon, over, *who)) for who in LOAD]
            for thread in threads:
                thread.start()
            try:
                yield daemon
            finally:
                over.set()
                for thread in threads:
                    thread.join()


def _work(
    daemon: Daemon, over: threading.Event, initiator: str, target: str, size: int, writes: int, pause: float
) -> None:
    """One initiator's commands, ``_DEPTH`` at a time, until it is over."""
    chance = random.Random(initiator)
    client = daemon.login(target, initiator=initiator)
    blocks = size // 512
    try:
        while not over.is_set():
            tags = []
            for _ in range(_DEPTH):
                lba = chance.randrange(_SIZE // size) * blocks
                where = lba.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes(2)
                if chance.randrange(100) < writes:
                    tags.append(client.submit(0, b"\x8a\0" + where, write=bytes(size)))
                else:
                    tags.append(client.submit(0, b"\x88\0" + where, read=size))
            for tag in tags:
                client.wait(tag)
            time.sleep(pause)
    except IetpyError:
        if not over.is_set():
            raise


def top() -> None:
    """``ietpy top`` at a terminal of 100 columns, sorted by bytes, with a session selected."""
    with under_load() as daemon, AtTerminal(["top", "-i", "1"], daemon.environment, columns=110, lines=16) as shown:
        shown.see(f"{len(LOAD)} sessions")
        shown.type("b\x1b[B\x1b[B")
        until = time.monotonic() + _WARM_UP
        shown.until(lambda text: time.monotonic() > until)
        shown.see("q quit")
        _picture("top", "ietpy top", coloured(shown.screen))
        shown.type("q")
        shown.ended()


def coloured(screen: pyte.Screen) -> Text:
    """What is on the screen of a terminal, with its colours."""
    text = Text()
    for number in range(screen.lines):
        row = screen.buffer[number]
        for column in range(screen.columns):
            character = row[column]
            text.append(character.data.replace(" ", _BLANK), _style(character))
        text.append("\n")
    return text


def _style(character: pyte.screens.Char) -> str:
    words = [name for name in ("bold", "reverse", "underscore") if getattr(character, name)]
    words = ["underline" if word == "underscore" else word for word in words]
    front = "" if character.fg == "default" else character.fg
    back = "" if character.bg == "default" else f"on {character.bg}"
    style = " ".join([*words, front, back]).strip().replace("brown", "yellow")
    return style or "default"  # with any, each character gets a place of its own, which no font moves


def _picture(name: str, title: str, text: Text) -> None:
    """``name``.png of a terminal with this in it."""
    width = max(len(line) for line in text.plain.split("\n"))
    console = Console(record=True, width=width, force_terminal=True, color_system="standard", file=io.StringIO())
    console.print(text, end="", no_wrap=True, crop=True)
    svg = console.export_svg(title=title, theme=SVG_EXPORT_THEME)
    svg = svg.replace("Fira Code, monospace", _FONTS).replace("font-family: Fira Code", f"font-family: {_FONTS}")
    PICTURES.mkdir(exist_ok=True)
    command = ["rsvg-convert", "--width", "1400", "-o", str(PICTURES / f"{name}.png")]
    subprocess.run(command, input=svg.encode(), check=True)


def status_page() -> None:
    """The status page after a while of load, as people have it by day and by night; and with a thousand LUNs."""
    metrics = "Metrics 127.0.0.1:0\n"
    with under_load(metrics) as daemon, _page(daemon, 1180) as light, _page(daemon, 1180, dark=True) as dark:
        time.sleep(_LOOKS * 2.0)
        for name, browser in (("status-light", light), ("status-dark", dark)):
            _save(name, browser)
    lines = [
        line for number in range(100) for line in (
            f"Target iqn.2010-06.net.example:vm-{number:03}",
            *(f"Lun {lun} Type=nullio,Blocks=2097152" for lun in range(10)),
        )
    ]
    text = metrics + "\n".join(lines) + "\n"
    with tempfile.TemporaryDirectory() as place, Daemon(Path(place), text) as daemon, _page(daemon, 800) as browser:
        browser.await_("return Number(document.body.dataset.looked || 0) >= 5")
        browser.run("document.querySelector('#targets > details').open = true")
        browser.await_("return document.querySelectorAll('#targets svg path.line').length >= 10")
        _save("status-1000-luns", browser)


@contextmanager
def _page(daemon: Daemon, height: int, dark: bool = False) -> Iterator[Browser]:
    """A browser that shows the status page."""
    with tempfile.TemporaryDirectory() as place, Browser(Path(place), height=height, dark=dark) as browser:
        browser.open(f"http://{daemon.instance.watching.place}/")
        yield browser


def _save(name: str, browser: Browser) -> None:
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / f"{name}.png").write_bytes(browser.screenshot())


PARTS: Final[Mapping[str, Callable[[], None]]] = {"top": top, "status-page": status_page}


def main(names: Sequence[str]) -> int:
    """Make these pictures, or all."""
    unknown = set(names) - set(PARTS)
    if unknown:
        print(f"there is no picture {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    for name in names or PARTS:
        PARTS[name]()
        print(PICTURES / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
