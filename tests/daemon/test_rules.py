"""Who may use a target: companion files, restrictions and iSNS together, and which rules are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ietpy.config.access import AccessFiles
from ietpy.config.load import loads
from ietpy.config.model import Configuration, TargetConfig
from ietpy.daemon.rules import Rules
from ietpy.errors import Span
from ietpy.iscsi.target import UNRESTRICTED, Asker, Terms
from ietpy.scsi.view import View

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


# Initiator lines


def lines(*said: str) -> TargetConfig:
    text = "".join(f"{line}\n" for line in (f"Target {NAME}", "Lun 0 Type=nullio", "IncomingUser joe s", *said))
    return loads(text, "ietd.conf").targets[0]


@pytest.mark.parametrize(("said", "admitted"), [
    (["Initiator iqn.a"], True),
    (["Initiator iqn.b"], False),
    (["Initiator iqn.b", "Initiator * Address=10.0.0.0/8"], True),
    (["Initiator iqn.a Address=192.0.2.0/24"], False),
    (["Initiator iqn.a x", "Initiator *"], False),
    (["Initiator iqn.a User=joe"], True),
    (["Initiator iqn.a User=jim", "Initiator *"], False),
    (["initiator-name iqn.b", "Initiator *"], False),
])
def test_initiator_lines(files: AccessFiles, said: list[str], admitted: bool) -> None:
    """What decides is the first line that is about an initiator; others must admit it as well."""
    rule = Rules(file(), files).of(lines(*said))
    assert rule(ASKER) is admitted


def test_the_allow_files_must_admit_it_too(files: AccessFiles, tmp_path: Path) -> None:
    (tmp_path / "initiators.allow").write_text("ALL iqn.b\n")
    rule = Rules(file(), files).of(lines("Initiator *"))
    assert not rule(ASKER)
    assert rule(Asker("iqn.b", "10.0.0.7", "10.0.0.1"))


def test_terms(files: AccessFiles) -> None:
    rules = Rules(file(), files)
    rule = rules.of(lines("Initiator iqn.a Luns=3:0,Mode=ro,User=joe", "Initiator iqn.b x", "Initiator iqn.c User=jim"))
    assert rule.terms(ASKER) == Terms(View({3: 0}, frozenset()), "joe")
    for name in ("iqn.b", "iqn.c", "iqn.d"):
        assert rule.terms(Asker(name, "10.0.0.7", "10.0.0.1")) is None
    assert rules.of(lines()).terms(ASKER) is UNRESTRICTED


def test_rules_with_other_lines_or_users_are_not_equal(files: AccessFiles) -> None:
    rules = Rules(file(), files)
    rule = rules.of(lines("Initiator iqn.a User=joe"))
    assert rule == rules.of(lines("# moved", "Initiator iqn.a User=joe"))
    assert rule != rules.of(lines("Initiator iqn.a"))
    assert rule != rules.of(lines("Initiator iqn.a User=joe", "IncomingUser jim s"))
    assert rules.of(lines()) == rules.of(lines("IncomingUser jim s")), "accounts change by themselves"
