"""Which format a file has, and its reader: one row for each."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ietpy.errors import ConfigError, Span
from ietpy.migrate.common import read_text, unreadable
from ietpy.migrate.ctl import model as ctl
from ietpy.migrate.ctl_text import parse_ctl
from ietpy.migrate.gotgt import read_gotgt
from ietpy.migrate.istgt import read_istgt
from ietpy.migrate.lio import read_lio
from ietpy.migrate.lio_scripts import read_lio_scripts
from ietpy.migrate.model import Disk, Kind, Note, Source, Store, in_order, refusal
from ietpy.migrate.scst import read_scst
from ietpy.migrate.scst_old import is_old, read_scst_old
from ietpy.migrate.spdk import read_spdk
from ietpy.migrate.tgt_targets import read_tgt
from ietpy.migrate.ucl import parse_ucl

AUTO: Final = "auto"


@dataclass(frozen=True, slots=True)
class Format:
    """A row. ``sign``: what is in no other format's files; ``read`` takes the paths of one configuration.

    ``most``: how many files one has, includes apart.
    """

    name: str
    owner: str
    sign: re.Pattern[str]
    read: Callable[[Sequence[str]], Source]
    most: int = 1


def _lio(paths: Sequence[str]) -> Source:
    texts = {path: _text(path) for path in paths}
    if any(_SCRIPT.search(text) for text in texts.values()):
        return read_lio_scripts(texts)
    if len(paths) > 1:
        raise _too_many(paths[1], "a saveconfig.json is a configuration by itself")
    return read_lio(texts[paths[0]], paths[0])


def _tgt(paths: Sequence[str]) -> Source:
    return read_tgt(paths[0])


def _scst(paths: Sequence[str]) -> Source:
    text = _text(paths[0])
    return (read_scst_old if is_old(text) else read_scst)(text, paths[0])


def _ctl(paths: Sequence[str]) -> Source:
    text = _text(paths[0])
    ucl = is_ucl(text)
    return ctl((parse_ucl if ucl else parse_ctl)(text, paths[0]), paths[0], ordered=not ucl)


def _istgt(paths: Sequence[str]) -> Source:
    return read_istgt(paths[0], paths[1] if len(paths) > 1 else "")


def _spdk(paths: Sequence[str]) -> Source:
    return read_spdk(_text(paths[0]), paths[0])


def _gotgt(paths: Sequence[str]) -> Source:
    return read_gotgt(_text(paths[0]), paths[0])


def is_ucl(text: str) -> bool:
    """Whether a ctl.conf is in the UCL form: there values stand behind an equals sign or a colon."""
    bare = _QUOTED_OR_COMMENT.sub("", text)
    return bool(_UCL.search(bare))


def _sign(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.MULTILINE)


_QUOTED_OR_COMMENT: Final = re.compile(r'"[^"]*"|#[^\n]*')
_UCL: Final = _sign(r"=|^\s*(?:auth-group|portal-group|lun|target)\s*:?\s*\{")

#: Lines of lio-utils' scripts.
_SCRIPT: Final = _sign(r"/sys/kernel/config/target|^\s*(?:\S*/)?(?:tcm_node|lio_node)\s")

FORMATS: Final = (
    Format("spdk", "SPDK", _sign(r'^\s*\{[^\0]*"subsystems"\s*:'), _spdk),
    Format("gotgt", "gotgt", _sign(r'^\s*\{[^\0]*"(?:iscsitargets|iscsiportals|storages)"\s*:'), _gotgt),
    Format(
        "lio", "LIO (targetcli)",
        _sign(r'^\s*\{[^\0]*"(?:storage_objects|fabric_modules|targets)"\s*:|' + _SCRIPT.pattern), _lio, 2,
    ),
    Format(
        "scst", "SCST",
        _sign(r"^\s*(?:(?:HANDLER|TARGET_DRIVER|DEVICE_GROUP)\s|\[(?:HANDLER|ASSIGNMENT|TARGETS)\b)"), _scst,
    ),
    Format("istgt", "istgt", _sign(r"^\s*\[(?:Global|UnitControl|LogicalUnit[0-9]+|PortalGroup[0-9]+)\]"), _istgt, 2),
    Format(
        "ctl", "FreeBSD's ctld",
        _sign(r"^\s*(?:(?:auth-group|portal-group|lun|target)\s*[^\s{}=]*\s*[=:]?\s*\{|isns-server[\s=])"), _ctl,
    ),
    Format(
        "tgt", "tgt (tgt-admin)",
        _sign(r"^\s*(?:<target\s|default-driver\s|include\s|IncludeOptional\s|incomingdiscoveryuser\s|iSNS)"), _tgt,
    ),
)
_OWN: Final = _sign(r"^\s*Target[ \t]+\S+[ \t]*$[^\0]*^\s*Lun[ \t]+[0-9]")


def read(paths: Sequence[str], name: str = AUTO) -> Source:
    """The configuration in one or several files. Raises ConfigError, with places."""
    row = _detected(paths[0]) if name == AUTO else next(each for each in FORMATS if each.name == name)
    if len(paths) > row.most:
        files = f"{row.most} file{'s' * (row.most > 1)}"
        raise _too_many(paths[row.most], f"a configuration of {row.owner} has {files}, and there are {len(paths)}")
    source = row.read(paths)
    return replace(source, notes=in_order((*source.notes, *sizes(source))))


def _too_many(path: str, problem: str) -> ConfigError:
    return ConfigError([refusal(Span(path, 1, 1), problem, "import them one by one, each with its own -o")])


def _detected(path: str) -> Format:
    text = _text(path)
    found = next((row for row in FORMATS if row.sign.search(text)), None)
    if found is not None:
        return found
    if _OWN.search(text):
        raise ConfigError([refusal(Span(path, 1, 1), "this is an ietd.conf already", "ietpy check says what is in it")])
    names = ", ".join(row.name for row in FORMATS)
    raise ConfigError([refusal(Span(path, 1, 1), "no format is recognised", f"name it with --from: {names}")])


def _text(path: str) -> str:
    try:
        return read_text(path)
    except OSError as error:
        raise unreadable(path, error) from None


def disks(source: Source) -> Iterator[Disk]:
    """All disks of a source, each once."""
    luns = (
        lun for target in source.targets
        for lun in (*target.luns, *(one for grant in target.grants for one in grant.luns or ()))
    )
    yield from dict.fromkeys(lun.disk for lun in luns)


def sizes(source: Source, size_of: Callable[[str], int] = os.path.getsize) -> Iterator[Note]:
    """Files that are there and have another size than the source gave their disk."""
    for disk in disks(source):
        if disk.store not in (Store.FILE, Store.DIRECT) or disk.size is None or disk.path.startswith("/dev/"):
            continue
        try:
            found = size_of(disk.path)
        except (OSError, ValueError):
            continue
        if found != disk.size:
            why = f"the file has {found} bytes, which is what initiators see; the source told them {disk.size}"
            yield Note(Kind.WARNING, disk.span, f"size of {disk.path}", why)
