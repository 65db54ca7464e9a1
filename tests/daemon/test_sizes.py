"""Media that change their size: who is told, what is waited for, and what is refused."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.daemon import sizes
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.errors import AdminError, StoreError
from ietpy.scsi.asc import Asc

SIZE = 1 << 20


class Transport:
    """Commands are under way for so many looks."""

    def __init__(self) -> None:
        self.looks = 0

    def under_way(self, unit: Any) -> Callable[[], bool]:
        def busy() -> bool:
            self.looks -= 1
            return self.looks >= 0

        return busy

    def follow(self, target: Any) -> None: ...

    def retire(self, target: Any) -> None: ...


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(SIZE))
    return path


@pytest.fixture
def inventory(disk: Path) -> Iterator[Inventory]:
    """One file as LUN of two targets, with blocks of 512 and of 4096 bytes."""
    text = f"Target a\n\tLun 0 Path={disk}\n\tLun 1 Type=nullio\nTarget b\n\tLun 0 Path={disk},BlockSize=4096\n"
    made = Inventory(loads(text), Media())
    made.units.transport = Transport()
    yield made
    assert made.close()


def attention(inventory: Inventory, tid: int) -> Any:
    """A nexus with LUN 0 of a target that has heard of its beginning."""
    unit = inventory.target(tid).units[0].unit
    nexus = unit.attach("iqn.i")
    nexus.attentions.clear()
    return nexus


def test_all_units_over_a_medium_say_the_same(inventory: Inventory, disk: Path) -> None:
    nexuses = [attention(inventory, tid) for tid in (1, 2)]
    assert inventory.resize_lun(2, 0, SIZE * 2, False) == {
        "path": str(disk), "before": SIZE, "after": SIZE * 2, "sessions": 0,
    }
    assert [target.units[0].unit.blocks for target in inventory.all()] == [SIZE * 2 // 512, SIZE * 2 // 4096]
    for nexus in nexuses:
        assert [each.asc for each in nexus.attentions] == [Asc.CAPACITY_DATA_HAS_CHANGED]
    assert disk.stat().st_size == SIZE * 2


def test_nothing_is_cut_off_before_commands_are_over(inventory: Inventory, disk: Path) -> None:
    transport: Any = inventory.units.transport
    transport.looks = 3
    inventory.resize_lun(1, 0, SIZE // 2, True)
    assert transport.looks < 0
    assert disk.stat().st_size == SIZE // 2


def test_where_they_do_not_end_nothing_changes(
    inventory: Inventory, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "PATIENCE", 0.02)
    transport: Any = inventory.units.transport
    transport.looks = 10**9
    with pytest.raises(AdminError, match="commands under way that do not end; try again") as caught:
        inventory.resize_lun(1, 0, SIZE // 2, True)
    assert caught.value.code == errno.EBUSY
    assert [target.units[0].unit.blocks for target in inventory.all()] == [SIZE // 512, SIZE // 4096]
    assert disk.stat().st_size == SIZE


@pytest.mark.parametrize(("lun", "size", "force", "code", "problem"), [
    (0, SIZE + 512, False, errno.EINVAL, "are not whole blocks of 4096 bytes"),
    (0, SIZE - 4096, False, errno.EPERM, "the last 4 KiB would be lost"),
    (1, SIZE, True, errno.EOPNOTSUPP, "nullio has no file"),
    (2, SIZE, False, errno.ENOENT, "a has no LUN 2"),
])
def test_what_is_refused(inventory: Inventory, lun: int, size: int, force: bool, code: int, problem: str) -> None:
    with pytest.raises(AdminError, match=problem) as caught:
        inventory.resize_lun(1, lun, size, force)
    assert caught.value.code == code
    assert inventory.target(1).units[0].unit.blocks == SIZE // 512


def test_what_fails_leaves_all_as_it_was(inventory: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    store = inventory.target(1).units[0].held.store

    def fail(size: int) -> None:
        raise StoreError(errno.ENOSPC, "there is no room")

    monkeypatch.setattr(type(store), "resize", lambda store, size: fail(size))
    for size in (SIZE * 2, SIZE // 2):
        with pytest.raises(AdminError, match="no room"):
            inventory.resize_lun(1, 0, size, True)
        assert inventory.target(1).units[0].unit.blocks == SIZE // 512


def test_a_medium_that_cannot_be_measured_is_passed_over(inventory: Inventory, disk: Path) -> None:
    disk.write_bytes(b"")
    assert sizes.resized(inventory.all(), inventory.media) == {}
    disk.write_bytes(bytes(2048))  # not one block of those with 4096
    assert sizes.resized(inventory.all(), inventory.media) == {"a": {0: (SIZE, 2048)}}
    disk.write_bytes(bytes(SIZE))


def test_a_worker_resizes_what_it_has(fronted: Callable[..., Any], disk: Path) -> None:
    front = fronted(f"Target a\n\tLun 0 Path={disk}\nTarget b\n\tLun 0 Type=nullio\n")
    tid = next(target.tid for target in front.mirror.all() if target.config.name == "a")
    told = front.relay("resize-lun", {"tid": tid, "lun": 0, "size": SIZE * 2, "force": False})
    assert told["after"] == SIZE * 2
    assert front.mirror.facts()[0]["luns"][0]["size"] == SIZE * 2
    disk.write_bytes(bytes(SIZE * 3))
    (step,) = front.relay("plan", {"text": f"Target a\n\tLun 0 Path={disk}\nTarget b\n\tLun 0 Type=nullio\n"})["steps"]
    assert (step["action"], step["target"], step["lun"]) == ("resize", "a", 0)
