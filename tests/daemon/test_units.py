"""Logical units: offered when their medium is open, let go when nobody uses it, and what is noted of them."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.config.model import LunConfig, TargetConfig
from ietpy.daemon.assemble import LunRefused
from ietpy.daemon.media import Media
from ietpy.daemon.served import ServedTarget
from ietpy.daemon.units import Problems, Units
from ietpy.errors import Diagnostic, Span, StoreError
from ietpy.iscsi.target import TargetNode
from ietpy.scsi.asc import Asc
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.sense import CheckCondition
from ietpy.scsi.status import SenseKey
from ietpy.scsi.store import Capabilities

NAME = "iqn.2001-04.com.example:t"


class Store:
    size, block_size, physical_block_size = 1 << 20, 512, 4096
    capabilities = Capabilities()

    def __init__(self) -> None:
        self.closed = 0
        self.written = threading.Event()
        self.written.set()

    def flush(self) -> None:
        assert self.written.wait(30)

    def close(self) -> None:
        self.closed += 1


class Transport:
    def __init__(self) -> None:
        self.over = threading.Event()

    def under_way(self, unit: Any) -> Callable[[], bool]:
        return lambda: not self.over.is_set()

    def follow(self, target: Any) -> None: ...

    def retire(self, target: Any) -> None: ...


class Site:
    """One target, and files that can be opened but for one called ``gone``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stores: list[Store] = []
        self.told = threading.Semaphore(0)
        config = TargetConfig(NAME, Span("ietd.conf", 1, 1))
        node = TargetNode(NAME, ScsiDevice(NAME, threading.RLock()))
        self.target = ServedTarget(1, config, node)
        self.units = Units(
            Media(opener=self.open), threading.RLock(), lambda: [self.target], self.told.release
        )

    def open(self, type: str, path: str, **_: Any) -> Any:
        if path.endswith("gone"):
            raise StoreError(errno.ENOENT, "nothing there")
        self.stores.append(Store())
        return self.stores[-1]

    def line(self, number: int, name: str, **more: Any) -> LunConfig:
        (self.directory / name).touch()
        return LunConfig(number, Span("ietd.conf", number + 2, 1), path=str(self.directory / name), **more)

    def notes(self) -> list[str]:
        return [f"{problem.span.line} {problem.code}" for problem in self.units.problems.all()]


@pytest.fixture
def site(tmp_path: Path) -> Any:
    made = Site(tmp_path)
    yield made
    for store in made.stores:
        store.written.set()
    for thread in threading.enumerate():
        if thread.name == "leaving":
            thread.join(20)
    made.units.close()


def test_a_unit_is_offered_and_let_go(site: Site) -> None:
    site.units.add(site.target, site.line(3, "a"))
    assert list(site.target.node.device.logical_units) == [3]
    assert site.units.withdraw(site.target, 3).wait(20)  # before there is a server nothing is under way
    assert not site.target.node.device.logical_units
    assert site.target.leaving == []
    assert site.stores[0].closed == 1
    assert site.told.acquire(timeout=20)


def test_its_medium_is_kept_while_commands_use_it(site: Site) -> None:
    transport = site.units.transport = Transport()
    site.units.add(site.target, site.line(3, "a"))
    gone = site.units.withdraw(site.target, 3)
    assert not gone.is_set()
    assert [unit.config.number for unit in site.target.leaving] == [3]
    assert site.stores[0].closed == 0
    transport.over.set()
    assert gone.wait(20)
    assert site.stores[0].closed == 1


def test_what_cannot_be_opened_or_does_not_suit_is_refused_and_leaves_nothing_open(site: Site) -> None:
    with pytest.raises(LunRefused, match="nothing there"):
        site.units.add(site.target, site.line(0, "gone"))
    with pytest.raises(LunRefused, match="less than one block"):
        site.units.add(site.target, site.line(0, "a", block_size=1 << 30))
    assert [store.closed for store in site.stores] == [1]
    site.units.attempt(site.target, site.line(0, "gone"))
    assert site.notes() == ["2 lun-not-served"]
    site.units.expect([])
    assert site.notes() == []


def test_a_line_that_came_too_early_is_tried_again(site: Site) -> None:
    old, new = site.line(0, "a", read_only=True), site.line(0, "a")
    site.units.add(site.target, old)
    site.stores[0].written.clear()
    gone = site.units.withdraw(site.target, 0)
    site.target.config = TargetConfig(NAME, Span("ietd.conf", 1, 1), luns=(new, site.line(1, "b")))
    site.units.attempt(site.target, new)
    assert site.notes() == ["2 lun-not-served"]
    site.stores[0].written.set()
    assert gone.wait(20)
    assert site.told.acquire(timeout=20)
    assert list(site.target.units) == [0]
    assert site.notes() == []


def test_units_over_one_medium_exclude_one_another(site: Site) -> None:
    for number, name in enumerate("aab"):
        site.units.add(site.target, site.line(number, name))
    first, second, third = (site.target.units[number].unit.exclusion for number in range(3))
    assert first is second
    assert first is not third


def test_at_the_end_nothing_is_tried_again(site: Site) -> None:
    line = site.line(0, "a")
    site.units.add(site.target, line)
    site.target.config = TargetConfig(NAME, Span("ietd.conf", 1, 1), luns=(line,))
    transport = site.units.transport = Transport()
    site.units.withdraw(site.target, 0)
    site.units._unserved.add(line.path)
    site.units.close()
    transport.over.set()
    assert site.told.acquire(timeout=20)
    assert site.target.units == {}


def test_what_is_noted_of_shared_and_replaced_media(site: Site) -> None:
    lines = [site.line(0, "a"), site.line(1, "a"), site.line(2, "b")]
    for line in lines:
        site.units.add(site.target, line)
    assert site.notes() == ["3 shared-medium"]
    site.line(9, "new")
    (site.directory / "new").rename(site.directory / "b")
    site.units.expect([])
    site.units.look()
    assert site.notes() == ["3 shared-medium", "4 medium-replaced"]
    moved = LunConfig(1, Span("ietd.conf", 30, 1), path=lines[1].path)
    site.units.moved(site.target.units[1], moved)
    site.units.expect([])
    site.units.look()
    assert site.notes() == ["4 medium-replaced", "30 shared-medium"]


@pytest.mark.parametrize(("state", "sentence"), [
    ({}, ""),
    ({"ejected": True}, ""),
    ({"operation": SimpleNamespace(condition=lambda: CheckCondition(
        SenseKey.NOT_READY, Asc.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS, progress=0xFFFF
    ))}, "LOGICAL UNIT NOT READY SANITIZE IN PROGRESS (99 %); initiators can use it again when that has ended"),
    ({"sanitize_failed": True}, "SANITIZE COMMAND FAILED; sanitize it again, from an initiator"),
    ({"format_corrupt": True}, "MEDIUM FORMAT CORRUPTED; format or sanitize it, from an initiator"),
])
def test_units_that_serve_nobody_are_told(site: Site, state: dict[str, Any], sentence: str) -> None:
    site.units.add(site.target, site.line(0, "a"))
    for name, value in state.items():
        setattr(site.target.units[0].unit.readiness, name, value)
    assert [str(problem) for problem in site.units.by_initiators()] == [
        f"ietd.conf:2:1: warning: LUN 0 of {NAME} serves nobody: {each}" for each in [sentence] if each
    ]


def test_units_that_initiators_protect_are_told(site: Site) -> None:
    """SWP may have been saved, so it outlives the daemon and whoever set it."""
    site.units.add(site.target, site.line(0, "a"))
    site.target.units[0].unit.set_software_write_protect(True)
    assert [str(problem) for problem in site.units.by_initiators()] == [
        f"ietd.conf:2:1: warning: LUN 0 of {NAME} is write protected by an initiator;"
        " have one clear SWP of the control mode page"
    ]


def test_sharing_with_what_is_let_go_is_not_noted(site: Site) -> None:
    transport = site.units.transport = Transport()
    site.units.add(site.target, site.line(0, "a"))
    site.units.withdraw(site.target, 0)
    site.units.add(site.target, site.line(1, "a"))
    assert site.notes() == []
    assert len(site.stores) == 1
    transport.over.set()


def test_problems_are_by_target_and_lun() -> None:
    problems = Problems()
    config = TargetConfig(NAME, Span("f", 1, 1))
    for line, number in ((5, 1), (3, 0), (1, None)):
        problems.note(config, number, Diagnostic(Span("f", line, 1), "error", "x", "y"))
    before = problems.all()
    assert [problem.span.line for problem in before] == [1, 3, 5]
    problems.forget(TargetConfig(NAME.upper(), Span("f", 1, 1)), 0)
    assert [problem.span.line for problem in problems.all()] == [1, 5]
    problems.forget(TargetConfig("other", Span("f", 1, 1)))
    assert len(problems.all()) == 2
    problems.forget(config)
    assert problems.all() == []
    assert len(before) == 3
