"""The login phase from outside: stages, statuses, authentication, offers (RFC 7143 sections 6.2, 6.3, 11.12, 11.13)."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ietpy.errors import FormatError
from ietpy.iscsi import chap
from ietpy.iscsi.keys import KEYS, Result, Use
from ietpy.iscsi.login import RESPONSE_LIMIT, ROUNDS_LIMIT
from ietpy.iscsi.opening import ALIAS_LIMIT
from ietpy.iscsi.target import Accounts, Terms
from ietpy.iscsi.text import KEYS_LIMIT, TEXT_LIMIT, encode
from ietpy.scsi.view import View

SECURITY, OPERATIONAL, RESERVED, FULL = 0, 1, 2, 3
SUCCESS, INITIATOR_ERROR, AUTHENTICATION, NOT_FOUND = 0, 0x200, 0x201, 0x203
SECRET = "a secret of joe"


@pytest.fixture
def chap_target(target: Any) -> Any:
    target.accounts = Accounts({"joe": SECRET}, outgoing=("target", "what the target knows"))
    return target


def chap_reply(challenge: dict[str, str], user: str = "joe", secret: str = SECRET) -> dict[str, str]:
    response = chap.response(
        int(challenge["CHAP_A"]), int(challenge["CHAP_I"]), secret, bytes.fromhex(challenge["CHAP_C"][2:])
    )
    return {"CHAP_N": user, "CHAP_R": "0x" + response.hex()}


def authenticate(login: Any, to: int | None = OPERATIONAL) -> Any:
    """The whole security stage with CHAP; the last answer."""
    assert login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"}).keys["AuthMethod"] == "CHAP"
    return login.say(SECURITY, chap_reply(login.say(SECURITY, {"CHAP_A": "5"}).keys), to)


# A login that succeeds ------------------------------------------------------------------------------------------------


def test_the_shortest_login(dialogue: Any, target: Any) -> None:
    login = dialogue()
    answer = login.say(OPERATIONAL, login.names, FULL)
    assert (answer.status, answer.csg, answer.nsg) == (SUCCESS, OPERATIONAL, FULL)
    assert answer.keys == {"TargetPortalGroupTag": "1", "MaxRecvDataSegmentLength": "262144"}
    assert login.login.done
    (result,) = login.results
    assert (result.target, result.initiator_name, result.cid, result.user) == (target, login.initiator, 1, "")
    assert result.isid == login.fields["isid"]
    assert login.login.result.tsih == answer.tsih == 0x1234
    assert login.login.result.session_type == "Normal"


@pytest.mark.rfc7143(
    "6.3.1-1", "6.3.1-2", "6.3.2-3", "11-1", "11.13.1-1", "11.13.2-1", "11.13.3-1", "11.13.8-1", "6.1-1", "11.12.8-1"
)
def test_every_field_of_the_final_response(dialogue: Any, target: Any) -> None:
    """Section 11.13, byte by byte."""
    login = dialogue()
    answer = login.say(OPERATIONAL, login.names, FULL, cmd_sn=0xFFFFFFFF, exp_stat_sn=0xFFFFFFFF)
    text = b"TargetPortalGroupTag=1\0MaxRecvDataSegmentLength=262144\0"
    assert answer.data == text
    assert answer.fields == {
        "opcode": 0x23, "flags": 0x80 | 1 << 2 | 3, "version_max": 0, "version_active": 0, "lengths": len(text),
        "isid": b"\x80\0\0\0\0\1", "tsih": 0x1234, "initiator_task_tag": 0x77, "stat_sn": 0xFFFFFFFF,
        "exp_cmd_sn": 0xFFFFFFFF, "max_cmd_sn": target.queued_commands - 2, "status": 0,
    }
    assert login.results[0].stat_sn == 0
    assert login.results[0].cmd_sn == 0xFFFFFFFF


@pytest.mark.rfc7143("4.2.2.2-1", "11.13.3-1", "11.12.8-1", "4.2.2.1-2", "12.1.3-1")
def test_stat_sn_counts_responses_and_the_window_opens_with_the_last(dialogue: Any, chap_target: Any) -> None:
    login = dialogue()
    answers = [
        login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"}),
        login.say(SECURITY, {"CHAP_A": "5"}),
    ]
    answers += [
        login.say(SECURITY, chap_reply(answers[1].keys), OPERATIONAL),
        login.say(OPERATIONAL, {"InitialR2T": "No"}, FULL),
    ]
    assert [answer.stat_sn for answer in answers] == [500, 501, 502, 503]
    assert [answer.exp_cmd_sn for answer in answers] == [100] * 4
    assert [answer.max_cmd_sn for answer in answers] == [100, 100, 100, 100 + chap_target.queued_commands - 1]
    assert [answer.tsih for answer in answers] == [0, 0, 0, 0x1234]
    assert login.results[0].stat_sn == 504
    assert login.results[0].user == "joe"


def test_the_window_of_the_last_response_is_the_session_s(nexus: Any, target: Any, dialogue: Any) -> None:
    login = dialogue()
    answer = login.say(OPERATIONAL, login.names, FULL)
    # The fixture's session began at CmdSN 100 and gave back one for each of its two commands.
    assert answer.max_cmd_sn == nexus.session.max_cmd_sn - 2


@pytest.mark.rfc7143("6.3.1-1", "13.21-1", "6.3.1-2", "13.4-1")
def test_a_discovery_login(dialogue: Any, node: Any) -> None:
    login = dialogue()
    keys = {"InitiatorName": login.initiator, "SessionType": "Discovery", "MaxConnections": "1",
            "iSCSIProtocolLevel": "1", "DefaultTime2Wait": "3"}
    answer = login.say(OPERATIONAL, keys, FULL)
    assert answer.nsg == FULL
    assert answer.keys == {
        "TargetPortalGroupTag": "1", "MaxConnections": "Irrelevant", "iSCSIProtocolLevel": "Irrelevant",
        "DefaultTime2Wait": "3", "MaxRecvDataSegmentLength": "262144",
    }
    assert login.login.result.target is None
    assert login.login.result.session_type == "Discovery"
    assert answer.max_cmd_sn == 101


def test_discovery_finds_no_target_by_its_name(dialogue: Any) -> None:
    login = dialogue(target="iqn.nobody")
    assert login.say(OPERATIONAL, {**login.names, "SessionType": "Discovery"}, FULL).nsg == FULL
    assert (login.results[0].target, login.results[0].named) == (None, "iqn.nobody")


@pytest.mark.parametrize("stage", [SECURITY, OPERATIONAL])
def test_the_alias_may_come_in_any_stage(dialogue: Any, stage: int) -> None:
    login = dialogue()
    answer = login.say(stage, {**login.names, "InitiatorAlias": "ä host"}, FULL)
    assert "InitiatorAlias" not in answer.keys
    assert login.results[0].initiator_alias == "ä host"


@pytest.mark.parametrize(("alias", "kept"), [("a" * 300, "a" * ALIAS_LIMIT), ("two\nlines", "")])
def test_an_alias_is_kept_short_and_printable(dialogue: Any, alias: str, kept: str) -> None:
    login = dialogue()
    login.say(OPERATIONAL, {**login.names, "InitiatorAlias": alias}, FULL)
    assert login.results[0].initiator_alias == kept


@pytest.mark.rfc7143("4.2.7.1-4")
@pytest.mark.parametrize("name", ["iqn.2010-06.ServerName:desc", "IQN.2010-06.SERVERNAME:DESC"])
def test_target_names_are_compared_in_lower_case(dialogue: Any, target: Any, name: str) -> None:
    login = dialogue(target=name)
    login.say(OPERATIONAL, login.names, FULL)
    assert login.results[0].target is target


def test_names_may_be_said_again_but_not_changed(dialogue: Any) -> None:
    login = dialogue()
    assert login.say(SECURITY, {**login.names, "AuthMethod": "None"}, OPERATIONAL).nsg == OPERATIONAL
    assert login.say(OPERATIONAL, login.names, FULL).nsg == FULL


@pytest.mark.rfc7143("13.4-2", "13.5-2")
@pytest.mark.parametrize("keys", [
    {"InitiatorName": "iqn.other"}, {"TargetName": "iqn.other"}, {"SessionType": "Discovery"},
], ids=lambda keys: next(iter(keys)))
def test_names_changed_later(dialogue: Any, keys: dict[str, str]) -> None:
    login = dialogue()
    login.say(SECURITY, {**login.names, "AuthMethod": "None"}, OPERATIONAL)
    assert login.say(OPERATIONAL, keys, FULL).status == INITIATOR_ERROR


@pytest.mark.rfc7143("13.6-1")
@pytest.mark.parametrize("opening", [SECURITY, OPERATIONAL])
def test_the_alias_of_the_target_is_told_once(dialogue: Any, target: Any, opening: int) -> None:
    target.alias = "Büro 3"
    login = dialogue()
    assert login.say(opening, login.names).keys["TargetAlias"] == "Büro 3"
    assert "TargetAlias" not in login.say(opening, {}, FULL).keys


@pytest.mark.rfc7143("13.6-1")
def test_the_alias_is_told_to_who_proved_to_be_allowed(dialogue: Any, chap_target: Any) -> None:
    chap_target.alias = "Büro 3"
    login = dialogue()
    assert "TargetAlias" not in login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"}).keys
    challenge = login.say(SECURITY, {"CHAP_A": "5"}).keys
    assert "TargetAlias" not in challenge
    assert login.say(SECURITY, chap_reply(challenge), OPERATIONAL).keys == {"TargetAlias": "Büro 3"}
    assert "TargetAlias" not in login.say(OPERATIONAL, {}, FULL).keys


def test_discovery_tells_no_alias(dialogue: Any, target: Any) -> None:
    target.alias = "Büro 3"
    login = dialogue()
    assert "TargetAlias" not in login.say(OPERATIONAL, {**login.names, "SessionType": "Discovery"}, FULL).keys


# Who and what: the statuses -------------------------------------------------------------------------------------------


@pytest.mark.rfc7143("4.2.7.1-3", "6.3-2", "13.4-1", "13.5-1", "11.12.10-1", "11.12.4-1", "4.2.7.2-1", "7.12-1")
@pytest.mark.parametrize(("keys", "fields", "status"), [
    pytest.param({}, {}, 0x207, id="no keys"),
    pytest.param({"TargetName": "t"}, {}, 0x207, id="no InitiatorName"),
    pytest.param({"InitiatorName": "i"}, {}, 0x207, id="no TargetName in a normal session"),
    pytest.param({"InitiatorName": "i", "TargetName": "t"}, {}, NOT_FOUND, id="a target that is not there"),
    pytest.param({"InitiatorName": "i", "SessionType": "Other"}, {}, 0x209, id="SessionType"),
    pytest.param({"InitiatorName": "i", "SessionType": "discovery"}, {}, 0x209, id="SessionType in other case"),
    pytest.param({"SessionType": "Other", "TargetName": "t"}, {}, 0x207, id="InitiatorName goes before SessionType"),
    pytest.param({"InitiatorName": ""}, {}, INITIATOR_ERROR, id="an empty name"),
    pytest.param({"InitiatorName": "i" * 224}, {}, INITIATOR_ERROR, id="a name over 223 bytes"),
    pytest.param({"InitiatorName": "é" * 112}, {}, INITIATOR_ERROR, id="a name of 224 bytes in 112 characters"),
    pytest.param({"InitiatorName": "i\nJan 1 daemon: all is well"}, {}, INITIATOR_ERROR, id="a forged log line"),
    pytest.param({"InitiatorName": "\udcff"}, {}, INITIATOR_ERROR, id="a name that is not UTF-8"),
    pytest.param(b"InitiatorName", {}, INITIATOR_ERROR, id="no text"),
    pytest.param(b"InitiatorName=i\0InitiatorName=i\0", {}, INITIATOR_ERROR, id="a name twice"),
    pytest.param({}, {"version_min": 1, "version_max": 1}, 0x205, id="Version-min 1"),
    pytest.param({"InitiatorName": "i", "TargetName": "t"}, {"isid": bytes(6)}, 0x207, id="ISID and TSIH 0"),
])
def test_the_first_request_is_refused(dialogue: Any, keys: Any, fields: dict[str, Any], status: int) -> None:
    login = dialogue()
    answer = login.say(OPERATIONAL, keys, FULL, **fields)
    assert (answer.status, answer.csg, answer.nsg, answer.tsih) == (status, OPERATIONAL, None, 0)
    assert login.login.failed
    assert not login.login.done
    assert not login.results
    assert login.login.problem.isprintable()
    assert (answer.stat_sn, answer.exp_cmd_sn, answer.version_active) == (500, 100, 0)


@pytest.mark.rfc7143("11.12.4-1", "11.13.1-1", "11.13.2-1")
def test_a_version_range_from_0_is_fine(dialogue: Any) -> None:
    login = dialogue()
    answer = login.say(OPERATIONAL, login.names, FULL, version_max=7)
    assert (answer.status, answer.version_max, answer.version_active) == (0, 0, 0)


def test_a_hidden_target_and_a_missing_one_answer_alike(dialogue: Any, target: Any) -> None:
    asked = []

    def admits(asker: Any) -> bool:
        asked.append(asker)
        return False

    target.admits = admits
    hidden, missing = dialogue(), dialogue(target="iqn.nobody")
    first, second = (login.say(OPERATIONAL, login.names, FULL) for login in (hidden, missing))
    assert first.fields == second.fields
    assert first.data == second.data
    assert first.status == NOT_FOUND
    assert [(asker.initiator, asker.peer, asker.local) for asker in asked] == [
        (hidden.initiator, hidden.peer, hidden.local)
    ] * 2, "for the missing one as well, which takes as long"


def test_the_access_rule_goes_before_the_challenge(dialogue: Any, chap_target: Any) -> None:
    chap_target.admits = lambda asker: False
    login = dialogue()
    assert login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"}).status == NOT_FOUND


def test_max_sessions_go_before_the_challenge(dialogue: Any, nexus: Any, chap_target: Any) -> None:
    """iet-compat 3.4: after redirection, before CHAP; a session that is reinstated takes no more room."""
    chap_target.max_sessions = 1
    login = dialogue()
    assert login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"}).status == 0x206
    chap_target.redirect = "10.0.0.9:3260"
    login = dialogue()
    assert login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"}).status == 0x101
    chap_target.redirect = ""
    again = dialogue()
    again.fields["isid"] = nexus.session.isid
    assert again.say(SECURITY, {**again.names, "AuthMethod": "CHAP"}).status == 0


@pytest.mark.rfc7143("11.13.5-1", "13.8-1")
@pytest.mark.parametrize("redirect", ["10.0.0.9:3260", "10.0.0.9", "[fe80::9]:3260", "[fe80::9]", "host.example:3260"])
def test_a_redirected_target(dialogue: Any, chap_target: Any, redirect: str) -> None:
    chap_target.redirect = redirect
    login = dialogue()
    answer = login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"})
    assert (answer.status, answer.keys) == (0x101, {"TargetAddress": redirect})
    assert redirect in login.login.problem


@pytest.mark.parametrize(("local", "redirect"), [
    ("10.0.0.1", "10.0.0.1:3261"), ("10.0.0.1", "10.0.0.1"), ("fe80::1", "[fe80::1]:3260"), ("fe80::1", "[fe80::1]"),
    ("10.0.0.1", "10.0.0.1:3260,1"),
])
def test_a_target_redirected_to_where_it_was_asked(dialogue: Any, target: Any, local: str, redirect: str) -> None:
    target.redirect = redirect
    login = dialogue()
    login.login._local = local
    assert login.say(OPERATIONAL, login.names, FULL).nsg == FULL


def test_a_redirection_does_not_show_to_who_may_not_see_the_target(dialogue: Any, target: Any) -> None:
    target.redirect, target.admits = "10.0.0.9:3260", lambda asker: False
    login = dialogue()
    assert login.say(OPERATIONAL, login.names, FULL).status == NOT_FOUND


@pytest.mark.parametrize("discovery", [False, True])
def test_a_closed_scope(dialogue: Any, node: Any, target: Any, discovery: bool) -> None:
    closed = Accounts(closed="the IncomingUser line has no secret")
    if discovery:
        node.discovery = closed
    else:
        target.accounts = closed
    login = dialogue()
    names = {"InitiatorName": "i", "SessionType": "Discovery"} if discovery else login.names
    assert login.say(SECURITY, {**names, "AuthMethod": "None,CHAP"}).status == AUTHENTICATION
    assert login.login.problem == "the IncomingUser line has no secret"


@pytest.mark.parametrize("status", [0x206, 0x20A])
def test_the_session_may_still_be_refused(dialogue: Any, status: int) -> None:
    login = dialogue(refuse=status)
    answer = login.say(OPERATIONAL, login.names, FULL, tsih=9)
    assert (answer.status, answer.nsg, answer.tsih, answer.max_cmd_sn) == (status, None, 9, 100)
    assert login.login.failed
    assert not login.login.done


def test_a_tsih_is_handed_on(dialogue: Any) -> None:
    login = dialogue()
    login.say(OPERATIONAL, login.names, FULL, tsih=9, isid=bytes(6))
    assert login.results[0].tsih_requested == 9


# Stages (section 11.12.3) ---------------------------------------------------------------------------------------------

#: Every first request: CSG, NSG with the T bit (None: without), accounts -> status, NSG agreed to.
_LEGAL_OPENINGS = {
    (SECURITY, None): None, (OPERATIONAL, None): None,
    (SECURITY, OPERATIONAL): OPERATIONAL, (SECURITY, FULL): FULL, (OPERATIONAL, FULL): FULL,
}


@pytest.mark.rfc7143("6.3-3", "6.3-5", "6.3-7", "11.13.6-2")
@pytest.mark.parametrize("csg", range(4))
@pytest.mark.parametrize("to", [None, 0, 1, 2, 3])
def test_opening_in_every_stage_with_every_step(dialogue: Any, csg: int, to: int | None) -> None:
    login = dialogue()
    answer = login.say(csg, login.names, to)
    if (csg, to) in _LEGAL_OPENINGS:
        assert (answer.status, answer.csg, answer.nsg) == (SUCCESS, csg, _LEGAL_OPENINGS[csg, to])
    else:
        assert (answer.status, answer.nsg) == (INITIATOR_ERROR, None)
    assert login.login.done == (answer.nsg == FULL)
    assert len(login.results) == (answer.nsg == FULL)


@pytest.mark.rfc7143("6.3-3", "6.3-5", "6.3-7", "11.13.6-2")
@pytest.mark.parametrize("reached", [SECURITY, OPERATIONAL])
@pytest.mark.parametrize("csg", range(4))
@pytest.mark.parametrize("to", [None, 0, 1, 2, 3])
def test_every_second_request_in_every_stage(dialogue: Any, reached: int, csg: int, to: int | None) -> None:
    """The stage stays what the last answer said; no way leads back."""
    login = dialogue()
    login.say(SECURITY, login.names, None if reached == SECURITY else OPERATIONAL)
    answer = login.say(csg, {}, to)
    if csg == reached and (csg, to) in _LEGAL_OPENINGS:
        assert (answer.status, answer.csg, answer.nsg) == (SUCCESS, csg, _LEGAL_OPENINGS[csg, to])
    else:
        assert answer.status == INITIATOR_ERROR


@pytest.mark.rfc7143("11-2")
def test_without_the_t_bit_nsg_is_reserved(dialogue: Any) -> None:
    login = dialogue()
    assert login.say(SECURITY, login.names, flags=SECURITY << 2 | RESERVED).status == SUCCESS


@pytest.mark.rfc7143("6.2-1", "11.12.2-1")
def test_t_and_c_together(dialogue: Any) -> None:
    login = dialogue()
    assert login.say(OPERATIONAL, login.names, FULL, more=True).status == INITIATOR_ERROR


_STEPS = st.tuples(st.integers(0, 3), st.sampled_from([None, 0, 1, 2, 3]), st.sampled_from([
    {}, {"AuthMethod": "None"}, {"AuthMethod": "CHAP"}, {"CHAP_A": "5"}, {"InitialR2T": "No"},
]))


@pytest.mark.rfc7143("6.3-4", "11.12-1", "6.3-5")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_STEPS, max_size=6), st.booleans())
def test_no_walk_gets_past_authentication(
    dialogue: Any, target: Any, steps: list[tuple[int, int | None, dict[str, str]]], required: bool
) -> None:
    target.accounts = Accounts({"joe": SECRET}) if required else Accounts()
    login = dialogue()
    keys: dict[str, str] = login.names
    for csg, to, more in steps:
        answer = login.say(csg, {**keys, **more}, to)
        keys = {}
        assert answer.nsg is None or answer.nsg == to
        if login.login.done or login.login.failed:
            break
    assert not (required and login.login.done)


@pytest.mark.rfc7143("11.12.6-2", "11.12.7-1")
@pytest.mark.parametrize(("field", "value"), [
    ("isid", b"\x80\0\0\0\0\2"), ("tsih", 1), ("cid", 2), ("initiator_task_tag", 0x78),
])
def test_what_may_not_change_during_a_login(dialogue: Any, field: str, value: Any) -> None:
    login = dialogue()
    login.say(OPERATIONAL, login.names)
    assert login.say(OPERATIONAL, {}, FULL, **{field: value}).status == INITIATOR_ERROR
    assert field.upper() in login.login.problem


@pytest.mark.rfc7143("6.2-13", "10.3-1")
def test_rounds_are_limited(dialogue: Any) -> None:
    login = dialogue()
    statuses = [login.say(OPERATIONAL, login.names if not n else {}).status for n in range(ROUNDS_LIMIT + 1)]
    assert statuses == [SUCCESS] * ROUNDS_LIMIT + [INITIATOR_ERROR]


@pytest.mark.rfc7143("11.2.1.5-1")
def test_additional_headers(dialogue: Any) -> None:
    login = dialogue()
    with pytest.raises(FormatError, match="additional header"):
        login.say(OPERATIONAL, login.names, FULL, lengths=1 << 24 | len(encode(login.names.items())))


# The security stage ---------------------------------------------------------------------------------------------------


@pytest.mark.rfc7143("6.3.2-1", "6.2.1-1", "6.2.1-2", "6.2.1-3", "12.1-1", "12.1-2", "6.3.2-4", "7.12-1", "9.2-1")
@pytest.mark.parametrize(("offered", "required", "answer"), [
    pytest.param("None", False, "None", id="None"),
    pytest.param("CHAP,None", False, "None", id="None is all that is left without accounts"),
    pytest.param("CHAP", False, AUTHENTICATION, id="CHAP only, no accounts"),
    pytest.param("CHAP", True, "CHAP", id="CHAP"),
    pytest.param("None,CHAP", True, "CHAP", id="None offered first, accounts"),
    pytest.param("KRB5,X-com.example,CHAP", True, "CHAP", id="words nobody here knows"),
    pytest.param("None", True, AUTHENTICATION, id="None only, accounts"),
    pytest.param("chap", True, AUTHENTICATION, id="in other case"),
    pytest.param("", True, AUTHENTICATION, id="an empty list"),
])
def test_auth_method(dialogue: Any, target: Any, offered: str, required: bool, answer: Any) -> None:
    if required:
        target.accounts = Accounts({"joe": SECRET})
    login = dialogue()
    said = login.say(SECURITY, {**login.names, "AuthMethod": offered})
    if isinstance(answer, str):
        assert said.keys == {"TargetPortalGroupTag": "1", "AuthMethod": answer}
    else:
        assert said.status == answer


@pytest.mark.rfc7143("6.3-8")
@pytest.mark.parametrize("method", ["None", "CHAP"])
def test_auth_method_repeated(dialogue: Any, target: Any, method: str) -> None:
    if method == "CHAP":
        target.accounts = Accounts({"joe": SECRET})
    login = dialogue()
    login.say(SECURITY, {**login.names, "AuthMethod": method})
    assert login.say(SECURITY, {"AuthMethod": method}).status == INITIATOR_ERROR


@pytest.mark.rfc7143("6.3.2-4", "12.1-1")
def test_auth_method_missing_where_accounts_are(dialogue: Any, chap_target: Any) -> None:
    login = dialogue()
    assert login.say(SECURITY, login.names, OPERATIONAL).status == AUTHENTICATION


@pytest.mark.rfc7143("6.3-3", "11.12-1")
def test_the_security_stage_skipped_where_accounts_are(dialogue: Any, chap_target: Any) -> None:
    login = dialogue()
    assert login.say(OPERATIONAL, login.names, FULL).status == AUTHENTICATION


@pytest.mark.rfc7143("6.3-4", "6.3-6", "11.13.6-1")
def test_the_t_bit_is_withheld_until_chap_is_over(dialogue: Any, chap_target: Any) -> None:
    login = dialogue()
    assert login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"}, OPERATIONAL).nsg is None
    challenge = login.say(SECURITY, {"CHAP_A": "5"}, FULL)
    assert (challenge.nsg, challenge.status) == (None, SUCCESS)
    assert login.say(SECURITY, chap_reply(challenge.keys), OPERATIONAL).nsg == OPERATIONAL
    assert login.say(OPERATIONAL, {}, FULL).nsg == FULL


@pytest.mark.rfc7143("12.1-3")
def test_auth_method_and_chap_a_in_one_request(dialogue: Any, chap_target: Any) -> None:
    login = dialogue()
    answer = login.say(SECURITY, {**login.names, "AuthMethod": "CHAP", "CHAP_A": "5"})
    assert set(answer.keys) == {"TargetPortalGroupTag", "AuthMethod", "CHAP_A", "CHAP_I", "CHAP_C"}
    assert login.say(SECURITY, chap_reply(answer.keys), FULL).nsg == FULL


@pytest.mark.rfc7143("9.2-2")
@pytest.mark.parametrize("keys", [{"CHAP_N": "joe"}, {"CHAP_A": "5"}], ids=lambda keys: next(iter(keys)))
@pytest.mark.parametrize("stage", [SECURITY, OPERATIONAL])
def test_chap_keys_nobody_asked_for(dialogue: Any, keys: dict[str, str], stage: int) -> None:
    login = dialogue()
    assert login.say(stage, {**login.names, **keys}, FULL).status == INITIATOR_ERROR


@pytest.mark.rfc7143("9.2-2", "6.3-8")
def test_a_chap_key_twice(dialogue: Any, chap_target: Any) -> None:
    login = dialogue()
    login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"})
    assert login.say(SECURITY, [("CHAP_A", "5"), ("CHAP_A", "5")]).status == INITIATOR_ERROR


@pytest.mark.rfc7143("9.2-3", "12.1.3-2", "9.2-4", "6.3.2-4")
def test_wrong_users_and_wrong_secrets_answer_alike(dialogue: Any, chap_target: Any) -> None:
    answers, problems = [], []
    for user, secret in (("jim", SECRET), ("joe", "wrong"), ("", SECRET), ("joe" * 100, SECRET)):
        login = dialogue()
        login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"})
        challenge = login.say(SECURITY, {"CHAP_A": "5"}).keys
        answers.append(login.say(SECURITY, chap_reply(challenge, user, secret), OPERATIONAL))
        problems.append(login.login.problem)
    assert [answer.status for answer in answers] == [AUTHENTICATION] * 4
    assert len({(answer.data, str(answer.fields)) for answer in answers}) == 1
    assert len(set(problems)) == 1


@pytest.mark.rfc7143("9.2-5")
def test_an_initiator_that_must_be_one_user(dialogue: Any, chap_target: Any) -> None:
    """Another's name and secret are as wrong as any."""
    chap_target.accounts = Accounts({"joe": SECRET, "ann": SECRET})
    chap_target.terms = lambda asker: Terms(user="ann" if asker.peer == "10.0.0.2" else "")
    answers = []
    for user, secret in (("joe", SECRET), ("ann", "wrong"), ("jim", SECRET), ("ann", SECRET)):
        login = dialogue()
        login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"})
        challenge = login.say(SECURITY, {"CHAP_A": "5"}).keys
        answers.append(login.say(SECURITY, chap_reply(challenge, user, secret), OPERATIONAL))
    assert [answer.status for answer in answers] == [AUTHENTICATION] * 3 + [SUCCESS]
    assert len({(answer.data, str(answer.fields)) for answer in answers[:3]}) == 1


def test_who_needs_no_account(dialogue: Any, chap_target: Any) -> None:
    """Others of the target do; and a target that is closed stays so."""
    chap_target.terms = lambda asker: Terms(free=asker.peer == "10.0.0.2")
    assert dialogue().say(OPERATIONAL, dialogue().names, FULL).status == SUCCESS
    chap_target.terms = lambda asker: Terms()
    assert dialogue().say(OPERATIONAL, dialogue().names, FULL).status == AUTHENTICATION
    chap_target.accounts = Accounts(closed="a mistake")
    chap_target.terms = lambda asker: Terms(free=True)
    assert dialogue().say(OPERATIONAL, dialogue().names, FULL).status == AUTHENTICATION


def test_a_user_without_an_account_is_nobody(dialogue: Any, target: Any) -> None:
    """Also where there are no accounts at all, and so nobody else is asked for one."""
    target.terms = lambda asker: Terms(user="ann")
    login = dialogue()
    assert login.say(OPERATIONAL, login.names, FULL).status == AUTHENTICATION


def test_a_login_notes_the_terms_it_was_admitted_on(dialogue: Any, chap_target: Any) -> None:
    chap_target.terms = lambda asker: Terms(View({0: 1}), "joe")
    login = dialogue()
    login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"})
    challenge = login.say(SECURITY, {"CHAP_A": "5"}).keys
    login.say(SECURITY, chap_reply(challenge), FULL)
    assert login.results[0].terms == Terms(View({0: 1}), "joe")


def test_without_terms_there_is_no_such_target(dialogue: Any, target: Any) -> None:
    """Rules that change at this moment admitted it before."""
    target.terms = lambda asker: None
    login = dialogue()
    assert login.say(OPERATIONAL, login.names, FULL).status == NOT_FOUND


def test_a_normal_session_never_takes_a_discovery_user(dialogue: Any, node: Any, chap_target: Any) -> None:
    node.discovery = Accounts({"browser": SECRET})
    login = dialogue()
    login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"})
    challenge = login.say(SECURITY, {"CHAP_A": "5"}).keys
    assert login.say(SECURITY, chap_reply(challenge, "browser"), OPERATIONAL).status == AUTHENTICATION


@pytest.mark.parametrize(("user", "status"), [("browser", SUCCESS), ("joe", AUTHENTICATION)])
def test_discovery_takes_discovery_users_only(
    dialogue: Any, node: Any, chap_target: Any, user: str, status: int
) -> None:
    node.discovery = Accounts({"browser": SECRET})
    login = dialogue()
    login.say(SECURITY, {"InitiatorName": "i", "SessionType": "Discovery", "AuthMethod": "CHAP"})
    challenge = login.say(SECURITY, {"CHAP_A": "5"}).keys
    assert login.say(SECURITY, chap_reply(challenge, user), FULL).status == status


@pytest.mark.rfc7143("4.2.4-1", "9.2.1-1", "12.1.3-3")
def test_mutual_authentication(dialogue: Any, chap_target: Any) -> None:
    login = dialogue()
    login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"})
    challenge = login.say(SECURITY, {"CHAP_A": "5"}).keys
    theirs = {"CHAP_I": "7", "CHAP_C": "0x" + "5a" * 16}
    answer = login.say(SECURITY, {**chap_reply(challenge), **theirs}, OPERATIONAL)
    assert answer.nsg == OPERATIONAL
    expected = chap.response(5, 7, "what the target knows", b"\x5a" * 16)
    assert answer.keys == {"CHAP_N": "target", "CHAP_R": "0x" + expected.hex()}


@pytest.mark.rfc7143("9.2.1-9")
@pytest.mark.parametrize("same_connection", [True, False])
def test_a_reflected_challenge(dialogue: Any, chap_target: Any, same_connection: bool) -> None:
    first, second = dialogue(), dialogue()
    challenges = []
    for login in (first, second):
        login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"})
        challenges.append(login.say(SECURITY, {"CHAP_A": "5"}).keys)
    ours = challenges[0 if same_connection else 1]
    theirs = {"CHAP_I": ours["CHAP_I"], "CHAP_C": ours["CHAP_C"]}
    answer = first.say(SECURITY, {**chap_reply(challenges[0]), **theirs}, OPERATIONAL)
    assert (answer.status, answer.data) == (AUTHENTICATION, b"")


@pytest.mark.parametrize("end", ["authenticated", "failed", "abandoned"])
def test_a_challenge_is_open_no_longer_than_its_login(dialogue: Any, node: Any, chap_target: Any, end: str) -> None:
    login = dialogue()
    login.say(SECURITY, {**login.names, "AuthMethod": "CHAP"})
    challenge = login.say(SECURITY, {"CHAP_A": "5"}).keys
    assert len(node.open_challenges) == 1
    if end == "abandoned":
        login.login.abandoned()
    else:
        login.say(SECURITY, chap_reply(challenge, secret=SECRET if end == "authenticated" else "wrong"), OPERATIONAL)
    assert not node.open_challenges


def test_abandoning_a_login_without_chap(dialogue: Any, node: Any) -> None:
    login = dialogue()
    login.login.abandoned()
    assert not node.open_challenges


@pytest.mark.rfc7143("12-1", "6.2-6")
def test_operational_keys_in_the_security_stage(dialogue: Any) -> None:
    """They have their own stage, and may be negotiated there (iet-compat 8.1)."""
    login = dialogue()
    keys = {**login.names, "AuthMethod": "None", "MaxBurstLength": "8192", "X-com.example": "1", "X-b": "Reject"}
    assert login.say(SECURITY, keys, OPERATIONAL).keys == {
        "TargetPortalGroupTag": "1", "AuthMethod": "None", "MaxBurstLength": "NotUnderstood",
        "X-com.example": "NotUnderstood",
    }
    assert login.say(OPERATIONAL, {"MaxBurstLength": "8192"}, FULL).keys["MaxBurstLength"] == "8192"


@pytest.mark.parametrize("stage", [SECURITY, OPERATIONAL])
@pytest.mark.parametrize("name", [row.name for row in KEYS if row.use is Use.TARGET])
def test_keys_of_targets(dialogue: Any, stage: int, name: str) -> None:
    login = dialogue()
    assert login.say(stage, {**login.names, name: "1"}, FULL).status == INITIATOR_ERROR


# The operational stage ------------------------------------------------------------------------------------------------


@pytest.mark.rfc7143("6.3-8")
@pytest.mark.parametrize("name", ["MaxBurstLength", "X-com.example", "HeaderDigest", "MaxRecvDataSegmentLength"])
def test_a_key_is_negotiated_once(dialogue: Any, name: str) -> None:
    login = dialogue()
    assert login.say(OPERATIONAL, {**login.names, name: "8192"}).status == SUCCESS
    assert login.say(OPERATIONAL, {name: "8192"}, FULL).status == INITIATOR_ERROR


def test_auth_method_in_the_operational_stage(dialogue: Any) -> None:
    login = dialogue()
    assert login.say(OPERATIONAL, {**login.names, "AuthMethod": "None"}).keys["AuthMethod"] == "Reject"


@pytest.mark.rfc7143("C-1")
def test_send_targets_during_login(dialogue: Any) -> None:
    login = dialogue()
    assert login.say(OPERATIONAL, {**login.names, "SendTargets": "All"}).keys["SendTargets"] == "Reject"


OFFERS = [
    ("MaxBurstLength", 65536, "max_burst_length"),
    ("HeaderDigest", ("CRC32C",), "header_digest"),
    ("DefaultTime2Wait", 9, "default_time2wait"),
]
_RENDERED = {"MaxBurstLength": "65536", "HeaderDigest": "CRC32C", "DefaultTime2Wait": "9"}


@pytest.mark.rfc7143("6.3-6", "11.13.6-1", "6.2-5", "6.2.2-4")
@pytest.mark.parametrize(("name", "value", "attribute"), OFFERS, ids=lambda value: str(value))
@pytest.mark.parametrize("opening", [SECURITY, OPERATIONAL])
def test_what_is_configured_is_offered_and_must_be_answered(
    dialogue: Any, target: Any, name: str, value: Any, attribute: str, opening: int
) -> None:
    """A login that would skip the operational stage is sent there first (iet-compat 8.1)."""
    target.key_values = {name: value}
    login = dialogue()
    if opening == SECURITY:
        assert login.say(SECURITY, login.names, FULL).nsg == OPERATIONAL
    answer = login.say(OPERATIONAL, login.names, FULL)
    assert answer.nsg is None
    assert answer.keys[name] == _RENDERED[name]
    answer = login.say(OPERATIONAL, {name: _RENDERED[name]}, FULL)
    assert (answer.nsg, answer.data) == (FULL, b"")
    assert getattr(login.results[0].parameters, attribute) == (True if name == "HeaderDigest" else value)


def test_an_offer_that_settles_itself_waits_one_round_only(dialogue: Any, target: Any) -> None:
    """ImmediateData=No needs no answer (section 6.2.2), but the initiator must have read it."""
    target.key_values = {"ImmediateData": False}
    login = dialogue()
    answer = login.say(OPERATIONAL, login.names, FULL)
    assert (answer.nsg, answer.keys["ImmediateData"]) == (None, "No")
    assert login.say(OPERATIONAL, {}, FULL).nsg == FULL
    assert login.results[0].parameters.immediate_data is False


@pytest.mark.parametrize(("reply", "status", "immediate"), [
    ("No", SUCCESS, False), ("Reject", SUCCESS, False), ("Yes", INITIATOR_ERROR, None), ("no", INITIATOR_ERROR, None),
])
def test_answers_to_immediate_data(
    dialogue: Any, target: Any, reply: str, status: int, immediate: bool | None
) -> None:
    target.key_values = {"ImmediateData": False}
    login = dialogue()
    login.say(OPERATIONAL, login.names, FULL)
    assert login.say(OPERATIONAL, {"ImmediateData": reply}, FULL).status == status
    assert [result.parameters.immediate_data for result in login.results] == ([] if immediate is None else [False])


def test_an_initiator_that_never_answers_an_offer(dialogue: Any, target: Any) -> None:
    target.key_values = {"MaxBurstLength": 65536}
    login = dialogue()
    keys = login.names
    for _ in range(ROUNDS_LIMIT):
        answer = login.say(OPERATIONAL, keys, FULL)
        assert (answer.status, answer.nsg) == (SUCCESS, None)
        keys = {}
    assert login.say(OPERATIONAL, {}, FULL).status == INITIATOR_ERROR


def test_offers_wait_until_the_initiator_has_made_its_own(dialogue: Any, target: Any) -> None:
    """Else its offer in the second request would look like an impossible answer to ours."""
    target.key_values = {"MaxBurstLength": 65536}
    login = dialogue()
    assert "MaxBurstLength" not in login.say(OPERATIONAL, login.names).keys
    answer = login.say(OPERATIONAL, {"MaxBurstLength": "1048576"}, FULL)
    assert (answer.nsg, answer.keys) == (FULL, {"MaxBurstLength": "65536"})


def test_nothing_is_offered_that_was_settled_or_is_the_default(dialogue: Any, target: Any) -> None:
    target.key_values = {"MaxBurstLength": 262144, "InitialR2T": False, "ImmediateData": False, "OFMarker": False}
    login = dialogue()
    answer = login.say(OPERATIONAL, {**login.names, "ImmediateData": "Yes"}, FULL)
    assert answer.nsg == FULL
    assert answer.keys == {
        "TargetPortalGroupTag": "1", "ImmediateData": "No", "MaxRecvDataSegmentLength": "262144",
    }


@pytest.mark.rfc7143("13.14-1", "6.2-12")
@pytest.mark.parametrize(("configured", "keys", "said", "first", "burst"), [
    pytest.param({"MaxBurstLength": 65536}, {"FirstBurstLength": "262144", "MaxBurstLength": "1048576"},
                 {"FirstBurstLength": "65536", "MaxBurstLength": "65536"}, 65536, 65536, id="ours is lower"),
    pytest.param({}, {"FirstBurstLength": "262144", "MaxBurstLength": "4096"},
                 {"FirstBurstLength": "4096", "MaxBurstLength": "4096"}, 4096, 4096, id="theirs break it themselves"),
    pytest.param({}, {"FirstBurstLength": "262144"}, {"FirstBurstLength": "262144"}, 262144, 262144,
                 id="at the default of MaxBurstLength"),
    pytest.param({"FirstBurstLength": 1 << 20}, {"FirstBurstLength": "1048576"}, {"FirstBurstLength": "262144"},
                 262144, 262144, id="above the default of MaxBurstLength"),
])
def test_first_burst_never_exceeds_max_burst(
    dialogue: Any, target: Any, configured: dict[str, int], keys: dict[str, str], said: dict[str, str], first: int,
    burst: int,
) -> None:
    """Section 13.14, in what is said as in what holds; the order of the keys does not matter."""
    target.key_values = configured
    for order in itertools.permutations(keys.items()):
        login = dialogue()
        answer = login.say(OPERATIONAL, [*login.names.items(), *order], FULL)
        assert answer.nsg == FULL
        assert {name: answer.keys[name] for name in said} == said
        parameters = login.results[-1].parameters
        assert (parameters.first_burst_length, parameters.max_burst_length) == (first, burst)


def test_a_low_bound_is_offered_with_what_it_bounds(dialogue: Any, target: Any) -> None:
    target.key_values = {"MaxBurstLength": 8192}
    login = dialogue()
    answer = login.say(OPERATIONAL, login.names, FULL)
    assert answer.nsg is None
    assert (answer.keys["MaxBurstLength"], answer.keys["FirstBurstLength"]) == ("8192", "8192")
    answer = login.say(OPERATIONAL, {"FirstBurstLength": "4096", "MaxBurstLength": "8192"}, FULL)
    assert answer.nsg == FULL
    assert login.results[0].parameters.first_burst_length == 4096


@pytest.mark.rfc7143("13.14-1", "6.2-12")
def test_a_bound_that_sinks_after_what_it_bounds(dialogue: Any) -> None:
    login = dialogue()
    login.say(OPERATIONAL, {**login.names, "FirstBurstLength": "65536"})
    login.say(OPERATIONAL, {"MaxBurstLength": "512"}, FULL)
    assert login.results[0].parameters.first_burst_length == 512


@pytest.mark.rfc7143("6.2-5")
@pytest.mark.parametrize(("declared", "cap", "held"), [
    ({}, None, 8192), ({}, 4096, 4096), ({"MaxRecvDataSegmentLength": "65536"}, None, 65536),
    ({"MaxRecvDataSegmentLength": "65536"}, 4096, 4096), ({"MaxRecvDataSegmentLength": "512"}, 4096, 512),
    ({"MaxRecvDataSegmentLength": "511"}, None, 8192),
])
def test_what_we_may_send(
    dialogue: Any, target: Any, declared: dict[str, str], cap: int | None, held: int
) -> None:
    target.key_values = {} if cap is None else {"MaxXmitDataSegmentLength": cap}
    login = dialogue()
    login.say(OPERATIONAL, {**login.names, **declared}, FULL)
    assert login.results[0].parameters.max_xmit_data_segment_length == held


@pytest.mark.rfc7143("13.1-1", "6.2.1-1", "6.2.1-2", "6.2.1-3")
@pytest.mark.parametrize(("ours", "theirs", "answer", "digest"), [
    (None, "None", "None", False), (None, "CRC32C", "CRC32C", True), (None, "CRC32C,None", "CRC32C", True),
    (None, "None,CRC32C", "None", False), (None, "X-md5,CRC32C", "CRC32C", True), (None, "X-md5", "Reject", False),
    (("CRC32C",), "None", "Reject", False), (("None",), "CRC32C", "Reject", False),
    (("CRC32C",), "None,CRC32C", "CRC32C", True), (("None",), "CRC32C,None", "None", False),
])
def test_digests(dialogue: Any, target: Any, ours: Any, theirs: str, answer: str, digest: bool) -> None:
    target.key_values = {} if ours is None else {"HeaderDigest": ours, "DataDigest": ours}
    login = dialogue()
    keys = login.say(OPERATIONAL, {**login.names, "HeaderDigest": theirs, "DataDigest": theirs}, FULL).keys
    assert (keys["HeaderDigest"], keys["DataDigest"]) == (answer, answer)
    parameters = login.results[0].parameters
    assert (parameters.header_digest, parameters.data_digest) == (digest, digest)


@pytest.mark.rfc7143("13.25-1", "13.25-2", "13.25-3")
def test_markers_are_gone(dialogue: Any) -> None:
    login = dialogue()
    keys = {"OFMarker": "Yes", "IFMarker": "No", "OFMarkInt": "1~2", "IFMarkInt": "2048"}
    answer = login.say(OPERATIONAL, {**login.names, **keys}, FULL).keys
    assert [answer[name] for name in keys] == ["No", "No", "Reject", "Reject"]


# Long texts (sections 6.1, 6.2, 11.12.2) ------------------------------------------------------------------------------


def test_text_cut_at_every_byte(dialogue: Any) -> None:
    text = encode([*dialogue().names.items(), ("MaxBurstLength", "4096"), ("X-é", "Reject")][:-1])
    whole = dialogue()
    expected = whole.say(OPERATIONAL, text, FULL)
    for cut in range(len(text) + 1):
        login = dialogue()
        empty = login.say(OPERATIONAL, text[:cut], more=True)
        assert (empty.status, empty.data, empty.nsg, empty.more, empty.tsih) == (SUCCESS, b"", None, False, 0)
        answer = login.say(OPERATIONAL, text[cut:], FULL)
        assert answer.data == expected.data
        assert answer.nsg == FULL


def test_an_answer_longer_than_8192_bytes(dialogue: Any) -> None:
    login = dialogue()
    keys = {f"X-{n:0>61}": "1" for n in range(KEYS_LIMIT - 2)}
    text = encode([*login.names.items(), *keys.items()])
    assert login.say(OPERATIONAL, text[:5000], more=True).data == b""
    answer = login.say(OPERATIONAL, text[5000:], FULL)
    assert (answer.more, answer.nsg, len(answer.data)) == (True, None, RESPONSE_LIMIT)
    rest = login.say(OPERATIONAL, {}, FULL)
    assert (rest.more, rest.nsg) == (False, FULL)
    said = answer.data + rest.data
    assert said.startswith(b"TargetPortalGroupTag=1\0X-")
    assert said.count(b"=NotUnderstood\0") == len(keys)
    assert said.endswith(b"MaxRecvDataSegmentLength=262144\0")


def test_the_t_bit_answers_only_a_request_that_has_it(dialogue: Any) -> None:
    """Nobody who asks for the rest of an answer without T is moved on."""
    login = dialogue()
    keys = {f"X-{n:0>61}": "1" for n in range(KEYS_LIMIT - 2)}
    assert login.say(OPERATIONAL, {**login.names, **keys}, FULL).more
    assert login.say(OPERATIONAL, {}).nsg is None
    assert login.say(OPERATIONAL, {}, FULL).nsg == FULL


def test_asking_to_leave_only_with_the_rest_of_an_answer_still_hears_our_offers(dialogue: Any, target: Any) -> None:
    target.key_values = {"MaxBurstLength": 65536}
    login = dialogue()
    keys = {f"X-{n:0>61}": "1" for n in range(KEYS_LIMIT - 3)}
    assert login.say(OPERATIONAL, {**login.names, **keys}).more
    assert login.say(OPERATIONAL, {}, FULL).nsg is None
    answer = login.say(OPERATIONAL, {}, FULL)
    assert (answer.nsg, answer.keys) == (None, {"MaxBurstLength": "65536"})
    assert login.say(OPERATIONAL, answer.keys, FULL).nsg == FULL


@pytest.mark.parametrize(("keys", "more"), [({"InitialR2T": "No"}, False), ({}, True)])
def test_text_while_an_answer_is_still_being_sent(dialogue: Any, keys: dict[str, str], more: bool) -> None:
    login = dialogue()
    unknown = {f"X-{n:0>61}": "1" for n in range(KEYS_LIMIT - 2)}
    login.say(OPERATIONAL, {**login.names, **unknown})
    assert login.say(OPERATIONAL, keys, more=more).status == INITIATOR_ERROR


def test_keys_are_counted_over_the_whole_login(dialogue: Any) -> None:
    login = dialogue()
    login.say(OPERATIONAL, login.names)
    assert login.say(OPERATIONAL, {f"X-{n}": "1" for n in range(KEYS_LIMIT - 2)}).status == SUCCESS
    assert login.say(OPERATIONAL, {"X-one.more": "1"}).status == INITIATOR_ERROR


def test_bytes_are_counted_over_the_whole_login(dialogue: Any) -> None:
    login = dialogue()
    sent = 0
    while sent + 8192 <= TEXT_LIMIT:
        assert login.say(OPERATIONAL, b"x" * 8192, more=True).status == SUCCESS
        sent += 8192
    assert login.say(OPERATIONAL, b"x", more=True).status == INITIATOR_ERROR


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400), flags=st.integers(0, 255), header=st.binary(min_size=46, max_size=46))
def test_any_bytes_give_an_answer_or_drop(dialogue: Any, data: bytes, flags: int, header: bytes) -> None:
    login = dialogue()
    raw = bytes((0x43, flags)) + header
    raw = raw[:4] + struct.pack(">I", len(data)) + raw[8:]
    answer = login.login.receive(raw, data)
    assert answer[0] == 0x23
    assert login.login.failed == (answer[36] != 0)


# The rows, each at, below and above its range -------------------------------------------------------------------------

_NUMBERS = [row for row in KEYS if hasattr(row.value, "low") and row.use in (Use.LOGIN, Use.ALL)]


@pytest.mark.parametrize("row", _NUMBERS, ids=lambda row: row.name)
@pytest.mark.parametrize("write", [str, hex], ids=["decimal", "hex"])
def test_numbers_at_below_and_above_their_range(dialogue: Any, row: Any, write: Any) -> None:
    low, high = row.value.low, row.value.high
    for value, legal in ((low - 1, False), (low, True), (high, True), (high + 1, False)):
        login = dialogue()
        said = login.say(OPERATIONAL, {**login.names, row.name: write(value)}, FULL).keys.get(row.name)
        if row.result is Result.DECLARE:
            assert (said == "Reject") == (not legal)
        else:
            assert (said == "Reject") == (not legal)
            assert said is not None


@pytest.mark.parametrize("row", [row for row in KEYS if row.value.accepts == "Yes or No"], ids=lambda row: row.name)
@pytest.mark.parametrize("word", ["yes", "NO", "1", "", "Yes "])
def test_booleans_are_yes_or_no(dialogue: Any, row: Any, word: str) -> None:
    login = dialogue()
    answer = login.say(OPERATIONAL, {**login.names, row.name: word}, FULL)
    assert answer.keys[row.name] == ("No" if row.result is Result.OBSOLETE_NO else "Reject")
    assert answer.nsg == FULL


@pytest.mark.rfc7143("6.3.1-1", "11.13.8-1")
def test_the_portal_group_is_that_of_the_portal_reached(dialogue: Any, target: Any) -> None:
    target.offer((2, 65535))
    answer = dialogue(group=65535).say(1, {"InitiatorName": "iqn.2026-11.test:i", "TargetName": target.name}, 3)
    assert answer.keys["TargetPortalGroupTag"] == "65535"


@pytest.mark.rfc7143("6.3-2")
def test_a_target_of_another_portal_group_looks_like_a_missing_one(dialogue: Any, target: Any) -> None:
    """The same bytes, but for what is echoed."""
    target.offer((2,))
    answers = []
    for name in (target.name, "iqn.2010-06.servername:gone"):
        talk = dialogue()
        raw = talk.request(1, {"InitiatorName": "iqn.2026-11.test:i", "TargetName": name}, 3)
        length = int.from_bytes(raw[5:8], "big")
        answers.append(talk.login.receive(memoryview(raw)[:48], memoryview(raw)[48:48 + length]))
        assert talk.login.failed
    assert answers[0] == answers[1]
    assert answers[0][36:38] == b"\x02\x03"
