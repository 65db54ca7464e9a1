"""``ietpy clone``: a second disk, which can be served at once."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import A, Daemon, make_disk
from tests.fields import checked


def test_a_clone_is_served_beside_its_source(sharing: Path, tmp_path: Path) -> None:
    disk, new = make_disk(sharing / "golden.img"), sharing / "web-7.img"
    with Daemon(tmp_path, f"Target {A}\nLun 0 Path={disk},Type=fileio\n") as daemon:
        client = daemon.login(A)
        client.write(0, 0, b"golden".ljust(512))
        ended = daemon.ietpy("clone", ":a/0", str(new))
        assert ended.exit_code == 0
        first, target, lun = ended.stdout.splitlines()
        assert first == f"{new}: 1 MiB, shares its blocks until they are written, of {disk}"
        assert target.startswith("Target iqn.2010-06.")
        assert target.endswith(":web-7")
        assert lun == f"    Lun 0 Path={new},Type=fileio"
        assert daemon.ietpy("add", "lun", ":a", str(new)).exit_code == 0
        client.write(1, 0, b"changed".ljust(512))
        assert client.read(0, 0, 1) == b"golden".ljust(512)
        assert client.read(1, 0, 1) == b"changed".ljust(512)
        assert client.inquiry(0, 0x80) != client.inquiry(1, 0x80)
        document = checked("clone", daemon.ietpy("clone", str(disk), str(sharing / "other.img"), "--json").stdout)
        assert (document["path"], document["how"]) == (f"{sharing}/other.img", "shared")


def test_a_clone_no_file_can_name_is_made_all_the_same(sharing: Path, daemon: Daemon) -> None:
    disk = make_disk(sharing / "plain.img")
    ended = daemon.ietpy("clone", str(disk), str(sharing / "a,b"))
    assert ended.exit_code == 0
    assert "ietpy clone: note: ietd.conf cannot name a path with a comma in it" in ended.stderr
