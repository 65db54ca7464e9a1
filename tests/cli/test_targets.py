"""``ietpy targets``, of a real daemon."""

from __future__ import annotations

from ietpy.cli.output import in_bytes
from tests.cli.conftest import A, B, Daemon
from tests.fields import checked


def test_targets(busy: Daemon) -> None:
    ended = busy.ietpy("targets")
    assert [line.split() for line in ended.stdout.splitlines()[1:]] == [
        ["1", A, "2", *_size(busy, 0), "1"], ["2", B, "1", *_size(busy, 1), "1"]
    ]
    document = checked("targets", busy.ietpy("targets", "--json", "--target", ":a").stdout)
    assert [(each["name"], each["luns"], each["sessions"]) for each in document["targets"]] == [(A, [0, 3], 1)]
    assert busy.ietpy("targets", "--target", "zzz").stderr == "no target that fits; ietpy add target makes one\n"


def _size(busy: Daemon, at: int) -> list[str]:
    return in_bytes(sum(lun["size"] for lun in busy.inventory.facts()[at]["luns"])).split()
