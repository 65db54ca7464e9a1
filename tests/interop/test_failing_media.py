"""Real files and devices that fail, below the real daemon: what docs/reliability.md says holds of them, too (root)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.errors import CommandFailed
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.pdu import NO_TAG
from ietpy.scsi import lun as lun_field
from tests.stores.conftest import mounted, run, small_ext4, sparse_file

pytestmark = pytest.mark.usefixtures("root")

TARGET = "iqn.2001-04.com.example:failing"
SIZE = 8 << 20
MIB = bytes(1 << 20)
HEALTHY = 0
READ_ERROR, WRITE_ERROR, FULL = (3, 0x1100), (3, 0x0C00), (7, 0x2707)
ABORT_TASK, LOGICAL_UNIT_RESET = 1, 5
PATIENCE = 60.0


class World:
    """A daemon whose LUN 0 is well, and LUN 1 on the medium of a test; two sessions, one for each."""

    def __init__(self, serve: Any, directory: Path, medium: str, options: str) -> None:
        well = sparse_file(directory / "well.img", SIZE)
        self.daemon = serve(
            f"Target {TARGET}\n\tLun 0 Path={well},Type=fileio\n\tLun 1 Path={medium},{options}\n")
        self.one, self.other = self.clients = [self.session(1), self.session(2)]

    def session(self, number: int) -> Client:
        client = Client.connect("127.0.0.1", self.daemon.port, timeout=PATIENCE)
        client.login(LoginPlan(f"iqn.2001-04.com.example:initiator{number}", TARGET))
        client.test_unit_ready(0)
        client.test_unit_ready(1)
        return client

    def fails(self, what: Callable[[], object]) -> tuple[int, int]:
        """(sense key, additional sense code) of what must fail; then the others, and the connection, are well."""
        with pytest.raises(CommandFailed) as failure:
            what()
        self.well()
        sense = failure.value.sense
        return sense[2] & 0x0F, sense[12] << 8 | sense[13]

    def well(self) -> None:
        self.one.write(HEALTHY, 0, b"w" * 512)
        assert self.other.read(HEALTHY, 0, 1) == b"w" * 512
        assert self.one.manage(LOGICAL_UNIT_RESET, HEALTHY) == 0

    def close(self) -> None:
        clients, self.clients = self.clients, []
        for client in clients:
            client.logout()


@pytest.fixture
def make(serve: Any, tmp_path: Path) -> Iterator[Callable[..., World]]:
    with ExitStack() as stack:

        def make(medium: Any, options: str = "Type=fileio") -> World:
            world = World(serve, tmp_path, str(medium), options)
            stack.callback(world.close)
            return world

        yield make


@pytest.mark.parametrize("mode", ["wt", "wb"])
def test_a_file_that_shrinks(make: Callable[..., World], tmp_path: Path, mode: str) -> None:
    image = sparse_file(tmp_path / "disk.img", SIZE)
    world = make(image, f"Type=fileio,IOMode={mode}")
    world.one.write(1, 0, b"a" * 512)
    os.truncate(image, 4096)
    assert world.fails(lambda: world.one.read(1, 1000, 1)) == READ_ERROR
    assert world.fails(lambda: world.one.read(1, 0, 1024)) == READ_ERROR  # sent from the file as far as it goes
    assert world.one.read(1, 0, 1) == b"a" * 512
    world.one.write(1, 1000, b"b" * 512)  # it grows again
    assert world.one.read(1, 1000, 1) == b"b" * 512
    world.one.synchronize_cache(1)


def test_a_file_that_is_removed_or_replaced_is_served_as_it_was(make: Callable[..., World], tmp_path: Path) -> None:
    image, instead = sparse_file(tmp_path / "disk.img", SIZE), sparse_file(tmp_path / "instead.img", SIZE)
    world = make(image)
    world.one.write(1, 0, b"a" * 512)
    image.unlink()
    world.one.write(1, 1, b"b" * 512)
    instead.rename(image)
    world.one.write(1, 2, b"c" * 512)
    world.one.synchronize_cache(1)
    assert world.other.read(1, 0, 3) == b"a" * 512 + b"b" * 512 + b"c" * 512
    assert not any(image.read_bytes()), "what took its name is somebody else's"


@pytest.mark.parametrize("options", ["Type=blockio", "Type=fileio"])
def test_a_loop_device_whose_file_is_cut_short(make: Callable[..., World], tmp_path: Path, options: str) -> None:
    image = sparse_file(tmp_path / "disk.img", SIZE)
    device = run("losetup", "--find", "--show", "--direct-io=on", str(image))
    try:
        world = make(device, options)
        world.one.write(1, 0, b"a" * 512)
        world.one.synchronize_cache(1)
        os.truncate(image, 4096)
        assert world.fails(lambda: world.one.read(1, 8000, 1)) == READ_ERROR
        assert world.fails(lambda: world.one.read(1, 8000, 512)) == READ_ERROR
        assert world.one.read(1, 0, 1) == b"a" * 512
        world.one.write(1, 8000, b"b" * 4096)  # the loop device writes where there is nothing
        assert world.one.read(1, 8000, 8) == b"b" * 4096
    finally:
        run("losetup", "--detach", device)  # lazy: it goes when the daemon lets go of it


@pytest.mark.parametrize(("kind", "mode"), [("tmpfs", "wt"), ("ext4", "wb")])
def test_a_disk_that_is_full(make: Callable[..., World], serve: Any, tmp_path: Path, kind: str, mode: str) -> None:
    """A sparse file that can be written until there is no space; and again when there is some."""
    with ExitStack() as stack:
        directory = stack.enter_context(
            mounted("-t", "tmpfs", "-o", "size=4m", "tmpfs", at=tmp_path / "small") if kind == "tmpfs"
            else small_ext4(tmp_path, 8 << 20))
        ballast = directory / "ballast"
        ballast.write_bytes(MIB)
        world = make(sparse_file(directory / "disk.img", SIZE), f"Type=fileio,IOMode={mode}")
        written = 0

        def write_all() -> None:
            nonlocal written
            for written in range(8):
                world.one.write(1, written * 2048, bytes([written + 1]) * len(MIB), fua=mode == "wb")

        assert world.fails(write_all) == FULL
        assert written > 1
        for number in range(written):  # what was answered is there
            assert world.other.read(1, number * 2048, 1) == bytes([number + 1]) * 512
        world.one.synchronize_cache(1)  # and nothing of it is lost
        ballast.unlink()
        world.one.write(1, written * 2048, b"z" * 65536)
        assert world.other.read(1, written * 2048, 128) == b"z" * 65536
        world.close()
        serve.stop()  # before its file system is unmounted


def test_a_file_system_that_does_not_answer(make: Callable[..., World], serve: Any, tmp_path: Path) -> None:
    """Frozen, so writing waits without end. Others go on, also in its session; functions about others and logouts are
    answered. An abort of what waits is when it has ended: nothing of it may be written later."""
    with small_ext4(tmp_path, 32 << 20) as directory:
        world = make(sparse_file(directory / "disk.img", SIZE), "Type=fileio,IOMode=wb")
        third = world.session(3)
        world.one.write(1, 0, b"a" * 512)
        forced = bytes.fromhex("2a 08 00000800 00 0008 00")
        run("fsfreeze", "--freeze", str(directory))
        try:
            waits = world.one.submit(1, forced, write=b"b" * 4096)
            aborted = world.one.submit(1, forced, write=b"c" * 4096)
            world.well()  # also by the session whose write waits
            assert world.other.read(1, 0, 1) == b"a" * 512, "what is in the cache waits for nobody"
            function = world.one.session.manage(ABORT_TASK, lun_field.encode(1), aborted, NO_TAG)
            world.one.ping()
            assert function not in world.one.session.results
            third.submit(1, forced, write=b"d" * 4096)
            third.ping()
            assert third.logout().response == 0
            world.well()
        finally:
            run("fsfreeze", "--unfreeze", str(directory))
        assert world.one.wait(waits).status == 0
        assert world.one.wait(function) == 0
        assert world.one.read(1, 2048, 1)[:1] in (b"b", b"c", b"d")
        world.close()
        serve.stop()


def test_a_file_system_that_takes_nothing_into_its_cache_keeps_one_session(
    make: Callable[..., World], serve: Any, tmp_path: Path
) -> None:
    """A write-through write begins in the connection's own thread, where the cache is not expected to wait."""
    with small_ext4(tmp_path, 32 << 20) as directory:
        world = make(sparse_file(directory / "disk.img", SIZE))
        world.one.write(1, 0, b"a" * 512)
        run("fsfreeze", "--freeze", str(directory))
        try:
            waits = world.one.submit(1, bytes.fromhex("2a 00 00000800 00 0008 00"), write=b"b" * 4096)
            world.other.write(HEALTHY, 0, b"o" * 512)
            assert world.other.read(1, 0, 1) == b"a" * 512
            third = world.session(3)
            assert third.logout().response == 0
        finally:
            run("fsfreeze", "--unfreeze", str(directory))
        assert world.one.wait(waits).status == 0
        world.close()
        serve.stop()
