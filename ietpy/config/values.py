"""One value of a keyword, read in one mode: valid as IET, repaired, or as IET misread it (iet-compat 1.5)."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, Final

from ietpy.config.findings import Finding, Report, quoted
from ietpy.config.options import Option
from ietpy.config.syntax import Word
from ietpy.schema import Number, Text, WordList, YesNo

#: What C's strtol(.., 0) takes from the beginning of a word.
_STRTOL: Final = re.compile(r"([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_SUFFIXED: Final = re.compile(r"([0-9]+)([kKmMgGtT])(?:[iI]?[bB])?")
_FACTOR: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_LONG_MAX: Final = 2**63 - 1
_LONGEST_NUMBER: Final = 24  #: digits; more than any number that fits into 64 bits
_MEANS_YES: Final = ("yes", "y", "on", "true", "1", "enable", "enabled")
_MEANS_NO: Final = ("no", "n", "off", "false", "0", "disable", "disabled")

_PLACE: Final = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<v4>[^\[\]:]+)):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT: Final = 65535

AUTO: Final = "auto"
_PROCESSES: Final = Number(1, 64)


def processes(word: str) -> int:
    """A number of processes, 0 for ``auto``. Raises ValueError with what is accepted."""
    if word == AUTO:
        return 0
    try:
        return _PROCESSES.parse(word)
    except ValueError as accepts:
        raise ValueError(f"{accepts}, or {AUTO}") from None


def listening(word: str) -> str:
    """An address and a port to listen on, as they are usually written. Raises ValueError with what is accepted."""
    match = _PLACE.fullmatch(word)
    with suppress(ValueError):
        if match and int(match["port"]) <= _HIGHEST_PORT:
            address = ip_address(match["v6"] or match["v4"])
            if address.version == (6 if match["v6"] else 4):
                host = f"[{address}]" if match["v6"] else f"{address}"
                return f"{host}:{int(match['port'])}"
    raise ValueError("an address and a port, as 127.0.0.1:9260 or [::1]:9260")


def strtol(text: str) -> tuple[int, str]:
    """The number C's strtol with base 0 sees, and what it leaves."""
    match = _STRTOL.match(text)
    if match is None:
        return 0, text
    sign, digits = match.groups()
    number = to_int(digits)
    return -number if sign == "-" else number, text[match.end() :]


def to_int(digits: str) -> int:
    """C's reading of digits: 0x is hexadecimal, a leading 0 octal; too large a number is the largest."""
    if len(digits) > _LONGEST_NUMBER:
        return _LONG_MAX
    base = 16 if digits[1:2] in ("x", "X") else 8 if digits[0] == "0" else 10
    return int(digits, base)


def with_suffix(text: str) -> int | None:
    """``64M`` as a number (1024-based), or None."""
    match = _SUFFIXED.fullmatch(text)
    if match is None or len(text) > _LONGEST_NUMBER:
        return None
    return int(match.group(1)) * _FACTOR[match.group(2).lower()]


def is_comment(word: Word) -> bool:
    """Whether this word begins what its writer took for a comment at the end of a line."""
    return word.text.startswith("#")


def read_value(option: Option, words: tuple[Word, ...], report: Report) -> Any:
    """The value of a line ``option words``, or None where it has none. At least one word is given."""
    read = {Number: _number, YesNo: _yes_no, WordList: _word_list, Text: _text}[type(option.value)]
    value, used = read(option, _without_quotes(option, words, report), report)
    surplus = words[used:]
    if surplus and not is_comment(surplus[0]):
        report.add(
            Finding.SURPLUS,
            surplus[0],
            f"{option.name} takes one value; words follow it",
            "remove them, or put '#' before a comment",
        )
    if value is None or option.forced is None or value == option.forced:
        return value
    if report.mode == "iet" or not option.honoured:
        held = option.value.render(option.forced)
        report.add(
            Finding.FORCED,
            words[0],
            f"{option.name} {option.value.render(value)} is not supported",
            f"{held} is used",
            f"forced {held}",
        )
        return option.forced
    return value


def _without_quotes(option: Option, words: tuple[Word, ...], report: Report) -> tuple[Word, ...]:
    """The words, the first without quotes around it; IET knew no quotes."""
    first, text = words[0], words[0].text
    if len(text) < 3 or text[0] not in "\"'" or text[-1] != text[0]:
        return words
    problem = f"quotes around the value of {option.name}"
    report.add(Finding.REPAIRED_VALUE, first, problem, "remove them", "took the quotes as part of the value")
    if report.mode == "iet":
        return words
    return (replace(first, text=text[1:-1], column=first.column + 1), *words[1:])


def _number(option: Option, words: tuple[Word, ...], report: Report) -> tuple[int | None, int]:
    word = words[0]
    number, rest = strtol(word.text)
    if rest:
        sized = with_suffix(word.text)
        if sized is not None:
            holds = report.mode == "iet" or (option.guards and 0 < number < sized)
            problem = f"{option.name} {quoted(word.text)} has a suffix" + (f"; {number} is used" if holds else "")
            report.add(Finding.SUFFIX, word, problem, f"write {sized}", f"read {number}")
            if not holds:
                number = sized
        else:
            holds = report.mode == "iet" or (option.guards and number > 0)
            effect = f"{number} is used" if holds else "it is ignored"
            problem = f"{quoted(word.text)} is no value of {option.name}; {effect}"
            report.add(Finding.BAD_NUMBER, word, problem, f"write {option.value.accepts}", f"read {number}")
            if not holds:
                return None, 1
    elif number and word.text.lstrip("+-").startswith("0") and word.text[1:2] not in ("x", "X"):
        report.add(
            Finding.OCTAL,
            word,
            f"{quoted(word.text)} begins with 0 and is octal: {number}",
            "write it without leading zeros",
        )
    return _in_range(option, number, word, report), 1


def _in_range(option: Option, number: int, word: Word, report: Report) -> int:
    limits: Any = option.value
    if not limits.low <= number <= limits.high:
        legacy = number if option.out_of_range is None else option.out_of_range
        nearest = min(max(number, limits.low), limits.high)
        report.add(
            Finding.OUT_OF_RANGE,
            word,
            f"{option.name} {number} is out of range",
            f"write {limits.accepts}" + ("" if report.mode == "iet" else f"; {nearest} is used"),
            f"silently took {legacy}",
        )
        return legacy if report.mode == "iet" else nearest
    if option.kernel_limit is not None and option.out_of_range is not None and number > option.kernel_limit:
        report.add(
            Finding.KERNEL_LIMIT,
            word,
            f"{option.name} {number} is more than IET could do",
            f"write at most {option.kernel_limit} if other programs read this file",
        )
        return option.out_of_range if report.mode == "iet" else number
    return number


def _yes_no(option: Option, words: tuple[Word, ...], report: Report) -> tuple[bool | None, int]:
    word = words[0]
    if word.text in ("Yes", "No"):
        return word.text == "Yes", 1
    lower = word.text.lower()
    if option.attribute and lower in ("yes", "no"):  # iSNSAccessControl: any letter case is valid
        return lower == "yes", 1
    meant = True if lower in _MEANS_YES else False if lower in _MEANS_NO else None
    return _guess(option, word, meant, report), 1


def _word_list(option: Option, words: tuple[Word, ...], report: Report) -> tuple[tuple[str, ...] | None, int]:
    try:
        return option.value.parse(words[0].text), 1
    except ValueError:
        pass
    used = next((index for index, word in enumerate(words) if is_comment(word)), len(words))
    spelling = {choice.lower(): choice for choice in getattr(option.value, "words", ())}
    items = [item for item in re.split(r"[,\s]+", " ".join(word.text for word in words[:used])) if item]
    meant = tuple(dict.fromkeys(spelling.get(item.lower(), "") for item in items))
    return _guess(option, words[0], meant if meant and all(meant) else None, report), max(used, 1)


def _text(option: Option, words: tuple[Word, ...], report: Report) -> tuple[str | None, int]:
    return words[0].text, 1


def _guess(option: Option, word: Word, meant: Any, report: Report) -> Any:
    """Report a value that IET passed over; what it plainly means, or None. Of a guard the strict value is meant."""
    if meant is None:
        closes = option.guards and report.mode != "iet"
        report.add(
            Finding.BAD_VALUE,
            word,
            f"{quoted(word.text)} is no value of {option.name}" + ("; Yes is used, to be safe" if closes else ""),
            f"write {option.value.accepts}",
        )
        return True if closes else None
    report.add(
        Finding.REPAIRED_VALUE,
        word,
        f"{quoted(word.text)} is not how {option.name} is written",
        f"write {option.value.render(meant)}",
    )
    return None if report.mode == "iet" else meant
