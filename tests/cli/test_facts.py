"""What commands make of the daemon's facts: sessions of connections, how fast they are, and who is meant."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.cli import facts
from ietpy.cli.facts import Histogram, Session
from ietpy.errors import UsageError

LE = [0.001, 0.01, 0.1]


def connection(tsih: int = 1, target: str | None = "iqn.x:a", **more: Any) -> dict[str, Any]:
    """What the daemon tells of a connection, with counters."""
    return {
        "tsih": tsih, "isid": "800000000001", "cid": 0, "initiator": "iqn.1993-08.org.debian:01:abc",
        "address": "10.0.0.7", "portal": "10.0.0.1", "portal_group": 1, "target": target, "user": "",
        "header_digest": False, "data_digest": True, "closing": False, "since": 1000.0, "keys": {"MaxBurstLength": "8"},
        "luns": [0, 1], "reads": 100, "writes": 50, "bytes_read": 4096, "bytes_written": 1024, "commands": 160,
        "queue_depth": 3, "latency": {"le": LE, "counts": [90, 9, 1, 0]}, **more,
    }


def session(**more: Any) -> Session:
    (found,) = facts.sessions([connection(**more)], [{"name": "iqn.x:a", "tid": 7}])
    return found


def test_connections_of_one_session_are_one() -> None:
    told = [connection(1), connection(2), connection(1, cid=1), connection(1, "iqn.x:b")]
    found = facts.sessions(told, [{"name": "iqn.x:a", "tid": 7}])
    assert [(each.id, each.target, len(each.connections)) for each in found] == [
        (1, "iqn.x:a", 2), (2, "iqn.x:a", 1), (1, "iqn.x:b", 1)
    ]
    assert [each.tid for each in found] == [7, 7, 0]
    assert found[0].queue_depth == 3
    assert found[0].sid == int.from_bytes(bytes.fromhex("800000000001") + b"\1\0", "little")


def test_what_a_daemon_does_not_tell_is_none() -> None:
    bare = {name: value for name, value in connection(target=None).items() if name not in (
        "since", "keys", "luns", *facts.COUNTERS, "queue_depth", "latency")}
    (found,) = facts.sessions([bare])
    assert (found.target, found.tid, found.queue_depth, found.age(5.0)) == ("", 0, None, None)
    how = facts.pace(found, 5.0)
    assert (how.seconds, how.operations, how.bytes, how.latency.quantile(0.5)) == (None, None, None, None)
    assert set(how.rates.values()) == {None}


def test_without_a_look_before_the_pace_is_that_of_its_life() -> None:
    how = facts.pace(session(), 1010.0)
    assert how.seconds == 10.0
    assert (how.operations, how.bytes) == (15.0, 512.0)
    assert how.latency.total == 100


def test_between_two_looks_only_what_came_meanwhile_counts() -> None:
    later = session(reads=140, writes=50, commands=200, latency={"le": LE, "counts": [90, 9, 41, 0]})
    how = facts.pace(later, 1010.0, session(), 2.0)
    assert (how.seconds, how.rates["reads"], how.rates["writes"], how.rates["commands"]) == (2.0, 20.0, 0.0, 20.0)
    assert list(how.latency.counts) == [0, 0, 40, 0]


def test_what_is_under_way_on_average() -> None:
    """A look at a moment finds nothing where all is quick; how long all took together says it."""
    before = session(latency={"le": LE, "counts": [10, 0, 0, 0], "sum": 1.0})
    after = session(latency={"le": LE, "counts": [90, 0, 0, 0], "sum": 9.0})
    assert facts.pace(after, 1010.0, before, 2.0).depth == 4.0
    assert facts.pace(after, 1010.0).depth is None
    assert facts.pace(after, 1010.0, after, 2.0).depth is None
    assert facts.pace(session(), 1010.0, session(), 2.0).depth is None


def test_a_look_at_another_session_of_this_number_does_not_count() -> None:
    again = session(since=1009.0, reads=3)
    assert facts.pace(again, 1010.0, session(), 2.0).rates["reads"] == 3.0


@pytest.mark.parametrize(
    ("counts", "part", "seconds"),
    [
        ([0, 0, 0, 0], 0.5, None),
        ([10, 0, 0, 0], 0.5, 0.0005),
        ([10, 0, 0, 0], 1.0, 0.001),
        ([50, 50, 0, 0], 0.5, 0.001),
        ([50, 50, 0, 0], 0.75, 0.0055),
        ([0, 0, 0, 5], 0.5, 0.1),  # beyond all bounds: at least the last
        ([1, 0, 9], 0.99, 0.1 - 0.09 * 0.1 / 9),
    ],
)
def test_quantiles(counts: list[int], part: float, seconds: float | None) -> None:
    found = Histogram(LE, counts).quantile(part)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_histograms_that_do_not_belong_together_are_not_compared() -> None:
    now = Histogram(LE, [3, 0, 0, 0])
    for before in (Histogram(LE, [4, 0, 0, 0]), Histogram([1.0], [1, 0, 0, 0]), Histogram(LE, [1])):
        assert now.since(before) is now
    assert facts.histogram(None) == Histogram()


EXAMPLE = "iqn.2001-04.com.example"
TARGETS = [{"name": f"{EXAMPLE}:{name}", "tid": tid} for tid, name in enumerate(("a.disk", "b.disk", "c"), 1)]


@pytest.mark.parametrize(("word", "tid"), [("iqn.2001-04.com.example:C", 3), ("a.disk", 1), (":c", 3), ("2", 2)])
def test_a_target_goes_by_its_name_its_end_or_its_number(word: str, tid: int) -> None:
    assert facts.target_named(TARGETS, word)["tid"] == tid


@pytest.mark.parametrize(
    ("word", "targets", "said"),
    [
        ("disk", TARGETS, f"is the end of several targets: {EXAMPLE}:a.disk, {EXAMPLE}:b.disk; say more"),
        ("a.dist", TARGETS, "no target has the name 'a.dist'"),
        ("example:a.dist", TARGETS, "similar: iqn.2001-04.com.example:a.disk"),
        ("com.example", TARGETS, "similar: iqn.2001-04.com.example:"),
        ("zzz", TARGETS, "there are iqn.2001-04.com.example:a.disk, "),
        ("zzz", TARGETS[:1], "there is iqn.2001-04.com.example:a.disk"),
        ("zzz", [], "none is served; ietpy add target makes one"),
    ],
)
def test_who_means_none_or_several_hears_what_there_is(word: str, targets: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(UsageError) as told:
        facts.target_named(targets, word)
    assert said in str(told.value)


def test_filters_look_at_the_end_of_names() -> None:
    found = facts.sessions([connection(), connection(2, initiator="iqn.x:OTHER"), connection(3, "iqn.x:b")])
    assert [each.id for each in facts.chosen(found, None, None)] == [1, 2, 3]
    assert [each.id for each in facts.chosen(found, ":A", None)] == [1, 2]
    assert [each.id for each in facts.chosen(found, None, "other")] == [2]
    assert facts.chosen(found, ":a", "nobody") == []
