"""What must hold of every byte a target sends, whatever it was sent: the invariant of the fuzzing.

1. Nothing but FormatError comes out of a connection, and then nothing more is sent.
2. PDUs are whole: opcodes of targets, reserved fields 0, digests that fit, no data segment longer than agreed.
3. StatSN: each answer has the next one; others carry it without using it; one that is used again is an exact replica.
4. ExpCmdSN and MaxCmdSN never go back, and MaxCmdSN is ExpCmdSN - 1 at least.
5. No request is answered twice: for each Initiator Task Tag there are no more answers and rejects than requests, and
   no request is rejected more often than it came.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ietpy.iscsi.pdu import BHS_SIZE, HAS_STATUS, LAYOUTS, NO_TAG, OPCODE_MASK, Opcode
from ietpy.wire.crc32c import crc32c
from ietpy.wire.serial import before

ANSWERS = frozenset((
    Opcode.NOP_IN, Opcode.SCSI_RESPONSE, Opcode.TASK_MANAGEMENT_RESPONSE, Opcode.TEXT_RESPONSE, Opcode.DATA_IN,
    Opcode.LOGOUT_RESPONSE,
))
OTHERS = frozenset((Opcode.LOGIN_RESPONSE, Opcode.READY_TO_TRANSFER, Opcode.ASYNC_MESSAGE, Opcode.REJECT))
#: Requests that are no command of their own.
PARTS = frozenset((Opcode.DATA_OUT, Opcode.SNACK_REQUEST))
FULL_FEATURE = 0x83  # T and NSG


class Pdu:
    """A PDU of the target; header fields are attributes."""

    def __init__(self, header: bytes, data: bytes) -> None:
        self.header, self.data = header, data
        self.opcode = Opcode(header[0] & OPCODE_MASK)
        self.fields = LAYOUTS[self.opcode].unpack(header)

    def __getattr__(self, name: str) -> Any:
        return self.fields[name]

    @property
    def numbered(self) -> bool:
        """Whether it uses up a StatSN."""
        if self.opcode is Opcode.DATA_IN:
            return bool(self.flags & HAS_STATUS)
        if self.opcode is Opcode.NOP_IN:
            return self.initiator_task_tag != NO_TAG
        return self.opcode is not Opcode.READY_TO_TRANSFER

    def replica(self) -> bytes:
        """What must be the same when it is sent again (sections 11.16, 11.16.3): not SNACK Tag nor ExpDataSN."""
        if self.opcode is Opcode.SCSI_RESPONSE:
            return self.header[:20] + self.header[40:] + self.data
        return self.header[:28] + self.header[36:] + self.data


class Judge:
    """Compares what one connection was sent with what it says."""

    def __init__(self) -> None:
        self.header_digest = self.data_digest = False
        self.segment_limit = 8192
        self.error_recovery_level = 0
        self.login = True
        self.login_requests = self.login_responses = 0
        self.stat_sn: int | None = None
        self.counters: tuple[int, int] | None = None
        self.sent: dict[int, Pdu] = {}
        self.asked: Counter[int] = Counter()
        self.answered: Counter[int] = Counter()
        self.came: Counter[bytes] = Counter()
        self.unread = bytearray()

    def full_feature(self, header_digest: bool, data_digest: bool, error_recovery_level: int) -> None:
        """What the login settled; holds from its last response on."""
        self.header_digest, self.data_digest = header_digest, data_digest
        self.error_recovery_level = error_recovery_level

    # What was sent ----------------------------------------------------------------------------------------------

    def _take_requests(self) -> None:
        """Cut what was sent so far into requests, as the target has to."""
        while len(self.unread) >= BHS_SIZE:
            if self.login and self.login_requests == self.login_responses:
                return  # unanswered yet, or never
            lengths = int.from_bytes(self.unread[4:8], "big")
            full = not self.login
            first = BHS_SIZE + (lengths >> 24) * 4 + (4 if full and self.header_digest else 0)
            length = lengths & 0xFFFFFF
            last = first + length + -length % 4 + (4 if full and self.data_digest and length else 0)
            if len(self.unread) < last:
                return
            header = bytes(self.unread[:BHS_SIZE])
            del self.unread[:last]
            if not full:
                self.login_requests += 1
                continue
            self.came[header] += 1
            if header[0] & OPCODE_MASK not in PARTS:
                self.asked[int.from_bytes(header[16:20], "big")] += 1

    # What it says -----------------------------------------------------------------------------------------------

    def cut(self, stream: bytes) -> list[Pdu]:
        """The PDUs of what the target sent; all of them whole."""
        pdus = []
        at = 0
        while at < len(stream):
            header = stream[at : at + BHS_SIZE]
            assert len(header) == BHS_SIZE, "a header cut short"
            full = not self.login
            at += BHS_SIZE
            if full and self.header_digest:
                assert stream[at : at + 4] == crc32c(header).to_bytes(4, "little"), "a wrong header digest"
                at += 4
            lengths = int.from_bytes(header[4:8], "big")
            assert lengths >> 24 == 0, "an additional header"
            padded = lengths + -lengths % 4
            data = stream[at : at + padded]
            assert len(data) == padded, "data cut short"
            assert not any(data[lengths:]), "padding that is not 0"
            at += padded
            if full and self.data_digest and lengths:
                assert stream[at : at + 4] == crc32c(data).to_bytes(4, "little"), "a wrong data digest"
                at += 4
            pdu = Pdu(header, data[:lengths])
            pdus.append(pdu)
            if pdu.opcode is Opcode.LOGIN_RESPONSE:
                assert self.login, "a Login Response after the login"
                self.login_responses += 1
                if not pdu.status and pdu.flags & FULL_FEATURE == FULL_FEATURE:
                    self._take_requests()
                    self.login = False
        return pdus

    def hear(self, sent: bytes, stream: bytes, segment_limit: int) -> list[Pdu]:
        """Judge what came after ``sent`` had been sent. Raises AssertionError."""
        self.unread += sent
        pdus = self.cut(stream)
        self._take_requests()
        limit, self.segment_limit = max(self.segment_limit, segment_limit), segment_limit
        for pdu in pdus:
            layout = LAYOUTS[pdu.opcode]
            assert pdu.opcode in ANSWERS or pdu.opcode in OTHERS, f"opcode {pdu.opcode}"
            assert layout.pack(**pdu.fields) == pdu.header, f"a reserved field is not 0: {pdu.header.hex()}"
            assert len(pdu.data) <= limit or pdu.opcode is Opcode.REJECT, f"{len(pdu.data)} bytes of data"
            again = self._count_status(pdu)
            if pdu.opcode is Opcode.LOGIN_RESPONSE:
                self.counters = None  # they follow the initiator's CmdSN until the last one
            self._count_window(pdu.exp_cmd_sn, pdu.max_cmd_sn)
            if pdu.opcode is Opcode.READY_TO_TRANSFER:
                assert pdu.desired_data_transfer_length > 0
                assert pdu.target_transfer_tag != NO_TAG
            if not again:
                self._count_answer(pdu)
        return pdus

    def _count_status(self, pdu: Pdu) -> bool:
        """Whether it is one that was sent before."""
        if pdu.opcode is Opcode.DATA_IN and not pdu.numbered:
            assert pdu.stat_sn == 0, "StatSN in Data-In without status"
            return False
        if self.stat_sn is None:
            self.stat_sn = pdu.stat_sn
        if not pdu.numbered:
            assert pdu.stat_sn == self.stat_sn, f"StatSN {pdu.stat_sn} where {self.stat_sn} is next"
            return False
        if pdu.stat_sn == self.stat_sn:
            self.sent[pdu.stat_sn] = pdu
            self.stat_sn = (self.stat_sn + 1) & 0xFFFFFFFF
            return False
        assert self.error_recovery_level, f"StatSN {pdu.stat_sn} where {self.stat_sn} is next"
        first = self.sent.get(pdu.stat_sn)
        assert first is not None, f"StatSN {pdu.stat_sn} where {self.stat_sn} is next"
        assert first.initiator_task_tag == pdu.initiator_task_tag, f"StatSN {pdu.stat_sn} again, for something else"
        # R-Data SNACK turns Data-In with status into a SCSI Response (section 11.16.3).
        assert first.opcode is not pdu.opcode or first.replica() == pdu.replica(), f"StatSN {pdu.stat_sn} differs"
        return True

    def _count_window(self, exp_cmd_sn: int, max_cmd_sn: int) -> None:
        assert not before(max_cmd_sn, (exp_cmd_sn - 1) & 0xFFFFFFFF), f"window {exp_cmd_sn} to {max_cmd_sn}"
        if self.counters is not None:
            assert not before(exp_cmd_sn, self.counters[0]), f"ExpCmdSN back from {self.counters[0]} to {exp_cmd_sn}"
            assert not before(max_cmd_sn, self.counters[1]), f"MaxCmdSN back from {self.counters[1]} to {max_cmd_sn}"
        self.counters = exp_cmd_sn, max_cmd_sn

    def _count_answer(self, pdu: Pdu) -> None:
        if pdu.opcode is Opcode.REJECT:
            header = pdu.data[:BHS_SIZE]
            self.came[header] -= 1
            assert self.came[header] >= 0, f"a request rejected that never came, or twice: {header.hex()}"
            if header[0] & OPCODE_MASK in PARTS:
                return
            tag = int.from_bytes(header[16:20], "big")
        elif pdu.opcode in ANSWERS and pdu.numbered:
            tag = pdu.initiator_task_tag
        else:
            return
        self.answered[tag] += 1
        assert self.answered[tag] <= self.asked[tag], f"tag {tag:#x} asked {self.asked[tag]} times, answered more often"
