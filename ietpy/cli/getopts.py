"""Options as glibc's getopt_long takes them, with its words when they are wrong: IET's two commands used it.

Python's getopt looks at all words before it hands out the first option; glibc does not, so that ``--version --bogus``
prints the version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ietpy.errors import UsageError


def parse(
    program: str,
    arguments: Sequence[str],
    short: str,
    long: Sequence[str],
    names: Mapping[str, str],
    ours: Sequence[str] = (),
) -> Iterator[tuple[str, str]]:
    """Options by their long names, each with its value, and words that are no options by the name "", in turn.

    ``short`` and ``long`` as in Python's getopt: ``:`` and ``=`` follow the name of one that takes a value. ``names``:
    the long name of each short one. ``ours``: long options that IET did not have; no abbreviation of one of its own
    means one of them. UsageError with glibc's sentence is raised when the turn of a wrong one has come.
    """
    words = iter(arguments)
    for word in words:
        if word == "--":
            yield from (("", rest) for rest in words)
        elif word.startswith("--"):
            yield _long(program, word, words, long, ours)
        elif word.startswith("-") and word != "-":
            yield from _short(program, word[1:], words, short, names)
        else:
            yield "", word


def _long(
    program: str, word: str, words: Iterator[str], long: Sequence[str], ours: Sequence[str]
) -> tuple[str, str]:
    spelt, equals, value = word[2:].partition("=")
    takes_value = {name.rstrip("="): name.endswith("=") for name in (*long, *ours)}
    prefixed = ([name.rstrip("=") for name in names if name.startswith(spelt)] for names in (long, ours))
    found = [spelt] if spelt in takes_value else next((names for names in prefixed if names), [])
    if not found:
        raise UsageError(f"{program}: unrecognized option '{word}'")
    if len(found) > 1:
        possible = " ".join(f"'--{name}'" for name in found)
        raise UsageError(f"{program}: option '{word}' is ambiguous; possibilities: {possible}")
    (name,) = found
    if not takes_value[name] and equals:
        raise UsageError(f"{program}: option '--{name}' doesn't allow an argument")
    if takes_value[name] and not equals:
        try:
            value = next(words)
        except StopIteration:
            raise UsageError(f"{program}: option '--{name}' requires an argument") from None
    return f"--{name}", value


def _short(
    program: str, letters: str, words: Iterator[str], short: str, names: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    while letters:
        letter, letters = letters[0], letters[1:]
        at = short.find(letter)
        if letter == ":" or at < 0:
            raise UsageError(f"{program}: invalid option -- '{letter}'")
        name = names.get(f"-{letter}", f"-{letter}")
        if short[at + 1 : at + 2] != ":":
            yield name, ""
            continue
        try:
            value = letters or next(words)
        except StopIteration:
            raise UsageError(f"{program}: option requires an argument -- '{letter}'") from None
        yield name, value
        return
