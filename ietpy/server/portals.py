"""Listening sockets: how they are made, and those a server accepts on, each with the tag of its portal group."""

from __future__ import annotations

import ipaddress
import logging
import selectors
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from ietpy.events import Event
from ietpy.iscsi.target import Asker, Portal
from ietpy.server.interfaces import addresses_of_host

log = logging.getLogger(__name__)

#: Connections that wait to be accepted; the system may allow less (net.core.somaxconn). One too many tries again after
#: a second, so in a flood of them a short queue costs everybody that second.
BACKLOG: Final = 4096
#: Seconds the listener's thread may take until it has let go of a portal that is to be closed.
FOLLOW_SECONDS: Final = 5.0

_WILDCARDS: Final = frozenset(("0.0.0.0", "::"))


def bind(address: str | None, port: int, held: Iterable[socket.socket] = ()) -> list[socket.socket]:
    """Listening sockets for an address (None: all interfaces, both families) and port (0: a free one for all).

    Of one that is ``held`` open elsewhere it is a duplicate, so that closing it does not close the port.

    Raises OSError when nothing can be bound; one family missing is no error when all interfaces were asked for.
    """
    infos = socket.getaddrinfo(address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    problem: OSError | None = None
    for family, kind, protocol, _, where in sorted(infos, key=lambda info: info[0]):
        if port == 0 and sockets:
            where = (where[0], sockets[0].getsockname()[1], *where[2:])
        open_already = [each for each in held if each.family == family and _place(each.getsockname()) == _place(where)]
        try:
            if open_already:
                sockets.append(open_already[0].dup())
                continue
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            problem = error
            continue
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(where)
            sock.listen(BACKLOG)
        except OSError as error:
            problem = OSError(error.errno, f"{error.strerror}: {address or 'any address'} port {port}")
            sock.close()
        else:
            sockets.append(sock)
    if not sockets:
        raise problem or OSError(f"{address} has no address to listen on")
    return sockets


def _place(name: tuple[Any, ...]) -> tuple[Any, ...]:
    """What of the name of a socket says where it is: of IPv6 the zone, too, and not the flow label."""
    return name[:2] + name[3:]


def _name(sock: socket.socket) -> tuple[str, int]:
    """Its numeric address, with the zone if it has one, and port."""
    address, port, *more = sock.getsockname()
    return address + (f"%{socket.if_indextoname(more[1])}" if more and more[1] else ""), port


def _leads(portal: Portal, asker: Asker, port: int) -> bool:
    """Whether ``asker`` came by this portal, at ``port``."""
    if (portal.port, portal.group) != (port, asker.group):
        return False
    if portal.address in _WILDCARDS:
        return (":" in portal.address) == (":" in asker.local)
    return portal.address.partition("%")[0] == asker.local


class Portals:
    """What a server listens on. Any thread may ask and change; the listener's thread alone has ``selector``.

    ``follow()`` and ``rest()`` are for that thread, which alone closes what it may accept on. ``wake``: have it call
    ``follow`` soon.
    """

    def __init__(
        self, selector: selectors.BaseSelector, accept: Callable[[socket.socket], None], wake: Callable[[], None]
    ) -> None:
        self._selector = selector
        self._accept = accept
        self._wake = wake
        self._lock = threading.Lock()
        self._all: Mapping[socket.socket, Portal] = {}  #: replaced, never changed
        self._told: tuple[Portal, ...] = ()  #: what another process listens on for us
        self._accepting: set[socket.socket] = set()
        self._stale = False  #: whether that differs from what there is, as it does not in most rounds
        self._gone: list[socket.socket] = []  #: to be closed by ``follow``
        self._left: list[threading.Event] = []  #: to be set when they are

    def all(self) -> list[Portal]:
        """Those listened on; addresses have their zones."""
        return [*self._all.values(), *self._told]

    def of(self, portal: socket.socket | Portal) -> Portal | None:
        """The portal of a listening socket, or one that was told; None if it was removed a moment ago."""
        if isinstance(portal, Portal):
            return portal if portal in self._told else None
        return self._all.get(portal)

    def tell(self, portals: Iterable[Portal]) -> None:
        """These, and no others, another process listens on for us."""
        self._told = tuple(portals)

    def add(self, sockets: Iterable[socket.socket], group: int, advertised: str = "") -> None:
        """Accept on these, as portals of the group with this tag, which are ``advertised`` so (``Portal``)."""
        added = {}
        for sock in sockets:
            sock.setblocking(False)
            added[sock] = Portal(*_name(sock), group, advertised)
        with self._lock:
            self._all = {**self._all, **added}
            self._stale = True
        self._wake()

    def remove(self, sockets: Sequence[socket.socket], listening: bool) -> None:
        """Close these; connections stay. ``listening``: the listener's thread runs, and is waited for."""
        left = threading.Event()
        with self._lock:
            self._all = {sock: portal for sock, portal in self._all.items() if sock not in sockets}
            if listening:
                self._gone += sockets
                self._left.append(left)
                self._stale = True
        if not listening:
            for sock in sockets:
                sock.close()
            return
        self._wake()
        if not left.wait(FOLLOW_SECONDS):
            Event.PORTAL_NOT_LEFT.tell(log, "the listener has not let go of a portal within %g s", FOLLOW_SECONDS)

    def follow(self) -> None:
        """Accept on all there are, and on no others."""
        if not self._stale:
            return
        with self._lock:
            self._stale = False
            wanted = set(self._all)
            gone, self._gone = self._gone, []
            left, self._left = self._left, []
        self._stop_accepting(self._accepting - wanted)
        for sock in gone:
            sock.close()
        for sock in wanted - self._accepting:
            self._selector.register(sock, selectors.EVENT_READ, self._accept)
            self._accepting.add(sock)
        for event in left:
            event.set()

    def rest(self) -> None:
        """Accept on none, until ``follow`` is called."""
        self._stop_accepting(set(self._accepting))
        with self._lock:
            self._stale = True

    def _stop_accepting(self, sockets: set[socket.socket]) -> None:
        for sock in sockets:
            self._selector.unregister(sock)
            self._accepting.discard(sock)

    def close(self) -> None:
        """Close all; nobody accepts on them any more."""
        for sock in (*self._all, *self._gone):
            sock.close()

    def told_to(self, asker: Asker, port: int) -> Sequence[Portal]:
        """What to name to someone who reached ``port`` of ours: that portal, then the others (iet-compat 8.4).

        Of a wildcard portal all addresses of the family he came by. Left out is what leads nowhere from where he is:
        loopback addresses, and link-local ones of IPv6, whose zone means something on one link only. A portal that is
        advertised stands for itself: nobody but its administrator knows where that leads.
        """
        came = next((each.advertised for each in self.all() if _leads(each, asker, port)), "")
        found = {Portal(asker.local, port, asker.group, came): None}
        here = ipaddress.ip_address(asker.local).is_loopback
        for portal in self.all():
            if portal.advertised:
                addresses = [asker.local if portal.address in _WILDCARDS else portal.address.partition("%")[0]]
            elif portal.address in _WILDCARDS:
                family = ":" in portal.address
                addresses = addresses_of_host(family) if family == (":" in asker.local) else []
            else:
                address = ipaddress.ip_address(portal.address)
                local = address.version == 6 and address.is_link_local
                addresses = [portal.address] if not local and (here or not address.is_loopback) else []
            found.update((portal._replace(address=each), None) for each in addresses)
        return tuple(found)
