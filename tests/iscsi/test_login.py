"""The login phase (RFC 7143 sections 6.3, 11.12, 11.13): stages, checks in IET's order, CHAP, negotiation, limits."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.errors import FormatError
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.login import ROUNDS_LIMIT, Login, LoginResult
from ietpy.iscsi.pdu import LOGIN_REQUEST
from ietpy.iscsi.target import Accounts, IscsiNode, TargetNode
from ietpy.scsi.device import ScsiDevice

SECURITY, OPERATIONAL, RESERVED, FULL = 0, 1, 2, 3
USER, SECRET = "joe", "twelve-bytes-long"
CLOSED = Accounts(closed="a line without a secret")
REQUIRED = Accounts(incoming={USER: SECRET}, outgoing=("target", "another-long-secret"))
DISCOVERY = {"InitiatorName": "iqn.i", "SessionType": "Discovery"}

#: dialogue(target=..., refuse=...) from conftest
Make = Callable[..., Any]


def failed(login: Any, answer: Any, status: LoginStatus) -> None:
    assert f"{answer.status:04x}" == f"{status:04x}", login.login.problem
    assert login.login.failed
    assert not login.login.done
    assert login.login.problem
    assert login.login.problem.isprintable()
    assert SECRET not in login.login.problem
    assert answer.nsg is None
    assert not answer.more
    assert login.results == []


def respond(answer: Any, secret: str = SECRET, user: str = USER) -> dict[str, str]:
    """CHAP_N and CHAP_R for a challenge (MD5)."""
    challenge = bytes.fromhex(answer.keys["CHAP_C"][2:])
    data = bytes([int(answer.keys["CHAP_I"])]) + secret.encode() + challenge
    return {"CHAP_N": user, "CHAP_R": "0x" + hashlib.md5(data).hexdigest()}


# Whole logins ----------------------------------------------------------------------------------------------------


def test_straight_to_the_operational_stage(dialogue: Make, target: TargetNode) -> None:
    login = dialogue()
    answer = login.say(OPERATIONAL, login.names | {"MaxRecvDataSegmentLength": "65536", "InitialR2T": "No",
                                                   "InitiatorAlias": "me"}, FULL)
    assert answer.pairs == [
        ("TargetPortalGroupTag", "1"), ("InitialR2T", "Yes"), ("MaxRecvDataSegmentLength", "262144"),
    ]
    assert (answer.csg, answer.nsg, answer.tsih, answer.status) == (OPERATIONAL, FULL, 0x1234, 0)
    assert (answer.isid, answer.initiator_task_tag) == (b"\x80\0\0\0\0\1", 0x77)
    assert (answer.version_max, answer.version_active) == (0, 0)
    assert (answer.stat_sn, answer.exp_cmd_sn, answer.max_cmd_sn) == (500, 100, 100 + target.queued_commands - 1)
    assert login.login.done
    result = login.login.result
    assert (result.target, result.session_type, result.initiator_name) == (target, "Normal", "iqn.2026-11.test:i")
    assert (result.tsih, result.tsih_requested, result.cid, result.isid) == (0x1234, 0, 1, b"\x80\0\0\0\0\1")
    assert (result.cmd_sn, result.stat_sn, result.user, result.initiator_alias) == (100, 501, "", "me")
    assert result.parameters.max_xmit_data_segment_length == 65536
    assert result.parameters.max_recv_data_segment_length == 262144
    assert login.results[0].tsih == 0


def test_through_both_stages(dialogue: Make) -> None:
    login = dialogue()
    first = login.say(SECURITY, login.names | {"AuthMethod": "CHAP,None"}, OPERATIONAL)
    assert first.pairs == [("TargetPortalGroupTag", "1"), ("AuthMethod", "None")]
    assert (first.csg, first.nsg, first.tsih, first.stat_sn) == (SECURITY, OPERATIONAL, 0, 500)
    assert (first.exp_cmd_sn, first.max_cmd_sn) == (100, 100)
    second = login.say(OPERATIONAL, {"HeaderDigest": "CRC32C,None"})
    assert (second.nsg, second.stat_sn, login.login.done) == (None, 501, False)
    last = login.say(OPERATIONAL, {}, FULL)
    assert (last.pairs, last.nsg, last.stat_sn) == ([], FULL, 502)
    assert login.login.result.stat_sn == 503
    assert login.login.result.parameters.header_digest is True


def test_straight_from_security_to_full_feature(dialogue: Make) -> None:
    login = dialogue()
    assert login.say(SECURITY, login.names | {"AuthMethod": "None"}, FULL).nsg == FULL
    assert login.login.result.parameters.max_recv_data_segment_length == 8192


def test_discovery(dialogue: Make, node: IscsiNode) -> None:
    login = dialogue()
    answer = login.say(OPERATIONAL, DISCOVERY | {"MaxBurstLength": "65536", "HeaderDigest": "None"}, FULL)
    assert answer.pairs == [
        ("TargetPortalGroupTag", "1"), ("MaxBurstLength", "Irrelevant"), ("HeaderDigest", "None"),
        ("MaxRecvDataSegmentLength", "262144"),
    ]
    assert (answer.exp_cmd_sn, answer.max_cmd_sn) == (100, 101)
    assert (login.login.result.session_type, login.login.result.target) == ("Discovery", None)


def test_stat_sn_wraps(dialogue: Make) -> None:
    login = dialogue()
    assert login.say(OPERATIONAL, login.names, exp_stat_sn=0xFFFFFFFF).stat_sn == 0xFFFFFFFF
    assert login.say(OPERATIONAL, {}, FULL).stat_sn == 0
    assert login.login.result.stat_sn == 1


def test_an_existing_session_is_asked_for_by_its_handle(dialogue: Make) -> None:
    login = dialogue()
    answer = login.say(OPERATIONAL, login.names, tsih=7, isid=bytes(6))
    assert answer.tsih == 7
    login.say(OPERATIONAL, {}, FULL, tsih=7, isid=bytes(6))
    assert login.results[0].tsih_requested == 7


# Stages -------------------------------------------------------------------------------------------------------------

STEPS = {(SECURITY, OPERATIONAL), (SECURITY, FULL), (OPERATIONAL, FULL)}


@pytest.mark.parametrize("csg", range(4))
@pytest.mark.parametrize("nsg", range(4))
def test_every_step_of_the_first_request(dialogue: Make, csg: int, nsg: int) -> None:
    login = dialogue()
    answer = login.say(csg, login.names | ({"AuthMethod": "None"} if csg == SECURITY else {}), nsg)
    if (csg, nsg) in STEPS:
        assert (answer.csg, answer.nsg, answer.status) == (csg, nsg, 0)
    else:
        failed(login, answer, LoginStatus.INITIATOR_ERROR)


@pytest.mark.parametrize("current", [SECURITY, OPERATIONAL])
@pytest.mark.parametrize("csg", range(4))
@pytest.mark.parametrize("nsg", [None, 0, 1, 2, 3])
def test_every_step_of_a_later_request(dialogue: Make, current: int, csg: int, nsg: int | None) -> None:
    login = dialogue()
    login.say(current, login.names | ({"AuthMethod": "None"} if current == SECURITY else {}))
    answer = login.say(csg, {}, nsg)
    if csg == current and (nsg is None or (csg, nsg) in STEPS):
        assert (answer.csg, answer.nsg, answer.status) == (csg, nsg, 0)
    else:
        failed(login, answer, LoginStatus.INITIATOR_ERROR)


@pytest.mark.parametrize("nsg", range(4))
def test_next_stage_is_reserved_without_t(dialogue: Make, nsg: int) -> None:
    login = dialogue()
    answer = login.say(OPERATIONAL, login.names, flags=OPERATIONAL << 2 | nsg)
    assert (answer.status, answer.nsg) == (0, None)


def test_t_and_c_exclude_each_other(dialogue: Make) -> None:
    login = dialogue()
    failed(login, login.say(OPERATIONAL, login.names, FULL, more=True), LoginStatus.INITIATOR_ERROR)


@pytest.mark.parametrize(("field", "value"), [
    ("isid", b"\x80\0\0\0\0\2"), ("tsih", 1), ("cid", 2), ("initiator_task_tag", 0x78),
])
def test_what_stays_the_same_throughout(dialogue: Make, field: str, value: Any) -> None:
    login = dialogue()
    login.say(OPERATIONAL, login.names)
    failed(login, login.say(OPERATIONAL, {}, FULL, **{field: value}), LoginStatus.INITIATOR_ERROR)


# The first request: who may, in which order -------------------------------------------------------------------------


@pytest.mark.parametrize(("version_max", "version_min", "accepted"), [
    pytest.param(0, 0, True, id="0 only"), pytest.param(9, 0, True, id="newer ones too"),
    pytest.param(1, 1, False, id="newer ones only"),
])
def test_versions(dialogue: Make, version_max: int, version_min: int, accepted: bool) -> None:
    login = dialogue()
    answer = login.say(OPERATIONAL, login.names, FULL, version_max=version_max, version_min=version_min)
    assert answer.version_active == 0
    if accepted:
        assert answer.status == 0
    else:
        failed(login, answer, LoginStatus.UNSUPPORTED_VERSION)


NAMES = {"InitiatorName": "iqn.i", "TargetName": "iqn.2010-06.SERVERNAME:desc"}


@pytest.mark.parametrize(("keys", "status"), [
    pytest.param(NAMES, LoginStatus.SUCCESS, id="a target's name in another case"),
    pytest.param(NAMES | {"SessionType": "Normal"}, LoginStatus.SUCCESS, id="SessionType=Normal"),
    pytest.param(DISCOVERY | {"TargetName": "iqn.x"}, LoginStatus.SUCCESS, id="discovery with a target's name"),
    pytest.param({}, LoginStatus.MISSING_PARAMETER, id="nothing"),
    pytest.param({"TargetName": "iqn.x"}, LoginStatus.MISSING_PARAMETER, id="no InitiatorName"),
    pytest.param({"InitiatorName": "iqn.i"}, LoginStatus.MISSING_PARAMETER, id="no TargetName"),
    pytest.param({"SessionType": "Odd"}, LoginStatus.MISSING_PARAMETER, id="no InitiatorName before an odd type"),
    pytest.param(NAMES | {"SessionType": "Odd"}, LoginStatus.SESSION_TYPE_NOT_SUPPORTED, id="an odd SessionType"),
    pytest.param(NAMES | {"SessionType": "discovery"}, LoginStatus.SESSION_TYPE_NOT_SUPPORTED, id="its case counts"),
    pytest.param({"InitiatorName": "iqn.i", "SessionType": "Odd"}, LoginStatus.SESSION_TYPE_NOT_SUPPORTED,
                 id="an odd SessionType before no TargetName"),
    pytest.param(NAMES | {"TargetName": "iqn.other"}, LoginStatus.NOT_FOUND, id="a missing target"),
    pytest.param(NAMES | {"InitiatorName": ""}, LoginStatus.INITIATOR_ERROR, id="an empty name"),
    pytest.param(NAMES | {"InitiatorName": "i" * 223}, LoginStatus.SUCCESS, id="the longest name"),
    pytest.param(NAMES | {"InitiatorName": "i" * 224}, LoginStatus.INITIATOR_ERROR, id="a name one too long"),
    pytest.param(NAMES | {"InitiatorName": "iqn.\x1b[2J"}, LoginStatus.INITIATOR_ERROR, id="control characters"),
    pytest.param(NAMES | {"TargetName": "iqn.\n"}, LoginStatus.INITIATOR_ERROR, id="a line end in a name"),
    pytest.param(NAMES | {"InitiatorName": "iqn.\udcff"}, LoginStatus.INITIATOR_ERROR, id="no UTF-8"),
])
def test_who_is_it(dialogue: Make, target: TargetNode, keys: dict[str, str], status: LoginStatus) -> None:
    login = dialogue()
    answer = login.say(OPERATIONAL, keys, FULL)
    if status is LoginStatus.SUCCESS:
        assert (answer.status, answer.nsg) == (0, FULL)
    else:
        failed(login, answer, status)


def test_isid_and_tsih_both_zero_come_first(dialogue: Make) -> None:
    login = dialogue()
    failed(login, login.say(OPERATIONAL, {}, FULL, isid=bytes(6)), LoginStatus.MISSING_PARAMETER)
    assert "ISID" in login.login.problem


def test_hidden_and_missing_targets_answer_alike(dialogue: Make, target: TargetNode) -> None:
    target.admits = lambda asker: False
    target.redirect = "10.1.1.1:3260"
    target.accounts = CLOSED
    hidden, missing = dialogue(), dialogue(target="iqn.missing")
    answers = [login.login.receive(raw[:48], raw[48:]) for login in (hidden, missing)
               for raw in [login.request(OPERATIONAL, NAMES | {"TargetName": login.names["TargetName"]}, FULL,
                                         lengths=0x60)]]
    assert answers[0] == answers[1]
    assert answers[0][36:38].hex() == "0203"


def test_admission_is_asked_with_what_is_known(dialogue: Make, target: TargetNode) -> None:
    asked: list[Any] = []
    target.admits = lambda asker: not asked.append(asker)
    login = dialogue()
    login.say(OPERATIONAL, login.names, FULL)
    assert (asked[0].initiator, asked[0].peer, asked[0].local) == ("iqn.2026-11.test:i", "10.0.0.2", "10.0.0.1")


@pytest.mark.parametrize(("redirect", "followed"), [
    pytest.param("10.1.1.1:3260", True, id="another host"),
    pytest.param("10.1.1.1", True, id="another host without a port"),
    pytest.param("[fe80::1]:3260,1", True, id="IPv6"),
    pytest.param("10.0.0.1:9999", False, id="our own address: ports are not compared"),
    pytest.param("10.0.0.1", False, id="our own address without a port"),
    pytest.param("10.0.0.1:3260,1", False, id="our own address with a tag"),
])
def test_redirection(dialogue: Make, target: TargetNode, redirect: str, followed: bool) -> None:
    target.redirect = redirect
    target.accounts = REQUIRED
    login = dialogue()
    answer = login.say(SECURITY, login.names | {"AuthMethod": "CHAP"})
    if followed:
        failed(login, answer, LoginStatus.MOVED_TEMPORARILY)
        assert answer.pairs == [("TargetAddress", redirect)]
    else:
        assert answer.keys["AuthMethod"] == "CHAP"
    assert dialogue().say(OPERATIONAL, DISCOVERY, FULL).status == 0


@pytest.mark.parametrize("local", ["fe80::1", "fe80::2"])
def test_redirection_to_our_own_ipv6_address(dialogue: Make, target: TargetNode, local: str) -> None:
    target.redirect = "[fe80::1]:3260"
    login = dialogue()
    login.login._local = local
    assert (login.say(OPERATIONAL, login.names, FULL).status == 0) is (local == "fe80::1")


def test_names_may_be_repeated_not_changed(dialogue: Make) -> None:
    login = dialogue()
    login.say(SECURITY, login.names | {"AuthMethod": "None"}, OPERATIONAL)
    assert login.say(OPERATIONAL, {"InitiatorName": login.initiator}).status == 0
    failed(login, login.say(OPERATIONAL, {"InitiatorName": "iqn.j"}), LoginStatus.INITIATOR_ERROR)


def test_names_may_not_come_late(dialogue: Make) -> None:
    login = dialogue()
    login.say(OPERATIONAL, login.names)
    failed(login, login.say(OPERATIONAL, {"SessionType": "Discovery"}), LoginStatus.INITIATOR_ERROR)


@pytest.mark.parametrize("status", [
    LoginStatus.TOO_MANY_CONNECTIONS, LoginStatus.SESSION_DOES_NOT_EXIST, LoginStatus.OUT_OF_RESOURCES,
])
def test_a_session_may_be_refused_at_the_end(dialogue: Make, status: LoginStatus) -> None:
    login = dialogue(refuse=status)
    failed(login, login.say(OPERATIONAL, login.names, FULL), status)


# Authentication -----------------------------------------------------------------------------------------------------


def test_chap(dialogue: Make, target: TargetNode, node: IscsiNode) -> None:
    target.accounts = REQUIRED
    login = dialogue()
    answer = login.say(SECURITY, login.names | {"AuthMethod": "None,CHAP"}, OPERATIONAL)
    assert (answer.keys["AuthMethod"], answer.nsg) == ("CHAP", None)
    challenge = login.say(SECURITY, {"CHAP_A": "7,5"}, OPERATIONAL)
    assert (challenge.keys["CHAP_A"], challenge.nsg) == ("7", None)
    assert len(node.open_challenges) == 1
    other = dialogue()
    other.say(SECURITY, other.names | {"AuthMethod": "CHAP"})
    answer = other.say(SECURITY, respond(other.say(SECURITY, {"CHAP_A": "5"})) | {
        "CHAP_I": "9", "CHAP_C": "0x" + "ab" * 16,
    }, OPERATIONAL)
    assert answer.pairs == [("CHAP_N", "target"), ("CHAP_R", "0x" + hashlib.md5(
        b"\x09another-long-secret" + b"\xab" * 16).hexdigest())]
    assert answer.nsg == OPERATIONAL
    assert other.say(OPERATIONAL, {}, FULL).nsg == FULL
    assert other.login.result.user == USER
    login.login.abandoned()
    assert node.open_challenges == set()


def test_leaving_when_authenticated_may_wait(dialogue: Make, target: TargetNode) -> None:
    target.accounts = REQUIRED
    login = dialogue()
    login.say(SECURITY, login.names | {"AuthMethod": "CHAP"})
    assert login.say(SECURITY, respond(login.say(SECURITY, {"CHAP_A": "5"}))).nsg is None
    assert login.say(SECURITY, {}, FULL).nsg == FULL


@pytest.mark.parametrize("steps", [
    pytest.param([(OPERATIONAL, {}, FULL)], id="the security stage is skipped (CVE-2005-3327)"),
    pytest.param([(OPERATIONAL, {"AuthMethod": "None"}, None)], id="nor may it be named later"),
    pytest.param([(SECURITY, {}, None)], id="AuthMethod is missing"),
    pytest.param([(SECURITY, {}, OPERATIONAL)], id="AuthMethod is missing, with T"),
    pytest.param([(SECURITY, {"AuthMethod": "None"}, FULL)], id="None is offered"),
    pytest.param([(SECURITY, {"AuthMethod": "KRB5,SRP"}, None)], id="nothing we have is offered"),
    pytest.param([(SECURITY, {"AuthMethod": "chap"}, None)], id="its case counts"),
    pytest.param([(SECURITY, {"AuthMethod": "CHAP"}, None), (SECURITY, {"CHAP_A": "9"}, None)], id="no algorithm"),
    pytest.param([(SECURITY, {"AuthMethod": "CHAP"}, None), (SECURITY, {"CHAP_A": "5"}, None),
                  (SECURITY, {"CHAP_N": USER, "CHAP_R": "0x" + "00" * 16}, FULL)], id="a wrong answer"),
])
@pytest.mark.parametrize("discovery", [False, True], ids=["normal", "discovery"])
def test_no_way_around_chap(
    dialogue: Make, node: IscsiNode, target: TargetNode, steps: list[Any], discovery: bool
) -> None:
    target.accounts, node.discovery = (Accounts(), REQUIRED) if discovery else (REQUIRED, Accounts())
    login = dialogue()
    first: dict[str, str] = DISCOVERY if discovery else login.names
    for csg, keys, nsg in steps:
        assert not login.login.failed
        answer = login.say(csg, first | keys, nsg)
        first = {}
    failed(login, answer, LoginStatus.AUTHENTICATION_FAILURE)
    assert node.open_challenges == set()


@pytest.mark.parametrize("nsg", [OPERATIONAL, FULL])
@pytest.mark.parametrize("rounds", [1, 2])
def test_the_stage_is_not_left_before_the_proof(dialogue: Make, target: TargetNode, nsg: int, rounds: int) -> None:
    target.accounts = REQUIRED
    login = dialogue()
    answer = login.say(SECURITY, login.names | {"AuthMethod": "CHAP"}, nsg)
    assert answer.nsg is None
    if rounds == 2:
        assert login.say(SECURITY, {"CHAP_A": "5"}, nsg).nsg is None
    assert login.say(SECURITY, {}, nsg).nsg is None
    failed(login, login.say(OPERATIONAL, {}, FULL), LoginStatus.INITIATOR_ERROR)


def test_discovery_accounts_and_target_accounts_are_apart(
    dialogue: Make, node: IscsiNode, target: TargetNode
) -> None:
    target.accounts = REQUIRED
    assert dialogue().say(OPERATIONAL, DISCOVERY, FULL).status == 0
    target.accounts, node.discovery = Accounts(), REQUIRED
    login = dialogue()
    assert login.say(OPERATIONAL, login.names, FULL).status == 0


def test_closed_scopes(dialogue: Make, node: IscsiNode, target: TargetNode) -> None:
    target.accounts = CLOSED
    login = dialogue()
    failed(login, login.say(SECURITY, login.names | {"AuthMethod": "CHAP"}), LoginStatus.AUTHENTICATION_FAILURE)
    node.discovery = CLOSED
    login = dialogue()
    failed(login, login.say(SECURITY, DISCOVERY | {"AuthMethod": "CHAP"}), LoginStatus.AUTHENTICATION_FAILURE)


@pytest.mark.parametrize(("keys", "status"), [
    pytest.param({"CHAP_A": "5"}, LoginStatus.INITIATOR_ERROR, id="CHAP without AuthMethod"),
    pytest.param({"AuthMethod": "None", "CHAP_A": "5"}, LoginStatus.INITIATOR_ERROR, id="CHAP after None"),
    pytest.param({"AuthMethod": "CHAP"}, LoginStatus.AUTHENTICATION_FAILURE, id="only CHAP where nobody has a secret"),
    pytest.param({"TargetAlias": "t"}, LoginStatus.INITIATOR_ERROR, id="a key of targets"),
])
def test_security_keys_without_accounts(dialogue: Make, keys: dict[str, str], status: LoginStatus) -> None:
    login = dialogue()
    failed(login, login.say(SECURITY, login.names | keys), status)


@pytest.mark.parametrize("method", ["CHAP", "None"])
def test_auth_method_is_negotiated_once(dialogue: Make, target: TargetNode, method: str) -> None:
    target.accounts = REQUIRED if method == "CHAP" else Accounts()
    login = dialogue()
    assert login.say(SECURITY, login.names | {"AuthMethod": method}).keys["AuthMethod"] == method
    failed(login, login.say(SECURITY, {"AuthMethod": method}), LoginStatus.INITIATOR_ERROR)


def test_chap_keys_outside_the_security_stage(dialogue: Make) -> None:
    login = dialogue()
    failed(login, login.say(OPERATIONAL, login.names | {"CHAP_A": "5"}), LoginStatus.INITIATOR_ERROR)


def test_operational_keys_in_the_security_stage_are_not_understood(dialogue: Make) -> None:
    """As IET (iet-compat 8.1); they may come again where they belong."""
    login = dialogue()
    answer = login.say(SECURITY, login.names | {
        "AuthMethod": "None", "HeaderDigest": "CRC32C", "X-a": "1", "X-b": "NotUnderstood",
    }, OPERATIONAL)
    assert answer.pairs[1:] == [
        ("AuthMethod", "None"), ("HeaderDigest", "NotUnderstood"), ("X-a", "NotUnderstood"),
    ]
    assert login.say(OPERATIONAL, {"HeaderDigest": "CRC32C"}).keys["HeaderDigest"] == "CRC32C"


# Operational keys -----------------------------------------------------------------------------------------------------


def test_what_the_configuration_names_is_offered_and_waited_for(dialogue: Make, target: TargetNode) -> None:
    target.key_values = {"MaxBurstLength": 65536, "FirstBurstLength": 65536, "ImmediateData": False}
    login = dialogue()
    answer = login.say(OPERATIONAL, login.names | {"FirstBurstLength": "4096"}, FULL)
    assert answer.pairs[-2:] == [("ImmediateData", "No"), ("MaxBurstLength", "65536")]
    assert answer.nsg is None
    assert login.say(OPERATIONAL, {}, FULL).nsg is None
    assert login.say(OPERATIONAL, {"MaxBurstLength": "32768"}, FULL).nsg == FULL
    parameters = login.login.result.parameters
    assert (parameters.max_burst_length, parameters.first_burst_length) == (32768, 4096)
    assert parameters.immediate_data is False


def test_our_offers_do_not_cross_what_the_initiator_has_still_to_say(dialogue: Make, target: TargetNode) -> None:
    target.key_values = {"MaxBurstLength": 65536, "FirstBurstLength": 4096}
    login = dialogue()
    assert "MaxBurstLength" not in login.say(OPERATIONAL, login.names).keys
    assert login.say(OPERATIONAL, {"MaxBurstLength": "1048576"}).keys == {"MaxBurstLength": "65536"}
    assert login.say(OPERATIONAL, {"FirstBurstLength": "65536"}, FULL).nsg == FULL


def test_an_impossible_reply_ends_the_login(dialogue: Make, target: TargetNode) -> None:
    target.key_values = {"MaxBurstLength": 65536}
    login = dialogue()
    login.say(OPERATIONAL, login.names, FULL)
    failed(login, login.say(OPERATIONAL, {"MaxBurstLength": "131072"}, FULL), LoginStatus.INITIATOR_ERROR)


def test_whoever_would_skip_the_operational_stage_is_sent_there(dialogue: Make, target: TargetNode) -> None:
    target.key_values = {"HeaderDigest": ("CRC32C",)}
    login = dialogue()
    assert login.say(SECURITY, login.names | {"AuthMethod": "None"}, FULL).nsg == OPERATIONAL
    assert login.say(OPERATIONAL, {}, FULL).keys["HeaderDigest"] == "CRC32C"
    assert login.say(OPERATIONAL, {"HeaderDigest": "CRC32C"}, FULL).nsg == FULL
    assert login.login.result.parameters.header_digest is True


@pytest.mark.parametrize("keys", [
    pytest.param({"TargetPortalGroupTag": "1"}, id="a key of targets"),
    pytest.param([("X-a", "1"), ("X-a", "2")], id="a key twice in one text"),
    pytest.param([("InitiatorName", "iqn.i"), ("InitiatorName", "iqn.i")], id="a name twice in one text"),
    pytest.param(b"nonsense\0", id="no key=value pair"),
    pytest.param(b"=1\0", id="an empty key"),
    pytest.param(b"K" * 64 + b"=1\0", id="a key name one too long"),
])
def test_text_that_breaks_the_rules(dialogue: Make, keys: Any) -> None:
    login = dialogue()
    login.say(OPERATIONAL, login.names)
    failed(login, login.say(OPERATIONAL, keys, FULL), LoginStatus.INITIATOR_ERROR)


def test_a_key_twice_in_one_login(dialogue: Make) -> None:
    login = dialogue()
    login.say(OPERATIONAL, login.names | {"HeaderDigest": "None"})
    failed(login, login.say(OPERATIONAL, {"HeaderDigest": "None"}), LoginStatus.INITIATOR_ERROR)


@pytest.mark.parametrize(("alias", "kept"), [
    ("me", "me"), ("m" * 300, "m" * 255), ("line\nend", ""),
])
def test_the_alias_is_for_people(dialogue: Make, alias: str, kept: str) -> None:
    login = dialogue()
    login.say(SECURITY, login.names | {"AuthMethod": "None", "InitiatorAlias": alias}, FULL)
    assert login.login.result.initiator_alias == kept


# Long texts, limits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(80))
def test_a_request_may_be_cut_at_any_byte(dialogue: Make, cut: int) -> None:
    login = dialogue()
    raw = login.request(OPERATIONAL, login.names)
    text = raw[48 : 48 + int.from_bytes(raw[5:8], "big")]
    empty = login.say(OPERATIONAL, text[:cut], more=True)
    assert (empty.data, empty.nsg, empty.more, empty.status) == (b"", None, False, 0)
    answer = login.say(OPERATIONAL, text[cut:], FULL)
    assert answer.nsg == FULL
    assert answer.pairs[0] == ("TargetPortalGroupTag", "1")


def long_keys(count: int) -> list[tuple[str, str]]:
    return [(f"X-{number:061}", "") for number in range(count)]


def test_a_long_answer_takes_several_responses(dialogue: Make) -> None:
    """T is answered with the last one only, and only to a request that has it."""
    login = dialogue()
    first = login.say(OPERATIONAL, [*login.names.items(), *long_keys(120)], FULL)
    assert (first.more, first.nsg, len(first.data)) == (True, None, 8192)
    second = login.say(OPERATIONAL)
    assert (second.more, second.nsg) == (False, None)
    pairs = first.data + second.data
    assert pairs.count(b"=NotUnderstood\0") == 120
    assert login.say(OPERATIONAL, {}, FULL).nsg == FULL


def test_a_long_answer_may_end_the_login(dialogue: Make) -> None:
    login = dialogue()
    assert login.say(OPERATIONAL, [*login.names.items(), *long_keys(120)], FULL).more
    assert login.say(OPERATIONAL, {}, FULL).nsg == FULL


def test_an_answer_of_three_responses(dialogue: Make, monkeypatch: Any) -> None:
    monkeypatch.setattr("ietpy.iscsi.login.RESPONSE_LIMIT", 20)
    login = dialogue()
    answers = [login.say(OPERATIONAL, login.names, FULL)]
    while answers[-1].more:
        assert answers[-1].nsg is None
        answers.append(login.say(OPERATIONAL, {}, FULL))
    assert b"".join(answer.data for answer in answers) == b"TargetPortalGroupTag=1\0MaxRecvDataSegmentLength=262144\0"
    assert [answer.stat_sn for answer in answers] == [500, 501, 502]
    assert len(answers) == 3
    assert login.login.done


@pytest.mark.parametrize(("keys", "more"), [({"X-a": "1"}, False), ({}, True), ({"X-a": "1"}, True)])
def test_no_text_while_an_answer_is_being_sent(dialogue: Make, keys: dict[str, str], more: bool) -> None:
    login = dialogue()
    login.say(OPERATIONAL, [*login.names.items(), *long_keys(120)])
    failed(login, login.say(OPERATIONAL, keys, more=more), LoginStatus.INITIATOR_ERROR)


def test_limits_count_over_the_whole_login(dialogue: Make) -> None:
    login = dialogue()
    login.say(OPERATIONAL, login.names)
    login.say(OPERATIONAL, [(f"X-{number}", "") for number in range(100)])
    failed(login, login.say(OPERATIONAL, [(f"Y-{number}", "") for number in range(28)]), LoginStatus.INITIATOR_ERROR)


def test_bytes_count_over_the_whole_login(dialogue: Make) -> None:
    login = dialogue()
    for _ in range(8):
        assert login.say(OPERATIONAL, bytes(8192), more=True).status == 0
    failed(login, login.say(OPERATIONAL, b"\0", more=True), LoginStatus.INITIATOR_ERROR)


def test_rounds_are_limited(dialogue: Make) -> None:
    login = dialogue()
    login.say(OPERATIONAL, login.names)
    for _ in range(ROUNDS_LIMIT - 1):
        assert login.say(OPERATIONAL).status == 0
    failed(login, login.say(OPERATIONAL), LoginStatus.INITIATOR_ERROR)


def test_additional_headers_drop_the_connection(dialogue: Make) -> None:
    """CVE-2011-0001's class: there are none in a login."""
    login = dialogue()
    raw = login.request(OPERATIONAL, login.names, FULL)
    with pytest.raises(FormatError, match="additional header"):
        login.login.receive(raw[:4] + b"\1" + raw[5:48], raw[48:])


@given(requests=st.lists(st.tuples(
    st.integers(0, 255), st.sampled_from([
        b"", b"InitiatorName=iqn.i\0", b"TargetName=iqn.2010-06.servername:desc\0", b"SessionType=Discovery\0",
        b"AuthMethod=None\0", b"AuthMethod=CHAP\0", b"CHAP_A=5\0", b"CHAP_N=joe\0CHAP_R=0x00\0",
        b"InitiatorName=iqn.i\0TargetName=iqn.2010-06.servername:desc\0", b"HeaderDigest=CRC32C\0", b"X=1\0",
    ]) | st.binary(max_size=40)), max_size=8), flags=st.booleans())
def test_nobody_gets_in_without_the_secret(requests: list[tuple[int, bytes]], flags: bool) -> None:
    """Any sequence of requests at all: with accounts, no session is made."""
    node, made = _node(REQUIRED), []

    def establish(result: LoginResult) -> int:
        made.append(result)
        return 1

    login = Login(node, "10.0.0.2", "10.0.0.1", 3260, lambda size: b"\x5a" * size, establish)
    for bits, text in requests:
        if login.done or login.failed:
            break
        header = LOGIN_REQUEST.pack(opcode=0x43, flags=bits & 0xCF if flags else bits, isid=b"\x80\0\0\0\0\1",
                                    lengths=len(text))
        assert len(login.receive(header, text)) % 4 == 0
    assert made == []
    assert not login.done


def _node(accounts: Accounts) -> IscsiNode:
    node = IscsiNode(threading.RLock(), discovery=accounts)
    name = "iqn.2010-06.servername:desc"
    node.add(TargetNode(name, ScsiDevice(name, threading.RLock()), accounts=accounts))
    return node
