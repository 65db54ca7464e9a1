"""The service files: scripts run the daemon as IET's did, the unit's limits leave it all it needs."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.admin.paths import state_directory
from ietpy.daemon.instance import GRACE
from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.pdu import DEFAULT_PORT

ROOT = Path(__file__).parents[2]
SYSV = ROOT / "init" / "sysv"
SCRIPTS = ("iscsitarget", "iscsi-target")
OPENRC = ROOT / "init" / "openrc" / "iscsitarget"
UNIT = ROOT / "init" / "systemd" / "ietpy.service"
DAEMON = Path(sys.executable).parent / "ietpy-daemon"
TARGET = "iqn.2001-04.com.example:t"

#: What openrc-run does for a service script: it reads conf.d and the script, then calls the action.
OPENRC_RUN = """
ebegin() { echo " * $*"; }
eend() { return "$1"; }
. "$SETTINGS"
. "$SCRIPT"
"$1"
"""


class Service:
    """An init script with its places below ``directory``."""

    def __init__(self, directory: Path, name: str = SCRIPTS[0]) -> None:
        self.command = ["sh", str(SYSV / name)]
        self.defaults = directory / "default"
        self.sysconfig = directory / "sysconfig"
        self.config = directory / "ietd.conf"
        self.config.write_text(f"Target {TARGET}\n\tLun 0 Type=nullio\n")
        self.options = f"-c {self.config} -a 127.0.0.1 -p 0"
        self.pid_file = directory / "ietd.pid"
        self.environment = {
            **os.environ,
            "DAEMON": str(DAEMON),
            "DEFAULTS": str(self.defaults),
            "SYSCONFIG": str(self.sysconfig),
            "PIDFILE": str(self.pid_file),
            "CONTROL": str(directory / "control"),
            "STATEDIR": str(directory / "state"),
            "SUBSYS": str(directory / "subsys"),
        }

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=60,
            stdin=subprocess.DEVNULL,
        )

    def statuses(self, *actions: str) -> list[int]:
        return [self(action).returncode for action in actions]


def kept_in(service: Service) -> str:
    """The directory of a running daemon's state."""
    places = ["--pid-file", str(service.pid_file), "--control", service.environment["CONTROL"]]
    shown = subprocess.run([DAEMON, "status", "--json", *places], capture_output=True, text=True, check=True)
    return str(json.loads(shown.stdout)["options"]["state_dir"])


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    stopped = made("stop")
    assert stopped.returncode == 0, stopped.stderr


@pytest.fixture
def enabled(service: Service) -> Service:
    service.sysconfig.write_text(f'OPTIONS="{service.options}"\n')
    return service


# System V ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize(("file", "text"), [
    pytest.param(
        "defaults", 'ISCSITARGET_ENABLE=true\nISCSITARGET_MAX_SLEEP=3\nISCSITARGET_OPTIONS="{}"\n', id="Debian"
    ),
    pytest.param("sysconfig", 'OPTIONS="{}"\n', id="Red Hat"),
])
def test_the_script_starts_and_stops_the_daemon(service: Service, name: str, file: str, text: str) -> None:
    service.command = ["sh", str(SYSV / name)]
    getattr(service, file).write_text(text.format(service.options))
    assert service("status").returncode == 3
    started = service("start")
    assert started.returncode == 0, started.stderr
    assert service.statuses("status", "start", "reload") == [0, 0, 0]
    assert kept_in(service) == service.environment["STATEDIR"]
    restarted = service("force-reload")
    assert restarted.returncode == 0, restarted.stderr
    assert "stopped" in restarted.stdout
    assert service.statuses("status", "stop", "status", "stop") == [0, 0, 3, 0]


@pytest.mark.parametrize("options", [
    "-c {} -a 127.0.0.1 -p 0 -d 1 -u 0 -g 0",
    "-c{} -a127.0.0.1 -p0 -d1",
    "--config={} --address=127.0.0.1 --port=0 --debug=1 --uid=0 --gid=0",
    "--config {} --address 127.0.0.1 --port 0 --debug 1",
])
def test_every_option_of_ietd(service: Service, options: str) -> None:
    service.defaults.write_text(f'ISCSITARGET_ENABLE=true\nISCSITARGET_OPTIONS="{options.format(service.config)}"\n')
    started = service("start")
    assert started.returncode == 0, started.stderr
    status = service("status").stdout
    assert f"configuration: {service.config} (repair)\n" in status
    assert "portal: 127.0.0.1:" in status


@pytest.mark.parametrize(("variable", "sample"), [
    ("DEFAULTS", "init/default/iscsitarget"), ("SYSCONFIG", "init/sysconfig/iscsi-target"),
])
def test_sample_settings_start_the_daemon_with_its_defaults(
    service: Service, tmp_path: Path, variable: str, sample: str
) -> None:
    daemon = tmp_path / "daemon"
    daemon.write_text('#!/bin/sh\n[ "$1" = status ] && exit 3\necho "$@"\n')
    daemon.chmod(0o755)
    service.environment |= {"DAEMON": str(daemon), variable: str(ROOT / sample)}
    places = f"--pid-file {service.pid_file} --control {service.environment['CONTROL']}"
    state = service.environment["STATEDIR"]
    assert service("start").stdout == f"start {places} --state-dir {state}\n"


@pytest.mark.parametrize("text", ["ISCSITARGET_ENABLE=false\n", "ISCSITARGET_ENABLE=yes\n", "# nothing\n"])
def test_what_is_not_enabled_does_not_start(service: Service, text: str) -> None:
    service.defaults.write_text(text)
    started = service("start")
    assert started.returncode == 0
    assert "not enabled" in started.stderr
    assert service("status").returncode == 3


def test_reload_says_what_the_daemon_says(enabled: Service) -> None:
    assert enabled("reload").returncode == 7
    assert enabled("start").returncode == 0
    enabled.config.write_text(f"Target {TARGET}\n\tLun 0 Type=nullio\n\tLun 1 Type=nullio\n")
    reloaded = enabled("reload")
    assert reloaded.returncode == 0, reloaded.stderr
    assert f"target: {TARGET} (2 LUNs, 0 sessions)" in enabled("status").stdout
    enabled.config.write_text("Compat strict\nColour red\n")
    assert enabled("reload").returncode == 2
    assert f"target: {TARGET} (2 LUNs, 0 sessions)" in enabled("status").stdout


@pytest.mark.parametrize("action", ["try-restart", "condrestart"])
def test_only_what_runs_is_restarted(enabled: Service, action: str) -> None:
    assert enabled.statuses(action, "status", "start") == [0, 3, 0]
    before = enabled.pid_file.read_text()
    assert enabled(action).returncode == 0
    assert enabled.pid_file.read_text() != before


@pytest.mark.parametrize("name", SCRIPTS)
def test_red_hat_s_rc_learns_what_to_stop(enabled: Service, tmp_path: Path, name: str) -> None:
    """It stops at shutdown what has a lock file of the script's name, which it calls S39NAME and K35NAME."""
    lock = tmp_path / "subsys" / name
    lock.parent.mkdir()
    link = tmp_path / f"S39{name}"
    link.symlink_to(SYSV / name)
    enabled.command = ["sh", str(link)]
    assert enabled("start").returncode == 0
    assert lock.exists()
    assert enabled("stop").returncode == 0
    assert not lock.exists()


def test_status_of_what_died(enabled: Service, tmp_path: Path) -> None:
    lock = tmp_path / "subsys" / SCRIPTS[0]
    lock.parent.mkdir()
    assert enabled("start").returncode == 0
    pid = int(enabled.pid_file.read_text())
    os.kill(pid, signal.SIGKILL)
    while enabled("status").returncode == 0:
        pass
    assert enabled("status").returncode == 1
    enabled.pid_file.unlink()
    assert enabled("status").returncode == 2
    lock.unlink()
    assert enabled("status").returncode == 3


def test_a_configuration_that_cannot_be_used_fails_the_start(service: Service) -> None:
    service.sysconfig.write_text('OPTIONS="-c /nonexistent/ietd.conf"\n')
    assert service("start").returncode == 2


def test_unknown_actions_are_refused(service: Service) -> None:
    refused = service("graceful")
    assert refused.returncode == 2
    assert "Usage: " in refused.stderr


def test_without_a_daemon_installed(service: Service) -> None:
    service.environment["DAEMON"] = "/nonexistent/ietpy-daemon"
    assert service.statuses("start", "stop") == [5, 0]


def test_what_chkconfig_and_insserv_read() -> None:
    text = (SYSV / "iscsitarget").read_text()
    assert "\n# chkconfig: 345 39 35\n# description: " in text
    assert {name for name in SCRIPTS if f" {name}" in text.partition("# Provides:")[2].partition("\n")[0]} == {*SCRIPTS}
    assert (SYSV / "iscsi-target").resolve() == SYSV / "iscsitarget"


# OpenRC --------------------------------------------------------------------------------------------------------------


def test_openrc(service: Service, tmp_path: Path) -> None:
    settings = tmp_path / "conf.d"
    settings.write_text(f'ISCSITARGET_OPTIONS="{service.options}"\n')
    runner = tmp_path / "openrc-run"
    runner.write_text(OPENRC_RUN)
    service.environment |= {"SETTINGS": str(settings), "SCRIPT": str(OPENRC)}
    service.command = ["sh", str(runner)]
    assert service.statuses("status", "start") == [3, 0]
    assert kept_in(service) == service.environment["STATEDIR"]
    assert service.statuses("status", "reload", "stop", "status") == [0, 0, 0, 3]
    settings.write_text('ISCSITARGET_OPTIONS="-c /nonexistent/ietd.conf"\n')
    assert service("start").returncode == 2


SHELL_FILES = [*(SYSV / name for name in SCRIPTS), OPENRC, OPENRC.with_suffix(".confd"),
               ROOT / "init/default/iscsitarget", ROOT / "init/sysconfig/iscsi-target"]


@pytest.mark.parametrize("file", SHELL_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_shell_can_read_it(file: Path) -> None:
    read = subprocess.run(["sh", "-n", file], capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")


def test_shellcheck_has_nothing_to_say() -> None:
    command = ["shellcheck", "-s", "sh", "-x", "-P", ROOT, SYSV / "iscsitarget", OPENRC]
    read = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (read.returncode, read.stdout) == (0, "")


# systemd -------------------------------------------------------------------------------------------------------------


class _Lines(dict[str, Any]):
    """Of a setting that is there more than once systemd reads all; so all are kept, one on each line."""

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, list) and key in self:
            value = [*self[key], *value]
        super().__setitem__(key, value)


def unit(path: Path = UNIT) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(dict_type=_Lines, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser


def test_the_unit_waits_long_enough_and_knows_what_not_to_repeat() -> None:
    service = unit()["Service"]
    assert service["ExecStart"].endswith("/ietpy-daemon start -f $ISCSITARGET_OPTIONS $OPTIONS")
    assert service["ExecReload"].endswith("/ietpy-daemon reload")
    assert service["Type"] == "notify"
    assert service["RuntimeDirectory"] == "ietpy iet"
    assert (f"/var/lib/{service['StateDirectory']}", service["StateDirectoryMode"]) == (state_directory({}, 0), "0700")
    assert int(service["TimeoutStopSec"]) > GRACE
    assert service["RestartPreventExitStatus"] == "2"


def test_the_sockets_are_those_the_daemon_would_open_and_can_take() -> None:
    """One for each family: what takes both is refused (``daemon/activation.py``)."""
    sockets = unit(UNIT.with_suffix(".socket"))["Socket"]
    assert sockets["ListenStream"].splitlines() == [f"0.0.0.0:{DEFAULT_PORT}", f"[::]:{DEFAULT_PORT}"]
    assert sockets["BindIPv6Only"] == "ipv6-only"
    assert "Accept" not in sockets


def test_the_unit_reads_the_settings_of_iet_s_packages_and_has_the_names_of_its_services() -> None:
    parser = unit()
    files = parser["Service"]["EnvironmentFile"].splitlines()
    assert files == ["-/etc/default/iscsitarget", "-/etc/sysconfig/iscsi-target"]  # "-": it need not be there
    assert parser["Install"]["Alias"].split() == [f"{name}.service" for name in SCRIPTS]
    assert "Conflicts" not in parser["Unit"]  # with its own names


@pytest.mark.parametrize(("value", "starts"), [("true", True), ("false", False), ("", False)])
def test_the_unit_starts_only_what_is_enabled(value: str, starts: bool) -> None:
    command = shlex.split(unit()["Service"]["ExecCondition"])
    ended = subprocess.run(command, env={"ISCSITARGET_ENABLE": value}, check=False)
    assert ended.returncode == (0 if starts else 1)


def test_the_unit_hides_no_file_and_no_block_device() -> None:
    """Lun lines name what they like, but for /tmp, where everybody may plant what he likes."""
    hiding = {"PrivateDevices", "ProtectHome", "InaccessiblePaths", "TemporaryFileSystem", "RootDirectory"}
    service = unit()["Service"]
    assert hiding & {*service} == set()
    assert service["ProtectSystem"] == "full"  # "strict" would leave images read-only
    assert (service["DevicePolicy"], service["DeviceAllow"]) == ("closed", "block-* rw")


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/usr/bin/ietpy-daemon", str(DAEMON)))
    read = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (read.returncode, read.stdout + read.stderr) == (0, "")


#: Runs a command as the unit would: only these capabilities, no new privileges, no memory both writable and executable.
CONFINE = """
import ctypes, os, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1  # Linux 6.3; the unit does it with a system call filter
ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0)
os.execvp("setpriv", ["setpriv", "--no-new-privs", "--bounding-set", sys.argv[1], *sys.argv[2:]])
"""


@pytest.fixture
def loop_device(tmp_path: Path) -> Iterator[str]:
    image = tmp_path / "loop.img"
    with image.open("wb") as file:
        file.truncate(1 << 20)
    attached = subprocess.run(
        ["losetup", "--find", "--show", image], capture_output=True, text=True, check=False
    )
    if attached.returncode:
        pytest.fail(f"no loop device; run these tests as root: {attached.stderr.strip()}", pytrace=False)
    yield attached.stdout.strip()
    subprocess.run(["losetup", "--detach", attached.stdout.strip()], check=True)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that other users can reach, as /var/lib is."""
    with tempfile.TemporaryDirectory(prefix="ietpy-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.mark.parametrize("user", ["", "-u 65534 -g 65534"], ids=["as root", "as a user"])
def test_the_unit_s_limits_leave_what_it_needs(
    service: Service, tmp_path: Path, loop_device: str, reachable: Path, user: str
) -> None:
    """Files of others, block devices, and being another."""
    service.environment["STATEDIR"] = str(reachable / "ietpy")
    image = tmp_path / "other.img"
    with image.open("wb") as file:
        file.truncate(1 << 20)
    os.chown(image, 1, 1)
    image.chmod(0o600)
    service.config.write_text(
        f"Target {TARGET}\n\tLun 0 Path={image},Type=fileio\n\tLun 1 Path={loop_device},Type=blockio\n"
    )
    service.sysconfig.write_text(f'OPTIONS="{service.options} {user}"\n')
    names = unit()["Service"]["CapabilityBoundingSet"].split()
    capabilities = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in names)])
    plain = service.command
    service.command = [sys.executable, "-c", CONFINE, capabilities, *plain]
    started = service("start")
    service.command = plain
    assert (started.returncode, started.stderr) == (0, "")
    if user:
        assert (reachable / "ietpy").stat().st_uid == 65534
    facts = Path(f"/proc/{int(service.pid_file.read_text())}/status").read_text()
    assert "NoNewPrivs:\t1\n" in facts
    bounds = int(facts.partition("CapBnd:\t")[2].partition("\n")[0], 16)
    assert bounds.bit_count() == len(names)
    (portal,) = [line for line in service("status").stdout.splitlines() if line.startswith("portal: ")]
    with Client.connect("127.0.0.1", int(portal.rpartition(":")[2])) as client:
        client.login(LoginPlan(target=TARGET))
        for lun in (0, 1):
            client.write(lun, 3, bytes([lun + 1]) * 512, fua=True)
            assert client.read(lun, 3, 1) == bytes([lun + 1]) * 512
            client.synchronize_cache(lun)
