"""A whole configuration taken over by an ``Inventory`` that serves another one: what goes, what changes, what comes."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ietpy.config.model import Configuration, TargetConfig, replaces
from ietpy.daemon import sizes
from ietpy.daemon.assemble import accounts, discovery_accounts, follow
from ietpy.errors import AdminError

if TYPE_CHECKING:
    from ietpy.daemon.inventory import Inventory
    from ietpy.daemon.served import ServedTarget

#: Seconds to wait until what goes is let go, all in all; for each target it is ``inventory.PATIENCE`` at most.
PATIENCE: Final = 10.0


def apply(inventory: Inventory, new: Configuration) -> list[str]:
    """Serve what ``new`` says; what could not be done, in sentences. Who calls has the turn.

    Sessions of what stays go on, and redirections hold, of which no file knows. A target that is no longer in the
    file but in use is kept. At no time may anybody do what neither the old nor the new file allows.
    """
    until = time.monotonic() + PATIENCE
    kept = _remove_missing(inventory, new)
    still = {target.config.name.lower(): target for target in inventory.all()}
    inventory.configuration = replace(new, targets=tuple(target.config for target in still.values()))
    inventory.rules.begin(new)
    if inventory.node.discovery != discovery_accounts(new):  # while some targets follow the old file, and some the new
        inventory.node.let_discover(accounts((), None, "the configuration is being read; try again"))
    inventory.units.expect(new.served_luns)
    for config in new.targets:
        served = still.get(config.name.lower())
        if served is None:
            inventory.put(config, 0)
        elif served.config.name == config.name and not config.closed:
            _update(inventory, served, config, until)
    order = {target.name.lower(): index for index, target in enumerate(new.targets)}
    inventory.configuration = replace(inventory.configuration, targets=tuple(sorted(
        inventory.configuration.targets, key=lambda target: order.get(target.name.lower(), len(order))
    )))
    inventory.rules.settle(new)
    for target in inventory.all():
        follow(target.node, target.config, inventory.rules.of(target.config), new.portal_groups)
    inventory.follow_discovery()
    sizes.follow(inventory.all(), inventory.media)
    inventory.units.look()
    return kept


def _remove_missing(inventory: Inventory, new: Configuration) -> list[str]:
    """Remove the targets that ``new`` does not serve; which are in use, and so kept, in sentences."""
    kept = []
    wanted = {target.name: target for target in new.targets}
    going: list[threading.Event] = []
    for target in inventory.all():
        config = wanted.get(target.config.name)
        if config is not None and not config.closed:
            continue
        try:
            going += inventory.drop(target)
        except AdminError as busy:
            name = target.config.name
            how = "or have its initiators log out with ietadm --op delete --force"
            kept.append(f"{name} is not in the file as one to be served, and is still in use: {busy}, {how}")
            if config is not None:
                inventory.alter(target, replace(target.config, closed=config.closed))
    inventory.wait_for(going)
    return kept


def _update(inventory: Inventory, target: ServedTarget, config: TargetConfig, until: float) -> None:
    """Make a target what a file says now: units go, then the rules change, then units come."""
    wanted = {lun.number: lun for lun in config.luns}
    changed = [
        number for number, served in target.units.items()
        if number not in wanted or replaces(served.config, wanted[number])
    ]
    going = [inventory.units.withdraw(target, number) for number in changed]
    for number, unit in target.units.items():
        inventory.units.moved(unit, wanted[number])
    inventory.alter(target, config)
    inventory.wait_for(going, until)
    for lun in config.luns:
        if lun.number not in target.units:
            inventory.units.attempt(target, lun)
