"""targetcli's ACLs and authentication as ``Initiator`` and ``IncomingUser`` lines, and back. Pure.

An ACL is an ``Initiator`` line. Nobody comes in by one that stands for an address nobody has, 0.0.0.0: so a target
without ACLs has one such line, and so does an ACL that has no credentials while authentication is on. Why so, and what
differs from LIO, is decision 87.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from typing import Final

from ietpy.config.model import Account, InitiatorConfig, LunMapping, Network, TargetConfig
from ietpy.errors import Span, UsageError
from ietpy.scsi.lun import HIGHEST

BY_HAND: Final = Span("ietpy shell", 0, 0)
NOWHERE: Final = IPv4Network("0.0.0.0/32")
EVERYBODY: Final = "*"
_NOBODY: Final = InitiatorConfig("nobody", BY_HAND, (NOWHERE,))
_SECRET_LIMIT: Final = 255  #: bytes of a name, and of a secret (iet-compat 1.7)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What ``set auth`` sets; empty is unset."""

    userid: str = ""
    password: str = field(default="", repr=False)

    @property
    def complete(self) -> bool:
        return bool(self.userid and self.password)


@dataclass(slots=True)
class Kept:
    """What a session of the shell remembers of a target because no line of ietd.conf can say it."""

    acls: dict[str, Credentials] = field(default_factory=dict)  #: by name in lower case; * are the target's own
    accounts: tuple[Account, ...] = ()  #: of the target, while authentication is off
    users: dict[str, str] = field(default_factory=dict)  #: which of them an ACL had then
    addresses: dict[str, tuple[Network, ...]] = field(default_factory=dict)  #: of lines that are shut
    mutual: Credentials = field(default_factory=Credentials)  #: while a half of it is missing


# -- what a target has --------------------------------------------------------------------------------------------


def is_shut(line: InitiatorConfig) -> bool:
    """Whether it stands for an address nobody has."""
    return line.addresses == (NOWHERE,)


def acls(target: TargetConfig) -> tuple[InitiatorConfig, ...]:
    return tuple(line for line in target.initiators if not (_is_dynamic(line) or line == _NOBODY))


def dynamic(target: TargetConfig) -> InitiatorConfig | None:
    """The line of everybody without an ACL; as good as there where a target has no Initiator lines."""
    return next((line for line in target.initiators if _is_dynamic(line)), None)


def generates(target: TargetConfig) -> bool:
    """generate_node_acls: whether initiators without an ACL have the target."""
    return not target.initiators or dynamic(target) is not None


def authenticates(target: TargetConfig, default: bool) -> bool:
    """The attribute authentication; ``default`` where no line tells."""
    if target.incoming or any(line.user for line in target.initiators):
        return True
    opened = [line for line in target.initiators if not (is_shut(line) or line.closed)]
    return default if target.initiators and not opened else False


def unlinked(target: TargetConfig) -> tuple[Account, ...]:
    """Accounts of the target that no ACL has for its own."""
    users = {line.user for line in target.initiators}
    return tuple(account for account in target.incoming if account.name not in users)


def account_of(target: TargetConfig, line: InitiatorConfig | None) -> Account | None:
    """The account of an ACL, or of everybody's line; None for none of its own."""
    if line is None or not line.user:
        return None
    return next((account for account in reversed(target.incoming) if account.name == line.user), None)


def _is_dynamic(line: InitiatorConfig) -> bool:
    return line.name == EVERYBODY and not line.closed and line.addresses in ((), (NOWHERE,))


# -- ACLs -----------------------------------------------------------------------------------------------------------


def fresh(name: str) -> TargetConfig:
    """A target that nobody may use yet."""
    return TargetConfig(name, BY_HAND, initiators=(_NOBODY,))


def arranged(target: TargetConfig, own: Iterable[InitiatorConfig], everybody: InitiatorConfig | None) -> TargetConfig:
    """With these ACLs, and a line for everybody else or none."""
    lines = (*own, *([] if everybody is None else [everybody]))
    return replace(target, initiators=lines or (_NOBODY,))


def implied(target: TargetConfig) -> InitiatorConfig | None:
    """Everybody's line, also where it goes without saying."""
    return dynamic(target) if target.initiators else InitiatorConfig(EVERYBODY, BY_HAND)


def with_acl(target: TargetConfig, name: str, authentication: bool, mapped: bool) -> TargetConfig:
    """With an ACL more, in front of lines that may be about the same initiator."""
    line = InitiatorConfig(name, BY_HAND)
    if authentication and not unlinked(target):
        line = replace(line, addresses=(NOWHERE,))
    if not mapped:
        line = with_mapped(target, line, ())
    lines = list(acls(target))
    place = next((index for index, other in enumerate(lines) if "*" in other.name), len(lines))
    lines.insert(place, line)
    return arranged(target, lines, implied(target))


def without_acl(target: TargetConfig, line: InitiatorConfig) -> TargetConfig:
    """With an ACL less, and without its account if no other has it."""
    left = tuple(other for other in acls(target) if other is not line)
    return _without_account(arranged(target, left, dynamic(target)), line.user)


def with_line(target: TargetConfig, old: InitiatorConfig, new: InitiatorConfig) -> TargetConfig:
    return replace(target, initiators=tuple(new if line is old else line for line in target.initiators))


def _without_account(target: TargetConfig, user: str) -> TargetConfig:
    if any(line.user == user for line in target.initiators):
        return target
    return replace(target, incoming=tuple(account for account in target.incoming if account.name != user))


def generating(target: TargetConfig, on: bool, read_only: bool, authentication: bool) -> TargetConfig:
    """generate_node_acls set."""
    if on == generates(target):
        return target
    everybody = None
    if on:
        shut = (NOWHERE,) if authentication and not unlinked(target) else ()
        everybody = InitiatorConfig(EVERYBODY, BY_HAND, shut, read_only=read_only)
        return arranged(target, acls(target), everybody)
    line = dynamic(target)
    return _without_account(arranged(target, acls(target), None), line.user if line else "")


# -- credentials ----------------------------------------------------------------------------------------------------


def check_word(what: str, text: str) -> None:
    """Raise UsageError for what is no name or secret in ietd.conf."""
    if any(character.isspace() or not character.isprintable() for character in text):
        raise UsageError(f"{what} has a blank or a control character, which ietd.conf cannot say; choose another")
    if text.startswith("#"):
        raise UsageError(f"{what} begins with #, where ietd.conf sees a comment; choose another")
    if len(text.encode("utf-8", "surrogateescape")) > _SECRET_LIMIT:
        raise UsageError(f"{what} is longer than {_SECRET_LIMIT} bytes; choose a shorter one")


def with_credentials(target: TargetConfig, line: InitiatorConfig, wanted: Credentials, kept: Kept) -> TargetConfig:
    """With an ACL that logs in by these credentials alone; by none, if they are not complete.

    Raises UsageError where another ACL has the name with another secret: in ietd.conf a name has one.
    """
    old = account_of(target, line)
    key = line.name.lower()
    if not wanted.complete:
        new = replace(line, user="", addresses=(NOWHERE,))
        if not is_shut(line):
            kept.addresses[key] = line.addresses
        return _without_account(with_line(target, line, new), line.user)
    others = [
        other for other in target.initiators
        if other is not line and (other.user == wanted.userid or not (other.user or other.closed or is_shut(other)))
    ]
    taken = next((one for one in reversed(target.incoming) if one.name == wanted.userid), None)
    if others and taken is not None and taken.secret != wanted.password:
        raise UsageError(
            f"{others[0].name} may log in as {wanted.userid}, too, with another password, and in ietd.conf a name has"
            " one for all of a target; choose another userid, or the same password"
        )
    account = Account(wanted.userid, wanted.password, BY_HAND)
    new = replace(line, user=wanted.userid)
    if is_shut(line):
        new = replace(new, addresses=kept.addresses.pop(key, ()))
    if old is not None and not any(other.user == old.name for other in target.initiators if other is not line):
        incoming = [account if one is old else one for one in target.incoming]
        incoming = [one for one in incoming if one is account or one.name != wanted.userid]
    else:
        incoming = [one for one in target.incoming if one.name != wanted.userid] + [account]
    if taken is not None and taken.secret == account.secret and taken.name == account.name:
        incoming = [taken if one is account else one for one in incoming]
    return replace(with_line(target, line, new), incoming=tuple(incoming))


def without_authentication(target: TargetConfig, kept: Kept) -> TargetConfig:
    """authentication=0: no accounts, and all lines open. What had to go is in ``kept``."""
    kept.accounts = target.incoming
    kept.users = {line.name.lower(): line.user for line in target.initiators if line.user}
    kept.acls.clear()
    lines = []
    for line in target.initiators:
        if is_shut(line) and line != _NOBODY:
            line = replace(line, addresses=kept.addresses.pop(line.name.lower(), ()))
        lines.append(replace(line, user=""))
    return replace(target, incoming=(), initiators=tuple(lines))


def with_authentication(target: TargetConfig, kept: Kept) -> TargetConfig:
    """authentication=1: who had an account has it again, and who has no credentials is shut out."""
    target = replace(target, incoming=kept.accounts)
    common = any(account.name not in kept.users.values() for account in kept.accounts)
    if not target.initiators and not common:
        target = arranged(target, (), implied(target))
    for line in target.initiators:
        key = line.name.lower()
        if line == _NOBODY or line.closed:
            continue
        if key in kept.users and key not in kept.acls:
            target = with_line(target, line, replace(line, user=kept.users[key]))
        elif kept.acls.get(key, Credentials()).complete or not common:
            target = with_credentials(target, line, kept.acls.get(key, Credentials()), kept)
    used = {line.user for line in target.initiators}
    gone = set(kept.users.values()) - used  # of ACLs that were deleted meanwhile
    kept.accounts, kept.users = (), {}
    kept.acls = {key: each for key, each in kept.acls.items() if not each.complete}
    return replace(target, incoming=tuple(account for account in target.incoming if account.name not in gone))


# -- logical units of an ACL ----------------------------------------------------------------------------------------


def mapped(target: TargetConfig, line: InitiatorConfig) -> tuple[LunMapping, ...]:
    """What an ACL has of the LUNs there are."""
    numbers = {lun.number for lun in target.luns}
    if line.luns is None:
        return tuple(LunMapping(number, number, line.read_only) for number in sorted(numbers))
    return tuple(
        LunMapping(one.lun, one.unit, one.read_only or line.read_only) for one in line.luns if one.unit in numbers
    )


def with_mapped(target: TargetConfig, line: InitiatorConfig, wanted: Sequence[LunMapping]) -> InitiatorConfig:
    """The line that says so, by a list: one without has LUNs to come, too.

    Of none it names a LUN that there is not, as a list has to name one.
    """
    numbers = {lun.number for lun in target.luns}
    stale = any(one.unit not in numbers for one in line.luns or ())
    if mapped(target, line) == tuple(wanted) and not stale:
        return line
    if not wanted:
        spare = next(number for number in range(HIGHEST, -1, -1) if number not in numbers)
        wanted = (LunMapping(spare, spare),)
    return replace(line, luns=tuple(sorted(wanted)), read_only=False)


def with_lun_mapped(before: TargetConfig, target: TargetConfig, number: int, add: bool) -> TargetConfig:
    """After LUN ``number`` came: all ACLs have it, under its own number if that is free, or none has."""
    lines = []
    for line in target.initiators:
        if line not in acls(target) or line.closed or (line.luns is None and add):
            lines.append(line)
            continue
        have = mapped(before, line)
        if add:
            taken = {one.lun for one in have}
            own = number if number not in taken else next(each for each in range(HIGHEST) if each not in taken)
            have = (*have, LunMapping(own, number))
        lines.append(with_mapped(target, line, have))
    return replace(target, initiators=tuple(lines))


def after_lun_went(before: TargetConfig, target: TargetConfig) -> TargetConfig:
    """After a LUN went: no ACL names it."""
    lines = [
        with_mapped(target, line, mapped(target, line))
        if line.luns is not None and not line.closed and mapped(before, line) != mapped(target, line)
        else line
        for line in target.initiators
    ]
    return replace(target, initiators=tuple(lines))
