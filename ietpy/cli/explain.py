"""``ietpy explain``: whether an initiator would get a target, and which line of which file says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from ipaddress import ip_address
from itertools import chain
from typing import Any, Final

import click

from ietpy.cli.output import show_json
from ietpy.config.access import AccessFiles, Decision, decisive
from ietpy.config.access_rules import TARGETS_ALLOW
from ietpy.config.findings import MODES, printable, quoted
from ietpy.config.initiator_access import deciding, view
from ietpy.config.load import load
from ietpy.config.model import Configuration, TargetConfig
from ietpy.errors import Diagnostic, Span, UsageError
from ietpy.iscsi.keys import KEY_BY_NAME
from ietpy.iscsi.target import Asker
from ietpy.scsi.view import EVERYTHING, View

DENIED: Final = 1  #: exit status
_PORTAL_GROUPS: Final = "portal groups"
_ALL_OR_NOTHING: Final = "configuration"  #: the check of the mode strict, after which nothing listens


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to one question, and everything that was looked at on the way."""

    configuration: Configuration
    asker: Asker
    name: str  #: the target as it was asked for
    checks: tuple[Decision, ...]  #: in the order of a login, the last one being the one that denies
    target: TargetConfig | None = None
    findings: tuple[Diagnostic, ...] = ()  #: about the lines for this target
    unreached: tuple[Span, ...] = ()

    @property
    def decision(self) -> Decision:
        """The check that denies; else the one that admits, which is not that the target exists."""
        last = self.checks[-1]
        return decisive(self.checks[1:]) if last.allowed else last


@click.command()
@click.argument("target")
@click.option("--initiator", required=True, metavar="NAME", help="The name the initiator logs in with.")
@click.option("--from", "peer", required=True, metavar="ADDR", help="The initiator's numeric address.")
@click.option("--to", "local", metavar="ADDR", help="The numeric address of this machine that it connects to.")
@click.option("-c", "--config", metavar="FILE", help="Read FILE instead of /etc/iet/ietd.conf.")
@click.option("--compat", type=click.Choice(MODES), help="Read as this mode instead of the file's own.")
@click.option(
    "--access-dir",
    "directories",
    multiple=True,
    metavar="DIR",
    help="Where to look for initiators.allow, initiators.deny and targets.allow, instead of /etc/iet and /etc;"
    " may be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_context
def explain(
    ctx: click.Context,
    target: str,
    initiator: str,
    peer: str,
    local: str | None,
    config: str | None,
    compat: str | None,
    directories: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say whether an initiator may log in to TARGET, and which file, line and column decide.

    The first line is "allow" or "deny", the second the place and the reason. The files are read as they are now;
    a running daemon is not asked. --to may be left out where targets.allow does not tell addresses apart.

    Exit status 0: allow. 1: deny. 2: wrong usage, or a file that is no configuration.
    """
    asker = Asker(_name(initiator), _address("--from", peer), _address("--to", local) if local is not None else "")
    configuration = load(config, compat)
    answer = explained(configuration, AccessFiles(*directories, compat=configuration.compat), target, asker)
    if as_json:
        show_json(as_document(answer))
    else:
        click.echo("\n".join(as_lines(answer)))
    ctx.exit(0 if answer.decision.allowed else DENIED)


def _name(text: str) -> str:
    """An initiator's name such as a login accepts it. Raises UsageError."""
    shown = quoted(printable(text))
    try:
        KEY_BY_NAME["InitiatorName"].value.parse(text)
    except ValueError as accepts:
        raise UsageError(f"--initiator {shown} is no initiator's name; write {accepts}") from None
    if not text.isprintable():
        raise UsageError(f"--initiator {shown} has characters that no login may have; write it without them")
    return text


def _address(option: str, text: str) -> str:
    """A numeric address as the server knows it, without zone. Raises UsageError."""
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        hint = "write one such as 10.0.0.7 or fe80::1"
        raise UsageError(f"{option} {quoted(printable(text))} is no numeric address; {hint}") from None


# -- the answer ---------------------------------------------------------------------------------------------------


def explained(configuration: Configuration, files: AccessFiles, name: str, asker: Asker) -> Explanation:
    """The checks of a login in their order (iet-compat 3.4). Raises UsageError if our own address is missing."""
    target = next((one for one in configuration.targets if one.name.lower() == name.lower()), None)
    served = _served(configuration, files, name, target)
    if target is None or not served.allowed:
        return Explanation(configuration, asker, name, (served,), target)
    checks = [served]
    asker = replace(asker, group=_group(configuration, asker))
    for check in chain(_portals(configuration, target, asker.local), files.checks(target, asker)):
        if check.check == TARGETS_ALLOW.name and not check.allowed and not asker.local:
            _need_local(files, target)
        checks.append(check)
        if not check.allowed:
            break
    return Explanation(
        configuration,
        asker,
        name,
        tuple(checks),
        target,
        files.diagnostics(target.name),
        files.unreached(target.name),
    )


def _served(configuration: Configuration, files: AccessFiles, name: str, target: TargetConfig | None) -> Decision:
    """Whether the daemon serves the target at all."""
    if configuration.compat == "strict":
        found = (*configuration.diagnostics, *files.diagnostics())
        errors = [finding for finding in found if finding.severity == "error"]
        if errors:
            reason = f"nothing starts in the mode strict while there are errors: {errors[0].problem}"
            return Decision(_ALL_OR_NOTHING, False, errors[0].span, reason)
    if target is None:
        return Decision("target", False, None, printable(_missing(configuration, name)))
    if target.closed:
        mistakes = (one.span for one in configuration.errors if target.closed.startswith(f"line {one.span.line} "))
        return Decision("target", False, next(mistakes, target.span), f"the target is not served: {target.closed}")
    return Decision("target", True, target.span, "the target is configured here")


def _portals(configuration: Configuration, target: TargetConfig, local: str) -> Iterator[Decision]:
    """Whether the target is in a portal group of this address of ours. Raises UsageError if that is missing."""
    portals = configuration.portals
    if portals is None or not (local or target.portal_groups):
        return
    if not local:
        where = f"{target.span}: the target is in portal groups {_list(target.portal_groups)}"
        raise UsageError(f"{where} only; name the address of this machine with --to")
    wanted = target.portal_groups or configuration.portal_groups
    groups = {portal.group for portal in portals if portal.has(local)}
    by_name = [portal for portal in portals if portal.interface and portal.group in wanted]
    if groups & {*wanted}:
        reason = f"{local} is of a portal group the target is in: {_list(sorted(groups & {*wanted}))}"
        yield Decision(_PORTAL_GROUPS, True, None, reason)
    elif by_name and not any(portal.has(local) for portal in portals if not portal.everything):
        names = ", ".join(portal.host for portal in by_name)
        yield Decision(_PORTAL_GROUPS, True, None, f"only the daemon knows whether {local} is an address of {names}")
    else:
        found = f"of portal group {_list(sorted(groups))}" if groups else "no portal"
        reason = f"{local} is {found}, and the target is in {_list(wanted) or 'none'}"
        yield Decision(_PORTAL_GROUPS, False, target.span, reason)


def _group(configuration: Configuration, asker: Asker) -> int:
    """The portal group by which the initiator comes, as far as our own address tells."""
    return next((one.group for one in configuration.portals or () if asker.local and one.has(asker.local)), asker.group)


def _list(groups: Iterable[int]) -> str:
    return ", ".join(map(str, groups))


def _missing(configuration: Configuration, name: str) -> str:
    names = {target.name.lower(): target.name for target in configuration.targets}
    close = [names[found] for found in get_close_matches(name.lower(), names)]
    others = ", ".join(close) or ("none has a similar name" if names else "there are no targets")
    return f"no target of {configuration.file} has the name {quoted(name)}; {'similar: ' if close else ''}{others}"


def _need_local(files: AccessFiles, target: TargetConfig) -> None:
    """Raise UsageError if the line of targets.allow for ``target`` names addresses."""
    rule = next(iter(files.rules(TARGETS_ALLOW, target.name) or ()), None)
    if rule is not None and any(item.network for item in rule.items):
        raise UsageError(f"{rule.span}: this line decides by the address of this machine; name it with --to")


# -- the answer for people ----------------------------------------------------------------------------------------


def as_lines(answer: Explanation) -> Iterator[str]:
    """The verdict, what decided, what else was looked at, and what a login meets afterwards."""
    decision = answer.decision
    yield _verdict(decision)
    yield _placed(decision)
    yield from (_placed(check) for check in answer.checks if check is not decision)
    yield from (printable(str(finding)) for finding in answer.findings)
    for span in answer.unreached:
        yield printable(f"{span}: line {span.line} names this target too but is never reached")
    if decision.allowed and answer.target is not None:
        yield from _later(answer.configuration, answer.target, answer.asker)
    elif decision.check == _PORTAL_GROUPS:
        yield "login: the answer is that there is no such target (02/03); discovery tells where it is"
    elif decision.check != _ALL_OR_NOTHING:
        yield "login: the answer is that there is no such target (02/03), and discovery does not list it"


def _verdict(decision: Decision) -> str:
    return "allow" if decision.allowed else "deny"


def _placed(decision: Decision) -> str:
    return printable((f"{decision.where}: " if decision.where else "") + decision.reason)


def _later(configuration: Configuration, target: TargetConfig, asker: Asker) -> Iterator[str]:
    """What comes after the files, in the order of a login."""
    server = _isns(configuration)
    if server:
        yield printable(f"iSNS: the server {server} decides besides, as iSNSAccessControl is Yes")
    limit = (
        f", and how many of its {target.max_sessions} sessions (MaxSessions) are there" if target.max_sessions else ""
    )
    yield f"daemon: only it knows whether ietadm changed or redirected the target{limit}"
    yield from _has(target, asker)
    users = ", ".join(_users(target, asker))
    asked = f"asks for an account, one of: {users}" if users else "asks for no account"
    answers = f"; the target answers as {target.outgoing.name} if asked to" if target.outgoing else ""
    yield printable(f"CHAP: {asked}{answers}")


def _isns(configuration: Configuration) -> str:
    """The iSNS server that decides, or nothing."""
    return configuration.isns_server if configuration.isns_decides else ""


def _has(target: TargetConfig, asker: Asker) -> Iterator[str]:
    """Which LUNs the initiator has by an Initiator line."""
    found = _view(target, asker)
    if found is not None:
        luns = ", ".join(_lun(found, lun) for lun in found.luns(lun.number for lun in target.luns))
        yield f"LUNs: {luns or 'none of those that are there'}"


def _view(target: TargetConfig, asker: Asker) -> View | None:
    line = deciding(target.initiators, asker)
    return None if line is None else view(line)


def _lun(found: View, lun: int) -> str:
    unit = found.unit(lun)
    return f"{lun}" + (f" (LUN {unit} of the target)" if unit != lun else "") + ("" if found.may_write(unit) else " ro")


def _users(target: TargetConfig, asker: Asker) -> list[str]:
    """As whom the initiator may log in."""
    line = deciding(target.initiators, asker)
    names = dict.fromkeys(account.name for account in target.incoming)
    return [name for name in names if line is None or (line.user in ("", name) and not line.free)]


# -- the answer for machines --------------------------------------------------------------------------------------


def as_document(answer: Explanation) -> dict[str, Any]:
    """The answer for JSON, without secrets. ``chap`` and what is beside it are null for a target that is not there."""
    target, asker = answer.target, answer.asker
    return {
        "verdict": _verdict(answer.decision),
        "decided": _check(answer.decision),
        "target": printable(answer.name),
        "initiator": printable(asker.initiator),
        "from": asker.peer,
        "to": asker.local or None,
        "config": printable(answer.configuration.file),
        "compat": answer.configuration.compat,
        "checks": [_check(check) for check in answer.checks],
        "findings": [_finding(finding) for finding in answer.findings],
        "unreached": [_place(span) for span in answer.unreached],
        "isns_server": printable(_isns(answer.configuration)) or None,
        "max_sessions": None if target is None else target.max_sessions,
        "luns": None if target is None else _luns(target, asker),
        "chap": None
        if target is None
        else {
            "required": bool(target.incoming),
            "users": [printable(user) for user in _users(target, asker)],
            "outgoing": None if target.outgoing is None else printable(target.outgoing.name),
        },
    }


def _luns(target: TargetConfig, asker: Asker) -> list[dict[str, Any]]:
    """What the initiator has, by its own numbers, if it may use the target."""
    found = _view(target, asker) or EVERYTHING
    return [
        {"lun": lun, "unit": found.unit(lun), "read_only": not found.may_write(found.unit(lun))}
        for lun in found.luns(lun.number for lun in target.luns)
    ]


def _place(span: Span | None) -> dict[str, Any]:
    if span is None:
        return {"file": None, "line": None, "column": None}
    return {"file": printable(span.file), "line": span.line, "column": span.column}


def _check(check: Decision) -> dict[str, Any]:
    return {"check": check.check, "verdict": _verdict(check), **_place(check.where), "reason": printable(check.reason)}


def _finding(finding: Diagnostic) -> dict[str, Any]:
    facts = {"severity": finding.severity, "code": finding.code, "problem": finding.problem}
    return {**_place(finding.span), **facts, "hint": finding.hint, "iet": finding.iet}
