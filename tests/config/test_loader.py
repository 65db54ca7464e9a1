"""The walk over lines where its state matters; what each line means is in test_load.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ietpy.config.findings import Report
from ietpy.config.loader import Loader
from ietpy.config.model import Configuration
from ietpy.config.options import OPTIONS, Option, Origin, Reader
from ietpy.config.syntax import read

Dump = Callable[[Configuration], str]


def walk(text: str, mode: str = "repair") -> Configuration:
    report = Report("f", mode)
    return Loader(report).run(read(text, report))


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
@pytest.mark.parametrize("mode", ["repair", "iet", "strict"])
def test_every_keyword_has_a_reader(option: Option, mode: str) -> None:
    """Alone on its line: nothing raises, and everything but an Alias says what it misses."""
    configuration = walk(f"Target t\n{option.name}\n", mode)
    known = option.origin is not Origin.BORROWED or mode == "repair"
    codes = [one.code for one in configuration.diagnostics]
    assert bool(codes) is (option.reader is not Reader.TEXT)
    assert ("unknown-keyword" in codes) is not known


@pytest.mark.parametrize(
    ("word", "option"),
    [
        ("MaxBurstLenght", "MaxBurstLength"),
        ("maxburstlenght", "MaxBurstLength"),
        ("Incominguser1", "IncomingUser"),
        ("Initiator-Adress", "initiator-address"),
        ("QueueCommands", "QueuedCommands"),
    ],
)
def test_a_misspelling_is_understood(word: str, option: str) -> None:
    codes = {one.code: one for one in walk(f"Target t\n{word} 1 2\n").diagnostics}
    assert codes["misspelt-keyword"].hint == f"write {option}"


@pytest.mark.parametrize("word", ["MaxBurst", "Users_of_this", "Path=/x", "xyzzy"])
def test_a_stranger_is_not(word: str) -> None:
    (one,) = walk(f"Target t\n{word} 1\n").diagnostics
    assert one.code == "unknown-keyword"


def test_orphans_in_a_row_have_one_heir(dump: Dump) -> None:
    text = "Target a\nTargt b\nTargt c\nIncomingUser j s\nLun 0 Path=/x\nTarget d\nIncomingUser k s\n"
    assert dump(walk(text)) == "a: +j/s; d: +k/s"


def test_half_an_account_hides_only_the_next_keyword() -> None:
    problems = [one.problem for one in walk("Target t\nIncomingUser a\nfoo\nIncomingUser a b\nbar\n").diagnostics]
    assert problems[1:] == ["unknown keyword below an account line without a secret", "unknown keyword 'bar'"]
