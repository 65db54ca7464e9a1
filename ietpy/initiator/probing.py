"""Looking at a target from outside: what its units are, and how fast they read. Nothing is ever written.

Latency is what this program sees: network, target and its own work; ``pings`` says how much of that is not the disk's.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ietpy.initiator import identity
from ietpy.initiator.client import Capacity, Client
from ietpy.initiator.errors import CommandFailed

_PING: Final = 64  #: bytes
_MODE_SENSE: Final = b"\x1a\x08\x3f\x00\xff\x00"  #: all pages, no block descriptors


@dataclass(frozen=True, slots=True)
class Unit:
    """A logical unit; ``capacity`` and what follows are of a disk alone."""

    lun: int
    inquiry: identity.Inquiry
    serial: str = ""
    designators: tuple[identity.Designator, ...] = ()
    capacity: Capacity | None = None
    physical_block: int = 0  #: bytes
    provisioning: str = ""
    write_protected: bool = False
    problem: str = ""  #: why there is no capacity, or empty


@dataclass(slots=True)
class Run:
    """Reads of one kind: how many, in how many seconds, and how long each took, in seconds."""

    name: str
    size: int  #: bytes of each
    depth: int  #: under way at a time
    seconds: float = 0.0
    times: list[float] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.times)

    @property
    def operations(self) -> float:
        """In a second."""
        return self.count / self.seconds if self.seconds else 0.0

    @property
    def bytes(self) -> float:
        """In a second."""
        return self.operations * self.size

    def part(self, part: float) -> float | None:
        """Seconds that ``part`` of them (0 to 1) took at most."""
        if not self.times:
            return None
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def look(client: Client, lun: int) -> Unit:
    """What unit ``lun`` is. Raises CommandFailed where it does not answer INQUIRY, and what ``Client`` raises."""
    found = identity.inquiry(client.inquiry(lun))
    if found.device_type == identity.NO_UNIT:
        return Unit(lun, found, problem=f"there is no LUN {lun}")
    pages = identity.pages(_page(client, lun, 0x00))
    serial = identity.serial(_page(client, lun, 0x80)) if 0x80 in pages else ""
    names = tuple(identity.designators(_page(client, lun, 0x83))) if 0x83 in pages else ()
    if found.device_type != identity.DISK:
        return Unit(lun, found, serial, names, problem=f"it is no disk but a {found.kind}")
    try:
        client.test_unit_ready(lun)
        capacity = client.read_capacity(lun)
    except CommandFailed as problem:
        return Unit(lun, found, serial, names, problem=str(problem))
    kind = identity.provisioning(_page(client, lun, 0xB2)) if 0xB2 in pages else "full"
    physical = capacity.block_size << (capacity.data[13] & 0x0F if len(capacity.data) > 13 else 0)
    protected = client.command(lun, _MODE_SENSE, read=255)
    return Unit(
        lun, found, serial, names, capacity, physical, kind, protected.good and identity.write_protected(protected.data)
    )


def _page(client: Client, lun: int, code: int) -> bytes:
    """A VPD page; nothing of one that is refused."""
    try:
        return client.inquiry(lun, code, 1024)
    except CommandFailed:
        return b""


def pings(client: Client, seconds: float, clock: Callable[[], float] = time.monotonic) -> Run:
    """NOP-Outs, one at a time: what no disk can be faster than."""
    run = Run("NOP-Out", _PING, 1)
    begun = now = clock()
    while now - begun < seconds:
        client.ping(bytes(_PING))
        before, now = now, clock()
        run.times.append(now - before)
    run.seconds = now - begun
    return run


def reads(
    client: Client, unit: Unit, name: str, size: int, depth: int, seconds: float, *, sequential: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Run:
    """Reads of ``size`` bytes, at random places or one behind the other, ``depth`` at a time, for ``seconds``.

    Above depth 1 the oldest is waited for, so a single time may include that of others. Raises CommandFailed, and what
    ``Client`` raises.
    """
    assert unit.capacity is not None
    block = unit.capacity.block_size
    blocks = min(max(1, size // block), unit.capacity.blocks)
    places = max(1, unit.capacity.blocks // blocks)
    run = Run(name, blocks * block, depth)
    under_way: deque[tuple[int, float]] = deque()
    begun = now = clock()
    number = 0
    while now - begun < seconds or under_way:
        while len(under_way) < depth and now - begun < seconds:
            place = number % places if sequential else secrets.randbelow(places)
            cdb = b"\x88\0" + (place * blocks).to_bytes(8, "big") + blocks.to_bytes(4, "big") + b"\0\0"
            under_way.append((client.submit(unit.lun, cdb, read=run.size), clock()))
            number += 1
        tag, sent = under_way.popleft()
        response = client.wait(tag)
        now = clock()
        if not response.good:
            raise CommandFailed("READ(16)", response.status, response.sense)
        run.times.append(now - sent)
    run.seconds = now - begun
    return run
