"""Looking at a target from outside, against a real one; nothing of it is changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ietpy.initiator import identity, probing
from ietpy.initiator.client import Client
from ietpy.initiator.errors import CommandFailed
from ietpy.initiator.probing import Run
from tests.cli.conftest import A, Daemon, make_disk

CONTENT = bytes(range(256)) * 4096


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    disk = make_disk(tmp_path / "disk.img")
    disk.write_bytes(CONTENT)
    small = make_disk(tmp_path / "small.img", 4096)
    luns = f"Lun 0 Path={disk},Type=fileio\nLun 1 Path={small},Type=fileio,IOMode=ro,BlockSize=4096\n"
    with Daemon(tmp_path, f"Target {A}\n{luns}") as daemon:
        yield daemon.login(A)
    assert disk.read_bytes() == CONTENT


def test_what_a_unit_is(client: Client) -> None:
    found = probing.look(client, 0)
    assert (found.problem, found.inquiry.vendor, found.write_protected) == ("", "IET", False)
    assert found.capacity is not None
    assert (found.capacity.size, found.capacity.block_size, found.physical_block) == (1 << 20, 512, 4096)
    assert found.provisioning in ("thin", "full")
    assert found.serial
    assert {each.kind for each in found.designators} >= {"t10", "port", "name"}
    small = probing.look(client, 1)
    assert small.capacity is not None
    assert (small.capacity.blocks, small.write_protected, small.physical_block) == (1, True, 4096)


def test_where_there_is_none(client: Client) -> None:
    found = probing.look(client, 7)
    assert (found.problem, found.capacity, found.inquiry.device_type) == ("there is no LUN 7", None, identity.NO_UNIT)


class Odd:
    """A client of a unit that is no disk, or a disk without medium; it refuses its page 83h."""

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def inquiry(self, lun: int, page: int | None = None, length: int = 255) -> bytes:
        if page == 0x83:
            raise CommandFailed("INQUIRY", 2, b"")
        return bytes((self.kind, 0x83 if page == 0 else 0, 0, 1)) + b"\x83"

    def test_unit_ready(self, lun: int) -> None:
        raise CommandFailed("TEST UNIT READY", 2, b"\x70\0\x02\0\0\0\0\x0a\0\0\0\0\x3a\0")


@pytest.mark.parametrize(
    ("kind", "problem"), [(5, "it is no disk but a CD or DVD"), (0, "TEST UNIT READY ended with CHECK CONDITION, NOT")]
)
def test_units_that_cannot_be_read(kind: int, problem: str) -> None:
    found = probing.look(Odd(kind), 3)  # type: ignore[arg-type]
    assert found.problem.startswith(problem)
    assert (found.capacity, found.designators) == (None, ())


@pytest.mark.parametrize(("depth", "sequential", "size"), [(1, False, 4096), (8, False, 512), (4, True, 262144)])
def test_reads(client: Client, depth: int, sequential: bool, size: int) -> None:
    run = probing.reads(client, probing.look(client, 0), "x", size, depth, 0.05, sequential=sequential)
    assert (run.size, run.depth) == (size, depth)
    assert run.count >= 1
    assert 0.05 <= run.seconds < 5
    assert run.operations == run.count / run.seconds
    assert run.bytes == run.operations * size
    assert client.session.results == {}


def test_a_read_is_never_larger_than_the_unit(client: Client) -> None:
    assert probing.reads(client, probing.look(client, 1), "x", 262144, 2, 0.01).size == 4096


def test_a_read_that_fails_ends_it(client: Client, tmp_path: Path) -> None:
    unit = probing.look(client, 0)
    (tmp_path / "disk.img").write_bytes(b"")
    with pytest.raises(CommandFailed, match=r"READ\(16\) ended with"):
        probing.reads(client, unit, "x", 4096, 4, 5)
    (tmp_path / "disk.img").write_bytes(CONTENT)


def test_pings(client: Client) -> None:
    run = probing.pings(client, 0.02)
    assert run.count >= 1
    assert sum(run.times) == pytest.approx(run.seconds)


def test_parts_of_a_run() -> None:
    run = Run("x", 512, 1, 2.0, [0.3, 0.1, 0.2, 0.4])
    assert [run.part(part) for part in (0.0, 0.5, 0.99, 1.0)] == [0.1, 0.3, 0.4, 0.4]
    assert (run.operations, run.bytes) == (2.0, 1024.0)
    assert (Run("x", 512, 1).part(0.5), Run("x", 512, 1).operations) == (None, 0.0)
