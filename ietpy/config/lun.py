"""A ``Lun`` line: a number and parameters (iet-compat 1.6, 2.3), read in one mode.

IET took everything between commas as it stood, and one strange blank cost the whole LUN. ``repair`` understands
what was meant, but never makes a LUN writable of which the line may say anything else: a parameter or an IOMode
that cannot be read leaves the LUN unserved, as under IET.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from ietpy.config.findings import Finding, Report, quoted
from ietpy.config.lun_parameters import SETTERS, Draft, set_store_option
from ietpy.config.model import LunConfig
from ietpy.config.options import FILE_TYPES, LUN_OPTION_BY_WORD, LUN_OPTIONS, Option
from ietpy.config.strangers import ALIKE, forbids_writing
from ietpy.config.syntax import BLANKS, Statement, Word, split_blanks
from ietpy.config.values import to_int

HIGHEST_LUN: Final = 0x3FFF
#: Fields of a LUN that initiators keep: its identity, and the size of its blocks, in which their data lies.
_KNOWN_BY: Final = ("scsi_id", "scsi_sn", "block_size")
_NAMES: Final = "|".join(LUN_OPTION_BY_WORD)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+")
_COMMENT: Final = re.compile(rf"(?<=[{BLANKS}])#")
#: Where a comma was forgotten: blanks before something that can only be a parameter.
_SEPARATOR: Final = re.compile(rf",|[{BLANKS}]+(?=(?:{_NAMES})[{BLANKS}]*=)", re.IGNORECASE)
#: What must be a parameter, but is within a value.
_HIDDEN: Final = re.compile(rf"[{BLANKS}]([^{BLANKS}=]+)[{BLANKS}]*=[{BLANKS}]*([^{BLANKS}]*)")
_OTHERS: Final = tuple(word for word in LUN_OPTION_BY_WORD if word != "iomode")
_PARAMETER: Final = re.compile(rf"([^{BLANKS}=,]+)[{BLANKS}]*=")


def continued(statement: Statement, following: Sequence[Statement], report: Report) -> tuple[Statement, int]:
    """A ``Lun`` line with those that its backslash goes on with, and how many these are."""
    used = 0
    for half in following:
        adjoining = half.line == statement.line + statement.lines and not half.tail
        if not (adjoining and statement.rest.text.endswith("\\") and _begins_with_parameter(half)):
            break
        if not used:
            problem = "a backslash continues this Lun line on the next"
            report.add(Finding.LUN_CONTINUED, statement.keyword, problem, "write it as one line")
        statement = _joined(statement, half)
        used += 1
    return statement, used


def _begins_with_parameter(statement: Statement) -> bool:
    match = _PARAMETER.match(f"{statement.keyword.text} {statement.rest.text}")
    return match is not None and bool(get_close_matches(match.group(1).lower(), LUN_OPTION_BY_WORD, 1, ALIKE))


def _joined(statement: Statement, half: Statement) -> Statement:
    """Both halves of a continued line as one; places in the second are those of the first."""
    head = statement.rest.text[:-1].rstrip(BLANKS)
    comma = "" if head.endswith(",") else ","
    tail = f"{half.keyword.text} {half.rest.text}".rstrip(BLANKS)
    rest = Word(head + comma + tail, statement.rest.line, statement.rest.column, half.rest.complete)
    hidden = statement.hidden + half.hidden
    return Statement(
        statement.keyword, rest, hidden=hidden, lines=statement.lines + 1, head=statement.head or statement
    )


def read_lun(statement: Statement, report: Report) -> LunConfig | None:
    """The LUN of this line, or None where it cannot be served; every mistake goes to ``report``."""
    lun = _read(statement, report)
    if lun is None or report.mode == "iet":
        return lun
    legacy = _read(statement.head or statement, Report(report.file, "iet"))
    return lun if legacy is None else _as_known(lun, legacy, statement.keyword, report)


def _as_known(lun: LunConfig, legacy: LunConfig, place: Word, report: Report) -> LunConfig:
    """What initiators know a LUN by stays as IET served it, whatever was meant (decisions 1)."""
    kept = {name: getattr(legacy, name) for name in _KNOWN_BY if getattr(legacy, name) != getattr(lun, name)}
    for name in kept:
        option = next(row.name for row in LUN_OPTIONS if row.attribute == name)
        problem = f"LUN {lun.number} keeps the {option} by which initiators know it"
        hint = "write what is meant only if no initiator has seen it"
        report.add(Finding.LUN_KEPT, place, problem, hint)
    return replace(lun, **kept)


def _read(statement: Statement, report: Report) -> LunConfig | None:
    rest = statement.rest
    match = _NUMBER.match(rest.text)
    number, after = (to_decimal(match.group()), match.end()) if match else (0, 0)
    if not rest.text:
        report.add(
            Finding.LUN_NUMBER,
            statement.keyword,
            "a Lun line without number and parameters",
            "write Lun 0 Path=FILE,Type=fileio",
        )
        return None
    if not match:
        report.add(Finding.NO_LUN_NUMBER, rest, "no number follows Lun; this is LUN 0", "write the number")
    elif not 0 <= number <= HIGHEST_LUN:
        report.add(Finding.LUN_NUMBER, rest, f"LUN {number} cannot exist", f"write a number from 0 to {HIGHEST_LUN}")
        return None
    draft = Draft(statement.keyword, number, report)
    draft.read_only = report.mode != "iet" and "=" in statement.hidden  # which may be IOMode=ro
    for item in _items(draft, rest, after):
        _parameter(draft, item)
    return _finished(draft)


def to_decimal(digits: str) -> int:
    """C's strtol with base 10."""
    sign = -1 if digits.startswith("-") else 1
    return sign * to_int(digits.lstrip("+-").lstrip("0") or "0")


def _items(draft: Draft, rest: Word, after: int) -> list[Word]:
    """The parameters as written, without empty ones."""
    text = rest.text[after:]
    start = after + len(text) - len(text.lstrip(BLANKS))
    text = rest.text[start:]
    if draft.report.mode == "iet":
        return [item for item in _split(rest.at(start, text), re.compile(",")) if item.text]
    comment = _COMMENT.search(text)
    if comment:
        draft.report.add(
            Finding.LUN_COMMENT,
            rest.at(start + comment.start(), ""),
            "a comment cannot follow a Lun line",
            "write it on a line of its own",
        )
        text = text[: comment.start()].rstrip(BLANKS)
    return _repaired(draft, rest.at(start, text))


def _repaired(draft: Draft, text: Word) -> list[Word]:
    items: list[Word] = []
    for item in _split(text, _SEPARATOR):
        bare = item.text.strip(BLANKS)
        if not bare:
            if item.text:
                draft.report.add(Finding.LUN_REPAIRED, item, "nothing but blanks between commas", "remove them")
            continue
        name, equals, value = (part.strip(BLANKS) for part in bare.partition("="))
        clean = item.at(item.text.index(bare), name + equals + value)
        before = text.text[: item.column - text.column]
        if before and not before.rstrip(BLANKS).endswith(","):
            problem, iet = f"no comma before {quoted(clean.text)}", "took it for part of the value before it"
            draft.report.add(Finding.LUN_REPAIRED, clean, problem, "join the parameters by commas", iet)
        elif clean.text != item.text or before[-1:] not in ("", ","):
            problem, hint = f"blanks around {quoted(clean.text)}", "join the parameters by commas without blanks"
            draft.report.add(Finding.LUN_REPAIRED, clean, problem, hint)
        if not items and clean.text.startswith("/"):
            items += _positional(draft, clean)
        else:
            items.append(clean)
    return items


def _split(text: Word, separator: re.Pattern[str]) -> list[Word]:
    items, start = [], 0
    for match in separator.finditer(text.text):
        items.append(text.at(start, text.text[start : match.start()]))
        start = match.end()
    return [*items, text.at(start, text.text[start:])]


def _positional(draft: Draft, item: Word) -> list[Word]:
    """``Lun 0 /dev/x [fileio|blockio]``, as before 0.4.8."""
    path, *more = split_blanks(item.text)
    if len(more) > 1 or (more and more[0] not in FILE_TYPES):
        draft.refuse(item, f"{quoted(item.text)} is no parameter", "write Path=FILE,Type=fileio")
        return []
    draft.report.add(
        Finding.LUN_POSITIONAL,
        item,
        f"{quoted(item.text)} is the Lun line of IET before 0.4.8",
        f"write Path={path}" + "".join(f",Type={word}" for word in more),
    )
    return [item.at(0, f"Path={path}"), *(item.at(len(path) + 1, f"Type={word}") for word in more)]


def _parameter(draft: Draft, item: Word) -> None:
    name, _, value = item.text.partition("=")
    option = LUN_OPTION_BY_WORD.get(name.lower()) or _misspelt(draft, item, name)
    if option is None:
        return
    if not value:
        draft.refuse(item, f"{option.name} has no value", f"write {option.name}= and {option.value.accepts}")
        return
    value = _noted(draft, option, item, value)
    SETTERS.get(option.name, set_store_option)(draft, option, item, value)
    draft.given[option.name] = option


def _noted(draft: Draft, option: Option, item: Word, value: str) -> str:
    """The value without quotes, but what initiators know the LUN by stays; what IET took for part of it is reported."""
    known_by = option.attribute in _KNOWN_BY
    if len(value) > 2 and value[0] == value[-1] and value[0] in "\"'":
        kept = draft.report.mode == "iet" or known_by
        problem, iet = f"quotes around the value of {option.name}", "took the quotes as part of the value"
        finding = Finding.QUOTES if known_by else Finding.LUN_REPAIRED
        draft.report.add(finding, item, problem, "remove them if they are not meant" if kept else "remove them", iet)
        return value if kept else value[1:-1]
    if draft.report.mode == "iet" and _COMMENT.search(value):
        problem = f"a comment is part of the value of {option.name}"
        draft.report.add(Finding.LUN_COMMENT, item, problem, "write it on a line of its own")
    hidden = _HIDDEN.search(value)
    name, mode = hidden.groups() if hidden is not None else ("", "")
    if name.lower() in LUN_OPTION_BY_WORD or (known_by and forbids_writing(name, mode)):
        problem = f"{quoted(name + '=')} is part of the value of {option.name}"
        draft.report.add(Finding.LUN_NO_COMMA, item, problem, "put a comma before it, or leave it out")
        # Not copied, as it may hide that nobody is to write (decisions 1).
        draft.read_only |= name.lower() not in _OTHERS and mode not in ("wt", "wb")
    return value


def _misspelt(draft: Draft, item: Word, name: str) -> Option | None:
    """The parameter that ``name`` plainly means; None, and the LUN refused, if none."""
    near = get_close_matches(name.lower(), LUN_OPTION_BY_WORD, n=1)
    option = LUN_OPTION_BY_WORD[near[0]] if near else None
    if draft.report.mode != "iet" and get_close_matches(name.lower(), near, cutoff=ALIKE):
        draft.report.add(
            Finding.LUN_REPAIRED,
            item,
            f"{quoted(name)} is a misspelt parameter",
            f"write {LUN_OPTION_BY_WORD[near[0]].name}",
        )
        return option
    known = ", ".join(row.name for row in LUN_OPTIONS)
    hint = f"did you mean {option.name}?" if option else f"known are {known}"
    draft.refuse(item, f"{quoted(name)} is no parameter of a Lun line", hint)
    return None


def _finished(draft: Draft) -> LunConfig | None:
    """The LUN, if all its parameters fit its type."""
    if not draft.refused and not draft.forgettable:
        for option in draft.given.values():
            if draft.type not in option.types:
                draft.refuse(draft.place, f"{option.name} does not go with Type={draft.type}", f"remove {option.name}")
        if draft.type in FILE_TYPES and not draft.path:
            draft.refuse(draft.place, "it has no Path", "write Path=FILE")
    if draft.refused or draft.forgettable:
        return None
    if draft.write_cache and draft.type == "blockio":
        draft.report.add(
            Finding.NO_EFFECT,
            draft.place,
            "IOMode=wb has no effect with Type=blockio",
            f"write IOMode=wt, or LunOption {draft.number} WriteCache=Yes",
            "accepted it and showed wt",
        )
        draft.write_cache = False
    return LunConfig(
        draft.number,
        draft.report.span(draft.place),
        path=draft.path,
        type=draft.type,
        read_only=draft.read_only,
        write_cache=draft.write_cache,
        block_size=draft.block_size,
        scsi_id=draft.scsi_id,
        scsi_sn=draft.scsi_sn,
        options=MappingProxyType(draft.options),
    )
