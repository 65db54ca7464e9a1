"""I_T and I_T_L nexuses: which two ports talk, and one initiator port's view of a logical unit by one target port
(SAM-5 sections 4.7 and 4.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ietpy.scsi.statistics import Counters, Latency
from ietpy.scsi.view import EVERYTHING, View

if TYPE_CHECKING:
    from ietpy.scsi.attention import UnitAttention
    from ietpy.scsi.device import ScsiDevice
    from ietpy.scsi.device_server import DeviceServer
    from ietpy.scsi.pace import Grant, Meter
    from ietpy.scsi.third_party_copy import CopyResult

#: What ``Nexus.barrier`` is made of; zero lets a command pass without another question.
ATTENTION_PENDING: Final = 1
RESERVED: Final = 2  #: a reservation may conflict with its commands
REMOVED: Final = 4
OBSTRUCTED: Final = 8  #: the unit is not ready for all commands
ORDERING: Final = 16  #: tasks wait for their turn
PROTECTED: Final = 32  #: its initiator may not write the unit
REVOKED: Final = 64  #: the initiator has this unit no more
METERED: Final = 128  #: the unit is to be no faster than was said (``pace``)
SLOWED: Final = 256  #: its initiator is


#: Relative target port identifier of the only target port, where there is one only.
FIRST_PORT: Final = 1


class ItNexus(NamedTuple):
    """The two ends of an I_T nexus.

    ``initiator``    the initiator port's name, e.g. ``iqn.x,i,0x...``
    ``target_port``  the relative target port identifier, 1 to 65535
    """

    initiator: str
    target_port: int = FIRST_PORT


class Nexus:
    """Made by ``attach``, ended by ``detach``.

    ``lu``          the logical unit
    ``device``      the target device it belongs to
    ``it_nexus``    which ports it is between; ``initiator`` and ``target_port`` are these
    ``view``        what the initiator has of the device; changed under ``device.lock``
    ``number``      the unit's number at the device, also while there is none of it; None: there can be none
    ``barrier``     0, or why the next command needs a closer look; written under ``device.lock``
    ``attentions``  pending unit attention conditions, oldest first
    ``copies``      results of third-party copies, by list identifier
    ``echo``        what WRITE BUFFER has put into its echo buffer, or None
    ``counters``    reads and writes executed in its connection's own thread
    ``deferred``    those executed by others; changed under ``device.lock``
    ``errors``      how many of its commands ended with CHECK CONDITION, by sense key; under ``device.lock``
    ``latency``     how long its commands took, of those the transport measured; None: of none
    ``meter``       what its initiator has used of the rates it is held to; None: of none
    ``granted``     what ``pace`` said to the last command that asked
    ``queries``     whether its transport has I_T NEXUS RESET, QUERY TASK and the like for it (RFC 7144)
    """

    __slots__ = (
        "attentions", "barrier", "copies", "counters", "deferred", "device", "echo", "errors", "granted", "initiator",
        "it_nexus", "latency", "lu", "meter", "number", "queries", "target_port", "view",
    )

    def __init__(self, lu: DeviceServer, device: ScsiDevice, it_nexus: ItNexus, view: View = EVERYTHING) -> None:
        self.lu = lu
        self.device = device
        self.it_nexus = it_nexus
        self.initiator, self.target_port = it_nexus
        self.view = view
        self.number: int | None = lu.number
        self.barrier: int = 0
        self.attentions: list[UnitAttention] = []
        self.copies: dict[int, CopyResult] = {}
        self.echo: bytes | None = None
        self.counters = Counters()
        self.deferred = Counters()
        self.errors: dict[int, int] = {}
        self.latency: Latency | None = None
        self.meter: Meter | None = None
        self.granted: Grant | None = None
        self.queries: bool = False
