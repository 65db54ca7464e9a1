"""Every combination of stages and flags in a Login Request, from every state of a login (RFC 7143 sections 6.3, 11.12).

The oracle is section 6.3's table of transitions, section 11.12.2 (T with C), and 11.12.3 (NSG means nothing without T).
"""

from __future__ import annotations

from itertools import product

import pytest

from ietpy.initiator.text import decode
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.pdu import CONTINUE, TRANSIT
from tests.adversarial.world import PLAIN, Attacker, Case, World, each, names

SECURITY, OPERATIONAL, FULL_FEATURE = 0, 1, 3
#: How each state is reached: the requests before the one in question, and the stage that is current then.
STATES: dict[str, tuple[tuple[int, ...], int | None]] = {
    "first": ((), None),
    "in security": ((SECURITY << 2,), SECURITY),
    "in operational": ((OPERATIONAL << 2,), OPERATIONAL),
    "in operational after security": ((TRANSIT | SECURITY << 2 | OPERATIONAL,), OPERATIONAL),
    "in security after a round": ((SECURITY << 2, SECURITY << 2), SECURITY),
}
#: Section 6.3's table.
STEPS = {(SECURITY, OPERATIONAL), (SECURITY, FULL_FEATURE), (OPERATIONAL, FULL_FEATURE)}


def allowed(current: int | None, transit: int, more: int, stage: int, following: int) -> bool:
    """What the RFC lets an initiator send."""
    if stage not in (SECURITY, OPERATIONAL) or (current is not None and stage != current):
        return False
    return not (transit and more) and (not transit or (stage, following) in STEPS)


def attack(attacker: Attacker, state: str, flags: int) -> None:
    before, current = STATES[state]
    for count, request in enumerate(before):
        attacker.say(request, names(PLAIN) if count == 0 else b"")
    transit, more, stage, following = flags & TRANSIT, flags & CONTINUE, flags >> 2 & 3, flags & 3
    text = b"" if before else names(PLAIN)
    if not allowed(current, transit, more, stage, following):
        attacker.send(attacker.login_request(flags, text))
        attacker.refused(LoginStatus.INITIATOR_ERROR)
        return
    pdu = attacker.say(flags, text)
    expected = TRANSIT | stage << 2 | following if transit else stage << 2
    assert pdu.header["flags"] == expected, str(pdu)
    assert bool(pdu.header["tsih"]) == bool(transit and following == FULL_FEATURE)
    if more:
        assert pdu.data == b""  # section 6.2: nothing but an empty answer until the text is whole
    elif not before:
        assert ("TargetPortalGroupTag", "1") in decode(pdu.data)  # section 13.9
    if transit and following == FULL_FEATURE:
        attacker.quiet()


CASES = [
    Case(
        f"{state}: CSG={stage} NSG={following} T={transit >> 7} C={more >> 6}",
        lambda attacker, state=state, flags=transit | more | stage << 2 | following: attack(attacker, state, flags),
    )
    for state, stage, following, transit, more in product(STATES, range(4), range(4), (0, TRANSIT), (0, CONTINUE))
]


@pytest.mark.rfc7143("6.2-1", "6.3-3", "6.3-5", "6.3-7", "11.12.2-1", "11.13.3-1", "11.13.6-2")
@each(CASES)
def test_stages(world: World, case: Case) -> None:
    world.run(case)


def test_every_combination_is_there() -> None:
    assert len(CASES) == len(STATES) * 64
