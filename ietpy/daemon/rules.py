"""Who may use a target: the companion files, the restrictions in its block, and an iSNS server if it is to decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ietpy.config.access import AccessFiles
from ietpy.config.initiator_access import admits, deciding, terms
from ietpy.config.model import Configuration, InitiatorConfig, TargetConfig
from ietpy.iscsi.target import UNRESTRICTED, Asker, Terms


class Gate(Protocol):
    """Whom an iSNS server lets use a target (``isns.client``)."""

    def admits(self, target: str, initiator: str) -> bool: ...

    def refresh(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """The access rule of one target. Two are equal if they let in the same."""

    files: AccessFiles
    name: str
    addresses: tuple[str, ...]
    names: tuple[str, ...]
    initiators: tuple[InitiatorConfig, ...]
    users: frozenset[str]  #: who has an account of the target
    isns: bool  #: whether an iSNS server has a say
    check: Callable[[Asker], bool] = field(compare=False)

    def __call__(self, asker: Asker) -> bool:
        return self.check(asker)

    def terms(self, asker: Asker) -> Terms | None:
        """On what terms it lets in ``asker``; None: it would not, by the Initiator lines."""
        if not self.initiators:
            return UNRESTRICTED
        line = deciding(self.initiators, asker)
        return terms(line) if line is not None and admits(line, self.users) else None


class Rules:
    """Makes the rules of targets. ``gate``: None as long as nobody can be asked, which admits nobody.

    ``files``: the companion files; by default IET's, read anew at every question.
    """

    def __init__(self, configuration: Configuration, files: AccessFiles | None = None) -> None:
        self.gate: Gate | None = None
        self._files = files or AccessFiles(compat=configuration.compat)
        self._isns_decides = configuration.isns_decides

    def of(self, config: TargetConfig) -> Rule:
        files, isns = self._files, self._isns_decides
        rule = files.rule(config)

        def check(asker: Asker) -> bool:
            return rule(asker) and self._listed(config.name, asker.initiator)

        users = frozenset(account.name for account in config.incoming) if config.initiators else frozenset()
        addresses, names = config.initiator_addresses, config.initiator_names
        return Rule(files, config.name, addresses, names, config.initiators, users, isns, check)

    def _listed(self, target: str, initiator: str) -> bool:
        """Whether iSNS has nothing against it."""
        return not self._isns_decides or (self.gate is not None and self.gate.admits(target, initiator))

    def begin(self, new: Configuration) -> None:
        """Some targets follow an old configuration and some ``new``: an iSNS server decides if it does in either."""
        self._isns_decides |= new.isns_decides
        if new.compat != self._files.compat:
            self._files = AccessFiles(*self._files.directories, compat=new.compat)

    def settle(self, new: Configuration) -> None:
        """All targets are to follow ``new``: their rules must be made again."""
        self._isns_decides = new.isns_decides

    def refresh(self) -> None:
        """Targets have come or gone."""
        if self.gate is not None:
            self.gate.refresh()
