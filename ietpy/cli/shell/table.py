"""All that may be typed: one row for each verb at each kind of place. Help, checks and completion read the rows."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from ietpy.cli.shell import general, making, settings, system
from ietpy.cli.shell.tree import Kind, Node
from ietpy.cli.shell.turn import Parameter, Turn, Values, Verb
from ietpy.cli.shell.words import Word
from ietpy.config.findings import printable
from ietpy.errors import UsageError

# -- what parameters may be -------------------------------------------------------------------------------------------


def _children(turn: Turn, node: Node) -> list[str]:
    return [child.name for child in turn.tree.children(node)]


def _luns(turn: Turn, node: Node) -> list[str]:
    return [str(lun.number) for lun in node.target.luns]


def _backstores(turn: Turn, node: Node) -> list[str]:
    return [f"/backstores/{one.plugin}/{one.name}" for one in turn.tree.backstores]


def _luns_and_backstores(turn: Turn, node: Node) -> list[str]:
    return _luns(turn, node) + _backstores(turn, node)


def _mapped(turn: Turn, node: Node) -> list[str]:
    return [child.name.removeprefix("mapped_lun") for child in turn.tree.children(node)]


def _addresses(turn: Turn, node: Node) -> list[str]:
    return ["0.0.0.0", "[::]"]


def _groups(turn: Turn, node: Node) -> list[str]:
    return settings.groups(node.kind)


def _verbs(turn: Turn, node: Node) -> list[str]:
    return [verb.name for verb in verbs(node.kind)]


_BOOLEAN: Final = ("true", "false")
PATH: Final = "path"  #: completed as a place in the tree
FILE: Final = "file"  #: completed as a file

_NAME: Final = Parameter("name", "what to call it", True)
_READ_ONLY: Final = Parameter("readonly", "whether its LUNs may only be read; false", False, _BOOLEAN)
_WWN: Final = Parameter("wwn", "its iSCSI name; one is made where none is given")
_ADD_MAPPED: Final = Parameter("add_mapped_luns", "whether ACLs have it; true", False, _BOOLEAN)
_FORCE: Final = Parameter("force", "whether to end its sessions; false", False, _BOOLEAN)
_ADDRESS: Final = Parameter("ip_address", "an address, an interface, or 0.0.0.0 or [::] for all", False, _addresses)
_PORT: Final = Parameter("ip_port", "3260")

_EVERYWHERE: Final = ()
VERBS: Final = (
    Verb("ls", _EVERYWHERE, general.ls, "show what is below a path", (
        Parameter("path", "where to look; here", False, PATH),
        Parameter("depth", "how far; all of it"),
    )),
    Verb("cd", _EVERYWHERE, general.cd, "go to a path; without one, show all and ask", (
        Parameter("path", "where to go; < goes back", False, PATH),
    )),
    Verb("pwd", _EVERYWHERE, general.pwd, "print the path"),
    Verb("info", _EVERYWHERE, general.info, "print what this is"),
    Verb("get", _EVERYWHERE, general.get, "print values", (
        Parameter("group", "such as attribute, parameter or auth", False, _groups),
    ), free=True),
    Verb("set", _EVERYWHERE, general.put, "set values", (
        Parameter("group", "such as attribute, parameter or auth", False, _groups),
    ), free=True),
    Verb("status", _EVERYWHERE, system.status, "print what runs"),
    Verb("sessions", _EVERYWHERE, system.sessions, "print who is connected", (
        Parameter("action", "list or detail; list", False, ("list", "detail")),
        Parameter("sid", "of one session alone"),
    )),
    Verb("saveconfig", _EVERYWHERE, system.saveconfig, "write what is served into ietd.conf", (
        Parameter("savefile", "write a copy to this file instead", False, FILE),
    )),
    Verb("restoreconfig", _EVERYWHERE, system.restoreconfig, "serve what a saved file says", (
        Parameter("savefile", "the file", True, FILE),
    )),
    Verb("clearconfig", _EVERYWHERE, system.clearconfig, "serve nothing, and forget all backstores", (
        Parameter("confirm", "True, or nothing is done", False, ("True",)),
        Parameter("force", "whether to end sessions; false", False, _BOOLEAN),
    )),
    Verb("version", _EVERYWHERE, system.version, "print ietpy's version"),
    Verb("refresh", _EVERYWHERE, system.refresh, "nothing, as every command looks again"),
    Verb("exit", _EVERYWHERE, general.leave, "leave the shell"),
    Verb("create", (Kind.PLUGIN,), making.create_block, "name a block device, to make LUNs of it", (
        _NAME, Parameter("dev", "its path", True, FILE), _READ_ONLY,
    )),
    Verb("create", (Kind.PLUGIN,), making.create_fileio, "name a file, to make LUNs of it", (
        _NAME,
        Parameter("file_or_dev", "its path", True, FILE),
        Parameter("size", "such as 10G, of an image that is to be made"),
        Parameter("write_back", "whether writes are answered before they are on the disk; false", False, _BOOLEAN),
        Parameter("sparse", "whether an image gets its space as it fills; true", False, _BOOLEAN),
        _READ_ONLY,
    )),
    Verb("delete", (Kind.PLUGIN,), making.delete_backstore, "forget a backstore that no LUN is made of", (
        Parameter("name", "its name", True, _children),
    )),
    Verb("create", (Kind.ISCSI,), making.create_target, "make a target, which nobody may use yet", (_WWN,)),
    Verb("delete", (Kind.ISCSI,), making.delete_target, "serve a target no more", (
        Parameter("wwn", "its iSCSI name", True, _children), _FORCE,
    )),
    Verb("create", (Kind.TARGET,), making.create_tpg, "nothing: there is tpg1, and one is enough", (
        Parameter("tag", "1"),
    )),
    Verb("enable", (Kind.TPG,), system.enable, "nothing, as it always is enabled"),
    Verb("disable", (Kind.TPG,), system.disable, "nothing; it says what is possible instead"),
    Verb("create", (Kind.LUNS,), making.create_lun, "make a LUN of a backstore", (
        Parameter("storage_object", "its path, such as /backstores/block/NAME, or that of a disk", True, _backstores),
        Parameter("lun", "its number; the next free one"),
        _ADD_MAPPED,
    )),
    Verb("delete", (Kind.LUNS,), making.delete_lun, "serve a LUN no more", (
        Parameter("lun", "its number", True, _luns),
    )),
    Verb("create", (Kind.ACLS,), making.create_acl, "have an initiator use the target", (
        Parameter("wwn", "the initiator's name", True),
        Parameter("add_mapped_luns", "whether it has all LUNs; true. create at the ACL maps one, write protected, too",
                  False, _BOOLEAN),
    )),
    Verb("delete", (Kind.ACLS,), making.delete_acl, "have an initiator use the target no more", (
        Parameter("wwn", "the initiator's name", True, _children),
    )),
    Verb("create", (Kind.ACL,), making.create_mapped, "give the initiator a LUN", (
        Parameter("mapped_lun", "the initiator's number for it", True),
        Parameter("tpg_lun_or_backstore", "the target's number, or a backstore's path", True, _luns_and_backstores),
        Parameter("write_protect", "whether it may only read; false", False, _BOOLEAN),
    )),
    Verb("delete", (Kind.ACL,), making.delete_mapped, "take a LUN from the initiator", (
        Parameter("mapped_lun", "the initiator's number for it", True, _mapped),
    )),
    Verb("create", (Kind.PORTALS,), making.create_portal, "have the target reached by an address more", (
        _ADDRESS, _PORT,
    )),
    Verb("delete", (Kind.PORTALS,), making.delete_portal, "have the target reached by an address less", (
        Parameter("ip_address", "the portal's, or the portal's name", True, _children), _PORT,
    )),
)


def _help(turn: Turn, node: Node, values: Values) -> None:
    name = values.get("command")
    if name is not None:
        verb = find(node, name)
        turn.say(f"{verb.usage}")
        turn.say(f"    {verb.help}")
        for parameter in verb.parameters:
            turn.say(f"    {parameter.name}: {parameter.help}")
        return
    turn.say(f"Here, at {node.path}:")
    for verb in verbs(node.kind, node):
        turn.say(f"  {verb.usage:<44} {verb.help}")
    turn.say("A path in front of a command has it done there, and a path alone goes there. Tab completes.")


HELP: Final = Verb("help", _EVERYWHERE, _help, "print what may be typed here", (
    Parameter("command", "print more about one", False, _verbs),
))
_OF_PLUGIN: Final = {"block": making.create_block, "fileio": making.create_fileio}


def verbs(kind: Kind, node: Node | None = None) -> list[Verb]:
    """The verbs of a place, those of its own first."""
    own = [verb for verb in VERBS if kind in verb.kinds]
    if node is not None and kind is Kind.PLUGIN:
        wanted = _OF_PLUGIN.get(node.name)
        own = [verb for verb in own if verb.run is wanted or verb.name != "create"]
    return [*own, *(verb for verb in VERBS if not verb.kinds), HELP]


def find(node: Node, name: str) -> Verb:
    """A verb by its name, at a place. Raises UsageError, which says what there is."""
    have = verbs(node.kind, node)
    found = next((verb for verb in have if verb.name == name), None)
    if found is not None:
        return found
    shown = printable(name.partition("=")[0][:60])  # a secret, perhaps
    elsewhere = {verb.name for verb in VERBS}
    if name in elsewhere:
        raise UsageError(f"{name} means nothing at {node.path}, {node.kind.value}; help says what does")
    near = get_close_matches(name, [verb.name for verb in have], n=1)
    hint = f"did you mean {near[0]}?" if near else "help says what there is"
    raise UsageError(f"there is no command {shown}; {hint}")


def bound(verb: Verb, words: list[Word]) -> Values:
    """What the words say of each parameter. Raises UsageError."""
    values: Values = {}
    loose: list[str] = []
    waiting = [parameter.name for parameter in verb.parameters]
    known = list(waiting)
    for word in words:
        named = word.named
        if named is not None and (verb.free or named[0] in known):
            if named[0] in values:
                raise UsageError(f"{named[0]} is given twice; leave one of them")
            values[named[0]] = named[1]
            if named[0] in waiting:
                waiting.remove(named[0])
        elif named is not None and not word.quoted:
            near = get_close_matches(named[0], known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"write {verb.usage}"
            raise UsageError(f"{verb.name} has no parameter {printable(named[0][:60])}; {hint}")
        elif waiting:
            values[waiting.pop(0)] = word.text
        elif verb.free:
            loose.append(word.text)
        else:
            raise UsageError(f"{verb.name} does not take {printable(word.text[:60])}, too; write {verb.usage}")
    missing = [each.name for each in verb.parameters if each.required and not values.get(each.name)]
    if missing:
        raise UsageError(f"{verb.name} needs {missing[0]}; write {verb.usage}")
    if loose and verb.name == "set":
        raise UsageError(f"{printable(loose[0][:60])} has no value; write set GROUP NAME=VALUE")
    if loose:
        values[general.FREE] = " ".join(loose)
    return values
