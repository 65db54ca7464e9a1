"""The Grafana dashboard: a row for each panel. ``docs/generate.py`` writes ``docs/grafana/ietpy.json`` from them."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_WIDTH: Final = 24
_CHOICE: Final = 'instance=~"$instance",target=~"$target"'
_WHO: Final = f'{_CHOICE},initiator=~"$initiator"'
_RATE: Final = "[$__rate_interval]"


class Panel(NamedTuple):
    """``queries``: an expression and the legend of its series, each. ``unit``: Grafana's name of it."""

    title: str
    kind: str
    unit: str
    width: int
    height: int
    queries: tuple[tuple[str, str], ...]
    stacked: bool = False
    note: str = ""


def _quantile(part: str, by: str, metric: str, who: str) -> str:
    return f"histogram_quantile({part}, sum by (le, {by}) (rate({metric}_bucket{{{who}}}{_RATE})))"


_LUN_LATENCY: Final = "ietpy_lun_latency_seconds"
_SESSION_LATENCY: Final = "ietpy_session_latency_seconds"
_NOTE: Final = "In the target: from receiving a command to sending its answer."

#: By title of the section.
SECTIONS: Final = {
    "Overview": (
        Panel("Degraded", "stat", "bool_yes_no", 4, 4, (('max(ietpy_degraded{instance=~"$instance"})', ""),)),
        Panel("Problems", "stat", "none", 4, 4, (('sum(ietpy_problems{instance=~"$instance"}) or vector(0)', ""),)),
        Panel("Sessions", "stat", "none", 4, 4, ((f"sum(ietpy_target_sessions{{{_CHOICE}}})", ""),)),
        Panel("Operations", "stat", "iops", 4, 4, (
            (f"sum(rate(ietpy_lun_operations_total{{{_CHOICE}}}{_RATE}))", ""),)),
        Panel("Throughput", "stat", "Bps", 4, 4, ((f"sum(rate(ietpy_lun_bytes_total{{{_CHOICE}}}{_RATE}))", ""),)),
        Panel("Latency, 99 %", "stat", "s", 4, 4, (
            (f"histogram_quantile(0.99, sum by (le) (rate({_LUN_LATENCY}_bucket{{{_CHOICE}}}{_RATE})))", ""),),
            note=_NOTE),
    ),
    "Targets and LUNs": (
        Panel("Operations by LUN", "timeseries", "iops", 12, 8, (
            (f"sum by (target, lun, operation) (rate(ietpy_lun_operations_total{{{_CHOICE}}}{_RATE}))",
             "{{target}}/{{lun}} {{operation}}"),), stacked=True),
        Panel("Throughput by LUN", "timeseries", "Bps", 12, 8, (
            (f"sum by (target, lun, operation) (rate(ietpy_lun_bytes_total{{{_CHOICE}}}{_RATE}))",
             "{{target}}/{{lun}} {{operation}}"),), stacked=True),
        Panel("Latency by LUN", "timeseries", "s", 12, 8, (
            (_quantile("0.5", "target, lun", _LUN_LATENCY, _CHOICE), "{{target}}/{{lun}} median"),
            (_quantile("0.99", "target, lun", _LUN_LATENCY, _CHOICE), "{{target}}/{{lun}} 99 %"),), note=_NOTE),
        Panel("Distribution of latency", "heatmap", "s", 12, 8, (
            (f"sum by (le) (increase({_LUN_LATENCY}_bucket{{{_CHOICE}}}{_RATE}))", "{{le}}"),), note=_NOTE),
        Panel("Failed commands by sense key", "timeseries", "ops", 12, 8, (
            (f"sum by (target, lun, sense_key) (rate(ietpy_lun_errors_total{{{_CHOICE}}}{_RATE}))",
             "{{target}}/{{lun}} {{sense_key}}"),),
            note="Unit attentions tell an initiator something and are no faults."),
        Panel("Size of operations", "timeseries", "bytes", 12, 8, (
            (f"sum by (target, operation) (rate(ietpy_lun_bytes_total{{{_CHOICE}}}{_RATE}))"
             f" / sum by (target, operation) (rate(ietpy_lun_operations_total{{{_CHOICE}}}{_RATE}))",
             "{{target}} {{operation}}"),)),
    ),
    "Initiators": (
        Panel("Operations by initiator", "timeseries", "iops", 12, 8, (
            (f"sum by (initiator) (rate(ietpy_session_operations_total{{{_WHO}}}{_RATE}))", "{{initiator}}"),),
            stacked=True),
        Panel("Throughput by initiator", "timeseries", "Bps", 12, 8, (
            (f"sum by (initiator, operation) (rate(ietpy_session_bytes_total{{{_WHO}}}{_RATE}))",
             "{{initiator}} {{operation}}"),), stacked=True),
        Panel("Latency by initiator, 99 %", "timeseries", "s", 12, 8, (
            (_quantile("0.99", "initiator", _SESSION_LATENCY, _WHO), "{{initiator}}"),), note=_NOTE),
        Panel("Commands under way", "timeseries", "none", 12, 8, (
            (f"sum by (initiator) (ietpy_session_queue_depth{{{_WHO}}})", "{{initiator}}"),)),
    ),
    "Protocol and process": (
        Panel("Logins by result", "timeseries", "ops", 8, 8, (
            (f'sum by (result) (rate(ietpy_logins_total{{instance=~"$instance"}}{_RATE}))', "{{result}}"),)),
        Panel("R2Ts, digest errors, aborted commands", "timeseries", "ops", 8, 8, (
            (f"sum(rate(ietpy_target_r2ts_total{{{_CHOICE}}}{_RATE}))", "R2Ts"),
            (f"sum by (segment) (rate(ietpy_target_digest_errors_total{{{_CHOICE}}}{_RATE}))",
             "{{segment}} digest errors"),
            (f"sum(rate(ietpy_target_aborted_tasks_total{{{_CHOICE}}}{_RATE}))", "aborted"),)),
        Panel("Task management", "timeseries", "ops", 8, 8, (
            (f"sum by (function) (rate(ietpy_target_task_management_total{{{_CHOICE}}}{_RATE}))", "{{function}}"),)),
        Panel("Memory", "timeseries", "bytes", 8, 8, (
            ('ietpy_resident_memory_bytes{instance=~"$instance"}', "resident, process {{process}}"),
            ('sum by (use) (ietpy_buffer_bytes{instance=~"$instance"})', "buffers: {{use}}"),)),
        Panel("Processor time", "timeseries", "percentunit", 8, 8, (
            (f'rate(ietpy_cpu_seconds_total{{instance=~"$instance"}}{_RATE})', "process {{process}}"),)),
        Panel("Connections, threads, descriptors", "timeseries", "none", 8, 8, (
            ('sum(ietpy_connections{instance=~"$instance"})', "connections"),
            ('sum(ietpy_threads{instance=~"$instance"})', "threads"),
            ('sum(ietpy_open_descriptors{instance=~"$instance"})', "descriptors"),)),
    ),
}


def dashboard() -> str:
    """The whole dashboard, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, rows in SECTIONS.items():
        panels.append({
            "id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1},
        })
        x, y, height = 0, y + 1, 0
        for row in rows:
            if x + row.width > _WIDTH:
                x, y, height = 0, y + height, 0
            place = {"x": x, "y": y, "w": row.width, "h": row.height}
            panels.append(_panel(len(panels) + 1, row, place))
            x, height = x + row.width, max(height, row.height)
        y += height
    whole = {
        "uid": "ietpy", "title": "ietpy", "tags": ["iscsi"], "schemaVersion": 39, "version": 1, "editable": True,
        "graphTooltip": 1, "refresh": "30s", "timezone": "browser", "time": {"from": "now-1h", "to": "now"},
        "annotations": {"list": []}, "links": [],
        "templating": {"list": [
            {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {},
             "hide": 0, "refresh": 1},
            _variable("instance", "Instance", "label_values(ietpy_info, instance)"),
            _variable("target", "Target", 'label_values(ietpy_target_sessions{instance=~"$instance"}, target)'),
            _variable("initiator", "Initiator", f"label_values(ietpy_session_queue_depth{{{_CHOICE}}}, initiator)"),
        ]},
        "panels": panels,
    }
    return json.dumps(whole, indent=2) + "\n"


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name, "label": label, "type": "query", "datasource": _SOURCE, "definition": query,
        "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
        "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "hide": 0,
    }


def _panel(number: int, row: Panel, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": row.unit, "min": 0}
    options: dict[str, Any] = {}
    if row.kind == "timeseries":
        stacking = {"mode": "normal" if row.stacked else "none", "group": "A"}
        defaults["custom"] = {
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": 20 if row.stacked else 8, "showPoints": "never",
            "stacking": stacking,
        }
        options = {
            "legend": {
                "displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    elif row.kind == "stat":
        bad = row.title in ("Degraded", "Problems")
        steps = [{"color": "green", "value": None}, *([{"color": "red", "value": 1}] if bad else [])]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        options = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "background" if bad else "value", "graphMode": "none" if bad else "area", "textMode": "auto",
        }
    else:
        options = {
            "calculate": False, "yAxis": {"unit": row.unit}, "cellGap": 1, "rowsFrame": {"layout": "auto"},
            "color": {"mode": "scheme", "scheme": "Blues", "steps": 64},
        }
    targets = [
        {
            "refId": chr(ord("A") + at), "datasource": _SOURCE, "expr": expression, "legendFormat": legend or "__auto",
            "range": True, "format": "heatmap" if row.kind == "heatmap" else "time_series",
        }
        for at, (expression, legend) in enumerate(row.queries)
    ]
    return {
        "id": number, "type": row.kind, "title": row.title, "description": row.note, "datasource": _SOURCE,
        "gridPos": place, "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
        "targets": targets,
    }
