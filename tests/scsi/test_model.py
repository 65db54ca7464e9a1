"""Three initiators send anything to two target devices, and anything happens to these; a model says what must be.

``model`` is written from the standards, ``model_world`` compares, ``model_requests`` chooses. Hypothesis mixes the
kinds of steps; it would take minutes to shorten a history that goes wrong, so ``model_world`` does that.
``tests/long/model`` does the same for as long as one likes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.scsi import model_requests
from tests.scsi.model_histories import HISTORIES
from tests.scsi.model_makers import Chooser, Randomly
from tests.scsi.model_world import World, replay, shorter

#: Far more than 10 000 steps, though some histories are shorter than they may be.
EXAMPLES, STEPS = 600, 100

#: What is chosen within a step; nothing about it is simpler than anything else, so every value is as good.
chance = st.binary(min_size=8, max_size=8)


class Initiators(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def step(self, seed: bytes, make: Callable[..., list[Any]], *how: Any) -> None:
        source = Randomly(f"{seed.hex()}.{len(self.world.history)}")
        try:
            self.world.perform(make(Chooser(source, self.world.model), *how))
        except AssertionError:
            raise AssertionError(replay(shorter(self.world.history))) from None

    @initialize(seed=chance)
    def configure(self, seed: bytes) -> None:
        self.step(seed, model_requests.setup)

    @rule(seed=chance)
    def event(self, seed: bytes) -> None:
        self.step(seed, model_requests.event)

    @rule(seed=chance)
    def transfer(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "transfer")

    @rule(seed=chance)
    def compare(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "compare")

    @rule(seed=chance)
    def provision(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "provision")

    @rule(seed=chance)
    def cache(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "cache")

    @rule(seed=chance)
    def remove_medium(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "removal")

    @rule(seed=chance)
    def ask_for_attention(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "attention")

    @rule(seed=chance)
    def identify(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "identity")

    @rule(seed=chance)
    def change_modes(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "modes")

    @rule(seed=chance)
    def reserve(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "reserve")

    @rule(seed=chance)
    def reserve_persistently(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "persist")

    @rule(seed=chance)
    def register(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "register")

    @rule(seed=chance)
    def format(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "format")

    @rule(seed=chance)
    def serve(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "service")

    @rule(seed=chance)
    def copy(self, seed: bytes) -> None:
        self.step(seed, model_requests.command, "copy")


TestInitiators = Initiators.TestCase
TestInitiators.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_what_was_found(history: list[list[Any]]) -> None:
    assert replay(history) == ""


def test_a_history_that_goes_wrong_is_shortened() -> None:
    setup, idle, wrong = ["setup", [], []], ["work", ""], ["no such step"]
    assert shorter([setup, idle, idle, wrong, idle]) == [setup, wrong]
