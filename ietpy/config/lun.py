"""A ``Lun`` line: a number and parameters (iet-compat 1.6, 2.3), read in one mode.

IET took everything between commas as it stood, and one strange blank cost the whole LUN. ``repair`` understands what
was meant, but never makes a LUN writable of which the line says anything else: a parameter or an IOMode that cannot
be read leaves the LUN unserved, as under IET.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from ietpy.config.findings import Finding, Report, quoted
from ietpy.config.model import LunConfig
from ietpy.config.options import BLOCK_SIZES, FILE_TYPES, LUN_OPTION_BY_WORD, Option
from ietpy.config.syntax import BLANKS, Statement, Word, to_bytes
from ietpy.config.values import strtol, to_int, with_suffix

HIGHEST_LUN: Final = 0x3FFF
ALIKE: Final = 0.8  #: difflib's ratio from which a misspelling is understood, not only hinted at
_NAMES: Final = "|".join(LUN_OPTION_BY_WORD)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+")
_COMMENT: Final = re.compile(rf"[{BLANKS}]+#.*", re.DOTALL)
#: Where a comma was forgotten: blanks before something that can only be a parameter.
_SEPARATOR: Final = re.compile(rf",|[{BLANKS}]+(?=(?:{_NAMES})[{BLANKS}]*=)", re.IGNORECASE)
_PARAMETER: Final = re.compile(rf"[{BLANKS}]*(?:{_NAMES})[{BLANKS}]*=", re.IGNORECASE)


@dataclass(slots=True)
class _Draft:
    """A LUN while its line is read. ``refused``: why it cannot be served, in IET's terms for ``iet``."""

    place: Word
    number: int
    report: Report
    given: dict[str, Option] = field(default_factory=dict)
    path: str = ""
    type: str = "fileio"
    read_only: bool = False
    write_cache: bool = False
    block_size: int | None = None
    scsi_id: bytes | None = None
    scsi_sn: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    refused: bool = False
    forgettable: bool = False  #: a mistake that a later ScsiId or ScsiSN made IET forget

    def refuse(self, place: Word, problem: str, hint: str, iet: str = "") -> None:
        self.refused = True
        self.report.add(Finding.LUN_REFUSED, place, f"LUN {self.number} is not served: {problem}", hint, iet)


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
        report.add(
            Finding.LUN_NUMBER, rest, f"LUN {number} cannot exist", f"write a number from 0 to {HIGHEST_LUN}"
        )
        return None
    draft = _Draft(statement.keyword, number, report)
    for item in _items(draft, rest, after):
        _parameter(draft, item)
    return _finished(draft)


def to_decimal(digits: str) -> int:
    """C's strtol with base 10."""
    sign = -1 if digits.startswith("-") else 1
    return sign * to_int(digits.lstrip("+-").lstrip("0") or "0")


def _items(draft: _Draft, rest: Word, after: int) -> list[Word]:
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
            rest.at(start + comment.start() + 1, ""),
            "a comment cannot follow a Lun line",
            "write it on a line of its own",
        )
        text = text[: comment.start()]
    return _repaired(draft, rest.at(start, text))


def _repaired(draft: _Draft, text: Word) -> list[Word]:
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


def _positional(draft: _Draft, item: Word) -> list[Word]:
    """``Lun 0 /dev/x [fileio|blockio]``, as before 0.4.8."""
    path, *more = item.text.split()
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


def _parameter(draft: _Draft, item: Word) -> None:
    name, equals, value = item.text.partition("=")
    option = LUN_OPTION_BY_WORD.get(name.lower()) or _misspelt(draft, item, name)
    if option is None or not equals or not value:
        if not draft.refused or option is not None:
            draft.refuse(
                item,
                f"{quoted(item.text)} is no parameter of a Lun"
                if option is None or not equals
                else f"{option.name} has no value",
                _known(),
            )
        draft.refused = True
        return
    if draft.report.mode != "iet" and len(value) > 2 and value[0] == value[-1] and value[0] in "\"'":
        draft.report.add(
            Finding.LUN_REPAIRED,
            item,
            f"quotes around the value of {option.name}",
            "remove them",
            "took the quotes as part of the value",
        )
        value = value[1:-1]
    _SETTERS[option.name](draft, option, item, value)
    draft.given[option.name] = option


def _misspelt(draft: _Draft, item: Word, name: str) -> Option | None:
    """The parameter that ``name`` plainly means; None, with a hint given, if none."""
    near = get_close_matches(name.lower(), LUN_OPTION_BY_WORD, n=1)
    if not near:
        return None
    option = LUN_OPTION_BY_WORD[near[0]]
    if draft.report.mode == "iet" or not get_close_matches(name.lower(), near, cutoff=ALIKE):
        draft.refuse(item, f"unknown parameter {quoted(name)}", f"did you mean {option.name}?")
        return None
    draft.report.add(
        Finding.LUN_REPAIRED, item, f"{quoted(name)} is a misspelt {option.name}", f"write {option.name}"
    )
    return option


def _known() -> str:
    return "known are " + ", ".join(option.name for option in LUN_OPTION_BY_WORD.values())


def _choice(draft: _Draft, option: Option, item: Word, value: str) -> str | None:
    """One of a few words; None, and the LUN refused, if it is not."""
    words: tuple[str, ...] = getattr(option.value, "words", ())
    if value in words:
        return value
    if draft.report.mode == "iet" or value.lower() not in words:
        draft.forgettable = True
        draft.report.add(
            Finding.LUN_REFUSED,
            item,
            f"{quoted(value)} is no {option.name}; LUN {draft.number} is not served",
            f"write {option.value.accepts}",
        )
        return None
    draft.report.add(
        Finding.LUN_REPAIRED,
        item,
        f"{option.name}={value} is written {value.lower()}",
        f"write {option.name}={value.lower()}",
    )
    return value.lower()


def _set_path(draft: _Draft, option: Option, item: Word, value: str) -> None:
    if draft.path:
        draft.refuse(item, "it has two Paths", "leave one of them")
    elif not value.startswith("/"):
        draft.report.add(Finding.LUN_RELATIVE, item, f"{quoted(value)} is a relative path", "write it from /")
    draft.path = value


def _set_type(draft: _Draft, option: Option, item: Word, value: str) -> None:
    _twice(draft, option, item)
    draft.type = _choice(draft, option, item, value) or draft.type


def _set_io_mode(draft: _Draft, option: Option, item: Word, value: str) -> None:
    mode = _choice(draft, option, item, value)
    # Not copied: IET could end with a writable LUN after an unreadable mode (iet-compat 1.6).
    draft.read_only |= mode in ("ro", None)
    draft.write_cache |= mode == "wb"


def _set_block_size(draft: _Draft, option: Option, item: Word, value: str) -> None:
    _twice(draft, option, item)
    if value in BLOCK_SIZES:
        draft.block_size = int(value)
        return
    number, rest = strtol(value)
    size = with_suffix(value) if rest else number
    if draft.report.mode != "iet" and str(size) in BLOCK_SIZES:
        draft.report.add(
            Finding.LUN_REPAIRED,
            item,
            f"BlockSize={value} is written {size}",
            f"write BlockSize={size}",
            "ignored a size with a suffix and refused any other number",
        )
        draft.block_size = size
    elif rest and not value.lower().startswith("0x"):
        draft.report.add(
            Finding.LUN_IGNORED, item, f"{quoted(value)} is no BlockSize", f"write {option.value.accepts}"
        )
    else:
        draft.refuse(item, f"BlockSize={value} is none", f"write {option.value.accepts}")


def _set_scsi_id(draft: _Draft, option: Option, item: Word, value: str) -> None:
    data = to_bytes(value)
    if len(data) > 16:
        draft.refuse(item, f"its ScsiId has {len(data)} bytes", "write 1 to 16")
        return
    _overlaid(draft, option, item)
    draft.scsi_id = data + (draft.scsi_id or b"")[len(data) :]
    _forget(draft, item)


def _set_scsi_sn(draft: _Draft, option: Option, item: Word, value: str) -> None:
    if not re.fullmatch(r"[ -~]{1,32}", value):
        draft.refuse(item, f"{quoted(value)} is no ScsiSN", "write 1 to 32 printable ASCII characters")
        return
    _overlaid(draft, option, item)
    draft.scsi_sn = value + (draft.scsi_sn or "")[len(value) :]
    _forget(draft, item)


def _set_blocks(draft: _Draft, option: Option, item: Word, value: str) -> None:
    _twice(draft, option, item)
    number = int(value) if re.fullmatch("[0-9]{1,18}", value) else None
    if number is None and draft.report.mode != "iet":
        number = with_suffix(value)
        if number is not None:
            draft.report.add(
                Finding.LUN_REPAIRED,
                item,
                f"{option.name}={value} has a suffix",
                f"write {option.name}={number}",
                "ignored the suffix",
            )
    if number is None:
        draft.refuse(item, f"{quoted(value)} is no number of blocks", "write a number")
        return
    draft.options["Blocks"] = number


def _twice(draft: _Draft, option: Option, item: Word) -> None:
    if option.name in draft.given:
        draft.report.add(
            Finding.REPEATED, item, f"{option.name} is given twice; the last counts", "leave one"
        )


def _overlaid(draft: _Draft, option: Option, item: Word) -> None:
    if option.name in draft.given:
        draft.report.add(
            Finding.LUN_OVERLAID,
            item,
            f"{option.name} is given twice; the second overwrites the beginning of the first",
            "leave one; the identity must not change",
        )


def _forget(draft: _Draft, item: Word) -> None:
    """iet-compat 1.6: a valid ScsiId or ScsiSN cleared the error of a Type or IOMode before it."""
    if draft.forgettable and draft.report.mode == "iet":
        draft.forgettable = False
        draft.report.add(
            Finding.LUN_QUIRK,
            item,
            f"LUN {draft.number} is served in spite of the mistake before",
            "correct the mistake; after an unreadable IOMode it is read-only",
        )


_SETTERS: Final[dict[str, Callable[[_Draft, Option, Word, str], None]]] = {
    "Path": _set_path,
    "Type": _set_type,
    "ScsiId": _set_scsi_id,
    "ScsiSN": _set_scsi_sn,
    "IOMode": _set_io_mode,
    "BlockSize": _set_block_size,
    "Blocks": _set_blocks,
    "Sectors": _set_blocks,
}


def _finished(draft: _Draft) -> LunConfig | None:
    """The LUN, if all its parameters fit its type."""
    if not draft.refused and not draft.forgettable:
        for option in draft.given.values():
            if draft.type not in option.types:
                draft.refuse(
                    draft.place, f"{option.name} does not go with Type={draft.type}", f"remove {option.name}"
                )
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
