"""Who started us and wants to know how we are: sd_notify(3) and sd_watchdog_enabled(3), without a library."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PATIENCE: Final = 5.0  #: seconds for what must be heard
_SHOWING: Final = 1.0  #: and for a status


@dataclass(slots=True)
class Supervisor:
    """``address``: of its socket; empty: there is none. ``period``: seconds between signs of life; None: no need."""

    address: str = ""
    period: float | None = None
    _status: str = field(default="", init=False)  #: what it was told last of how we are

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Supervisor:
        """A third of the time after which we would be ended: one sign may be late, and none is too late."""
        address = environment.get("NOTIFY_SOCKET", "")
        allowed = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        wanted = bool(address) and ours and allowed.isdecimal() and int(allowed) > 0
        return cls(address, int(allowed) / 3e6 if wanted else None)

    def show(self, status: str) -> None:
        """One line about how we are, for ``systemctl status``; told when it is another than before."""
        if status != self._status:
            self._status = status
            self.tell(f"STATUS={status}", _SHOWING)

    def tell(self, word: str, patience: float = 0.0) -> None:
        """One that does not look at us for ``patience`` seconds is not told."""
        if self.address:
            place = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
                ours.settimeout(patience)
                ours.sendto(word.encode(), place)
