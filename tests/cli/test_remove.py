"""``ietpy remove``: what is in use stays, unless that is said; no file is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from ietpy.initiator.errors import CommandFailed
from ietpy.server import farewell
from tests.cli.conftest import INITIATOR, A, B, Daemon
from tests.cli.test_add import UNSAVED
from tests.fields import checked


def test_a_target_that_is_used_stays_until_it_is_forced(busy: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LOGOUT_SECONDS", 0.05)
    ended = busy.ietpy("remove", "target", ":b", "--save")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"ietpy: {B} is in use; nothing was removed. Its initiators should log out first, or --force ends their use:\n"
        f"  {INITIATOR} at 127.0.0.1 (session 2)\n"
    )
    ended = busy.ietpy("remove", "target", ":b", "--force", "--save")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout == f"target {B} is served no more\nsaved in {busy.config}\n"
    assert B not in busy.config.read_text()
    assert [target["name"] for target in busy.inventory.facts()] == [A]


def test_a_lun_that_somebody_has_stays_until_it_is_forced(busy: Daemon) -> None:
    ended = busy.ietpy("remove", "lun", ":a", "3")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert f"LUN 3 of {A} is in use; nothing was removed." in ended.stderr
    ended = busy.ietpy("remove", "lun", ":a", "3", "--force")
    disk = f"{busy.directory}/other.img"
    assert (ended.exit_code, ended.stderr) == (0, UNSAVED)
    assert ended.stdout == f"LUN 3 of {A} is served no more; {disk} stays\n"
    assert Path(disk).exists()
    with pytest.raises(CommandFailed):
        busy.clients[0].test_unit_ready(3)
    busy.clients[0].test_unit_ready(0)


def test_what_nobody_uses_goes_at_once(busy: Daemon) -> None:
    for client in busy.clients:
        client.logout()
    document = checked("remove", busy.ietpy("remove", "lun", "2", "0", "--json").stdout)
    assert (document["what"], document["target"], document["lun"], document["path"]) == ("lun", B, 0, "")
    assert busy.ietpy("remove", "target", B).exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lun", ":a", "7"), f"{A} has no LUN 7; its LUNs are 0, 3"),
        (("target", "zzz"), "no target has the name 'zzz'"),
        (("user", ":a", "joe"), f"{A} has no user 'joe'; there is none"),
        (("user", ":a", "joe", "--outgoing"), f"{A} has no outgoing user 'joe'; there is none"),
        (("user", "discovery", "joe"), "discovery has no user 'joe'; there is none"),
    ],
)
def test_what_is_not_there(busy: Daemon, words: tuple[str, ...], said: str) -> None:
    ended = busy.ietpy("remove", *words)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert said in ended.stderr


def test_a_target_without_luns_says_so(daemon: Daemon) -> None:
    daemon.do("--op=new", "--tid=0", "--params=Name=x")
    assert "x has no LUN 0; it has none" in daemon.ietpy("remove", "lun", "x", "0").stderr


def test_the_last_user_opens_the_door_so_that_is_asked(tmp_path: Path) -> None:
    accounts = "IncomingUser joe secretsecret1\nIncomingUser ann secretsecret2\nOutgoingUser us secretsecret3\n"
    with Daemon(tmp_path, f"Target {A}\n{accounts}") as daemon:
        assert daemon.ietpy("remove", "user", A, "us", "--outgoing").stdout == f"{A} knows us no more\n"
        assert daemon.ietpy("remove", "user", A, "ann", "--save").exit_code == 0
        assert "ann" not in daemon.config.read_text()
        ended = daemon.ietpy("remove", "user", A, "joe")
        assert (ended.exit_code, ended.stdout) == (2, "")
        assert "joe is the last account of" in ended.stderr
        ended = daemon.ietpy("remove", "user", A, "joe", "--force")
        assert ended.stdout == f"{A} knows joe no more; no account is left, so no secret is asked for any more\n"
