"""The parts a configuration comes to: accounts, targets, logical units. The one place where iSCSI and stores meet."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from ietpy.config.model import Account, Configuration, LunConfig, TargetConfig
from ietpy.errors import IetpyError, StoreError
from ietpy.iscsi.memory import LIMIT
from ietpy.iscsi.opening import alias
from ietpy.iscsi.pdu import PORTAL_GROUP_TAG
from ietpy.iscsi.target import QUEUED_COMMANDS, Accounts, Asker, TargetNode, Terms
from ietpy.scsi import mode, pace
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.exclusion import Exclusion
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.rates import Rates
from ietpy.scsi.store import BackingStore
from ietpy.stores.state import FileState

SECTOR: Final = 512  #: bytes; the block size of everything but blockio when the file says nothing (iet-compat 2.3)
_AGAIN: Final = "then restart ietpy-daemon, or ietpy-daemon reload"


class AccessRule(Protocol):
    """Who may use a target, and on what terms (``daemon.rules``). Two that are equal let in the same."""

    def __call__(self, asker: Asker) -> bool: ...

    def terms(self, asker: Asker) -> Terms | None: ...


class LunRefused(IetpyError):
    """A Lun line that cannot be served: why, what to do, and the errno IET had for it."""

    def __init__(self, code: int, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.code = code
        self.hint = hint


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """What is made here stays: looking for cycles in it took a seventh of the time, and 22 ms once it was served
    (1000 LUNs, 2026-11)."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


#: Bytes that a worker process has at least of it: one write of the longest must leave room for others.
SHARE_AT_LEAST: Final = 64 * 1024 * 1024


def memory_limit() -> int:
    """Bytes for writes that are not whole yet: at most a quarter of the machine's memory (docs/decisions 45)."""
    return min(LIMIT, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4)


def memory_share(processes: int) -> int:
    """Of these so many for each worker process."""
    return max(SHARE_AT_LEAST, memory_limit() // processes)


def accounts(
    incoming: Iterable[Account], outgoing: Account | None, closed: str, algorithms: tuple[str, ...] = ()
) -> Accounts:
    """CHAP accounts of one scope; of two with one name the later holds (iet-compat 1.7).

    One whose secret could not be read lets nobody in, and a scope that has no other is closed.
    """
    secrets = {account.name: account.secret for account in incoming}
    known = {name: secret for name, secret in secrets.items() if secret}
    if secrets and not known:
        closed = closed or "the secrets of its users could not be read"
    ours = (outgoing.name, outgoing.secret) if outgoing is not None and outgoing.secret else None
    return Accounts(known, ours, algorithms, closed)


def discovery_accounts(configuration: Configuration) -> Accounts:
    return accounts(
        configuration.discovery_incoming, configuration.discovery_outgoing, configuration.discovery_closed,
        configuration.chap_algorithms,
    )


def target_node(
    target: TargetConfig, device: ScsiDevice, rule: AccessRule, portal_groups: tuple[int, ...] = (PORTAL_GROUP_TAG,)
) -> TargetNode:
    """A target without logical units."""
    node = TargetNode(target.name, device)
    follow(node, target, rule, portal_groups)
    return node


def follow(
    node: TargetNode, target: TargetConfig, rule: AccessRule, portal_groups: tuple[int, ...] = (PORTAL_GROUP_TAG,)
) -> None:
    """Give a target the accounts and options it is configured with; what is negotiated holds for new sessions.

    ``rule``: its access rule. With the accounts and the portal groups (``portal_groups``: tags of all there are) it
    changes in one step: what the old file asks of one portal group must not let in by another one that the new has.
    """
    allowed = accounts(target.incoming, target.outgoing, target.closed, target.chap_algorithms)
    groups = target.portal_groups or portal_groups
    with node.device.lock:  # as logins have it that are about to succeed
        node.let_in(allowed, rule, rule.terms)
        node.offer(tuple(tag for tag in portal_groups if tag in groups))
    node.alias = alias(target.alias)
    node.key_values = target.session_keys
    node.max_sessions = target.max_sessions
    node.wthreads = target.wthreads
    node.nop_interval = target.nop_interval
    node.nop_timeout = target.nop_timeout
    node.queued_commands = QUEUED_COMMANDS if target.queued_commands is None else target.queued_commands


def logical_unit(
    device: ScsiDevice,
    lun: LunConfig,
    store: BackingStore,
    exclusion: Exclusion | None = None,
    state: FileState | None = None,
) -> LogicalUnit:
    """The logical unit of one Lun line, not yet offered; ``exclusion`` is the medium's.

    Raises LunRefused when the medium does not allow it, or when what is kept in ``state`` makes no sense.
    """
    block_size = lun.block_size or (store.block_size if lun.type == "blockio" else SECTOR)
    if block_size % store.block_size:
        reason = f"its medium cannot be addressed by blocks of {block_size} bytes, only {store.block_size}"
        raise LunRefused(errno.EINVAL, reason, f"say BlockSize={store.block_size}")
    if store.size < block_size:
        reason = f"{lun.path or lun.type} holds less than one block of {block_size} bytes"
        raise LunRefused(errno.EINVAL, reason, "make it larger (ietpy mkimage --size)")
    try:
        unit = LogicalUnit(
            store,
            iet_identity(device.name, lun.number, lun.scsi_id, lun.scsi_sn, lun.identity),
            block_size=block_size,
            read_only=lun.read_only,
            write_cache=lun.caches,
            device=device,
            number=lun.number,
            exclusion=exclusion,
            state=state,
            removable=lun.removable,
        )
        if lun.iops or lun.bytes_per_second:
            limit(unit, lun)
        return unit
    except ValueError as problem:
        if state is None:
            raise
        raise unusable(state.unusable(str(problem))) from None


def limit(unit: LogicalUnit, lun: LunConfig) -> None:
    """Have a unit be no faster than its line says."""
    pace.limit(unit, Rates(lun.iops, lun.bytes_per_second))


def reconfigure(unit: LogicalUnit, lun: LunConfig) -> None:
    """Have a unit be as its line says now, which does not need another one (``model.replaces``)."""
    limit(unit, lun)
    if (lun.caches, lun.read_only) != (unit.configured_write_cache, unit.read_only):
        mode.configure(unit, lun.caches, lun.read_only)


def refusal(lun: LunConfig, base: str, error: StoreError) -> LunRefused:
    """Why a store could not be opened, with what to do about it."""
    if lun.path and not os.path.isabs(lun.path):
        return LunRefused(error.errno, str(error), f"a relative Path counts from {base}; write the whole path")
    return LunRefused(error.errno, str(error), _AGAIN)


def unusable(error: StoreError) -> LunRefused:
    """Why what a logical unit has kept cannot be had; the error says what to do."""
    return LunRefused(error.errno, str(error), _AGAIN)
