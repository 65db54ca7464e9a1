"""Where daemon and commands meet, and where a daemon keeps what outlives it, for root and for a plain user."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass

from ietpy.errors import UsageError


@dataclass(frozen=True, slots=True)
class RuntimePaths:
    """``private``: the directory must belong to this user alone (it lies where others can write)."""

    pid_file: str
    control: str
    published: str  #: the directory that stands for IET's /proc/net/iet
    private: str = ""


def runtime_paths(environment: dict[str, str], uid: int) -> RuntimePaths:
    """The default places of a user. $XDG_RUNTIME_DIR counts only if it is his: ``su`` leaves another's."""
    if uid == 0:
        return RuntimePaths("/run/ietd.pid", "/run/ietpy/control", "/run/iet")
    session = environment.get("XDG_RUNTIME_DIR", "")
    if session and _owner(session) == uid:
        directory = os.path.join(session, "ietpy")
    else:
        directory = os.path.join(environment.get("TMPDIR") or "/tmp", f"ietpy-{uid}")
    pid_file, control, published = (os.path.join(directory, name) for name in ("ietd.pid", "control", "iet"))
    return RuntimePaths(pid_file, control, published, directory)


def state_directory(environment: dict[str, str], uid: int) -> str:
    """Where a user's daemon keeps state over a loss of power; empty for one without a home directory.

    $STATE_DIRECTORY is systemd's (systemd.exec(5)), a list joined by colons.
    """
    given = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if given or uid == 0:
        return os.path.abspath(given) if given else "/var/lib/ietpy"
    base = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):  # such a one does not count (XDG Base Directory Specification)
        home = environment.get("HOME") or _home(uid)
        if not os.path.isabs(home):
            return ""
        base = os.path.join(home, ".local", "state")
    return os.path.join(base, "ietpy")


def _home(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return ""


def make_private(directory: str, uid: int) -> None:
    """Create ``directory`` with mode 0700, or accept one that is exactly that; else UsageError."""
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise UsageError(f"{directory} cannot be made: {error.strerror}; set TMPDIR to your own") from None
    check_private(directory, uid)


def check_private(directory: str, uid: int) -> None:
    """Raise UsageError unless ``directory`` is a real directory of ``uid`` that nobody else may enter.

    Another user could otherwise put his own socket or a link where ours is expected.
    """
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or stat.S_IMODE(found.st_mode) & 0o077:
        raise UsageError(
            f"{directory} is not a directory of user {uid} with mode 0700; remove it, or name other places "
            "with --pid-file and --control"
        )


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None
