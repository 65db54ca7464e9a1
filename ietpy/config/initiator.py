"""``Initiator`` lines: who may use a target, which of its logical units he has, and as which user he comes.

They read the same in every mode, and nothing in them is guessed. IET passed over them, so a mistake admits nobody: the
line still decides whom its pattern names, and turns him away. Blanks around commas and equals signs do not count, and a
comment may follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from ietpy.config.findings import Finding, Report, quoted
from ietpy.config.model import InitiatorConfig, LunMapping, Network
from ietpy.config.options import INITIATOR_PARAMETER_BY_WORD, INITIATOR_PARAMETERS, Option
from ietpy.config.syntax import BLANKS, Statement, Word

ANYBODY: Final = "*"
_PATTERN: Final = re.compile(rf"[^{BLANKS}]*")
_COMMENT: Final = re.compile(rf"(?:^|[{BLANKS}])#")
_ITEM: Final = re.compile("[^,]+")
#: What is in no iSCSI name (RFC 7143 section 4.2.7.1), but in expressions, lists and networks.
_NO_NAME: Final = re.compile(r"[\0-\x20!-)+,/;-@\[-^`{-\x7f]")
_ADDRESS: Final = re.compile(r"[0-9.]+|[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:.]*")
_KNOWN: Final = "known are " + ", ".join(option.name for option in INITIATOR_PARAMETERS)
_CUT: Final = (Finding.NUL.code, Finding.LONG_LINE.code)


@dataclass(slots=True)
class _Draft:
    """A line while it is read. ``closed``: it has a mistake."""

    report: Report
    given: set[str] = field(default_factory=set)
    addresses: list[Network] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    luns: dict[int, LunMapping] = field(default_factory=dict)
    mode: str = ""
    user: str = ""
    method: str = ""
    iops: int = 0
    bytes_per_second: int = 0
    closed: bool = False

    def mistake(self, place: Word, problem: str, hint: str) -> None:
        self.closed = True
        self.report.add(Finding.INITIATOR, place, f"{problem}; the line admits nobody", hint)


def read_initiator(statement: Statement, report: Report) -> InitiatorConfig:
    """What the line says; every mistake goes to ``report``."""
    draft, rest = _Draft(report), statement.rest
    comment = _COMMENT.search(rest.text)
    end = comment.start() if comment else len(rest.text)
    match = _PATTERN.match(rest.text, 0, end)
    assert match is not None
    name = _pattern(match.group(), rest.at(0, match.group()) if match.group() else statement.keyword, draft)
    option: Option | None = None
    for item in _items(rest, match.end(), end):
        option = _parameter(item, option, draft)
    if draft.user and draft.method == "None":
        draft.mistake(statement.keyword, "AuthMethod=None asks for no account, and User for one", "leave one of them")
    if any(one.code in _CUT and one.span.line == statement.line for one in report.diagnostics):
        draft.mistake(statement.keyword, "this line is not read as a whole", "make several lines of it")
    return InitiatorConfig(
        name,
        report.span(statement.keyword),
        addresses=tuple(draft.addresses),
        portal_groups=tuple(draft.groups),
        luns=tuple(draft.luns.values()) if "Luns" in draft.given else None,
        read_only=draft.mode == "ro",
        user=draft.user,
        iops=draft.iops,
        bytes_per_second=draft.bytes_per_second,
        closed=draft.closed,
        denies=draft.mode == "none",
        free=draft.method == "None",
    )


def _pattern(text: str, place: Word, draft: _Draft) -> str:
    """The pattern of a line; that of one that cannot be used is anybody's, so that nobody comes in further below."""
    hint = "write a name, with * for any characters; * alone means every initiator"
    if not text:
        draft.mistake(place, "no name follows Initiator", hint)
    elif _ADDRESS.fullmatch(text.partition("/")[0]):
        draft.mistake(place, f"{quoted(text)} is an address, not a name", f"write {ANYBODY} Address={text}")
    elif _NO_NAME.search(text):
        draft.mistake(place, f"{quoted(text)} has characters that are in no initiator's name", hint)
    elif text == "ALL":
        draft.mistake(place, "ALL is no initiator's name", hint)
    else:
        return text
    return ANYBODY


def _items(rest: Word, start: int, end: int) -> Iterator[Word]:
    """What stands between commas, each at its place; empty items are none."""
    for match in _ITEM.finditer(rest.text, start, end):
        bare = match.group().strip(BLANKS)
        if bare:
            yield rest.at(match.start() + match.group().index(bare), bare)


def _parameter(item: Word, before: Option | None, draft: _Draft) -> Option | None:
    """Read an item: a parameter, or one more value of the parameter before it, if that takes several."""
    name, equals, value = (part.strip(BLANKS) for part in item.text.partition("="))
    if equals or before is None or before.name not in _LISTS:
        option = INITIATOR_PARAMETER_BY_WORD.get(name.lower())
        if option is None:
            near = get_close_matches(name.lower(), INITIATOR_PARAMETER_BY_WORD, n=1)
            hint = f"did you mean {INITIATOR_PARAMETER_BY_WORD[near[0]].name}?" if near else _KNOWN
            draft.mistake(item, f"{quoted(name)} is no parameter of an Initiator line", hint)
            return None
        if option.name in draft.given:
            draft.mistake(item, f"{option.name} is given twice", "leave one of them")
            return option
        draft.given.add(option.name)
    else:
        option, value = before, name
    try:
        parsed = option.value.parse(value)
    except ValueError as accepts:
        draft.mistake(item, f"{quoted(value)} is no value of {option.name}", f"write {accepts}")
    else:
        _TAKES[option.name](draft, parsed, item)
    return option


def _take_address(draft: _Draft, network: Network, item: Word) -> None:
    draft.addresses.append(network)


def _take_group(draft: _Draft, tag: int, item: Word) -> None:
    draft.groups.append(tag)


def _take_luns(draft: _Draft, mappings: tuple[LunMapping, ...], item: Word) -> None:
    taken = {mapping.unit for mapping in draft.luns.values()}
    for mapping in mappings:
        if mapping.lun in draft.luns:
            return draft.mistake(item, f"LUN {mapping.lun} is given twice", "leave one of them")
        if mapping.unit in taken:
            problem = f"LUN {mapping.unit} of the target is given twice"
            return draft.mistake(item, problem, "give it one number only")
        draft.luns[mapping.lun] = mapping


def _take_mode(draft: _Draft, mode: str, item: Word) -> None:
    draft.mode = mode


def _take_method(draft: _Draft, method: str, item: Word) -> None:
    draft.method = method


def _take_user(draft: _Draft, user: str, item: Word) -> None:
    draft.user = user
    if re.search(f"[{BLANKS}]", user):
        draft.mistake(item, "a User has no blanks in its name", "part parameters by commas")


def _take_iops(draft: _Draft, iops: int, item: Word) -> None:
    draft.iops = iops


def _take_bytes(draft: _Draft, rate: int, item: Word) -> None:
    draft.bytes_per_second = rate


_LISTS: Final = ("Address", "PortalGroup", "Luns")
_TAKES: Final[dict[str, Callable[[_Draft, Any, Word], None]]] = {
    "Address": _take_address,
    "PortalGroup": _take_group,
    "Luns": _take_luns,
    "Mode": _take_mode,
    "User": _take_user,
    "AuthMethod": _take_method,
    "Iops": _take_iops,
    "BytesPerSecond": _take_bytes,
}


# -- back to text -------------------------------------------------------------------------------------------------


def rendered(line: InitiatorConfig) -> str:
    """The line that says it, if it has no mistake."""
    values: dict[str, list[Any]] = {
        "Address": [*line.addresses],
        "PortalGroup": [*line.portal_groups],
        "Luns": [*_runs(line.luns or ())],
        "Mode": ["none"] * line.denies or ["ro"] * line.read_only,
        "User": [line.user] if line.user else [],
        "AuthMethod": ["None"] * line.free,
        "Iops": [line.iops] if line.iops else [],
        "BytesPerSecond": [line.bytes_per_second] if line.bytes_per_second else [],
    }
    parameters = (
        f"{option.name}={','.join(map(option.value.render, values[option.name]))}"
        for option in INITIATOR_PARAMETERS if values[option.name]
    )
    return f"Initiator {line.name} {','.join(parameters)}".rstrip()


def _runs(luns: tuple[LunMapping, ...]) -> Iterator[tuple[LunMapping, ...]]:
    """Mappings in runs that go up by one."""
    start = 0
    for end in range(1, len(luns) + 1):
        before = luns[end - 1]
        if end == len(luns) or luns[end] != LunMapping(before.lun + 1, before.unit + 1, before.read_only):
            yield luns[start:end]
            start = end
