"""Device servers: a logical unit, and what answers where there is none (SAM-5 section 4.7).

``execute`` is the data path: one test of the nexus's barrier, one look-up by operation code, one masked test
for reserved bits, the row's function. Everything that happens rarely is in another method.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from ietpy.errors import StoreError
from ietpy.scsi import attention, reservation
from ietpy.scsi.asc import Asc
from ietpy.scsi.cdb import SERVICE_ACTION
from ietpy.scsi.command import (
    BLOCKS,
    NO_LOGICAL_UNIT,
    UNKNOWN_OPERATION,
    Access,
    Blocks,
    Command,
    dispatch_table,
    reserved_bit,
)
from ietpy.scsi.identity import Identity
from ietpy.scsi.limits import EXTENT_MINIMUM, MAXIMUM_TRANSFER
from ietpy.scsi.nexus import REMOVED, RESERVED_BY_ANOTHER, Nexus
from ietpy.scsi.provisioning import PROVISIONING
from ietpy.scsi.reservation import RESERVATIONS
from ietpy.scsi.sbc import SBC
from ietpy.scsi.sense import CheckCondition, store_failure
from ietpy.scsi.spc import SPC
from ietpy.scsi.status import SenseKey, Status, TaskAttribute

if TYPE_CHECKING:
    from ietpy.scsi.device import ScsiDevice
    from ietpy.scsi.store import BackingStore, Extent
    from ietpy.scsi.task import Task

#: Plain numbers for the data path.
_GOOD: Final = int(Status.GOOD)
_CHECK_CONDITION: Final = int(Status.CHECK_CONDITION)
_RESERVATION_CONFLICT: Final = int(Status.RESERVATION_CONFLICT)
_HEAD_OF_QUEUE: Final = int(TaskAttribute.HEAD_OF_QUEUE)
_READ: Final = Access.READ
_from_bytes: Final = int.from_bytes

DIRECT_ACCESS: Final[tuple[Command, ...]] = SPC.rows + RESERVATIONS.rows + SBC.rows + PROVISIONING.rows


def _fail(task: Task, condition: CheckCondition) -> None:
    task.status = _CHECK_CONDITION
    task.sense = condition.fixed()


class DeviceServer:
    """What executes tasks; ``rows`` are the commands it has, ``unknown`` stands for all others."""

    __slots__ = ("_dispatch", "device", "identity", "rows")

    peripheral = 0x00  #: PERIPHERAL QUALIFIER and DEVICE TYPE of the INQUIRY data

    def __init__(
        self, device: ScsiDevice, identity: Identity, rows: Iterable[Command], unknown: Command
    ) -> None:
        self.device = device
        self.identity = identity
        self.rows = tuple(row for row in rows if row.available is None or row.available(self))
        self._dispatch = dispatch_table(self.rows, unknown)

    def attach(self, initiator: str) -> Nexus:
        """A new nexus of the initiator port ``initiator``."""
        return Nexus(self, self.device, initiator)

    def detach(self, nexus: Nexus) -> None:
        """The nexus is lost."""

    def reset(self) -> None:
        """Logical unit reset (SAM-5 section 6.3.3); aborting tasks is the transport's business."""

    def pending_condition(self, nexus: Nexus) -> CheckCondition:
        """What REQUEST SENSE reports as parameter data, cleared by being reported."""
        raise NotImplementedError

    def execute(self, task: Task) -> bool:
        """Execute ``task``: True when its status, sense and data_in are set.

        False: it may wait for a device and ``task.may_block`` is False; nothing has happened, call again
        where waiting is allowed. Raises nothing.
        """
        cdb = task.cdb
        command = self._dispatch[cdb[0]]
        if command.actions is not None:
            command = command.actions.get(cdb[1] & SERVICE_ACTION, command)
        task.status = _GOOD
        task.sense = b""
        task.data_in = None
        try:
            if (task.nexus.barrier or task.attribute > _HEAD_OF_QUEUE) and not self._admit(task, command):
                return True
            stray = _from_bytes(cdb, "little") & command.forbidden
            if stray:
                raise reserved_bit(stray)
            result = command.function(self, task)
        except CheckCondition as condition:
            _fail(task, condition)
            return True
        except StoreError as error:
            _fail(task, store_failure(error, command.access is not _READ))
            return True
        if result is BLOCKS:
            return False
        if command.allocation is not None and type(result) is bytes:
            result = result[:command.allocation(cdb)]
        task.data_in = result
        return True

    def refuse_early(self, task: Task) -> bool:
        """Whether the command fails before any data is asked for; then status and sense are set.

        A unit attention reported here is reported: do not execute the task.
        """
        cdb = task.cdb
        command = self._dispatch[cdb[0]]
        if command.actions is not None:
            command = command.actions.get(cdb[1] & SERVICE_ACTION, command)
        task.status = _GOOD
        task.sense = b""
        task.data_in = None
        try:
            if (task.nexus.barrier or task.attribute > _HEAD_OF_QUEUE) and not self._admit(task, command):
                return True
            stray = _from_bytes(cdb, "little") & command.forbidden
            if stray:
                raise reserved_bit(stray)
            if command.refuse is not None:
                command.refuse(self, cdb)
        except CheckCondition as condition:
            _fail(task, condition)
            return True
        return False

    def data_out_length(self, task: Task) -> int:
        """Data-Out bytes the CDB asks for; 0 for commands without and for those nobody knows."""
        cdb = task.cdb
        rule = self._dispatch[cdb[0]].data_out
        return 0 if rule is None else rule(self, cdb)

    def _admit(self, task: Task, command: Command) -> bool:
        """The closer look: False when the task has its answer already."""
        return True


#: IET said its names here, too.
_NOBODY: Final = Identity("IET", "VIRTUAL-DISK", "0", "", b"")


class AbsentLogicalUnit(DeviceServer):
    """Answers for LUNs that do not exist (SPC-4 section 6.6.2, SAM-5 section 5.11)."""

    __slots__ = ()

    peripheral = 0x7F

    def __init__(self, device: ScsiDevice) -> None:
        rows = (row for row in SPC.rows if row.without_unit)
        super().__init__(device, _NOBODY, rows, NO_LOGICAL_UNIT)

    def pending_condition(self, nexus: Nexus) -> CheckCondition:
        return CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.LOGICAL_UNIT_NOT_SUPPORTED)


class LogicalUnit(DeviceServer):
    """A direct access block device (SBC-3) over a backing store.

    ``block_size`` is a power of two from 512 and a multiple of the store's. ``write_cache`` is the WCE bit to
    begin with; without it every write is as with FUA. Constructing has no outside effect; ``ScsiDevice.add``
    offers it.

    Read by the commands: ``blocks`` (capacity), ``shift`` (log2 of the block size), ``write_protected``,
    ``write_through``. Changed under ``device.lock`` only: ``nexuses``, ``holder`` and the mode parameters.
    """

    __slots__ = (
        "_immediate", "_write_waits", "block_size", "blocks", "capabilities", "configured_write_cache",
        "holder", "nexuses", "number", "read_only", "shift", "software_write_protect", "store",
        "write_protected", "write_through",
    )

    def __init__(
        self,
        store: BackingStore,
        identity: Identity,
        *,
        device: ScsiDevice,
        number: int,
        block_size: int = 512,
        read_only: bool = False,
        write_cache: bool = False,
    ) -> None:
        if block_size < 512 or block_size & block_size - 1 or block_size % store.block_size:
            raise ValueError(
                f"block size {block_size} of LUN {number}: a power of two from 512 that is a multiple of the"
                f" medium's {store.block_size} bytes is accepted; set BlockSize so"
            )
        self.store = store
        self.capabilities = store.capabilities
        self.number = number
        self.block_size = block_size
        self.shift = block_size.bit_length() - 1
        self.blocks = store.size >> self.shift
        self.read_only = read_only
        self.configured_write_cache: bool = write_cache
        self.software_write_protect: bool = False
        self.write_protected: bool = read_only
        self.write_through: bool = not write_cache
        self._immediate = self.capabilities.immediate
        self._write_waits = self.write_through or not self._immediate
        self.nexuses: tuple[Nexus, ...] = ()
        self.holder: Nexus | None = None
        super().__init__(device, identity, DIRECT_ACCESS, UNKNOWN_OPERATION)

    # Admission

    def _admit(self, task: Task, command: Command) -> bool:
        """The closer look, in the order of SAM-5 section 5.3.3 (status precedence)."""
        if task.attribute > _HEAD_OF_QUEUE:
            # No ACA condition ever exists here, as NACA is refused (SAM-5 section 8.6.5).
            raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.INVALID_MESSAGE_ERROR)
        nexus = task.nexus
        if nexus.barrier & REMOVED or nexus.lu is not self:
            return self._admit_elsewhere(task, command)
        with self.device.lock:
            if command.attention:
                condition = attention.take(nexus, resets_only=True)
                if condition is not None:
                    raise condition.condition()
            if reservation.conflicts(nexus, command, task.cdb):
                task.status = _RESERVATION_CONFLICT
                return False
            if command.attention:
                condition = attention.take(nexus)
                if condition is not None:
                    raise condition.condition()
        return True

    def _admit_elsewhere(self, task: Task, command: Command) -> bool:
        """This unit was removed: answer as the one that has its number now, or as nobody."""
        nexus = task.nexus
        with self.device.lock:
            successor = self.device.logical_units.get(self.number)
            if successor is None:
                self.device.absent.execute(task)
                return False
            if nexus.barrier & REMOVED:
                successor.adopt(nexus)
            if command.attention:
                attention.withdraw(nexus, attention.POWER_ON)
                raise attention.POWER_ON.condition()
        successor.execute(task)
        return False

    # Nexuses and events

    def attach(self, initiator: str) -> Nexus:
        """A new nexus, with POWER ON, RESET, OR BUS DEVICE RESET OCCURRED pending."""
        nexus = Nexus(self, self.device, initiator)
        self.adopt(nexus)
        return nexus

    def adopt(self, nexus: Nexus) -> None:
        """Make ``nexus`` one of this unit, as if new."""
        with self.device.lock:
            self.detach(nexus)
            nexus.lu = self
            nexus.barrier = 0 if self.holder is None else RESERVED_BY_ANOTHER
            nexus.attentions.clear()
            attention.establish(nexus, attention.POWER_ON)
            self.nexuses = (*self.nexuses, nexus)

    def detach(self, nexus: Nexus) -> None:
        """I_T nexus loss (SAM-5 section 6.3.4): its RESERVE ends with it. Harmless where it is no nexus of this."""
        with self.device.lock:
            self.nexuses = tuple(other for other in self.nexuses if other is not nexus)
            if self.holder is nexus:
                reservation.hold(self, None)

    def withdraw(self) -> None:
        """This unit exists no more; its nexuses are told so with every further command."""
        with self.device.lock:
            for nexus in self.nexuses:
                nexus.barrier |= REMOVED

    def reset(self) -> None:
        """Logical unit reset: RESERVE ends, mode parameters are as configured, all nexuses are told."""
        with self.device.lock:
            reservation.hold(self, None)
            self.set_write_cache(self.configured_write_cache)
            self.set_software_write_protect(False)
            for nexus in self.nexuses:
                attention.establish(nexus, attention.LOGICAL_UNIT_RESET)

    def capacity_changed(self) -> None:
        """The store has another size now; all nexuses are told."""
        with self.device.lock:
            self.blocks = self.store.size >> self.shift
            self.tell_others(None, attention.CAPACITY_CHANGED)

    def tell_others(self, author: Nexus | None, condition: attention.UnitAttention) -> None:
        """Establish ``condition`` for all nexuses but ``author``. The caller holds the device's lock."""
        for nexus in self.nexuses:
            if nexus is not author:
                attention.establish(nexus, condition)

    def pending_condition(self, nexus: Nexus) -> CheckCondition:
        with self.device.lock:
            pending = attention.take(nexus)
        if pending is not None:
            return pending.condition()
        return CheckCondition(SenseKey.NO_SENSE, Asc.NO_ADDITIONAL_SENSE_INFORMATION)

    # Mode parameters

    def set_write_cache(self, enabled: bool) -> None:
        """WCE of the caching mode page. Who disables it flushes afterwards."""
        self.write_through = not enabled
        self._write_waits = self.write_through or not self._immediate

    def set_software_write_protect(self, enabled: bool) -> None:
        """SWP of the control mode page."""
        self.software_write_protect = enabled
        self.write_protected = self.read_only or enabled

    # The medium

    def check_ready(self) -> None:
        """Raise if the medium has no block at all."""
        if not self.blocks:
            raise CheckCondition(SenseKey.NOT_READY, Asc.MEDIUM_NOT_PRESENT)

    def refusal(self, lba: int, blocks: int) -> CheckCondition:
        """Why these blocks cannot be moved: past the end, or too many at once."""
        if lba + blocks > self.blocks:
            return CheckCondition(
                SenseKey.ILLEGAL_REQUEST,
                Asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE,
                information=max(lba, self.blocks),
            )
        return CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)

    def check_range(self, lba: int, blocks: int, limit: int = MAXIMUM_TRANSFER) -> None:
        """Raise if the range is not on the medium, or more than ``limit`` bytes."""
        if lba + blocks > self.blocks or blocks << self.shift > limit:
            raise self.refusal(lba, blocks)

    def check_writable(self) -> None:
        """Raise if the medium is write protected."""
        if self.write_protected:
            raise CheckCondition(
                SenseKey.DATA_PROTECT,
                Asc.WRITE_PROTECTED if self.read_only else Asc.LOGICAL_UNIT_SOFTWARE_WRITE_PROTECTED,
            )

    def read(self, task: Task, lba: int, blocks: int) -> memoryview | Extent | Blocks | None:
        """The content of ``blocks`` blocks, promised or in the task's sink; BLOCKS if that would wait."""
        length = blocks << self.shift
        if lba + blocks > self.blocks or length > MAXIMUM_TRANSFER:
            raise self.refusal(lba, blocks)
        if length >= EXTENT_MINIMUM and task.extents:
            extent = self.store.extent(lba << self.shift, length)
            if extent is not None:
                return extent
        if not length:
            return None
        view = task.sink(length)
        if task.may_block:
            self.store.read(lba << self.shift, view)
        elif not self.store.read_now(lba << self.shift, view):
            return BLOCKS
        return view

    def write(self, task: Task, lba: int, blocks: int, fua: int) -> Blocks | None:
        """Write the task's Data-Out; ``fua`` other than 0 forces it to the medium. BLOCKS if that would wait.

        Of data cut short by the initiator only whole blocks are written.
        """
        length = blocks << self.shift
        if self.write_protected:
            self.check_writable()
        if lba + blocks > self.blocks or length > MAXIMUM_TRANSFER:
            raise self.refusal(lba, blocks)
        if (fua or self._write_waits) and not task.may_block:
            return BLOCKS
        views = task.data if task.data_length == length else self.whole_blocks(task, length)
        if views:
            self.store.write(lba << self.shift, views, self.write_through or fua != 0)
        return None

    def whole_blocks(self, task: Task, length: int) -> Sequence[memoryview]:
        """The task's Data-Out cut to whole blocks, at most ``length`` bytes."""
        left = min(task.data_length, length) >> self.shift << self.shift
        views = []
        for view in task.data:
            if left:
                views.append(view[:left])
                left -= len(views[-1])
        return views
