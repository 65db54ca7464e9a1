"""The pid file: a decimal pid and a newline, mode 0644, flocked as long as the daemon lives.

Only the lock says that a daemon runs; a number alone may have become another process's. flock, because a
lockf lock does not survive the forks of detaching.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat
import time
from typing import Final

from ietpy.errors import IetpyError, UsageError

_ATTEMPTS: Final = 5  #: a look at the lock by ``status`` holds it for an instant
_PAUSE: Final = 0.02  #: seconds between looks at a lock
_LONGEST: Final = 32  #: bytes of a pid file worth reading


class AlreadyRunning(IetpyError):
    """The pid file is locked by a living daemon."""


class PidFile:
    """A pid file locked by us, empty until ``write``. ``stale``: one was there, as an orderly end leaves none.

    (After -u it does, an empty one; and who was killed while it started left such a one, too.)
    """

    def __init__(self, path: str, descriptor: int, stale: bool = False) -> None:
        self.path = path
        self.stale = stale
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: str) -> PidFile:
        """Lock ``path``, taking over one whose daemon is gone. Raises AlreadyRunning, or UsageError."""
        while True:
            stale = os.path.lexists(path)
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            except OSError as error:
                problem = f"pid file {path} cannot be written: {error.strerror}; name another with --pid-file"
                raise UsageError(problem) from None
            if not _is_regular(descriptor):
                os.close(descriptor)
                raise UsageError(f"pid file {path} is not a regular file; remove it, or name another with --pid-file")
            stranger = _stranger(descriptor)
            if stranger:
                os.close(descriptor)
                raise UsageError(f"pid file {path} {stranger}; remove it, or name another with --pid-file")
            if not _lock(descriptor):
                pid = _read_pid(descriptor)
                os.close(descriptor)
                who = f"pid {pid}" if pid else "it is starting"
                raise AlreadyRunning(f"another ietpy-daemon is running ({who}, {path} is locked)")
            if _is_at(descriptor, path):  # else its owner removed it between our open and our lock
                os.fchmod(descriptor, 0o644)
                os.ftruncate(descriptor, 0)
                return cls(path, descriptor, stale)
            os.close(descriptor)

    def write(self, pid: int) -> None:
        os.pwrite(self._descriptor, b"%d\n" % pid, 0)

    def remove(self) -> None:
        """Remove the file; the lock stays until the process is gone, which is what ``terminate`` waits for.

        After -u it may only be emptied; that will do.
        """
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            if _is_at(self._descriptor, self.path):
                os.unlink(self.path)

    def release(self) -> None:
        """Remove the file, then unlock."""
        self.remove()
        os.close(self._descriptor)


def running_pid(path: str) -> int | None:
    """The pid of the daemon that locks ``path``; 0 while it starts; None when nobody does."""
    descriptor = _open(path)
    if descriptor is None:
        return None
    try:
        return _read_pid(descriptor) if _is_locked(descriptor) else None
    finally:
        os.close(descriptor)


def terminate(path: str, patience: float) -> int | None:
    """SIGTERM to the daemon that locks ``path``, and wait at most ``patience`` seconds for its end.

    Returns its pid, or None when nobody runs. Raises IetpyError when it does not end or may not be signalled.
    """
    descriptor = _open(path)
    if descriptor is None:
        return None
    try:
        deadline = time.monotonic() + patience
        while not (pid := _read_pid(descriptor)) and _is_locked(descriptor) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        if not _is_locked(descriptor):
            return None
        if not pid:
            raise IetpyError(f"{path} is locked but names no process; the daemon did not finish starting")
        _signal(pid, path, os.fstat(descriptor).st_uid)
        while _is_locked(descriptor):
            if time.monotonic() > deadline:
                raise IetpyError(f"the daemon (pid {pid}) did not end within {patience:g} s")
            time.sleep(_PAUSE)
        return pid
    finally:
        os.close(descriptor)


def _signal(pid: int, path: str, owner: int) -> None:
    """SIGTERM. The ``owner`` of the pid file may have written any number into it; he has none ended but his own."""
    try:
        process = os.pidfd_open(pid)  # from here on the number is nobody else's
    except ProcessLookupError:
        return  # it ended by itself; its lock is gone, or goes with it
    except OSError:  # Linux before 5.3
        process = -1
    try:
        if owner and _user(pid) not in (owner, None):
            raise IetpyError(f"{path}, which is user {owner}'s, names a process of another user (pid {pid}); remove it")
        if process < 0:
            os.kill(pid, signal.SIGTERM)
        else:
            signal.pidfd_send_signal(process, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise IetpyError(f"the daemon (pid {pid}, {path}) belongs to another user; stop it as root") from None
    finally:
        if process >= 0:
            os.close(process)


def _user(pid: int) -> int | None:
    """Whose process it is (proc_pid_status(5)); None if it has gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Uid:"))
    except (OSError, StopIteration):
        return None


def _open(path: str) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)  # a FIFO hangs nobody
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"pid file {path} cannot be read: {error.strerror}") from None
    if _is_regular(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _stranger(descriptor: int) -> str:
    """Why what lies there may be another's file, which is not to be written; empty if it is ours."""
    found = os.fstat(descriptor)
    if found.st_uid not in (0, os.geteuid()):
        return f"belongs to user {found.st_uid}"
    return "has another name, too" if found.st_nlink > 1 else ""


def _is_regular(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _lock(descriptor: int) -> bool:
    for attempt in range(_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < _ATTEMPTS:
                time.sleep(_PAUSE)
        else:
            return True
    return False


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


def _read_pid(descriptor: int) -> int:
    """The number in the file; 0 when there is none, or none a single process can have."""
    word = os.pread(descriptor, _LONGEST, 0).strip()
    return int(word) if word.isdigit() and int(word) > 0 else 0
