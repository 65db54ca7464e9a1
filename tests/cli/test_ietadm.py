"""``ietadm``: the transcripts, and that what it changes holds at once for real initiators (iet-compat section 5)."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ietpy.admin import service
from ietpy.admin.client import ask
from ietpy.admin.proc import session_id
from ietpy.cli import ietadm
from ietpy.errors import AdminError
from ietpy.initiator.client import Client
from ietpy.initiator.errors import LoginRefused, decode_sense
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.iscsi.async_messages import Event
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.pdu import NO_TAG, Opcode
from ietpy.scsi.status import SenseKey
from tests.cli.conftest import Daemon, Ended, make_disk, until
from tests.cli.transcripts import TRANSCRIPTS, Call, Login, Step, Transcript
from tests.stores.conftest import loop_device

Run = Callable[[list[str]], Ended]


class Stage:
    """A daemon, and what the placeholders of a transcript stand for."""

    def __init__(self, directory: Path, transcript: Transcript, mode: str) -> None:
        self.values = {"dir": str(directory)}
        for name in ("disk", "other"):
            self.values[name] = str(make_disk(directory / f"{name}.img"))
        self.mode = mode
        self.daemon = Daemon(directory, self.fill(transcript.file), mode)

    def fill(self, text: str) -> str:
        for name, value in self.values.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def play(self, step: Step, run: Run) -> None:
        if isinstance(step, Login):
            before = self.sids()
            self.daemon.login(step.target, keys=step.keys, isid=os.urandom(1).join((b"\x80\0\0", b"\0\1")))
            until(lambda: self.sids() - before)
            (self.values["sid"],) = self.sids() - before
        elif isinstance(step, Call):
            out, (status, err) = step.out, step.result
            if self.mode == "iet" and step.iet is not None:
                out, (status, err) = step.iet
            ended = run(shlex.split(self.fill(step.words)))
            assert ended == Ended(status, out, err), step.words
        else:
            assert self.daemon.volume() == self.fill(step.text)

    def sids(self) -> set[str]:
        return set(re.findall(r"\tsid:(\d+)", self.daemon.session()))


@pytest.mark.parametrize("mode", ["repair", "iet"])
@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda each: f"{each.section} {each.title[:60]}")
def test_transcript(transcript: Transcript, mode: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path, transcript, mode)
    written = stage.daemon.config.read_bytes()
    with stage.daemon as daemon:
        for step in transcript.steps:
            stage.play(step, lambda words: daemon.ietadm(*words))
        assert stage.daemon.config.read_bytes() == written, "nothing is written to the file (iet-compat 5.5)"


def process(daemon: Daemon, words: list[str], before: Sequence[str] = ()) -> Ended:
    """ietadm as a shell runs it, behind the words ``before``."""
    ended = subprocess.run(
        [*before, sys.executable, "-m", "ietpy.cli.ietadm", *words], env={**os.environ, **daemon.environment},
        capture_output=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
    )
    return Ended(ended.returncode, os.fsdecode(ended.stdout), os.fsdecode(ended.stderr))


#: The first two calls of each: starting a process takes its time, and what it is to show is that nothing differs.
@pytest.mark.parametrize(
    "transcript", [each for each in TRANSCRIPTS if each.process], ids=lambda each: f"{each.section} {each.title[:60]}"
)
def test_transcript_of_processes(transcript: Transcript, tmp_path: Path) -> None:
    stage = Stage(tmp_path, transcript, "repair")
    with stage.daemon as daemon:
        left = 2
        for step in transcript.steps:
            if isinstance(step, Call):
                left -= 1
            stage.play(step, lambda words: process(daemon, words))
            if not left:
                break


def test_the_command_itself(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IETPY_CONTROL", daemon.control)
    monkeypatch.setattr(sys, "argv", ["ietadm", "--op=new", "--tid=0", "--params=Name=x", "--verbose"])
    with pytest.raises(SystemExit) as ended:
        ietadm.main()
    assert (ended.value.code, capsys.readouterr()) == (0, ("1\n", ""))


def test_closed_streams_are_no_reason_to_fail(daemon: Daemon) -> None:
    for words, status in (("--op=new --tid=0 --params=Name=x --verbose", 0), ("--op=delete --tid=7", 254)):
        command = ["sh", "-c", f'exec "$0" -m ietpy.cli.ietadm {words} >&- 2>&-', sys.executable]
        ended = subprocess.run(command, env={**os.environ, **daemon.environment}, check=False, timeout=60)
        assert ended.returncode == status
    assert daemon.volume() == "tid:1 name:x\n"


# What real sessions see of it -----------------------------------------------------------------------------------------

NAME = "iqn.2001-04.com.example:live"
LUNS_CHANGED = (SenseKey.UNIT_ATTENTION, 0x3F0E)
NO_SUCH_UNIT = (SenseKey.ILLEGAL_REQUEST, 0x2500)


@pytest.fixture
def two_luns(tmp_path: Path) -> Iterator[Daemon]:
    for name in ("a", "b"):
        make_disk(tmp_path / name)
    with Daemon(tmp_path, f"Target {NAME}\nLun 0 Path={tmp_path}/a\nLun 1 Path={tmp_path}/b\n") as daemon:
        yield daemon


def sense(client: Client, lun: int, operation: int = 0) -> tuple[int, int]:
    """Sense key and additional sense of a command without data; zeros when it is GOOD."""
    response = client.command(lun, bytes([operation]).ljust(6, b"\0"))
    return decode_sense(response.sense) if response.sense else (0, 0)


def sid_of(daemon: Daemon, client: Client) -> str:
    assert client.outcome is not None
    (session,) = [each for each in daemon.instance.server.sessions() if each["tsih"] == client.outcome.tsih]
    return f"--sid={session_id(bytes.fromhex(session['isid']), session['tsih'])}"


def refused(daemon: Daemon, **plan: Any) -> LoginRefused:
    with pytest.raises(LoginRefused) as caught:
        daemon.login(NAME, **plan)
    return caught.value


def test_a_deleted_connection_is_closed_and_others_are_not(two_luns: Daemon) -> None:
    first, second = two_luns.login(NAME, isid=b"\x80\0\0\0\0\1"), two_luns.login(NAME, isid=b"\x80\0\0\0\0\2")
    first.test_unit_ready(0)
    second.test_unit_ready(0)
    two_luns.do("--op", "delete", "--tid=1", sid_of(two_luns, first), "--cid=0")
    assert first.receive_pdu().header["async_event"] == Event.CONNECTION_DROP
    assert first.closed_by_target()
    second.test_unit_ready(0)
    assert two_luns.session().count("\tsid:") == 1, "who was answered finds it so"
    again = two_luns.login(NAME, isid=b"\x80\0\0\0\0\1")
    again.test_unit_ready(0)


def test_a_deleted_lun_is_gone_at_once_and_the_others_go_on(two_luns: Daemon) -> None:
    client = two_luns.login(NAME)
    client.write(1, 0, b"x" * 512)
    client.test_unit_ready(0)
    two_luns.do("--op", "delete", "--tid=1", "--lun=1")
    assert sense(client, 0) == LUNS_CHANGED
    assert sense(client, 0) == (0, 0)
    assert sense(client, 1) == NO_SUCH_UNIT
    assert client.report_luns() == [0]
    client.write(0, 0, b"y" * 512)
    assert client.read(0, 0, 1) == b"y" * 512
    assert (two_luns.directory / "b").read_bytes()[:512] == b"x" * 512


def test_an_added_lun_is_announced_and_serves_at_once(two_luns: Daemon) -> None:
    client = two_luns.login(NAME)
    client.test_unit_ready(0)
    assert sense(client, 2) == NO_SUCH_UNIT
    make_disk(two_luns.directory / "c", 4096)
    two_luns.do("--op", "new", "--tid=1", "--lun=2", "--params", f"Path={two_luns.directory}/c,BlockSize=1024")
    assert sense(client, 0) == LUNS_CHANGED
    assert client.report_luns() == [0, 1, 2]
    capacity = client.read_capacity(2)
    assert (capacity.blocks, capacity.block_size) == (4, 1024)


def test_an_image_can_be_served_again_right_after_its_lun_was_deleted(two_luns: Daemon) -> None:
    """Even while a session reads and writes it."""
    client = two_luns.login(NAME)
    path = two_luns.directory / "b"
    for number in range(2, 12):
        client.write(number - 1, 0, bytes([number]) * 512)
        two_luns.do("--op", "delete", "--tid=1", f"--lun={number - 1}")
        two_luns.do("--op", "new", "--tid=1", f"--lun={number}", "--params", f"Path={path}")
        assert client.read(number, 0, 1) == bytes([number]) * 512


@pytest.mark.usefixtures("root")
def test_a_block_device_that_is_claimed_is_busy(two_luns: Daemon) -> None:
    """EBUSY of iet-compat 5.2; a deleted LUN gives the device back at once."""
    words = ("--op=new", "--tid=1", "--lun=2")
    with loop_device(make_disk(two_luns.directory / "c")) as device:
        claim = os.open(device, os.O_RDWR | os.O_EXCL)
        busy = two_luns.ietadm(*words, f"--params=Path={device},Type=blockio")
        os.close(claim)
        assert busy == Ended(240, "", "Device or resource busy.\n")
        for _ in range(3):
            two_luns.do(*words, f"--params=Path={device},Type=blockio,IOMode=wb")
            assert f"iotype:blockio iomode:wt blocks:2048 blocksize:512 path:{device}\n" in two_luns.volume()
            two_luns.do("--op=delete", "--tid=1", "--lun=2")
            os.close(os.open(device, os.O_RDWR | os.O_EXCL))


def test_accounts_decide_the_next_login(two_luns: Daemon) -> None:
    old, new = Chap("joe", "secretsecret"), Chap("joe", "otherother12")
    stays = two_luns.login(NAME, isid=b"\x80\0\0\0\0\7")
    two_luns.do("--op", "new", "--tid=1", "--user", "--params=IncomingUser=joe,Password=secretsecret")
    assert refused(two_luns).status == LoginStatus.AUTHENTICATION_FAILURE
    two_luns.login(NAME, chap=old).test_unit_ready(0)
    two_luns.do("--op", "new", "--tid=1", "--user", "--params=IncomingUser=joe,Password=otherother12")
    assert refused(two_luns, chap=old).status == LoginStatus.AUTHENTICATION_FAILURE
    two_luns.login(NAME, chap=new).test_unit_ready(0)
    two_luns.do("--op", "delete", "--tid=1", "--user", "--params=IncomingUser=joe")
    assert refused(two_luns, chap=new).status == LoginStatus.AUTHENTICATION_FAILURE
    mutual = replace(old, target_user="jim", target_secret="jimjimjimjim")
    two_luns.do("--op", "new", "--tid=1", "--user", "--params=OutgoingUser=jim,Password=jimjimjimjim")
    two_luns.login(NAME, chap=mutual).test_unit_ready(0)
    two_luns.do("--op", "delete", "--tid=1", "--user", "--params=IncomingUser=joe")
    two_luns.login(NAME).test_unit_ready(0)
    stays.test_unit_ready(0)


def test_discovery_accounts_decide_the_next_discovery(two_luns: Daemon) -> None:
    account = Chap("joe", "secretsecret")
    two_luns.do("--op", "new", "--user", "--params=IncomingUser=joe,Password=secretsecret")
    with pytest.raises(LoginRefused):
        two_luns.dial().login(LoginPlan())
    client = two_luns.dial()
    client.login(LoginPlan(chap=account))
    assert [name for name, _ in client.discover()] == [NAME]
    two_luns.login(NAME).test_unit_ready(0)
    two_luns.do("--op", "delete", "--user", "--params=IncomingUser=joe")
    two_luns.dial().login(LoginPlan())


def test_a_new_target_is_seen_and_served_at_once(two_luns: Daemon) -> None:
    client = two_luns.dial()
    client.login(LoginPlan())
    two_luns.do("--op", "new", "--tid=0", "--params", "Name=image1")
    assert [name for name, _ in client.discover()] == ["image1", NAME]
    two_luns.login("image1")
    assert two_luns.ietadm("--op", "delete", "--tid=2").status == 240
    two_luns.do("--op", "delete", "--tid=1")
    assert [name for name, _ in client.discover()] == ["image1"]
    assert refused(two_luns).status == LoginStatus.NOT_FOUND


def test_a_target_with_sessions_is_deleted_where_that_is_said(two_luns: Daemon) -> None:
    client = two_luns.login(NAME)
    assert two_luns.ietadm("--op", "delete", "--tid=1") == Ended(240, "", "Device or resource busy.\n")
    drained = threading.Thread(target=two_luns.do, args=("--op", "delete", "--tid=1", "--force"))
    drained.start()
    assert client.receive_pdu().opcode == Opcode.ASYNC_MESSAGE
    client.logout()
    drained.join(20)
    assert two_luns.volume() == ""
    assert refused(two_luns).status == LoginStatus.NOT_FOUND


def test_a_target_can_be_deleted_right_after_a_logout(two_luns: Daemon) -> None:
    for number in range(2, 32):
        two_luns.do("--op", "new", "--tid=0", "--params", "Name=image1")
        client = two_luns.login("image1")
        client.logout()
        assert two_luns.ietadm("--op", "delete", f"--tid={number}") == Ended(0, "", "")
        assert "image1" not in two_luns.volume()


@pytest.mark.parametrize(("given", "answered"), [
    ("10.1.2.3", "10.1.2.3:3260"), ("10.1.2.3:3261", "10.1.2.3:3261"), ("[2001:DB8:0::1]", "[2001:db8::1]:3260"),
    ("[2001:db8::1]:99", "[2001:db8::1]:99"), ("[::1]", "[::1]:3260"),
])
def test_a_redirected_login_is_told_where_to_go(two_luns: Daemon, given: str, answered: str) -> None:
    before = two_luns.login(NAME, isid=b"\x80\0\0\0\0\7")
    two_luns.do("--op", "update", "--tid=1", f"--redirect={given}")
    refusal = refused(two_luns)
    assert (refusal.status, refusal.address) == (LoginStatus.MOVED_TEMPORARILY, answered)
    before.test_unit_ready(0)
    discovery = two_luns.dial()
    discovery.login(LoginPlan())
    ((_, addresses),) = discovery.discover()
    assert addresses == [f"127.0.0.1:{two_luns.port},1"]
    two_luns.do("--op", "update", "--tid=1", "--redirect=")
    two_luns.login(NAME).test_unit_ready(0)


@pytest.mark.parametrize("port", ["", ":1", ":3260"])
def test_a_redirection_to_where_one_is_already_is_none(two_luns: Daemon, port: str) -> None:
    two_luns.do("--op", "update", "--tid=1", f"--redirect=127.0.0.1{port}")
    client = two_luns.login(NAME)
    assert client.inquiry(0)[8:11] == b"IET"


def test_a_redirection_to_where_one_is_already_is_none_with_ipv6(tmp_path: Path, ipv6: None) -> None:
    with Daemon(tmp_path, f"Target {NAME}\n", address="::1") as daemon:
        daemon.do("--op", "update", "--tid=1", "--redirect=[0:0:0:0:0:0:0:1]:1")
        daemon.login(NAME)
        daemon.do("--op", "update", "--tid=1", "--redirect=[::2]")
        assert refused(daemon).address == "[::2]:3260"
        until(lambda: "ip:[0000:0000:0000:0000:0000:0000:0000:0001] state:active" in daemon.session())


def test_pings_begin_and_end_on_a_living_connection(two_luns: Daemon) -> None:
    client = two_luns.login(NAME)
    two_luns.do("--op", "update", "--tid=1", "--params=NOPInterval=1,NOPTimeout=1")
    ping = client.receive_pdu()
    assert (ping.opcode, ping.header["initiator_task_tag"]) == (Opcode.NOP_IN, NO_TAG)
    assert client.closed_by_target(), "nobody answered within NOPTimeout"


def test_threads_are_as_many_as_wthreads_says(two_luns: Daemon) -> None:
    client = two_luns.login(NAME)
    node = two_luns.inventory.target(1).node
    pool = two_luns.instance.server.workers(node)
    for number in (3, 1, 20):
        two_luns.do("--op", "update", "--tid=1", f"--params=Wthreads={number}")
        assert (node.wthreads, pool.limit) == (number, number)
        client.write(0, 0, bytes(512))


def test_queued_commands_hold_for_new_sessions(two_luns: Daemon) -> None:
    def window(client: Client) -> int:
        numbering = client.session.numbering
        client.test_unit_ready(0)
        return (numbering.max_cmd_sn - numbering.cmd_sn + 1) & 0xFFFFFFFF

    first = two_luns.login(NAME, isid=b"\x80\0\0\0\0\1")
    assert window(first) == 128
    two_luns.do("--op", "update", "--tid=1", "--params=QueuedCommands=8")
    assert window(first) == 128
    assert window(two_luns.login(NAME, isid=b"\x80\0\0\0\0\2")) == 8


def test_what_was_negotiated_stays_for_the_session(two_luns: Daemon) -> None:
    first = two_luns.login(NAME, isid=b"\x80\0\0\0\0\1")
    two_luns.do("--op", "update", "--tid=1", "--params=MaxBurstLength=4096,InitialR2T=Yes,DataDigest=CRC32C")
    second = two_luns.login(NAME, isid=b"\x80\0\0\0\0\2", keys={"DataDigest": "CRC32C"})
    assert first.outcome is not None
    assert second.outcome is not None
    assert first.outcome.parameters.max_burst_length == 1048576
    assert second.outcome.parameters.max_burst_length == 4096
    assert second.outcome.parameters.data_digest
    for client in (first, second):
        client.write(0, 0, bytes(range(256)) * 64)
        assert client.read(0, 0, 32) == bytes(range(256)) * 64


# The control socket ---------------------------------------------------------------------------------------------------


def said(path: Path | str) -> tuple[int, str, str]:
    ended = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(ended[0]), contextlib.redirect_stderr(ended[1]):
        status = ietadm.run(["--op", "show", "--tid=1"], {"IETPY_CONTROL": str(path)})
    return status, ended[0].getvalue(), ended[1].getvalue()


def test_without_a_daemon_the_connection_is_refused(tmp_path: Path) -> None:
    """No socket, one that a killed daemon left, and what is no socket: to IET's abstract one it was all the same."""
    stale, other = tmp_path / "stale", tmp_path / "file"
    service.bind(str(stale)).close()
    other.write_text("")
    for path in (tmp_path / "none", stale, other):
        assert said(path) == (145, "", "Connection refused.\n")
    assert stale.is_socket()


def test_verbose_says_where_nobody_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"IETPY_CONTROL": str(tmp_path / "none")}
    assert ietadm.run(["--op", "show", "--tid=1", "--verbose"], environment) == 145
    first, last = capsys.readouterr().err.splitlines()
    assert first == (
        f"ietadm: no control socket at {tmp_path}/none; the daemon is not running, or --control was another"
    )
    assert last == "Connection refused."


def test_a_stale_socket_is_replaced_by_the_next_daemon(tmp_path: Path) -> None:
    service.bind(str(tmp_path / "control")).close()
    with Daemon(tmp_path, f"Target {NAME}\n") as daemon:
        daemon.do("--op", "show", "--tid=1")
    assert said(daemon.control) == (145, "", "Connection refused.\n")
    assert not os.path.lexists(daemon.control)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that every user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_another_user_is_refused(reachable: Path, mode: int, plain_user: list[str]) -> None:
    """By the socket's mode already; and by the daemon where somebody widened it."""
    with Daemon(reachable, f"Target {NAME}\n") as daemon:
        os.chmod(daemon.control, mode)
        for words in (["--op=show", "--tid=1"], ["--op=delete", "--tid=1"], ["--op=new", "--tid=0", "-pName=x"]):
            assert process(daemon, words, plain_user) == Ended(255, "", "Operation not permitted.\n")
        assert daemon.volume() == f"tid:1 name:{NAME}\n"


@pytest.mark.usefixtures("root")
def test_another_users_daemon_is_not_believed(reachable: Path, plain_user: list[str]) -> None:
    """Anybody may bind a socket in /tmp and say that all went well."""
    os.chown(reachable, 65534, 65534)
    path = str(reachable / "control")
    script = f"import socket as s; s = s.socket(s.AF_UNIX); s.bind({path!r}); s.listen(); print(); s.accept(); input()"
    with subprocess.Popen(
        [*plain_user, sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as impostor:
        assert impostor.stdout is not None
        assert impostor.stdout.readline() == b"\n"
        assert said(path) == (255, "", "Operation not permitted.\n")
        impostor.communicate(b"\n", timeout=30)


GARBAGE = {
    "nothing": b"",
    "half a header": b"\0\0",
    "half a message": b"\0\0\1\0{",
    "four gigabytes announced": b"\xff\xff\xff\xff" + b"x" * 1000,
    "an empty message": b"\0\0\0\0",
    "no JSON": b"\0\0\0\5hello",
    "no object": b"\0\0\0\2[]",
    "no UTF-8": b"\0\0\0\4\xff\xfe\xfd\xfc",
    "deep nesting": (100_000).to_bytes(4, "big") + b"[" * 100_000,
    "a number of many digits": (10_000).to_bytes(4, "big") + b"1" * 10_000,
    "IET's own protocol": bytes(64),
    "a browser": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}
FORGED: tuple[Any, ...] = (
    {}, {"operation": 3}, {"operation": "show-target"}, {"operation": "__init__"}, {"operation": "reread"},
    {"operation": "status", "arguments": []}, {"operation": "status", "arguments": {"self": 1}},
    *({"operation": "delete-target", "arguments": {"tid": tid}} for tid in ("1", None, 1.0, 1e999, [1], {"tid": 1})),
    {"operation": "create-target", "arguments": {"tid": 0, "name": "\ud800"}},
    {"operation": "create-target", "arguments": {"tid": 0, "name": "a\0b"}},
    {"operation": "create-lun", "arguments": {"tid": 1, "lun": -1, "parameters": "Type=nullio"}},
    {"operation": "create-lun", "arguments": {"tid": 1, "lun": 2, "parameters": "Path=/\0"}},
    {"operation": "create-lun", "arguments": {"tid": 1, "lun": 2, "parameters": "\0"}},
    {"operation": "update-target", "arguments": {"tid": 1, "values": {"Wthreads": None}}},
    {"operation": "update-target", "arguments": {"tid": 1, "values": {"Wthreads": ["1"]}}},
    {"operation": "update-target", "arguments": {"tid": 1, "values": {"span": "1"}}},
    {"operation": "create-account", "arguments": {"tid": 1, "outgoing": 0, "name": "a", "secret": "b"}},
)


def sent(path: str, data: bytes) -> bytes:
    """What comes back for these bytes, and nothing more from us."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(path)
        with contextlib.suppress(OSError):  # it may stop listening half-way
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                answer += piece
        return answer


@pytest.mark.parametrize("data", [
    *(pytest.param(data, id=name) for name, data in GARBAGE.items()),
    *(
        pytest.param(len(text).to_bytes(4, "big") + text, id=text.decode())
        for text in (json.dumps(message).encode() for message in FORGED)
    ),
])
def test_garbage_costs_nothing_but_its_own_connection(
    two_luns: Daemon, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    before = two_luns.volume()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(two_luns.control)
        answer = sent(two_luns.control, data)
        assert two_luns.ietadm("--op", "show", "--tid=1").status == 0
    assert not answer or "error" in json.loads(answer[4:])
    assert two_luns.volume() == before
    assert two_luns.do("--op", "show", "--tid=1", "--user") == ""
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# Many, long and strange -----------------------------------------------------------------------------------------------


def test_many_at_once(daemon: Daemon) -> None:
    """Each as a script starts them in the background; IET's ietd took one after the other, and none was refused."""
    answers: list[Any] = []

    def one(number: int) -> None:
        call = functools.partial(ask, daemon.control)
        try:
            tid = call("create-target", {"tid": 0, "name": f"t{number}"})
            for lun in range(3):
                call("create-lun", {"tid": tid, "lun": lun, "parameters": "Type=nullio"})
            call("create-account", {"tid": tid, "outgoing": False, "name": f"u{number}", "secret": "x"})
            call("delete-lun", {"tid": tid, "lun": 1})
            if number % 2:
                call("delete-target", {"tid": tid})
            answers.append(tid)
        except AdminError as error:
            answers.append(error)

    callers = [threading.Thread(target=one, args=(number,)) for number in range(60)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert sorted(answers, key=str) == sorted(range(1, 61), key=str)
    assert sorted(re.findall("name:t([0-9]+)", daemon.volume()), key=int) == [str(each) for each in range(0, 60, 2)]
    assert daemon.volume().count("\tlun:0 ") == daemon.volume().count("\tlun:2 ") == 30
    assert "\tlun:1 " not in daemon.volume()


def test_a_thousand_targets(tmp_path: Path) -> None:
    names = [f"iqn.2001-04.com.example:{number}" for number in range(1000)]
    with Daemon(tmp_path, "".join(f"Target {name}\nLun 0 Type=nullio\n" for name in names)) as daemon:
        daemon.do("--op", "new", "--tid=0", "--params=Name=x")
        daemon.do("--op", "delete", "--tid=500")
        daemon.do("--op", "new", "--tid=1000", "--lun=16383", "--params=Type=nullio")
        volume = daemon.volume().splitlines()
        assert volume[0] == "tid:1001 name:x"
        assert len(volume) == 1 + 2 * 999 + 1
        client = daemon.dial()
        client.login(LoginPlan())
        assert len(client.discover()) == 1000
        daemon.login(names[998]).test_unit_ready(0)


def test_long_parameters(daemon: Daemon, tmp_path: Path) -> None:
    """IET took at most 2047 bytes; longer ones here are no reason to fail, as long as the system bears them."""
    deep = tmp_path
    while len(str(deep)) < 3500:
        deep /= "d" * 200
    deep.mkdir(parents=True)
    path = make_disk(deep / "disk")
    daemon.do("--op", "new", "--tid=0", "--params=Name=t")
    daemon.do("--op", "new", "--tid=1", "--lun=0", f"--params=Path={path}")
    daemon.do("--op", "new", "--tid=1", "--lun=1", "--params=" + "," * 100_000 + "Type=nullio")
    assert daemon.volume().splitlines()[1].endswith(f" path:{path}")
    too_long = daemon.ietadm("--op", "new", "--tid=1", "--lun=2", f"--params=Path=/{'x/' * 4000}")
    assert (too_long.status, too_long.err) == (220, "File name too long.\n")
    user = ("--op", "new", "--tid=1", "--user")
    daemon.do(*user, f"--params=IncomingUser={'u' * 255},Password={'p' * 255}")  # as much as the file may say
    assert daemon.do("--op", "show", "--tid=1", "--user", f"--params=IncomingUser={'u' * 255}").endswith("pp\n")
    refused = daemon.ietadm(*user, f"--params=IncomingUser={'u' * 256},Password=p")
    assert (refused.status, refused.err) == (234, "Invalid argument.\n")


def test_bytes_that_are_no_text(daemon: Daemon) -> None:
    """Names were bytes to IET; what came in comes out."""
    name = b"iqn.x:\xff\xfe\xe9"
    path = os.fsencode(make_disk(daemon.directory / "disk")) + b"\xff\xc3"
    os.rename(daemon.directory / "disk", path)
    for words in (
        [b"--op=new", b"--tid=0", b"--params=Name=" + name],
        [b"--op=new", b"--tid=1", b"--lun=0", b"--params=Path=" + path],
        [b"--op=new", b"--tid=1", b"--user", b"--params=IncomingUser=\xe9,Password=\xff\xff"],
    ):
        assert daemon.ietadm(*(os.fsdecode(word) for word in words)) == Ended(0, "", "")
    assert (daemon.published / "volume").read_bytes() == (
        b"tid:1 name:%b\n\tlun:0 state:0 iotype:fileio iomode:wt blocks:2048 blocksize:512 path:%b\n" % (name, path)
    )
    shown = process(daemon, ["--op=show", "--tid=1", "--user", os.fsdecode(b"-pIncomingUser=\xe9")])
    assert (shown.status, os.fsencode(shown.out)) == (0, b"IncomingUser \xe9 \xff\xff\n")
    unknown = process(daemon, ["--op=update", "--tid=1", os.fsdecode(b"--params=\xff=1")])
    assert (unknown.status, os.fsencode(unknown.err)) == (234, b'Unknown parameter "\xff".\n')
