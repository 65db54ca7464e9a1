"""The real ``ietpy-daemon`` in its own process, real initiators beside it, everything below the test's directory.

These tests run in CI and are never skipped: a tool that is missing is a failure that names the package to install.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ADDRESS = "127.0.0.1"
PATIENCE = 60  #: seconds; bounds a failure, never waited for otherwise
READY = re.compile(r"ietpy-daemon: serving \d+ targets? on 127\.0\.0\.\d:(\d+)[^(]* \(pid (\d+)\)")

#: The Debian package of each tool used here.
PACKAGES = {
    "iscsi-ls": "libiscsi-bin",
    "iscsi-inq": "libiscsi-bin",
    "iscsi-readcapacity16": "libiscsi-bin",
    "iscsi-swp": "libiscsi-bin",
    "iscsi-test-cu": "libiscsi-bin",
    "qemu-img": "qemu-utils and qemu-block-extra",
    "qemu-io": "qemu-utils and qemu-block-extra",
    "losetup": "mount",
    "tgt-admin": "tgt",
    "ip": "iproute2",
    "unshare": "util-linux",
}
#: Becomes a command whose descriptor 3 is the one given, as sd_listen_fds(3) has it.
_PASSING = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.execve(sys.argv[2], sys.argv[2:], {**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
"""
_SYSTEM = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

Result = subprocess.CompletedProcess[str]
Run = Callable[..., Result]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.interop)


def command(name: str) -> str:
    """The full path of a tool; a failure that says what to install when it is missing."""
    path = shutil.which(name, path=_SYSTEM)
    if path is None:
        pytest.fail(f"{name} is not installed; these tests need it: install {PACKAGES[name]}", pytrace=False)
    return path


class Daemon:
    """One ``ietpy-daemon start -f`` on a free port of the loopback interface; started and stopped by methods."""

    def __init__(self, directory: Path, configuration: str) -> None:
        self.directory = directory
        self.config = directory / "ietd.conf"
        self.config.write_text(configuration)
        self.log_file = directory / "ietd.log"
        self.process: subprocess.Popen[str] | None = None
        self.port = 0

    def _command(self, action: str, *arguments: str) -> list[str]:
        program = Path(sys.executable).parent / "ietpy-daemon"
        places = ["--pid-file", str(self.directory / "ietd.pid"), "--control", str(self.directory / "control")]
        return [str(program), action, *places, *arguments]

    def _launch(self, arguments: list[str], *passed: int) -> subprocess.Popen[str]:
        """Run a command that stays in the foreground, until it says what it serves and where."""
        with self.log_file.open("a") as log:
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, pass_fds=passed
            )
        assert process.stdout is not None
        for line in process.stdout:
            if ready := READY.match(line):
                self.port = int(ready[1])
                assert int(ready[2]) == process.pid  # else nobody here would end it
                return process
        process.stdout.close()
        pytest.fail(f"{arguments} ended with status {process.wait(PATIENCE)}:\n{self.log}", pytrace=False)

    def start(self, *arguments: str) -> Daemon:
        address = [] if "-a" in arguments else ["-a", ADDRESS]
        listening = ["-f", "-c", str(self.config), *address, "-p", "0", "--state-dir", str(self.directory / "state")]
        self.process = self._launch(self._command("start", *listening, *arguments))
        return self

    def start_on(self, listening: socket.socket, *arguments: str) -> Daemon:
        """As a service manager starts it that holds the socket of the port open (sd_listen_fds(3))."""
        files = ["-f", "-c", str(self.config), "--state-dir", str(self.directory / "state")]
        passing = [sys.executable, "-c", _PASSING, str(listening.fileno())]
        self.process = self._launch([*passing, *self._command("start", *files, *arguments)], listening.fileno())
        return self

    def start_again(self, *arguments: str) -> Daemon:
        """On the port it had."""
        files = ["-f", "-c", str(self.config), "-a", ADDRESS, "-p", str(self.port)]
        again = self._command("start", *files, "--state-dir", str(self.directory / "state"), *arguments)
        self.process = self._launch(again)
        return self

    def kill(self) -> None:
        """SIGKILL."""
        process, self.process = self.process, None
        assert process is not None
        process.kill()
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()

    def restart(self) -> None:
        """``ietpy-daemon restart``: it ends the running daemon and becomes the next one, on the same port."""
        before, self.process = self.process, None
        assert before is not None
        self.process = self._launch(self._command("restart", "-f", "-p", str(self.port)))
        self._ended(before)
        assert before.pid != self.pid

    def stop(self) -> None:
        """SIGTERM; the daemon ends with status 0, and nothing it logged is a surprise."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            self._ended(process)
        for word in ("Traceback", "CRITICAL", "unexpected"):
            assert word not in self.log, self.log

    def _ended(self, process: subprocess.Popen[str]) -> None:
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            pytest.fail(f"the daemon did not end within {PATIENCE} s of SIGTERM:\n{self.log}", pytrace=False)
        finally:
            if process.stdout is not None:
                process.stdout.close()
        assert status == 0, self.log

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def command(self, action: str, *arguments: str) -> Result:
        """``ietpy-daemon ACTION`` on this daemon, to its end, with status 0."""
        asked = self._command(action, *arguments)
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer

    def status(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.command("status", "--json").stdout)
        return facts

    def portal(self, account: str = "") -> str:
        """The URL of discovery; ``account``: ``user%secret`` as libiscsi writes it."""
        return f"iscsi://{account}{'@' if account else ''}{ADDRESS}:{self.port}"

    def url(self, target: str, lun: int = 0, account: str = "") -> str:
        """The URL of a logical unit."""
        return f"{self.portal(account)}/{target}/{lun}"


class Daemons:
    """``daemons(configuration, *options)``: a running daemon. All are stopped, and their logs judged, at the end.

    ``prepare(configuration)``: one that does not run yet.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started: list[Daemon] = []

    def prepare(self, configuration: str) -> Daemon:
        directory = self.directory / f"daemon{len(self.started)}"
        directory.mkdir()
        self.started.append(Daemon(directory, configuration))
        return self.started[-1]

    def __call__(self, configuration: str, *options: str) -> Daemon:
        return self.prepare(configuration).start(*options)

    def stop(self) -> None:
        for daemon in self.started:
            daemon.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Daemons]:
    """Daemons for one test."""
    daemons = Daemons(tmp_path)
    yield daemons
    daemons.stop()


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemons]:
    """Daemons for all tests of a module that leave them as they found them."""
    daemons = Daemons(tmp_path_factory.mktemp("module"))
    yield daemons
    daemons.stop()


@pytest.fixture(scope="session")
def run() -> Run:
    """``run(tool, *arguments, env=..., status=0)``: a tool to its end; its status must be as expected (None: any)."""

    def to_its_end(
        tool: str, *arguments: object, env: Mapping[str, str] | None = None, status: int | None = 0
    ) -> Result:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LIBISCSI_")}
        answer = subprocess.run(
            [command(tool), *map(str, arguments)],
            env={**environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if status is not None:
            assert answer.returncode == status, f"{answer.args}\n{answer.stdout}\n{answer.stderr}"
        return answer

    return to_its_end


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``image(name, size)``: a sparse file; ``image(name, size, seed=N)``: one full of repeatable noise."""

    def make(name: str, size: int, *, seed: int | None = None) -> Path:
        path = tmp_path_factory.mktemp("images") / name
        with path.open("wb") as file:
            if seed is None:
                file.truncate(size)
            else:
                noise = random.Random(seed)
                for start in range(0, size, 1 << 20):
                    file.write(noise.randbytes(min(1 << 20, size - start)))
        return path

    return make


@pytest.fixture
def loop_device(run: Run) -> Iterator[Callable[..., str]]:
    """``loop_device(file, sector_size)``: a block device over a file; detached at the end. Needs root."""
    attached: list[str] = []

    def attach(file: Path, sector_size: int = 512) -> str:
        if os.geteuid() != 0:
            pytest.fail("loop devices need root; run these tests as root", pytrace=False)
        answer = run("losetup", "--find", "--show", "--sector-size", sector_size, file)
        attached.append(answer.stdout.strip())
        return attached[-1]

    yield attach
    for device in attached:
        run("losetup", "--detach", device)
