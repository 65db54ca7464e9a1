"""The start scripts of lio-utils, ``tcm_start.sh`` and ``lio_start.sh``, as far as they are regular, to the model.

They were made by lio-utils' own dump: one command a line, about paths of configfs or with the words of ``tcm_node`` and
``lio_node``. Nothing is executed. What they say becomes the tree that saveconfig.json would have, and is read as that.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ietpy.errors import Span
from ietpy.migrate.lio import read_tree
from ietpy.migrate.model import Kind, Note, Source, in_order
from ietpy.migrate.places import Node

_ROOT: Final = re.compile(r"/sys/kernel/config/target/(core|iscsi)(?:/(.*))?")
_TPG: Final = re.compile(r"([^/]+)/tpgt_([0-9]{1,5})(?:/(.*))?")
_HBA: Final = re.compile(r"([a-z_]+?)_[0-9]+/([^/]+)")
_PLUGINS: Final[Mapping[str, str]] = {
    "iblock": "block", "fileio": "fileio", "rd_mcp": "ramdisk", "rd_dr": "ramdisk", "pscsi": "pscsi",
}
_PAGE: Final = 4096  #: bytes; sizes of RAM disks are in pages
_SILENT: Final = ("modprobe", "sleep", "true", ":", "exit", "set", "if", "then", "fi", "[", "test", "umount", "mount")
_SETTINGS: Final[Mapping[str, tuple[str, int]]] = {
    "--enabletpg": ("enable", 1), "--disabletpg": ("enable", 0),
    "--disableauth": ("authentication", 0), "--enableauth": ("authentication", 1),
    "--demomode": ("generate_node_acls", 1), "--permissive": ("generate_node_acls", 1),
}


def read_lio_scripts(texts: Mapping[str, str], exists: Callable[[str], bool] = os.path.exists) -> Source:
    """What scripts, by their paths, come to together. Raises ConfigError as the reader of saveconfig.json does."""
    return _Scripts(exists).run(texts)


@dataclass(slots=True)
class _Scripts:
    exists: Callable[[str], bool]
    notes: list[Note] = field(default_factory=list)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)  #: by HBA/NAME
    groups: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)  #: by target and tag
    places: dict[int, Span] = field(default_factory=dict)  #: of what was made, by its place in memory
    span: Span = field(default=Span("", 1, 1))
    kept: list[Any] = field(default_factory=list)  #: what was made, or something else would get its place in memory

    def run(self, texts: Mapping[str, str]) -> Source:
        for path, text in texts.items():
            for number, line in enumerate(text.split("\n"), 1):
                self.span = Span(path, number, len(line) - len(line.lstrip()) + 1)
                self.line(line.strip())
        tree = {
            "storage_objects": list(self.objects.values()),
            "targets": [
                {"fabric": "iscsi", "wwn": name, "tpgs": [self.group_of(group) for group in groups.values()]}
                for name, groups in self.groups.items()
            ],
        }
        first = Span(next(iter(texts), ""), 1, 1)
        source = read_tree(self.node(tree, first), tuple(texts), self.exists)
        return Source(
            source.format, source.targets, source.portal_groups, source.discovery, None, source.files,
            in_order((*source.notes, *self.notes)),
        )

    def node(self, value: Any, span: Span) -> Node:
        span = self.places.get(id(value), span)
        if isinstance(value, dict):
            return Node({name: self.node(each, span) for name, each in value.items()}, span, span)
        if isinstance(value, list):
            return Node([self.node(each, span) for each in value], span, span)
        return Node(value, span, span)

    def irregular(self, line: str) -> None:
        what = f"{line.split()[0][:40]} ..."
        self.notes.append(Note(Kind.LOST, self.span, what, "no line as lio-utils writes it; it is passed over"))

    # -- lines -------------------------------------------------------------------------------------------------------

    def line(self, line: str) -> None:
        if not line or line.startswith("#"):
            return
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            return self.irregular(line)
        if not words or words[0] in _SILENT:
            return None
        command, *rest = words
        known = False
        if os.path.basename(command) in ("tcm_node", "lio_node") and rest:
            option, _, first = rest[0].partition("=")
            known = self.tool(option, [first, *rest[1:]] if first else rest[1:])
        elif command == "mkdir":
            known = all(self.directory(path) for path in rest if not path.startswith("-"))
        elif command == "echo" and ">" in rest:
            place = rest.index(">")
            known = len(rest) == place + 2 and self.value(rest[-1], " ".join(w for w in rest[:place] if w != "-n"))
        elif command == "ln" and len(rest) == 3:
            known = self.link(rest[1], rest[2])
        if not known:
            self.irregular(line)
        return None

    def placed(self, made: dict[str, Any]) -> dict[str, Any]:
        self.places[id(made)] = self.span
        self.kept.append(made)
        return made

    def object(self, path: str) -> dict[str, Any] | None:
        """The storage object of HBA/NAME, made if it is new."""
        match = _HBA.fullmatch(path)
        if match is None or match[1] not in _PLUGINS:
            return None
        if path not in self.objects:
            self.objects[path] = self.placed({
                "plugin": _PLUGINS[match[1]], "name": match[2], "attributes": {"emulate_model_alias": 0},
            })
        return self.objects[path]

    def group(self, target: str, tag: str) -> dict[str, Any]:
        """A portal group, made if it is new."""
        groups = self.groups.setdefault(target, {})
        if tag not in groups:
            groups[tag] = self.placed({
                "tag": int(tag) if tag.isdigit() else 0, "enable": 0, "attributes": {}, "parameters": {}, "luns": {},
                "portals": {}, "acls": {},
            })
        return groups[tag]

    def acl(self, group: dict[str, Any], name: str) -> dict[str, Any]:
        acls: dict[str, dict[str, Any]] = group["acls"]
        if name not in acls:
            acls[name] = self.placed({"node_wwn": name, "mapped": {}, "attributes": {}})
        return acls[name]

    def portal(self, group: dict[str, Any], text: str) -> None:
        host, _, port = text.rpartition(":")
        group["portals"].setdefault(text, self.placed({"ip_address": host, "port": int(port) if port.isdigit() else 0}))

    def lun(self, group: dict[str, Any], number: str, device: str) -> bool:
        found = self.object(device)
        if found is None or not number.isdigit():
            return False
        path = f"/backstores/{found['plugin']}/{found['name']}"
        group["luns"][int(number)] = self.placed({"index": int(number), "storage_object": path})
        return True

    def mapped(self, group: dict[str, Any], name: str, number: str, unit: str) -> bool:
        if not (number.isdigit() and unit.isdigit()):
            return False
        luns = self.acl(group, name)["mapped"]
        luns.setdefault(int(number), self.placed({"index": int(number)}))["tpg_lun"] = int(unit)
        return True

    def group_of(self, group: dict[str, Any]) -> dict[str, Any]:
        """A portal group as saveconfig.json has it."""
        acls = []
        for acl in group["acls"].values():
            luns = [each for each in acl["mapped"].values() if "tpg_lun" in each]
            made = {name: each for name, each in acl.items() if name != "mapped"} | {"mapped_luns": luns}
            self.places[id(made)] = self.places[id(acl)]
            self.kept.append(made)
            acls.append(made)
        made = {name: each for name, each in group.items() if name not in ("acls", "luns", "portals")}
        made |= {"luns": [*group["luns"].values()], "portals": [*group["portals"].values()], "node_acls": acls}
        self.places[id(made)] = self.places[id(group)]
        self.kept.append(made)
        return made

    # -- configfs ----------------------------------------------------------------------------------------------------

    def directory(self, path: str) -> bool:
        match = _ROOT.fullmatch(path.rstrip("/"))
        if match is None:
            return False
        rest = match[2] or ""
        if match[1] == "core":
            return not rest or "/" not in rest or self.object("/".join(rest.split("/")[:2])) is not None or (
                rest.startswith("alua"))
        inner = _TPG.fullmatch(rest)
        if inner is None:
            if rest and "/" not in rest:
                self.groups.setdefault(rest, {})
            return True
        group, below = self.group(inner[1], inner[2]), (inner[3] or "").split("/")
        if below[0] == "np" and len(below) > 1:
            self.portal(group, below[1])
        elif below[0] == "acls" and len(below) > 1:
            self.acl(group, below[1])
        return True

    def value(self, path: str, value: str) -> bool:
        """``echo VALUE > PATH``."""
        match = _ROOT.fullmatch(path)
        if match is None:
            return False
        parts = (match[2] or "").split("/")
        if match[1] == "core":
            found = self.object("/".join(parts[:2]))
            if found is None:
                return parts[0] == "alua"
            return self.core_value(found, parts[2:], value)
        inner = _TPG.fullmatch(match[2] or "")
        if inner is None:
            return parts[0] == "discovery_auth"
        return self.group_value(self.group(inner[1], inner[2]), (inner[3] or "").split("/"), value)

    def core_value(self, found: dict[str, Any], parts: list[str], value: str) -> bool:
        if parts[:1] == ["control"]:
            return self.parameters(found, value)
        if parts == ["udev_path"]:
            found.setdefault("dev", value)
        elif parts == ["wwn", "vpd_unit_serial"]:
            found["wwn"] = value
        elif parts[:1] == ["attrib"] and len(parts) == 2:
            found["attributes"][parts[1]] = _number(value)
        return parts[:1] in (["udev_path"], ["wwn"], ["attrib"], ["enable"], ["alias"], ["alua"])

    def group_value(self, group: dict[str, Any], parts: list[str], value: str) -> bool:
        if parts == ["enable"]:
            group["enable"] = _number(value)
        elif parts[0] == "attrib" and len(parts) == 2:
            group["attributes"][parts[1]] = _number(value)
        elif parts[0] == "param" and len(parts) == 2:
            group["parameters"][parts[1]] = value
        elif parts[0] == "auth" and len(parts) == 2:
            group[f"chap_{parts[1]}"] = value
        elif parts[0] == "acls" and len(parts) == 4:
            return self.acl_value(self.acl(group, parts[1]), parts[2], parts[3], value)
        else:
            return parts[0] in ("np", "lun", "fabric_statistics", "acls")
        return True

    def acl_value(self, acl: dict[str, Any], where: str, name: str, value: str) -> bool:
        if where == "auth":
            acl[f"chap_{name}"] = value
        elif where == "attrib":
            acl["attributes"][name] = _number(value)
        elif where.startswith("lun_") and name == "write_protect" and where[4:].isdigit():
            number = int(where[4:])
            acl["mapped"].setdefault(number, self.placed({"index": number}))["write_protect"] = _number(value)
        return where in ("auth", "attrib", "param") or where.startswith("lun_")

    def link(self, source: str, link: str) -> bool:
        """A LUN's link to its storage object, or a mapped LUN's to its LUN."""
        there, here = _ROOT.fullmatch(source), _ROOT.fullmatch(link)
        inner = _TPG.fullmatch((here[2] or "") if here else "")
        if inner is None or here is None or here[1] != "iscsi":
            return False
        group, parts = self.group(inner[1], inner[2]), (inner[3] or "").split("/")
        if parts[0] == "lun" and len(parts) > 1 and there is not None and there[1] == "core":
            return self.lun(group, parts[1].removeprefix("lun_"), there[2] or "")
        if parts[0] == "acls" and len(parts) > 2:
            unit = source.rstrip("/").rpartition("/lun_")[2]
            return self.mapped(group, parts[1], parts[2].removeprefix("lun_"), unit)
        return False

    def parameters(self, found: dict[str, Any], text: str) -> bool:
        """``fd_dev_name=/a,fd_dev_size=1``, ``udev_path=/dev/a``, ``rd_pages=1``, or a path alone."""
        for item in re.split(r"[,\s]+", text):
            name, equals, value = item.partition("=")
            if name in ("fd_dev_name", "udev_path"):
                found["dev"] = value
            elif name == "fd_dev_size":
                found["size"] = _number(value)
            elif name == "rd_pages":
                found["size"] = int(value) * _PAGE if value.isdigit() else 0
            elif name in ("fd_buffered_io", "readonly"):
                found["write_back" if name == "fd_buffered_io" else name] = _number(value)
            elif not equals and item.startswith("/"):
                found["dev"] = item
            elif item:
                return False
        return True

    # -- tcm_node and lio_node ---------------------------------------------------------------------------------------

    def tool(self, option: str, words: list[str]) -> bool:
        words += [""] * 5
        if option in ("--block", "--iblock", "--fileio", "--ramdisk", "--scsi", "--pscsi", "--establishdev"):
            found = self.object(words[0])
            if found is None:
                return False
            if option == "--fileio" and words[2].isdigit():
                found["size"] = int(words[2])
            if option == "--ramdisk" and words[1].isdigit():
                found["size"] = int(words[1]) * _PAGE
                return True
            return self.parameters(found, words[1])
        if option.startswith("--setunitserial"):
            found = self.object(words[0])
            if found is not None:
                found["wwn"] = words[1]
            return found is not None
        if not words[0] or not words[1].isdigit():
            return option.startswith(("--alua", "--tgptgp", "--lu", "--createhba", "--addiqn"))
        return self.tool_of_group(option, self.group(words[0], words[1]), words[2:])

    def tool_of_group(self, option: str, group: dict[str, Any], words: list[str]) -> bool:
        if option in _SETTINGS:
            name, value = _SETTINGS[option]
            (group if name == "enable" else group["attributes"])[name] = value
        elif option == "--addlun":
            return self.lun(group, words[0], words[2])
        elif option == "--addnp":
            self.portal(group, words[0])
        elif option == "--addnodeacl":
            self.acl(group, words[0])
        elif option == "--addlunacl":
            return self.mapped(group, words[0], words[2], words[1])
        elif option in ("--setchapauth", "--setchapmutualauth"):
            prefix = "chap_" if option == "--setchapauth" else "chap_mutual_"
            acl = self.acl(group, words[0])
            acl[f"{prefix}userid"], acl[f"{prefix}password"] = words[1], words[2]
        elif option in ("--settpgattr", "--settpgparam"):
            group["attributes" if option == "--settpgattr" else "parameters"][words[0]] = (
                _number(words[1]) if option == "--settpgattr" else words[1]
            )
        else:
            return option in ("--addtpg", "--settpgalias")
        return True


def _number(value: str) -> int | str:
    return int(value) if re.fullmatch(r"-?[0-9]{1,18}", value) else value
