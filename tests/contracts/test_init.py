"""The service files: the init script runs the daemon as IET's did, the unit says what systemd understands."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ietpy.daemon.instance import GRACE

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "init" / "sysv" / "iscsitarget"
UNIT = ROOT / "init" / "systemd" / "ietpy.service"


class Service:
    """The init script with its places below ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.defaults = directory / "default"
        self.sysconfig = directory / "sysconfig"
        self.config = directory / "ietd.conf"
        self.config.write_text("Target iqn.2001-04.com.example:t\n\tLun 0 Type=nullio\n")
        self.options = f"-c {self.config} -a 127.0.0.1 -p 0"
        self.environment = {
            **os.environ,
            "DAEMON": str(Path(sys.executable).parent / "ietpy-daemon"),
            "DEFAULTS": str(self.defaults),
            "SYSCONFIG": str(self.sysconfig),
            "PIDFILE": str(directory / "ietd.pid"),
            "CONTROL": str(directory / "control"),
        }

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", str(SCRIPT), *arguments]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=60,
            stdin=subprocess.DEVNULL,
        )


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    assert made("stop").returncode == 0


@pytest.mark.parametrize(("file", "text"), [
    pytest.param("defaults", 'ISCSITARGET_ENABLE=true\nISCSITARGET_OPTIONS="{}"\n', id="Debian"),
    pytest.param("sysconfig", 'OPTIONS="{}"\n', id="Red Hat"),
])
def test_the_script_starts_and_stops_the_daemon(service: Service, file: str, text: str) -> None:
    getattr(service, file).write_text(text.format(service.options))
    assert service("status").returncode == 3
    started = service("start")
    assert started.returncode == 0, started.stderr
    assert service("status").returncode == 0
    assert service("start").returncode == 0
    restarted = service("force-reload")
    assert restarted.returncode == 0, restarted.stderr
    assert "stopped" in restarted.stdout
    assert service("status").returncode == 0
    assert service("stop").returncode == 0
    assert service("status").returncode == 3
    assert service("stop").returncode == 0


def test_what_is_not_enabled_does_not_start(service: Service) -> None:
    service.defaults.write_text("ISCSITARGET_ENABLE=false\n")
    started = service("start")
    assert started.returncode == 0
    assert "is not enabled" in started.stderr
    assert service("status").returncode == 3


def test_a_configuration_that_cannot_be_used_fails_the_start(service: Service) -> None:
    service.sysconfig.write_text('OPTIONS="-c /nonexistent/ietd.conf"\n')
    assert service("start").returncode == 2


def test_unknown_actions_are_refused(service: Service) -> None:
    refused = service("reload")
    assert refused.returncode == 2
    assert "Usage: " in refused.stderr


def test_without_a_daemon_installed(service: Service) -> None:
    service.environment["DAEMON"] = "/nonexistent/ietpy-daemon"
    assert service("start").returncode == 5


def test_the_unit_waits_long_enough_and_knows_what_not_to_repeat() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    service = unit["Service"]
    assert service["ExecStart"].endswith("/ietpy-daemon start -f")
    assert service["Type"] == "notify"
    assert service["RuntimeDirectory"] == "ietpy"
    assert int(service["TimeoutStopSec"]) > GRACE
    assert service["RestartPreventExitStatus"] == "2"
