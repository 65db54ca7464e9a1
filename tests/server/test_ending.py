"""How a pump ends (also ``test_pump`` and ``test_sharing``): nothing of it stays but what another may take over."""

from __future__ import annotations

from typing import Any

from ietpy.server import ending


def test_the_end_of_one_of_several_leaves_the_session(served: Any) -> None:
    served.target.key_values = {"MaxConnections": 2}
    lead = served.connect(keys={"MaxConnections": "2"})
    other = served.dial()
    other.join(lead, 1)
    (pump,) = (each for each in served.server._pumps if each.connection.cid == 1)
    other.close()
    assert pump.left.wait(20)
    assert pump.finished.wait(20)
    assert list(pump.connection.session.connections) == [0]
    assert pump not in pump.line.members


def test_leaving_answers_nobody_where_the_session_ends(served: Any) -> None:
    client = served.connect()
    (pump,) = served.server._pumps
    client.close()
    assert pump.finished.wait(20)
    ending.left(pump)  # harmless a second time
    assert pump.left.is_set()
