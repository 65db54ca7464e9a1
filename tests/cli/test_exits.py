"""How ``ietpy`` ends: every status has its meaning, which the help shows."""

from __future__ import annotations

from click.testing import CliRunner

from ietpy.cli.exits import MEANINGS, Exit
from ietpy.cli.ietpy import main
from ietpy.daemon import manage


def test_every_status_has_its_meaning_and_the_help_shows_it() -> None:
    assert set(MEANINGS) == set(Exit)
    words = CliRunner().invoke(main, ["--help"]).stdout.partition("Exit status:")[2].split()
    for status, meaning in MEANINGS.items():
        assert str(int(status)) in words
        assert meaning.split()[0] in words


def test_the_daemons_own_statuses_are_the_same() -> None:
    assert (manage.NOT_RUNNING, manage.DEGRADED) == (Exit.NOT_RUNNING, Exit.DEGRADED)
