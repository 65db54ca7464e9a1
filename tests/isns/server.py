"""A small iSNS server for tests: registrations, discovery domains, notifications, status inquiries (RFC 4171).

Strict where the RFC is: a node it does not know may ask nothing, and a source must belong to what it changes.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ietpy.isns.attributes import Attribute, NodeType, ScnEvent, Tag
from ietpy.isns.message import HEADER, RESPONSE, Assembler, Flag, Function, Message, Status, encode

PATIENCE = 20.0  #: seconds until a test that waits fails


@dataclass
class Entity:
    """One registered network entity."""

    portals: dict[tuple[str, int], int] = field(default_factory=dict)  #: address, port: SCN port
    nodes: dict[str, int] = field(default_factory=dict)  #: name: node type
    period: int = 0


def dial(address: str, port: int, source: str = "") -> socket.socket:
    """A connection, from ``source`` if that is given."""
    return socket.create_connection((address, port), PATIENCE, (source, 0) if source else None)


def receive(sock: socket.socket, assembler: Assembler) -> Message | None:
    """The next message, or None at the end of the stream."""
    while (message := assembler.next_message()) is None:
        data = sock.recv(65536)
        if not data:
            return None
        assembler.feed(data)
    return message


class IsnsServer:
    """Serves from construction to ``stop``; ``lock`` guards everything and is notified at every change."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.lock = threading.Condition()
        self.requests: list[Message] = []
        self.entities: dict[str, Entity] = {}
        self.domains: dict[str, set[str]] = {}
        self.scn: dict[str, int] = {}
        #: Instead of what the server would do: a status, or raw bytes; b"" says nothing.
        self.faults: dict[int, Status | bytes] = {}
        #: Called when a fault leaves the client without a whole answer; a test lets its time pass then.
        self.on_silence: Callable[[], None] = lambda: None
        #: As ``faults``, but for single names registered.
        self.refused: set[str] = set()
        #: Sent on the same connection before the next answer.
        self.before: list[Message] = []
        #: Responses that came there.
        self.responses: list[Message] = []
        self.granted: int | None = None
        self.pdu_limit = 65532
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family)
        self.port: int = self._listener.getsockname()[1]
        self._connections: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, name="isns-server")]
        self._threads[0].start()

    def stop(self) -> None:
        """Close everything and wait for the threads."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        self.drop_connections()
        for thread in self._threads[1:]:
            thread.join()

    def drop_connections(self) -> None:
        """End all connections of clients."""
        with self.lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def wait_for(self, predicate: Callable[[], object], what: str) -> None:
        """Until ``predicate`` holds; looked at whenever something changed here."""
        with self.lock:
            assert self.lock.wait_for(predicate, PATIENCE), f"never came: {what}; {self.requests}"

    def count(self, function: Function) -> int:
        """Requests of this kind so far."""
        return sum(request.function == function for request in self.requests)

    @property
    def nodes(self) -> dict[str, int]:
        return {name: kind for entity in self.entities.values() for name, kind in entity.nodes.items()}

    @property
    def targets(self) -> set[str]:
        return {name for name, kind in self.nodes.items() if kind & NodeType.TARGET}

    def add_initiator(self, name: str, kind: int = NodeType.INITIATOR) -> None:
        """An initiator registers."""
        with self.lock:
            self.entities.setdefault("initiators.test", Entity()).nodes[name] = kind

    def put(self, domain: str, *names: str, notify: bool = True) -> int:
        """Add members to a discovery domain; how many targets confirmed the notification of it."""
        with self.lock:
            self.domains.setdefault(domain, set()).update(names)
        return self.notify(domain, names, ScnEvent.OBJECT_ADDED) if notify else 0

    def take(self, domain: str, *names: str, notify: bool = True) -> int:
        """Remove members from a discovery domain, as ``put``."""
        listeners = set(self.domains[domain])
        with self.lock:
            self.domains[domain].difference_update(names)
        return self.notify(domain, names, ScnEvent.OBJECT_REMOVED, listeners) if notify else 0

    def notify(self, domain: str, names: tuple[str, ...], event: ScnEvent, listeners: set[str] | None = None) -> int:
        """Send a State Change Notification to each member that registered for it (section 5.6.5.8)."""
        confirmed = 0
        for listener in sorted(self.domains[domain] if listeners is None else listeners):
            if self.scn.get(listener, 0) & event:
                sources = tuple((Tag.ISCSI_NAME, name) for name in names)
                attributes: tuple[Attribute, ...] = (
                    (Tag.ISCSI_NAME, listener),
                    (Tag.TIMESTAMP, 1795651200),
                    (Tag.ISCSI_SCN_BITMAP, event),
                    *sources,
                )
                response = self.ask_client(Message(Function.SCN, attributes, transaction=7, flags=Flag.SERVER))
                assert (response.function, response.status) == (Function.SCN | RESPONSE, Status.SUCCESSFUL)
                assert response.attributes == ((Tag.ISCSI_NAME, listener),)
                confirmed += 1
        return confirmed

    def listener_of_client(self) -> tuple[str, int]:
        """Where the client's portal wants to be notified."""
        return next(
            (address, scn_port)
            for entity in self.entities.values()
            for (address, _), scn_port in entity.portals.items()
        )

    def ask_client(self, message: Message, source: str = "") -> Message:
        """Send ``message`` to the client's SCN port and take its answer."""
        with dial(*self.listener_of_client(), source) as sock:
            sock.sendall(encode(message))
            response = receive(sock, Assembler())
        assert response is not None, "the client closed the connection"
        return response

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), name="isns-server")
            self._threads.append(thread)
            with self.lock:
                self._connections.add(connection)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        assembler = Assembler()
        with contextlib.suppress(OSError), connection:
            while (request := receive(connection, assembler)) is not None:
                with self.lock:
                    if request.function & RESPONSE:
                        self.responses.append(request)
                        self.lock.notify_all()
                        continue
                    before, self.before = self.before, []
                    answer = self._answer(request)
                    self.requests.append(request)
                    self.lock.notify_all()
                connection.sendall(b"".join(encode(message) for message in before) + answer)
                if len(answer) < HEADER.size:
                    self.on_silence()
        with self.lock:
            self._connections.discard(connection)

    def _answer(self, request: Message) -> bytes:
        fault = self.faults.get(request.function)
        if isinstance(fault, bytes):
            return fault
        attributes: tuple[Attribute, ...] = ()
        if fault is None:
            fault, attributes = HANDLERS[Function(request.function)](self, request)
        response = Message(request.function | RESPONSE, attributes, fault, request.transaction, Flag.SERVER)
        return encode(response, self.pdu_limit)

    def register(self, request: Message) -> tuple[Status, tuple[Attribute, ...]]:
        """DevAttrReg, section 5.6.5.1."""
        source, (_, identifier), operating = split(request)
        names = [value for tag, value in operating if tag == Tag.ISCSI_NAME]
        old = self.entities.get(str(identifier))
        if source not in (old.nodes if old is not None else names):
            return Status.SOURCE_UNAUTHORIZED, ()
        if self.refused.intersection(map(str, names)):
            return Status.INVALID_REGISTRATION, ()
        if old is None or request.flags & Flag.REPLACE:
            for name in old.nodes if old is not None else ():
                self.scn.pop(name, None)
            old = self.entities[str(identifier)] = Entity()
        values = dict(operating)
        assert operating[0] == (Tag.ENTITY_IDENTIFIER, identifier), "the key comes first"
        place = (str(values[Tag.PORTAL_IP_ADDRESS]), number(values[Tag.PORTAL_PORT]))
        old.portals[place] = number(values[Tag.SCN_PORT])
        old.period = number(values[Tag.REGISTRATION_PERIOD]) if self.granted is None else self.granted
        for (tag, name), (type_tag, kind) in itertools.pairwise(operating):
            if tag == Tag.ISCSI_NAME:
                assert type_tag == Tag.ISCSI_NODE_TYPE
                old.nodes[str(name)] = number(kind)
        answered = tuple((tag, old.period if tag == Tag.REGISTRATION_PERIOD else value) for tag, value in operating)
        return Status.SUCCESSFUL, (request.attributes[1], (Tag.DELIMITER, None), *answered)

    def query(self, request: Message) -> tuple[Status, tuple[Attribute, ...]]:
        """DevAttrQry of an entity by its identifier, or of nodes by their type, section 5.6.5.2."""
        source, key, operating = split(request)
        if source not in self.nodes:
            return Status.SOURCE_UNKNOWN, ()
        head = (key, (Tag.DELIMITER, None))
        if key[0] == Tag.ENTITY_IDENTIFIER:
            return Status.SUCCESSFUL, (*head, *([key] if key[1] in self.entities else []))
        assert key[0] == Tag.ISCSI_NODE_TYPE
        assert operating == ((Tag.ISCSI_NAME, None), (Tag.ISCSI_NODE_TYPE, None))
        near = set().union(*(members for members in self.domains.values() if source in members))
        found = [
            attribute
            for name, kind in self.nodes.items()
            if name in near and kind & number(key[1])
            for attribute in ((Tag.ISCSI_NAME, name), (Tag.ISCSI_NODE_TYPE, kind))
        ]
        return Status.SUCCESSFUL, (*head, *found)

    def deregister(self, request: Message) -> tuple[Status, tuple[Attribute, ...]]:
        """DevDereg of an entity or of nodes, section 5.6.5.4."""
        source, _, operating = split(request)
        if source not in self.nodes:
            return Status.SOURCE_UNKNOWN, ()
        for tag, value in operating:
            if tag == Tag.ENTITY_IDENTIFIER:
                gone = self.entities.pop(str(value), Entity()).nodes
                for name in gone:
                    self.scn.pop(name, None)
            else:
                assert tag == Tag.ISCSI_NAME
                self.scn.pop(str(value), None)
                for entity in self.entities.values():
                    entity.nodes.pop(str(value), None)
        return Status.SUCCESSFUL, ()

    def register_scn(self, request: Message) -> tuple[Status, tuple[Attribute, ...]]:
        """SCNReg, section 5.6.5.5; management bits are for control nodes (section 6.4.4)."""
        source, (_, name), ((tag, bitmap),) = split(request)
        assert tag == Tag.ISCSI_SCN_BITMAP
        management = ScnEvent.MANAGEMENT | ScnEvent.MEMBER_ADDED | ScnEvent.MEMBER_REMOVED
        if source not in self.nodes or name not in self.nodes or number(bitmap) & management:
            return Status.SCN_REGISTRATION_REJECTED, ()
        self.scn[str(name)] = number(bitmap)
        return Status.SUCCESSFUL, ()


def number(value: object) -> int:
    assert isinstance(value, int)
    return value


def split(request: Message) -> tuple[object, Attribute, tuple[Attribute, ...]]:
    """Source, message key (or a delimiter), operating attributes of a request."""
    (tag, source), *rest = request.attributes
    assert tag == Tag.ISCSI_NAME, "a request begins with its source"
    where = rest.index((Tag.DELIMITER, None))
    assert where < 2, "one key at most"
    return source, rest[0], tuple(rest[where + 1 :])


HANDLERS: dict[Function, Callable[[IsnsServer, Message], tuple[Status, tuple[Attribute, ...]]]] = {
    Function.DEV_ATTR_REG: IsnsServer.register,
    Function.DEV_ATTR_QRY: IsnsServer.query,
    Function.DEV_DEREG: IsnsServer.deregister,
    Function.SCN_REG: IsnsServer.register_scn,
}
