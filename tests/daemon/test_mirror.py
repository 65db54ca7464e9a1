"""The front's picture of what workers serve stays theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.daemon.assemble import memory_limit
from ietpy.errors import AdminError
from ietpy.initiator.errors import LoginRefused
from ietpy.server.portals import bind

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


def test_portal_groups_hold_in_front_and_behind(fronted: Callable[..., Any]) -> None:
    front = fronted(f"Portal 1 127.0.0.1\nPortal 2 127.0.0.2\n{TWO}PortalGroups 2\n")
    with pytest.raises(LoginRefused):
        front.log_in("b")
    front.log_in("a")
    second = bind("127.0.0.1", 0)
    front.server.listen(second, 2)
    assert [worker._server.portals()[-1].group for worker in front.crew.workers] == [2, 2]
    client = front.log_in("b", portal=1)
    told = dict(client.discover(""))["b"]
    assert told == [f"127.0.0.1:{second[0].getsockname()[1]},2"]
    front.server.leave(second)
    assert [len(worker._server.portals()) for worker in front.crew.workers] == [1, 1]
    client.test_unit_ready(0)


def test_an_isns_server_is_asked_in_front(fronted: Callable[..., Any]) -> None:
    class Gate:
        admitted = False

        def admits(self, target: str, initiator: str) -> bool:
            return self.admitted

        def refresh(self) -> None:
            pass

    front = fronted(f"iSNSServer 192.0.2.1\niSNSAccessControl Yes\n{TWO}")
    front.mirror.rules.gate = gate = Gate()
    with pytest.raises(LoginRefused):
        front.log_in("a")
    gate.admitted = True
    front.log_in("a").test_unit_ready(0)


def test_the_memory_budget_is_divided(fronted: Callable[..., Any]) -> None:
    front = fronted(TWO)
    budgets = [worker._inventory.node.memory.limit for worker in front.crew.workers]
    assert budgets == [memory_limit() // 2] * 2


def test_what_all_processes_find_is_said_once(fronted: Callable[..., Any], tmp_path: Any) -> None:
    (tmp_path / "state").write_text("no directory")
    front = fronted(TWO)
    assert [problem.code for problem in front.mirror.problems] == ["nothing-kept"]
