"""What is told of a connection and of a process (``ietpy-daemon status``, ietadm, /run/iet, metrics)."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ietpy.iscsi.session import Session
from ietpy.iscsi.tally import Tally
from ietpy.iscsi.target import IscsiNode
from ietpy.scsi.statistics import BOUNDS, Latency
from ietpy.scsi.status import SenseKey
from ietpy.server.pump import Pump

if TYPE_CHECKING:
    from ietpy.server.logins import Logins


def connection_facts(pump: Pump) -> dict[str, Any] | None:
    """Plain facts about a connection and its session; None before there is one.

    What is counted is the session's, over all its connections.
    """
    session = pump.connection.session
    if session is None:
        return None
    return {
        "tsih": session.tsih,
        "isid": session.isid.hex(),
        "cid": pump.connection.cid,
        "initiator": session.initiator,
        "address": pump.connection.asker.peer,
        "portal": pump.connection.asker.local,
        "portal_group": session.asker.group,
        "target": session.target.name if session.target is not None else None,
        "user": session.user,
        "header_digest": pump.connection.header_digest,
        "data_digest": pump.connection.data_digest,
        "closing": pump.connection.closing,
        "since": pump.since,
        **counted_facts(session),
        **tally_facts(session.tally),
        "queue_depth": queue_depth(session),
        "parked": len(pump.parked),
    }


def counted_facts(session: Session) -> dict[str, Any]:
    """What its commands moved, in bytes, and how they fared; ``luns`` as it numbers them."""
    facts = {"reads": 0, "writes": 0, "bytes_read": 0, "bytes_written": 0}
    errors: dict[int, int] = {}
    latency = Latency()
    device = session.device
    if device is not None:
        with device.lock:
            for nexus in session.attached:
                size = getattr(nexus.lu, "block_size", 0)
                for counters in (nexus.counters, nexus.deferred):
                    facts["reads"] += counters.reads
                    facts["writes"] += counters.writes
                    facts["bytes_read"] += counters.blocks_read * size
                    facts["bytes_written"] += counters.blocks_written * size
                for key, count in nexus.errors.items():
                    errors[key] = errors.get(key, 0) + count
                latency.add((nexus.latency,))
    luns = [] if device is None else list(session.view.luns(device.logical_units))
    return {"luns": luns, **facts, "errors": error_facts(errors), "latency": latency_facts(latency)}


def tally_facts(tally: Tally) -> dict[str, Any]:
    return {
        "commands": tally.commands,
        "r2ts": tally.r2ts,
        "header_digest_errors": tally.header_digest_errors,
        "data_digest_errors": tally.data_digest_errors,
        "functions": dict(tally.functions),
        "aborted": tally.aborted,
    }


def error_facts(errors: dict[int, int]) -> dict[str, int]:
    """By name of the sense key, in lower case."""
    return {SenseKey(key).name.lower(): count for key, count in sorted(errors.items())}


def latency_facts(latency: Latency) -> dict[str, Any]:
    """Seconds; ``counts`` by class, the last one of those that took longer than all of ``le``."""
    return {"le": list(BOUNDS), "counts": list(latency.counts), "sum": latency.seconds}


def queue_depth(session: Session) -> int:
    """Commands that came and are not answered: waiting for data, for others, for their turn, or for a device."""
    return len(session.tasks) + len(session.dormant) + len(session.running) + len(session.ready)


def usage_facts(node: IscsiNode, pumps: Sequence[Pump], logins: Logins) -> dict[str, Any]:
    """What this process uses, in bytes; ``logins`` by result."""
    with open("/proc/self/statm", "rb") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "process": 0,  # where there are several, who asks them knows their numbers
        "pid": os.getpid(),
        "cpu_seconds": sum(os.times()[:2]),
        "memory_resident": resident,
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")) - 1,  # but the one this takes
        "connections": len(pumps),
        "logging_in": len(logins),
        "logins": dict(logins.results),
        "memory_limit": node.memory.limit,
        "memory_writes": node.memory.used,
        "memory_reads": node.staging.used,
        "memory_unsent": sum(pump.connection.staged_size for pump in pumps),
    }
