"""Histories of sessions whose views change while units come and go, against a model of what each may touch."""

from __future__ import annotations

import threading
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ietpy.iscsi.target import IscsiNode, TargetNode
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.view import EVERYTHING, View
from tests.iscsi.conftest import MemoryStore, Nexus

NAME = "iqn.2010-06.ServerName:desc"
NUMBERS = range(2)
NO_UNIT, PROTECTED, NEW_LUNS, NEW_MODE = 0x2500, 0x2700, 0x3F0E, 0x2A01
CONFLICT = -1

VIEWS = st.builds(
    View,
    st.sampled_from([None, {0: 0, 1: 1}, {0: 1, 1: 0}, {0: 0}, {0: 1}, {1: 0}, {1: 1}, {}]),
    st.sampled_from([None, frozenset(), frozenset({0}), frozenset({1})]),
)
SESSIONS = st.sampled_from([0, 1])
LUNS = st.sampled_from(NUMBERS)


class Views(RuleBasedStateMachine):
    """Two sessions of one target. ``content``: the byte a unit is full of, by number; ``holders``: who has reserved it,
    by which LUN; ``used``: LUNs by which a session has a nexus with a unit that is there, or was; ``begun``: by session
    the tags of a write that waits for its data, and its LUN; ``goes_to``: the unit it was begun for."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: dict[int, tuple[int, int, int]] = {}
        self.goes_to: dict[int, int] = {}
        self.node = IscsiNode(threading.RLock())
        self.device = ScsiDevice(NAME, threading.RLock())
        self.target = TargetNode(NAME, self.device)
        self.node.add(self.target)
        self.stores = {number: MemoryStore(8) for number in NUMBERS}
        self.content = dict.fromkeys(NUMBERS, 0)
        self.there: set[int] = set()
        self.holders: dict[int, tuple[int, int]] = {}
        self.sessions = [Nexus(self.node, self.target, isid=b"ISID0%d" % which) for which in (1, 2)]
        self.views = [EVERYTHING, EVERYTHING]
        self.used: list[dict[int, int]] = [{}, {}]
        for number in NUMBERS:
            self.come(number)

    # -- what changes ---------------------------------------------------------------------------------------------

    @rule(number=LUNS)
    def come(self, number: int) -> None:
        if number not in self.there:
            self.there.add(number)
            identity = iet_identity(NAME, number)
            store: Any = self.stores[number]
            self.device.add(number, LogicalUnit(store, identity, device=self.device, number=number, write_cache=True))

    @rule(number=LUNS)
    def go(self, number: int) -> None:
        if number in self.there:
            self.there.remove(number)
            self.device.remove(number)
            self.holders.pop(number, None)

    @rule(which=SESSIONS, view=VIEWS)
    def see(self, which: int, view: View) -> None:
        session = self.sessions[which].session
        kept = {lun: number for lun, number in self.used[which].items() if view.unit(lun) == number}
        for number, (holder, lun) in list(self.holders.items()):
            if holder == which and kept.get(lun) != number:
                del self.holders[number]
        with self.device.lock:
            session.see(view)
        if view.units != self.views[which].units:
            for lun, number in kept.items():
                if number in self.there and not session.nexus(lun << 48).barrier & 4:
                    assert NEW_LUNS in [each.asc for each in session.nexus(lun << 48).attentions]
        self.used[which], self.views[which] = kept, view

    # -- what initiators do ---------------------------------------------------------------------------------------

    def ask(self, which: int, lun: int, cdb: str, data: bytes = b"", read: int = 0) -> tuple[int, bytes]:
        """The additional sense code behind all unit attentions, 0 for GOOD, CONFLICT; and the data."""
        session = self.sessions[which]
        number = self.views[which].unit(lun)
        if number in self.there:
            self.used[which][lun] = number  # type: ignore[assignment]
        for _ in range(9):
            flags = 0xA0 if data else 0xC0 if read else 0x80
            answers = session.ask(session.command(cdb, data, flags=flags, expected=len(data) or read, lun=lun << 48))
            status, found = answers[-1].status, b"".join(each.data for each in answers if each.opcode == 0x25)
            if status != 2:
                return (CONFLICT if status == 0x18 else status), found
            sense = answers[-1].data[2:]
            if sense[2] & 0x0F != 6:
                break
        return sense[12] << 8 | sense[13], b""

    def expected(self, which: int, lun: int, writes: bool) -> int:
        number = self.views[which].unit(lun)
        if number not in self.there or number is None:
            return NO_UNIT
        if self.holders.get(number, (which, lun)) != (which, lun):
            return CONFLICT
        return PROTECTED if writes and not self.views[which].may_write(number) else 0

    @rule(which=SESSIONS, lun=LUNS)
    def read(self, which: int, lun: int) -> None:
        wanted = self.expected(which, lun, False)
        asc, data = self.ask(which, lun, "28 00 00000000 00 0001 00", read=512)
        assert asc == wanted
        if not wanted:
            assert set(data) == {self.content[self.views[which].unit(lun)]}  # type: ignore[index]

    @rule(which=SESSIONS, lun=LUNS, byte=st.integers(1, 255))
    def write(self, which: int, lun: int, byte: int) -> None:
        wanted = self.expected(which, lun, True)
        asc, _ = self.ask(which, lun, "2A 00 00000000 00 0008 00", bytes((byte,)) * 4096)
        assert asc == wanted
        if not wanted:
            self.content[self.views[which].unit(lun)] = byte  # type: ignore[index]

    @rule(which=SESSIONS, lun=LUNS)
    def begin(self, which: int, lun: int) -> None:
        """A write that is asked for its data."""
        if which not in self.begun and not self.expected(which, lun, True):
            self.ask(which, lun, "00 00 00 00 00 00")
            session = self.sessions[which]
            tag = session.tag
            (r2t,) = session.ask(session.write(0, 8, lun=lun << 48))
            self.begun[which] = tag, r2t.target_transfer_tag, lun
            self.goes_to[which] = self.used[which][lun]

    @rule(which=SESSIONS, byte=st.integers(1, 255))
    def finish(self, which: int, byte: int) -> None:
        """It is executed if its LUN leads where it led, and as if it came now."""
        if which not in self.begun:
            return
        tag, transfer_tag, lun = self.begun.pop(which)
        session = self.sessions[which]
        (answer,) = session.ask(session.data_out(tag, transfer_tag, bytes((byte,)) * 4096, 0, lun=lun << 48))
        sense = answer.data[2:]
        if answer.status == 0:
            assert self.expected(which, lun, True) == 0
            assert self.goes_to[which] == self.views[which].unit(lun)
            self.content[self.goes_to[which]] = byte
        elif answer.status == 2 and sense[2] & 0x0F != 6:
            assert sense[12] << 8 | sense[13] in (NO_UNIT, self.expected(which, lun, True))

    @rule(which=SESSIONS, lun=LUNS)
    def reserve(self, which: int, lun: int) -> None:
        wanted = self.expected(which, lun, False)
        assert self.ask(which, lun, "16 00 00 00 00 00")[0] == wanted
        if not wanted:
            self.holders[self.views[which].unit(lun)] = which, lun  # type: ignore[index]

    @rule(which=SESSIONS, lun=LUNS)
    def report(self, which: int, lun: int) -> None:
        """Whether there is a unit or not, and whoever has reserved it."""
        asc, data = self.ask(which, lun, "A0 00 00 000000 00000100 00 00", read=256)
        assert asc == 0
        luns = [data[place + 1] for place in range(8, len(data), 8)]
        assert luns == list(self.views[which].luns(self.device.logical_units))

    @invariant()
    def nothing_else_was_touched(self) -> None:
        for number, store in self.stores.items():
            assert set(store.data) == {self.content[number]}

    def teardown(self) -> None:
        for each in self.sessions:
            each.session.end()
        assert not any(unit.nexuses for unit in self.device.logical_units.values())


TestViews = Views.TestCase
TestViews.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
