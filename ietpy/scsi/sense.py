"""Sense data (SPC-4 section 4.5) and the one exception by which a command fails.

D_SENSE of the control mode page chooses the format of automatic sense, DESC that of REQUEST SENSE.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ietpy.errors import IetpyError, StoreError
from ietpy.scsi.asc import Asc
from ietpy.scsi.status import SenseKey
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.store import BackingStore

#: SPC-4 section 4.5.3; ``specific`` is the sense key specific field.
FIXED_SENSE: Final = Layout("fixed format sense data", 18, (
    ("response_code", "B"), ("_obsolete", "x"), ("sense_key", "B"), ("information", "I"),
    ("additional_sense_length", "B"), ("command_specific", "I"), ("asc", "H"), ("fru", "B"),
    ("specific", "3s"),
))

#: SPC-4 section 4.5.2.1.
DESCRIPTOR_SENSE: Final = Layout("descriptor format sense data", 8, (
    ("response_code", "B"), ("sense_key", "B"), ("asc", "H"), ("_reserved", "3x"),
    ("additional_sense_length", "B"),
))
#: SPC-4 section 4.5.2.2.
INFORMATION_DESCRIPTOR: Final = Layout("information sense data descriptor", 12, (
    ("type", "B"), ("length", "B"), ("valid", "B"), ("_reserved", "x"), ("information", "Q"),
))
#: SPC-4 section 4.5.2.3.
COMMAND_SPECIFIC_DESCRIPTOR: Final = Layout("command specific information sense data descriptor", 12, (
    ("type", "B"), ("length", "B"), ("_reserved", "2x"), ("_unused", "2x"), ("segment", "H"), ("_unused", "4x"),
))
#: SPC-4 section 4.5.2.4.
SPECIFIC_DESCRIPTOR: Final = Layout("sense key specific sense data descriptor", 8, (
    ("type", "B"), ("length", "B"), ("_reserved", "2x"), ("specific", "3s"), ("_reserved", "x"),
))

_VALID: Final = 0x80
_CURRENT_FIXED: Final = 0x70
_CURRENT_DESCRIPTOR: Final = 0x72
_SKSV: Final = 0x80  #: the SENSE KEY SPECIFIC field means something
_IN_CDB: Final = 0x40  #: C/D: the field pointer points into the CDB, not into the parameter list
_BPV: Final = 0x08  #: the BIT POINTER field means something


class CheckCondition(IetpyError):
    """A command's ordinary bad news: everything its sense data will say.

    ``field`` is the (byte, bit) that was wrong, bit None for a whole field; ``in_cdb`` says whether byte
    counts in the CDB or in the parameter list. ``information`` is what the INFORMATION field shall say,
    mostly an LBA. ``progress``: how much of the operation under way is done, in 65536ths. ``segment``: the number of
    the copy's segment that failed, in the third and fourth bytes of COMMAND-SPECIFIC INFORMATION (section 5.17.7.4).
    """

    def __init__(
        self,
        key: SenseKey,
        asc: Asc,
        *,
        field: tuple[int, int | None] | None = None,
        in_cdb: bool = True,
        information: int | None = None,
        progress: int | None = None,
        segment: int | None = None,
    ) -> None:
        super().__init__(f"{key.name.replace('_', ' ')}: {asc.text}")
        self.key = key
        self.asc = asc
        self.field = field
        self.in_cdb = in_cdb
        self.information = information
        self.progress = progress
        self.segment = segment

    def _specific(self) -> bytes:
        """The SENSE KEY SPECIFIC field: progress or field pointer (SPC-4 section 4.5.2.4), or zeros."""
        if self.progress is not None:
            return bytes((_SKSV, self.progress >> 8, self.progress & 0xFF))
        if self.field is None:
            return bytes(3)
        byte, bit = self.field
        flags = _SKSV | (_IN_CDB if self.in_cdb else 0) | (0 if bit is None else _BPV | bit)
        return bytes((flags, byte >> 8 & 0xFF, byte & 0xFF))

    def sense(self, descriptors: bool) -> bytes:
        """In descriptor or in fixed format: D_SENSE of the control mode page."""
        return self.descriptors() if descriptors else self.fixed()

    def fixed(self) -> bytes:
        """18 bytes; INFORMATION is valid only when it fits its four bytes (section 4.5.3)."""
        information = self.information
        if information is None or information > 0xFFFF_FFFF:
            return FIXED_SENSE.pack(
                response_code=_CURRENT_FIXED, sense_key=self.key, additional_sense_length=10,
                command_specific=self.segment or 0, asc=self.asc, specific=self._specific(),
            )
        return FIXED_SENSE.pack(
            response_code=_VALID | _CURRENT_FIXED, sense_key=self.key, information=information,
            additional_sense_length=10, command_specific=self.segment or 0, asc=self.asc, specific=self._specific(),
        )

    def descriptors(self) -> bytes:
        """Descriptor format, with one descriptor for each thing there is to say."""
        body = b""
        if self.information is not None:
            body += INFORMATION_DESCRIPTOR.pack(
                type=0x00, length=10, valid=_VALID, information=self.information
            )
        if self.segment is not None:
            body += COMMAND_SPECIFIC_DESCRIPTOR.pack(type=0x01, length=10, segment=self.segment)
        if self.field is not None or self.progress is not None:
            body += SPECIFIC_DESCRIPTOR.pack(type=0x02, length=6, specific=self._specific())
        return DESCRIPTOR_SENSE.pack(
            response_code=_CURRENT_DESCRIPTOR, sense_key=self.key, asc=self.asc,
            additional_sense_length=len(body),
        ) + body


def invalid_field(byte: int, bit: int | None = None) -> CheckCondition:
    """INVALID FIELD IN CDB, pointing at the field that starts at ``byte``."""
    return CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB, field=(byte, bit))


def invalid_parameter(byte: int, bit: int | None = None) -> CheckCondition:
    """INVALID FIELD IN PARAMETER LIST, pointing at the field that starts at ``byte`` of the list."""
    return CheckCondition(
        SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_PARAMETER_LIST, field=(byte, bit), in_cdb=False
    )


def list_length_error() -> CheckCondition:
    """PARAMETER LIST LENGTH ERROR: the list ends inside something."""
    return CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.PARAMETER_LIST_LENGTH_ERROR)


_FULL: Final = (SenseKey.DATA_PROTECT, Asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT)
_PROTECTED: Final = (SenseKey.DATA_PROTECT, Asc.WRITE_PROTECTED)
_GONE: Final = (SenseKey.NOT_READY, Asc.LOGICAL_UNIT_NOT_READY_CAUSE_NOT_REPORTABLE)
_INTERNAL: Final = (SenseKey.HARDWARE_ERROR, Asc.INTERNAL_TARGET_FAILURE)

#: Failures whose sense does not depend on the direction, but for those of space; all others are medium errors.
_STORE_ERRORS: Final[Mapping[int, tuple[SenseKey, Asc]]] = MappingProxyType({
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _PROTECTED,
    errno.EACCES: _PROTECTED,
    errno.EPERM: _PROTECTED,
    errno.ENODEV: _GONE,
    errno.ENXIO: _GONE,
    errno.EBADF: _INTERNAL,
    errno.ENOMEM: _INTERNAL,
    errno.EMFILE: _INTERNAL,
})
_READ_ERROR: Final = (SenseKey.MEDIUM_ERROR, Asc.UNRECOVERED_READ_ERROR)
_WRITE_ERROR: Final = (SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR)


class ReadFailure(StoreError):
    """What a command that writes could not read."""


def read(store: BackingStore, offset: int, buffer: memoryview) -> None:
    """``store.read`` for a command that writes. Raises ReadFailure."""
    try:
        store.read(offset, buffer)
    except StoreError as error:
        raise ReadFailure(error.errno, str(error)) from error


def store_failure(error: StoreError, writing: bool) -> CheckCondition:
    """What a store's failure is to an initiator, the only place that knows. ``writing``: whether the command does."""
    writing = writing and not isinstance(error, ReadFailure)
    sense = _STORE_ERRORS.get(error.errno, _WRITE_ERROR if writing else _READ_ERROR)
    return CheckCondition(*(_READ_ERROR if sense is _FULL and not writing else sense))
