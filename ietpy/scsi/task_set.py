"""Which tasks of a logical unit must wait for others (SAM-5 sections 8.2 to 8.6): SIMPLE, ORDERED, HEAD OF QUEUE.

Tasks that a connection's own thread executes as they come are not here, and cost nothing. Here are those that wait for
their data and those that go to workers, in one order that never changes, so no two can wait for each other. It is the
order of arrival, but that a task comes before those of its nexus with later CmdSNs: they were parsed while it was
not here yet. So something younger may execute already, which an ORDERED task waits for as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Final

from ietpy.scsi.nexus import ORDERING
from ietpy.scsi.status import TaskAttribute
from ietpy.wire.serial import before

if TYPE_CHECKING:
    from ietpy.scsi.logical_unit import LogicalUnit
    from ietpy.scsi.nexus import Nexus
    from ietpy.scsi.pace import Grant
    from ietpy.scsi.task import Task

_ORDERED: Final = int(TaskAttribute.ORDERED)
_HEAD_OF_QUEUE: Final = int(TaskAttribute.HEAD_OF_QUEUE)
_ORDERING: Final = frozenset((_ORDERED, _HEAD_OF_QUEUE))


class State(Enum):
    """Of a place. Only an enabled task is executed, or given to a worker."""

    EXPECTING = "waits for its data; its turn is looked at when that is there"
    DORMANT = "waits for its turn"
    ENABLED = "executes until it ends"


class Place:
    """Where a task stands in its task set, from ``TaskSet.expect`` or ``defer`` to ``leave``; it is ``task.place``."""

    __slots__ = ("grant", "state", "task", "tasks")

    def __init__(self, tasks: TaskSet, task: Task, state: State) -> None:
        self.grant: Grant | None = None  #: of ``pace``, while the task waits for its turn by that, too
        self.tasks = tasks
        self.task = task
        self.state = state

    def waiting(self) -> list[Task]:
        """Tasks of its scope whose turn has not come, be it because of this or of others."""
        return self.tasks.waiting(self)

    def leave(self) -> Sequence[Place]:
        """The task has ended; the places whose turn has come with that. To be told after the lock is released."""
        self.task.place = None
        if self.grant is not None:
            self.grant.give_back()
        tasks = self.tasks
        tasks._places.remove(self)
        return tasks.removed(self) if tasks._ordering else ()


def _waits(attribute: int, head: bool, busy: bool, ordered: bool) -> bool:
    """Whether a task must wait if there are a HEAD OF QUEUE task, others before it, ORDERED ones among these."""
    return attribute != _HEAD_OF_QUEUE and (head or ordered or (busy and attribute == _ORDERED))


class TaskSet:
    """Everything here is called under the device's lock. UNTAGGED and what no attribute is named count as SIMPLE."""

    __slots__ = ("_dormant", "_lu", "_ordering", "_places")

    def __init__(self, lu: LogicalUnit) -> None:
        self._lu = lu
        #: In their order, while any of them is ORDERED or HEAD OF QUEUE.
        self._places: list[Place] = []
        self._ordering = 0  #: ORDERED and HEAD OF QUEUE tasks among them; while there are any, nobody just passes
        self._dormant = 0

    def must_wait(self, task: Task) -> bool:
        """Whether ``task``, about to be executed in place, has to wait for its turn."""
        if not self._places or not (self._ordering or task.attribute == _ORDERED):
            return False
        place = task.place
        if place is None or place.tasks is not self:
            return self._is_behind(task, self._position(task))
        return self._is_behind(task, self._places.index(place))

    def expect(self, task: Task) -> None:
        """``task`` waits for its data."""
        self._enter(task)

    def defer(self, task: Task) -> bool:
        """``task`` could not be executed in place: whether it may be executed now; if not, ``leave`` will tell."""
        place = task.place
        if place is None:
            if not (self._ordering or task.attribute in _ORDERING):  # as nearly always: nobody waits for anybody
                place = task.place = Place(self, task, State.ENABLED)
                self._places.append(place)
                return True
            place = self._enter(task)
        return place.tasks.settle(place)

    def settle(self, place: Place) -> bool:
        """Decide on a place of this set."""
        if self._ordering and self._is_behind(place.task, self._places.index(place)):
            place.state = State.DORMANT
            self._dormant += 1
            return False
        place.state = State.ENABLED
        return True

    def removed(self, place: Place) -> Sequence[Place]:
        """``Place.leave``'s part, where any task ordered others."""
        if place.state is State.DORMANT:
            self._dormant -= 1
        if place.task.attribute in _ORDERING:
            self._ordering -= 1
            if not self._ordering:
                self._lu.close_gate(ORDERING, False)
        return self._enable() if self._dormant else ()

    def waiting(self, place: Place) -> list[Task]:
        """``Place.waiting``'s part."""
        scope = self._scope(place.task)
        return [
            each.task for each in self._places if each.state is State.DORMANT and self._scope(each.task) is scope
        ]

    def _enter(self, task: Task) -> Place:
        place = task.place = Place(self, task, State.EXPECTING)
        if task.attribute in _ORDERING:
            if not self._ordering:
                self._sort()
            self._ordering += 1
            self._lu.close_gate(ORDERING, True)
        if self._ordering:
            self._places.insert(self._position(task), place)
        else:
            self._places.append(place)
        return place

    def _sort(self) -> None:
        """Until now it did not matter who comes first."""
        unsorted, self._places = self._places, []
        for place in unsorted:
            self._places.insert(self._position(place.task), place)

    def _position(self, task: Task) -> int:
        """Behind all others, but before those of its nexus that were sent later."""
        position = index = len(self._places)
        nexus, number, credit = task.nexus, task.cmd_sn, task.credit
        for place in reversed(self._places):
            index -= 1
            other = place.task
            if other.nexus is nexus:
                # By CmdSN, of which an immediate command has the next one's (RFC 7143 section 4.2.2.1).
                if not before(number, other.cmd_sn) and (number != other.cmd_sn or credit >= other.credit):
                    break
                position = index
        return position

    def _scope(self, task: Task) -> Nexus | None:
        """Tasks of one scope wait for each other (TST of the control mode page)."""
        return task.nexus if self._lu.separate_task_sets else None

    def _is_behind(self, task: Task, position: int) -> bool:
        """Whether ``task``, at this place in the order, must wait."""
        nexus, separate = task.nexus, self._lu.separate_task_sets
        head = busy = ordered = False
        for index, place in enumerate(self._places):
            if separate and place.task.nexus is not nexus:
                continue
            attribute = place.task.attribute
            if attribute == _HEAD_OF_QUEUE:
                head = True
            elif index < position or place.state is State.ENABLED:
                busy = True
                ordered = ordered or attribute == _ORDERED
        return _waits(task.attribute, head, busy, ordered)

    def _enable(self) -> list[Place]:
        """Find the dormant places whose turn has come, in one pass: ``_is_behind`` for each of them."""
        heads, busy, ordered = (set[object]() for _ in range(3))
        for place in self._places:
            attribute, scope = place.task.attribute, self._scope(place.task)
            if attribute == _HEAD_OF_QUEUE:
                heads.add(scope)
            elif place.state is State.ENABLED:
                busy.add(scope)
        enabled = []
        for place in self._places:
            attribute, scope = place.task.attribute, self._scope(place.task)
            if place.state is State.DORMANT and not _waits(
                attribute, scope in heads, scope in busy, scope in ordered
            ):
                place.state = State.ENABLED
                self._dormant -= 1
                enabled.append(place)
            if attribute != _HEAD_OF_QUEUE:
                busy.add(scope)
                if attribute == _ORDERED:
                    ordered.add(scope)
        return enabled
