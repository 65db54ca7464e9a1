"""Commands all device types have (SPC-4 section 6), and what REPORT SUPPORTED ... says about this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ietpy.scsi import lun
from ietpy.scsi.cdb import field
from ietpy.scsi.command import Access, Command, CommandSet
from ietpy.scsi.sense import invalid_field
from ietpy.scsi.vpd import vital_product_data
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.device_server import DeviceServer
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

SPC: Final = CommandSet("SPC-4")


@SPC.command(0x00, "TEST UNIT READY", usage="00 00 00 00 00 00", access=Access.STATE)
def test_unit_ready(lu: LogicalUnit, task: Task) -> None:
    """SPC-4 section 6.47."""
    lu.check_ready()


@SPC.command(
    0x03, "REQUEST SENSE", usage="03 01 00 00 FF 00", access=Access.ALWAYS, attention=False,
    allocation=field(4, 1), without_unit=True, unready=True,
)
def request_sense(lu: DeviceServer, task: Task) -> bytes:
    """SPC-4 section 6.39: a pending unit attention is reported as parameter data, and cleared by any length of it."""
    condition = lu.pending_condition(task.nexus)
    return condition.descriptors() if task.cdb[1] & 1 else condition.fixed()


# INQUIRY

#: SPC-4 section 6.6.2.
STANDARD_INQUIRY: Final = Layout("standard INQUIRY data", 96, (
    ("peripheral", "B"), ("rmb", "B"), ("version", "B"), ("format", "B"), ("additional_length", "B"),
    ("flags", "3s"), ("vendor", "8s"), ("product", "16s"), ("revision", "4s"), ("_vendor_specific", "22x"),
    ("versions", "8s"), ("_reserved", "30x"),
))
_RMB: Final = 0x80
_SPC_4: Final = 0x06
_HISUP_FORMAT_2: Final = 0x12
#: Bytes 5 to 7: TPGS (implicit and explicit) and 3PC of a logical unit; CMDQUE. One target port, so not MULTIP.
_FLAGS: Final = bytes((0x38, 0, 0x02))
_NO_UNIT_FLAGS: Final = bytes((0, 0, 0x02))
#: SAM-5, iSCSI, SPC-4, SBC-3, without a version claimed; in the order SPC-4 section 6.6.2 recommends.
_VERSION_DESCRIPTORS: Final = bytes.fromhex("00A0 0960 0460 04C0")


def _text(words: str, width: int) -> bytes:
    return words.encode("ascii", "replace")[:width].ljust(width)


@SPC.command(
    0x12, "INQUIRY", usage="12 01 FF FF FF 00", access=Access.ALWAYS, attention=False, allocation=field(3, 2),
    without_unit=True, unready=True,
)
def inquiry(lu: DeviceServer, task: Task) -> bytes:
    """SPC-4 section 6.6. CMDDT is refused as a reserved bit."""
    page_code = task.cdb[2]
    if task.cdb[1] & 1:
        return vital_product_data(lu, page_code, task.nexus.target_port)
    if page_code:
        raise invalid_field(2)
    identity = lu.identity
    return STANDARD_INQUIRY.pack(
        peripheral=lu.peripheral, rmb=_RMB if getattr(lu, "removable", False) else 0, version=_SPC_4,
        format=_HISUP_FORMAT_2,
        flags=_NO_UNIT_FLAGS if lu.peripheral else _FLAGS, additional_length=STANDARD_INQUIRY.size - 5,
        vendor=_text(identity.vendor, 8), product=_text(identity.product, 16),
        revision=_text(identity.revision, 4), versions=_VERSION_DESCRIPTORS,
    )


# REPORT LUNS

_MINIMUM_ALLOCATION: Final = 16
_ALL_BUT_WELL_KNOWN: Final = 0
_WELL_KNOWN: Final = 1
_ALL: Final = 2


@SPC.command(
    0xA0, "REPORT LUNS", usage="A0 00 FF 00 00 00 FF FF FF FF 00 00", access=Access.ALWAYS, attention=False,
    allocation=field(6, 4), without_unit=True, unready=True,
)
def report_luns(lu: DeviceServer, task: Task) -> bytes:
    """SPC-4 section 6.33: what the initiator has, in the order of configuration. None is a well known logical unit.

    Who asks for all units of a device without any is told LUN 0, where this can be asked again.
    """
    if int.from_bytes(task.cdb[6:10], "big") < _MINIMUM_ALLOCATION:
        raise invalid_field(6)
    if task.cdb[2] not in (_ALL_BUT_WELL_KNOWN, _WELL_KNOWN, _ALL):
        raise invalid_field(2)
    numbers = () if task.cdb[2] == _WELL_KNOWN else task.nexus.view.luns(lu.device.logical_units)
    if task.cdb[2] == _ALL:
        numbers = numbers or (0,)
    lu.device.inventory_reported(task.nexus.it_nexus)
    fields = b"".join(lun.encode(number).to_bytes(8, "big") for number in numbers)
    return len(fields).to_bytes(4, "big") + bytes(4) + fields


# What is supported

_RCTD: Final = 0x80
_SERVACTV: Final = 0x01
_CTDP: Final = 0x02
_ONE_CTDP: Final = 0x80
_NOT_SUPPORTED: Final = 1  #: SUPPORT
_SUPPORTED: Final = 3

#: SPC-4 section 6.35.4.
TIMEOUTS: Final = Layout("command timeouts descriptor", 12, (
    ("length", "H"), ("_reserved", "x"), ("command_specific", "B"), ("nominal", "I"), ("recommended", "I"),
))
#: SPC-4 section 6.35.2.
COMMAND_DESCRIPTOR: Final = Layout("command descriptor", 8, (
    ("opcode", "B"), ("_reserved", "x"), ("service_action", "H"), ("_reserved", "x"), ("flags", "B"),
    ("cdb_length", "H"),
))


def _timeouts(row: Command, wanted: int) -> bytes:
    return TIMEOUTS.pack(length=10, recommended=row.timeout) if wanted else b""


def _all_commands(lu: DeviceServer, timeouts: int) -> bytes:
    body = b"".join(
        COMMAND_DESCRIPTOR.pack(
            opcode=row.opcode, service_action=row.service_action or 0, cdb_length=len(row.usage),
            flags=(_CTDP if timeouts else 0) | (0 if row.service_action is None else _SERVACTV),
        ) + _timeouts(row, timeouts)
        for row in lu.rows
    )
    return len(body).to_bytes(4, "big") + body


def _find_row(lu: DeviceServer, opcode: int, action: int, options: int) -> Command | None:
    """The row that REPORTING OPTIONS 1, 2 (SPC-4 table 292) or 3 (SPC-5) ask for; None: not supported."""
    rows = [row for row in lu.rows if row.opcode == opcode]
    with_actions = any(row.service_action is not None for row in rows)
    if (options == 1 and with_actions) or (options == 2 and rows and not with_actions):
        raise invalid_field(2, 2)
    wanted = None if options == 1 or (options == 3 and not with_actions and not action) else action
    return next((row for row in rows if row.service_action == wanted), None)


@SPC.command(
    0xA3, "REPORT SUPPORTED OPERATION CODES", service_action=0x0C, access=Access.MANAGE,
    allocation=field(6, 4), usage="A3 0C 87 FF FF FF FF FF FF FF 00 00", unready=True,
)
def report_supported_operation_codes(lu: LogicalUnit, task: Task) -> bytes:
    """SPC-4 section 6.35."""
    options = task.cdb[2] & 0x07
    timeouts = task.cdb[2] & _RCTD
    if options == 0:
        return _all_commands(lu, timeouts)
    if options > 3:
        raise invalid_field(2, 2)
    row = _find_row(lu, task.cdb[3], task.cdb[4] << 8 | task.cdb[5], options)
    if row is None:
        return bytes((0, _NOT_SUPPORTED, 0, 0))
    flags = _SUPPORTED | (_ONE_CTDP if timeouts else 0)
    return bytes((0, flags)) + len(row.usage).to_bytes(2, "big") + row.usage + _timeouts(row, timeouts)


#: ATS, ATSS, CTSS, LURS and TRS: what RFC 7143 section 11.5.1 has and the transport does.
_FUNCTIONS: Final = bytes((0x80 | 0x40 | 0x10 | 0x08 | 0x02, 0))
#: With QTS; QAES, QTSS and ITNRS: what RFC 7144 adds, for a nexus that has negotiated it.
_MORE_FUNCTIONS: Final = bytes((_FUNCTIONS[0] | 0x04, 0x04 | 0x02 | 0x01))
_REPD: Final = 0x80


@SPC.command(
    0xA3, "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", service_action=0x0D, access=Access.MANAGE,
    allocation=field(6, 4), usage="A3 0D 80 00 00 00 FF FF FF FF 00 00", unready=True,
)
def report_supported_task_management_functions(lu: LogicalUnit, task: Task) -> bytes:
    """SPC-4 section 6.36."""
    if int.from_bytes(task.cdb[6:10], "big") < 4:
        raise invalid_field(6)
    functions = _MORE_FUNCTIONS if task.nexus.queries else _FUNCTIONS
    if task.cdb[2] & _REPD:
        return functions + bytes((0, 12)) + bytes(12)
    return functions + bytes((0, 0))
