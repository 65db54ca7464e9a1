"""The iSNS client: keeps the targets registered with a name server and knows whom it lets use them.

Discovery domains decide: an initiator is admitted to a target when the server listed it as initiator in a common
discovery domain, names compared exactly, as IET did. Where IET failed open, this fails closed: under access control
nobody is admitted before the first answer, while the server's name does not resolve, after ``deregister`` or ``stop``,
and once the last answer is older than ``Times.hold`` (90 s, three periods) because the server is away.

One thread does all I/O in rounds: connect, register what is not registered, ask. A round comes every ``Times.period``,
at once after a State Change Notification or ``refresh``, and with growing delay after a failure.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ietpy.events import Event
from ietpy.iscsi.pdu import portal_name
from ietpy.isns import requests
from ietpy.isns.attributes import IsnsError
from ietpy.isns.dialogue import Complaints, Dialogue, Times
from ietpy.isns.network import AddressInfo, Interrupted, Network, words

log = logging.getLogger(__name__)

PORT: Final = 3205  #: the canonical iSNS port (RFC 4171 section 9)
TIMES: Final = Times()


@dataclass(frozen=True, slots=True)
class _Answer:
    """Whom the server lets use which target, and until when that counts; replaced as a whole."""

    initiators: Mapping[str, frozenset[str]]
    expires: float


@dataclass(frozen=True, slots=True)
class _Standing:
    """What ``facts`` tells of the thread; replaced as a whole."""

    state: str
    since: float
    last_error: str = ""
    entity: str = ""
    registered: int = 0


def local_name(address: str) -> str:
    """The name of this host: ``address`` reverse-resolved, as IET, unless it is a loopback one; else the host name."""
    if not ipaddress.ip_address(address).is_loopback:
        try:
            return socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
        except OSError:
            pass  # no name in DNS
    return socket.gethostname()


class IsnsClient:
    """Construct, ``start`` after detaching, ``stop``; once each. All other methods may be called at any time.

    ``server``: name or address. ``portal_port``: where iSCSI is served at ``portal_address``, or at the local address
    that reaches the server if that is empty.
    ``targets()``: the names of the targets of now; called in the client's thread, must neither block nor raise.
    ``entity_id``: empty for the name of this host. ``clock``, ``resolve`` and ``name_of`` are for tests.
    """

    def __init__(
        self,
        server: str,
        *,
        portal_port: int,
        portal_address: str = "",
        targets: Callable[[], Iterable[str]],
        access_control: bool,
        port: int = PORT,
        entity_id: str = "",
        times: Times = TIMES,
        clock: Callable[[], float] = time.monotonic,
        resolve: Callable[..., list[Any]] = socket.getaddrinfo,
        name_of: Callable[[str], str] = local_name,
    ) -> None:
        server = server.strip("[]")
        self._host, self._port = server, port
        self._server = portal_name(server, port)
        self._portal_port = portal_port
        self._portal_address = portal_address
        self._targets = targets
        self._access_control = access_control
        self._entity_id = entity_id
        self._times = times
        self._clock = clock
        self._resolve = resolve
        self._name_of = name_of
        self._thread = threading.Thread(target=self._run, name="isns", daemon=True)
        self._stopping = threading.Event()
        self._due = threading.Event()  #: a round is wanted before its time
        self._lock = threading.Lock()  #: guards ``_wanted`` together with ``_answer``; a leaf
        self._wanted = True
        self._answer: _Answer | None = None
        self._standing = _Standing("not started", time.time())
        self._network: Network | None = None
        self._complaints = Complaints(self._server)
        self._failures = 0

    def start(self) -> None:
        """Begin. Returns at once; the server need not be there. Raises OSError or RuntimeError without resources."""
        self._network = Network(self._clock, self._times.idle)
        self._thread.start()

    def stop(self) -> None:
        """Deregister if the server answers within ``Times.farewell``, close everything, end the thread.

        Returns within ``Times.farewell`` and a second: only a name look-up under way could hold the thread longer.
        """
        self._stopping.set()
        if self._thread.ident is None:
            return
        self._wake()
        self._thread.join(self._times.farewell + 1)
        if self._thread.is_alive():
            sentence = "iSNS server %s: looking up its name takes long; nobody waits for it"
            Event.ISNS_TROUBLE.tell(log, sentence, self._server)

    def refresh(self) -> None:
        """Register targets that came and deregister those that went, soon; also ends what ``deregister`` began."""
        with self._lock:
            self._wanted = True
        self._due.set()
        self._wake()

    def deregister(self) -> None:
        """Deregister all targets from the server, soon, and stay away until ``refresh``.

        Under access control nobody is admitted from now on.
        """
        with self._lock:
            self._wanted = False
            self._answer = None
        self._due.set()
        self._wake()

    def admits(self, target: str, initiator: str) -> bool:
        """Whether ``initiator`` may use ``target``; ``target`` spelt as ``targets()`` does. Never waits."""
        if not self._access_control:
            return True
        answer = self._answer
        return answer is not None and self._clock() < answer.expires and initiator in answer.initiators.get(target, ())

    def facts(self) -> dict[str, Any]:
        """For status displays. ``since``: Unix time. ``answer_age``: seconds, None without an answer that counts."""
        standing, left = self._standing, self._left()
        return {
            "server": self._server,
            "access_control": self._access_control,
            "state": standing.state,
            "since": standing.since,
            "last_error": standing.last_error,
            "entity": standing.entity,
            "registered": standing.registered,
            "answer_age": round(self._times.hold - left, 1) if left else None,
        }

    def _wake(self) -> None:
        if self._network is not None:
            self._network.wake()

    # From here on: the thread.

    def _run(self) -> None:
        network = self._network
        assert network is not None
        dialogue = Dialogue(
            network,
            self._times,
            self._clock,
            self._complaints,
            portal_port=self._portal_port,
            portal_address=self._portal_address,
            find=self._find,
            identify=self._identify,
            interrupted=self._stopping.is_set,
            changed=self._due.set,
        )
        try:
            self._stand(dialogue, "connecting")
            while not self._stopping.is_set():
                most, least = self._attempt(network, dialogue)
                self._wait(network, dialogue, most, least)
            dialogue.leave()
        finally:
            with self._lock:
                self._wanted, self._answer = False, None  # whatever ended the thread: nobody is admitted without it
            network.close()
            self._stand(dialogue, "stopped", self._standing.last_error)

    def _attempt(self, network: Network, dialogue: Dialogue) -> tuple[float, float]:
        """One round; seconds to the next one, and seconds before which not even a notification brings it."""
        try:
            self._round(dialogue)
        except Interrupted:
            return 0.0, 0.0
        except (OSError, UnicodeError, IsnsError) as error:
            problem = words(error)
            network.hang_up(problem)
            wait = min(self._times.retry * 2**self._failures, self._times.retry_most)
            self._failures = min(self._failures + 1, 16)
            self._complaints.log("server", problem, self._consequence(wait))
            if self._access_control and self._answer is not None and not self._left():
                self._complaints.log("answer", f"no answer for {self._times.hold:g} s", "nobody may log in any more")
            self._stand(dialogue, "failing", problem)
            return wait, wait
        self._failures = 0
        self._complaints.over("server")
        self._complaints.over("answer")
        return (min(self._times.period, dialogue.keep_alive) if dialogue.known else math.inf), self._times.pause

    def _consequence(self, wait: float) -> str:
        if not self._access_control:
            return f"trying again in {wait:g} s"
        left = self._left()
        closed = f"its last answer counts for {left:.0f} s more" if left else "nobody may log in (iSNSAccessControl)"
        return f"trying again in {wait:g} s; {closed}"

    def _left(self) -> float:
        """Seconds for which the last answer counts still."""
        answer = self._answer
        return max(0.0, answer.expires - self._clock()) if answer is not None else 0.0

    def _wait(self, network: Network, dialogue: Dialogue, most: float, least: float) -> None:
        """Attend to what the server sends until the next round is due."""
        began = self._clock()
        while not self._stopping.is_set():
            end = began + (least if self._due.is_set() else most)
            if self._clock() >= end:
                return
            for channel, message in network.pump(end):
                dialogue.attend(channel, message)

    def _round(self, dialogue: Dialogue) -> None:
        """Bring the server up to date and ask it."""
        self._due.clear()
        began = self._clock()
        wanted = self._wanted
        names = self._names() if wanted else []
        dialogue.update(names)
        table = {name: dialogue.admitted(name) for name in names} if self._access_control else {}
        with self._lock:
            if self._wanted:
                self._answer = _Answer(table, began + self._times.hold)
        self._stand(dialogue, "deregistered" if not wanted else "registered" if names else "no targets")

    def _names(self) -> list[str]:
        """Targets of now that can be registered; sentences for the others."""
        names = []
        for name in self._targets():
            try:
                requests.check_name(name)
            except IsnsError as error:
                self._complaints.log(f"name {name}", f"a target cannot be registered: {error}", "shorten its name")
            else:
                names.append(name)
        return names

    def _find(self) -> list[AddressInfo]:
        try:
            return self._resolve(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # UnicodeError: no host can have such a name
            raise IsnsError(f"its name does not resolve: {words(error)}") from None

    def _identify(self, address: str) -> str:
        self._entity_id = self._entity_id or self._name_of(address)
        return self._entity_id.lower()  # nameprep, RFC 4171 section 6.2.1

    def _stand(self, dialogue: Dialogue, state: str, problem: str = "") -> None:
        old = self._standing
        since = old.since if old.state == state else time.time()
        if old.state != state and not problem:
            Event.ISNS_STATE.tell(log, "iSNS server %s: %s", self._server, state)
        entity = dialogue.entity.identifier if dialogue.entity is not None and dialogue.known else ""
        self._standing = _Standing(state, since, problem, entity, len(dialogue.known))
