"""What Prometheus is told: real facts, in a form its own parsers take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from ietpy.daemon import metrics
from ietpy.daemon.metrics import METRICS, Kind, Metric, render
from ietpy.scsi.statistics import BOUNDS
from tests.cli.conftest import Daemon, make_disk

ONE, TWO = "iqn.2026-11.test:one", "iqn.2026-11.test:two"
HOSTILE = 'iqn.x:"}\\ 1\n# EOF'
OPEN = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Of a daemon with two targets, of which one is in use by two."""
    text = (
        f"Target {ONE}\nLun 0 Path={make_disk(tmp_path / 'a.img')},Type=fileio,IOMode=wb\nLun 3 Type=nullio,Blocks=8\n"
        f"Target {TWO}\nLun 0 Path=/nowhere/at/all\n"
    )
    with Daemon(tmp_path, text) as daemon:
        daemon.instance.administration.sessions()  # from now on commands are measured
        for number in (1, 2):
            client = daemon.login(ONE, initiator=HOSTILE.replace("\n", "") if number == 1 else "iqn.y:plain",
                                  isid=bytes([0x80, 0, 0, 0, 0, number]))
            assert client.command(0, bytes(6)).status == 2
            client.write(0, 0, bytes(4096))
            client.read(0, 0, 4)
            client.read(0, 0, 4)
        yield daemon.instance.administration.status()


def values(text: str, parse: Any = text_families) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """By name of the sample and its labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in parse(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            of_this_name = found.setdefault(sample.name, {})
            assert labels not in of_this_name, f"{sample.name}{labels} is there twice"
            of_this_name[labels] = sample.value
    return found


def test_what_is_exposed_is_what_happened(facts: dict[str, Any]) -> None:
    body, kind = render(facts, "")
    assert kind.startswith("text/plain")
    found = values(body.decode())
    assert found["ietpy_targets"] == {(): 2}
    assert found["ietpy_degraded"] == {(): 1}
    assert found["ietpy_problems"][("code", "lun-not-served"), ("severity", "error")] == 1
    lun = (("lun", "0"), ("operation", "read"), ("target", ONE))
    assert found["ietpy_lun_operations_total"][lun] == 4
    assert found["ietpy_lun_bytes_total"][lun] == 4 * 2048
    assert found["ietpy_lun_errors_total"] == {(("lun", "0"), ("sense_key", "unit_attention"), ("target", ONE)): 2}
    assert found["ietpy_logins_total"] == {(("result", "success"),): 2}
    assert found["ietpy_target_sessions"] == {(("target", ONE),): 2, (("target", TWO),): 0}
    assert len(found["ietpy_session_queue_depth"]) == 2
    assert {dict(labels)["initiator"] for labels in found["ietpy_session_commands_total"]} == {
        "iqn.y:plain", HOSTILE.replace("\n", ""),
    }
    assert {each for each in found["ietpy_lun_info"] if ("lun", "3") in each} == {
        (("block_size", "512"), ("lun", "3"), ("mode", "wt"), ("path", ""), ("target", ONE), ("type", "nullio")),
    }


@pytest.mark.parametrize(("accept", "parse"), [("", text_families), (OPEN, open_families)], ids=["text", "OpenMetrics"])
def test_both_formats_say_the_same(facts: dict[str, Any], accept: str, parse: Any) -> None:
    body, _ = render(facts, accept)
    found = values(body.decode(), parse)
    rows = {row.name for row in METRICS if row.kind is not Kind.HISTOGRAM}
    rows |= {f"{row.name}_{end}" for row in METRICS for end in ("bucket", "sum", "count") if row.kind is Kind.HISTOGRAM}
    unused = {"ietpy_worker_starts_total", "ietpy_target_task_management_total"}
    assert found.keys() == rows - unused


def test_a_histogram_adds_up(facts: dict[str, Any]) -> None:
    found = values(render(facts, "")[0].decode())
    buckets = found["ietpy_lun_latency_seconds_bucket"]
    counts = [buckets[tuple(sorted({"le": f"{bound:g}", "lun": "0", "target": ONE}.items()))]
              for bound in (*BOUNDS, float("inf")) if f"{bound:g}" != "inf"]
    total = buckets[("le", "+Inf"), ("lun", "0"), ("target", ONE)]
    assert counts == sorted(counts)
    assert counts[-1] <= total == found["ietpy_lun_latency_seconds_count"][("lun", "0"), ("target", ONE)]
    assert total >= 6
    assert found["ietpy_lun_latency_seconds_sum"][("lun", "0"), ("target", ONE)] > 0


def test_a_hostile_name_is_a_label_and_nothing_else(facts: dict[str, Any]) -> None:
    facts["sessions"][0]["initiator"] = HOSTILE
    found = values(render(facts, OPEN)[0].decode(), open_families)
    assert HOSTILE in {dict(labels)["initiator"] for labels in found["ietpy_session_queue_depth"]}


def test_what_is_gone_is_not_told_of(facts: dict[str, Any]) -> None:
    facts["sessions"] = []
    facts["targets"][0]["luns"][0]["leaving"] = True
    found = values(render(facts, "")[0].decode())
    assert not {name for name in found if name.startswith("ietpy_session_")}
    assert {dict(labels)["lun"] for labels in found["ietpy_lun_size_bytes"]} == {"3"}


def test_a_session_is_there_once_and_discovery_not(facts: dict[str, Any]) -> None:
    first = facts["sessions"][0]
    facts["sessions"] += [{**first, "cid": 1, "address": "192.0.2.1"}, {**first, "target": None, "tsih": 99}]
    found = values(render(facts, "")[0].decode())
    assert len(found["ietpy_session_queue_depth"]) == 2


def test_worker_processes_are_told_apart(facts: dict[str, Any]) -> None:
    facts["usage"] += [{**facts["usage"][0], "process": 2}]
    facts["processes"] = [{"number": 2, "pid": 1, "targets": 1, "starts": 3}]
    found = values(render(facts, "")[0].decode())
    assert found["ietpy_worker_starts_total"] == {(("worker", "2"),): 3}
    assert len(found["ietpy_buffer_bytes"]) == 6
    assert found["ietpy_logins_total"] == {(("result", "success"),): 4}


@pytest.mark.parametrize("row", METRICS, ids=lambda row: row.name)
def test_names_follow_the_conventions(row: Metric) -> None:
    """https://prometheus.io/docs/practices/naming/, as ``promtool check metrics`` does."""
    assert re.fullmatch(r"ietpy(_[a-z0-9]+)+", row.name)
    assert row.name.endswith("_total") == (row.kind is Kind.COUNTER)
    assert row.help.endswith(".")
    assert not set(row.labels) & {"le", "quantile", "job", "instance"}
    unit = re.search("seconds|bytes", row.name)
    assert unit is None or row.name.removesuffix("_total").endswith(unit.group())


def test_no_two_rows_have_one_family() -> None:
    families = [row.name.removesuffix("_total") for row in METRICS]
    assert len(families) == len(set(families))


def test_others_have_the_interpreter_meanwhile(facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(metrics.time, "sleep", pauses.append)
    facts["targets"][0]["luns"] = [{**facts["targets"][0]["luns"][0], "number": number} for number in range(500)]
    body, _ = render(facts, "")
    assert len(pauses) >= body.count(b"\n") / 60
