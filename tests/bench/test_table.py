"""The table: what it judges and how it shows it; that every kind of row can be measured, in a moment each."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench import report, states, table
from tests.bench.measuring import Results, Sample, running
from tests.bench.report import SHORT, Line
from tests.bench.rows import GUESTS, MIB, ROWS, SETUPS, WORKS, Row, Setup
from tests.bench.table import main, read_options
from tests.bench.targets import Layout, ietpy

RUN = Path(__file__).with_name("run")


def results(ours: float, theirs: float) -> Results:
    """Of one work: the median of ours is ``ours`` per second, at twice as many microseconds each."""
    samples = {
        ("4k read", "ietpy"): [Sample(rate, 2 * rate) for rate in (ours, 0, 10 * ours)],
        ("4k read", "tgt"): [Sample(theirs, 2 * theirs)],
    }
    return Results(samples, {("sixteen", "ietpy 2 processes"): "there is none"})


def test_rows_name_what_there_is() -> None:
    assert {row.work for row in ROWS} == set(WORKS)
    assert {work.setup for work in WORKS.values()} == set(SETUPS)
    for row in ROWS:
        targets = SETUPS[WORKS[row.work].setup].targets
        assert {row.ours, row.over} <= set(targets)
        assert row.over not in GUESTS or row.over in WORKS[row.work].also
        assert row.figure in ("rate", "cost")
        assert row.want is None or (row.want > row.bar) is (row.figure == "rate")
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ("ours", "judged"), [(249, SHORT), (250, "ok"), (399, "ok"), (400, "ok, as wanted")],
)
def test_a_rate_must_be_high(ours: float, judged: str) -> None:
    line = report.ratio_line(Row("a row", "4k read", 2.5, 4), results(ours, 100))
    assert line == Line(
        "a row", str(ours), "100", "-", f"{ours / 100:.2f}", "2.5", "4", f"{2 * ours}.0", "200.0", judged
    )


@pytest.mark.parametrize(("ours", "judged"), [(81, SHORT), (80, "ok"), (51, "ok"), (50, "ok, as wanted")])
def test_a_cost_must_be_low(ours: float, judged: str) -> None:
    line = report.ratio_line(Row("a row", "4k read", 0.8, 0.5, figure="cost"), results(ours, 100))
    assert (line.ours, line.other, line.bar, line.verdict) == (f"{2 * ours}.0", "200.0", "<= 0.8", judged)


def test_what_cannot_be_measured_says_why() -> None:
    row = Row("a row", "16 sessions", 2.5, ours="ietpy 2 processes")
    line = report.ratio_line(row, results(1, 1))
    assert (line.ratio, line.verdict) == ("-", "not available: there is none")
    assert report.falling_short([line]) == "No row falls short."


def test_the_table_and_the_list_of_short_rows(tmp_path: Path) -> None:
    measured = results(100, 100)
    lines = [report.ratio_line(Row(name, "4k read", bar), measured) for name, bar in (("one", 0.5), ("other", 2))]
    text = report.as_text(lines).splitlines()
    assert [line.split()[0] for line in text] == ["work", "one", "other"]
    assert [line.split()[-1] for line in text] == ["verdict", "ok", "SHORT"]
    assert report.as_markdown(lines).splitlines()[2] == "| one | 100 | 100 | - | 1.00 | 0.5 |  | 200.0 | 200.0 | ok |"
    assert report.falling_short(lines) == "1 row falls short:\n- other: 1.00 where 2 is the bar"
    report.write_csv(tmp_path / "table.csv", measured, lines)
    with (tmp_path / "table.csv").open(newline="") as file:
        written = list(csv.reader(file))
    assert written[1] == ["4k read", "ietpy", "1", "100.0", "200.00"]
    assert written[-1][0] == "other"


def test_options_have_a_quick_and_a_full_meaning() -> None:
    assert (read_options("", []).rounds, read_options("", ["--quick"]).rounds) == (3, 1)
    assert read_options("", ["--quick", "--rounds", "2"]).rounds == 2


def test_a_quick_table_is_made_without_istgt(monkeypatch: pytest.MonkeyPatch) -> None:
    needed: list[str] = []
    absent: list[Container[str]] = []
    monkeypatch.setattr(table, "need", lambda program, package: needed.append(program))
    monkeypatch.setattr(table, "measure", lambda *arguments: absent.append(arguments[-1]) or Results())
    for quick in ([], ["--quick"]):
        needed.clear()
        main("", ["--only", "256 KiB sequential", *quick])
        assert ("istgt" in absent[-1]) is bool(quick)
        assert ("istgt" in needed) is not bool(quick)


def test_who_takes_no_part_is_not_started(tmp_path: Path) -> None:
    @contextmanager
    def factory(folder: Path, layout: Layout) -> Iterator[Any]:
        yield SimpleNamespace()

    setup = Setup({"one": factory, "other": factory})
    with running("name", setup, tmp_path, MIB, Results(), without=("other",)) as targets:
        assert [target.name for target in targets] == ["one"]


def test_no_such_row(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="no row has 'nothing of this kind' in its name; there are: memory, start, "):
        main("", ["--only", "nothing of this kind"])


@pytest.mark.interop
def test_it_prints_its_rows() -> None:
    """iscsi-perf, qemu-img, load.c and the stub; ietpy, tgt and istgt."""
    few = ("--rounds", "1", "--seconds", "0.5", "--size", "16")
    command = [sys.executable, str(RUN), "--only", "256 KiB sequential", *few]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    for name in [row.name for row in ROWS if "256 KiB sequential" in row.name]:
        (line,) = [line for line in printed if line.startswith(name + "  ")]
        assert "not available" not in line
        assert line.split()[-1] in ("ok", "SHORT", "wanted")
    (read_back,) = [line for line in printed if line.startswith("Read back after writing, and right: ")]
    assert all(f"64 of {name}" in read_back for name in ("ietpy", "tgt", "istgt"))
    assert any(line.startswith("ietpy ") and "tgt 1" in line for line in printed)


@pytest.mark.interop
def test_states_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "TARGETS", 3)
    ours = {"ietpy": ietpy}
    lines = [*states.memory(tmp_path, 1, ours), *states.start(tmp_path, 1, ours), *states.idle(tmp_path, 1, ours)]
    assert [line.name.split()[0] for line in lines] == ["MiB", "MiB", "s", "%", "wake-ups"]
    assert float(lines[0].ratio) > 10
    assert all(line.verdict for line in lines)
