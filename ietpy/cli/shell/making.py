"""``create`` and ``delete``, one function for each kind of place: pure but for images, which the host makes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from ietpy.cli.shell import access, places, storage
from ietpy.cli.shell.book import Backstore
from ietpy.cli.shell.tree import TPG, Kind, Node, NoSuchPath, authentication
from ietpy.cli.shell.turn import Turn, Values, boolean, free_number, number
from ietpy.config.findings import printable
from ietpy.config.lun import HIGHEST_LUN
from ietpy.config.model import LunConfig, LunMapping, TargetConfig
from ietpy.errors import UsageError
from ietpy.images import target_lines
from ietpy.iscsi.pdu import DEFAULT_PORT
from ietpy.scsi.lun import HIGHEST

_ISCSI_NAME: Final = re.compile(
    r"iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9][a-z0-9.-]*(?::[^\s,/]+)?|(?:eui\.[0-9a-f]{16})|naa\.(?:[0-9a-f]{16}|[0-9a-f]{32})",
    re.IGNORECASE | re.ASCII,
)
_PATTERN: Final = re.compile(r"[a-z0-9.:*_-]+", re.IGNORECASE | re.ASCII)
_PLUGIN_OF_KIND: Final = {"block": "block", "file": "fileio"}  #: by what is at the path
_LONGEST: Final = 223  #: bytes of an iSCSI name (RFC 7143 section 4.2.7.1)


# -- backstores -----------------------------------------------------------------------------------------------------


def create_block(turn: Turn, node: Node, values: Values) -> None:
    path = turn.host.absolute(values["dev"])
    one = Backstore("block", values["name"], path, read_only=boolean(values, "readonly", False))
    _check_new(turn, node, one)
    found = turn.host.look(path)
    if found is None:
        raise UsageError(f"there is no {printable(path)}; name a block device, such as one below /dev/disk/by-id")
    if found.kind != "block":
        hint = "; /backstores/fileio create serves files" if found.kind == "file" else ""
        raise UsageError(f"{printable(path)} is no block device{hint}")
    turn.book = turn.book.with_backstore(one)
    turn.say(f"Created block storage object {one.name} using {path}.")
    turn.go_new(f"{node.path}/{one.name}")


def create_fileio(turn: Turn, node: Node, values: Values) -> None:
    path = turn.host.absolute(values["file_or_dev"])
    one = Backstore(
        "fileio", values["name"], path, boolean(values, "write_back", False), boolean(values, "readonly", False)
    )
    sparse = boolean(values, "sparse", True)
    _check_new(turn, node, one)
    found = turn.host.look(path)
    size = values.get("size")
    if found is None:
        if size is None:
            raise UsageError(f"there is no {printable(path)}; give a size, such as 10G, and it is made")
        count = storage.size_of(size)
        turn.host.make_image(path, count, sparse)
    elif found.kind not in ("file", "block"):
        raise UsageError(f"{printable(path)} is neither a file nor a block device; name one")
    else:
        count = found.size
        if size is not None and storage.size_of(size) != count:
            turn.say(f"{path} exists, using its size ({count} bytes) instead")
    turn.book = turn.book.with_backstore(one)
    turn.say(f"Created fileio {one.name} with size {count}")
    if one.write_back:
        turn.say("Its LUNs answer writes before they are on the disk (IOMode=wb): initiators flush what must last.")
    turn.go_new(f"{node.path}/{one.name}")


def _check_new(turn: Turn, node: Node, one: Backstore) -> None:
    storage.check_name(one.name)
    target_lines(one.path, "host")  # what no line can say
    for other in turn.tree.backstores:
        if (other.plugin, other.name.lower()) == (one.plugin, one.name.lower()):
            where = f"there is a {node.path}/{other.name} already, of {printable(other.path)}"
            raise UsageError(f"{where}; choose another name")
        if (other.plugin, other.path) == (one.plugin, one.path):
            raise UsageError(f"{printable(one.path)} is {node.path}/{other.name} already; make LUNs of that")


def delete_backstore(turn: Turn, node: Node, values: Values) -> None:
    child = turn.tree.find(values["name"], node)
    if child.kind is not Kind.BACKSTORE or child.parent is not node:
        raise UsageError(f"{printable(values['name'])} is no backstore below {node.path}")
    one: Backstore = child.item
    used = storage.users(turn.configuration, one)
    if used:
        target, lun = used[0]
        more = f" and {len(used) - 1} more" if used[1:] else ""
        raise UsageError(
            f"{child.path} is LUN {lun.number} of {target.name}{more};"
            f" /iscsi/{target.name}/{TPG}/luns delete {lun.number} comes first"
        )
    turn.book = turn.book.without_backstore(one)
    turn.say(f"Deleted storage object {one.name}. {one.path} stays as it is.")


# -- targets --------------------------------------------------------------------------------------------------------


def create_target(turn: Turn, node: Node, values: Values) -> None:
    name = values.get("wwn") or turn.host.node_name()
    check_iscsi_name(name)
    same = next((one for one in turn.configuration.targets if one.name.lower() == name.lower()), None)
    if same is not None:
        raise UsageError(f"there is a target {same.name} already; cd /iscsi/{same.name} goes there")
    turn.configuration = replace(turn.configuration, targets=(*turn.configuration.targets, access.fresh(name)))
    turn.book = turn.book.without_target(name)
    turn.say(f"Created target {name}.")
    turn.say("Created TPG 1.")
    reached = places.of_target(turn.configuration, turn.configuration.targets[-1])
    turn.say(f"It is reached by {', '.join(map(turn.tree.place_name, reached))}; nobody may log in before acls create.")
    turn.go_new(f"{node.path}/{name}/{TPG}")


def check_iscsi_name(name: str) -> None:
    """Raise UsageError unless it is an iSCSI name (RFC 7143 section 4.2.7)."""
    if not _ISCSI_NAME.fullmatch(name) or len(name.encode("utf-8", "surrogateescape")) > _LONGEST:
        raise UsageError(
            f"{printable(name[:80])} is no iSCSI name; write one such as iqn.2001-04.com.example:storage.disk1, of at"
            f" most {_LONGEST} bytes"
        )
    if not name.isprintable():
        raise UsageError("an iSCSI name has no control characters")


def delete_target(turn: Turn, node: Node, values: Values) -> None:
    target = _child(turn, node, values["wwn"], Kind.TARGET, "target").target
    busy = [one for one in turn.host.sessions() if one.target.lower() == target.name.lower()]
    if busy and not boolean(values, "force", False):
        more = f" and {len(busy) - 1} more" if busy[1:] else ""
        raise UsageError(
            f"{target.name} is in use by {busy[0].initiator} from {busy[0].address}{more}; log out there, or"
            f" delete {target.name} force=true ends the sessions"
        )
    if busy:
        turn.purged.append(target.name)
    left = tuple(one for one in turn.configuration.targets if one is not target)
    turn.configuration = replace(turn.configuration, targets=left)
    turn.book = turn.book.without_target(target.name)
    turn.kept.pop(target.name.lower(), None)
    turn.say(f"Deleted Target {target.name}.")


def create_tpg(turn: Turn, node: Node, values: Values) -> None:
    tag = values.get("tag", "1").lower().removeprefix("tpg")
    problem = f"{node.path}/{TPG} exists already" if tag in ("1", "next") else "a target has one TPG here, tpg1"
    raise UsageError(f"{problem}; portal groups of ietd.conf (Portal, PortalGroups) part portals, see {TPG}/portals")


# -- LUNs -----------------------------------------------------------------------------------------------------------


def backstore_at(turn: Turn, node: Node, path: str) -> Backstore:
    """The backstore at a path. Raises UsageError."""
    child = turn.tree.find(path, node if path.startswith(".") else turn.tree.root)
    if child.kind is not Kind.BACKSTORE:
        hint = "write a path such as /backstores/block/NAME"
        raise UsageError(f"{child.path} is {child.kind.value}, no backstore; {hint}")
    found: Backstore = child.item
    return found


def _backstore_for(turn: Turn, node: Node, path: str) -> Backstore:
    """The backstore at a path; of a disk, by its own path, one is made."""
    try:
        return backstore_at(turn, node, path)
    except NoSuchPath:
        found = turn.host.look(path) if path.startswith("/") else None
        if found is None or found.kind not in _PLUGIN_OF_KIND:
            raise
    target_lines(path, "host")  # what no line can say
    lun = LunConfig(0, access.BY_HAND, path, storage.TYPE_OF_PLUGIN[_PLUGIN_OF_KIND[found.kind]])
    one = storage.unnamed(lun, list(turn.tree.backstores))
    turn.book = turn.book.with_backstore(one)
    turn.say(f"Created storage object /backstores/{one.plugin}/{one.name}.")
    return one


def create_lun(turn: Turn, node: Node, values: Values) -> None:
    one = _backstore_for(turn, node, values["storage_object"])
    text = values.get("lun")
    add = boolean(values, "add_mapped_luns", turn.book.preferences.get("auto_add_mapped_luns", True))
    made = _add_lun(turn, node.target, one, None if text is None else number("LUN", text, HIGHEST_LUN), add)
    turn.go_new(f"{node.path}/lun{made}")


def _add_lun(turn: Turn, target: TargetConfig, one: Backstore, wanted: int | None, add: bool) -> int:
    taken = {lun.number for lun in target.luns}
    made = free_number(taken) if wanted is None else wanted
    if made in taken or made > HIGHEST_LUN:
        raise UsageError(f"{target.name} has a LUN {made} already; the next free one is {free_number(taken)}")
    lun = LunConfig(
        made, access.BY_HAND, one.path, storage.TYPE_OF_PLUGIN[one.plugin], one.read_only, one.write_back,
    )
    if one.plugin == storage.NULL.name:
        same = next(lun for _, lun in storage.users(turn.configuration, one))
        lun = replace(same, number=made)
    new = access.with_lun_mapped(target, replace(target, luns=(*target.luns, lun)), made, add)
    turn.target_changed(target, new)
    turn.say(f"Created LUN {made}.")
    for line in access.acls(new):
        have = next((each for each in access.mapped(new, line) if each.unit == made), None)
        if have is not None and add:
            turn.say(f"Created LUN {made}->{have.lun} mapping in node ACL {line.name}")
    return made


def delete_lun(turn: Turn, node: Node, values: Values) -> None:
    target = node.target
    wanted = number("LUN", values["lun"], HIGHEST_LUN)
    if all(lun.number != wanted for lun in target.luns):
        _no_such(turn, node, f"lun{wanted}")
    left = replace(target, luns=tuple(lun for lun in target.luns if lun.number != wanted))
    turn.target_changed(target, access.after_lun_went(target, left))
    turn.say(f"Deleted LUN {wanted}.")


def _no_such(turn: Turn, node: Node, name: str) -> None:
    turn.tree.find(f"./{name}", node)  # which says what there is
    raise UsageError(f"there is no {name} below {node.path}")


# -- ACLs -----------------------------------------------------------------------------------------------------------


def create_acl(turn: Turn, node: Node, values: Values) -> None:
    name, target = values["wwn"], node.target
    if name == access.EVERYBODY:
        raise UsageError(f"* is everybody; {node.parent.path if node.parent else ''} set attribute generate_node_acls=1"
                         " has everybody log in without an ACL")
    if "*" not in name:
        check_iscsi_name(name)
    if not _PATTERN.fullmatch(name):
        raise UsageError(f"{printable(name[:80])} is no initiator's name; it has letters, digits and any of . : - only")
    same = next((line for line in access.acls(target) if line.name.lower() == name.lower()), None)
    if same is not None:
        raise UsageError(f"there is an ACL {same.name} already; cd {node.path}/{same.name} goes there")
    add = boolean(values, "add_mapped_luns", turn.book.preferences.get("auto_add_mapped_luns", True))
    new = access.with_acl(target, name, authentication(turn.tree, target), add)
    turn.target_changed(target, new)
    turn.say(f"Created Node ACL for {name}")
    line = next(each for each in access.acls(new) if each.name == name)
    for one in access.mapped(new, line):
        turn.say(f"Created mapped LUN {one.lun}.")
    if access.is_shut(line):
        turn.say("It cannot log in yet: set auth userid= password= here, or set attribute authentication=0 at the TPG.")
    elif not target.initiators:
        turn.say("Others may use the target as before: set attribute generate_node_acls=0 at the TPG ends that.")
    turn.go_new(f"{node.path}/{name}")


def delete_acl(turn: Turn, node: Node, values: Values) -> None:
    child = _child(turn, node, values["wwn"], Kind.ACL, "ACL")
    target, line = node.target, child.acl
    turn.target_changed(target, access.without_acl(target, line))
    kept = turn.kept_of(target)
    kept.acls.pop(line.name.lower(), None)
    kept.addresses.pop(line.name.lower(), None)
    if not access.generates(target):
        turn.ended.append((target.name, line.name))
    turn.say(f"Deleted Node ACL {line.name}.")


def create_mapped(turn: Turn, node: Node, values: Values) -> None:
    target, line = node.target, node.acl
    have = access.mapped(target, line)
    own = number("mapped LUN", values["mapped_lun"], HIGHEST)
    if any(one.lun == own for one in have):
        raise UsageError(f"{line.name} has a mapped LUN {own} already; delete {own} comes first")
    word = values["tpg_lun_or_backstore"]
    if word.lower().removeprefix("lun").isdigit():
        unit = number("LUN", word, HIGHEST_LUN)
        if all(lun.number != unit for lun in target.luns):
            _no_such(turn, turn.tree.find("../../luns", node), f"lun{unit}")
    else:
        unit = _unit_at(turn, node, word)
        target = turn.configuration.targets[[one.name for one in turn.configuration.targets].index(target.name)]
        line = next(each for each in access.acls(target) if each.name == line.name and each.span == line.span)
    if any(one.unit == unit for one in have):
        raise UsageError(f"{line.name} has LUN {unit} already; in ietd.conf an initiator has each LUN once")
    one = LunMapping(own, unit, boolean(values, "write_protect", False))
    turn.target_changed(target, access.with_line(target, line, access.with_mapped(target, line, (*have, one))))
    turn.say(f"Created Mapped LUN {own}.")
    turn.go_new(f"{node.path}/mapped_lun{own}")


def _unit_at(turn: Turn, node: Node, path: str) -> int:
    """The LUN at a path; of a backstore the one made of it, which is made if there is none."""
    child = turn.tree.find(path, node)
    if child.kind is Kind.LUN and child.target is node.target:
        unit: int = child.item.number
        return unit
    one = backstore_at(turn, node, child.path)
    found = next((lun.number for target, lun in storage.users(turn.configuration, one) if target is node.target), None)
    return _add_lun(turn, node.target, one, None, False) if found is None else found


def delete_mapped(turn: Turn, node: Node, values: Values) -> None:
    target, line = node.target, node.acl
    have = access.mapped(target, line)
    own = number("mapped LUN", values["mapped_lun"], HIGHEST)
    left = tuple(one for one in have if one.lun != own)
    if left == have:
        _no_such(turn, node, f"mapped_lun{own}")
    turn.target_changed(target, access.with_line(target, line, access.with_mapped(target, line, left)))
    turn.say(f"Deleted Mapped LUN {own}.")


# -- portals --------------------------------------------------------------------------------------------------------


def create_portal(turn: Turn, node: Node, values: Values) -> None:
    target = node.target
    have = places.of_target(turn.configuration, target)
    if "ip_address" not in values and "ip_port" not in values:
        if have:
            names = [turn.tree.place_name(place) for place in have]
            turn.say(f"{target.name} is reached by {', '.join(names)} already; name an address to add one.")
            turn.go_new(f"{node.path}/{names[0]}")
            return
        place = places.DEFAULT if turn.configuration.portals is None else ("0.0.0.0", DEFAULT_PORT)
    else:
        place = places.parse(values.get("ip_address", "0.0.0.0"), values.get("ip_port", str(DEFAULT_PORT)))
    named = turn.tree.place_name(place)
    same = next((each for each in have if turn.tree.place_name(each) == named), None)
    if same is not None:
        turn.say(f"{target.name} is reached by {named} already.")
        turn.go_new(f"{node.path}/{named}")
        return
    if turn.configuration.portals is None and named == turn.tree.place_name(places.DEFAULT):
        place = places.DEFAULT
    gone = places.spare(turn.configuration, place, turn.tree.port)
    base = places.without(turn.configuration, gone)
    blocked = places.obstacle(base, place, turn.tree.port)
    if blocked is not None:
        raise UsageError(
            f"{turn.tree.place_name(blocked)} is listened on already, which has addresses in common with {named};"
            " delete that portal below the targets that have it, or choose another port"
        )
    turn.configuration = places.arranged(base, {target.name: (*have, place)})
    for each in gone:
        turn.say(f"{turn.tree.place_name(each)}, by which no target was reached, is listened on no more.")
    turn.expected.add("portal-group")  # of other targets that have none
    turn.say(f"Created network portal {named}.")
    turn.go_new(f"{node.path}/{named}")


def delete_portal(turn: Turn, node: Node, values: Values) -> None:
    word = values["ip_address"]
    port = values.get("ip_port")
    bare = word[1:-1] if word.startswith("[") and word.endswith("]") else word
    if port is None and (":" not in word or word.endswith("]")):
        port = str(DEFAULT_PORT)
    name = word if port is None else f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"
    child = _child(turn, node, name, Kind.PORTAL, "portal")
    have = places.of_target(turn.configuration, node.target)
    left = tuple(place for place in have if place != child.item)
    turn.configuration = places.arranged(turn.configuration, {node.target.name: left})
    turn.expected.add("portal-group")
    turn.say(f"Deleted network portal {child.name}")
    if not left:
        turn.say(f"{node.target.name} is reached by no portal now: create makes one.")
    if child.item in places.listened(turn.configuration) and not places.reaches(turn.configuration, child.item):
        turn.say(f"{child.name} is still listened on, for discovery: the daemon has no other portal.")


def _child(turn: Turn, node: Node, name: str, kind: Kind, what: str) -> Node:
    child = turn.tree.find(f"./{name}", node)
    if child.kind is not kind:
        raise UsageError(f"{printable(name[:80])} is no {what} below {node.path}")
    return child
