"""What initiators saw and will see: an imported configuration is really served and really looked at."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from ietpy.cli import initiator_view
from ietpy.cli.initiator_view import Row, Seen, View, compare, facts, show
from ietpy.config.load import loads
from ietpy.migrate import identities
from ietpy.migrate.model import OPEN, Disk, Grant, Identity, Lun, Source, Store, Target

NAME = "iqn.2001-04.com.example:a"
MIB = 1 << 20
IDENTITY = identities.tgt(1, 1)


def option(number: int, identity: Identity) -> str:
    """The line that gives a LUN an identity."""
    assert identity.designators
    assert identity.serial
    assert identity.revision
    names = b"".join(identity.designators).hex()
    revision = identity.revision.decode().strip()
    return f"LunOption {number} Revision={revision},Page80={identity.serial.hex()},Page83={names}\n"


def source(*luns: Lun, grants: tuple[Grant, ...] = (OPEN,)) -> Source:
    return Source("tgt", (Target(NAME, luns, grants),))


def changes(view: View) -> list[tuple[Any, ...]]:
    return [
        (row.initiator, row.lun, name, before, after)
        for row in view.rows for name, before, after, stays in row.facts if not stays
    ]


@pytest.mark.parametrize("scratch", [False, True])
def test_a_disk_that_keeps_everything(tmp_path: Path, scratch: bool) -> None:
    path = tmp_path / "a.img"
    if not scratch:
        path.write_bytes(bytes(MIB))
        path.chmod(0o400)
    text = f"Target {NAME}\nIncomingUser joe joe-secret-12\nLun 1 Path={path},Type=fileio,BlockSize=4096\n"
    found = source(Lun(1, Disk(Store.FILE, str(path), size=MIB, block_size=4096, identity=IDENTITY)))
    view = compare(found, loads(text + option(1, IDENTITY)), scratch=scratch)
    (row,) = view.rows
    assert (view.same, view.problems) == (True, ())
    assert (row.target, row.initiator, row.lun, row.same) == (NAME, "everybody", 1, True)
    assert row.before == Seen(IDENTITY, MIB, 4096, False, False)
    assert row.after == (row.before if scratch else Seen(IDENTITY, MIB, 4096))
    assert [name for name, *_ in row.facts] == [
        "size", "block size", "write cache", "read-only", "vendor", "product", "revision", "serial", "designators"
    ]
    assert row.facts[-1][1] == (
        "t10 IET     00010001, naa 3000000100000001, naa 60000000000000000e00000000010001"
    )


def test_a_disk_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.img"
    path.write_bytes(bytes(2 * MIB))
    found = source(
        Lun(1, Disk(Store.FILE, str(path), size=MIB, block_size=512, identity=IDENTITY)),
        Lun(2, Disk(Store.FILE, "/elsewhere")),
    )
    imported = loads(f"Target {NAME}\nLun 1 Path={path},BlockSize=4096\nLun 3 Type=nullio,Blocks=8\n")
    view = compare(found, imported)
    assert not view.same
    assert changes(view)[:6] == [
        ("everybody", 1, "size", "1 MiB", "2 MiB"),
        ("everybody", 1, "block size", "512", "4096"),
        ("everybody", 1, "revision", "0001", "0"),
        ("everybody", 1, "serial", "beaf11", identities_of_iet(1)),
        (
            "everybody", 1, "designators",
            "t10 IET     00010001, naa 3000000100000001, naa 60000000000000000e00000000010001",
            f"t10 IET {identities_of_iet(1)}",
        ),
        ("everybody", 2, "LUN", "there", "not there"),
    ]
    assert changes(view)[6:] == [("everybody", 3, "LUN", "not there", "there")]


def identities_of_iet(number: int) -> str:
    from ietpy.scsi.identity import iet_identity

    return iet_identity(NAME, number).serial


def test_what_is_not_known_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "a.img"
    path.write_bytes(bytes(MIB))
    found = source(Lun(1, Disk(Store.FILE, str(path), block_size=None)))
    (row,) = compare(found, loads(f"Target {NAME}\nLun 1 Path={path}\n")).rows
    assert row.same
    assert [before for _, before, _, _ in row.facts] == ["1 MiB", "-", "no", "no", *["-"] * 5]


def test_each_rule_has_a_look_of_its_own() -> None:
    """Though its addresses, users and portal groups would let nobody in from here."""
    small, large = (Disk(Store.NULL, size=size, name=name) for name, size in (("small", 4096), ("large", 8192)))
    lan = ip_network("192.0.2.0/24")
    found = source(Lun(0, small), grants=(
        Grant(("iqn.ann",), denies=True),
        Grant(("IQN.ben", "iqn.cat"), (lan,), luns=(Lun(5, large),)),
        Grant(networks=(lan,)),
    ))
    imported = loads(
        f"Portal 1 192.0.2.1\nTarget {NAME}\nLun 0 Type=nullio,Blocks=8\nLun 1 Type=nullio,Blocks=16\n"
        "IncomingUser joe joe-secret-12\nMaxSessions 1\n"
        "Initiator iqn.ben Address=192.0.2.0/24,Luns=5:1,User=joe\nInitiator iqn.cat Address=192.0.2.0/24,Luns=5:1\n"
        "Initiator * Address=192.0.2.0/24,Luns=0\nInitiator iqn.dan Luns=1\n"
    )
    view = compare(found, imported)
    assert changes(view) == [
        ("iqn.dan", 0, "LUN", "there", "not there"), ("iqn.dan", 1, "LUN", "not there", "there"),
    ]
    assert [(row.initiator, row.lun, row.after and row.after.size) for row in view.rows] == [
        ("iqn.ben from 192.0.2.0/24", 5, 8192), ("iqn.cat from 192.0.2.0/24", 5, 8192),
        ("everybody from 192.0.2.0/24", 0, 4096), ("iqn.dan", 0, None), ("iqn.dan", 1, 8192),
    ]


def test_how_it_may_be_written() -> None:
    """Of a scratch image; a disk itself is not opened for writing."""
    disk = Disk(Store.FILE, "/none", write_cache=True)
    found = source(Lun(1, disk), Lun(2, replace(disk, path="/other")), grants=(Grant(read_only=True),))
    imported = loads(f"Target {NAME}\nLun 1 Path=/none,IOMode=wb\nLun 2 Path=/other\nInitiator * Mode=ro\n")
    assert changes(compare(found, imported, scratch=True)) == [("everybody", 2, "write cache", "yes", "no")]
    ours = replace(found, targets=(replace(found.targets[0], grants=(OPEN,)),))
    assert changes(compare(ours, imported, scratch=True)) == [
        ("everybody", 1, "read-only", "no", "yes"),
        ("everybody", 2, "write cache", "yes", "no"),
        ("everybody", 2, "read-only", "no", "yes"),
    ]


def test_a_target_that_is_closed_shows_nothing() -> None:
    assert compare(source(), loads(f"Target {NAME}\nLun 0 Type=nullio\nInitiator * Mode=none\n")) == View((), ())


def test_a_target_the_source_does_not_have() -> None:
    (row,) = compare(Source("tgt"), loads(f"Target {NAME}\nLun 0 Type=nullio,Blocks=8\n")).rows
    assert (row.lun, row.before, row.same) == (0, None, False)


def test_scratch_images_have_the_stated_sizes(tmp_path: Path) -> None:
    found = source(Lun(1, Disk(Store.DIRECT, "/dev/none", size=5 << 40)), Lun(2, Disk(Store.FILE, "/none/b")))
    imported = loads(f"Target {NAME}\nLun 1 Path=/dev/none,Type=blockio\nLun 2 Path=/none/b\nLun 3 Path=/none/c\n")
    view = compare(found, imported, scratch=True)
    assert view.problems == ()
    assert [row.after and row.after.size for row in view.rows] == [
        5 << 40, initiator_view.SCRATCH_SIZE, initiator_view.SCRATCH_SIZE
    ]


def test_what_cannot_be_served_is_said() -> None:
    imported = loads(f"Target {NAME}\nLun 1 Path=/no/such\n", "ietd.conf")
    view = compare(source(Lun(1, Disk(Store.FILE, "/no/such"))), imported)
    (problem,), (row,) = view.problems, view.rows
    assert (problem.span.line, "/no/such" in str(problem)) == (2, True)
    assert row.after is None


def test_the_table_and_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    here = Seen(IDENTITY, MIB, 512)
    changed = Row(NAME, "everybody", 1, here, replace(here, size=2 * MIB))
    view = View((changed, Row(NAME, "everybody", 2, here, None)), ())
    show(view)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [
        ["TARGET", "INITIATOR", "LUN", "WHAT", "BEFORE", "AFTER"],
        [NAME, "everybody", "1", "size", "1", "MiB", "2", "MiB", "CHANGED"],
        [NAME, "everybody", "1", "block", "size", "512", "512"],
    ]
    assert lines[-1] == [NAME, "everybody", "2", "LUN", "there", "not", "there", "CHANGED"]
    first, second = facts(view)
    assert {name: value for name, value in first.items() if name != "facts"} == {
        "target": NAME, "initiator": "everybody", "lun": 1, "same": False
    }
    assert first["facts"][0] == {"name": "size", "before": "1 MiB", "after": "2 MiB", "same": False}
    assert second["facts"] == [{"name": "LUN", "before": "there", "after": "not there", "same": False}]
    show(View((), ()))
    assert capsys.readouterr().err == "No LUN is served.\n"
