"""A command is a function that carries its own row; command sets collect rows and never change afterwards.

From a row follow dispatch, the check for reserved bits, unit attention and reservation rules, the Data-Out
length, truncation to the allocation length, and what REPORT SUPPORTED OPERATION CODES says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from ietpy.scsi.asc import Asc
from ietpy.scsi.cdb import SERVICE_ACTION
from ietpy.scsi.sense import CheckCondition, invalid_field
from ietpy.scsi.status import SenseKey

if TYPE_CHECKING:
    from ietpy.scsi.store import Extent
    from ietpy.scsi.task import Task


class Blocks(Enum):
    """Why a command that a connection's own thread executes has no answer yet."""

    BLOCKS = "would wait for a device"
    WRITTEN = "is in the cache, and to be on stable storage before it is answered"


#: A row function's answer where it would have to wait and ``task.may_block`` is False; nothing has happened yet.
BLOCKS: Final = Blocks.BLOCKS
#: A write's answer where it is executed and ``joint.work`` has to follow: ``task.unstable`` is set.
WRITTEN: Final = Blocks.WRITTEN

Result: TypeAlias = "bytes | memoryview | Extent | Blocks | None"
#: Called with the DeviceServer (mostly a LogicalUnit) and the Task.
Function: TypeAlias = "Callable[[Any, Task], Result]"
F = TypeVar("F", bound=Callable[..., Any])


class Access(Enum):
    """What a command does, as far as reservations are concerned (SPC-2 table 10, SPC-4 table 65, SBC-3 table 13)."""

    ALWAYS = "harmless; never conflicts"
    STATE = "asks for the state of the unit; conflicts with RESERVE, not with persistent reservations"
    READ = "reads the medium"
    WRITE = "writes the medium"
    MANAGE = "changes what all nexuses share, as a write does; with an allocation length it shows that, as a read does"


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """One operation code, or one service action of it.

    ``usage`` is the CDB usage data (SPC-4 section 6.35.3): one bits are evaluated, zero bits are reserved;
    ``forbidden`` its complement as a little-endian number, so that bytes behind the CDB never matter.
    ``allocation`` reads the allocation length of a CDB; ``data_out`` tells how many Data-Out bytes it asks
    for, at most so many if ``announced``: then the list tells its own length, and what the initiator announced is asked
    for. ``refuse`` raises what can be refused before any data was asked for. ``attention``: whether a pending
    unit attention is reported. ``unready``: answered also while the unit is formatted or sanitized (SBC-3 section
    4.11.2). ``harmless`` tells CDBs that are ``Access.ALWAYS`` whatever ``access`` says.
    ``available``: which logical units have it; its docstring says so in the manual. ``without_unit``: answered where
    there is no logical unit.
    ``writes``: refused to whom may not write (DATA PROTECT), unless the row says otherwise what ``Access.WRITE`` is.
    ``timeout``: recommended timeout in seconds. ``actions``: of an operation code with service actions.
    """

    opcode: int
    name: str
    function: Function
    usage: bytes = b""
    access: Access = Access.ALWAYS
    service_action: int | None = None
    attention: bool = True
    allocation: Callable[[bytes], int] | None = None
    data_out: Callable[[Any, bytes], int] | None = None
    announced: bool = False
    refuse: Callable[[Any, bytes], None] | None = None
    harmless: Callable[[bytes], bool] | None = None
    available: Callable[[Any], bool] | None = None
    without_unit: bool = False
    unready: bool = False
    writes: bool = False
    timeout: int = 30
    forbidden: int = 0
    actions: Mapping[int, Command] | None = None


def forbidden_bits(usage: bytes, service_action: int | None) -> int:
    """The complement of the usage bytes after the first, without the bits that chose the row."""
    allowed = bytearray(usage)
    allowed[0] = 0xFF
    if service_action is not None:
        allowed[1] |= SERVICE_ACTION
    return int.from_bytes(bytes(byte ^ 0xFF for byte in allowed), "little")


def reserved_bit(stray: int) -> CheckCondition:
    """INVALID FIELD IN CDB for the first of the ``stray`` bits, from the left."""
    byte = ((stray & -stray).bit_length() - 1) // 8
    return invalid_field(byte, (stray >> byte * 8 & 0xFF).bit_length() - 1)


class CommandSet:
    """The rows of one standard, in the order of their declaration."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._rows: dict[tuple[int, int | None], Command] = {}

    @property
    def rows(self) -> tuple[Command, ...]:
        return tuple(self._rows.values())

    def command(
        self,
        opcode: int,
        name: str,
        *,
        usage: str,
        access: Access,
        service_action: int | None = None,
        **row: Any,
    ) -> Callable[[F], F]:
        """Declare the decorated function as this command; ``row`` is any other field of ``Command``."""

        def declare(function: F) -> F:
            bits = bytes.fromhex(usage)
            if (opcode, service_action) in self._rows or bits[0] != opcode:
                raise ValueError(f"{self.name}: the row of {name} repeats or contradicts an operation code")
            writes = row.pop("writes", access is Access.WRITE)
            self._rows[opcode, service_action] = Command(
                opcode, name, function, bits, access, service_action, writes=writes,
                forbidden=forbidden_bits(bits, service_action), **row,
            )
            return function

        return declare


def _unknown_operation(_: Any, __: Task) -> Result:
    raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.INVALID_COMMAND_OPERATION_CODE)


def _no_logical_unit(_: Any, __: Task) -> Result:
    raise CheckCondition(SenseKey.ILLEGAL_REQUEST, Asc.LOGICAL_UNIT_NOT_SUPPORTED)


def _unknown_service_action(_: Any, __: Task) -> Result:
    raise invalid_field(1, 4)


def _refuse_by(function: Function) -> Callable[[Any, bytes], None]:
    """A row that always refuses does so early, too."""

    def refuse(lu: Any, _: bytes) -> None:
        function(lu, None)  # type: ignore[arg-type]

    return refuse


#: What is dispatched for operation codes and service actions nobody declared.
UNKNOWN_OPERATION: Final = Command(0, "unknown", _unknown_operation, refuse=_refuse_by(_unknown_operation))
NO_LOGICAL_UNIT: Final = Command(0, "no logical unit", _no_logical_unit, refuse=_refuse_by(_no_logical_unit))
_UNKNOWN_ACTION: Final = Command(
    0, "unknown service action", _unknown_service_action, refuse=_refuse_by(_unknown_service_action)
)


@cache
def dispatch_table(rows: tuple[Command, ...], unknown: Command) -> tuple[Command, ...]:
    """256 entries by operation code; one with service actions dispatches again by ``actions``.

    Units with the same rows have one table: making it was a fifth of starting with many (2026-11).
    """
    table = [unknown] * 256
    actions: dict[int, dict[int, Command]] = {}
    for row in rows:
        if row.service_action is None:
            table[row.opcode] = row
        else:
            actions.setdefault(row.opcode, {})[row.service_action] = row
    for opcode, by_action in actions.items():
        table[opcode] = replace(_UNKNOWN_ACTION, opcode=opcode, actions=MappingProxyType(by_action))
    return tuple(table)
