"""ACLs and authentication as lines, and back; nobody comes in by mistake."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from ietpy.cli.shell import access
from ietpy.cli.shell.access import Credentials, Kept
from ietpy.config.load import loads
from ietpy.config.model import LunMapping, TargetConfig
from ietpy.errors import UsageError

HEAD = "Target iqn.2001-04.com.example:t\n"


def target(*lines: str) -> TargetConfig:
    return loads(HEAD + "\n".join(lines) + "\n").targets[0]


#: Lines of a target: whether it generates ACLs, whether it authenticates by default, how many ACLs it has.
READ = {
    "IET's, open": ([], True, False, 0),
    "IET's, with accounts": (["IncomingUser joe secretsecret"], True, True, 0),
    "made, and nobody is let in": (["Initiator nobody Address=0.0.0.0"], False, True, 0),
    "an ACL without CHAP": (["Initiator iqn.a"], False, False, 1),
    "an ACL that is shut": (["Initiator iqn.a Address=0.0.0.0"], False, True, 1),
    "an ACL with an account": (["IncomingUser joe secretsecret", "Initiator iqn.a User=joe"], False, True, 1),
    "everybody else": (["Initiator iqn.a", "Initiator *"], True, False, 1),
    "everybody else, from somewhere": (["Initiator * Address=192.0.2.0/24"], False, False, 1),
    "everybody, shut": (["Initiator * Address=0.0.0.0"], True, True, 0),
    "a mistake": (["Initiator iqn.a Foo=1"], False, True, 1),
}


@pytest.mark.parametrize("name", READ)
def test_what_lines_say(name: str) -> None:
    lines, generates, authenticates, count = READ[name]
    found = target(*lines)
    assert access.generates(found) is generates
    assert access.authenticates(found, True) is authenticates
    assert len(access.acls(found)) == count


def test_a_target_without_a_telling_line_is_as_it_was_said_to_be() -> None:
    assert not access.authenticates(target("Initiator nobody Address=0.0.0.0"), False)


def test_credentials_are_in_no_repr() -> None:
    assert "secret" not in repr(Credentials("joe", "secretsecret"))


@pytest.mark.parametrize("text", ["a b", "a\nb", "a\0", "#a", "a" * 256, "\u00e9" * 128, "a\tb"])
def test_what_is_no_name_or_secret(text: str) -> None:
    with pytest.raises(UsageError, match="the password"):
        access.check_word("the password", text)


@pytest.mark.parametrize("text", ["", "a", '"quoted"', "a\\b", "a#b", "\u00e9", "a" * 255])
def test_what_is_one(text: str) -> None:
    access.check_word("the password", text)


def test_addresses_of_a_line_come_back_with_its_credentials() -> None:
    kept = Kept()
    one = target("Initiator iqn.a Address=192.0.2.7,User=joe", "IncomingUser joe secretsecret")
    shut = access.with_credentials(one, one.initiators[0], Credentials("joe"), kept)
    assert access.is_shut(shut.initiators[0])
    assert not shut.incoming
    again = access.with_credentials(shut, shut.initiators[0], Credentials("joe", "secretsecret"), kept)
    assert again.initiators[0].addresses == (ip_network("192.0.2.7/32"),)
    assert again.incoming == one.incoming


def test_a_name_has_one_secret_for_all_of_a_target() -> None:
    one = target("Initiator iqn.a User=joe", "Initiator iqn.b Address=0.0.0.0", "IncomingUser joe secretsecret")
    with pytest.raises(UsageError, match=r"^iqn\.a may log in as joe, too, with another password"):
        access.with_credentials(one, one.initiators[1], Credentials("joe", "another"), Kept())
    both = access.with_credentials(one, one.initiators[1], Credentials("joe", "secretsecret"), Kept())
    assert both.incoming == one.incoming
    assert both.initiators[1].user == "joe"
    assert not access.is_shut(both.initiators[1])


def test_an_account_that_others_may_use_keeps_its_secret() -> None:
    one = target("Initiator iqn.a Address=0.0.0.0", "Initiator iqn.b", "IncomingUser joe secretsecret")
    with pytest.raises(UsageError, match=r"^iqn\.b may log in as joe, too, with another password"):
        access.with_credentials(one, one.initiators[0], Credentials("joe", "another"), Kept())


def test_a_new_name_leaves_no_old_account() -> None:
    one = target("Initiator iqn.a User=joe", "IncomingUser joe secretsecret", "IncomingUser x y")
    renamed = access.with_credentials(one, one.initiators[0], Credentials("jim", "secretsecret"), Kept())
    assert [account.name for account in renamed.incoming] == ["jim", "x"]


def test_off_and_on_again() -> None:
    kept = Kept()
    one = target(
        "Initiator iqn.a User=joe", "Initiator iqn.b Address=0.0.0.0", "Initiator iqn.c User=ann",
        "IncomingUser joe secretsecret", "IncomingUserFile ann /secrets/ann",
    )
    off = access.without_authentication(one, kept)
    assert not off.incoming
    assert not any(line.user or line.addresses for line in off.initiators)
    without = access.without_acl(off, off.initiators[2])
    assert access.with_authentication(off, kept) == one
    kept = Kept()
    access.without_authentication(one, kept)
    on = access.with_authentication(without, kept)
    assert [account.name for account in on.incoming] == ["joe"]
    assert [line.name for line in on.initiators] == ["iqn.a", "iqn.b"]


def test_on_shuts_who_has_no_credentials() -> None:
    on = access.with_authentication(target("Initiator iqn.a", "Initiator nobody Address=0.0.0.0"), Kept())
    assert all(map(access.is_shut, on.initiators))
    on = access.with_authentication(target(), Kept())
    assert [(line.name, access.is_shut(line)) for line in on.initiators] == [("*", True)]


def test_on_with_accounts_of_the_target_shuts_nobody() -> None:
    kept = Kept()
    off = access.without_authentication(target("Initiator iqn.a", "IncomingUser joe secretsecret"), kept)
    assert access.with_authentication(off, kept) == target("Initiator iqn.a", "IncomingUser joe secretsecret")


def test_a_line_with_a_mistake_stays_as_it_is() -> None:
    one = target("Initiator iqn.a Foo=1", "Lun 0 Type=nullio")
    assert access.with_authentication(one, Kept()) == one
    more = target("Initiator iqn.a Foo=1", "Lun 0 Type=nullio", "Lun 1 Type=nullio")
    assert access.with_lun_mapped(one, more, 1, True).initiators == more.initiators


LUNS = ["Lun 0 Type=nullio", "Lun 2 Type=nullio"]


@pytest.mark.parametrize(("line", "mapped"), [
    ("Initiator iqn.a", [(0, 0, False), (2, 2, False)]),
    ("Initiator iqn.a Mode=ro", [(0, 0, True), (2, 2, True)]),
    ("Initiator iqn.a Luns=7:2", [(7, 2, False)]),
    ("Initiator iqn.a Luns=7:2,Mode=ro", [(7, 2, True)]),
    ("Initiator iqn.a Luns=0/ro,1", [(0, 0, True)]),
    ("Initiator iqn.a Luns=16383", []),
])
def test_mapped_luns_and_back(line: str, mapped: list[tuple[int, int, bool]]) -> None:
    one = target(*LUNS, line)
    wanted = [LunMapping(*each) for each in mapped]
    assert access.mapped(one, one.initiators[0]) == tuple(wanted)
    new = access.with_mapped(one, target(*LUNS, "Initiator iqn.a Luns=9").initiators[0], wanted)
    assert access.mapped(one, new) == tuple(wanted)


def test_a_list_never_becomes_all_luns_there_will_be() -> None:
    one = target("Initiator iqn.a Luns=3")
    assert access.with_mapped(one, one.initiators[0], ()).luns == (LunMapping(16383, 16383),)


def test_a_lun_that_is_gone_is_in_no_list_as_another_may_come_in_its_place() -> None:
    before = target(*LUNS, "Initiator iqn.a Luns=0,2", "Initiator iqn.b Luns=2", "Initiator iqn.c")
    gone = target(LUNS[0], "Initiator iqn.a Luns=0,2", "Initiator iqn.b Luns=2", "Initiator iqn.c")
    after = access.after_lun_went(before, gone)
    again = target(*LUNS)
    assert [[one.unit for one in access.mapped(again, line)] for line in after.initiators] == [[0], [], [0, 2]]
