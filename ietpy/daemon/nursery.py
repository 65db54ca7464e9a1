"""The process that makes worker processes: forked before there is a thread, and nothing else ever runs in it.

So a worker that died can be replaced while the daemon has threads, by the code that was loaded at the start.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, NoReturn

from ietpy.daemon.channel import Channel
from ietpy.daemon.confine import become, name_process
from ietpy.errors import AdminError

_IGNORED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Nursery:
    """The daemon's end of it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = threading.Lock()

    @classmethod
    def open(cls, work: Callable[[Channel], None], *, detached: bool, umask: int) -> Nursery:
        """Fork it; ``work`` is what its children do. ``detached``: it is to hold nothing of its caller's."""
        ours, theirs = Channel.pair()
        sys.stdout.flush()
        sys.stderr.flush()
        gc.collect()  # what is left dies with nobody: it might close descriptors that are others' by then
        pid = os.fork()
        if pid:
            theirs.close()
            return cls(ours)
        _guard(partial(_tend, Channel(theirs), work, detached, umask))

    def bear(self) -> tuple[Channel, int]:
        """A new worker: the channel to it, and its pid. Raises AdminError when there is no nursery any more."""
        try:
            ours, theirs = Channel.pair()
        except OSError as problem:  # no descriptor is left
            raise AdminError(errno.EMFILE, f"no worker process can be started: {problem.strerror}") from None
        with theirs, self._lock:
            with contextlib.suppress(OSError):
                self._channel.send("bear", sock=theirs)
            born = self._channel.receive()
        if born is None or born.kind != "born":
            ours.close()
            why = "the process that starts workers has gone" if born is None else born.facts[0]
            raise AdminError(errno.ECHILD, f"no worker process can be started: {why}; restart ietpy-daemon")
        return ours, born.facts[0]

    def become(self, uid: int, gid: int, core: bool = False) -> None:
        """Let it and its later children be another user, as the daemon now is."""
        with contextlib.suppress(OSError):
            self._channel.send("become", uid, gid, core)

    def close(self) -> None:
        self._channel.end()
        self._channel.close()


def _guard(work: Callable[[], None]) -> NoReturn:
    """Do it and end this process, whose caller's stack is not ours."""
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # whatever it is: who called ``fork`` must not go on in here
        sys.excepthook(*sys.exc_info())  # a worker's goes to the log (``logs.set_up``)
    finally:
        os._exit(status)


def _tend(channel: Channel, work: Callable[[Channel], None], detached: bool, umask: int) -> None:
    gc.freeze()  # what lies here is shared with all children as long as nobody touches it
    os.setsid()
    for number in _IGNORED:  # it ends with the daemon, which decides when
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _IGNORED)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    name_process("ietpy-nursery")
    os.umask(umask)
    if detached:
        os.chdir("/")
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
    kept = channel.fileno()
    highest = max(map(int, os.listdir("/proc/self/fd")))
    os.closerange(3, kept)
    os.closerange(kept + 1, highest + 1)
    children: list[int] = []

    def tell(kind: str, fact: object) -> None:
        with contextlib.suppress(OSError):  # who asked has gone, which is seen below
            channel.send(kind, fact)

    while (message := channel.receive()) is not None:
        if message.kind == "become":
            become(*message.facts)
            continue
        if message.socket is None:
            tell("failed", os.strerror(errno.EMFILE))
            continue
        try:
            pid = os.fork()
        except OSError as problem:  # no process is left
            tell("failed", problem.strerror)
        else:
            if not pid:
                channel.close()
                for sibling in children:
                    os.close(sibling)
                _guard(partial(work, Channel(message.socket)))
            children = _living(children)
            with contextlib.suppress(OSError):  # it has died already, or Linux is older than 5.3
                children.append(os.pidfd_open(pid))
            tell("born", pid)
        message.socket.close()
    for child in children:  # the daemon has gone, and left behind only what does not see that by itself
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(child, signal.SIGKILL)


def _living(children: list[int]) -> list[int]:
    """Those of these pidfds whose processes have not ended; the others are closed."""
    ended, _, _ = select.select(children, [], [], 0)
    for child in ended:
        os.close(child)
    return [child for child in children if child not in ended]
