"""The security stage of a login: AuthMethod and what it asks for (RFC 7143 sections 6.3.2, 9.2 and 12.1)."""

from __future__ import annotations

from collections.abc import Callable, MutableSet
from typing import Final

from ietpy.errors import LoginFailure
from ietpy.iscsi.chap import ChapTarget
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.keys import KEYS, Use
from ietpy.iscsi.target import Accounts
from ietpy.iscsi.text import NOT_UNDERSTOOD, REFUSALS, Pairs

CHAP_KEYS: Final = frozenset(("CHAP_A", "CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"))
_TARGET_KEYS: Final = frozenset(row.name for row in KEYS if row.use is Use.TARGET)


class Security:
    """Who an initiator says it is, and whether it has proved that as ``accounts`` demand.

    ``open_challenges`` are those outstanding on all connections of the daemon.
    """

    def __init__(
        self, accounts: Accounts, entropy: Callable[[int], bytes], open_challenges: MutableSet[bytes]
    ) -> None:
        self._accounts = accounts
        self._entropy = entropy
        self._open = open_challenges
        self._method = ""
        self._chap: ChapTarget | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing is left to prove."""
        return not self._accounts.required or bool(self.user)

    @property
    def user(self) -> str:
        """Who proved to be who; empty for nobody."""
        return "" if self._chap is None else self._chap.user

    @property
    def challenged(self) -> bool:
        """Whether the next request may hold a proof."""
        return self._chap is not None and self._chap.challenged

    @property
    def guessed(self) -> bool:
        """Whether a proof came and was wrong."""
        return self._chap is not None and self._chap.guessed

    def close(self) -> None:
        """No challenge of this login is open any more."""
        if self._chap is not None:
            self._chap.close()

    def answer(self, pairs: Pairs) -> Pairs:
        """Answers to one request of the stage. Raises LoginFailure, or ValueError for what breaks the rules."""
        answers: Pairs = []
        chap: dict[str, str] = {}
        for name, value in pairs:
            if name == "AuthMethod":
                answers.append((name, self._choose_method(value)))
            elif name in CHAP_KEYS:
                chap[name] = value
            elif name in _TARGET_KEYS:
                raise ValueError(f"{name} is for targets to send")
            elif value not in REFUSALS:
                answers.append((name, NOT_UNDERSTOOD))  # operational keys have their own stage (iet-compat 8.1)
        if self._accounts.required and not self._method:
            raise LoginFailure(LoginStatus.AUTHENTICATION_FAILURE, "AuthMethod is missing; CHAP is needed")
        if chap:
            if self._chap is None:
                raise ValueError("CHAP keys without AuthMethod=CHAP")
            answers += self._chap.step(chap)
        return answers

    def _choose_method(self, offered: str) -> str:
        """AuthMethod's answer: CHAP where accounts ask for it, else None (section 12.1)."""
        wanted = "CHAP" if self._accounts.required else "None"
        if self._method:
            raise ValueError("AuthMethod is negotiated a second time")
        self._method = wanted
        if wanted not in offered.split(","):
            raise LoginFailure(
                LoginStatus.AUTHENTICATION_FAILURE, f"AuthMethod={offered[:40]!a} is offered, {wanted} is needed"
            )
        if wanted == "CHAP":
            self._chap = ChapTarget(self._accounts, self._entropy, self._open)
        return wanted

    def require(self) -> None:
        """Raise LoginFailure unless the stage is passed: the initiator is beyond it."""
        if not self.passed:
            raise LoginFailure(LoginStatus.AUTHENTICATION_FAILURE, "the security stage was skipped; CHAP is needed")
