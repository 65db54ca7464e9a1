"""Text Requests of the full feature phase: SendTargets (RFC 7143 appendix C, iet-compat 8.4) and redeclared keys."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from ietpy.errors import Reject
from ietpy.iscsi.discovery import TextExchange
from ietpy.iscsi.errors import RejectReason
from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.pdu import CONTINUE, FINAL, NO_TAG
from ietpy.iscsi.target import Asker, IscsiNode, Portal, TargetNode
from ietpy.iscsi.text import decode, encode
from ietpy.scsi.device import ScsiDevice

ASKER = Asker("iqn.i", "10.0.0.2", "10.0.0.1")


def portals(asker: Asker, port: int) -> Sequence[Portal]:
    return [
        Portal(asker.local, port, asker.group), Portal("10.9.9.9", port), Portal("fe80::1", port),
        Portal("10.2.2.2", 3261, 65535),
    ]


def not_at_nine(asker: Asker) -> bool:
    return asker.local != "10.9.9.9"


def add(node: IscsiNode, name: str, **options: object) -> TargetNode:
    target = TargetNode(name, ScsiDevice(name, threading.RLock()), **options)  # type: ignore[arg-type]
    node.add(target)
    return target


@pytest.fixture
def node() -> IscsiNode:
    node = IscsiNode(threading.RLock())
    add(node, "iqn.First")
    add(node, "iqn.second")
    add(node, "iqn.hidden", admits=lambda asker: False)
    return node


class Asking:
    """The initiator's end of one connection's text requests."""

    def __init__(self, node: IscsiNode, target: TargetNode | None = None, limit: int = 8192) -> None:
        self.parameters = Parameters(max_xmit_data_segment_length=limit)
        self.exchange = TextExchange(node, target, ASKER, 3260, self.parameters)

    def ask(self, *pairs: tuple[str, str]) -> list[tuple[str, str]]:
        """One exchange from begin to end; continues with empty requests as long as it takes."""
        flags, tag, data = self.exchange.receive(FINAL, 1, NO_TAG, 0, encode(pairs))
        while not flags & FINAL:
            assert flags == CONTINUE
            assert tag != NO_TAG
            flags, tag, more = self.exchange.receive(FINAL, 1, tag, 0, b"")
            assert 0 < len(more) <= self.parameters.max_xmit_data_segment_length
            data += more
        assert (flags, tag) == (FINAL, NO_TAG)
        return decode(data)


def listing(*names: str) -> list[tuple[str, str]]:
    return [pair for name in names for pair in (("TargetName", name), ("TargetAddress", "10.0.0.1:3260,1"))]


@pytest.mark.rfc7143("4.3-1", "13.8-2", "C-3", "C-5", "C-7", "C-9")
@pytest.mark.parametrize(("value", "names"), [
    pytest.param("All", ("iqn.second", "iqn.First"), id="All: newest first, hidden ones left out"),
    pytest.param("iqn.first", ("iqn.First",), id="a name, without case"),
    pytest.param("iqn.hidden", (), id="a hidden name"),
    pytest.param("iqn.missing", (), id="a missing name"),
    pytest.param("", (), id="nothing"),
    pytest.param("all", (), id="another case of All is a name"),
])
def test_send_targets_in_a_discovery_session(node: IscsiNode, value: str, names: tuple[str, ...]) -> None:
    assert Asking(node).ask(("SendTargets", value)) == listing(*names)


@pytest.mark.rfc7143("C-4", "C-6", "C-8")
@pytest.mark.parametrize(("value", "answer"), [
    pytest.param("", listing("iqn.First"), id="nothing: the session's own target"),
    pytest.param("IQN.first", listing("iqn.First"), id="its name"),
    pytest.param("All", [("SendTargets", "Reject")], id="All is for discovery"),
    pytest.param("iqn.second", [("SendTargets", "Reject")], id="another target's name"),
])
def test_send_targets_in_a_normal_session(node: IscsiNode, value: str, answer: list[tuple[str, str]]) -> None:
    assert Asking(node, node.targets["iqn.first"]).ask(("SendTargets", value)) == answer


@pytest.mark.rfc7143("13.8-2", "C-3", "C-10")
def test_every_portal_the_asker_may_use(node: IscsiNode) -> None:
    node.addresses = portals
    node.remove(node.targets["iqn.second"])
    add(node, "iqn.third", admits=not_at_nine)
    assert Asking(node).ask(("SendTargets", "All")) == [
        ("TargetName", "iqn.third"), ("TargetAddress", "10.0.0.1:3260,1"), ("TargetAddress", "[fe80::1]:3260,1"),
        ("TargetName", "iqn.First"), ("TargetAddress", "10.0.0.1:3260,1"), ("TargetAddress", "10.9.9.9:3260,1"),
        ("TargetAddress", "[fe80::1]:3260,1"),
    ]


@pytest.mark.rfc7143("13.8-2", "C-3", "C-10")
def test_all_portals_of_the_groups_a_target_is_in(node: IscsiNode) -> None:
    """With their tags, by whichever group he came who asks; a target that no portal leads to is not told."""
    node.addresses = portals
    add(node, "iqn.lost").offer((7,))
    node.targets["iqn.first"].offer((65535, 7))
    node.targets["iqn.second"].offer((1, 65535))
    told = [
        ("TargetName", "iqn.second"), ("TargetAddress", "10.0.0.1:3260,1"), ("TargetAddress", "10.9.9.9:3260,1"),
        ("TargetAddress", "[fe80::1]:3260,1"), ("TargetAddress", "10.2.2.2:3261,65535"),
        ("TargetName", "iqn.First"), ("TargetAddress", "10.2.2.2:3261,65535"),
    ]
    assert Asking(node).ask(("SendTargets", "All")) == told
    assert Asking(node).ask(("SendTargets", "iqn.first")) == told[-2:]
    assert Asking(node).ask(("SendTargets", "iqn.lost")) == []


@pytest.mark.rfc7143("11.11.6-1", "11.11.4-1", "6.1-1", "C-3")
@pytest.mark.parametrize("limit", [512, 8192, 262144])
def test_a_thousand_targets(limit: int) -> None:
    node = IscsiNode(threading.RLock())
    names = [f"iqn.2026-11.net.example:disk{number:04}" for number in range(1000)]
    for name in names:
        add(node, name)
    assert Asking(node, limit=limit).ask(("SendTargets", "All")) == listing(*reversed(names))


def test_an_answer_of_exactly_one_segment(node: IscsiNode) -> None:
    size = len(encode(listing("iqn.second", "iqn.First")))
    asking = Asking(node, limit=size)
    flags, tag, data = asking.exchange.receive(FINAL, 1, NO_TAG, 0, b"SendTargets=All\0")
    assert (flags, tag, len(data)) == (FINAL, NO_TAG, size)


@pytest.mark.rfc7143("6.2-2")
@pytest.mark.parametrize("cut", range(len(b"SendTargets=All\0") + 1))
def test_a_request_may_be_cut_at_any_byte(node: IscsiNode, cut: int) -> None:
    exchange, request = Asking(node).exchange, b"SendTargets=All\0"
    flags, tag, data = exchange.receive(CONTINUE, 1, NO_TAG, 0, request[:cut])
    assert (flags, data) == (0, b"")
    assert tag != NO_TAG
    flags, tag, data = exchange.receive(FINAL, 1, tag, 0, request[cut:])
    assert (flags, tag, decode(data)) == (FINAL, NO_TAG, listing("iqn.second", "iqn.First"))


@pytest.mark.rfc7143("6.4-3", "11.10.4-1", "6.2-13")
def test_an_initiator_with_more_to_say_is_answered_and_waited_for(node: IscsiNode) -> None:
    exchange = Asking(node, node.targets["iqn.first"]).exchange
    flags, tag, data = exchange.receive(0, 1, NO_TAG, 0, b"SendTargets=iqn.first\0")
    assert (flags, decode(data)) == (0, listing("iqn.First"))
    assert tag != NO_TAG
    assert exchange.receive(FINAL, 1, tag, 0, b"X-a=1\0") == (FINAL, NO_TAG, b"X-a=NotUnderstood\0")


def test_redeclared_length_is_followed(node: IscsiNode) -> None:
    asking = Asking(node, node.targets["iqn.first"])
    assert asking.ask(("MaxRecvDataSegmentLength", "65536"), ("InitiatorAlias", "me")) == []
    assert asking.parameters.max_xmit_data_segment_length == 65536


def test_and_capped(node: IscsiNode) -> None:
    target = add(node, "iqn.capped", key_values={"MaxXmitDataSegmentLength": 4096})
    asking = Asking(node, target)
    asking.ask(("MaxRecvDataSegmentLength", "65536"))
    assert asking.parameters.max_xmit_data_segment_length == 4096


@pytest.mark.rfc7143("4.3-1", "4.3-2")
@pytest.mark.parametrize("other", ["X-a", "MaxRecvDataSegmentLength", "InitiatorAlias", "MaxBurstLength"])
@pytest.mark.parametrize("beside", [True, False])
def test_a_discovery_session_takes_send_targets_and_nothing_else(node: IscsiNode, other: str, beside: bool) -> None:
    asking = Asking(node)
    pairs = [("SendTargets", "All")] if beside else []
    with pytest.raises(Reject):
        asking.ask(*pairs, (other, "8192"))
    assert asking.ask(("SendTargets", "iqn.first")) == listing("iqn.First")


@pytest.mark.rfc7143("13-1")
def test_keys_of_the_login_are_rejected(node: IscsiNode) -> None:
    asking = Asking(node, node.targets["iqn.first"])
    assert asking.ask(("MaxBurstLength", "65536"), ("X-a", "1"), ("InitiatorName", "iqn.j")) == [
        ("MaxBurstLength", "Reject"), ("X-a", "NotUnderstood"), ("InitiatorName", "Reject"),
    ]


@pytest.mark.rfc7143("6.2-1", "6.4-4", "11.10.2-1", "7.12-2")
@pytest.mark.parametrize(("flags", "tag", "data"), [
    pytest.param(FINAL | CONTINUE, NO_TAG, b"", id="F and C both set"),
    pytest.param(FINAL, 1234, b"", id="a Target Transfer Tag of nothing"),
    pytest.param(FINAL, NO_TAG, b"junk\0", id="no key=value pair"),
    pytest.param(FINAL, NO_TAG, b"TargetAddress=1\0", id="a key of targets"),
    pytest.param(FINAL, NO_TAG, b"X-a=1\0X-a=1\0", id="a key twice"),
    pytest.param(FINAL, NO_TAG, bytes(65537), id="too much text"),
])
def test_protocol_errors(node: IscsiNode, flags: int, tag: int, data: bytes) -> None:
    asking = Asking(node)
    with pytest.raises(Reject) as caught:
        asking.exchange.receive(flags, 1, tag, 0, data)
    assert caught.value.reason == RejectReason.PROTOCOL_ERROR
    assert asking.ask(("SendTargets", "iqn.first")) == listing("iqn.First")


@pytest.mark.rfc7143("11.10.3-1", "6.2-4")
@pytest.mark.parametrize(("tag", "lun", "flags", "data"), [
    pytest.param(2, 0, FINAL, b"", id="another task"),
    pytest.param(1, 1, FINAL, b"", id="another LUN"),
    pytest.param(1, 0, FINAL, b"X-a=1\0", id="text while an answer is being sent"),
    pytest.param(1, 0, CONTINUE, b"", id="a text begun while an answer is being sent"),
])
def test_what_may_not_come_in_the_middle(node: IscsiNode, tag: int, lun: int, flags: int, data: bytes) -> None:
    exchange = Asking(node, limit=16).exchange
    first, transfer_tag, _ = exchange.receive(FINAL, 1, NO_TAG, 0, b"SendTargets=All\0")
    assert first == CONTINUE
    with pytest.raises(Reject):
        exchange.receive(flags, tag, transfer_tag, lun, data)


@pytest.mark.rfc7143("11.10.4-1")
def test_a_tag_is_good_for_one_request(node: IscsiNode) -> None:
    exchange = Asking(node, limit=16).exchange
    _, first, _ = exchange.receive(FINAL, 1, NO_TAG, 0, b"SendTargets=All\0")
    exchange.receive(FINAL, 1, first, 0, b"")
    with pytest.raises(Reject):
        exchange.receive(FINAL, 1, first, 0, b"")


@pytest.mark.rfc7143("11.10-1", "6.2-4")
def test_a_new_request_drops_the_old_exchange(node: IscsiNode) -> None:
    asking = Asking(node, limit=16)
    _, old, _ = asking.exchange.receive(FINAL, 1, NO_TAG, 0, b"SendTargets=All\0")
    assert asking.ask(("SendTargets", "iqn.first")) == listing("iqn.First")
    with pytest.raises(Reject):
        asking.exchange.receive(FINAL, 1, old, 0, b"")


def test_limits_count_over_an_exchange(node: IscsiNode) -> None:
    exchange = Asking(node, node.targets["iqn.first"]).exchange
    _, tag, _ = exchange.receive(0, 1, NO_TAG, 0, encode((f"K{at}", "") for at in range(100)))
    with pytest.raises(Reject):
        exchange.receive(FINAL, 1, tag, 0, encode((f"L{at}", "") for at in range(29)))


@pytest.mark.rfc7143("7.12-2", "6.2-11", "6.4-4")
@pytest.mark.parametrize("rest", [
    pytest.param(b"TargetAddress=1\0", id="a key of targets"), pytest.param(b"junk\0", id="no pair"),
    pytest.param(b"MaxRecvDataSegmentLength=4096\0", id="a key negotiated before"),
])
@pytest.mark.parametrize("together", [True, False])
def test_a_negotiation_that_fails_changes_nothing(node: IscsiNode, rest: bytes, together: bool) -> None:
    """Partial results take no effect; what was agreed earlier holds."""
    asking = Asking(node, node.targets["iqn.first"])
    exchange, first, tag = asking.exchange, b"MaxRecvDataSegmentLength=65536\0", NO_TAG
    if not together:
        _, tag, _ = exchange.receive(0, 1, NO_TAG, 0, first)
        first = b""
    with pytest.raises(Reject):
        exchange.receive(FINAL, 1, tag, 0, first + rest)
    assert asking.parameters.max_xmit_data_segment_length == 8192
    assert asking.ask(("X-a", "1")) == [("X-a", "NotUnderstood")]
    assert asking.parameters.max_xmit_data_segment_length == 8192


@pytest.mark.rfc7143("6.2-11", "7.12-2")
def test_a_negotiation_given_up_for_a_new_one_changes_nothing(node: IscsiNode) -> None:
    asking = Asking(node, node.targets["iqn.first"])
    asking.exchange.receive(0, 1, NO_TAG, 0, b"MaxRecvDataSegmentLength=65536\0")
    asking.ask(("X-a", "1"))
    assert asking.parameters.max_xmit_data_segment_length == 8192


@pytest.mark.rfc7143("6.2-11")
def test_a_value_holds_when_its_negotiation_has_ended(node: IscsiNode) -> None:
    asking = Asking(node, node.targets["iqn.first"])
    _, tag, _ = asking.exchange.receive(0, 1, NO_TAG, 0, b"MaxRecvDataSegmentLength=65536\0")
    assert asking.parameters.max_xmit_data_segment_length == 8192
    asking.exchange.receive(FINAL, 1, tag, 0, b"")
    assert asking.parameters.max_xmit_data_segment_length == 65536
