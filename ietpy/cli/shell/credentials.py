"""What ``get auth`` and ``set auth`` are about. Pure.

Name and secret are an account as soon as both are there and somebody is asked for them; until then the session of the
shell keeps them, as no line of ietd.conf can say half of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ietpy.cli.shell import access
from ietpy.cli.shell.access import Credentials
from ietpy.cli.shell.tree import Kind, Node, authentication
from ietpy.cli.shell.turn import Turn
from ietpy.config.model import Account, InitiatorConfig, TargetConfig
from ietpy.errors import UsageError

_IN_FILE = "(in "
_DISCOVERY = ""  #: in the place of a target's name


def now(turn: Turn, target: TargetConfig) -> TargetConfig:
    """A target as the turn has it by now: one command may set several things."""
    return next(one for one in turn.configuration.targets if one.name == target.name)


def acl_now(turn: Turn, node: Node) -> tuple[TargetConfig, InitiatorConfig]:
    """An ACL as the turn has it by now."""
    target = now(turn, node.target)
    places = [line is node.acl for line in access.acls(node.target)]
    return target, access.acls(target)[places.index(True)]


def _line(turn: Turn, node: Node) -> tuple[TargetConfig, InitiatorConfig | None]:
    """Whose credentials these are: of an ACL, or of everybody without one, who has a line or not."""
    if node.kind is Kind.ACL:
        return acl_now(turn, node)
    target = now(turn, node.target)
    return target, access.dynamic(target)


def _key(node: Node) -> str:
    return node.acl.name.lower() if node.kind is Kind.ACL else access.EVERYBODY


def _told(account: Account) -> Credentials:
    return Credentials(account.name, account.secret or (f"{_IN_FILE}{account.file})" if account.file else ""))


def _own(turn: Turn, node: Node) -> Credentials:
    target, line = _line(turn, node)
    kept = turn.kept_of(target)
    account = access.account_of(target, line)
    if account is None and (line is None or not (line.user or access.is_shut(line))):
        common = access.unlinked(target)
        if node.kind is Kind.TPG or len(common) == 1:  # as whom he logs in, having none of his own
            account = next(iter(reversed(common)), None)
    if account is None and _key(node) not in kept.acls:
        user = kept.users.get(_key(node))
        account = next((one for one in reversed(kept.accounts) if one.name == user), None)
    return kept.acls.get(_key(node), Credentials()) if account is None else _told(account)


def _mutual(turn: Turn, node: Node) -> Credentials:
    target = now(turn, node.target)
    return turn.kept_of(target).mutual if target.outgoing is None else _told(target.outgoing)


def part(turn: Turn, node: Node, name: str) -> str:
    """One of userid, password, mutual_userid and mutual_password."""
    have = _mutual(turn, node) if name.startswith("mutual_") else _own(turn, node)
    return have.password if name.endswith("password") else have.userid


def discovery_part(turn: Turn, node: Node, name: str) -> str:
    """The same of discovery."""
    have = _discovery(turn, name.startswith("mutual_"))
    return have.password if name.endswith("password") else have.userid


def put(turn: Turn, node: Node, parts: Mapping[str, str]) -> None:
    """Set some of the four at once. Raises UsageError."""
    for lead in ("", "mutual_"):
        given = {name.removeprefix(lead): text for name, text in parts.items()
                 if name.startswith("mutual_") == bool(lead)}
        if not given:
            continue
        if node.kind is Kind.ISCSI:
            _put_discovery(turn, bool(lead), _changed(_discovery(turn, bool(lead)), given))
        elif lead:
            _put_mutual(turn, node, _changed(_mutual(turn, node), given))
        else:
            _put_own(turn, node, _changed(_own(turn, node), given))


def _changed(have: Credentials, given: Mapping[str, str]) -> Credentials:
    readable = replace(have, password="") if have.password.startswith(_IN_FILE) else have
    return replace(readable, **given)


def _keep(turn: Turn, wanted: Credentials, why: str) -> None:
    """Say why something waits. Raises UsageError where nothing comes after this command."""
    if wanted.userid or wanted.password:
        if not turn.lasting:
            raise UsageError(f"{why}, for which one command alone cannot wait; nothing has changed")
        turn.say(f"Kept until this shell ends: {why}.")


def _half(wanted: Credentials, lead: str = "") -> str:
    return f"{lead}{'password' if wanted.userid else 'userid'}= has to be set, too"


def _put_own(turn: Turn, node: Node, wanted: Credentials) -> None:
    target, line = _line(turn, node)
    kept = turn.kept_of(target)
    kept.acls[_key(node)] = wanted
    if not authentication(replace(turn.tree, book=turn.book), target):
        _keep(turn, wanted, "nobody is asked for credentials before set attribute authentication=1 at the TPG")
    elif node.kind is Kind.TPG and not access.generates(target):
        _keep(turn, wanted, "those of the TPG are for initiators without an ACL, see attribute generate_node_acls")
    elif line is None:
        _put_common(turn, target, wanted)
    elif wanted.complete or access.account_of(target, line) is not None or not (wanted.userid or wanted.password):
        turn.target_changed(target, access.with_credentials(target, line, wanted, kept))
        turn.book = turn.book.with_attribute(target.name, "authentication", True)
        if wanted.complete:
            del kept.acls[_key(node)]
    if not wanted.complete:
        _keep(turn, wanted, _half(wanted))


def _put_common(turn: Turn, target: TargetConfig, wanted: Credentials) -> None:
    """The account of a target without Initiator lines, which everybody has."""
    have = access.unlinked(target)
    if len(have) > 1:
        names = ", ".join(account.name for account in have)
        raise UsageError(
            f"{target.name} has the accounts {names}, and targetcli a word for one; change their IncomingUser lines"
        )
    if wanted.complete:
        account = Account(wanted.userid, wanted.password, access.BY_HAND)
        turn.target_changed(target, replace(target, incoming=(account,)))
        turn.kept_of(target).acls.clear()  # as there is no ACL
    elif not (wanted.userid or wanted.password):  # nobody is to come in without
        everybody = access.implied(target)
        assert everybody is not None
        shut = replace(everybody, addresses=(access.NOWHERE,))
        turn.target_changed(target, access.arranged(replace(target, incoming=()), (), shut))
        turn.book = turn.book.with_attribute(target.name, "authentication", True)


def _put_mutual(turn: Turn, node: Node, wanted: Credentials) -> None:
    target = now(turn, node.target)
    outgoing = Account(wanted.userid, wanted.password, access.BY_HAND) if wanted.complete else None
    turn.kept_of(target).mutual = Credentials() if outgoing else wanted
    if outgoing != target.outgoing:
        turn.target_changed(target, replace(target, outgoing=outgoing))
    if outgoing is None:
        _keep(turn, wanted, _half(wanted, "mutual_"))
    elif len(access.acls(target)) > 1:
        turn.say("All ACLs of the target have these: ietd.conf has one OutgoingUser for a target.")


def _discovery(turn: Turn, outgoing: bool) -> Credentials:
    one = turn.configuration.discovery_outgoing
    if not outgoing:
        one = next(iter(reversed(turn.configuration.discovery_incoming)), None)
    if one is not None:
        return _told(one)
    kept = turn.kept.get(_DISCOVERY, access.Kept())
    return kept.mutual if outgoing else kept.acls.get(_DISCOVERY, Credentials())


def _put_discovery(turn: Turn, outgoing: bool, wanted: Credentials) -> None:
    kept = turn.kept.setdefault(_DISCOVERY, access.Kept())
    account = Account(wanted.userid, wanted.password, access.BY_HAND) if wanted.complete else None
    if outgoing:
        kept.mutual = Credentials() if account else wanted
        turn.configuration = replace(turn.configuration, discovery_outgoing=account)
    else:
        have = turn.configuration.discovery_incoming
        if len(have) > 1:
            names = ", ".join(one.name for one in have)
            raise UsageError(
                f"discovery has the accounts {names}, and targetcli a word for one; change their IncomingUser lines"
            )
        kept.acls[_DISCOVERY] = Credentials() if account else wanted
        if account is not None or have:
            turn.configuration = replace(turn.configuration, discovery_incoming=(account,) if account else ())
    if account is None:
        _keep(turn, wanted, _half(wanted, "mutual_" if outgoing else ""))


def enable_discovery(turn: Turn, on: bool) -> None:
    """Have discovery ask for credentials, or not."""
    have, asked = _discovery(turn, False), turn.configuration.discovery_incoming
    if not on:
        kept = turn.kept.setdefault(_DISCOVERY, access.Kept())
        kept.acls[_DISCOVERY] = _changed(have, {})
        turn.configuration = replace(turn.configuration, discovery_incoming=(), discovery_outgoing=None)
        turn.say("Everybody may discover the targets he may log in to.")
    elif not asked and have.complete:
        _put_discovery(turn, False, have)
    elif not asked:
        turn.say("Discovery asks for credentials as soon as it has a userid and a password.")
