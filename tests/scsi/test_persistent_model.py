"""Reservations of all kinds against a plain model of SPC-4 section 5.13, SPC-2 section 5.5.1 and SAM-5 section 5.14.

Three initiator ports send anything in any order; power may be lost at any moment. The model is written from the
standards and knows nothing of the code: it changes what it has, step by step.
"""

from __future__ import annotations

import errno
import threading
from typing import Any, Final

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ietpy.scsi.asc import Asc
from ietpy.scsi.nexus import RESERVED
from tests.scsi.conftest import CAPABLE, Disk, Kept, Memory
from tests.scsi.persistent_requests import (
    ACTIONS,
    APTPL,
    SPEC_I_PT,
    TYPES,
    UNREG,
    Cluster,
    move,
    naming,
    out,
    port,
)

NAMES: Final = "ABC"
POWER_ON: Final = "POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED"
GOOD, CONFLICT = 0, 0x18
READ, WRITE, TEST = "28 00 00000000 00 0001 00", "2A 00 00000000 00 0001 00", "00"


class PowerLoss(BaseException):
    """Nothing survives this but what was put."""


class Fragile(Kept):
    """``accident``: what happens at the next ``put``; ``forbidden``: nothing may be put now."""

    def __init__(self) -> None:
        super().__init__()
        self.accident = ""
        self.forbidden = False

    def put(self, section: str, value: Any) -> None:
        assert not self.forbidden, "that may wait for a device"
        accident, self.accident = self.accident, ""
        if accident == "before":
            raise PowerLoss
        self.fail = errno.EIO if accident == "error" else 0
        super().put(section, value)
        if accident == "after":
            raise PowerLoss


class Model:
    """One logical unit. Answers are GOOD, CONFLICT or the name of an additional sense code."""

    def __init__(self) -> None:
        self.keys: dict[str, int] = {}
        self.kind = ""
        self.holder = ""
        self.aptpl = False
        self.generation = 0
        self.reserved_by = ""  #: RESERVE
        self.attentions: dict[str, list[str]] = {name: [] for name in NAMES}

    def copy(self) -> Model:
        twin = Model()
        twin.__dict__.update(self.__dict__)
        twin.keys = dict(self.keys)
        twin.attentions = {name: list(pending) for name, pending in self.attentions.items()}
        return twin

    def is_holder(self, who: str) -> bool:
        """5.13.10"""
        if self.kind in ("WEAR", "EAAR"):
            return who in self.keys
        return self.kind != "" and self.holder == who

    def may(self, who: str, what: str) -> bool:
        """Table 65 and table 13 of SBC-3, for ``what`` read, write, or test."""
        if self.kind == "" or what == "test" or self.is_holder(who):
            return True
        if self.kind[2:] in ("RO", "AR") and who in self.keys:
            return True
        return what == "read" and self.kind.startswith("WE")

    def tell(self, whom: Any, what: str) -> None:
        for name in whom:
            if what not in self.attentions[name]:
                self.attentions[name].append(what)

    def admit(self, who: str, conflicts: bool) -> Any:
        """SAM-5 5.3.3: a reset is reported before a conflict, a conflict before other unit attentions."""
        pending = self.attentions[who]
        if POWER_ON in pending:
            pending.remove(POWER_ON)
            return POWER_ON
        if conflicts:
            return CONFLICT
        return pending.pop(0) if pending else None

    def elsewhere(self, who: str) -> bool:
        return self.reserved_by not in ("", who)

    def access(self, who: str, what: str) -> Any:
        answer = self.admit(who, self.elsewhere(who) or not self.may(who, what))
        return GOOD if answer is None else answer

    def reserve_6(self, who: str) -> Any:
        answer = self.admit(who, self.elsewhere(who) or not self.may(who, "write"))
        if answer is not None:
            return answer
        if self.keys:
            return GOOD if self.kind and self.may(who, "write") else CONFLICT
        self.reserved_by = who
        return GOOD

    def release_6(self, who: str) -> Any:
        answer = self.admit(who, False)
        if answer is not None:
            return answer
        if self.keys:
            return GOOD if self.kind and self.may(who, "write") else CONFLICT
        if self.reserved_by == who:
            self.reserved_by = ""
        return GOOD

    # PERSISTENT RESERVE OUT

    def ask(self, who: str, action: str, **fields: Any) -> Any:
        answer = self.admit(who, self.elsewhere(who))
        if answer is not None:
            return answer
        if self.reserved_by:
            return CONFLICT
        if who not in self.keys and action not in ("register", "ignore"):
            return CONFLICT
        return getattr(self, f"do_{action}")(who, **fields)

    def drop(self, name: str) -> bool:
        """Remove a registration (table 71); whether a reservation was released with it."""
        del self.keys[name]
        if self.kind in ("WEAR", "EAAR"):
            released = not self.keys
        else:
            released = self.kind != "" and self.holder == name
        if released:
            self.kind = self.holder = ""
        return released

    def do_register(self, who: str, rk: int, sark: int, aptpl: bool, named: str | None, **_: Any) -> Any:
        if rk != self.keys.get(who, 0):
            return CONFLICT
        if who in self.keys and named is not None:
            return "INVALID_FIELD_IN_PARAMETER_LIST"
        return self.enrol(who, sark, aptpl, named)

    def do_ignore(self, who: str, rk: int, sark: int, aptpl: bool, named: str | None, **_: Any) -> Any:
        if named is not None:
            return "INVALID_FIELD_IN_PARAMETER_LIST"
        return self.enrol(who, sark, aptpl, None)

    def enrol(self, who: str, sark: int, aptpl: bool, named: str | None) -> Any:
        if sark == 0:
            if who in self.keys:
                ro = self.kind in ("WERO", "EARO")
                if self.drop(who) and ro:
                    self.tell(self.keys, "RESERVATIONS_RELEASED")
                self.aptpl = aptpl
                self.generation += 1
            return GOOD
        if any(name in self.keys and name != who for name in named or ""):
            return "INVALID_FIELD_IN_PARAMETER_LIST"
        for name in who + (named or ""):
            self.keys[name] = sark
        self.aptpl = aptpl
        self.generation += 1
        return GOOD

    def do_reserve(self, who: str, rk: int, kind: str, named: str | None, **_: Any) -> Any:
        if rk != self.keys[who]:
            return CONFLICT
        if self.kind and not self.is_holder(who):
            return CONFLICT
        if named is not None:
            return "INVALID_FIELD_IN_PARAMETER_LIST"
        if kind == "":
            return "INVALID_FIELD_IN_CDB"
        if self.kind:
            return GOOD if kind == self.kind else CONFLICT
        self.kind, self.holder = kind, who
        return GOOD

    def do_release(self, who: str, rk: int, kind: str, named: str | None, **_: Any) -> Any:
        if rk != self.keys[who]:
            return CONFLICT
        if named is not None:
            return "INVALID_FIELD_IN_PARAMETER_LIST"
        if not self.is_holder(who):
            return GOOD
        if kind != self.kind:
            return "INVALID_RELEASE_OF_PERSISTENT_RESERVATION"
        if kind not in ("WE", "EA"):
            self.tell([name for name in self.keys if name != who], "RESERVATIONS_RELEASED")
        self.kind = self.holder = ""
        return GOOD

    def do_clear(self, who: str, rk: int, named: str | None, **_: Any) -> Any:
        if rk != self.keys[who]:
            return CONFLICT
        if named is not None:
            return "INVALID_FIELD_IN_PARAMETER_LIST"
        self.tell([name for name in self.keys if name != who], "RESERVATIONS_PREEMPTED")
        self.keys = {}
        self.kind = self.holder = ""
        self.generation += 1
        return GOOD

    def do_preempt(self, who: str, rk: int, sark: int, kind: str, named: str | None, **_: Any) -> Any:
        """Figure 9 and table 72."""
        if rk != self.keys[who]:
            return CONFLICT
        if named is not None:
            return "INVALID_FIELD_IN_PARAMETER_LIST"
        all_registrants = self.kind in ("WEAR", "EAAR")
        if self.kind and sark == 0 and not all_registrants:
            return "INVALID_FIELD_IN_PARAMETER_LIST"
        if all_registrants and sark == 0:
            replaces, losers = True, [name for name in self.keys if name != who]
        else:
            same = [name for name, key in self.keys.items() if key == sark]
            if not same:
                return CONFLICT
            replaces = self.kind != "" and not all_registrants and self.holder in same
            losers = [name for name in same if name != who] if replaces else same
        if replaces and kind == "":
            return "INVALID_FIELD_IN_CDB"
        before = self.kind
        for name in losers:
            self.drop(name)
        if replaces:
            self.kind, self.holder = kind, who
            if kind != before:
                self.tell([name for name in self.keys if name != who], "RESERVATIONS_RELEASED")
        self.tell([name for name in losers if name != who], "REGISTRATIONS_PREEMPTED")
        self.generation += 1
        return GOOD

    do_abort = do_preempt

    def do_move(self, who: str, rk: int, sark: int, aptpl: bool, to: str, unregister: bool, **_: Any) -> Any:
        """Table 70"""
        if self.kind and (self.kind in ("WEAR", "EAAR") or self.holder != who):
            return CONFLICT
        if rk != self.keys[who]:
            return CONFLICT
        if not self.kind:
            return "INVALID_FIELD_IN_CDB"
        if sark == 0 or to == who:
            return "INVALID_FIELD_IN_PARAMETER_LIST"
        self.keys[to] = sark
        self.holder = to
        if unregister:
            del self.keys[who]
        self.aptpl = aptpl
        self.generation += 1
        return GOOD

    # Events

    def lose_nexus(self, who: str) -> None:
        self.attentions[who] = [POWER_ON]
        if self.reserved_by == who:
            self.reserved_by = ""

    def reset(self) -> None:
        self.reserved_by = ""
        self.tell(NAMES, POWER_ON)

    def lose_power(self) -> None:
        if not self.aptpl:
            self.keys = {}
            self.kind = self.holder = ""
        self.generation = 0
        self.reserved_by = ""
        self.attentions = {name: [] for name in NAMES}

    def kept(self) -> Any:
        """What a loss of power must find (5.13.5.1)."""
        return [*self.keys.items()], self.kind, "" if self.kind.endswith("AR") else self.holder, self.aptpl

    def describe(self) -> str:
        words = [f"{name}={key}" for name, key in self.keys.items()]
        if self.kind:
            words += ["|", self.kind, str(0 if self.kind.endswith("AR") else self.keys[self.holder])]
        return " ".join(words)


def make_disk(**options: Any) -> Disk:
    return Disk(Memory(1 << 16, CAPABLE), **options)


who = st.sampled_from(NAMES)
#: Mostly the right key; else one that somebody has, or none.
keys = st.sampled_from(["own", "own", "own", "own", 0, 1, 2])
names = st.sampled_from([None] * 6 + ["", "A", "B", "C", "AB", "BC", "ABC"])
accidents = st.sampled_from([""] * 12 + ["error", "before", "after"])


class Reservations(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.state = Fragile()
        self.model = Model()
        self.cluster = Cluster(make_disk, NAMES, state=self.state)

    @initialize(
        lock=st.booleans(), own=st.lists(st.integers(0, 2), min_size=3, max_size=3), aptpl=st.booleans(),
        holder=who, kind=st.sampled_from(["", *TYPES]),
    )
    def begin(self, lock: bool, own: list[int], aptpl: bool, holder: str, kind: str) -> None:
        """With some registrations and perhaps a reservation."""
        if lock:
            self.cluster.disk.device.keeping = threading.Lock()
        for name, key in zip(NAMES, own, strict=True):
            self.send(name, "register", rk=0, sark=key, aptpl=aptpl)
        if kind:
            self.send(holder, "reserve", rk=self.model.keys.get(holder, 0), kind=kind)

    def answer(self, name: str, cdb: str, data: bytes = b"", waiting: bool = True) -> Any:
        """What the disk says; tried where it must not wait, first, unless ``waiting``."""
        disk, nexus = self.cluster.disk, self.cluster.nexuses[name]
        if not waiting:
            before = disk.lu.persistent.now
            task = disk.task(cdb, data, nexus, may_block=False)
            self.state.forbidden = True
            done = disk.lu.execute(task)
            self.state.forbidden = False
            if done:
                return self.named(task)
            assert disk.lu.persistent.now is before
        task = disk.task(cdb, data, nexus)
        assert disk.lu.execute(task)
        return self.named(task)

    @staticmethod
    def named(task: Any) -> Any:
        return Asc(task.sense[12] << 8 | task.sense[13]).name if task.status == 2 else task.status

    def send(self, name: str, action: str, *, waiting: bool = True, accident: str = "", **given: Any) -> None:
        """One PERSISTENT RESERVE OUT; ``accident``: what happens if it puts something."""
        defaults = {"sark": 0, "kind": "", "aptpl": self.model.aptpl, "named": None, "to": "A", "unregister": False}
        fields: dict[str, Any] = {**defaults, **given}
        expected = self.model.copy()
        answer = expected.ask(name, action, **fields)
        puts = (expected.aptpl or self.model.aptpl) and expected.kept() != self.model.kept()
        self.state.accident = accident
        try:
            found = self.answer(name, *self.request(action, fields), waiting)
        except PowerLoss:
            assert puts
            if accident == "after":
                self.model = expected
            self.restart()
            return
        finally:
            self.state.accident = ""
        if puts and accident == "error":
            assert found == "INTERNAL_TARGET_FAILURE"
            return
        assert not (puts and accident)
        self.model = expected
        assert found == answer

    def request(self, action: str, fields: dict[str, Any]) -> tuple[str, bytes]:
        if action == "move":
            flags = (APTPL if fields["aptpl"] else 0) | (UNREG if fields["unregister"] else 0)
            return move(fields["rk"], fields["sark"], port(fields["to"]), flags)
        flags, extra = (APTPL if fields["aptpl"] else 0), b""
        if fields["named"] is not None:
            flags, extra = flags | SPEC_I_PT, naming(*map(port, fields["named"]))
        return out(action, fields["rk"], fields["sark"], TYPES.get(fields["kind"], 0), flags, extra)

    def settle(self, name: str) -> None:
        """Have everything pending reported, unless another's RESERVE is reported first."""
        for _ in range(len(self.model.attentions[name])):
            assert self.answer(name, TEST) == self.model.access(name, "test")

    # What initiators do

    @rule(name=who, action=st.sampled_from(sorted(ACTIONS)), rk=keys, sark=st.integers(0, 4),
          kind=st.sampled_from([*TYPES, ""]), aptpl=st.booleans(), named=names, to=who, unregister=st.booleans(),
          waiting=st.booleans(), accident=accidents)
    def anything(
        self, name: str, action: str, rk: Any, sark: int, kind: str, aptpl: bool, named: str | None, to: str,
        unregister: bool, waiting: bool, accident: str,
    ) -> None:
        rk = self.model.keys.get(name, 0) if rk == "own" else rk
        self.send(
            name, action, rk=rk, sark=sark, kind=kind, aptpl=aptpl, named=named, to=to, unregister=unregister,
            waiting=waiting, accident=accident,
        )

    @rule(name=who, sark=st.integers(1, 3), named=names, waiting=st.booleans(), accident=accidents)
    def register(self, name: str, sark: int, named: str | None, waiting: bool, accident: str) -> None:
        self.settle(name)
        named = None if name in self.model.keys else named
        rk = self.model.keys.get(name, 0)
        self.send(name, "register", rk=rk, sark=sark, named=named, waiting=waiting, accident=accident)

    def manage(self, action: str, data: st.DataObject, **given: Any) -> None:
        """What is right, or nearly: by a registered port with its key, about a key and a type that are there."""
        model = self.model
        if not model.keys:
            return
        name = data.draw(st.sampled_from(sorted(model.keys)))
        self.settle(name)
        kind = model.kind if model.kind and data.draw(st.integers(0, 3)) else data.draw(st.sampled_from([*TYPES]))
        self.send(
            name, action, rk=model.keys[name], kind=kind, waiting=data.draw(st.booleans()),
            accident=data.draw(accidents), **given,
        )

    @rule(data=st.data(), action=st.sampled_from(["reserve", "reserve", "release"]))
    def use(self, data: st.DataObject, action: str) -> None:
        self.manage(action, data)

    @rule(data=st.data(), action=st.sampled_from(["preempt", "abort"]))
    def preempt(self, data: st.DataObject, action: str) -> None:
        self.manage(action, data, sark=data.draw(st.sampled_from([*self.model.keys.values(), 0])))

    @rule(data=st.data(), to=who, unregister=st.booleans())
    def move(self, data: st.DataObject, to: str, unregister: bool) -> None:
        sark = data.draw(st.sampled_from([1, 2, 3, 3, 3, 0]))
        self.manage("move", data, sark=sark, to=to, unregister=unregister, aptpl=data.draw(st.booleans()))

    @rule(data=st.data(), action=st.sampled_from(["register", "register", "clear"]))
    def leave(self, data: st.DataObject, action: str) -> None:
        self.manage(action, data)

    @rule(name=who, what=st.sampled_from(["read", "write", "test"]), waiting=st.booleans())
    def access(self, name: str, what: str, waiting: bool) -> None:
        cdb, data = {"read": (READ, b""), "write": (WRITE, bytes(512)), "test": (TEST, b"")}[what]
        assert self.answer(name, cdb, data, waiting) == self.model.access(name, what)

    @rule(name=who, cdb=st.sampled_from(["16", "56", "17", "57"]))
    def reserve_or_release(self, name: str, cdb: str) -> None:
        asked = self.model.reserve_6 if cdb in ("16", "56") else self.model.release_6
        assert self.answer(name, cdb, waiting=False) == asked(name)

    # What happens to them

    @rule(name=who, event=st.sampled_from(["", "", "", "login", "login", "reset", "power"]))
    def disturb(self, name: str, event: str) -> None:
        if event == "login":
            self.cluster.disk.lu.detach(self.cluster.nexuses[name])
            self.cluster.nexuses[name] = self.cluster.disk.device.nexus(0, port(name))
            self.model.lose_nexus(name)
        elif event == "reset":
            self.cluster.disk.lu.reset()
            self.model.reset()
        elif event == "power":
            self.restart()

    def restart(self) -> None:
        keeping = self.cluster.disk.device.keeping
        self.cluster = Cluster(make_disk, NAMES, state=self.state)
        self.cluster.disk.device.keeping = keeping
        self.model.lose_power()

    # What must hold then

    @invariant()
    def as_the_model_says(self) -> None:
        model, lu = self.model, self.cluster.disk.lu
        for name, nexus in self.cluster.nexuses.items():  # before a nexus comes to look at the state
            free = not model.elsewhere(name) and model.may(name, "write")
            assert bool(nexus.barrier & RESERVED) is not free
        assert self.cluster.pending() == {name: told for name, told in model.attentions.items() if told}
        assert (lu.holder is None) == (model.reserved_by == "")
        if model.reserved_by:
            assert lu.holder is self.cluster.nexuses[model.reserved_by]
            assert model.keys == {}
            assert lu.persistent.now.registrations == {}
        else:
            assert self.cluster.state() == model.describe()
            assert self.cluster.generation == model.generation
            assert self.cluster.capabilities[3] & 1 == model.aptpl
        assert (self.state.get("reservations") is not None) == model.aptpl


TestReservations = Reservations.TestCase
TestReservations.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
