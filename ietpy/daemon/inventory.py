"""What this daemon serves, and every way that can change while it does: by a file (start, reload) and by hand (ietadm).

``configuration`` says at any time what is served, as a file would; targets have IET's numbers (tid). A logical unit
that cannot be served is reported with its line and the others are served, as IET did. Everything that changes what is
served shares one lock; who only looks needs none: ``configuration``, ``targets`` and the problems are replaced, never
changed. Units are the business of ``units``, access rules that of ``rules``.
"""

from __future__ import annotations

import errno
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ietpy.config.access import AccessFiles
from ietpy.config.model import Account, Configuration, LunConfig, TargetConfig
from ietpy.daemon.assemble import LunRefused, discovery_accounts, follow, memory_limit, target_node
from ietpy.daemon.media import Media
from ietpy.daemon.rules import Rules
from ietpy.daemon.served import ServedTarget, target_facts
from ietpy.daemon.troubles import Trouble, nothing_kept
from ietpy.daemon.units import Units
from ietpy.errors import AdminError, Diagnostic
from ietpy.iscsi.target import IscsiNode
from ietpy.scsi.device import ScsiDevice
from ietpy.stores.state import StateDirectory

if TYPE_CHECKING:
    from ietpy.config.steps import LiveTarget, Step

HIGHEST_TID: Final = 2**32 - 1
#: Seconds to wait until what is removed is let go, all in all; what takes longer goes on by itself.
PATIENCE: Final = 2.0
#: Seconds to wait for a change that another one has begun. With PATIENCE and ``media.OPENING`` less than what clients
#: of the control socket wait: nothing is done that was reported to have failed.
TURN: Final = 2.5
#: The same for a reload, whose asker waits longer.
RELOAD_TURN: Final = 30.0

LockFactory = Callable[[], AbstractContextManager[Any]]


def _nothing() -> None:
    pass


class Inventory:
    """Changed by one caller at a time; ``changed`` is called after each change, and must not wait.

    ``access``: the companion files; by default IET's, read anew at every question. ``states``: where logical units keep
    what survives power loss; None: they keep nothing. A unit that is removed while this serves takes it along, one that
    is changed does not. ``memory``: bytes for writes that are not whole yet; None: what the machine allows.
    """

    def __init__(
        self,
        configuration: Configuration,
        media: Media,
        *,
        lock_factory: LockFactory = threading.RLock,
        access: AccessFiles | None = None,
        states: StateDirectory | None = None,
        memory: int | None = None,
        node: IscsiNode | None = None,
        units: type[Units] = Units,
    ) -> None:
        self.loaded = configuration  #: the file as it was read last
        self.configuration = replace(configuration, targets=())
        self.media = media
        self.node = node or IscsiNode(lock_factory(), memory=memory_limit() if memory is None else memory)
        self.targets: dict[int, ServedTarget] = {}
        self.changed: Callable[[], None] = _nothing
        self.elsewhere: Callable[[], list[Diagnostic]] = list  #: problems that others have
        self._lock_factory = lock_factory
        self._lock = threading.RLock()
        self._last_tid = 0
        self.rules = Rules(configuration, access)
        self._nothing_kept = nothing_kept(configuration.file, states)
        self.units = units(media, self._lock, self.all, lambda: self.changed(), states)
        self.units.expect(configuration.served_luns)
        self.follow_discovery()
        for target in configuration.targets:
            tid = self._next_tid()  # also of one that is not served, so that the others have the numbers IET gave
            self.put(target, tid)

    # What is there ------------------------------------------------------------------------------------------------

    @property
    def problems(self) -> list[Diagnostic]:
        """Those of severity "error" are what is not served."""
        return [*self.elsewhere(), *self._nothing_kept, *self.units.problems.all(), *self.units.by_initiators()]

    @property
    def degraded(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)

    def all(self) -> list[ServedTarget]:
        """All targets served, in the order of their creation."""
        return list(self.targets.values())

    def facts(self) -> list[dict[str, Any]]:
        """What is told of them (``served.target_facts``)."""
        return [target_facts(target) for target in self.all()]

    def target(self, tid: int) -> ServedTarget:
        """The target of this number. Raises AdminError (ENOENT)."""
        target = self.targets.get(tid)
        if target is None:
            raise AdminError(errno.ENOENT, f"there is no target with tid {tid}; see ietpy proc volume")
        return target

    def close(self) -> bool:
        """Flush and close every store; False when one of them failed (the log says which)."""
        return self.units.close()

    # Targets ------------------------------------------------------------------------------------------------------

    def add_target(self, config: TargetConfig, tid: int = 0) -> int:
        """Serve a target, with the next free number if ``tid`` is 0; its number.

        Raises AdminError: EINVAL when the name is taken or the number is none, EEXIST when the number is taken.
        """
        with self.turn():
            self.check_target_free(config, tid)
            tid = self.put(config, tid)
        self._tell()
        return tid

    def check_target_free(self, config: TargetConfig, tid: int) -> None:
        """Raise what ``add_target`` does."""
        if not 0 <= tid <= HIGHEST_TID:
            raise AdminError(errno.EINVAL, f"tid {tid} cannot be; use 1 to {HIGHEST_TID}, or 0 for the next free one")
        taken = next((each for each in self.configuration.targets if _same_name(each, config)), None)
        if taken is not None:
            raise AdminError(errno.EINVAL, f"there is a target {taken.name} already, at {taken.span}")
        if tid in self.targets:
            raise AdminError(errno.EEXIST, f"tid {tid} is the number of {self.targets[tid].config.name}")

    def put(self, config: TargetConfig, tid: int) -> int:
        self._set(config)
        if config.closed:
            problem = f"target {config.name} is not served: {config.closed}"
            found = Trouble.TARGET_NOT_SERVED.at(config.span, problem)
            self.units.problems.note(config, None, found)
            return 0
        tid = tid or self._next_tid()
        device = ScsiDevice(config.name, self._lock_factory())
        node = target_node(config, device, self.rules.of(config), self.configuration.portal_groups)
        target = ServedTarget(tid, config, node)
        for lun in config.luns:
            self.units.attempt(target, lun)
        self.node.add(target.node)
        self.targets = {**self.targets, tid: target}
        return tid

    def _next_tid(self) -> int:
        """IET's counter: it only moves forward, and numbers given by hand do not move it (iet-compat 5.5)."""
        self._last_tid += 1
        while self._last_tid in self.targets:
            self._last_tid += 1
        return self._last_tid

    def remove_target(self, tid: int) -> None:
        """Serve a target no more. Raises AdminError: ENOENT, or EBUSY while it has sessions."""
        with self.turn():
            target = self.target(tid)
            going = self.drop(target)
        self.wait_for(going)
        self._tell()

    def drop(self, target: ServedTarget) -> list[threading.Event]:
        with target.node.device.lock:  # no login comes in between
            if target.busy:
                count = len(target.node.sessions) or "ending"
                raise AdminError(errno.EBUSY, f"{target.config.name} has sessions ({count}); end them first")
            self.node.remove(target.node)
        self.targets = {tid: other for tid, other in self.targets.items() if other is not target}
        self.configuration = replace(
            self.configuration,
            targets=tuple(each for each in self.configuration.targets if not _same_name(each, target.config)),
        )
        self.units.problems.forget(target.config)
        going = [self.units.withdraw(target, number) for number in list(target.units)]
        self.units.transport.retire(target.node)
        return going

    def reconfigure(
        self, tid: int, options: Mapping[str, Any] = MappingProxyType({}),
        session_keys: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Change fields of TargetConfig, and session keys by name; the latter hold for new sessions."""
        with self.turn():
            target = self.target(tid)
            keys = MappingProxyType({**target.config.session_keys, **session_keys})
            self.alter(target, replace(target.config, session_keys=keys, **options))
        self._tell()

    def alter(self, target: ServedTarget, config: TargetConfig) -> None:
        self._set(config)
        target.config = config
        follow(target.node, config, self.rules.of(config), self.configuration.portal_groups)
        self.units.transport.follow(target.node)

    def redirect(self, tid: int, address: str) -> None:
        """Answer normal logins with this TargetAddress from now on; empty: no more (iet-compat 8.5)."""
        self.target(tid).node.redirect = address

    # Accounts -----------------------------------------------------------------------------------------------------

    def accounts_of(self, tid: int) -> tuple[tuple[Account, ...], Account | None]:
        """Incoming, in the order they were given, and outgoing; of discovery if ``tid`` is 0."""
        if not tid:
            return self.configuration.discovery_incoming, self.configuration.discovery_outgoing
        config = self.target(tid).config
        return config.incoming, config.outgoing

    def set_accounts(self, tid: int, incoming: tuple[Account, ...], outgoing: Account | None) -> None:
        """Replace the accounts of a scope; they hold for new logins."""
        with self.turn():
            if tid:
                target = self.target(tid)
                self.alter(target, replace(target.config, incoming=incoming, outgoing=outgoing))
            else:
                self.configuration = replace(
                    self.configuration, discovery_incoming=incoming, discovery_outgoing=outgoing
                )
                self.follow_discovery()

    def follow_discovery(self) -> None:
        self.node.let_discover(discovery_accounts(self.configuration))

    # Logical units ------------------------------------------------------------------------------------------------

    def add_lun(self, tid: int, lun: LunConfig) -> None:
        """Serve a logical unit. Raises AdminError: ENOENT, EEXIST, or what kept its medium from being opened."""
        with self.turn():
            target = self.target(tid)
            self.check_lun_free(tid, lun.number)
            try:
                self.units.add(target, lun)
            except LunRefused as reason:
                raise AdminError(reason.code, f"LUN {lun.number} of {target.config.name}: {reason}") from None
            self._set_luns(target, *_without(target.config, lun.number), lun)
        self._tell()

    def check_lun_free(self, tid: int, number: int) -> None:
        """Raise AdminError: ENOENT without the target, EEXIST when the number is taken."""
        target = self.target(tid)
        if number in target.units:
            raise AdminError(errno.EEXIST, f"{target.config.name} has a LUN {number} already; delete it first")

    def remove_lun(self, tid: int, number: int) -> None:
        """Serve a logical unit no more; commands under way are finished. Raises AdminError (ENOENT)."""
        with self.turn():
            target = self.target(tid)
            if number not in target.units:
                raise AdminError(errno.ENOENT, f"{target.config.name} has no LUN {number}")
            going = self.units.withdraw(target, number)
            self._set_luns(target, *_without(target.config, number))
        self._tell()
        self.wait_for([going])

    def resize_lun(self, tid: int, number: int, size: int, force: bool) -> dict[str, Any]:
        """``sizes.resize`` of a logical unit's medium, without a turn: giving space to a large one takes time."""
        from ietpy.daemon.sizes import resize

        target = self.target(tid)
        served = target.units.get(number)
        if served is None:
            raise AdminError(errno.ENOENT, f"{target.config.name} has no LUN {number}")
        result = resize(self.all(), served, size, force, self.units.transport)
        self.changed()
        return result

    def _set_luns(self, target: ServedTarget, *luns: LunConfig) -> None:
        target.config = replace(target.config, luns=luns)
        self._set(target.config)

    # The whole ----------------------------------------------------------------------------------------------------

    def plan(self, new: Configuration) -> list[Step]:
        """What ``apply`` would do now. Needs no lock; who applies it next has the turn already."""
        from ietpy.config.difference import difference

        return difference(self.configuration, new, self.live())

    def live(self) -> dict[str, LiveTarget]:
        """What a plan must know of the targets served, by name in lower case."""
        from ietpy.config.steps import LiveTarget
        from ietpy.daemon.sizes import resized as sizes_of

        sizes = sizes_of(self.all(), self.media)
        return {
            name: LiveTarget(
                len(target.node.sessions) or int(target.busy),
                frozenset(lun.number for lun in target.config.luns if lun.number not in target.units),
                sizes.get(name, {}),
            )
            for name, target in ((each.config.name.lower(), each) for each in self.all())
        }

    def apply(self, new: Configuration) -> list[str]:
        """Serve what ``new`` says; what could not be done, in sentences (``applying``)."""
        from ietpy.daemon.applying import apply

        with self.turn(RELOAD_TURN):
            kept = apply(self, new)
        self._tell()
        return kept

    # What all of these share --------------------------------------------------------------------------------------

    @contextmanager
    def turn(self, patience: float | None = None) -> Iterator[None]:
        """No other change comes in between. Raises AdminError (EBUSY) when another one takes too long."""
        seconds = TURN if patience is None else patience
        if not self._lock.acquire(timeout=seconds):
            raise AdminError(errno.EBUSY, f"another change has been under way for {seconds:g} s; try again")
        try:
            yield
        finally:
            self._lock.release()

    def _set(self, config: TargetConfig) -> None:
        """Let ``config`` stand in the configuration, in its namesake's place or at the end."""
        targets = list(self.configuration.targets)
        place = next((index for index, each in enumerate(targets) if _same_name(each, config)), len(targets))
        targets[place : place + 1] = [config]
        self.configuration = replace(self.configuration, targets=tuple(targets))

    def wait_for(self, going: list[threading.Event], until: float = math.inf) -> None:
        """Wait until media are let go, but for PATIENCE at most, and not longer than ``until`` (``time.monotonic``)."""
        until = min(until, time.monotonic() + PATIENCE)
        for gone in going:
            gone.wait(max(0.0, until - time.monotonic()))

    def _tell(self) -> None:
        self.changed()
        self.rules.refresh()


def _same_name(one: TargetConfig, other: TargetConfig) -> bool:
    return one.name.lower() == other.name.lower()


def _without(config: TargetConfig, number: int) -> Iterator[LunConfig]:
    return (lun for lun in config.luns if lun.number != number)
