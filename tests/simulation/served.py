"""A world behind a real server: sockets on loopback, connections' threads and workers, over the simulated machine."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.target import IscsiNode, TargetNode
from ietpy.scsi.asc import Asc
from ietpy.scsi.status import SenseKey
from ietpy.server import egress
from ietpy.server.listener import Server
from ietpy.server.portals import bind
from tests.scsi.conftest import NAME
from tests.simulation.world import World


class _Sendfile:
    """``os`` for the egress: sendfile(2) from the machine's file."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def sendfile(self, out: int, fd: int, offset: int, length: int) -> int:
        count = self._world.machine.sendfile(length)
        if not count and length:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return os.write(out, self._world.file.cache[offset:offset + count])


@contextmanager
def served(world: World) -> Iterator[Callable[[], Client]]:
    """Each call is a new session past its unit attention; all are logged out at the end, and no thread is left."""
    before = set(threading.enumerate())
    clients: list[Client] = []
    with ExitStack() as stack:
        stack.enter_context(world.machine.beneath())
        stack.enter_context(patch.object(egress, "os", _Sendfile(world)))
        node = IscsiNode(threading.RLock())
        node.add(TargetNode(NAME, world.device, queued_commands=16, wthreads=4))
        server = Server(node, bind("127.0.0.1", 0))
        server.start()
        stack.callback(server.stop, 20)

        def connect() -> Client:
            client = Client(socket.create_connection(("127.0.0.1", server.portals()[0][1]), 20))
            stack.callback(client.close)
            client.login(LoginPlan(f"{NAME}.initiator{len(clients)}", NAME))
            assert client.command(0, bytes(6)).status == 2
            clients.append(client)
            return client

        yield connect
        for client in clients:
            client.logout()
    assert set(threading.enumerate()) <= before, "the server left threads behind"


def answer_of(response: Any) -> Any:
    """As ``Going.answer``."""
    if response.status != 2:
        return response.status
    return SenseKey(response.sense[2] & 0x0F), Asc(response.sense[12] << 8 | response.sense[13])
