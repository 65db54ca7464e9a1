"""What executes tasks: dispatch, reserved bits, sense; and the one that answers where there is no unit (SAM-5 4.7).

``execute`` is the data path: one test of the nexus's barrier, one look-up by operation code, one masked test for
reserved bits, the row's function. Everything that happens rarely is in another method.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ietpy.errors import NoRoom, StoreError
from ietpy.scsi.asc import Asc
from ietpy.scsi.cdb import SERVICE_ACTION
from ietpy.scsi.command import (
    BLOCKS,
    NO_LOGICAL_UNIT,
    WRITTEN,
    Access,
    Command,
    dispatch_table,
    reserved_bit,
)
from ietpy.scsi.identity import Identity
from ietpy.scsi.nexus import FIRST_PORT, ItNexus, Nexus
from ietpy.scsi.sense import CheckCondition, store_failure
from ietpy.scsi.spc import SPC
from ietpy.scsi.status import SenseKey, Status, TaskAttribute
from ietpy.scsi.view import EVERYTHING, View

if TYPE_CHECKING:
    from ietpy.scsi.device import ScsiDevice
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.pace import Meter
    from ietpy.scsi.statistics import Record
    from ietpy.scsi.task import Task
    from ietpy.scsi.task_set import TaskSet

#: Plain numbers for the data path.
_GOOD: Final = int(Status.GOOD)
_CHECK_CONDITION: Final = int(Status.CHECK_CONDITION)
_SIMPLE: Final = int(TaskAttribute.SIMPLE)  #: the last attribute that needs no closer look
_READ: Final = Access.READ
_from_bytes: Final = int.from_bytes


class DeviceServer:
    """What executes tasks; ``rows`` are the commands it has, ``unknown`` stands for all others."""

    __slots__ = ("_dispatch", "descriptor_sense", "device", "identity", "meter", "rows")

    peripheral = 0x00  #: PERIPHERAL QUALIFIER and DEVICE TYPE of the INQUIRY data
    tasks: TaskSet | None = None  #: None: its tasks never wait
    record: Record | None = None  #: what it counts; None: nothing
    writes_wait: bool = False  #: writes would wait for a device, so executing them in place is in vain
    number: int | None = None  #: by which the device has it; None: it stands for those that are not there

    def __init__(
        self, device: ScsiDevice, identity: Identity, rows: Iterable[Command], unknown: Command
    ) -> None:
        self.device = device
        self.identity = identity
        self.meter: Meter | None = None  #: what is used of the rates it is held to; None: of none
        self.descriptor_sense: bool = False  #: D_SENSE (SPC-4 section 7.5.8)
        self.rows = tuple([row for row in rows if row.available is None or row.available(self)])
        self._dispatch = dispatch_table(self.rows, unknown)

    def attach(self, initiator: str, target_port: int = FIRST_PORT, view: View = EVERYTHING) -> Nexus:
        """A new nexus of the initiator port ``initiator`` by the target port of this relative identifier.

        The initiator has ``view`` of the device.
        """
        return Nexus(self, self.device, ItNexus(initiator, target_port), view)

    def review(self, nexus: Nexus, view: View) -> None:
        """The initiator still has this, and otherwise ``view`` of the device. The caller holds the device's lock."""

    def revoke(self, nexus: Nexus, view: View) -> None:
        """The initiator has ``view``, and this no more by the LUN of ``nexus``, whose commands are told so. As above.

        What the nexus held is given up. It stays attached, as commands under way may still use the store.
        """

    def detach(self, nexus: Nexus) -> None:
        """The nexus is lost."""

    def nexus_reset(self, nexus: Nexus) -> None:
        """I_T NEXUS RESET (SAM-5 section 7.6)."""

    def reset(self) -> None:
        """Logical unit reset (SAM-5 section 6.3.3); aborting tasks is the transport's business."""

    def pending_condition(self, nexus: Nexus) -> CheckCondition:
        """What REQUEST SENSE reports as parameter data, cleared by being reported; nothing, for a start."""
        return CheckCondition(SenseKey.NO_SENSE, Asc.NO_ADDITIONAL_SENSE_INFORMATION)

    def execute(self, task: Task) -> bool:
        """Execute ``task``: True when its status, sense and data_in are set.

        False: it may wait for a device and ``task.may_block`` is False; nothing has happened, call again
        where waiting is allowed. Or it is ``task.unstable``, and not to be executed again. Raises nothing.
        """
        cdb = task.cdb
        command = self._dispatch[cdb[0]]
        if command.actions is not None:
            command = command.actions.get(cdb[1] & SERVICE_ACTION, command)
        task.status = _GOOD
        task.sense = b""
        task.data_in = None
        try:
            if task.nexus.barrier or task.attribute > _SIMPLE:
                verdict = self._admit(task, command)
                if verdict is not None:
                    return verdict
            stray = _from_bytes(cdb, "little") & command.forbidden
            if stray:
                raise reserved_bit(stray)
            result = command.function(self, task)
        except CheckCondition as condition:
            self.fail(task, condition)
            return True
        except StoreError as error:
            self.fail_store(task, error, command.access is not _READ)
            return True
        if result is BLOCKS or result is WRITTEN:
            return False
        if command.allocation is not None and type(result) is bytes:
            result = result[:command.allocation(cdb)]
        task.data_in = result
        return True

    def shares(self, task: Task) -> LogicalUnit | None:
        """With whose other tasks ``joint.work`` does one that ``execute`` said False of; None: execute it again."""
        return None

    def refuse_early(self, task: Task) -> bool:
        """Whether the command fails before any data is asked for; then status and sense are set.

        A unit attention reported here is reported: do not execute the task. The first half repeats ``execute``'s:
        sharing it would cost the data path a call (tests/server/test_data_path.py).
        """
        cdb = task.cdb
        command = self._dispatch[cdb[0]]
        if command.actions is not None:
            command = command.actions.get(cdb[1] & SERVICE_ACTION, command)
        task.status = _GOOD
        task.sense = b""
        task.data_in = None
        try:
            if task.nexus.barrier or task.attribute > _SIMPLE:
                verdict = self._admit(task, command)
                if verdict is not None:
                    return verdict
            stray = _from_bytes(cdb, "little") & command.forbidden
            if stray:
                raise reserved_bit(stray)
            if command.refuse is not None:
                command.refuse(self, cdb)
        except CheckCondition as condition:
            self.fail(task, condition)
            return True
        return False

    def data_out_length(self, task: Task) -> int:
        """Data-Out bytes the CDB asks for; 0 for commands without and for those nobody knows."""
        cdb = task.cdb
        command = self._dispatch[cdb[0]]
        if command.actions is not None:
            command = command.actions.get(cdb[1] & SERVICE_ACTION, command)
        rule = command.data_out
        if rule is None:
            return 0
        wanted = rule(self, cdb)
        return min(wanted, task.expected) if command.announced else wanted

    def fail(self, task: Task, condition: CheckCondition) -> None:
        """Answer ``task`` with CHECK CONDITION."""
        task.status = _CHECK_CONDITION
        task.sense = condition.sense(self.descriptor_sense)
        task.data_in = None
        if self.record is not None:
            with self.device.lock:
                self.record.failed(task.nexus, int(condition.key))

    def fail_store(self, task: Task, error: StoreError, writing: bool) -> None:
        """Answer ``task`` with what a failure of the store is to initiators; the transport hears what it was.

        Where others have the memory it needs, that is BUSY.
        """
        if isinstance(error, NoRoom):
            self.turn_away(task, Status.BUSY)
            return
        self.device.fault(self, error, task.cdb)
        self.fail(task, store_failure(error, writing))

    def row(self, cdb: bytes) -> Command:
        """The row of a command."""
        command = self._dispatch[cdb[0]]
        if command.actions is not None:
            command = command.actions.get(cdb[1] & SERVICE_ACTION, command)
        return command

    def name_of(self, cdb: bytes) -> str:
        """What a command is called, for people."""
        return self.row(cdb).name

    def turn_away(self, task: Task, status: Status) -> None:
        """Answer ``task``, not executed, with BUSY, TASK SET FULL or RESERVATION CONFLICT."""
        task.status = int(status)
        task.sense = b""
        task.data_in = None

    def _admit(self, task: Task, command: Command) -> bool | None:
        """The closer look: True when the task has its answer already, False when it must wait, None to go on."""
        return None


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
