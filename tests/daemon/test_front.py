"""Daemons with worker processes, run as their users run them: nothing is missing that one process has."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.admin.client import ask
from ietpy.errors import AdminError
from ietpy.initiator.client import Client
from ietpy.initiator.errors import InitiatorError, LoginRefused
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.iscsi.async_messages import Event

NAMES = [f"iqn.2026-11.test.front:t{number}" for number in range(4)]
A, B, C, D = NAMES


class Workers:
    """A daemon of two worker processes with four targets, each with a file; as ``daemon``."""

    def __init__(self, daemon: Any) -> None:
        self.daemon = daemon
        self.text = ""
        for name in NAMES:
            with self.image(name).open("wb") as file:
                file.truncate(1 << 20)
            self.text += f"Target {name}\n\tLun 0 Path={self.image(name)}\n"
        daemon.write(f"Processes 2\n{self.text}")
        self.stack = contextlib.ExitStack()

    def image(self, name: str) -> Path:
        path: Path = self.daemon.directory / f"{name.rpartition(':')[2]}.img"
        return path

    def start(self, *arguments: str) -> None:
        started = self.daemon.start(*arguments)
        assert (started.returncode, started.stderr) == (0, "")

    def ask(self, operation: str, **arguments: Any) -> Any:
        return ask(str(self.daemon.control), operation, arguments)

    def dial(self) -> Client:
        return self.stack.enter_context(Client.connect("127.0.0.1", self.daemon.status()["portals"][0]["port"]))

    def log_in(self, target: str, **plan: Any) -> Client:
        client = self.dial()
        client.login(LoginPlan(target=target, **plan))
        return client

    def pids(self) -> list[int]:
        return [process["pid"] for process in self.daemon.status()["processes"]]

    def sessions(self) -> list[str]:
        return sorted(session["target"] or "" for session in self.daemon.status()["sessions"])

    def published(self, name: str) -> str:
        return Path(f"{self.daemon.control}.iet", name).read_text()


@pytest.fixture
def workers(daemon: Any) -> Iterator[Workers]:
    workers = Workers(daemon)
    with workers.stack:
        yield workers


def ended(pid: int) -> bool:
    """Whether a process has ended within ten seconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


def test_targets_are_spread_and_served(workers: Workers) -> None:
    workers.start()
    facts = workers.daemon.status()
    assert [(each["number"], each["targets"], each["starts"]) for each in facts["processes"]] == [(1, 2, 1), (2, 2, 1)]
    assert [(target["tid"], target["name"]) for target in facts["targets"]] == list(enumerate(NAMES, 1))
    assert {target["luns"][0]["size"] for target in facts["targets"]} == {1 << 20}
    assert not facts["degraded"]
    clients = [workers.log_in(name) for name in NAMES]
    for client, name in zip(clients, NAMES, strict=True):
        client.write(0, 0, name.encode().ljust(512))
    assert workers.sessions() == NAMES
    assert "process 1: pid " in workers.daemon.run("status").stdout
    pids = workers.pids()
    assert workers.daemon.run("stop").returncode == 0
    for client in clients:
        assert [client.receive_pdu().header["async_event"] for _ in range(2)] == [
            Event.LOGOUT_REQUEST, Event.SESSION_DROP
        ]
    for name in NAMES:
        assert workers.image(name).read_bytes()[:512].strip() == name.encode()
    assert all(map(ended, pids))


def test_discovery_tells_of_all(workers: Workers) -> None:
    workers.start()
    client = workers.dial()
    client.login(LoginPlan())
    assert sorted(name for name, _ in client.discover()) == NAMES
    assert workers.sessions() == [""]
    with pytest.raises(LoginRefused):
        workers.log_in("iqn.2026-11.test.front:none")


def test_workers_of_a_detached_daemon_hold_nothing_of_its_caller(workers: Workers) -> None:
    workers.start()
    for pid in workers.pids():
        process = Path("/proc") / str(pid)
        assert os.readlink(process / "cwd") == "/"
        assert (process / "comm").read_text() == "ietpy-worker\n"
        for standard in ("0", "1", "2"):
            assert os.readlink(process / "fd" / standard) == os.devnull
        held = {os.readlink(each) for each in (process / "fd").iterdir() if os.path.lexists(each)}
        assert not {str(workers.daemon.pid_file), str(workers.daemon.control)} & held


def test_everything_ietadm_changes(workers: Workers) -> None:
    workers.start("--processes", "2")
    tid = workers.ask("create-target", tid=0, name="iqn.2026-11.test.front:new")
    assert tid == 5
    workers.ask("create-lun", tid=tid, lun=3, parameters="Type=nullio,Blocks=64")
    workers.ask("create-account", tid=tid, outgoing=False, name="ann", secret="s" * 12)
    workers.ask("update-target", tid=tid, values={"Wthreads": "3", "InitialR2T": "No"})
    assert workers.ask("show-target", tid=tid)["Wthreads"] == "3"
    assert workers.ask("show-session", tid=tid, sid=0)["InitialR2T"] == "No"
    assert workers.ask("show-accounts", tid=tid) == {"incoming": ["ann"], "outgoing": None}
    assert workers.ask("show-account", tid=tid, outgoing=False, name="ann") == "s" * 12
    assert f"tid:{tid} name:iqn.2026-11.test.front:new\n\tlun:3 state:0 iotype:nullio" in workers.published("volume")
    client = workers.log_in("iqn.2026-11.test.front:new", chap=Chap("ann", "s" * 12))
    assert client.read_capacity(3).blocks == 64
    sid = int(workers.ask("session").partition("sid:")[2].split()[0])
    assert workers.ask("show-session", tid=tid, sid=sid)["InitialR2T"] == "No"
    with pytest.raises(AdminError, match="has sessions"):
        workers.ask("delete-target", tid=tid)
    saved = workers.ask("rewritten", force=False)["after"]
    assert saved.startswith("Processes 2\n")
    assert "Target iqn.2026-11.test.front:new\n" in saved
    assert "Lun 3 Type=nullio,Blocks=64" in saved
    assert "IncomingUser ann" in saved
    assert "Wthreads 3" in saved
    workers.ask("close-connection", tid=tid, sid=sid, cid=0)
    assert "sid:" not in workers.published("session")
    workers.log_in("iqn.2026-11.test.front:new", chap=Chap("ann", "s" * 12))
    sid = int(workers.ask("session").partition("sid:")[2].split()[0])
    assert workers.ask("end-sessions", tid=tid, sids=[sid], politely=False) == {str(sid): False}
    assert "sid:" not in workers.published("session")
    workers.ask("delete-account", tid=tid, outgoing=False, name="ann")
    workers.ask("delete-lun", tid=tid, lun=3)
    workers.ask("delete-target", tid=tid)
    with pytest.raises(AdminError, match=f"no target with tid {tid}"):
        workers.ask("delete-target", tid=tid)
    assert workers.ask("rewritten", force=False)["after"] == workers.daemon.config.read_text()


def test_what_is_wrong_with_a_change_is_said_as_by_one_process(workers: Workers) -> None:
    workers.start()
    for operation, arguments, problem in (
        ("create-target", {"tid": 0, "name": A.upper()}, "there is a target"),
        ("create-target", {"tid": 2, "name": "iqn.x"}, "tid 2 is the number of"),
        ("create-lun", {"tid": 1, "lun": 0, "parameters": "Type=nullio"}, "has a LUN 0 already"),
        ("create-lun", {"tid": 1, "lun": 1, "parameters": "Path=/nowhere/x"}, "does not exist"),
        ("delete-lun", {"tid": 1, "lun": 9}, "has no LUN 9"),
        ("show-session", {"tid": 1, "sid": 7}, "has no session 7"),
        ("delete-target", {"tid": 1, "lun": 9}, "wrong arguments"),
        ("dance", {"tid": 1}, "no operation 'dance'"),
    ):
        with pytest.raises(AdminError, match=problem):
            workers.ask(operation, **arguments)
    assert [len(target["luns"]) for target in workers.daemon.status()["targets"]] == [1, 1, 1, 1]


def test_accounts_of_discovery_are_the_fronts(workers: Workers) -> None:
    workers.start()
    workers.ask("create-account", tid=0, outgoing=False, name="ann", secret="s" * 12)
    assert workers.ask("show-accounts", tid=0)["incoming"] == ["ann"]
    with pytest.raises(LoginRefused):
        workers.dial().login(LoginPlan())
    workers.dial().login(LoginPlan(chap=Chap("ann", "s" * 12)))


def test_a_redirection_survives_its_process(workers: Workers) -> None:
    workers.start()
    workers.ask("redirect-target", tid=2, address="192.0.2.7")
    with pytest.raises(LoginRefused) as refused:
        workers.log_in(B)
    assert refused.value.status == 0x0101
    replaced(workers, 1)
    with pytest.raises(LoginRefused) as refused:
        workers.log_in(B)
    assert refused.value.status == 0x0101


def test_a_reload_reaches_all(workers: Workers) -> None:
    workers.start()
    busy = workers.log_in(C)
    workers.daemon.write(
        f"Processes 2\nTarget {A}\n\tLun 0 Path={workers.image(A)}\n\tMaxSessions 1\n"
        f"Target {B}\n\tLun 5 Path={workers.image(B)}\nTarget {NAMES[0]}x\n\tLun 0 Type=nullio\nTarget other\n"
    )
    reloaded = workers.daemon.run("reload")
    assert reloaded.returncode == 1
    assert f"{C} is not in the file as one to be served, and is still in use" in reloaded.stderr
    targets = {target["name"]: target for target in workers.daemon.status()["targets"]}
    assert set(targets) == {A, B, C, f"{A}x", "other"}
    assert [lun["number"] for lun in targets[B]["luns"]] == [5]
    assert len({target["tid"] for target in targets.values()}) == 5
    busy.test_unit_ready(0)
    busy.logout()
    assert workers.log_in(B).report_luns() == [5]
    assert workers.log_in(f"{A}x").read_capacity(0)
    assert workers.ask("show-target", tid=targets[A]["tid"])["MaxSessions"] == "1"
    workers.log_in(A)
    with pytest.raises(LoginRefused):
        workers.log_in(A, initiator="iqn.2026-11.test:other")
    reloaded = workers.daemon.run("reload")
    assert reloaded.returncode == 0
    assert {target["name"] for target in workers.daemon.status()["targets"]} == {A, B, f"{A}x", "other"}


def test_a_file_that_cannot_be_used_changes_nothing(workers: Workers) -> None:
    workers.start("--compat", "strict")
    workers.daemon.write("what\n")
    assert workers.daemon.run("reload").returncode == 2
    assert len(workers.daemon.status()["targets"]) == 4


def test_another_number_of_processes_needs_a_restart(workers: Workers) -> None:
    workers.start()
    workers.daemon.write(f"Processes 4\n{workers.text}")
    assert "Processes has changed" in workers.daemon.run("reload").stderr
    assert len(workers.pids()) == 2


def test_a_number_of_processes_that_the_command_line_outranks_changes_nothing(workers: Workers) -> None:
    workers.start("--processes", "2")
    workers.daemon.write(f"Processes 4\n{workers.text}")
    reloaded = workers.daemon.run("reload")
    assert (reloaded.returncode, reloaded.stderr) == (0, "")


def test_a_number_of_processes_that_cannot_be(workers: Workers) -> None:
    started = workers.daemon.start("--processes", "0")
    assert started.returncode == 2
    assert "--processes 0: a number from 1 to 64, or auto is accepted" in started.stderr


def test_hangup_reloads_all(workers: Workers) -> None:
    command = workers.daemon.command("start", "-f", *workers.daemon.listening())
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        workers.daemon.write(f"Processes 2\n{workers.text}Target late\n\tLun 0 Type=nullio\n")
        process.send_signal(signal.SIGHUP)
        assert any("INFO reloaded: serving 5 targets" in line for line in iter(process.stderr.readline, ""))
        workers.log_in("late").read_capacity(0)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def test_what_is_not_served_is_said_as_by_one_process(workers: Workers) -> None:
    workers.image(B).unlink()
    started = workers.daemon.start()
    assert started.returncode == 0
    assert started.stderr.count(f"LUN 0 of {B} is not served") == 1
    assert workers.daemon.run("status", "--health").returncode == 150
    with workers.image(B).open("wb") as file:
        file.truncate(1 << 20)
    assert workers.daemon.run("reload").returncode == 0
    assert workers.daemon.run("status", "--health").returncode == 0


def test_targets_of_one_file_are_in_one_process(workers: Workers) -> None:
    link = workers.daemon.directory / "link"
    link.hardlink_to(workers.image(A))
    workers.daemon.write(f"{workers.text}Target other\n\tLun 0 Path={link}\n")
    started = workers.daemon.start("--processes", "3")
    assert "LUN 0 of other shares" in started.stderr
    workers.log_in(A).write(0, 3, b"both" * 128)
    assert workers.log_in("other").read(0, 3, 1) == b"both" * 128
    tid = workers.ask("create-target", tid=0, name="late")
    with pytest.raises(AdminError, match=r"is in use: .*; if another target of this daemon serves it, restart"):
        workers.ask("create-lun", tid=tid, lun=0, parameters=f"Path={link}")


def replaced(workers: Workers, number: int) -> None:
    """Kill the worker process with this index, and wait until another one serves."""
    pid = workers.pids()[number]
    os.kill(pid, signal.SIGKILL)
    assert ended(pid)
    while workers.pids()[number] in (pid, None):
        pass


def test_a_worker_that_dies_costs_its_sessions_only(workers: Workers) -> None:
    command = workers.daemon.command("start", "-f", *workers.daemon.listening())
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        workers.ask("update-target", tid=1, values={"Wthreads": "7"})
        one, other = workers.log_in(A), workers.log_in(B)
        one.write(0, 0, b"kept" * 128)
        replaced(workers, 0)
        with pytest.raises(InitiatorError):
            one.test_unit_ready(0)
        other.test_unit_ready(0)
        assert workers.log_in(A).read(0, 0, 1) == b"kept" * 128
        facts = workers.daemon.status()
        assert [each["starts"] for each in facts["processes"]] == [2, 1]
        assert not facts["degraded"]
        assert "started 2 times" in workers.daemon.run("status").stdout
        assert workers.ask("show-target", tid=1)["Wthreads"] == "7"
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "and with it the sessions of 2 targets; starting another" in log


def test_workers_end_with_the_process_in_front(workers: Workers) -> None:
    workers.start()
    pids = workers.pids()
    workers.log_in(A)
    os.kill(workers.daemon.status()["pid"], signal.SIGKILL)
    assert all(map(ended, pids))


def test_workers_leave_signals_to_the_process_in_front(workers: Workers) -> None:
    """A service manager may send SIGTERM to all processes; who decides when each ends is the front."""
    workers.start()
    client = workers.log_in(A)
    for pid in workers.pids():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
    client.test_unit_ready(0)


def test_ready_is_said_when_all_serve(workers: Workers) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.settimeout(30)
        supervisor.bind(str(workers.daemon.directory / "notify"))
        environment = {**os.environ, "NOTIFY_SOCKET": str(workers.daemon.directory / "notify")}
        command = workers.daemon.command("start", "-f", *workers.daemon.listening())
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert supervisor.recv(64) == b"READY=1"
            for name in NAMES:
                workers.log_in(name).logout()
            process.send_signal(signal.SIGINT)
            _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "worker process 2 of 2 has pid " in log


def test_persistent_reservations_are_kept(workers: Workers) -> None:
    workers.start()
    register = bytes.fromhex("5f 06 00 0000 00000018 00")
    parameters = bytes(8) + b"key12345" + bytes(4) + b"\x01" + bytes(3)
    client = workers.log_in(D)
    assert client.command(0, bytes(6)).status == 2
    assert client.command(0, register, write=parameters).status == 0
    assert workers.daemon.run("restart").returncode == 0
    assert len(workers.pids()) == 2
    client = workers.log_in(D)
    assert client.command(0, bytes(6)).status == 2  # the unit attention of a new nexus
    keys = client.command(0, bytes.fromhex("5e 00 0000000000 0020 00"), read=32)
    assert b"key12345" in bytes(keys.data)
