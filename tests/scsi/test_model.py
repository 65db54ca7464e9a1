"""Three initiators send anything to two target devices, and anything happens to these; a plain model says what must be.

``model`` is written from the standards, ``model_world`` compares, ``model_requests`` chooses. Hypothesis mixes the kinds
of steps; that it shortens a history that goes wrong would take minutes, so ``model_world`` does. ``tests/long/model``
does the same for as long as one likes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import hypothesis.strategies as st
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.scsi import model_requests
from tests.scsi.model_requests import Chooser
from tests.scsi.model_world import World, replay, shorter

#: 10 000 steps.
EXAMPLES, STEPS = 100, 100


@cache
def numbers(limit: int) -> st.SearchStrategy[int]:
    return st.integers(0, limit - 1)


class Drawn:
    """Hypothesis chooses."""

    def __init__(self, data: st.DataObject) -> None:
        self._draw = data.conjecture_data.draw

    def below(self, limit: int) -> int:
        return self._draw(numbers(limit))


class Initiators(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def step(self, data: st.DataObject, make: Any, *how: Any) -> None:
        try:
            self.world.perform(make(Chooser(Drawn(data), self.world.model), *how))
        except AssertionError:
            raise AssertionError(replay(shorter(self.world.history))) from None

    @initialize(data=st.data())
    def configure(self, data: st.DataObject) -> None:
        self.step(data, model_requests.setup)

    @rule(data=st.data())
    def event(self, data: st.DataObject) -> None:
        self.step(data, model_requests.event)

    @rule(data=st.data())
    def transfer(self, data: st.DataObject) -> None:
        self.step(data, model_requests.command, "transfer")

    @rule(data=st.data())
    def compare(self, data: st.DataObject) -> None:
        self.step(data, model_requests.command, "compare")

    @rule(data=st.data())
    def provision(self, data: st.DataObject) -> None:
        self.step(data, model_requests.command, "provision")

    @rule(data=st.data())
    def cache(self, data: st.DataObject) -> None:
        self.step(data, model_requests.command, "cache")

    @rule(data=st.data())
    def remove_medium(self, data: st.DataObject) -> None:
        self.step(data, model_requests.command, "removal")

    @rule(data=st.data())
    def ask_for_attention(self, data: st.DataObject) -> None:
        self.step(data, model_requests.command, "attention")

    @rule(data=st.data())
    def identify(self, data: st.DataObject) -> None:
        self.step(data, model_requests.command, "identity")

    @rule(data=st.data())
    def change_modes(self, data: st.DataObject) -> None:
        self.step(data, model_requests.command, "modes")

    @rule(data=st.data())
    def reserve(self, data: st.DataObject) -> None:
        self.step(data, model_requests.command, "reserve")

    @rule(data=st.data())
    def reserve_persistently(self, data: st.DataObject) -> None:
        self.step(data, model_requests.command, "persist")

    @rule(data=st.data())
    def register(self, data: st.DataObject) -> None:
        self.step(data, model_requests.command, "register")

    @rule(data=st.data())
    def copy(self, data: st.DataObject) -> None:
        self.step(data, model_requests.command, "copy")


TestInitiators = Initiators.TestCase
TestInitiators.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
