"""A process that serves some targets for the one in front (``fleet``), which alone starts, asks and ends it.

It is its targets' whole truth: an ``Inventory`` and a ``Server`` as a daemon of one process has them, without portals,
files of its own or a say about discovery. It ends when the other end of its channel has gone.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ietpy.admin import operations
from ietpy.config.model import Configuration
from ietpy.daemon import channel, logs
from ietpy.daemon.administration import Administration
from ietpy.daemon.assemble import lasting
from ietpy.daemon.channel import PATIENCE, Channel
from ietpy.daemon.confine import become, name_process
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import OPENING, Media
from ietpy.daemon.naming import Naming
from ietpy.daemon.options import StartOptions
from ietpy.daemon.served import ServedTarget
from ietpy.daemon.troubles import stuck
from ietpy.errors import AdminError, Diagnostic, StoreError
from ietpy.events import Event
from ietpy.iscsi.target import Portal
from ietpy.scsi.store import BackingStore
from ietpy.server.handover import Passage
from ietpy.server.listener import Server
from ietpy.stores import open_store
from ietpy.stores.state import StateDirectory

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is to serve: ``configuration`` has its targets alone. ``redirects``: as ietadm made them, by name.

    ``memory``: its share, in bytes; ``base``: where relative paths count from; ``until`` (``time.monotonic``): a worker
    before it, or a daemon before this one, may be going and have locked media.
    """

    options: StartOptions
    configuration: Configuration
    states: StateDirectory
    base: str
    memory: int
    redirects: Mapping[str, str] = field(default_factory=dict)
    until: float = 0.0


def _open_store(*medium: Any, **options: Any) -> BackingStore:
    """As ``stores.open_store``, where another worker may have the lock of a medium."""
    try:
        return open_store(*medium, **options)
    except StoreError as error:
        if error.errno != errno.EBUSY:
            raise
        hint = "if another target of this daemon serves it, restart ietpy-daemon to have both in one process"
        raise StoreError(errno.EBUSY, f"{error}; {hint}") from None


class _AskedInFront:
    """An iSNS server's say: whoever comes here was let in by it, as the process in front asks it."""

    def admits(self, target: str, initiator: str) -> bool:
        return True

    def refresh(self) -> None:
        pass


class Worker:
    """``channel`` leads to the process in front."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._inventory: Inventory
        self._server: Server
        self._administration: Administration
        self._answers: Mapping[str, Callable[..., Any]] = {
            "open": self.open,
            "serve": self.serve,
            "told": lambda portals: self._server.told(portals),
            "perform": self.perform,
            "add": lambda config: self._inventory.add_target(config),
            "apply": self.apply,
            "config": lambda name: self._target(name).config,
            "targets": lambda: self._administration.targets(),
            "sessions": lambda: self._server.sessions(),
            "live": lambda: [self._inventory.live()],
            "measure": self.measure,
            "usage": lambda: self._server.usage(),
            "problems": self.problems,
            "pulse": self.pulse,
            "stop": lambda timeout: self._server.stop(timeout),
            "close": self.close,
        }

    def run(self) -> None:
        """Do as the process in front says until it has gone; then there is nobody to go on for."""
        while (message := self._channel.receive()) is not None:
            if message.kind == "guess":
                self._server.hear_of_guess(*message.facts)
            elif message.socket is None:  # what others have here goes on
                Event.DESCRIPTORS.tell(log, "a %s does not arrive: no file descriptor is left", message.kind)
            elif message.kind == "login":
                passage: Passage = message.facts[0]
                self._server.take_over(message.socket, passage)
            else:
                self._answer(message.socket)

    def _answer(self, asker: socket.socket) -> None:
        """In a thread of its own, as what is asked may wait."""
        try:
            threading.Thread(
                target=channel.answer, args=(asker, self._perform), name="control", daemon=True
            ).start()
        except RuntimeError as problem:  # the system has no thread left
            Event.THREADS.tell(log, "a question of the process in front is not answered: %s", problem)
            asker.close()

    def _perform(self, operation: str, *arguments: Any) -> Any:
        return self._answers[operation](*arguments)

    # Life ---------------------------------------------------------------------------------------------------------

    def open(self, assignment: Assignment) -> None:
        """Open everything; nobody is served yet."""
        options = assignment.options
        media = Media(assignment.base, _open_store, assignment.until)
        with lasting():
            inventory = Inventory(
                assignment.configuration, media, states=assignment.states, memory=assignment.memory
            )
        server = Server(inventory.node)
        inventory.units.transport = server
        inventory.rules.gate = _AskedInFront()
        inventory.elsewhere = lambda: stuck(server.stuck.facts(), inventory.all(), inventory.configuration.file)
        for target in inventory.all():
            target.node.redirect = assignment.redirects.get(target.config.name, "")
        self._inventory, self._server = inventory, server
        self._administration = Administration(
            options, inventory, server, isns=Naming(list, lambda: options.port), reread=lambda text: {},
            read=lambda text: inventory.configuration, publish=lambda: None, published="",
        )
        inventory.changed = server.sessions_changed = partial(self._tell, "changed")
        server.share_guesses(partial(self._tell, "guess"))

    def _tell(self, kind: str, *facts: Any) -> None:
        """Never waits: one who does not look has been told enough, and one who has gone takes us along."""
        with contextlib.suppress(OSError):
            self._channel.send(kind, *facts)

    def serve(self, style: logs.Style, portals: list[Portal]) -> None:
        """Become who the daemon is, and begin to take logins."""
        options = self._administration.options
        logs.set_up(*style)
        become(options.uid, options.gid, options.core)
        self._inventory.media.patience = OPENING  # from now on somebody waits
        self._server.told(portals)
        self._server.start()

    def close(self) -> bool:
        """Flush and close everything, and say what the log kept back: the end comes without a word."""
        flushed = self._inventory.close()
        logs.settle()
        return flushed

    # What is asked ------------------------------------------------------------------------------------------------

    def perform(self, name: str, operation: str, arguments: dict[str, Any]) -> Any:
        """One of ``admin.operations``, about the target of this name, whose number is another one in front."""
        return operations.perform(
            self._administration, operation, {**arguments, "tid": self._target(name).tid}
        )

    def apply(self, configuration: Configuration) -> tuple[list[str], list[str]]:
        """A reload: what could not be done, in sentences, and the names of all targets there are now."""
        unable = self._inventory.apply(configuration)
        return unable, [target.config.name for target in self._inventory.all()]

    def problems(self) -> list[Diagnostic]:
        return self._inventory.problems

    def measure(self) -> list[None]:
        self._server.measure()
        return []

    def pulse(self) -> bool:
        """A sign of life: the main thread had this answered, and the listener does so now."""
        beat = threading.Event()
        self._server.later(beat.set)
        return beat.wait(PATIENCE)

    def _target(self, name: str) -> ServedTarget:
        for target in self._inventory.all():
            if target.config.name == name:
                return target
        raise AdminError(errno.ENOENT, f"there is no target {name}")


def work(channel: Channel) -> None:
    """What a worker process does from its birth to its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    name_process("ietpy-worker")
    Worker(channel).run()
    os._exit(0)  # threads may wait for devices; what is served elsewhere or not at all needs no farewell
