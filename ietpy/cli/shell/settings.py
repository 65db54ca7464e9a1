"""``get`` and ``set``: one row for each thing that has a value, by place and group, with what it means to ietd.conf.

Rows without a ``put`` are what targetcli knows and ietpy has no choice in; the sentence says what holds instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from ietpy.cli.shell import access, credentials, storage
from ietpy.cli.shell.credentials import acl_now, now
from ietpy.cli.shell.tree import Kind, Node, authentication
from ietpy.cli.shell.turn import UNSET, Turn, truth
from ietpy.config.findings import printable
from ietpy.config.model import LunConfig, LunMapping
from ietpy.config.render import TARGET_KEYS, key_value
from ietpy.errors import UsageError

Get = Callable[[Turn, Node], str]
Put = Callable[[Turn, Node, str], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """One row. ``put`` None: it cannot be changed; ``fixed`` is then its value, and ``help`` says why."""

    kind: Kind
    group: str
    name: str
    help: str
    get: Get | None = None
    put: Put | None = None
    fixed: str = ""
    part: bool = False  #: of credentials, which are set together

    def value(self, turn: Turn, node: Node) -> str:
        return self.fixed if self.get is None else self.get(turn, node)


_GLOBAL: Final = "global"


def _flag(value: bool) -> str:
    return "1" if value else "0"


# -- attributes of a target portal group ------------------------------------------------------------------------------


def _get_authentication(turn: Turn, node: Node) -> str:
    return _flag(authentication(turn.tree, node.target))


def _put_authentication(turn: Turn, node: Node, text: str) -> None:
    on, target = truth("authentication", text), now(turn, node.target)
    kept = turn.kept_of(target)
    if on != authentication(turn.tree, target):
        new = access.with_authentication(target, kept) if on else access.without_authentication(target, kept)
        turn.target_changed(target, new)
        if not on and target.incoming:
            names = ", ".join(dict.fromkeys(account.name for account in target.incoming))
            back = "until this shell ends authentication=1 has them again" if turn.lasting else "set auth makes others"
            turn.say(f"Accounts are gone that nobody needs now: {names}; {back}.")
        shut = [line.name for line in new.initiators if on and access.is_shut(line) and line.name != "nobody"]
        if shut:
            turn.say(f"These cannot log in before set auth userid= password=: {', '.join(shut)}")
    turn.book = turn.book.with_attribute(target.name, "authentication", on)
    if not on:
        open_to_all = access.generates(target)
        turn.say(
            "Everybody may use this target now." if open_to_all
            else "Whoever knows an initiator's name of an ACL may use this target: nothing proves a name but CHAP."
        )


def _get_generate(turn: Turn, node: Node) -> str:
    return _flag(access.generates(node.target))


def _put_generate(turn: Turn, node: Node, text: str) -> None:
    on, target = truth("generate_node_acls", text), now(turn, node.target)
    protect = turn.book.attribute(target.name, "demo_mode_write_protect", True)
    auth = authentication(replace(turn.tree, book=turn.book), target)
    new = access.generating(target, on, protect, auth)
    kept = turn.kept_of(target)
    wanted, line = kept.acls.get(access.EVERYBODY), access.dynamic(new)
    if on and auth and line is not None and access.is_shut(line) and wanted is not None and wanted.complete:
        new = access.with_credentials(new, line, wanted, kept)
        del kept.acls[access.EVERYBODY]
        line = access.dynamic(new)
    turn.target_changed(target, new)
    if on and line is not None and access.is_shut(line):
        turn.say("Initiators without an ACL need credentials first: set auth userid= password= here.")
    elif on and line is not None:
        how = "read only (demo_mode_write_protect=1)" if line.read_only else "for writing"
        turn.say(f"Initiators without an ACL may use this target now, {how}.")
    elif not on and access.generates(target):
        turn.say("Only initiators with an ACL may log in from now on; sessions go on.")


def _get_protect(turn: Turn, node: Node) -> str:
    line = access.implied(node.target)
    if line is not None:
        return _flag(line.read_only)
    return _flag(turn.book.attribute(node.target.name, "demo_mode_write_protect", True))


def _put_protect(turn: Turn, node: Node, text: str) -> None:
    on, target = truth("demo_mode_write_protect", text), now(turn, node.target)
    turn.book = turn.book.with_attribute(target.name, "demo_mode_write_protect", on)
    line = access.implied(target)
    if line is not None and line.read_only != on:
        new = access.arranged(target, access.acls(target), replace(line, read_only=on))
        turn.target_changed(target, new)


# -- credentials ------------------------------------------------------------------------------------------------------


def _auth_rows(kind: Kind, group: str, whose: str, answers: str) -> tuple[Setting, ...]:
    def part(name: str, help_: str) -> Setting:
        get = credentials.discovery_part if kind is Kind.ISCSI else credentials.part
        return Setting(kind, group, name, help_, lambda turn, node: get(turn, node, name), part=True)

    return (
        part("userid", f"the name {whose} with"),
        part("password", "and its secret"),
        part("mutual_userid", answers),
        part("mutual_password", "and its secret"),
    )


def _put_discovery_enable(turn: Turn, node: Node, text: str) -> None:
    credentials.enable_discovery(turn, truth("enable", text))


# -- keys that are negotiated -----------------------------------------------------------------------------------------


def _key_row(name: str, option_name: str) -> Setting:
    option = next(option for option in TARGET_KEYS if option.name == option_name)

    def get(turn: Turn, node: Node) -> str:
        value = key_value(node.target, option)
        return option.default if value is None else str(option.value.render(value))

    def put(turn: Turn, node: Node, text: str) -> None:
        target = now(turn, node.target)
        try:
            value = option.value.parse(text)
        except ValueError as accepts:
            raise UsageError(f"{printable(text[:60])} is no value of {name}; write {accepts}") from None
        if option.session_key:
            keys: Mapping[str, Any] = MappingProxyType({**target.session_keys, option.name: value})
            turn.target_changed(target, replace(target, session_keys=keys))
        else:
            turn.target_changed(target, replace(target, **{option.attribute: value}))

    group = "parameter" if option.session_key else "attribute"
    return Setting(Kind.TPG, group, name, option.prose, get, put)


def _get_alias(turn: Turn, node: Node) -> str:
    return node.target.alias


def _put_alias(turn: Turn, node: Node, text: str) -> None:
    target = now(turn, node.target)
    if not text.isprintable():
        raise UsageError("an alias has no control characters; leave them out")
    turn.target_changed(target, replace(target, alias="" if text in UNSET else text))


# -- backstores, mapped LUNs ------------------------------------------------------------------------------------------


def _get_cache(turn: Turn, node: Node) -> str:
    return _flag(node.item.write_back)


def _put_cache(turn: Turn, node: Node, text: str) -> None:
    on = truth("emulate_write_cache", text)
    _change_luns(turn, node, lambda lun: replace(
        lun, write_cache=on and lun.type == "fileio", cached=on and lun.type != "fileio"))
    turn.book = turn.book.with_backstore(replace(node.item, write_back=on))


def _change_luns(turn: Turn, node: Node, change: Callable[[LunConfig], LunConfig]) -> None:
    users = {id(lun) for _, lun in storage.users(turn.configuration, node.item)}
    targets = tuple(
        replace(target, luns=tuple(change(lun) if id(lun) in users else lun for lun in target.luns))
        if any(id(lun) in users for lun in target.luns) else target
        for target in turn.configuration.targets
    )
    if users:
        turn.configuration = replace(turn.configuration, targets=targets)


def _get_write_protect(turn: Turn, node: Node) -> str:
    return _flag(node.item.read_only)


def _put_write_protect(turn: Turn, node: Node, text: str) -> None:
    on, one = truth("write_protect", text), node.item
    target, line = acl_now(turn, node.above(Kind.ACL))
    have = [LunMapping(each.lun, each.unit, on if each.lun == one.lun else each.read_only)
            for each in access.mapped(target, line)]
    turn.target_changed(target, access.with_line(target, line, access.with_mapped(target, line, have)))


# -- preferences ------------------------------------------------------------------------------------------------------


def _preference(name: str, default: bool, help_: str) -> Setting:
    def get(turn: Turn, node: Node) -> str:
        return "true" if turn.book.preferences.get(name, default) else "false"

    def put(turn: Turn, node: Node, text: str) -> None:
        turn.book = turn.book.with_preference(name, truth(name, text))

    return Setting(Kind.ROOT, _GLOBAL, name, help_, get, put)


def _fixed(kind: Kind, group: str, name: str, value: str, why: str) -> Setting:
    return Setting(kind, group, name, why, fixed=value)


#: targetcli's words for keys of ietd.conf.
_ANSWERS: Final = "the name with which the target answers, the same for all of its ACLs"
_KEYS: Final = {
    **{option.name: option.name for option in TARGET_KEYS if option.session_key},
    "default_cmdsn_depth": "QueuedCommands",
}

SETTINGS: Final = (
    Setting(Kind.TPG, "attribute", "authentication", "whether initiators log in with CHAP",
            _get_authentication, _put_authentication),
    Setting(Kind.TPG, "attribute", "demo_mode_write_protect", "whether initiators without an ACL may only read",
            _get_protect, _put_protect),
    Setting(Kind.TPG, "attribute", "generate_node_acls", "whether initiators without an ACL may log in",
            _get_generate, _put_generate),
    _fixed(Kind.TPG, "attribute", "cache_dynamic_acls", "1", "an initiator without an ACL keeps what it has anyway"),
    _fixed(Kind.TPG, "attribute", "demo_mode_discovery", "0", "who may not log in to a target does not discover it"),
    _fixed(Kind.TPG, "attribute", "prod_mode_write_protect", "0", "mapped LUNs have write_protect one by one"),
    _fixed(Kind.TPG, "attribute", "default_erl", "0", "set parameter ErrorRecoveryLevel"),
    _fixed(Kind.TPG, "attribute", "login_timeout", "15", "seconds a login may take, for all targets"),
    _fixed(Kind.TPG, "attribute", "t10_pi", "0", "ietpy keeps no protection information"),
    _fixed(Kind.TPG, "attribute", "tpg_enabled_sendtargets", "1", "a target is always found by who may log in to it"),
    *(_key_row(name, option) for name, option in _KEYS.items()),
    Setting(Kind.TPG, "parameter", "TargetAlias", "a name for people, told to initiators", _get_alias, _put_alias),
    _fixed(Kind.TPG, "parameter", "AuthMethod", "CHAP,None", "set attribute authentication has CHAP needed"),
    *_auth_rows(Kind.TPG, "auth", "an initiator without an ACL logs in", _ANSWERS),
    *_auth_rows(Kind.ACL, "auth", "the initiator logs in", _ANSWERS),
    Setting(Kind.MAPPED, "attribute", "write_protect", "whether the initiator may only read the LUN",
            _get_write_protect, _put_write_protect),
    Setting(Kind.ISCSI, "discovery_auth", "enable", "whether discovery asks for credentials",
            lambda turn, node: _flag(bool(turn.configuration.discovery_incoming)), _put_discovery_enable),
    *_auth_rows(Kind.ISCSI, "discovery_auth", "initiators discover", "the name with which discovery answers"),
    Setting(Kind.BACKSTORE, "attribute", "emulate_write_cache",
            "whether writes are answered before they are on the disk", _get_cache, _put_cache),
    *(
        _fixed(Kind.BACKSTORE, "attribute", name, value, why)
        for name, value, why in (
            ("block_size", "512", "BlockSize on the Lun line of ietd.conf says it; of block devices it is their own"),
            ("emulate_3pc", "1", "EXTENDED COPY is always there"),
            ("emulate_caw", "1", "COMPARE AND WRITE is always there"),
            ("emulate_dpo", "1", "DPO is always understood"),
            ("emulate_fua_write", "1", "FUA is always understood"),
            ("emulate_tas", "1", "aborted tasks are told, where the control mode page says so"),
            ("emulate_tpu", "1", "UNMAP is there wherever what holds the blocks can do it"),
            ("emulate_tpws", "1", "WRITE SAME with UNMAP, too"),
            ("is_nonrot", "1", "what a disk says of its rotation is not changed here"),
        )
    ),
    _preference("auto_cd_after_create", True, "whether create leads to what it made"),
    _preference("auto_add_mapped_luns", True, "whether new LUNs and new ACLs are mapped to each other"),
    _preference("auto_save_on_exit", False, "whether exit writes what is served into the file"),
)


#: What others depend on when one command sets several.
_FIRST: Final = ("authentication", "demo_mode_write_protect")


def groups(kind: Kind) -> list[str]:
    """The groups of a place, in the order of the rows; preferences of the shell are everywhere."""
    return list(dict.fromkeys([*(row.group for row in SETTINGS if row.kind is kind), _GLOBAL]))


def rows(kind: Kind, group: str) -> list[Setting]:
    """The rows of a group. Raises UsageError if the place has none of this name."""
    kind = Kind.ROOT if group == _GLOBAL else kind
    found = sorted((row for row in SETTINGS if row.kind is kind and row.group == group), key=lambda row: row.name)
    if not found:
        raise UsageError(
            f"{printable(group[:60])} is no group of {kind.value}; there are {', '.join(groups(kind))}"
        )
    return found


def row(kind: Kind, group: str, name: str) -> Setting:
    """A row by its name. Raises UsageError."""
    found = rows(kind, group)
    exact = next((each for each in found if each.name.lower() == name.lower()), None)
    if exact is not None:
        return exact
    near = get_close_matches(name.lower(), [each.name.lower() for each in found], n=1)
    hint = f"did you mean {next(each.name for each in found if each.name.lower() == near[0])}?" if near else (
        f"there are {', '.join(each.name for each in found)}")
    raise UsageError(f"{printable(name[:60])} is no {group} that means anything to ietpy; {hint}")


def shown(turn: Turn, node: Node, group: str, names: list[str]) -> list[str]:
    """The lines ``get`` prints."""
    wanted = [row(node.kind, group, name) for name in names] or rows(node.kind, group)
    return [f"{each.name}={each.value(turn, node)}" for each in wanted]


def put(turn: Turn, node: Node, group: str, values: list[tuple[str, str]]) -> None:
    """Change what ``set`` names, all of it or nothing."""
    parts = {}
    for name, text in sorted(values, key=lambda each: each[0].lower() not in _FIRST):
        one = row(node.kind, group, name)
        if one.part:
            parts[one.name] = "" if text in UNSET else text
            access.check_word(f"the {one.name}", parts[one.name])
        elif one.put is not None:
            one.put(turn, node, text)
            turn.say(f"{group.capitalize()} {one.name} is now '{text}'.")
        elif text.lower() != one.fixed.lower():
            turn.say(f"{one.name} stays {one.fixed}: {one.help}.")
    if parts:
        for name, text in parts.items():
            turn.say(f"{group.capitalize()} {name} is now '{'***' if text and 'password' in name else text}'.")
        credentials.put(turn, node, parts)
