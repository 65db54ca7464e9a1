"""Media that have another size than their logical units say: found, followed, and made so (``ietpy resize``)."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ietpy.errors import AdminError, StoreError
from ietpy.images import would_lose

if TYPE_CHECKING:
    from ietpy.daemon.media import Media
    from ietpy.daemon.served import ServedTarget, ServedUnit
    from ietpy.daemon.units import Transport
    from ietpy.scsi.logical_unit import LogicalUnit

#: Seconds to wait for commands under way, where a medium shall become smaller, and between looks at them.
PATIENCE: Final = 2.0
_PAUSE: Final = 0.005


def measured(targets: Iterable[ServedTarget], media: Media) -> Iterator[tuple[ServedTarget, ServedUnit, int]]:
    """Units whose medium has another number of blocks now, and its bytes."""
    units = [(target, unit) for target in targets for unit in target.units.values()]
    sizes = media.measured(unit.held for _, unit in units)
    for target, served in units:
        size = sizes.get(served.held, served.held.store.size)
        if size >> served.unit.shift not in (0, served.unit.blocks):
            yield target, served, size


def resized(targets: Iterable[ServedTarget], media: Media) -> Mapping[str, Mapping[int, tuple[int, int]]]:
    """Bytes before and now of all these, by target (in lower case) and LUN."""
    found: dict[str, dict[int, tuple[int, int]]] = {}
    for target, served, size in measured(targets, media):
        before = served.unit.blocks << served.unit.shift
        found.setdefault(target.config.name.lower(), {})[served.config.number] = before, size
    return found


def follow(targets: Iterable[ServedTarget], media: Media) -> None:
    """Have these units say what their media have now; initiators are told."""
    for _, served, size in measured(targets, media):
        served.held.store.size = size
        served.unit.capacity_changed()


def resize(
    targets: Sequence[ServedTarget], served: ServedUnit, size: int, force: bool, transport: Transport
) -> dict[str, Any]:
    """Give the medium of a unit so many bytes (0: those it was given elsewhere), and have all units over it say so.

    What it had, what it has, and how many sessions are told. Raises AdminError, and then nothing has changed. Only one
    that is ``force``d becomes smaller, when the commands are over that may write what is cut off.
    """
    held, path = served.held, served.config.path or served.config.type
    sharing = [
        (target, each) for target in targets for each in target.units.values() if each.held is held
    ]
    before, units = held.store.size, [each.unit for _, each in sharing]
    try:
        size = size or held.store.measured()
        _check(size, before, path, force, [each for _, each in sharing])
        if size != held.store.measured():
            if held.read_only:
                raise AdminError(errno.EROFS, f"{path} is open for reading only; resize it with a LUN that writes it")
            if size < before:
                _cut(units, size, path, transport)
            held.store.resize(size)
    except StoreError as error:
        for unit in units:
            unit.blocks = before >> unit.shift
        raise AdminError(error.errno, str(error)) from None
    held.store.size = size
    for unit in units:
        if size >> unit.shift != before >> unit.shift:
            unit.capacity_changed()
    told = {id(target): len(target.node.sessions) for target, _ in sharing}
    return {"path": path, "before": before, "after": size, "sessions": sum(told.values()) if size != before else 0}


def _check(size: int, before: int, path: str, force: bool, sharing: Iterable[ServedUnit]) -> None:
    """Raise AdminError where a size cannot be, or would lose something."""
    for each in sharing:
        if size % each.unit.block_size or not size:
            problem = f"{size} bytes are not whole blocks of {each.unit.block_size} bytes, as {path} is served"
            raise AdminError(errno.EINVAL, f"{problem}; name a multiple")
    if size < before and not force:
        raise AdminError(errno.EPERM, would_lose(path, before, size))


def _cut(units: Sequence[LogicalUnit], size: int, path: str, transport: Transport) -> None:
    """Have no command touch what is behind ``size``; those under way are waited for."""
    before = [unit.blocks for unit in units]
    for unit in units:
        unit.blocks = size >> unit.shift
    busy = [transport.under_way(unit) for unit in units]
    until = time.monotonic() + PATIENCE
    while any(each() for each in busy):
        if time.monotonic() >= until:
            for unit, blocks in zip(units, before, strict=True):
                unit.blocks = blocks
            raise AdminError(errno.EBUSY, f"{path} has commands under way that do not end; try again")
        time.sleep(_PAUSE)
