"""The worker processes as the one in front has them (decisions 54): which has which targets, what is asked of them,
and what becomes of the targets of one that died.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from ietpy.config.model import Configuration, TargetConfig
from ietpy.daemon import logs
from ietpy.daemon.assemble import memory_share
from ietpy.daemon.channel import PATIENCE, Call, Channel, Message, all_true
from ietpy.daemon.inventory import RELOAD_TURN
from ietpy.daemon.media import Media
from ietpy.daemon.nursery import Nursery
from ietpy.daemon.options import StartOptions
from ietpy.daemon.placement import place
from ietpy.daemon.troubles import Trouble
from ietpy.daemon.worker import Assignment
from ietpy.errors import AdminError, Diagnostic, Span
from ietpy.events import Event
from ietpy.iscsi.target import Portal
from ietpy.server.handover import Passage
from ietpy.stores.state import StateDirectory

log = logging.getLogger(__name__)

#: Seconds a worker may take to open everything, or to take over a configuration: many devices may have to be opened.
OPENING: Final = 110.0
#: One that ended sooner than this many seconds after its start is started again after a pause, which doubles.
_SHORT_LIFE: Final = 10.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
#: Seconds to wait for what a worker says of itself.
_GLANCE: Final = 3.0
_SEE_LOG: Final = "the log says when it ended, and why none can be started"
#: Seconds until workers that were told to end have gone; they have nothing left to do then.
_LEAVING: Final = 1.0


class Followed(Protocol):
    """What is asked of ``mirror.Mirror``."""

    configuration: Configuration

    def turn(self, patience: float | None = None) -> AbstractContextManager[None]: ...

    def redirects(self) -> Mapping[str, str]: ...


class Network(Protocol):
    """What is asked of the server in front."""

    def portals(self) -> list[Portal]: ...

    def hear_of_guess(self, event: str, source: str, now: float) -> None: ...


@dataclass(slots=True, eq=False)
class Member:
    """A worker. ``channel`` is None while it does not run."""

    number: int
    channel: Channel | None = None
    pid: int = 0
    lives: int = 0  #: how often it was started
    begun: float = 0.0
    pause: float = 0.0  #: before it is started the next time
    thread: threading.Thread | None = None


class Fleet:
    """At most ``count`` workers; one that has no target yet is not started.

    Who changes what they serve has the turn of the ``Followed``. ``changed`` hears that sessions or targets may have
    changed.
    """

    def __init__(
        self, nursery: Nursery, count: int, options: StartOptions, states: StateDirectory, media: Media
    ) -> None:
        self.members = [Member(number) for number in range(count)]
        self.changed: Callable[[], None] = lambda: None
        self._nursery = nursery
        self._options = options
        self._states = states
        self._media = media
        self._memory = memory_share(count)
        self._owners: Mapping[str, Member] = {}  #: by name in lower case; replaced, never changed
        self._mirror: Followed
        self._network: Network
        self._serving = False
        self._over = threading.Event()

    # Life ---------------------------------------------------------------------------------------------------------

    def open(self, configuration: Configuration) -> None:
        """Start the workers this needs, and have them open it. Raises AdminError."""
        self._owners = self._placed(configuration)
        self._begin({member: configuration for member in self.members if member in self._owners.values()})

    def follow(self, mirror: Followed, network: Network) -> None:
        """``mirror`` says what is served, from now on."""
        self._mirror, self._network = mirror, network

    def start(self) -> None:
        """Have all of them serve. Raises AdminError."""
        self._nursery.become(self._options.uid, self._options.gid, self._options.core)
        self._serving = True
        self._serve([member for member in self.members if member.channel is not None])

    def stopping(self, timeout: float) -> list[Call]:
        """Have all of them end their sessions, in so many seconds; to be waited for with ``all_true``."""
        self._over.set()
        return self.call("stop", timeout, patience=timeout + _LEAVING * 2)

    def close(self) -> bool:
        """Have all of them flush and close what they have open, and end; whether all could."""
        self._over.set()
        clean = all_true(self.call("close", patience=OPENING))
        for channel in [member.channel for member in self.members]:
            if channel is not None:
                channel.end()
        until = time.monotonic() + _LEAVING
        for member in self.members:
            if member.thread is not None:
                member.thread.join(max(0.0, until - time.monotonic()))
            _drop(member)
        self._nursery.close()
        return clean

    def _begin(self, wanted: Mapping[Member, Configuration]) -> None:
        """Start these workers and have them open their part of a configuration. Raises AdminError."""
        redirects = self._mirror.redirects() if self._serving else {}
        born: list[tuple[Member, Channel, Call]] = []
        try:
            for member, configuration in wanted.items():
                channel, member.pid = self._nursery.bear()
                member.lives += 1
                member.begun = time.monotonic()
                assignment = Assignment(
                    self._options, self._part(configuration, member), self._states, self._media.base, self._memory,
                    redirects, until=self._media.until if member.lives == 1 else member.begun + _LEAVING,
                )
                born.append((member, channel, Call(channel, "open", assignment, patience=OPENING)))
            for _, _, call in born:
                call.result()
        except AdminError:
            for _, channel, _ in born:
                channel.end()
                channel.close()
            raise
        for member, channel, _ in born:
            member.channel = channel  # from now on it is asked

    def _serve(self, members: Iterable[Member]) -> None:
        calls = [(member, Call(member.channel, "serve", logs.style, self._network.portals())) for member in members]
        for member, call in calls:
            call.result()
            number, count = member.number + 1, len(self.members)
            Event.WORKER_STARTED.tell(log, "worker process %d of %d has pid %d", number, count, member.pid)
            if member.thread is None:
                name = f"worker-{number}"
                thread = threading.Thread(target=self._attend, args=(member,), name=name, daemon=True)
                try:
                    thread.start()
                except RuntimeError as problem:  # the system has none left
                    raise AdminError(errno.EAGAIN, f"worker process {number}: {problem}") from None
                member.thread = thread

    # Who has what -------------------------------------------------------------------------------------------------

    def _placed(self, configuration: Configuration) -> dict[str, Member]:
        """The workers of all targets this serves, by name in lower case."""
        before = {name: member.number for name, member in self._owners.items()}
        served = [target for target in configuration.targets if not target.closed or target.name.lower() in before]
        return {
            name: self.members[number]
            for name, number in place(served, len(self.members), self._media.shared, before).items()
        }

    def _part(self, configuration: Configuration, member: Member) -> Configuration:
        """What of it this worker has, or is to have. It knows nothing of discovery and portals, but their groups."""
        mine = tuple(each for each in configuration.targets if self._owners.get(each.name.lower()) is member)
        return replace(configuration, targets=mine, discovery_incoming=(), discovery_outgoing=None, diagnostics=())

    def _owner(self, name: str) -> Member:
        member = self._owners.get(name.lower())
        if member is None:
            raise AdminError(errno.ENOENT, f"there is no target {name}")
        return member

    # What is asked ------------------------------------------------------------------------------------------------

    def ask(self, target: str, operation: str, *arguments: Any) -> Any:
        """Of the worker that has ``target``. Raises AdminError."""
        return Call(self._owner(target).channel, operation, *arguments).result()

    def gather(self, operation: str) -> list[Any]:
        """What those workers say that run, and answer, joined; a sentence about the others is in ``problems``."""
        return [each for _, said in self._glance(operation) if not isinstance(said, AdminError) for each in said]

    def _glance(self, operation: str) -> Iterator[tuple[Member, list[Any] | AdminError]]:
        """What those say that were ever started, or why one does not."""
        calls = [(each, Call(each.channel, operation, patience=_GLANCE)) for each in self.members if each.lives]
        for member, call in calls:
            try:
                yield member, call.result()
            except AdminError as problem:
                log.debug("%s: worker process %d: %s", operation, member.number + 1, problem)
                yield member, problem

    def call(self, operation: str, *arguments: Any, patience: float = PATIENCE) -> list[Call]:
        return [Call(each.channel, operation, *arguments, patience=patience) for each in self.members if each.channel]

    def tell_portals(self) -> None:
        """Returns when all workers know them: no login that came by one that is gone goes on."""
        if self._serving:
            for call in self.call("told", self._network.portals()):
                try:
                    call.result()
                except AdminError as problem:
                    Event.WORKER_SILENT.tell(log, "a worker process was not told of the portals: %s", problem)

    def tell_guess(self, event: str, source: str, now: float, sender: Member | None = None) -> None:
        """Have all processes but ``sender`` hear of a guess of a secret."""
        for member in self.members:
            if member is not sender:
                _send(member, "guess", event, source, now)
        if sender is not None:
            self._network.hear_of_guess(event, source, now)

    def reachable(self, target: str) -> bool:
        member = self._owners.get(target.lower())
        return member is not None and member.channel is not None

    def hand_over(self, sock: socket.socket, passage: Passage) -> None:
        """Pass a login to the worker that has its target. Raises OSError."""
        member = self._owners.get(passage.target.lower())
        channel = member.channel if member else None
        if channel is None:
            raise ConnectionResetError(errno.ECONNRESET, f"the process that serves {passage.target} has gone")
        channel.send("login", passage, sock=sock)

    # Changes ------------------------------------------------------------------------------------------------------

    def add(self, config: TargetConfig, configuration: Configuration) -> None:
        """Serve one more target. Raises AdminError."""
        owners = self._placed(replace(configuration, targets=(*configuration.targets, config)))
        member = owners[config.name.lower()]
        if member.lives:
            Call(member.channel, "add", config).result()
            self._owners = owners
            return
        before, self._owners = self._owners, owners
        try:
            self._begin({member: replace(configuration, targets=(config,))})
            self._serve([member])
        except AdminError:
            self._owners = before
            _discard(member)
            raise

    def forget(self, name: str) -> None:
        """A target is served no more."""
        self._owners = {each: member for each, member in self._owners.items() if each != name.lower()}

    def apply(self, new: Configuration) -> tuple[list[str], set[str]]:
        """Serve what ``new`` says: what could not be done, in sentences, and the names of targets that are there."""
        before = self._owners
        self._owners = {**before, **self._placed(new)}
        fresh = [member for member in self.members if not member.lives and member in self._owners.values()]
        calls = [
            (member, Call(member.channel, "apply", self._part(new, member), patience=OPENING))
            for member in self.members if member.channel is not None
        ]
        unable: list[str] = []
        there: set[str] = set()
        for member, call in calls:
            try:
                kept, names = call.result()
                unable += kept
                there.update(names)
            except AdminError as problem:
                unable.append(f"worker process {member.number + 1}: {problem}")
                served = self._mirror.configuration.targets
                there.update(each.name for each in served if self._owners.get(each.name.lower()) is member)
        try:
            self._begin(dict.fromkeys(fresh, new))
            self._serve(fresh)
        except AdminError as problem:
            unable.append(str(problem))
            for member in fresh:
                _discard(member)
        return unable, there

    def settle(self, names: Iterable[str]) -> None:
        """Of all targets, these are there."""
        there = {name.lower() for name in names}
        self._owners = {name: member for name, member in self._owners.items() if name in there}

    # Who died -----------------------------------------------------------------------------------------------------

    def _attend(self, member: Member) -> None:
        """Hear what a worker says; start another one when it has ended."""
        while (channel := member.channel) is not None:
            message = channel.receive()
            if message is not None:
                self._hear(member, message)
            elif self._over.is_set() or member.channel is not channel:
                return  # ended, or discarded
            else:
                self._lost(member)
                while not self._revived(member):
                    pass

    def _hear(self, member: Member, message: Message) -> None:
        if message.kind == "changed":
            self.changed()
        else:
            event, source, now = message.facts
            self.tell_guess(event, source, now, member)

    def _lost(self, member: Member) -> None:
        _drop(member)
        count = [*self._owners.values()].count(member)
        Event.WORKER_ENDED.tell(
            log, "worker process %d (pid %d) has ended, and with it the sessions of %d target%s; starting another",
            member.number + 1, member.pid, count, "" if count == 1 else "s",
        )
        self.changed()

    def _revived(self, member: Member) -> bool:
        """Try once to have a worker again; also when there is no need of one any more."""
        short = time.monotonic() - member.begun < _SHORT_LIFE
        member.pause = min(max(member.pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE) if short and member.lives > 1 else 0.0
        if self._over.wait(member.pause):
            return True
        try:
            with self._mirror.turn(RELOAD_TURN):
                self._begin({member: self._mirror.configuration})
                self._serve([member])
        except AdminError as problem:
            Event.WORKER_FAILED.tell(log, "worker process %d: %s", member.number + 1, problem)
            _drop(member)
            return self._over.is_set()
        self.changed()
        return True

    # What is said of them -----------------------------------------------------------------------------------------

    def facts(self) -> list[dict[str, Any]]:
        owners = list(self._owners.values())
        return [
            {
                "number": member.number + 1, "pid": member.pid if member.channel is not None else None,
                "targets": owners.count(member), "starts": member.lives,
            }
            for member in self.members if member.lives
        ]

    def problems(self) -> list[Diagnostic]:
        """Of what they serve, and of those that do not run or do not answer."""
        found, place = dict[Diagnostic, None](), Span(self._mirror.configuration.file, 1, 1)
        for member, said in self._glance("problems"):
            if isinstance(said, AdminError):
                kind = Trouble.WORKER_ENDED if said.code == errno.EAGAIN else Trouble.WORKER_SILENT
                said = [kind.at(place, f"worker process {member.number + 1}: {said}", _SEE_LOG)]
            found.update(dict.fromkeys(said))
        return list(found)


def _discard(member: Member) -> None:
    """One that could not be started is as one that never was."""
    _drop(member)
    member.lives, member.thread = 0, None


def _drop(member: Member) -> None:
    channel, member.channel = member.channel, None
    if channel is not None:
        channel.end()
        channel.close()


def _send(member: Member, kind: str, *facts: Any) -> None:
    channel = member.channel
    if channel is not None:
        try:
            channel.send(kind, *facts)
        except OSError as problem:
            log.debug("worker process %d: %s", member.number + 1, problem)
