"""Data-In straight from a file, and its status (RFC 7143 sections 11.4.8, 11.7.3; docs/decisions/0014)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi.pdu import Opcode
from ietpy.scsi.limits import EXTENT_MINIMUM

DATA_IN, RESPONSE = Opcode.DATA_IN, Opcode.SCSI_RESPONSE


@pytest.mark.rfc7143("11.4.8-1", "11.7.3-1")
@pytest.mark.parametrize("header_digest", [False, True])
@pytest.mark.parametrize("short", [False, True])
def test_a_streamed_read_has_a_response_of_its_own(connect: Any, store: Any, header_digest: bool, short: bool) -> None:
    store.fill()
    store.streams = True
    nexus = connect(
        header_digest=header_digest, max_xmit_data_segment_length=EXTENT_MINIMUM, max_burst_length=EXTENT_MINIMUM
    )
    nexus.short_extents = short
    *pieces, response = nexus.ask(nexus.read(0, 512))
    assert [(piece.opcode, piece.flags, piece.stat_sn) for piece in pieces] == [(DATA_IN, 0x80, 0)] * 2
    assert b"".join(piece.data for piece in pieces) == bytes(store.data[: 512 * 512])
    assert (response.opcode, response.exp_data_sn) == (RESPONSE, 2)
    if short:
        assert (response.status, response.data[4], response.data[14]) == (2, 3, 0x11)
    else:
        assert (response.status, response.flags, response.data) == (0, 0x80, b"")


def test_a_streamed_read_is_padded_and_cut(connect: Any, store: Any) -> None:
    store.streams = True
    nexus = connect(max_xmit_data_segment_length=EXTENT_MINIMUM)
    *pieces, response = nexus.ask(nexus.read(0, 256, expected=EXTENT_MINIMUM - 3))
    assert [len(piece.data) for piece in pieces] == [EXTENT_MINIMUM - 3]
    assert (response.flags, response.residual_count) == (0x84, 3)


@pytest.mark.rfc7143("4.2.2.2-1")
def test_streamed_statuses_keep_their_order(connect: Any, store: Any) -> None:
    store.streams = True
    nexus = connect(max_xmit_data_segment_length=EXTENT_MINIMUM)
    _, first, second = nexus.ask(nexus.read(0, 256) + nexus.read(0, 1))
    assert (first.opcode, second.opcode) == (RESPONSE, DATA_IN)
    assert second.stat_sn == first.stat_sn + 1


@pytest.mark.parametrize(("segment", "burst"), [(8192, 262144), (262144, 8192)])
def test_short_pdus_are_not_sent_from_a_file(connect: Any, store: Any, segment: int, burst: int) -> None:
    store.fill()
    store.streams = True
    nexus = connect(max_xmit_data_segment_length=segment, max_burst_length=burst)
    answers = nexus.ask(nexus.read(0, 256))
    assert [len(answer.data) for answer in answers] == [8192] * 16
    assert b"".join(answer.data for answer in answers) == bytes(store.data[:EXTENT_MINIMUM])
    assert answers[-1].opcode == DATA_IN
