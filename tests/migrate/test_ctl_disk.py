"""A lun of ctl.conf."""

from __future__ import annotations

import pytest

from ietpy.migrate.ctl_disk import Findings, disk, number
from ietpy.migrate.ctl_text import Entry, parse_ctl
from ietpy.migrate.model import Kind, Store


def lun(inner: str) -> Entry:
    (entry,) = parse_ctl(f"lun a {{ {inner} }}", "f")
    return entry


@pytest.mark.parametrize(("inner", "store", "cached"), [
    ("path /a", Store.FILE, True), ("path /dev/a", Store.DIRECT, True), ("backend ramdisk size 1", Store.MEMORY, True),
    ("path /a device-type cd", Store.FOREIGN, True), ("path /a device-type disk", Store.FILE, True),
    ("path /a option writecache off", Store.FILE, False), ("backend block path /a", Store.FILE, True),
])
def test_stores(inner: str, store: Store, cached: bool) -> None:
    found = Findings()
    made = disk(lun(inner), "lun a", found)
    assert (made.store, made.write_cache, found.problems) == (store, cached, [])


@pytest.mark.parametrize(("word", "size"), [
    ("512", 512), ("4G", 4 << 30), ("1k", 1024), ("0x10", 16), ("0x10M", 16 << 20), ("big", None), ("1.5G", None),
])
def test_numbers(word: str, size: int | None) -> None:
    found = Findings()
    assert number(lun(f"size {word}").entries[0], found) == size  # type: ignore[index]
    assert bool(found.problems) is (size is None)


def test_what_is_wrong_and_what_is_lost() -> None:
    found = Findings()
    disk(lun("path /a path /b option naa xyz option odd 1 option uuid 00112233-4455-6677-8899-aabbccddeeff"),
         "lun a", found)
    disk(lun("size 1"), "lun b", found)
    assert [problem.problem for problem in found.problems] == ["path given twice in lun a", "lun b has no path"]
    assert [(note.kind, note.what) for note in found.notes] == [
        (Kind.LOST, "option odd of lun a"), (Kind.WARNING, "option naa"),
    ]
