"""Units of a target and what initiators see of them."""

from __future__ import annotations

import pytest

from ietpy.config.model import LunMapping
from ietpy.migrate.ietd_luns import Units
from ietpy.migrate.model import OPEN, Disk, Grant, Identity, Kind, Lun, Store, Target

A, B = Disk(Store.FILE, "/a"), Disk(Store.FILE, "/b")


def units(*luns: Lun, grants: tuple[Grant, ...] = (OPEN,)) -> Units:
    return Units(Target("t", luns, grants))


def test_everybody_sees_everything_by_its_number() -> None:
    found = units(Lun(5, A), Lun(1, B))
    assert [(lun.number, lun.path) for lun in found.configs()] == [(5, "/a"), (1, "/b")]
    assert found.mappings() == [None]


@pytest.mark.parametrize(("own", "given", "mapping", "numbers"), [
    ((Lun(0, A),), (Lun(0, A),), (LunMapping(0, 0),), [0]),
    ((Lun(0, A),), (Lun(3, A),), (LunMapping(3, 0),), [0]),
    ((Lun(0, A), Lun(1, B)), (Lun(0, B),), (LunMapping(0, 1),), [0, 1]),
    ((), (Lun(0, A), Lun(7, B)), (LunMapping(0, 0), LunMapping(7, 7)), [0, 7]),
    ((Lun(0, A),), (Lun(0, B),), (LunMapping(0, 1),), [0, 1]),
    ((), (Lun(0, A), Lun(1, A)), (LunMapping(0, 0), LunMapping(1, 1)), [0, 1]),
    ((Lun(0, A),), (Lun(0, A, True),), (LunMapping(0, 0, True),), [0]),
    ((Lun(0, A, True),), (Lun(0, A, True),), (LunMapping(0, 0),), [0]),
    ((Lun(0, A, True),), (Lun(0, A),), (LunMapping(0, 1),), [0, 1]),
    ((), (Lun(0, A), Lun(0, B), Lun(20000, B)), (LunMapping(0, 0),), [0]),
    ((Lun(0, Disk(Store.MEMORY)),), (Lun(0, Disk(Store.MEMORY)),), (), []),
])
def test_luns_of_one_grant(
    own: tuple[Lun, ...], given: tuple[Lun, ...], mapping: tuple[LunMapping, ...], numbers: list[int]
) -> None:
    found = units(*own, grants=(Grant(("a",), luns=given),))
    assert found.mappings() == [mapping]
    assert [lun.number for lun in found.configs()] == numbers


def test_others_do_not_see_what_a_grant_brought() -> None:
    found = units(Lun(0, A), grants=(Grant(("a",), luns=(Lun(0, B),)), OPEN, Grant(denies=True, luns=(Lun(9, B),))))
    assert found.mappings() == [(LunMapping(0, 1),), (LunMapping(0, 0),), (LunMapping(0, 0),)]


@pytest.mark.parametrize(("disk", "kind", "words"), [
    (Disk(Store.FILE, "/a b"), Kind.EXTENSION, "a path with a blank"),
    (Disk(Store.FILE, "/a", identity=Identity(serial=b"x" * 37)), Kind.EXTENSION, "serial longer than 16 characters"),
    (Disk(Store.FILE, "/a", identity=Identity(designators=(bytes((1, 3, 0, 1, 1)),))), Kind.EXTENSION, "naa"),
    (Disk(Store.FILE, "/a", identity=Identity(vendor=b"A,      ")), Kind.LOST, "its vendor"),
    (Disk(Store.FILE, "/a"), Kind.WARNING, "VPD page 83h"),
])
def test_what_is_said_of_a_disk(disk: Disk, kind: Kind, words: str) -> None:
    assert any(note.kind is kind and words in f"{note.what}: {note.why}" for note in units(Lun(0, disk)).notes)
