"""A daemon with everything opened and bound, and what it does from its first thread to its last.

Threads are started by ``run`` and nowhere else, so that an instance may still fork before (docs/decisions 8).
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ietpy.admin.service import Service
from ietpy.config.model import Configuration
from ietpy.daemon import logs
from ietpy.daemon.administration import Administration
from ietpy.daemon.confine import become
from ietpy.daemon.inventory import RELOAD_TURN, Inventory
from ietpy.daemon.naming import Naming
from ietpy.daemon.options import StartOptions
from ietpy.daemon.pidfile import PidFile
from ietpy.daemon.portals import Portals
from ietpy.daemon.publish import Publisher
from ietpy.daemon.supervisor import Supervisor
from ietpy.daemon.watching import Watching
from ietpy.errors import AdminError, Diagnostic, IetpyError
from ietpy.events import Event, confess
from ietpy.iscsi.pdu import portal_name
from ietpy.iscsi.target import Portal

log = logging.getLogger(__name__)

GRACE: Final = 10.0  #: seconds from SIGTERM to the end (docs/decisions 5)
DRAIN: Final = 5.0  #: of these, for commands under way; the rest is for flushing
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Network(Protocol):
    """What an instance asks of ``server.listener.Server``."""

    def start(self) -> None: ...

    def stop(self, timeout: float) -> bool: ...

    def portals(self) -> list[Portal]: ...

    def listen(self, sockets: Iterable[socket.socket], group: int, advertised: str) -> None: ...

    def leave(self, sockets: list[socket.socket]) -> None: ...

    def pulse(self, patience: float) -> list[tuple[str, Callable[[], bool]]]: ...


@dataclass
class Instance:
    """One daemon. ``read`` reads its configuration again, or a text in its place; ConfigError if it cannot be used."""

    options: StartOptions
    inventory: Inventory
    server: Network
    pid_file: PidFile
    publisher: Publisher
    naming: Naming
    administration: Administration
    service: Service
    portals: Portals
    watching: Watching
    read: Callable[[str | None], Configuration]
    supervisor: Supervisor = field(default_factory=Supervisor)
    _reading: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._processes, self._metrics = self.inventory.loaded.processes, self.inventory.loaded.metrics

    def run(self, ready: Callable[[], None]) -> int:
        """Serve until SIGTERM or SIGINT; call ``ready`` when everything serves. Returns the exit status."""
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # all threads inherit it: only wait() gets them
        become(self.options.uid, self.options.gid, self.options.core)
        self.pid_file.write(os.getpid())
        self.server.start()
        self.naming.follow(self.inventory.configuration)
        self.publisher.start()
        self.service.start()
        self.watching.start(self.administration.status)
        self.report(self.inventory.configuration.diagnostics)
        warn_of_group(self.options.uid)
        Event.STARTED.tell(log, "%s (pid %d)", self.summary(), os.getpid())
        ready()
        if self.supervisor.address:
            self.publisher.also = self.show
            self.publisher.changed()
        wait(self.reload_apart, self.supervisor.period, self.give_signs())
        self.supervisor.tell("STOPPING=1\nSTATUS=Finishing commands, then flushing", 1.0)
        return self.end(time.monotonic() + GRACE)

    def give_signs(self) -> Callable[[float], None]:
        """A function that lets the supervisor know that we live, if what it asked the last time has answered."""
        asked: list[tuple[str, Callable[[], bool]]] = []

        def give(patience: float) -> None:
            silent = [part for part, answered in asked if not answered()]
            if silent:
                Event.NOT_ALIVE.tell(log, "no sign of life from %s", " and ".join(silent))
            else:
                self.supervisor.tell("WATCHDOG=1")
                self.publisher.changed()  # what became wrong by itself is shown, too
            asked[:] = self.server.pulse(patience)

        return give

    def show(self) -> None:
        """Have the supervisor know how we are."""
        facts = self.inventory.facts()
        numbers = (
            ("target", len(facts)), ("LUN", sum(len(target["luns"]) for target in facts)),
            ("session", sum(target["sessions"] for target in facts)),
        )
        words = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in numbers)
        problems = self.inventory.problems
        wrong = ""
        if problems:
            state = "degraded" if any(problem.severity == "error" for problem in problems) else "warned of"
            wrong = f"; {state}: {problems[0].problem}" + (f" (and {len(problems) - 1} more)" if problems[1:] else "")
        self.supervisor.show(f"Serving {words}{wrong}".replace("\n", " "))

    def report(self, found: Iterable[Diagnostic]) -> None:
        """Log what was found in the files, and what is not served."""
        for problem in (*found, *self.inventory.problems):
            level = logging.ERROR if problem.severity == "error" else logging.WARNING
            Event.FINDING.tell(log, "%s", problem, level=level, finding=problem.code)

    def reload_apart(self) -> None:
        """On SIGHUP: ``reload`` in a thread of its own, as files may not answer and SIGTERM must be heard."""
        try:
            threading.Thread(target=self.reload, name="reload", daemon=True).start()
        except RuntimeError as problem:  # the system has no thread left
            Event.THREADS.tell(log, "not reloaded: %s", problem)

    def reload(self) -> None:
        """Serve what the file says now, or go on as before if it cannot be used. Raises nothing."""
        try:
            for sentence in self.administration.reload()["unable"]:
                Event.RELOAD_INCOMPLETE.tell(log, "%s", sentence)
        except IetpyError as error:
            Event.RELOAD_REFUSED.tell(log, "not reloaded, nothing has changed: %s", error)
        except Exception as mistake:  # ours; it costs this reload and nothing else
            confess(log, "internal error in a reload: %r", mistake)

    def reread(self, text: str | None = None) -> dict[str, list[Any]]:
        """Read the configuration again, or ``text`` in its place, and apply it: the steps of that (``Step.facts``),
        what could not be done, and what was found.

        Raises ConfigError, or AdminError (EBUSY) when another reload takes too long: an older text must not be applied
        after a newer one.
        """
        if not self._reading.acquire(timeout=RELOAD_TURN):
            raise AdminError(errno.EBUSY, f"another reload has been under way for {RELOAD_TURN:g} s; try again")
        try:
            configuration = self.read(text)
            with self.inventory.turn(RELOAD_TURN):  # what was planned is what is done
                steps = self.inventory.plan(configuration)
                self.portals.go(configuration, self.server)  # before rules change, and the others come after that
                try:
                    unable = self.inventory.apply(configuration)
                finally:  # if it was refused, the old ones again
                    self.portals.come(self.inventory.configuration, self.server)
            if text is None:
                self.inventory.loaded = configuration
            self.naming.follow(configuration)
        finally:
            self._reading.release()
        if self.options.processes is None and configuration.processes != self._processes:
            unable.append("Processes has changed, which takes effect when ietpy-daemon is restarted")
        if not self.options.metrics and configuration.metrics != self._metrics:
            unable.append("Metrics has changed, which takes effect when ietpy-daemon is restarted")
        self.report(configuration.diagnostics)
        for step in steps:
            Event.RELOAD_STEP.tell(log, "%s: %s", step.span, step, target=step.target, lun=step.lun)
        Event.RELOADED.tell(log, "reloaded: %s", self.summary())
        found = (*configuration.diagnostics, *self.inventory.problems)
        return {
            "steps": [step.facts() for step in steps], "unable": unable, "found": [str(each) for each in found],
        }

    def end(self, deadline: float) -> int:
        """Drain, flush, let go. Returns 0 when everything written is on stable storage."""
        Event.ENDING.tell(log, "ending")
        self.naming.deregister()  # while commands are finished; waited for further down
        if not self.server.stop(DRAIN):
            Event.COMMANDS_CUT.tell(
                log, "some commands did not end within %g s; their connections were closed", DRAIN
            )
        self.watching.stop()
        self.service.stop()
        self.naming.stop()
        outcome: list[bool] = []
        # A device that hangs would hold the flush, and with it the daemon, for ever.
        flusher = threading.Thread(target=lambda: outcome.append(self.inventory.close()), daemon=True)
        flusher.start()
        flusher.join(max(0.0, deadline - time.monotonic()))
        if not outcome:
            Event.FLUSH_HANGS.tell(
                log, "a backing device does not finish flushing; what it was sent last may be lost"
            )
        self.publisher.stop()
        self.pid_file.remove()
        logs.settle()
        Event.ENDED.tell(log, "ended")
        return 0 if outcome == [True] else 1

    def summary(self) -> str:
        portals = ", ".join(portal_name(portal.address, portal.port) for portal in self.server.portals())
        count = len(self.inventory.all())
        return f"serving {count} target{'' if count == 1 else 's'} on {portals}"


def _nothing(period: float) -> None:
    pass


def wait(reload: Callable[[], None], period: float | None = None, tick: Callable[[float], None] = _nothing) -> None:
    """Until the first SIGTERM or SIGINT; SIGHUP reloads. The signals are blocked, so no handler ever runs.

    ``tick`` is called every ``period`` seconds, and told how many they are.
    """
    due = time.monotonic()
    while True:
        if period is None:
            found: int | None = signal.sigwait(_SIGNALS)
        else:
            told = signal.sigtimedwait(_SIGNALS, max(0.0, due - time.monotonic()))
            found = told.si_signo if told else None
            if due <= time.monotonic():
                tick(period)
                due = time.monotonic() + period
        if found == signal.SIGHUP:
            reload()
        elif found is not None:
            return


def warn_of_group(uid: int) -> None:
    """IET changed the user alone where no group was given, and so do we."""
    if uid and not os.getegid():
        Event.GROUP_IS_ROOT.tell(log, "user %d keeps root's group, as no -g was given", uid)
