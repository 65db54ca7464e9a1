"""Who a guess is counted with and when it is heard, without a clock and without a socket."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ietpy.server import throttle as module
from ietpy.server.logins import LOGIN_SECONDS
from ietpy.server.throttle import FIRST_PAUSE, FREE, LONGEST_PAUSE, MEMORY, Throttle, source


@pytest.mark.parametrize(("address", "counted"), [
    pytest.param("192.0.2.7", "192.0.2.7", id="IPv4"),
    pytest.param("::ffff:192.0.2.7", "192.0.2.7", id="IPv4 on an IPv6 socket"),
    pytest.param("2001:db8:0:1::5", "2001:db8:0:1::", id="IPv6: its /64"),
    pytest.param("2001:db8:0:1:ffff::", "2001:db8:0:1::", id="another of this /64"),
    pytest.param("2001:db8:0:2::5", "2001:db8:0:2::", id="another /64"),
    pytest.param("::1", "::", id="loopback"),
    pytest.param("fe80::1", "fe80::", id="link-local"),
])
def test_sources(address: str, counted: str) -> None:
    assert source(address) == counted


def guess(throttle: Throttle, at: float, *, right: bool = False, who: str = "192.0.2.7") -> float:
    """One guess as soon as it is heard; when that was."""
    heard = max(at, throttle.ready(who))
    throttle.heard(who, heard)
    if right:
        throttle.right(who, heard)
    else:
        throttle.wrong(who, heard)
    return heard


def test_a_few_wrong_secrets_cost_nothing() -> None:
    throttle = Throttle()
    assert [guess(throttle, 100.0) for _ in range(FREE)] == [100.0] * FREE


def test_intervals_grow_and_have_an_end() -> None:
    throttle, times = Throttle(), [0.0]
    for _ in range(FREE + 30):
        times.append(guess(throttle, times[-1]))
    pauses = [later - earlier for earlier, later in pairwise(times[FREE:])]
    assert pauses[:6] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert set(pauses[5:]) == {LONGEST_PAUSE}
    assert LONGEST_PAUSE < LOGIN_SECONDS / 1.5


def test_guesses_under_way_together_wait_for_each_other() -> None:
    throttle = Throttle()
    for _ in range(FREE):
        guess(throttle, 10.0)
    first = throttle.ready("192.0.2.7")
    throttle.heard("192.0.2.7", first)
    assert throttle.ready("192.0.2.7") == first + FIRST_PAUSE


def test_a_right_secret_makes_room_and_forgives_nothing() -> None:
    throttle = Throttle()
    for _ in range(FREE + 3):
        guess(throttle, 0.0)
    heard = guess(throttle, 0.0, right=True)
    assert guess(throttle, heard, right=True) == heard
    assert guess(throttle, heard) == heard
    assert throttle.ready("192.0.2.7") == heard + LONGEST_PAUSE


def test_others_do_not_wait() -> None:
    throttle = Throttle()
    for _ in range(FREE + 3):
        guess(throttle, 0.0)
    assert throttle.ready("192.0.2.8") == 0.0
    throttle.heard("192.0.2.8", 1.0)
    throttle.right("192.0.2.8", 1.0)
    assert guess(throttle, 1.0, who="192.0.2.8") == 1.0


def test_who_is_quiet_is_forgotten() -> None:
    throttle = Throttle()
    for _ in range(FREE + 1):
        last = guess(throttle, 0.0)
    guess(throttle, last, who="192.0.2.8")
    assert throttle.forget(last + MEMORY - 0.1) == []
    assert throttle.forget(last + MEMORY) == [("192.0.2.7", FREE + 1)]  # the other one never had to wait
    assert throttle.ready("192.0.2.7") == 0.0
    assert [guess(throttle, 1000.0) for _ in range(FREE)] == [1000.0] * FREE


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOURCES", 3)
    throttle = Throttle()
    for who in ("a", "b", "c", "a", "d"):
        for _ in range(FREE):
            throttle.wrong(who, 1.0)
    assert [who for who in "abcd" if throttle.ready(who)] == ["a", "c", "d"]


def test_processes_share_what_they_know() -> None:
    here, there = Throttle(), Throttle()
    here.tell, there.tell = there.hear_of, here.hear_of
    for _ in range(FREE + 1):
        here.wrong("a", 0.0)
    assert here.ready("a") == there.ready("a") == 1.0
    there.heard("a", 2.0)
    assert here.ready("a") == there.ready("a") == 3.0
    here.right("a", 2.5)
    assert here.ready("a") == there.ready("a") == 2.5
    there.hear_of("heard", "b", 3.0)
    assert there.ready("b") == 0.0
    assert (here.forget(1000.0), there.forget(1000.0)) == ([("a", FREE + 1)], [])  # one log has one line of it
