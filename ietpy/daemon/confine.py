"""What a daemon gives up for good: other users' rights, and being written to a core file (decisions 73)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from typing import Final

from ietpy.errors import IetpyError

#: Of prctl(2) (``linux/prctl.h``).
_SET_DUMPABLE: Final = 4
_SET_NAME: Final = 15
_SET_NO_NEW_PRIVS: Final = 38


def _prctl(option: int, argument: int | bytes) -> None:
    """What an old kernel or a filter refuses is not done; nothing of it has to be."""
    call = ctypes.CDLL(None, use_errno=True).prctl
    value = ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    call(ctypes.c_int(option), value, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))


def name_process(name: str) -> None:
    """What ``ps -o comm`` shows of this process; of the calling thread, if it is another than the first."""
    _prctl(_SET_NAME, name.encode())


def leave_no_core(allowed: bool) -> None:
    """Have no core file, and no other process of this user, show secrets or data; unless that is ``allowed``.

    Children inherit it. A limit alone would not do: the kernel hands a core to a program (``|`` in core(5)) whatever
    the limit is. The kernel forgets it when a process becomes another user, or of another group (prctl(2)).
    """
    if allowed:
        _prctl(_SET_DUMPABLE, 1)
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_SET_DUMPABLE, 0)


def gain_nothing() -> None:
    """Have nothing that this process, its children or threads might execute make them root again, or more than they
    are. To be called before there are threads, as each has this by itself."""
    _prctl(_SET_NO_NEW_PRIVS, 1)


def become(uid: int, gid: int, core: bool = False) -> None:
    """setgid, then setuid (0: no change), as IET; other groups are given up with either, and there is no way back."""
    if not uid and not gid:
        return
    try:
        if os.geteuid() == 0:
            os.setgroups([])
        if gid:
            os.setgid(gid)
        if uid:
            os.setuid(uid)
    except OSError as error:
        problem = f"user {uid} and group {gid} cannot be taken on: {error.strerror}; start as root"
        raise IetpyError(problem) from None
    leave_no_core(core)  # the kernel has just decided it anew, as fs.suid_dumpable says
