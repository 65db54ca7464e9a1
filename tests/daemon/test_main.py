"""``ietpy-daemon``, run as its users run it: exit statuses, sentences, and what is left behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan

TARGET = "iqn.2001-04.com.example:storage.disk1"


def test_start_returns_when_the_portal_listens(daemon: Any) -> None:
    started = daemon.start()
    assert started.returncode == 0, started.stderr
    facts = daemon.status()
    portal = facts["portals"][0]
    assert portal["port"] != 0
    expected = f"serving 1 target on 127.0.0.1:{portal['port']} (pid {facts['pid']})"
    assert started.stdout == f"ietpy-daemon: {expected}\n"
    socket.create_connection((portal["address"], portal["port"]), timeout=10).close()


def test_status_says_what_is_served(daemon: Any) -> None:
    daemon.start()
    facts = daemon.status()
    assert facts["running"] is True
    assert facts["degraded"] is False
    assert facts["config"] == str(daemon.config)
    (target,) = facts["targets"]
    assert (target["tid"], target["name"], target["sessions"]) == (1, TARGET, 0)
    (unit,) = target["luns"]
    assert {**unit,
        "number": 0, "type": "fileio", "path": str(daemon.image), "mode": "wt", "block_size": 512, "size": 1 << 20,
        "leaving": False, "reads": 0, "bytes_written": 0, "errors": {}, "latency": None
    } == unit
    text = daemon.run("status", "--health")
    assert text.returncode == 0
    assert f"target: {TARGET} (1 LUN, 0 sessions)" in text.stdout


def test_the_pid_file_is_as_iet_wrote_it_and_goes_with_the_daemon(daemon: Any) -> None:
    daemon.start()
    pid = daemon.status()["pid"]
    assert daemon.pid_file.read_text() == f"{pid}\n"
    assert daemon.pid_file.stat().st_mode & 0o777 == 0o644
    stopped = daemon.run("stop")
    assert (stopped.returncode, stopped.stdout) == (0, f"ietpy-daemon stopped (pid {pid})\n")
    assert not daemon.pid_file.exists()
    assert not daemon.control.exists()


def test_what_does_not_run_is_stopped_already(daemon: Any) -> None:
    stopped = daemon.run("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "ietpy-daemon was not running\n")
    asked = daemon.run("status")
    assert (asked.returncode, asked.stdout) == (3, "ietpy-daemon is not running\n")
    assert json.loads(daemon.run("status", "--json").stdout) == {"format": 1, "running": False}


def test_a_second_daemon_is_refused_and_the_first_lives(daemon: Any) -> None:
    daemon.start()
    pid = daemon.status()["pid"]
    second = daemon.start()
    assert second.returncode == 1
    assert second.stderr.startswith(f"ietpy-daemon: another ietpy-daemon is running (pid {pid}, ")
    assert daemon.status()["pid"] == pid


def test_a_stale_pid_file_is_taken_over_and_its_pid_left_alone(daemon: Any) -> None:
    with subprocess.Popen(["sleep", "600"]) as bystander:
        try:
            daemon.pid_file.write_text(f"{bystander.pid}\n")
            assert daemon.run("status").returncode == 3
            assert daemon.run("stop").returncode == 0
            assert bystander.poll() is None
            assert daemon.start().returncode == 0
            assert daemon.status()["pid"] != bystander.pid
        finally:
            bystander.kill()


def test_a_missing_medium_is_reported_and_the_rest_is_served(daemon: Any, tmp_path: Path) -> None:
    daemon.write(f"Target {TARGET}\n\tLun 0 Path={daemon.image}\n\tLun 1 Path={tmp_path}/missing.img\n")
    started = daemon.start()
    assert started.returncode == 0, started.stderr
    assert f"{daemon.config}:3:" in started.stderr
    assert f"LUN 1 of {TARGET} is not served: " in started.stderr
    facts = daemon.status()
    assert [lun["number"] for lun in facts["targets"][0]["luns"]] == [0]
    assert facts["degraded"] is True
    assert [(problem["line"], problem["code"]) for problem in facts["problems"]] == [(3, "lun-not-served")]
    assert daemon.run("status").returncode == 0
    healthy = daemon.run("status", "--health")
    assert healthy.returncode == 150
    assert "degraded" in healthy.stdout


def test_a_mistake_stops_everything_in_strict_mode(daemon: Any) -> None:
    daemon.write(f"Target {TARGET}\n\tMaxBurstLenght 65536\n\tLun 0 Path={daemon.image}\n")
    started = daemon.start("--compat", "strict")
    assert started.returncode == 2
    assert f"{daemon.config}:2:2: error: " in started.stderr
    assert "Traceback" not in started.stderr
    assert daemon.run("status").returncode == 3


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["-c", "/nonexistent/ietd.conf"], id="a named file that is missing"),
        pytest.param(["-p", "65536"], id="a port that is none"),
        pytest.param(["--compat", "lax"], id="a mode that is none"),
        pytest.param(["--nonsense"], id="an unknown option"),
    ],
)
def test_usage_and_configuration_errors_exit_2(daemon: Any, arguments: list[str]) -> None:
    started = daemon.start(*arguments)
    assert started.returncode == 2
    assert "Traceback" not in started.stderr


def test_a_port_in_use_is_a_sentence(daemon: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        started = daemon.start("-p", str(port))
    assert started.returncode == 1
    assert f"cannot listen on 127.0.0.1, port {port}: " in started.stderr
    assert not daemon.pid_file.exists()
    assert not daemon.control.exists()


@pytest.mark.parametrize("address", ["no.such.host.invalid", "a..b"])
def test_an_address_that_is_none_is_a_sentence(daemon: Any, address: str) -> None:
    started = daemon.start("-a", address)
    assert started.returncode == 1
    assert f"cannot listen on {address}, port 0: " in started.stderr
    assert "Traceback" not in started.stderr


def test_a_relative_configuration_is_the_one_the_user_sees(daemon: Any) -> None:
    started = daemon.start("-c", "ietd.conf", cwd=daemon.directory)
    assert started.returncode == 0, started.stderr
    assert daemon.status()["config"] == str(daemon.config)


def test_restart_keeps_the_options_of_start(daemon: Any) -> None:
    daemon.start("-d", "1")
    before = daemon.status()
    restarted = daemon.run("restart")
    assert restarted.returncode == 0, restarted.stderr
    after = daemon.status()
    assert after["pid"] != before["pid"]
    assert after["options"] == before["options"]
    assert after["options"]["debug"] == 1
    assert after["portals"][0]["address"] == "127.0.0.1"


def test_state_is_kept_where_it_was_said_and_restart_says_it_again(daemon: Any, tmp_path: Path) -> None:
    command = daemon.command("start", "-c", str(daemon.config), "-a", "127.0.0.1", "-p", "0", "--state-dir", "kept")
    started = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (started.returncode, started.stderr) == (0, "")
    assert daemon.status()["options"]["state_dir"] == str(tmp_path / "kept")
    assert daemon.run("restart").returncode == 0
    assert daemon.status()["options"]["state_dir"] == str(tmp_path / "kept")
    assert not (tmp_path / "kept").exists(), "as nothing is kept"


def test_without_a_word_state_is_kept_where_systemd_says(daemon: Any, tmp_path: Path) -> None:
    words = ["-c", str(daemon.config), "-a", "127.0.0.1", "-p", "0"]
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "systemd")}
    assert daemon.run("start", *words, env=environment).returncode == 0
    assert daemon.status()["options"]["state_dir"] == str(tmp_path / "systemd")
    del environment["STATE_DIRECTORY"]
    assert daemon.run("restart", env=environment).returncode == 0
    assert daemon.status()["options"]["state_dir"] == str(tmp_path / "systemd")


def test_a_state_that_cannot_be_read_costs_its_lun_only(daemon: Any) -> None:
    other = daemon.directory / "other.img"
    other.write_bytes(bytes(1 << 20))
    daemon.write(f"Target {TARGET}\n\tLun 0 Path={daemon.image}\n\tLun 1 Path={other}\n")
    daemon.state.mkdir()
    file = daemon.state / f"{TARGET},lun0.json"
    file.write_text("[1,")
    started = daemon.start()
    assert started.returncode == 0
    assert f"LUN 0 of {TARGET} is not served: {file}:1:4: the kept state of the LUN cannot be used" in started.stderr
    assert [unit["number"] for unit in daemon.status()["targets"][0]["luns"]] == [1]
    assert file.read_text() == "[1,"
    file.rename(daemon.state / "away")
    assert daemon.run("reload").stderr == ""
    assert [unit["number"] for unit in daemon.status()["targets"][0]["luns"]] == [1, 0]


def test_a_place_where_nothing_can_be_kept_is_told_and_all_is_served(daemon: Any) -> None:
    daemon.state.touch()
    started = daemon.start()
    assert started.returncode == 0
    assert started.stderr.startswith(f"{daemon.state}:1:1: error: persistent reservations, ")
    assert f"{daemon.state} is not a directory" in daemon.run("status", "--health").stdout
    assert daemon.status()["degraded"] is True


def test_restart_takes_new_options(daemon: Any) -> None:
    daemon.start()
    assert daemon.run("restart", "-d", "2").returncode == 0
    facts = daemon.status()
    assert facts["options"]["debug"] == 2
    assert facts["config"] == str(daemon.config)


def test_restart_with_a_file_that_cannot_be_used_leaves_the_daemon_running(daemon: Any) -> None:
    daemon.start()
    pid = daemon.status()["pid"]
    assert daemon.run("restart", "-c", "/nonexistent/ietd.conf").returncode == 2
    assert daemon.status()["pid"] == pid


def test_restart_of_what_does_not_run_starts_it(daemon: Any) -> None:
    assert daemon.run("restart", *daemon.listening()).returncode == 0
    assert daemon.status()["running"] is True


def test_reload_serves_what_the_file_says_now(daemon: Any) -> None:
    absent = daemon.run("reload")
    assert absent.returncode == 3
    assert absent.stderr == "ietpy-daemon is not running\n"
    daemon.start()
    daemon.write(f"Target {TARGET}\n\tLun 0 Path={daemon.image}\n\tLun 1 Path=/gone.img\nTarget other\n")
    planned = daemon.run("reload", "--dry-run")
    reloaded = daemon.run("reload")
    assert (planned.returncode, reloaded.returncode) == (0, 0)
    *steps, last = reloaded.stdout.splitlines()
    assert last == "ietpy-daemon: reloaded"
    assert steps == planned.stdout.splitlines()
    assert "REPORTED LUNS DATA HAS CHANGED" in steps[0]
    assert daemon.run("reload", "--dry-run").stdout.startswith("line 3: retry LUN 1")
    assert f"{daemon.config}:3:2: error: LUN 1 of {TARGET} is not served: " in reloaded.stderr
    assert [target["name"] for target in daemon.status()["targets"]] == [TARGET, "other"]


def test_a_reload_of_a_file_that_cannot_be_used_changes_nothing(daemon: Any) -> None:
    daemon.start()
    daemon.write("Compat strict\nTargett other\n")
    reloaded = daemon.run("reload")
    assert reloaded.returncode == 2
    assert "nothing has changed" in reloaded.stderr
    assert f"{daemon.config}:2:1: error: " in reloaded.stderr
    assert [target["name"] for target in daemon.status()["targets"]] == [TARGET]


def test_a_reload_keeps_what_is_in_use(daemon: Any) -> None:
    daemon.start()
    with Client.connect("127.0.0.1", daemon.status()["portals"][0]["port"]) as client:
        client.login(LoginPlan(target=TARGET))
        daemon.write("Target other\n")
        reloaded = daemon.run("reload")
        assert reloaded.returncode == 1
        assert f"{TARGET} is not in the file as one to be served, and is still in use" in reloaded.stderr
        assert client.command(0, bytes(6)).status == 2
        assert client.command(0, bytes(6)).status == 0


def test_a_daemon_that_does_not_answer_is_running_and_degraded(daemon: Any) -> None:
    daemon.start()
    daemon.control.rename(daemon.directory / "elsewhere")
    try:
        asked = daemon.run("status", "--health")
        assert asked.returncode == 150
        assert "it does not answer: no control socket at" in asked.stdout
        assert daemon.run("restart").returncode == 1
    finally:
        (daemon.directory / "elsewhere").rename(daemon.control)


def test_a_plain_user_needs_no_options_but_a_port(tmp_path: Path, plain_user: list[str]) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    image, config = home / "disk.img", home / "ietd.conf"
    image.write_bytes(bytes(65536))
    config.write_text(f"Target {TARGET}\n\tLun 0 Path={image}\n")
    if plain_user:
        for path in (home, image, config):
            os.chown(path, 65534, 65534)
        for parent in home.parents:
            if parent.is_relative_to("/tmp/") and parent != Path("/tmp"):
                parent.chmod(parent.stat().st_mode | 0o011)
    environment = {**os.environ, "TMPDIR": str(home), "XDG_RUNTIME_DIR": "", "HOME": str(home)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*plain_user, sys.executable, "-m", "ietpy.daemon.main", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    started = run("start", "-c", str(config), "-a", "127.0.0.1", "-p", "0")
    try:
        assert started.returncode == 0, started.stderr
        facts = json.loads(run("status", "--json").stdout)
        assert facts["targets"][0]["name"] == TARGET
        uid = 65534 if plain_user else os.geteuid()
        private = home / f"ietpy-{uid}"
        assert private.stat().st_mode & 0o777 == 0o700
        assert (private / "ietd.pid").read_text() == f"{facts['pid']}\n"
    finally:
        assert run("stop").returncode == 0


def test_a_daemon_of_another_user_opens_what_root_may_open(daemon: Any) -> None:
    """Also nobody can end it but root and that user, and the pid file it may not remove names nobody."""
    uid, gid = (65534, 65534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    started = daemon.start("-u", str(uid), "-g", str(gid))
    assert started.returncode == 0, started.stderr
    facts = daemon.status()
    assert len(facts["targets"][0]["luns"]) == 1
    lines = Path(f"/proc/{facts['pid']}/status").read_text().splitlines()
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in lines
    assert f"Gid:\t{gid}\t{gid}\t{gid}\t{gid}" in lines
    if os.geteuid() == 0:  # it cannot make that itself any more
        assert (daemon.state.stat().st_uid, daemon.state.stat().st_mode & 0o7777) == (uid, 0o700)
    assert daemon.run("stop").returncode == 0
    assert not daemon.pid_file.exists() or daemon.pid_file.read_text() == ""
    assert daemon.run("status").returncode == 3


def test_only_root_starts_a_daemon_of_another_user(daemon: Any, plain_user: list[str]) -> None:
    command = [*plain_user, *daemon.command("start", *daemon.listening(), "-u", "1")]
    started = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert started.returncode == 2
    assert "only root can start a daemon of user 1" in started.stderr


def test_importing_loads_neither_tables_nor_metrics_nor_the_grammar() -> None:
    program = (
        "import sys, ietpy, ietpy.daemon.main\n"
        "print([name for name in ('rich', 'prometheus_client', 'lark', 'daemon') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
