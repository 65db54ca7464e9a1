"""A configuration that changes in all its parts with each reload, and returns to what it was; for tests of leaks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ietpy.admin.client import ask
from tests.footprint import Footprint, footprint

STAYS = "iqn.2001-04.com.example:stays"
TURNS = 4  #: after so many reloads it is the same again
_SETTLING = 20.0  #: seconds for what was removed to leave


def text(turn: int, folder: Path, port: int, other_port: int) -> str:
    """ietd.conf of a turn: targets, LUNs, accounts, options, portals and rules of initiators come, go and change."""
    odd, high = turn % 2, turn // 2 % 2
    more = f",127.0.0.1:{other_port}" if odd else ""
    lines = [
        f"Portal 1 127.0.0.1:{port}{more}",
        f"Target {STAYS}",
        f"\tLun 0 Path={folder}/stays.img,Type=fileio",
        f"\tLun 1 Path={folder}/{'a' if odd else 'b'}.img,Type=fileio",
        f"\tMaxBurstLength {262144 << high}",
        f"\tWthreads {4 + 4 * odd}",
        *([f"\tInitiator iqn.* Luns=0{',1' * odd}"] if high else []),
    ]
    for number in range(1 + turn % TURNS):
        lines += [f"Target iqn.2001-04.com.example:comes{number}", f"\tLun 0 Path={folder}/{number}.img,Type=fileio"]
        lines += [f"\tIncomingUser user{number} secretsecret{high}{number}"] * odd
    return "\n".join(lines) + "\n"


def images(folder: Path) -> None:
    for name in ("stays", "a", "b", *map(str, range(TURNS))):
        with (folder / f"{name}.img").open("wb") as file:
            file.truncate(1 << 20)


def reload(config: Path, control: Path, words: str) -> None:
    config.write_text(words)
    config.chmod(0o600)
    answer = ask(str(control), "reload", patience=60.0)
    assert not answer["unable"], answer
    assert not answer["found"], answer


def settled(pid: int, condition: Callable[[Footprint], bool] = lambda now: False) -> Footprint:
    """What a daemon takes when that stays the same for half a second, or meets the condition."""
    until = time.monotonic() + _SETTLING
    last, since = footprint(pid), time.monotonic()
    while time.monotonic() < until and not condition(last) and time.monotonic() - since < 0.5:
        time.sleep(0.02)
        now = footprint(pid)
        if (now.threads, now.descriptors) != (last.threads, last.descriptors):
            since = time.monotonic()
        last = now
    return last
