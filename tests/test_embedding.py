"""A target in this process, by one line; and that importing ietpy loads nothing of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ietpy
from ietpy.errors import IetpyError, UsageError
from ietpy.initiator.client import Client
from ietpy.initiator.errors import CommandFailed, LoginRefused
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.initiator.url import parse


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither threads nor files."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    threads = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= threads
    assert list(place.iterdir()) == []


def connect(target: Any, lun: int = 0, **plan: Any) -> Client:
    """As an initiator would that was told the URL."""
    url = parse(target.urls[lun])
    client = Client.connect(url.host, url.port)
    client.login(LoginPlan(target=url.target, **plan))
    client.command(lun, bytes(6))
    return client


def test_a_file_is_served(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"abcd" * 256)
    with ietpy.serve(disk) as target:
        assert target.url == f"iscsi://127.0.0.1:{target.port}/iqn.2010-06.localhost:disk/0"
        assert target.portal == f"127.0.0.1:{target.port}"
        assert target.size == 1024
        with connect(target) as client:
            assert client.read(0, 0, 2) == b"abcd" * 256
            client.write(0, 1, b"new!" * 128)
            (session,) = target.sessions()
            assert (session["reads"], session["writes"]) == (1, 1)
    assert disk.read_bytes()[512:] == b"new!" * 128


def test_a_scratch_disk_goes_with_the_target() -> None:
    target = ietpy.serve(size="1M")
    with connect(target) as client:
        client.write(0, 0, bytes(512))
        assert client.read_capacity(0).size == 1 << 20
    target.close()
    target.close()  # harmless
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((target.address, target.port), 5)


def test_several_disks_are_luns(tmp_path: Path) -> None:
    paths = [tmp_path / "one.img", str(tmp_path / "two.img")]
    with ietpy.serve(*paths, size=1 << 20, block_size=4096, name="iqn.2026-11.test:pair") as target:
        assert [url.rpartition("/")[2] for url in target.urls] == ["0", "1"]
        assert target.name == "iqn.2026-11.test:pair"
        with connect(target) as client:
            client.command(1, bytes(6))
            assert [client.read_capacity(lun).blocks for lun in client.report_luns()] == [256, 256]
        target.resize("2M", disk=1)
    assert [os.path.getsize(path) for path in paths] == [1 << 20, 2 << 20]


def test_changes_are_told() -> None:
    with ietpy.serve(size="1M") as target, connect(target) as client:
        target.resize("2M")
        assert client.command(0, bytes(6)).status == 2  # CAPACITY DATA HAS CHANGED
        assert client.read_capacity(0).size == target.size == 2 << 20
        for read_only in (True, False):
            target.set_read_only(read_only)
            assert client.command(0, bytes(6)).status == 2  # MODE PARAMETERS CHANGED
            if read_only:
                with pytest.raises(CommandFailed, match="2700h"):
                    client.write(0, 0, bytes(512))
        client.write(0, 0, bytes(512))


def test_read_only(tmp_path: Path) -> None:
    served = ietpy.serve(tmp_path / "d.img", size="1M", read_only=True)
    with served as target, connect(target) as client, pytest.raises(CommandFailed, match="2700h"):
        client.write(0, 0, bytes(512))


def test_an_account() -> None:
    with ietpy.serve(size="1M", chap=("joe", "secretsecret")) as target:
        with Client.connect(target.address, target.port) as client, pytest.raises(LoginRefused):
            client.login(LoginPlan(target=target.name))
        connect(target, chap=Chap("joe", "secretsecret")).close()


def test_connections_break_off() -> None:
    with ietpy.serve(size="1M") as target:
        with connect(target) as client:
            target.disconnect()
            assert client.closed_by_target()
        connect(target).close()


def test_ipv6() -> None:
    with ietpy.serve(size="1M", address="::1") as target:
        assert target.portal == f"[::1]:{target.port}"
        connect(target).close()


def test_everywhere_is_reached_nearby() -> None:
    with ietpy.serve(size="1M", address="0.0.0.0") as target:
        assert (target.address, target.near) == ("0.0.0.0", "127.0.0.1")
        connect(target).close()


@pytest.mark.parametrize(("disks", "options", "words"), [
    ((), {}, "there is no disk to serve; name one, or the size"),
    (("/nowhere/d.img",), {}, "/nowhere/d.img does not exist; say how large to make it"),
    ((), {"size": "ten"}, "'ten' is not a size"),
    ((), {"size": "1M", "block_size": 1000}, "1000"),
    (("/dev/null",), {}, "/dev/null"),
    ((), {"size": "1M", "address": "192.0.2.1"}, "cannot listen on 192.0.2.1 port 0"),
])
def test_what_cannot_be_is_a_sentence(disks: tuple[str, ...], options: dict[str, Any], words: str) -> None:
    with pytest.raises(IetpyError) as caught:
        ietpy.serve(*disks, **options)
    assert words in str(caught.value)


def test_a_port_that_is_taken() -> None:
    with ietpy.serve(size="1M") as target, pytest.raises(UsageError, match="port=0 is any that is free"):
        ietpy.serve(size="1M", port=target.port)


def test_what_etc_says_is_for_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "initiators.deny").write_text("ALL ALL\n")
    monkeypatch.setattr("ietpy.config.access.DIRECTORIES", (str(tmp_path),))
    with ietpy.serve(size="1M") as target:
        connect(target).close()


def test_importing_ietpy_loads_nothing() -> None:
    code = "import sys, ietpy; print([name for name in sys.modules if name.startswith('ietpy')])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "['ietpy']\n"


def test_there_is_nothing_else() -> None:
    with ietpy.serve(size="1M") as target:
        assert type(target) is ietpy.Target
    with pytest.raises(AttributeError, match="no attribute 'serves'"):
        _ = ietpy.serves  # type: ignore[attr-defined]
