"""The node: who is found, who is listed, and Target Session Identifying Handles."""

from __future__ import annotations

import threading

import pytest

from ietpy.iscsi.target import Accounts, Asker, IscsiNode, TargetNode, command_window
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
    assert node.find("IQN.2001-04.com.example:DISK", ASKER) is target
    assert target.name == "iqn.2001-04.Com.Example:Disk"
    with pytest.raises(ValueError, match="exists already"):
        node.add(make("iqn.2001-04.com.example:disk"))


def test_hidden_and_missing_look_the_same(node: IscsiNode) -> None:
    node.add(make("iqn.hidden", admits=lambda asker: asker.peer != ASKER.peer))
    assert node.find("iqn.hidden", ASKER) is node.find("iqn.missing", ASKER) is None
    assert node.visible(ASKER) == []
    assert node.find("iqn.hidden", Asker("iqn.i", "10.9.9.9", "10.0.0.1")) is not None


def test_newest_first_and_removal(node: IscsiNode) -> None:
    first, second = make("iqn.a"), make("iqn.b")
    node.add(first)
    node.add(second)
    assert node.visible(ASKER) == [second, first]
    node.remove(second)
    assert node.visible(ASKER) == [first]


def test_tsih_is_never_zero_and_wraps(node: IscsiNode) -> None:
    handles = [node.allocate_tsih() for _ in range(65536)]
    assert handles[:2] == [1, 2]
    assert handles[-2:] == [65535, 1]
    assert len(set(handles)) == 65535


def test_addresses_default_to_the_one_reached(node: IscsiNode) -> None:
    assert list(node.addresses("10.0.0.1", 3260)) == [("10.0.0.1", 3260)]


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
