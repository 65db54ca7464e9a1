"""What the control socket can do: one decorated function each, from which dispatch and help are drawn.

A handler gets the daemon and its arguments by name and returns what JSON can hold. Bad news: AdminError.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ietpy.errors import AdminError


class Daemon(Protocol):
    """What operations may ask of the running daemon; plain facts, from any thread."""

    def status(self) -> dict[str, Any]: ...

    def targets(self) -> list[dict[str, Any]]: ...

    def sessions(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Operation:
    """One row. ``arguments`` maps each accepted argument to the type of its value; all are required."""

    name: str
    help: str
    arguments: Mapping[str, type]
    handler: Callable[..., Any]

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise AdminError (EINVAL) unless ``arguments`` are exactly those of this row."""
        wrong = set(arguments) ^ set(self.arguments)
        wrong |= {name for name, kind in self.arguments.items() if not isinstance(arguments.get(name), kind)}
        if wrong:
            accepted = ", ".join(f"{name} ({kind.__name__})" for name, kind in self.arguments.items())
            raise AdminError(
                errno.EINVAL,
                f"{self.name}: wrong arguments ({', '.join(sorted(wrong))}); accepted: {accepted or 'none'}",
            )


class OperationSet:
    """Operations by name; filled while its module is read, never changed afterwards."""

    def __init__(self) -> None:
        self._rows: dict[str, Operation] = {}

    def operation(
        self, name: str, help: str, **arguments: type
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Make the decorated function the handler of operation ``name``."""

        def keep(handler: Callable[..., Any]) -> Callable[..., Any]:
            self._rows[name] = Operation(name, help, arguments, handler)
            return handler

        return keep

    @property
    def rows(self) -> tuple[Operation, ...]:
        return tuple(self._rows.values())

    def perform(self, daemon: Daemon, name: str, arguments: Mapping[str, Any]) -> Any:
        """Run one operation. Raises AdminError: ENOSYS if there is no such, EINVAL for wrong arguments."""
        row = self._rows.get(name)
        if row is None:
            raise AdminError(errno.ENOSYS, f"no operation {name!r}; there are {', '.join(self._rows)}")
        row.check(arguments)
        return row.handler(daemon, **arguments)


OPERATIONS = OperationSet()


@OPERATIONS.operation("ping", "answer, to show that somebody is there")
def ping(daemon: Daemon) -> str:
    return "pong"


@OPERATIONS.operation("status", "everything `ietpy-daemon status` prints")
def status(daemon: Daemon) -> dict[str, Any]:
    return daemon.status()


@OPERATIONS.operation("targets", "targets with their logical units")
def targets(daemon: Daemon) -> list[dict[str, Any]]:
    return daemon.targets()


@OPERATIONS.operation("sessions", "live iSCSI sessions")
def sessions(daemon: Daemon) -> list[dict[str, Any]]:
    return daemon.sessions()
