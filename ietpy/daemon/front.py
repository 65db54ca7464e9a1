"""The process in front of workers: its server, and how its parts come to be (decisions 54)."""

from __future__ import annotations

import errno
import importlib
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ietpy.config.model import Configuration
from ietpy.daemon.administration import Administration
from ietpy.daemon.channel import Call, all_true
from ietpy.daemon.fleet import Fleet
from ietpy.daemon.media import Media
from ietpy.daemon.mirror import Mirror
from ietpy.daemon.nursery import Nursery
from ietpy.daemon.options import StartOptions
from ietpy.daemon.relay import Relay
from ietpy.daemon.worker import work
from ietpy.errors import AdminError
from ietpy.iscsi.pdu import PORTAL_GROUP_TAG
from ietpy.iscsi.target import IscsiNode
from ietpy.server.listener import Server
from ietpy.stores import STORES
from ietpy.stores.state import StateDirectory


class FrontServer(Server):
    """Listens and serves discovery; what it says and does of sessions is the workers' too."""

    def __init__(self, node: IscsiNode, fleet: Fleet) -> None:
        self._fleet = fleet
        super().__init__(node)
        self.measure = self._measure
        self.pass_on(fleet.hand_over)
        self.share_guesses(fleet.tell_guess)

    def listen(
        self, sockets: Iterable[socket.socket], group: int = PORTAL_GROUP_TAG, advertised: str = ""
    ) -> None:
        super().listen(sockets, group, advertised)
        self._fleet.tell_portals()

    def leave(self, sockets: Sequence[socket.socket]) -> None:
        super().leave(sockets)
        self._fleet.tell_portals()

    def sessions(self) -> list[dict[str, Any]]:
        return [*super().sessions(), *self._fleet.gather("sessions")]

    def _measure(self) -> None:
        self.measuring.asked()
        self._fleet.gather("measure")

    def usage(self) -> list[dict[str, Any]]:
        numbers = {each["pid"]: each["number"] for each in self._fleet.facts()}
        said = self._fleet.gather("usage")
        return [*super().usage(), *({**each, "process": numbers.get(each["pid"], 0)} for each in said)]

    def pulse(self, patience: float) -> list[tuple[str, Callable[[], bool]]]:
        calls = self._fleet.call("pulse", patience=patience)
        return [*super().pulse(patience), *(("a worker process", partial(_answered, call)) for call in calls)]

    def start(self) -> None:
        self._fleet.start()
        super().start()

    def stop(self, timeout: float) -> bool:
        calls = self._fleet.stopping(timeout)
        clean = super().stop(timeout)
        return all_true(calls) and clean


@dataclass(frozen=True, slots=True)
class Front:
    """What stands for the inventory and the server of a daemon of one process."""

    fleet: Fleet
    inventory: Mirror
    server: FrontServer

    @classmethod
    def open(
        cls, nursery: Nursery, count: int, configuration: Configuration, options: StartOptions,
        states: StateDirectory, media: Media,
    ) -> Front:
        """Everything opened by at most ``count`` workers. Raises AdminError."""
        fleet = Fleet(nursery, count, options, states, media)
        fleet.open(configuration)
        inventory = Mirror(configuration, fleet, states, media)
        server = FrontServer(inventory.node, fleet)
        fleet.follow(inventory, server)
        return cls(fleet, inventory, server)

    def relay(self, administration: Administration) -> Relay:
        """What answers on the control socket."""
        administration.processes = self.fleet.facts
        return Relay(administration, self.inventory, self.fleet)


def _answered(call: Call) -> bool:
    """Whether it was, or could not be: one that has ended meanwhile is started again, and who has no descriptor left to
    ask with says nothing of the others. Neither is a reason to end the daemon."""
    try:
        return bool(call.result())
    except AdminError as problem:
        return problem.code != errno.ETIMEDOUT


def nursery(detached: bool, umask: int) -> Nursery:
    """To be called before there are threads, and before anything is open that workers are not to hold."""
    for row in STORES.values():  # a later child runs what was loaded now, also as another user
        importlib.import_module(row.opener.partition(":")[0])
    return Nursery.open(work, detached=detached, umask=umask)
