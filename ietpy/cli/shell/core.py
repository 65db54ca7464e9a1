"""The shell without a terminal: a line in, lines out. What a command changes is served at once, or nothing is.

Every command starts from what is served now, so two shells, ietadm and a reload do not undo each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Final

from ietpy.cli.shell import settings, table
from ietpy.cli.shell.access import Kept
from ietpy.cli.shell.tree import Node, NoSuchPath, Tree, prompt
from ietpy.cli.shell.turn import Ask, Host, Parameter, Turn, Verb
from ietpy.cli.shell.words import Word, split
from ietpy.config.findings import printable
from ietpy.config.load import loads
from ietpy.config.model import Configuration
from ietpy.config.writer import rewrite
from ietpy.errors import AdminError, ConfigError, Diagnostic, IetpyError, UsageError

#: What a line without LUNs comes to (``access.with_mapped``): it has to name one, and there is none.
_MEANT: Final = frozenset(["initiator-without-lun"])
_EXIT: Final = "exit"
_MORE_TRIES: Final = 5  #: of a command while others change things
_SECRETS: Final = ("password=", "mutual_password=")


@dataclass
class Outcome:
    """What a line came to. ``over``: the shell ends."""

    lines: list[str] = field(default_factory=list)
    over: bool = False


@dataclass
class Shell:
    """One session. ``lasting``: more commands follow; ``ask``: somebody is there who answers."""

    host: Host
    lasting: bool = True
    ask: Ask | None = None
    path: str = "/"
    before: str = "/"
    _kept: dict[str, Kept] = field(default_factory=dict)
    _warned: bool = False
    _known: dict[tuple[str, str, str | None], Configuration] = field(default_factory=dict, repr=False)

    @property
    def prompt(self) -> str:
        return f"{prompt(self.path)}> "

    def run(self, line: str) -> Outcome:
        """Do what a line says. Raises IetpyError; then nothing has changed."""
        return self.do(split(line))

    def do(self, words: list[Word]) -> Outcome:
        """Do what words say. Raises IetpyError."""
        if not words:
            return Outcome()
        try:
            outcome = self._try(words, self.host.exclusive())
        except IetpyError as error:
            if words[0].text != _EXIT:
                raise
            return Outcome([printable(str(error))], True)  # with no daemon any more there is nothing to ask it
        for _ in range(_MORE_TRIES):
            if outcome is None:
                with self.host.exclusive():  # from beginning to end, as others are quick
                    outcome = self._try(words, nullcontext())
        if outcome is None:
            raise UsageError("somebody else changes what is served all the time; nothing has changed, try again")
        return outcome

    def _try(self, words: list[Word], alone: AbstractContextManager[None]) -> Outcome | None:
        """Do it, being ``alone`` while something changes. None if others have changed something since it began."""
        turn, text, mode = self._begin()
        node, verb, rest = self._understood(turn, words)
        verb.run(turn, node, table.bound(verb, rest))
        if verb.name == _EXIT and not self._may_leave(turn):
            return Outcome(turn.lines)
        if verb.name != _EXIT:
            self._warned = False
        lines = self._commit(turn, text, mode, alone)
        return None if lines is None else Outcome([*turn.lines, *lines], turn.over)

    def _begin(self) -> tuple[Turn, str, str | None]:
        file, text, mode = self.host.text()
        configuration, book = self._loaded(text, file, mode), self.host.read_book()
        host, port = self.host.listening()
        there = {"", *(target.name.lower() for target in configuration.targets)}
        kept = {name: deepcopy(each) for name, each in self._kept.items() if name in there}
        tree = Tree(configuration, book, self._size, port, host)
        here, before = _nearest(tree, self.path), _nearest(tree, self.before)
        turn = Turn(self.host, tree, here, before, configuration, book, kept, self.ask, self.lasting)
        return turn, text, mode

    def _loaded(self, text: str, file: str, mode: str | None) -> Configuration:
        """What a text means; of the last two that is known already."""
        key = text, file, mode
        found = self._known.pop(key, None) or loads(text, file, mode)
        self._known[key] = found
        while len(self._known) > 2:
            del self._known[next(iter(self._known))]
        return found

    def _size(self, path: str) -> int | None:
        found = self.host.look(path)
        return None if found is None else found.size

    def _understood(self, turn: Turn, words: list[Word]) -> tuple[Node, Verb, list[Word]]:
        """Where, what, and with which words."""
        node, first, rest = turn.here, words[0], words[1:]
        if _is_path(first) or (_may_be_path(turn, node, first) and not _is_verb(node, first)):
            node = turn.tree.find(first.text, node)
            if not rest:
                return turn.here, table.find(turn.here, "cd"), [first]
            first, rest = rest[0], rest[1:]
        return node, table.find(node, first.text), rest

    def _may_leave(self, turn: Turn) -> bool:
        """Whether the shell may end; said why not, the first time."""
        if not self.host.unsaved():
            return True
        if turn.book.preferences.get("auto_save_on_exit", False):
            turn.say(self.host.save(""))
        elif self.host.live:
            turn.say("What has changed is served, but not saved: after a restart it is gone. saveconfig writes it.")
        elif self.lasting and not self._warned:
            self._warned, turn.over = True, False
            turn.say("Nothing is written yet: saveconfig does it, and exit once more leaves all as it was.")
            return False
        return True

    # -- serving what has changed ---------------------------------------------------------------------------------

    def _commit(
        self, turn: Turn, text: str, mode: str | None, alone: AbstractContextManager[None]
    ) -> list[str] | None:
        """Have it served; what there is to say of that. None if what it started from is no longer so."""
        old = turn.tree.configuration
        file = old.file
        if turn.text is not None:
            new = turn.text
            self._check(self._loaded(new, file, mode), None, turn.expected)
        elif turn.configuration is not old:
            new = rewrite(text, turn.configuration, compat=mode, file=file)
            self._check(self._loaded(new, file, mode), old, turn.expected)
        else:
            new = text
        said: list[str] = []
        if new != text or turn.book != turn.tree.book:
            with alone:
                if self.host.text()[1] != text or self.host.read_book() != turn.tree.book:
                    return None
                said = self._change(turn, text, new)
        self._kept = turn.kept
        served = self._loaded(new, file, mode)
        fresh = Tree(served, turn.book, port=turn.tree.port, host=turn.tree.host)
        if turn.goal:
            self.before = turn.here.path
        self.path = _nearest(fresh, turn.goal or turn.here.path).path
        return said

    def _change(self, turn: Turn, text: str, new: str) -> list[str]:
        said = []
        if new != text:
            for target in turn.purged:
                self.host.end(target, None, True)
            self.host.serve(new, frozenset(turn.expected))
            for ended, initiator in turn.ended:
                said += self._ended(ended, initiator)
        if turn.book != turn.tree.book:
            problem = self.host.write_book(turn.book)
            if problem:
                said.append(problem)
        return said

    def _ended(self, target: str, initiator: str | None) -> list[str]:
        who = printable(initiator or target)
        try:
            count = self.host.end(target, initiator, False)
        except AdminError as error:  # what was asked for is served all the same
            return [f"Sessions of {who} go on: {printable(str(error))}"]
        return [f"Ended {count} session{'' if count == 1 else 's'} of {who}."] if count else []

    def _check(self, new: Configuration, old: Configuration | None, expected: set[str]) -> None:
        """Raise UsageError where ``new`` has mistakes that ``old`` has not: a file in this state is not left behind."""
        known = {_mistake(one) for one in old.errors} if old is not None else set()
        fresh = [one for one in new.errors if _mistake(one) not in known and one.code not in _MEANT | expected]
        if fresh:
            raise UsageError("; ".join(part for part in (fresh[0].problem, fresh[0].hint) if part))
        if new.refused:
            raise ConfigError(list(new.errors))

    # -- completion -------------------------------------------------------------------------------------------------

    def complete(self, line: str, word: str) -> list[str]:
        """The words that may stand at the end of ``line`` in the place of ``word``, its last one, half written."""
        turn, _, _ = self._begin()
        before = split(line[: len(line) - len(word)])
        node = turn.here
        if not before:
            names = [f"{verb.name} " for verb in table.verbs(node.kind, node) if verb.name.startswith(word)]
            return sorted(names) + turn.tree.names(node, word)
        if _is_path(before[0]) or (_may_be_path(turn, node, before[0]) and not _is_verb(node, before[0])):
            try:
                node = turn.tree.find(before[0].text, node)
            except NoSuchPath:
                return []
            before = before[1:]
            if not before:
                return sorted(f"{v.name} " for v in table.verbs(node.kind, node) if v.name.startswith(word))
        verb = next((v for v in table.verbs(node.kind, node) if v.name == before[0].text), None)
        return [] if verb is None else list(_of_parameters(turn, node, verb, before[1:], word))


def _of_parameters(turn: Turn, node: Node, verb: Verb, before: list[Word], word: str) -> Iterator[str]:
    named, equals, value = word.partition("=")
    given = {one.named[0] for one in before if one.named is not None}
    loose = sum(one.named is None for one in before)
    open_ones = [each for each in verb.parameters if each.name not in given]
    if verb.free and loose:
        group = next(one.text for one in before if one.named is None)
        if group in settings.groups(node.kind):
            for row in settings.rows(node.kind, group):
                text = row.name + ("=" if verb.name == "set" else " ")
                if text.startswith(word) and row.name not in given and not (verb.name == "set" and row.fixed):
                    yield text
        return
    if equals:
        wanted = next((each for each in verb.parameters if each.name == named), None)
        if wanted is not None:
            yield from (f"{named}={each}" for each in _candidates(turn, node, wanted, value))
        return
    if loose < len(open_ones):
        yield from _candidates(turn, node, open_ones[loose], word)
    optional = [each for each in open_ones[loose:] if not each.required or word]
    if not (loose < len(open_ones) and open_ones[loose].required and not word):
        yield from (f"{each.name}=" for each in optional if each.name.startswith(word))


def _candidates(turn: Turn, node: Node, parameter: Parameter, word: str) -> list[str]:
    source = parameter.candidates
    if source == table.PATH:
        return turn.tree.names(node, word)
    if source == table.FILE:
        return turn.host.files(word)
    found = source(turn, node) if callable(source) else source
    return [f"{each} " for each in found if each.startswith(word)]


def holds_secret(line: str) -> bool:
    """Whether a line has a secret in it, which no history keeps."""
    return any(word.named is not None and f"{word.named[0]}=" in _SECRETS for word in split(line)) or any(
        name in line for name in _SECRETS
    )


def _mistake(one: Diagnostic) -> tuple[str, str]:
    return one.code, one.problem


def _is_path(word: Word) -> bool:
    return not word.quoted and ("/" in word.text or word.text in ("..", "."))


def _may_be_path(turn: Turn, node: Node, word: Word) -> bool:
    """Whether a word begins with the name of something here: ``luns/ create``, ``tpg1``."""
    first = word.text.split("/")[0]
    return not word.quoted and any(child.name == first for child in turn.tree.children(node))


def _is_verb(node: Node, word: Word) -> bool:
    return any(verb.name == word.text for verb in table.verbs(node.kind, node))


def _nearest(tree: Tree, path: str) -> Node:
    """The node of a path, or of what is left of it."""
    while True:
        try:
            return tree.find(path, tree.root)
        except NoSuchPath:
            path = path.rpartition("/")[0] or "/"
