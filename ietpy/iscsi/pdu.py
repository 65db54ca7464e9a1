"""Opcodes and basic header segments of RFC 7143 section 11, one declaration each.

Every request an initiator sends shares ``REQUEST``'s field boundaries, so the data path unpacks one struct before it
knows the opcode; the layouts with the section's own names serve everything else.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ietpy.wire.layout import Layout

BHS_SIZE: Final = 48
NO_TAG: Final = 0xFFFFFFFF  #: the reserved Initiator/Target Transfer Tag (sections 11.2.1.8, 11.7.4)
DEFAULT_PORT: Final = 3260  #: where initiators look for a target (section 4.2.7.1)
PORTAL_GROUP_TAG: Final = 1  #: of the only portal group where none are configured, as with IET (iet-compat 8.1)
IMMEDIATE: Final = 0x40  #: the I bit of byte 0 (11.2.1.1)
OPCODE_MASK: Final = 0x3F
FINAL: Final = 0x80  #: the F bit of byte 1 (11.2.1.3)


def portal_name(address: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets (section 4.2.7.1's TargetAddress, and everybody's log lines)."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Opcode(IntEnum):
    """RFC 7143 section 11.2.1.2."""

    NOP_OUT = 0x00
    SCSI_COMMAND = 0x01
    TASK_MANAGEMENT_REQUEST = 0x02
    LOGIN_REQUEST = 0x03
    TEXT_REQUEST = 0x04
    DATA_OUT = 0x05
    LOGOUT_REQUEST = 0x06
    SNACK_REQUEST = 0x10
    NOP_IN = 0x20
    SCSI_RESPONSE = 0x21
    TASK_MANAGEMENT_RESPONSE = 0x22
    LOGIN_RESPONSE = 0x23
    TEXT_RESPONSE = 0x24
    DATA_IN = 0x25
    LOGOUT_RESPONSE = 0x26
    READY_TO_TRANSFER = 0x31
    ASYNC_MESSAGE = 0x32
    REJECT = 0x3F


#: Requests without a place in the command numbering: their CmdSN field is reserved (section 4.2.2.1).
UNNUMBERED: Final = frozenset((Opcode.DATA_OUT, Opcode.SNACK_REQUEST))


_HEAD = (("opcode", "B"), ("flags", "B"))
_LENGTHS = ("lengths", "I")  # TotalAHSLength:8 (in four-byte words), DataSegmentLength:24
_COUNTERS = (("stat_sn", "I"), ("exp_cmd_sn", "I"), ("max_cmd_sn", "I"))

#: What all requests have in common: word20 is the EDTL, TTT or CID; tail is opcode-specific.
REQUEST = Layout("request", 48, (
    *_HEAD, ("byte2", "B"), ("byte3", "B"), _LENGTHS, ("lun", "Q"), ("initiator_task_tag", "I"),
    ("word20", "I"), ("cmd_sn", "I"), ("exp_stat_sn", "I"), ("tail", "16s"),
))

#: Section 11.3
SCSI_COMMAND = Layout("SCSI Command", 48, (
    *_HEAD, ("_reserved", "2x"), _LENGTHS, ("lun", "Q"), ("initiator_task_tag", "I"),
    ("expected_data_transfer_length", "I"), ("cmd_sn", "I"), ("exp_stat_sn", "I"), ("cdb", "16s"),
))
COMMAND_READ: Final = 0x40
COMMAND_WRITE: Final = 0x20

#: Section 11.4
SCSI_RESPONSE = Layout("SCSI Response", 48, (
    *_HEAD, ("response", "B"), ("status", "B"), _LENGTHS, ("_reserved", "8x"), ("initiator_task_tag", "I"),
    ("snack_tag", "I"), *_COUNTERS, ("exp_data_sn", "I"), ("bidirectional_residual_count", "I"),
    ("residual_count", "I"),
))
OVERFLOW: Final = 0x04  #: the O bit, residual overflow (11.4.1), also in Data-In
UNDERFLOW: Final = 0x02  #: the U bit

#: Sections 11.5, 11.6; the information of a response is RFC 7144's
TASK_MANAGEMENT_REQUEST = Layout("Task Management Function Request", 48, (
    *_HEAD, ("_reserved", "2x"), _LENGTHS, ("lun", "Q"), ("initiator_task_tag", "I"),
    ("referenced_task_tag", "I"), ("cmd_sn", "I"), ("exp_stat_sn", "I"),
    ("ref_cmd_sn", "I"), ("exp_data_sn", "I"), ("_reserved", "8x"),
))
TASK_MANAGEMENT_RESPONSE = Layout("Task Management Function Response", 48, (
    *_HEAD, ("response", "B"), ("_reserved", "x"), _LENGTHS, ("information", "3s"), ("_reserved", "5x"),
    ("initiator_task_tag", "I"), ("_reserved", "4x"), *_COUNTERS, ("_reserved", "12x"),
))

#: Section 11.7
DATA_OUT = Layout("SCSI Data-Out", 48, (
    *_HEAD, ("_reserved", "2x"), _LENGTHS, ("lun", "Q"), ("initiator_task_tag", "I"),
    ("target_transfer_tag", "I"), ("_reserved", "4x"), ("exp_stat_sn", "I"), ("_reserved", "4x"),
    ("data_sn", "I"), ("buffer_offset", "I"), ("_reserved", "4x"),
))
DATA_IN = Layout("SCSI Data-In", 48, (
    *_HEAD, ("_reserved", "x"), ("status", "B"), _LENGTHS, ("lun", "Q"), ("initiator_task_tag", "I"),
    ("target_transfer_tag", "I"), *_COUNTERS, ("data_sn", "I"), ("buffer_offset", "I"), ("residual_count", "I"),
))
HAS_STATUS: Final = 0x01  #: the S bit of Data-In (11.7.3)
ACKNOWLEDGE: Final = 0x40  #: the A bit of Data-In (11.7.2)

#: Section 11.8
READY_TO_TRANSFER = Layout("Ready To Transfer", 48, (
    *_HEAD, ("_reserved", "2x"), _LENGTHS, ("lun", "Q"), ("initiator_task_tag", "I"),
    ("target_transfer_tag", "I"), *_COUNTERS, ("r2t_sn", "I"), ("buffer_offset", "I"),
    ("desired_data_transfer_length", "I"),
))

#: Section 11.9
ASYNC_MESSAGE = Layout("Asynchronous Message", 48, (
    *_HEAD, ("_reserved", "2x"), _LENGTHS, ("lun", "Q"), ("initiator_task_tag", "I"), ("_reserved", "4x"),
    *_COUNTERS, ("async_event", "B"), ("async_vcode", "B"), ("parameter1", "H"), ("parameter2", "H"),
    ("parameter3", "H"), ("_reserved", "4x"),
))

#: Sections 11.10, 11.11
TEXT_REQUEST = Layout("Text Request", 48, (
    *_HEAD, ("_reserved", "2x"), _LENGTHS, ("lun", "Q"), ("initiator_task_tag", "I"),
    ("target_transfer_tag", "I"), ("cmd_sn", "I"), ("exp_stat_sn", "I"), ("_reserved", "16x"),
))
TEXT_RESPONSE = Layout("Text Response", 48, (
    *_HEAD, ("_reserved", "2x"), _LENGTHS, ("lun", "Q"), ("initiator_task_tag", "I"),
    ("target_transfer_tag", "I"), *_COUNTERS, ("_reserved", "12x"),
))
CONTINUE: Final = 0x40  #: the C bit of Text and Login PDUs (11.10.2, 11.12.2)

#: Sections 11.12, 11.13
LOGIN_REQUEST = Layout("Login Request", 48, (
    *_HEAD, ("version_max", "B"), ("version_min", "B"), _LENGTHS, ("isid", "6s"), ("tsih", "H"),
    ("initiator_task_tag", "I"), ("cid", "H"), ("_reserved", "2x"), ("cmd_sn", "I"), ("exp_stat_sn", "I"),
    ("_reserved", "16x"),
))
LOGIN_RESPONSE = Layout("Login Response", 48, (
    *_HEAD, ("version_max", "B"), ("version_active", "B"), _LENGTHS, ("isid", "6s"), ("tsih", "H"),
    ("initiator_task_tag", "I"), ("_reserved", "4x"), *_COUNTERS, ("status", "H"), ("_reserved", "10x"),
))
TRANSIT: Final = 0x80  #: the T bit of Login PDUs (11.12.1)

#: Sections 11.14, 11.15
LOGOUT_REQUEST = Layout("Logout Request", 48, (
    *_HEAD, ("_reserved", "2x"), _LENGTHS, ("_reserved", "8x"), ("initiator_task_tag", "I"), ("cid", "H"),
    ("_reserved", "2x"), ("cmd_sn", "I"), ("exp_stat_sn", "I"), ("_reserved", "16x"),
))
LOGOUT_RESPONSE = Layout("Logout Response", 48, (
    *_HEAD, ("response", "B"), ("_reserved", "x"), _LENGTHS, ("_reserved", "8x"), ("initiator_task_tag", "I"),
    ("_reserved", "4x"), *_COUNTERS, ("_reserved", "4x"), ("time2wait", "H"), ("time2retain", "H"),
    ("_reserved", "4x"),
))

#: Section 11.16
SNACK_REQUEST = Layout("SNACK Request", 48, (
    *_HEAD, ("_reserved", "2x"), _LENGTHS, ("lun", "Q"), ("initiator_task_tag", "I"),
    ("target_transfer_tag", "I"), ("_reserved", "4x"), ("exp_stat_sn", "I"), ("_reserved", "8x"),
    ("beg_run", "I"), ("run_length", "I"),
))

#: Section 11.17
REJECT = Layout("Reject", 48, (
    *_HEAD, ("reason", "B"), ("_reserved", "x"), _LENGTHS, ("_reserved", "8x"), ("initiator_task_tag", "I"),
    ("_reserved", "4x"), *_COUNTERS, ("data_sn", "I"), ("_reserved", "8x"),
))

#: Sections 11.18, 11.19
NOP_OUT = Layout("NOP-Out", 48, (
    *_HEAD, ("_reserved", "2x"), _LENGTHS, ("lun", "Q"), ("initiator_task_tag", "I"),
    ("target_transfer_tag", "I"), ("cmd_sn", "I"), ("exp_stat_sn", "I"), ("_reserved", "16x"),
))
NOP_IN = Layout("NOP-In", 48, (
    *_HEAD, ("_reserved", "2x"), _LENGTHS, ("lun", "Q"), ("initiator_task_tag", "I"),
    ("target_transfer_tag", "I"), *_COUNTERS, ("_reserved", "12x"),
))

#: Layout of each opcode, for dumps, the initiator and tests.
LAYOUTS: Final = {
    Opcode.NOP_OUT: NOP_OUT, Opcode.SCSI_COMMAND: SCSI_COMMAND,
    Opcode.TASK_MANAGEMENT_REQUEST: TASK_MANAGEMENT_REQUEST, Opcode.LOGIN_REQUEST: LOGIN_REQUEST,
    Opcode.TEXT_REQUEST: TEXT_REQUEST, Opcode.DATA_OUT: DATA_OUT, Opcode.LOGOUT_REQUEST: LOGOUT_REQUEST,
    Opcode.SNACK_REQUEST: SNACK_REQUEST, Opcode.NOP_IN: NOP_IN, Opcode.SCSI_RESPONSE: SCSI_RESPONSE,
    Opcode.TASK_MANAGEMENT_RESPONSE: TASK_MANAGEMENT_RESPONSE, Opcode.LOGIN_RESPONSE: LOGIN_RESPONSE,
    Opcode.TEXT_RESPONSE: TEXT_RESPONSE, Opcode.DATA_IN: DATA_IN, Opcode.LOGOUT_RESPONSE: LOGOUT_RESPONSE,
    Opcode.READY_TO_TRANSFER: READY_TO_TRANSFER, Opcode.ASYNC_MESSAGE: ASYNC_MESSAGE, Opcode.REJECT: REJECT,
}
