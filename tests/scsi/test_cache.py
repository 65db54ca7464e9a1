"""PRE-FETCH, SYNCHRONIZE CACHE (SBC-3)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi.asc import Asc
from ietpy.scsi.limits import CHUNK, PREFETCH
from ietpy.scsi.status import SenseKey, Status
from ietpy.scsi.store import Capabilities
from tests.scsi.conftest import CAPABLE, Disk, Memory

INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
RANGE = (SenseKey.ILLEGAL_REQUEST, Asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
MET = Status.CONDITION_MET
GOOD = Status.GOOD


class Reading(Memory):
    """A store that notes reads, too, and keeps nothing."""

    def read(self, offset: int, buffer: memoryview) -> None:
        self._note("read", offset, len(buffer))


def both(lba: int, blocks: int, flags: int) -> tuple[str, str]:
    return f"34 {flags:02X} {lba:08X} 00 {blocks:04X} 00", f"90 {flags:02X} {lba:016X} {blocks:08X} 00 00"


@pytest.mark.parametrize(("lba", "blocks", "offset", "length"), [
    pytest.param(3, 2, 1536, 1024, id="two blocks"),
    pytest.param(2047, 1, 2047 * 512, 512, id="the last"),
    pytest.param(2000, 0, 2000 * 512, 48 * 512, id="0: to the end"),
    pytest.param(0, 0, 0, 1 << 20, id="all"),
])
def test_what_the_cache_takes_is_condition_met(lba: int, blocks: int, offset: int, length: int) -> None:
    for flags, reads in ((0x00, [("read", offset, length)]), (0x02, [])):
        for words in both(lba, blocks, flags):
            disk = Disk(Reading(1 << 20))
            assert disk.waits(words)
            assert disk.run(words) == (MET, None, b"", None)
            assert disk.store.log == [("prefetch", offset, length), *reads]


def test_of_more_than_the_cache_is_trusted_with_so_much_is_fetched() -> None:
    store = Reading(4 * PREFETCH)
    words = "90 00 0000000000000001 00000000 00 00"
    assert Disk(store).run(words).sense == GOOD
    assert store.log[0] == ("prefetch", 512, PREFETCH)
    assert store.log[1:] == [("read", 512 + done, CHUNK) for done in range(0, PREFETCH, CHUNK)]
    assert Disk(store).run(f"90 00 0000000000000001 {PREFETCH >> 9:08X} 00 00").sense == MET


def test_a_medium_without_a_cache_takes_nothing() -> None:
    disk = Disk(Reading(1 << 20, Capabilities()))
    for flags in (0x00, 0x02):
        for words in both(0, 1, flags):
            assert disk.run(words) == (GOOD, None, b"", None)
    assert {call[2] for call in disk.store.log} == {0}


def test_a_fetch_that_fails_says_so_when_it_is_waited_for(disk: Any) -> None:
    disk.store.fail = errno.EIO
    for words in both(0, 1, 0x00):
        assert disk.run(words).sense == (SenseKey.MEDIUM_ERROR, Asc.UNRECOVERED_READ_ERROR)
    for words in both(0, 1, 0x02):
        assert disk.run(words).sense == MET


@pytest.mark.parametrize(("lba", "blocks"), [(2047, 2), (2048, 1), (2049, 0), (0xFFFFFFFF, 0), (0, 2049)])
def test_fetching_past_the_end(disk: Any, lba: int, blocks: int) -> None:
    for words in both(lba, blocks, 0):
        outcome = disk.run(words)
        assert outcome.sense == RANGE
        assert int.from_bytes(outcome.raw_sense[3:7], "big") == max(lba, 2048)
    assert disk.store.log == []


@pytest.mark.parametrize(("words", "sense"), [
    pytest.param("35 00 00000000 00 0000 00", 0, id="(10), all"),
    pytest.param("35 02 00000000 00 0800 00", 0, id="(10), IMMED"),
    pytest.param("35 00 00000001 00 0800 00", RANGE, id="(10), past the end"),
    pytest.param("91 02 0000000000000000 00000800 00 00", 0, id="(16)"),
    pytest.param("91 00 0000000000000801 00000000 00 00", RANGE, id="(16), past the end"),
    pytest.param("35 04 00000000 00 0000 00", INVALID, id="SYNC_NV is obsolete"),
])
def test_synchronize_cache(disk: Any, words: str, sense: Any) -> None:
    """The whole cache before the answer, whatever the range and IMMED."""
    assert disk.run(words).sense == sense
    assert disk.store.log == ([("flush",)] if sense == 0 else [])
    assert disk.waits(words) is (sense == 0)


@pytest.mark.parametrize("words", ["35 00", "35 02", "91 00", "91 02"])
@pytest.mark.parametrize(("number", "sense"), [
    (errno.EIO, (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)),
    (errno.ENOSPC, (SenseKey.DATA_PROTECT, Asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT)),
])
def test_a_cache_that_cannot_be_written_says_so_even_with_immed(
    make_disk: Callable[..., Any], words: str, number: int, sense: Any
) -> None:
    disk = make_disk(capabilities=CAPABLE, write_cache=True)
    disk.store.fail = number
    assert disk.run(words).sense == sense


# Writing back what was cached before write caching was switched off

_FUA_READ = "28 08 00000000 00 0001 00"
_VERIFY = "2F 00 00000000 00 0001 00"
_CACHING_PAGE = "08 12 {:02X} 00 FFFF 0000 FFFF FFFF 00 00 000000000000"


def _wce(disk: Any, enabled: bool) -> Any:
    page = bytes.fromhex(_CACHING_PAGE.format(0x14 if enabled else 0x10))
    return disk.run("15 10 00 00 18 00", bytes(4) + page).sense


@pytest.mark.parametrize("asking", [_FUA_READ, _VERIFY])
def test_a_reset_leaves_something_to_write_back(disk: Any, asking: str) -> None:
    assert _wce(disk, True) == 0
    disk.run("2A 00 00000000 00 0001 00", bytes(512))
    disk.lu.reset()
    disk.run("00 00 00 00 00 00")
    disk.store.log.clear()
    for flushes in (1, 1):  # the second time there is nothing left
        assert disk.run(asking).sense == 0
        assert disk.store.log.count(("flush",)) == flushes


_ASKING = [_FUA_READ, _VERIFY, "35 00", "91 00", "1B 00 00 00 00 00"]


@pytest.mark.parametrize("asking", _ASKING)
def test_what_the_cache_has_lost_is_not_forgotten(disk: Any, asking: str) -> None:
    """The next flush finds nothing wrong, as what was lost is not there any more."""
    assert _wce(disk, True) == 0
    disk.store.fail = errno.EIO
    assert disk.run(asking).sense == (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)
    disk.store.fail = 0
    for again in (*_ASKING, asking):
        assert disk.run(again).sense == (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)
    for _ in range(2):  # switching write caching off claims as much
        assert _wce(disk, False) == (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)
    assert _wce(disk, True) == 0
    assert disk.run("35 00").sense == (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)
    assert disk.run("2A 08 00000000 00 0001 00", bytes(512)).sense == 0


def test_without_a_write_cache_each_has_been_told_what_was_lost(disk: Any) -> None:
    disk.store.fail = errno.EIO
    assert disk.run("35 00").sense == (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)
    disk.store.fail = 0
    assert disk.run("35 00").sense == 0


def test_what_was_lost_before_write_caching_began_is_another_matter(disk: Any) -> None:
    disk.store.losses = 3
    assert _wce(disk, True) == 0
    assert disk.run("35 00").sense == 0


@pytest.mark.parametrize("caching", [True, False])
def test_when_all_blocks_were_written_anew_nothing_of_them_is_missing(disk: Any, caching: bool) -> None:
    assert _wce(disk, caching) == 0
    disk.store.fail = errno.EIO
    disk.run("35 00")
    disk.store.fail = 0
    assert disk.run("04 00 00 00 00 00").sense == 0
    assert disk.run("35 00").sense == 0


def test_write_caching_that_begins_anew_is_not_over_when_an_earlier_flush_is(
    disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flush takes its time. What is cached meanwhile is not on the medium when it ends."""
    assert _wce(disk, True) == 0
    disk.lu.set_write_cache(False)
    commit = disk.store.commit

    def meanwhile(mark: int) -> None:
        disk.lu.set_write_cache(True)
        disk.lu.set_write_cache(False)
        commit(mark)

    monkeypatch.setattr(disk.store, "commit", meanwhile)
    assert disk.run(_FUA_READ).sense == 0
    assert disk.lu.cached is not None
    monkeypatch.setattr(disk.store, "commit", commit)
    assert disk.run(_FUA_READ).sense == 0
    assert disk.lu.cached is None


def test_write_caching_ends_when_writes_under_way_have(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """MODE SELECT waits for those that were admitted while it was on: its answer promises that they are kept."""
    assert _wce(disk, True) == 0
    order: list[str] = []
    monkeypatch.setattr(disk.device, "quiesce", lambda: order.append("quiesce"))
    monkeypatch.setattr(disk.store, "commit", lambda mark: order.append("flush"))
    assert _wce(disk, False) == 0
    assert order == ["quiesce", "flush"]
