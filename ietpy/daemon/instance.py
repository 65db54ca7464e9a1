"""A daemon with everything opened and bound, and what it does from its first thread to its last.

Threads are started by ``run`` and nowhere else, so that an instance may still fork before (docs/decisions 8).
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import ietpy
from ietpy.admin.operations import OPERATIONS
from ietpy.admin.service import Service
from ietpy.config.model import Configuration, LunConfig
from ietpy.daemon.assemble import Assembly
from ietpy.daemon.options import StartOptions
from ietpy.daemon.pidfile import PidFile
from ietpy.errors import Diagnostic, IetpyError
from ietpy.scsi.logical_unit import LogicalUnit

log = logging.getLogger(__name__)

GRACE: Final = 10.0  #: seconds from SIGTERM to the end (docs/decisions 5)
DRAIN: Final = 5.0  #: of these, for commands under way; the rest is for flushing
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Network(Protocol):
    """What an instance asks of ``server.listener.Server``."""

    def start(self) -> None: ...

    def stop(self, timeout: float) -> bool: ...

    def sessions(self) -> list[dict[str, Any]]: ...

    def portals(self) -> list[tuple[str, int]]: ...


@dataclass
class Instance:
    """One daemon; also what the control socket's operations ask (``admin.operations.Daemon``)."""

    options: StartOptions
    configuration: Configuration
    assembly: Assembly
    server: Network
    pid_file: PidFile
    service: Service = field(init=False)

    def run(self, ready: Callable[[], None]) -> int:
        """Serve until SIGTERM or SIGINT; call ``ready`` when everything serves. Returns the exit status."""
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # all threads inherit it: only wait() gets them
        become(self.options.uid, self.options.gid)
        self.pid_file.write(os.getpid())
        self.server.start()
        self.service.start()
        for problem in (*self.configuration.diagnostics, *self.assembly.problems):
            log.log(logging.ERROR if problem.severity == "error" else logging.WARNING, "%s", problem)
        log.info("%s (pid %d)", self.summary(), os.getpid())
        ready()
        wait()
        return self.end(time.monotonic() + GRACE)

    def end(self, deadline: float) -> int:
        """Drain, flush, let go. Returns 0 when everything written is on stable storage."""
        log.info("ending")
        if not self.server.stop(DRAIN):
            log.warning("some commands did not end within %g s; their connections were closed", DRAIN)
        self.service.stop()
        outcome: list[bool] = []
        # A device that hangs would hold the flush, and with it the daemon, for ever.
        flusher = threading.Thread(target=lambda: outcome.append(self.assembly.close()), daemon=True)
        flusher.start()
        flusher.join(max(0.0, deadline - time.monotonic()))
        if not outcome:
            log.error("a backing device does not finish flushing; what it was sent last may be lost")
        self.pid_file.remove()
        log.info("ended")
        return 0 if outcome == [True] else 1

    def summary(self) -> str:
        portals = ", ".join(portal_name(address, port) for address, port in self.server.portals())
        count = len(self.assembly.node.targets)
        return f"serving {count} target{'' if count == 1 else 's'} on {portals}"

    def perform(self, operation: str, arguments: dict[str, Any]) -> Any:
        return OPERATIONS.perform(self, operation, arguments)

    def status(self) -> dict[str, Any]:
        return {
            "version": ietpy.__version__,
            "pid": os.getpid(),
            "config": self.configuration.file,
            "compat": self.configuration.compat,
            "options": self.options.facts(),
            "portals": [{"address": address, "port": port} for address, port in self.server.portals()],
            "targets": self.targets(),
            "sessions": self.sessions(),
            "degraded": self.assembly.degraded,
            "problems": [problem_facts(problem) for problem in self.assembly.problems],
        }

    def targets(self) -> list[dict[str, Any]]:
        return [
            {
                "name": target.name,
                "sessions": len(target.sessions),
                "luns": [
                    lun_facts(lun, target.device.logical_units[lun.number])
                    for lun in self.assembly.served.get(name, ())
                    if lun.number in target.device.logical_units
                ],
            }
            for name, target in self.assembly.node.targets.items()
        ]

    def sessions(self) -> list[dict[str, Any]]:
        return self.server.sessions()


def wait() -> None:
    """Until the first SIGTERM or SIGINT. The signals are blocked, so no handler ever runs."""
    while signal.sigwait(_SIGNALS) == signal.SIGHUP:
        log.warning("reload (SIGHUP) is not supported yet; use ietpy-daemon restart")


def become(uid: int, gid: int) -> None:
    """setgid, then setuid (0: no change), as IET; other groups are given up with either."""
    if not uid and not gid:
        return
    try:
        if os.geteuid() == 0:
            os.setgroups([])
        if gid:
            os.setgid(gid)
        if uid:
            os.setuid(uid)
    except OSError as error:
        problem = f"user {uid} and group {gid} cannot be taken on: {error.strerror}; start as root"
        raise IetpyError(problem) from None


def portal_name(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def lun_facts(lun: LunConfig, unit: LogicalUnit) -> dict[str, Any]:
    """A logical unit for ``status --json``; sizes in bytes."""
    return {
        "number": lun.number,
        "type": lun.type,
        "path": lun.path,
        "mode": "ro" if lun.read_only else "wb" if lun.write_cache else "wt",
        "block_size": unit.block_size,
        "size": unit.blocks * unit.block_size,
    }


def problem_facts(problem: Diagnostic) -> dict[str, Any]:
    """A diagnostic for ``status --json``."""
    span = problem.span
    return {
        "file": span.file,
        "line": span.line,
        "column": span.column,
        "severity": problem.severity,
        "code": problem.code,
        "problem": problem.problem,
        "hint": problem.hint,
        "text": str(problem),
    }
