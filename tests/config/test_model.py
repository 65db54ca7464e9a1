"""What two configurations have in common when they mean the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.config.model import Account, Configuration, LunConfig, TargetConfig, meaning, replaces
from ietpy.errors import Span

HERE, THERE = Span("f", 3, 1), Span("g", 4, 1)
TARGET = TargetConfig("t", HERE, luns=(LunConfig(0, HERE, "/x"),), incoming=(Account("a", "b", HERE),))
ONE = Configuration("f", targets=(TARGET,))


@pytest.mark.parametrize("other", [
    pytest.param(replace(ONE, file="g"), id="the file"),
    pytest.param(
        replace(ONE, targets=(
            TargetConfig("t", THERE, luns=(LunConfig(0, THERE, "/x"),), incoming=(Account("a", "b", THERE),)),
        )),
        id="places",
    ),
    pytest.param(replace(ONE, diagnostics=loads("what\n").diagnostics), id="findings"),
    pytest.param(replace(ONE, targets=(replace(TARGET, nop_timeout=9),)), id="a NOPTimeout without NOPInterval"),
])
def test_the_same(other: Configuration) -> None:
    assert meaning(other) == meaning(ONE)


@pytest.mark.parametrize("other", [
    pytest.param(replace(ONE, compat="iet"), id="mode"),
    pytest.param(replace(ONE, isns_server="h"), id="iSNS"),
    pytest.param(replace(ONE, discovery_closed="x"), id="discovery closed"),
    pytest.param(replace(ONE, targets=()), id="targets"),
    pytest.param(replace(ONE, targets=(replace(TARGET, name="T"),)), id="letter case"),
    pytest.param(replace(ONE, targets=(replace(TARGET, closed="x"),)), id="closed"),
    pytest.param(replace(ONE, targets=(replace(TARGET, luns=()),)), id="LUNs"),
    pytest.param(replace(ONE, targets=(replace(TARGET, incoming=(Account("a", "c", HERE),)),)), id="a secret"),
    pytest.param(replace(ONE, targets=(replace(TARGET, session_keys={"InitialR2T": True}),)), id="a session key"),
])
def test_another(other: Configuration) -> None:
    assert meaning(other) != meaning(ONE)


def test_why_something_is_closed_is_not_what_it_means() -> None:
    first, second = (replace(ONE, discovery_closed=why, targets=(replace(TARGET, closed=why),)) for why in "ab")
    assert meaning(first) == meaning(second)


def test_nop_timeout_counts_within_nop_interval() -> None:
    a, b, c = (replace(ONE, targets=(replace(TARGET, nop_interval=9, nop_timeout=n),)) for n in (0, 9, 5))
    assert meaning(a) == meaning(b) != meaning(c)


def test_luns_that_are_served_are_those_of_targets_that_are_not_closed() -> None:
    closed = replace(TARGET, name="u", closed="x")
    assert replace(ONE, targets=(TARGET, closed)).served_luns == [*TARGET.luns]


@pytest.mark.parametrize(("changes", "replaced"), [
    ({}, False), ({"iops": 5}, False), ({"iops": 5, "bytes_per_second": 5}, False), ({"removable": True}, True),
    ({"iops": 5, "path": "/other"}, True), ({"write_cache": True}, False), ({"cached": True}, False),
    ({"read_only": True}, False), ({"read_only": True, "removable": True}, True),
])
def test_what_leaves_a_unit_in_place(changes: dict[str, Any], replaced: bool) -> None:
    lun = TARGET.luns[0]
    assert replaces(lun, replace(lun, **changes)) is replaced


def test_a_medium_that_is_open_for_reading_is_opened_anew_to_be_written() -> None:
    lun = replace(TARGET.luns[0], read_only=True)
    assert replaces(lun, replace(lun, read_only=False))
    assert not replaces(lun, replace(lun, iops=7))
