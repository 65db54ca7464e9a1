"""``ietpy kick``: who is meant goes, logged out or cut off, and everybody else stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from ietpy.cli import kick
from ietpy.cli.facts import sessions
from ietpy.errors import UsageError
from ietpy.initiator.client import Client
from ietpy.initiator.errors import ConnectionLost
from ietpy.server import farewell
from tests.cli.conftest import A, B, Daemon
from tests.cli.test_facts import connection
from tests.fields import checked

DEBIAN, WINDOWS = "iqn.1993-08.org.debian:01:one", "iqn.1991-05.com.microsoft:two"


def run(daemon: Daemon, *words: str) -> Result:
    return daemon.ietpy("kick", *words)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 0.05)
    with Daemon(tmp_path, f"Target {A}\nLun 0 Type=nullio\nTarget {B}\nLun 0 Type=nullio\n") as daemon:
        yield daemon


@contextmanager
def obeying(client: Client) -> Iterator[None]:
    """Log out as soon as the target asks for it."""

    def obey() -> None:
        client.receive_pdu(20)
        client.logout()

    thread = threading.Thread(target=obey)
    thread.start()
    yield
    thread.join(20)
    assert not thread.is_alive()


def test_who_is_asked_logs_out(served: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 15)
    client, other = served.login(A, initiator=DEBIAN), served.login(A, initiator=WINDOWS)
    with obeying(client):
        ended = run(served, "org.debian:01:one")
    assert (ended.exit_code, ended.stderr) == (0, "")
    first, last = ended.stdout.splitlines()
    assert first == f"session 1 of {A}: {DEBIAN} at 127.0.0.1: it logged out"
    assert last.startswith("1 session ended; they may log in again at once; an Initiator line")
    assert other.ping(b"still here") == b"still here"
    served.login(A, initiator=DEBIAN).ping(b"")


def test_who_does_not_is_cut_off(served: Daemon) -> None:
    client, other = served.login(A, initiator=DEBIAN), served.login(B, initiator=WINDOWS)
    ended = run(served, "1")
    assert ended.stdout.splitlines()[0].endswith(": its connection was closed, as it did not log out")
    with pytest.raises(ConnectionLost):
        client.ping(b"")
    assert [each["initiator"] for each in served.instance.server.sessions()] == [WINDOWS]
    assert other.ping(b"") == b""


def test_at_once_nobody_is_asked(served: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 15)
    client = served.login(A, initiator=DEBIAN)
    ended = run(served, "--now", "1")
    assert ended.stdout.splitlines()[0].endswith(": its connection was closed")
    assert client.closed_by_target()


def test_all_of_a_target_and_an_address_of_another(served: Daemon) -> None:
    for number in range(3):
        served.login(A, isid=bytes((0x80, 0, 0, 0, 0, number)))
    served.login(B)
    document = checked("kick", run(served, "--all-of-target", ":a", "--json").stdout)
    assert [(each["target"], each["id"], each["logged_out"]) for each in document["ended"]] == [
        (A, 1, False), (A, 2, False), (A, 3, False)
    ]
    assert [each["target"] for each in served.instance.server.sessions()] == [B]
    assert "1 session ended" in run(served, "127.0.0.1", "--target", ":b").stdout
    assert served.instance.server.sessions() == []


def test_where_nobody_fits(served: Daemon) -> None:
    served.login(A)
    for words in (("7",), ("nobody",), ("192.0.2.1",), ("1", "--target", ":b"), ("--all-of-target", "zzz")):
        ended = run(served, *words)
        assert (ended.exit_code, ended.stdout) == (1, ""), words
        assert ended.stderr == "ietpy kick: no session fits; ietpy sessions lists them\n"
    assert len(served.instance.server.sessions()) == 1


def test_nobody_named(served: Daemon) -> None:
    ended = run(served)
    assert ended.exit_code == 2
    assert ended.stderr.startswith("ietpy: say who: the ID of a session (ietpy sessions)")


def test_a_number_that_two_targets_have_is_asked_about() -> None:
    """Worker processes count their sessions each for itself."""
    found = sessions([connection(1), connection(1, "iqn.x:b")])
    with pytest.raises(UsageError, match="a session 1 of several targets: iqn"):
        kick.chosen(found, "1")


def test_addresses_are_compared_as_addresses() -> None:
    found = sessions([connection(1, address="fe80::1%eth0"), connection(2), connection(3, address="a socket pair")])
    assert [each.id for each in kick.chosen(found, "[fe80:0::1]")] == [1]
    assert [each.id for each in kick.chosen(found, "10.0.0.7")] == [2]
