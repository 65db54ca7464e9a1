"""What an iSCSI target says to an iSNS server, and what it reads in the answers (RFC 4171 section 5.6), without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ietpy.isns.attributes import Attribute, EntityProtocol, IsnsError, NodeType, ScnEvent, Tag, encode_attribute
from ietpy.isns.message import RESPONSE, Flag, Function, Message, Status

#: Names in one message at most, so that every request fits one PDU; some servers know no others.
BATCH: Final = 128
#: What a target wants to hear of (section 6.4.4): initiators that come, go and change in its discovery domains.
SCN_EVENTS: Final = (
    ScnEvent.INITIATOR_AND_SELF_ONLY | ScnEvent.OBJECT_REMOVED | ScnEvent.OBJECT_ADDED | ScnEvent.OBJECT_UPDATED
)
#: A server that answers so does not know the asking node (any more).
LOST: Final = frozenset({Status.SOURCE_UNKNOWN, Status.SOURCE_ABSENT, Status.NO_SUCH_ENTRY})
_DELIMITER: Final[Attribute] = (Tag.DELIMITER, None)


@dataclass(frozen=True, slots=True)
class Entity:
    """What is registered beside the targets: the network entity and its one portal (sections 6.2 and 6.3).

    ``period``: seconds without a message from us after which the server may forget the entity (section 6.2.6). There
    is no ESI port: a server that cannot reach us through a firewall must not take us for dead.
    """

    identifier: str
    address: str
    port: int
    scn_port: int
    period: int

    def stands_where(self, other: Entity) -> bool:
        """Whether both have the same keys, so that one registration can update the other."""
        return (self.identifier, self.address, self.port) == (other.identifier, other.address, other.port)


def check_name(name: str) -> None:
    """Raise IsnsError for a name iSNS cannot carry: at most 223 bytes of UTF-8, and not none (section 6.4.1)."""
    if not name:
        raise IsnsError("a target without a name cannot be registered")
    encode_attribute(Tag.ISCSI_NAME, name)


def registration(entity: Entity, source: str, names: Sequence[str], *, replace: bool) -> Message:
    """DevAttrReg of the entity, its portal and these targets (section 5.6.5.1).

    ``replace``: whatever else the server has under this entity identifier goes. ``source`` is a registered target of
    the entity, or one of ``names`` if there is none.
    """
    nodes = [
        attribute for name in names for attribute in ((Tag.ISCSI_NAME, name), (Tag.ISCSI_NODE_TYPE, NodeType.TARGET))
    ]
    return Message(
        Function.DEV_ATTR_REG,
        (
            (Tag.ISCSI_NAME, source),
            (Tag.ENTITY_IDENTIFIER, entity.identifier),
            _DELIMITER,
            (Tag.ENTITY_IDENTIFIER, entity.identifier),
            (Tag.ENTITY_PROTOCOL, EntityProtocol.ISCSI),
            (Tag.REGISTRATION_PERIOD, entity.period),
            (Tag.PORTAL_IP_ADDRESS, entity.address),
            (Tag.PORTAL_PORT, entity.port),
            (Tag.SCN_PORT, entity.scn_port),
            *nodes,
        ),
        flags=Flag.CLIENT | (Flag.REPLACE if replace else Flag(0)),
    )


def scn_registration(name: str) -> Message:
    """SCNReg of one target (section 5.6.5.5)."""
    return Message(
        Function.SCN_REG,
        ((Tag.ISCSI_NAME, name), (Tag.ISCSI_NAME, name), _DELIMITER, (Tag.ISCSI_SCN_BITMAP, SCN_EVENTS)),
    )


def presence(identifier: str, source: str) -> Message:
    """DevAttrQry whether our entity is still registered (section 6.3.4); it keeps the registration alive, too."""
    return Message(
        Function.DEV_ATTR_QRY,
        (
            (Tag.ISCSI_NAME, source),
            (Tag.ENTITY_IDENTIFIER, identifier),
            _DELIMITER,
            (Tag.ENTITY_IDENTIFIER, None),
        ),
    )


def initiators(name: str) -> Message:
    """DevAttrQry of the initiators in a common discovery domain with target ``name`` (section 5.6.5.2)."""
    return Message(
        Function.DEV_ATTR_QRY,
        (
            (Tag.ISCSI_NAME, name),
            (Tag.ISCSI_NODE_TYPE, NodeType.INITIATOR),
            _DELIMITER,
            (Tag.ISCSI_NAME, None),
            (Tag.ISCSI_NODE_TYPE, None),
        ),
    )


def withdrawal(source: str, names: Sequence[str]) -> Message:
    """DevDereg of single targets (section 5.6.5.4)."""
    return Message(
        Function.DEV_DEREG, ((Tag.ISCSI_NAME, source), _DELIMITER, *((Tag.ISCSI_NAME, name) for name in names))
    )


def deregistration(source: str, identifier: str) -> Message:
    """DevDereg of the entity with all that belongs to it (section 5.6.5.4)."""
    return Message(Function.DEV_DEREG, ((Tag.ISCSI_NAME, source), _DELIMITER, (Tag.ENTITY_IDENTIFIER, identifier)))


def operating(response: Message) -> tuple[Attribute, ...]:
    """The operating attributes of a response: those behind the delimiter, if there is one (section 5.7)."""
    tags = [tag for tag, _ in response.attributes]
    return response.attributes[tags.index(Tag.DELIMITER) + 1 :] if Tag.DELIMITER in tags else response.attributes


def is_present(response: Message) -> bool:
    """Whether the answer to ``presence`` says that the entity is registered; refusals of other kinds say nothing."""
    if response.status:
        return response.status not in LOST
    return any(tag == Tag.ENTITY_IDENTIFIER for tag, _ in operating(response))


def initiators_in(response: Message) -> frozenset[str]:
    """Names in the answer to ``initiators`` that the server calls initiators; a name without type is none."""
    found = set()
    name: object = None
    for tag, value in operating(response):
        if tag == Tag.ISCSI_NAME:
            name = value
        elif tag == Tag.ISCSI_NODE_TYPE and isinstance(name, str) and isinstance(value, int):
            if value & NodeType.INITIATOR:
                found.add(name)
            name = None
    return frozenset(found)


def granted_period(response: Message) -> int | None:
    """The registration period in the answer to ``registration``, seconds, if the server names one (section 5.7.5.1)."""
    periods = [value for tag, value in operating(response) if tag == Tag.REGISTRATION_PERIOD]
    return periods[-1] if periods and isinstance(periods[-1], int) else None


def answer(request: Message) -> Message | None:
    """What to answer to a message of the server's own accord; None: nothing, as it is a response or a heartbeat."""
    if request.function & RESPONSE or request.function == Function.HEARTBEAT:
        return None
    if request.function == Function.ESI:
        status, attributes = Status.SUCCESSFUL, request.attributes  # all of them, in their order: section 5.7.5.13
    elif request.function == Function.SCN:
        status, attributes = Status.SUCCESSFUL, request.attributes[:1]  # the destination: section 5.7.5.8
    else:
        status, attributes = Status.MESSAGE_NOT_SUPPORTED, ()
    return Message(request.function | RESPONSE, attributes, status, request.transaction)
