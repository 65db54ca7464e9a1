"""Operations go to whose target they are about; the front follows what changed, and publishes it."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ietpy.admin.operations import OPERATIONS
from ietpy.daemon import inventory
from ietpy.daemon.relay import _AFTERWARDS
from ietpy.errors import AdminError
from ietpy.iscsi.async_messages import Event
from ietpy.iscsi.pdu import Opcode

TWO = "Target a\n\tLun 0 Type=nullio\nTarget b\n\tLun 0 Type=nullio\n"


def test_every_operation_about_a_target_is_known_to_change_something_or_to_show_it() -> None:
    about = {row.name for row in OPERATIONS if "tid" in row.arguments} - {"create-target"}
    assert {name for name in about if not name.startswith("show-")} == set(_AFTERWARDS)


def test_the_front_follows(fronted: Callable[..., Any]) -> None:
    front = fronted(TWO)
    for operation, arguments in (
        ("update-target", {"tid": 2, "values": {"Wthreads": "3"}}),
        ("create-account", {"tid": 2, "outgoing": False, "name": "ann", "secret": "s" * 12}),
        ("create-lun", {"tid": 2, "lun": 7, "parameters": "Type=nullio"}),
        ("delete-lun", {"tid": 2, "lun": 0}),
        ("redirect-target", {"tid": 2, "address": "192.0.2.1"}),
    ):
        before = front.published
        front.relay(operation, arguments)
        assert front.published == before + 1
    config = front.mirror.target(2).config
    assert (config.wthreads, config.incoming[0].name, [lun.number for lun in config.luns]) == (3, "ann", [7])
    assert front.mirror.redirects() == {"b": "192.0.2.1"}
    assert front.mirror.node.targets["b"].accounts.incoming == {"ann": "s" * 12}
    before = front.published
    assert front.relay("show-target", {"tid": 2})["Wthreads"] == "3"
    assert front.published == before
    front.relay("delete-account", {"tid": 2, "outgoing": False, "name": "ann"})
    assert front.mirror.target(2).config.incoming == ()
    front.relay("delete-target", {"tid": 2})
    assert [target.config.name for target in front.mirror.all()] == ["a"]
    assert not front.fleet.reachable("b")


def test_a_target_is_drained_by_the_worker_that_has_it(fronted: Callable[..., Any]) -> None:
    front = fronted(TWO)
    client, other = front.log_in("b"), front.log_in("a")
    with pytest.raises(AdminError, match="has sessions"):
        front.relay("delete-target", {"tid": 2})
    drained = threading.Thread(target=front.relay, args=("drain-target", {"tid": 2}))
    drained.start()
    pdu = client.receive_pdu()
    assert (pdu.opcode, pdu.header["async_event"]) == (Opcode.ASYNC_MESSAGE, Event.LOGOUT_REQUEST)
    client.logout()
    drained.join(20)
    assert [target.config.name for target in front.mirror.all()] == ["a"]
    assert not front.fleet.reachable("b")
    assert other.ping(b"still here") == b"still here"


def test_what_is_about_no_target_is_the_fronts(fronted: Callable[..., Any]) -> None:
    front = fronted(TWO)
    assert front.relay("ping", {}) == "pong"
    assert [each["pid"] for each in front.relay("status", {})["processes"]] == [1001, 1002]
    assert front.relay("show-accounts", {"tid": 0}) == {"incoming": [], "outgoing": None}


def test_a_change_that_fails_changes_nothing_here(fronted: Callable[..., Any]) -> None:
    front = fronted(TWO)
    before = front.mirror.configuration
    for operation, arguments in (
        ("create-lun", {"tid": 1, "lun": 0, "parameters": "Type=nullio"}),
        ("delete-lun", {"tid": 3, "lun": 0}),
        ("delete-lun", {"tid": 1}),
        ("delete-lun", {"tid": "1", "lun": 0}),
    ):
        with pytest.raises(AdminError):
            front.relay(operation, arguments)
    assert front.mirror.configuration == before
    assert front.published == 0


def test_a_worker_is_asked_for_no_change_in_which_the_front_could_not_follow(
    fronted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "TURN", 0.01)
    front = fronted(TWO)

    def refused(operation: str, **arguments: Any) -> int:
        try:
            front.relay(operation, arguments)
        except AdminError as problem:
            return problem.code
        return 0

    with ThreadPoolExecutor(1) as other, front.mirror.turn():
        assert other.submit(refused, "delete-lun", tid=1, lun=0).result() == errno.EBUSY
        assert other.submit(refused, "delete-target", tid=1).result() == errno.EBUSY
        assert other.submit(refused, "close-connection", tid=1, sid=7, cid=0).result() == errno.ENOENT
        assert other.submit(refused, "show-target", tid=1).result() == 0
    assert [len(target["luns"]) for target in front.mirror.facts()] == [1, 1]


def test_a_text_is_adopted_by_all_workers(fronted: Callable[..., Any]) -> None:
    front = fronted(TWO)
    front.log_in("a")
    text = TWO.replace("Target b", "\tLun 1 Type=nullio\nTarget b") + "Target c\n\tLun 0 Type=nullio\n"
    plan = front.relay("plan", {"text": text})
    assert [(step["action"], step["target"], step["sessions"]) for step in plan["steps"]] == [
        ("add", "a", 1), ("add", "c", 0),
    ]
    assert front.relay("adopt", {"text": text})["steps"] == plan["steps"]
    assert [(each["name"], len(each["luns"])) for each in front.mirror.facts()] == [("a", 2), ("b", 1), ("c", 1)]
    assert front.relay("plan", {"text": text})["steps"] == []
    assert [(step["action"], step["target"]) for step in front.relay("plan", {"text": ""})["steps"]] == [
        ("keep", "a"), ("remove", "b"), ("remove", "c"),
    ]
