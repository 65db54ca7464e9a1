from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ietpy.cli import demo as module
from ietpy.cli.demo import CheckFailed, Demo, instructions, listen, serving, verify
from ietpy.cli.ietpy import main
from ietpy.errors import UsageError
from ietpy.initiator.client import Client
from ietpy.initiator.errors import CommandFailed
from ietpy.initiator.login import LoginPlan

SERVED = Demo("192.0.2.7", 3261, "iqn.2010-06.localhost:demo", 0, 64 << 20)


@pytest.fixture
def tmpdir_of_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo makes its directory; must be empty after it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "iscsiadm -m discovery -t sendtargets -p 192.0.2.7:3261",
        "iscsiadm -m node -T iqn.2010-06.localhost:demo -p 192.0.2.7:3261 --login",
        "New-IscsiTargetPortal -TargetPortalAddress 192.0.2.7 -TargetPortalPortNumber 3261",
        "Connect-IscsiTarget -NodeAddress iqn.2010-06.localhost:demo",
        "esxcli iscsi adapter discovery sendtarget add --adapter=vmhba64 --address=192.0.2.7:3261",
        "qemu-img info iscsi://192.0.2.7:3261/iqn.2010-06.localhost:demo/0",
        "qemu-system-x86_64 -m 512 -drive file=iscsi://192.0.2.7:3261/iqn.2010-06.localhost:demo/0,format=raw,if=virtio",
        "sanboot iscsi:192.0.2.7::3261:0:iqn.2010-06.localhost:demo",
    ],
)
def test_instructions_have_the_real_words_in_place(line: str) -> None:
    assert f"  {line}" in instructions(SERVED).splitlines()


def test_instructions_for_an_ipv6_address() -> None:
    text = instructions(Demo("2001:db8::7", 3261, "iqn.a", 0, 1 << 20))
    for words in ("-p [2001:db8::7]:3261", "-TargetPortalAddress 2001:db8::7 ", "iscsi:[2001:db8::7]::3261:0:iqn.a"):
        assert words in text


def test_instructions_say_that_loopback_is_for_this_machine_only() -> None:
    assert "Only this machine" in instructions(Demo("127.0.0.1", 3260, "iqn.a", 0, 512))
    assert "Only this machine" not in instructions(SERVED)


@pytest.mark.parametrize("size", ["512", "1M", "64M"])
def test_check_passes(tmpdir_of_demo: Path, size: str) -> None:
    result = CliRunner().invoke(main, ["demo", "--check", "-p", "0", "--size", size])
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "PASS")
    assert list(tmpdir_of_demo.iterdir()) == []


def test_check_fails_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        nobody = Demo("127.0.0.1", sock.getsockname()[1], "iqn.a", 0, 512)
        assert module._report_check(nobody) == 1
    assert capsys.readouterr().out.startswith("FAIL: no connection to 127.0.0.1 port ")


@pytest.mark.parametrize(
    ("name", "size", "sentence"),
    [
        pytest.param("iqn.other", 1 << 20, "discovery named .*demo; iqn.other was expected", id="another name"),
        pytest.param("", 1 << 21, "the LUN has 1048576 bytes; the image has 2097152", id="another size"),
    ],
)
def test_check_compares(name: str, size: int, sentence: str) -> None:
    said: list[str] = []
    with serving("127.0.0.1", 0, 1 << 20) as served:
        wrong = Demo(served.host, served.port, name or served.name, served.lun, size)
        with pytest.raises(CheckFailed, match=sentence):
            verify(wrong, said.append)


def test_check_notices_lost_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "write", lambda *args, **keys: None)
    with (
        serving("127.0.0.1", 0, 1 << 20) as served,
        pytest.raises(CheckFailed, match="written at block 0 is not what was read back"),
    ):
        verify(served, lambda line: None)


def test_check_tells_of_a_lun_that_is_not_there() -> None:
    with serving("127.0.0.1", 0, 1 << 20) as served, pytest.raises(CommandFailed, match="ASC/ASCQ 2500h"):
        verify(Demo(served.host, served.port, served.name, 7, served.size), lambda line: None)


def test_next_port_is_taken_if_the_first_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setattr(module, "DEFAULT_PORT", taken)
        (found,) = listen("127.0.0.1", None)
        with found:
            assert taken < found.getsockname()[1] < taken + module._PORTS_TRIED
        monkeypatch.setattr(module, "_PORTS_TRIED", 1)
        with pytest.raises(UsageError, match=f"ports {taken} to {taken} of 127.0.0.1 are all taken"):
            listen("127.0.0.1", None)


def test_given_port_that_is_taken(tmpdir_of_demo: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = CliRunner().invoke(main, ["demo", "-p", str(other.getsockname()[1])])
    assert result.exit_code == 2
    assert result.stderr.startswith("ietpy: cannot listen on 127.0.0.1 port ")
    assert list(tmpdir_of_demo.iterdir()) == []


@pytest.mark.parametrize("size", ["0", "ten", "100"])
def test_size_that_cannot_be(tmpdir_of_demo: Path, size: str) -> None:
    result = CliRunner().invoke(main, ["demo", "--check", "--size", size])
    assert result.exit_code == 2
    assert result.stderr.startswith("ietpy: ")
    assert list(tmpdir_of_demo.iterdir()) == []


def test_listening_everywhere_is_checked_by_loopback() -> None:
    with serving("0.0.0.0", 0, 1 << 20) as served:
        assert (served.host, served.near) == (socket.gethostname(), "127.0.0.1")
        verify(served, lambda line: None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_foreground_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "ietpy.cli.ietpy", "demo", "-p", "0", "--size", "1M"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            match = re.fullmatch(
                r"Serving 1 MiB as (\S+), LUN 0, at 127\.0\.0\.1:(\d+)\.\n", process.stdout.readline()
            )
            assert match is not None
            with Client.connect("127.0.0.1", int(match[2])) as client:
                client.login(LoginPlan(target=match[1]))
                assert client.read_capacity(0).size == 1 << 20
                while "Ctrl-C" not in process.stdout.readline():
                    pass
                process.send_signal(number)
                out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "\nThe demo is over; its image is removed.\n", "")
    assert list(tmp_path.iterdir()) == []
