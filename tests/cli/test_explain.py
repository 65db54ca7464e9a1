"""``ietpy explain``: the verdict, the place that decided, and the exit status."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ietpy.cli import ietpy as cli
from ietpy.cli.explain import explain
from ietpy.config import access, load
from ietpy.errors import UsageError
from tests.fields import checked

T = "iqn.2001-04.com.example:t"
NAME = "iqn.1993-08.org.debian:01:abc"
PEER = "10.0.0.7"
HERE = "192.0.2.1"
SECRET = "topsecret1"
CONF = f"Target {T}\nLun 0 Type=nullio\n"
NO_TARGET = "login: the answer is that there is no such target (02/03), and discovery does not list it"
DAEMON = "daemon: only it knows whether ietadm changed or redirected the target"
OPEN = "CHAP: asks for no account"


def ask(*words: str, group: bool = False) -> Result:
    command = cli.main if group else explain
    return CliRunner().invoke(command, [*(["explain"] if group else []), *words], catch_exceptions=group)


def put(directory: Path, **texts: str) -> None:
    for name, text in texts.items():
        (directory / name.replace("_", ".")).write_text(text)


@dataclass(frozen=True)
class Case:
    """Some files and all that is printed of them, ``{d}`` being the directory; the first word is the verdict."""

    lines: list[str]
    files: dict[str, str] = field(default_factory=dict)
    conf: str = CONF
    words: tuple[str, ...] = ("--to", HERE)
    target: str = T


IS_HERE = "{d}/ietd.conf:1:1: the target is configured here"
NO_ALLOW = "there is no initiators.allow in {d}, so any initiator may use it"
NO_TARGETS = "there is no targets.allow in {d}, so it is there on any address of this machine"

CASES = {
    "no allow file": Case(["allow", NO_ALLOW, IS_HERE, NO_TARGETS, DAEMON, OPEN]),
    "the first line decides": Case(
        [
            "allow",
            f"{{d}}/initiators.allow:2:{len(T) + 2}: '10.0.0.0/8' holds the address 10.0.0.7",
            IS_HERE,
            NO_TARGETS,
            DAEMON,
            OPEN,
        ],
        {"initiators_allow": f"# who\n{T} 10.0.0.0/8\nALL ALL\n"},
    ),
    "a line behind ALL": Case(
        [
            "deny",
            f"{{d}}/initiators.allow:1:1: no item of this line matches '{NAME}' or '10.0.0.7'",
            IS_HERE,
            "{d}/initiators.allow:2:1: line 2 names this target too but is never reached",
            NO_TARGET,
        ],
        {"initiators_allow": f"ALL 10.9.9.9\n{T} 10.0.0.7\n"},
    ),
    "no line": Case(
        ["deny", f"no line of {{d}}/initiators.allow names {T} or ALL", IS_HERE, NO_TARGET],
        {"initiators_allow": "x ALL\n"},
    ),
    "a mistake on the line": Case(
        [
            "deny",
            f"{{d}}/initiators.allow:1:1: no item of this line matches '{NAME}' or '10.0.0.7'",
            IS_HERE,
            "{d}/initiators.allow:1:5: error: '0.0.0.0/0' means everybody and is not honoured; write ALL if you mean"
            " it; IET: never matched this item",
            NO_TARGET,
        ],
        {"initiators_allow": "ALL 0.0.0.0/0\nx 10.0.0.0/33\n"},
    ),
    "the old mode": Case(
        [
            "deny",
            "{d}/initiators.deny:1:5: 'ALL' means everybody; initiators.allow does not lift it",
            IS_HERE,
            NO_TARGET,
        ],
        {"initiators_deny": "ALL ALL\n", "initiators_allow": "ALL 10.0.0.9\n"},
    ),
    "our address": Case(
        [
            "deny",
            "{d}/targets.allow:1:1: no item of this line matches '192.0.2.1'",
            IS_HERE,
            "{d}/initiators.allow:1:5: 'ALL' means everybody",
            NO_TARGET,
        ],
        {"initiators_allow": "ALL ALL\n", "targets_allow": "ALL 192.0.3.0/24\n"},
    ),
    "without --to, any address": Case(
        ["allow", "{d}/targets.allow:1:5: 'ALL' means everybody", IS_HERE, NO_ALLOW, DAEMON, OPEN],
        {"targets_allow": "ALL ALL\n"},
        words=(),
    ),
    "without --to, no address": Case(
        ["deny", f"no line of {{d}}/targets.allow names {T} or ALL", IS_HERE, NO_ALLOW, NO_TARGET],
        {"targets_allow": "x 10.0.0.1\n"},
        words=(),
    ),
    "without --to, a line without addresses": Case(
        [
            "deny",
            "{d}/targets.allow:1:1: no item of this line matches any address",
            IS_HERE,
            NO_ALLOW,
            "{d}/targets.allow:1:5: warning: 'x' matches nobody; write an address of this machine; IET: never matched"
            " this item",
            NO_TARGET,
        ],
        {"targets_allow": "ALL x\n"},
        words=(),
    ),
    "without --to, denied before": Case(
        ["deny", f"no line of {{d}}/initiators.allow names {T} or ALL", IS_HERE, NO_TARGET],
        {"initiators_allow": "", "targets_allow": "ALL 10.0.0.1\n"},
        words=(),
    ),
    "another name": Case(
        ["deny", f"no target of {{d}}/ietd.conf has the name '{T}x'; similar: {T}", NO_TARGET], target=f"{T}x"
    ),
    "a name like no other": Case(
        ["deny", "no target of {d}/ietd.conf has the name 'disk'; none has a similar name", NO_TARGET], target="disk"
    ),
    "no targets": Case(
        ["deny", f"no target of {{d}}/ietd.conf has the name '{T}'; there are no targets", NO_TARGET], conf=""
    ),
    "the name in another case": Case(["allow", NO_ALLOW, IS_HERE, NO_TARGETS, DAEMON, OPEN], target=T.upper()),
    "closed by a mistake": Case(
        [
            "deny",
            "{d}/ietd.conf:3:1: the target is not served: line 3 is an account without a secret",
            NO_TARGET,
        ],
        conf=f"{CONF}IncomingUser joe\n",
    ),
    "closed by a mistake, in iet": Case(
        ["allow", NO_ALLOW, IS_HERE, NO_TARGETS, DAEMON, OPEN],
        conf=f"{CONF}IncomingUser joe\n",
        words=("--to", HERE, "--compat", "iet"),
    ),
    "strict": Case(
        [
            "deny",
            "{d}/ietd.conf:3:1: nothing starts in the mode strict while there are errors: unknown keyword 'foo'",
        ],
        conf=f"{CONF}foo\n",
        words=("--compat", "strict"),
    ),
    "strict, a companion file": Case(
        [
            "deny",
            "{d}/initiators.allow:1:3: nothing starts in the mode strict while there are errors: '10.0.0.7/32' is not"
            " how a network is written",
        ],
        {"initiators_allow": "x 10.0.0.7/32\n"},
        conf=f"Compat strict\n{CONF}",
    ),
    "strict, no mistake": Case(
        ["allow", NO_ALLOW, IS_HERE.replace(":1:", ":2:"), NO_TARGETS, DAEMON, OPEN], conf=f"Compat strict\n{CONF}"
    ),
    "an Initiator line that is about somebody else": Case(
        [
            "deny",
            f"{{d}}/ietd.conf:1:1: no Initiator line of this target is about '{NAME}' at {PEER}",
            IS_HERE,
            NO_TARGET,
        ],
        conf=f"{CONF}Initiator iqn.x\nInitiator * Address=10.9.0.0/16\n",
    ),
    "an Initiator line": Case(
        [
            "allow", f"{{d}}/ietd.conf:7:1: this line is about '{NAME}' at {PEER}", IS_HERE, NO_ALLOW, NO_TARGETS,
            DAEMON, "LUNs: 0 (LUN 1 of the target), 2, 3 (LUN 0 of the target) ro",
            "CHAP: asks for an account, one of: jim",
        ],
        conf=f"{CONF}Lun 1 Type=nullio\nLun 2 Type=nullio\nIncomingUser joe {SECRET}\nIncomingUser jim {SECRET}\n"
        f"Initiator {NAME} Luns=0:1,2,3:0/ro,9,User=jim\n",
    ),
    "an Initiator line without CHAP": Case(
        [
            "allow", f"{{d}}/ietd.conf:4:1: this line is about '{NAME}' at {PEER}", IS_HERE, NO_ALLOW, NO_TARGETS,
            DAEMON, "LUNs: 0", OPEN,
        ],
        conf=f"{CONF}IncomingUser joe {SECRET}\nInitiator * AuthMethod=None\n",
    ),
    "an Initiator line of another portal group": Case(
        [
            "deny", f"{{d}}/ietd.conf:5:1: this line is about '{NAME}' at {PEER}, whom it turns away",
            "{d}/ietd.conf:3:1: the target is configured here",
            f"{HERE} is of a portal group the target is in: 2", NO_TARGET,
        ],
        conf=f"Portal 1 {HERE}0\nPortal 2 {HERE}\n{CONF}Initiator * PortalGroup=2,Mode=none\nInitiator *\n",
    ),
    "an Initiator line with LUNs that are not there": Case(
        [
            "allow", f"{{d}}/ietd.conf:3:1: this line is about '{NAME}' at {PEER}", IS_HERE, NO_ALLOW, NO_TARGETS,
            DAEMON, "LUNs: none of those that are there", OPEN,
        ],
        conf=f"{CONF}Initiator * Luns=9\n",
    ),
    "restricted in its block": Case(
        [
            "deny",
            "{d}/ietd.conf:3:19: the block of the target admits 10.0.0.8, 10.0.0.9, 10.0.1.0/24, ... only",
            IS_HERE,
            NO_TARGET,
        ],
        conf=f"{CONF}initiator-address 10.0.0.8,10.0.0.9,10.0.1.0/24\ninitiator-address 10.0.2.0/24\n",
    ),
    "admitted by its block": Case(
        [
            "allow",
            f"{{d}}/ietd.conf:3:16: '{NAME}' matches the name {NAME}",
            IS_HERE,
            NO_ALLOW,
            NO_TARGETS,
            DAEMON,
            OPEN,
        ],
        conf=f"{CONF}initiator-name {NAME}\n",
    ),
    "accounts": Case(
        [
            "allow",
            NO_ALLOW,
            IS_HERE,
            NO_TARGETS,
            "daemon: only it knows whether ietadm changed or redirected the target, and how many of its 3 sessions"
            " (MaxSessions) are there",
            "CHAP: asks for an account, one of: joe, ann; the target answers as me if asked to",
        ],
        conf=f"{CONF}IncomingUser joe {SECRET}\nIncomingUser ann {SECRET}\nIncomingUser joe {SECRET}x\n"
        f"OutgoingUser me {SECRET}y\nMaxSessions 3\n",
    ),
    "iSNS": Case(
        [
            "allow",
            NO_ALLOW,
            IS_HERE,
            NO_TARGETS,
            "iSNS: the server 10.0.0.250 decides besides, as iSNSAccessControl is Yes",
            DAEMON,
            OPEN,
        ],
        conf=f"{CONF}iSNSServer 10.0.0.250\niSNSAccessControl Yes\n",
    ),
    "iSNS that does not decide": Case(
        ["allow", NO_ALLOW, IS_HERE, NO_TARGETS, DAEMON, OPEN], conf=f"{CONF}iSNSServer 10.0.0.250\n"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_is_printed(tmp_path: Path, case: Case) -> None:
    put(tmp_path, ietd_conf=case.conf, **case.files)
    words = ["--initiator", NAME, "--from", PEER, "-c", str(tmp_path / "ietd.conf"), "--access-dir", str(tmp_path)]
    result = ask(case.target, *words, *case.words)
    assert result.stdout.splitlines() == [line.replace("{d}", str(tmp_path)) for line in case.lines]
    assert result.exit_code == {"allow": 0, "deny": 1}[case.lines[0]]
    assert SECRET not in result.output


def test_an_unreadable_file_decides(tmp_path: Path) -> None:
    put(tmp_path, ietd_conf=CONF)
    (tmp_path / "initiators.deny").mkdir()
    words = ["-c", str(tmp_path / "ietd.conf"), "--access-dir", str(tmp_path)]
    lines = ask(T, "--initiator", NAME, "--from", PEER, *words).stdout.splitlines()
    assert lines[1].startswith(f"{tmp_path}/initiators.deny:1:1: cannot read this file: Is a directory; everybody is")
    assert lines[3].startswith(f"{tmp_path}/initiators.deny:1:1: error: cannot read this file")


def test_the_files_are_looked_for_in_several_places(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for place in (first, second):
        place.mkdir()
    put(tmp_path, ietd_conf=CONF)
    put(second, initiators_allow=f"ALL {NAME}\n")
    words = ["-c", str(tmp_path / "ietd.conf"), "--access-dir", str(first), "--access-dir", str(second)]
    assert ask(T, "--initiator", NAME, "--from", PEER, *words).stdout.splitlines()[1].startswith(f"{second}/initiators")
    put(first, initiators_allow="")
    assert ask(T, "--initiator", NAME, "--from", PEER, *words).exit_code == 1


PORTALS = f"""\
Portal 1 192.0.2.1,[fe80::1%eth0]
Portal 2 192.0.2.2
Portal 3 eth1
Target {T}
    PortalGroups 2
    Lun 0 Type=nullio
"""
ABSENT = "login: the answer is that there is no such target (02/03); discovery tells where it is"


@pytest.mark.parametrize(("conf", "local", "verdict", "reason"), [
    (PORTALS, "192.0.2.2", "allow", "192.0.2.2 is of a portal group the target is in: 2"),
    (PORTALS, "192.0.2.1", "deny", ":4:1: 192.0.2.1 is of portal group 1, and the target is in 2"),
    (PORTALS, "192.0.2.9", "deny", ":4:1: 192.0.2.9 is no portal, and the target is in 2"),
    (PORTALS.replace("PortalGroups 2", ""), "fe80::1", "allow", "fe80::1 is of a portal group the target is in: 1"),
    (PORTALS.replace("PortalGroups 2", "PortalGroups 2,3"), "192.0.2.9", "allow",
     "only the daemon knows whether 192.0.2.9 is an address of eth1"),
    (PORTALS.replace("PortalGroups 2", "PortalGroups 2,3"), "192.0.2.1", "deny",
     ":4:1: 192.0.2.1 is of portal group 1, and the target is in 2, 3"),
    (PORTALS.replace("192.0.2.2", "*:3261"), "192.0.2.9", "allow",
     "192.0.2.9 is of a portal group the target is in: 2"),
    (PORTALS.replace("192.0.2.2", "[::]:3261"), "192.0.2.9", "deny", ":4:1: 192.0.2.9 is no portal, and the"),
    ("Portal x\n" + CONF, "192.0.2.9", "deny", ":2:1: 192.0.2.9 is no portal, and the target is in none"),
])
def test_portal_groups(tmp_path: Path, conf: str, local: str, verdict: str, reason: str) -> None:
    put(tmp_path, ietd_conf=conf)
    words = ("-c", str(tmp_path / "ietd.conf"), "--access-dir", str(tmp_path), "--initiator", NAME, "--from", PEER)
    result = ask(T, *words, "--to", local)
    first, second, *others = result.stdout.splitlines()
    assert (first, result.exit_code) == (verdict, 0 if verdict == "allow" else 1)
    assert any(reason in line for line in (second, *others))
    assert (ABSENT in others) == (verdict == "deny")


def test_a_target_in_some_portal_groups_is_asked_for_by_an_address(tmp_path: Path) -> None:
    put(tmp_path, ietd_conf=PORTALS)
    words = ("-c", str(tmp_path / "ietd.conf"), "--access-dir", str(tmp_path), "--initiator", NAME, "--from", PEER)
    with pytest.raises(UsageError, match="in portal groups 2 only; name the address of this machine with --to"):
        CliRunner().invoke(explain, [T, *words], catch_exceptions=False, standalone_mode=False)
    put(tmp_path, ietd_conf=PORTALS.replace("PortalGroups 2", ""))
    assert ask(T, *words).stdout.startswith("allow")


def test_the_default_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "DEFAULT_PATHS", (str(tmp_path / "ietd.conf"), str(tmp_path / "old.conf")))
    monkeypatch.setattr(access, "DIRECTORIES", (str(tmp_path),))
    put(tmp_path, ietd_conf=CONF, initiators_allow="ALL 10.0.0.7\n")
    result = ask(T, "--initiator", NAME, "--from", PEER, group=True)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1].startswith(f"{tmp_path}/initiators.allow:1:5: ")


def test_zones_of_addresses_do_not_count(tmp_path: Path) -> None:
    put(tmp_path, ietd_conf=CONF, initiators_allow="ALL fe80::1\n")
    words = ["--from", "fe80::1%eth0", "-c", str(tmp_path / "ietd.conf"), "--access-dir", str(tmp_path)]
    assert ask(T, "--initiator", NAME, *words).exit_code == 0


USAGE = {
    "--from": (("--from", "10.0.0"), "--from '10.0.0' is no numeric address; write one such as 10.0.0.7 or fe80::1"),
    "host name": (
        ("--from", "a.b\n"),
        r"--from 'a.b\x0a' is no numeric address; write one such as 10.0.0.7 or fe80::1",
    ),
    "--to": (
        ("--from", PEER, "--to", ""),
        "--to '' is no numeric address; write one such as 10.0.0.7 or fe80::1",
    ),
    "no name": (
        ("--from", PEER, "--initiator", ""),
        "--initiator '' is no initiator's name; write a word of 1 to 223 bytes",
    ),
    "long name": (
        ("--from", PEER, "--initiator", "x" * 224),
        f"--initiator '{'x' * 60}...' is no initiator's name; write a word of 1 to 223 bytes",
    ),
    "control characters": (
        ("--from", PEER, "--initiator", "a\x01"),
        r"--initiator 'a\x01' has characters that no login may have; write it without them",
    ),
    "our address is needed": (
        ("--from", PEER),
        "{d}/targets.allow:2:1: this line decides by the address of this machine; name it with --to",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("words", "problem"), USAGE.values(), ids=USAGE.keys())
def test_wrong_usage_is_a_sentence_and_exit_status_2(tmp_path: Path, words: tuple[str, ...], problem: str) -> None:
    put(tmp_path, ietd_conf=CONF, targets_allow="x ALL\nALL x, 10.0.0.1\n")
    fixed = ["-c", str(tmp_path / "ietd.conf"), "--access-dir", str(tmp_path), "--initiator", NAME]
    result = ask(T, *fixed, *words, group=True)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"ietpy: {problem}\n".replace("{d}", str(tmp_path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = ask(T, "--initiator", NAME, "--from", PEER, "-c", str(tmp_path / "none"), group=True)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{tmp_path}/none:1:1: error: cannot read this file: No such file")


def test_what_must_be_given() -> None:
    result = ask(T, "--initiator", NAME, group=True)
    assert result.exit_code == 2
    assert "--from" in result.stderr


def document(tmp_path: Path, *words: str, full: bool = False) -> dict[str, object]:
    fixed = ["--initiator", NAME, "--from", PEER, "-c", str(tmp_path / "ietd.conf"), "--access-dir", str(tmp_path)]
    result = ask(*words, *fixed, "--json")
    assert SECRET not in result.stdout
    answer = checked("explain", result.stdout, full)
    assert result.exit_code == (answer["verdict"] != "allow")
    return answer  # type: ignore[no-any-return]


def test_json(tmp_path: Path) -> None:
    accounts = f"IncomingUser joe {SECRET}\nOutgoingUser me {SECRET}\nMaxSessions 2\n"
    put(tmp_path, ietd_conf=f"{CONF}{accounts}iSNSServer h\niSNSAccessControl Yes\n")
    put(tmp_path, initiators_allow=f"ALL 10.0.0.7/32\n{T} ALL\n")
    nowhere = {"file": None, "line": None, "column": None}
    decided = {
        "check": "initiators",
        "verdict": "allow",
        "file": f"{tmp_path}/initiators.allow",
        "line": 1,
        "column": 5,
        "reason": "'10.0.0.7/32' holds the address 10.0.0.7",
    }
    assert document(tmp_path, T, full=True) == {
        "format": 1,
        "verdict": "allow",
        "decided": decided,
        "target": T,
        "initiator": NAME,
        "from": PEER,
        "to": None,
        "config": f"{tmp_path}/ietd.conf",
        "compat": "repair",
        "checks": [
            {
                "check": "target",
                "verdict": "allow",
                "file": f"{tmp_path}/ietd.conf",
                "line": 1,
                "column": 1,
                "reason": "the target is configured here",
            },
            decided,
            {
                "check": "targets.allow",
                "verdict": "allow",
                **nowhere,
                "reason": f"there is no targets.allow in {tmp_path}, so it is there on any address of this machine",
            },
        ],
        "findings": [
            {
                "file": f"{tmp_path}/initiators.allow",
                "line": 1,
                "column": 5,
                "severity": "warning",
                "code": "access-repaired",
                "problem": "'10.0.0.7/32' is not how a network is written",
                "hint": "write 10.0.0.7",
                "iet": "never matched this item",
            }
        ],
        "unreached": [{"file": f"{tmp_path}/initiators.allow", "line": 2, "column": 1}],
        "isns_server": "h",
        "max_sessions": 2,
        "luns": [{"lun": 0, "unit": 0, "read_only": False}],
        "chap": {"required": True, "users": ["joe"], "outgoing": "me"},
    }


def test_json_of_an_initiator_line(tmp_path: Path) -> None:
    put(tmp_path, ietd_conf=f"{CONF}Lun 1 Type=nullio\nInitiator * Luns=5:1,Mode=ro\n")
    found = document(tmp_path, T, "--to", HERE)
    assert found["luns"] == [{"lun": 5, "unit": 1, "read_only": True}]
    assert (found["decided"]["check"], found["decided"]["line"]) == ("initiator", 4)


def test_json_of_a_target_that_is_not_there_has_the_same_keys(tmp_path: Path) -> None:
    put(tmp_path, ietd_conf=CONF)
    there, missing = document(tmp_path, T, "--to", HERE), document(tmp_path, "x", "--to", HERE)
    assert list(there) == list(missing)
    assert there["chap"] == {"required": False, "users": [], "outgoing": None}
    assert (missing["verdict"], missing["max_sessions"], missing["chap"]) == ("deny", None, None)
    assert (there["luns"], missing["luns"]) == ([{"lun": 0, "unit": 0, "read_only": False}], None)
    assert (missing["to"], missing["isns_server"]) == (HERE, None)


def test_names_that_are_no_utf8_are_printed(tmp_path: Path) -> None:
    (tmp_path / "ietd.conf").write_bytes(b"Target t\xff\nIncomingUser j\xfe s\n")
    result = ask(os.fsdecode(b"t\xff"), "--initiator", NAME, "--from", PEER, "-c", str(tmp_path / "ietd.conf"),
                 "--access-dir", str(tmp_path))  # fmt: skip
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == r"CHAP: asks for an account, one of: j\xfe"
