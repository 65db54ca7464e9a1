"""How two sides' values make one (RFC 7143 sections 6.2 and 13), row by row, without a login around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.iscsi import negotiation as module
from ietpy.iscsi.keys import KEY_BY_NAME, KEYS, Parameters, Result, Use
from ietpy.iscsi.negotiation import CONNECTION_USES, FULL_FEATURE_USES, Negotiation
from ietpy.iscsi.text import KEYS_LIMIT

Pairs = list[tuple[str, str]]


def negotiate(configured: dict[str, Any] | None = None, *, discovery: bool = False) -> tuple[Negotiation, Parameters]:
    parameters = Parameters()
    return Negotiation(configured or {}, parameters, discovery=discovery), parameters


def answer(name: str, word: str, configured: dict[str, Any] | None = None, *, discovery: bool = False) -> str | None:
    """What is said to one key; None for nothing."""
    said = dict(negotiate(configured, discovery=discovery)[0].answer([(name, word)]))
    assert set(said) <= {name}
    return said.get(name)


def test_no_key_is_known_by_name() -> None:
    with open(module.__file__, encoding="utf-8") as file:
        lines = [line for line in file if not line.lstrip().startswith(("#", '"'))]
    code = "".join(lines).replace("ImmediateData=No", "")
    assert [key.name for key in KEYS if f'"{key.name}"' in code] == []


@pytest.mark.rfc7143(
    "6.2.1-1", "6.2.1-2", "6.2.1-3", "6.2.2-1", "6.2.2-2", "6.2.2-4", "6.2-6", "6.2-10", "11.12.10-2", "13.24-1",
    "13.25-1", "13.25-2", "13.25-3", "13.23-1"
)
@pytest.mark.parametrize(("name", "theirs", "configured", "said"), [
    pytest.param("InitialR2T", "No", None, "Yes", id="OR: ours Yes wins"),
    pytest.param("InitialR2T", "No", False, "No", id="OR: both No"),
    pytest.param("InitialR2T", "Yes", False, "Yes", id="OR: theirs Yes wins"),
    pytest.param("ImmediateData", "Yes", None, "Yes", id="AND: both Yes"),
    pytest.param("ImmediateData", "Yes", False, "No", id="AND: ours No wins"),
    pytest.param("ImmediateData", "No", True, "No", id="AND: theirs No wins"),
    pytest.param("MaxBurstLength", "65536", None, "65536", id="MIN: theirs"),
    pytest.param("MaxBurstLength", "16777215", None, "1048576", id="MIN: ours"),
    pytest.param("MaxBurstLength", "0x10000", None, "65536", id="MIN: hexadecimal in, decimal out"),
    pytest.param("DefaultTime2Wait", "0", None, "2", id="MAX: ours"),
    pytest.param("DefaultTime2Wait", "3600", None, "3600", id="MAX: theirs"),
    pytest.param("DefaultTime2Retain", "20", None, "0", id="MIN: nothing is retained"),
    pytest.param("ErrorRecoveryLevel", "2", 2, "2", id="MIN: as configured"),
    pytest.param("ErrorRecoveryLevel", "2", 1, "1", id="MIN: level 1 where configured"),
    pytest.param("ErrorRecoveryLevel", "2", None, "0", id="MIN: level 0 unless configured"),
    pytest.param("MaxConnections", "8", 4, "4", id="MIN: several connections"),
    pytest.param("MaxConnections", "65535", 65535, "8", id="MIN: no more connections than are served"),
    pytest.param("DataPDUInOrder", "No", False, "No", id="OR: both No"),
    pytest.param("DataSequenceInOrder", "No", None, "Yes", id="OR: ours Yes wins"),
    pytest.param("HeaderDigest", "CRC32C,None", None, "CRC32C", id="LIST: the initiator's order"),
    pytest.param("HeaderDigest", "None,CRC32C", None, "None", id="LIST: the initiator's order, other way"),
    pytest.param("HeaderDigest", "X-sum,CRC32C", None, "CRC32C", id="LIST: unknown words are passed over"),
    pytest.param("HeaderDigest", "CRC32C,None", ("None",), "None", id="LIST: only None configured"),
    pytest.param("HeaderDigest", "None", ("CRC32C",), "Reject", id="LIST: nothing in common"),
    pytest.param("HeaderDigest", "", None, "Reject", id="LIST: empty"),
    pytest.param("TaskReporting", "FastAbort,RFC3720", None, "RFC3720", id="13.23"),
    pytest.param("TaskReporting", "FastAbort", None, "Reject", id="13.23, nothing in common"),
    pytest.param("iSCSIProtocolLevel", "2", None, "2", id="13.24"),
    pytest.param("iSCSIProtocolLevel", "1", None, "1", id="13.24, an older one"),
    pytest.param("iSCSIProtocolLevel", "31", None, "2", id="13.24, one to come"),
    pytest.param("OFMarker", "Yes", None, "No", id="13.25 OFMarker"),
    pytest.param("IFMarker", "No", None, "No", id="13.25 IFMarker"),
    pytest.param("OFMarkInt", "2048~8192", None, "Reject", id="13.25 OFMarkInt"),
    pytest.param("IFMarkInt", "2048", None, "Reject", id="13.25 IFMarkInt"),
    pytest.param("MaxRecvDataSegmentLength", "512", None, None, id="DECLARE: no answer"),
    pytest.param("InitiatorAlias", "me", None, None, id="DECLARE: kept nowhere"),
    pytest.param("X-vendor", "1", None, "NotUnderstood", id="unknown, vendor"),
    pytest.param("MaxXmitDataSegmentLength", "1", None, "NotUnderstood", id="an option of IET is no key"),
    pytest.param("X-vendor", "NotUnderstood", None, None, id="a refusal of what nobody asked"),
    pytest.param("SendTargets", "All", None, "Reject", id="a key of the full feature phase"),
    pytest.param("AuthMethod", "None", None, "Reject", id="a key of the security stage"),
    pytest.param("InitialR2T", "yes", None, "Reject", id="bad boolean"),
    pytest.param("MaxBurstLength", "lots", None, "Reject", id="bad number"),
    pytest.param("MaxRecvDataSegmentLength", "511", None, "Reject", id="bad declaration"),
])
def test_answers(name: str, theirs: str, configured: Any, said: str | None) -> None:
    assert answer(name, theirs, {} if configured is None else {name: configured}) == said


@pytest.mark.rfc7143("6.2.2-2", "6.2-10", "11.12.10-2")
@pytest.mark.parametrize("key", [key for key in KEYS if hasattr(key.value, "low")], ids=lambda key: key.name)
def test_each_number_at_below_and_above_its_range(key: Any) -> None:
    if key.use is Use.TARGET:
        return
    for word, bad in ((key.value.low - 1, True), (key.value.low, False), (key.value.high, False),
                      (key.value.high + 1, True)):
        assert (answer(key.name, str(word)) == "Reject") is bad, word


@pytest.mark.rfc7143("13.21-1")
@pytest.mark.parametrize("key", [key for key in KEYS if key.normal_only], ids=lambda key: key.name)
def test_irrelevant_in_discovery(key: Any) -> None:
    assert answer(key.name, key.value.render(key.default), discovery=True) == "Irrelevant"


@pytest.mark.parametrize("name", [key.name for key in KEYS if key.use is Use.TARGET])
def test_keys_of_targets_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="for targets"):
        negotiate()[0].answer([(name, "1")])


@pytest.mark.rfc7143("6.3-8")
@pytest.mark.parametrize("name", ["MaxBurstLength", "X-vendor", "MaxRecvDataSegmentLength"])
def test_a_key_is_negotiated_once(name: str) -> None:
    negotiation, _ = negotiate()
    negotiation.answer([(name, "1024")])
    with pytest.raises(ValueError, match="second time"):
        negotiation.answer([(name, "1024")])


@pytest.mark.rfc7143("6.2-12", "13.14-1")
def test_results_land_in_parameters() -> None:
    negotiation, parameters = negotiate({"InitialR2T": False})
    negotiation.answer([
        ("HeaderDigest", "CRC32C"), ("DataDigest", "None"), ("InitialR2T", "No"), ("ImmediateData", "No"),
        ("MaxRecvDataSegmentLength", "65536"), ("MaxBurstLength", "4096"), ("FirstBurstLength", "8192"),
        ("DefaultTime2Wait", "5"), ("DefaultTime2Retain", "9"), ("MaxOutstandingR2T", "3"),
    ])
    assert negotiation.declarations([]) == [("MaxRecvDataSegmentLength", "262144")]
    negotiation.finish()
    assert asdict(parameters) == asdict(Parameters(
        header_digest=True, data_digest=False, initial_r2t=False, immediate_data=False,
        max_recv_data_segment_length=262144, max_xmit_data_segment_length=65536, max_burst_length=4096,
        first_burst_length=4096, default_time2wait=5, default_time2retain=0, max_outstanding_r2t=1,
    ))


@pytest.mark.parametrize(("declared", "cap", "held"), [
    pytest.param(None, None, 8192, id="neither: the default"),
    pytest.param("65536", None, 65536, id="declared"),
    pytest.param("65536", 16384, 16384, id="capped"),
    pytest.param("4096", 16384, 4096, id="declared below the cap"),
    pytest.param(None, 4096, 4096, id="the default is capped too"),
    pytest.param(None, 65536, 8192, id="a cap is no permission"),
    pytest.param("100", None, 8192, id="a bad declaration changes nothing"),
])
def test_what_the_initiator_can_receive(declared: str | None, cap: int | None, held: int) -> None:
    negotiation, parameters = negotiate({} if cap is None else {"MaxXmitDataSegmentLength": cap})
    negotiation.answer([] if declared is None else [("MaxRecvDataSegmentLength", declared)])
    assert parameters.max_xmit_data_segment_length == held


def test_our_declaration_comes_once() -> None:
    negotiation, parameters = negotiate({"MaxRecvDataSegmentLength": 4096})
    assert negotiation.declarations([]) == [("MaxRecvDataSegmentLength", "4096")]
    assert parameters.max_recv_data_segment_length == 4096
    assert negotiation.declarations([]) == []


def test_one_text_never_rejects_and_declares_a_key() -> None:
    negotiation, parameters = negotiate()
    answers = negotiation.answer([("MaxRecvDataSegmentLength", "1")])
    assert negotiation.declarations(answers) == []
    assert parameters.max_recv_data_segment_length == 8192


@pytest.mark.parametrize(("name", "value", "offer"), [
    pytest.param("MaxBurstLength", 65536, "65536", id="smaller than the default"),
    pytest.param("MaxBurstLength", 1048576, None, id="larger than the default: silence keeps it"),
    pytest.param("InitialR2T", False, None, id="the default Yes wins anyway"),
    pytest.param("ImmediateData", False, "No", id="No against the default Yes"),
    pytest.param("ImmediateData", True, None, id="Yes is the default"),
    pytest.param("HeaderDigest", ("CRC32C",), "CRC32C", id="None is not accepted"),
    pytest.param("HeaderDigest", ("CRC32C", "None"), None, id="None is accepted"),
    pytest.param("DefaultTime2Wait", 9, "9", id="MAX above the default"),
    pytest.param("DefaultTime2Retain", 0, "0", id="MIN below the default"),
    pytest.param("OFMarker", True, None, id="markers are gone"),
    pytest.param("OFMarkInt", "2048", None, id="and their distance"),
    pytest.param("MaxRecvDataSegmentLength", 4096, None, id="declared, not offered"),
    pytest.param("MaxXmitDataSegmentLength", 4096, None, id="no key"),
])
def test_offers_of_what_the_configuration_names(name: str, value: Any, offer: str | None) -> None:
    expected: Pairs = [] if offer is None else [(name, offer)]
    negotiation, _ = negotiate({name: value})
    assert [row.name for row in negotiation.wishes()] == [name for name, _ in expected]
    assert negotiation.offers() == expected
    assert negotiation.offers() == []
    spoken, _ = negotiate({name: value})
    word = KEY_BY_NAME[name].value.render(value) if name in KEY_BY_NAME else "1"
    spoken.answer([(name, word)])
    assert spoken.offers() == []


@pytest.mark.rfc7143("6.2-5")
def test_silence_of_the_configuration_offers_nothing() -> None:
    assert negotiate()[0].offers() == []


def test_discovery_offers_nothing_irrelevant() -> None:
    negotiation, _ = negotiate({"MaxBurstLength": 4096, "HeaderDigest": ("CRC32C",)}, discovery=True)
    assert negotiation.offers() == [("HeaderDigest", "CRC32C")]


@pytest.mark.rfc7143("6.2-7", "6.2.2-1")
@pytest.mark.parametrize(("name", "value", "reply", "attribute", "held"), [
    pytest.param("MaxBurstLength", 65536, "65536", "max_burst_length", 65536, id="agreed"),
    pytest.param("MaxBurstLength", 65536, "4096", "max_burst_length", 4096, id="still smaller"),
    pytest.param("MaxBurstLength", 65536, "Reject", "max_burst_length", 262144, id="refused: the default holds"),
    pytest.param("MaxBurstLength", 65536, "Irrelevant", "max_burst_length", 262144, id="irrelevant"),
    pytest.param("DefaultTime2Wait", 9, "60", "default_time2wait", 60, id="MAX"),
    pytest.param("HeaderDigest", ("CRC32C",), "CRC32C", "header_digest", True, id="LIST"),
    pytest.param("HeaderDigest", ("CRC32C",), "Reject", "header_digest", False, id="LIST refused"),
])
def test_replies_to_our_offers(name: str, value: Any, reply: str, attribute: str, held: Any) -> None:
    negotiation, parameters = negotiate({name: value})
    negotiation.offers()
    assert not negotiation.settled
    assert negotiation.answer([]) == []
    assert not negotiation.settled
    assert negotiation.answer([(name, reply)]) == []
    assert negotiation.settled
    assert getattr(parameters, attribute) == held


@pytest.mark.rfc7143("6.2.1-4", "6.2-8")
@pytest.mark.parametrize(("name", "value", "reply"), [
    pytest.param("MaxBurstLength", 65536, "131072", id="MIN above our offer"),
    pytest.param("MaxBurstLength", 65536, "many", id="no number"),
    pytest.param("MaxBurstLength", 65536, "NotUnderstood", id="a key of the RFC not understood"),
    pytest.param("DefaultTime2Wait", 9, "3", id="MAX below our offer"),
    pytest.param("HeaderDigest", ("CRC32C",), "None", id="LIST: not offered"),
    pytest.param("HeaderDigest", ("CRC32C",), "CRC32C,None", id="LIST: more than one"),
])
def test_impossible_replies(name: str, value: Any, reply: str) -> None:
    negotiation, _ = negotiate({name: value})
    negotiation.offers()
    with pytest.raises(ValueError, match="answer"):
        negotiation.answer([(name, reply)])


@pytest.mark.rfc7143("6.2-9")
@pytest.mark.parametrize("word", ["Reject", "Irrelevant", "NotUnderstood"])
@pytest.mark.parametrize("name", ["MaxBurstLength", "HeaderDigest", "InitialR2T", "MaxRecvDataSegmentLength"])
def test_refusals_are_no_proposals(name: str, word: str) -> None:
    with pytest.raises(ValueError, match="no proposal"):
        negotiate()[0].answer([(name, word)])


def test_an_offer_that_settles_itself_needs_no_reply() -> None:
    negotiation, parameters = negotiate({"ImmediateData": False})
    assert negotiation.offers() == [("ImmediateData", "No")]
    assert negotiation.settled
    assert parameters.immediate_data is False
    assert negotiation.answer([("ImmediateData", "No")]) == []


@pytest.mark.rfc7143("13-1")
def test_full_feature_phase_takes_declarations_only() -> None:
    parameters = Parameters()
    negotiation = Negotiation(
        {"MaxXmitDataSegmentLength": 16384}, parameters, discovery=False, uses=FULL_FEATURE_USES
    )
    assert negotiation.answer([
        ("MaxRecvDataSegmentLength", "65536"), ("MaxBurstLength", "4096"), ("HeaderDigest", "CRC32C"),
        ("TargetName", "iqn.x"), ("X-a", "1"),
    ]) == [
        ("MaxBurstLength", "Reject"), ("HeaderDigest", "Reject"), ("TargetName", "Reject"), ("X-a", "NotUnderstood"),
    ]
    assert asdict(parameters) == asdict(Parameters(max_xmit_data_segment_length=16384))


@pytest.mark.rfc7143("13-1")
@pytest.mark.parametrize("key", [key for key in KEYS if key.use is Use.LOGIN], ids=lambda key: key.name)
def test_keys_of_the_leading_connection_are_rejected_on_later_ones(key: Any) -> None:
    parameters = Parameters()
    negotiation = Negotiation({}, parameters, discovery=False, uses=CONNECTION_USES)
    assert negotiation.answer([(key.name, key.value.render(key.default))]) == [(key.name, "Reject")]
    assert parameters == Parameters()


@pytest.mark.rfc7143("13-1")
def test_later_connections_settle_their_own_keys_and_are_offered_no_others() -> None:
    parameters = Parameters()
    configured = {"MaxBurstLength": 4096, "DefaultTime2Wait": 9, "HeaderDigest": ("CRC32C",)}
    negotiation = Negotiation(configured, parameters, discovery=False, uses=CONNECTION_USES)
    assert negotiation.answer([("DataDigest", "CRC32C"), ("MaxRecvDataSegmentLength", "65536")]) == [
        ("DataDigest", "CRC32C"),
    ]
    assert negotiation.offers() == [("HeaderDigest", "CRC32C")]
    assert (parameters.data_digest, parameters.max_xmit_data_segment_length) == (True, 65536)


# Properties over all rows ----------------------------------------------------------------------------------------


def words(key: Any) -> st.SearchStrategy[Any]:
    """Legal values of a row."""
    if key.result is Result.LIST:
        return st.lists(st.sampled_from(key.value.words), min_size=1, unique=True).map(tuple)
    if hasattr(key.value, "low"):
        return st.integers(key.value.low, key.value.high)
    return st.booleans()


NEGOTIATED = [
    key for key in KEYS
    if key.result in (Result.AND, Result.OR, Result.MIN, Result.MAX, Result.LIST) and key.use is not Use.SECURITY
    and not key.bound
]
MODEL: dict[Result, Callable[[Any, Any], Any]] = {
    Result.AND: lambda left, right: left and right, Result.OR: lambda left, right: left or right,
    Result.MIN: min, Result.MAX: max,
}


@pytest.mark.parametrize("key", NEGOTIATED, ids=lambda key: key.name)
@given(data=st.data())
def test_both_directions_agree(key: Any, data: st.DataObject) -> None:
    """Whoever offers first, the same two values give the same result (lists: the offerer's order rules)."""
    ours, theirs = data.draw(words(key)), data.draw(words(key))
    said = answer(key.name, key.value.render(theirs), {key.name: ours})
    ours = key.wish({key.name: ours})
    if key.result is Result.LIST:
        common = [word for word in theirs if word in ours]
        assert said == (common[0] if common else "Reject")
        return
    assert said == key.value.render(MODEL[key.result](ours, theirs))
    assert said == answer(key.name, key.value.render(ours), {key.name: theirs}) or key.most is not None


@given(ours=words(KEY_BY_NAME["MaxBurstLength"]), burst=words(KEY_BY_NAME["MaxBurstLength"]),
       first=words(KEY_BY_NAME["FirstBurstLength"]), swap=st.booleans())
def test_what_is_said_keeps_to_its_bound(ours: int, burst: int, first: int, swap: bool) -> None:
    """13.14: FirstBurstLength is never above MaxBurstLength, in whichever order the initiator names them."""
    negotiation, parameters = negotiate({"MaxBurstLength": ours, "FirstBurstLength": 2**24 - 1})
    pairs = [("MaxBurstLength", str(burst)), ("FirstBurstLength", str(first))]
    said = {name: int(word) for name, word in negotiation.answer(pairs[::-1] if swap else pairs)}
    assert said["MaxBurstLength"] == min(ours, burst)
    assert said["FirstBurstLength"] == min(first, ours, burst)
    assert parameters.first_burst_length == said["FirstBurstLength"]


def test_a_bound_that_is_offered_brings_what_it_bounds() -> None:
    negotiation, _ = negotiate({"MaxBurstLength": 4096})
    assert negotiation.offers() == [("MaxBurstLength", "4096"), ("FirstBurstLength", "4096")]


@given(st.lists(st.tuples(
    st.sampled_from([key.name for key in KEYS] + ["X-a", "X-b"]), st.text(max_size=12) | st.sampled_from(["Yes", "No"])
), max_size=KEYS_LIMIT))
def test_anything_is_answered_or_refused(pairs: Pairs) -> None:
    negotiation, parameters = negotiate({"MaxBurstLength": 65536})
    try:
        answers = negotiation.answer(pairs)
    except ValueError:
        answers = []
    assert {name for name, _ in answers} <= {name for name, _ in pairs}
    assert len(dict(answers)) == len(answers)
    negotiation.finish()
    assert parameters.first_burst_length <= parameters.max_burst_length
