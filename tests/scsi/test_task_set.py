"""Task attributes: who waits for whom (SAM-5 sections 8.2 to 8.6), with every combination, and at random."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ietpy.scsi.nexus import ORDERING
from ietpy.scsi.status import TaskAttribute
from ietpy.scsi.task import Task
from ietpy.scsi.task_set import State, TaskSet

UNTAGGED, SIMPLE, ORDERED, HEAD = 0, 1, 2, 3
ATTRIBUTES = (UNTAGGED, SIMPLE, ORDERED, HEAD)


class Unit:
    """As much of a logical unit as a task set knows."""

    def __init__(self, separate: bool = False) -> None:
        self.separate_task_sets = separate
        self.gate = False
        self.tasks = TaskSet(self)  # type: ignore[arg-type]

    def close_gate(self, bit: int, closed: bool) -> None:
        assert bit == ORDERING
        self.gate = closed


def task(attribute: int, cmd_sn: int = 0, connection: Any = None, *, immediate: bool = False) -> Task:
    """A task of ``connection``, which has one nexus; of one of its own if None."""
    made = Task()
    made.connection = connection or SimpleNamespace(nexus=object())
    made.nexus = made.connection.nexus
    made.attribute, made.cmd_sn, made.credit = attribute, cmd_sn, 0 if immediate else 1
    return made


@pytest.fixture
def connection() -> Any:
    return SimpleNamespace(nexus=object())


def leave(finished: Task) -> list[Task]:
    assert finished.place is not None
    return [place.task for place in finished.place.leave()]


#: Whether the later one waits for the earlier one.
WAITS = {
    (first, second): second != HEAD and (first == HEAD or ORDERED in (first, second))
    for first in ATTRIBUTES for second in ATTRIBUTES
}


def test_the_table_is_that_of_the_standard() -> None:
    """Written out: SIMPLE waits for HEAD OF QUEUE and older ORDERED, ORDERED for all, HEAD OF QUEUE for none."""
    assert [pair for pair, waits in WAITS.items() if waits and UNTAGGED not in pair] == [
        (SIMPLE, ORDERED), (ORDERED, SIMPLE), (ORDERED, ORDERED), (HEAD, SIMPLE), (HEAD, ORDERED),
    ]


@pytest.mark.parametrize("same", [True, False], ids=["one connection", "two"])
@pytest.mark.parametrize("expecting", [True, False], ids=["for data", "on a worker"])
@pytest.mark.parametrize(("first", "second"), WAITS)
class TestPairs:
    def test_deferred(self, first: int, second: int, expecting: bool, same: bool, connection: Any) -> None:
        unit = Unit()
        older = task(first, 1, connection)
        newer = task(second, 2, connection if same else None)
        if expecting:
            unit.tasks.expect(older)
        else:
            assert unit.tasks.defer(older)
        assert unit.tasks.must_wait(newer) == WAITS[first, second]
        assert unit.tasks.defer(newer) is not WAITS[first, second]
        assert leave(older) == [newer] * WAITS[first, second]
        assert newer.place is not None
        assert newer.place.state is State.ENABLED
        assert older.place is None
        assert leave(newer) == []

    def test_when_its_data_came(self, first: int, second: int, expecting: bool, same: bool, connection: Any) -> None:
        """A task that waited for data finds its turn where it stood."""
        unit = Unit()
        older, newer = task(first, 1, connection), task(second, 2, connection if same else None)
        unit.tasks.expect(older)
        unit.tasks.expect(newer)
        assert not unit.tasks.must_wait(older) or (second == HEAD and first != HEAD)
        assert unit.tasks.must_wait(newer) == WAITS[first, second]
        assert unit.tasks.defer(newer) is not WAITS[first, second]
        leave(older)
        assert newer.place is not None
        assert newer.place.state is State.ENABLED


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_alone_nothing_waits(attribute: int) -> None:
    unit = Unit()
    assert not unit.tasks.must_wait(task(attribute))
    alone = task(attribute)
    assert unit.tasks.defer(alone)
    assert unit.gate is (attribute in (ORDERED, HEAD))
    assert leave(alone) == []
    assert not unit.gate


def test_the_gate_is_closed_while_any_task_orders() -> None:
    unit = Unit()
    tasks = [task(attribute) for attribute in (HEAD, ORDERED, SIMPLE)]
    for each in tasks:
        unit.tasks.defer(each)
    assert unit.gate
    leave(tasks[0])
    assert unit.gate
    leave(tasks[1])
    assert not unit.gate
    leave(tasks[2])


class TestOrderOfArrival:
    """Of one connection it is that of CmdSN, as tasks may be parsed before older ones are executed."""

    @pytest.mark.parametrize(("newest", "its_number"), [(2, 5), (1, 0), (3, 0xFFFFFFFF)])
    def test_an_older_simple_task_of_the_batch_does_not_wait(
        self, connection: Any, newest: int, its_number: int
    ) -> None:
        unit = Unit()
        ordered = task(ORDERED, its_number, connection)
        unit.tasks.expect(ordered)
        older = task(SIMPLE, its_number - newest & 0xFFFFFFFF, connection)
        assert not unit.tasks.must_wait(older)
        assert unit.tasks.defer(older)
        assert unit.tasks.must_wait(ordered)
        assert not unit.tasks.defer(ordered)
        assert leave(older) == [ordered]

    def test_an_immediate_command_comes_before_the_next_numbered_one(self, connection: Any) -> None:
        unit = Unit()
        unit.tasks.expect(task(ORDERED, 7, connection))
        assert not unit.tasks.must_wait(task(SIMPLE, 7, connection, immediate=True))
        assert unit.tasks.must_wait(task(SIMPLE, 8, connection, immediate=True))

    def test_numbers_of_another_connection_mean_nothing(self, connection: Any) -> None:
        unit = Unit()
        unit.tasks.expect(task(ORDERED, 7, connection))
        assert unit.tasks.must_wait(task(SIMPLE, 1))

    def test_no_circle_across_connections(self, connection: Any) -> None:
        """a2 is here before b, b before a1, and a1 must come before a2."""
        unit = Unit()
        a1, a2, b = task(ORDERED, 1, connection), task(ORDERED, 2, connection), task(ORDERED)
        unit.tasks.expect(a2)
        assert not unit.tasks.defer(b)
        assert unit.tasks.defer(a1)
        assert not unit.tasks.defer(a2)
        assert leave(a1) == [a2]
        assert leave(a2) == [b]

    def test_an_ordered_task_waits_for_what_executes_though_it_be_younger(self, connection: Any) -> None:
        """b was given to a worker when a1 was not known yet, which has its place before a2."""
        unit = Unit()
        a1, a2, b = task(ORDERED, 1, connection), task(SIMPLE, 2, connection), task(SIMPLE)
        unit.tasks.expect(a2)
        assert unit.tasks.defer(b)
        c = task(SIMPLE)
        assert unit.tasks.defer(c)
        assert not unit.tasks.defer(a1)
        assert leave(c) == []
        assert leave(b) == [a1]


def test_who_waits_can_be_asked_for() -> None:
    unit = Unit()
    owing = task(ORDERED)
    unit.tasks.expect(owing)
    assert owing.place is not None
    assert owing.place.waiting() == []
    first, second = task(SIMPLE), task(ORDERED)
    unit.tasks.defer(first)
    unit.tasks.defer(second)
    assert owing.place.waiting() == [first, second]
    unit.separate_task_sets = True
    assert owing.place.waiting() == []


class TestSeparateTaskSets:
    """TST 001b: tasks of different nexuses do not know each other."""

    @pytest.mark.parametrize(("first", "second"), WAITS)
    def test_pairs(self, first: int, second: int) -> None:
        unit = Unit(separate=True)
        assert unit.tasks.defer(task(first))
        other = task(second)
        assert not unit.tasks.must_wait(other)
        assert unit.tasks.defer(other)

    def test_one_nexus_still_does(self, connection: Any) -> None:
        unit = Unit(separate=True)
        first, second = task(ORDERED, 1, connection), task(SIMPLE, 2, connection)
        assert unit.tasks.defer(first)
        assert unit.tasks.defer(task(SIMPLE))
        assert not unit.tasks.defer(second)
        assert leave(first) == [second]

    def test_a_change_frees_whom_it_does_with_the_next_end(self) -> None:
        unit = Unit()
        first, second, third = task(ORDERED), task(SIMPLE), task(SIMPLE)
        unit.tasks.defer(first)
        assert not unit.tasks.defer(second)
        assert not unit.tasks.defer(third)
        unit.separate_task_sets = True  # MODE SELECT is executed by a worker, so it has a place as well
        select = task(HEAD)
        unit.tasks.defer(select)
        assert leave(select) == [second, third]


def test_one_that_waited_for_its_data_in_the_set_of_a_unit_that_is_gone() -> None:
    """Its nexus belongs to the successor when the data comes; the place stays where it was taken."""
    old, new = Unit(), Unit()
    late, ordered = task(SIMPLE), task(ORDERED)
    old.tasks.expect(late)
    new.tasks.defer(ordered)
    assert new.tasks.must_wait(late)
    assert new.tasks.defer(late)
    assert late.place is not None
    assert late.place.tasks is old.tasks
    assert leave(late) == []
    assert not new.tasks.must_wait(task(HEAD))


# At random


class Model:
    """Connections send, data comes, workers finish, tasks are aborted; ``executing`` must never break the rules."""

    def __init__(self, separate: bool) -> None:
        self.unit = Unit(separate)
        self.connections = [SimpleNamespace(nexus=object(), name=name) for name in "abc"]
        self.numbers = dict.fromkeys("abc", 0)
        self.expecting: list[Task] = []
        self.batches: dict[str, list[Task]] = {name: [] for name in "abc"}
        self.dormant: list[Task] = []
        self.executing: list[Task] = []
        self.log: list[tuple[str, Task]] = []

    def parse(self, which: int, attribute: int, needs_data: bool) -> None:
        connection = self.connections[which]
        self.numbers[connection.name] += 1
        made = task(attribute, self.numbers[connection.name], connection)
        self.log.append(("parsed", made))
        if needs_data:
            self.unit.tasks.expect(made)
            self.expecting.append(made)
        else:
            self.batches[connection.name].append(made)

    def data(self, index: int) -> None:
        if self.expecting:
            came = self.expecting.pop(index % len(self.expecting))
            self.batches[came.connection.name].append(came)

    def execute(self, which: int, in_place: list[bool]) -> None:
        """A connection's thread goes through its batch."""
        batch = self.batches["abc"[which]]
        for number, each in enumerate(batch):
            waits = (self.unit.gate or each.attribute > SIMPLE) and self.unit.tasks.must_wait(each)
            if not waits and in_place[number % len(in_place)]:
                self.begin(each)
                self.end(each)
            elif self.unit.tasks.defer(each):
                assert not waits
                self.begin(each)
            else:
                self.dormant.append(each)
        batch.clear()

    def begin(self, each: Task) -> None:
        self.check(each)
        self.executing.append(each)
        self.log.append(("began", each))

    def end(self, each: Task) -> None:
        self.executing.remove(each)
        self.log.append(("ended", each))
        self.gone(each)

    def gone(self, each: Task) -> None:
        for freed in leave(each) if each.place else []:
            self.dormant.remove(freed)
            self.begin(freed)

    def abort(self, index: int) -> None:
        waiting = [*self.expecting, *self.dormant]
        if waiting:
            aborted = waiting[index % len(waiting)]
            (self.expecting if aborted in self.expecting else self.dormant).remove(aborted)
            self.log.append(("ended", aborted))
            self.gone(aborted)

    def related(self, one: Task, other: Task) -> bool:
        return not self.unit.separate_task_sets or one.nexus is other.nexus

    def check(self, new: Task) -> None:
        """Nothing it may not run beside executes, and nothing of its connection that it must follow has not ended."""
        for other in self.executing:
            if self.related(new, other) and HEAD not in (new.attribute, other.attribute):
                assert ORDERED not in (new.attribute, other.attribute)
        if new.attribute == HEAD:
            return
        ended = {id(each) for what, each in self.log if what == "ended"}
        for what, other in self.log:
            if what == "parsed" and other is not new and id(other) not in ended and self.related(new, other):
                if other.place and other.attribute == HEAD:
                    raise AssertionError("a HEAD OF QUEUE task is overtaken")
                before = other.connection is new.connection and other.cmd_sn < new.cmd_sn
                assert not (before and ORDERED in (new.attribute, other.attribute))

    def check_reasons(self) -> None:
        """Who waits has somebody to wait for."""
        for each in self.dormant:
            others = [place.task for place in self.unit.tasks._places if place.task is not each]
            assert any(WAITS[other.attribute, each.attribute] and self.related(each, other) for other in others)

    def drain(self) -> None:
        """Everything ends, whatever waits for whom."""
        while self.expecting or self.dormant or self.executing or any(self.batches.values()):
            before = len(self.log)
            while self.expecting:
                self.data(0)
            for which in range(3):
                if self.batches["abc"[which]]:
                    self.execute(which, [False])
                    before -= 1
            for each in list(self.executing):
                self.end(each)
            assert len(self.log) > before, "everybody waits"


steps = st.lists(st.one_of(
    st.tuples(st.just("parse"), st.integers(0, 2), st.sampled_from(ATTRIBUTES), st.booleans()),
    st.tuples(st.just("data"), st.integers(0, 9)),
    st.tuples(st.just("execute"), st.integers(0, 2), st.lists(st.booleans(), min_size=1, max_size=4)),
    st.tuples(st.just("finish"), st.integers(0, 9)),
    st.tuples(st.just("abort"), st.integers(0, 9)),
), min_size=15, max_size=60)


@settings(max_examples=300, deadline=None)
@given(separate=st.booleans(), steps=steps)
def test_at_random(separate: bool, steps: list[tuple[Any, ...]]) -> None:
    model = Model(separate)
    for name, *arguments in steps:
        if name != "finish":
            getattr(model, name)(*arguments)
        elif model.executing:
            model.end(model.executing[arguments[0] % len(model.executing)])
        model.check_reasons()
    model.drain()
    assert not model.unit.gate
    assert not model.unit.tasks._places
    assert not model.unit.tasks._dormant


def test_attributes_are_those_of_the_wire() -> None:
    assert (UNTAGGED, SIMPLE, ORDERED, HEAD) == (
        TaskAttribute.UNTAGGED, TaskAttribute.SIMPLE, TaskAttribute.ORDERED, TaskAttribute.HEAD_OF_QUEUE
    )


def test_a_grant_that_was_not_used_is_given_back_where_the_task_ends(connection: Any) -> None:
    given: list[str] = []
    waits = task(SIMPLE, 1, connection)
    assert Unit().tasks.defer(waits)
    assert waits.place is not None
    waits.place.grant = SimpleNamespace(give_back=lambda: given.append("back"))  # type: ignore[assignment]
    leave(waits)
    assert given == ["back"]
