"""Identifying information: what people write on a disk to know it by (SPC-4 sections 5.6, 6.32 and 6.43).

It outlives power loss, so only a unit that keeps a state has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ietpy.scsi.asc import Asc
from ietpy.scsi.attention import IDENTIFIER_CHANGED
from ietpy.scsi.cdb import field
from ietpy.scsi.command import BLOCKS, Access, CommandSet, Result
from ietpy.scsi.sense import CheckCondition, invalid_field, invalid_parameter
from ietpy.scsi.state import keep
from ietpy.scsi.status import SenseKey

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task

IDENTIFYING: Final = CommandSet("SPC-4 identifying information")


@dataclass(frozen=True, slots=True)
class Kind:
    """One INFORMATION TYPE (SPC-4 table 60): its code, its greatest length, the section of the state that has it."""

    code: int
    maximum: int
    section: str
    text: bool = False


#: In ascending order, as they are reported.
KINDS: Final[Mapping[int, Kind]] = MappingProxyType({kind.code: kind for kind in (
    Kind(0b0000000, 512, "identifying"),
    Kind(0b0000010, 256, "identifying_text", text=True),
)})
_SUPPORTED: Final = 0b1111111

_list_length = field(6, 4)


def _kept(lu: LogicalUnit) -> bool:
    """if the unit keeps a state"""
    return lu.state is not None


def _kind(cdb: bytes) -> Kind:
    """Of INFORMATION TYPE. Raises INVALID FIELD IN CDB for one that is not implemented."""
    kind = KINDS.get(cdb[10] >> 1)
    if kind is None:
        raise invalid_field(10, 7)
    return kind


def _information(lu: LogicalUnit, kind: Kind) -> bytes:
    assert lu.state is not None
    try:
        return bytes.fromhex(lu.state.get(kind.section) or "")
    except (TypeError, ValueError):
        # Somebody else has written into the state.
        raise CheckCondition(SenseKey.HARDWARE_ERROR, Asc.INTERNAL_TARGET_FAILURE) from None


@IDENTIFYING.command(
    0xA3, "REPORT IDENTIFYING INFORMATION", service_action=0x05, access=Access.ALWAYS, allocation=field(6, 4),
    available=_kept, usage="A3 05 00 00 00 00 FF FF FF FF FE 00",
)
def report_identifying_information(lu: LogicalUnit, task: Task) -> bytes:
    """SPC-4 section 6.32."""
    if task.cdb[10] >> 1 == _SUPPORTED:
        body = b"".join(bytes((kind.code << 1, 0)) + kind.maximum.to_bytes(2, "big") for kind in KINDS.values())
    else:
        body = _information(lu, _kind(task.cdb))
    return len(body).to_bytes(4, "big") + body


def _data_out(lu: LogicalUnit, cdb: bytes) -> int:
    return _list_length(cdb)


def _refuse_set(lu: LogicalUnit, cdb: bytes) -> None:
    if _list_length(cdb) > _kind(cdb).maximum:
        raise invalid_field(6)


def _check_text(data: bytes) -> None:
    """Null-terminated UTF-8, which may be padded with further NULs (SPC-4 section 4.3.2)."""
    text, terminator, padding = data.partition(b"\0")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise invalid_parameter(error.start) from None
    if data and not terminator:
        raise invalid_parameter(len(data) - 1)
    if padding.strip(b"\0"):
        raise invalid_parameter(len(text) + 1)


@IDENTIFYING.command(
    0xA4, "SET IDENTIFYING INFORMATION", service_action=0x06, access=Access.MANAGE, data_out=_data_out,
    refuse=_refuse_set, available=_kept, usage="A4 06 00 00 00 00 FF FF FF FF FE 00",
)
def set_identifying_information(lu: LogicalUnit, task: Task) -> Result:
    """SPC-4 section 6.43. It is on stable storage before the answer; a list of no bytes takes the information back."""
    _refuse_set(lu, task.cdb)
    if not task.may_block:
        return BLOCKS
    kind = _kind(task.cdb)
    data = task.parameter_list(_list_length(task.cdb))
    if kind.text:
        _check_text(data)
    assert lu.state is not None
    if (lu.state.get(kind.section) or "") == data.hex():
        return None
    keep(lu.state, kind.section, data.hex() or None)
    with lu.device.lock:
        lu.tell_others(task.nexus, IDENTIFIER_CHANGED)
    return None
