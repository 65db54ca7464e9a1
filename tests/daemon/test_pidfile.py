"""The pid file: locked means running; anything else is a leftover, and nobody is signalled for it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ietpy.daemon import pidfile
from ietpy.daemon.pidfile import AlreadyRunning, PidFile, running_pid, terminate
from ietpy.errors import IetpyError, UsageError

HOLDER = """
import signal, sys
from ietpy.daemon.pidfile import PidFile
import os
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
held = PidFile.acquire(sys.argv[1])
held.write(os.getpid())
print("held", flush=True)
signal.sigwait([signal.SIGTERM])
held.release()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ietd.pid")


def test_a_locked_file_names_who_runs(path: str) -> None:
    held = PidFile.acquire(path)
    assert running_pid(path) == 0
    held.write(4711)
    assert Path(path).read_bytes() == b"4711\n"
    assert running_pid(path) == 4711
    held.release()
    assert running_pid(path) is None
    assert not os.path.exists(path)


@pytest.mark.parametrize(("left", "stale"), [(None, False), (b"", True), (b"4711\n", True)])
def test_a_file_that_was_left_tells_of_a_daemon_that_was_killed(path: str, left: bytes | None, stale: bool) -> None:
    if left is not None:
        Path(path).write_bytes(left)
    held = PidFile.acquire(path)
    assert held.stale == stale
    held.release()


def test_the_lock_survives_a_fork(path: str) -> None:
    held = PidFile.acquire(path)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    os.close(held._descriptor)
    assert running_pid(path) == 0
    os.close(writer)
    os.waitpid(child, 0)
    assert running_pid(path) is None


def test_a_second_owner_is_refused(path: str) -> None:
    held = PidFile.acquire(path)
    with pytest.raises(AlreadyRunning, match="it is starting"):
        PidFile.acquire(path)
    held.write(4711)
    with pytest.raises(AlreadyRunning, match="pid 4711"):
        PidFile.acquire(path)
    held.release()


def test_a_leftover_is_taken_over(path: str) -> None:
    Path(path).write_text("4711\n")
    held = PidFile.acquire(path)
    assert Path(path).read_text() == ""
    held.release()


def test_a_file_removed_before_it_was_locked_is_not_ours(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pidfile._lock
    removed: list[bool] = []

    def slow(descriptor: int) -> bool:
        if not removed:
            removed.append(True)
            os.unlink(path)
        return real(descriptor)

    monkeypatch.setattr(pidfile, "_lock", slow)
    held = PidFile.acquire(path)
    held.write(7)
    assert running_pid(path) == 7
    held.release()


def test_releasing_leaves_another_daemons_file(path: str) -> None:
    held = PidFile.acquire(path)
    os.rename(path, path + ".old")
    Path(path).write_text("other\n")
    held.release()
    assert Path(path).read_text() == "other\n"


@pytest.mark.parametrize("content", ["", "x\n", "-1\n", "0\n", "12 34\n"])
def test_what_is_no_pid_is_none(path: str, content: str) -> None:
    held = PidFile.acquire(path)
    Path(path).write_text(content)
    assert running_pid(path) == 0
    held.release()


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file or directory; name another"):
        PidFile.acquire(str(tmp_path / "missing" / "ietd.pid"))


def test_a_link_is_not_followed(tmp_path: Path, path: str) -> None:
    (tmp_path / "target").write_text("precious")
    os.symlink(tmp_path / "target", path)
    with pytest.raises(UsageError, match="cannot be written"):
        PidFile.acquire(path)
    with pytest.raises(UsageError, match="cannot be read"):
        running_pid(path)
    assert (tmp_path / "target").read_text() == "precious"


def test_nobody_to_terminate(path: str) -> None:
    assert terminate(path, 1) is None
    Path(path).write_text(f"{os.getpid()}\n")
    assert terminate(path, 1) is None


def test_terminate_waits_for_the_end(path: str) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert terminate(path, 30) == holder.pid
        assert holder.wait(30) == 0
    assert not os.path.exists(path)


def test_terminate_gives_up(path: str) -> None:
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        held = PidFile.acquire(path)
        held.write(sleeper.pid)
        with pytest.raises(IetpyError, match=rf"\(pid {sleeper.pid}\) did not end within 0\.05 s"):
            terminate(path, 0.05)
        held.release()


def test_terminate_does_not_signal_while_no_pid_is_written(path: str) -> None:
    held = PidFile.acquire(path)
    with pytest.raises(IetpyError, match="did not finish starting"):
        terminate(path, 0.05)
    held.release()


def test_a_pipe_is_no_pid_file_and_hangs_nobody(tmp_path: Path) -> None:
    path = str(tmp_path / "ietd.pid")
    os.mkfifo(path)
    with pytest.raises(UsageError, match="is not a regular file"):
        PidFile.acquire(path)
    assert pidfile.running_pid(path) is None
    assert pidfile.terminate(path, 1) is None


# Other users ----------------------------------------------------------------------------------------------------------

OTHER = 65534


@pytest.mark.usefixtures("root")
def test_a_file_that_another_user_put_there_is_not_written(tmp_path: Path, path: str) -> None:
    Path(path).write_text("precious")
    os.chown(path, OTHER, OTHER)
    with pytest.raises(UsageError, match=f"pid file {path} belongs to user {OTHER}; remove it, or name another"):
        PidFile.acquire(path)
    assert Path(path).read_text() == "precious"


def test_a_file_that_has_another_name_is_not_written(tmp_path: Path, path: str) -> None:
    """Where the kernel lets everybody link to anything (fs.protected_hardlinks), it may be /etc/passwd."""
    precious = tmp_path / "passwd"
    precious.write_text("precious")
    os.link(precious, path)
    with pytest.raises(UsageError, match="has another name, too; remove it, or name another"):
        PidFile.acquire(path)
    assert precious.read_text() == "precious"


#: What another user can do: lock a file of his that names a process which is not his.
FORGER = """
import fcntl, os, sys
os.setuid(int(sys.argv[2]))
descriptor = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(descriptor, fcntl.LOCK_EX)
os.pwrite(descriptor, sys.argv[3].encode(), 0)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.mark.usefixtures("root")
def test_nobody_has_root_end_what_is_not_his(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        path = os.path.join(place, "ietd.pid")
        Path(path).touch()
        os.chown(path, OTHER, OTHER)
        victim = subprocess.Popen(["sleep", "60"])
        command = [sys.executable, "-c", FORGER, path, str(OTHER), str(victim.pid)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as forger:
            assert forger.stdout is not None
            assert forger.stdin is not None
            try:
                assert forger.stdout.readline() == "locked\n"
                with pytest.raises(IetpyError, match=f"user {OTHER}'s, names a process of another user"):
                    terminate(path, 5)
                assert victim.poll() is None
            finally:
                victim.kill()
                victim.wait()
                forger.stdin.close()


def test_a_process_that_has_gone_is_not_signalled(path: str) -> None:
    held = PidFile.acquire(path)
    with subprocess.Popen(["true"]) as gone:
        pass
    pidfile._signal(gone.pid, path, os.geteuid())
    assert pidfile._user(gone.pid) is None
    held.release()


def test_before_linux_5_3(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(pidfile.os, "pidfd_open", unknown)
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        pidfile._signal(sleeper.pid, path, os.geteuid())
        assert sleeper.wait(10) == -15
