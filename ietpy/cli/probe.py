"""``ietpy probe``: a target as an initiator sees it. It reads, and never writes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from ietpy.cli.changing import secret_from
from ietpy.cli.exits import Exit
from ietpy.cli.output import counted, in_bytes, latency, per_second, show_json
from ietpy.config.findings import printable
from ietpy.errors import UsageError
from ietpy.initiator import probing, url
from ietpy.initiator.client import Client
from ietpy.initiator.errors import ConnectionLost, LoginRefused
from ietpy.initiator.identity import NO_UNIT
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.initiator.probing import Run, Unit
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.pdu import DEFAULT_PORT

SECRET: Final = "IETPY_SECRET"  #: the variable with a CHAP secret
INITIATOR: Final = "iqn.2026-01.net.ietpy:probe"
_REDIRECTIONS: Final = 3
_ALGORITHMS: Final = (5, 7, 6)  #: MD5 first, which every target has; some answer wrongly to the others
_LARGE_DEPTH: Final = 4  #: large reads under way
_BAR: Final = 40  #: characters of the longest bar
_PARTS: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}

#: What to do after a login was refused so.
_HINTS: Final = {
    LoginStatus.AUTHENTICATION_FAILURE: "say as whom to log in, iscsi://USER@..., and check the secret",
    LoginStatus.AUTHORIZATION_FAILURE: "this initiator may not use it; --initiator says another name",
    LoginStatus.NOT_FOUND: "ietpy probe iscsi://HOST lists the targets that this initiator may use",
    LoginStatus.TARGET_REMOVED: "the target is gone; ietpy probe iscsi://HOST lists those that are there",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found at a logical unit, and how fast it was, as far as that was asked for."""

    at: url.Url
    keys: dict[str, str]
    luns: list[int]
    unit: Unit
    runs: tuple[Run, ...] = ()


@click.command("probe")
@click.argument("address", metavar="iscsi://[USER@]HOST[:PORT][/TARGET/LUN]")
@click.option(
    "--secret-from", "source", metavar="FILE|-",
    help=f"Where the CHAP secret of USER is; else in ${SECRET}, else it is asked for.",
)
@click.option("--initiator", default=INITIATOR, show_default=True, metavar="NAME", help="The name to log in with.")
@click.option(
    "--seconds", type=click.FloatRange(0, 600), default=2.0, show_default=True,
    help="How long to read for each figure; 0: do not.",
)
@click.option("--depth", type=click.IntRange(1, 128), default=16, show_default=True, help="Reads under way for IOPS.")
@click.option("--timeout", type=click.FloatRange(0.1, 600), default=10.0, show_default=True, help="Seconds to wait.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    address: str, source: str | None, initiator: str, seconds: float, depth: int, timeout: float, as_json: bool
) -> None:
    """Look at an iSCSI target, ours or another: what it has, how large that is and how fast it reads.

    Without TARGET it lists the targets at HOST. With one it logs in, says what the LUN is and what it is called, and
    reads: random blocks one at a time for latency, many at a time for IOPS, large ones in a row for throughput. Nothing
    is written. The figures include the network and this program, which is slower than an initiator in a kernel.
    """
    at = _parsed(address)
    plan = LoginPlan(initiator=initiator, chap=_account(at, source))
    if not at.target:
        _discover(at, plan, timeout, as_json)
        return
    found = probe(at, plan, seconds, depth, timeout)
    if as_json:
        show_json({"host": at.host, "port": at.port, "targets": None, "unit": as_document(found)})
    else:
        click.echo("\n".join(printable(line) for line in lines(found)))
    if found.unit.problem:
        click.get_current_context().exit(Exit.FAILED)


def _parsed(address: str) -> url.Url:
    """Where to look. Raises UsageError; a target without LUN is its LUN 0."""
    if "://" not in address:
        address = f"iscsi://{address}"
    try:
        return url.parse(address)
    except UsageError:
        if address.count("/") == 3 and not address.endswith("/"):
            return url.parse(f"{address}/0")
        raise


def _account(at: url.Url, source: str | None) -> Chap | None:
    if not at.user:
        return None
    if at.secret:
        click.echo("note: the secret was on the command line, where every user can read it; leave it out", err=True)
        secret = at.secret
    elif source is None and os.environ.get(SECRET):
        secret = os.environ[SECRET]
    else:
        secret, _ = secret_from(source, at.user, twice=False)
    return Chap(at.user, secret, algorithms=_ALGORITHMS)


# Looking ----------------------------------------------------------------------------------------------------------


def logged_in(at: url.Url, plan: LoginPlan, timeout: float) -> Client:
    """A session there, or where the target sends who asks for it. Raises InitiatorError, with what to do next."""
    host, port = at.host, at.port
    for _ in range(_REDIRECTIONS + 1):
        try:
            client = Client.connect(host, port, timeout=timeout)
        except ConnectionLost as problem:
            raise ConnectionLost(f"{problem}; is it the right address, and does a target listen there?") from None
        try:
            client.login(plan)
            return client
        except LoginRefused as refused:
            client.close()
            if not refused.address:
                _explain(refused)
            moved = url.parse(f"iscsi://{refused.address.partition(',')[0]}")
            host, port = moved.host, moved.port
        except BaseException:
            client.close()
            raise
    raise ConnectionLost(f"{at} was redirected {_REDIRECTIONS} times, and at last to {host} port {port}")


def _explain(refused: LoginRefused) -> None:
    hint = _HINTS.get(LoginStatus(refused.status)) if refused.status in {*LoginStatus} else None
    refused.args = (f"{refused}; {hint}",) if hint else refused.args
    raise refused from None


def discovered(at: url.Url, plan: LoginPlan, timeout: float) -> list[tuple[str, list[str]]]:
    """Targets and their portals. Raises InitiatorError, TargetFault."""
    with logged_in(at, plan, timeout) as client:
        found = client.discover()
        client.logout()
    return found


def probe(at: url.Url, plan: LoginPlan, seconds: float, depth: int, timeout: float) -> Probe:
    """Log in, look, and read for ``seconds`` each. Raises InitiatorError, TargetFault."""
    with logged_in(at, replace(plan, target=at.target), timeout) as client:
        assert client.outcome is not None
        luns = client.report_luns()
        unit = probing.look(client, at.lun)
        runs = [*_runs(client, unit, seconds, depth)] if seconds and unit.capacity is not None else []
        client.logout()
        return Probe(at, dict(client.outcome.keys), luns, unit, tuple(runs))


def _runs(client: Client, unit: Unit, seconds: float, depth: int) -> Iterator[Run]:
    """The measurements, one after the other."""
    with _saying("how long a NOP-Out takes"):
        yield probing.pings(client, seconds / 4)
    for name, size, many, sequential in (
        ("4 KiB at random", 4096, 1, False),
        ("4 KiB at random", 4096, depth, False),
        ("256 KiB in a row", 262144, _LARGE_DEPTH, True),
    ):
        with _saying(f"{name}, {counted(many, 'read')} at a time"):
            yield probing.reads(client, unit, name, size, many, seconds, sequential=sequential)


@contextmanager
def _saying(what: str) -> Iterator[None]:
    """Tell who looks what takes so long."""
    watched = sys.stderr.isatty()
    if watched:
        click.echo(f"\r\x1b[Kmeasuring {what}", nl=False, err=True)
    try:
        yield
    finally:
        if watched:
            click.echo("\r\x1b[K", nl=False, err=True)


def _discover(at: url.Url, plan: LoginPlan, timeout: float, as_json: bool) -> None:
    found = discovered(at, plan, timeout)
    if as_json:
        names = [{"name": name, "portals": portals} for name, portals in found]
        show_json({"host": at.host, "port": at.port, "targets": names, "unit": None})
        return
    if not found:
        click.echo(f"{at.host} has no target for {plan.initiator}: it may use none, or there is none", err=True)
    for name, portals in found:
        click.echo(printable(f"{name}  {' '.join(portals)}"))
        first = portals[0].partition(",")[0] if portals else f"{at.host}:{at.port}"
        where = f"{at.user}@{first}" if at.user else first
        click.echo(printable(f"  ietpy probe iscsi://{where.removesuffix(f':{DEFAULT_PORT}')}/{name}/0"), err=True)


# Saying it --------------------------------------------------------------------------------------------------------


def lines(found: Probe) -> Iterator[str]:
    """What was found, for people."""
    unit, what = found.unit, found.unit.inquiry
    yield f"{found.at.target}, LUN {unit.lun}; it has {', '.join(map(str, found.luns)) or 'none'}"
    if what.device_type != NO_UNIT:
        yield _fact("it is", f"{what.kind}, {what.vendor} {what.product} {what.revision}".rstrip())
    if unit.serial:
        yield _fact("serial", unit.serial)
    for name in unit.designators:
        yield _fact(name.kind, f"{name.name}{'' if name.of == 'unit' else f' ({name.of})'}")
    if unit.capacity is not None:
        size = unit.capacity
        physical = f", physical {unit.physical_block}" if unit.physical_block != size.block_size else ""
        blocks = f"{size.blocks} blocks of {size.block_size} bytes{physical}"
        yield _fact("size", f"{in_bytes(size.size)} ({blocks}), {unit.provisioning} provisioned")
        if unit.write_protected:
            yield _fact("writes", "are refused, it is write protected")
    if unit.problem:
        yield _fact("problem", unit.problem)
    digests = [name for name in ("HeaderDigest", "DataDigest") if found.keys.get(name, "None") != "None"]
    yield _fact("digests", ", ".join(digests) or "none")
    for run in found.runs:
        yield ""
        yield from _run(run)


def _fact(name: str, value: str) -> str:
    return f"  {name + ':':<12} {value}"


def _run(run: Run) -> Iterator[str]:
    times = ", ".join(f"{name} {latency(run.part(part))}" for name, part in _PARTS.items())
    if run.name == "NOP-Out":
        yield f"NOP-Out, one at a time, which no disk has a part in: {times}"
        return
    pace = f"{per_second(run.operations)} IOPS, {in_bytes(run.bytes)}/s"
    yield f"{run.name}, {counted(run.depth, 'read')} at a time, {run.seconds:.1f} s: {pace}"
    yield f"  {times} of {counted(run.count, 'read')}"
    if run.depth == 1:
        yield from _histogram(run.times)


def _histogram(times: Sequence[float]) -> Iterator[str]:
    """A bar for each class of times, whose bounds double, from the first that has any to the last."""
    counts = classes(times)
    most = max(counts.values(), default=0)
    for bound, count in counts.items():
        yield f"  up to {latency(bound):>7} {'█' * round(count * _BAR / most) or ('▏' if count else '')} {count}"


def classes(times: Sequence[float]) -> dict[float, int]:
    """How many took longer than half a bound and at most that: bounds in seconds are 1 us, doubled again and again."""
    found: dict[int, int] = {}
    for each in times:
        step = max(0, (max(1, round(each * 1e6)) - 1).bit_length())
        found[step] = found.get(step, 0) + 1
    if not found:
        return {}
    return {2**step / 1e6: found.get(step, 0) for step in range(min(found), max(found) + 1)}


def as_document(found: Probe) -> dict[str, Any]:
    """What was found, for programs; the account's secret is in none of it."""
    unit, size = found.unit, found.unit.capacity
    return {
        "target": found.at.target,
        "keys": found.keys,
        "luns": found.luns,
        "lun": unit.lun,
        "problem": unit.problem or None,
        "device_type": unit.inquiry.kind,
        "vendor": unit.inquiry.vendor,
        "product": unit.inquiry.product,
        "revision": unit.inquiry.revision,
        "serial": unit.serial,
        "designators": [{"kind": name.kind, "of": name.of, "name": name.name} for name in unit.designators],
        "blocks": size.blocks if size else None,
        "block_size": size.block_size if size else None,
        "physical_block_size": unit.physical_block if size else None,
        "size": size.size if size else None,
        "provisioning": unit.provisioning or None,
        "write_protected": unit.write_protected,
        "runs": [
            {
                "name": run.name,
                "size": run.size,
                "depth": run.depth,
                "seconds": run.seconds,
                "count": run.count,
                "iops": run.operations,
                "bytes": run.bytes,
                "latency": {name: run.part(part) for name, part in _PARTS.items()},
                "histogram": [{"le": bound, "count": count} for bound, count in classes(run.times).items()],
            }
            for run in found.runs
        ],
    }
