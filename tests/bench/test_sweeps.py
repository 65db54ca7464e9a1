"""A sweep from the targets to the picture, with two values in a moment each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import sweeps
from tests.bench.plots import read_table


@pytest.mark.interop
def test_a_sweep_is_measured_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = replace(sweeps.SWEEPS["luns"], values=(1, 20), factories=("ietpy",))
    monkeypatch.setattr(sweeps, "SWEEPS", {"luns": short})
    sweeps.main("", ["--rounds", "1", "--folder", str(tmp_path)])
    table = read_table((tmp_path / "luns.csv").read_text("utf-8"))
    assert list(table.places) == ["1", "20"]
    assert [(line.target, line.operation) for line in table.rates] == [("ietpy", "read"), ("ietpy", "write")]
    for line in (*table.rates, *table.costs):
        assert all(value and value > 0 for value in line.values)
    assert capsys.readouterr().out == f"{tmp_path / 'luns.svg'}\n"
    assert (tmp_path / "luns.svg").exists()
