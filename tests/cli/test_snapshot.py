"""``ietpy snapshot``: an image as it is at a moment, also while somebody writes it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ietpy.cli import snapshot
from ietpy.errors import IetpyError, UsageError
from tests.cli.conftest import A, Daemon, make_disk
from tests.fields import checked


@pytest.fixture
def served(sharing: Path, tmp_path: Path) -> Iterator[Daemon]:
    """A disk where blocks can be shared, and one without a file."""
    disk = make_disk(sharing / f"{tmp_path.name}.img")
    text = f"Target {A}\nLun 0 Path={disk},Type=fileio,IOMode=wb\nLun 1 Type=nullio\n"
    with Daemon(tmp_path, text) as daemon:
        yield daemon


def test_a_lun_that_is_served(served: Daemon, sharing: Path, tmp_path: Path) -> None:
    client = served.login(A)
    client.write(0, 0, b"before".ljust(512))
    ended = served.ietpy("snapshot", ":a/0", "monday")
    kept = sharing / f"{tmp_path.name}-monday.img"
    assert (ended.exit_code, ended.stdout) == (
        0, f"{kept}: 1 MiB, shares its blocks until they are written, of {sharing}/{tmp_path.name}.img\n"
    )
    assert ended.stderr == "it was in use: this is what a loss of power would have left, which recovery deals with\n"
    client.write(0, 0, b"after".ljust(512))
    assert kept.read_bytes()[:512] == b"before".ljust(512)
    document = checked("snapshot", served.ietpy("snapshot", f"{A}/0", "--json").stdout)
    assert re.fullmatch(r".*-\d{8}T\d{6}Z\.img", document["path"])
    assert (document["how"], document["sessions"], document["size"]) == ("shared", 1, 1 << 20)
    again = served.ietpy("snapshot", ":a/0", "monday")
    assert (again.exit_code, again.stdout) == (2, "")
    assert "exists; add --force to replace it" in again.stderr
    assert served.ietpy("snapshot", ":a/0", "monday", "--force").exit_code == 0
    assert kept.read_bytes()[:512] == b"after".ljust(512)


def test_it_is_of_one_moment(served: Daemon, sharing: Path, tmp_path: Path) -> None:
    """Somebody writes a number into the first and then into the last block, again and again: never is the last ahead,
    nor the first by more than one."""
    client = served.login(A)
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            for lba in (0, 2047):
                client.write(0, lba, number.to_bytes(512, "big"))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for name in range(8):
            assert served.ietpy("snapshot", ":a/0", f"at{name}").exit_code == 0
            content = (sharing / f"{tmp_path.name}-at{name}.img").read_bytes()
            first, last = int.from_bytes(content[:512], "big"), int.from_bytes(content[-512:], "big")
            assert first - last in (0, 1)
    finally:
        over.set()
        thread.join()


def test_an_image_beside_no_daemon(sharing: Path, monkeypatch: pytest.MonkeyPatch, daemon: Daemon) -> None:
    make_disk(sharing / "alone.img")
    monkeypatch.chdir(sharing)
    daemon.environment["IETPY_CONTROL"] += ".none"
    ended = daemon.ietpy("snapshot", "alone.img", "x")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout == f"{sharing}/alone-x.img: 1 MiB, shares its blocks until they are written, of alone.img\n"


def test_where_blocks_cannot_be_shared_a_copy_is_the_way_out(daemon: Daemon, disk: Path, tmp_path: Path) -> None:
    ended = daemon.ietpy("snapshot", str(disk), str(tmp_path / "kept"))
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "cannot share blocks between files (btrfs can, and xfs made with reflink=1); --copy copies\n" in ended.stderr
    ended = daemon.ietpy("snapshot", str(disk), str(tmp_path / "kept"), "--copy")
    assert ended.stdout == f"{tmp_path}/kept: 1 MiB, a copy, of {disk}\n"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("none.img", "there is no file none.img; name one, or a LUN that is served as TARGET/LUN"),
        ("/none/such", "there is no file /none/such"),
        (":a/7", f"{A} has no LUN 7; ietpy luns lists all"),
        (":a/1", f"LUN 1 of {A} is nullio, no file that could share blocks"),
        ("zzz/0", "no target has the name 'zzz'"),
    ],
)
def test_what_is_no_image(served: Daemon, word: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IETPY_CONTROL", served.control)
    with pytest.raises(UsageError, match=re.escape(said)):
        snapshot.image_of(word)
    ended = served.ietpy("snapshot", word)
    assert (ended.exit_code, ended.stdout) == (2, "")


@pytest.mark.parametrize(
    ("path", "name", "found"),
    [
        ("/srv/disk.img", "x", "/srv/disk-x.img"), ("disk", "x", "disk-x"), ("/srv.d/disk", "x", "/srv.d/disk-x"),
        ("/srv/disk.img", "/other/y", "/other/y"), ("/srv/disk.img", "./y", "./y"),
    ],
)
def test_names(path: str, name: str, found: str) -> None:
    assert snapshot.beside(path, name) == found


def test_stopping_leaves_nothing(
    daemon: Daemon, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import signal

    from ietpy import copies

    def stop(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    monkeypatch.setattr(copies, "_move", stop)
    ended = daemon.ietpy("snapshot", str(disk), str(tmp_path / "kept"), "--copy")
    assert (ended.exit_code, ended.stderr) == (143, "ietpy: stopped; no partial image is left\n")
    assert not list(tmp_path.glob("*kept*"))


def test_a_daemon_that_does_not_answer_well_is_no_obstacle(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise snapshot.AdminError(1, "may not be opened by this user")

    monkeypatch.setattr(snapshot, "ask_daemon", refuse)
    assert snapshot.users_of(str(disk)) == 0
    assert issubclass(snapshot.AdminError, IetpyError)
