"""What is told of a connection, of what it moved and how that went, and of a process."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.initiator.errors import LoginRefused
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.pdu import NO_TAG, Opcode
from ietpy.server.facts import connection_facts, error_facts


def test_before_the_login_is_over_there_is_nothing_to_tell() -> None:
    pump: Any = SimpleNamespace(connection=SimpleNamespace(session=None))
    assert connection_facts(pump) is None


def test_a_session_and_its_connection(served: Any) -> None:
    client = served.connect()
    (pump,) = served.server._pumps
    facts = connection_facts(pump)
    assert facts is not None
    assert (facts["initiator"], facts["cid"], facts["closing"]) == (client.plan.initiator, 0, False)
    assert (facts["target"], facts["address"]) == (served.target.name, "127.0.0.1")


def test_what_a_session_read_and_wrote(served: Any) -> None:
    client = served.connect()
    client.write(0, 0, bytes(8 * 512))
    client.read(0, 0, 4)
    served.store.hold()  # one on a worker
    tag = client.submit(0, bytes.fromhex("28 00 00000000 00 0008 00"), read=4096)
    for _ in ("the write", "the read"):
        assert served.store.entered.acquire(timeout=10)
    facts = served.server.sessions()[0]
    assert (facts["reads"], facts["queue_depth"], facts["parked"]) == (1, 1, 0)
    served.store.open_gate()
    assert client.wait(tag).status == 0
    facts = json.loads(json.dumps(served.server.sessions()))[0]
    assert (facts["reads"], facts["bytes_read"]) == (2, 12 * 512)
    assert (facts["writes"], facts["bytes_written"]) == (1, 8 * 512)
    assert (facts["commands"], facts["queue_depth"], facts["luns"]) == (4, 0, [0])
    assert facts["errors"] == {"unit_attention": 1}
    assert abs(time.time() - facts["since"]) < 60


def test_errors_count_by_sense_key_for_session_and_unit(served: Any) -> None:
    client = served.connect()
    assert client.command(0, bytes.fromhex("28 00 7fffffff 00 0008 00"), read=4096).status == 2
    assert client.command(0, bytes.fromhex("28 00 7fffffff 00 0008 00"), read=4096).status == 2
    expected = {"illegal_request": 2, "unit_attention": 1}
    assert served.server.sessions()[0]["errors"] == expected
    assert error_facts(served.lu.record.errors) == expected


def test_r2ts_and_functions(served: Any) -> None:
    client = served.connect(keys={"ImmediateData": "No", "InitialR2T": "Yes"})
    client.write(0, 0, bytes(512))
    assert client.manage(5) == 0  # LOGICAL UNIT RESET
    facts = served.server.sessions()[0]
    assert (facts["r2ts"], facts["functions"], facts["aborted"]) == (1, {"logical_unit_reset": 1}, 0)


def test_an_aborted_task(served: Any) -> None:
    client = served.connect()
    served.store.hold()
    client.submit(0, bytes.fromhex("28 00 00000000 00 0008 00"), read=4096)
    assert served.store.entered.acquire(timeout=10)
    other = served.connect(isid=b"\x80\0\0\0\0\2")
    done = threading.Thread(target=lambda: other.manage(5))
    done.start()
    while not next(iter(served.target.sessions.values())).tally.aborted:
        time.sleep(0.001)  # until the reset has come
    served.store.open_gate()
    done.join(20)
    assert [each["aborted"] for each in served.server.sessions()] == [1, 0]


@pytest.mark.parametrize(("key", "kind"), [("HeaderDigest", "header"), ("DataDigest", "data")])
def test_digest_errors_stay_known_when_the_session_has_ended(served: Any, key: str, kind: str) -> None:
    client = served.connect(keys={key: "CRC32C"})
    client.send_pdu(client.make(Opcode.NOP_OUT, b"ping", target_transfer_tag=NO_TAG, **{f"spoil_{kind}": True}))
    if kind == "header":
        assert client.closed_by_target()
    else:
        assert client.receive_pdu(strict=False).opcode == 0x3F
        assert served.server.sessions()[0]["data_digest_errors"] == 1
        client.logout()
    while served.target.sessions:
        time.sleep(0.001)  # until its thread has ended
    tally = served.target.tally()
    assert (tally.header_digest_errors, tally.data_digest_errors) == ((1, 0) if kind == "header" else (0, 1))
    assert tally.sessions == 1


def test_a_session_that_has_ended_is_counted_once(served: Any) -> None:
    client = served.connect()
    (session,) = served.target.sessions.values()
    assert served.target.tally().sessions == 1
    client.logout()
    while served.target.sessions:
        time.sleep(0.001)
    session.end()  # harmless
    assert served.target.tally().sessions == 1


def test_logins_count_by_result(served: Any) -> None:
    served.connect()
    for plan in (LoginPlan(target="iqn.x:nobody"), LoginPlan(target="iqn.x:nobody"), LoginPlan()):
        with contextlib.suppress(LoginRefused):
            served.dial().login(plan)
    mute = served.dial()
    mute.send_pdu(bytes([0x01]) + bytes(47))  # a SCSI Command before login
    assert mute.closed_by_target()
    (facts,) = served.server.usage()
    assert facts["logins"] == {"success": 2, "not_found": 2, "malformed": 1}
    assert (facts["connections"], facts["memory_writes"]) == (2, 0)
    assert facts["threads"] >= 3
    assert facts["descriptors"] > 3


def test_a_discovery_session_has_moved_nothing(served: Any) -> None:
    client = served.dial()
    client.login(LoginPlan())
    client.discover()
    (facts,) = served.server.sessions()
    assert (facts["target"], facts["luns"], facts["reads"]) == (None, [], 0)
