from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.images import make_image
from ietpy.initiator.client import Client
from ietpy.initiator.framing import Framer, Pdu, build_pdu
from ietpy.initiator.numbering import Numbering
from ietpy.initiator.session import Session
from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.pdu import NO_TAG, Opcode
from ietpy.server.listener import Server
from ietpy.server.portals import bind


class Side:
    """The target's side of a session: right PDUs unless told otherwise, as bytes or cut by a Framer."""

    def __init__(self, *, stat_sn: int = 100, exp_cmd_sn: int = 1, window: int = 32) -> None:
        self.stat_sn = stat_sn
        self.exp_cmd_sn = exp_cmd_sn
        self.window = window

    def pack(self, opcode: int, data: bytes = b"", *, advance: bool = True, **fields: Any) -> bytes:
        fields.setdefault("flags", 0x80)
        fields.setdefault("stat_sn", self.stat_sn)
        fields.setdefault("exp_cmd_sn", self.exp_cmd_sn)
        fields.setdefault("max_cmd_sn", self.exp_cmd_sn + self.window - 1)
        self.stat_sn += advance
        return build_pdu(opcode, data, **fields)

    def pdu(self, opcode: int, data: bytes = b"", **fields: Any) -> Pdu:
        return cut(self.pack(opcode, data, **fields))

    def data_in(self, tag: int, data: bytes, **fields: Any) -> Pdu:
        last = fields.get("flags", 0x81) & 1
        fields = {"flags": 0x81, "initiator_task_tag": tag, "target_transfer_tag": NO_TAG, **fields}
        return self.pdu(Opcode.DATA_IN, data, advance=bool(last), **fields)


def cut(data: bytes) -> Pdu:
    framer = Framer(1 << 24)
    framer.feed(data)
    pdu = framer.next_pdu()
    assert pdu is not None
    assert not framer.pending
    return pdu


@pytest.fixture
def side() -> Side:
    return Side()


@pytest.fixture
def one_pdu() -> Callable[[bytes], Pdu]:
    return cut


@pytest.fixture
def new_session() -> Callable[..., Session]:
    """A session that logged in: next CmdSN 1, next StatSN 100, a window of 32."""

    def make(window: int = 32, **keys: Any) -> Session:
        numbering = Numbering(1)
        numbering.next_stat_sn = 100
        numbering.max_cmd_sn = window
        parameters = Parameters(**{"max_xmit_data_segment_length": 8192, **keys})
        return Session(numbering, parameters)

    return make


class Scripted:
    """A target in a thread: each step is called with the PDU that came and returns bytes to send."""

    def __init__(self, sock: socket.socket, steps: list[Callable[[Pdu], bytes]]) -> None:
        self._socket = sock
        self._steps = steps
        self.seen: list[Pdu] = []
        self.problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        framer = Framer(1 << 24)
        try:
            with self._socket:
                for step in self._steps:
                    while (pdu := framer.next_pdu()) is None:
                        data = self._socket.recv(65536)
                        if not data:
                            return
                        framer.feed(data)
                    self.seen.append(pdu)
                    self._socket.sendall(step(pdu))
        except BaseException as problem:
            self.problem = problem

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()
        if self.problem is not None:
            raise self.problem


@pytest.fixture
def scripted() -> Iterator[Callable[..., tuple[Client, Scripted]]]:
    """(client, target) joined by a socket pair; both are ended after the test."""
    made: list[tuple[Client, Scripted]] = []

    def make(*steps: Callable[[Pdu], bytes], timeout: float = 5.0) -> tuple[Client, Scripted]:
        ours, theirs = socket.socketpair()
        theirs.settimeout(10)
        made.append((Client(ours, timeout=timeout), Scripted(theirs, list(steps))))
        return made[-1]

    yield make
    for client, target in made:
        client.close()
        target.join()


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, int], int]]:
    """serve(configuration, blocks) -> the port of a server for it on loopback; ``{path}`` is an image so long."""
    served: list[tuple[Server, Inventory]] = []

    def make(configuration: str, blocks: int) -> int:
        path = tmp_path_factory.mktemp("image") / "disk.img"
        make_image(str(path), blocks * 512)
        inventory = Inventory(loads(configuration.format(path=path)), Media())
        assert not inventory.degraded, inventory.problems
        server = Server(inventory.node, bind("127.0.0.1", 0))
        server.start()
        served.append((server, inventory))
        return server.portals()[0][1]

    yield make
    for server, inventory in served:
        assert server.stop(10)
        assert inventory.close()


@pytest.fixture
def connect(port: int) -> Iterator[Callable[[], Client]]:
    """connect() -> a client of the module's ``port``, closed when the test is over."""
    made: list[Client] = []

    def make() -> Client:
        made.append(Client.connect("127.0.0.1", port))
        return made[-1]

    yield make
    for client in made:
        client.close()
