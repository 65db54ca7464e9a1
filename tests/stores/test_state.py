"""What units keep: whole at any moment, one daemon's, and never touched where it cannot be understood."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ietpy.errors import StoreError
from ietpy.scsi.state import UnitState
from ietpy.stores import state
from ietpy.stores.state import FileState, StateDirectory, file_name

NAME = "iqn.2001-04.com.example:Storage.disk1"
FILE = "iqn.2001-04.com.example:storage.disk1,lun0.json"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Not there yet."""
    return tmp_path / "lib" / "ietpy"


def opened(directory: Path, number: int = 0) -> FileState:
    found = StateDirectory(str(directory)).unit(NAME, number)
    assert found is not None
    return found


def again(directory: Path, kept: FileState) -> FileState:
    """As after a restart."""
    kept.close()
    return opened(directory)


def fail(code: int) -> Callable[..., Any]:
    def failing(*arguments: Any, **more: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return failing


# Names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "name"), [
    (NAME, FILE),
    ("a/../b", "a%2F..%2Fb,lun0.json"),
    ("..", "..,lun0.json"),
    ("a,lun1", "a%2Clun1,lun0.json"),
    ("100%", "100%25,lun0.json"),
    ("\u00dc", "%C3%BC,lun0.json"),
    ("\udcff", "%FF,lun0.json"),
    ("a\nb", "a%0Ab,lun0.json"),
])
def test_names_of_files(target: str, name: str) -> None:
    assert file_name(target, 0) == name
    assert file_name(target.lower(), 0) == name


def test_long_names_stay_apart_and_short_enough() -> None:
    names = {file_name(start + "x" * 222 + end, 16383) for start in "ab" for end in "ab"}
    names |= {file_name("\u0416" * 127 + end, 16383) for end in "ab"}
    assert len(names) == 6
    assert max(map(len, names)) + len(".01234567.new") < 255


# Keeping --------------------------------------------------------------------------------------------------------------


def test_nothing_kept_is_nothing_made(directory: Path) -> None:
    kept: UnitState = opened(directory)
    assert kept.get("reservations") is None
    kept.put("reservations", None)
    assert not directory.parent.exists()


def test_what_is_put_comes_back(directory: Path) -> None:
    kept = opened(directory)
    kept.put("reservations", {"generation": 1, "holders": [["iqn.x", 0]]})
    kept.put("mode", [1, 2.5, "\u00fc", True, None])
    assert kept.get("mode") == [1, 2.5, "\u00fc", True, None]
    kept = again(directory, kept)
    assert kept.get("reservations") == {"generation": 1, "holders": [["iqn.x", 0]]}
    kept.put("mode", None)
    kept = again(directory, kept)
    assert (kept.get("mode"), kept.get("reservations")) == (None, {"generation": 1, "holders": [["iqn.x", 0]]})
    kept.put("reservations", None)
    assert list(directory.iterdir()) == []
    kept.put("identifying", "x")
    assert again(directory, kept).get("identifying") == "x"


def test_the_file_can_be_read_by_people_and_by_its_owner_only(directory: Path) -> None:
    opened(directory).put("mode", {"0a": "00"})
    (file,) = directory.iterdir()
    assert file.name == FILE
    assert json.loads(file.read_text("ascii")) == {
        "format": 1, "target": NAME.lower(), "lun": 0, "sections": {"mode": {"0a": "00"}},
    }
    assert [path.stat().st_mode & 0o777 for path in (directory.parent, directory, file)] == [0o700, 0o700, 0o600]


@pytest.mark.parametrize(("then", "now", "elsewhere"), [
    ("/a (inode 1)", "/a (inode 1)", ""),
    ("/a (inode 1)", "/a (inode 2)", "/a (inode 1)"),
    ("/a (inode 1)", "", ""),
    ("", "/a (inode 1)", ""),
])
def test_the_medium_is_known_again(directory: Path, then: str, now: str, elsewhere: str) -> None:
    places = StateDirectory(str(directory))
    for medium, expected in ((then, ""), (now, elsewhere), (now, "")):
        kept = places.unit(NAME, 0, medium)
        assert kept is not None
        assert kept.elsewhere == expected
        kept.put("x", 1)
        kept.close()


def test_what_is_put_is_what_a_restart_finds(directory: Path) -> None:
    kept = opened(directory)
    value: Any = {1: (2, 3)}
    kept.put("x", value)
    value[1] = None
    assert kept.get("x") == {"1": [2, 3]}
    for wrong in ({"a": b"bytes"}, float("nan"), {1, 2}):
        with pytest.raises((TypeError, ValueError)):
            kept.put("x", wrong)
    assert again(directory, kept).get("x") == {"1": [2, 3]}


def test_what_is_the_same_is_not_written_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = opened(directory)
    kept.put("x", {"a": 1, "b": 2})
    before = (directory / FILE).stat().st_ino
    kept.put("x", {"a": 1, "b": 2})
    assert (directory / FILE).stat().st_ino == before
    kept.put("x", {"b": 2, "a": True})  # which Python calls the same
    kept = again(directory, kept)
    assert (list(kept.get("x")), kept.get("x")["a"]) == (["b", "a"], True)


def test_units_do_not_disturb_one_another(directory: Path) -> None:
    states = [opened(directory, number) for number in range(4)]
    together = threading.Barrier(8)

    def work(kept: FileState, section: str) -> None:
        together.wait(30)
        for turn in range(20):
            kept.put(section, turn)

    threads = [threading.Thread(target=work, args=(kept, section)) for kept in states for section in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, kept in enumerate(states):
        kept.close()
        found = opened(directory, number)
        assert (found.get("a"), found.get("b")) == (19, 19)
    assert len(list(directory.iterdir())) == 4


# Interruptions --------------------------------------------------------------------------------------------------------


def crash_at(call: str, turn: int, after: bool) -> None:
    """From now on this process ends at a call of ``os.NAME``, right before or right after it."""
    real, left = getattr(os, call), [turn]

    def crashing(*arguments: Any, **more: Any) -> Any:
        left[0] -= 1
        if not left[0] and not after:
            os._exit(1)
        result = real(*arguments, **more)
        if not left[0]:
            os._exit(1)
        return result

    setattr(os, call, crashing)


@pytest.mark.parametrize("first", [True, False], ids=["the first", "another"])
@pytest.mark.parametrize("call", ["open", "fsync", "replace", "close", "mkdir"])
@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
@pytest.mark.parametrize("turn", [1, 2, 3])
def test_an_interruption_leaves_the_old_or_the_new(
        directory: Path, first: bool, call: str, after: bool, turn: int) -> None:
    pid = os.fork()
    if not pid:
        kept = opened(directory)
        if not first:
            kept.put("x", "old")
        crash_at(call, turn, after)
        kept.put("x", "new")
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    places = StateDirectory(str(directory))
    places.prepare()
    found = places.unit(NAME, 0)
    assert found is not None
    assert found.get("x") in (("new",) if not status else ("new", None if first else "old"))
    assert {path.name for path in directory.glob("*")} <= {FILE}


def test_a_file_is_on_stable_storage_before_its_name_and_that_before_the_answer(
        directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        calls.append(f"fsync {os.path.basename(os.readlink(f'/proc/self/fd/{descriptor}')).partition('.json')[0]}")
        fsync(descriptor)

    def note_replace(source: str, target: str) -> None:
        calls.append("replace")
        replace(source, target)

    directory.parent.parent.mkdir(exist_ok=True)
    kept = opened(directory)
    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    kept.put("x", 1)
    unit = FILE.removesuffix(".json")
    assert calls == [
        f"fsync {directory.parent.parent.name}", "fsync lib", f"fsync {unit}", "replace", "fsync ietpy",
    ]
    calls.clear()
    kept.put("x", None)
    assert calls == ["fsync ietpy"]


PUTTING = """\
import sys
from ietpy.stores.state import StateDirectory
kept = StateDirectory(sys.argv[1]).unit("t", 0)
for number in range(1 << 30):
    kept.put("x", [number] * 1000)
    print(number, flush=True)
"""


def test_what_was_answered_survives_kill(directory: Path) -> None:
    command = [sys.executable, "-c", PUTTING, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(30):
            process.stdout.readline()
        process.kill()
        last = int(process.stdout.read().rpartition("\n")[0].split("\n")[-1] or 29)
    found = StateDirectory(str(directory))
    found.prepare()
    kept = found.unit("t", 0)
    assert kept is not None
    assert kept.get("x") in ([last] * 1000, [last + 1] * 1000)
    assert len(list(directory.iterdir())) == 1


@pytest.mark.parametrize("call", ["open", "fsync", "replace", "mkdir"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_failure_leaves_what_was_there(
        directory: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    kept = opened(directory)
    if call != "mkdir":
        kept.put("x", "old")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail(code))
        with pytest.raises(StoreError, match=f"{FILE} cannot be written: {os.strerror(code)}") as caught:
            kept.put("x", "new")
    assert caught.value.errno == code
    old = None if call == "mkdir" else "old"
    assert kept.get("x") == old
    assert [path.name for path in directory.parent.rglob("*.new")] == []
    assert again(directory, kept).get("x") == old


def test_the_log_tells_why_nothing_can_be_kept_and_that_it_can_again(
        directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    kept = opened(directory)
    kept.put("x", 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail(errno.ENOSPC))
        for value in (2, 3):
            with pytest.raises(StoreError):
                kept.put("x", value)
    kept.put("x", 1)
    kept.put("x", 2)
    kept.put("x", 3)
    who = f"what LUN 0 of {NAME.lower()} is to keep"
    assert caplog.messages == [
        f"{who} cannot be kept: {directory / FILE} cannot be written: No space left on device",
        f"{who} can be kept again",
    ]
    kept.close()
    with pytest.raises(StoreError):
        kept.put("x", 4)
    assert len(caplog.messages) == 2, "a unit that was removed is nobody's trouble"


class Fsync:
    """fsync(2) that fails for directories."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.real = os.fsync

    def __call__(self, descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(self.code, os.strerror(self.code))
        self.real(descriptor)


@pytest.mark.parametrize("old", [None, "old"])
def test_a_name_that_may_not_survive_is_taken_back(
        directory: Path, monkeypatch: pytest.MonkeyPatch, old: str | None) -> None:
    directory.mkdir(parents=True)
    kept = opened(directory)
    kept.put("x", old)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", Fsync(errno.EIO))
        with pytest.raises(StoreError, match="Input/output error"):
            kept.put("x", "new")
    assert kept.get("x") == old
    kept = again(directory, kept)
    assert kept.get("x") == old


def test_what_is_in_doubt_is_written_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = opened(directory)
    kept.put("x", "old")
    real, calls = os.replace, [0]

    def once(*arguments: Any) -> None:
        calls[0] += 1
        if calls[0] > 1:
            raise OSError(errno.EIO, "not again")
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", Fsync(errno.EIO))
        patch.setattr(os, "replace", once)
        with pytest.raises(StoreError):
            kept.put("x", "new")
    assert json.loads((directory / FILE).read_text())["sections"] == {"x": "new"}
    kept.put("x", "old")
    assert json.loads((directory / FILE).read_text())["sections"] == {"x": "old"}


def test_a_file_system_that_syncs_no_directories_will_do(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", Fsync(errno.EINVAL))
    kept = opened(directory)
    kept.put("x", 1)
    assert again(directory, kept).get("x") == 1


def test_there_is_an_end_to_what_is_kept(directory: Path) -> None:
    kept = opened(directory)
    kept.put("x", "small")
    with pytest.raises(StoreError, match="would have more than 4 MiB") as caught:
        kept.put("x", "y" * state.LIMIT)
    assert caught.value.errno == errno.EFBIG
    assert again(directory, kept).get("x") == "small"


# What cannot be read --------------------------------------------------------------------------------------------------

GOOD = {"format": 1, "target": NAME.lower(), "lun": 0, "sections": {}}


@pytest.mark.parametrize(("content", "sentence", "code"), [
    pytest.param(b"", ":1:1: the kept state of the LUN cannot be used: Expecting value; mend", errno.EINVAL,
                 id="empty"),
    pytest.param(b'{\n "a": }\n', ":2:7: the kept state of the LUN cannot be used: Expecting value", errno.EINVAL,
                 id="no JSON"),
    pytest.param(b'{\n "\xff": 1}', ":2:3: the kept state of the LUN cannot be used: it is not UTF-8", errno.EINVAL,
                 id="no UTF-8"),
    pytest.param(b"[" * 100_000, ": the kept state of the LUN cannot be used: maximum recursion", errno.EINVAL,
                 id="deep"),
    pytest.param(b"1" * 5000, ": the kept state of the LUN cannot be used: Exceeds the limit", errno.EINVAL,
                 id="a long number"),
    pytest.param(b"[]", ":1:1: the kept state of the LUN cannot be used: it is not a file of ietpy", errno.EINVAL,
                 id="a list"),
    pytest.param(b"{}", ":1:1: the kept state of the LUN cannot be used: it is not a file of ietpy", errno.EINVAL,
                 id="an empty object"),
    pytest.param(json.dumps({**GOOD, "format": 2}).encode(), "its format is 2, not 1", errno.EINVAL, id="later"),
    pytest.param(json.dumps({**GOOD, "lun": 7}).encode(), "it is about LUN 7 of iqn", errno.EINVAL, id="another LUN"),
    pytest.param(json.dumps({**GOOD, "target": "x"}).encode(), "it is about LUN 0 of x", errno.EINVAL,
                 id="another target"),
    pytest.param(json.dumps({**GOOD, "medium": 7}).encode(), "its medium is 7, not a string", errno.EINVAL,
                 id="a medium that is none"),
    pytest.param(b" " * (state.LIMIT + 1), "it has more than 4 MiB", errno.EFBIG, id="large"),
])
def test_what_is_not_understood_is_told_and_left(directory: Path, content: bytes, sentence: str, code: int) -> None:
    directory.mkdir(parents=True)
    file = directory / FILE
    file.write_bytes(content)
    before, descriptors = file.stat(), os.listdir("/proc/self/fd")
    with pytest.raises(StoreError) as caught:
        opened(directory)
    assert str(caught.value).startswith(str(file))
    assert sentence in str(caught.value)
    assert "move it away; without it persistent reservations and saved mode pages are lost" in str(caught.value)
    assert caught.value.errno == code
    assert (file.read_bytes(), file.stat().st_ino) == (content, before.st_ino)
    assert os.listdir("/proc/self/fd") == descriptors


def test_only_a_regular_file_is_read(directory: Path, tmp_path: Path) -> None:
    directory.mkdir(parents=True)
    os.mkfifo(directory / FILE)
    with pytest.raises(StoreError, match="it is not a regular file"):
        opened(directory)
    (directory / FILE).unlink()
    (tmp_path / "other").write_text(json.dumps(GOOD))
    (directory / FILE).symlink_to(tmp_path / "other")
    with pytest.raises(StoreError, match="Too many levels of symbolic links"):
        opened(directory)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_what_cannot_be_opened_may_hold_something(
        directory: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(os, "open", fail(code))
    with pytest.raises(StoreError, match=f"cannot be used: {os.strerror(code)}") as caught:
        opened(directory)
    assert caught.value.errno == code


def test_a_read_that_fails_is_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = opened(directory)
    kept.put("x", 1)
    kept.close()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", fail(errno.EIO))
        with pytest.raises(StoreError, match=f"{FILE}:1:1: the kept state of the LUN cannot be used: Input/output"):
            opened(directory)


# Others ---------------------------------------------------------------------------------------------------------------


def test_a_file_has_one_daemon(directory: Path) -> None:
    kept = opened(directory)
    kept.put("x", 1)
    for turn in range(2):
        with pytest.raises(StoreError, match="in use by another daemon; stop that one, or start with") as caught:
            opened(directory)
        assert caught.value.errno == errno.EBUSY
        kept.put("x", turn)  # in another file
    kept.close()
    opened(directory).close()


def test_of_two_that_make_it_the_first_has_it(directory: Path) -> None:
    first, second = opened(directory), opened(directory)
    first.put("x", "first")
    with pytest.raises(StoreError, match="in use by another daemon") as caught:
        second.put("x", "second")
    assert caught.value.errno == errno.EBUSY
    assert second.get("x") is None
    second.put("x", None)
    second.close()
    assert again(directory, first).get("x") == "first"


def test_a_file_replaced_while_it_is_opened_is_in_use(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = opened(directory)
    kept.put("x", "old")
    real = fcntl.flock

    def replaced(descriptor: int, operation: int) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "flock", real)
            kept.put("x", "new")
        real(descriptor, operation)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", replaced)
        with pytest.raises(StoreError, match="in use by another daemon"):
            opened(directory)
    assert again(directory, kept).get("x") == "new"


def test_a_file_system_without_locks_will_do(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", fail(errno.EBADF))
    kept = opened(directory)
    kept.put("x", 1)
    assert again(directory, kept).get("x") == 1


def test_after_closing_nothing_is_written(directory: Path) -> None:
    kept = opened(directory)
    kept.put("x", "old")
    kept.close()
    kept.close()
    with pytest.raises(StoreError, match="the logical unit was removed") as caught:
        kept.put("x", "new")
    assert caught.value.errno == errno.ENODEV
    assert kept.get("x") == "old"
    assert opened(directory).get("x") == "old"


# The directory --------------------------------------------------------------------------------------------------------


def test_left_overs_go_and_nothing_else(directory: Path) -> None:
    directory.mkdir(parents=True)
    stay = {"notes.new", f"{FILE}.new", f"{FILE}.0123456.new", FILE, "x,lun0.json"}
    for name in (*stay, f"{FILE}.01234567.new", "a b,lun7.json.89abcdef.new"):
        (directory / name).write_text(json.dumps(GOOD))
    StateDirectory(str(directory)).prepare()
    assert {path.name for path in directory.iterdir()} == stay


def test_what_another_daemon_is_writing_stays(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places, kept = StateDirectory(str(directory)), opened(directory)
    with monkeypatch.context() as patch:
        replace = os.replace

        def start_another(fresh: str, path: str) -> None:
            places.prepare()
            replace(fresh, path)

        patch.setattr(os, "replace", start_another)
        kept.put("x", 1)
    assert again(directory, kept).get("x") == 1


def test_without_a_place_nothing_is_kept() -> None:
    nowhere = StateDirectory("")
    nowhere.prepare()
    assert nowhere.problem == "there is no place for it, as this user has no home directory"
    assert nowhere.unit(NAME, 0) is None


def test_below_a_file_nothing_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = StateDirectory(str(tmp_path / "file" / "ietpy"))
    assert places.problem == f"{tmp_path / 'file'} is not a directory"
    assert places.unit(NAME, 0) is None


@pytest.fixture
def protected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be written anywhere."""
    monkeypatch.setattr(os, "access", lambda path, mode, effective_ids: False)


def test_where_nothing_can_be_written_only_what_there_is_counts(directory: Path, protected: None) -> None:
    kept = StateDirectory(str(directory))
    assert kept.problem == f"user {os.geteuid()} cannot write in {directory.parent.parent}"
    assert kept.unit(NAME, 0) is None
    directory.mkdir(parents=True)
    (directory / FILE).write_text(json.dumps(GOOD))
    assert kept.unit(NAME, 0) is None
    (directory / FILE).write_text(json.dumps({**GOOD, "sections": {"x": 1}}))
    found = kept.unit(NAME, 0)
    assert found is not None
    assert found.get("x") == 1


if os.geteuid() == 0:
    USER, GROUP = 12345, 12346

    @pytest.fixture
    def reachable(tmp_path: Path) -> Path:
        """A directory of root that others can reach."""
        for parent in (tmp_path, *tmp_path.parents[:-1]):
            if parent.stat().st_uid == 0:
                parent.chmod(parent.stat().st_mode | 0o011)
        return tmp_path

    @pytest.mark.parametrize("made", [False, True], ids=["not there", "root's"])
    def test_another_user_gets_the_directory(reachable: Path, made: bool) -> None:
        directory = reachable / "ietpy"
        if made:
            opened(directory).put("x", 1)
        places = StateDirectory(str(directory))
        places.prepare(USER, GROUP)
        assert places.problem == ""
        for path in (directory, *directory.iterdir()):
            assert (path.stat().st_uid, path.stat().st_gid) == (USER, GROUP)
        assert (os.geteuid(), os.getegid()) == (0, 0)

    def test_what_is_not_ours_is_not_given_away(reachable: Path) -> None:
        directory = reachable / "ietpy"
        directory.mkdir(0o700)
        for path in (directory / FILE, reachable / "other"):
            path.touch()
        os.link(reachable / "other", directory / "x,lun0.json")
        os.mkfifo(directory / "y,lun0.json")
        StateDirectory(str(directory)).prepare(USER)
        owners = {path.name: path.stat().st_uid for path in directory.iterdir()}
        assert owners == {FILE: USER, "x,lun0.json": 0, "y,lun0.json": 0}
        assert directory.stat().st_uid == USER
        (directory / "notes").touch()
        (directory / "z,lun0.json").touch()
        StateDirectory(str(directory)).prepare(USER)
        assert (directory / "z,lun0.json").stat().st_uid == USER, "it is his already"
        assert (directory / "notes").stat().st_uid == 0

    def test_a_home_is_not_given_away(reachable: Path) -> None:
        home = reachable / "home"
        home.mkdir(0o700)
        (home / ".profile").touch()
        places = StateDirectory(str(home))
        places.prepare(USER, GROUP)
        assert places.problem == f"user {USER} cannot write in {home}"
        assert (home.stat().st_uid, home.stat().st_gid) == (0, 0)

    def test_a_directory_for_everybody_stays_roots(reachable: Path) -> None:
        directory = reachable / "shared"
        directory.mkdir()
        directory.chmod(0o755)
        places = StateDirectory(str(directory))
        assert places.problem == ""
        places.prepare(USER, GROUP)
        assert places.problem == f"user {USER} cannot write in {directory}"
        assert directory.stat().st_uid == 0
        directory.chmod(0o775)
        os.chown(directory, 0, GROUP)
        places.prepare(0, GROUP)
        assert places.problem == ""

    def test_a_directory_that_cannot_be_made_for_another_user(reachable: Path) -> None:
        (reachable / "file").touch()
        places = StateDirectory(str(reachable / "file" / "ietpy"))
        places.prepare(USER)
        assert places.problem == f"{reachable / 'file'} is not a directory"

    def test_a_directory_behind_a_planted_link_is_not_given_away(reachable: Path) -> None:
        """An empty one of root's, to which another user leads in a folder where everybody may write."""
        precious, folder = reachable / "precious", reachable / "everybody"
        precious.mkdir(0o700)
        folder.mkdir()
        folder.chmod(0o1777)
        (folder / "ietpy").symlink_to(precious)
        os.chown(folder / "ietpy", USER, GROUP, follow_symlinks=False)
        StateDirectory(str(folder / "ietpy")).prepare(USER, GROUP)
        assert precious.stat().st_uid == 0
        os.chown(folder / "ietpy", 0, 0, follow_symlinks=False)
        StateDirectory(str(folder / "ietpy")).prepare(USER, GROUP)
        assert precious.stat().st_uid == USER, "who is root may lead where he likes"

    def test_a_file_of_another_user_is_not_believed(reachable: Path) -> None:
        """It might say who has a reservation."""
        directory = reachable / "everybody"
        directory.mkdir()
        directory.chmod(0o1777)
        (directory / FILE).write_text(json.dumps(GOOD))
        os.chown(directory / FILE, USER, GROUP)
        with pytest.raises(StoreError, match=f"it belongs to user {USER}, who has no business here"):
            StateDirectory(str(directory)).unit(NAME, 0)
        os.chown(directory, USER, GROUP)
        assert StateDirectory(str(directory)).unit(NAME, 0) is not None

    def test_what_is_planted_in_the_place_of_a_new_file_is_replaced(reachable: Path) -> None:
        precious = reachable / "precious"
        precious.write_text("precious")
        directory = reachable / "everybody"
        directory.mkdir()
        directory.chmod(0o1777)
        state = StateDirectory(str(directory)).unit(NAME, 0)
        assert state is not None
        (directory / FILE).symlink_to(precious)
        os.chown(directory / FILE, USER, GROUP, follow_symlinks=False)
        with pytest.raises(StoreError, match="in use by another daemon"):
            state.put("x", 1)
        assert precious.read_text() == "precious"
