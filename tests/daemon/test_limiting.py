"""How often the log says the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.daemon.limiting import FIRST, LONGEST, PER_CODE, PER_PEER, Limiter, Suppressed


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> Limiter:
    return Limiter(clock)


def admitted(limiter: Limiter, code: str, *abouts: str) -> int:
    return sum(limiter.admit(code, about)[0] for about in abouts)


def test_so_many_of_one_peer_and_the_rest_is_counted(limiter: Limiter, clock: Clock) -> None:
    assert admitted(limiter, "a", *["10.0.0.1"] * 100) == PER_PEER
    assert admitted(limiter, "a", "10.0.0.2") == 1, "another peer is heard"
    assert admitted(limiter, "b", "10.0.0.1") == 1, "of something else, too"
    assert limiter.due() == []
    assert (limiter.waits, limiter.wait) == (True, FIRST)
    clock.now += FIRST
    assert limiter.due() == [Suppressed("a", "10.0.0.1", 100 - PER_PEER, FIRST)]
    assert limiter.due() == []
    assert not limiter.waits


def test_so_many_of_one_code_from_everywhere(limiter: Limiter, clock: Clock) -> None:
    assert admitted(limiter, "a", *[f"10.0.{high}.{low}" for high in range(10) for low in range(10)]) == PER_CODE
    clock.now += FIRST
    admit, due = limiter.admit("a", "10.0.0.1")
    assert admit
    assert due == [Suppressed("a", "", 50, FIRST)]


@pytest.mark.parametrize("abouts", [
    pytest.param([f"2001:db8::{n:x}" for n in range(100)], id="a host has a whole /64"),
    pytest.param(["10.0.0.1", "::ffff:10.0.0.1"] * 50, id="an IPv4 address by IPv6"),
    pytest.param(["iqn.x 0"] * 100, id="a LUN"),
])
def test_who_is_one(limiter: Limiter, abouts: list[str]) -> None:
    assert admitted(limiter, "a", *abouts) == PER_PEER


def test_what_goes_on_is_told_less_and_less(limiter: Limiter, clock: Clock) -> None:
    """A day of one line in a second."""
    lines = told = 0
    seconds = []
    for _ in range(86400):
        admit, due = limiter.admit("a", "10.0.0.1")
        lines += admit
        told += sum(each.lines for each in due)
        seconds += [each.seconds for each in due]
        clock.now += 1
    assert seconds == sorted(seconds)
    assert (seconds[0], seconds[1], seconds[-1]) == (FIRST, 2 * FIRST, LONGEST)
    assert lines < 400
    told += sum(each.lines for each in limiter.settle())
    assert lines + told == 86400


def test_after_a_quiet_time_all_is_forgotten(limiter: Limiter, clock: Clock) -> None:
    admitted(limiter, "a", *["10.0.0.1"] * 20)
    clock.now += FIRST
    assert limiter.due() != []
    clock.now += 2 * FIRST
    assert limiter.due() == []
    assert limiter._windows == {}


@given(st.lists(st.tuples(
    st.sampled_from(["a", "b"]), st.sampled_from(["", "x", "y", "z"]),
    st.sampled_from([0.0, 0.0, 0.0, 1.0, 61.0, 4000.0]),
), max_size=400))
def test_nothing_is_lost_uncounted(lines: list[tuple[str, str, float]]) -> None:
    clock = Clock()
    limiter = Limiter(clock)
    told: list[Suppressed] = []
    admitted = 0
    for code, about, pause in lines:
        admit, due = limiter.admit(code, about)
        admitted += admit
        told += due
        clock.now += pause
    told += limiter.settle()
    assert admitted + sum(each.lines for each in told) == len(lines)
