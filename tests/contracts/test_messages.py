"""Every message of ``ietpy check`` is in the manual with a real example, and so is every field of its JSON."""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from ietpy.cli.check import check
from ietpy.config.findings import Finding, Report
from ietpy.config.lun_parameters import Draft

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MESSAGES = DOCS / "reference" / "messages.md"
#: What only ``ietpy save`` and ietadm say.
NOT_CHECKED = ("writer.py", "live.py")
#: Made as a Diagnostic where no mode is known or none matters.
MADE_ELSEWHERE = {"backing-file", "file-unreadable"}


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("examples")


def test_every_code_has_an_example(examples: ModuleType) -> None:
    known = {finding.code for finding in Finding} | MADE_ELSEWHERE
    assert {example.code for example in examples.EXAMPLES} == known


def test_every_example_makes_its_message_and_the_manual_prints_it(examples: ModuleType) -> None:
    page = MESSAGES.read_text("utf-8")
    for example in examples.EXAMPLES:
        told = example.told()
        assert told, example
        section = page.partition(f"\n## {example.code}\n")[2].partition("\n## ")[0]
        for one in told:
            assert f"\n{one}\n" in section
            assert one.hint
            assert one.iet


def _sentences() -> Iterator[tuple[str, int, int]]:
    """Where in ``ietpy.config`` a sentence is made: file, first and last line."""
    for path in sorted((ROOT / "ietpy" / "config").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))) if path.name not in NOT_CHECKED else ():
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            first = ast.unparse(node.args[0]).lower() if node.args else ""
            if node.func.attr == "refuse" or (node.func.attr == "add" and first.startswith("finding")):
                yield path.name, node.lineno, node.end_lineno or node.lineno


def test_every_sentence_has_an_example(examples: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    made: set[tuple[str, int]] = set()

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            caller = sys._getframe(1)
            made.add((Path(caller.f_code.co_filename).name, caller.f_lineno))
            return function(*arguments)

        return call

    monkeypatch.setattr(Report, "add", noted(Report.add))
    monkeypatch.setattr(Draft, "refuse", noted(Draft.refuse))
    for example in examples.EXAMPLES:
        example.diagnostics()
    sites = list(_sentences())
    assert len(sites) > 80
    unmade = [
        f"{name}:{first}"
        for name, first, last in sites
        if not any(file == name and first <= line <= last for file, line in made)
    ]
    assert unmade == []


def _paths(value: Any, path: str, names_are_data: bool = False) -> Iterator[str]:
    """The fields of a JSON value, as the manual names them."""
    if isinstance(value, list):
        for one in value:
            yield from _paths(one, f"{path}[]", names_are_data)
    if isinstance(value, dict) and not names_are_data:
        for name, one in value.items():
            below = f"{path}.{name}".lstrip(".")
            below = re.sub(r"^modes\.(repair|iet|strict)", "modes.*", below)
            if below != "modes.*":
                yield below
            repeated = below.startswith("modes.*.") or name in ("session_keys", "options")
            yield from _paths(one, below, repeated)


def test_every_field_of_the_json_is_in_the_manual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    fields = importlib.import_module("check_json").FIELDS
    path = tmp_path / "ietd.conf"
    path.write_text(
        "IncomingUser a b\nPortal 1 *\nTarget t\nOutgoingUser a b\nLun 0 Type=nullio,Blocks=8\nfoo\n"
        "Initiator * Luns=0\n"
    )
    document = json.loads(CliRunner().invoke(check, ["-c", str(path), "--json", "--all-modes"]).stdout)
    assert {name for name, _, _ in fields} == set(_paths(document, ""))
    assert len({name for name, _, _ in fields}) == len(fields)
    types = {"number": int, "string": str, "boolean": bool, "list": list, "object": dict}
    for name, kind, prose in fields:
        assert prose
        value: Any = document
        for part in name.replace("modes.*", "modes.repair").split("."):
            value = value[part.removesuffix("[]")]
            value = value[0] if part.endswith("[]") else value
        nullable = kind.endswith(" or null")
        expected = types["list" if kind.startswith("list of ") else kind.removesuffix(" or null")]
        assert type(value) is expected or (nullable and value is None), name
