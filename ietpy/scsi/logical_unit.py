"""A logical unit (SAM-5 section 4.7): a direct access block device over a backing store.

Its state lives here; the commands are rows of their sets, and who may execute them now is ``admission``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from ietpy.scsi import admission, attention, cache, format_unit, joint, mode, persistent_record, reservation, sanitize
from ietpy.scsi.asc import Asc
from ietpy.scsi.command import BLOCKS, UNKNOWN_OPERATION, WRITTEN, Blocks, Command
from ietpy.scsi.device_server import DeviceServer
from ietpy.scsi.direct_access import DIRECT_ACCESS
from ietpy.scsi.exclusion import Exclusion
from ietpy.scsi.identity import Identity
from ietpy.scsi.limits import EXTENT_MINIMUM, MAXIMUM_TRANSFER
from ietpy.scsi.nexus import FIRST_PORT, OBSTRUCTED, PROTECTED, REMOVED, REVOKED, SLOWED, ItNexus, Nexus
from ietpy.scsi.readiness import Readiness
from ietpy.scsi.sense import CheckCondition
from ietpy.scsi.statistics import Counters, Latency, Record
from ietpy.scsi.status import SenseKey, Status
from ietpy.scsi.task_set import TaskSet
from ietpy.scsi.view import EVERYTHING, View

if TYPE_CHECKING:
    from ietpy.scsi.device import ScsiDevice
    from ietpy.scsi.state import UnitState
    from ietpy.scsi.store import BackingStore, Extent
    from ietpy.scsi.task import Task

#: Why a command cannot be executed now, or None.
Obstacle: TypeAlias = "Callable[[Command], CheckCondition | None]"


class LogicalUnit(DeviceServer):
    """A direct access block device (SBC-3) over a backing store.

    ``block_size`` is a power of two from 512 and a multiple of the store's. ``write_cache`` is the WCE bit to
    begin with; without it every write is as with FUA. ``exclusion`` belongs to the medium; units that share the one
    share the other. ``state`` keeps what survives power loss; None: nothing does. ``removable``: the medium can be
    ejected. Constructing has no outside effect but to read ``state``; ``ScsiDevice.add`` offers the unit. Raises
    ValueError for a block size or a state that cannot be used.

    Read by the commands: ``blocks`` (capacity), ``shift`` (log2 of the block size), ``write_protected``,
    ``write_through``. Changed under ``device.lock`` only: ``nexuses``, ``gates``, ``holder``, ``persistent``, the mode
    parameters.
    """

    __slots__ = (
        "_immediate", "_obstacle", "_waits", "block_size", "blocks", "cached", "capabilities",
        "configured_write_cache", "exclusion", "gates", "holder", "log_start", "nexuses", "number", "persistent",
        "read_only", "readiness", "record", "removable", "separate_task_sets", "shift", "software_write_protect",
        "state", "store", "task_aborted_status", "tasks", "unit_attention_interlock", "write_protected",
        "write_through", "writes_wait",
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
        exclusion: Exclusion | None = None,
        state: UnitState | None = None,
        removable: bool = False,
    ) -> None:
        if block_size < 512 or block_size & block_size - 1 or block_size % store.block_size:
            raise ValueError(
                f"block size {block_size} of LUN {number}: a power of two from 512 that is a multiple of the"
                f" medium's {store.block_size} bytes is accepted; set BlockSize so"
            )
        self.store = store
        self.capabilities = store.capabilities
        self.number: int = number
        self.block_size = block_size
        self.shift = block_size.bit_length() - 1
        self.blocks = store.size >> self.shift
        self.read_only = read_only
        self.configured_write_cache: bool = write_cache
        self.software_write_protect: bool = False
        self.write_protected: bool = read_only
        self.write_through: bool
        self.writes_wait: bool
        self.cached: cache.Cached | None = None  #: what the cache alone may have; longer than write caching is enabled
        self._immediate = self.capabilities.immediate
        self.set_write_cache(write_cache)
        self.exclusion = exclusion or Exclusion()
        self.exclusion.join(device)
        self.state = state
        self.removable = removable
        self.nexuses: tuple[Nexus, ...] = ()
        #: Bits of ``Nexus.barrier`` that all nexuses of this unit have.
        self.gates: int = 0
        self.tasks: TaskSet = TaskSet(self)
        self.holder: Nexus | None = None  #: of RESERVE
        self.persistent = persistent_record.restore(state, number)
        #: Fields of the control mode page (SPC-4 section 7.5.8): UA_INTLCK_CTRL, TAS, TST.
        self.unit_attention_interlock: int = 0
        self.task_aborted_status: bool = False
        self.separate_task_sets: bool = False
        self._obstacle: Obstacle | None = None
        self.record: Record = Record()
        self.log_start = Counters()  #: ``statistics()`` when the counters of the log pages were reset
        super().__init__(device, identity, DIRECT_ACCESS, UNKNOWN_OPERATION)
        mode.restore(self)
        self.readiness = Readiness(self)
        format_unit.restore(self)
        sanitize.restore(self)
        self.readiness.refresh()

    def resume(self) -> None:
        """Let go on what the unit's state says is under way. The caller holds the device's lock."""
        if self.readiness.operation is not None:
            self.readiness.operation.resume()

    # Admission

    def _admit(self, task: Task, command: Command) -> bool | None:
        return admission.admit(self, task, command)

    def turn_away(self, task: Task, status: Status) -> None:
        with self.device.lock:
            super().turn_away(task, status)
            admission.note_refusal(self, task.nexus, status)

    def obstacle(self, command: Command) -> CheckCondition | None:
        """Why the unit is not ready for ``command``. The caller holds the device's lock."""
        return None if self._obstacle is None else self._obstacle(command)

    def obstruct(self, obstacle: Obstacle | None) -> None:
        """From now on ask ``obstacle`` why a command cannot be executed. The caller holds the device's lock."""
        self._obstacle = obstacle
        self.close_gate(OBSTRUCTED, obstacle is not None)

    def close_gate(self, bit: int, closed: bool) -> None:
        """Have every command of every nexus take the closer look, or not for this reason. As ``obstruct``."""
        self.gates = self.gates | bit if closed else self.gates & ~bit
        for nexus in self.nexuses:
            if nexus.lu is self:  # else a successor of this unit has it
                nexus.barrier = nexus.barrier | bit if closed else nexus.barrier & ~bit

    # Nexuses and events

    def attach(self, initiator: str, target_port: int = FIRST_PORT, view: View = EVERYTHING) -> Nexus:
        """A new nexus, with POWER ON, RESET, OR BUS DEVICE RESET OCCURRED pending."""
        nexus = Nexus(self, self.device, ItNexus(initiator, target_port), view)
        if not view.may_write(self.number):
            nexus.barrier = PROTECTED
        self.adopt(nexus)
        return nexus

    def adopt(self, nexus: Nexus) -> None:
        """Make ``nexus`` one of this unit, as if new."""
        with self.device.lock:
            self.detach(nexus)
            nexus.lu = self
            nexus.barrier = self.gates | nexus.barrier & (PROTECTED | SLOWED)
            nexus.attentions.clear()
            nexus.echo = None
            nexus.copies.clear()
            attention.establish(nexus, attention.POWER_ON)
            self.nexuses = (*self.nexuses, nexus)
            reservation.refresh(self)

    def detach(self, nexus: Nexus) -> None:
        """The nexus is gone. Harmless where it is no nexus of this."""
        with self.device.lock:
            if nexus in self.nexuses:
                self.nexuses = tuple(other for other in self.nexuses if other is not nexus)
                self.record.gone(nexus)
            self._lose(nexus)

    def review(self, nexus: Nexus, view: View) -> None:
        nexus.view = view
        if view.may_write(self.number) == bool(nexus.barrier & PROTECTED):
            nexus.barrier ^= PROTECTED
            attention.establish(nexus, attention.MODE_PARAMETERS_CHANGED)

    def revoke(self, nexus: Nexus, view: View) -> None:
        nexus.view = view
        nexus.barrier |= REVOKED
        self._lose(nexus)

    def nexus_reset(self, nexus: Nexus) -> None:
        """I_T NEXUS RESET (SAM-5 section 7.6): as if lost, but it goes on; tasks are the transport's business."""
        with self.device.lock:
            self._lose(nexus)
            attention.establish(nexus, attention.NEXUS_LOST)

    def _lose(self, nexus: Nexus) -> None:
        """What ends with an I_T nexus (SAM-5 6.3.4): its RESERVE, its results of copies, that it prevents removal."""
        self.readiness.preventing.discard(nexus)
        nexus.copies.clear()
        if self.holder is nexus:
            reservation.hold(self, None)

    def withdraw(self) -> None:
        """This unit exists no more; its nexuses are told so with every further command."""
        with self.device.lock:
            for nexus in self.nexuses:
                nexus.barrier |= REMOVED

    def reset(self) -> None:
        """Logical unit reset: RESERVE ends, mode parameters are as saved or configured, all nexuses are told.

        The medium may be removed again; format and sanitize operations go on.
        """
        with self.device.lock:
            reservation.hold(self, None)
            self.readiness.preventing.clear()
            mode.restore(self)
            self.log_start = self.statistics()
            for nexus in self.nexuses:
                nexus.copies.clear()
                attention.establish(nexus, attention.POWER_ON)

    def capacity_changed(self) -> None:
        """The store has another size now; all initiators are told at once."""
        with self.device.lock:
            self.blocks = self.store.size >> self.shift
            self.device.tell(attention.CAPACITY_CHANGED, self.nexuses)

    def tell_differences(self, nexus: Nexus, before: LogicalUnit) -> None:
        """Establish what is another than with ``before``, which had this number. The caller holds the device's lock."""
        if (self.identity, self.removable) != (before.identity, before.removable):
            attention.establish(nexus, attention.INQUIRY_CHANGED)
        if (self.blocks, self.block_size) != (before.blocks, before.block_size):
            attention.establish(nexus, attention.CAPACITY_CHANGED)

    def tell_others(self, author: Nexus | None, condition: attention.UnitAttention) -> None:
        """Establish ``condition`` for all nexuses but ``author``. The caller holds the device's lock."""
        for nexus in self.nexuses:
            if nexus is not author:
                attention.establish(nexus, condition)

    def statistics(self) -> Counters:
        """Everything read and written since the unit exists."""
        with self.device.lock:
            return Counters().add((self.record.deferred, *(nexus.counters for nexus in self.nexuses)))

    def latency(self) -> Latency:
        with self.device.lock:
            return Latency().add((self.record.latency, *(nexus.latency for nexus in self.nexuses)))

    def pending_condition(self, nexus: Nexus) -> CheckCondition:
        """A unit attention; but first of all how far an operation is, as there are initiators who ask until it ends."""
        with self.device.lock:
            unready = self.readiness.condition()
            if unready is not None and self.readiness.operation is not None:
                return unready
            pending = admission.take_attention(self, nexus)
        return unready or super().pending_condition(nexus) if pending is None else pending.condition()

    # Mode parameters

    def set_write_cache(self, enabled: bool) -> None:
        """WCE of the caching mode page. Who disables it flushes afterwards."""
        self.write_through = not enabled
        if enabled:
            cache.fill(self)
        self._waits = not self._immediate or (self.write_through and not self.capabilities.commits)
        self.writes_wait = self._waits and not self.capabilities.batches

    def set_software_write_protect(self, enabled: bool) -> None:
        """SWP of the control mode page. Who enables it flushes afterwards."""
        self.software_write_protect = enabled
        self.write_protected = self.read_only or enabled

    def set_task_set_type(self, per_nexus: bool) -> None:
        """TST of the control mode page: a task set for each nexus, or one for all."""
        self.separate_task_sets = per_nexus

    # The medium

    def check_ready(self) -> None:
        """Raise if the unit is not ready, or the medium has no block at all."""
        unready = self.readiness.condition()
        if unready is not None:
            raise unready
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
        """Raise if the medium is write protected; by SWP, too, it is WRITE PROTECTED (SPC-4 section 7.5.8)."""
        if self.write_protected:
            raise CheckCondition(SenseKey.DATA_PROTECT, Asc.WRITE_PROTECTED)

    def read(self, task: Task, lba: int, blocks: int) -> memoryview | Extent | Blocks | None:
        """The content of ``blocks`` blocks, promised or in the task's sink; BLOCKS if that would wait."""
        length = blocks << self.shift
        if lba + blocks > self.blocks or length > MAXIMUM_TRANSFER:
            raise self.refusal(lba, blocks)
        if task.may_block:
            return self._read_waiting(task, lba << self.shift, length)
        if self.exclusion.ranges and self.exclusion.busy(lba << self.shift, length):
            return BLOCKS
        counters = task.nexus.counters
        if length >= EXTENT_MINIMUM and task.extents:
            extent = self.store.extent(lba << self.shift, length)
            if extent is not None:
                counters.read(blocks)
                return extent
        if not length:
            return None
        if not self._immediate:
            return joint.plan(self, task, lba << self.shift, length, False, 0)
        view = task.sink(length)
        if not self.store.read_now(lba << self.shift, view):
            return BLOCKS
        counters.reads += 1
        counters.blocks_read += blocks
        return view

    def _read_waiting(self, task: Task, offset: int, length: int) -> memoryview | Extent | None:
        """``read`` on a worker; the nexus's counters are its connection's thread's, so it counts elsewhere."""
        if not length:
            return None
        extent = None
        if length >= EXTENT_MINIMUM and task.extents and not self.exclusion.busy(offset, length):
            extent = self.store.extent(offset, length)
        if extent is None:
            view = task.sink(length)
            with self.exclusion.shared(offset, length):
                self.store.read(offset, view)
        with self.device.lock:
            self.record.read(task.nexus, length >> self.shift)
        return view if extent is None else extent

    def write(self, task: Task, lba: int, blocks: int, fua: int) -> Blocks | None:
        """Write the task's Data-Out; ``fua`` other than 0 forces it to the medium. BLOCKS if that would wait.

        Of data cut short by the initiator only whole blocks are written.
        """
        length = blocks << self.shift
        if self.write_protected:
            self.check_writable()
        if lba + blocks > self.blocks or length > MAXIMUM_TRANSFER:
            raise self.refusal(lba, blocks)
        views = task.data if task.data_length == length else self.whole_blocks(task, length)
        if task.may_block:
            with self.exclusion.shared(lba << self.shift, length):  # as ``Readiness.writing``, in fewer steps
                unready = None if self._obstacle is None else self.readiness.condition()
                if unready is not None:
                    raise unready
                if views:
                    self.store.write(lba << self.shift, views, self.write_through or fua != 0)
            with self.device.lock:
                self.record.wrote(task.nexus, blocks)
            return None
        through = self.write_through
        if self._waits or (fua and not through):  # a flush for the one would write the whole cache
            return joint.plan(self, task, lba << self.shift, length, True, fua)
        if self.exclusion.ranges and self.exclusion.busy(lba << self.shift, length):
            return BLOCKS
        mark = self.store.mark() if through else 0
        if mark is None:
            return BLOCKS
        if views:
            self.store.write(lba << self.shift, views, False)
        counters = task.nexus.counters
        counters.writes += 1
        counters.blocks_written += blocks
        if through:
            task.unstable = self, mark
            return WRITTEN
        return None

    def shares(self, task: Task) -> LogicalUnit | None:
        return joint.unit_of(task)

    def whole_blocks(self, task: Task, length: int) -> Sequence[memoryview]:
        """The task's Data-Out cut to whole blocks, at most ``length`` bytes."""
        left = min(task.data_length, length) >> self.shift << self.shift
        views = []
        for view in task.data:
            if left:
                views.append(view[:left])
                left -= len(views[-1])
        return views
