"""The iSNS client of a daemon, replaced when a reload names another server or changes what it decides."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from ietpy.config.model import Configuration
from ietpy.events import Event

if TYPE_CHECKING:
    from ietpy.isns.client import IsnsClient

log = logging.getLogger(__name__)


def _client(server: str, **more: Any) -> IsnsClient:
    from ietpy.isns.client import IsnsClient  # few sites have an iSNS server

    return IsnsClient(server, **more)


def _address(advertised: str) -> tuple[str, int]:
    """The address and port of a TargetAddress; empty where it has a name, which iSNS cannot register."""
    host, _, port = advertised.rpartition(":")
    try:
        return str(ip_address(host.strip("[]"))), int(port)
    except ValueError:
        return "", 0


class Naming:
    """``targets`` and ``portal_port`` as ``isns.client.IsnsClient`` wants them; ``make`` makes one.

    ``advertised``: how the portal is advertised (``iscsi.target.Portal``), or empty.

    Nobody is admitted while there is no client: who asks only asks where iSNS is to decide.
    """

    def __init__(
        self, targets: Callable[[], Iterable[str]], portal_port: Callable[[], int],
        make: Callable[..., IsnsClient] = _client, advertised: Callable[[], str] = str,
    ) -> None:
        self._targets = targets
        self._portal_port = portal_port
        self._make = make
        self._advertised = advertised
        self._lock = threading.Lock()
        self._followed = ("", False, "")
        self._client: IsnsClient | None = None
        self._stopped = False

    def follow(self, configuration: Configuration) -> None:
        """Have the client this configuration asks for, started; also none."""
        wanted = configuration.isns_server, configuration.isns_access_control, self._advertised()
        with self._lock:
            if self._stopped or wanted == self._followed:
                return
            self._end()
            self._followed = wanted
            server, access_control, advertised = wanted
            if not server:
                return
            address, port = _address(advertised)
            client = self._make(
                server, portal_port=port or self._portal_port(), portal_address=address, targets=self._targets,
                access_control=access_control,
            )
            try:
                client.start()
            except (OSError, RuntimeError) as error:  # out of descriptors or threads
                Event.ISNS_TROUBLE.tell(log, "the iSNS client cannot start: %s", error)
                return
            self._client = client

    def stop(self) -> None:
        """Leave the server and end the client, for good; bounded (``IsnsClient.stop``)."""
        with self._lock:
            self._stopped = True  # a reload may be under way
            self._followed = ("", False, "")
            self._end()

    def _end(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.stop()

    def admits(self, target: str, initiator: str) -> bool:
        """Closed also while a client is still there that was not to decide."""
        client, (_, access_control, _) = self._client, self._followed
        return access_control and client is not None and client.admits(target, initiator)

    def refresh(self) -> None:
        client = self._client
        if client is not None:
            client.refresh()

    def deregister(self) -> None:
        client = self._client
        if client is not None:
            client.deregister()

    def facts(self) -> dict[str, Any] | None:
        """What status says of the client; None without one."""
        client = self._client
        return None if client is None else client.facts()
