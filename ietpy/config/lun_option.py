"""``LunOption`` lines: what a logical unit is to be otherwise than under IET, which passed over them.

They read the same in every mode, and nothing in them is guessed: a parameter with a mistake has no effect, and the
logical unit keeps IET's. Blanks around commas and equals signs do not count, and a comment may follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from ietpy.config.findings import Finding, Report, quoted
from ietpy.config.lun import HIGHEST_LUN
from ietpy.config.model import LunConfig
from ietpy.config.options import LUN_EXTENSION_BY_WORD, LUN_EXTENSIONS, Option
from ietpy.config.syntax import BLANKS, Statement, Word
from ietpy.scsi.identity import AS_IET, IdentityOptions

#: Fields of a LUN that these lines set, as they are without one.
UNSAID: Final[Mapping[str, Any]] = MappingProxyType({
    "identity": AS_IET, "removable": False, "cached": False, "iops": 0, "bytes_per_second": 0,
})
_IDENTITY: Final = frozenset(each.name for each in fields(IdentityOptions))
_NUMBER: Final = re.compile(rf"[0-9]{{1,5}}(?=[{BLANKS},]|$)")
_COMMENT: Final = re.compile(rf"[{BLANKS}]#")
_ITEM: Final = re.compile("[^,]+")
_KNOWN: Final = "known are " + ", ".join(option.name for option in LUN_EXTENSIONS)


@dataclass(slots=True)
class LunOptions:
    """The LunOption lines of one target, until all its LUNs are known."""

    lines: list[tuple[int, Word]] = field(default_factory=list)  #: the LUN, and where the line stands
    given: dict[int, dict[str, tuple[Any, Word]]] = field(default_factory=dict)  #: by LUN and attribute

    def add(self, statement: Statement, report: Report) -> None:
        """Take a line; what is wrong with it goes to ``report``."""
        rest = statement.rest
        match = _NUMBER.match(rest.text)
        if match is None or int(match.group()) > HIGHEST_LUN:
            problem = "no number of a LUN follows LunOption"
            report.add(Finding.LUN_OPTION, statement.keyword, problem, "write LunOption 0 Naa=6..., say, for LUN 0")
            return
        number = int(match.group())
        self.lines.append((number, statement.keyword))
        items = list(_items(rest, match.end()))
        if not items:
            report.add(Finding.LUN_OPTION, statement.keyword, "a LunOption line that sets nothing", _KNOWN)
        for item in items:
            self._parameter(number, item, report)

    def _parameter(self, number: int, item: Word, report: Report) -> None:
        name, _, value = (part.strip(BLANKS) for part in item.text.partition("="))
        option = LUN_EXTENSION_BY_WORD.get(name.lower())
        if option is None:
            problem = f"{quoted(name)} is no parameter of a LunOption line and has no effect"
            report.add(Finding.LUN_OPTION, item, problem, _hint(name))
            return
        given = self.given.setdefault(number, {})
        if option.attribute in given:
            first = report.span(given[option.attribute][1])
            problem = f"LUN {number} has its {option.name} already, from {first}; this one has no effect"
            report.add(Finding.LUN_OPTION, item, problem, "leave one of them")
            return
        try:
            given[option.attribute] = option.value.parse(value), item
        except ValueError:
            problem = f"{quoted(value)} is no {option.name}; LUN {number} is served without it"
            report.add(Finding.LUN_OPTION, item, problem, f"write {option.value.accepts}")

    def applied(self, luns: Mapping[int, LunConfig], target: str, report: Report) -> tuple[LunConfig, ...]:
        """The LUNs of the target with what was said of them."""
        for number, place in self.lines:
            if number not in luns:
                problem = f"target {target} serves no LUN {number} to which this could apply"
                report.add(Finding.LUN_OPTION_ALONE, place, problem, "correct the number, or its Lun line")
        return tuple(
            replace(lun, **self.of(lun.number)) if lun.number in self.given else lun for lun in luns.values()
        )

    def of(self, number: int) -> dict[str, Any]:
        """What the lines say of a LUN: the fields of ``UNSAID``."""
        said = {name: value for name, (value, _) in self.given.get(number, {}).items()}
        identity = IdentityOptions(**{name: said.pop(name) for name in _IDENTITY & said.keys()})
        return {**UNSAID, "identity": identity, **said}


def _items(rest: Word, start: int) -> Iterator[Word]:
    """The parameters from ``start`` on, each at its place; empty ones are none."""
    comment = _COMMENT.search(rest.text)
    for match in _ITEM.finditer(rest.text, start, comment.start() if comment else len(rest.text)):
        bare = match.group().strip(BLANKS)
        if bare:
            yield rest.at(match.start() + match.group().index(bare), bare)


def _hint(name: str) -> str:
    near = get_close_matches(name.lower(), LUN_EXTENSION_BY_WORD, n=1)
    return f"did you mean {LUN_EXTENSION_BY_WORD[near[0]].name}?" if near else _KNOWN


def said(lun: LunConfig) -> dict[str, Any]:
    """What has to be said of a LUN: the fields of ``UNSAID``."""
    return {name: getattr(lun, name) for name in UNSAID}


def rendered(lun: LunConfig) -> str:
    """The line that says it."""
    values = ((option, _value(lun, option)) for option in LUN_EXTENSIONS)
    parameters = (
        f"{option.name}={option.value.render(value)}"
        for option, value in values if value != UNSAID.get(option.attribute)
    )
    return f"LunOption {lun.number} {','.join(parameters)}"


def _value(lun: LunConfig, option: Option) -> Any:
    return getattr(lun.identity if option.attribute in _IDENTITY else lun, option.attribute)
