"""Rows and command sets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers

from ietpy.scsi.asc import Asc
from ietpy.scsi.command import (
    NO_LOGICAL_UNIT,
    UNKNOWN_OPERATION,
    Access,
    CommandSet,
    dispatch_table,
    forbidden_bits,
    reserved_bit,
)
from ietpy.scsi.direct_access import DIRECT_ACCESS
from ietpy.scsi.sense import CheckCondition

#: CDB lengths by group code (SPC-4 section 4.2.5.1); 60h to 7Fh vary.
LENGTHS = {0: 6, 1: 10, 2: 10, 4: 16, 5: 12}


@pytest.mark.parametrize("row", DIRECT_ACCESS, ids=lambda row: row.name)
def test_usage_is_a_whole_cdb(row: Any) -> None:
    assert row.usage[0] == row.opcode
    assert len(row.usage) == LENGTHS[row.opcode >> 5]
    assert row.usage[-1] == 0, "the CONTROL byte has no bit we evaluate but NACA, which must be 0"
    assert row.service_action is None or row.usage[1] & 0x1F == row.service_action
    assert row.timeout > 0


def test_names_are_unique() -> None:
    assert len({row.name for row in DIRECT_ACCESS}) == len(DIRECT_ACCESS)


@pytest.mark.parametrize(("usage", "action", "cdb", "field"), [
    pytest.param("12 01 FF FF FF 00", None, "12 02 00 00 00 00", (1, 1), id="one bit"),
    pytest.param("12 01 FF FF FF 00", None, "12 C2 00 00 00 04", (1, 7), id="first from the left"),
    pytest.param("12 01 FF FF FF 00", None, "12 01 FF FF FF 80", (5, 7), id="CONTROL"),
    pytest.param("12 01 FF FF FF 00", None, "12 01 FF FF FF 00 EEEE", None, id="bytes behind the CDB do not matter"),
    pytest.param("9E 10 00 00 00", 0x10, "9E 10 00 00 00", None, id="service action"),
    pytest.param("9E 10 00 00 00", 0x10, "9E 30 00 00 00", (1, 5), id="beside the service action"),
])
def test_reserved_bits(usage: str, action: int | None, cdb: str, field: tuple[int, int] | None) -> None:
    stray = int.from_bytes(bytes.fromhex(cdb), "little") & forbidden_bits(bytes.fromhex(usage), action)
    assert (reserved_bit(stray).field if stray else None) == field


@given(cdb=binary(min_size=10, max_size=10), usage=binary(min_size=10, max_size=10), extra=integers(0, 20))
def test_a_bit_is_stray_iff_the_usage_map_lacks_it(cdb: bytes, usage: bytes, extra: int) -> None:
    stray = int.from_bytes(cdb + b"\xFF" * extra, "little") & forbidden_bits(usage, None)
    wrong = [
        (place, bit) for place in range(1, 10) for bit in range(7, -1, -1) if (cdb[place] & ~usage[place]) >> bit & 1
    ]
    assert (reserved_bit(stray).field if stray else None) == (wrong[0] if wrong else None)


def test_rows_that_repeat_or_contradict_are_mistakes() -> None:
    commands = CommandSet("test")

    @commands.command(0x00, "FIRST", usage="00 00", access=Access.ALWAYS)
    def first(lu: object, task: object) -> None: ...

    assert [row.function for row in commands.rows] == [first]
    for opcode, usage in ((0x00, "00 00"), (0x01, "02 00")):
        with pytest.raises(ValueError, match="repeats or contradicts"):
            commands.command(opcode, "SECOND", usage=usage, access=Access.ALWAYS)(first)


def test_dispatch() -> None:
    table = dispatch_table(DIRECT_ACCESS, UNKNOWN_OPERATION)
    assert len(table) == 256
    assert table[0x28].name == "READ(10)"
    assert table[0x06] is UNKNOWN_OPERATION
    assert table[0xA3].actions is not None
    assert table[0xA3].actions[0x0C].name == "REPORT SUPPORTED OPERATION CODES"


@pytest.mark.parametrize(("row", "asc"), [
    (UNKNOWN_OPERATION, Asc.INVALID_COMMAND_OPERATION_CODE),
    (NO_LOGICAL_UNIT, Asc.LOGICAL_UNIT_NOT_SUPPORTED),
    (dispatch_table(DIRECT_ACCESS, UNKNOWN_OPERATION)[0xA3], Asc.INVALID_FIELD_IN_CDB),
])
def test_rows_that_always_refuse_do_so_early(row: Any, asc: Asc) -> None:
    with pytest.raises(CheckCondition) as raised:
        row.refuse(None, b"")
    assert raised.value.asc is asc
