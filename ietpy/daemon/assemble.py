"""A configuration made real: targets, logical units and the stores behind them.

The one place where iSCSI and stores meet. A logical unit that cannot be served is reported with its
line and the others are served, as IET did.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from ietpy.config.access import AccessFiles
from ietpy.config.model import Account, Configuration, LunConfig, TargetConfig
from ietpy.errors import Diagnostic, Span, StoreError
from ietpy.iscsi.target import Accounts, Asker, IscsiNode, TargetNode
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.store import BackingStore
from ietpy.stores import open_store

log = logging.getLogger(__name__)

SECTOR = 512  #: bytes; the block size of everything but blockio when the file says nothing (iet-compat 2.3)

LockFactory = Callable[[], AbstractContextManager[Any]]
Opener = Callable[..., BackingStore]
#: What makes two Lun lines one medium: a device number and an inode, or a block device's own number.
StoreKey = tuple[int, ...]


@dataclass
class Assembly:
    """What a configuration came to. ``problems`` of severity "error" are what is not served."""

    node: IscsiNode
    stores: list[BackingStore] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    #: The Lun line of each logical unit served, by target name in lower case.
    served: dict[str, list[LunConfig]] = field(default_factory=dict)

    @property
    def degraded(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)

    def close(self) -> bool:
        """Flush and close every store; False when one of them failed (the log says which)."""
        clean = True
        for store in self.stores:
            try:
                store.flush()
            except StoreError as error:
                log.error("flushing at the end failed: %s", error)
                clean = False
            store.close()
        return clean


def assemble(
    configuration: Configuration,
    *,
    lock_factory: LockFactory = threading.RLock,
    access: AccessFiles | None = None,
    base: str = "/",
    opener: Opener = open_store,
) -> Assembly:
    """Open everything ``configuration`` names. Relative paths count from ``base``.

    ``access``: the companion files; by default IET's, read anew at every question.
    """
    access = access or AccessFiles(compat=configuration.compat)
    discovery = accounts(
        configuration.discovery_incoming, configuration.discovery_outgoing, configuration.discovery_closed
    )
    assembly = Assembly(IscsiNode(lock_factory(), discovery=discovery))
    media = Media(configuration, assembly, base, opener)
    for target in configuration.targets:
        closed = target.closed or _closed_by_isns(configuration)
        if closed:
            problem = f"target {target.name} is not served: {closed}"
            assembly.problems.append(Diagnostic(target.span, "error", "target-not-served", problem))
            continue
        device = ScsiDevice(target.name, lock_factory())
        served = assembly.served.setdefault(target.name.lower(), [])
        for lun in target.luns:
            if add_logical_unit(device, target, lun, media):
                served.append(lun)
        assembly.node.add(target_node(target, device, access.rule(target)))
    return assembly


def _closed_by_isns(configuration: Configuration) -> str:
    """Why iSNS keeps a target closed, or nothing: whom IET asked a server about must not get in unasked."""
    if not (configuration.isns_server and configuration.isns_access_control):
        return ""
    return (
        f"iSNSAccessControl leaves to the server {configuration.isns_server} who may use it, and this version has no"
        " iSNS client; remove that line and name the initiators in initiators.allow"
    )


def accounts(incoming: Iterable[Account], outgoing: Account | None, closed: str) -> Accounts:
    """CHAP accounts of one scope; of two with one name the later holds (iet-compat 1.7)."""
    return Accounts(
        {account.name: account.secret for account in incoming},
        (outgoing.name, outgoing.secret) if outgoing is not None else None,
        closed,
    )


def target_node(target: TargetConfig, device: ScsiDevice, admits: Callable[[Asker], bool]) -> TargetNode:
    given = {} if target.queued_commands is None else {"queued_commands": target.queued_commands}
    return TargetNode(
        target.name,
        device,
        accounts=accounts(target.incoming, target.outgoing, ""),
        admits=admits,
        key_values=target.session_keys,
        max_sessions=target.max_sessions,
        wthreads=target.wthreads,
        nop_interval=target.nop_interval,
        nop_timeout=target.nop_timeout,
        **given,
    )


def add_logical_unit(device: ScsiDevice, target: TargetConfig, lun: LunConfig, media: Media) -> bool:
    """Serve one Lun line; False when its medium does not allow it, which is then among the problems."""
    store = media.open(target, lun)
    if store is None:
        return False
    block_size = lun.block_size or (store.block_size if lun.type == "blockio" else SECTOR)
    if block_size % store.block_size:
        reason = f"its medium cannot be addressed by blocks of {block_size} bytes, only {store.block_size}"
        media.refuse(target, lun, reason, f"say BlockSize={store.block_size}")
        return False
    if store.size < block_size:
        reason = f"{lun.path or lun.type} holds less than one block of {block_size} bytes"
        media.refuse(target, lun, reason, "make it larger (ietpy mkimage --size)")
        return False
    unit = LogicalUnit(
        store,
        iet_identity(target.name, lun.number, lun.scsi_id, lun.scsi_sn),
        block_size=block_size,
        read_only=lun.read_only,
        write_cache=lun.write_cache,
        device=device,
        number=lun.number,
    )
    device.add(lun.number, unit)
    return True


class Media:
    """The stores of one daemon: one object per backing file, however many Lun lines name it."""

    def __init__(self, configuration: Configuration, assembly: Assembly, base: str, opener: Opener) -> None:
        self._assembly = assembly
        self._base = base
        self._opener = opener
        self._open: dict[StoreKey, tuple[BackingStore, Span]] = {}
        #: Media some line wants to write: their one store is opened for writing whatever line comes first.
        self._written = {self._key(lun) for lun in _served_luns(configuration) if not lun.read_only}

    def open(self, target: TargetConfig, lun: LunConfig) -> BackingStore | None:
        """The store of one Lun line, perhaps an earlier line's; None with a problem noted."""
        key = self._key(lun)
        if key is not None and key in self._open:
            store, first = self._open[key]
            problem = f"LUN {lun.number} of {target.name} shares {lun.path} with the Lun line at {first}"
            hint = "two initiators that mount it destroy its file system, unless it is a cluster's"
            self._assembly.problems.append(Diagnostic(lun.span, "warning", "shared-medium", problem, hint))
            return store
        try:
            store = self._opener(
                lun.type,
                self._path(lun),
                read_only=lun.read_only if key is None else key not in self._written,
                block_size=lun.block_size,
                options=lun.options,
            )
        except StoreError as error:
            self.refuse(target, lun, str(error), self._hint(lun))
            return None
        self._assembly.stores.append(store)
        if key is not None:
            self._open[key] = (store, lun.span)
        return store

    def refuse(self, target: TargetConfig, lun: LunConfig, reason: str, hint: str) -> None:
        """Note that ``lun`` is not served, and why."""
        problem = f"LUN {lun.number} of {target.name} is not served: {reason}"
        iet = "logged it and served the other LUNs"
        self._assembly.problems.append(Diagnostic(lun.span, "error", "lun-not-served", problem, hint, iet))

    def _path(self, lun: LunConfig) -> str:
        return os.path.join(self._base, lun.path) if lun.path else ""

    def _hint(self, lun: LunConfig) -> str:
        if lun.path and not os.path.isabs(lun.path):
            return f"a relative Path counts from {self._base}; write the whole path"
        return "then restart ietpy-daemon"

    def _key(self, lun: LunConfig) -> StoreKey | None:
        if not lun.path:
            return None
        try:
            found = os.stat(self._path(lun))
        except (OSError, ValueError):
            return None  # opening it says why
        return (found.st_rdev,) if stat.S_ISBLK(found.st_mode) else (found.st_dev, found.st_ino)


def _served_luns(configuration: Configuration) -> Iterator[LunConfig]:
    return (lun for target in configuration.targets if not target.closed for lun in target.luns)
