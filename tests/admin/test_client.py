"""The control socket's client: clear sentences when nobody answers, and no trust in strangers."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ietpy.admin import client
from ietpy.errors import AdminError


def test_no_socket(tmp_path: Path) -> None:
    with pytest.raises(AdminError, match=r"no control socket at .*; the daemon is not running"):
        client.ask(str(tmp_path / "control"), "ping")


def test_a_socket_left_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "control"))
    with pytest.raises(AdminError, match="nobody answers at"):
        client.ask(str(tmp_path / "control"), "ping")


def test_not_a_place_for_sockets(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AdminError, match="Not a directory"):
        client.ask(str(tmp_path / "file" / "control"), "ping")


def test_a_daemon_that_does_not_answer(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "control"))
        deaf.listen()
        with pytest.raises(AdminError, match=r"gave no answer in 0\.01 s"):
            client.ask(str(tmp_path / "control"), "ping", patience=0.01)


def test_a_daemon_of_another_user_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    client.check_server(0, "/x")
    client.check_server(os.geteuid(), "/x")
    with pytest.raises(AdminError, match="served by user 4711, neither root nor this user"):
        client.check_server(4711, "/x")
