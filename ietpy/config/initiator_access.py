"""Which ``Initiator`` line of a target is about an initiator, what it says of him, and which lines never are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from ietpy.config.findings import Finding, Report, quoted
from ietpy.config.model import Account, InitiatorConfig, LunConfig
from ietpy.config.syntax import Word
from ietpy.iscsi.target import Asker, Terms
from ietpy.scsi.rates import UNLIMITED, Rates
from ietpy.scsi.transport_id import lower_case
from ietpy.scsi.view import EVERYTHING, View


def deciding(lines: Iterable[InitiatorConfig], asker: Asker) -> InitiatorConfig | None:
    """The first line that is about ``asker``: his name, his address and the portal group. None if there is none."""
    name, address = lower_case(asker.initiator), _address(asker.peer)
    return next((line for line in lines if _about(line, name, address, asker.group)), None)


def admits(line: InitiatorConfig, users: Iterable[str]) -> bool:
    """Whether whom the line is about may log in; ``users`` have accounts of the target."""
    return not (line.closed or line.denies) and (not line.user or line.user in users)


def terms(line: InitiatorConfig) -> Terms:
    """On what terms."""
    return Terms(view(line), line.user, line.free)


def view(line: InitiatorConfig) -> View:
    """Which logical units whom the line is about has."""
    rates = Rates(line.iops, line.bytes_per_second)
    if line.luns is None:
        everything = EVERYTHING if rates == UNLIMITED else View(rates=rates)
        return View(writable=frozenset(), rates=rates) if line.read_only else everything
    units = {mapping.lun: mapping.unit for mapping in line.luns}
    writable = frozenset(mapping.unit for mapping in line.luns if not (line.read_only or mapping.read_only))
    return View(units, None if len(writable) == len(units) else writable, rates)


def means(pattern: str, name: str) -> bool:
    """Whether ``name`` is one of those a pattern means; * stands for any characters, or none.

    No regular expression, as these take too long over names that are made for it.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return name == first
    place = len(first)
    for part in rest[:-1]:
        found = name.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return name.startswith(first) and name.endswith(rest[-1]) and len(name) - len(rest[-1]) >= place


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """A peer's address, without zone; None for none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _about(line: InitiatorConfig, name: str, address: IPv4Address | IPv6Address | None, group: int) -> bool:
    return (
        means(lower_case(line.name), name)
        and (not line.addresses or (address is not None and any(address in network for network in line.addresses)))
        and (not line.portal_groups or group in line.portal_groups)
    )


# -- what cannot be right -----------------------------------------------------------------------------------------


def look(
    lines: Sequence[InitiatorConfig], luns: Iterable[LunConfig], accounts: Iterable[Account], target: str,
    report: Report,
) -> None:
    """Report what the lines of ``target`` say of LUNs and users it has not, and those that are about nobody."""
    units = {lun.number for lun in luns}
    users = {account.name for account in accounts}
    for index, line in enumerate(lines):
        place = Word("", line.span.line, line.span.column)
        missing = [mapping.unit for mapping in line.luns or () if mapping.unit not in units]
        if missing:
            problem = f"target {target} serves no LUN {missing[0]}"
            problem += f", nor {len(missing) - 1} more of this line" if missing[1:] else ""
            hint = "correct Luns, or the Lun line; until then the initiator has no such LUN"
            report.add(Finding.INITIATOR_LUN, place, problem, hint)
        if line.user and line.user not in users:
            problem = f"target {target} has no IncomingUser {quoted(line.user)}; the line admits nobody"
            report.add(Finding.INITIATOR_USER, place, problem, "correct User, or give the target that account")
        earlier = next((one for one in lines[:index] if _covers(one, line)), None)
        if earlier is not None:
            problem = f"everybody whom this line names is decided about at {earlier.span}"
            report.add(Finding.INITIATOR_UNREACHED, place, problem, "move it above that line, or remove it")


def _covers(one: InitiatorConfig, other: InitiatorConfig) -> bool:
    """Whether ``one`` is about everybody whom ``other`` is about, whose asterisks are like any character here."""
    groups = not one.portal_groups or (bool(other.portal_groups) and {*other.portal_groups} <= {*one.portal_groups})
    return groups and means(lower_case(one.name), lower_case(other.name)) and (
        not one.addresses
        or (bool(other.addresses) and all(
            any(inner.version == outer.version and inner.subnet_of(outer) for outer in one.addresses)  # type: ignore[arg-type]
            for inner in other.addresses
        ))
    )
