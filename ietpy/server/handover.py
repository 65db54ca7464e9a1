"""Logins of targets that another process serves (decisions 54): the socket goes there, with what was said on it.

The process that listens serves a login until its target is known and may be used; ``Elsewhere`` ends it here then. So
the one login there is (``iscsi/login.py``) understands what is cut, goes over several PDUs or is garbage. What came is
repeated to the login in the other process (``Logins.take_over``), which answers the same, as nothing before that point
depends on who serves; of its answers it leaves out what has been sent.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ietpy.errors import LoginFailure
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.target import Asker, IscsiNode, Portal, TargetNode


@dataclass(frozen=True, slots=True)
class Passage:
    """What goes with a socket: by which portal it came, until when its login must be over (``time.monotonic``, which
    all processes share), all bytes that were received, and how many were sent."""

    target: str
    portal: Portal
    deadline: float
    received: bytes
    sent: int


class Elsewhere(Exception):
    """A login has come to a target of another process."""

    def __init__(self, target: TargetNode) -> None:
        super().__init__(target.name)
        self.target = target


class Signpost(IscsiNode):
    """A node that knows targets, tells of them in discovery and asks their rules, and serves none of them.

    ``reachable(name)``: whether the process that serves a target takes logins.
    """

    def __init__(self, lock: AbstractContextManager[Any], reachable: Callable[[str], bool]) -> None:
        super().__init__(lock)
        self._reachable = reachable

    def find(self, name: str, asker: Asker) -> tuple[TargetNode, int] | None:
        found = super().find(name, asker)
        if found is None:
            return None
        target, _ = found
        if not self._reachable(target.name):
            problem = f"the process that serves {target.name} has ended; another one is being started"
            raise LoginFailure(LoginStatus.SERVICE_UNAVAILABLE, problem)
        raise Elsewhere(target)
