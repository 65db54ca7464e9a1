"""Backstores: those with names, and those that follow from LUNs."""

from __future__ import annotations

import pytest

from ietpy.cli.shell import storage
from ietpy.cli.shell.book import Backstore, Book
from ietpy.config.load import loads
from ietpy.errors import UsageError

TEXT = """\
Target t
    Lun 0 Path=/dev/disk/by-id/md-name-nas:iscsi,Type=blockio
    Lun 1 Path=/srv/disk.img,Type=fileio,IOMode=wb
    Lun 2 Path=/other/disk.img,Type=fileio,IOMode=ro
    Lun 3 Type=nullio
    Lun 4 Path=/srv/sp ace,Type=fileio
Target u
    Lun 0 Path=/srv/disk.img,Type=fileio
"""


def test_what_has_no_name_is_called_by_its_path() -> None:
    found = storage.backstores(loads(TEXT), Book())
    assert [(one.plugin, one.name) for one in found] == [
        ("block", "md-name-nas:iscsi"), ("fileio", "disk"), ("fileio", "disk-2"), ("nullio", "disk"),
        ("fileio", "sp-ace"),
    ]
    assert found[2].read_only


def test_what_came_from_lio_has_its_name() -> None:
    text = "Target t\n    Lun 0 Path=/srv/x,Type=fileio\n    LunOption 0 Vendor=LIO-ORG,Product=vm_disk\n"
    (one,) = storage.backstores(loads(text), Book())
    assert one.name == "vm_disk"


def test_what_has_a_name_keeps_it_and_the_file_says_how_it_is_served() -> None:
    book = Book((Backstore("fileio", "mine", "/srv/disk.img"), Backstore("block", "idle", "/dev/sdx")))
    found = storage.backstores(loads(TEXT.partition("Target u")[0]), book)
    assert (found[0].name, found[0].write_back) == ("mine", True)
    assert found[1].name == "idle"
    assert "disk" in [one.name for one in found]  # the second disk.img


def test_users() -> None:
    configuration = loads(TEXT)
    one = Backstore("fileio", "x", "/srv/disk.img")
    assert [(target.name, lun.number) for target, lun in storage.users(configuration, one)] == [("t", 1), ("u", 0)]
    assert storage.backstore_of((one,), configuration.targets[1].luns[0]) is one


@pytest.mark.parametrize(("word", "size"), [
    ("10G", 10 << 30), ("10GB", 10 << 30), ("10g", 10 << 30), ("10gb", 10 << 30), ("512", 512), ("512B", 512),
    ("1KB", 1024), ("1k", 1024), ("3M", 3 << 20), ("2T", 2 << 40), ("1 MB", 1 << 20),
])
def test_sizes(word: str, size: int) -> None:
    assert storage.size_of(word) == size


@pytest.mark.parametrize("word", ["", "G", "1.5G", "-1G", "0", "1", "1X", "1GiB", "9" * 30, "\u0661G", "1P"])
def test_what_is_no_size(word: str) -> None:
    with pytest.raises(UsageError):
        storage.size_of(word)


@pytest.mark.parametrize(("size", "text"), [
    (0, "0bytes"), (512, "512bytes"), (10 << 20, "10.0MiB"), (10 << 30, "10.0GiB"), (1 << 60, "1048576.0TiB"),
])
def test_sizes_in_words(size: int, text: str) -> None:
    assert storage.in_units(size) == text


@pytest.mark.parametrize("name", ["", "a b", "a/b", ".", "..", "a" * 65, "\u00e9", "a\n", "\x1b[2J"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError):
        storage.check_name(name)
