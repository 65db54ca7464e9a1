"""A target in this process, for programs and tests: ``with ietpy.serve("disk.img") as target: target.url``.

It goes the daemon's way from a configuration on (inventory, server), with no file but the disks themselves: nothing
below /etc or /run is read or written, nothing is kept over a restart, no signal is touched, and no log set up.
"""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final

from ietpy import images
from ietpy.config.access import AccessFiles
from ietpy.config.model import Account, Configuration, LunConfig, TargetConfig
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.errors import Span, UsageError
from ietpy.initiator.url import Url
from ietpy.scsi.attention import MODE_PARAMETERS_CHANGED
from ietpy.scsi.store import BackingStore
from ietpy.server.listener import Server
from ietpy.server.portals import bind
from ietpy.stores import open_store

LOOPBACK: Final = "127.0.0.1"
#: How this machine reaches what listens everywhere.
_NEAR: Final = {"0.0.0.0": LOOPBACK, "::": "::1"}
_STOP_SECONDS: Final = 5.0
_HERE: Final = Span("ietpy.serve", 1, 1)
_SCRATCH: Final = "scratch.img"

Disk = str | os.PathLike[str]


class Target:
    """One target that is served until ``close``, or the end of a ``with``. ``name``: its iSCSI name; ``size``: bytes of
    its first disk."""

    def __init__(self, inventory: Inventory, server: Server, until_closed: ExitStack) -> None:
        self._inventory = inventory
        self._server = server
        self._until_closed = until_closed
        (self._served,) = inventory.all()
        self.name = self._served.config.name
        self.address, self.port, *_ = server.portals()[0]

    def __enter__(self) -> Target:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all sessions, finish what is under way, flush, and let go of everything; harmless when that is done."""
        self._until_closed.close()

    @property
    def near(self) -> str:
        """The address by which this machine reaches it."""
        return _NEAR.get(self.address, self.address)

    @property
    def portal(self) -> str:
        """Address and port, as initiators want them."""
        return f"[{self.near}]:{self.port}" if ":" in self.near else f"{self.near}:{self.port}"

    @property
    def url(self) -> str:
        """The first disk, as libiscsi and QEMU name it; an account is not in it."""
        return self.urls[0]

    @property
    def urls(self) -> tuple[str, ...]:
        """Of each disk."""
        return tuple(str(Url(self.near, self.port, self.name, number)) for number in self._served.units)

    @property
    def size(self) -> int:
        unit = self._served.units[0].unit
        return unit.blocks * unit.block_size

    def sessions(self) -> list[dict[str, Any]]:
        """Who is logged in, as ``ietpy-daemon status --json`` tells it."""
        self._server.measure()
        return self._server.sessions()

    def resize(self, size: int | str, disk: int = 0) -> None:
        """Make a disk larger or smaller; initiators are told. Raises AdminError."""
        self._inventory.resize_lun(self._served.tid, disk, _bytes(size), force=True)

    def set_read_only(self, read_only: bool, disk: int = 0) -> None:
        """Have writes refused, or taken again; initiators are told."""
        unit = self._served.units[disk].unit
        with unit.device.lock:
            unit.read_only = read_only
            unit.set_software_write_protect(unit.software_write_protect)  # which the other is a part of
            unit.tell_others(None, MODE_PARAMETERS_CHANGED)

    def disconnect(self) -> None:
        """Break all connections off, as a network would; who logs in again is welcome."""
        for session in self._server.node.sessions():
            for connection in list(session.connections.values()):
                connection.owner.end()


def serve(
    *disks: Disk,
    size: int | str | None = None,
    block_size: int = 512,
    read_only: bool = False,
    chap: tuple[str, str] | None = None,
    address: str = LOOPBACK,
    port: int = 0,
    name: str = "",
) -> Target:
    """Serve files or block devices as LUN 0, 1 and so on of a target of their own, from this call on.

    ``size``    make a file that is not there so large; without any disk one is made that goes with the target
    ``chap``    user and secret, without which nobody logs in; None: anybody does
    ``port``    0: any that is free
    ``name``    the target's; empty: made from the first disk's

    Raises UsageError and StoreError (both IetpyError) with what is wrong and how to mend it.
    """
    return start(
        disks, size=size, block_size=block_size, read_only=read_only, chap=chap, name=name,
        listening=lambda: _listening(address, port),
    )


def start(
    disks: Sequence[Disk],
    *,
    listening: Callable[[], list[socket.socket]],
    size: int | str | None = None,
    block_size: int = 512,
    read_only: bool = False,
    chap: tuple[str, str] | None = None,
    name: str = "",
    opener: Callable[..., BackingStore] = open_store,
    wthreads: int = 8,
) -> Target:
    """As ``serve``, for those who have sockets, or stores, of their own."""
    with ExitStack() as undo:
        directory = undo.enter_context(tempfile.TemporaryDirectory(prefix="ietpy-"))
        paths = [os.path.abspath(os.fspath(disk)) for disk in disks]
        if not paths and size is None:
            raise UsageError("there is no disk to serve; name one, or the size of one to be made (size='64M')")
        scratch = not paths
        paths = paths or [os.path.join(directory, _SCRATCH)]
        for path in paths:
            if not os.path.exists(path):
                if size is None:
                    raise UsageError(f"{path} does not exist; say how large to make it (size='64M')")
                images.make_image(path, _bytes(size))
        luns = tuple(
            LunConfig(number, _HERE, path, read_only=read_only, block_size=block_size, write_cache=scratch)
            for number, path in enumerate(paths)
        )
        target = TargetConfig(
            name or images.target_name(paths[0], "localhost"), _HERE, luns=luns, wthreads=wthreads,
            incoming=() if chap is None else (Account(*chap, _HERE),),
        )
        inventory = Inventory(
            Configuration("ietpy.serve", targets=(target,)), Media(opener=opener), access=AccessFiles(directory)
        )
        undo.callback(inventory.close)
        if inventory.degraded:
            raise UsageError("\n".join(problem.problem for problem in inventory.problems))
        server = Server(inventory.node, listening())
        undo.callback(server.stop, _STOP_SECONDS)
        inventory.units.transport = server
        server.start()
        return Target(inventory, server, undo.pop_all())


def _listening(address: str, port: int) -> list[socket.socket]:
    try:
        return bind(address, port)
    except OSError as problem:
        hint = "; port=0 is any that is free" if problem.errno == errno.EADDRINUSE else ""
        raise UsageError(f"cannot listen on {address} port {port}: {problem}{hint}") from None


def _bytes(size: int | str) -> int:
    return images.parse_size(str(size))
