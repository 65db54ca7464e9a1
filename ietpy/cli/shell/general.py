"""Verbs that are everywhere: to look, to go, to ask, to set."""

from __future__ import annotations

from typing import Final

from ietpy.cli.shell import access, settings, storage
from ietpy.cli.shell.tree import Kind, Node
from ietpy.cli.shell.turn import Found, Turn, Values, as_lines
from ietpy.config.findings import printable
from ietpy.errors import UsageError

BACK: Final = "<"  #: where one was before
FREE: Final = "..."  #: under which a verb finds words that are no parameters of its own


def ls(turn: Turn, node: Node, values: Values) -> None:
    path, depth = values.get("path"), values.get("depth")
    if path is not None and depth is None and path.isdigit() and not turn.tree.names(node, path):
        path, depth = None, path
    if depth is not None and not (depth.isascii() and depth.isdigit() and len(depth) < 4):
        raise UsageError(f"{printable(depth[:60])} is no depth; write a number such as 1")
    found = node if path is None else turn.tree.find(path, node)
    for line in turn.tree.drawn(found, None if depth is None else int(depth), turn.host.width()):
        turn.lines.append(line)


def cd(turn: Turn, node: Node, values: Values) -> None:
    path = values.get("path")
    if path == BACK:
        turn.go(turn.before)
    elif path is not None:
        turn.go(turn.tree.find(path, node))
    else:
        _choose(turn, node)


def _choose(turn: Turn, node: Node) -> None:
    """Show all places, and ask where to go."""
    if turn.ask is None:
        raise UsageError("cd needs a path where nobody can be asked; ls shows what there is")
    everything: list[Node] = []
    lines = list(turn.tree.drawn(turn.tree.root, None, turn.host.width() - 6))
    stack = [turn.tree.root]
    while stack:
        one = stack.pop()
        everything.append(one)
        stack.extend(reversed(turn.tree.children(one)))
    shown = "\n".join(
        f"{number:>4}{'*' if one.path == node.path else ' '} {line}"
        for number, (one, line) in enumerate(zip(everything, lines, strict=True))
    )
    answer = turn.ask(f"{shown}\nNumber or path to go to (empty: stay): ").strip()
    if answer.isascii() and answer.isdigit() and int(answer) < len(everything):
        turn.go(everything[int(answer)])
    elif answer:
        turn.go(turn.tree.find(answer, node))


def pwd(turn: Turn, node: Node, values: Values) -> None:
    turn.say(node.path)


def leave(turn: Turn, node: Node, values: Values) -> None:
    turn.over = True


def get(turn: Turn, node: Node, values: Values) -> None:
    group, names = values.get("group"), values.get(FREE, "").split()
    if group is None:
        _groups(turn, node, "get")
        return
    turn.lines += map(printable, settings.shown(turn, node, group, names))


def put(turn: Turn, node: Node, values: Values) -> None:
    group = values.pop("group", None)
    values.pop(FREE, None)
    if group is None:
        _groups(turn, node, "set")
    elif not values:
        for row in settings.rows(node.kind, group):
            turn.say(f"{row.name}=VALUE  {row.help}" + ("" if row.fixed == "" else f" (stays {row.fixed})"))
    else:
        settings.put(turn, node, group, list(values.items()))


def _groups(turn: Turn, node: Node, verb: str) -> None:
    have = settings.groups(node.kind)
    turn.say(f"Groups here: {', '.join(have)}; {verb} GROUP shows more.")


def info(turn: Turn, node: Node, values: Values) -> None:
    facts: dict[str, object] = {"path": node.path, "what": node.kind.value}
    if node.kind is Kind.BACKSTORE:
        found: Found | None = turn.host.look(node.item.path)
        used = storage.users(turn.configuration, node.item)
        facts |= {
            "plugin": node.item.plugin, "path of it": node.item.path,
            "size": "missing" if found is None else f"{found.size} bytes ({storage.in_units(found.size)})",
            "write cache": "write-back" if node.item.write_back else "write-thru",
            "read only": node.item.read_only,
            "LUNs": ", ".join(f"{target.name}/{lun.number}" for target, lun in used) or "none",
        }
    elif node.kind is Kind.LUN:
        lun = node.item
        facts |= {"number": lun.number, "file": lun.path, "type": lun.type, "line": str(lun.span)}
    elif node.kind in (Kind.TARGET, Kind.TPG):
        facts |= {
            "wwn": node.target.name, "alias": node.target.alias or "none", "closed": node.target.closed or "no",
            "line": str(node.target.span),
        }
    elif node.kind is Kind.ACL:
        where = node.acl.addresses
        facts |= {
            "initiator": node.acl.name, "user": node.acl.user or "none of its own",
            "from": "nowhere: it has no credentials" if access.is_shut(node.acl)
            else ", ".join(map(str, where)) or "anywhere",
        }
    elif node.kind is Kind.MAPPED:
        facts |= {"LUN of the target": node.item.unit, "write protect": node.item.read_only}
    else:
        facts["summary"] = node.summary
    for line in as_lines(facts):
        turn.say(line)
