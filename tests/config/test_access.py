"""Allow and deny files against iet-compat section 3: who gets in, mode by mode, and which line says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ietpy.config.access import AccessFiles, Decision
from ietpy.config.findings import MODES
from ietpy.config.load import loads
from ietpy.config.model import TargetConfig
from ietpy.errors import Diagnostic, Span
from ietpy.iscsi.target import Asker

T = "iqn.2001-04.com.example:t"
NAME = "iqn.1993-08.org.debian:01:abc"
PEER = "10.0.0.7"
LOCAL = "192.0.2.1"
SIX = "3ffe:505:2:1::9"


def write(directory: Path, name: str, text: str) -> Path:
    (directory / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    return directory


def remarks(access: AccessFiles) -> list[Diagnostic]:
    """What is said of the files' lines, and not of there being a deny file at all."""
    return [one for one in access.diagnostics() if one.code != "deny-file"]


def files(directory: Path, mode: str = "repair") -> AccessFiles:
    return AccessFiles(str(directory), compat=mode)


# -- one row for each rule ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A rule: what IET did and whether it let the asker in, then what we do. ``strict`` judges as ``iet``."""

    rule: str
    was: bool
    allow: str | None = None  #: initiators.allow
    deny: str | None = None  #: initiators.deny
    ours: str | None = None  #: targets.allow
    repair: bool | None = None  #: None: as IET
    iet: bool | None = None  #: None: as IET
    why: str = ""  #: why we differ from IET in the mode iet
    codes: tuple[str, ...] = ()  #: what ``ietpy check`` says in repair
    peer: str = PEER
    initiator: str = NAME
    target: str = T
    local: str = LOCAL

    def verdict(self, mode: str) -> bool:
        ours = self.repair if mode == "repair" else self.iet
        return self.was if ours is None else ours

    def put(self, directory: Path) -> Path:
        for name, text in (
            ("initiators.allow", self.allow),
            ("initiators.deny", self.deny),
            ("targets.allow", self.ours),
        ):
            if text is not None:
                write(directory, name, text)
        return directory


REPAIRED, ITEM, EVERYBODY, LINE = "access-repaired", "access-item", "access-everybody", "access-line"
TAIL = (LINE, REPAIRED, EVERYBODY, EVERYBODY)  #: a line that is too long and whose last item is ALL ALL
NEVER = "decisions 1: never copied"
HONOURED = "decisions 1: deny lines are always honoured"


def item(text: str, rule: str, was: bool, **ours: object) -> Row:
    return Row(rule, was, f"ALL {text}\n", **ours)  # type: ignore[arg-type]


def denied(text: str, rule: str, was: bool, **ours: object) -> Row:
    return Row(rule, was, None, text, **ours)  # type: ignore[arg-type]


FILES = {
    "no files": Row("without files every initiator may use every target", True),
    "empty": Row("an empty initiators.allow denies everybody", False, ""),
    "comments": Row("one of comments only, too", False, "# ALL ALL\n  #x\n\n"),
    "other target": Row("an initiator without a line for the target is denied", False, "x ALL\n"),
    "deny empty": Row("an initiators.deny, even an empty one, is the old mode", True, None, ""),
    "deny, not in allow": Row(
        "in the old mode not being in allow denies nobody", True, "ALL 10.0.0.9\n", "ALL 11.0.0.1\n"
    ),
    "deny": Row("deny matches, allow does not", False, "ALL 10.0.0.9\n", "ALL ALL\n"),
    "deny, no allow": Row("deny matches, and there is no allow", False, None, "ALL 10.0.0.0/8\n"),
    "deny lifted": Row("deny matches, and so does allow", True, "ALL 10.0.0.7\n", "ALL ALL\n"),
    "targets.allow": Row("only by local addresses that match", True, ours=f"{T} 192.0.2.0/24\n"),
    "targets.allow, another": Row("only by local addresses that match", False, ours=f"{T} 192.0.3.0/24\n"),
    "targets.allow, none": Row("a target without a line is on no address", False, ours="x ALL\n"),
    "targets.allow, peer": Row("the peer's address does not count there", False, ours="ALL 10.0.0.7\n"),
    "targets.allow, name": Row(
        "nor does the initiator's name", False, ours=f"ALL {NAME}\n", codes=(ITEM,)
    ),
    "targets.allow, .*": Row("nor is there an expression", False, ours="ALL .*\n", codes=(ITEM,)),
    "both": Row("both files must admit", False, "ALL ALL\n", ours="ALL 192.0.2.2\n"),
}  # fmt: skip

LINES = {
    "ALL": Row("ALL ALL admits everybody", True, "ALL ALL\n"),
    "CRLF": Row("CRLF works", True, "ALL ALL\r\n"),
    "blanks": Row("lines may be indented, items trimmed", True, "\t ALL \t 10.0.0.9 , 10.0.0.7 \n"),
    "case": Row("the target's name in any case", True, f"{T.upper()} ALL\n"),
    "all": Row("ALL in capitals only: all is a target", False, "all ALL\n"),
    "all as target": Row("all is a target's name", True, "all ALL\n", target="all"),
    "skipped": Row("lines of other targets are skipped", True, f"x 10.9.9.9\n{T} ALL\n"),
    "first": Row("only the first line for a target counts", False, f"{T} 10.9.9.9\n{T} ALL\nALL ALL\n"),
    "first is ALL": Row("nothing counts below an ALL line", False, f"ALL 10.9.9.9\n{T} ALL\n"),
    "name alone": Row("a name without items is passed over", True, f"{T}\nALL ALL\n", codes=(LINE,)),
    "ALL alone": Row("so is ALL", True, "ALL\nALL ALL\n", codes=(LINE,)),
    "name and blank": Row("a name and a blank mean nobody", False, f"{T} \nALL ALL\n", codes=(LINE,)),
    "name and CRLF": Row("(so the CR of a CRLF)", False, f"{T}\r\nALL ALL\n", codes=(LINE,)),
    "commas": Row("empty items mean nobody", False, f"{T} , ,\nALL ALL\n", codes=(LINE,)),
    "comment": Row(
        "a comment behind an item is part of it",
        False,
        "ALL 10.0.0.7 # x\n",
        repair=True,
        codes=(REPAIRED,),
    ),
    "comment after a comma": Row("but not of the one before", True, "ALL 10.0.0.7, # x\n", codes=(REPAIRED,)),
    "items in a comment": Row(
        "items behind a comma of a comment count",
        True,
        "ALL 10.0.0.9 # not, 10.0.0.7\n",
        repair=False,
        codes=(REPAIRED,),
    ),
    "ALL in a comment": Row("so does ALL", True, "ALL 10.0.0.9 # not, ALL\n", repair=False, codes=(REPAIRED,)),
    "ALL and a comment": Row(
        "and ALL with a comment is no ALL", False, "ALL ALL # x\n", codes=(EVERYBODY, REPAIRED)
    ),
    "name and comment": Row(
        "a name with a comment matches nobody", False, f"ALL {NAME} # x\n", repair=True, codes=(REPAIRED,)
    ),
    "expression and comment": Row(
        "nor does an expression", False, "ALL .*:abc # x\n", codes=(ITEM, REPAIRED)
    ),
    "nothing but a comment": Row("a comment for an item", False, "ALL # x\n", codes=(LINE, REPAIRED)),
    "blanks for commas": Row(
        "items between blanks are one", False, "ALL 10.0.0.9 10.0.0.7\n", repair=True, codes=(REPAIRED,)
    ),
    "ALL between blanks": Row(
        "so is ALL", False, "ALL 10.0.0.9 ALL\n", codes=(EVERYBODY, REPAIRED)
    ),
    "no-break space": Row("a no-break space is no blank", True, f"{T}\xa0x\nALL ALL\n", codes=(LINE,)),
    "no newline": Row(
        "a line without newline is ignored", False, "# who\nALL 10.0.0.7", repair=True, codes=(LINE,)
    ),
    "network, no newline": Row(
        "a line without newline is ignored", False, "ALL 10.0.0.0/8", repair=True, codes=(LINE,)
    ),
    "name, no newline": Row(
        "a line without newline is ignored", False, f"ALL {NAME}", repair=True, codes=(LINE,)
    ),
    "escaped name, no newline": Row(
        "a line without newline is ignored", False, "ALL " + NAME.replace(".", r"\."), repair=True, codes=(LINE,)
    ),
    "name with dots, no newline": Row(
        "a line without newline is ignored", False, f"ALL {NAME}", codes=(LINE,), initiator=NAME.replace(".", "x")
    ),
    "ALL ALL, no newline": Row(
        "a line without newline is ignored", False, "ALL ALL", codes=(EVERYBODY, LINE)
    ),
    "expression, no newline": Row(
        "a line without newline is ignored", False, r"ALL .\+", codes=(ITEM, LINE)
    ),
    "all of IPv6, no newline": Row(
        "a line without newline is ignored", False, "ALL [::]/0", codes=(EVERYBODY, LINE), peer=SIX
    ),
    "only a blank, no newline": Row("a line without newline is ignored", False, "ALL 10.0.0.9\n "),
    "NUL": Row("a NUL byte takes the line end away", False, "ALL 10.0.0.7\0\n", repair=True, codes=(LINE,)),
    "NUL, ALL": Row("a NUL byte takes the line end away", False, "ALL ALL\0\n", codes=(EVERYBODY, LINE)),
    "behind a NUL": Row("what follows a NUL byte is lost", False, "ALL \0ALL\n", codes=(LINE, LINE)),
    "after a NUL": Row("the next line is whole again", True, "x \0\nALL ALL\n", codes=(LINE, LINE)),
    "BOM": Row(
        "a byte order mark belongs to the name", False, "\ufeffALL 10.0.0.7\n", repair=True, codes=(LINE,)
    ),
    "BOM, ALL": Row("a byte order mark belongs to the name", False, "\ufeffALL ALL\n", codes=(EVERYBODY, LINE)),
    "BOM, first line": Row(
        "a line with one hides none", True, "\ufeffALL 10.0.0.9\nALL ALL\n", repair=False, codes=(LINE,)
    ),
    "BOM, comment": Row("a comment with one is a target", True, "\ufeff# x\nALL ALL\n"),
    "4094 bytes": Row("a line of 4095 bytes is whole", True, "ALL ALL".ljust(4094, ",") + "\n"),
    "4095 bytes": Row(
        "a longer one is dropped but for its tail",
        False,
        "ALL 10.0.0.7".ljust(4095, ",") + "\n",
        repair=True,
        codes=(LINE,),
    ),
    "4095 bytes, ALL": Row(
        "a longer one is dropped but for its tail", False, "ALL ALL".ljust(4095, ",") + "\n", codes=(EVERYBODY, LINE)
    ),
    "tail": Row(
        "the tail of a long line is a line", True, "x ".ljust(4095, ",") + "ALL ALL\n", repair=False, codes=TAIL
    ),
    "tail after two pieces": Row(
        "the tail of a long line is a line", True, "#".ljust(2 * 4095, "x") + "ALL ALL\n", repair=False
    ),
    "tail with a NUL": Row(
        "unless a NUL byte is in it", False, "x ".ljust(4095, ",") + "ALL ALL\0\n", codes=TAIL
    ),
    "NUL before the tail": Row(
        "but not before it", True, "x \0".ljust(4095, ",") + "ALL ALL\n", repair=False, codes=(LINE, LINE)
    ),
    "bytes, not characters": Row(
        "bytes count, not characters",
        False,
        "ALL ALL".ljust(2051, ",") + "é" * 1022 + "\n",
        codes=(EVERYBODY, LINE, ITEM),
    ),
    "tail without newline": Row(
        "nor is the tail of the last line one", False, "x ".ljust(4095, ",") + "ALL ALL", codes=TAIL
    ),
    "long comment": Row("a long comment", True, "#" + "x" * 5000 + "\nALL ALL\n"),
    "not UTF-8": Row("other bytes are taken as they are", True, f"\udcff ALL\n{T} ALL\n"),
}  # fmt: skip

ITEMS = {
    "ALL": item("ALL", "ALL matches", True, peer="nonsense"),
    "ALL behind others": item("10.9.9.9, ALL", "any item of a line will do", True),
    "exact": item("10.0.0.7", "an address", True),
    "exact, another": item("10.0.0.8", "an address", False),
    "/8": item("10.0.0.0/8", "a network", True),
    "/8, outside": item("11.0.0.0/8", "a network", False),
    "/31": item("10.0.0.6/31", "a network", True),
    "/31, outside": item("10.0.0.8/31", "a network", False),
    "/1": item("0.0.0.0/1", "a network", True, codes=(ITEM,)),
    "/1, outside": item("128.0.0.0/1", "a network", False),
    "host bits": item("10.0.0.5/24", "never matches", False, repair=True, codes=(REPAIRED,)),
    "host bits, outside": item("10.0.1.5/24", "never matches", False, codes=(REPAIRED,)),
    "/32": item("10.0.0.7/32", "never matches", False, repair=True, codes=(REPAIRED,)),
    "/32, another": item("10.0.0.8/32", "never matches", False, codes=(REPAIRED,)),
    "/33": item("10.0.0.7/33", "never matches", False, codes=(ITEM,)),
    "/-1": item("10.0.0.7/-1", "never matches", False, codes=(ITEM,)),
    "/99999999999999999999999999": item("10.0.0.7/99999999999999999999999999", "never matches", False, codes=(ITEM,)),
    "0.0.0.0/0": item("0.0.0.0/0", "is an exact 0.0.0.0", False, codes=(EVERYBODY,)),
    "0.0.0.0/0, IPv6": item(
        "0.0.0.0/0", "matches every IPv6 peer", True, repair=False, iet=False, why=NEVER, codes=(EVERYBODY,), peer=SIX
    ),
    "10.0.0.7/0": item("10.0.0.9/0", "never matches", False, codes=(EVERYBODY,)),
    "/": item("10.0.0.0/", "never matches", False, codes=(ITEM,)),
    "mask": item("10.0.0.0/255.0.0.0", "never matches", False, repair=True, codes=(REPAIRED,)),
    "mask, outside": item("11.0.0.0/255.0.0.0", "never matches", False, codes=(REPAIRED,)),
    "mask of nothing": item("0.0.0.0/0.0.0.0", "never matches", False, codes=(EVERYBODY,)),
    "mask with holes": item("10.0.0.0/255.0.255.0", "never matches", False, codes=(ITEM,)),
    "mask of five": item("10.0.0.0/255.0.0.0.0", "never matches", False, codes=(ITEM,)),
    "10.*": item("10.*", "never matches", False, codes=(ITEM,)),
    "range": item("10.0.0.1-9", "never matches", False, codes=(ITEM,)),
    "two numbers": item("10.7", "as inet_aton reads it", True),
    "octal": item("012.0.0.7", "as inet_aton reads it", True, codes=("octal-number",)),
    "octal, not decimal": item("012.0.0.7", "as inet_aton reads it", False, codes=("octal-number",), peer="12.0.0.7"),
    "hexadecimal": item("0xa.0.0.7", "as inet_aton reads it", True),
    "/0x8": item("10.0.0.0/0x8", "as strtoul reads it", True),
    "/010": item("10.0.0.0/010", "as strtoul reads it: 8", True, codes=("octal-number",)),
    "/24x": item("10.0.0.0/24x", "as strtoul reads it: 24", True, codes=(REPAIRED,)),
    "/24.5": item("10.0.0.0/24.5", "as strtoul reads it: 24", True, codes=(REPAIRED,)),
    "host name": item("host.example.com", "host names never match", False, codes=(ITEM,)),
    "v6 network": item("[3ffe:505:2:1::]/64", "an IPv6 network", True, peer=SIX),
    "v6 network, outside": item("[3ffe:505:2:2::]/64", "an IPv6 network", False, peer=SIX),
    "v6 network, IPv4": item("[3ffe:505:2:1::]/64", "an IPv6 network", False),
    "v6 host bits": item("[3ffe:505:2:1::5]/64", "host bits may be set", True, peer=SIX),
    "v6 exact": item("[3ffe:505:2:1::9]", "an IPv6 address", True, peer=SIX),
    "v6 bare": item("3ffe:505:2:1::9", "brackets may be missing", True, peer=SIX),
    "v6 bare network": item("3ffe:505:2:1::/64", "brackets may be missing", True, peer=SIX),
    "v6 /127": item("[::2]/127", "an IPv6 network", True, peer="::3"),
    "v6 /128": item("[::1]/128", "never matches", False, repair=True, codes=(REPAIRED,), peer="::1"),
    "v6 /129": item("[::1]/129", "never matches", False, codes=(ITEM,), peer="::1"),
    "v6 octal": item("[3ffe:505::]/040", "as strtoul reads it: 32", True, codes=("octal-number",), peer=SIX),
    "v6 /0": item("[::]/0", "matches every peer", True, codes=(ITEM,), peer=SIX),
    "v6 /0, IPv4": item("[::]/0", "matches every peer", True, repair=False, iet=False, why=NEVER, codes=(ITEM,)),
    "v6 /": item("[3ffe::1]/", "(is strtoul's 0: every peer)", True, repair=False, iet=False, why=NEVER, codes=(ITEM,)),
    "::": item("::", "matches :: among IPv6 peers", True, codes=(ITEM,), peer="::"),
    "::, IPv6": item("::", "matches :: among IPv6 peers", False, codes=(ITEM,), peer=SIX),
    "::, IPv4": item("::", "matches every IPv4 peer", True, repair=False, iet=False, why=NEVER, codes=(ITEM,)),
    "0.0.0.0": item("0.0.0.0", "matches every IPv6 peer", True, repair=False, iet=False, why=NEVER, codes=(ITEM,),
                    peer=SIX),
    "0.0.0.0/8": item("0.0.0.0/8", "matches every IPv6 peer", True, repair=False, iet=False, why=NEVER, codes=(ITEM,),
                      peer=SIX),
    "mapped": item("::ffff:10.0.0.7", "is not 10.0.0.7", False),
    "open bracket": item("[3ffe::1, ALL", "ends the line", False, codes=(ITEM,)),
    "open bracket, later": item("10.0.0.7, [3ffe::1", "what stands before counts", True, codes=(ITEM,)),
    "v4 in brackets": item("[10.0.0.7]", "(not known)", False, repair=True, codes=(REPAIRED,)),
    "zone": item("fe80::1%eth0", "never matches", False, codes=(ITEM,), peer="fe80::1"),
    "zone of a peer": item("fe80::1", "the peer's zone does not count", True, peer="fe80::1%eth0"),
}  # fmt: skip

NAMES = {
    "any": item(".*", "an expression", True),
    "set": item(r".*:mscs1-[1-4]\.example\.com", "an expression", True, initiator="iqn.1:mscs1-2.example.com"),
    "set, another": item(r".*:mscs1-[1-4]\.example\.com", "an expression", False, initiator="i:mscs1-5.example.com"),
    "anchored": item("iqn", "the whole name must match", False),
    "anchored at the end": item(NAME[:-1], "the whole name must match", False),
    "case": item(NAME.upper(), "letter case counts", False),
    "dot": item(NAME.replace(".", "."), "a dot is any character", True, initiator=NAME.replace(".", "x")),
    "escaped dot": item(NAME.replace(".", r"\."), "a dot is a dot", False, initiator=NAME.replace(".", "x")),
    "star": item("*", "a lone star is a star", False),
    "star, star": item("*", "a lone star is a star", True, initiator="*"),
    "extended": item("iqn.(a|b)+", "no extended expressions", False, initiator="iqn.a"),
    "GNU": item(r"iqn\.\(a\|b\)\+", "but GNU's", True, initiator="iqn.ab"),
    "alternative": item(r"iqn\.a\|iqn\.b", "is one", True, initiator="iqn.a", codes=(ITEM,)),
    "alternative, loose": item(
        r"iqn\.a\|iqn\.b",
        "anchors bind tighter than it",
        True,
        initiator="iqn.ax",
        repair=False,
        iet=False,
        why="decisions 9: the whole name must match",
        codes=(ITEM,),
    ),
    "comma": item(r"iqn\.a\{1,2\}", "there can be no comma in one", False, initiator="iqn.aa", codes=(ITEM,)),
    "invalid": item(r"\(iqn", "does not match, nor harm", False, codes=(ITEM,)),
    "invalid, others": item(r"\(iqn, 10.0.0.7", "does not match, nor harm", True, codes=(ITEM,)),
    "back-reference": item(r"\(iqn\)\1", "is an expression", True, initiator="iqniqn", repair=False, iet=False,
                           why="decisions 9: linear time", codes=(ITEM,)),
    "address": item("10.0.0.7", "an address is an expression, too", True, initiator="10.0.0.7", peer="1.1.1.1",
                    repair=False, iet=False, why="no address is an expression, or anybody could let himself in"),
    "like an address": item("10.*", "so is what only looks like one", True, initiator="10.x", peer="1.1.1.1",
                            repair=False, iet=False, why="as above", codes=(ITEM,)),
    "name like a host's": item("a.example.com", "a name of any form", True, initiator="a.example.com", codes=(ITEM,)),
}  # fmt: skip

DENIED = {
    "network": denied("ALL 10.0.0.0/8\n", "deny matches", False),
    "another": denied("ALL 11.0.0.0/8\n", "deny does not match", True),
    "first": denied(f"{T} 10.0.0.9\nALL ALL\n", "only the first line counts", True),
    "no newline": denied("ALL ALL", "ignored", True, repair=False, iet=False, why=HONOURED, codes=(LINE,)),
    "NUL": denied("ALL ALL\0\n", "ignored", True, repair=False, iet=False, why=HONOURED, codes=(LINE,)),
    "NUL hides nothing": denied("ALL 10.0.0.9\0\nALL ALL\n", "the next line counts", False, codes=(LINE,)),
    "BOM": denied("\ufeffALL ALL\n", "ignored", True, repair=False, iet=False, why=HONOURED, codes=(LINE,)),
    "long": denied("ALL ALL".ljust(4095, ",") + "\n", "ignored", True, repair=False, iet=False, why=HONOURED,
                   codes=(LINE,)),
    "tail": denied("x 1.1.1.1".ljust(4095, ",") + "ALL ALL\n", "the tail counts", False, codes=(LINE, REPAIRED)),
    "all": denied("all 10.0.0.7\n", "is a target", True, repair=False, iet=False, why=HONOURED),
    "all hides nothing": denied("all 10.0.0.9\nALL ALL\n", "is a target", False),
    "name alone": denied("ALL\n", "is passed over", True, repair=False, iet=False, why=HONOURED, codes=(LINE,)),
    "name alone hides nothing": denied(f"{T}\nALL ALL\n", "is passed over", False, codes=(LINE,)),
    "name and blank": denied(f"{T} \n", "means nobody", True, repair=False, iet=False, why=HONOURED, codes=(LINE,)),
    "/0": denied("ALL 0.0.0.0/0\n", "never matches", True, repair=False, iet=False, why=HONOURED, codes=(REPAIRED,)),
    "/0, IPv6": denied("ALL 0.0.0.0/0\n", "matches IPv6", False, codes=(REPAIRED,), peer=SIX),
    "v6 /0": denied("ALL [::]/0\n", "matches every peer", False, codes=(REPAIRED,)),
    "v6 /": denied("ALL [3ffe::1]/\n", "matches every peer", False, codes=(EVERYBODY,)),
    "/32": denied("ALL 10.0.0.7/32\n", "never matches", True, repair=False, iet=False, why=HONOURED, codes=(REPAIRED,)),
    "host bits": denied("ALL 10.0.0.5/24\n", "never matches", True, repair=False, iet=False, why=HONOURED,
                        codes=(REPAIRED,)),
    "blanks": denied("ALL 10.0.0.9 10.0.0.7\n", "never matches", True, repair=False, iet=False, why=HONOURED,
                     codes=(REPAIRED,)),
    "comment": denied("ALL 10.0.0.9 # not, ALL\n", "items in a comment count", False, codes=(REPAIRED,)),
    "words of a comment": denied("ALL 10.0.0.9 # not ALL\n", "words in a comment do not", True, codes=(REPAIRED,)),
    "name with a blank": denied("ALL .*a b.*\n", "an expression", False, initiator="xa bx", codes=(REPAIRED,)),
    "open bracket": denied("ALL [3ffe::1, 10.0.0.7\n", "ends the line", True, repair=False, iet=False, why=HONOURED),
    "10.*": denied("ALL 11.*\n", "never matches", True, repair=False, iet=False, why=HONOURED, codes=(EVERYBODY,)),
    "refused": denied(r"ALL \(a\)\1" + "\n", "an expression", True, repair=False, iet=False,
                      why="what is not understood denies", codes=(EVERYBODY,)),
    "alternative, loose": denied(r"ALL iqn\.a\|iqn\.b" + "\n", "anchors bind tighter", False, initiator="iqn.ax"),
    "address for a name": denied("ALL 10.0.0.9\n", "an address is an expression, too", False, initiator="10.0.0.9"),
    "zone": denied("ALL fe80::1%eth0\n", "never matches", True, repair=False, iet=False, why=HONOURED,
                   codes=(REPAIRED,), peer="fe80::1"),
    "0.0.0.0/8, IPv6": denied("ALL 0.0.0.0/8\n", "matches every IPv6 peer", False, repair=True, iet=True, why=NEVER,
                              codes=(ITEM,), peer=SIX),
    "lifted by a repaired item": Row("/32 never matches", False, "ALL 10.0.0.7/32\n", "ALL ALL\n", repair=True,
                                     codes=(REPAIRED,)),
    "not lifted by ALL without newline": Row("it is ignored", False, "ALL ALL", "ALL ALL\n", codes=(EVERYBODY, LINE)),
}  # fmt: skip

ROWS = {
    f"{section}: {name}": row
    for section, rows in (("3.1", FILES), ("3.2", LINES), ("3.3", ITEMS), ("3.3 names", NAMES), ("deny", DENIED))
    for name, row in rows.items()
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_rules(tmp_path: Path, row: Row) -> None:
    row.put(tmp_path)
    verdicts = {mode: files(tmp_path, mode).admits(row.target, row.initiator, row.peer, row.local) for mode in MODES}
    assert verdicts == {mode: row.verdict(mode) for mode in MODES}, row.rule
    found = remarks(files(tmp_path))
    assert sorted(one.code for one in found) == sorted(row.codes)
    assert all(one.hint and one.iet for one in found)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_the_mode_iet_differs_from_iet_for_a_reason_and_only_repair_opens(row: Row) -> None:
    assert (row.verdict("iet") is row.was) is not bool(row.why)
    if row.why != NEVER or row.deny is None:
        assert row.was or not row.verdict("iet")
    assert row.was or not row.verdict("repair") or REPAIRED in row.codes or LINE in row.codes or row.why == NEVER


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_strict_calls_every_mistake_an_error(tmp_path: Path, row: Row) -> None:
    found = remarks(files(row.put(tmp_path), "strict"))
    assert {one.severity for one in found if one.code != "octal-number"} <= {"error"}
    assert bool(found) >= bool(row.codes)


# -- where the files are ------------------------------------------------------------------------------------------


def test_the_places() -> None:
    assert AccessFiles().directories == ("/etc/iet", "/etc")


@pytest.mark.parametrize("mode", MODES)
def test_each_file_falls_back_on_its_own_and_is_read_anew(tmp_path: Path, mode: str) -> None:
    first, second = tmp_path / "iet", tmp_path / "etc"
    second.mkdir()
    both = AccessFiles(str(first), str(second), compat=mode)

    def admitted() -> list[bool]:
        return [both.admits(T, NAME, peer, LOCAL) for peer in ("10.0.0.7", "10.0.0.8")]

    assert admitted() == [True, True]
    write(second, "initiators.allow", "ALL 10.0.0.7\n")
    assert admitted() == [True, False]
    first.mkdir()
    write(first, "initiators.allow", "ALL 10.0.0.8\n")
    assert admitted() == [False, True]
    write(second, "targets.allow", "ALL 203.0.113.1\n")
    assert admitted() == [False, False]
    write(first, "targets.allow", "ALL ALL\n")
    write(second, "initiators.deny", "ALL 10.0.0.7\n")
    assert admitted() == [False, True]
    write(first, "initiators.deny", "ALL 10.0.0.8\n")
    assert admitted() == [True, True]  # which initiators.allow lifts
    write(first, "initiators.allow", "")
    assert admitted() == [True, False]


@pytest.mark.parametrize("name", ["initiators.allow", "initiators.deny", "targets.allow"])
@pytest.mark.parametrize("mode", MODES)
def test_a_file_that_cannot_be_read_denies(tmp_path: Path, name: str, mode: str) -> None:
    """IET: of a deny file, that nobody is denied (never copied)."""
    (tmp_path / name).mkdir()
    write(tmp_path, "other", "")
    assert not files(tmp_path, mode).admits(T, NAME, PEER, LOCAL)
    (one,) = remarks(files(tmp_path, mode))
    assert one.code == "access-file-unreadable"
    assert one.iet == ("admitted everybody" if name == "initiators.deny" else "denied")


@pytest.mark.parametrize("mode", MODES)
def test_a_deny_file_is_warned_of(tmp_path: Path, mode: str) -> None:
    """iet-compat 1.1: at start, wherever it is."""
    write(tmp_path, "initiators.deny", "")
    (one,) = AccessFiles("/nonexistent", str(tmp_path), compat=mode).diagnostics()
    assert (one.severity, one.code, str(one.span)) == ("warning", "deny-file", f"{tmp_path}/initiators.deny:1:1")


def test_an_unreadable_deny_file_denies_but_whom_allow_names(tmp_path: Path) -> None:
    (tmp_path / "initiators.deny").mkdir()
    write(tmp_path, "initiators.allow", "ALL 10.0.0.7\n")
    assert files(tmp_path).admits(T, NAME, "10.0.0.7", LOCAL)
    assert not files(tmp_path).admits(T, NAME, "10.0.0.8", LOCAL)


def test_an_unreadable_allow_file_lifts_nothing(tmp_path: Path) -> None:
    write(tmp_path, "initiators.deny", "ALL ALL\n")
    (tmp_path / "initiators.allow").mkdir()
    assert not files(tmp_path).admits(T, NAME, PEER, LOCAL)


def test_a_dangling_link_is_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """IET fell back on the next place, and then on everybody, while the file system behind the link was away."""
    (tmp_path / "initiators.allow").symlink_to(tmp_path / "nowhere")
    assert not AccessFiles(str(tmp_path), str(tmp_path / "etc")).admits(T, NAME, PEER, LOCAL)


def test_only_what_does_not_exist_is_looked_for_elsewhere(tmp_path: Path) -> None:
    write(tmp_path, "file", "")
    assert not AccessFiles(str(tmp_path / "file"), str(tmp_path)).admits(T, NAME, PEER, LOCAL)


def test_a_directory_that_cannot_be_looked_into_denies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "lstat", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert not files(tmp_path).admits(T, NAME, PEER, LOCAL)


def test_there_is_no_targets_deny(tmp_path: Path) -> None:
    write(tmp_path, "targets.deny", "ALL ALL\n")
    assert files(tmp_path).admits(T, NAME, PEER, LOCAL)


# -- the corpus ---------------------------------------------------------------------------------------------------

SYS = "iqn.2001-04.com.example:storage.disk1."
MS = "iqn.1991-05.com.microsoft:mscs1-2.example.com"
VM = "iqn.1998-01.com.vmware:a.example.com"
EXACT_SIX = "3ffe:302:11:1:211:43ff:fe31:5ae2"

#: The table of iet-compat section 10: target, peer, name, verdict.
STOCK = [
    ("sys1.xyz", "192.168.9.9", VM, True),
    ("sys1.xyz", "10.0.0.1", MS, True),
    ("sys1.xyz", "10.0.0.1", VM, False),
    ("sys2.xyz", "192.168.22.9", VM, True),
    ("sys2.xyz", SIX, VM, True),
    ("sys2.xyz", EXACT_SIX, VM, True),
    ("sys2.xyz", "192.168.23.9", VM, False),
    ("sys3.xyz", "10.0.0.1", NAME, True),
    ("sys3.xyz", "::1", NAME, True),
    ("sys4.xyz", "192.168.22.3", MS, True),
    ("sys4.xyz", "10.0.0.1", VM, True),
    ("sys4.xyz", "192.168.22.4", MS, False),
    *((name, "192.168.1.1", NAME, True) for name in ("sys5.xyz", "sys6.xyz", "sys7.xyz", "other")),
    *((name, "10.0.0.1", NAME, False) for name in ("sys5.xyz", "sys6.xyz", "sys7.xyz", "other")),
]
#: What follows for the others from section 3; the address of targets.allow is ours.
CORPUS = {
    "90-iet-parser.initiators.allow": STOCK,
    "92-iet-stock.initiators.allow": [("sys1.xyz", PEER, NAME, True), ("x", SIX, NAME, True)],
    "93-iet-stock.targets.allow": [("sys1.xyz", PEER, NAME, True), ("x", SIX, NAME, True)],
    "94-iet-stock-examples.initiators.allow": STOCK,
    "95-iet-stock-examples.targets.allow": [
        ("sys1.xyz", "192.168.1.1", NAME, True),
        ("sys1.xyz", "10.0.0.1", NAME, False),
        ("sys2.xyz", EXACT_SIX, NAME, True),
        ("sys2.xyz", "192.168.22.24", NAME, True),
        ("sys2.xyz", "192.168.22.25", NAME, False),
        ("sys3.xyz", "10.0.0.1", NAME, True),
        ("sys4.xyz", "192.168.22.3", NAME, True),
        ("other", "192.168.22.9", NAME, True),
        ("other", "192.169.22.9", NAME, False),
    ],
    "96-iet-stock-examples.initiators.deny": [
        ("sys1.xyz", "10.0.0.1", NAME, False),
        ("sys2.xyz", "192.168.12.2", NAME, False),
        ("sys2.xyz", "192.168.3.77", NAME, False),
        ("sys2.xyz", "192.167.1.17", NAME, False),
        ("sys2.xyz", "192.167.1.32", NAME, True),
        ("sys2.xyz", "10.0.0.1", NAME, True),
        ("sys4.xyz", SIX, NAME, False),
        ("sys4.xyz", EXACT_SIX, NAME, False),
        ("sys4.xyz", "10.0.0.1", NAME, True),
        ("sys3.xyz", "10.0.0.1", NAME, False),
    ],
    "97-geekshlby.targets.allow": [("x", "192.168.2.46", NAME, True), ("x", "192.168.2.47", NAME, False)],
    "98-swift-lxc.initiators.allow": [("x", "127.0.0.1", NAME, True), ("x", "10.0.0.1", NAME, False)],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CORPUS)
def test_files_of_real_life(tmp_path: Path, corpus: Path, name: str, mode: str) -> None:
    kind = name.partition(".")[2]
    (tmp_path / kind).write_bytes((corpus / "ietd-conf" / name).read_bytes())
    for suffix, address, initiator, verdict in CORPUS[name]:
        target = SYS + suffix if suffix.startswith("sys") else suffix
        peer, local = (PEER, address) if kind == "targets.allow" else (address, LOCAL)
        assert files(tmp_path, mode).admits(target, initiator, peer, local) is verdict, (suffix, address, initiator)


def test_every_allow_file_of_the_corpus_is_expected(corpus: Path) -> None:
    names = [path.name for path in (corpus / "ietd-conf").iterdir() if path.name.endswith((".allow", ".deny"))]
    assert sorted(names) == sorted(CORPUS)


def test_repair_reads_the_stock_examples_without_a_word_but_for_their_end(tmp_path: Path, corpus: Path) -> None:
    text = (corpus / "ietd-conf" / "90-iet-parser.initiators.allow").read_text("ascii")
    (one,) = files(write(tmp_path, "initiators.allow", text)).diagnostics()
    assert (one.code, one.span.line) == (LINE, 8)


# -- restrictions in a target's block -----------------------------------------------------------------------------

RESTRICTIONS = {
    "none": ("", PEER, True),
    "address": ("initiator-address 10.0.0.7", PEER, True),
    "another address": ("initiator-address 10.0.0.8", PEER, False),
    "one of two": ("initiator-address 10.0.0.8\ninitiator-address 10.0.0.7/32", PEER, True),
    "network with host bits": ("initiator-address 10.0.0.1/24", PEER, True),
    "everything of IPv4": ("initiator-address 0.0.0.0/0", PEER, True),
    "everything of IPv4 is not IPv6": ("initiator-address 0.0.0.0/0", SIX, False),
    "tgt's ALL": ("initiator-address ALL", PEER, True),
    "a host name names nobody": ("initiator-address host", PEER, False),
    "a zone names nobody": ("initiator-address fe80::1%eth0", "fe80::1", False),
    "name": (f"initiator-name {NAME}", PEER, True),
    "any name": ("initiator-name ALL", PEER, True),
    "another name": ("initiator-name iqn.other", PEER, False),
    "no expression": ("initiator-name .*", PEER, False),
    "both are required": (f"initiator-name {NAME}\ninitiator-address 10.0.0.8", PEER, False),
}


@pytest.mark.parametrize(("lines", "peer", "verdict"), RESTRICTIONS.values(), ids=RESTRICTIONS.keys())
def test_restrictions(tmp_path: Path, lines: str, peer: str, verdict: bool) -> None:
    (target,) = loads(f"Target {T}\n{lines}\n").targets
    asker = Asker(NAME, peer, LOCAL)
    assert files(tmp_path).rule(target)(asker) is verdict
    assert files(tmp_path).decide(target, asker).allowed is verdict
    write(tmp_path, "initiators.allow", "")
    assert not files(tmp_path).rule(target)(asker)


def test_a_restriction_decides_with_its_place(tmp_path: Path) -> None:
    (target,) = loads(f"Target {T}\n  initiator-address 10.0.0.8,10.0.0.9\n  initiator-name {NAME}\n", "f").targets
    decision = files(tmp_path).decide(target, Asker(NAME, "10.0.0.9", LOCAL))
    assert decision == Decision("restriction", True, Span("f", 2, 30), "'10.0.0.9' holds the address 10.0.0.9")
    decision = files(tmp_path).decide(target, Asker("iqn.x", "10.0.0.9", LOCAL))
    assert (decision.allowed, decision.where) == (False, Span("f", 3, 18))


# -- which line decides -------------------------------------------------------------------------------------------

TARGET = TargetConfig(T, Span("ietd.conf", 1, 1))


@dataclass(frozen=True)
class Decided:
    files: dict[str, str]
    expected: str  #: file:line:column and the reason
    allowed: bool = True
    initiator: str = NAME


DECISIONS = {
    "no files": Decided({}, "None there is no initiators.allow in {d}, so any initiator may use it"),
    "ALL": Decided(
        {"initiators.allow": "# x\nALL ALL\n", "targets.allow": "ALL ALL\n"},
        "initiators.allow:2:5 'ALL' means everybody",
    ),
    "second item": Decided(
        {"initiators.allow": f"x ALL\n{T} 10.9.9.9, 10.0.0.0/8\nALL ALL\n"},
        f"initiators.allow:2:{len(T) + 12} '10.0.0.0/8' holds the address 10.0.0.7",
    ),
    "between blanks": Decided(
        {"initiators.allow": "ALL 1.1.1.1 10.0.0.7\n"},
        "initiators.allow:1:13 '10.0.0.7' holds the address 10.0.0.7",
    ),
    "name": Decided(
        {"initiators.allow": "ALL .*:abc\n"}, f"initiators.allow:1:5 '.*:abc' matches the name {NAME}"
    ),
    "no item": Decided(
        {"initiators.allow": "ALL 10.9.9.9\n"},
        f"initiators.allow:1:1 no item of this line matches '{NAME}' or '10.0.0.7'",
        False,
    ),
    "no line": Decided(
        {"initiators.allow": "x ALL\n"}, f"None no line of {{d}}/initiators.allow names {T} or ALL", False
    ),
    "our address": Decided(
        {"targets.allow": "ALL 192.0.2.0/24\n"},
        "targets.allow:1:5 '192.0.2.0/24' holds the address 192.0.2.1",
    ),
    "not our address": Decided(
        {"initiators.allow": "ALL ALL\n", "targets.allow": f"{T} 10.0.0.7\n"},
        "targets.allow:1:1 no item of this line matches '192.0.2.1'",
        False,
    ),
    "not on any address": Decided(
        {"targets.allow": "x ALL\n"}, f"None no line of {{d}}/targets.allow names {T} or ALL", False
    ),
    "deny": Decided(
        {"initiators.deny": "ALL 10.0.0.7\n"},
        "initiators.deny:1:5 '10.0.0.7' holds the address 10.0.0.7; initiators.allow does not lift it",
        False,
    ),
    "deny lifted": Decided(
        {"initiators.deny": "ALL ALL\n", "initiators.allow": f"ALL {NAME}\n"},
        f"initiators.allow:1:5 '{NAME}' matches the name {NAME}, which lifts what initiators.deny says",
    ),
    "deny, others": Decided(
        {"initiators.deny": "ALL 10.0.0.8\n"},
        f"initiators.deny:1:1 initiators.deny denies it nothing: no item of this line matches '{NAME}' or '10.0.0.7'",
    ),
    "deny, nobody": Decided(
        {"initiators.deny": ""},
        f"None initiators.deny denies it nothing: no line of {{d}}/initiators.deny names {T} or ALL",
    ),
    "deny to be safe": Decided(
        {"initiators.deny": "ALL 11.*\n"},
        "initiators.deny:1:5 '11.*' is taken for everybody; initiators.allow does not lift it",
        False,
    ),
    "deny, a line IET did not see": Decided(
        {"initiators.deny": "all 10.0.0.7\nALL 10.0.0.9\n"},
        "initiators.deny:1:5 '10.0.0.7' holds the address 10.0.0.7; initiators.allow does not lift it",
        False,
    ),
    "a name with control characters": Decided(
        {"initiators.allow": "ALL a.b\n"}, r"initiators.allow:1:5 'a.b' matches the name a\x01b", initiator="a\x01b"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DECISIONS.values(), ids=DECISIONS.keys())
def test_decisions(tmp_path: Path, case: Decided) -> None:
    for name, text in case.files.items():
        write(tmp_path, name, text)
    decision = files(tmp_path).decide(TARGET, Asker(case.initiator, PEER, LOCAL))
    assert decision.allowed is case.allowed
    where = str(decision.where).removeprefix(f"{tmp_path}/")
    assert f"{where} {decision.reason}" == case.expected.replace("{d}", str(tmp_path))


def test_an_unreadable_file_decides_at_its_top(tmp_path: Path) -> None:
    (tmp_path / "initiators.allow").mkdir()
    decision = files(tmp_path).decide(TARGET, Asker(NAME, PEER, LOCAL))
    assert decision.where == Span(f"{tmp_path}/initiators.allow", 1, 1)
    assert decision.reason == "cannot read this file: Is a directory; nobody is admitted"
    (tmp_path / "initiators.deny").mkdir()
    decision = files(tmp_path).decide(TARGET, Asker(NAME, PEER, LOCAL))
    assert decision.where == Span(f"{tmp_path}/initiators.deny", 1, 1)
    assert decision.reason.startswith("cannot read this file: Is a directory; everybody is denied")


def test_lines_that_are_never_reached(tmp_path: Path) -> None:
    write(tmp_path, "initiators.allow", f"{T} 10.0.0.1\n{T} 10.0.0.2\nx ALL\n {T} ALL\nALL ALL\n")
    write(tmp_path, "initiators.deny", f"all 10.0.0.9\nALL 10.0.0.1\n{T} 10.0.0.2\n")
    places = [f"{Path(span.file).name}:{span.line}:{span.column}" for span in files(tmp_path).unreached(T)]
    assert places == ["initiators.allow:2:1", "initiators.allow:4:2", "initiators.deny:3:1"]
    assert files(tmp_path).unreached("other") == ()


def test_findings_about_one_target(tmp_path: Path) -> None:
    write(tmp_path, "initiators.allow", f"x 10.0.0.1/32\n{T} 10.0.0.1/32\nALL 10.0.0.2/32\ny ALL")
    assert [one.span.line for one in files(tmp_path).diagnostics(T)] == [2, 3]
    assert [one.span.line for one in files(tmp_path).diagnostics()] == [1, 2, 3, 4, 4]


# -- properties ---------------------------------------------------------------------------------------------------

_VALID = ["ALL", "10.0.0.7", "10.0.0.0/24", "0x0a.0.0.7", "3ffe:505:2:1::9", "[3ffe:505:2:1::1]/64", "[::]/0", "iqn.a"]
_VALID += [r"iqn\.a", ".*:abc", "iqn.[ab]", "*", "eui.b*", "x", "11.0.0.0/8", r"\.*"]
_MISTAKES = ["10.0.0.7/32", "10.0.0.5/24", "10.0.0.0/255.0.0.0", "0.0.0.0/0", "10.0.0.0/", "10.*", "[10.0.0.7]"]
_MISTAKES += [
    "[::1]/128",
    "[3ffe::1",
    "host.example.com",
    "10.0.0.7 ALL",
    "iqn.a # x",
    "#",
    "all",
    "",
    r"\(",
    "1.2.3.4/0",
]
_PEERS = ["10.0.0.7", "10.0.0.5", "10.200.0.1", "11.1.1.1", "3ffe:505:2:1::9", "::1", "1.2.3.4"]
_INITIATORS = ["iqn.a", "iqnxa", "iqn.b", "eui.", "10.0.0.7", "iqn:abc", "*", "iqn.a b", "."]


def _one_line(items: list[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda blank, target, gap, parts, end: f"{blank}{target}{gap}{parts}{end}",
        st.sampled_from(["", " "]),
        st.sampled_from(["ALL", T, T.upper(), "other", "all", "#"]),
        st.sampled_from([" ", "\t", ""]),
        st.lists(st.sampled_from(items), max_size=4).map(", ".join),
        st.sampled_from(["", " ", "\r"]),
    )


def _texts(items: list[str], spoilt: bool) -> st.SearchStrategy[str]:
    lines = st.lists(_one_line(items), max_size=4).map(lambda lines: "".join(line + "\n" for line in lines))
    if not spoilt:
        return lines
    spoil = st.sampled_from([("", ""), ("", "ALL ALL"), ("", f"{T} 10.0.0.7"), ("\ufeff", ""), ("ALL ALL\0\n", "")])
    return st.builds(lambda around, text: f"{around[0]}{text}{around[1]}", spoil, lines)


def _iet_lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """Section 3.2 in other words: the name and the items of each line that IET saw."""
    for line in re.findall(r"[^\n]*\n", text):
        found = re.match(r"[ \t\r\f\v]*([^ \t\r\f\v\n]+)(?=[ \t\r\f\v])(.*)", line)
        if found and "\0" not in line and not found[1].startswith("#"):
            yield found[1], [one.strip(" \t\r\f\v") for one in found[2].split(",")]


def _iet_item(one: str, initiator: str, peer: str) -> bool:
    """Section 3.3, without what is never copied; the expressions above mean the same to Python."""
    if one == "ALL":
        return True
    expression = "\\*" if one == "*" else one
    try:
        if not re.match(r"[0-9]|\[[0-9a-f]*:", one) and re.fullmatch(expression, initiator):
            return True
    except re.error:
        pass
    base, slash, prefix = one.replace("[", "").replace("]", "").partition("/")
    try:
        address, version = ip_address(base.replace("0x0a", "10")), ip_address(peer).version
    except ValueError:
        return False
    if address.version != version or (slash and not prefix.isdigit()) or (version == 4 and "[" in one):
        return False
    if not slash:
        return address == ip_address(peer)
    if not int(version == 4) <= int(prefix) < address.max_prefixlen:
        return False
    network = ip_network(f"{base}/{prefix}", strict=False)
    return (version == 6 or network.network_address == address) and ip_address(peer) in network


def _iet_says(text: str | None, initiator: str, peer: str) -> bool | None:
    """Whether a file means an initiator, as far as IET was concerned; None without a file."""
    if text is None:
        return None
    for name, items in _iet_lines(text):
        if name == "ALL" or name.lower() == T.lower():
            for one in items:
                if one.startswith("[") and "]" not in one:
                    return False
                if _iet_item(one, initiator, peer):
                    return True
            return False
    return False


def _iet_admits(allow: str | None, deny: str | None, initiator: str, peer: str) -> bool:
    allowed, refused = (_iet_says(text, initiator, peer) for text in (allow, deny))
    return allowed is not False if refused is None else not refused or allowed is True


def _names(text: str, initiator: str, peer: str) -> bool:
    """Whether a word of a file is this host, a bounded network around it, or its name."""
    for word in re.split(r"[\s,\0]+", text.replace("0x0a", "10")):
        if initiator == word.replace("\\.", "."):
            return True
        try:
            network = ip_network(word.replace("[", "").replace("]", ""), strict=False)
        except ValueError:
            continue
        if network.prefixlen and network.version == ip_address(peer).version and ip_address(peer) in network:
            return True
    return False


_ASKED = {"initiator": st.sampled_from(_INITIATORS), "peer": st.sampled_from(_PEERS)}


def _admits(allow: str | None, deny: str | None, initiator: str, peer: str, mode: str) -> bool:
    with TemporaryDirectory() as name:
        row = Row("", True, allow, deny).put(Path(name))
        return files(row, mode).admits(T, initiator, peer, LOCAL)


@settings(deadline=None)
@given(allow=_texts(_VALID, spoilt=False), **_ASKED)
@example(allow="ALL [::]/0\n", initiator="iqn.a", peer="::1")
def test_valid_lines_mean_the_same_in_all_modes_as_under_iet(allow: str, initiator: str, peer: str) -> None:
    for mode in MODES:
        assert _admits(allow, None, initiator, peer, mode) is _iet_admits(allow, None, initiator, peer)


@settings(deadline=None)
@given(
    allow=st.none() | _texts(_VALID + _MISTAKES, spoilt=True),
    deny=st.none() | _texts(_VALID + _MISTAKES, spoilt=True),
    **_ASKED,
)
@example(allow="ALL ALL", deny=None, initiator="iqn.a", peer="10.0.0.7")
@example(allow="ALL 10.0.0.7/32\n", deny=None, initiator="iqn.a", peer="10.0.0.7")
@example(allow="ALL 10.0.0.7 ALL\n", deny="ALL ALL\n", initiator="iqn.a", peer="10.0.0.7")
@example(allow=None, deny="all 1.1.1.1\nALL ALL\n", initiator="iqn.a", peer="10.0.0.7")
def test_nobody_gets_in_who_could_not_unless_the_file_names_him(
    allow: str | None, deny: str | None, initiator: str, peer: str
) -> None:
    could = _iet_admits(allow, deny, initiator, peer)
    assert could or not _admits(allow, deny, initiator, peer, "iet")
    if _admits(allow, deny, initiator, peer, "repair") and not could:
        assert allow is not None
        assert _names(allow, initiator, peer)


@settings(deadline=None)
@given(deny=_texts(_VALID + _MISTAKES, spoilt=True), mode=st.sampled_from(MODES), **_ASKED)
def test_a_deny_line_that_iet_honoured_is_honoured(deny: str, mode: str, initiator: str, peer: str) -> None:
    if _iet_says(deny, initiator, peer):
        assert not _admits(None, deny, initiator, peer, mode)


# -- Initiator lines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lines", "allowed", "place", "reason"), [
    ("", True, None, None),
    ("Initiator iqn.a", True, (3, 1), "this line is about 'iqn.a' at 10.0.0.9"),
    ("Initiator iqn.b\nInitiator *", True, (4, 1), "this line is about 'iqn.a' at 10.0.0.9"),
    ("Initiator iqn.a Mode=none\nInitiator *", False, (3, 1),
     "this line is about 'iqn.a' at 10.0.0.9, whom it turns away"),
    ("Initiator iqn.b", False, (1, 1), "no Initiator line of this target is about 'iqn.a' at 10.0.0.9"),
    ("Initiator iqn.a x\nInitiator *", False, (3, 1),
     "this line is about 'iqn.a' at 10.0.0.9 and has a mistake, so it admits nobody"),
    ("Initiator iqn.a User=jim", False, (3, 1),
     "this line is about 'iqn.a' at 10.0.0.9 and asks for the user 'jim', who has no account here"),
    ("Initiator iqn.a User=joe", True, (3, 1), "this line is about 'iqn.a' at 10.0.0.9"),
])
def test_initiator_lines(
    tmp_path: Path, lines: str, allowed: bool, place: tuple[int, int] | None, reason: str | None
) -> None:
    (target,) = loads(f"Target t\nIncomingUser joe s\n{lines}\n", "f").targets
    files, asker = AccessFiles(str(tmp_path)), Asker("iqn.a", "10.0.0.9", "10.0.0.1")
    assert files.rule(target)(asker) is allowed
    decision = files.decide(target, asker)
    assert decision.allowed is allowed
    if place is not None:
        assert decision == Decision("initiator", allowed, Span("f", *place), reason or "")


def test_all_must_admit(tmp_path: Path) -> None:
    (tmp_path / "initiators.allow").write_text("t iqn.a\n")
    (target,) = loads("Target t\nInitiator *\n").targets
    files = AccessFiles(str(tmp_path))
    rule = files.rule(target)
    assert [rule(Asker(name, "10.0.0.9", "10.0.0.1")) for name in ("iqn.a", "iqn.b")] == [True, False]
    assert [check.check for check in files.checks(target, Asker("iqn.a", "10.0.0.9", "10.0.0.1"))] == [
        "initiator", "initiators", "targets.allow"
    ]
