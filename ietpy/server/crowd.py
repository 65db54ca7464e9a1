"""One thread for many connections, where several have requests at the same time.

The interpreter runs one thread. If each connection's own received, executed and sent all the time, they would spend
more of it on taking the interpreter from each other than on commands. So a connection that finds others busy lends
itself to the crowd: its thread sleeps, and one thread of the crowd, the leader, waits for the requests of all that are
lent and serves them, a batch at a time, without waiting for anybody (``_visit``). Whatever cannot be done so is the
connection's own thread's, which is called back for it. If that happens often, it lends itself less and less often.

A batch may take long all the same, as a write to the page cache does whose disk is far behind. So another thread
watches the leader, and where he has not moved for ``PATIENCE`` it leads in his place and has one more thread watch.
That there is one leader is a matter of speed alone. A connection's bytes are received by its own thread while it is not
lent, and else by whoever holds its session's lock and finds it lent; so a leader that comes back late does no harm.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

from ietpy.server.spinning import LookOut

if TYPE_CHECKING:
    from ietpy.server.pump import Pump
    from ietpy.server.spinning import Spinner

#: Many times what a batch takes (seconds).
PATIENCE: Final = 0.005
#: Whose peer sends nothing for so long is lent no more (seconds); so a quiet server has no timers.
SILENCE: Final = 1.0
#: After so many batches of one connection and no other's it is alone, and its own thread serves it sooner.
ALONE: Final = 64
#: Batches with more bytes for each command than this are a connection's own thread's: most of their time is spent in
#: copies, and those of several threads are made at the same time.
LIGHT: Final = 32 * 1024
#: Batches a connection serves itself after it was called back time after time for more than being alone.
_LONGEST_PAUSE: Final = 255


class Member:
    """A connection as the crowd sees it. ``lent`` and ``room``, where the next bytes go: under its session's lock."""

    def __init__(self, pump: Pump, spinner: Spinner) -> None:
        self.pump = pump
        self.spinner = spinner
        self.fd = pump.sock.fileno()
        self.lent = False
        self.room = memoryview(b"")
        self.visits = 0  #: how often there were requests
        self.problem: Exception | None = None  #: what its own thread is to raise
        self.called = threading.Lock()  #: its thread sleeps in this, until it is released
        self.called.acquire()
        self._pause = self._pauses = 0

    def stay(self) -> bool:
        """Lend the connection, until its thread, whose this is, is needed. False: it goes on by itself meanwhile.

        Nothing is said of why it is needed: it does what it always does, beginning with what is there already. The
        caller holds no lock. Raises what went wrong meanwhile.
        """
        if self._pause:
            self._pause -= 1
            return False
        line, visits = self.pump.line, self.visits
        with line.lock:
            self.room = self.pump.connection.space()
            self.lent = True
            line.watch.began = 0.0
        line.attend()
        self.pump.server.crowd.keep(self)
        with line.lock:
            self.lent = False
        line.attend()
        self._pauses = 0 if self.visits - visits >= ALONE else min(2 * self._pauses + 1, _LONGEST_PAUSE)
        self._pause = self._pauses
        if self.problem is not None:
            raise self.problem
        return True


class _Leader:
    """What a leader tells who watches him."""

    def __init__(self) -> None:
        self.visits = 0
        self.polling = False  #: he waits for requests
        self.dozing = False  #: and so his watcher sleeps, until ``bell`` is set
        self.bell = threading.Event()


class Crowd:
    """Of a server. Its threads begin with its first member, and end with ``close``."""

    def __init__(self) -> None:
        #: Whether connections lend themselves. They do not: 2 of 27 runs of sixteen sessions that write and read
        #: 128 KiB on a busy machine left one unanswered for ever, none of 85 without (docs/decisions 77).
        self.open = False
        #: Guards who is a member, and who leads. While it is held nothing is waited for, and no other lock taken.
        self._lock = threading.Lock()
        self._members: dict[int, Member] = {}  #: by descriptor; all are registered
        self._epoll = select.epoll()
        self._leader: _Leader | None = None
        self._threads: list[threading.Thread] = []

    def keep(self, member: Member) -> None:
        """For a connection's own thread: have it served until that is needed, or its peer is silent."""
        try:
            self._add(member)
        except (OSError, RuntimeError):  # the system has no descriptor, memory or thread left
            return
        visits = member.visits
        while not member.called.acquire(timeout=SILENCE):
            if member.visits == visits and self._remove(member):
                return
            visits = member.visits

    def close(self) -> None:
        """End the threads, and wait for them, when there are no members any more."""
        with self._lock:
            leader, self._leader = self._leader, None
            threads = list(self._threads)
        if not threads:
            return
        end = os.eventfd(1)
        self._epoll.register(end, select.EPOLLIN)  # wakes the leader
        if leader is not None:
            leader.bell.set()
        for thread in threads:
            thread.join()
        os.close(end)

    # Members ------------------------------------------------------------------------------------------------------

    def _add(self, member: Member) -> None:
        with self._lock:
            if self._leader is None:
                leader = _Leader()
                self._start(leader, None)
                self._leader = leader
            self._epoll.register(member.fd, select.EPOLLIN)
            self._members[member.fd] = member

    def _remove(self, member: Member) -> bool:
        """Whether it was a member until now: one caller is told so, who has it from here."""
        with self._lock:
            if self._members.get(member.fd) is not member:
                return False
            del self._members[member.fd]
            self._epoll.unregister(member.fd)
        return True

    def _call(self, member: Member) -> None:
        """Have its own thread go on with it."""
        if self._remove(member):
            member.called.release()

    # Leading --------------------------------------------------------------------------------------------------------

    def _start(self, leader: _Leader, before: _Leader | None) -> None:
        """Have a thread that leads after the one before; the caller holds the lock. RuntimeError: there is none."""
        thread = threading.Thread(target=self._run, args=(leader, before), name="crowd", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _run(self, leader: _Leader, before: _Leader | None) -> None:
        if before is not None:
            self._watch(before)
        if self._take_over(leader, before):
            self._lead(leader)
        with self._lock:
            self._threads.remove(threading.current_thread())

    def _watch(self, leader: _Leader) -> None:
        """Return when this one has not moved for a while, or leads no more."""
        while self._leader is leader:
            visits = leader.visits
            leader.bell.clear()
            leader.dozing = True
            if leader.polling and self._leader is leader:  # looked at after ``dozing`` was set: he does the opposite
                leader.bell.wait()
            leader.dozing = False
            time.sleep(PATIENCE)
            if leader.visits == visits and not leader.polling:
                return

    def _take_over(self, leader: _Leader, before: _Leader | None) -> bool:
        """Whether it leads from here, and is watched. Where no thread can be had for that, everybody is on his own."""
        with self._lock:
            if self._leader is not (before or leader):
                return False
            self._leader = leader
            try:
                self._start(_Leader(), leader)
            except RuntimeError:
                self._leader = None
                members = list(self._members.values())
            else:
                return True
        for member in members:
            self._call(member)
        return False

    def _lead(self, leader: _Leader) -> None:
        """Serve whoever has requests, until another one leads."""
        poll, members = self._epoll.poll, self._members
        look = LookOut(poll).look
        alone = 0
        while self._leader is leader:
            found = look()
            if not found:
                leader.polling = True
                found = poll()
                leader.polling = False
                if leader.dozing:
                    leader.bell.set()
            for fd, _ in found:
                member = members.get(fd)
                if member is None:
                    continue
                leader.visits += 1
                server, spinner = member.pump.server, member.spinner
                if server.latest is spinner:
                    alone += 1
                else:
                    server.latest = spinner
                    alone = 0
                if not _visit(member) or alone >= ALONE:
                    self._call(member)
                    alone = 0


def _visit(member: Member) -> bool:
    """Serve what has come on a connection; whether it can go on so. Waits for no peer, and for no lock."""
    pump = member.pump
    line, connection, measuring = pump.line, pump.connection, pump.server.measuring
    if not line.lock.acquire(blocking=False):
        return False
    try:
        if not member.lent:
            return True
        try:
            count = pump.sock.recv_into(member.room, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        if not count:
            return False
        member.visits += 1
        line.watch.began = began = time.monotonic() if measuring.on else 0.0
        many = pump.batch(count)
        if pump.parked.turns or connection.ready:
            return False
        light = count + connection.staged_size <= LIGHT * (many or 1)
        if line.inbox or connection.enabled:
            line.read()
        if not pump.egress.flush_now():
            return False
        if began:
            measuring.ended(line.watch.sent())
            line.watch.began = 0.0  # else its own thread would go on with the batch
        pump.employ()
        member.room = connection.space()
    except Exception as problem:
        member.problem = problem
        return False
    finally:
        line.lock.release()
    if line.inbox:
        line.attend()
    return light and not (connection.functions or connection.closing)
