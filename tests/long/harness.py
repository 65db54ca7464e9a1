"""What the scripts here share: a daemon of its own on a free port, loop devices, a clean end, and one way to speak."""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"  #: things this project's machines share; may be absent elsewhere
SKIPPED = 77  #: exit status, as automake's
MIB = 1 << 20
_READY = re.compile(r"ietpy-daemon: serving \d+ targets? on 127\.0\.0\.1:(\d+) ")


def need(*tools: str) -> None:
    """End with a sentence unless all these programs are installed."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        sys.exit(f"{Path(sys.argv[0]).name}: needs {', '.join(missing)}; see the head of the script")


def need_shared(name: str) -> Path:
    """A thing of ../shared; ends the script as skipped where there is none."""
    path = SHARED / name
    if not path.exists():
        print(f"skipped: ../shared/{name} is not here")
        sys.exit(SKIPPED)
    return path


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder for images, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="ietpy-long.") as name:
        yield Path(name)


@contextlib.contextmanager
def loop_device(file: Path, sector_size: int) -> Iterator[str]:
    """A block device over a file. Needs root."""
    attach = ["losetup", "--find", "--show", "--sector-size", str(sector_size), str(file)]
    device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


class Daemon:
    """``ietpy-daemon start -f`` below ``directory``; as a context it is stopped, and its end and log are judged."""

    def __init__(self, directory: Path, configuration: str, portals: bool = False) -> None:
        """``portals``: the configuration says itself what is listened on."""
        self.config, self.log_file = directory / "ietd.conf", directory / "ietd.log"
        self.config.write_text(configuration)
        program = str(Path(sys.executable).parent / "ietpy-daemon")
        self._places = ["--pid-file", str(directory / "ietd.pid"), "--control", str(directory / "control")]
        self._program = program
        self.port = 0
        listening = ["-c", str(self.config), "--state-dir", str(directory / "state")]
        listening += [] if portals else ["-a", "127.0.0.1", "-p", "0"]
        self.process = self._launch("start", *listening)

    def _launch(self, action: str, *arguments: str) -> subprocess.Popen[str]:
        command = [self._program, action, "-f", *self._places, *arguments]
        with self.log_file.open("a") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if ready := _READY.match(line):
                self.port = int(ready[1])
                return process
        raise SystemExit(f"the daemon did not start:\n{self.log_file.read_text()}")

    def restart(self) -> None:
        before = self.process
        self.process = self._launch("restart", "-p", str(self.port))
        assert before.wait(30) == 0

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        log = self.log_file.read_text()
        if status or "Traceback" in log or "unexpected" in log:
            raise SystemExit(f"the daemon ended with status {status}:\n{log}")

    def portal(self) -> str:
        return f"iscsi://127.0.0.1:{self.port}"

    def url(self, target: str, lun: int = 0) -> str:
        return f"{self.portal()}/{target}/{lun}"


def program(here: Path, name: str, *arguments: str) -> str:
    """One of ietpy's programs to its end, about the daemon whose places are below ``here``; what it printed."""
    places = {"ietpy-daemon": ["--pid-file", str(here / "ietd.pid"), "--control", str(here / "control")]}
    command = [str(Path(sys.executable).parent / name), *arguments[:1], *places.get(name, []), *arguments[1:]]
    environment = {**os.environ, "IETPY_CONTROL": str(here / "control")}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def start_command(here: Path, port: int, *more: str) -> list[str]:
    """The words that have a daemon serve ``here``/ietd.conf, with its places below ``here``."""
    command = [str(Path(sys.executable).parent / "ietpy-daemon"), "start"]
    command += ["--pid-file", str(here / "ietd.pid"), "--control", str(here / "control")]
    command += ["-c", str(here / "ietd.conf"), "-a", "127.0.0.1", "-p", str(port), "--state-dir", str(here / "state")]
    return [*command, *more]


def put_down(process: subprocess.Popen[str]) -> None:
    """Whatever became of a script, nothing that it started goes on."""
    if process.poll() is None:
        process.kill()
        process.wait()


def free_port() -> int:
    """One that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def start_detached(here: Path, port: int = 0, *more: str) -> int:
    """A daemon that serves ``here``/ietd.conf until ``program(here, "ietpy-daemon", "stop")``; its port."""
    subprocess.run(start_command(here, port, *more), check=True, capture_output=True, text=True)
    return int(json.loads(program(here, "ietpy-daemon", "status", "--json"))["portals"][0]["port"])


def end_detached(here: Path, how: str) -> None:
    """End what ``start_detached`` started: "TERM", in order, or "KILL"."""
    if how == "TERM":
        program(here, "ietpy-daemon", "stop")
        return
    pid = int((here / "ietd.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists():  # it is nobody's child here
        time.sleep(0.01)


def guest_with_hook(
    kit: Path, here: Path, port: int, script: str, hook: str, *arguments: str, timeout: float = 600
) -> str:
    """Run ``script`` in vmkit's guest; ``host_hook NAME`` there calls ``hook`` here, with NAME. What the guest said."""
    call = here / "hook"
    call.write_text(f'#!/bin/sh\nexec {sys.executable} {hook} {" ".join(arguments)} "$1" >{here}/hook.log 2>&1\n')
    call.chmod(0o755)
    answer = subprocess.run(
        [str(kit / "run"), "-", str(port)], input=script, text=True, errors="replace", stdout=subprocess.PIPE,
        timeout=timeout, check=False, env={**os.environ, "VMKIT_HOOK": str(call)},
    )
    print(answer.stdout)
    if answer.returncode:
        log = here / "hook.log"
        print(log.read_text() if log.exists() else "the hook was not called")
        sys.exit(f"FAIL: the guest's script ended with status {answer.returncode}")
    return answer.stdout


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def noise(path: Path, size: int, seed: int = 7143) -> Path:
    """A file of repeatable random bytes."""
    source = random.Random(seed)
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            file.write(source.randbytes(min(MIB, size - start)))
    return path


def same(one: Path, other: Path) -> None:
    if not filecmp.cmp(one, other, shallow=False):
        raise SystemExit(f"FAIL: {one.name} and {other.name} differ")


class Stopwatch:
    def __init__(self) -> None:
        self._start = time.monotonic()

    def __str__(self) -> str:
        return f"{time.monotonic() - self._start:.1f} s"
