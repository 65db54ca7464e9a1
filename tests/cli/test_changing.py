"""What ``ietpy add`` and ``ietpy remove`` share: secrets a file can hold, users that are named, texts that are safe."""

from __future__ import annotations

import pytest

from ietpy.cli import changing
from ietpy.cli.facts import sessions
from ietpy.errors import UsageError
from tests.cli.conftest import A, Daemon
from tests.cli.test_facts import connection


@pytest.mark.parametrize("secret", ["abc", "a#b", "secret=1,2", "\u00e9t\u00e9", "'quoted'"])
def test_secrets_a_line_can_hold(secret: str) -> None:
    changing.check_account("joe", secret)


@pytest.mark.parametrize(
    ("name", "secret"), [("joe", "two words"), ("two words", "x"), ("joe", "x\ty"), ("", "x"), ("a\nb", "x")]
)
def test_secrets_it_cannot(name: str, secret: str) -> None:
    with pytest.raises(UsageError, match="cannot hold this name and secret") as told:
        changing.check_account(name, secret)
    assert secret not in str(told.value).split()


def test_who_has_a_lun(busy: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IETPY_CONTROL", busy.control)
    target = changing.served(A)
    assert [len(changing.users_of(target, lun)) for lun in (None, 0, 3, 7)] == [1, 1, 1, 0]
    assert changing.scope(":a") == (1, A)
    assert changing.scope("discovery") == (0, "discovery")


def test_names_of_users_cannot_move_the_cursor() -> None:
    (user,) = sessions([connection(initiator="iqn.x:\x1b[2J")])
    with pytest.raises(UsageError) as told:
        changing.refuse_in_use("LUN 0", [user])
    assert str(told.value).splitlines()[1] == "  iqn.x:\\x1b[2J at 10.0.0.7 (session 1)"
