"""What the control socket asks of a daemon with workers: whose target it is about answers, the front follows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ietpy.admin import operations
from ietpy.daemon.administration import Administration
from ietpy.daemon.fleet import Fleet
from ietpy.daemon.mirror import Mirror


def _follow(mirror: Mirror, arguments: Mapping[str, Any]) -> None:
    mirror.follow(arguments["tid"])


#: What the front does after a worker, by operation; after others nothing has changed for it.
_AFTERWARDS: Final[Mapping[str, Callable[[Mirror, Mapping[str, Any]], None]]] = {
    "delete-target": lambda mirror, arguments: mirror.remove_target(arguments["tid"]),
    "drain-target": lambda mirror, arguments: mirror.remove_target(arguments["tid"]),
    "redirect-target": lambda mirror, arguments: mirror.redirect(arguments["tid"], arguments["address"]),
    "update-target": _follow,
    "create-lun": _follow,
    "delete-lun": _follow,
    "close-connection": lambda mirror, arguments: None,
    "resize-lun": lambda mirror, arguments: None,
    "end-sessions": lambda mirror, arguments: None,
    "create-account": _follow,
    "delete-account": _follow,
}
#: Of these, the ones that wait for no other change, as they change no configuration.
_APART: Final = ("resize-lun", "redirect-target", "close-connection", "end-sessions")


@dataclass
class Relay:
    """``administration`` is the front's own, for what is about no target, or one that is to be."""

    administration: Administration
    mirror: Mirror
    fleet: Fleet

    def __call__(self, name: str, arguments: dict[str, Any]) -> Any:
        """As ``admin.operations.perform``."""
        if name == "create-target" or not arguments.get("tid"):
            return operations.perform(self.administration, name, arguments)
        operations.checked(name, arguments)
        follow = _AFTERWARDS.get(name)
        # Both change in one turn: where the front could not follow in time, a worker would have what nobody knows of.
        with contextlib.nullcontext() if follow is None or name in _APART else self.mirror.turn():
            target = self.mirror.target(arguments["tid"]).config.name
            result = self.fleet.ask(target, "perform", target, name, arguments)
            if follow is not None:
                follow(self.mirror, arguments)
        if follow is not None:
            self.administration.publish()
        return result
