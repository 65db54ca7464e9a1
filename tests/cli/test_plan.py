"""``ietpy plan``, of a real daemon."""

from __future__ import annotations

from pathlib import Path

from ietpy.cli.exits import Exit
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
