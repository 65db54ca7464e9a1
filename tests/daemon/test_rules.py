"""Who may use a target: companion files, restrictions and iSNS together, and which rules are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ietpy.config.access import AccessFiles
from ietpy.config.model import Configuration, TargetConfig
from ietpy.daemon.rules import Rules
from ietpy.errors import Span
from ietpy.iscsi.target import Asker

NAME = "iqn.2001-04.com.example:t"
ASKER = Asker("iqn.a", "10.0.0.7", "10.0.0.1")


class Gate:
    def __init__(self, admitted: bool) -> None:
        self.admitted = admitted
        self.refreshed = 0

    def admits(self, target: str, initiator: str) -> bool:
        assert (target, initiator) == (NAME, "iqn.a")
        return self.admitted

    def refresh(self) -> None:
        self.refreshed += 1


def target(**more: Any) -> TargetConfig:
    return TargetConfig(NAME, Span("ietd.conf", 1, 1), **more)


def file(isns: bool = False, compat: str = "repair") -> Configuration:
    return Configuration("ietd.conf", compat=compat, isns_server="h", isns_access_control=isns)


@pytest.fixture
def files(tmp_path: Path) -> AccessFiles:
    return AccessFiles(str(tmp_path))


@pytest.mark.parametrize(("gate", "admitted"), [(None, False), (Gate(False), False), (Gate(True), True)])
def test_isns_is_asked_last(files: AccessFiles, gate: Gate | None, admitted: bool) -> None:
    rules = Rules(file(isns=True), files)
    rules.gate = gate
    assert rules.of(target())(ASKER) is admitted
    assert not rules.of(target(initiator_names=("iqn.b",)))(ASKER)


def test_it_is_asked_during_a_reload_if_it_is_before_or_after(files: AccessFiles) -> None:
    for before, after in ((True, False), (False, True)):
        rules = Rules(file(before), files)
        rule = rules.of(target())
        rules.begin(file(after))
        assert not rule(ASKER)
        rules.settle(file(after))
        assert rule(ASKER) is not after


def test_rules_that_let_in_the_same_are_equal(files: AccessFiles) -> None:
    rules = Rules(file(), files)
    rule = rules.of(target(initiator_names=("iqn.a",)))
    assert rule == rules.of(target(initiator_names=("iqn.a",), wthreads=2))
    assert rule != rules.of(target())
    rules.begin(file(isns=True))
    assert rule != rules.of(target(initiator_names=("iqn.a",)))


def test_the_mode_of_the_file_is_that_of_the_companion_files(files: AccessFiles, tmp_path: Path) -> None:
    (tmp_path / "initiators.allow").write_text(f"{NAME} 10.0.0.7/32\n")
    rules = Rules(file(), files)
    rule = rules.of(target())
    assert rule(ASKER)
    rules.begin(file(compat="iet"))
    assert not rules.of(target())(ASKER)
    assert rule != rules.of(target())


def test_whoever_decides_hears_of_targets(files: AccessFiles) -> None:
    rules = Rules(file(), files)
    rules.refresh()
    gate = rules.gate = Gate(True)
    rules.refresh()
    assert gate.refreshed == 1
