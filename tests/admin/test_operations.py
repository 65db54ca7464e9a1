"""Operations: every row is described and answers; wrong names and arguments get a sentence."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from ietpy.admin.operations import OPERATIONS, OperationSet
from ietpy.errors import AdminError


class FakeDaemon:
    def status(self) -> dict[str, Any]:
        return {"pid": 7}

    def targets(self) -> list[dict[str, Any]]:
        return [{"name": "iqn.2001-04.com.example:t"}]

    def sessions(self) -> list[dict[str, Any]]:
        return []


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("ping", "pong"),
        ("status", {"pid": 7}),
        ("targets", [{"name": "iqn.2001-04.com.example:t"}]),
        ("sessions", []),
    ],
)
def test_each_operation_answers(name: str, result: object) -> None:
    assert OPERATIONS.perform(FakeDaemon(), name, {}) == result


def test_every_row_has_help() -> None:
    assert all(row.help and row.name == row.name.lower() for row in OPERATIONS.rows)


def test_an_unknown_operation_is_answered_with_those_there_are() -> None:
    with pytest.raises(AdminError, match="no operation 'pong'; there are ping, status") as caught:
        OPERATIONS.perform(FakeDaemon(), "pong", {})
    assert caught.value.code == errno.ENOSYS


@pytest.mark.parametrize(
    "arguments", [{}, {"sid": "1"}, {"sid": 1, "cid": 2}], ids=["missing", "wrong type", "surplus"]
)
def test_arguments_are_exactly_those_of_the_row(arguments: dict[str, object]) -> None:
    operations = OperationSet()
    operations.operation("kick", "end a session", sid=int)(lambda daemon, sid: sid)
    assert operations.perform(FakeDaemon(), "kick", {"sid": 3}) == 3
    with pytest.raises(AdminError, match=r"kick: wrong arguments .*accepted: sid \(int\)") as caught:
        operations.perform(FakeDaemon(), "kick", arguments)
    assert caught.value.code == errno.EINVAL
