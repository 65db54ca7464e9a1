"""What this daemon serves, and every way that can change while it does: by a file (start, reload) and by hand (ietadm).

``configuration`` says at any time what is served, as a file would; targets have IET's numbers (tid). A logical unit
that cannot be served is reported with its line and the others are served, as IET did. Long, because everything that
changes what is served shares one lock and one order of steps.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, Protocol

from ietpy.config.access import AccessFiles
from ietpy.config.model import Account, Configuration, LunConfig, TargetConfig
from ietpy.daemon.assemble import LunRefused, accounts, follow, logical_unit, refusal, target_node
from ietpy.daemon.media import Held, Media
from ietpy.daemon.served import ServedTarget, ServedUnit
from ietpy.errors import AdminError, Diagnostic, StoreError
from ietpy.iscsi.target import Asker, IscsiNode, TargetNode
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.logical_unit import LogicalUnit

log = logging.getLogger(__name__)

#: Seconds to wait until what is removed is let go; what takes longer goes on by itself.
PATIENCE: Final = 2.0
_PAUSE: Final = 0.02  #: seconds between looks at commands under way

LockFactory = Callable[[], AbstractContextManager[Any]]


class Transport(Protocol):
    """What an inventory asks of ``server.listener.Server``."""

    def under_way(self, unit: LogicalUnit) -> Callable[[], bool]: ...

    def follow(self, target: TargetNode) -> None: ...

    def retire(self, target: TargetNode) -> None: ...


class Gate(Protocol):
    """Whom an iSNS server lets use a target (``isns.client``)."""

    def admits(self, target: str, initiator: str) -> bool: ...

    def refresh(self) -> None: ...


class _NoTransport:
    """Before there is a server nothing is under way."""

    def under_way(self, unit: LogicalUnit) -> Callable[[], bool]:
        return lambda: False

    def follow(self, target: TargetNode) -> None:
        pass

    def retire(self, target: TargetNode) -> None:
        pass


def _nothing() -> None:
    pass


class Inventory:
    """Changed by one caller at a time; ``changed`` is called after each change, and must not wait.

    ``access``: the companion files; by default IET's, read anew at every question.
    """

    def __init__(
        self,
        configuration: Configuration,
        media: Media,
        *,
        lock_factory: LockFactory = threading.RLock,
        access: AccessFiles | None = None,
    ) -> None:
        self.loaded = configuration  #: the file as it was read last
        self.configuration = replace(configuration, targets=())
        self.media = media
        self.node = IscsiNode(lock_factory())
        self.targets: dict[int, ServedTarget] = {}
        self.transport: Transport = _NoTransport()
        self.gate: Gate | None = None
        self.changed: Callable[[], None] = _nothing
        self._lock_factory = lock_factory
        self._access = access or AccessFiles(compat=configuration.compat)
        self._lock = threading.RLock()
        self._last_tid = 0
        #: What is not served, or not as it should be, by target (in lower case) and LUN (None: the target).
        self._problems: dict[tuple[str, int | None], Diagnostic] = {}
        media.expect(_served_luns(configuration))
        self._follow_discovery()
        for target in configuration.targets:
            self._add(target, 0)

    # What is there ------------------------------------------------------------------------------------------------

    @property
    def problems(self) -> list[Diagnostic]:
        """Those of severity "error" are what is not served."""
        with self._lock:
            return sorted(self._problems.values(), key=lambda problem: problem.span)

    @property
    def degraded(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)

    def all(self) -> list[ServedTarget]:
        """All targets served, in the order of their creation."""
        with self._lock:
            return list(self.targets.values())

    def target(self, tid: int) -> ServedTarget:
        """The target of this number. Raises AdminError (ENOENT)."""
        with self._lock:
            target = self.targets.get(tid)
        if target is None:
            raise AdminError(errno.ENOENT, f"there is no target with tid {tid}; see ietpy proc volume")
        return target

    def close(self) -> bool:
        """Flush and close every store; False when one of them failed (the log says which)."""
        return self.media.close_all()

    # Targets ------------------------------------------------------------------------------------------------------

    def add_target(self, config: TargetConfig, tid: int = 0) -> int:
        """Serve a target, with the next free number if ``tid`` is 0; its number.

        Raises AdminError: EINVAL when the name is taken, EEXIST when the number is.
        """
        with self._lock:
            taken = next((each for each in self.configuration.targets if _same_name(each, config)), None)
            if taken is not None:
                raise AdminError(errno.EINVAL, f"there is a target {taken.name} already, at {taken.span}")
            if tid in self.targets:
                raise AdminError(errno.EEXIST, f"tid {tid} is the number of {self.targets[tid].config.name}")
            tid = self._add(config, tid)
        self._tell()
        return tid

    def _add(self, config: TargetConfig, tid: int) -> int:
        self._set(config)
        tid = tid or self._next_tid()  # also of one that is not served, so that the others have the numbers IET gave
        if config.closed:
            problem = f"target {config.name} is not served: {config.closed}"
            self._note(config, None, Diagnostic(config.span, "error", "target-not-served", problem))
            return tid
        device = ScsiDevice(config.name, self._lock_factory())
        target = ServedTarget(tid, config, target_node(config, device, self._rule(config)))
        for lun in config.luns:
            self._try_lun(target, lun)
        self.node.add(target.node)
        self.targets[tid] = target
        return tid

    def _next_tid(self) -> int:
        """IET's counter: it only moves forward, and numbers given by hand do not move it (iet-compat 5.5)."""
        self._last_tid += 1
        while self._last_tid in self.targets:
            self._last_tid += 1
        return self._last_tid

    def remove_target(self, tid: int) -> None:
        """Serve a target no more. Raises AdminError: ENOENT, or EBUSY while it has sessions."""
        with self._lock:
            target = self.target(tid)
            going = self._remove(target)
        self._await(going)
        self._tell()

    def _remove(self, target: ServedTarget) -> list[threading.Thread]:
        with target.node.device.lock:  # no login comes in between
            if target.busy:
                count = len(target.node.sessions) or "ending"
                raise AdminError(errno.EBUSY, f"{target.config.name} has sessions ({count}); end them first")
            self.node.remove(target.node)
        del self.targets[target.tid]
        self.configuration = replace(
            self.configuration,
            targets=tuple(each for each in self.configuration.targets if not _same_name(each, target.config)),
        )
        self._forget(target.config)
        going = [self._withdraw(target, number) for number in list(target.units)]
        self.transport.retire(target.node)
        return going

    def reconfigure(
        self, tid: int, options: Mapping[str, Any] = MappingProxyType({}),
        session_keys: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Change fields of TargetConfig, and session keys by name; the latter hold for new sessions."""
        with self._lock:
            target = self.target(tid)
            keys = MappingProxyType({**target.config.session_keys, **session_keys})
            self._reconfigure(target, replace(target.config, session_keys=keys, **options))
        self._tell()

    def _reconfigure(self, target: ServedTarget, config: TargetConfig) -> None:
        self._set(config)
        target.config = config
        follow(target.node, config)
        self.transport.follow(target.node)

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
        with self._lock:
            if tid:
                target = self.target(tid)
                self._reconfigure(target, replace(target.config, incoming=incoming, outgoing=outgoing))
            else:
                self.configuration = replace(
                    self.configuration, discovery_incoming=incoming, discovery_outgoing=outgoing
                )
                self._follow_discovery()

    def _follow_discovery(self) -> None:
        file = self.configuration
        self.node.discovery = accounts(file.discovery_incoming, file.discovery_outgoing, file.discovery_closed)

    # Logical units ------------------------------------------------------------------------------------------------

    def add_lun(self, tid: int, lun: LunConfig) -> None:
        """Serve a logical unit. Raises AdminError: ENOENT, EEXIST, or what kept its medium from being opened."""
        with self._lock:
            target = self.target(tid)
            self.check_lun_free(tid, lun.number)
            try:
                self._add_lun(target, lun)
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
        with self._lock:
            target = self.target(tid)
            if number not in target.units:
                raise AdminError(errno.ENOENT, f"{target.config.name} has no LUN {number}")
            going = self._withdraw(target, number)
            self._set_luns(target, *_without(target.config, number))
        self._tell()
        self._await([going])

    def _set_luns(self, target: ServedTarget, *luns: LunConfig) -> None:
        target.config = replace(target.config, luns=luns)
        self._set(target.config)

    def _try_lun(self, target: ServedTarget, lun: LunConfig) -> None:
        """Serve a Lun line of a file, or note why not."""
        try:
            self._add_lun(target, lun)
        except LunRefused as reason:
            problem = f"LUN {lun.number} of {target.config.name} is not served: {reason}"
            iet = "logged it and served the other LUNs"
            self._note(
                target.config, lun.number, Diagnostic(lun.span, "error", "lun-not-served", problem, reason.hint, iet)
            )

    def _add_lun(self, target: ServedTarget, lun: LunConfig) -> None:
        try:
            held, first = self.media.open(lun)
        except StoreError as error:
            raise refusal(lun, self.media.base, error) from None
        try:
            unit = logical_unit(target.node.device, lun, held.store)
        except LunRefused:
            self._let_go(held, lun)
            raise
        self._problems.pop((target.config.name.lower(), lun.number), None)
        if first is not None:
            problem = f"LUN {lun.number} of {target.config.name} shares {lun.path} with the Lun line at {first}"
            hint = "two initiators that mount it destroy its file system, unless it is a cluster's"
            self._note(target.config, lun.number, Diagnostic(lun.span, "warning", "shared-medium", problem, hint))
        target.units[lun.number] = ServedUnit(lun, unit, held)
        target.node.device.add(lun.number, unit)

    def _withdraw(self, target: ServedTarget, number: int) -> threading.Thread:
        """Offer a unit no more; the thread that lets its medium go when the last command is over, started."""
        served = target.units.pop(number)
        target.leaving.append(served)
        self._problems.pop((target.config.name.lower(), number), None)
        target.node.device.remove(number)
        busy = self.transport.under_way(served.unit)
        thread = threading.Thread(target=self._see_off, args=(target, served, busy), name="leaving", daemon=True)
        thread.start()
        return thread

    def _see_off(self, target: ServedTarget, served: ServedUnit, busy: Callable[[], bool]) -> None:
        pause = threading.Event()
        while busy():
            pause.wait(_PAUSE)
        self._let_go(served.held, served.config)
        target.leaving.remove(served)
        self.changed()

    def _let_go(self, held: Held, lun: LunConfig) -> None:
        if self.media.release(held, lun):
            self.media.close(held)

    # The whole ----------------------------------------------------------------------------------------------------

    def apply(self, new: Configuration) -> list[str]:
        """Serve what ``new`` says; what could not be done, in sentences.

        Sessions of what stays go on. A target that is no longer in the file but in use is kept.
        """
        kept: list[str] = []
        with self._lock:
            wanted = {target.name: target for target in new.targets}
            closed = {target.name for target in new.targets if target.closed}
            for target in list(self.targets.values()):
                name = target.config.name
                if name in wanted and name not in closed:
                    continue
                try:
                    self._await(self._remove(target))
                except AdminError as busy:
                    kept.append(f"{name} is not in the file as one to be served, and is still in use: {busy}")
                    if name in closed:
                        self._reconfigure(target, replace(target.config, closed=wanted[name].closed))
            still = {target.config.name.lower(): target for target in self.targets.values()}
            present = tuple(still.values())
            self._problems.clear()
            self.loaded = new
            self.configuration = replace(new, targets=tuple(target.config for target in present))
            self._follow_discovery()
            self.media.expect(_served_luns(new))
            for config in new.targets:
                served = still.get(config.name.lower())
                if served is None:
                    self._add(config, 0)
                elif served.config.name == config.name and not config.closed:
                    self._update(served, config)
            order = {target.name.lower(): index for index, target in enumerate(new.targets)}
            self.configuration = replace(self.configuration, targets=tuple(sorted(
                self.configuration.targets, key=lambda target: order.get(target.name.lower(), len(order))
            )))
        self._tell()
        return kept

    def _update(self, target: ServedTarget, config: TargetConfig) -> None:
        """Make a target what a file says now."""
        wanted = {lun.number: lun for lun in config.luns}
        changed = [number for number, served in target.units.items() if wanted.get(number) != served.config]
        self._await([self._withdraw(target, number) for number in changed])
        self._reconfigure(target, config)
        target.node.admits = self._rule(config)
        for lun in config.luns:
            if lun.number not in target.units:
                self._try_lun(target, lun)

    # What all of these share --------------------------------------------------------------------------------------

    def _set(self, config: TargetConfig) -> None:
        """Let ``config`` stand in the configuration, in its namesake's place or at the end."""
        targets = list(self.configuration.targets)
        place = next((index for index, each in enumerate(targets) if _same_name(each, config)), len(targets))
        targets[place : place + 1] = [config]
        self.configuration = replace(self.configuration, targets=tuple(targets))

    def _rule(self, config: TargetConfig) -> Callable[[Asker], bool]:
        """Who may use a target: the companion files and its own lines say, and an iSNS server if it is to."""
        rule = self._access.rule(config)
        return lambda asker: rule(asker) and self._listed(config.name, asker.initiator)

    def _listed(self, target: str, initiator: str) -> bool:
        """Whether iSNS has nothing against it; closed as long as nobody could be asked."""
        if not (self.configuration.isns_server and self.configuration.isns_access_control):
            return True
        return self.gate is not None and self.gate.admits(target, initiator)

    def _note(self, config: TargetConfig, number: int | None, problem: Diagnostic) -> None:
        self._problems[config.name.lower(), number] = problem

    def _forget(self, config: TargetConfig) -> None:
        name = config.name.lower()
        self._problems = {key: problem for key, problem in self._problems.items() if key[0] != name}

    def _await(self, going: list[threading.Thread]) -> None:
        for thread in going:
            thread.join(PATIENCE)

    def _tell(self) -> None:
        self.changed()
        if self.gate is not None:
            self.gate.refresh()


def _same_name(one: TargetConfig, other: TargetConfig) -> bool:
    return one.name.lower() == other.name.lower()


def _without(config: TargetConfig, number: int) -> Iterator[LunConfig]:
    return (lun for lun in config.luns if lun.number != number)


def _served_luns(configuration: Configuration) -> Iterator[LunConfig]:
    return (lun for target in configuration.targets if not target.closed for lun in target.luns)
