"""The screen of ``ietpy top``: its lines, and what keys do to it."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.cli.facts import pace, sessions
from ietpy.cli.top_view import SORTS, Action, Look, Row, View
from tests.cli.test_facts import LE, connection


def rows(*told: dict[str, Any]) -> list[Row]:
    found = sessions(told, [{"name": "iqn.x:a", "tid": 7}])
    return [Row(each, pace(each, 1010.0), each.age(1010.0)) for each in found]


LOOK = Look(
    rows(
        connection(1, initiator="iqn.x:slow", reads=10, queue_depth=9, since=1001.0),
        connection(2, initiator="iqn.x:fast", reads=90_000, latency={"le": LE, "counts": [0, 0, 9, 0]}),
        connection(3, initiator="iqn.x:" + "long" * 30, bytes_read=1 << 40, since=1009.0),
        connection(4, None, initiator="iqn.x:asks"),
    ),
    targets=1,
)


def shown(view: View, width: int = 80, height: int = 24) -> list[str]:
    lines = [line.plain for line in view.lines(width, height)]
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    return lines


def order(view: View) -> list[int]:
    return [int(line.split()[0]) for line in shown(view)[3:7]]


def test_a_screen_of_80_by_24() -> None:
    lines = shown(View(LOOK))
    assert len(lines) == 24
    assert lines[0] == "ietpy top: 1 target, 4 sessions" + "by IOPS, every 2 s".rjust(49)
    assert lines[1] == "9.2k IOPS, 1 TiB/s read, 1.3 KiB/s written, 18 commands under way"
    assert lines[2].split() == ["ID", "INITIATOR", "TARGET", "IOPS", "READ/S", "WRITE/S", "P99", "DEPTH"]
    assert lines[3].split() == ["2", "iqn.x:fast", "iqn.x:a", "9k", "410", "B", "102", "B", "99.1", "ms", "3"]
    assert "…" in lines[4]
    assert "longlong iqn.x:a " in lines[4]
    assert lines[-1].startswith("sort by i IOPS b bytes")
    assert lines[7:23] == [""] * 16


@pytest.mark.parametrize(
    ("width", "more"), [(90, {"AGE"}), (100, {"AGE", "P50"}), (110, {"AGE", "P50", "ADDRESS"}), (200, {"ADDRESS"})]
)
def test_a_wider_screen_has_more_columns(width: int, more: set[str]) -> None:
    assert more <= set(shown(View(LOOK), width)[2].split())


@pytest.mark.parametrize(("width", "height"), [(39, 24), (80, 7), (5, 1)])
def test_a_screen_that_is_too_small(width: int, height: int) -> None:
    assert shown(View(LOOK), width, height) == ["too small"[:width]]


def test_the_smallest_screen() -> None:
    assert len(shown(View(LOOK), 40, 8)) == 8


@pytest.mark.parametrize(
    ("key", "first"), [("i", 2), ("b", 3), ("l", 2), ("d", 1), ("a", 2), ("n", 4)], ids=[sort.name for sort in SORTS]
)
def test_orders(key: str, first: int) -> None:
    view = View(LOOK)
    assert view.press(key) is Action.NOTHING
    assert order(view)[0] == first
    assert view.sort.name in shown(view)[0]


def test_nobody() -> None:
    view = View(Look(targets=2))
    assert shown(view)[1] == "0 IOPS, 0 B/s read, 0 B/s written, 0 commands under way"
    assert shown(view)[3] == "nobody is connected"
    view.press("down")
    view.press("x")
    assert shown(view)[-1] == "select a session first, with the arrow keys"


def test_arrows_select_and_the_selected_one_stays_in_sight() -> None:
    view = View(Look(rows(*(connection(number, reads=1000 - number) for number in range(1, 41)))))
    for key, chosen in (
        ("down", 1), ("down", 2), ("up", 1), ("up", 1), ("end", 40), ("down", 40), ("page up", 30), ("home", 1),
        ("page down", 11),
    ):
        view.press(key)
        assert view.chosen is not None
        assert view.chosen.id == chosen
        (line,) = [line for line in view.lines(80, 24) if str(line.style) == "reverse"]
        assert line.plain.split()[0] == str(chosen)
    assert shown(view)[-1].startswith("20 more below  ")
    view.selected = None
    view.press("up")
    assert view.chosen.id == 40


def test_an_end_is_asked_for() -> None:
    view = View(LOOK)
    view.press("down")
    for key in ("n", "\x1b", "q"):
        assert view.press("x") is Action.NOTHING
        assert shown(view)[-1] == "end session 2 of iqn.x:fast? y, or any other key"
        assert view.press(key) is Action.NOTHING
        assert shown(view)[-1] == "nothing was ended"
    view.press("x")
    assert view.press("y") is Action.END


def test_a_long_name_leaves_room_for_the_question() -> None:
    view = View(LOOK, selected=("iqn.x:a", 3))
    view.press("x")
    assert shown(view)[-1].endswith("long? y, or any other key")


def test_discovery_is_not_ended() -> None:
    view = View(LOOK, selected=("", 4))
    view.press("x")
    assert (view.asking, shown(view)[-1]) == (False, "a session of discovery ends by itself")


def test_standing_still_ending_and_leaving() -> None:
    view = View(LOOK)
    assert view.press("p") is Action.NOTHING
    assert "standing still" in shown(view)[0]
    assert view.press(" ") is Action.LOOK
    assert [view.press(key) for key in ("q", "\x04", "\x1a", "?")] == [
        Action.QUIT, Action.QUIT, Action.SUSPEND, Action.NOTHING
    ]


def test_what_is_not_told_is_no_number() -> None:
    bare = {name: value for name, value in connection().items() if name not in ("reads", "bytes_read", "queue_depth")}
    lines = shown(View(Look(rows(bare))))
    assert lines[1] == "- IOPS, - /s read, 102 B/s written, - commands under way".replace("- /s", "-/s")
    assert lines[3].split()[3:] == ["-", "-", "102", "B", "10", "ms", "-"]


def test_why_nothing_new_is_there_is_said() -> None:
    assert shown(View(Look(LOOK.rows, 1, "the daemon is not running\x1b")))[-1] == "the daemon is not running\\x1b"


def test_names_cannot_move_the_cursor() -> None:
    assert "\x1b" not in "".join(shown(View(Look(rows(connection(initiator="iqn.\x1b[2J"))))))
