"""What serving another configuration comes to: two of them to steps, in words that may be shown to anybody.

Pure: what a daemon knows beyond its configuration (who is logged in, what could not be opened, which medium has grown)
is an argument, ``Live``. A step says what changes and who notices it. Secrets are never in one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from ietpy.config.lun_option import UNSAID, rendered, said
from ietpy.config.model import (
    Account,
    Configuration,
    InitiatorConfig,
    LunConfig,
    PortalConfig,
    TargetConfig,
    effective_nop_timeout,
    replaces,
)
from ietpy.config.options import LUN_EXTENSION_BY_WORD, Option
from ietpy.config.render import TARGET_KEYS, initiator_line, key_line, key_value, lun_line
from ietpy.config.steps import Action, Live, LiveTarget, Notice, Step
from ietpy.errors import Span

_QUIET: Final = LiveTarget()
_NOTHING: Final[Live] = MappingProxyType({})


def difference(old: Configuration, new: Configuration, live: Live = _NOTHING) -> list[Step]:
    """What there is to do where ``old`` is served and ``new`` shall be; empty if they mean the same, but for ``live``.

    The order is that in which a daemon does it: what goes, what changes, what comes.
    """
    return [*_gone(old, new, live), *_whole(old, new), *_changed(old, new, live), *_come(old, new, live)]


# -- targets ------------------------------------------------------------------------------------------------------


def _by_name(configuration: Configuration) -> dict[str, TargetConfig]:
    return {target.name.lower(): target for target in configuration.targets}


def _gone(old: Configuration, new: Configuration, live: Live) -> Iterator[Step]:
    wanted, after = {target.name: target for target in new.targets}, _by_name(new)
    for target in old.targets:
        found = wanted.get(target.name)
        if target.closed:
            if target.name.lower() not in after:
                what = f"target {target.name}, which is not served"
                yield Step(Action.REMOVE, "target", what, Notice.NOBODY, target.span, target.name)
            continue
        if found is not None and not found.closed:
            continue
        why = f"not to be served: {found.closed}" if found is not None else "no longer in the file"
        sessions = live.get(target.name.lower(), _QUIET).sessions
        action, notice = (Action.KEEP, Notice.IN_USE) if sessions else (Action.REMOVE, Notice.DISCOVERY)
        span = target.span if found is None else found.span
        yield Step(action, "target", f"target {target.name}", notice, span, target.name, why=why, sessions=sessions)


def _come(old: Configuration, new: Configuration, live: Live) -> Iterator[Step]:
    before = _by_name(old)
    kept = {step.target.lower() for step in _gone(old, new, live) if step.action is Action.KEEP}
    for target in new.targets:
        found = before.get(target.name.lower())
        if target.closed:
            if found is None or (not found.closed and target.name != found.name):
                what = f"target {target.name}"
                why = f"not served: {target.closed}"
                yield Step(Action.ADD, "target", what, Notice.NOBODY, target.span, target.name, why=why)
        elif (found is None or found.closed or found.name != target.name) and target.name.lower() not in kept:
            luns = f"LUN {', '.join(str(lun.number) for lun in target.luns)}" if target.luns else "no LUN"
            what = f"target {target.name} with {luns}"
            yield Step(Action.ADD, "target", what, Notice.DISCOVERY, target.span, target.name)


def _changed(old: Configuration, new: Configuration, live: Live) -> Iterator[Step]:
    before = _by_name(old)
    for target in new.targets:
        found = before.get(target.name.lower())
        if found is None:
            continue
        if found.closed and target.closed:
            if _comparable(found) != _comparable(target):
                what = f"target {target.name}, which is not served, in what else is said of it"
                yield Step(Action.CHANGE, "target", what, Notice.NOBODY, target.span, target.name)
        elif found.name == target.name and not found.closed and not target.closed:
            state = live.get(target.name.lower(), _QUIET)
            for step in (*_luns_gone(found, target), *_aspects(found, target), *_luns_come(found, target, state)):
                yield replace(step, target=target.name, sessions=state.sessions)
    one, other = ([target.name.lower() for target in each.targets] for each in (old, new))
    yield from _order("targets", one, other, new.targets[0].span if new.targets else Span(new.file, 1, 1))


def _comparable(target: TargetConfig) -> TargetConfig:
    """Two that are equal mean the same, but for why one is closed."""
    timeout = effective_nop_timeout(target.nop_interval, target.nop_timeout)
    return replace(target, closed="", nop_timeout=timeout)


def _order(noun: str, old: Sequence[Any], new: Sequence[Any], span: Span, target: str = "") -> Iterator[Step]:
    """Those that stay have other places among each other."""
    before, after = set(old), set(new)
    if [each for each in old if each in after] != [each for each in new if each in before]:
        of = f" of {target}" if target else ""
        yield Step(Action.CHANGE, "order", f"the order of {noun}{of}", Notice.NOBODY, span, target)


# -- logical units ------------------------------------------------------------------------------------------------


def _luns_gone(old: TargetConfig, new: TargetConfig) -> Iterator[Step]:
    numbers = {lun.number for lun in new.luns}
    for lun in old.luns:
        if lun.number not in numbers:
            what = f"LUN {lun.number} of {old.name}: {_said(lun)}"
            yield Step(Action.REMOVE, "lun", what, Notice.LUNS, lun.span, lun=lun.number)


def _luns_come(old: TargetConfig, new: TargetConfig, live: LiveTarget) -> Iterator[Step]:
    before = {lun.number: lun for lun in old.luns}
    for lun in new.luns:
        name = f"LUN {lun.number} of {new.name}"
        found = before.get(lun.number)
        if found is None:
            what = f"{name}: {_said(lun)}"
            yield Step(Action.ADD, "lun", what, Notice.LUNS, lun.span, lun=lun.number)
        elif replaces(found, lun):
            why = f"was {_said(found)}"
            what = f"{name}: {_said(lun)}"
            yield Step(Action.REPLACE, "lun", what, Notice.LUNS, lun.span, lun=lun.number, why=why)
        elif lun.number in live.unserved:
            what = f"{name}: {_said(lun)}"
            yield Step(Action.RETRY, "lun", what, Notice.LUNS, lun.span, lun=lun.number, why="it could not be served")
        elif found != lun:
            yield _in_place(found, lun, name)
        if lun.number in live.resized and found is not None and not replaces(found, lun):
            size, now = live.resized[lun.number]
            what, why = f"{name} from {size} to {now} bytes", f"that is the size of {lun.path or lun.type} now"
            yield Step(Action.RESIZE, "lun", what, Notice.CAPACITY, lun.span, lun=lun.number, why=why)
    one, other = ([lun.number for lun in each.luns] for each in (old, new))
    yield from _order("LUNs", one, other, new.span, new.name)


def _in_place(old: LunConfig, new: LunConfig, name: str) -> Step:
    """A unit stays, and is another one in something."""
    if new != replace(old, iops=new.iops, bytes_per_second=new.bytes_per_second):
        what, why = f"{name}: {_said(new)}", f"was {_said(old)}"
        return Step(Action.CHANGE, "lun", what, Notice.MODE, new.span, lun=new.number, why=why)
    what = f"{name}: {_limits(old)} becomes {_limits(new)}"
    return Step(Action.CHANGE, "limits", what, Notice.AT_ONCE, new.span, lun=new.number)


def _limits(lun: LunConfig) -> str:
    values = {"Iops": lun.iops, "BytesPerSecond": lun.bytes_per_second}
    options = {name: LUN_EXTENSION_BY_WORD[name.lower()] for name, value in values.items() if value}
    return ",".join(f"{name}={option.value.render(values[name])}" for name, option in options.items()) or "no limit"


def _said(lun: LunConfig) -> str:
    """The parameters of a LUN, as its lines have them."""
    text = lun_line(lun).partition(" ")[2].partition(" ")[2]
    if said(lun) != UNSAID:
        text += "; " + rendered(lun).partition(" ")[2].partition(" ")[2]
    return text


# -- what a target says else --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Aspect:
    """Some fields of a target or of a whole file: how a change of them reads. ``wording`` gets it before and after."""

    attribute: str
    subject: str
    notice: Notice
    wording: Callable[[Any, Any], str]


def _listed(noun: str) -> Callable[[Sequence[Any], Sequence[Any]], str]:
    def wording(old: Sequence[Any], new: Sequence[Any]) -> str:
        return f"{noun}: {_words(old) or 'none'} becomes {_words(new) or 'none'}"

    return wording


def _words(items: Iterable[Any]) -> str:
    return ", ".join(map(str, items))


def _valued(noun: str) -> Callable[[Any, Any], str]:
    def wording(old: Any, new: Any) -> str:
        return f"{noun}: {old or 'none'} becomes {new or 'none'}"

    return wording


def _incoming(old: Sequence[Account], new: Sequence[Account]) -> str:
    """Names alone; of one whose secret alone changed, too."""
    before, after = ([*dict.fromkeys(account.name for account in each)] for each in (old, new))
    come = [name for name in after if name not in before]
    gone = [name for name in before if name not in after]
    both = [name for name in after if name in before and _of(name, old) != _of(name, new)]
    parts = [
        f"{verb} {_words(names)}"
        for verb, names in (("new", come), ("without", gone), ("another secret for", both)) if names
    ]
    return f"IncomingUser: {'; '.join(parts) or 'the order of the accounts'}"


def _of(name: str, accounts: Sequence[Account]) -> list[Account]:
    return [account for account in accounts if account.name == name]


def _outgoing(old: Account | None, new: Account | None) -> str:
    if old is not None and new is not None and old.name == new.name:
        return f"OutgoingUser: another secret for {new.name}"
    return f"OutgoingUser: {old.name if old else 'none'} becomes {new.name if new else 'none'}"


def _initiators(old: Sequence[InitiatorConfig], new: Sequence[InitiatorConfig]) -> str:
    come = [_line(line) for line in new if line not in old]
    gone = [_line(line) for line in old if line not in new]
    parts = [f"{verb} {' | '.join(lines)}" for verb, lines in (("new", come), ("without", gone)) if lines]
    return f"Initiator lines: {'; '.join(parts) or 'their order'}"


def _line(line: InitiatorConfig) -> str:
    return f"{line.name} (admits nobody)" if line.closed else initiator_line(line, "").partition(" ")[2]


#: Every field of ``TargetConfig`` that is not its name, its LUNs, or a key of ``TARGET_KEYS``.
TARGET_ASPECTS: Final = (
    _Aspect("alias", "option", Notice.NEW_LOGINS, _valued("Alias")),
    _Aspect("incoming", "accounts", Notice.NEW_LOGINS, _incoming),
    _Aspect("outgoing", "accounts", Notice.NEW_LOGINS, _outgoing),
    _Aspect("chap_algorithms", "accounts", Notice.NEW_LOGINS, _listed("CHAPAlgorithms")),
    _Aspect("initiator_addresses", "access", Notice.NEW_LOGINS, _listed("initiator-address")),
    _Aspect("initiator_names", "access", Notice.NEW_LOGINS, _listed("initiator-name")),
    _Aspect("initiators", "access", Notice.VIEWS, _initiators),
    _Aspect("portal_groups", "access", Notice.NEW_LOGINS, _listed("PortalGroups")),
)
#: Keys that hold at once; all others are negotiated, or counted, at a login.
_AT_ONCE: Final = ("Wthreads", "NOPInterval", "NOPTimeout")


def _aspects(old: TargetConfig, new: TargetConfig) -> Iterator[Step]:
    for aspect in TARGET_ASPECTS:
        before, after = getattr(old, aspect.attribute), getattr(new, aspect.attribute)
        if before != after:
            what = f"{new.name}, {aspect.wording(before, after)}"
            yield Step(Action.CHANGE, aspect.subject, what, aspect.notice, _span(after, new.span))
    for option in TARGET_KEYS:
        before, after = (_key_value(each, option) for each in (old, new))
        if before != after:
            what = f"{new.name}, {_keyed(option, before)} becomes {_keyed(option, after)}"
            notice = Notice.AT_ONCE if option.name in _AT_ONCE else Notice.NEW_LOGINS
            yield Step(Action.CHANGE, "option", what, notice, new.span)


def _key_value(target: TargetConfig, option: Option) -> Any:
    effective = option.attribute == "nop_timeout"
    return effective_nop_timeout(target.nop_interval, target.nop_timeout) if effective else key_value(target, option)


def _keyed(option: Option, value: Any) -> str:
    return f"no {option.name}" if value is None else key_line(option, value)


def _span(value: Any, otherwise: Span) -> Span:
    """Where the last thing of a value stands that has a place."""
    last = value[-1] if isinstance(value, tuple) and value else value
    return getattr(last, "span", otherwise)


# -- what is about no target --------------------------------------------------------------------------------------


def _portals(old: Sequence[PortalConfig] | None, new: Sequence[PortalConfig] | None) -> str:
    before, after = ([*map(_portal, each or ())] for each in (old, new))
    come = [each for each in after if each not in before]
    gone = [each for each in before if each not in after]
    parts = [f"{verb} {_words(names)}" for verb, names in (("new", come), ("without", gone)) if names]
    if old is None or new is None:
        parts.append("as the command line says before" if old is None else "then as the command line says")
    return f"portals: {'; '.join(parts) or 'their order'}"


def _portal(portal: PortalConfig) -> str:
    advertised = f", advertised as {portal.advertised}," if portal.advertised else ""
    return f"{portal}{advertised} of group {portal.group}"


def _switched(noun: str) -> Callable[[bool, bool], str]:
    def wording(old: bool, new: bool) -> str:
        return f"{noun}: {'Yes' if new else 'No'}"

    return wording


def _closed(old: str, new: str) -> str:
    return f"discovery is {'closed: ' + new if new else 'open again'}"


def _processes(old: int, new: int) -> str:
    return f"Processes: {old or 'auto'} becomes {new or 'auto'}"


#: Every field of ``Configuration`` but its file, its targets and what was found in it.
WHOLE_ASPECTS: Final = (
    _Aspect("compat", "daemon", Notice.NEW_LOGINS, _valued("Compat")),
    _Aspect("portals", "portal", Notice.CONNECTIONS, _portals),
    _Aspect("discovery_incoming", "accounts", Notice.NEW_LOGINS, _incoming),
    _Aspect("discovery_outgoing", "accounts", Notice.NEW_LOGINS, _outgoing),
    _Aspect("discovery_closed", "accounts", Notice.NEW_LOGINS, _closed),
    _Aspect("chap_algorithms", "accounts", Notice.NEW_LOGINS, _listed("CHAPAlgorithms")),
    _Aspect("isns_server", "isns", Notice.NAMES, _valued("iSNSServer")),
    _Aspect("isns_access_control", "isns", Notice.NEW_LOGINS, _switched("iSNSAccessControl")),
    _Aspect("processes", "daemon", Notice.RESTART, _processes),
    _Aspect("metrics", "daemon", Notice.RESTART, _valued("Metrics")),
)


def _whole(old: Configuration, new: Configuration) -> Iterator[Step]:
    for aspect in WHOLE_ASPECTS:
        before, after = getattr(old, aspect.attribute), getattr(new, aspect.attribute)
        if aspect.attribute == "discovery_closed":  # why is no difference
            before, after = before and "closed", after and "closed"
        if before != after:
            about = "discovery, " if aspect.attribute.startswith("discovery_") and aspect.subject == "accounts" else ""
            words = aspect.wording(getattr(old, aspect.attribute), getattr(new, aspect.attribute))
            span = _span(getattr(new, aspect.attribute), Span(new.file, 1, 1))
            yield Step(Action.CHANGE, aspect.subject, f"{about}{words}", aspect.notice, span)
