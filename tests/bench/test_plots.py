"""The plots in docs/performance are what the CSV files beside them give, and are well-formed."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.bench.plots import FOLDER, draw, draw_all, number, read_table, ticks
from tests.bench.sweeps import SWEEPS, place_name

TABLES = sorted(FOLDER.glob("*.csv"))
TEXT = """\
# measured <today> & here
depth,target,operation,per second,us per operation
1,ietpy,read,1000,50
1,tgt,read,500,100
8,ietpy,read,8000,10
"""
SVG = "{http://www.w3.org/2000/svg}"


def test_every_sweep_was_measured() -> None:
    assert {path.stem for path in TABLES} == set(SWEEPS)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_the_plot_is_of_the_table(path: Path) -> None:
    table = read_table(path.read_text("utf-8"))
    sweep = SWEEPS[path.stem]
    assert (table.axis, list(table.places)) == (sweep.axis, [place_name(value) for value in sweep.values])
    assert path.with_suffix(".svg").read_text("utf-8") == draw(path.read_text("utf-8")), "tests/bench/scaling --plots"


def test_a_table_is_read() -> None:
    table = read_table(TEXT)
    assert (table.comment, table.axis, list(table.places)) == ("measured <today> & here", "depth", ["1", "8"])
    assert [(line.target, line.operation, line.values) for line in table.rates] == [
        ("ietpy", "read", [1000, 8000]), ("tgt", "read", [500, None]),
    ]
    assert [line.values for line in table.costs] == [[50, 10], [100, None]]


def test_a_plot_has_a_line_for_each_series(tmp_path: Path) -> None:
    (tmp_path / "depth.csv").write_text(TEXT)
    assert draw_all(tmp_path) == [tmp_path / "depth.svg"]
    root = ElementTree.fromstring((tmp_path / "depth.svg").read_text())
    lines = [line.attrib["points"].split() for line in root.iter(f"{SVG}polyline")]
    assert [len(points) for points in lines] == [2, 1, 2, 1]
    heights = [float(point.split(",")[1]) for points in lines[:2] for point in points]
    assert heights[1] < heights[0] < heights[2]  # more is higher up
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"measured <today> & here", "depth", "8", "10k", "ietpy, read", "tgt, read"} <= set(texts)


def test_marks_hold_all_values() -> None:
    assert ticks(3, 45) == [2, 5, 10, 20, 50]
    assert ticks(10, 10) == [10]
    assert [number(value) for value in (0.5, 20, 5000, 2e6)] == ["0.5", "20", "5k", "2M"]
    assert [place_name(value) for value in (100, 512, 1000, 4096, 1 << 20)] == ["100", "512", "1000", "4K", "1M"]
