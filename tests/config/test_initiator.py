"""Initiator lines: the same in every mode, nothing guessed, and a mistake admits nobody."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ietpy.config.findings import MODES
from ietpy.config.initiator import ANYBODY, rendered
from ietpy.config.load import loads
from ietpy.config.model import InitiatorConfig, LunMapping, meaning
from ietpy.config.options import INITIATOR_PARAMETERS
from ietpy.config.writer import rewrite
from ietpy.errors import Span

NAME = "iqn.1993-08.org.debian:01:abc"
PLACE = Span("f", 1, 1)


def line(name: str = NAME, **said: Any) -> InitiatorConfig:
    said["addresses"] = tuple(map(ip_network, said.get("addresses", ())))
    if "luns" in said:
        said["luns"] = tuple(LunMapping(*each) for each in said["luns"])
    return InitiatorConfig(name, PLACE, **said)


CLOSED = line(ANYBODY, closed=True)
SHUT = line(closed=True)


@dataclass(frozen=True)
class Case:
    """What stands behind ``Initiator``, what it means, and at which columns something is found."""

    text: str
    means: InitiatorConfig
    columns: tuple[int, ...] = ()


CASES = {
    # -- valid
    "a name": Case(NAME, line()),
    "everybody": Case("*", line("*")),
    "a pattern": Case("iqn.1993-08.*:01:*", line("iqn.1993-08.*:01:*")),
    "eui": Case("eui.02004567A425678D", line("eui.02004567A425678D")),
    "what is no ASCII": Case("iqn.2001-04.com.example:büro", line("iqn.2001-04.com.example:büro")),
    "an address": Case(f"{NAME} Address=192.0.2.7", line(addresses=["192.0.2.7"])),
    "networks": Case(
        f"{NAME} Address=192.0.2.0/24,2001:db8::/64,[fe80::1],192.0.2.0/255.255.255.0",
        line(addresses=["192.0.2.0/24", "2001:db8::/64", "fe80::1", "192.0.2.0/24"]),
    ),
    "a LUN": Case(f"{NAME} Luns=0", line(luns=[(0, 0)])),
    "LUNs": Case(
        f"{NAME} Luns=3,0-1/ro,7:12,4-5:10-11/ro",
        line(luns=[(3, 3), (0, 0, True), (1, 1, True), (7, 12), (4, 10, True), (5, 11, True)]),
    ),
    "the highest": Case(f"{NAME} Luns=16383:0", line(luns=[(16383, 0)])),
    "portal groups": Case(f"{NAME} PortalGroup=1,65535", line(portal_groups=(1, 65535))),
    "turned away": Case(f"{NAME} Mode=none", line(denies=True)),
    "without CHAP": Case(f"{NAME} AuthMethod=None", line(free=True)),
    "by CHAP": Case(f"{NAME} AuthMethod=CHAP,User=joe", line(user="joe")),
    "a user without CHAP": Case(f"{NAME} User=joe,AuthMethod=None", line(user="joe", free=True, closed=True), (1,)),
    "a mode": Case(f"{NAME} Mode=ro", line(read_only=True)),
    "the usual mode": Case(f"{NAME} Mode=rw", line()),
    "a user": Case(f"{NAME} User=a=b", line(user="a=b")),
    "all": Case(
        f"{NAME} Address=192.0.2.7,Luns=0,1,Mode=ro,User=joe",
        line(addresses=["192.0.2.7"], luns=[(0, 0), (1, 1)], read_only=True, user="joe"),
    ),
    "blanks and letter case": Case(f"{NAME}\t address = 192.0.2.7 , LUNS=0 ,1\r", line(
        addresses=["192.0.2.7"], luns=[(0, 0), (1, 1)]
    )),
    "empty items": Case(f"{NAME} ,,Mode=ro,", line(read_only=True)),
    "a comment": Case(f"{NAME} Mode=ro # not yet: ,User=joe", line(read_only=True)),
    # -- mistakes
    "nothing": Case("", CLOSED, (1,)),
    "only a comment": Case("# who?", CLOSED, (1,)),
    "ALL": Case("ALL", CLOSED, (11,)),
    "an address alone": Case("192.0.2.7", CLOSED, (11,)),
    "a network alone": Case("192.0.2.0/24", CLOSED, (11,)),
    "an IPv6 address alone": Case("2001:db8::/64", CLOSED, (11,)),
    "an expression": Case("iqn\\..*", CLOSED, (11,)),
    "several names": Case("iqn.a,iqn.b", CLOSED, (11,)),
    "a parameter for a name": Case("Mode=ro", CLOSED, (11,)),
    "an unknown parameter": Case(f"{NAME} Color=red", SHUT, (41,)),
    "a word": Case(f"{NAME} ro", SHUT, (41,)),
    "a word behind a parameter that takes one": Case(f"{NAME} User=joe,jim", line(user="joe", closed=True), (50,)),
    "a parameter twice": Case(f"{NAME} Mode=rw,Mode=ro", SHUT, (49,)),
    "a list twice": Case(f"{NAME} Luns=0,Luns=1", line(luns=[(0, 0)], closed=True), (48,)),
    "no address": Case(f"{NAME} Address=", SHUT, (41,)),
    "a host name": Case(f"{NAME} Address=host", SHUT, (41,)),
    "bits of a host": Case(f"{NAME} Address=192.0.2.7/24", SHUT, (41,)),
    "zeros in front": Case(f"{NAME} Address=192.0.2.07", SHUT, (41,)),
    "a zone": Case(f"{NAME} Address=fe80::1%eth0/64", SHUT, (41,)),
    "brackets around IPv4": Case(f"{NAME} Address=[192.0.2.7]", SHUT, (41,)),
    "no portal group": Case(f"{NAME} PortalGroup=0", SHUT, (41,)),
    "no LUNs": Case(f"{NAME} Luns=", line(luns=[], closed=True), (41,)),
    "LUNs in words": Case(f"{NAME} Luns=all", line(luns=[], closed=True), (41,)),
    "a range that goes down": Case(f"{NAME} Luns=3-1", line(luns=[], closed=True), (41,)),
    "ranges that differ": Case(f"{NAME} Luns=0-3:10-12", line(luns=[], closed=True), (41,)),
    "too high a number": Case(f"{NAME} Luns=16384", line(luns=[], closed=True), (41,)),
    "too high a number of the target": Case(f"{NAME} Luns=0:16384", line(luns=[], closed=True), (41,)),
    "digits of another script": Case(f"{NAME} Luns=\u0663", line(luns=[], closed=True), (41,)),
    "a number twice": Case(f"{NAME} Luns=0,0:1", line(luns=[(0, 0)], closed=True), (48,)),
    "a LUN of the target twice": Case(f"{NAME} Luns=0,1:0", line(luns=[(0, 0)], closed=True), (48,)),
    "an unknown mode": Case(f"{NAME} Mode=RO", SHUT, (41,)),
    "no user": Case(f"{NAME} User=", SHUT, (41,)),
    "a missing comma": Case(f"{NAME} User=joe Mode=ro", line(user="joe Mode=ro", closed=True), (41,)),
    "a missing comma in a list": Case(f"{NAME} Luns=0 Mode=ro", line(luns=[], closed=True), (41,)),
    "two mistakes": Case(f"{NAME} Mode=x,Address=y", SHUT, (41, 48)),
    "what nobody reads": Case(f"{NAME}\0 Mode=ro", SHUT, (1, 1)),
    "too long a line": Case(f"{NAME} Luns=0 {' ' * 4100}# Mode=ro", line(luns=[(0, 0)], closed=True), (1, 1)),
}


@pytest.mark.parametrize("mode", ["repair", "strict"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_lines(case: Case, mode: str) -> None:
    text = f"Target t\n{''.join(f'Lun {number} Type=nullio' + chr(10) for number in range(13))}"
    text += f"Lun 16383 Type=nullio\nIncomingUser joe s\nIncomingUser a=b s\nInitiator {case.text}\n"
    configuration = loads(text, "f", mode)
    (found,) = configuration.targets[0].initiators
    about = [one for one in configuration.diagnostics if not one.code.startswith("initiator-without")]
    assert found == case.means
    assert found.span.line == text.count("\n")
    columns = [one.span.column for one in about if one.code == "initiator-line"]
    assert len(about) == len(case.columns)
    assert tuple(columns) == case.columns[-len(columns):] if columns else not case.columns
    assert found.closed is bool(case.columns)


@pytest.mark.parametrize("case", [case for case in CASES.values() if len(case.text) < 4000], ids=lambda case: case.text)
def test_every_mode_reads_the_same(case: Case) -> None:
    text = f"Target t\nInitiator {case.text}\n"
    found = {mode: loads(text, "f", mode).targets[0].initiators for mode in MODES}
    assert len(set(map(str, found.values()))) == 1
    severities = {one.severity for one in loads(text, "f", "iet").diagnostics}
    assert severities <= {"warning"}


def test_iet_cut_a_long_line() -> None:
    """Then the end of the line may have said that nobody shall write."""
    (target,) = loads(f"Target t\nInitiator * Luns=0{' ' * 4100},Mode=ro\n", "f", "iet").targets
    assert target.initiators[0].closed


def test_the_message_says_what_was_meant() -> None:
    (one,) = loads(f"Target t\nInitiator {NAME} Adress=192.0.2.7\n", "f").diagnostics
    assert str(one) == (
        "f:2:41: error: 'Adress' is no parameter of an Initiator line; the line admits nobody; did you mean Address?;"
        " IET: has no such keyword and ignored the line"
    )


@pytest.mark.parametrize(("text", "admitted"), [
    ("Target t\nInitiator iqn.x\nTarget u\n", {"t": ["iqn.x"], "u": []}),
    ("Initiator iqn.x\nTarget t\nTarget u\nInitiator iqn.y\n", {"t": ["iqn.x"], "u": ["iqn.y"]}),
    ("Target t\nInitiator iqn.x\nInitiator iqn.y\n", {"t": ["iqn.x", "iqn.y"]}),
    ("Target t\nTarget T\nInitiator iqn.x\n", {"t": ["iqn.x"]}),
    ("Target t\nTargt u\nInitiator iqn.x\n", {"t": []}),
    ("Target t\nTarget\nInitiator iqn.x\n", {"t": []}),
])
@pytest.mark.parametrize("mode", MODES)
def test_whose_they_are(text: str, admitted: dict[str, list[str]], mode: str) -> None:
    """In a second block of a target, which IET read for accounts alone, too; below one that is none: nobody's."""
    if mode != "repair" and "Targt" in text:
        admitted = {"t": ["iqn.x"]}
    found = loads(text, "f", mode).targets
    assert {target.name: [each.name for each in target.initiators] for target in found} == admitted


def test_tgts_words_in_a_second_block_stay_unread_by_iet() -> None:
    (target,) = loads("Target t\nTarget T\ninitiator-name iqn.x\n", "f", "iet").targets
    assert (target.initiator_names, target.initiators) == ((), ())


@pytest.mark.parametrize("keyword", ["Initiator=", "Initiator = ", "Initator ", "initiators "])
def test_a_keyword_written_otherwise(keyword: str) -> None:
    (target,) = loads(f"Target t\n{keyword}iqn.x\n", "f").targets
    assert [each.name for each in target.initiators] == ["iqn.x"]


# -- back to text -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("said", "text"), [
    (line(), f"Initiator {NAME}"),
    (line("*", read_only=True), "Initiator * Mode=ro"),
    (line("*", free=True), "Initiator * AuthMethod=None"),
    (line("*", portal_groups=(2, 3), denies=True), "Initiator * PortalGroup=2,3,Mode=none"),
    (
        line(addresses=["192.0.2.7", "2001:db8::/64", "::1"], user="joe"),
        f"Initiator {NAME} Address=192.0.2.7,2001:db8::/64,::1,User=joe",
    ),
    (
        line(luns=[(0, 0), (1, 1), (2, 2, True), (3, 3, True), (4, 9), (5, 10), (7, 0x3FFF, True)]),
        f"Initiator {NAME} Luns=0-1,2-3/ro,4-5:9-10,7:16383/ro",
    ),
])
def test_rendered(said: InitiatorConfig, text: str) -> None:
    assert rendered(said) == text


_NETWORKS = st.one_of(
    st.ip_addresses().filter(lambda each: getattr(each, "ipv4_mapped", None) is None).map(ip_network),
    st.sampled_from(["0.0.0.0/0", "192.0.2.0/24", "::/0"]).map(ip_network)
)
_SOME_LUNS = st.lists(
    st.builds(LunMapping, st.integers(0, 0x3FFF), st.integers(0, 0x3FFF), st.booleans()), min_size=1, max_size=9,
    unique_by=(lambda each: each.lun, lambda each: each.unit),
).map(tuple)
INITIATORS = st.builds(
    InitiatorConfig,
    st.sampled_from(["*", NAME, "iqn.*:x"]),
    st.just(PLACE),
    addresses=st.lists(_NETWORKS, max_size=3).map(tuple),
    luns=st.none() | _SOME_LUNS,
    read_only=st.booleans(),
    user=st.sampled_from(["", "joe"]),
    portal_groups=st.lists(st.integers(1, 65535), max_size=3).map(tuple),
    iops=st.sampled_from([0, 1, 10**9]),
    bytes_per_second=st.sampled_from([0, 1025, 1 << 20]),
    free=st.booleans(),
).filter(lambda said: not (said.free and said.user))


@given(INITIATORS)
@example(line("iqn.0:*", luns=[(0, 0), (1, 1), (2, 3)]))
def test_what_is_rendered_means_the_same(said: InitiatorConfig) -> None:
    configuration = loads(f"Target t\n{rendered(said)}\n")
    assert configuration.targets[0].initiators == (said,)
    assert {one.code for one in configuration.diagnostics} <= {"initiator-without-lun", "initiator-without-user"}


def test_every_parameter_is_rendered() -> None:
    text = rendered(line(addresses=["::1"], luns=[(0, 0)], read_only=True, user="joe", portal_groups=(1,), iops=1,
                         bytes_per_second=1024)) + rendered(line(free=True))
    assert [one.name for one in INITIATOR_PARAMETERS if f"{one.name}=" not in text] == []


def test_changes_by_hand_leave_the_lines_alone() -> None:
    text = f"Target t\n    Lun 0 Type=nullio\n    Initiator {NAME} Luns=0,  Mode=ro # the backup\n    Initiator * x\n"
    running = loads(text)
    (target,) = running.targets
    changed = replace(running, targets=(replace(target, max_sessions=3),))
    assert rewrite(text, changed) == text + "    MaxSessions 3\n"


def test_a_file_that_lost_a_target_gets_its_lines_back() -> None:
    text = f"Target t\nInitiator {NAME} Luns=0\n"
    running = loads(text)
    assert meaning(loads(rewrite("", running))) == meaning(running)


def test_a_line_with_a_mistake_is_not_made_up() -> None:
    from ietpy.errors import ConfigError

    running = loads("Target t\nInitiator * x\n")
    with pytest.raises(ConfigError, match="an Initiator line of t has a mistake and is no longer in the file"):
        rewrite("", running)
