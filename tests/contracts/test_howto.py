"""The how-tos keep their word: their commands are run against a real daemon, their configurations read.

What is in a block ``sh`` is run, here or in a Linux guest (``tests/long/guest-howto``); what is for systems that we do
not have is in a block ``text``, and the page says that nobody ran it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ietpy.config.findings import MODES
from ietpy.config.load import loads
from tests.contracts.test_docs import DOCS, blocks, commands, name_of

HOWTO = sorted((DOCS / "howto").glob("*.md"))
BIN = Path(sys.executable).parent
TARGET = "iqn.2010-06.ServerName:desc"
#: What a command begins with that only a Linux initiator has: ``tests/long/guest-howto`` runs those.
GUEST = ("iscsiadm ", "lsblk ", "mkfs.ext4 ", "mkdir -p /srv/", "mount ", "umount ", "fstrim ", "resize2fs ")
#: Pages with commands that are run here.
HERE = [page for page in HOWTO if any(not line.startswith(GUEST) for line in commands(page))]
#: Commands that go on until they are ended.
SERVICES = ("stunnel4 ",)
LIMIT = 60  #: seconds, of a command


@dataclass
class Place:
    """Directories as on the machines a page tells of, and a daemon that serves its target."""

    directory: Path
    port: int = 0
    words: dict[str, str] = field(default_factory=dict)
    services: list[subprocess.Popen[str]] = field(default_factory=list)

    def here(self, text: str) -> str:
        """The same text about this place."""
        for word, ours in self.words.items():
            text = text.replace(word, ours)
        text = re.sub(r"(?<![\w.])(/root/|/etc/)", rf"{self.directory}\1", text)
        return text.replace("tar -C / ", f"tar -C {self.directory} ")

    def run(self, command: str, text: str | None = None) -> str:
        """What a command printed; it must end with exit status 0."""
        environment = {
            **os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "IETPY_CONTROL": str(self.directory / "control"),
        }
        command = self.here(command)
        if command.startswith(SERVICES):
            self.services.append(subprocess.Popen(shlex.split(command), stderr=subprocess.DEVNULL, text=True))
            return ""
        ended = subprocess.run(
            ["bash", "-euc", command], cwd=self.directory, env=environment, text=True, input=text or "",
            capture_output=True, timeout=LIMIT, check=False,
        )
        assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
        return ended.stdout


def configuration(page: Path, place: Place) -> str:
    """What a page's target is: that of its first configuration that any machine could have, or a plain one."""
    for text in blocks(page, "conf"):
        if f"Target {TARGET}" in text and "Portal" not in text:
            return place.here(text)
    return place.here(f"Target {TARGET}\nLun 0 Path=/root/os.img,Type=fileio\n")


@contextlib.contextmanager
def serving(directory: Path, page: Path) -> Iterator[Place]:
    """The machine that a page is about, with its daemon."""
    place = Place(directory)
    for name in ("root", "etc/iet", "etc/stunnel"):
        (directory / name).mkdir(parents=True)
    place.run("ietpy mkimage --size 64M /root/os.img")
    (directory / "etc/iet/ietd.conf").write_text(configuration(page, place))
    ours = f"--pid-file {directory}/ietd.pid --control {directory}/control"
    ways = f"-a 127.0.0.1 -p 0 --state-dir {directory}/state"
    place.run(f"ietpy-daemon start -c {directory}/etc/iet/ietd.conf {ways} {ours}")
    try:
        place.port = json.loads(place.run("ietpy status --json"))["portals"][0]["port"]
        place.words = {
            "192.0.2.10:3260": f"127.0.0.1:{place.port}",
            "ietpy check": f"ietpy check -c {directory}/etc/iet/ietd.conf",
            "ietpy-daemon reload": f"ietpy-daemon reload {ours}",
        }
        yield place
    finally:
        for service in place.services:
            service.terminate()
            service.wait(10)
        place.run(f"ietpy-daemon stop {ours}")


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """That of the pages whose target is the plain one."""
    with serving(tmp_path_factory.mktemp("common"), DOCS / "howto" / "linux.md") as place:
        yield place


@pytest.mark.parametrize("page", [page for page in HERE if page.stem not in ("chap", "encryption")], ids=name_of)
def test_the_commands_run(page: Path, common: Place) -> None:
    for command in commands(page):
        if not command.startswith(GUEST):
            common.run(command)


def test_the_commands_of_accounts_run(tmp_path: Path) -> None:
    page = DOCS / "howto" / "chap.md"
    with serving(tmp_path, page) as place:
        for command in commands(page):
            if not command.startswith(GUEST):
                place.run(command)


@pytest.mark.parametrize("page", HOWTO, ids=name_of)
def test_configurations_shown_are_read_without_a_remark(page: Path) -> None:
    for text in blocks(page, "conf"):
        for mode in MODES:
            assert loads(text, compat=mode).diagnostics == ()


def test_boot_lines_are_as_shown(common: Place) -> None:
    page = DOCS / "howto" / "ipxe.md"
    shown = next(line for line in "".join(blocks(page, "text")).splitlines() if line.startswith("sanboot"))
    command = next(line for line in commands(page) if "--host" in line)
    assert common.run(command).replace(f":{common.port}:", ":3260:") == f"{shown}\n"


def test_qemu_takes_the_words(common: Place) -> None:
    """The command of a guest with a disk, but for the guest, which is not started."""
    page = DOCS / "howto" / "qemu.md"
    (command,) = [text for text in blocks(page, "text") if text.startswith("qemu-system-x86_64 ")]
    said = common.run(
        f"{command.rstrip()} -nodefaults -display none -S -monitor stdio".replace("-m 2048", "-m 64"),
        "info block\nquit\n",
    )
    assert "disk0: " in said


@pytest.mark.parametrize(("root", "schema"), [("domain", "domain"), ("secret", "secret"), ("pool", "storagepool")])
def test_the_xml_is_libvirts(root: str, schema: str, tmp_path: Path) -> None:
    (text,) = [text for text in blocks(DOCS / "howto" / "qemu.md", "xml") if text.startswith(f"<{root} ")]
    path = tmp_path / "shown.xml"
    for content, valid in ((text, True), (text.replace("</", "<nonsense/></", 1), False)):
        path.write_text(content)
        ended = subprocess.run(["virt-xml-validate", str(path), schema], capture_output=True, text=True, check=False)
        assert (ended.returncode == 0) is valid, ended.stderr


def test_wireguard_takes_the_configuration(tmp_path: Path) -> None:
    (text,) = [text for text in blocks(DOCS / "howto" / "encryption.md", "text") if text.startswith("[Interface]")]
    path = tmp_path / "wg0.conf"
    path.write_text(text)
    path.chmod(0o600)
    ended = subprocess.run(["wg-quick", "strip", str(path)], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    assert "Address" not in ended.stdout
    assert "ListenPort = 51820\n" in ended.stdout


# stunnel --------------------------------------------------------------------------------------------------------------


class Wire:
    """What is between two ends of a tunnel: passes bytes on and keeps them."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.seen = bytearray()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
            stack.enter_context(self._listening)
            selector.register(self._listening, selectors.EVENT_READ)
            while not self._ended.is_set():
                for key, _ in selector.select(0.05):
                    if key.fileobj is self._listening:
                        near = stack.enter_context(self._listening.accept()[0])
                        far = stack.enter_context(socket.create_connection(("127.0.0.1", self._to)))
                        selector.register(near, selectors.EVENT_READ, far)
                        selector.register(far, selectors.EVENT_READ, near)
                        continue
                    assert isinstance(key.fileobj, socket.socket)
                    data = key.fileobj.recv(65536)
                    self.seen += data
                    if data:
                        key.data.sendall(data)
                    else:
                        selector.unregister(key.fileobj)
                        with contextlib.suppress(OSError):  # the other end went first
                            key.data.shutdown(socket.SHUT_WR)

    def end(self) -> bytes:
        self._ended.set()
        self._thread.join()
        return bytes(self.seen)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    for _ in range(200):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on port {port}")


def test_stunnel_carries_a_session_that_nobody_reads(common: Place) -> None:
    page, place = DOCS / "howto" / "encryption.md", common
    outside, inside = free_port(), free_port()
    wire = Wire(outside)
    try:
        server, client = blocks(page, "ini")
        for name, text, ports in (
            ("server", server, {"accept = 3261": f"accept = 127.0.0.1:{outside}", ":3260": f":{place.port}"}),
            ("client", client, {"192.0.2.10:3261": f"127.0.0.1:{wire.port}", ":3260": f":{inside}"}),
        ):
            for word, ours in ports.items():
                assert word in text
                text = text.replace(word, ours)
            (place.directory / "etc" / "stunnel" / f"{name}.conf").write_text(place.here(text))
        place.words["127.0.0.1:3260"] = f"127.0.0.1:{inside}"
        for command in commands(page):
            said = place.run(command)
            if command.startswith(SERVICES):
                wait_for(outside if "server" in command else inside)
        assert "Vendor:IET" in said.replace(" ", "")
    finally:
        seen = wire.end()
    assert len(seen) > 1000
    assert b"ServerName" not in seen
