"""SANITIZE (SBC-3 sections 4.11, 5.24): what it asks for, what it leaves, and the way out of a failure."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.status import SenseKey, Status
from ietpy.scsi.store import Capabilities
from tests.scsi.background import Transport
from tests.scsi.conftest import Kept, Memory

INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
PARAMETER = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_PARAMETER_LIST)
LENGTH = (SenseKey.ILLEGAL_REQUEST, Asc.PARAMETER_LIST_LENGTH_ERROR)
PROTECTED = (SenseKey.DATA_PROTECT, Asc.WRITE_PROTECTED)
FAILED = (SenseKey.MEDIUM_ERROR, Asc.SANITIZE_COMMAND_FAILED)
READ = "28 00 00000000 00 0001 00"
WRITE = "2A 00 00000000 00 0001 00"
ERASE = "48 02 0000000000 0000 00"
EXIT = "48 1F 0000000000 0000 00"
AUSE_ERASE = "48 22 0000000000 0000 00"
PERMIT = "15 10 00 00 10", bytes.fromhex("00000000 0A 0A 02 10 08" + "00" * 7)  #: MODE SELECT: SWP


def overwrite(disk: Any, parameters: bytes, flags: int = 0, **fields: Any) -> Any:
    return disk.run(f"48 {1 | flags:02X} 0000000000 {len(parameters):04X} 00", parameters, **fields)


def overwrite_list(pattern: bytes, method: int = 1) -> bytes:
    return bytes((method, 0)) + len(pattern).to_bytes(2, "big") + pattern


# OVERWRITE


@pytest.mark.parametrize("method", [1, 2, 31, 0x81, 0x82, 0x83, 0x9F])
def test_overwrite_ends_with_the_pattern_and_inverts_it_in_between(disk: Any, method: int) -> None:
    written = []
    write = Memory.write

    def note(offset: int, views: Any, fua: bool) -> None:
        if offset == 0:
            written.append(bytes(views[0][:2]))
        write(disk.store, offset, views, fua)

    disk.store.write = note
    assert overwrite(disk, overwrite_list(b"\xA5\x0F", method)).sense == 0
    count = method & 0x1F
    turns = [(count - 1 - turn) % 2 if method & 0x80 else 0 for turn in range(count)]
    assert written == [(b"\xA5\x0F", b"\x5A\xF0")[turn] for turn in turns]
    assert bytes(disk.store.content) == b"\xA5\x0F" * (1 << 19)


@pytest.mark.parametrize(("parameters", "sense", "field"), [
    pytest.param(b"", INVALID, (7,), id="no list"),
    pytest.param(bytes(4), INVALID, (7,), id="only a header"),
    pytest.param(bytes(517), INVALID, (7,), id="more than a block"),
    pytest.param(overwrite_list(b"x", 0x80), PARAMETER, (0, 4), id="no pass"),
    pytest.param(overwrite_list(b"x", 0x21), PARAMETER, (0, 6), id="TEST 01b"),
    pytest.param(overwrite_list(b"x", 0x41), PARAMETER, (0, 6), id="TEST 10b"),
    pytest.param(b"\x01\0\0\0x", PARAMETER, (2,), id="no pattern"),
    pytest.param(b"\x01\0\x02\x01x", PARAMETER, (2,), id="a pattern longer than a block"),
    pytest.param(b"\x01\0\0\x02x", LENGTH, None, id="a pattern longer than the list"),
])
def test_overwrite_refuses(disk: Any, parameters: bytes, sense: Any, field: Any) -> None:
    assert overwrite(disk, parameters)[::3] == (sense, field)
    assert disk.store.log == []


def test_overwrite_with_less_data_than_promised(disk: Any) -> None:
    assert disk.run("48 01 0000000000 0008 00", overwrite_list(b"x")).sense == LENGTH


def test_a_pattern_of_a_whole_block(make_disk: Callable[..., Any]) -> None:
    disk = make_disk(block_size=4096)
    pattern = bytes(range(256)) * 16
    assert overwrite(disk, overwrite_list(pattern)).sense == 0
    assert bytes(disk.store.content) == pattern * 256
    assert disk.wants("48 01 0000000000 1004 00") == 4100
    assert disk.wants(ERASE) == disk.wants(EXIT) == 0


# BLOCK ERASE


def test_block_erase_writes_over_what_is_there_before_it_is_freed(disk: Any) -> None:
    disk.run("2A 00 00000010 00 0008 00", b"secret!!" * 512)
    disk.store.log.clear()
    assert disk.run(ERASE).sense == 0
    assert disk.store.log == [
        ("write", 16 * 512, 4096, False), ("flush",), ("discard", 0, 1 << 20), ("flush",),
    ]
    assert not any(disk.store.content)
    assert disk.lu.store.mapped(0, 1 << 20) == (False, 1 << 20)


def test_block_erase_of_what_holds_nothing_writes_nothing(disk: Any) -> None:
    assert disk.run(ERASE).sense == 0
    assert disk.store.log == [("discard", 0, 1 << 20), ("flush",)]


@pytest.mark.parametrize("capabilities", [Capabilities(immediate=True), Capabilities(discard=True)])
def test_block_erase_is_for_media_that_read_as_zeros_then(make_disk: Callable[..., Any], capabilities: Any) -> None:
    disk = make_disk(capabilities=capabilities)
    assert disk.run(ERASE)[::3] == (INVALID, (1, 4))
    assert overwrite(disk, overwrite_list(b"\0")).sense == 0


# What all have in common


@pytest.mark.parametrize("action", [0x00, *range(0x03, 0x1F)])
def test_unknown_service_actions(disk: Any, action: int) -> None:
    cdb = f"48 {action:02X} 0000000000 0000 00"
    assert disk.run(cdb)[::3] == disk.refused(cdb)[::3] == (INVALID, (1, 4))


def commands() -> list[tuple[str, bytes]]:
    return [("48 01 0000000000 0005 00", overwrite_list(b"x")), (ERASE, b"")]


@pytest.mark.parametrize(("cdb", "data"), commands())
def test_write_protected_media_stay_as_they_are(make_disk: Callable[..., Any], cdb: str, data: bytes) -> None:
    disk = make_disk(read_only=True)
    assert disk.run(cdb, data).sense == disk.refused(cdb).sense == PROTECTED
    disk = make_disk()
    disk.run(*PERMIT)
    assert disk.run(cdb, data).sense == disk.refused(cdb).sense == PROTECTED
    assert [call for call in disk.store.log if call[0] != "flush"] == []


@pytest.mark.parametrize(("cdb", "data"), commands())
def test_another_one_has_reserved_it(disk: Any, bob: Any, cdb: str, data: bytes) -> None:
    disk.run("16", nexus=bob)
    assert disk.run(cdb, data).sense == Status.RESERVATION_CONFLICT
    assert disk.run(cdb, data, nexus=bob).sense == 0


@pytest.mark.parametrize(("cdb", "data"), commands())
def test_it_waits_elsewhere(disk: Any, cdb: str, data: bytes) -> None:
    assert disk.waits(cdb, data)
    assert disk.store.log == []


# Failure


def failed(disk: Any, cdb: str = ERASE) -> None:
    disk.store.fail = errno.EIO
    assert disk.run(cdb).sense == FAILED
    disk.store.fail = 0


@pytest.fixture(params=[True, False], ids=["with a state", "without"])
def kept(request: pytest.FixtureRequest, make_disk: Callable[..., Any]) -> Any:
    """A disk that keeps its state, or has none."""
    return make_disk(state=Kept() if request.param else None)


def test_without_a_failure_there_is_nothing_to_exit(kept: Any) -> None:
    assert kept.run(EXIT, may_block=False).sense == 0
    assert kept.run(READ).sense == 0


def test_a_restricted_failure_is_left_only_by_success(kept: Any) -> None:
    failed(kept)
    for cdb, field in ((EXIT, (1, 4)), ("48 3F 0000000000 0000 00", (1, 4)), (AUSE_ERASE, (1, 5))):
        assert kept.run(cdb)[::3] == (INVALID, field)
    assert overwrite(kept, overwrite_list(b"x"), flags=0x20)[::3] == (INVALID, (1, 5))
    assert kept.refused(AUSE_ERASE)[::3] == (INVALID, (1, 5))
    assert kept.run(READ).sense == kept.run("04").sense == FAILED
    failed(kept)
    assert kept.run(ERASE).sense == 0
    assert kept.run(READ).sense == 0
    assert kept.run(AUSE_ERASE).sense == 0


def test_an_unrestricted_failure_can_be_exited(kept: Any) -> None:
    failed(kept, AUSE_ERASE)
    assert kept.run(WRITE, bytes(512)).sense == kept.run("FF").sense == FAILED
    assert kept.run("12 00 00 00 24").sense == 0
    assert kept.waits(EXIT)
    assert kept.run(READ).sense == FAILED
    assert kept.run(EXIT).sense == 0
    assert kept.run(READ).sense == 0
    assert kept.lu.state is None or kept.lu.state.get("sanitize") is None


def test_a_failure_can_be_made_a_restricted_one(kept: Any) -> None:
    failed(kept, AUSE_ERASE)
    failed(kept)
    assert kept.run(EXIT)[::3] == (INVALID, (1, 4))


def test_exiting_is_noted_first(make_disk: Callable[..., Any]) -> None:
    state = Kept()
    disk = make_disk(state=state)
    failed(disk, AUSE_ERASE)
    state.fail = errno.EIO
    assert disk.run(EXIT).sense == (SenseKey.HARDWARE_ERROR, Asc.INTERNAL_TARGET_FAILURE)
    assert disk.run(READ).sense == FAILED
    assert make_disk(state=state).run(READ).sense == FAILED


@pytest.mark.parametrize("flag", [0, 0x20], ids=["restricted", "AUSE"])
def test_a_failure_outlives_the_daemon(make_disk: Callable[..., Any], flag: int) -> None:
    state = Kept()
    failed(make_disk(state=state), f"48 {2 | flag:02X} 0000000000 0000 00")
    disk = make_disk(state=state)
    transport = Transport(disk.device)
    assert transport.jobs == []
    assert disk.run(READ).sense == FAILED
    assert disk.run(EXIT).sense == (0 if flag else INVALID)
    assert disk.run(READ).sense == (0 if flag else FAILED)


def test_a_failure_in_the_middle_of_another_daemons_work(make_disk: Callable[..., Any]) -> None:
    state = Kept(sanitize={"restricted": False, "size": 1 << 20, "passes": 3, "invert": True, "pattern": "a5"})
    disk = make_disk(state=state)
    transport = Transport(disk.device)
    disk.store.fail = errno.EIO
    transport.run()
    disk.store.fail = 0
    assert disk.run(READ).sense == FAILED
    assert state.sections["sanitize"]["failed"] is True
    assert disk.run(EXIT).sense == 0


ERASING: dict[str, Any] = {"restricted": True, "size": 1 << 20}
OVERWRITING = {**ERASING, "passes": 2, "invert": False, "pattern": "aa"}


@pytest.mark.parametrize("note", [
    {}, 7, [], {"restricted": True}, {"size": 1 << 20}, {"failed": True},
    *({name: value for name, value in OVERWRITING.items() if name != left} for left in ("passes", "invert", "pattern")),
    {**ERASING, "restricted": 1}, {**ERASING, "size": "1"}, {**ERASING, "size": -1}, {**ERASING, "failed": 1},
    {**ERASING, "done": []}, {**ERASING, "done": -1}, {**ERASING, "done": 1 << 20 | 1}, {**ERASING, "other": 1},
    {**OVERWRITING, "passes": 0}, {**OVERWRITING, "passes": 32}, {**OVERWRITING, "passes": True},
    {**OVERWRITING, "pattern": ""}, {**OVERWRITING, "pattern": "xx"}, {**OVERWRITING, "pattern": "aaa"},
    {**OVERWRITING, "pattern": 7}, {**OVERWRITING, "invert": None}, {**OVERWRITING, "done": 2 << 20 | 1},
])
def test_notes_that_cannot_be_read(make_disk: Callable[..., Any], note: Any) -> None:
    with pytest.raises(ValueError, match="what is noted of sanitizing LUN 0 cannot be read"):
        make_disk(state=Kept(sanitize=note))


def test_success_makes_a_corrupt_format_good(make_disk: Callable[..., Any]) -> None:
    state = Kept(format={"size": 1 << 20})
    disk = make_disk(state=state)
    assert disk.run(READ).sense == (SenseKey.MEDIUM_ERROR, Asc.MEDIUM_FORMAT_CORRUPTED)
    assert disk.run(ERASE).sense == 0
    assert disk.run(READ).sense == 0
    assert state.get("format") is state.get("sanitize") is None
