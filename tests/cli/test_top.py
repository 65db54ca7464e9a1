"""``ietpy top`` at a real terminal of 80 columns and 24 lines, and in a pipe."""

from __future__ import annotations

import os
import signal
import sys
import termios
from typing import Any

import pytest

from ietpy.cli import top
from ietpy.cli.top_view import View
from ietpy.server import farewell
from tests.cli.conftest import INITIATOR, A, Daemon, until
from tests.cli.terminals import AtTerminal
from tests.cli.test_facts import connection

NAME = "iqn.2026-01.net.ietpy:initiator"


def at_terminal(daemon: Daemon, *words: str, **more: Any) -> AtTerminal:
    return AtTerminal(["top", *words], daemon.environment, **more)


def test_who_is_there_is_shown_ended_and_gone(busy: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 0.05)
    with at_terminal(busy, "-i", "0.2") as shown:
        shown.see("debian:01:joe")
        shown.see("q quit")
        assert "ietpy top: 2 targets, 2 sessions" in shown.text
        assert "by IOPS, every 0.2 s" in shown.text
        assert shown.screen.cursor.hidden
        shown.type("n")
        shown.see("by name")
        shown.type("\x1b[B")
        shown.type("x")
        shown.see(f"end session 2 of {INITIATOR}? y, or any other key")
        shown.type("y")
        shown.see("ietpy top: 2 targets, 1 session ")
        until(lambda: [each["initiator"] for each in busy.instance.server.sessions()] == [NAME])
        shown.type("p")
        shown.see("standing still")
        shown.type("p")
        shown.see("every 0.2 s")
        shown.type("q")
        assert shown.ended() == 0
        assert shown.restored


def test_another_size_counts_at_the_next_look(busy: Daemon) -> None:
    with at_terminal(busy, "-i", "0.2") as shown:
        assert "ADDRESS" not in shown.see("INITIATOR")
        shown.resize(120, 30)
        shown.see("ADDRESS")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_gives_the_terminal_back(busy: Daemon, number: int, status: int) -> None:
    with at_terminal(busy) as shown:
        shown.see("2 sessions")
        shown.process.send_signal(number)
        assert shown.ended() == status
        assert shown.restored


def test_ctrl_z_and_ctrl_c_in_a_shell(busy: Daemon) -> None:
    shell = ["/bin/bash", "--noprofile", "--norc", "-i"]
    with AtTerminal([], {**busy.environment, "PS1": "ready> "}, program=shell) as shown:
        shown.see("ready> ")
        shown.type(f"{sys.executable} -m ietpy.cli.ietpy top -i 0.2\n")
        shown.see("2 sessions")
        shown.type("\x1a")
        shown.see("Stopped")
        assert not shown.screen.cursor.hidden
        shown.type("clear; fg\n")
        shown.see("2 sessions")
        shown.type("\x03")
        shown.until(lambda text: shown.raw.count(b"\x1b[?1049l") == 2)
        shown.type("was=$?; clear; echo it was $was\n")
        shown.see("it was 130")
        shown.type("exit\n")
        assert shown.ended() == 0
        assert not shown.screen.cursor.hidden


def test_a_mistake_of_ours_gives_the_terminal_back(busy: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal of this process: what breaks is patched in."""
    leader, follower = os.openpty()
    before = termios.tcgetattr(follower)

    def broken(*arguments: object) -> list[str]:
        raise ZeroDivisionError

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("IETPY_CONTROL", busy.control)
    monkeypatch.setattr(top, "drawn", broken)
    with open(follower, "r+b", buffering=0) as file:
        monkeypatch.setattr("sys.stdin", file)
        monkeypatch.setattr("sys.stdout", file)
        with pytest.raises(ZeroDivisionError):
            top._watch(top.Watcher(), View())
        sent = b""
        while not sent.endswith(b"\x1b[?25h\x1b[?1049l"):  # it may come in pieces
            sent += os.read(leader, 1024)
        assert termios.tcgetattr(follower) == before
    os.close(leader)


def test_a_daemon_that_goes_is_told_of_and_waited_for(busy: Daemon) -> None:
    with at_terminal(busy, "-i", "0.2", columns=200) as shown:
        shown.see("2 sessions")
        os.rename(busy.control, busy.control + ".away")
        shown.see("the daemon is not running: there is no control socket")
        assert "2 sessions" in shown.text
        os.rename(busy.control + ".away", busy.control)
        shown.until(lambda text: "not running" not in text)


def test_in_a_pipe(busy: Daemon) -> None:
    ended = busy.ietpy("top", "--once", "-i", "0.2", "--target", ":a")
    assert (ended.exit_code, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("ietpy top: 2 targets, 1 session")
    assert len(lines) == 4
    assert A in lines[3].split()
    two = busy.ietpy("top", "--batch", "2", "-i", "0.2").stdout
    assert two.count("ietpy top:") == 2
    assert "\x1b" not in two


def test_a_pipe_without_once_is_told(busy: Daemon) -> None:
    ended = busy.ietpy("top")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr == "ietpy: this needs a terminal; --once and --batch N print for everything else\n"


def test_each_look_is_compared_with_the_one_before() -> None:
    told = [connection(reads=100)]
    clock = iter((10.0, 12.0))
    watcher = top.Watcher(
        ask=lambda what: told if what == "sessions" else [], clock=lambda: next(clock), now=lambda: 1.0
    )
    watcher.look()
    told = [connection(reads=140), connection(2, since=0.5)]
    first, second = watcher.look().rows
    assert first.pace.rates["reads"] == 20.0
    assert second.pace.seconds == 0.5
