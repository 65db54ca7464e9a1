"""What targetcli's users name and ietd.conf has no word for: backstores, attributes of targets without ACLs.

It is an address book: what is served is in ietd.conf alone, and without the book backstores are found again by the
paths of LUNs. No secret is ever in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

FORMAT: Final = 1
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Backstore:
    """What a LUN may be made of."""

    plugin: str  #: "block" or "fileio" (and "nullio", which is only shown)
    name: str
    path: str
    write_back: bool = False
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Book:
    """``targets``: by name in lower case, attributes that its lines do not tell; ``preferences``: of the shell."""

    backstores: tuple[Backstore, ...] = ()
    targets: Mapping[str, Mapping[str, bool]] = field(default_factory=lambda: _NOTHING)
    preferences: Mapping[str, bool] = field(default_factory=lambda: _NOTHING)

    def with_backstore(self, one: Backstore) -> Book:
        """With this one in the place of one of its plugin and name, if there is one."""
        return replace(self.without_backstore(one), backstores=(*self.without_backstore(one).backstores, one))

    def without_backstore(self, one: Backstore) -> Book:
        left = tuple(other for other in self.backstores if (other.plugin, other.name) != (one.plugin, one.name))
        return replace(self, backstores=left)

    def attribute(self, target: str, name: str, default: bool) -> bool:
        return bool(self.targets.get(target.lower(), _NOTHING).get(name, default))

    def with_attribute(self, target: str, name: str, value: bool) -> Book:
        of_it = {**self.targets.get(target.lower(), {}), name: value}
        return replace(self, targets={**self.targets, target.lower(): of_it})

    def without_target(self, target: str) -> Book:
        return replace(self, targets={name: each for name, each in self.targets.items() if name != target.lower()})

    def with_preference(self, name: str, value: bool) -> Book:
        return replace(self, preferences={**self.preferences, name: value})


def to_text(book: Book) -> str:
    """The book as JSON."""
    return json.dumps(
        {
            "format": FORMAT,
            "backstores": [asdict(one) for one in book.backstores],
            "targets": {name: dict(each) for name, each in book.targets.items()},
            "preferences": dict(book.preferences),
        },
        indent=1,
    ) + "\n"


def from_text(text: str) -> Book:
    """The book that was written. Raises ValueError for anything else."""
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ValueError("of another version")
        book = Book(
            tuple(Backstore(**one) for one in data["backstores"]),
            {name: dict(each) for name, each in data["targets"].items()},
            dict(data["preferences"]),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not a book of names") from error
    words = [word for one in book.backstores for word in (one.plugin, one.name, one.path)]
    flags = [flag for one in book.backstores for flag in (one.write_back, one.read_only)]
    flags += [flag for each in (book.preferences, *book.targets.values()) for flag in each.values()]
    if not all(isinstance(word, str) for word in words) or not all(isinstance(flag, bool) for flag in flags):
        raise ValueError("not a book of names")
    return book
