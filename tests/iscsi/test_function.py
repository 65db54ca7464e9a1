"""A task management function under way: when it may be answered."""

from __future__ import annotations

from typing import Any

from ietpy.iscsi.function import Function
from ietpy.scsi.task import Task


def test_it_is_finished_once_when_nothing_is_left(nexus: Any) -> None:
    function, task = Function(nexus.connection, 5), Task()
    function.tasks.add(task)
    function.others.append(nexus.session)
    assert not function.finished()
    function.tasks.clear()
    assert not function.finished()
    function.others.clear()
    assert function.finished()
    assert not function.finished()
