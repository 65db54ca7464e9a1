"""The tree targetcli's users know, made of a configuration and the book of names. Pure: facts of media are asked for.

A node has a kind, of which the verbs that may be used on it follow, and an item, the piece of the configuration it
stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Final

from ietpy.cli.shell import access, places, storage
from ietpy.cli.shell.book import Backstore, Book
from ietpy.config.findings import printable
from ietpy.config.model import Configuration, InitiatorConfig, TargetConfig
from ietpy.errors import UsageError
from ietpy.iscsi.pdu import DEFAULT_PORT

_PROMPT: Final = 30  #: characters of a path that are shown before it is shortened
TPG: Final = "tpg1"


class Kind(Enum):
    """Kinds of nodes; the value is what messages call one."""

    ROOT = "the root"
    BACKSTORES = "backstores"
    PLUGIN = "a kind of backstores"
    BACKSTORE = "a backstore"
    ISCSI = "iscsi"
    TARGET = "a target"
    TPG = "a target portal group"
    LUNS = "luns"
    LUN = "a LUN"
    ACLS = "acls"
    ACL = "an ACL"
    MAPPED = "a mapped LUN"
    PORTALS = "portals"
    PORTAL = "a portal"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A place in the tree. ``summary`` is what ls says in brackets."""

    kind: Kind
    name: str
    parent: Node | None = None
    item: Any = None
    summary: str = ""

    @property
    def path(self) -> str:
        if self.parent is None:
            return "/"
        return f"{self.parent.path.rstrip('/')}/{self.name}"

    def above(self, kind: Kind) -> Node:
        """The node of this kind on the way up; itself, if it is one."""
        node: Node | None = self
        while node is not None and node.kind is not kind:
            node = node.parent
        assert node is not None, kind
        return node

    @property
    def target(self) -> TargetConfig:
        found: TargetConfig = self.above(Kind.TARGET).item
        return found

    @property
    def acl(self) -> InitiatorConfig:
        found: InitiatorConfig = self.above(Kind.ACL).item
        return found


class NoSuchPath(UsageError):
    """A path leads nowhere."""


@dataclass
class Tree:
    """``size``: bytes of what is at a path, None where there is nothing; ``port``: of a portal that names none."""

    configuration: Configuration
    book: Book
    size: Callable[[str], int | None] = lambda path: None
    port: int = DEFAULT_PORT
    host: str = "0.0.0.0"  #: what the daemon listens on where no Portal line says it
    root: Node = field(default_factory=lambda: Node(Kind.ROOT, "/", summary="..."))

    @cached_property
    def backstores(self) -> tuple[Backstore, ...]:
        return storage.backstores(self.configuration, self.book)

    def children(self, node: Node) -> list[Node]:
        """What is below a node, each under a name of its own, without slashes and control characters."""
        make = _CHILDREN.get(node.kind)
        found: list[Node] = []
        taken: set[str] = set()
        for child in make(self, node) if make else ():
            name = printable(child.name).replace("/", "%2f").replace(" ", "%20")
            number = 2
            while name in taken:
                name = f"{printable(child.name).replace('/', '%2f')}#{number}"
                number += 1
            taken.add(name)
            found.append(child if name == child.name else Node(child.kind, name, node, child.item, child.summary))
        return found

    def place_name(self, place: places.Place) -> str:
        """What a portal is called."""
        return places.name((self.host, None) if place == places.DEFAULT else place, self.port)

    # -- ways ---------------------------------------------------------------------------------------------------

    def find(self, path: str, start: Node) -> Node:
        """Where a path leads from ``start``. Raises NoSuchPath, which names what is near."""
        node = self.root if path.startswith("/") else start
        for step in path.split("/"):
            if step in ("", "."):
                continue
            node = (node.parent or node) if step == ".." else self._step(node, step)
        return node

    def _step(self, node: Node, step: str) -> Node:
        children = self.children(node)
        exact = [child for child in children if child.name == step]
        found = exact or [child for child in children if child.name.lower() == step.lower()]
        if found:
            return found[0]
        fitting = [child for child in children if "*" in step and fnmatchcase(child.name, step)]
        if len(fitting) == 1:
            return fitting[0]
        raise NoSuchPath(self._nowhere(node, step, [child.name for child in fitting or children], bool(fitting)))

    def _nowhere(self, node: Node, step: str, names: list[str], several: bool) -> str:
        shown = printable(step[:100])
        if node.kind is Kind.BACKSTORES and step in storage.ABSENT:
            return storage.ABSENT[step]
        if several:
            return f"{shown} may be any of {_listed(names)} below {node.path}; write one of them"
        if not names:
            return f"there is no {shown} below {node.path}, nor anything else; ls / shows what there is"
        near = get_close_matches(step, names, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"there are {_listed(names)}"
        return f"there is no {shown} below {node.path}; {hint}"

    def names(self, node: Node, path: str) -> list[str]:
        """For completion: all ways to go on from a path that is half written."""
        head, slash, tail = path.rpartition("/")
        try:
            base = self.find(head + slash, node) if slash else node
        except NoSuchPath:
            return []
        found = [child for child in self.children(base) if child.name.lower().startswith(tail.lower())]
        return [f"{head}{slash}{child.name}{'/' if self.children(child) else ''}" for child in found]

    # -- what is shown ------------------------------------------------------------------------------------------

    def drawn(self, node: Node, depth: int | None, width: int) -> Iterator[str]:
        """The lines ls prints."""
        yield from self._drawn(node, depth, width, "", "  ")

    def _drawn(self, node: Node, depth: int | None, width: int, indent: str, below: str) -> Iterator[str]:
        """``indent`` stands in front of the node, ``below`` in front of what is below it."""
        head, tail = f"{indent}o- {node.name} ", f" [{printable(node.summary)}]"
        yield f"{head}{'.' * max(width - len(head) - len(tail), 3)}{tail}"
        if depth == 0:
            return
        children = self.children(node)
        for child in children:
            more = below + ("  " if child is children[-1] else "| ")
            yield from self._drawn(child, None if depth is None else depth - 1, width, below, more)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def prompt(path: str) -> str:
    """A path as the prompt shows it: its end, when it is long."""
    if len(path) <= _PROMPT:
        return path
    steps = path.split("/")[1:]
    shown = steps[-1]
    for step in reversed(steps[:-1]):
        if len(f".../{step}/{shown}") > _PROMPT:
            break
        shown = f"{step}/{shown}"
    return f".../{shown}"


def _counted(count: int, what: str) -> str:
    return f"{what}s: {count}"


# -- children of each kind --------------------------------------------------------------------------------------------


def _of_root(tree: Tree, node: Node) -> Iterator[Node]:
    yield Node(Kind.BACKSTORES, "backstores", node, summary="...")
    yield Node(Kind.ISCSI, "iscsi", node, summary=_counted(len(tree.configuration.targets), "Target"))


def _of_backstores(tree: Tree, node: Node) -> Iterator[Node]:
    for plugin in (*storage.PLUGINS, storage.NULL):
        count = sum(one.plugin == plugin.name for one in tree.backstores)
        if count or plugin is not storage.NULL:
            yield Node(Kind.PLUGIN, plugin.name, node, plugin, _counted(count, "Storage Object"))


def _of_plugin(tree: Tree, node: Node) -> Iterator[Node]:
    for one in tree.backstores:
        if one.plugin != node.item.name:
            continue
        used = storage.users(tree.configuration, one)
        how = "ro" if one.read_only else "write-back" if one.write_back else "write-thru"
        size = tree.size(one.path) if one.path else None
        shown = "missing" if size is None else storage.in_units(size)
        where = f"{one.path} ({shown}) " if one.path else ""
        state = "activated" if used else "deactivated"
        yield Node(Kind.BACKSTORE, one.name, node, one, f"{where}{how} {state}")


def _of_iscsi(tree: Tree, node: Node) -> Iterator[Node]:
    for target in tree.configuration.targets:
        yield Node(Kind.TARGET, target.name, node, target, "closed" if target.closed else "TPGs: 1")


def authentication(tree: Tree, target: TargetConfig) -> bool:
    """The attribute of a target; the book tells where its lines do not."""
    return access.authenticates(target, tree.book.attribute(target.name, "authentication", True))


def _of_target(tree: Tree, node: Node) -> Iterator[Node]:
    target: TargetConfig = node.item
    generates = "gen-acls" if access.generates(target) else "no-gen-acls"
    auth = "no-auth"
    if authentication(tree, target):
        common = access.unlinked(target) or access.account_of(target, access.dynamic(target))
        auth = "tpg-auth" if common else "auth per-acl"
    if target.outgoing is not None:
        auth += ", mutual"
    yield Node(Kind.TPG, TPG, node, target, f"{generates}, {auth}")


def _of_tpg(tree: Tree, node: Node) -> Iterator[Node]:
    target = node.target
    yield Node(Kind.ACLS, "acls", node, summary=_counted(len(access.acls(target)), "ACL"))
    yield Node(Kind.LUNS, "luns", node, summary=_counted(len(target.luns), "LUN"))
    count = len(places.of_target(tree.configuration, target))
    yield Node(Kind.PORTALS, "portals", node, summary=_counted(count, "Portal"))


def _of_luns(tree: Tree, node: Node) -> Iterator[Node]:
    for lun in sorted(node.target.luns, key=lambda lun: lun.number):
        one = storage.backstore_of(tree.backstores, lun)
        where = f" ({lun.path})" if lun.path else ""
        yield Node(Kind.LUN, f"lun{lun.number}", node, lun, f"{one.plugin}/{one.name}{where}")


def _of_acls(tree: Tree, node: Node) -> Iterator[Node]:
    target = node.target
    for line in access.acls(target):
        if line.closed:
            state = "a mistake in its line, admits nobody"
        elif not authentication(tree, target):
            state = "no-auth"
        elif access.account_of(target, line) is not None:
            state = "1-way auth" if target.outgoing is None else "mutual auth"
        else:
            state = "no credentials, cannot log in" if access.is_shut(line) or line.user else "tpg-auth"
        if line.addresses and not access.is_shut(line):
            state += f", from {', '.join(map(str, line.addresses))}"
        count = _counted(len(access.mapped(target, line)), "Mapped LUN")
        yield Node(Kind.ACL, line.name, node, line, f"{state}, {count}")


def _of_acl(tree: Tree, node: Node) -> Iterator[Node]:
    luns = {lun.number: lun for lun in node.target.luns}
    for one in access.mapped(node.target, node.acl):
        made = storage.backstore_of(tree.backstores, luns[one.unit])
        how = "ro" if one.read_only or luns[one.unit].read_only else "rw"
        yield Node(Kind.MAPPED, f"mapped_lun{one.lun}", node, one, f"lun{one.unit} {made.plugin}/{made.name} ({how})")


def _of_portals(tree: Tree, node: Node) -> Iterator[Node]:
    for place in places.of_target(tree.configuration, node.target):
        yield Node(Kind.PORTAL, tree.place_name(place), node, place, "OK")


_CHILDREN: Final[dict[Kind, Callable[[Tree, Node], Iterator[Node]]]] = {
    Kind.ROOT: _of_root,
    Kind.BACKSTORES: _of_backstores,
    Kind.PLUGIN: _of_plugin,
    Kind.ISCSI: _of_iscsi,
    Kind.TARGET: _of_target,
    Kind.TPG: _of_tpg,
    Kind.LUNS: _of_luns,
    Kind.ACLS: _of_acls,
    Kind.ACL: _of_acl,
    Kind.PORTALS: _of_portals,
}
