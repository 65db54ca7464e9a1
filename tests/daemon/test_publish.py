"""The files that stand for /proc/net/iet: whole at any time, current after a change, gone at the end."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from ietpy.daemon import publish as module
from ietpy.daemon.publish import Publisher
from ietpy.errors import UsageError


class Texts:
    def __init__(self) -> None:
        self.text = "first\n"
        self.written = threading.Semaphore(0)

    def volume(self) -> str:
        return self.text

    def session(self) -> str:
        self.written.release()
        return "tid:1 name:\udcff\n"


@pytest.fixture
def texts() -> Texts:
    return Texts()


@pytest.fixture
def publisher(tmp_path: Path, texts: Texts) -> Publisher:
    made = Publisher(str(tmp_path / "iet"), {"volume": texts.volume, "session": texts.session})
    made.prepare(0, 0)
    return made


def test_files_are_there_from_the_start_and_gone_at_the_end(publisher: Publisher, tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        publisher.start()
    finally:
        os.umask(umask)
    directory = tmp_path / "iet"
    assert (directory / "volume").read_text() == "first\n"
    assert (directory / "session").read_bytes() == b"tid:1 name:\xff\n"
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o644}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755
    publisher.stop()
    assert not directory.exists()
    publisher.publish()
    assert not directory.exists()


def test_a_change_is_written_by_the_publishers_own_thread(publisher: Publisher, texts: Texts, tmp_path: Path) -> None:
    publisher.start()
    assert texts.written.acquire(timeout=20)
    texts.text = "second\n"
    publisher.changed()
    assert texts.written.acquire(timeout=20)
    publisher.publish()  # waits until the thread is through
    assert (tmp_path / "iet" / "volume").read_text() == "second\n"
    assert not list((tmp_path / "iet").glob("*.new"))
    publisher.stop()


def test_what_cannot_be_written_is_said_once(
    publisher: Publisher, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "iet").rmdir()
    publisher.publish()
    publisher.publish()
    assert caplog.text.count("cannot write below") == 1
    publisher.stop()


def test_nobody_leads_it_astray(publisher: Publisher, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "iet" / "volume.new").symlink_to(tmp_path / "elsewhere")
    publisher.publish()
    assert "cannot write below" in caplog.text
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_no_directory_of_ours_is_not_used(tmp_path: Path, kind: str) -> None:
    """--control may name a place where others can write."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(0o700)
    (elsewhere / "volume").write_text("precious")
    if kind == "link":
        (tmp_path / "iet").symlink_to(elsewhere)
    else:
        (tmp_path / "iet").touch()
    with pytest.raises(UsageError, match=r"cannot be made: .*; use --control"):
        Publisher(str(tmp_path / "iet"), {"volume": str}).prepare(0, 0)
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
    assert (elsewhere / "volume").read_text() == "precious"


def test_a_directory_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "iet").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(UsageError, match=f"iet belongs to user {os.getuid()}; remove it, or use --control"):
        Publisher(str(tmp_path / "iet"), {}).prepare(0, 0)


@pytest.mark.usefixtures("root")
def test_what_a_daemon_of_another_user_left_is_replaced(publisher: Publisher, tmp_path: Path) -> None:
    """After -u the directory stays behind, and its owner could put links into it."""
    directory = tmp_path / "iet"
    (directory / "volume.new").touch()
    os.chown(directory, 65534, 65534)
    publisher.prepare(0, 0)
    assert directory.stat().st_uid == 0
    assert not list(directory.iterdir())
    publisher.prepare(65534, 65534)
    assert (directory.stat().st_uid, directory.stat().st_gid) == (65534, 65534)
    publisher.prepare(65534, 65534)
    (directory / "theirs").touch()
    with pytest.raises(UsageError, match="belongs to user 65534"):
        publisher.prepare(0, 0)


def test_the_thread_survives_mistakes(
    publisher: Publisher, texts: Texts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts.text = None  # type: ignore[assignment]
    publisher.start()
    assert "internal error while publishing: AttributeError" in caplog.text
    texts.text = "second\n"
    publisher.changed()
    assert texts.written.acquire(timeout=20)
    publisher.publish()
    assert (tmp_path / "iet" / "volume").read_text() == "second\n"
    publisher.stop()


def test_the_thread_rests_when_publishing_takes_long(
    publisher: Publisher, texts: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    clock = iter((0.0, 0.02, 100.0, 200.0))
    resting = threading.Semaphore(0)

    def rest(seconds: float) -> bool:
        rests.append(round(seconds, 6))
        resting.release()
        return True

    monkeypatch.setattr(publisher._over, "wait", rest)
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    for _ in range(2):
        publisher.changed()
        if publisher._thread is None:
            publisher.start()
        assert resting.acquire(timeout=20)
    assert rests == [0.2, 1.0]
    publisher.stop()


def test_a_directory_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be made: Not a directory; use --control"):
        Publisher(str(tmp_path / "file" / "iet"), {}).prepare(0, 0)


@pytest.mark.usefixtures("root")
def test_nothing_is_written_into_what_another_put_in_the_place_of_the_directory(
    publisher: Publisher, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In a folder where he may rename ours."""
    publisher.prepare(0, 0)
    directory = Path(publisher.directory)
    directory.rename(tmp_path / "ours")
    directory.mkdir()
    os.chown(directory, 65534, 65534)
    publisher.publish()
    assert list(directory.iterdir()) == []
    assert "it belongs to user 65534" in caplog.text
    directory.rmdir()
    (tmp_path / "ours").rename(directory)
