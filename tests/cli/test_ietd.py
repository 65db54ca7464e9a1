"""``ietd``: options, texts and exit statuses of iet-compat 4.1 and 4.2, and how init scripts start and stop it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ietpy
from ietpy.cli import ietd
from ietpy.daemon import lifecycle, portals
from ietpy.daemon.options import StartOptions
from ietpy.daemon.pidfile import AlreadyRunning
from ietpy.errors import IetpyError
from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan
from tests.cli.conftest import until

TRY = "Try `iscsid --help' for more information.\n"
NAME = "iqn.2001-04.com.example:ietd"
AS_ROOT = pytest.mark.usefixtures("root")


# Options, without starting anything -----------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[StartOptions]:
    """What would have been started."""
    found: list[StartOptions] = []

    def start(options: StartOptions, *more: Any) -> int:
        found.append(options)
        return 0

    monkeypatch.setattr(lifecycle, "start", start)
    return found


DEFAULTS = StartOptions(lenient=True)


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ([], {}),
        (["-c", "/x/y"], {"config": "/x/y"}),
        (["--config=/x/y"], {"config": "/x/y"}),
        (["--conf", "/x/../y"], {"config": "/y"}),
        (["-c", ""], {}),
        (["-f"], {"foreground": True}),
        (["--foreground"], {"foreground": True}),
        (["-d", "2"], {"debug": 2}),
        (["--debug=1"], {"debug": 1}),
        (["-u", "65534", "-g", "65533"], {"uid": 65534, "gid": 65533}),
        (["--uid=0", "--gid=0"], {}),
        (["-a", "10.0.0.1", "-p", "3261"], {"address": "10.0.0.1", "port": 3261}),
        (["--address=::1", "--port=65535"], {"address": "::1", "port": 65535}),
        (["-fd1", "-p3", "-cx"], {"foreground": True, "debug": 1, "port": 3, "config": os.path.abspath("x")}),
        (["-p", "1", "-p", "2"], {"port": 2}),
        (["stray", "-f", "--", "-x"], {"foreground": True}),
    ],
)
def test_options(started: list[StartOptions], words: list[str], changed: dict[str, Any]) -> None:
    assert ietd.run(words, {"IETPY_CONTROL": "/x"}) == 0
    assert started == [replace(DEFAULTS, **changed)]


@pytest.mark.parametrize(
    ("words", "err"),
    [
        (["--bogus"], "ietd: unrecognized option '--bogus'\n"),
        (["-x"], "ietd: invalid option -- 'x'\n"),
        (["-s", "1"], ""),
        (["-s"], "ietd: option requires an argument -- 's'\n"),
        (["-fs", "1", "--version"], ""),
        (["-c"], "ietd: option requires an argument -- 'c'\n"),
        (["--port"], "ietd: option '--port' requires an argument\n"),
        (["--foreground=1"], "ietd: option '--foreground' doesn't allow an argument\n"),
        *(
            ([f"--{name}={value}"], f"ietd: --{name} takes a number from 0 to {largest}, not '{value}'\n")
            for name, largest in (("port", 65535), ("uid", 4294967294), ("gid", 4294967294), ("debug", 2147483647))
            for value in ("", "x", "1x", "-1", "0x10", "4294967295", "9" * 20, " 1")
        ),
    ],
)
def test_what_is_wrong_exits_with_1(
    started: list[StartOptions], capsys: pytest.CaptureFixture[str], words: list[str], err: str
) -> None:
    assert ietd.run(words, {}) == 1
    assert capsys.readouterr() == ("", err + TRY)
    assert started == []


@pytest.mark.parametrize("words", [["--version"], ["-v"], ["--ver"], ["-fv"], ["-v", "--bogus"], ["-p", "x", "-v"]])
def test_version(started: list[StartOptions], capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert ietd.run(words, {}) == 0
    assert capsys.readouterr() == (f"iscsid version 1.4.20.3 (ietpy {ietpy.__version__})\n", "")
    assert started == []


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--he"], ["-fh"], ["-h", "--bogus"]])
def test_help_exits_with_1(started: list[StartOptions], capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert ietd.run(words, {}) == 1
    out, err = capsys.readouterr()
    assert out.startswith("Usage: iscsid [OPTION]\n")
    for option in ("-c, --config", "-f, --foreground", "-d, --debug", "-u, --uid", "-g, --gid", "-a, --address",
                   "-p, --port", "-v, --version", "-h, --help"):
        assert f"\n  {option}" in out
    assert (err, started) == ("", [])


@pytest.mark.parametrize(
    ("error", "status", "err"),
    [
        (IetpyError("no"), 255, "ietd: no\n"),
        (AlreadyRunning("another one"), 255, "unable to lock pid file: another one\n"),
        (OSError(28, "No space left on device"), 255, "ietd: [Errno 28] No space left on device\n"),
        (portals.CannotListen("cannot listen"), 1, "ietd: cannot listen\n"),
    ],
)
def test_failures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, status: int, err: str
) -> None:
    def start(*arguments: Any) -> int:
        raise error

    monkeypatch.setattr(lifecycle, "start", start)
    assert ietd.run([], {"IETPY_CONTROL": "/x"}) == status
    assert capsys.readouterr() == ("", err)


def test_the_command_itself(
    started: list[StartOptions], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ietd", "--version"])
    with pytest.raises(SystemExit) as ended:
        ietd.main()
    assert (ended.value.code, capsys.readouterr().err, started) == (0, "", [])


# The daemon itself, of a plain user with places of his own ------------------------------------------------------------


class Ietd:
    """ietd of nobody, or of the user the tests run as, below ``directory``."""

    def __init__(self, directory: Path, before: list[str]) -> None:
        self.directory = directory
        uid = 65534 if before else os.geteuid()
        if before:
            os.chown(directory, uid, uid)
        self.before = before
        self.places = directory / f"ietpy-{uid}"
        self.pid_file = self.places / "ietd.pid"
        self.config = directory / "ietd.conf"
        self.config.write_text(f"Target {NAME}\nLun 0 Type=nullio\n")
        self.environment = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
        self.environment |= {"TMPDIR": str(directory), "STATE_DIRECTORY": str(directory / "state")}

    def words(self, *words: str, module: str = "ietd") -> list[str]:
        return [*self.before, sys.executable, "-m", f"ietpy.cli.{module}", *words]

    def run(self, *words: str, module: str = "ietd") -> tuple[int, str, str]:
        ended = subprocess.run(
            self.words(*words, module=module), env=self.environment, cwd=self.directory, capture_output=True,
            text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
        )
        return ended.returncode, ended.stdout, ended.stderr

    def start(self, *words: str, config: str = "ietd.conf") -> tuple[int, str, str]:
        return self.run("-c", config, "-a", "127.0.0.1", "-p", "0", *words)

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    @property
    def port(self) -> int:
        port: int = json.loads(self.run("status", "--json", module="ietpy")[1])["portals"][0]["port"]
        return port

    def serves(self) -> bool:
        """Whether ietadm, of the same user, is answered; it says so when there is no daemon."""
        ended = self.run("--op", "show", "--tid=1", module="ietadm")
        assert ended[0] == 0 or ended == (145, "", "Connection refused.\n")
        return ended[0] == 0

    def volume(self) -> str:
        return (self.places / "iet" / "volume").read_text()

    def stop(self) -> None:
        """As init scripts do: kill by pid file. What ends takes its files away last of all."""
        os.kill(self.pid, signal.SIGTERM)
        until(lambda: not self.pid_file.exists())


@pytest.fixture
def daemon(plain_user: list[str]) -> Iterator[Ietd]:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        found = Ietd(Path(directory), plain_user)
        yield found
        if found.pid_file.exists():
            found.stop()


def test_started_and_stopped_as_by_an_init_script(daemon: Ietd) -> None:
    assert daemon.start() == (0, "", "")
    assert re.fullmatch(r"[1-9][0-9]*\n", daemon.pid_file.read_text())
    assert stat.S_IMODE(daemon.pid_file.stat().st_mode) == 0o644
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    assert f"\nUid:\t{daemon.places.stat().st_uid}\t" in status
    assert os.readlink(f"/proc/{daemon.pid}/cwd") == "/"
    assert daemon.volume().startswith(f"tid:1 name:{NAME}\n")
    assert daemon.serves()
    daemon.stop()
    assert list(daemon.places.iterdir()) == [], "nothing is left behind"
    assert not daemon.serves()


def test_killed_with_sigkill_it_can_be_started_again(daemon: Ietd) -> None:
    assert daemon.start()[0] == 0
    first = daemon.pid
    with Client.connect("127.0.0.1", daemon.port) as client:
        client.login(LoginPlan(target=NAME))
        os.kill(first, signal.SIGKILL)
        assert client.closed_by_target()
    assert not daemon.serves()
    assert daemon.start() == (0, "", "")
    assert daemon.pid != first
    assert daemon.serves()


def test_a_second_one_exits_with_255(daemon: Ietd) -> None:
    assert daemon.start()[0] == 0
    before = daemon.pid
    for words in ((), ("-f",)):
        status, out, err = daemon.start(*words)
        assert (status, out) == (255, "")
        assert err.startswith("unable to lock pid file: another ietpy-daemon is running")
    assert daemon.pid == before
    assert daemon.serves()


def test_an_address_that_does_not_resolve_exits_with_1(daemon: Ietd) -> None:
    for address in ("no.such.host.invalid", "not an address"):
        status, out, err = daemon.run("-c", "ietd.conf", "-a", address)
        assert (status, out) == (1, "")
        assert err.startswith(f"ietd: cannot listen on {address}, port 3260: ")
    assert not daemon.pid_file.exists()


def test_a_port_in_use_is_said_and_exits_with_1(daemon: Ietd) -> None:
    """IET logged it and ran deaf (iet-compat 4.3)."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err = daemon.run("-c", "ietd.conf", "-a", "127.0.0.1", "-p", str(port))
    assert (status, out) == (1, "")
    assert err.startswith(f"ietd: cannot listen on 127.0.0.1, port {port}: Address already in use")
    assert not daemon.pid_file.exists()


def test_an_unreadable_configuration_exits_with_255(daemon: Ietd) -> None:
    status, out, err = daemon.start(config=".")
    assert (status, out) == (255, "")
    assert "cannot read this file: Is a directory" in err
    assert not daemon.pid_file.exists()


def test_without_its_file_it_runs_without_targets_and_says_so(daemon: Ietd) -> None:
    late = daemon.directory / "late.conf"
    status, out, err = daemon.start(config="late.conf")
    assert (status, out) == (0, "")
    assert f"{late}:1:1: warning: ietd.conf not found, configure through ietadm" in err
    assert daemon.volume() == ""
    late.write_text(f"Target {NAME}\nLun 0 Type=nullio\n")
    os.kill(daemon.pid, signal.SIGHUP)
    until(lambda: daemon.volume() == f"tid:1 name:{NAME}\n\tlun:0 state:0 iotype:nullio iomode:wt blocks:134217728"
          " blocksize:512\n")


def test_a_reload_that_cannot_be_changes_nothing(daemon: Ietd) -> None:
    daemon.start()
    before = daemon.volume()
    daemon.config.unlink()
    daemon.config.mkdir()
    os.kill(daemon.pid, signal.SIGHUP)
    assert daemon.serves()
    assert daemon.volume() == before
    daemon.config.rmdir()
    daemon.config.write_text(f"Target {NAME}\nLun 0 Type=nullio\nLun 1 Type=nullio\n")
    os.kill(daemon.pid, signal.SIGHUP)
    until(lambda: "\tlun:1 " in daemon.volume())


def test_a_missing_image_is_said_and_the_rest_is_served(daemon: Ietd) -> None:
    daemon.config.write_text(f"Target {NAME}\nLun 0 Path=/none\nLun 1 Type=nullio\n")
    status, out, err = daemon.start()
    assert (status, out) == (0, "")
    assert f"LUN 0 of {NAME} is not served: /none does not exist" in err
    assert "\tlun:1 " in daemon.volume()
    assert "\tlun:0 " not in daemon.volume()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_the_foreground(daemon: Ietd, number: int) -> None:
    """It stays, and logs lines of iet-compat 4.4 on stderr."""
    with subprocess.Popen(
        daemon.words("-f", "-c", "ietd.conf", "-a", "127.0.0.1", "-p", "0"), env=daemon.environment,
        cwd=daemon.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:
        assert running.stderr is not None
        first = running.stderr.readline()
        pid, serves = daemon.pid, daemon.serves()
        running.send_signal(number)
        out, err = running.communicate(timeout=30)
    assert re.fullmatch(rf"\d+\.\d{{6}}: serving 1 target on 127\.0\.0\.1:\d+ \(pid {running.pid}\)\n", first)
    assert (pid, serves) == (running.pid, True)
    assert (running.returncode, out) == (0, "")
    assert [re.sub(r"^\d+\.\d{6}: ", "", line) for line in err.splitlines()] == ["ending", "ended"]
    assert not daemon.pid_file.exists()


def test_a_plain_user_cannot_become_another(daemon: Ietd) -> None:
    status, out, err = daemon.start("-u", "4711")
    assert (status, out, err) == (255, "", "ietd: only root can start a daemon of user 4711, group 0 (-u, -g)\n")


#: As root, in a /run of its own: pid file, control socket and published files are where IET's scripts look for them.
SCRIPT = """
mount -t tmpfs tmpfs /run || exit 77
trap 'kill $(cat /run/ietd.pid) 2>/dev/null' EXIT
"$0" -m ietpy.cli.ietd -c "$1" -a 127.0.0.1 -p 0 -u 65534 -g 65533 || exit 1
pid=$(cat /run/ietd.pid)
grep -E '^(Uid|Gid|Groups):' /proc/$pid/status
stat -c '%n %a %u %g' /run/ietd.pid /run/ietpy/control /run/iet /run/iet/volume
cat /run/iet/volume
"$0" -m ietpy.cli.ietadm --op new --tid=0 --params=Name=two
echo "ietadm $?"
"$0" -m ietpy.cli.ietd -c "$1" -a 127.0.0.1 -p 0
echo "second $?"
kill $pid
i=0
while [ -s /run/ietd.pid ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
ls /run/iet
"$0" -m ietpy.cli.ietadm --op show --tid=1
echo "ietadm $?"
"$0" -m ietpy.cli.ietd -c "$1" -a 127.0.0.1 -p 0
echo "again $?"
kill $(cat /run/ietd.pid)
while [ -e /run/ietd.pid ] && [ $i -lt 200 ]; do sleep 0.1; i=$((i + 1)); done
"""


@AS_ROOT
def test_as_root_in_the_places_of_iet(tmp_path: Path) -> None:
    config = tmp_path / "ietd.conf"
    config.write_text(f"Target {NAME}\nLun 0 Type=nullio\n")
    environment = {name: value for name, value in os.environ.items() if name != "IETPY_CONTROL"}
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SCRIPT, sys.executable, str(config)], env=environment, capture_output=True,
        text=True, check=False, timeout=100, stdin=subprocess.DEVNULL,
    )
    if ended.returncode == 77 or "unshare failed" in ended.stderr:
        pytest.fail("this test needs a mount namespace of its own (unshare)", pytrace=False)
    assert ended.stdout.splitlines() == [
        "Uid:\t65534\t65534\t65534\t65534",
        "Gid:\t65533\t65533\t65533\t65533",
        "Groups:\t ",
        "/run/ietd.pid 644 0 0",
        "/run/ietpy/control 600 0 0",
        "/run/iet 755 65534 65533",
        "/run/iet/volume 644 65534 65533",
        f"tid:1 name:{NAME}",
        "\tlun:0 state:0 iotype:nullio iomode:wt blocks:134217728 blocksize:512",
        "ietadm 0",
        "second 255",
        "ietadm 145",
        "again 0",
    ], ended
