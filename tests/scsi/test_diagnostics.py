"""Self-test, diagnostic pages, echo buffer."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.status import SenseKey

IN_CDB = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
IN_LIST = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_PARAMETER_LIST)
CUT = (SenseKey.ILLEGAL_REQUEST, Asc.PARAMETER_LIST_LENGTH_ERROR)
SEQUENCE = (SenseKey.ILLEGAL_REQUEST, Asc.COMMAND_SEQUENCE_ERROR)
READ_ECHO = "3C 0A 00 000000 001000 00"
WRITE_ECHO = "3B 0A 00 000000 {:06X} 00"

# SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS


@pytest.mark.parametrize("cdb", [
    pytest.param("1D 04 00 0000 00", id="self-test"),
    pytest.param("1D 07 00 0000 00", id="self-test with DEVOFFL and UNITOFFL"),
    pytest.param("1D 10 00 0000 00", id="PF without list"),
    pytest.param("1D 00 00 0000 00", id="nothing"),
])
def test_good_without_effect(disk: Any, cdb: str) -> None:
    assert disk.run(cdb) == (0, None, b"", None)
    assert disk.store.log == []


def test_the_self_test_reads_the_medium(disk: Any) -> None:
    assert disk.waits("1D 04 00 0000 00")
    disk.store.fail = errno.EIO
    assert disk.run("1D 04 00 0000 00").sense == (SenseKey.HARDWARE_ERROR, Asc.LOGICAL_UNIT_FAILED_SELF_TEST)
    assert disk.run("1D 00 00 0000 00").sense == 0


@pytest.mark.parametrize("size", [511, 512])
def test_the_self_test_of_a_medium_of_a_block_or_none(make_disk: Callable[..., Any], size: int) -> None:
    assert make_disk(size=size).run("1D 04 00 0000 00").sense == 0


@pytest.mark.parametrize("code", range(1, 8))
def test_other_self_tests_do_not_exist(disk: Any, code: int) -> None:
    outcome = disk.run(f"1D {code << 5:02X} 00 0000 00")
    assert (outcome.sense, outcome.field) == (IN_CDB, (1, 4 + code.bit_length()))


@pytest.mark.parametrize(("cdb", "field"), [
    pytest.param("1D 04 00 0004 00", (3,), id="self-test with a list"),
    pytest.param("1D 14 00 0004 00", (1, 4), id="self-test with PF and a list"),
    pytest.param("1D 14 00 0000 00", (1, 4), id="self-test with PF"),
    pytest.param("1D 00 00 0004 00", (1, 4), id="vendor specific list"),
    pytest.param("1D 10 00 0003 00", (3,), id="no whole header"),
])
def test_lists_refused_before_they_come(disk: Any, cdb: str, field: tuple[int, ...]) -> None:
    assert disk.refused(cdb)[::3] == (IN_CDB, field)
    assert disk.run(cdb, bytes(4))[::3] == (IN_CDB, field)


@pytest.mark.parametrize(("page", "sense", "field"), [
    pytest.param("00 00 0000", 0, None, id="the supported pages are asked for"),
    pytest.param("40 00 0000", IN_LIST, (0,), id="another page"),
    pytest.param("00 00 0001 00", IN_LIST, (2,), id="a page with parameters"),
    pytest.param("00 00 0001", IN_CDB, (3,), id="a page cut off"),
    pytest.param("00 00 0000 00 00 0000", IN_LIST, (4,), id="two pages"),
])
def test_diagnostic_pages_sent(disk: Any, page: str, sense: Any, field: Any) -> None:
    data = bytes.fromhex(page)
    assert disk.run(f"1D 10 00 {len(data):04X} 00", data)[::3] == (sense, field)


def test_a_list_cut_short(disk: Any) -> None:
    assert disk.run("1D 10 00 0005 00", bytes(4)).sense == CUT


def test_results_are_cut_to_the_allocation_length(disk: Any) -> None:
    assert disk.run("1C 01 00 0004 00").data == bytes.fromhex("00 00 0001")
    assert disk.run("1C 00 40 0010 00").data == bytes.fromhex("00 00 0001 00"), "without PCV PAGE CODE means nothing"


@pytest.mark.parametrize("page", [0x01, 0x3F, 0x40, 0x80])
def test_pages_that_do_not_exist(disk: Any, page: int) -> None:
    assert disk.run(f"1C 01 {page:02X} 00FF 00")[::3] == (IN_CDB, (2,))


# READ BUFFER and WRITE BUFFER


def echo(disk: Any, data: bytes, **fields: Any) -> Any:
    return disk.run(WRITE_ECHO.format(len(data)), data, **fields)


@pytest.mark.parametrize("data", [b"", b"a", b"abcd", bytes(range(256)) * 16])
def test_each_nexus_reads_what_it_wrote_as_often_as_it_likes(disk: Any, bob: Any, data: bytes) -> None:
    assert disk.run(READ_ECHO).sense == SEQUENCE
    assert echo(disk, data).sense == 0
    assert disk.run(READ_ECHO, nexus=bob).sense == SEQUENCE
    assert echo(disk, b"bob's", nexus=bob).sense == 0
    assert [disk.run(READ_ECHO).data for _ in range(2)] == [data, data]
    assert disk.run(READ_ECHO, nexus=bob).data == b"bob's"
    assert disk.run("3C 0A FF FFFFFF 000002 00").data == data[:2], "BUFFER ID and BUFFER OFFSET are ignored"


def test_a_nexus_of_another_unit_has_an_empty_buffer(disk: Any) -> None:
    echo(disk, b"abcd")
    disk.lu.adopt(disk.ann)
    disk.run("00")
    assert disk.run(READ_ECHO).sense == SEQUENCE


def test_the_echo_buffer_has_4096_bytes(disk: Any) -> None:
    assert disk.refused(WRITE_ECHO.format(4096)) is None
    assert disk.refused(WRITE_ECHO.format(4097))[::3] == (IN_CDB, (6,))
    assert echo(disk, bytes(4097))[::3] == (IN_CDB, (6,))


@pytest.mark.parametrize("mode", sorted(set(range(32)) - {0x0A, 0x1A}))
def test_other_modes_of_write_buffer(disk: Any, mode: int) -> None:
    cdb = f"3B {mode:02X} 00 000000 000004 00"
    assert disk.refused(cdb)[::3] == (IN_CDB, (1, 4))
    assert disk.run(cdb, bytes(4))[::3] == (IN_CDB, (1, 4))


@pytest.mark.parametrize("mode", sorted(set(range(32)) - {0x03, 0x0A, 0x0B, 0x1A}))
def test_other_modes_of_read_buffer(disk: Any, mode: int) -> None:
    assert disk.run(f"3C {mode:02X} 00 000000 0000FF 00")[::3] == (IN_CDB, (1, 4))
