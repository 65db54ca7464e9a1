"""What is told of a connection (``ietpy-daemon status``, ietadm, /run/iet)."""

from __future__ import annotations

from typing import Any

from ietpy.server.pump import Pump


def connection_facts(pump: Pump) -> dict[str, Any] | None:
    """Plain facts about a connection and its session; None before there is one."""
    session = pump.connection.session
    if session is None:
        return None
    return {
        "tsih": session.tsih,
        "isid": session.isid.hex(),
        "cid": pump.connection.cid,
        "initiator": session.initiator,
        "address": pump.connection.asker.peer,
        "portal": pump.connection.asker.local,
        "portal_group": session.asker.group,
        "target": session.target.name if session.target is not None else None,
        "user": session.user,
        "header_digest": pump.connection.header_digest,
        "data_digest": pump.connection.data_digest,
        "closing": pump.connection.closing,
    }
