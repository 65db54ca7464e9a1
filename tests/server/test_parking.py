"""Which tasks make a job, and when its turn comes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.scsi.limits import MAXIMUM_TRANSFER
from ietpy.scsi.status import TaskAttribute
from ietpy.server.parking import Parking


class Unit:
    """Tasks whose name begins with its own share jobs."""

    def __init__(self, name: str) -> None:
        self.name = name

    def shares(self, task: Any) -> Unit | None:
        return self if task.name.startswith(self.name) else None


DISK, OTHER = Unit("disk"), Unit("other")


@pytest.fixture
def parking() -> Parking:
    return Parking()


def add(parking: Parking, *names: str, head: bool = False) -> None:
    attribute = TaskAttribute.HEAD_OF_QUEUE if head else TaskAttribute.SIMPLE
    for name in names:
        lu = OTHER if name.startswith("other") else DISK
        task: Any = SimpleNamespace(
            name=name, nexus=SimpleNamespace(lu=lu), attribute=int(attribute), data_length=0, expected=0
        )
        parking.add(task)


def names(job: Any) -> list[str]:
    return [task.name for task in job.tasks]


def test_those_that_share_are_one_job(parking: Parking) -> None:
    add(parking, "alone 1", "disk 1", "other 1", "disk 2", "alone 2", "other 2")
    assert len(parking) == 6
    jobs = [parking.take() for _ in range(4)]
    assert [names(job) for job in jobs] == [["alone 1"], ["disk 1", "disk 2"], ["other 1", "other 2"], ["alone 2"]]
    assert [job.unit for job in jobs if job is not None] == [None, DISK, OTHER, None]
    assert parking.take() is None
    assert (parking.running, len(parking)) == (4, 0)


def test_a_unit_has_one_shared_job_at_a_time(parking: Parking) -> None:
    add(parking, "disk 1")
    first = parking.take()
    assert first is not None
    add(parking, "disk 2", "alone", "disk 3", "other 1")
    assert len(parking) == 4
    assert names(parking.take()) == ["alone"]
    assert names(parking.take()) == ["other 1"]
    assert parking.take() is None
    assert len(parking) == 2
    parking.ended(first)
    assert names(parking.take()) == ["disk 2", "disk 3"]
    assert parking.running == 3


def test_the_end_of_a_job_leaves_nothing(parking: Parking) -> None:
    add(parking, "disk 1", "alone")
    for job in [parking.take(), parking.take()]:
        assert job is not None
        parking.ended(job)
    assert (parking.running, len(parking), parking.take()) == (0, 0, None)
    add(parking, "disk 2")
    assert names(parking.take()) == ["disk 2"]


def test_head_of_queue_goes_first(parking: Parking) -> None:
    add(parking, "alone 1", "disk 1", "disk 2")
    add(parking, "alone 2", "disk 3", head=True)
    assert [names(parking.take()) for _ in range(3)] == [["alone 2"], ["alone 1"], ["disk 3", "disk 1", "disk 2"]]
    add(parking, "alone 3")
    add(parking, "other 1", head=True)
    assert names(parking.take()) == ["other 1"]


def test_all_can_be_taken_away(parking: Parking) -> None:
    add(parking, "disk 1")
    running = parking.take()
    add(parking, "disk 2", "alone", "other 1")
    assert sorted(task.name for task in parking.clear()) == ["alone", "disk 2", "other 1"]
    assert (len(parking), parking.take()) == (0, None)
    assert running is not None
    parking.ended(running)
    assert parking.take() is None


@pytest.mark.parametrize(
    ("expected", "data_length", "size"),
    [(1 << 20, 0, 1 << 20), (1 << 20, 512, 0), (0xFFFFFFFF, 0, MAXIMUM_TRANSFER)],
)
def test_what_workers_read_is_counted(parking: Parking, expected: int, data_length: int, size: int) -> None:
    """The initiator's word for it, which may be more than any command reads."""
    task: Any = SimpleNamespace(
        name="alone", nexus=SimpleNamespace(lu=DISK), attribute=int(TaskAttribute.SIMPLE), data_length=data_length,
        expected=expected,
    )
    parking.add(task)
    assert parking.size == 0
    job = parking.take()
    assert job is not None
    assert parking.size == size
    parking.ended(job)
    assert parking.size == 0
