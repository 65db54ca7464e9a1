"""What a target says and reads: RFC 4171 sections 5.6 and 5.7, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis.strategies import binary, integers, lists, none, sampled_from, text, tuples

from ietpy.isns import requests
from ietpy.isns.attributes import Attribute, IsnsError, Tag
from ietpy.isns.message import Flag, Function, Message, Status, encode
from ietpy.isns.requests import Entity

ENTITY = Entity("vm", "10.0.0.7", 3260, 40000, 300)
NAME_A = "00000020 00000008 69716e2e 61000000"
NAME_B = "00000020 00000008 69716e2e 62000000"
EID = "00000001 00000004 766d0000"
DELIMITER = "00000000 00000000"
PLACE = (
    "00000002 00000004 00000002"  # Entity Protocol iSCSI
    "00000006 00000004 0000012c"  # Registration Period
    "00000010 00000010 00000000 00000000 0000ffff 0a000007"  # Portal IP Address
    "00000011 00000004 00000cbc"  # Portal TCP/UDP Port
    "00000017 00000004 00009c40"  # SCN Port
)
TARGET = "00000021 00000004 00000001"

GOLDEN = [
    pytest.param(
        requests.registration(ENTITY, "iqn.a", ["iqn.a", "iqn.b"], replace=True),
        f"0001 0001 00b0 9c00 {NAME_A} {EID} {DELIMITER} {EID} {PLACE} {NAME_A} {TARGET} {NAME_B} {TARGET}",
        id="DevAttrReg, replace",
    ),
    pytest.param(
        requests.registration(ENTITY, "iqn.a", ["iqn.b"], replace=False),
        f"0001 0001 0094 8c00 {NAME_A} {EID} {DELIMITER} {EID} {PLACE} {NAME_B} {TARGET}",
        id="DevAttrReg, update",
    ),
    pytest.param(
        requests.scn_registration("iqn.a"),
        f"0001 0005 0034 8c00 {NAME_A} {NAME_A} {DELIMITER} 00000023 00000004 0000009c",
        id="SCNReg",
    ),
    pytest.param(
        requests.presence("vm", "iqn.a"),
        f"0001 0002 002c 8c00 {NAME_A} {EID} {DELIMITER} 00000001 00000000",
        id="DevAttrQry, entity",
    ),
    pytest.param(
        requests.initiators("iqn.a"),
        f"0001 0002 0034 8c00 {NAME_A} 00000021 00000004 00000002 {DELIMITER} 00000020 00000000 00000021 00000000",
        id="DevAttrQry, initiators",
    ),
    pytest.param(
        requests.withdrawal("iqn.a", ["iqn.a", "iqn.b"]),
        f"0001 0004 0038 8c00 {NAME_A} {DELIMITER} {NAME_A} {NAME_B}",
        id="DevDereg, targets",
    ),
    pytest.param(
        requests.deregistration("iqn.a", "vm"),
        f"0001 0004 0024 8c00 {NAME_A} {DELIMITER} {EID}",
        id="DevDereg, entity",
    ),
]


@pytest.mark.parametrize(("request_", "wire"), GOLDEN)
def test_requests(request_: Message, wire: str) -> None:
    head, body = encode(request_)[:8], encode(request_)[12:]
    assert (head + body).hex() == wire.replace(" ", "")


def response(*attributes: Attribute, status: int = 0) -> Message:
    return Message(0x8002, attributes, status)


DELIM: Attribute = (Tag.DELIMITER, None)
KEY: Attribute = (Tag.ISCSI_NODE_TYPE, 2)


def name(value: str | None) -> Attribute:
    return (Tag.ISCSI_NAME, value)


def kind(value: int | None) -> Attribute:
    return (Tag.ISCSI_NODE_TYPE, value)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        pytest.param(response(KEY, DELIM), set(), id="nobody"),
        pytest.param(response(KEY), set(), id="nobody, no delimiter"),
        pytest.param(response(KEY, DELIM, name("i"), kind(2), name("j"), kind(2)), {"i", "j"}, id="two"),
        pytest.param(response(KEY, name("i"), kind(2)), {"i"}, id="no delimiter"),
        pytest.param(response(KEY, DELIM, name("t"), kind(1), name("c"), kind(4)), set(), id="target, control node"),
        pytest.param(response(KEY, DELIM, name("b"), kind(3)), {"b"}, id="initiator and target"),
        pytest.param(response(KEY, DELIM, name("i"), name("j"), kind(2)), {"j"}, id="one without type"),
        pytest.param(response(KEY, DELIM, name("i"), kind(None)), set(), id="type without value"),
        pytest.param(response(KEY, DELIM, name(None), kind(2)), set(), id="name without value"),
        pytest.param(response(KEY, DELIM, kind(2), name("i")), set(), id="type before name"),
        pytest.param(response(KEY, DELIM, name("i"), kind(1), kind(2)), set(), id="two types: the first counts"),
        pytest.param(
            response(KEY, DELIM, name("i"), (Tag.ISCSI_ALIAS, "eye"), kind(2)), {"i"}, id="more than was asked for"
        ),
    ],
)
def test_initiators_in_an_answer(answer: Message, found: set[str]) -> None:
    assert requests.initiators_in(answer) == found


@pytest.mark.parametrize(
    ("answer", "present"),
    [
        pytest.param(response((Tag.ENTITY_IDENTIFIER, "vm"), DELIM, (Tag.ENTITY_IDENTIFIER, "vm")), True, id="there"),
        pytest.param(response((Tag.ENTITY_IDENTIFIER, "vm"), DELIM), False, id="no object"),
        pytest.param(response(status=Status.NO_SUCH_ENTRY), False, id="no such entry"),
        pytest.param(response(status=Status.SOURCE_UNKNOWN), False, id="source unknown"),
        pytest.param(response(status=Status.BUSY), True, id="busy says nothing"),
    ],
)
def test_presence_in_an_answer(answer: Message, present: bool) -> None:
    assert requests.is_present(answer) is present


@pytest.mark.parametrize(
    ("attributes", "period"),
    [
        pytest.param([], None, id="none"),
        pytest.param([(Tag.REGISTRATION_PERIOD, 60)], 60, id="sixty"),
        pytest.param([(Tag.REGISTRATION_PERIOD, None)], None, id="no value"),
        pytest.param([(Tag.REGISTRATION_PERIOD, 0)], 0, id="not in use"),
    ],
)
def test_granted_period(attributes: list[Attribute], period: int | None) -> None:
    key: Attribute = (Tag.ENTITY_IDENTIFIER, "vm")
    assert requests.granted_period(response(key, DELIM, key, *attributes)) == period


def test_answers_to_the_server() -> None:
    esi = Message(Function.ESI, ((Tag.TIMESTAMP, 1), (Tag.ENTITY_IDENTIFIER, "vm")), None, 5, Flag.SERVER)
    assert requests.answer(esi) == Message(0x800D, esi.attributes, 0, 5)
    scn = Message(Function.SCN, (name("iqn.a"), (Tag.TIMESTAMP, 1)), None, 6, Flag.SERVER)
    assert requests.answer(scn) == Message(0x8008, (name("iqn.a"),), 0, 6)
    assert requests.answer(Message(0x0100, transaction=7)) == Message(0x8100, (), Status.MESSAGE_NOT_SUPPORTED, 7)
    assert requests.answer(Message(Function.HEARTBEAT)) is None
    assert requests.answer(Message(0x8001, (), 0)) is None


@pytest.mark.parametrize("bad", ["", "x" * 224, "a\0", "\udcff"])
def test_names_that_cannot_be_registered(bad: str) -> None:
    with pytest.raises(IsnsError, match="cannot be"):
        requests.check_name(bad)


def test_the_longest_registration_fits_one_pdu() -> None:
    names = ["x" * 223] * requests.BATCH
    entity = Entity("e" * 255, "10.0.0.7", 3260, 40000, 300)
    assert len(encode(requests.registration(entity, names[0], names, replace=True))) < 0xFFFC
    assert len(encode(requests.withdrawal(names[0], names))) < 0xFFFC


values = none() | integers(0, 0xFFFFFFFF) | text(max_size=4) | binary(max_size=4)
attributes_of_any_kind = lists(tuples(sampled_from([0, 1, 6, 32, 33, 64]), values), max_size=8).map(tuple)


@settings(deadline=None)
@given(attributes_of_any_kind, integers(0, 30))
def test_readers_take_whatever_is_well_formed(attributes: tuple[Attribute, ...], status: int) -> None:
    answer = response(*attributes, status=status)
    called = [value for tag, value in attributes if tag == Tag.ISCSI_NAME]
    assert requests.initiators_in(answer) <= set(called)
    assert requests.is_present(answer) in (True, False)
    assert requests.granted_period(answer) is None or Tag.REGISTRATION_PERIOD in dict(attributes)
    for function in (Function.SCN, Function.ESI, 0x0123):
        answered = requests.answer(Message(function, attributes))
        assert answered is not None
        assert answered.function == function | 0x8000
