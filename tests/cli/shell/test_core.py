"""The shell without a terminal: nothing half done, nothing of others undone, and completion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.cli.shell.core import Shell, holds_secret
from ietpy.config.load import loads
from ietpy.errors import AdminError, IetpyError, UsageError
from tests.cli.shell.conftest import A, B, T, Typist, World, session

SETUP = [
    "/backstores/block create d /dev/sda", f"/iscsi create {T}", "luns create /backstores/block/d",
    f"/iscsi/{T}/tpg1/acls create {A}", "cd /",
]


def test_what_the_daemon_refuses_has_not_happened(typed: Typist, world: World) -> None:
    typed("/backstores/block create d /dev/sda", f"/iscsi create {T}")
    world.refusal = "/dev/sda is in use"
    assert typed.refused("luns create /backstores/block/d") == "/dev/sda is in use"
    assert typed.refused("/iscsi create") == "/dev/sda is in use"
    assert typed.refused(f"/iscsi delete {T}") == "/dev/sda is in use"


def test_credentials_of_a_refused_command_are_not_kept(typed: Typist, world: World) -> None:
    typed(f"/iscsi create {T}", f"acls create {A}")
    world.refusal = "no"
    typed.refused("set auth userid=joe password=secretsecret12")
    assert typed("get auth userid") == ["userid="]


def test_what_others_change_meanwhile_stays(typed: Typist, world: World) -> None:
    other = Typist(world)
    typed(*SETUP, f"cd /iscsi/{T}/tpg1")
    other(f"/iscsi/{T}/tpg1/acls create {B}")
    world.served += "# a remark\n"
    typed("set attribute authentication=0")
    assert f"Initiator {B}" in world.served
    assert "# a remark" in world.served
    other(f"/iscsi delete {T}")
    assert typed("pwd") == ["/iscsi"]


def test_a_change_that_comes_in_between_is_not_undone(typed: Typist, world: World) -> None:
    typed(*SETUP)
    serving, others = world.text, [f"# {number}\n" for number in range(3)]

    def text() -> tuple[str, str, str | None]:
        found = serving()
        if others:
            world.served += others.pop()
        return found

    world.text = text  # type: ignore[method-assign]
    typed(f"/iscsi/{T}/tpg1/acls create {B}")
    assert f"Initiator {B}" in world.served
    assert world.served.endswith("# 2\n# 1\n# 0\n")
    others.extend(["# again\n"] * 20)
    with pytest.raises(UsageError, match="somebody else changes what is served all the time"):
        typed.shell.run(f"/iscsi delete {T}")


def test_comments_stay(typed: Typist, world: World) -> None:
    who = f"# head\nTarget {T}\n\t# who\n\tInitiator {A} # the first\n"
    world.served = f"{who}\tLun 0 Path=/dev/sda,Type=blockio\n# end\n"
    typed(f"/iscsi/{T}/tpg1/acls create {B}", f"/iscsi/{T}/tpg1 set parameter ImmediateData=No")
    assert world.served == (
        f"{who}\tInitiator {B}\n\tLun 0 Path=/dev/sda,Type=blockio\n\tImmediateData No\n# end\n"
    )


def test_in_strict_nothing_is_served_that_has_mistakes(typed: Typist, world: World) -> None:
    world.mode = "strict"
    typed(*SETUP)
    assert "16383" in typed.refused(f"/iscsi/{T}/tpg1/acls/{A} delete 0")


def test_a_file_with_mistakes_of_its_own_can_be_changed(typed: Typist, world: World) -> None:
    world.served = "Foo bar\nTarget iqn.2001-04.com.example:o\n    Lun 0 Path=/x,Type=blokio\n    Initiator x Bad=1\n"
    typed(*SETUP)
    assert "Bad=1" in world.served


def test_leaving(typed: Typist, world: World) -> None:
    assert typed.shell.run("exit").over
    typed(f"/iscsi create {T}")
    outcome = typed.shell.run("exit")
    assert outcome.over
    assert outcome.lines == [
        "What has changed is served, but not saved: after a restart it is gone. saveconfig writes it."]
    typed("set global auto_save_on_exit=true")
    assert typed.shell.run("exit").lines == ["Configuration saved to ietd.conf"]
    assert not world.unsaved()


def test_leaving_without_a_daemon_is_asked_twice(world: World) -> None:
    world.live = False
    typed = Typist(world)
    typed(f"/iscsi create {T}")
    assert not typed.shell.run("exit").over
    typed("pwd")
    assert not typed.shell.run("exit").over
    assert typed.shell.run("exit").over


def test_one_can_leave_where_nobody_answers(typed: Typist, world: World) -> None:
    world.text = lambda: (_ for _ in ()).throw(AdminError(2, "nobody answers"))  # type: ignore[method-assign]
    assert typed.refused("ls") == "nobody answers"
    outcome = typed.shell.run("exit")
    assert (outcome.over, outcome.lines) == (True, ["nobody answers"])


def test_sessions_that_cannot_be_ended_do_not_undo_the_change(typed: Typist, world: World) -> None:
    typed(*SETUP)
    world.end = lambda *words: (_ for _ in ()).throw(AdminError(5, "no"))  # type: ignore[method-assign]
    assert typed(f"/iscsi/{T}/tpg1/acls delete {A}")[-1] == f"Sessions of {A} go on: no"
    assert A not in world.served


def test_what_is_kept_of_a_target_goes_with_it(typed: Typist, world: World) -> None:
    typed(*SETUP, f"/iscsi/{T}/tpg1/acls/{A} set auth userid=joe")
    Typist(world)(f"/iscsi delete {T}")
    typed("pwd", *SETUP[1:])
    assert typed(f"/iscsi/{T}/tpg1/acls/{A} get auth userid") == ["userid="]


def test_the_prompt_follows(typed: Typist, world: World) -> None:
    assert typed.shell.prompt == "/> "
    typed(*SETUP, f"cd /iscsi/{T}/tpg1/luns")
    assert typed.shell.prompt == ".../tpg1/luns> "
    typed(f"/iscsi delete {T}")
    assert typed.shell.prompt == "/iscsi> "


COMPLETIONS = {
    "": ["cd ", "clearconfig ", "exit ", "get ", "help ", "info ", "ls ", "pwd ", "refresh ", "restoreconfig ",
         "saveconfig ", "sessions ", "set ", "status ", "version ", "backstores/", "iscsi/"],
    "sa": ["saveconfig "],
    "isc": ["iscsi/"],
    "/b": ["/backstores/"],
    "cd i": ["iscsi/"],
    "cd /backstores/": ["/backstores/block/", "/backstores/fileio"],
    "ls pa": ["path="],
    "ls path=/ba": ["path=/backstores/"],
    "/iscsi cr": ["create "],
    "iscsi/ de": ["delete "],
    "/iscsi delete ": [f"{T} "],
    "/iscsi delete iqn fo": ["force="],
    "/iscsi delete iqn force=": ["force=true ", "force=false "],
    "/backstores/block create x /dev/": ["/dev/sda ", "/dev/sdb "],
    f"/iscsi/{T}/tpg1/luns create ": ["/backstores/block/d "],
    f"/iscsi/{T}/tpg1/luns create /backstores/block/d a": ["add_mapped_luns="],
    f"/iscsi/{T}/tpg1/luns delete ": ["0 "],
    f"/iscsi/{T}/tpg1/acls/{A} delete ": ["0 "],
    f"/iscsi/{T}/tpg1/acls/{A} create 1 ": ["0 ", "/backstores/block/d "],
    f"/iscsi/{T}/tpg1/portals create ": ["0.0.0.0 ", "[::] ", "ip_address=", "ip_port="],
    f"/iscsi/{T}/tpg1 set ": ["attribute ", "parameter ", "auth ", "global ", "group="],
    f"/iscsi/{T}/tpg1 set at": ["attribute "],
    f"/iscsi/{T}/tpg1 set attribute a": ["authentication="],
    f"/iscsi/{T}/tpg1 set attribute authentication=0 a": [],
    f"/iscsi/{T}/tpg1 get attribute a": ["authentication "],
    f"/iscsi/{T}/tpg1 get nothing a": [],
    f"/iscsi/{T}/tpg1/acls/{A} set auth ": ["mutual_password=", "mutual_userid=", "password=", "userid="],
    "sessions ": ["list ", "detail ", "action=", "sid="],
    "clearconfig c": ["confirm="],
    "clearconfig confirm=": ["confirm=True "],
    "help cl": ["clearconfig "],
    "nothing x": [],
    "/nowhere x": [],
    "ls nothing=": [],
}


@pytest.mark.parametrize("line", COMPLETIONS)
def test_completion(typed: Typist, line: str) -> None:
    typed(*SETUP)
    assert typed.shell.complete(line, line.rpartition(" ")[2]) == COMPLETIONS[line]


@pytest.mark.parametrize(("line", "secret"), [
    ("set auth password=x", True), ("set auth mutual_password=x", True), ("set auth userid=x", False),
    ('set auth password="x"', True), ("set auth xpassword=x", True), ("ls", False), ("", False),
])
def test_lines_with_secrets_are_known(line: str, secret: bool) -> None:
    assert holds_secret(line) is secret


WORDS = st.sampled_from([
    "/", "/iscsi", "..", "/backstores/block", "create", "delete", "set", "get", "ls", "cd", "auth", "attribute",
    "userid=a",
    "password=secret", "mutual_userid=", "mutual_password=b", "authentication=0", "authentication=1",
    "generate_node_acls=1", "generate_node_acls=0", "demo_mode_write_protect=0", "d", "/dev/sda", "/backstores/block/d",
    T, A, B, "iqn.*", f"/iscsi/{T}/tpg1", f"/iscsi/{T}/tpg1/acls", f"/iscsi/{T}/tpg1/luns", f"/iscsi/{T}/tpg1/portals",
    f"/iscsi/{T}/tpg1/acls/{A}", "0", "1", "lun0", "add_mapped_luns=false", "write_protect=1", "192.0.2.1", "3261",
    "0.0.0.0", "clearconfig", "confirm=True", "\x1b[2J", "\udcff", "\0", "9" * 99, "=", '"', "#",
])
LINES = st.one_of(
    st.lists(WORDS, min_size=1, max_size=5).map(" ".join),
    st.sampled_from([*SETUP, f"/iscsi/{T}/tpg1/acls create {B} add_mapped_luns=false",
                     f"/iscsi/{T}/tpg1/acls/{A} set auth userid=joe password=secretsecret12",
                     f"/iscsi/{T}/tpg1 set attribute authentication=0",
                     f"/iscsi/{T}/tpg1 set attribute authentication=1",
                     f"/iscsi/{T}/tpg1/portals delete 0.0.0.0 3260", f"/iscsi/{T}/tpg1/portals create 192.0.2.1"]),
    st.text(max_size=40),
)


@given(st.lists(LINES, max_size=14))
def test_whatever_is_typed_is_done_or_refused_and_opens_nothing_unasked(lines: list[str]) -> None:
    world = World()
    shell = Shell(world, ask=lambda question: "")
    asked = " ".join(lines)
    for line in lines:
        before = world.served
        try:
            outcome = shell.run(line)
        except IetpyError:
            assert world.served == before
            continue
        assert all(text.isprintable() for text in outcome.lines), outcome
        found = loads(world.served)
        assert not found.diagnostics or {one.code for one in found.errors} <= {"portal-group", "initiator-without-lun"}
        for target in found.targets:
            assert target.initiators, "a target open to everybody"
            if "authentication=0" not in asked:
                opened = [one for one in target.initiators if str(one.addresses) == "()" and not one.user]
                assert not opened, world.served


def test_sessions_of_who_is_shut_out_by_an_account_go_on(typed: Typist, world: World) -> None:
    """As in targetcli: accounts are asked for at the next login."""
    typed(*SETUP, f"/iscsi/{T}/tpg1 set attribute authentication=0")
    world.who = [session(T, A)]
    typed(f"/iscsi/{T}/tpg1 set attribute authentication=1")
    assert world.ended == []
