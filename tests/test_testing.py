"""The pytest plugin, as others use it: whole test files in a pytest of their own, and the disk by itself."""

from __future__ import annotations

import errno
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.errors import CommandFailed
from ietpy.initiator.login import LoginPlan
from ietpy.testing import Access, IscsiDisk, make_disk

pytest_plugins = ["pytester"]

DOCS = Path(__file__).parents[1] / "docs"
READ_10 = bytes.fromhex("28 00 00000000 00 0008 00")
WRITE_10 = bytes.fromhex("2a 00 00000000 00 0008 00")
UNMAP = bytes.fromhex("42 00 00000000 00 0018 00")
SYNCHRONIZE = bytes.fromhex("35") + bytes(9)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[IscsiDisk]:
    made = make_disk(tmp_path / "d.img", size="1M")
    yield made
    made.close()


@pytest.fixture
def client(disk: IscsiDisk) -> Iterator[Client]:
    with connect(disk) as made:
        yield made


def connect(disk: IscsiDisk) -> Client:
    host, _, port = disk.portal.rpartition(":")
    client = Client.connect(host, int(port))
    client.login(LoginPlan(target=disk.name))
    client.command(0, bytes(6))
    return client


# As others use it -----------------------------------------------------------------------------------------------------


def python_of(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def test_the_test_of_the_page_passes(pytester: pytest.Pytester) -> None:
    (test,) = [block for block in python_of("embedding.md") if "def test_" in block]
    pytester.makepyfile(test)
    pytester.runpytest_subprocess("-p", "ietpy.testing", "-W", "error").assert_outcomes(passed=2)


@pytest.mark.parametrize("number", [0, 1])
def test_the_programs_of_the_page_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    programs = [block for block in python_of("embedding.md") if "def test_" not in block]
    assert len(programs) == 2
    exec(compile(programs[number], "embedding.md", "exec"), {})


def test_fixtures_are_listed_with_what_they_are(pytester: pytest.Pytester) -> None:
    out = pytester.runpytest_subprocess("-p", "ietpy.testing", "--fixtures").stdout.str()
    assert "An iSCSI disk of 16 MiB on a free port of this machine, with faults and delays on demand." in out
    assert "make_iscsi_disk" in out


def test_nothing_is_left_of_a_test_that_fails_while_commands_wait(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import threading
        from ietpy.initiator.client import Client
        from ietpy.initiator.login import LoginPlan

        def test_fails(iscsi_disk):
            host, _, port = iscsi_disk.portal.rpartition(":")
            client = Client.connect(host, int(port))
            client.login(LoginPlan(target=iscsi_disk.name))
            client.command(0, bytes(6))
            iscsi_disk.delay(60)
            client.submit(0, bytes.fromhex("28 00 00000000 00 0008 00"), read=4096)
            while not iscsi_disk.reads:
                pass
            assert False

        def test_after():
            assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
    """)
    pytester.runpytest_subprocess("-p", "ietpy.testing").assert_outcomes(passed=1, failed=1)


def test_loading_the_plugin_loads_no_target(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_nothing():
            assert not {name for name in sys.modules if name.startswith("ietpy.")} - {"ietpy.testing"}
    """)
    pytester.runpytest_subprocess("-p", "ietpy.testing").assert_outcomes(passed=1)


# The disk -------------------------------------------------------------------------------------------------------------


def test_what_was_asked_for_is_noted(disk: IscsiDisk, client: Client) -> None:
    client.write(0, 8, bytes(1024))
    client.read(0, 0, 1)
    client.synchronize_cache(0)
    assert disk.writes == [Access(4096, 1024)]
    assert disk.reads == [Access(0, 512)]
    assert disk.flushes == 1
    disk.forget()
    assert (disk.reads, disk.writes, disk.flushes) == ([], [], 0)


@pytest.mark.parametrize(("kind", "error", "words"), [
    ("read", errno.EIO, "MEDIUM ERROR"), ("write", errno.ENOSPC, "2707h"),
    ("write", errno.EIO, "MEDIUM ERROR"), ("flush", errno.EIO, "MEDIUM ERROR"),
])
def test_the_next_command_fails_and_no_other(
    disk: IscsiDisk, client: Client, kind: str, error: int, words: str
) -> None:
    commands = {
        "read": lambda: client.read(0, 0, 1), "write": lambda: client.write(0, 0, bytes(512)),
        "flush": lambda: client.synchronize_cache(0),
    }
    disk.fail_next(kind, error)
    for other in commands.keys() - {kind}:
        commands[other]()
    with pytest.raises(CommandFailed, match=words):
        commands[kind]()
    commands[kind]()


def test_some_fail_and_heal(disk: IscsiDisk, client: Client) -> None:
    disk.fail_next("read", times=2)
    for _ in range(2):
        with pytest.raises(CommandFailed):
            client.read(0, 0, 1)
    client.read(0, 0, 1)
    disk.fail("write")
    for _ in range(2):
        with pytest.raises(CommandFailed):
            client.write(0, 0, bytes(512))
    disk.heal()
    client.write(0, 0, bytes(512))


def test_only_what_touches_the_place_fails(disk: IscsiDisk, client: Client) -> None:
    disk.fail("read", where=range(1000, 1100))
    client.read(0, 0, 1)
    client.read(0, 3, 1)
    for lba, blocks in ((1, 1), (2, 1), (0, 8)):
        with pytest.raises(CommandFailed):
            client.read(0, lba, blocks)


def test_what_is_discarded_or_zeroed_is_written(disk: IscsiDisk, client: Client) -> None:
    disk.poke(0, b"x" * 4096)
    block = bytes.fromhex("0016 0010 00000000") + (0).to_bytes(8, "big") + (8).to_bytes(4, "big") + bytes(4)
    assert client.command(0, UNMAP, write=block).status == 0
    assert disk.writes == [Access(0, 4096)]
    assert disk.peek(0, 4096) == bytes(4096)
    disk.fail_next("write")
    assert client.command(0, UNMAP, write=block).status == 2
    same = bytes.fromhex("41 00 00000000 00 0008 00")  # WRITE SAME of zeros
    disk.poke(0, b"x" * 4096)
    assert client.command(0, same, write=bytes(512)).status == 0
    assert disk.peek(0, 4096) == bytes(4096)


def test_commands_are_held(disk: IscsiDisk, client: Client) -> None:
    with disk.held("read"):
        tags = [client.submit(0, READ_10, read=4096) for _ in range(20)]
        disk.await_held("read", 20)
        client.write(0, 0, bytes(512))
    for tag in tags:
        assert client.wait(tag).status == 0


def test_a_delay_is_how_long_it_takes(disk: IscsiDisk, client: Client) -> None:
    disk.delay(0.1, "read")
    began = time.monotonic()
    tags = [client.submit(0, READ_10, read=4096) for _ in range(8)]
    for tag in tags:
        assert client.wait(tag).status == 0
    assert 0.1 <= time.monotonic() - began < 0.8  # side by side
    disk.delay(30)
    tag = client.submit(0, READ_10, read=4096)
    while len(disk.reads) < 9:
        time.sleep(0.001)
    disk.delay(0)  # also for who waits
    assert client.wait(tag).status == 0


def test_it_changes_while_it_is_used(disk: IscsiDisk, client: Client) -> None:
    disk.resize("2M")
    assert client.command(0, bytes(6)).status == 2
    assert client.read_capacity(0).size == disk.size == 2 << 20
    disk.set_read_only()
    assert client.command(0, bytes(6)).status == 2
    with pytest.raises(CommandFailed, match="2700h"):
        client.write(0, 0, bytes(512))
    disk.disconnect()
    assert client.closed_by_target()
    with connect(disk) as again:
        assert again.read(0, 0, 1) == bytes(512)


def test_what_never_comes_is_a_timeout(disk: IscsiDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ietpy.testing._PATIENCE", 0.01)
    with pytest.raises(TimeoutError, match="0 of 1 reads came"):
        disk.await_held("read")


@pytest.mark.parametrize("name", ["fail_next", "fail", "await_held"])
def test_kinds_are_read_write_and_flush(disk: IscsiDisk, name: str) -> None:
    with pytest.raises(ValueError, match="'reads' is no kind of command; there are read, write, flush"):
        getattr(disk, name)("reads")


def test_closing_a_disk_lets_go_of_who_waits(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "d.img", size="1M")
    client = connect(disk)
    disk.delay(60)
    client.submit(0, READ_10, read=4096)
    while not disk.reads:
        time.sleep(0.001)
    began = time.monotonic()
    disk.close()
    assert time.monotonic() - began < 10
    client.close()
    assert not [thread for thread in threading.enumerate() if "worker" in thread.name]
