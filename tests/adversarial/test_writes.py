"""Data that comes wrong: immediate, unsolicited and solicited (RFC 7143 sections 4.2.5.2, 11.3, 11.7, 11.8, 11.4.7.2).

What a wrong sequence carried must not reach the disk, and the command must end, once, with the sense of section
11.4.7.2. Every sequence is brought to its end, so a target may wait for that (11.17.1) or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from ietpy.iscsi.pdu import FINAL, NO_TAG, Opcode
from tests.adversarial.world import (
    ABORTED,
    BLOCK,
    FIRST_BURST,
    ILLEGAL,
    MAX_BURST,
    Attacker,
    Case,
    World,
    each,
    read_cdb,
    write_cdb,
)

UNEXPECTED, WRONG_AMOUNT, OUT_OF_ORDER = 0x0C0C, 0x0C0D, 0x4B00
#: Section 7.9: a DataSN that is missing was lost with a digest error.
LOST = 0x4705
LBA = 16  #: where the attacks would write
W, R, BOTH = 0xA0, 0xC0, 0xE0  #: with F
#: A Data-Out: transfer tag relative to the right one (None: the reserved one), offset, length, DataSN, F.
Piece = tuple[int | None, int, int, int, bool]


def stamp(length: int) -> bytes:
    """What an attack writes: nothing that is on the disk."""
    return (b"\xba\xad\xf0\x0d" * (length // 4 + 1))[:length]


def pieces(attacker: Attacker, tag: int, transfer_tag: int, rows: Sequence[Piece], data: bytes) -> None:
    for shift, offset, length, data_sn, final in rows:
        chosen = NO_TAG if shift is None else (transfer_tag + shift) & NO_TAG
        body = data[offset : offset + length].ljust(length, b"\xee")
        attacker.send(attacker.data_out(tag, chosen, body, offset & 0xFFFFFFFF, data_sn & 0xFFFFFFFF, final=final))


def solicited(attacker: Attacker, rows: Sequence[Piece], asc: int) -> None:
    """An R2T for 8 KiB, answered with ``rows``. ``asc`` 0: that is right."""
    attacker.log_in(keys={"InitialR2T": "Yes"})
    tag, data = attacker.new_tag(), stamp(8192)
    attacker.send(attacker.write(LBA, 16, initiator_task_tag=tag))
    transfer_tag = attacker.ready(tag, 0, 8192)
    pieces(attacker, tag, transfer_tag, rows, data)
    ends(attacker, tag, data, asc)


def unsolicited(attacker: Attacker, immediate: int, rows: Sequence[Piece], asc: int) -> None:
    """A write of 4 KiB (FirstBurstLength) with that much immediate data and unsolicited Data-Out to follow."""
    attacker.log_in()
    tag, data = attacker.new_tag(), stamp(FIRST_BURST)
    attacker.send(attacker.write(LBA, 8, data[:immediate], flags=W & ~FINAL, initiator_task_tag=tag))
    pieces(attacker, tag, 0, rows, data)
    ends(attacker, tag, data, asc)


def ends(attacker: Attacker, tag: int, data: bytes, asc: int) -> None:
    if asc:
        attacker.failed(tag, ABORTED, asc)
    else:
        attacker.good(tag)
        attacker.wrote(LBA, data)
    attacker.usable()


def second_r2t(attacker: Attacker, rows: Sequence[Piece], asc: int) -> None:
    """A write of two bursts; the first is right, ``rows`` answer the second. One wrong piece spoils all."""
    attacker.log_in(keys={"InitialR2T": "Yes"})
    tag, data = attacker.new_tag(), stamp(2 * MAX_BURST)
    attacker.send(attacker.write(LBA, 64, initiator_task_tag=tag))
    first = attacker.ready(tag, 0, MAX_BURST)
    attacker.send(attacker.data_out(tag, first, data[:MAX_BURST], 0))
    second = attacker.ready(tag, MAX_BURST, MAX_BURST)
    assert second != first
    pieces(attacker, tag, second, rows, data)
    ends(attacker, tag, data, asc)


def at_once(
    attacker: Attacker, keys: dict[str, str], length: int, blocks: int, flags: int, expected: int, asc: int
) -> None:
    """A command with immediate data it may not have."""
    attacker.log_in(keys=dict(keys))
    tag = attacker.new_tag()
    attacker.send(attacker.write(LBA, blocks, stamp(length), flags=flags, expected=expected, initiator_task_tag=tag))
    if not flags & FINAL:
        attacker.send(attacker.data_out(tag, NO_TAG, b"", length))
    attacker.failed(tag, ILLEGAL if asc == 0x0E03 else ABORTED, asc)
    attacker.usable()


def nobodys(attacker: Attacker, transfer_tag: int, length: int) -> None:
    """Data of no task: it may have been aborted while the data was under way, so nothing is said."""
    attacker.log_in()
    attacker.send(attacker.data_out(0x5555, transfer_tag, stamp(length), 0))
    attacker.usable()


def for_a_read(attacker: Attacker) -> None:
    """Data for a command that takes none."""
    attacker.log_in()
    tag = attacker.new_tag()
    attacker.send(attacker.read(0, 1, initiator_task_tag=tag), attacker.data_out(tag, NO_TAG, stamp(512), 0))
    assert attacker.answer(Opcode.DATA_IN, initiator_task_tag=tag, flags=0x81).data == attacker.world.image[:BLOCK]
    attacker.usable()


def late(attacker: Attacker) -> None:
    """More data for a write that has ended."""
    attacker.log_in()
    tag, data = attacker.new_tag(), stamp(512)
    attacker.send(attacker.write(LBA, 1, data, initiator_task_tag=tag))
    attacker.good(tag)
    attacker.wrote(LBA, data)
    attacker.send(attacker.data_out(tag, NO_TAG, bytes(512), 0), attacker.data_out(tag, 0, bytes(512), 0))
    attacker.usable()


def of_another_session(attacker: Attacker) -> None:
    """The right tags on the wrong connection are the wrong tags."""
    attacker.log_in(keys={"InitialR2T": "Yes"})
    tag, data = attacker.new_tag(), stamp(512)
    attacker.send(attacker.write(LBA, 1, initiator_task_tag=tag))
    transfer_tag = attacker.ready(tag, 0, 512)
    other = attacker.another()
    other.log_in(isid=b"\x80\0\0\0\0\x08", initiator="iqn.2026-01.test:thief")
    other.send(other.data_out(tag, transfer_tag, b"\xcc" * 512, 0))
    other.usable()
    attacker.quiet()
    attacker.send(attacker.data_out(tag, transfer_tag, data, 0))
    attacker.good(tag)
    attacker.wrote(LBA, data)


def after_an_abort(attacker: Attacker) -> None:
    """Data for a task that was aborted, after the answer that says so."""
    attacker.log_in(keys={"InitialR2T": "Yes"})
    tag = attacker.new_tag()
    attacker.send(attacker.write(LBA, 1, initiator_task_tag=tag))
    transfer_tag = attacker.ready(tag, 0, 512)
    attacker.send(attacker.make(
        Opcode.TASK_MANAGEMENT_REQUEST, immediate=True, flags=FINAL | 1, referenced_task_tag=tag,
        ref_cmd_sn=attacker.client.session.numbering.cmd_sn - 1,
    ))
    attacker.answer(Opcode.TASK_MANAGEMENT_RESPONSE, response=0)
    attacker.send(attacker.data_out(tag, transfer_tag, stamp(512), 0))
    attacker.usable()


def tag_in_use(attacker: Attacker) -> None:
    """A second command with the tag of one under way (sections 4.2.2.1, 11.2.1.8); the first goes on."""
    attacker.log_in(keys={"InitialR2T": "Yes"})
    tag, data = attacker.new_tag(), stamp(512)
    attacker.send(attacker.write(LBA, 1, initiator_task_tag=tag))
    transfer_tag = attacker.ready(tag, 0, 512)
    again = attacker.write(LBA + 8, 1, b"\xcc" * 512, initiator_task_tag=tag)
    attacker.send(again)
    attacker.rejected(0x07, again)
    attacker.send(attacker.data_out(tag, transfer_tag, data, 0))
    attacker.good(tag)
    attacker.wrote(LBA, data)
    attacker.usable()


def residual(attacker: Attacker, blocks: int, expected: int, left: int) -> None:
    """EDTL and CDB differ (section 11.4.5): what both name is written, the rest counted."""
    attacker.log_in()
    tag, data = attacker.new_tag(), stamp(expected)
    attacker.send(attacker.write(LBA, blocks, data, expected=expected, initiator_task_tag=tag))
    counted(attacker, tag, left)
    whole = min(blocks, expected // BLOCK) * BLOCK
    attacker.wrote(LBA, data[:whole])
    attacker.usable()


def wrong_way(attacker: Attacker, cdb: bytes, flags: int, expected: int, data: bytes, left: int) -> None:
    """R and W say the opposite of the CDB: no byte moves against them, and the residual says so."""
    attacker.log_in()
    tag = attacker.new_tag()
    attacker.send(attacker.command(cdb, data, flags=flags, expected=expected, initiator_task_tag=tag))
    counted(attacker, tag, left)
    attacker.usable()


def counted(attacker: Attacker, tag: int, left: int) -> None:
    """GOOD, with this residual: below 0 for an overflow (section 11.4.5.1)."""
    pdu = attacker.answer(Opcode.SCSI_RESPONSE, initiator_task_tag=tag, status=0, residual_count=abs(left))
    assert pdu.header["flags"] == FINAL | (0x04 if left < 0 else 0x02 if left > 0 else 0)


#: Answers to an R2T for bytes 0 to 8191.
SOLICITED: dict[str, tuple[list[Piece], int]] = {
    "in one piece": ([(0, 0, 8192, 0, True)], 0),
    "in two": ([(0, 0, 4096, 0, False), (0, 4096, 4096, 1, True)], 0),
    "in three odd ones": ([(0, 0, 1, 0, False), (0, 1, 510, 1, False), (0, 511, 7681, 2, True)], 0),
    "with an empty one first": ([(0, 0, 0, 0, False), (0, 0, 8192, 1, True)], 0),
    "with an empty one last": ([(0, 0, 8191, 0, False), (0, 8191, 1, 1, True)], 0),
    "with empty ones between": (
        [(0, 0, 4096, 0, False), (0, 4096, 0, 1, False), (0, 4096, 0, 2, False), (0, 4096, 4096, 3, True)], 0,
    ),
    "in 128 pieces": ([(0, place * 64, 64, place, place == 127) for place in range(128)], 0),
    "tag one more": ([(1, 0, 8192, 0, True)], OUT_OF_ORDER),
    "tag one less": ([(-1, 0, 8192, 0, True)], OUT_OF_ORDER),
    "the reserved tag": ([(None, 0, 8192, 0, True)], OUT_OF_ORDER),
    "another tag from the second piece on": ([(0, 0, 4096, 0, False), (1, 4096, 4096, 1, True)], OUT_OF_ORDER),
    "offset 4 too far": ([(0, 4, 8188, 0, True)], OUT_OF_ORDER),
    "offset one block too far": ([(0, 512, 7680, 0, True)], OUT_OF_ORDER),
    "offset far beyond the transfer": ([(0, 1 << 31, 512, 0, True)], OUT_OF_ORDER),
    "offset 2**32 - 512": ([(0, -512, 512, 0, True)], OUT_OF_ORDER),
    "a gap": ([(0, 0, 4096, 0, False), (0, 4608, 3584, 1, True)], OUT_OF_ORDER),
    "an overlap": ([(0, 0, 4096, 0, False), (0, 3584, 4608, 1, True)], OUT_OF_ORDER),
    "the same piece twice": ([(0, 0, 4096, 0, False), (0, 0, 4096, 1, True)], OUT_OF_ORDER),
    "the second piece first": ([(0, 4096, 4096, 0, False), (0, 0, 4096, 1, True)], OUT_OF_ORDER),
    "DataSN begins with 1": ([(0, 0, 8192, 1, True)], LOST),
    "DataSN begins with 2**32 - 1": ([(0, 0, 8192, -1, True)], OUT_OF_ORDER),
    "DataSN repeated": ([(0, 0, 4096, 0, False), (0, 4096, 4096, 0, True)], OUT_OF_ORDER),
    "DataSN skipped": ([(0, 0, 4096, 0, False), (0, 4096, 4096, 2, True)], LOST),
    "DataSN downwards": ([(0, 0, 4096, 1, False), (0, 4096, 4096, 0, True)], LOST),
    "a byte too much": ([(0, 0, 8193, 0, True)], WRONG_AMOUNT),
    "a block too much": ([(0, 0, 8704, 0, True)], WRONG_AMOUNT),
    "a byte too much in a second piece": ([(0, 0, 4096, 0, False), (0, 4096, 4097, 1, True)], WRONG_AMOUNT),
    "32 times too much": ([(0, 0, 262144, 0, True)], WRONG_AMOUNT),
    "a byte too little": ([(0, 0, 8191, 0, True)], WRONG_AMOUNT),
    "nothing at all": ([(0, 0, 0, 0, True)], WRONG_AMOUNT),
    "half": ([(0, 0, 4096, 0, True)], WRONG_AMOUNT),
    "F too early, then the rest": ([(0, 0, 4096, 0, True), (0, 4096, 4096, 1, True)], WRONG_AMOUNT),
    "no F, then an empty F": ([(0, 0, 8192, 0, False), (0, 8192, 0, 1, True)], OUT_OF_ORDER),
    "no F, then more": ([(0, 0, 8192, 0, False), (0, 8192, 512, 1, True)], OUT_OF_ORDER),
    "all after the end once more": ([(0, 0, 8192, 0, True), (0, 0, 8192, 0, True), (0, 8192, 8192, 1, True)], 0),
}  # fmt: skip
#: Unsolicited Data-Out behind so much immediate data; FirstBurstLength and EDTL are 4096.
UNSOLICITED: dict[str, tuple[int, list[Piece], int]] = {
    "all as Data-Out": (0, [(None, 0, 4096, 0, True)], 0),
    "half and half": (2048, [(None, 2048, 2048, 0, True)], 0),
    "in odd pieces": (1, [(None, 1, 3, 0, False), (None, 4, 4000, 1, False), (None, 4004, 92, 2, True)], 0),
    "with empty ones": (0, [(None, 0, 0, 0, False), (None, 0, 4096, 1, True)], 0),
    "with a transfer tag": (0, [(5, 0, 4096, 0, True)], OUT_OF_ORDER),
    "with the transfer tag 0": (0, [(0, 0, 4096, 0, True)], OUT_OF_ORDER),
    "DataSN begins with 1": (0, [(None, 0, 4096, 1, True)], LOST),
    "DataSN counts the command": (2048, [(None, 2048, 2048, 1, True)], LOST),
    "offset of the immediate data": (2048, [(None, 0, 2048, 0, True)], OUT_OF_ORDER),
    "a gap behind the immediate data": (1024, [(None, 2048, 2048, 0, True)], OUT_OF_ORDER),
    "a byte over FirstBurstLength": (0, [(None, 0, 4097, 0, True)], WRONG_AMOUNT),
    "a block over FirstBurstLength behind immediate data": (4000, [(None, 4000, 608, 0, True)], WRONG_AMOUNT),
    "16 times FirstBurstLength": (0, [(None, 0, 65536, 0, True)], WRONG_AMOUNT),
}
SECOND: dict[str, tuple[list[Piece], int]] = {
    "as it should be": ([(0, MAX_BURST, MAX_BURST, 0, True)], 0),
    "with the first one's tag": ([(-1, MAX_BURST, MAX_BURST, 0, True)], OUT_OF_ORDER),
    "with the first one's bytes": ([(0, 0, MAX_BURST, 0, True)], OUT_OF_ORDER),
    "DataSN counted on": ([(0, MAX_BURST, MAX_BURST, 1, True)], LOST),
    "both bursts": ([(0, MAX_BURST, 2 * MAX_BURST, 0, True)], WRONG_AMOUNT),
    "cut short": ([(0, MAX_BURST, MAX_BURST - 512, 0, True)], WRONG_AMOUNT),
}
#: Immediate data: keys, its length, blocks of the CDB, flags, EDTL, sense.
AT_ONCE: dict[str, tuple[dict[str, str], int, int, int, int, int]] = {
    "a byte over EDTL": ({}, 513, 1, W, 512, UNEXPECTED),
    "a block over EDTL": ({}, 1024, 1, W, 512, UNEXPECTED),
    "with EDTL 0": ({}, 512, 1, W, 0, UNEXPECTED),
    "a byte over FirstBurstLength": ({}, FIRST_BURST + 1, 16, W, 8192, UNEXPECTED),
    "all of MaxBurstLength": ({}, MAX_BURST, 32, W, MAX_BURST, UNEXPECTED),
    "ImmediateData=No": ({"ImmediateData": "No"}, 512, 1, W, 512, UNEXPECTED),
    "ImmediateData=No, one byte": ({"ImmediateData": "No"}, 1, 1, W, 512, UNEXPECTED),
    "ImmediateData=No, InitialR2T=Yes": ({"ImmediateData": "No", "InitialR2T": "Yes"}, 512, 1, W, 512, UNEXPECTED),
    "InitialR2T=Yes, more announced": ({"InitialR2T": "Yes"}, 256, 1, W & ~FINAL, 512, UNEXPECTED),
    "InitialR2T=Yes, all announced": ({"InitialR2T": "Yes"}, 0, 1, W & ~FINAL, 512, UNEXPECTED),
    "neither R nor W": ({}, 512, 1, FINAL, 512, UNEXPECTED),
    "R instead of W": ({}, 512, 1, R, 512, UNEXPECTED),
    "R and W": ({}, 512, 1, BOTH, 512, 0x0E03),
    "a READ that is not final": ({}, 0, 1, R & ~FINAL, 512, UNEXPECTED),
}  # fmt: skip
CASES = [
    *(Case(f"R2T answered {what}", partial(solicited, rows=rows, asc=asc)) for what, (rows, asc) in SOLICITED.items()),
    *(
        Case(f"unsolicited: {what}", partial(unsolicited, immediate=immediate, rows=rows, asc=asc))
        for what, (immediate, rows, asc) in UNSOLICITED.items()
    ),
    *(Case(f"second R2T: {what}", partial(second_r2t, rows=rows, asc=asc)) for what, (rows, asc) in SECOND.items()),
    *(
        Case(
            f"immediate data: {what}",
            partial(at_once, keys=keys, length=length, blocks=blocks, flags=flags, expected=expected, asc=asc),
        )
        for what, (keys, length, blocks, flags, expected, asc) in AT_ONCE.items()
    ),
    *(
        Case(f"{length} bytes for no task, tag {tag:#x}", partial(nobodys, transfer_tag=tag, length=length))
        for tag in (0, 1, 0xFFFFFFFE, NO_TAG)
        for length in (0, 1, 512, 65536)
    ),
    Case("data for a read", for_a_read),
    Case("data for a write that has ended", late),
    Case("data of another session", of_another_session),
    Case("data after an abort", after_an_abort),
    Case("a second write with the tag of one under way", tag_in_use),
    *(
        Case(f"write of {blocks} blocks with EDTL {has}", partial(residual, blocks=blocks, expected=has, left=rest))
        for blocks, has, rest in ((1, 512, 0), (1, 1024, 512), (2, 512, -512), (2, 0, -1024), (0, 512, 512), (0, 0, 0))
    ),
    *(
        Case(what, partial(wrong_way, cdb=cdb, flags=flags, expected=expected, data=data, left=left))
        for what, cdb, flags, expected, data, left in (
            ("a WRITE with R", write_cdb(LBA, 1), R, 512, b"", 512),
            ("a WRITE with neither R nor W", write_cdb(LBA, 1), FINAL, 0, b"", -512),
            ("a WRITE with neither R nor W and EDTL", write_cdb(LBA, 1), FINAL, 512, b"", 512),
            ("a READ with W and data", read_cdb(LBA, 1), W, 512, stamp(512), -512),
            ("a READ with W and EDTL 0", read_cdb(LBA, 1), W, 0, b"", -512),
            ("a READ with neither R nor W", read_cdb(LBA, 1), FINAL, 0, b"", -512),
            ("a READ with R and EDTL 0", read_cdb(LBA, 1), R, 0, b"", -512),
        )
    ),
]  # fmt: skip


@pytest.mark.rfc7143(
    "4.2.5.2-1", "10.7-2", "11.3.1-1", "11.3.1-2", "11.7.1-2", "11.7.7-1", "11.8-1", "11.8-2", "11.8-5", "11.8.4-1",
    "13.11-1", "13.11-2", "13.12-1"
)
@each(CASES)
def test_writes(world: World, case: Case) -> None:
    world.run(case)
