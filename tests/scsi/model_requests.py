"""Steps for ``model_world``, chosen at random: a command by somebody to somewhere, an event, or the setup."""

from __future__ import annotations

from typing import Any, Final

from tests.scsi.model import Nexus, Options
from tests.scsi.model_makers import COMMANDS, Chooser
from tests.scsi.model_world import AT_ONCE, COPIES, EARLY, NOT_WAITING, PORTS, READY

#: Sizes of both media, in bytes: more than READ(6) can move, and little.
SIZES: Final = ((160 << 10, 136 << 10), (64 << 10, 48 << 10, 80 << 10))
NOWHERE: Final = (0, 7)
#: (device, LUN, medium) of units that come and go.
MOVABLE: Final = ((0, 1, 1), (0, 300, 1), (0, 0, 0))


def place(c: Chooser, who: str) -> tuple[int, int]:
    """The device and LUN of a unit; where one was that this initiator has used; or where none is."""
    devices = c.model.devices
    places = [(device.index, lun) for device in devices for lun in device.units]
    places += [(device.index, lun) for device in devices for lun in c.model.sessions.get((PORTS[who], device.index), ())
               if lun not in device.units]
    return NOWHERE if c.rarely(32) or not places else c.pick(places)


def is_predictable(cdb: bytes) -> bool:
    """Whether the model says all that the answer would: nothing about timeouts, lists of commands or statistics."""
    if cdb[0] == 0xA3 and cdb[1] & 0x1F == 0x0C:
        return not cdb[2] & 0x80 and (cdb[2] & 7 != 0 or cdb[6:10] == b"\0\0\0\4")
    if cdb[0] == 0x4C:
        return False
    return cdb[0] != 0x4D or cdb[2] & 0x3F != 0x19 or cdb[7:9] == b"\0\4"


def command(c: Chooser, group: str) -> list[Any]:
    who = c.pick("ABABC")
    index, lun = place(c, who)
    nexus = c.model.sessions.get((PORTS[who], index), {}).get(lun) or Nexus(PORTS[who])
    unit = c.model.devices[index].units.get(lun)
    cdb, recipe = c.pick(COMMANDS[group])(c, unit, nexus)
    odd = c.below(64)
    attribute = 1
    fault = ""
    if odd > 58:
        attribute = c.pick((0, 2, 3, 1, 2, 3, 0, 4))
    elif odd > 52:
        bit = c.below(len(cdb) * 8)
        changed = bytearray(cdb)
        changed[bit // 8] ^= 1 << bit % 8
        if is_predictable(changed):
            cdb = bytes(changed)
    elif odd > 50 and recipe:
        recipe += f"+k:{c.pick((0, 1, 100, 511, 512, 513, 1024, 4096))}"
    elif odd == 50 and recipe:
        recipe += f"+z:{c.pick((1, 512, 1024, 4096))}"
    elif odd > 47:
        fault = c.pick(("state", "EIO", "ENOSPC"))
    way = c.pick((AT_ONCE, NOT_WAITING, EARLY, NOT_WAITING))
    luck = c.pick((READY | COPIES, READY, COPIES, READY | COPIES))
    return ["command", who, index, lun, cdb.hex(), recipe, way, luck, attribute, fault]


def event(c: Chooser) -> list[Any]:
    kind = c.below(24)
    model = c.model
    missing = [each for each in MOVABLE if each[1] not in model.devices[each[0]].units]
    if model.jobs and kind < 8:
        return ["work", c.pick(("", "", "", "EIO", "state"))]
    if len(missing) == len(MOVABLE) or (missing and kind < len(missing)):
        return ["add", *c.pick(missing), options(c)]
    if kind < 6:
        return ["login", c.pick("ABC"), c.pick((0, 0, 1))]
    if kind < 9:
        return ["reset_nexus", c.pick("ABC"), c.pick((0, 0, 1))]
    if kind < 15:
        device = c.pick([device for device in model.devices if device.units])
        return ["reset", device.index, c.pick(list(device.units))]
    if kind < 17:
        medium = c.below(2)
        if not any(unit.operation for unit in model.units_over(model.media[medium])):
            return ["resize", medium, c.pick(SIZES[medium])]
    if kind < 20:
        index, lun, _ = c.pick([each for each in MOVABLE if each not in missing])
        return ["remove", index, lun]
    return ["lose_power"]


def options(c: Chooser) -> list[Any]:
    return list(Options(
        block=c.pick((512, 512, 1024, 4096)), read_only=c.rarely(12), write_cache=bool(c.below(2)),
        removable=bool(c.below(2)), keeps=not c.rarely(3), variant=c.below(2),
    ))


def setup(c: Chooser) -> list[Any]:
    thin = [c.pick(("zeros", "zeros", "free", "")), c.pick(("free", "zeros", ""))]
    media = [[SIZES[medium][0], thin[medium], not c.rarely(4)] for medium in range(2)]
    units = [[0, 0, 0], [0, 1, 1], [1, 0, 0], [0, 300, 1]]
    return ["setup", media, [[*each, options(c)] for each in units[:c.pick((1, 2, 1, 3, 4))]]]
