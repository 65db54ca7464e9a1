"""The daemon does all it does under the limits of systemd's unit, and these are as tight as that allows."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.login import Chap, LoginPlan
from tests.contracts import sandbox
from tests.contracts.test_init import DAEMON, TARGET, UNIT, loop_device, unit

__all__ = ["loop_device"]

SERVICE = unit()["Service"]
BLOCK = 512
#: Percent of systemd's "exposure level", which is told in tenths.
MOST_EXPOSED = 30


def test_systemd_calls_it_well_confined() -> None:
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", UNIT],
        capture_output=True, text=True, check=False,
    )
    assert judged.returncode == 0, judged.stdout[-300:]


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("code", "ended"), [
    ("1", 0),
    ("os.sched_setaffinity(0, {0})", -signal.SIGSYS),
    ("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", -signal.SIGSYS),
    ("os.umask(0) == 0o077 or sys.exit(3)", 0),
    ("open('/proc/meminfo')", 1),
    ("os.mknod('/etc/ietpy-test')", 1),
])
def test_the_limits_are_there(code: str, ended: int) -> None:
    command = sandbox.command(SERVICE, sys.executable, "-c", f"import os, socket, sys\n{code}")
    assert subprocess.run(command, capture_output=True, check=False).returncode == ended


class Confined:
    """The daemon under the unit's limits, and commands to it, which ExecReload= runs there, too."""

    def __init__(self, directory: Path, text: str) -> None:
        self.directory = directory
        self.config = directory / "ietd.conf"
        self.config.write_text(text)
        self.config.chmod(0o600)
        self.places = ["--pid-file", str(directory / "ietd.pid"), "--control", str(directory / "control")]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = sandbox.command(SERVICE, str(DAEMON), *words, *self.places)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def start(self, *options: str) -> subprocess.Popen[str]:
        state = str(self.directory / "state")
        given = ["-f", "-c", str(self.config), "-a", "127.0.0.1", "-p", "0", "--state-dir", state]
        command = sandbox.command(SERVICE, str(DAEMON), "start", *given, *options, *self.places)
        environment = {
            **os.environ, "NOTIFY_SOCKET": str(self.directory / "notify"), "WATCHDOG_USEC": "60000000",
        }
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where another user comes to, and that is not hidden."""
    with tempfile.TemporaryDirectory(prefix="ietpy-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def use(client: Client, lun: int, refused: str = "") -> None:
    """What a medium is asked in all ways: small and large, cached and not, many at once, freed and filled."""
    data = os.urandom(64 * BLOCK)
    client.write(lun, 0, data)
    client.write(lun, 64, data, fua=True)
    assert client.read(lun, 0, 1) == data[:BLOCK]
    blocks = [at.to_bytes(4, "big") + b"\0\0\x08\0" for at in range(0, 256, 8)]
    tags = [client.submit(lun, b"\x2a\0" + each, write=data[:4096]) for each in blocks]
    tags += [client.submit(lun, b"\x28\0" + each, read=4096) for each in blocks]
    assert {client.wait(tag).status for tag in tags} == {0}
    assert len(client.read(lun, 0, 1024)) == 1024 * BLOCK
    client.synchronize_cache(lun)
    for cdb, parameters in (
        ("42 00 00000000 00 0018 00", "0016 0010 00000000 0000000000000100 00000040 00000000"),  # UNMAP
        ("41 00 00000000 00 0010 00", "A5" * BLOCK),  # WRITE SAME(10)
        ("93 08 0000000000000200 00000100 00 00", "00" * BLOCK),  # WRITE SAME(16) with UNMAP
        ("89 00 0000000000000000 000000 01 00 00", "A5" * 2 * BLOCK),  # COMPARE AND WRITE
        ("9E 12 0000000000000000 00000020 00 00", ""),  # GET LBA STATUS
        ("34 00 00000000 00 0100 00", ""),  # PRE-FETCH(10)
        ("5F 06 00 00 00 00 00 00 18 00", "00" * 8 + "00000000000000AA" + "00000000 01 000000"),  # PR OUT, APTPL
    ):
        read = 32 if cdb.startswith("9E") else 0
        answer = client.command(lun, bytes.fromhex(cdb), write=bytes.fromhex(parameters), read=read)
        assert answer.status in (0, 4) or cdb[:2] in refused, cdb  # GOOD, CONDITION MET


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("options", [
    pytest.param([], id="as root"), pytest.param(["-u", "65534", "-g", "65534", "--processes", "2"], id="as others"),
])
def test_all_that_the_daemon_does_is_allowed(directory: Path, loop_device: str, options: list[str]) -> None:
    image = directory / "other.img"
    image.write_bytes(bytes(1 << 20))
    os.chown(image, 1, 1)
    image.chmod(0o600)
    (directory / "secret").write_text("secretsecret")
    (directory / "secret").chmod(0o644)
    block = f"Target {TARGET}b\n\tLun 0 Path={loop_device},Type=blockio\n"
    daemon = Confined(
        directory, f"iSNSServer 127.0.0.1\nTarget {TARGET}\n\tIncomingUserFile joe {directory}/secret\n"
        f"\tLun 0 Path={image},Type=fileio\n\tLun 1 Type=nullio\n" + block,
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(30)
        manager.bind(str(directory / "notify"))
        (directory / "notify").chmod(0o777)
        with daemon.start(*options, "--metrics", "127.0.0.1:0") as process:
            try:
                assert process.stdout is not None
                port = int(process.stdout.readline().partition("127.0.0.1:")[2].partition(" ")[0])
                assert manager.recv(64) == b"READY=1"
                for name, chap in ((TARGET, Chap("joe", "secretsecret")), (TARGET + "b", None)):
                    with Client.connect("127.0.0.1", port) as client:
                        client.login(LoginPlan(target=name, chap=chap))
                        client.test_unit_ready(0)
                        use(client, 0, "" if chap else "9E")  # of a device nobody can tell what is mapped
                        client.logout()
                place = json.loads(daemon.run("status", "--json").stdout)["metrics"]
                for path, words in (("metrics", b"ietpy_lun_operations"), ("", b"<title>"), ("status.js", b"use")):
                    with urllib.request.urlopen(f"http://{place}/{path}", timeout=30) as answer:
                        assert words in answer.read()
                daemon.config.chmod(0o644)
                daemon.config.write_text(block.replace("Lun 0", "Lun 3"))
                reloaded = daemon.run("reload")
                assert reloaded.returncode == 0, reloaded.stderr
                while manager.recv(4096) != b"WATCHDOG=1":
                    pass
            finally:
                process.send_signal(signal.SIGTERM)
                _, log = process.communicate(timeout=30)
    assert process.returncode == 0, log
    assert "internal error" not in log
    assert "worker process 1 (pid" not in log, log
