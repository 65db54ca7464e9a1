"""What status says of a daemon, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ietpy.daemon import manage
from ietpy.errors import AdminError

FACTS: dict[str, Any] = {
    "pid": 7,
    "degraded": False,
    "config": "/etc/iet/ietd.conf",
    "compat": "repair",
    "portals": [{"address": "::1", "port": 3260, "group": 1}, {"address": "127.0.0.1", "port": 3260, "group": 1}],
    "targets": [{"name": "iqn.x", "luns": [1], "sessions": 2}],
    "sessions": [{"initiator": "iqn.y", "tsih": 1, "user": ""}],
    "problems": [{"text": "ietd.conf:3:2: error: gone"}],
}


def test_everything_is_said_once() -> None:
    assert list(manage.describe(FACTS)) == [
        "ietpy-daemon is running (pid 7)",
        "configuration: /etc/iet/ietd.conf (repair)",
        "portal: [::1]:3260",
        "portal: 127.0.0.1:3260",
        "target: iqn.x (1 LUN, 2 sessions)",
        "session: tsih 1, initiator iqn.y",
        "ietd.conf:3:2: error: gone",
    ]


def test_portal_groups_are_said_where_there_are_others_than_the_first() -> None:
    facts = {**FACTS, "portals": [*FACTS["portals"], {"address": "fe80::1%eth0", "port": 3261, "group": 2}]}
    assert [line for line in manage.describe(facts) if line.startswith("portal")] == [
        "portal: [::1]:3260, group 1", "portal: 127.0.0.1:3260, group 1", "portal: [fe80::1%eth0]:3261, group 2",
    ]


def test_a_silent_daemon() -> None:
    assert list(manage.describe({"pid": 7, "degraded": True, "silent": "no answer"})) == [
        "ietpy-daemon is running (pid 7), degraded",
        "it does not answer: no answer",
    ]


def test_a_control_socket_that_is_not_there_is_no_daemon(tmp_path: Path) -> None:
    assert manage.answer(str(tmp_path / "control")) is None


def test_a_control_socket_that_cannot_be_asked_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AdminError):
        manage.answer(str(tmp_path / "file" / "control"))
