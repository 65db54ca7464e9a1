"""Targets are spread evenly, those that share a medium stay together, and nobody moves."""

from __future__ import annotations

import pytest

from ietpy.config.load import loads
from ietpy.config.model import LunConfig
from ietpy.daemon.placement import place


def medium(lun: LunConfig) -> str | None:
    return lun.path or None


@pytest.mark.parametrize(("text", "count", "placed", "expected"), [
    pytest.param("", 2, {}, {}, id="nothing"),
    pytest.param("Target a\nTarget b\nTarget C\n", 2, {}, {"a": 0, "b": 1, "c": 0}, id="in turn"),
    pytest.param("Target a\nTarget b\n", 4, {}, {"a": 0, "b": 1}, id="more processes than targets"),
    pytest.param(
        "Target a\nLun 0 Path=/x\nTarget b\nLun 0 Path=/y\nTarget c\nLun 0 Path=/x\n", 3, {},
        {"a": 1, "b": 0, "c": 1}, id="a file of two",
    ),
    pytest.param(
        "Target a\nLun 0 Path=/x\nTarget b\nLun 0 Path=/y\nTarget c\nLun 0 Path=/x\nLun 1 Path=/y\nTarget d\n", 2, {},
        {"a": 0, "b": 0, "c": 0, "d": 1}, id="one that joins two others",
    ),
    pytest.param("Target a\nLun 0 Type=nullio\nTarget b\nLun 0 Type=nullio\n", 2, {}, {"a": 0, "b": 1}, id="no file"),
    pytest.param("Target a\nTarget b\nTarget c\n", 2, {"b": 0}, {"b": 0, "a": 1, "c": 0}, id="one is placed"),
    pytest.param(
        "Target a\nLun 0 Path=/x\nTarget b\nLun 0 Path=/x\n", 3, {"b": 2}, {"a": 2, "b": 2}, id="to one that is placed"
    ),
    pytest.param(
        "Target a\nLun 0 Path=/x\nTarget b\nLun 0 Path=/x\n", 3, {"a": 1, "b": 2}, {"a": 1, "b": 2},
        id="two that are placed stay apart",
    ),
])
def test_placement(text: str, count: int, placed: dict[str, int], expected: dict[str, int]) -> None:
    assert place(loads(text).targets, count, medium, placed) == expected
