"""From check to detach: what a started process looks like, and how failures travel to whoever started it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ietpy.daemon import lifecycle
from ietpy.daemon.options import StartOptions
from ietpy.errors import ConfigError, IetpyError
from ietpy.initiator.client import Client
from ietpy.initiator.errors import ConnectionLost, LoginRefused
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.async_messages import Event

TARGET = "iqn.2001-04.com.example:storage.disk1"


def test_a_detached_daemon_holds_nothing_of_its_caller(daemon: Any) -> None:
    reader, writer = os.pipe()
    try:
        assert daemon.start(pass_fds=(writer,)).returncode == 0
    finally:
        os.close(writer)
    assert os.read(reader, 1) == b""  # end of file: the daemon did not keep the descriptor it inherited
    os.close(reader)
    process = Path("/proc") / str(daemon.status()["pid"])
    assert os.readlink(process / "cwd") == "/"
    for standard in ("0", "1", "2"):
        assert os.readlink(process / "fd" / standard) == os.devnull
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    assert status["Umask"] == "0077"
    session = int((process / "stat").read_text().rpartition(")")[2].split()[3])
    assert session not in (os.getsid(0), daemon.status()["pid"])  # a session of its own, which it does not lead


def test_a_detached_daemon_ends_after_sigterm(daemon: Any) -> None:
    daemon.start()
    pid = daemon.status()["pid"]
    ended = os.pidfd_open(pid)
    os.kill(pid, signal.SIGTERM)
    assert wait_for_end(ended)
    assert not daemon.pid_file.exists()


def test_a_session_does_not_hold_up_the_end_and_its_writes_are_kept(daemon: Any) -> None:
    daemon.start()
    facts = daemon.status()
    with Client.connect("127.0.0.1", facts["portals"][0]["port"]) as client:
        client.login(LoginPlan(target=TARGET))
        client.write(0, 8, b"kept" * 128)
        assert daemon.status()["targets"][0]["sessions"] == 1
        assert "(1 LUN, 1 session)" in daemon.run("status").stdout
        assert daemon.run("stop").returncode == 0
        for event in (Event.LOGOUT_REQUEST, Event.SESSION_DROP):  # it does not heed the first
            assert client.receive_pdu().header["async_event"] == event
        assert client.closed_by_target()
    assert daemon.image.read_bytes()[4096:4608] == b"kept" * 128


def test_lun_numbers_that_need_flat_addressing_are_served(daemon: Any) -> None:
    numbers = [0, 255, 256, 1024, 16383]
    lines = (f"\tLun {number} Type=nullio,Blocks={number + 8}\n" for number in numbers)
    daemon.write(f"Target {TARGET}\n" + "".join(lines) + "\tLunOption 16383 Removable=Yes\n")
    assert daemon.start().stderr == ""
    with Client.connect("127.0.0.1", daemon.status()["portals"][0]["port"]) as client:
        client.login(LoginPlan(target=TARGET))
        assert client.report_luns() == numbers
        for number in numbers:
            assert client.read_capacity(number).blocks == number + 8
        client.logout()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_foreground_daemon_says_ready_and_ends_cleanly(daemon: Any, number: int) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.settimeout(30)
        supervisor.bind(str(daemon.directory / "notify"))
        environment = {**os.environ, "NOTIFY_SOCKET": str(daemon.directory / "notify")}
        command = daemon.command("start", "-f", *daemon.listening())
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert supervisor.recv(64) == b"READY=1"
            assert daemon.status()["pid"] == process.pid
            process.send_signal(number)
            output, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert output.startswith("ietpy-daemon: serving 1 target on 127.0.0.1:")
    assert "INFO ended" in log
    assert not daemon.pid_file.exists()


def test_hangup_reloads(daemon: Any) -> None:
    command = daemon.command("start", "-f", *daemon.listening())
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ietpy-daemon: serving")
        daemon.write("Target other\nTarget another\n")
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        log = iter(process.stderr.readline, "")
        assert any("INFO reloaded: serving 2 targets on 127.0.0.1:" in line for line in log)
        assert [target["name"] for target in daemon.status()["targets"]] == ["other", "another"]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def test_relative_media_are_found_where_iet_found_them(daemon: Any) -> None:
    daemon.write(f"Target {TARGET}\n\tLun 0 Path=disk.img\n")
    started = daemon.start(cwd=daemon.directory)
    assert started.returncode == 0
    assert "a relative Path counts from /; write the whole path" in started.stderr
    command = daemon.command("stop")
    subprocess.run(command, check=True, capture_output=True)
    command = daemon.command("start", "-f", *daemon.listening())
    with subprocess.Popen(command, cwd=daemon.directory, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(daemon.status()["targets"][0]["luns"]) == 1
        process.terminate()


def test_the_backing_store_is_locked_while_detached(daemon: Any, tmp_path: Path) -> None:
    daemon.start()
    second = ["--pid-file", str(tmp_path / "second.pid"), "--control", str(tmp_path / "second")]
    started = daemon.start(*second)
    try:
        assert f"LUN 0 of {TARGET} is not served: {daemon.image} is in use" in started.stderr
    finally:
        assert daemon.run("stop", *second).returncode == 0


def test_the_reason_of_a_failed_start_travels_through_the_pipe() -> None:
    reader, writer = os.pipe()
    with pytest.raises(IetpyError, match="no threads left"), lifecycle.Report(writer):
        raise IetpyError("no threads left")
    with pytest.raises(IetpyError, match="the daemon ended while starting: no threads left"):
        lifecycle.await_ready(reader)


def test_a_daemon_that_dies_while_starting_is_noticed() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    with pytest.raises(IetpyError, match="ended while starting: see the system log"):
        lifecycle.await_ready(reader)


def test_ready_carries_the_pid_once() -> None:
    reader, writer = os.pipe()
    with lifecycle.Report(writer) as report:
        report.ready()
        report.ready()
    assert lifecycle.await_ready(reader) == os.getpid()


def test_ready_is_said_to_nobody_when_nobody_waits_any_more() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with lifecycle.Report(writer) as report:
        report.ready()


def test_descriptors_are_those_open_now() -> None:
    before = lifecycle.descriptors()
    reader, writer = os.pipe()
    assert lifecycle.descriptors() - before == {reader, writer}
    os.close(reader)
    os.close(writer)
    assert lifecycle.descriptors() == before


def test_strict_mode_stops_at_errors_only(tmp_path: Path) -> None:
    config = tmp_path / "ietd.conf"
    config.write_text(f"Target {TARGET}\n")
    read = lifecycle.read_configuration(StartOptions(config=str(config), compat="strict"))
    assert [target.name for target in read.targets] == [TARGET]
    config.write_text(f"Target {TARGET}\n\tNonsense\n")
    with pytest.raises(ConfigError, match="Nonsense"):
        lifecycle.read_configuration(StartOptions(config=str(config), compat="strict"))


def wait_for_end(pidfd: int) -> bool:
    try:
        return bool(select.select([pidfd], [], [], 30)[0])
    finally:
        os.close(pidfd)


# Portal lines


ONE, TWO = "iqn.2001-04.com.example:one", "iqn.2001-04.com.example:two"
GROUPS = f"""\
Portal 1 127.0.0.1
Portal 2 127.0.0.2,nosuch0
Target {ONE}
    Lun 0 Type=nullio,Blocks=8
    PortalGroups 2
Target {TWO}
    Lun 0 Type=nullio,Blocks=8
"""


def portals(daemon: Any) -> dict[tuple[str, int], int]:
    """Ports by address and group."""
    return {(each["address"], each["group"]): each["port"] for each in daemon.status()["portals"]}


def logged_in(where: tuple[str, int], target: str = "") -> Client:
    client = Client.connect(*where)
    try:
        client.login(LoginPlan(target=target))
    except Exception:
        client.close()
        raise
    return client


def test_portal_groups_from_the_file_to_the_wire_and_through_a_reload(daemon: Any) -> None:
    daemon.write(GROUPS)
    started = daemon.run("start", "-c", str(daemon.config), "-p", "0", "--state-dir", str(daemon.state))
    assert started.returncode == 0
    assert "ietd.conf:2:20: error: there is no interface nosuch0 to listen on" in started.stderr
    ports = portals(daemon)
    assert sorted(ports) == [("127.0.0.1", 1), ("127.0.0.2", 2)]
    assert daemon.status()["degraded"] is True
    first, second = ("127.0.0.1", ports["127.0.0.1", 1]), ("127.0.0.2", ports["127.0.0.2", 2])
    by_one, by_two = f"127.0.0.1:{first[1]},1", f"127.0.0.2:{second[1]},2"
    with logged_in(first) as asks:
        assert asks.discover() == [(TWO, [by_one, by_two]), (ONE, [by_two])]
    with pytest.raises(LoginRefused) as refused:
        logged_in(first, ONE)
    assert refused.value.status == 0x0203
    with logged_in(second, ONE) as stays, logged_in(second, TWO), logged_in(first, TWO) as other:
        assert [session["portal_group"] for session in daemon.status()["sessions"]] == [2, 2, 1]
        assert b",t,0x0001" in other.inquiry(0, 0x83)
        daemon.write(GROUPS.replace("Portal 2 127.0.0.2,nosuch0", "Portal 2 127.0.0.3"))
        assert daemon.run("reload").stderr == ""
        assert sorted(portals(daemon)) == [("127.0.0.1", 1), ("127.0.0.3", 2)]
        assert portals(daemon)["127.0.0.1", 1] == first[1], "what stays is not opened again"
        assert stays.command(0, bytes(6)).status in (0, 2)
        with pytest.raises(ConnectionLost, match="refused"):
            Client.connect(*second)
    daemon.write("Portal x 127.0.0.1\n")
    failed = daemon.run("reload")
    assert failed.returncode == 2
    assert "no Portal line names anything to listen on" in failed.stderr
    assert sorted(portals(daemon)) == [("127.0.0.1", 1), ("127.0.0.3", 2)]


def test_an_address_of_the_command_line_beside_portal_lines_is_refused(daemon: Any) -> None:
    daemon.write(GROUPS)
    started = daemon.start()
    assert started.returncode == 2
    assert "Portal lines, and -a 127.0.0.1, which means that address only; start without -a" in started.stderr


@pytest.mark.parametrize("processes", [1, 2])
def test_initiators_are_told_what_is_advertised_and_a_reload_changes_that(daemon: Any, processes: int) -> None:
    """In discovery and in a session; the address they came by is not named, and sessions stay."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def write(advertise: str) -> None:
        text = f"Processes {processes}\nPortal 1 127.0.0.1:{port}{advertise}\n"
        daemon.write(f"{text}Target {TARGET}\n\tLun 0 Path={daemon.image}\nTarget b\n\tLun 0 Type=nullio\n")

    def discovered() -> set[str]:
        with Client.connect("127.0.0.1", port) as client:
            client.login(LoginPlan())
            return {address for _, addresses in client.discover() for address in addresses}

    write(" Advertise=nas.example.com:3269")
    started = daemon.run("start", "-c", str(daemon.config), "--state-dir", str(daemon.state))
    assert (started.returncode, started.stderr) == (0, "")
    assert discovered() == {"nas.example.com:3269,1"}
    with Client.connect("127.0.0.1", port) as client:
        client.login(LoginPlan(target=TARGET))
        assert client.discover("") == [(TARGET, ["nas.example.com:3269,1"])]
        write(" Advertise=[2001:db8::1]:3270")
        assert "advertised as [2001:db8::1]:3270" in daemon.run("reload").stdout
        assert discovered() == {"[2001:db8::1]:3270,1"}
        assert client.discover("") == [(TARGET, ["[2001:db8::1]:3270,1"])]
        write("")
        daemon.run("reload")
        assert discovered() == {f"127.0.0.1:{port},1"}
        client.read_capacity(0)
        client.logout()
    assert [each["advertised"] for each in daemon.status()["portals"]] == [""]
