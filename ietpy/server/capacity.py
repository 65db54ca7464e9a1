"""How many connections there may be after their logins: each has a thread, a descriptor and some memory (decisions 64).

No address has more than half of all places, so whoever takes all he can get leaves others as many. A login that
replaces a connection has the place of that one.
"""

from __future__ import annotations

import contextlib
import os
import resource
import threading
from collections import Counter
from collections.abc import Hashable
from typing import Final

from ietpy.errors import LoginFailure
from ietpy.iscsi.errors import LoginStatus
from ietpy.server.logins import LOGINS_AT_ONCE
from ietpy.server.throttle import source

#: Connections in full feature phase, where memory and descriptors allow so many.
CONNECTIONS_AT_ONCE: Final = 2048
#: One for so many bytes of the machine's memory: their buffers, of three quarters of a MiB each, are a fifth of it.
MEMORY_EACH: Final = 4 * 1024 * 1024
#: Descriptors kept for what is opened later and is no connection of an initiator: media, state, rules, control.
SPARE_DESCRIPTORS: Final = 64
#: What the daemon asks for, if it is allowed to.
DESCRIPTORS: Final = 65536
#: However little there is.
FEWEST: Final = 16


def ask_for_descriptors() -> None:
    """Raise the soft limit, which is low for the sake of programs that use select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a sandbox forbids it: then there are fewer connections
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """What this process may have, by its limits and what it has open as they are now."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    bounds = [CONNECTIONS_AT_ONCE, memory // MEMORY_EACH]
    if descriptors != resource.RLIM_INFINITY:
        bounds.append(descriptors - len(os.listdir("/proc/self/fd")) - LOGINS_AT_ONCE - SPARE_DESCRIPTORS)
    return max(FEWEST, min(bounds))


class Capacity:
    """Places by source (``throttle.source``); any thread may leave."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._places: dict[Hashable, str] = {}
        self._taken: Counter[str] = Counter()

    def check(self, address: str) -> None:
        """Raise LoginFailure (0302) when there is no place for one more connection from there."""
        each = self.most // 2
        if len(self._places) >= self.most:
            problem = f"there are {self.most} connections, as many as may be"
        elif self._taken[source(address)] >= each:
            problem = f"there are {each} connections from its address, as many as one may have"
        else:
            return
        raise LoginFailure(LoginStatus.OUT_OF_RESOURCES, problem)

    def enter(self, who: Hashable, source: str) -> None:
        with self._lock:
            self._places[who] = source
            self._taken[source] += 1

    def leave(self, who: Hashable) -> None:
        """Harmless for one who never had a place."""
        with self._lock:
            source = self._places.pop(who, None)
            if source is not None:
                self._taken[source] -= 1
                if not self._taken[source]:
                    del self._taken[source]
