"""One command in flight. The transport fills it, the logical unit executes it, the transport answers it.

A Task is a plain record reused by its connection: nothing here runs on the data path but attribute access.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ietpy.scsi.sense import list_length_error

if TYPE_CHECKING:
    from ietpy.scsi.joint import Plan
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.nexus import Nexus
    from ietpy.scsi.store import Extent
    from ietpy.scsi.task_set import Place


def _no_sink(length: int) -> memoryview:
    """The sink of a task nobody has given one: fresh memory."""
    return memoryview(bytearray(length))


class Task:
    """Fields by owner.

    Set by the transport before ``LogicalUnit.execute``:
      nexus       the I_T_L nexus the command came by; ``nexus.lu`` is its logical unit
      cdb         16 bytes (longer for extended CDBs)
      attribute   a TaskAttribute value
      data        Data-Out as memoryviews in order; ``data_length`` is their total, whole or cut by the initiator
      expected    the data transfer length the initiator announced; ``data`` never has more than the CDB asks for
      sink        sink(length) -> writable memoryview of exactly that length, where Data-In should land
      may_block   whether executing may wait for a device; if not, ``execute`` may return False
      extents     whether ``data_in`` may be an Extent (RFC 7143 data digests forbid it)

    Set by ``LogicalUnit.execute``:
      status      a Status value
      sense       sense data, empty unless CHECK CONDITION
      data_in     None, bytes, a memoryview (often the sink's) or an Extent, in the length the CDB asked for
      unstable    the unit, and the mark of its store, where ``joint.work`` must come before the answer

      plan        what of it is to be done, where it may be done in a batch (``joint.work``)

    Set by the logical unit's ``TaskSet``:
      place       where it stands in the task set; None for one that is executed as it comes

    Transport-private (RFC 7143 names in ``ietpy.iscsi``): tag, cmd_sn, flags, lun_field, wanted, credit,
    connection, transfer, chunks, special, began and aborted_by. Of these the task set compares cmd_sn and credit (0:
    immediate) of the tasks of one nexus. ``special`` is False for a task that is executed as it came, with no place,
    no transfer and nothing else that would have to be put back before it is used again. ``began``: when its batch
    came, of a task that was handed over while that is measured (``server.latency``); else 0.0.
    """

    __slots__ = (
        "aborted_by", "attribute", "began", "cdb", "chunks", "cmd_sn", "connection", "credit", "data", "data_in",
        "data_length", "expected", "extents", "flags", "lun_field", "may_block", "nexus", "place", "plan", "sense",
        "sink", "special", "status", "tag", "transfer", "unstable", "wanted",
    )

    def __init__(self) -> None:
        self.nexus: Nexus
        self.cdb: bytes = b""
        self.attribute: int = 0
        self.data: Sequence[memoryview] = ()
        self.data_length: int = 0
        self.sink: Callable[[int], memoryview] = _no_sink
        self.may_block: bool = True
        self.extents: bool = False
        self.status: int = 0
        self.sense: bytes = b""
        self.data_in: bytes | memoryview | Extent | None = None
        self.unstable: tuple[LogicalUnit, int] | None = None
        self.plan: Plan | None = None
        self.place: Place | None = None
        self.tag: int = 0
        self.cmd_sn: int = 0
        self.flags: int = 0
        self.expected: int = 0
        self.lun_field: int = 0
        self.wanted: int = 0
        self.credit: int = 0
        self.connection: Any = None
        self.transfer: Any = None
        self.chunks: Any = ()
        self.special: bool = False
        self.aborted_by: Any = None
        self.began: float = 0.0

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for the answer any more: the task was aborted, or its connection has ended."""
        return self.aborted_by is not None or getattr(self.connection, "closing", False)

    def parameter_list(self, length: int) -> bytes:
        """The ``length`` bytes of parameters the CDB announces. Raises PARAMETER LIST LENGTH ERROR if fewer came."""
        data = b"".join(self.data)[:length]
        if len(data) < length:
            raise list_length_error()
        return data
