"""Metrics and the status page, where they were asked for: opened before there are threads, served until the end.

Disks are served without them, too: what keeps them from being served is a problem that ``status`` tells.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import socket
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from ietpy.config.model import Configuration
from ietpy.daemon.options import OFF, StartOptions
from ietpy.daemon.troubles import Trouble
from ietpy.errors import Diagnostic, Span
from ietpy.events import Event
from ietpy.server.portals import bind

if TYPE_CHECKING:
    from ietpy.daemon.web import Request, Response, WebServer

log = logging.getLogger(__name__)

_ASSETS: Final = {"/status.css": "text/css; charset=utf-8", "/status.js": "text/javascript; charset=utf-8"}


class Watching:
    """``place``: where, as it was wanted, with the port it has; empty: nowhere."""

    def __init__(self, options: StartOptions, configuration: Configuration) -> None:
        wanted = options.metrics or configuration.metrics
        self.place = "" if wanted == OFF else wanted
        self.problems: list[Diagnostic] = []
        self._file = configuration.file
        self._sockets: list[socket.socket] = []
        self._server: WebServer | None = None
        self._local = True
        self._assets: dict[str, bytes] = {}

    def open(self) -> None:
        """Listen, if it was asked for; what cannot be is a problem."""
        if not self.place:
            return
        if importlib.util.find_spec("prometheus_client") is None:
            hint = "install it (pip install 'ietpy[metrics]', or Debian's python3-prometheus-client), then restart"
            self._fail("prometheus-client, which writes them, is not installed", hint)
            return
        import prometheus_client.exposition  # noqa: F401 - as whom the daemon runs later may not be let read it

        from ietpy.daemon import metrics, status_page, web  # noqa: F401

        self._assets = {path: status_page.asset(path[1:]) for path in _ASSETS}
        host, _, port = self.place.rpartition(":")
        host = host.strip("[]")
        try:
            self._sockets = bind(host, int(port))
        except OSError as problem:
            self._fail(problem.strerror or str(problem), "write another Metrics line, then restart")
            return
        self.place = f"{self.place.rpartition(':')[0]}:{self._sockets[0].getsockname()[1]}"
        self._local = ip_address(host).is_loopback
        if not self._local:
            found = f"metrics and the status page at {self.place} are for whoever reaches it: there is no password"
            hint = "write a loopback address and put a proxy before it that asks for one, or see to it with a firewall"
            self.problems.append(Trouble.METRICS_OPEN.at(Span(self._file, 1, 1), found, hint))

    def _fail(self, why: str, hint: str) -> None:
        problem = f"metrics and the status page are not served at {self.place}: {why}"
        self.problems.append(Trouble.METRICS_NOT_SERVED.at(Span(self._file, 1, 1), problem, hint))
        self.place = ""

    def start(self, facts: Callable[[], dict[str, Any]]) -> None:
        """Serve from now on; ``facts`` are those of ``status``."""
        if not self._sockets:
            return
        from ietpy.daemon.web import WebServer

        server = WebServer(self._sockets, Answers(facts, self._assets), local=self._local)
        try:
            server.start()
        except RuntimeError as problem:  # the system has no thread left
            Event.THREADS.tell(log, "metrics are not served: %s", problem)
            server.stop()
            return
        self._server = server
        facts()  # commands are measured from now on
        Event.WATCHED.tell(log, "metrics and the status page are at http://%s/", self.place)

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
        self.close()

    def close(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.close()


class Answers:
    """By path; all of them read the facts once."""

    def __init__(self, facts: Callable[[], dict[str, Any]], assets: Mapping[str, bytes]) -> None:
        self._facts = facts
        self._assets = assets

    def __call__(self, request: Request) -> Response:
        from ietpy.daemon import metrics, status_page
        from ietpy.daemon.web import Response

        if request.path == "/metrics":
            body, kind = metrics.render(self._facts(), request.headers.get("accept", ""))
            return Response(body, kind)
        if request.path == "/status.json":
            return Response(status_page.as_json(self._facts()), "application/json")
        if request.path == "/":
            return Response(status_page.page(self._facts()).encode(), "text/html; charset=utf-8")
        if request.path in _ASSETS:
            return Response(self._assets[request.path], _ASSETS[request.path])
        return Response(b"there is nothing here but /, /metrics and /status.json\n", status=404)
