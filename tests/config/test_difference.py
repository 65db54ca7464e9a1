"""What serving another configuration comes to, in steps: nothing where both mean the same, and never a secret."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ietpy.config import difference as module
from ietpy.config.difference import difference
from ietpy.config.load import loads
from ietpy.config.model import Configuration, TargetConfig, meaning
from ietpy.config.steps import Action, LiveTarget, Notice

DISK = "Target t\n\tLun 0 Path=/a,Type=fileio\n"
SECRET = "secretsecret"
OTHER = "othersecrets"


def steps(old: str, new: str, **live: LiveTarget) -> list[str]:
    return [str(step) for step in difference(loads(old), loads(new), live)]


ROWS = [
    ("", DISK, "add target t with LUN 0: initiators find it"),
    ("", "Target t\n", "add target t with no LUN: "),
    (DISK, "", "remove target t (no longer in the file): initiators find it"),
    (DISK, DISK.replace("Target t", "Target T"), "remove target t (no longer in the file)"),
    (DISK, f"{DISK}CHAPAlgorithms x\n", "remove target t (not to be served: line 3 names no CHAP algorithm)"),
    (f"{DISK}CHAPAlgorithms x\n", DISK, "add target t with LUN 0"),
    ("", f"{DISK}CHAPAlgorithms x\n", "add target t (not served: line 3 names no CHAP algorithm): nobody notices"),
    (f"{DISK}CHAPAlgorithms x\n", "", "remove target t, which is not served: nobody notices"),
    (f"{DISK}CHAPAlgorithms x\n", "Target t\nCHAPAlgorithms x\n", "change target t, which is not served, in what else"),
    (DISK, f"{DISK}\tLun 1 Type=nullio\n", "add LUN 1 of t: Type=nullio: its initiators are told REPORTED LUNS"),
    (DISK, "Target t\n", "remove LUN 0 of t: Path=/a,Type=fileio: its initiators are told REPORTED LUNS DATA HAS"),
    (DISK, DISK.replace("/a", "/b"), "replace LUN 0 of t: Path=/b,Type=fileio (was Path=/a,Type=fileio): its"),
    (
        DISK, DISK.replace("fileio", "fileio,IOMode=wb"), "change LUN 0 of t: Path=/a,Type=fileio,IOMode=wb (was"
        " Path=/a,Type=fileio): its initiators are told MODE PARAMETERS CHANGED",
    ),
    (DISK, f"{DISK}\tLunOption 0 WriteCache=Yes,Iops=5\n", "change LUN 0 of t: Path=/a,Type=fileio; WriteCache=Yes,"),
    (DISK, DISK.replace("fileio", "fileio,IOMode=ro"), "told MODE PARAMETERS CHANGED"),
    (DISK.replace("fileio", "fileio,IOMode=ro"), DISK, "replace LUN 0 of t"),
    (DISK, f"{DISK}\tLunOption 0 Removable=Yes\n", "replace LUN 0 of t: Path=/a,Type=fileio; Removable=Yes (was"),
    (
        DISK, f"{DISK}\tLunOption 0 Iops=20,BytesPerSecond=50M\n",
        "change LUN 0 of t: no limit becomes Iops=20,BytesPerSecond=50M: holds at once",
    ),
    (f"{DISK}\tLunOption 0 Iops=20\n", DISK, "change LUN 0 of t: Iops=20 becomes no limit"),
    (f"{DISK}\tLun 1 Type=nullio\n", "Target t\nLun 1 Type=nullio\nLun 0 Path=/a\n", "change the order of LUNs of t"),
    (f"{DISK}Target u\n", f"Target u\n{DISK}", "change the order of targets: nobody notices"),
    (DISK, f"{DISK}Alias x\n", "change t, Alias: none becomes x: holds from the next login on"),
    (DISK, f"{DISK}QueuedCommands 64\n", "change t, no QueuedCommands becomes QueuedCommands 64: holds from the next"),
    (DISK, f"{DISK}Wthreads 9\n", "change t, Wthreads 8 becomes Wthreads 9: holds at once"),
    (DISK, f"{DISK}DataDigest CRC32C\n", "change t, no DataDigest becomes DataDigest CRC32C: holds from the next"),
    (DISK, f"{DISK}IncomingUser joe {SECRET}\n", "change t, IncomingUser: new joe: holds from the next login on"),
    (f"{DISK}IncomingUser joe {SECRET}\n", DISK, "change t, IncomingUser: without joe"),
    (
        f"{DISK}IncomingUser joe {SECRET}\n", f"{DISK}IncomingUser joe {OTHER}\n",
        "change t, IncomingUser: another secret for joe",
    ),
    (
        f"{DISK}IncomingUser a {SECRET}\nIncomingUser b {OTHER}\n",
        f"{DISK}IncomingUser b {OTHER}\nIncomingUser a {SECRET}\n", "IncomingUser: the order of the accounts",
    ),
    (DISK, f"{DISK}OutgoingUser us {SECRET}\n", "change t, OutgoingUser: none becomes us"),
    (f"{DISK}OutgoingUser us {SECRET}\n", DISK, "change t, OutgoingUser: us becomes none"),
    (
        f"{DISK}OutgoingUser us {SECRET}\n", f"{DISK}OutgoingUser us {OTHER}\n",
        "change t, OutgoingUser: another secret for us",
    ),
    (DISK, f"{DISK}CHAPAlgorithms SHA1\n", "change t, CHAPAlgorithms: none becomes SHA1"),
    (DISK, f"{DISK}initiator-name iqn.x\n", "change t, initiator-name: none becomes iqn.x"),
    (DISK, f"{DISK}initiator-address 192.0.2.1\n", "change t, initiator-address: none becomes 192.0.2.1"),
    (DISK, f"{DISK}Initiator iqn.x Luns=0\n", "Initiator lines: new iqn.x Luns=0: who may log in is asked"),
    (f"{DISK}Initiator iqn.x\n", f"{DISK}Initiator iqn.y Nonsense=1\n", "new iqn.y (admits nobody); without iqn.x"),
    (f"{DISK}Initiator a\nInitiator b\n", f"{DISK}Initiator b\nInitiator a\n", "Initiator lines: their order"),
    (DISK, f"{DISK}PortalGroups 1\n", "change t, PortalGroups: none becomes 1"),
    ("", "Portal 1 127.0.0.1\n", "portals: new 127.0.0.1 of group 1; as the command line says before: connections"),
    ("Portal 1 127.0.0.1\n", "", "portals: without 127.0.0.1 of group 1; then as the command line says"),
    ("Portal 1 127.0.0.1\n", "Portal 1 127.0.0.1:3261\n", "new 127.0.0.1:3261 of group 1; without 127.0.0.1 of"),
    (
        "Portal 1 127.0.0.1\n", "Portal 1 127.0.0.1 Advertise=nas:99\n",
        "new 127.0.0.1, advertised as nas:99, of group 1; without 127.0.0.1 of group 1",
    ),
    ("Portal 1 127.0.0.1,127.0.0.2\n", "Portal 1 127.0.0.2,127.0.0.1\n", "portals: their order"),
    ("", f"IncomingUser joe {SECRET}\n", "change discovery, IncomingUser: new joe"),
    ("", "IncomingUser joe\n", "change discovery, discovery is closed: "),
    ("IncomingUser joe\n", "", "change discovery, discovery is open again: "),
    ("", "CHAPAlgorithms SHA1\n", "change CHAPAlgorithms: none becomes SHA1"),
    ("", "iSNSServer 192.0.2.1\n", "change iSNSServer: none becomes 192.0.2.1: the iSNS server is told"),
    ("", "iSNSAccessControl Yes\n", "change iSNSAccessControl: Yes"),
    ("", "Compat iet\n", "change Compat: repair becomes iet"),
    ("", "Metrics 127.0.0.1:9260\n", "change Metrics: none becomes 127.0.0.1:9260: takes effect when ietpy-daemon is"),
    ("", "Processes auto\n", "change Processes: 1 becomes auto: takes effect when ietpy-daemon is restarted"),
]


@pytest.mark.parametrize(("old", "new", "words"), ROWS)
def test_steps_read_so(old: str, new: str, words: str) -> None:
    found = steps(old, new)
    assert any(words in step for step in found), found
    assert not any(secret in step for step in found for secret in (SECRET, OTHER))
    assert not steps(old, old) + steps(new, new)


def test_every_field_has_a_row() -> None:
    keys = {option.attribute or "session_keys" for option in module.TARGET_KEYS}
    apart = {"name", "luns", "closed"}
    compared = {field.name for field in fields(TargetConfig) if field.compare}
    assert compared == keys | apart | {row.attribute for row in module.TARGET_ASPECTS}
    apart = {"file", "targets", "diagnostics"}
    assert {field.name for field in fields(Configuration)} == apart | {row.attribute for row in module.WHOLE_ASPECTS}


def test_what_is_in_use_is_kept_and_its_namesake_does_not_come() -> None:
    busy = LiveTarget(sessions=2)
    (kept,) = difference(loads(DISK), loads(DISK.replace("Target t", "Target T")), {"t": busy})
    assert (kept.action, kept.notice, kept.sessions, kept.target) == (Action.KEEP, Notice.IN_USE, 2, "t")


def test_what_a_daemon_knows_makes_steps_of_its_own() -> None:
    text = f"{DISK}\tLun 1 Type=nullio\n"
    live = LiveTarget(sessions=1, unserved=frozenset({1}), resized={0: (512, 1024)})
    grown, retried = difference(loads(text), loads(text), {"t": live})
    assert (grown.action, grown.notice, grown.lun, grown.sessions) == (Action.RESIZE, Notice.CAPACITY, 0, 1)
    assert "LUN 0 of t from 512 to 1024 bytes (that is the size of /a now)" in str(grown)
    assert (retried.action, retried.lun) == (Action.RETRY, 1)
    assert retried.facts()["text"] == str(retried)
    assert (retried.facts()["line"], retried.facts()["notice"]) == (3, Notice.LUNS.value)


_LINES = st.sampled_from([
    "Target t\n", "Target T\n", "Target u\n", "Target v\n", "Lun 0 Path=/a\n", "Lun 0 Path=/b\n", "Lun 1 Type=nullio\n",
    "LunOption 0 Removable=Yes\n", "LunOption 0 Iops=5\n", "LunOption 0 WriteCache=Yes\n",
    "Lun 0 Path=/\0,ScsiSN=x y\n", "IncomingUser joe one\n", "IncomingUser jim two\n",
    "IncomingUser joe\n", "OutgoingUser us three\n", "Alias x\n", "Initiator iqn.* Luns=0\n", "Initiator iqn.y Bad=1\n",
    "initiator-name iqn.z\n", "PortalGroups 2\n", "Portal 2 127.0.0.1\n", "Portal 1 127.0.0.2:99\n", "NOPInterval 5\n",
    "NOPTimeout 3\n", "NOPTimeout 9\n", "MaxSessions 2\n", "DataDigest CRC32C\n", "CHAPAlgorithms x\n",
    "CHAPAlgorithms SHA1\n", "iSNSServer h\n", "iSNSAccessControl Yes\n", "Processes 2\n", "Compat iet\n",
    "Metrics 127.0.0.1:9260\n", "Metrics [::1]:1\n",
])
_TEXTS = st.lists(_LINES, max_size=14).map("".join)


@given(_TEXTS, _TEXTS)
@example("Target t\nCHAPAlgorithms x\n", "Target T\nCHAPAlgorithms x\n")
@example("Target t\nNOPInterval 5\nNOPTimeout 9\n", "Target t\nNOPInterval 5\n")
def test_there_are_steps_exactly_where_meanings_differ(old: str, new: str) -> None:
    one, other = loads(old), loads(new)
    assert bool(difference(one, other)) == (meaning(one) != meaning(other))
