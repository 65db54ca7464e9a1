"""What two configurations have in common when they mean the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ietpy.config.load import loads
from ietpy.config.model import Account, Configuration, LunConfig, TargetConfig, meaning
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
