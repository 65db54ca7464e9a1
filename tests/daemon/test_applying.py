"""What is applied is what was planned, between any two configurations; the rest is in ``test_inventory``."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ietpy.config.load import loads
from ietpy.config.model import meaning
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.errors import StoreError
from ietpy.stores import open_store

_LUN = st.tuples(
    st.integers(0, 2), st.sampled_from([
        "Type=nullio", "Type=nullio,Blocks=8", "Type=nullio,IOMode=ro", "Type=nullio,IOMode=wb", "Path=/gone",
    ])
).map(lambda each: f"\tLun {each[0]} {each[1]}\n")
_LINE = st.sampled_from([
    "\tAlias x\n", "\tIncomingUser joe one\n", "\tWthreads 3\n", "\tCHAPAlgorithms x\n", "\tInitiator iqn.x Luns=0\n",
])
_TARGET = st.tuples(
    st.sampled_from("aAbc"), st.lists(_LUN, max_size=3, unique_by=lambda line: line[:6]), st.lists(_LINE, max_size=2)
).map(lambda each: f"Target {each[0]}\n{''.join((*each[1], *each[2]))}")
_TEXT = st.lists(_TARGET, max_size=3, unique_by=lambda text: text[7].lower()).map("".join)


def opener(type: str, path: str, **more: Any) -> Any:
    if path:
        raise StoreError(errno.ENOENT, f"{path} is not there")
    return open_store(type, path, **more)


def served(inventory: Inventory) -> dict[tuple[str, int], int]:
    """Units by target and LUN, and which they are."""
    targets = inventory.all()
    return {(target.config.name, lun): id(each.unit) for target in targets for lun, each in target.units.items()}


@given(_TEXT, _TEXT, st.sets(st.sampled_from("abc")))
def test_what_is_applied_is_what_was_planned(old: str, new: str, busy: set[str]) -> None:
    wanted = loads(new)
    inventory = Inventory(loads(old), Media(opener=opener))
    for target in inventory.all():
        if target.config.name in busy:
            target.node.sessions["i", b"isid"] = SimpleNamespace(present=())  # type: ignore[assignment]
    before, names = served(inventory), {target.config.name for target in inventory.all()}
    kept = [each.unit for target in inventory.all() for each in target.units.values()]  # no number is used again
    steps = inventory.plan(wanted)
    unable = inventory.apply(wanted)
    after = served(inventory)
    acted = {(step.action.value, step.target) for step in steps if step.subject == "target"}
    assert {name for action, name in acted if action == "keep"} == {name for name in names if any(
        each.startswith(f"{name} is not in the file") for each in unable)}
    assert {target.config.name for target in inventory.all()} - names == {
        step.target for step in steps if (step.subject, step.action.value) == ("target", "add") and not step.why
    }
    assert names - {target.config.name for target in inventory.all()} == {
        name for action, name in acted if action == "remove" and name in names
    }
    stay = {place for place in before if place in after and before[place] == after[place]}
    touched = {(step.target, step.lun) for step in steps if step.subject == "lun" and step.action.value != "change"}
    assert not stay & touched
    for place in before.keys() - stay:
        assert place in touched or ("remove", place[0]) in acted
    if not unable:
        again = [step.action.value for step in inventory.plan(wanted)]
        assert set(again) <= {"retry"}
        assert meaning(inventory.configuration) == meaning(wanted)
    assert kept is not None
    for target in inventory.all():
        target.node.sessions.clear()
    assert inventory.close()


def test_a_lun_that_could_not_be_served_is_tried_again(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    configuration = loads(f"Target t\n\tLun 0 Path={disk}\n")
    inventory = Inventory(configuration, Media())
    (step,) = inventory.plan(configuration)
    assert (step.action.value, step.lun) == ("retry", 0)
    disk.write_bytes(bytes(4096))
    assert inventory.apply(configuration) == []
    assert inventory.plan(configuration) == []
    assert inventory.close()


#: Python and C calls of a reload that changes one logical unit, for each other one, its line included (2026-11-27,
#: CPython 3.11). It may only fall.
CALLS = 330


def test_what_others_cost_where_one_unit_changes(tmp_path: Path) -> None:
    def calls(units: int) -> int:
        luns = [f"\tLun {number} Path={tmp_path}/{number}.img\n" for number in range(units)]
        for number in range(units):
            (tmp_path / f"{number}.img").write_bytes(bytes(4096))
        inventory = Inventory(loads("Target t\n" + "".join(luns)), Media())
        luns[0] = luns[0].replace(".img", ".img,ScsiSN=x")
        count = 0

        def profile(frame: Any, event: str, argument: Any) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(profile)
        try:
            new = loads("Target t\n" + "".join(luns))
            steps = inventory.plan(new)
            inventory.apply(new)
        finally:
            sys.setprofile(None)
        assert [step.lun for step in steps] == [0]
        assert inventory.close()
        return count

    calls(1)  # what is made once
    few, many = calls(10), calls(110)
    assert 0 < (many - few) // 100 <= CALLS
