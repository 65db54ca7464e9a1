"""The numbers behind protocol errors: Reject reasons, login statuses, and the sense data iSCSI itself owes.

RFC 7143 sections 11.17.1, 11.13.5 and 11.4.7.2.
"""

from __future__ import annotations

from enum import Enum, IntEnum

from ietpy.scsi.asc import Asc
from ietpy.scsi.sense import CheckCondition
from ietpy.scsi.status import SenseKey


class RejectReason(IntEnum):
    """RFC 7143 section 11.17.1."""

    DATA_DIGEST_ERROR = 0x02
    SNACK_REJECT = 0x03
    PROTOCOL_ERROR = 0x04
    COMMAND_NOT_SUPPORTED = 0x05
    IMMEDIATE_COMMAND_REJECT = 0x06
    TASK_IN_PROGRESS = 0x07
    INVALID_DATA_ACK = 0x08
    INVALID_PDU_FIELD = 0x09
    LONG_OPERATION_REJECT = 0x0A
    WAITING_FOR_LOGOUT = 0x0C


class LoginStatus(IntEnum):
    """RFC 7143 section 11.13.5: Status-Class << 8 | Status-Detail."""

    SUCCESS = 0x0000
    MOVED_TEMPORARILY = 0x0101
    MOVED_PERMANENTLY = 0x0102
    INITIATOR_ERROR = 0x0200
    AUTHENTICATION_FAILURE = 0x0201
    AUTHORIZATION_FAILURE = 0x0202
    NOT_FOUND = 0x0203
    TARGET_REMOVED = 0x0204
    UNSUPPORTED_VERSION = 0x0205
    TOO_MANY_CONNECTIONS = 0x0206
    MISSING_PARAMETER = 0x0207
    CANNOT_INCLUDE_IN_SESSION = 0x0208
    SESSION_TYPE_NOT_SUPPORTED = 0x0209
    SESSION_DOES_NOT_EXIST = 0x020A
    INVALID_DURING_LOGIN = 0x020B
    TARGET_ERROR = 0x0300
    SERVICE_UNAVAILABLE = 0x0301
    OUT_OF_RESOURCES = 0x0302


class ServiceFailure(Enum):
    """Why the transport ends a task with CHECK CONDITION: sense key and additional sense code (section 11.4.7.2)."""

    UNEXPECTED_UNSOLICITED_DATA = (SenseKey.ABORTED_COMMAND, Asc.WRITE_ERROR_UNEXPECTED_UNSOLICITED_DATA)
    INCORRECT_AMOUNT_OF_DATA = (SenseKey.ABORTED_COMMAND, Asc.WRITE_ERROR_NOT_ENOUGH_UNSOLICITED_DATA)
    CRC_ERROR = (SenseKey.ABORTED_COMMAND, Asc.PROTOCOL_SERVICE_CRC_ERROR)
    SNACK_REJECTED = (SenseKey.ABORTED_COMMAND, Asc.READ_ERROR_FAILED_RETRANSMISSION_REQUEST)
    #: Not in the section's table: a Data-Out out of its sequence at ErrorRecoveryLevel 0 (section 7.9).
    SEQUENCE_ERROR = (SenseKey.ABORTED_COMMAND, Asc.DATA_PHASE_ERROR)
    #: R and W both set: no command of a disk moves data both ways.
    BIDIRECTIONAL = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT)
    #: A file gave fewer bytes than its Data-In header had promised.
    SHORT_EXTENT = (SenseKey.MEDIUM_ERROR, Asc.UNRECOVERED_READ_ERROR)

    def sense(self, descriptors: bool) -> bytes:
        """In descriptor or in fixed format: the logical unit's ``descriptor_sense``."""
        key, asc = self.value
        return CheckCondition(key, asc).sense(descriptors)
