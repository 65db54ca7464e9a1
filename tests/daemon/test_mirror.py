"""The front's picture of what workers serve stays theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.errors import AdminError

TWO = "Target a\n\tLun 0 Type=nullio\nTarget b\n\tLun 0 Type=nullio\n"


def test_it_has_the_configuration_and_no_medium(fronted: Callable[..., Any]) -> None:
    front = fronted(f"IncomingUser joe secretsecret\n{TWO}")
    assert front.mirror.configuration.targets == front.configuration.targets
    assert all(not target.units for target in front.mirror.all())
    assert [target["luns"][0]["type"] for target in front.mirror.facts()] == ["nullio", "nullio"]
    assert front.mirror.accounts_of(0)[0][0].name == "joe"
    for worker in front.crew.workers:
        assert worker._inventory.configuration.discovery_incoming == ()


def test_numbers_are_the_fronts(fronted: Callable[..., Any]) -> None:
    front = fronted(TWO)
    assert front.mirror.add_target(loads("Target c\n").targets[0], 9) == 9
    assert [target["tid"] for target in front.mirror.facts()] == [1, 2, 9]
    with pytest.raises(AdminError, match="tid 9 is the number of c"):
        front.mirror.add_target(loads("Target d\n").targets[0], 9)


def test_a_closed_target_is_nobodys(fronted: Callable[..., Any]) -> None:
    text = TWO.replace("Target b\n", "Target b\nCHAPAlgorithms none\n")
    front = fronted(text)
    assert [target.config.name for target in front.mirror.all()] == ["a"]
    assert [problem.code for problem in front.mirror.problems] == ["target-not-served"]
    assert not front.fleet.reachable("b")
    assert front.mirror.apply(loads(TWO)) == []
    assert front.fleet.reachable("b")
    client = front.log_in("b")
    (kept,) = front.mirror.apply(loads(text))
    assert kept.startswith("b is not in the file as one to be served, and is still in use")
    assert front.mirror.configuration.targets[1].closed
    client.logout()
    client.close()


def test_what_all_processes_find_is_said_once(fronted: Callable[..., Any], tmp_path: Any) -> None:
    (tmp_path / "state").write_text("no directory")
    front = fronted(TWO)
    assert [problem.code for problem in front.mirror.problems] == ["nothing-kept"]
