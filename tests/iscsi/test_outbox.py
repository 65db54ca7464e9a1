"""PDUs leave whole and in order, with digests and padding, also when the slab is full (RFC 7143 section 11.2)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi.outbox import SLAB_SIZE
from ietpy.iscsi.pdu import Opcode
from tests.memory import resident


@pytest.mark.rfc7143("13.1-2", "13.1-3", "11.1-1")
@pytest.mark.parametrize("room", [SLAB_SIZE, 58, 1], ids=lambda room: f"{room} bytes left")
@pytest.mark.parametrize("header_digest", [False, True], ids=["", "header digest"])
@pytest.mark.parametrize("data_digest", [False, True], ids=["", "data digest"])
def test_what_is_sent_does_not_depend_on_the_room(
    connect: Any, room: int, header_digest: bool, data_digest: bool
) -> None:
    nexus = connect(header_digest=header_digest, data_digest=data_digest)
    nexus.connection.used = nexus.connection.mark = SLAB_SIZE - room
    stream = b"".join(
        nexus.request(Opcode.NOP_OUT, b"ping!"[:size], initiator_task_tag=size, target_transfer_tag=0xFFFFFFFF)
        for size in range(6)
    )
    answers = nexus.ask(stream + nexus.command("00"))
    assert [answer.initiator_task_tag for answer in answers[:-1]] == list(range(6))
    assert [answer.data for answer in answers[:-1]] == [b"ping!"[:size] for size in range(6)]
    assert (answers[-1].opcode, answers[-1].status) == (Opcode.SCSI_RESPONSE, 0)


def test_headers_and_what_follows_data_share_a_buffer(connect: Any) -> None:
    """A batch of answers with data elsewhere takes two buffers for each."""
    nexus = connect(header_digest=True, data_digest=True)
    stream = b"".join(
        nexus.request(Opcode.NOP_OUT, b"12345", initiator_task_tag=tag, target_transfer_tag=0xFFFFFFFF)
        for tag in range(3)
    )
    nexus.feed(stream)
    assert [len(piece) for piece in nexus.connection.take_outbox()] == [52, 5, 7 + 52, 5, 7 + 52, 5, 7]


def test_memory_of_answers_that_have_left_is_let_go(connect: Any) -> None:
    nexus = connect()
    connection = nexus.connection
    nexus.feed(nexus.command("00"))
    connection.let_go()
    assert resident(connection.slab) > 0  # an answer waits in it
    pieces = connection.take_outbox()
    assert [len(piece) for piece in pieces] == [48]
    connection.sent()
    connection.let_go()
    assert resident(connection.slab) == resident(connection.window.chunk.buffer) == 0
    assert nexus.ask(nexus.command("00"))[-1].status == 0
