"""``ietpy plan``, of a real daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from ietpy.cli.exits import Exit
from ietpy.initiator.client import Client
from ietpy.initiator.errors import decode_sense
from tests.cli.conftest import A, B, Daemon
from tests.fields import checked


def test_plan_of_the_daemons_file_and_of_another(busy: Daemon, tmp_path: Path) -> None:
    same = busy.ietpy("plan")
    assert (same.exit_code, same.stdout) == (Exit.DONE, "nothing would change\n")
    text = busy.config.read_text()
    other = tmp_path / "other.conf"
    other.write_text(text.replace(f"Target {B}\nLun 0 Type=nullio\n", "") + "Lun 7 Type=nullio\n")
    plan = busy.ietpy("plan", "-c", str(other))
    assert plan.exit_code == Exit.CHANGES
    kept, added = plan.stdout.splitlines()
    assert kept.startswith(f"line 4: keep target {B} (no longer in the file): its sessions go on")
    assert added.startswith(f"line 4: add LUN 7 of {A}: Type=nullio: its initiators are told REPORTED LUNS")
    document = checked("plan", busy.ietpy("plan", "-c", str(other), "--json").stdout)
    assert document["file"] == str(other)
    assert [(step["action"], step["sessions"]) for step in document["steps"]] == [("keep", 1), ("add", 1)]
    assert busy.ietpy("plan").exit_code == Exit.DONE, "nothing was changed"


def test_a_file_that_cannot_be_used_says_why(busy: Daemon, tmp_path: Path) -> None:
    missing = busy.ietpy("plan", "-c", str(tmp_path / "none"))
    assert (missing.exit_code, "cannot be read" in missing.stderr) == (Exit.USAGE, True)
    wrong = tmp_path / "wrong.conf"
    wrong.write_text("Compat strict\nNonsense 1\n")
    refused = busy.ietpy("plan", "-c", str(wrong))
    assert (refused.exit_code, "Nonsense" in refused.stderr) == (Exit.USAGE, True)
    assert busy.ietpy("plan").exit_code == Exit.DONE


LUNS, CAPACITY, MODE = (6, 0x3F0E), (6, 0x2A09), (6, 0x2A01)


def _told(client: Client) -> list[tuple[int, int]]:
    """The unit attentions that wait for LUN 0 of a session, which are reported one by one."""
    found = []
    while response := client.command(0, bytes(6)):
        if not response.sense:
            break
        found.append(decode_sense(response.sense))
    return found


@pytest.mark.parametrize(("edit", "replacement", "expected"), [
    (f"Target {B}", f"Lun 7 Type=nullio\nTarget {B}", [LUNS]),
    ("Lun 3", "Lun 4", [LUNS]),
    ("IOMode=ro", "IOMode=wt", [LUNS]),
    ("disk.img,Type=fileio", "disk.img,Type=fileio,IOMode=wb", [MODE]),
    ("disk.img,Type=fileio", "disk.img,Type=fileio,IOMode=ro", [MODE]),
    (f"Target {B}", f"LunOption 0 Iops=100000\nTarget {B}", []),
    (f"Target {B}", f"Wthreads 3\nIncomingUser joe secretsecret\nAlias x\nTarget {B}", []),
    (f"Target {B}", f"Initiator *\nTarget {B}", []),
    ("Lun 0 Type=nullio", "Lun 0 Type=nullio,Blocks=8", []),
    (f"Target {B}", f"Target iqn.2026-11.test:new\nLun 0 Type=nullio\nTarget {B}", []),
])
def test_initiators_are_told_what_the_plan_says(
    busy: Daemon, edit: str, replacement: str, expected: list[tuple[int, int]]
) -> None:
    client = busy.clients[0]
    assert _told(client) == []
    busy.config.write_text(busy.config.read_text().replace(edit, replacement))
    steps = busy.instance.administration.reload()["steps"]
    assert _told(client) == expected
    assert bool(expected) == any("its initiators are told" in step["text"] and step["target"] == A for step in steps)
    assert busy.ietpy("plan").exit_code == Exit.DONE
    client.logout()


def test_a_plan_says_who_is_told_of_another_size(busy: Daemon, tmp_path: Path) -> None:
    client = busy.clients[0]
    (tmp_path / "disk.img").write_bytes(bytes(2 << 20))
    assert "told CAPACITY DATA HAS CHANGED" in busy.ietpy("plan").stdout
    busy.instance.administration.reload()
    assert _told(client) == [CAPACITY]
