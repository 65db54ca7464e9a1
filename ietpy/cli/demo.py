"""``ietpy demo``: a scratch image served at once, with the lines that connect to it; ``--check`` proves it works.

It goes the daemon's way (``ietpy.embedding``) but needs no root, no file of its own in /etc and no control socket, and
leaves nothing behind.
"""

from __future__ import annotations

import errno
import secrets
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import click

from ietpy import embedding, images
from ietpy.cli.stopping import Stopped, stoppable
from ietpy.embedding import LOOPBACK
from ietpy.errors import IetpyError, UsageError
from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan
from ietpy.initiator.url import Url
from ietpy.iscsi.pdu import DEFAULT_PORT
from ietpy.server.portals import bind

_PORTS_TRIED: Final = 100
_STOP_SECONDS: Final = 5.0
_SAMPLE: Final = 1 << 20  #: bytes written and read back at each place


#: One row for each kind of initiator: its heading and what to type there.
GUIDES: Final = (
    (
        "Linux (open-iscsi, as root)",
        (
            "iscsiadm -m discovery -t sendtargets -p {portal}",
            "iscsiadm -m node -T {name} -p {portal} --login",
            "iscsiadm -m node -T {name} -p {portal} --logout",
        ),
    ),
    (
        "Windows (PowerShell, as administrator)",
        (
            "New-IscsiTargetPortal -TargetPortalAddress {host} -TargetPortalPortNumber {port}",
            "Connect-IscsiTarget -NodeAddress {name}",
        ),
    ),
    (
        "ESXi (with your software iSCSI adapter's name for vmhba64)",
        (
            "esxcli iscsi software set --enabled=true",
            "esxcli iscsi adapter discovery sendtarget add --adapter=vmhba64 --address={portal}",
            "esxcli storage core adapter rescan --adapter=vmhba64",
        ),
    ),
    (
        "QEMU",
        (
            "qemu-img info {url}",
            "qemu-system-x86_64 -m 512 -drive file={url},format=raw,if=virtio",
        ),
    ),
    ("iPXE", ("sanboot iscsi:{bracketed}::{port}:{lun:x}:{name}",)),
)

#: What ``--check`` logs in with, one session each.
CHECKS: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    ("without digests", {}),
    ("with digests", {"HeaderDigest": "CRC32C", "DataDigest": "CRC32C"}),
    ("by R2T only", {"InitialR2T": "Yes", "ImmediateData": "No"}),
)


@dataclass(frozen=True, slots=True)
class Demo:
    """What is being served, and where."""

    host: str  #: for others; where everything is listened on, this machine's name
    port: int
    name: str
    lun: int
    size: int
    near: str = LOOPBACK  #: for this machine

    @property
    def url(self) -> Url:
        return Url(self.host, self.port, self.name, self.lun)


@click.command()
@click.option("--check", is_flag=True, help="Connect, write, read back, compare, print PASS or FAIL, and stop.")
@click.option(
    "-p", "--port", type=click.IntRange(0, 65535), help="TCP port (0: any free one); else 3260 or the next free one."
)
@click.option("-a", "--address", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option("--size", default="64M", show_default=True, metavar="SIZE", help="Bytes, or a number with K, M, G or T.")
@click.pass_context
def demo(ctx: click.Context, check: bool, port: int | None, address: str, size: str) -> None:
    """Make a scratch image, serve it until Ctrl-C, and say how to connect.

    Anyone who reaches the address may log in; the image is removed at the end. Exit status: 0 stopped in order or
    PASS, 1 FAIL, 2 wrong option, or nothing could be served.
    """
    bytes_wanted = images.parse_size(size)
    try:
        with stoppable(), serving(address, port, bytes_wanted) as served:
            if check:
                ctx.exit(_report_check(served))
            click.echo(instructions(served))
            while True:
                signal.pause()
    except Stopped:
        click.echo("\nThe demo is over; its image is removed.")


@contextmanager
def serving(address: str, port: int | None, size: int) -> Iterator[Demo]:
    """Serve a fresh image of ``size`` bytes for as long as the context lasts. Raises UsageError, StoreError."""
    name = images.target_name("demo.img", "localhost")
    with embedding.start((), listening=lambda: listen(address, port), size=size, name=name) as target:
        far = target.address if target.address == target.near else socket.gethostname()
        yield Demo(far, target.port, target.name, 0, size, target.near)


def listen(address: str, port: int | None) -> list[socket.socket]:
    """Listening sockets on ``port``, or on the first free one from 3260 on if it is None. Raises UsageError."""
    ports = range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED) if port is None else (port,)
    for candidate in ports:
        try:
            return bind(address, candidate)
        except OSError as problem:
            if port is not None or problem.errno != errno.EADDRINUSE:
                reason = f"cannot listen on {address} port {candidate}: {problem}; choose others with -a and -p"
                raise UsageError(reason) from None
    raise UsageError(f"ports {ports[0]} to {ports[-1]} of {address} are all taken; choose one with -p")


def instructions(served: Demo) -> str:
    """How to connect, for each kind of initiator, with the address, port and name in place."""
    bracketed = f"[{served.host}]" if ":" in served.host else served.host
    words = {
        "host": served.host,
        "port": served.port,
        "portal": f"{bracketed}:{served.port}",
        "bracketed": bracketed,
        "name": served.name,
        "lun": served.lun,
        "url": served.url,
    }
    lines = [f"Serving {images.in_words(served.size)} as {served.name}, LUN {served.lun}, at {words['portal']}."]
    if served.host == LOOPBACK:
        lines.append("Only this machine reaches that address; -a ADDRESS serves others, without asking for a password.")
    for heading, commands in GUIDES:
        lines += ["", f"{heading}:", *(f"  {command.format_map(words)}" for command in commands)]
    return "\n".join([*lines, "", "Ctrl-C ends the demo and removes the image."])


def _report_check(served: Demo) -> int:
    try:
        verify(served, lambda line: click.echo(line))
    except IetpyError as problem:
        click.echo(f"FAIL: {problem}")
        return 1
    click.echo("PASS")
    return 0


class CheckFailed(IetpyError):
    """The target answered, but not with what it should."""


def verify(served: Demo, say: Callable[[str], None], timeout: float = 10.0) -> None:
    """Discover, log in, write, read back and compare, once for each row of ``CHECKS``.

    Raises CheckFailed, or what the initiator raises: TargetFault, LoginRefused, TimedOut and so on.
    """
    with Client.connect(served.near, served.port, timeout=timeout) as client:
        client.login(LoginPlan())
        names = [name for name, _ in client.discover()]
        client.logout()
    if names != [served.name]:
        raise CheckFailed(f"discovery named {', '.join(names) or 'no target'}; {served.name} was expected")
    say(f"discovered {served.name}")
    for words, keys in CHECKS:
        with Client.connect(served.near, served.port, timeout=timeout) as client:
            client.login(LoginPlan(target=served.name, keys=keys))
            moved = _compare(client, served)
            client.logout()
        say(f"wrote, read back and compared {images.in_words(moved)} {words}")


def _compare(client: Client, served: Demo) -> int:
    """Write random bytes at the start, in the middle and at the end; bytes moved each way."""
    capacity = client.read_capacity(served.lun)
    if capacity.size != served.size:
        raise CheckFailed(f"the LUN has {capacity.size} bytes; the image has {served.size}")
    block = capacity.block_size
    blocks = min(_SAMPLE // block, capacity.blocks)
    places = sorted({0, (capacity.blocks - blocks) // 2, capacity.blocks - blocks})
    for lba in places:
        sample = secrets.token_bytes(blocks * block)
        client.write(served.lun, lba, sample, block_size=block)
        client.synchronize_cache(served.lun)
        if client.read(served.lun, lba, blocks, block_size=block) != sample:
            raise CheckFailed(f"what was written at block {lba} is not what was read back")
    return len(places) * blocks * block
