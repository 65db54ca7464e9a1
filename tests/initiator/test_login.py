from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ietpy.initiator.errors import AuthenticationFailed, LoginRefused, TargetFault
from ietpy.initiator.framing import Pdu
from ietpy.initiator.login import DEFAULT_KEYS, Chap, LoginPlan, Outcome, exchange
from ietpy.initiator.numbering import Numbering
from ietpy.initiator.text import decode, encode
from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.pdu import Opcode

ISID = b"\x80\x00\x00\x00\x00\x01"
TPGT = {"TargetPortalGroupTag": "1"}
#: Answers to DEFAULT_KEYS of a target that takes nearly all of it.
AGREED = {
    "HeaderDigest": "None",
    "DataDigest": "None",
    "MaxRecvDataSegmentLength": "65536",
    "DefaultTime2Wait": "2",
    "DefaultTime2Retain": "0",
    "ErrorRecoveryLevel": "0",
    "MaxConnections": "1",
    "InitialR2T": "Yes",
    "ImmediateData": "Yes",
    "MaxBurstLength": "262144",
    "FirstBurstLength": "65536",
    "MaxOutstandingR2T": "1",
    "DataPDUInOrder": "Yes",
    "DataSequenceInOrder": "Yes",
}
#: Flags: T, CSG, NSG (section 11.12.3).
STAY_SECURITY, TO_OPERATIONAL, STAY_OPERATIONAL, TO_FULL = 0x00, 0x81, 0x04, 0x87
SECRET, MUTUAL, CHALLENGE = "secretsecret12", "mutualmutual12", bytes(range(16))

Reply = tuple[int, Mapping[str, str], dict[str, Any]]


def reply(flags: int, keys: Mapping[str, str] | None = None, **fields: Any) -> Reply:
    return flags, keys or {}, fields


def entropy(length: int) -> bytes:
    return b"\x2a" * length


class Conversation:
    """An exchange with scripted replies; ``requests`` keeps what was asked, as (flags, keys)."""

    def __init__(self, side: Any, one_pdu: Callable[[bytes], Pdu]) -> None:
        self.side = side
        self.one_pdu = one_pdu
        self.requests: list[tuple[int, dict[str, str]]] = []
        self.pdus: list[Pdu] = []

    def run(self, plan: LoginPlan, *replies: Reply) -> Outcome:
        numbering = Numbering(1)
        steps = exchange(plan, numbering, entropy)
        request = next(steps)
        for flags, keys, fields in replies:
            pdu = self.one_pdu(request)
            self.pdus.append(pdu)
            self.requests.append((pdu.header["flags"], {} if pdu.header["flags"] & 0x40 else dict(decode(pdu.data))))
            fields.setdefault("tsih", 7 if flags & 0x83 == 0x83 else 0)
            fields.setdefault("isid", ISID)
            fields.setdefault("initiator_task_tag", 1)
            data = fields.pop("data", encode(keys))
            answer = self.side.pdu(fields.pop("opcode", Opcode.LOGIN_RESPONSE), data, flags=flags, **fields)
            try:
                request = steps.send(answer)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
        raise AssertionError(f"the exchange goes on with {self.one_pdu(request)}")


@pytest.fixture
def talk(side: Any, one_pdu: Callable[[bytes], Pdu]) -> Conversation:
    return Conversation(side, one_pdu)


def plan(**fields: Any) -> LoginPlan:
    return LoginPlan(**{"initiator": "iqn.i", "target": "iqn.t", **fields})


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in AGREED.items() if key != name}


def test_normal_session_without_security(talk: Conversation) -> None:
    outcome = talk.run(plan(), reply(TO_FULL, {**TPGT, **AGREED}))
    assert talk.requests == [(0x87, {"InitiatorName": "iqn.i", "TargetName": "iqn.t", **DEFAULT_KEYS})]
    header = talk.pdus[0].header
    assert (header["opcode"], header["isid"], header["tsih"], header["cmd_sn"]) == (0x43, ISID, 0, 1)
    assert outcome.tsih == 7
    assert outcome.keys == {**TPGT, **AGREED}
    assert outcome.parameters == Parameters(
        max_recv_data_segment_length=262144, max_xmit_data_segment_length=65536, default_time2retain=0
    )


def test_discovery_leaves_out_what_is_irrelevant(talk: Conversation) -> None:
    talk.run(plan(target=""), reply(TO_FULL, {name: AGREED[name] for name in list(AGREED)[:6]}))
    (_, keys), = talk.requests  # fmt: skip
    assert keys.pop("SessionType") == "Discovery"
    assert sorted(keys) == [
        "DataDigest", "DefaultTime2Retain", "DefaultTime2Wait", "ErrorRecoveryLevel", "HeaderDigest", "InitiatorName",
        "MaxRecvDataSegmentLength",
    ]  # fmt: skip


def test_keys_of_the_caller(talk: Conversation) -> None:
    keys = {"HeaderDigest": "CRC32C,None", "DataDigest": None, "X-org.example": "1", "InitialR2T": "No"}
    answers = {**without("DataDigest"), "HeaderDigest": "CRC32C", "X-org.example": "NotUnderstood", "InitialR2T": "No"}
    outcome = talk.run(plan(keys=keys), reply(TO_FULL, {**TPGT, **answers}))
    sent = talk.requests[0][1]
    assert (sent["HeaderDigest"], sent["X-org.example"]) == ("CRC32C,None", "1")
    assert "DataDigest" not in sent
    assert (outcome.parameters.header_digest, outcome.parameters.initial_r2t) == (True, False)


def test_security_stage_without_authentication(talk: Conversation) -> None:
    talk.run(
        plan(auth_method="None"),
        reply(TO_OPERATIONAL, {"AuthMethod": "None", **TPGT}),
        reply(TO_FULL, AGREED),
    )
    names = {"InitiatorName": "iqn.i", "TargetName": "iqn.t", "AuthMethod": "None"}
    assert talk.requests == [(0x81, names), (0x87, dict(DEFAULT_KEYS))]


def test_target_chooses_none_out_of_two(talk: Conversation) -> None:
    talk.run(
        plan(auth_method="CHAP,None"),
        reply(STAY_SECURITY, {"AuthMethod": "None", **TPGT}),
        reply(TO_OPERATIONAL),
        reply(TO_FULL, AGREED),
    )
    assert [flags for flags, _ in talk.requests] == [0x00, 0x81, 0x87]


def response(algorithm: str, identifier: int, secret: str, challenge: bytes) -> str:
    return "0x" + hashlib.new(algorithm, bytes([identifier]) + secret.encode() + challenge).hexdigest()


@pytest.mark.parametrize(
    ("number", "algorithm"), [(5, "md5"), (6, "sha1"), (7, "sha256"), (8, "sha3_256")], ids=str
)
@pytest.mark.parametrize("mutual", [False, True], ids=["one-way", "mutual"])
def test_chap(talk: Conversation, number: int, algorithm: str, mutual: bool) -> None:
    account = Chap("joe", SECRET, "target" if mutual else "", MUTUAL if mutual else "", (number, 5))
    ours = {"CHAP_N": "target", "CHAP_R": response(algorithm, 0x2A, MUTUAL, b"\x2a" * 16)} if mutual else {}
    talk.run(
        plan(chap=account),
        reply(STAY_SECURITY, {"AuthMethod": "CHAP", **TPGT}),
        reply(STAY_SECURITY, {"CHAP_A": str(number), "CHAP_I": "9", "CHAP_C": f"0x{CHALLENGE.hex()}"}),
        reply(TO_OPERATIONAL, ours),
        reply(TO_FULL, AGREED),
    )
    assert [flags for flags, _ in talk.requests] == [0x00, 0x00, 0x81, 0x87]
    assert talk.requests[1][1] == {"CHAP_A": f"{number},5"}
    asked = {"CHAP_I": "42", "CHAP_C": "0x" + "2a" * 16} if mutual else {}
    proof = {"CHAP_N": "joe", "CHAP_R": response(algorithm, 9, SECRET, CHALLENGE)}
    assert talk.requests[2][1] == {**proof, **asked}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        pytest.param({"CHAP_N": "target", "CHAP_R": "0x00"}, "does not know the mutual secret", id="wrong response"),
        pytest.param({"CHAP_N": "other", "CHAP_R": "0x00"}, "calls itself 'other'", id="wrong name"),
        pytest.param({}, "calls itself ''", id="no answer"),
    ],
)
def test_target_that_cannot_prove_itself(talk: Conversation, keys: dict[str, str], sentence: str) -> None:
    with pytest.raises(AuthenticationFailed, match=sentence):
        talk.run(
            plan(chap=Chap("joe", SECRET, "target", MUTUAL)),
            reply(STAY_SECURITY, {"AuthMethod": "CHAP", **TPGT}),
            reply(STAY_SECURITY, {"CHAP_A": "5", "CHAP_I": "0x9", "CHAP_C": "0bAAEC"}),
            reply(TO_OPERATIONAL, keys),
        )


@pytest.mark.parametrize(
    ("challenge", "section"),
    [
        pytest.param({"CHAP_A": "5", "CHAP_I": "9"}, "12.1.3", id="no CHAP_C"),
        pytest.param({"CHAP_A": "7", "CHAP_I": "9", "CHAP_C": "0x00"}, "12.1.3", id="algorithm not offered"),
        pytest.param({"CHAP_A": "5", "CHAP_I": "256", "CHAP_C": "0x00"}, "12.1.3", id="identifier above 255"),
        pytest.param({"CHAP_A": "5", "CHAP_I": "x", "CHAP_C": "0x00"}, "12.1.3", id="identifier no number"),
        pytest.param({"CHAP_A": "5", "CHAP_I": "9", "CHAP_C": "00"}, "6.1", id="no prefix"),
        pytest.param({"CHAP_A": "5", "CHAP_I": "9", "CHAP_C": "0xgg"}, "6.1", id="no hexadecimal"),
        pytest.param({"CHAP_A": "5", "CHAP_I": "9", "CHAP_C": "0b!!"}, "6.1", id="no base64"),
    ],
)
def test_bad_challenge(talk: Conversation, challenge: dict[str, str], section: str) -> None:
    with pytest.raises(TargetFault) as caught:
        talk.run(
            plan(chap=Chap("joe", SECRET)),
            reply(STAY_SECURITY, {"AuthMethod": "CHAP", **TPGT}),
            reply(STAY_SECURITY, challenge),
        )
    assert caught.value.section == section


def test_answer_in_pieces(talk: Conversation) -> None:
    data = encode({**TPGT, **AGREED})
    talk.run(
        plan(),
        reply(STAY_OPERATIONAL | 0x40, data=data[:50]),
        reply(TO_FULL, data=data[50:]),
    )
    assert talk.requests[1] == (0x04, {})


def long_offer() -> dict[str, str]:
    """Fills the first request to the byte, so that the second begins with a whole key."""
    base = len(encode({"InitiatorName": "iqn.i", "TargetName": "iqn.t", **DEFAULT_KEYS}))
    return {"X-a": "x" * (8192 - base - len("X-a=\0")), "X-b": "1"}


def test_offer_in_pieces(talk: Conversation) -> None:
    keys = long_offer()
    answers = {**AGREED, **dict.fromkeys(keys, "NotUnderstood")}
    talk.run(plan(keys=keys), reply(STAY_OPERATIONAL), reply(TO_FULL, {**TPGT, **answers}))
    assert [pdu.header["flags"] for pdu in talk.pdus] == [0x44, 0x87]
    assert [len(pdu.data) for pdu in talk.pdus] == [8192, len("X-b=1\0")]


def test_request_with_the_c_bit_must_be_answered_empty(talk: Conversation) -> None:
    with pytest.raises(TargetFault, match="must be answered empty"):
        talk.run(plan(keys=long_offer()), reply(STAY_OPERATIONAL, TPGT))


def test_offers_of_the_target_are_answered(talk: Conversation) -> None:
    keys = {"ErrorRecoveryLevel": None}
    theirs = {"ErrorRecoveryLevel": "0", "OFMarker": "No", "X-org.example": "1", "TargetAlias": "disk"}
    talk.run(
        plan(keys=keys),
        reply(STAY_OPERATIONAL, {**TPGT, **without("ErrorRecoveryLevel"), **theirs}),
        reply(TO_FULL),
    )
    assert talk.requests[1] == (
        0x87,
        {"ErrorRecoveryLevel": "0", "OFMarker": "No", "X-org.example": "NotUnderstood"},
    )


def test_patience_with_a_target_that_moves_on_later(talk: Conversation) -> None:
    theirs = {"MaxOutstandingR2T": "4"}
    outcome = talk.run(
        plan(keys={"MaxOutstandingR2T": None}),
        reply(STAY_OPERATIONAL, {**TPGT, **without("MaxOutstandingR2T")}),
        reply(STAY_OPERATIONAL, theirs),
        reply(TO_FULL),
    )
    assert talk.requests[1:] == [(0x87, {}), (0x87, theirs)]
    assert outcome.parameters.max_outstanding_r2t == 4


def test_answers_may_come_in_a_later_response(talk: Conversation) -> None:
    late = {"MaxBurstLength": "131072", "ImmediateData": "No"}
    first = {name: word for name, word in AGREED.items() if name not in late}
    outcome = talk.run(plan(), reply(STAY_OPERATIONAL, {**TPGT, **first}), reply(TO_FULL, late))
    assert talk.requests[1] == (0x87, {})
    assert (outcome.parameters.max_burst_length, outcome.parameters.immediate_data) == (131072, False)


@pytest.mark.parametrize(
    ("name", "answer"),
    [("MaxBurstLength", "Reject"), ("FirstBurstLength", "Reject"), ("MaxRecvDataSegmentLength", "65536")],
)
def test_wrong_offers_of_ours_are_not_the_targets_fault(talk: Conversation, name: str, answer: str) -> None:
    outcome = talk.run(plan(keys={name: "5"}), reply(TO_FULL, {**TPGT, **AGREED, name: answer}))
    assert (outcome.parameters.max_burst_length, outcome.parameters.first_burst_length) == (262144, 65536)


def test_answers_that_need_not_come(talk: Conversation) -> None:
    keys = {"InitialR2T": "Yes", "ImmediateData": "No"}
    answers = {name: word for name, word in AGREED.items() if name not in ("InitialR2T", "ImmediateData",
               "DataPDUInOrder", "DataSequenceInOrder")}  # fmt: skip
    outcome = talk.run(plan(keys=keys), reply(TO_FULL, {**TPGT, **answers}))
    assert (outcome.parameters.initial_r2t, outcome.parameters.immediate_data) == (True, False)


def test_patience_ends(talk: Conversation) -> None:
    with pytest.raises(TargetFault, match=r"6\.3"):
        talk.run(plan(), reply(STAY_OPERATIONAL, {**TPGT, **AGREED}), *[reply(STAY_OPERATIONAL) for _ in range(20)])


@pytest.mark.parametrize(
    ("fields", "status", "address"),
    [
        pytest.param({"status": 0x0201}, 0x0201, "", id="authentication failure"),
        pytest.param(
            {"status": 0x0101, "data": b"TargetAddress=10.0.0.1:3260,1\0"}, 0x0101, "10.0.0.1:3260,1", id="redirection"
        ),
    ],
)
def test_refused(talk: Conversation, fields: dict[str, Any], status: int, address: str) -> None:
    with pytest.raises(LoginRefused) as caught:
        talk.run(plan(), reply(STAY_OPERATIONAL, **fields))
    assert (caught.value.status, caught.value.address) == (status, address)


GOOD = {**TPGT, **AGREED}


@pytest.mark.parametrize(
    ("answer", "section"),
    [
        pytest.param(reply(TO_FULL, AGREED), "13.9", id="no TargetPortalGroupTag"),
        pytest.param(reply(TO_FULL, GOOD, tsih=0), "11.13.3", id="TSIH 0 at the end"),
        pytest.param(reply(STAY_OPERATIONAL, GOOD, tsih=7), "11.13.3", id="TSIH too early"),
        pytest.param(reply(TO_FULL, GOOD, version_active=1), "11.13.2", id="Version-active"),
        pytest.param(reply(TO_FULL, GOOD, isid=bytes(6)), "11.13", id="ISID"),
        pytest.param(reply(TO_FULL, GOOD, initiator_task_tag=9), "11.13", id="Initiator Task Tag"),
        pytest.param(reply(0x83, GOOD), "11.13", id="CSG"),
        pytest.param(reply(0x85, GOOD), "11.13.6", id="NSG"),
        pytest.param(reply(0xC7, GOOD), "11.13.7", id="T and C"),
        pytest.param(reply(0xA7, GOOD), "11.13", id="reserved flag"),
        pytest.param(reply(TO_FULL, status=0x0200), "11.13.6", id="T in a refusal"),
        pytest.param(reply(TO_FULL, {**TPGT, **without("HeaderDigest")}), "6.2", id="offer without answer"),
        pytest.param(reply(TO_FULL, {**GOOD, "MaxBurstLength": "2097152"}), "13.13", id="minimum grown"),
        pytest.param(reply(TO_FULL, {**GOOD, "DefaultTime2Wait": "1"}), "13.15", id="maximum shrunk"),
        pytest.param(reply(TO_FULL, {**GOOD, "HeaderDigest": "CRC32C"}), "13.1", id="digest not offered"),
        pytest.param(reply(TO_FULL, {**GOOD, "DataPDUInOrder": "No"}), "13.18", id="OR answered No to Yes"),
        pytest.param(reply(TO_FULL, {**GOOD, "ImmediateData": "yes"}), "13.11", id="yes for Yes"),
        pytest.param(reply(TO_FULL, {**GOOD, "MaxRecvDataSegmentLength": "5"}), "13.12", id="out of range"),
        pytest.param(reply(TO_FULL, {**GOOD, "InitiatorName": "x"}), "13.5", id="an initiator's key"),
        pytest.param(reply(TO_FULL, {**GOOD, "MaxBurstLength": "NotUnderstood"}), "6.2", id="key not understood"),
        pytest.param(reply(TO_FULL, {**GOOD, "MaxBurstLength": "512"}), "13.14", id="FirstBurst above MaxBurst"),
        pytest.param(reply(TO_FULL, {**GOOD, "OFMarker": "No"}), "6.2", id="own offer left open"),
        pytest.param(reply(TO_FULL, data=encode(GOOD) + b"MaxBurstLength=512\0"), "6.2", id="said twice"),
        pytest.param(reply(TO_FULL, data=b"rubbish"), "6.1", id="no text"),
    ],
)
def test_faults(talk: Conversation, answer: Reply, section: str) -> None:
    flags, keys, fields = answer
    with pytest.raises(TargetFault) as caught:
        talk.run(plan(), (flags, keys, dict(fields)))
    assert caught.value.section == section


def test_answer_of_another_opcode(side: Any) -> None:
    steps = exchange(plan(), Numbering(1), entropy)
    next(steps)
    with pytest.raises(TargetFault, match=r"11\.13.*was answered with Reject"):
        steps.send(side.pdu(Opcode.REJECT, bytes(48)))


def test_unknown_offer_without_answer(talk: Conversation) -> None:
    with pytest.raises(TargetFault, match=r"X-org\.example was not answered"):
        talk.run(plan(keys={"X-org.example": "1"}), reply(TO_FULL, GOOD))


def test_method_that_was_not_offered(talk: Conversation) -> None:
    with pytest.raises(TargetFault, match=r"12\.1"):
        talk.run(plan(auth_method="None"), reply(STAY_SECURITY, {"AuthMethod": "CHAP", **TPGT}))


def test_stat_sn_is_followed_from_the_first_response(talk: Conversation) -> None:
    replies = [reply(STAY_OPERATIONAL, GOOD, stat_sn=0xFFFFFFFF), reply(TO_FULL, stat_sn=0)]
    talk.run(plan(), *replies)
    assert [pdu.header["exp_stat_sn"] for pdu in talk.pdus] == [0, 0]
    with pytest.raises(TargetFault, match=r"4\.2\.2\.2"):
        talk.run(plan(), reply(STAY_OPERATIONAL, GOOD, stat_sn=5), reply(TO_FULL, stat_sn=5))


def test_secrets_are_not_shown() -> None:
    assert SECRET not in repr(plan(chap=Chap("joe", SECRET, "t", MUTUAL)))
