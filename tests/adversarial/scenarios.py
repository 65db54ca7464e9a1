"""Whole sessions, good and bad, for a client in memory or on a socket: what is sent depends on nothing but the answers.

Each ends with a logout or with the target hanging up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.errors import ConnectionLost, LoginRefused
from ietpy.initiator.framing import build_pdu
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.initiator.text import encode
from ietpy.iscsi.pdu import CONTINUE, FINAL, NO_TAG, Opcode
from tests.adversarial.world import BOTH_WAYS, LOCKED, MUTUAL, PLAIN, SECRET, names, read_cdb, write_cdb

BLOCK = 512
DIGESTS = {"HeaderDigest": "CRC32C", "DataDigest": "CRC32C"}
NAME = "iqn.2026-01.test:scenario"


def begin(client: Client, keys: dict[str, str | None] | None = None, target: str = PLAIN, **plan: Any) -> None:
    client.login(LoginPlan(target=target, initiator=NAME, keys=keys or {}, **plan))
    if target:
        client.test_unit_ready(0)


def sample(blocks: int) -> bytes:
    return b"".join((0xC0DE0000 + number).to_bytes(4, "big") for number in range(blocks * BLOCK // 4))


def discovery(client: Client) -> None:
    begin(client, DIGESTS, "")
    assert [name for name, _ in client.discover()]
    assert client.discover(PLAIN)[0][0] == PLAIN
    client.logout()


def immediate_data(client: Client) -> None:
    begin(client)
    client.write(0, 100, sample(1))
    assert client.read(0, 100, 1) == sample(1)
    client.write(0, 100, sample(7))
    assert client.read(0, 100, 7) == sample(7)
    client.logout()


def many_r2ts(client: Client) -> None:
    begin(client, {"InitialR2T": "Yes", "ImmediateData": "No", "MaxBurstLength": "1024", "FirstBurstLength": "512"})
    client.write(0, 100, sample(5))
    assert client.read(0, 100, 5) == sample(5)
    client.logout()


def unsolicited(client: Client) -> None:
    begin(client, {"FirstBurstLength": "1024", "MaxBurstLength": "2048"})
    client.write(0, 100, sample(6))
    assert client.read(0, 100, 6) == sample(6)
    client.logout()


def digests(client: Client) -> None:
    begin(client, {**DIGESTS, "MaxBurstLength": "1024", "FirstBurstLength": "512"})
    client.write(0, 100, sample(3))
    assert client.read(0, 100, 3) == sample(3)
    for length in range(1, 6):
        assert client.ping(b"p" * length) == b"p" * length
    client.logout()


def chap(client: Client) -> None:
    begin(client, target=LOCKED, chap=Chap("joe", SECRET, algorithms=(7, 5)))
    client.logout()


def mutual_chap(client: Client) -> None:
    begin(client, DIGESTS, BOTH_WAYS, chap=Chap("joe", SECRET, "itself", MUTUAL, algorithms=(8,)))
    client.logout()


def wrong_secret(client: Client) -> None:
    with pytest.raises(LoginRefused, match="02/01"):
        begin(client, target=LOCKED, chap=Chap("joe", "wrongwrong12"))


def long_text(client: Client) -> None:
    """Texts in pieces, both ways."""
    begin(client, {"MaxRecvDataSegmentLength": "512"})
    data = encode({"SendTargets": PLAIN, **{f"X-com.example.key{count}": "1" for count in range(30)}})
    transfer_tag = NO_TAG
    pieces = [data[at : at + 150] for at in range(0, len(data), 150)]
    answer = b""
    for flags, piece in [*((CONTINUE, piece) for piece in pieces[:-1]), (FINAL, pieces[-1]), *[(FINAL, b"")] * 2]:
        client.send_pdu(client.make(
            Opcode.TEXT_REQUEST, piece, flags=flags, initiator_task_tag=0x200, target_transfer_tag=transfer_tag
        ))
        pdu = client.receive_pdu()
        transfer_tag = pdu.header["target_transfer_tag"]
        answer += pdu.data
        if pdu.header["flags"] & FINAL:
            break
    assert answer.count(b"NotUnderstood") == 30
    assert len(answer) > 512
    client.logout()


def functions(client: Client) -> None:
    begin(client, {"InitialR2T": "Yes", "iSCSIProtocolLevel": "2"})
    tag, number = client.session.numbering.new_tag(), client.session.numbering.cmd_sn
    client.send_pdu(client.make(
        Opcode.SCSI_COMMAND, flags=0xA0, initiator_task_tag=tag, cdb=write_cdb(100, 1),
        expected_data_transfer_length=BLOCK,
    ))
    client.receive_pdu()
    assert client.manage(9, 0, tag, number) == 7  # QUERY TASK: it is there
    assert client.manage(1, 0, tag, number) == 0
    assert client.manage(1, 0, tag, number) == 1
    assert client.manage(5) == 0
    assert client.manage(77) == 5
    client.logout()


def small_segments(client: Client) -> None:
    begin(client, {"MaxRecvDataSegmentLength": "512", "DataDigest": "CRC32C"})
    assert len(client.read(0, 0, 6)) == 6 * BLOCK
    client.logout()


def odd_segments(client: Client) -> None:
    begin(client, {"MaxRecvDataSegmentLength": "1021", **DIGESTS})
    assert len(client.read(0, 0, 5)) == 5 * BLOCK
    client.logout()


def sense(client: Client) -> None:
    """Commands that fail, residuals, a CDB longer than 16 bytes."""
    begin(client)
    for cdb, expected in (
        (b"\xc0".ljust(16, b"\0"), 0), (read_cdb(1 << 30, 1), BLOCK), (b"\x7f".ljust(20, b"\0"), 0),
        (read_cdb(0, 2), BLOCK), (read_cdb(0, 1), 4 * BLOCK), (b"\x12\0\0\0\x24".ljust(16, b"\0"), 255),
    ):
        client.command(0, cdb, read=expected)
    client.command(3, bytes(16))
    client.logout()


def rejected(client: Client) -> None:
    """Requests that are rejected or ignored, and data out of its sequence."""
    begin(client, {"DataDigest": "CRC32C", "InitialR2T": "Yes"})
    client.send_pdu(client.make(0x1C, b"vendor"))
    assert client.receive_pdu().opcode == Opcode.REJECT
    client.send_pdu(client.make(Opcode.NOP_OUT, b"ping", target_transfer_tag=NO_TAG, spoil_data=True))
    assert client.receive_pdu().opcode == Opcode.REJECT
    client.send_pdu(client.make(Opcode.NOP_OUT, target_transfer_tag=NO_TAG, cmd_sn=0x7FFFFFF0))
    client.send_pdu(client.make(Opcode.SNACK_REQUEST, target_transfer_tag=NO_TAG))
    assert client.receive_pdu().opcode == Opcode.REJECT
    tag = client.session.numbering.new_tag()
    client.send_pdu(client.make(
        Opcode.SCSI_COMMAND, flags=0xA0, initiator_task_tag=tag, cdb=write_cdb(100, 1),
        expected_data_transfer_length=BLOCK,
    ))
    transfer_tag = client.receive_pdu().header["target_transfer_tag"]
    client.send_pdu(client.make(
        Opcode.DATA_OUT, sample(1), flags=FINAL, initiator_task_tag=tag, target_transfer_tag=transfer_tag,
        buffer_offset=4,
    ))
    assert client.receive_pdu().header["status"] == 2
    client.logout()


def early(client: Client) -> None:
    """Commands that come before their turn."""
    begin(client)
    numbering = client.session.numbering
    first = numbering.cmd_sn
    numbering.cmd_sn += 4
    for shift in (2, 3, 1, 0):
        client.send_pdu(client.make(
            Opcode.NOP_OUT, b"%d" % shift, target_transfer_tag=NO_TAG, cmd_sn=first + shift,
            initiator_task_tag=0x300 + shift,
        ))
    assert [client.receive_pdu().header["initiator_task_tag"] for _ in range(4)] == [0x300, 0x301, 0x302, 0x303]
    client.logout()


def queued(client: Client) -> None:
    """Reads and writes under way together."""
    begin(client)
    tags = []
    for count in range(4):
        tags.append(client.submit(0, write_cdb(100 + count, 1), write=sample(1)))
        tags.append(client.submit(0, read_cdb(count, 1), read=BLOCK))
    assert all(client.wait(tag).good for tag in tags)
    client.logout()


def header_digest_lost(client: Client) -> None:
    """It ends with the target hanging up."""
    begin(client, DIGESTS)
    client.send_pdu(client.make(Opcode.NOP_OUT, b"ping", target_transfer_tag=NO_TAG, spoil_header=True))
    with pytest.raises(ConnectionLost):
        client.receive_pdu()


def interrupted(client: Client) -> None:
    """A login that something else gets into (4.2.4)."""
    client.send_pdu(_login(0x40, b"InitiatorNa"))
    client.receive_pdu()
    client.send_pdu(_login(0x00, encode(names(PLAIN, NAME))[11:]))
    client.receive_pdu()
    client.send_pdu(client.make(Opcode.NOP_OUT, target_transfer_tag=NO_TAG))
    assert client.receive_pdu().header["status"] == 0x020B


def _login(flags: int, data: bytes) -> bytes:
    return build_pdu(
        Opcode.LOGIN_REQUEST, data, immediate=True, flags=flags, isid=b"\x80\0\0\0\0\1", initiator_task_tag=1, cmd_sn=1
    )


SCENARIOS: dict[str, Callable[[Client], None]] = {
    scenario.__name__: scenario
    for scenario in (
        discovery, immediate_data, many_r2ts, unsolicited, digests, chap, mutual_chap, wrong_secret, long_text,
        functions, small_segments, odd_segments, sense, rejected, early, queued, header_digest_lost, interrupted,
    )
}
