"""A ``Lun`` line: a number and parameters (iet-compat 1.6, 2.3), read in one mode.

IET took everything between commas as it stood, and one strange blank cost the whole LUN. ``repair`` understands
what was meant, but never makes a LUN writable of which the line may say anything else: a parameter or an IOMode
that cannot be read leaves the LUN unserved, as under IET.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from ietpy.config.findings import Finding, Report, quoted
from ietpy.config.lun_parameters import SETTERS, Draft, set_store_option
from ietpy.config.model import LunConfig
from ietpy.config.options import FILE_TYPES, LUN_OPTION_BY_WORD, LUN_OPTIONS, Option
from ietpy.config.syntax import BLANKS, Statement, Word, split_blanks
from ietpy.config.values import to_int

HIGHEST_LUN: Final = 0x3FFF
ALIKE: Final = 0.8  #: difflib's ratio from which a misspelling is understood, not only hinted at
_NAMES: Final = "|".join(LUN_OPTION_BY_WORD)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+")
_COMMENT: Final = re.compile(rf"(?<=[{BLANKS}])#")
#: Where a comma was forgotten: blanks before something that can only be a parameter.
_SEPARATOR: Final = re.compile(rf",|[{BLANKS}]+(?=(?:{_NAMES})[{BLANKS}]*=)", re.IGNORECASE)
_PARAMETER: Final = re.compile(rf"[{BLANKS}]*(?:{_NAMES})[{BLANKS}]*=", re.IGNORECASE)


def continues(statement: Statement, following: Statement | None) -> bool:
    """Whether ``following`` is the other half of a ``Lun`` line that ends with a backslash."""
    return (
        following is not None
        and following.line == statement.line + 1
        and statement.rest.text.endswith("\\")
        and _PARAMETER.match(following.keyword.text) is not None
    )


def joined(statement: Statement, following: Statement, report: Report) -> Statement:
    """Both halves of a continued line as one; places in the second are those of the first."""
    report.add(
        Finding.LUN_CONTINUED,
        statement.keyword,
        "a backslash continues this Lun line on the next",
        "write it as one line",
    )
    head = statement.rest.text[:-1].rstrip(BLANKS)
    comma = "" if head.endswith(",") else ","
    tail = f"{following.keyword.text} {following.rest.text}".rstrip(BLANKS)
    rest = Word(head + comma + tail, statement.rest.line, statement.rest.column, following.rest.complete)
    return Statement(statement.keyword, rest)


def read_lun(statement: Statement, report: Report) -> LunConfig | None:
    """The LUN of this line, or None where it cannot be served; every mistake goes to ``report``."""
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
    elif not 0 <= number <= HIGHEST_LUN or match.group()[0] == "-":
        report.add(Finding.LUN_NUMBER, rest, f"LUN {number} cannot exist", f"write a number from 0 to {HIGHEST_LUN}")
        return None
    draft = Draft(statement.keyword, number, report)
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
            continue
        name, equals, value = (part.strip(BLANKS) for part in bare.partition("="))
        clean = item.at(item.text.index(bare), name + equals + value)
        if clean.text != item.text or (item.column > text.column and not _comma_before(text, item)):
            draft.report.add(
                Finding.LUN_REPAIRED,
                clean,
                f"blanks around {quoted(clean.text)}",
                "join the parameters by commas without blanks",
            )
        if not items and clean.text.startswith("/"):
            items += _positional(draft, clean)
        else:
            items.append(clean)
    return items


def _comma_before(text: Word, item: Word) -> bool:
    return text.text[item.column - text.column - 1] == ","


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
    if draft.report.mode != "iet" and len(value) > 2 and value[0] == value[-1] and value[0] in "\"'":
        problem, iet = f"quotes around the value of {option.name}", "took the quotes as part of the value"
        draft.report.add(Finding.LUN_REPAIRED, item, problem, "remove them", iet)
        value = value[1:-1]
    SETTERS.get(option.name, set_store_option)(draft, option, item, value)
    draft.given[option.name] = option


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
            "write IOMode=wt",
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
