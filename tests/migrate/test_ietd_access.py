"""Initiator lines and initiators.allow from grants."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from ietpy.config.model import InitiatorConfig, LunMapping
from ietpy.errors import Span
from ietpy.migrate.ietd_access import Accounts, allow_file, initiator_lines, portals_file, whom
from ietpy.migrate.model import OPEN, Account, Grant, Target

PLACE = Span("f", 1, 1)
JOE, JIM = Account("joe", "joe-secret"), Account("jim", "jim-secret")


def line(name: str = "*", **more: object) -> InitiatorConfig:
    return InitiatorConfig(name, PLACE, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("lines", "items"), [
    ([line("iqn.a.b")], r"iqn\.a\.b"),
    ([line("iqn.*:x")], r"iqn\..*:x"),
    ([line("iqn.a"), line(), line("iqn.b", denies=True)], "iqn\\.a, ALL"),
    ([line("iqn.a", addresses=(ip_network("192.0.2.0/24"), ip_network("::1")))], "192.0.2.0/24, [::1]"),
    ([line(addresses=(ip_network("0.0.0.0/0"),))], "ALL"),
    ([line(denies=True), line()], r"iqn\.1970-01\.invalid:nobody"),
    ([line(portal_groups=(1,), denies=True), line("iqn.a")], r"iqn\.a"),
])
def test_items_of_the_allow_file(lines: list[InitiatorConfig], items: str) -> None:
    assert allow_file([("t", lines), ("u", [])]) == f"t {items}\nALL ALL\n"


def test_own_addresses_are_lines_of_targets_allow() -> None:
    nets = ip_network("192.0.2.0/24"), ip_network("2001:db8::1")
    assert portals_file([("t", nets), ("u", ())]) == "t 192.0.2.0/24, [2001:db8::1]\nALL ALL\n"
    assert portals_file([("t", ())]) == ""


def test_without_rules_there_is_no_file() -> None:
    assert allow_file([("t", [])]) == ""


def test_an_open_target_needs_no_line_and_a_closed_one_has_one() -> None:
    target = Target("t", grants=(OPEN,))
    assert initiator_lines(target, Accounts(target), [None], "").lines == ()
    assert initiator_lines(target, Accounts(target), [None], "off").lines == (line(denies=True),)
    assert [one.luns for one in initiator_lines(target, Accounts(target), [(LunMapping(0, 1),)], "").lines] == [
        (LunMapping(0, 1),)
    ]
    assert initiator_lines(target, Accounts(target), [()], "").lines == (line(denies=True),)


def test_accounts_are_those_of_all_each_name_once() -> None:
    other = Account("joe", "another")
    target = Target("t", grants=(Grant(("a",), incoming=(JIM, other)), Grant(denies=True, incoming=(other,))),
                    incoming=(JOE,))
    accounts = Accounts(target)
    assert accounts.incoming == (JOE, JIM)
    assert [note.what for note in accounts.notes] == ["user joe of a"]


def test_one_mutual_user() -> None:
    target = Target("t", grants=(Grant(("a",), outgoing=JOE), Grant(("b",), outgoing=JIM), Grant(("c",), outgoing=JOE)))
    accounts = Accounts(target)
    assert accounts.outgoing == JOE
    assert [note.kind.value for note in accounts.notes] == ["warning", "lost"]


def test_whom() -> None:
    assert whom(Grant(("a", "b", "c", "d"))) == "a, b, c, ..."
    assert whom(Grant(("a",), label="g")) == "group g (a)"
