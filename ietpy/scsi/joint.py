"""What one worker does for many tasks at once: it makes writes stable that are in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ietpy.errors import StoreError
from ietpy.scsi.sense import store_failure

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.task import Task


def commit(lu: LogicalUnit, tasks: Sequence[Task]) -> None:
    """Make ``unstable`` writes of ``lu`` stable, all together; it waits for the device."""
    marks = [task.unstable[1] for task in tasks if task.unstable is not None]
    try:
        lu.store.commit(min(marks))
    except StoreError as error:
        failure = store_failure(error, writing=True)
        for task in tasks:
            lu.fail(task, failure)
