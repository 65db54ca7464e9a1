"""Operations: every row is described and has its method; wrong names and arguments get a sentence."""

from __future__ import annotations

import errno
import inspect
from typing import Any

import pytest

from ietpy.admin.operations import OPERATIONS, Operation, perform
from ietpy.daemon.administration import Administration
from ietpy.errors import AdminError


class FakeDaemon:
    def ping(self) -> str:
        return "pong"

    def delete_target(self, tid: int) -> int:
        return tid


def test_an_operation_is_its_method() -> None:
    assert perform(FakeDaemon(), "ping", {}) == "pong"
    assert perform(FakeDaemon(), "delete-target", {"tid": 3}) == 3


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
def test_the_daemon_has_every_method(row: Operation) -> None:
    assert row.help
    assert row.name == row.name.lower()
    assert list(inspect.signature(getattr(Administration, row.method)).parameters)[1:] == list(row.arguments)


def test_names_are_once() -> None:
    assert len({row.name for row in OPERATIONS}) == len(OPERATIONS)


def test_an_unknown_operation_is_answered_with_those_there_are() -> None:
    with pytest.raises(AdminError, match="no operation 'pong'; there are ping, status") as caught:
        perform(FakeDaemon(), "pong", {})
    assert caught.value.code == errno.ENOSYS


@pytest.mark.parametrize("name", ["__init__", "_lock", "publish", "network"])
def test_only_rows_can_be_called(name: str) -> None:
    with pytest.raises(AdminError):
        perform(FakeDaemon(), name, {})


@pytest.mark.parametrize(
    "arguments", [{}, {"tid": "1"}, {"tid": True}, {"tid": 1, "cid": 2}],
    ids=["missing", "wrong type", "no number", "surplus"],
)
def test_arguments_are_exactly_those_of_the_row(arguments: dict[str, Any]) -> None:
    with pytest.raises(AdminError, match=r"delete-target: wrong arguments .*accepted: tid \(int\)") as caught:
        perform(FakeDaemon(), "delete-target", arguments)
    assert caught.value.code == errno.EINVAL
