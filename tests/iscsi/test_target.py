"""The node: who is found, who is listed, and Target Session Identifying Handles."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.errors import LoginFailure
from ietpy.iscsi.target import Accounts, Asker, IscsiNode, Portal, TargetNode, command_window, everybody
from ietpy.scsi.device import ScsiDevice

ASKER = Asker("iqn.i", "10.0.0.2", "10.0.0.1")


def make(name: str, **options: object) -> TargetNode:
    return TargetNode(name, ScsiDevice(name, threading.RLock()), **options)  # type: ignore[arg-type]


@pytest.fixture
def node() -> IscsiNode:
    return IscsiNode(threading.RLock())


def test_names_compare_without_case(node: IscsiNode) -> None:
    target = make("iqn.2001-04.Com.Example:Disk")
    node.add(target)
    assert node.find("IQN.2001-04.com.example:DISK", ASKER) == (target, 0)
    assert target.name == "iqn.2001-04.Com.Example:Disk"
    with pytest.raises(ValueError, match="exists already"):
        node.add(make("iqn.2001-04.com.example:disk"))


def test_hidden_and_missing_look_the_same(node: IscsiNode) -> None:
    node.add(make("iqn.hidden", admits=lambda asker: asker.peer != ASKER.peer))
    assert node.find("iqn.hidden", ASKER) is node.find("iqn.missing", ASKER) is None
    assert node.visible(ASKER) == []
    assert node.find("iqn.hidden", Asker("iqn.i", "10.9.9.9", "10.0.0.1")) is not None


@pytest.mark.parametrize("name", ["iqn.hidden", "iqn.elsewhere", "iqn.missing"])
def test_what_is_not_found_costs_the_same_questions(node: IscsiNode, name: str) -> None:
    """Rules read files: who measures could tell a target that is hidden from one that is missing."""
    asked = []

    def admits(asker: Asker) -> bool:
        asked.append(asker)
        return False

    node.add(make("iqn.hidden", admits=admits))
    elsewhere = make("iqn.elsewhere", admits=admits)
    elsewhere.portal_groups = frozenset()
    node.add(elsewhere)
    assert node.find(name, ASKER) is None
    assert asked == [ASKER]


def test_a_node_without_targets_finds_none(node: IscsiNode) -> None:
    assert node.find("iqn.missing", ASKER) is None


def test_newest_first_and_removal(node: IscsiNode) -> None:
    first, second = make("iqn.a"), make("iqn.b")
    node.add(first)
    node.add(second)
    assert node.visible(ASKER) == [second, first]
    node.remove(second)
    assert node.visible(ASKER) == [first]


def test_a_tsih_is_one_sessions_and_never_zero(node: IscsiNode) -> None:
    """One that lives long keeps its own when the counter comes round: IET's session numbers are made of it."""
    sessions: list[Any] = [SimpleNamespace(tsih=0) for _ in range(65536)]
    for session in sessions[:-1]:
        node.take_tsih(session)
    handles = [session.tsih for session in sessions]
    assert handles == [*range(1, 65536), 0]
    with pytest.raises(LoginFailure, match="as many as can be") as caught:
        node.take_tsih(sessions[-1])
    assert caught.value.status == 0x0302
    for gone in (sessions[0], sessions[2], sessions[2]):
        node.give_tsih_back(gone)
    taken = sessions[0]
    node.take_tsih(taken)
    node.take_tsih(sessions[-1])
    assert (taken.tsih, sessions[-1].tsih) == (1, 3)
    sessions[2].tsih = 3
    node.give_tsih_back(sessions[2])  # another one's by now
    assert len(node._tsihs) == 65535


def test_rules_change_together_and_are_counted(node: IscsiNode) -> None:
    target = make("iqn.a")
    node.add(target)
    target.let_in(Accounts(), everybody)
    assert target.revision == 0
    target.let_in(Accounts({"joe": "secret secret"}), everybody)
    target.let_in(Accounts({"joe": "secret secret"}), lambda asker: False)
    assert target.revision == 2
    assert node.find("iqn.a", ASKER) is None
    target.let_in(Accounts(), everybody)
    assert node.find("iqn.a", ASKER) == (target, 3)
    node.let_discover(Accounts())
    assert node.revision == 0
    node.let_discover(Accounts({"joe": "secret secret"}))
    assert node.revision == 1


def test_addresses_default_to_the_one_reached(node: IscsiNode) -> None:
    assert list(node.addresses(Asker("iqn.i", "10.0.0.2", "10.0.0.1", 5), 3260)) == [Portal("10.0.0.1", 3260, 5)]


def test_a_target_is_only_in_its_portal_groups(node: IscsiNode) -> None:
    target, by_two = make("iqn.a"), Asker("iqn.i", "10.0.0.2", "10.0.0.1", 2)
    node.add(target)
    assert node.find("iqn.a", by_two) is node.find("iqn.missing", by_two) is None
    target.offer((2, 3))
    assert (node.find("iqn.a", by_two), node.find("iqn.a", ASKER)) == ((target, 1), None)
    assert [group.ports for group in target.device.port_groups] == [(2, 3)]
    target.offer((2, 3))
    assert target.revision == 1


def test_command_window() -> None:
    assert command_window(None) == 2
    assert command_window(make("iqn.a", queued_commands=32)) == 32


@pytest.mark.parametrize(("accounts", "required"), [
    (Accounts(), False),
    (Accounts(outgoing=("me", "secret secret")), False),
    (Accounts(incoming={"user": "secret secret"}), True),
    (Accounts(closed="a line without a secret"), True),
])
def test_when_authentication_is_required(accounts: Accounts, required: bool) -> None:
    assert accounts.required is required
    assert "secret secret" not in repr(accounts)


def test_sessions_that_are_about_to_end() -> None:
    target = make("iqn.t")
    assert not target.ending_only
    leaving, staying = (SimpleNamespace(connections={0: SimpleNamespace(closing=closing)}) for closing in (True, False))
    target.sessions["iqn.i", b"1"] = leaving  # type: ignore[assignment]
    assert target.ending_only
    target.sessions["iqn.i", b"2"] = staying  # type: ignore[assignment]
    assert not target.ending_only
    target.sessions.clear()
    target.ending.add(object())  # type: ignore[arg-type]
    assert target.ending_only
