"""One round of talk with the iSNS server: connect, register what it does not have, ask whom it admits.

Runs in the client's thread. Raises what ended a round: OSError, IsnsError, or Interrupted when the client stops.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ietpy.events import Event
from ietpy.isns import requests
from ietpy.isns.attributes import IsnsError
from ietpy.isns.message import RESPONSE, Function, Message, Status, status_words
from ietpy.isns.network import AddressInfo, Channel, Interrupted, Network, words

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds, all of them."""

    period: float = 30.0  #: from round to round, as IET
    hold: float = 90.0  #: how long an answer counts
    connect: float = 3.0  #: for each address of the server
    answer: float = 5.0  #: for the server to answer a request
    retry: float = 1.0  #: after the first failure; doubled with each further one ...
    retry_most: float = 30.0  #: ... up to this
    pause: float = 0.5  #: between rounds at least, however many notifications come
    farewell: float = 2.0  #: for deregistering when the client stops
    idle: float = 60.0  #: for a connection of the server to us
    registration: int = 300  #: after which the server may forget a client that is silent


class Complaints:
    """Logs each problem once, until it changes or is over."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._known: dict[str, str] = {}

    def log(self, about: str, problem: str, consequence: str) -> None:
        """``about``: what the problem is with. Only ``problem`` tells an old one from a new one."""
        level = logging.DEBUG if self._known.get(about) == problem else logging.WARNING
        self._known[about] = problem
        Event.ISNS_TROUBLE.tell(
            log, "iSNS server %s: %s; %s", self._server, problem, consequence, level=level, about=about
        )

    def over(self, about: str) -> None:
        self._known.pop(about, None)


class Dialogue:
    """``portal_address``: what is registered; empty: the local address that reaches the server. ``find``: addresses of
    the server, or OSError or IsnsError. ``identify``: entity identifier for a local address.

    ``interrupted``: whether to give up. ``changed``: called when the server says that something changed.
    """

    def __init__(
        self,
        network: Network,
        times: Times,
        clock: Callable[[], float],
        complaints: Complaints,
        *,
        portal_port: int,
        portal_address: str,
        find: Callable[[], Sequence[AddressInfo]],
        identify: Callable[[str], str],
        interrupted: Callable[[], bool],
        changed: Callable[[], None],
    ) -> None:
        self._network = network
        self._times = times
        self._clock = clock
        self._complaints = complaints
        self._portal_port = portal_port
        self._portal_address = portal_address
        self._find = find
        self._identify = identify
        self._interrupted = interrupted
        self._changed = changed
        self._reached: list[AddressInfo] = []
        self._transaction = 0
        #: As registered last; counts while ``known`` is not empty.
        self.entity: requests.Entity | None = None
        #: Targets the server has taken; of these, those it notifies us for (or refused to).
        self.known: set[str] = set()
        self._subscribed: set[str] = set()
        #: Seconds between two messages that keep the registration alive.
        self.keep_alive = math.inf

    def update(self, names: Sequence[str]) -> None:
        """Have exactly ``names`` registered. Raises IsnsError if the server takes none of them, too."""
        if not names and not self.known:
            return
        if self._network.server is None:
            self._reached = [self._network.connect(self._find(), self._times.connect, self._interrupted)]
        address, scn_port = self._network.listen()
        address = address.partition("%")[0]
        portal = self._portal_address or address
        entity = requests.Entity(
            self._identify(address), portal, self._portal_port, scn_port, self._times.registration
        )
        self._withdraw(sorted(self.known.difference(names)))
        if not names:
            return
        if self.entity is None or not self.known or not self.entity.stands_where(entity):
            # What the server still has under this identifier is of an earlier run, another address or a lost answer.
            self._register(entity, names, anew=True, replace_others=True)
        elif self.entity != entity or not self._is_present():
            self._register(entity, names, anew=True)
        else:
            self._register(entity, [name for name in names if name not in self.known])
        if not self.known:
            raise IsnsError("it takes none of the targets")
        self._subscribe()

    def _is_present(self) -> bool:
        assert self.entity is not None
        return requests.is_present(self._ask(requests.presence(self.entity.identifier, min(self.known))))

    def _register(
        self, entity: requests.Entity, names: Sequence[str], *, anew: bool = False, replace_others: bool = False
    ) -> None:
        """Register ``names``; ``anew``: the server has none of ours, as far as we know."""
        if anew:
            self.known = set()
        for batch in batches(names):
            if not self._register_batch(entity, batch, replace_others) and len(batch) > 1:
                # One name the server does not like must not keep the others out.
                for name in batch:
                    self._register_batch(entity, [name], replace_others)

    def _register_batch(self, entity: requests.Entity, names: Sequence[str], replace_others: bool) -> bool:
        source = min(self.known, default=names[0])
        response = self._ask(requests.registration(entity, source, names, replace=replace_others and not self.known))
        if response.status:
            if len(names) == 1:
                refused = f"it refuses to register {names[0]} with {status_words(response.status)}"
                self._complaints.log(f"register {names[0]}", refused, "nobody finds this target through it")
            return False
        self.entity = entity
        self.known.update(names)
        self._subscribed.difference_update(names)
        for name in names:
            self._complaints.over(f"register {name}")
        granted = requests.granted_period(response)
        self.keep_alive = max(1.0, granted / 3) if granted else math.inf
        return True

    def _subscribe(self) -> None:
        """Have the server notify us for every target it knows; it is asked once after each registration."""
        for name in sorted(self.known - self._subscribed):
            response = self._ask(requests.scn_registration(name))
            if response.status:
                refused = f"it refuses to notify {name} of changes with {status_words(response.status)}"
                self._complaints.log(f"notify {name}", refused, f"it is asked every {self._times.period:g} s")
            self._subscribed.add(name)

    def _withdraw(self, names: Sequence[str], patience: float | None = None) -> None:
        """Deregister ``names``, which are known; with the last ones the entity goes."""
        if not names or self.entity is None:
            return
        if len(names) == len(self.known):
            farewells = [requests.deregistration(names[0], self.entity.identifier)]
        else:
            farewells = [requests.withdrawal(batch[0], batch) for batch in batches(names)]
        for request in farewells:
            response = self._ask(request, patience)
            if response.status and response.status not in requests.LOST:
                refused = f"it refuses to forget {', '.join(names):.200} with {status_words(response.status)}"
                self._complaints.log("withdraw", refused, "remove them there by hand")
        self.known.difference_update(names)
        self._subscribed.difference_update(names)

    def admitted(self, name: str) -> frozenset[str]:
        """The initiators the server lets use target ``name``; nobody if it refuses to say."""
        if name not in self.known or self.entity is None:
            return frozenset()
        response = self._ask(requests.initiators(name))
        if response.status in (Status.SOURCE_UNKNOWN, Status.SOURCE_ABSENT):
            self.known.discard(name)
            self._register(self.entity, [name])
            self._subscribe()
            response = self._ask(requests.initiators(name))
        if response.status and response.status != Status.NO_SUCH_ENTRY:
            refused = f"it refuses to say who may use {name} with {status_words(response.status)}"
            self._complaints.log(f"ask {name}", refused, "nobody may")
            return frozenset()
        self._complaints.over(f"ask {name}")
        return requests.initiators_in(response)

    def leave(self) -> None:
        """Deregister everything within ``Times.farewell``, if the server lets us; without ``interrupted``."""
        self._interrupted = lambda: False
        patience = self._times.farewell / 2
        if not self.known:
            return
        try:
            if self._network.server is None:
                self._network.connect(self._reached, patience, self._interrupted)
            self._withdraw(sorted(self.known), patience)
        except (OSError, IsnsError) as error:
            consequence = f"it forgets the targets by itself after {self._times.registration} s"
            self._complaints.log("farewell", f"it cannot be told that the targets go: {words(error)}", consequence)

    def attend(self, channel: Channel, message: Message) -> None:
        """Answer a message the server sent of its own accord."""
        response = requests.answer(message)
        if response is not None:
            self._network.send(channel, response)
        if message.function == Function.SCN:
            self._changed()

    def _ask(self, request: Message, patience: float | None = None) -> Message:
        """The answer to ``request``; what else comes meanwhile is attended to."""
        network, server = self._network, self._network.server
        patience = self._times.answer if patience is None else patience
        self._transaction = self._transaction % 0xFFFF + 1
        request = replace(request, transaction=self._transaction)
        wanted = (request.function | RESPONSE, self._transaction)
        deadline = self._clock() + patience
        if server is not None:
            network.send(server, request)
        while network.server is not None and network.server is server:
            response = None
            for channel, message in network.pump(deadline):
                if channel is server and (message.function, message.transaction) == wanted:
                    response = message
                else:
                    self.attend(channel, message)
            if response is not None:
                return response
            if self._interrupted():
                raise Interrupted
            if self._clock() >= deadline:
                raise IsnsError(f"no answer to {request} came within {patience:g} s")
        raise IsnsError(f"the connection is lost: {network.loss}")


def batches(names: Sequence[str], size: int = requests.BATCH) -> Iterator[Sequence[str]]:
    """``names`` in pieces of at most ``size``."""
    return (names[start : start + size] for start in range(0, len(names), size))
