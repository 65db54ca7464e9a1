"""The targets that are compared, each in processes of its own: started on a free port, stopped by their pid."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.generators import compiled

TICKS = os.sysconf("SC_CLK_TCK")
ADDRESS = "127.0.0.1"
LOG = "log"  #: the file of what a target and its tools say
SHARED_SETTINGS = """\
[Global]
  NodeBase "iqn.2026-11.test.bench"
  PidFile {folder}/istgt.pid
  AuthFile {folder}/istgt.auth
  MediaDirectory {folder}
  LogFacility "local7"
  Timeout 30
  NopInInterval 20
  DiscoveryAuthMethod None
  MaxSessions 64
  MaxConnections 4
  MaxR2T 32
  MaxOutstandingR2T 16
  DefaultTime2Wait 2
  DefaultTime2Retain 60
  FirstBurstLength 262144
  MaxBurstLength 1048576
  MaxRecvDataSegmentLength 262144
  InitialR2T Yes
  ImmediateData Yes
  DataPDUInOrder Yes
  DataSequenceInOrder Yes
  ErrorRecoveryLevel 0
[UnitControl]
  AuthMethod None
[PortalGroup1]
  Portal DA1 127.0.0.1:{port}
[InitiatorGroup1]
  InitiatorName "ALL"
  Netmask 127.0.0.1
"""


class NotHere(Exception):
    """This target cannot be measured here; why, in one sentence."""


@dataclass(frozen=True)
class Layout:
    """What is served: the media of each target, in the order of its LUNs; all of ``size`` bytes."""

    targets: Sequence[Sequence[Path]]
    size: int

    @staticmethod
    def name(index: int) -> str:
        return f"iqn.2026-11.test.bench:disk{index}"


@dataclass
class Target:
    """A running target: its name in the table, its port, its process."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    layout: Layout
    first_lun: int = 1
    patience: float = 30  #: seconds for its end; then it is killed
    started: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        return self.process.pid

    def url(self, index: int = 0, *, every_lun: bool = False) -> str:
        """Of a target's first LUN, or of all it has, as ``load`` understands it."""
        last = self.first_lun + len(self.layout.targets[index]) - 1
        more = f"-{last}" if every_lun and last > self.first_lun else ""
        return f"iscsi://{ADDRESS}:{self.port}/{self.layout.name(index)}/{self.first_lun}{more}"

    def urls(self) -> list[str]:
        return [self.url(index, every_lun=True) for index in range(len(self.layout.targets))]

    def pids(self) -> list[int]:
        """Of the process and all below it."""
        parents: dict[int, list[int]] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                parent = int(path.read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(path.parent.name))
        found = [self.pid]
        for pid in found:
            found += parents.get(pid, [])
        return found

    def cpu_seconds(self) -> float:
        """User and system time of its processes so far."""
        ticks = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def resident(self) -> float:
        """MiB of memory of all its processes; what they share counts for each."""
        text = "".join(Path(f"/proc/{pid}/status").read_text() for pid in self.pids())
        return sum(map(int, re.findall(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE))) / 1024

    def threads(self) -> dict[str, tuple[int, int]]:
        """By thread: nanoseconds on a processor, and how often it went to sleep of its own accord."""
        found = {}
        for pid in self.pids():
            for path in Path(f"/proc/{pid}/task").iterdir():
                status = (path / "status").read_text()
                switches = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)
                assert switches
                found[path.name] = int((path / "schedstat").read_text().split()[0]), int(switches[1])
        return found

    def wait_for_port(self) -> None:
        """Until it accepts connections; the limit only bounds a failure."""
        while time.monotonic() - self.started < 60:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.process.args!r} ended with status {self.process.returncode}")
            with suppress(OSError), socket.create_connection((ADDRESS, self.port), 1):
                return
            time.sleep(0.002)
        raise SystemExit(f"{self.process.args!r} does not listen on port {self.port}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(self.patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((ADDRESS, 0))
        return int(sock.getsockname()[1])


def need(program: str, package: str) -> str:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise SystemExit(f"{program} is missing; install {package}")
    return path


def daemon_program() -> str:
    program = Path(sys.executable).with_name("ietpy-daemon")
    if not program.exists():
        raise SystemExit(f"{program} is not there; run this with the interpreter that has ietpy")
    return str(program)


def knows_processes() -> bool:
    """Whether this ietpy has ``--processes``."""
    return "--processes" in subprocess.run(
        [daemon_program(), "start", "--help"], capture_output=True, text=True, check=False
    ).stdout


#: Starts a target that serves a layout, with its files in a folder, and stops it at the end.
Factory = Callable[[Path, Layout], AbstractContextManager["Target"]]


@contextmanager
def serving(
    folder: Path, layout: Layout, name: str, port: int, command: Sequence[str], **more: Any
) -> Iterator[Target]:
    """``command`` while it is needed; what it prints is added to the log in the folder. ``more``: see ``Target``."""
    with (folder / LOG).open("ab") as log:
        target = Target(name, port, subprocess.Popen(command, stdout=log, stderr=log), layout, **more)
        try:
            target.wait_for_port()
            yield target
        finally:
            target.stop()


@contextmanager
def ietpy(
    folder: Path, layout: Layout, lun: str = "Type=fileio,IOMode=wb", processes: int = 1, options: str = ""
) -> Iterator[Target]:
    """``lun``: parameters of every Lun line besides its path; ``options``: of a LunOption line, if there is one."""
    if processes > 1 and not knows_processes():
        raise NotHere("this ietpy has no --processes")
    folder.mkdir(exist_ok=True)
    config = folder / "ietd.conf"
    lines = []
    for index, media in enumerate(layout.targets):
        lines.append(f"Target {layout.name(index)}")
        for number, path in enumerate(media, 1):
            lines.append(f"Lun {number} Path={path},{lun}")
            lines += [f"LunOption {number} {options}"] * bool(options)
    config.write_text("\n".join(lines) + "\n")
    config.chmod(0o600)
    port = free_port()
    command = [
        daemon_program(), "start", "-f", "-c", str(config), "-a", ADDRESS, "-p", str(port), "--pid-file",
        str(folder / "pid"), "--control", str(folder / "control"), "--state-dir", str(folder / "state"),
    ]
    if processes > 1:
        command += ["--processes", str(processes)]
    name = "ietpy" if processes == 1 else f"ietpy {processes} processes"
    with serving(folder, layout, name, port, command) as target:
        yield target


#: The caching mode page with WCE 0, as tgtadm takes pages: number, subpage, length, bytes.
UNCACHED = "8:0:18:0x10" + ":0" * 17


@contextmanager
def tgt(folder: Path, layout: Layout, flags: str = "", write_cache: bool = True) -> Iterator[Target]:
    """``flags``: what --bsoflags of every LUN says. Without ``write_cache`` a write is answered when it is stable."""
    folder.mkdir(exist_ok=True)
    port, control = free_port(), str(10000 + free_port() % 20000)
    program, tool = need("tgtd", "tgt"), need("tgtadm", "tgt")
    command = [program, "-f", "--iscsi", f"portal={ADDRESS}:{port}", "-C", control]
    with (folder / LOG).open("ab") as log, serving(folder, layout, "tgt", port, command) as target:

        def admin(*words: object) -> None:
            command = [tool, "-C", control, "--lld", "iscsi", *map(str, words)]
            subprocess.run(command, check=True, stdout=log, stderr=log)

        try:
            for tid, media in enumerate(layout.targets, 1):
                one = ("--mode", "target", "--tid", tid)
                admin("--op", "new", *one, "-T", layout.name(tid - 1))
                for key in ("HeaderDigest", "DataDigest"):  # not allowed by default
                    admin("--op", "update", *one, "-n", key, "-v", "None,CRC32C")
                for number, path in enumerate(media, 1):
                    unit = ("--op", "new", "--mode", "logicalunit", "--tid", tid, "--lun", number, "-b", path)
                    admin(*unit, *(["--bsoflags", flags] if flags else []))
                    if not write_cache:
                        admin("--op", "update", *unit[2:-2], "--params", f"mode_page={UNCACHED}")
                admin("--op", "bind", *one, "-I", "ALL")
            yield target
        finally:
            with suppress(subprocess.CalledProcessError):
                for tid in range(1, len(layout.targets) + 1):
                    admin("--op", "delete", "--force", "--mode", "target", "--tid", tid)
            end = [tool, "-C", control, "--op", "delete", "--mode", "system"]
            subprocess.run(end, stdout=log, stderr=log, check=False)


@contextmanager
def istgt(folder: Path, layout: Layout) -> Iterator[Target]:
    """It numbers LUNs from 0, without a gap. Once it had many sessions it takes half a minute to end."""
    program = need("istgt", "istgt")
    folder.mkdir(exist_ok=True)
    port = free_port()
    text = SHARED_SETTINGS.format(folder=folder, port=port)
    for index, media in enumerate(layout.targets):
        text += (
            f"[LogicalUnit{index + 1}]\n  TargetName {layout.name(index)}\n  Mapping PortalGroup1 InitiatorGroup1\n"
            "  AuthMethod None\n  UseDigest Auto\n  UnitType Disk\n  QueueDepth 128\n"
        )
        text += "".join(f"  LUN{number} Storage {path} Auto\n" for number, path in enumerate(media))
    config, secrets = folder / "istgt.conf", folder / "istgt.auth"
    for path, content in ((config, text), (secrets, "")):
        path.write_text(content)
        path.chmod(0o600)
    command = [program, "-D", "-c", str(config)]
    with serving(folder, layout, "istgt", port, command, first_lun=0, patience=3) as target:
        yield target


@contextmanager
def stub(folder: Path, layout: Layout) -> Iterator[Target]:
    """Canned headers and sendfile, of one file (``stub.c``)."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    command = [str(compiled("stub.c")), str(layout.targets[0][0]), str(port)]
    with serving(folder, layout, "stub", port, command) as target:
        yield target


@contextmanager
def loop_devices(files: Sequence[Path]) -> Iterator[list[Path]]:
    """A block device over each file."""
    if os.geteuid() != 0:
        raise NotHere("loop devices need root")
    tool = need("losetup", "mount")
    with ExitStack() as stack:
        devices = []
        for file in files:
            done = subprocess.run([tool, "--find", "--show", str(file)], capture_output=True, text=True, check=False)
            if done.returncode:
                raise NotHere(f"no loop device: {done.stderr.strip()}")
            devices.append(Path(done.stdout.strip()))
            stack.callback(subprocess.run, [tool, "--detach", str(devices[-1])], check=True)
        yield devices
