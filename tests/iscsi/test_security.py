"""The security stage without a login around it: which method, which keys, and what is left to prove."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.errors import LoginFailure
from ietpy.iscsi.chap import response
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.security import Security
from ietpy.iscsi.target import Accounts

SECRET = "a secret of joe"


def security(required: bool = True, challenges: set[bytes] | None = None) -> Security:
    accounts = Accounts({"joe": SECRET}) if required else Accounts()
    return Security(accounts, bytes, set() if challenges is None else challenges)


def proof(answers: dict[str, str], secret: str = SECRET) -> list[tuple[str, str]]:
    digest = response(5, int(answers["CHAP_I"]), secret, bytes.fromhex(answers["CHAP_C"][2:]))
    return [("CHAP_N", "joe"), ("CHAP_R", "0x" + digest.hex())]


def test_without_accounts_nothing_is_to_be_proved() -> None:
    stage = security(required=False)
    assert stage.passed
    assert stage.answer([("AuthMethod", "CHAP,None")]) == [("AuthMethod", "None")]
    assert (stage.passed, stage.user, stage.challenged) == (True, "", False)
    stage.require()
    stage.close()


def test_chap_from_begin_to_end() -> None:
    challenges: set[bytes] = set()
    stage = security(challenges=challenges)
    assert stage.answer([("AuthMethod", "CHAP")]) == [("AuthMethod", "CHAP")]
    assert (stage.passed, stage.challenged) == (False, False)
    challenge = dict(stage.answer([("CHAP_A", "5")]))
    assert (stage.passed, stage.challenged, len(challenges)) == (False, True, 1)
    assert stage.answer(proof(challenge)) == []
    stage.close()
    assert (stage.passed, stage.user, stage.challenged, challenges) == (True, "joe", False, set())
    stage.require()


def test_who_skips_the_stage_is_refused() -> None:
    with pytest.raises(LoginFailure, match="skipped") as caught:
        security().require()
    assert caught.value.status == LoginStatus.AUTHENTICATION_FAILURE


@pytest.mark.rfc7143("9.2-2")
@pytest.mark.parametrize(("pairs", "error"), [
    pytest.param([("AuthMethod", "None")], LoginFailure, id="a method that proves nothing"),
    pytest.param([("X-a", "1")], LoginFailure, id="no AuthMethod"),
    pytest.param([("AuthMethod", "CHAP"), ("AuthMethod", "CHAP")], ValueError, id="AuthMethod twice"),
    pytest.param([("AuthMethod", "CHAP"), ("TargetAlias", "x")], ValueError, id="a key of targets"),
])
def test_what_breaks_the_rules(pairs: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        security().answer(pairs)


def test_chap_keys_without_chap() -> None:
    with pytest.raises(ValueError, match="without AuthMethod=CHAP"):
        security(required=False).answer([("CHAP_A", "5")])


@pytest.mark.parametrize(("value", "answers"), [("1", [("X-a", "NotUnderstood")]), ("Reject", [])])
def test_other_keys(value: str, answers: Any) -> None:
    assert security(required=False).answer([("X-a", value)]) == answers
