"""What is told of a connection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ietpy.server.facts import connection_facts


def test_before_the_login_is_over_there_is_nothing_to_tell() -> None:
    pump: Any = SimpleNamespace(connection=SimpleNamespace(session=None))
    assert connection_facts(pump) is None


def test_a_session_and_its_connection(served: Any) -> None:
    client = served.connect()
    (pump,) = served.server._pumps
    facts = connection_facts(pump)
    assert facts is not None
    assert (facts["initiator"], facts["cid"], facts["closing"]) == (client.plan.initiator, 0, False)
    assert (facts["target"], facts["address"]) == (served.target.name, "127.0.0.1")
