"""What is counted of sessions adds up for their target."""

from __future__ import annotations

from ietpy.iscsi.tally import Tally


def test_tallies_add_up_field_by_field() -> None:
    total = Tally()
    for factor in (1, 100):
        one = Tally(sessions=1)
        for number, name in enumerate(sorted({*Tally.__slots__} - {"functions", "sessions"}), 2):
            setattr(one, name, number * factor)
        one.functions["abort_task"] += factor
        total.add(one)
    assert {name: getattr(total, name) for name in Tally.__slots__} == {
        "sessions": 2, "aborted": 202, "commands": 303, "data_digest_errors": 404, "header_digest_errors": 505,
        "r2ts": 606, "functions": {"abort_task": 101},
    }
