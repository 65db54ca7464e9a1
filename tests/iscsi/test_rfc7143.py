"""Rows of docs/rfc7143.py that belong to no one module."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from ietpy.iscsi.keys import KEY_BY_NAME
from ietpy.iscsi.pdu import NO_TAG, Opcode
from ietpy.iscsi.target import TargetNode
from ietpy.scsi.device import ScsiDevice

OPERATIONAL, FULL = 1, 3
MASK = 0xFFFFFFFF


@pytest.mark.rfc7143("4.2.2.4-2")
def test_no_command_has_so_many_pdus() -> None:
    """Even with the shortest data segments and bursts, and a command of the most bytes there can be."""
    lengths = [KEY_BY_NAME[name].value.low for name in ("MaxRecvDataSegmentLength", "MaxBurstLength")]
    assert sum(MASK // length + 1 for length in lengths) < 1 << 32


@pytest.mark.rfc7143("4.2.5.2-3")
def test_unsolicited_data_of_two_commands_one_behind_the_other(connect: Any, store: Any) -> None:
    nexus = connect()
    first = nexus.tag
    nexus.feed(nexus.write(0, 2, flags=0x20) + nexus.write(2, 2, flags=0x20))
    nexus.feed(nexus.data_out(first, NO_TAG, b"a" * 1024, 0) + nexus.data_out(first + 1, NO_TAG, b"b" * 1024, 0))
    assert [answer.status for answer in nexus.answers()] == [0, 0]
    assert store.data[:2048] == b"a" * 1024 + b"b" * 1024


@pytest.mark.rfc7143("4.2.7.1-2")
def test_names_of_223_bytes(dialogue: Any, node: Any) -> None:
    name = "iqn.2026-11.test:" + "t" * 206
    target = TargetNode(name, ScsiDevice(name, node.lock))
    node.add(target)
    login = dialogue(target=name)
    initiator = "iqn.2026-11.test:" + "i" * 206
    assert login.say(OPERATIONAL, {**login.names, "InitiatorName": initiator}, FULL).nsg == FULL
    assert (login.results[0].target, login.results[0].initiator_name) == (target, initiator)
    assert len(name) == len(initiator) == 223


@pytest.mark.rfc7143("6.4-1", "6.4-2", "11.11.1-1", "6.2-5")
def test_a_text_response_offers_nothing(connect: Any, target: Any) -> None:
    """Not even what a login would be offered; and it ends the exchange though there is nothing to say."""
    target.key_values = {"MaxBurstLength": 65536, "HeaderDigest": ("CRC32C",)}
    nexus = connect()
    (answer,) = nexus.ask(nexus.request(Opcode.TEXT_REQUEST, target_transfer_tag=NO_TAG))
    assert (answer.flags, answer.target_transfer_tag, answer.data) == (0x80, NO_TAG, b"")


@pytest.mark.rfc7143("7.4.1-1", "13.21-1")
@pytest.mark.parametrize("proposed", ["0", "1", "2"])
def test_discovery_has_error_recovery_level_0(dialogue: Any, proposed: str) -> None:
    login = dialogue()
    keys = {"InitiatorName": login.initiator, "SessionType": "Discovery", "ErrorRecoveryLevel": proposed}
    assert login.say(OPERATIONAL, keys, FULL).keys["ErrorRecoveryLevel"] == "0"
    assert login.results[0].parameters.error_recovery_level == 0


@pytest.mark.rfc7143("11-2")
@pytest.mark.parametrize(("opcode", "reserved", "fields"), [
    (Opcode.NOP_OUT, (1, 2, 3, *range(32, 48)), {"target_transfer_tag": NO_TAG}),
    (Opcode.SCSI_COMMAND, (2, 3), {}),
    (Opcode.TASK_MANAGEMENT_REQUEST, (2, 3, *range(40, 48)), {"flags": 0x82}),
    (Opcode.TEXT_REQUEST, (2, 3, *range(32, 48)), {"target_transfer_tag": NO_TAG}),
    (Opcode.LOGOUT_REQUEST, (2, 3, *range(8, 16), 22, 23, *range(32, 48)), {}),
])
def test_reserved_bytes_are_ignored(connect: Any, opcode: Opcode, reserved: tuple[int, ...], fields: Any) -> None:
    said = []
    for isid, filled in ((b"ISID01", False), (b"ISID02", True)):
        nexus = connect(isid=isid)
        request = bytearray(nexus.request(opcode, **fields))
        for at in reserved if filled else ():
            request[at] = request[at] | 0x7F if at == 1 else 0xFF
        said.append([(answer.fields, answer.data) for answer in nexus.ask(bytes(request))])
    assert said[0] == said[1] != []


@pytest.mark.rfc7143("7144:5.1.1-1")
def test_a_priority_is_ignored(nexus: Any) -> None:
    request = bytearray(nexus.command("00"))
    request[2] = 0xF0
    assert [answer.status for answer in nexus.ask(bytes(request))] == [0]


@pytest.mark.rfc7143("11.10.4-2")
def test_a_text_response_that_goes_on_has_the_lun_of_the_request(connect: Any) -> None:
    nexus = connect(discovery=True, max_xmit_data_segment_length=32)
    request = nexus.request(Opcode.TEXT_REQUEST, b"SendTargets=All\0", target_transfer_tag=NO_TAG, lun=7)
    (answer,) = nexus.ask(request)
    assert answer.target_transfer_tag != NO_TAG
    assert answer.lun == 7


@pytest.mark.rfc7143("11.12.4-2")
def test_the_first_request_says_which_versions(dialogue: Any) -> None:
    login = dialogue()
    login.say(OPERATIONAL, login.names)
    answer = login.say(OPERATIONAL, {}, FULL, version_min=9, version_max=9)
    assert (answer.status, answer.nsg, answer.version_max, answer.version_active) == (0, FULL, 0, 0)


@pytest.mark.rfc7143("13.11-1")
@pytest.mark.parametrize(("data", "flags"), [(b"x" * 512, 0xA0), (b"", 0x20)], ids=["immediate", "Data-Out to come"])
def test_no_unsolicited_data_where_none_was_agreed(connect: Any, store: Any, data: bytes, flags: int) -> None:
    nexus = connect(immediate_data=False, initial_r2t=True)
    tag = nexus.tag
    nexus.feed(nexus.write(0, 1, data, flags=flags))
    if not data:
        nexus.feed(nexus.data_out(tag, NO_TAG, b"x" * 512, 0))
    (answer,) = nexus.answers()
    assert (answer.status, answer.data[4], answer.data[14:16]) == (2, 0xB, b"\x0c\x0c")
    assert not any(store.data)


@pytest.mark.rfc7143("13.26.2-1", "13.22-1")
@pytest.mark.parametrize("name", ["X#NodeArchitecture", "X-com.example.key"])
def test_nothing_depends_on_keys_of_vendors(dialogue: Any, name: str) -> None:
    plain, told = dialogue(), dialogue()
    expected = plain.say(OPERATIONAL, plain.names, FULL).keys
    answered = told.say(OPERATIONAL, {**told.names, name: "ext1,ext2"}, FULL).keys
    assert answered == {**expected, name: "NotUnderstood"}
    assert asdict(plain.results[0].parameters) == asdict(told.results[0].parameters)


@pytest.mark.rfc7143("11.2.1.2-1")
@pytest.mark.parametrize("opcode", [opcode for opcode in Opcode if opcode >= 0x20])
def test_opcodes_of_targets_are_rejected(nexus: Any, opcode: Opcode) -> None:
    request = bytearray(nexus.request(Opcode.NOP_OUT))
    request[0] = opcode
    (answer,) = nexus.ask(bytes(request))
    assert (answer.opcode, answer.reason, answer.data) == (Opcode.REJECT, 5, bytes(request))
