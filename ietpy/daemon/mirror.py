"""What the process in front knows of the targets that workers serve: an inventory without a medium.

A worker is the truth about its targets; ``Mirror.follow`` takes over what became of one.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ietpy.config.model import Configuration, LunConfig, TargetConfig
from ietpy.daemon.fleet import Fleet
from ietpy.daemon.inventory import RELOAD_TURN, Inventory
from ietpy.daemon.media import Media
from ietpy.daemon.served import ServedTarget, target_facts
from ietpy.daemon.units import Units
from ietpy.errors import AdminError, Diagnostic
from ietpy.server.handover import Signpost
from ietpy.stores.state import StateDirectory

if TYPE_CHECKING:
    from ietpy.config.steps import LiveTarget


class _Elsewhere(Units):
    """The logical units of a mirror: others open them."""

    def attempt(self, target: ServedTarget, lun: LunConfig) -> None:
        pass

    def expect(self, luns: Iterable[LunConfig]) -> None:
        self.problems.clear()

    def look(self) -> None:
        pass

    def by_initiators(self) -> list[Diagnostic]:
        return []


class Mirror(Inventory):
    """``fleet`` has what ``configuration`` says open already."""

    def __init__(self, configuration: Configuration, fleet: Fleet, states: StateDirectory, media: Media) -> None:
        self._fleet = fleet
        self._busy: set[str] = set()  #: in a reload: names of targets that workers have
        super().__init__(
            configuration, media, states=states, units=_Elsewhere, node=Signpost(threading.RLock(), fleet.reachable)
        )

    @property
    def problems(self) -> list[Diagnostic]:
        return list(dict.fromkeys((*super().problems, *self._fleet.problems())))

    def facts(self) -> list[dict[str, Any]]:
        found = {each["name"]: each for each in self._fleet.gather("targets")}
        return [
            {**found.get(target.config.name, target_facts(target)), "tid": target.tid} for target in self.all()
        ]

    def live(self) -> dict[str, LiveTarget]:
        return {name: found for each in self._fleet.gather("live") for name, found in each.items()}

    def redirects(self) -> Mapping[str, str]:
        """Where logins of targets are sent, by name, for a worker that takes them over."""
        return {target.config.name: target.node.redirect for target in self.all() if target.node.redirect}

    def close(self) -> bool:
        return self._fleet.close()

    def add_target(self, config: TargetConfig, tid: int = 0) -> int:
        with self.turn():
            self.check_target_free(config, tid)
            self._fleet.add(config, self.configuration)
            return super().add_target(config, tid)

    def remove_target(self, tid: int) -> None:
        """The worker has done so."""
        with self.turn():
            self._fleet.forget(self.target(tid).config.name)
            super().remove_target(tid)

    def follow(self, tid: int) -> None:
        """Take over what a worker made of a target. Who calls has the turn since before it did."""
        with self.turn():
            target = self.target(tid)
            self.alter(target, self._fleet.ask(target.config.name, "config", target.config.name))

    def apply(self, new: Configuration) -> list[str]:
        with self.turn(RELOAD_TURN):
            unable, self._busy = self._fleet.apply(new)
            self._busy -= {target.name for target in new.targets if not target.closed}
            super().apply(new)
            self._busy = set()
            self._fleet.settle(target.config.name for target in self.all())
            return unable

    def drop(self, target: ServedTarget) -> list[threading.Event]:
        if target.config.name in self._busy:
            raise AdminError(errno.EBUSY, f"{target.config.name} has sessions")
        return super().drop(target)
