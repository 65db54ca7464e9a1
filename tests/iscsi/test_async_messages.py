"""Asynchronous Messages (RFC 7143 section 11.9)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi import async_messages
from ietpy.iscsi.pdu import Opcode
from ietpy.scsi.attention import CAPACITY_CHANGED, LUNS_CHANGED

NO_TAG = 0xFFFFFFFF

#: What is said, AsyncEvent, and its parameters.
MESSAGES = [
    pytest.param(lambda connection: async_messages.ask_to_log_out(connection, 7), (1, 0, 0, 7), id="logout request"),
    pytest.param(async_messages.announce_connection_drop, (2, 5, 9, 0), id="connection drop"),
    pytest.param(async_messages.announce_session_drop, (3, 0, 9, 0), id="session drop"),
]


@pytest.mark.rfc7143("11.9.1-1", "11-1")
@pytest.mark.parametrize(("say", "fields"), MESSAGES)
def test_messages(connect: Any, say: Any, fields: tuple[int, ...]) -> None:
    nexus = connect(default_time2wait=9)
    nexus.connection.cid = 5
    before = nexus.connection.stat_sn
    say(nexus.connection)
    (message,) = nexus.answers()
    assert message.fields == {
        "opcode": Opcode.ASYNC_MESSAGE, "flags": 0x80, "lengths": 0, "lun": 0, "initiator_task_tag": NO_TAG,
        "stat_sn": before, "exp_cmd_sn": nexus.session.exp_cmd_sn, "max_cmd_sn": nexus.session.max_cmd_sn,
        "async_event": fields[0], "async_vcode": 0, "parameter1": fields[1], "parameter2": fields[2],
        "parameter3": fields[3],
    }
    assert nexus.ask(nexus.command("00"))[0].stat_sn == before + 1


@pytest.mark.rfc7143("7.4.3-1")
@pytest.mark.parametrize(("say", "fields"), MESSAGES)
def test_a_discovery_session_hears_nothing(connect: Any, say: Any, fields: tuple[int, ...]) -> None:
    nexus = connect(discovery=True)
    say(nexus.connection)
    assert nexus.answers() == []


@pytest.mark.rfc7143("11.14-3")
@pytest.mark.parametrize(("say", "fields"), MESSAGES)
def test_nothing_follows_a_logout(nexus: Any, say: Any, fields: tuple[int, ...]) -> None:
    nexus.ask(nexus.request(Opcode.LOGOUT_REQUEST))
    say(nexus.connection)
    assert nexus.answers() == []


@pytest.mark.rfc7143("11.9.3-1")
@pytest.mark.parametrize("descriptors", [False, True])
@pytest.mark.parametrize(("attention", "code"), [(LUNS_CHANGED, b"\x3f\x0e"), (CAPACITY_CHANGED, b"\x2a\x09")])
def test_a_scsi_event_has_sense_data_and_a_lun(
    nexus: Any, target: Any, attention: Any, code: bytes, descriptors: bool
) -> None:
    target.device.logical_units[1].descriptor_sense = descriptors
    async_messages.report(nexus.session, attention, [nexus.session.nexuses[1 << 48]])
    (message,) = nexus.answers()
    assert (message.opcode, message.async_event, message.lun) == (Opcode.ASYNC_MESSAGE, 0, 1 << 48)
    sense = message.data[2:]
    assert int.from_bytes(message.data[:2], "big") == len(sense)
    assert (sense[0] & 0x7F, sense[1] if descriptors else sense[2]) == (0x72 if descriptors else 0x70, 6)
    assert (sense[2:4] if descriptors else sense[12:14]) == code


def test_one_scsi_event_for_all_logical_units(nexus: Any) -> None:
    async_messages.report(nexus.session, LUNS_CHANGED, set(nexus.session.nexuses.values()))
    (message,) = nexus.answers()
    assert message.lun == 0


def test_a_scsi_event_is_for_those_it_concerns(nexus: Any) -> None:
    async_messages.report(nexus.session, LUNS_CHANGED, [])
    assert nexus.answers() == []
    nexus.connection.closing = True
    async_messages.report(nexus.session, LUNS_CHANGED, set(nexus.session.nexuses.values()))
    assert nexus.answers() == []


@pytest.mark.rfc7143("7.1.4.3-2")
@pytest.mark.parametrize(("recoverable", "retained"), [(False, 0), (True, 20)])
def test_a_loss_is_told_by_another_connection_of_the_session(
    connect: Any, recoverable: bool, retained: int
) -> None:
    nexus, other = connect(), connect(isid=b"ISID02")
    nexus.connection.recoverable = recoverable
    async_messages.announce_loss(nexus.connection)  # there is none
    other.connection.closing = True
    nexus.session.connections = {0: nexus.connection, 1: other.connection}
    async_messages.announce_loss(nexus.connection)  # none that could
    other.connection.closing = False
    nexus.connection.cid = 4
    async_messages.announce_loss(nexus.connection)
    assert nexus.answers() == []
    (message,) = other.answers()
    fields = (message.async_event, message.parameter1, message.parameter2, message.parameter3)
    assert fields == (2, 4, 2, retained)
