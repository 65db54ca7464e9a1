"""What this daemon listens on: as its file says, or its command line; opened at the start, followed by each reload.

Sockets that a service manager holds open are taken in place of opening them again (``activation``). They are never
closed here: the daemon listens on duplicates.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from ietpy.config.model import Configuration, PortalConfig
from ietpy.daemon.options import StartOptions
from ietpy.daemon.troubles import Trouble
from ietpy.errors import ConfigError, Diagnostic, IetpyError, Span
from ietpy.iscsi.pdu import PORTAL_GROUP_TAG, portal_name
from ietpy.server.interfaces import addresses_of_interface
from ietpy.server.portals import bind

_ANYWHERE: Final = Span("", 0, 0)
_UNUSED: Final = "name it in a Portal line, or take it out of the socket unit: who connects to it waits in vain"
_HINT: Final = "correct the Portal line, or have the address there, then ietpy-daemon reload"


class CannotListen(IetpyError):
    """No portal can be opened."""


class Network(Protocol):
    """What is asked of ``server.listener.Server``."""

    def listen(self, sockets: Iterable[socket.socket], group: int, advertised: str) -> None: ...

    def leave(self, sockets: list[socket.socket]) -> None: ...


class Wanted(NamedTuple):
    """Something to listen on: an address, as ``bind`` takes it, of a portal group, and how it is advertised."""

    address: str | None
    port: int
    group: int
    advertised: str = ""

    def __str__(self) -> str:
        return f"{self.address or 'any address'}, port {self.port}"


def check(configuration: Configuration, options: StartOptions) -> None:
    """Raise ConfigError where the file and the command line contradict each other, or leave nothing to listen on."""
    portals = configuration.portals
    if portals is None:
        return
    if not portals:
        raise ConfigError(configuration.errors)
    if options.address:
        problem = f"Portal lines, and -a {options.address}, which means that address only"
        hint = "start without -a (restart with -a ''), or remove the Portal lines"
        raise ConfigError([Diagnostic(portals[0].span, "error", "portals-twice", problem, hint)])


class Portals:
    """Opened and closed by one caller at a time. ``problems``: what cannot be listened on; replaced, never changed.

    ``held``: what was passed to us listening. Where neither the file nor -a names an address, these are the portals.
    """

    def __init__(
        self, options: StartOptions, interface: Callable[[str], list[str]] = addresses_of_interface,
        held: Sequence[socket.socket] = (),
    ) -> None:
        self.problems: list[Diagnostic] = []
        self._options = options
        self._held = held
        self._interface = interface
        self._open: dict[Wanted, list[socket.socket]] = {}

    def open(self, configuration: Configuration, network: Network) -> None:
        """Listen on all that can be. Raises CannotListen where that is nothing."""
        self.come(configuration, network)
        if not self._open:
            raise CannotListen(self.problems[0].problem)

    def close(self) -> None:
        """Let go of all, where no network does."""
        for sockets in self._open.values():
            for sock in sockets:
                sock.close()

    def go(self, configuration: Configuration, network: Network) -> None:
        """Leave what ``configuration`` does not say; connections stay. ``come`` opens what else it says."""
        self.problems = []
        wanted = self._wanted(configuration)
        gone = [each for each in self._open if each not in wanted]
        if gone:
            network.leave([sock for each in gone for sock in self._open.pop(each)])

    def come(self, configuration: Configuration, network: Network) -> None:
        """Listen on what ``configuration`` says, too; what cannot be had is a problem with a line."""
        self.problems = []
        for wanted, span in self._wanted(configuration).items():
            if wanted in self._open:
                continue
            try:
                sockets = bind(wanted.address, wanted.port, self._held)
            except (OSError, UnicodeError) as error:  # a name no resolver can be asked for is a UnicodeError
                self._note(span, f"cannot listen on {wanted}: {getattr(error, 'strerror', None) or error}")
                continue
            self._open[wanted] = sockets
            network.listen(sockets, wanted.group, wanted.advertised)
        used = [sock.getsockname() for sockets in self._open.values() for sock in sockets]
        for sock in self._held:
            if sock.getsockname() not in used:
                where = portal_name(*sock.getsockname()[:2])
                problem = f"nobody listens on {where}, which was passed to the daemon as a socket"
                self._note(_ANYWHERE, problem, Trouble.PORTAL_NOT_USED, _UNUSED)

    def _wanted(self, configuration: Configuration) -> dict[Wanted, Span]:
        """What to listen on, and where that stands. An address that is named goes before its interface's others."""
        if configuration.portals is None and self._held and not self._options.address:
            names = [sock.getsockname() for sock in self._held]
            return {Wanted(address, port, PORTAL_GROUP_TAG): _ANYWHERE for address, port, *_ in names}
        if configuration.portals is None:
            return {Wanted(self._options.address or None, self._options.port, PORTAL_GROUP_TAG): _ANYWHERE}
        found: dict[tuple[str | None, int], tuple[int, str, Span]] = {}
        for portal in sorted(configuration.portals, key=lambda portal: portal.interface):
            port = self._options.port if portal.port is None else portal.port
            for address in self._addresses(portal):
                found.setdefault((address, port), (portal.group, portal.advertised, portal.span))
        return {Wanted(*where, group, advertised): span for where, (group, advertised, span) in found.items()}

    def _addresses(self, portal: PortalConfig) -> list[str | None]:
        if not portal.interface:
            return [None if portal.host == "*" else portal.host]
        try:
            addresses = self._interface(portal.host)
        except OSError as error:
            self._note(portal.span, f"there is no interface {portal.host} to listen on: {error.strerror or error}")
            return []
        if not addresses:
            self._note(portal.span, f"the interface {portal.host} has no address to listen on")
        return [*addresses]

    def _note(
        self, span: Span, problem: str, trouble: Trouble = Trouble.PORTAL_NOT_OPENED, hint: str = _HINT
    ) -> None:
        self.problems = [*self.problems, trouble.at(span, problem, hint)]
