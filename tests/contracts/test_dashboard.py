"""The Grafana dashboard: a valid form, and questions about metrics and labels that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ietpy.daemon.metrics import METRICS, Kind

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "ietpy.json"
WATCHING = Path(__file__).parents[2] / "docs" / "watching.md"
WHOLE = json.loads(DASHBOARD.read_text())
PANELS = [panel for panel in WHOLE["panels"] if panel["type"] != "row"]
EXPRESSIONS = [
    *(target["expr"] for panel in PANELS for target in panel["targets"]),
    *(variable["query"]["query"] for variable in WHOLE["templating"]["list"] if variable["type"] == "query"),
    *(each.replace("\\|", "|") for each in re.findall(r"\| `([^`]*ietpy_[^`]*)` \|\n", WATCHING.read_text())),
]
#: Labels by name of a sample.
KNOWN = {row.name: {*row.labels} for row in METRICS if row.kind is not Kind.HISTOGRAM} | {
    f"{row.name}{end}": {*row.labels, "le"}
    for row in METRICS for end in ("_bucket", "_sum", "_count") if row.kind is Kind.HISTOGRAM
}
#: What Prometheus adds.
OURS = {"instance", "job"}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_question_is_about_a_metric_that_there_is(expression: str) -> None:
    names = re.findall(r"\bietpy_\w+", expression)
    assert names
    assert {*names} <= KNOWN.keys()
    known = OURS.union(*(KNOWN[name] for name in names))
    asked = {label for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in re.split(r",\s*", group)}
    asked |= {label for group in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"(\w+)=", group)}
    assert asked <= known
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)


def test_legends_are_made_of_labels_that_are_left() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            names = re.findall(r"\bietpy_\w+", target["expr"])
            groups = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            left = {*re.split(r",\s*", groups[0])} if groups else OURS.union(*(KNOWN[name] for name in names))
            assert {*re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])} <= left


def test_the_form_is_grafanas() -> None:
    assert WHOLE["schemaVersion"] >= 36
    assert WHOLE["uid"] == "ietpy"
    assert {panel["type"] for panel in PANELS} == {"stat", "timeseries", "heatmap"}
    ids = [panel["id"] for panel in WHOLE["panels"]]
    assert len(ids) == len({*ids})
    variables = {variable["name"] for variable in WHOLE["templating"]["list"]}
    used = {*re.findall(r"\$\{?(\w+)", DASHBOARD.read_text())} - {"__rate_interval", "__all"}
    assert used == variables


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    columns, lines = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
    return {(x, y) for x in columns for y in lines}


def test_no_panel_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in WHOLE["panels"]:
        mine = cells(panel)
        assert not mine & taken, panel["title"]
        assert max(x for x, _ in mine) < 24
        taken |= mine
