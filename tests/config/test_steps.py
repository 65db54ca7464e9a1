"""Steps in words, for people and for programs."""

from __future__ import annotations

from ietpy.config.steps import Action, Notice, Step
from ietpy.errors import Span

PLACE = Span("ietd.conf", 3, 5)


def test_a_step_reads_as_one_sentence() -> None:
    step = Step(Action.RETRY, "lun", "LUN 1 of t", Notice.LUNS, PLACE, "t", 1, "it could not be served", 2)
    text = "retry LUN 1 of t (it could not be served): its initiators are told REPORTED LUNS DATA HAS CHANGED"
    assert str(step) == text
    assert step.facts() == {
        "action": "retry", "subject": "lun", "target": "t", "lun": 1, "what": "LUN 1 of t", "sessions": 2,
        "why": "it could not be served", "notice": Notice.LUNS.value, "file": "ietd.conf", "line": 3, "column": 5,
        "text": text,
    }


def test_nothing_in_a_step_moves_a_terminal() -> None:
    assert "\x1b" not in str(Step(Action.ADD, "target", "target \x1b[31m", Notice.DISCOVERY, PLACE))
