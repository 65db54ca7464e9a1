"""``set auth`` and ``get auth``: halves wait, wholes are accounts, and who has none is not let in."""

from __future__ import annotations

from ietpy.cli.shell.core import Shell
from tests.cli.shell.conftest import A, B, T, Typist, World

TPG = f"/iscsi/{T}/tpg1"
ACL = [f"/iscsi create {T}", f"acls create {A}"]


def lines(world: World) -> list[str]:
    return [line.strip() for line in world.served.splitlines()[1:]]


def test_the_founding_texts_four_commands(typed: Typist, world: World) -> None:
    typed(*ACL)
    assert typed("get auth") == ["mutual_password=", "mutual_userid=", "password=", "userid="]
    assert typed("set auth userid=joe") == [
        "Auth userid is now 'joe'.", "Kept until this shell ends: password= has to be set, too."]
    assert lines(world) == [f"Initiator {A} Address=0.0.0.0"]
    assert typed("set auth password=secretsecret12") == ["Auth password is now '***'."]
    assert lines(world) == [f"Initiator {A} User=joe", "IncomingUser joe secretsecret12"]
    typed("set auth mutual_userid=we", "set auth mutual_password=othersecret12")
    assert lines(world)[2] == "OutgoingUser we othersecret12"
    assert typed("get auth") == [
        "mutual_password=othersecret12", "mutual_userid=we", "password=secretsecret12", "userid=joe"]
    assert typed("get auth userid") == ["userid=joe"]


def test_the_secret_ahead_of_the_name(typed: Typist, world: World) -> None:
    typed(*ACL, "set auth password=secretsecret12")
    assert lines(world) == [f"Initiator {A} Address=0.0.0.0"]
    typed("set auth userid=joe")
    assert lines(world) == [f"Initiator {A} User=joe", "IncomingUser joe secretsecret12"]


def test_a_name_that_is_unset_shuts_the_acl(typed: Typist, world: World) -> None:
    typed(*ACL, "set auth userid=joe password=secretsecret12", "set auth userid=")
    assert lines(world) == [f"Initiator {A} Address=0.0.0.0"]
    assert typed("get auth password") == ["password=secretsecret12"]
    typed("set auth password=NULL", "set auth userid=jim")
    assert lines(world) == [f"Initiator {A} Address=0.0.0.0"]


def test_another_name_or_secret(typed: Typist, world: World) -> None:
    typed(*ACL, "set auth userid=joe password=secretsecret12", "set auth userid=jim")
    assert lines(world) == [f"Initiator {A} User=jim", "IncomingUser jim secretsecret12"]
    typed("set auth password=othersecret12")
    assert lines(world) == [f"Initiator {A} User=jim", "IncomingUser jim othersecret12"]


def test_one_command_alone_cannot_wait_for_the_other_half(typed: Typist, world: World) -> None:
    typed(*ACL)
    alone = Typist(world)
    alone.shell = Shell(world, lasting=False)
    why = "= has to be set, too, for which one command alone cannot wait; nothing has changed"
    halves = {"userid=joe": "password", "password=x": "userid", "mutual_userid=w": "mutual_password"}
    for given, missing in halves.items():
        assert alone.refused(f"{TPG}/acls/{A} set auth {given}") == missing + why
    alone(f"{TPG}/acls/{A} set auth userid=joe password=secretsecret12")
    assert "IncomingUser joe secretsecret12" in world.served


def test_while_authentication_is_off_they_wait(typed: Typist, world: World) -> None:
    typed(*ACL, f"{TPG} set attribute authentication=0")
    said = typed("set auth userid=joe password=secretsecret12")
    assert said[-1] == (
        "Kept until this shell ends: nobody is asked for credentials before set attribute authentication=1 at the TPG."
    )
    assert lines(world) == [f"Initiator {A}"]
    assert typed("get auth userid") == ["userid=joe"]
    typed(f"{TPG} set attribute authentication=1")
    assert lines(world) == [f"Initiator {A} User=joe", "IncomingUser joe secretsecret12"]


def test_what_is_in_force_is_told_and_not_what_was_typed_once(typed: Typist, world: World) -> None:
    typed(*ACL, "set auth userid=joe password=secretsecret12 mutual_userid=we mutual_password=othersecret12",
          "/iscsi set discovery_auth userid=f password=secretsecret34 mutual_userid=g mutual_password=othersecret34")
    world.served = f"Target {T}\n    Initiator {A} Address=0.0.0.0\n"
    assert typed(f"{TPG}/acls/{A} get auth", "/iscsi get discovery_auth") == [
        "mutual_password=", "mutual_userid=", "password=", "userid=",
        "enable=0", "mutual_password=", "mutual_userid=", "password=", "userid=",
    ]


def test_mutual_is_the_targets(typed: Typist, world: World) -> None:
    typed(*ACL, f"../ create {B}")
    said = typed("set auth mutual_userid=we mutual_password=othersecret12")
    assert said[-1] == "All ACLs of the target have these: ietd.conf has one OutgoingUser for a target."
    assert typed(f"../{A} get auth mutual_userid") == ["mutual_userid=we"]
    typed("set auth mutual_userid=")
    assert "OutgoingUser" not in world.served


def test_a_secret_for_both_directions_is_refused(typed: Typist) -> None:
    typed(*ACL, "set auth userid=joe password=secretsecret12")
    assert typed.refused("set auth mutual_userid=we mutual_password=secretsecret12") == (
        "the OutgoingUser has the secret of user 'joe', who cannot log in with it; give one of them another secret")


def test_a_tpg_has_those_of_who_has_no_acl(typed: Typist, world: World) -> None:
    typed(f"/iscsi create {T}", "set attribute generate_node_acls=1 demo_mode_write_protect=0")
    assert lines(world) == ["Initiator * Address=0.0.0.0"]
    typed("set auth userid=joe password=secretsecret12")
    assert lines(world) == ["Initiator * User=joe", "IncomingUser joe secretsecret12"]
    assert typed("get auth userid") == ["userid=joe"]
    typed("set attribute generate_node_acls=0")
    assert lines(world) == ["Initiator nobody Address=0.0.0.0"]
    assert "for initiators without an ACL" in typed("set auth userid=x password=y")[-1]
    assert lines(world) == ["Initiator nobody Address=0.0.0.0"]
    typed("set attribute generate_node_acls=1")
    assert lines(world) == ["Initiator * User=x", "IncomingUser x y"]


def test_the_only_account_of_a_target_is_that_of_its_acls(typed: Typist, world: World) -> None:
    world.served = f"Target {T}\n    IncomingUser joe secretsecret12\n    Initiator {A} Luns=0\n    Lun 0 Type=nullio\n"
    assert typed(f"{TPG}/acls/{A} get auth userid password") == ["userid=joe", "password=secretsecret12"]
    typed(f"{TPG}/acls/{A} set auth password=othersecret12")
    assert lines(world) == ["IncomingUser joe othersecret12", f"Initiator {A} Luns=0,User=joe", "Lun 0 Type=nullio"]
    world.served = (
        f"Target {T}\n    IncomingUser joe secretsecret12\n    IncomingUser ann secretsecret34\n    Initiator {A}\n")
    assert typed(f"{TPG}/acls/{A} get auth userid") == ["userid="]


def test_a_target_of_iet_has_one_account_or_none(typed: Typist, world: World) -> None:
    world.served = f"Target {T}\n    IncomingUser joe secretsecret12\n"
    assert typed(f"{TPG} get auth userid password") == ["userid=joe", "password=secretsecret12"]
    typed(f"{TPG} set auth userid=jim")
    assert lines(world) == ["IncomingUser jim secretsecret12"]
    typed(f"{TPG} set auth userid= password=")
    assert lines(world) == ["Initiator * Address=0.0.0.0"]
    world.served = f"Target {T}\n    IncomingUser joe secretsecret12\n    IncomingUser ann secretsecret34\n"
    assert typed.refused(f"{TPG} set auth userid=x password=secret") == (
        f"{T} has the accounts joe, ann, and targetcli a word for one; change their IncomingUser lines"
    )


def test_a_secret_in_a_file_is_told_by_its_place_and_never_written_as_one(typed: Typist, world: World) -> None:
    world.served = f"Target {T}\n    IncomingUserFile joe /secrets/joe\n    Initiator {A} User=joe\n"
    assert typed(f"{TPG}/acls/{A} get auth password") == ["password=(in /secrets/joe)"]
    typed(f"{TPG}/acls/{A} set auth userid=jim")
    assert "/secrets/joe" not in world.served
    assert lines(world)[-1] == f"Initiator {A} Address=0.0.0.0"


def test_discovery(typed: Typist, world: World) -> None:
    world.served = f"Target {T}\n"
    typed("/iscsi set discovery_auth userid=finder", "/iscsi set discovery_auth password=secretsecret12")
    assert world.served.startswith("IncomingUser finder secretsecret12\n")
    typed("/iscsi set discovery_auth mutual_userid=we mutual_password=othersecret12")
    assert "OutgoingUser we othersecret12\n" in world.served
    assert typed("/iscsi get discovery_auth enable userid mutual_password") == [
        "enable=1", "userid=finder", "mutual_password=othersecret12"]
    typed("/iscsi set discovery_auth enable=0")
    assert "User" not in world.served
    assert typed("/iscsi get discovery_auth enable") == ["enable=0"]
    typed("/iscsi set discovery_auth enable=1")
    assert "IncomingUser finder secretsecret12\n" in world.served
    typed("/iscsi set discovery_auth userid= password=")
    assert typed("/iscsi set discovery_auth enable=1")[0].startswith("Discovery asks for credentials as soon as")
    world.served = "IncomingUser a secretsecret\nIncomingUser b secretsecret\n"
    assert typed.refused("/iscsi set discovery_auth userid=c").startswith("discovery has the accounts a, b")
