"""``ietpy luns``, of a real daemon."""

from __future__ import annotations

from tests.cli.conftest import A, B, Daemon
from tests.fields import checked


def test_luns(busy: Daemon) -> None:
    lines = busy.ietpy("luns", "--target", ":a").stdout.splitlines()
    assert lines[0].split() == ["TARGET", "LUN", "TYPE", "MODE", "SIZE", "READ", "WRITTEN", "ERRORS", "PATH"]
    first, second = (line.split() for line in lines[1:])
    assert first[:6] == [A, "0", "fileio", "wt", "1", "MiB"]
    assert first[-1] == f"{busy.directory}/disk.img"
    assert (second[1:4], second[-1]) == (["3", "fileio", "ro"], f"{busy.directory}/other.img")
    assert busy.ietpy("luns", "--target", ":b").stdout.splitlines()[1].split()[-1] == "-"
    document = checked("luns", busy.ietpy("luns", "--json").stdout)
    assert [(each["target"], each["lun"]) for each in document["luns"]] == [(A, 0), (A, 3), (B, 0)]
