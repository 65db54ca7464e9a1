"""What the shell sees and makes of files, and where its book is."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from ietpy.cli.shell.book import Backstore, Book
from ietpy.cli.shell.disks import BOOK, HISTORY, Disks, beside
from ietpy.cli.shell.turn import Found
from ietpy.errors import UsageError

BOOKED = Book((Backstore("block", "d", "/dev/sda"),))


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    return Disks(str(tmp_path / "state" / "ietpy"))


def test_looking(disks: Disks, tmp_path: Path) -> None:
    disks.make_image(str(tmp_path / "a"), 1 << 20, sparse=True)
    disks.make_image(str(tmp_path / "b"), 1 << 20, sparse=False)
    assert disks.look(str(tmp_path / "a")) == Found("file", 1 << 20)
    assert (tmp_path / "a").stat().st_blocks == 0
    assert (tmp_path / "b").stat().st_blocks == 2048
    assert disks.look(str(tmp_path)) == Found("directory")
    assert disks.look("/dev/null") == Found("other")
    assert disks.look(str(tmp_path / "missing")) is None
    assert disks.look("a\0b") is None


def test_a_block_device(disks: Disks, tmp_path: Path) -> None:
    """Who is not root can make none: what there is has a kind then, and a size if one may open it."""
    if os.geteuid() != 0:
        there = [f"/dev/{name}" for name in os.listdir("/sys/block") if os.path.exists(f"/dev/{name}")]
        assert {found.kind for path in there if (found := disks.look(path))} <= {"block"}
        return
    disks.make_image(str(tmp_path / "a"), 1 << 20, sparse=True)
    device = subprocess.run(
        ["losetup", "-f", "--show", str(tmp_path / "a")], capture_output=True, text=True, check=True).stdout.strip()
    try:
        assert disks.look(device) == Found("block", 1 << 20)
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def test_paths(disks: Disks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/joe")
    assert disks.absolute("a") == str(tmp_path / "a")
    assert disks.absolute("~/a") == "/home/joe/a"
    for path in ("", "a\0b"):
        with pytest.raises(UsageError):
            disks.absolute(path)


def test_completion_of_files(disks: Disks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    for name in ("disk", ".hidden", "dir/x"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert disks.files("") == ["dir/", "disk "]
    assert disks.files("di") == ["dir/", "disk "]
    assert disks.files(".h") == [".hidden "]
    assert disks.files(f"{tmp_path}/dir/") == [f"{tmp_path}/dir/x "]
    assert disks.files("/dev/nul") == ["/dev/null "]
    assert disks.files("/de") == ["/dev/"]
    assert disks.files("/nowhere/x") == []


def test_other_files_are_read(disks: Disks, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("Target t\n")
    assert disks.load(str(tmp_path / "f")) == "Target t\n"
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        disks.load(str(tmp_path / "g"))


def test_the_book_is_ones_own(disks: Disks) -> None:
    assert disks.read_book() == Book()
    assert disks.write_book(BOOKED) == ""
    assert disks.read_book() == Disks(disks.directory).read_book() == BOOKED
    assert stat.S_IMODE(os.stat(os.path.join(disks.directory, BOOK)).st_mode) == 0o600
    assert os.listdir(disks.directory) == [BOOK]


def test_a_book_that_is_none_is_an_empty_one(disks: Disks) -> None:
    disks.write_book(BOOKED)
    Path(disks.directory, BOOK).write_bytes(b"\xff{")
    assert Disks(disks.directory).read_book() == Book()


def test_without_a_place_names_last_as_long_as_the_session(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path)
    for directory, why in (
        ("", "there is no directory for state"), (f"{tmp_path}/file", "Not a directory"),
        (f"{tmp_path}/file/x", "File exists"), (f"{tmp_path}/open", "it is not this user's alone"),
        (f"{tmp_path}/link", "Not a directory"),
    ):
        disks = Disks(directory)
        assert why in disks.write_book(BOOKED)
        assert disks.write_book(BOOKED) == ""
        assert disks.read_book() == BOOKED


def test_links_in_its_place_are_not_followed(disks: Disks, tmp_path: Path) -> None:
    disks.write_book(Book())
    (tmp_path / "secret").write_text("root:x\n")
    for name in (BOOK, HISTORY):
        place = Path(disks.directory, name)
        place.unlink(missing_ok=True)
        place.symlink_to(tmp_path / "secret")
    assert disks.read_history() == []
    disks.write_history(["ls"])
    assert disks.read_history() == ["ls"]
    assert (tmp_path / "secret").read_text() == "root:x\n"


def test_one_shell_after_the_other(disks: Disks) -> None:
    with Disks("").exclusive():  # nothing is there to lock
        pass
    order: list[str] = []
    with disks.exclusive():
        other = threading.Thread(target=lambda: _exclusive(Disks(disks.directory), order))
        other.start()
        other.join(0.05)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]


def _exclusive(disks: Disks, order: list[str]) -> None:
    with disks.exclusive():
        order.append("second")


def test_it_is_beside_the_daemons_state_which_is_nobody_elses() -> None:
    assert (beside("/var/lib/ietpy"), beside("/x/"), beside("")) == ("/var/lib/ietpy-shell", "/x-shell", "")


def test_names_of_targets_are_new(disks: Disks) -> None:
    first, second = disks.node_name(), disks.node_name()
    assert first.startswith("iqn.2010-06.")
    assert first != second
