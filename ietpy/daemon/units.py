"""The logical units of all targets: opened and offered, withdrawn and let go, and what is noted of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import takewhile
from typing import Any, Final, Protocol

from ietpy.config.model import LunConfig, TargetConfig
from ietpy.daemon.assemble import LunRefused, logical_unit, reconfigure, refusal, unusable
from ietpy.daemon.media import Held, Media
from ietpy.daemon.served import ServedTarget, ServedUnit
from ietpy.daemon.troubles import Trouble
from ietpy.errors import Diagnostic, StoreError
from ietpy.events import Event
from ietpy.iscsi.target import TargetNode
from ietpy.scsi import cache
from ietpy.scsi.asc import Asc
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.stores.state import FileState, StateDirectory

log = logging.getLogger(__name__)

_PAUSE: Final = 0.02  #: seconds between looks at commands under way
_MAKE_ROOM: Final = "make room there, or let this user write; the next command that keeps something tries again"
_LOST_HINT: Final = (
    "look at the device and the kernel's log; when it is well, remove the LUN and add it again, or restart the daemon,"
    " and have initiators check their file systems"
)


class Transport(Protocol):
    """What is asked of ``server.listener.Server``."""

    def under_way(self, unit: LogicalUnit) -> Callable[[], bool]: ...

    def follow(self, target: TargetNode) -> None: ...

    def retire(self, target: TargetNode) -> None: ...


class _NoTransport:
    """Before there is a server nothing is under way."""

    def under_way(self, unit: LogicalUnit) -> Callable[[], bool]:
        return lambda: False

    def follow(self, target: TargetNode) -> None:
        pass

    def retire(self, target: TargetNode) -> None:
        pass


class Problems:
    """What is not served, or not as it should be, by target (in lower case) and LUN (None: the target).

    Changed by one caller at a time; whoever looks needs no lock, as the table is replaced.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, int | None], Diagnostic] = {}

    def all(self) -> list[Diagnostic]:
        """In the order of their places."""
        return sorted(self._found.values(), key=lambda problem: problem.span)

    def note(self, config: TargetConfig, number: int | None, problem: Diagnostic) -> None:
        self._found = {**self._found, (config.name.lower(), number): problem}

    def forget(self, config: TargetConfig, *numbers: int) -> None:
        """What was noted of these LUNs, or of the target and all of its LUNs."""
        name = config.name.lower()
        self._found = {
            key: problem for key, problem in self._found.items()
            if key[0] != name or (numbers and key[1] not in numbers)
        }

    def clear(self) -> None:
        self._found = {}


class Units:
    """Every method is called under ``lock``, the inventory's; ``targets`` are those served.

    ``changed`` is called, without it, when a unit was let go. ``states``: where units keep what survives power loss;
    None: nowhere.
    """

    def __init__(
        self, media: Media, lock: AbstractContextManager[Any], targets: Callable[[], Iterable[ServedTarget]],
        changed: Callable[[], None], states: StateDirectory | None = None,
    ) -> None:
        self.transport: Transport = _NoTransport()
        self.problems = Problems()
        self._media = media
        self._lock = lock
        self._targets = targets
        self._changed = changed
        self._states = states
        self._unserved: set[str] = set()  #: paths of Lun lines that are being tried, or could not be served
        self._closed = False

    def close(self) -> bool:
        """Flush and close every store, for good; False when one of them failed, now or before. Needs no lock."""
        self._closed = True
        flushed = self._media.close_all()
        for target in self._targets():
            for number, served in [*target.units.items()]:
                if cache.lost(served.unit):  # which the last flush does not know of
                    flushed = False
                    Event.FLUSH_FAILED.tell(
                        log, "LUN %d of %s has lost something of its write cache before", number, target.config.name)
                if served.state is not None:
                    served.state.close()
        return flushed

    # Coming -------------------------------------------------------------------------------------------------------

    def add(self, target: ServedTarget, lun: LunConfig) -> None:
        """Serve a logical unit. Raises LunRefused."""
        try:
            held = self._media.open(lun)
        except StoreError as error:
            raise refusal(lun, self._media.base, error) from None
        state = None
        try:
            state = self._state(target, lun)
            unit = logical_unit(target.node.device, lun, held.store, held.exclusion, state)
        except Exception:
            if state is not None:
                state.close()
            self._let_go(held, lun)
            raise
        self.problems.forget(target.config, lun.number)
        target.units[lun.number] = served = ServedUnit(lun, unit, held, state)
        self._note_shared(target, served)
        target.node.device.add(lun.number, unit)

    def _state(self, target: ServedTarget, lun: LunConfig) -> FileState | None:
        """What is kept of a logical unit. Raises LunRefused where that cannot be told: it may be who may write."""
        if self._states is None:
            return None
        try:
            return self._states.unit(target.config.name, lun.number, self._media.identity(lun))
        except StoreError as error:
            raise unusable(error) from None

    def attempt(self, target: ServedTarget, lun: LunConfig) -> None:
        """Serve a Lun line of a file, or note why not."""
        path = self._media.path(lun)
        self._unserved.add(path)
        try:
            self.add(target, lun)
            self._unserved.discard(path)
        except LunRefused as reason:
            problem = f"LUN {lun.number} of {target.config.name} is not served: {reason}"
            iet = "logged it and served the other LUNs"
            self.problems.note(
                target.config, lun.number, Trouble.LUN_NOT_SERVED.at(lun.span, problem, reason.hint, iet)
            )

    def expect(self, luns: Iterable[LunConfig]) -> None:
        """These are the Lun lines of a file, which will be attempted; nothing is noted yet."""
        self.problems.clear()
        self._unserved.clear()
        self._media.expect(luns)

    def moved(self, unit: ServedUnit, lun: LunConfig) -> None:
        """The line of a unit that stays stands elsewhere in the file now, or says something else of it."""
        self._media.follow(unit.held, unit.config, lun)
        unit.config, before = lun, unit.config
        if lun != before:
            reconfigure(unit.unit, lun)

    # Going --------------------------------------------------------------------------------------------------------

    def withdraw(self, target: ServedTarget, number: int) -> threading.Event:
        """Offer a unit no more; the event tells when its medium is let go, the last command being over.

        What it kept stays for the next unit of its name and number (decisions 0032).
        """
        served = target.units.pop(number)
        target.leaving.append(served)
        self.problems.forget(target.config, number)
        target.node.device.remove(number)
        if served.state is not None:
            served.state.close()  # commands under way keep nothing more, which the next unit would not know
        gone = threading.Event()
        busy = self.transport.under_way(served.unit)
        try:
            threading.Thread(
                target=self._see_off, args=(target, served, busy, gone), name="leaving", daemon=True
            ).start()
        except RuntimeError as problem:  # the system has no thread left
            Event.THREADS.tell(
                log, "LUN %d of %s stays open until the end: %s", number, target.config.name, problem
            )
            gone.set()
        return gone

    def _see_off(
        self, target: ServedTarget, served: ServedUnit, busy: Callable[[], bool], gone: threading.Event
    ) -> None:
        pause = threading.Event()
        while busy():
            pause.wait(_PAUSE)
        self._let_go(served.held, served.config)
        target.leaving.remove(served)
        gone.set()
        path = self._media.path(served.config)
        if path in self._unserved:  # tried before this; from now on trying has success
            with self._lock:
                self._attempt_again(path)
        self._changed()

    def _attempt_again(self, path: str) -> None:
        """A medium was let go: serve the Lun lines of a file that could not have it, because that took too long."""
        for target in () if self._closed else self._targets():
            for lun in target.config.luns:
                if lun.number not in target.units and self._media.path(lun) == path:
                    self.attempt(target, lun)
                    Event.LUN_TRIED_AGAIN.tell(log, "LUN %d of %s was tried again", lun.number, target.config.name)

    def _let_go(self, held: Held, lun: LunConfig) -> None:
        if self._media.release(held, lun):
            self._media.close(held)

    # What is noted ------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Note again which units share a medium, and note which serve one that is not at its path any more."""
        units = [(target, unit) for target in self._targets() for unit in target.units.values()]
        replaced = {id(lun) for lun in self._media.replaced((unit.held, unit.config) for _, unit in units)}
        for target, unit in units:
            lun = unit.config
            if id(lun) in replaced:
                problem = f"LUN {lun.number} of {target.config.name} serves what was at {lun.path} when it was opened;"
                problem += " another one is there now, or none"
                hint = "remove the LUN and add it again with ietadm, or restart ietpy-daemon"
                found = Trouble.MEDIUM_REPLACED.at(lun.span, problem, hint)
                self.problems.note(target.config, lun.number, found)
            else:
                self._note_shared(target, unit)

    def by_initiators(self) -> list[Diagnostic]:
        """Units that initiators have, at this moment, made less useful than their lines say, or that cannot keep what
        they asked for, or have lost something of their write caches (decisions 60). Needs no lock."""
        found = []
        for target in self._targets():
            for unit in [*target.units.values()]:
                name = f"LUN {unit.config.number} of {target.config.name}"
                if unit.state is not None and unit.state.failing:
                    problem = f"{name} cannot keep persistent reservations and mode pages: {unit.state.failing}"
                    found.append(Trouble.STATE_NOT_KEPT.at(unit.config.span, problem, _MAKE_ROOM))
                if cache.lost(unit.unit):
                    problem = f"{name} has lost something of its write cache: flushing it failed"
                    found.append(Trouble.CACHE_LOST.at(unit.config.span, problem, _LOST_HINT))
                for trouble, problem, hint in _made_less(unit.unit):
                    found.append(trouble.at(unit.config.span, f"{name} {problem}", hint))
        return found

    def _note_shared(self, target: ServedTarget, unit: ServedUnit) -> None:
        """Note that a unit serves the medium of an earlier line, unless that one is only being let go."""
        lun = unit.config
        others = [*takewhile(lambda user: user is not lun, tuple(unit.held.users))]
        if not others:
            return
        served = {id(each.config) for of in (*self._targets(), target) for each in of.units.values()}
        first = next((other.span for other in others if id(other) in served), None)
        if first is not None:
            problem = f"LUN {lun.number} of {target.config.name} shares {lun.path} with the Lun line at {first}"
            hint = "two initiators that mount it destroy its file system, unless it is a cluster's"
            found = Trouble.SHARED_MEDIUM.at(lun.span, problem, hint)
            self.problems.note(target.config, lun.number, found)


def _made_less(unit: LogicalUnit) -> Iterator[tuple[Trouble, str, str]]:
    """Trouble, problem and hint: what is being formatted or sanitized, or was without success; what is protected."""
    condition = unit.readiness.condition()
    if condition is not None and condition.asc is not Asc.MEDIUM_NOT_PRESENT:
        problem, hint = f"serves nobody: {condition.asc.text}", "format or sanitize it, from an initiator"
        if condition.progress is not None:
            problem += f" ({condition.progress * 100 >> 16} %)"
            hint = "initiators can use it again when that has ended"
        elif condition.asc is Asc.SANITIZE_COMMAND_FAILED:
            hint = "sanitize it again, from an initiator"
        yield Trouble.LUN_NOT_READY, problem, hint
    if unit.software_write_protect:
        hint = "have one clear SWP of the control mode page"
        yield Trouble.WRITE_PROTECTED, "is write protected by an initiator", hint
