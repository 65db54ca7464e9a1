"""Verbs about the whole."""

from __future__ import annotations

import pytest

import ietpy
from tests.cli.shell.conftest import A, B, T, Typist, World, session

TARGET = f"/iscsi create {T}"


def test_status(typed: Typist) -> None:
    assert typed("status") == ["a daemon runs"]
    typed(TARGET)
    assert typed("status") == ["a daemon runs", "not saved: saveconfig writes what has changed"]


def test_sessions(typed: Typist, world: World) -> None:
    assert typed("sessions") == ["(no open sessions)"]
    assert typed("sessions detail 7") == ["(no session 7)"]
    world.who = [session(T, A), session("", B, 2)]
    first = f"sid: 1 initiator: {A} target: {T} from: 192.0.2.7"
    assert typed("/iscsi sessions list") == [first, f"sid: 2 initiator: {B} target: (discovery) from: 192.0.2.7"]
    assert typed("sessions 1") == [
        first, "    user: (no authentication)", "    mapped LUNs: 0", "    connections: 1, portal: 192.0.2.1",
        "    for: -, read: -, written: -",
    ]
    assert typed.refused("sessions foo") == "foo is no action; write list or detail"


def test_saving_and_restoring(typed: Typist, world: World) -> None:
    typed(TARGET, "set attribute authentication=0")
    saved = world.served
    assert typed("saveconfig", "saveconfig /tmp/copy") == [
        "Configuration saved to ietd.conf", "Configuration saved to /tmp/copy"]
    assert (world.file, world.texts["/tmp/copy"]) == (saved, saved)
    typed("clearconfig confirm=True")
    assert typed("restoreconfig /tmp/copy") == ["Configuration restored from /tmp/copy"]
    assert world.served == saved
    assert not world.book.targets, "what was said of another target of this name"


@pytest.mark.parametrize(("text", "part"), [
    ('{"storage_objects": []}', "is JSON"),
    ("Target\n", ""),
    (f"Target {T}\n    Lun 0 Path=relative,Foo\n", ""),
])
def test_a_file_with_mistakes_is_not_restored(typed: Typist, world: World, text: str, part: str) -> None:
    world.texts["/f"] = text
    assert part in typed.refused("restoreconfig /f")
    assert typed.refused("restoreconfig /missing") == "/missing cannot be read"


def test_clearing(typed: Typist, world: World) -> None:
    world.served = "Portal 1 192.0.2.1:3260\nIncomingUser a secretsecret12\n# stays\n"
    typed("/backstores/block create d /dev/sda", TARGET, "set attribute authentication=0")
    assert typed.refused("clearconfig") == (
        "clearconfig takes all targets and backstores away; clearconfig confirm=True does it")
    world.who = [session(T, A), session(T, B, 2)]
    assert typed.refused("clearconfig true") == (
        f"{T} is in use by {A} from 192.0.2.7 and 1 more; log out there, or"
        " clearconfig confirm=True force=True ends the sessions"
    )
    assert typed("clearconfig confirm=True force=True") == [
        "All configuration cleared; disks and images stay as they are.",
        "Portal lines stay: they say what the daemon listens on.",
    ]
    assert world.ended == [(T, None, True)]
    assert world.served == "Portal 1 192.0.2.1:3260\n# stays\n"
    assert not world.book.backstores
    assert not world.book.targets
    assert typed.shell.path == "/"


def test_small_ones(typed: Typist) -> None:
    typed(TARGET)
    assert typed("version", "refresh") == [f"ietpy version {ietpy.__version__}"]
    assert typed("enable") == ["The TPG is enabled; it always is."]
    assert typed.refused("disable") == "a TPG cannot be disabled; portals delete takes it off the network"
    typed(f"acls create {A}")
    assert typed.refused(f"/iscsi/{T}/tpg1 disable").endswith(", and acls delete turns away its 1 initiators")
