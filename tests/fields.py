"""Whether what a command prints with ``--json`` is what ``docs/json_fields.py`` says: no field more, none less."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TYPES = {"number": (int, float), "string": (str,), "boolean": (bool,), "list": (list,), "object": (dict,)}


def documented() -> dict[str, tuple[tuple[str, str, str], ...]]:
    """The rows, by command."""
    path = Path(__file__).parents[1] / "docs" / "json_fields.py"
    spec = importlib.util.spec_from_file_location("json_fields", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.JSON)


def checked(command: str, text: str, full: bool = True, more: bool = False) -> Any:
    """The document ``text`` holds, after its fields were compared with the rows of ``command``.

    ``full``: every list of objects has something in it, so every row must be met. ``more``: there may be other fields.
    """
    document = json.loads(text)
    rows = {name: kind for name, kind, _ in documented()[command]}
    met = set()
    for path, value in _fields(document, "", rows):
        if more and path not in rows:
            continue
        assert path in rows, f"{command} --json: {path} is in no row"
        assert _fits(value, rows[path]), f"{command} --json: {path} is {value!r}, not {rows[path]}"
        met.add(path)
    if full:
        assert met == set(rows), f"{command} --json lacks {set(rows) - met}"
    return document


def _fields(value: Any, path: str, rows: dict[str, str]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        for each in value:
            if isinstance(each, (dict, list)):
                yield from _fields(each, path + "[]", rows)
    elif isinstance(value, dict) and " of " not in rows.get(path, ""):
        for name, each in value.items():
            below = f"{path}.{name}".lstrip(".")
            yield below, each
            yield from _fields(each, below, rows)


def _fits(value: Any, kind: str) -> bool:
    if value is None:
        return kind.endswith(" or null")
    kind, _, members = kind.removesuffix(" or null").partition(" of ")
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not members or all(_fits(each, members.removesuffix("s")) for each in inner)
