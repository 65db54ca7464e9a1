"""What Prometheus is told: one row for each metric, read from the facts of ``status`` when somebody asks.

Names follow its conventions, and ``docs/reference/metrics.md`` is made from the rows. What is told of sessions ends
with them, so there are never more series than LUNs and sessions call for. Of prometheus-client nothing is imported
before ``render``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family
    from prometheus_client.samples import Sample

Facts: TypeAlias = dict[str, Any]
#: Values of a metric's labels, and its value: a number, or what ``server.facts.latency_facts`` makes.
Reading: TypeAlias = tuple[tuple[str, ...], Any]

#: Whoever serves disks has the interpreter between so many samples (``_Patiently``).
_AT_ONCE: Final = 50


class Kind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """``name`` as it is exposed; of a histogram without ``_bucket``, ``_sum`` and ``_count``."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    read: Callable[[Facts], Iterable[Reading]]


def _one(value: Callable[[Facts], float]) -> Callable[[Facts], Iterable[Reading]]:
    """Of the daemon as a whole."""
    return lambda facts: [((), value(facts))]


def _problems(facts: Facts) -> Iterable[Reading]:
    return Counter((each["code"], each["severity"]) for each in facts["problems"]).items()


def _logins(facts: Facts) -> Iterable[Reading]:
    results: Counter[str] = Counter()
    for process in facts["usage"]:
        results.update(process["logins"])
    return [((result,), count) for result, count in sorted(results.items())]


def _process(*names: str) -> Callable[[Facts], Iterable[Reading]]:
    """Of each process, the one that listens being 0. Of several names their ends are a label."""

    def read(facts: Facts) -> Iterator[Reading]:
        for process in facts["usage"]:
            for name in names:
                yield (str(process["process"]), *([name.partition("_")[2]] if len(names) > 1 else ())), process[name]

    return read


def _starts(facts: Facts) -> Iterable[Reading]:
    return [((str(each["number"]),), each["starts"]) for each in facts["processes"]]


def _target(value: Callable[[Facts], Any]) -> Callable[[Facts], Iterable[Reading]]:
    """Of each target; where the value is a dictionary, its keys are a label."""
    return lambda facts: [
        reading for target in facts["targets"] for reading in _spread((target["name"],), value(target))
    ]


def _lun(value: Callable[[Facts], Any]) -> Callable[[Facts], Iterable[Reading]]:
    """Of each LUN, but those that were removed and finish their last commands."""
    return lambda facts: [
        reading
        for target in facts["targets"] for unit in target["luns"] if not unit["leaving"]
        for reading in _spread((target["name"], str(unit["number"])), value(unit))
    ]


def _lun_info(facts: Facts) -> Iterable[Reading]:
    for target in facts["targets"]:
        for unit in target["luns"]:
            if not unit["leaving"]:
                words = (unit["type"], unit["path"] or "", unit["mode"], str(unit["block_size"]))
                yield (target["name"], str(unit["number"]), *words), 1


def _session(value: Callable[[Facts], Any]) -> Callable[[Facts], Iterable[Reading]]:
    """Of each session but those for discovery, once, whatever connections it has."""

    def read(facts: Facts) -> Iterator[Reading]:
        seen = set()
        for each in facts["sessions"]:
            key = each["target"], each["tsih"]
            if each["target"] is not None and key not in seen:
                seen.add(key)
                labels = each["target"], each["initiator"], each["address"], str(each["tsih"])
                yield from _spread(labels, value(each))

    return read


def _spread(labels: tuple[str, ...], value: Any) -> Iterator[Reading]:
    if isinstance(value, dict) and "le" not in value:
        for key, count in value.items():
            yield (*labels, key), count
    elif value is not None:
        yield labels, value


def _operations(of: Facts) -> Facts:
    return {"read": of["reads"], "write": of["writes"]}


def _bytes(of: Facts) -> Facts:
    return {"read": of["bytes_read"], "write": of["bytes_written"]}


def _digests(of: Facts) -> Facts:
    return {"header": of["header_digest_errors"], "data": of["data_digest_errors"]}


_TARGET: Final = ("target",)
_LUN: Final = ("target", "lun")
_SESSION: Final = ("target", "initiator", "address", "session")
_PROCESS: Final = ("process",)

METRICS: Final = (
    # The daemon
    Metric(
        "ietpy_info", Kind.GAUGE, "Always 1; the labels say which ietpy this is.", ("version", "compat"),
        lambda facts: [((facts["version"], facts["compat"]), 1)],
    ),
    Metric(
        "ietpy_start_time_seconds", Kind.GAUGE, "When the daemon began to serve, in seconds of the epoch.", (),
        _one(lambda facts: facts["started"]),
    ),
    Metric(
        "ietpy_degraded", Kind.GAUGE, "1 while something is not served, or not kept, as ietpy-daemon status says.", (),
        _one(lambda facts: float(facts["degraded"])),
    ),
    Metric(
        "ietpy_problems", Kind.GAUGE, "What ietpy-daemon status says is wrong, by code.", ("code", "severity"),
        _problems,
    ),
    Metric(
        "ietpy_targets", Kind.GAUGE, "Targets that are served.", (), _one(lambda facts: len(facts["targets"])),
    ),
    Metric(
        "ietpy_logins_total", Kind.COUNTER,
        "Logins by how they ended: success, the name of the status that refused them, timeout, lost or malformed.",
        ("result",), _logins,
    ),
    # Its processes
    Metric(
        "ietpy_connections", Kind.GAUGE, "iSCSI connections that are logged in.", _PROCESS, _process("connections"),
    ),
    Metric("ietpy_logins_under_way", Kind.GAUGE, "Connections that log in.", _PROCESS, _process("logging_in")),
    Metric("ietpy_threads", Kind.GAUGE, "Threads.", _PROCESS, _process("threads")),
    Metric("ietpy_open_descriptors", Kind.GAUGE, "Open file descriptors.", _PROCESS, _process("descriptors")),
    Metric(
        "ietpy_resident_memory_bytes", Kind.GAUGE, "Memory of the process that is in use.", _PROCESS,
        _process("memory_resident"),
    ),
    Metric(
        "ietpy_cpu_seconds_total", Kind.COUNTER, "Processor time, of the process and the kernel for it.", _PROCESS,
        _process("cpu_seconds"),
    ),
    Metric(
        "ietpy_buffer_limit_bytes", Kind.GAUGE,
        "What data of unfinished writes may take, and what data of large reads may; what sessions may have unsent is"
        " half of it.", _PROCESS, _process("memory_limit"),
    ),
    Metric(
        "ietpy_buffer_bytes", Kind.GAUGE,
        "What they take: writes, reads that are larger than a MiB, and answers that are not sent yet.",
        (*_PROCESS, "use"), _process("memory_writes", "memory_reads", "memory_unsent"),
    ),
    Metric(
        "ietpy_worker_starts_total", Kind.COUNTER,
        "How often a worker process was started; more than once: it died. With Processes above 1 only.", ("worker",),
        _starts,
    ),
    # Targets, all their sessions together
    Metric(
        "ietpy_target_sessions", Kind.GAUGE, "Sessions that are logged in to the target.", _TARGET,
        _target(lambda target: target["sessions"]),
    ),
    Metric(
        "ietpy_target_logins_total", Kind.COUNTER, "Sessions the target has had.", _TARGET,
        _target(lambda target: target["logins"]),
    ),
    Metric(
        "ietpy_target_commands_total", Kind.COUNTER, "SCSI commands of all kinds that were executed.", _TARGET,
        _target(lambda target: target["commands"]),
    ),
    Metric(
        "ietpy_target_r2ts_total", Kind.COUNTER, "Ready To Transfer PDUs that asked for data of writes.", _TARGET,
        _target(lambda target: target["r2ts"]),
    ),
    Metric(
        "ietpy_target_digest_errors_total", Kind.COUNTER, "PDUs whose header or data digest was wrong.",
        (*_TARGET, "segment"), _target(_digests),
    ),
    Metric(
        "ietpy_target_task_management_total", Kind.COUNTER, "Task management functions that were asked for.",
        (*_TARGET, "function"), _target(lambda target: target["functions"]),
    ),
    Metric(
        "ietpy_target_aborted_tasks_total", Kind.COUNTER, "Commands these ended before they were done.", _TARGET,
        _target(lambda target: target["aborted"]),
    ),
    # LUNs
    Metric(
        "ietpy_lun_info", Kind.GAUGE, "Always 1; the labels say what is behind the LUN.",
        (*_LUN, "type", "path", "mode", "block_size"), _lun_info,
    ),
    Metric("ietpy_lun_size_bytes", Kind.GAUGE, "Its capacity.", _LUN, _lun(lambda unit: unit["size"])),
    Metric(
        "ietpy_lun_operations_total", Kind.COUNTER, "Commands that read or wrote.", (*_LUN, "operation"),
        _lun(_operations),
    ),
    Metric(
        "ietpy_lun_bytes_total", Kind.COUNTER, "Bytes they read or wrote.", (*_LUN, "operation"), _lun(_bytes),
    ),
    Metric(
        "ietpy_lun_errors_total", Kind.COUNTER, "Commands that ended with CHECK CONDITION, by sense key.",
        (*_LUN, "sense_key"), _lun(lambda unit: unit["errors"]),
    ),
    Metric(
        "ietpy_lun_latency_seconds", Kind.HISTOGRAM, "How long commands took in the target.", _LUN,
        _lun(lambda unit: unit["latency"]),
    ),
    # Sessions, as long as they are there
    Metric(
        "ietpy_session_start_time_seconds", Kind.GAUGE, "When it logged in, in seconds of the epoch.", _SESSION,
        _session(lambda session: session["since"]),
    ),
    Metric(
        "ietpy_session_queue_depth", Kind.GAUGE, "Commands that came and are not answered.", _SESSION,
        _session(lambda session: session["queue_depth"]),
    ),
    Metric(
        "ietpy_session_commands_total", Kind.COUNTER, "SCSI commands of all kinds that were executed.", _SESSION,
        _session(lambda session: session["commands"]),
    ),
    Metric(
        "ietpy_session_operations_total", Kind.COUNTER, "Commands that read or wrote.", (*_SESSION, "operation"),
        _session(_operations),
    ),
    Metric(
        "ietpy_session_bytes_total", Kind.COUNTER, "Bytes they read or wrote.", (*_SESSION, "operation"),
        _session(_bytes),
    ),
    Metric(
        "ietpy_session_errors_total", Kind.COUNTER, "Commands that ended with CHECK CONDITION, by sense key.",
        (*_SESSION, "sense_key"), _session(lambda session: session["errors"]),
    ),
    Metric(
        "ietpy_session_latency_seconds", Kind.HISTOGRAM, "How long commands took in the target.", _SESSION,
        _session(lambda session: session["latency"]),
    ),
    Metric(
        "ietpy_session_r2ts_total", Kind.COUNTER, "Ready To Transfer PDUs that asked for data of writes.", _SESSION,
        _session(lambda session: session["r2ts"]),
    ),
    Metric(
        "ietpy_session_digest_errors_total", Kind.COUNTER, "PDUs whose data digest was wrong.",
        (*_SESSION, "segment"), _session(_digests),
    ),
)


class _Patiently(list["Sample"]):
    """Samples whose reader lets others have the interpreter now and then: commands are not to wait for a scrape."""

    def __iter__(self) -> Iterator[Sample]:
        for number, sample in enumerate(super().__iter__()):
            if not number % _AT_ONCE:
                time.sleep(0)
            yield sample


@dataclass(frozen=True, slots=True)
class Collector:
    """What prometheus-client calls a registry."""

    facts: Facts

    def collect(self) -> Iterator[Family]:
        from prometheus_client.metrics_core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for row in METRICS:
            family: Family
            if row.kind is Kind.HISTOGRAM:
                family = histogram = HistogramMetricFamily(row.name, row.help, labels=row.labels)
                for labels, latency in row.read(self.facts):
                    bounds = [*(f"{bound:g}" for bound in latency["le"]), "+Inf"]
                    counts = accumulate(latency["counts"])
                    histogram.add_metric(labels, list(zip(bounds, counts, strict=True)), latency["sum"])
            else:
                kind = CounterMetricFamily if row.kind is Kind.COUNTER else GaugeMetricFamily
                family = plain = kind(row.name, row.help, labels=row.labels)
                for labels, value in row.read(self.facts):
                    plain.add_metric(labels, value)
            family.samples = _Patiently(family.samples)
            yield family


def render(facts: Facts, accept: str) -> tuple[bytes, str]:
    """The metrics in the format that an Accept field asks for, and its Content-Type."""
    from prometheus_client.exposition import choose_encoder

    encode, kind = choose_encoder(accept)
    return encode(Collector(facts)), kind
