"""The OCF agents against a real daemon, called as Pacemaker and ocf-tester call them: words, statuses, effects."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ietpy.config.access import AccessFiles
from ietpy.initiator.client import Client
from ietpy.initiator.errors import AuthenticationFailed, InitiatorError, LoginRefused
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.iscsi.pdu import Opcode

ROOT = Path(__file__).parents[2]
AGENTS = ROOT / "init" / "ocf"
TARGET, UNIT = "iSCSITarget", "iSCSILogicalUnit"
TOOLS = Path(sys.executable).parent
SHELLS = sorted({Path(found).resolve().name for found in map(shutil.which, ("sh", "dash", "bash", "ksh")) if found})

SUCCESS, GENERIC, ARGS, UNIMPLEMENTED, PERM, INSTALLED, CONFIGURED, NOT_RUNNING = range(8)

IQN = "iqn.2001-04.com.example:cluster"
OTHER = "iqn.2001-04.com.example:other"
INITIATOR = LoginPlan().initiator
CHAP = {"incoming_username": "joe", "incoming_password": "secretsecret12"}

#: ietpy-daemon, with initiators.allow and its like in a directory of the test's.
DAEMON = """
import sys
from ietpy.config import access
access.DIRECTORIES = (sys.argv.pop(1),)
from ietpy.daemon.main import main
main()
"""


class Node:
    """A cluster node: a daemon without targets, and agents run as Pacemaker runs them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.access = directory / "access"
        self.access.mkdir()
        self.control = directory / "control"
        self.pid_file = directory / "ietd.pid"
        (directory / "ietd.conf").write_text("")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OCF_", "IETPY_"))},
            "PATH": f"{TOOLS}:{os.environ['PATH']}",
            "OCF_ROOT": str(directory),
            "IETPY_CONTROL": str(self.control),
            "IETPY_PIDFILE": str(self.pid_file),
            "IETPY_ACCESS_DIRECTORIES": str(self.access),
        }

    def daemon(self, action: str, *arguments: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-c", DAEMON, str(self.access), action, "--pid-file", str(self.pid_file),
             "--control", str(self.control), *arguments],
            capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def start(self) -> None:
        self.daemon("start", "-c", str(self.directory / "ietd.conf"), "-a", "127.0.0.1", "-p", "0")

    def stop(self) -> None:
        self.daemon("stop")

    @property
    def port(self) -> int:
        (line,) = [line for line in self.daemon("status").splitlines() if line.startswith("portal: ")]
        return int(line.rpartition(":")[2])

    def volume(self) -> str:
        return (self.directory / "control.iet" / "volume").read_text()

    def agent(self, name: str, **parameters: str) -> Agent:
        return Agent(self, name, parameters)

    def image(self, name: str, size: int = 1 << 20) -> str:
        path = self.directory / name
        with path.open("wb") as file:
            file.truncate(size)
        return str(path)


class Agent:
    """A resource: an agent with its parameters. Called with an action it returns the exit status."""

    def __init__(self, node: Node, name: str, parameters: dict[str, str]) -> None:
        self.node = node
        self.command = str(AGENTS / name)
        self.parameters = parameters
        self.more = {"OCF_RESOURCE_INSTANCE": f"p_{name}"[:12]}
        self.said = ""

    def __call__(self, *words: str, shell: str = "sh", **more: str) -> int:
        environment = {
            **self.node.environment,
            **{f"OCF_RESKEY_{name}": value for name, value in self.parameters.items()},
            **self.more,
            **more,
        }
        ended = subprocess.run(
            [str(shutil.which(shell)), self.command, *words], env=environment, capture_output=True, text=True,
            check=False, timeout=60, stdin=subprocess.DEVNULL,
        )
        self.said = ended.stderr
        self.printed = ended.stdout
        return ended.returncode

    def run(self, *actions: str) -> list[int]:
        return [self(action) for action in actions]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("node"))
    node.start()
    yield node
    node.stop()


@pytest.fixture
def node(running: Node) -> Iterator[Node]:
    """The module's daemon; what a test leaves on it would be seen by the next."""
    yield running
    assert running.volume() == ""
    for file in running.access.iterdir():
        file.unlink()


@pytest.fixture
def target(node: Node) -> Iterator[Agent]:
    """A started target."""
    made = node.agent(TARGET, iqn=IQN)
    assert made("start") == SUCCESS, made.said
    yield made
    assert made("stop") == SUCCESS, made.said


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Node]:
    """A node of the test's own, whose daemon does not run yet."""
    node = Node(tmp_path)
    yield node
    node.stop()


def login(node: Node, target: str = IQN, chap: Chap | None = None) -> Client:
    client = Client.connect("127.0.0.1", node.port)
    try:
        client.login(LoginPlan(target=target, chap=chap))
    except InitiatorError:
        client.close()
        raise
    return client


# The scripts themselves ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", [TARGET, UNIT, "ietpy-functions"])
def test_every_shell_can_read_them(shell: str, name: str) -> None:
    read = subprocess.run([shell, "-n", AGENTS / name], capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")


def test_shellcheck_has_nothing_to_say() -> None:
    command = ["shellcheck", "-s", "sh", "-x", "-P", ROOT, *sorted(AGENTS.iterdir())]
    read = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (read.returncode, read.stdout) == (0, "")


def test_agents_can_be_executed_and_what_they_share_is_none() -> None:
    """Pacemaker takes every executable in the directory for an agent."""
    assert {path.name for path in AGENTS.iterdir() if os.access(path, os.X_OK)} == {TARGET, UNIT}


@pytest.mark.parametrize(("name", "required"), [(TARGET, {"iqn"}), (UNIT, {"target_iqn", "lun", "path"})])
def test_meta_data(tmp_path: Path, name: str, required: set[str]) -> None:
    agent = Node(tmp_path).agent(name)
    assert agent("meta-data") == SUCCESS
    tree = ElementTree.fromstring(agent.printed)
    assert (tree.tag, tree.attrib["name"]) == ("resource-agent", name)
    parameters = {parameter.attrib["name"]: parameter for parameter in tree.iter("parameter")}
    assert {name for name, parameter in parameters.items() if parameter.attrib["required"] == "1"} == required
    assert "additional_parameters" in parameters
    for parameter in parameters.values():
        assert [child.tag for child in parameter] == ["longdesc", "shortdesc", "content"]
        assert parameter.findtext("longdesc")
        assert parameter[2].attrib["type"] in {"string", "integer", "boolean"}
    actions = {action.attrib["name"] for action in tree.iter("action")}
    assert actions == {"start", "stop", "status", "monitor", "meta-data", "validate-all"}
    assert all(action.attrib["timeout"] for action in tree.iter("action"))


@pytest.mark.parametrize("name", [TARGET, UNIT])
@pytest.mark.parametrize(("words", "status"), [
    (["usage"], SUCCESS), (["help"], SUCCESS), ([], ARGS), (["promote"], UNIMPLEMENTED),
])
def test_usage(tmp_path: Path, name: str, words: list[str], status: int) -> None:
    agent = Node(tmp_path).agent(name)
    assert agent(*words) == status
    assert f"Usage: {name} {{start|stop|" in agent.printed + agent.said


GOOD_TARGET = {"iqn": IQN}
GOOD_UNIT = {"target_iqn": IQN, "lun": "0", "path": "/dev/null"}


@pytest.mark.parametrize(("name", "parameters", "status", "reason"), [
    pytest.param(TARGET, GOOD_TARGET, SUCCESS, "", id="least"),
    pytest.param(TARGET, {**GOOD_TARGET, **CHAP, "implementation": "iet", "tid": "7"}, SUCCESS, "", id="most"),
    pytest.param(TARGET, {}, CONFIGURED, "iqn is required", id="no name"),
    pytest.param(TARGET, {"iqn": "two words"}, CONFIGURED, "iqn must not hold blanks", id="blank"),
    pytest.param(TARGET, {**GOOD_TARGET, "implementation": "lio"}, CONFIGURED, "not lio", id="implementation"),
    pytest.param(TARGET, {**GOOD_TARGET, "tid": "one"}, CONFIGURED, "tid is a number, not one", id="tid"),
    pytest.param(
        TARGET, {**GOOD_TARGET, "incoming_username": "joe"}, CONFIGURED, "incoming_password is required", id="no secret"
    ),
    pytest.param(
        TARGET, {**GOOD_TARGET, "incoming_password": "secret"}, CONFIGURED, "incoming_username is required",
        id="no user",
    ),
    pytest.param(
        TARGET, {**GOOD_TARGET, **CHAP, "incoming_password": "a,b"}, CONFIGURED, "must not hold blanks or commas",
        id="comma in secret",
    ),
    pytest.param(
        TARGET, {**GOOD_TARGET, "allowed_initiators": "10.0.0.0/8 " * 400}, CONFIGURED, "longer than a line",
        id="long line",
    ),
    pytest.param(
        TARGET, {**GOOD_TARGET, "additional_parameters": "Wthreads"}, CONFIGURED, "not Wthreads", id="no value"
    ),
    pytest.param(UNIT, GOOD_UNIT, SUCCESS, "", id="unit"),
    pytest.param(UNIT, {**GOOD_UNIT, "target_iqn": ""}, CONFIGURED, "target_iqn is required", id="no target"),
    pytest.param(UNIT, {**GOOD_UNIT, "lun": ""}, CONFIGURED, "lun is required", id="no lun"),
    pytest.param(UNIT, {**GOOD_UNIT, "path": ""}, CONFIGURED, "path is required", id="no path"),
    pytest.param(UNIT, {**GOOD_UNIT, "lun": "x"}, CONFIGURED, "lun is a number from 0 to 16383, not x", id="word"),
    pytest.param(UNIT, {**GOOD_UNIT, "lun": "01"}, CONFIGURED, "not 01", id="leading zero"),
    pytest.param(UNIT, {**GOOD_UNIT, "lun": "16383"}, SUCCESS, "", id="last lun"),
    pytest.param(UNIT, {**GOOD_UNIT, "lun": "16384"}, CONFIGURED, "not 16384", id="lun too large"),
    pytest.param(UNIT, {**GOOD_UNIT, "lun": "9" * 30}, CONFIGURED, "not 999", id="lun much too large"),
    pytest.param(UNIT, {**GOOD_UNIT, "path": "/a,b"}, CONFIGURED, "must not hold commas", id="comma in path"),
    pytest.param(UNIT, {**GOOD_UNIT, "path": "disk.img"}, CONFIGURED, "absolute path", id="relative path"),
    pytest.param(UNIT, {**GOOD_UNIT, "scsi_id": "x" * 17}, CONFIGURED, "longer than 16 bytes", id="long id"),
    pytest.param(UNIT, {**GOOD_UNIT, "additional_parameters": "=wb"}, CONFIGURED, "not =wb", id="no name of a value"),
])
def test_validate_all(tmp_path: Path, name: str, parameters: dict[str, str], status: int, reason: str) -> None:
    agent = Node(tmp_path).agent(name, **parameters)
    assert agent("validate-all") == status
    assert reason in agent.said
    assert ("ocf-exit-reason:" in agent.said) == bool(status)


@pytest.mark.parametrize(("action", "status"), [
    ("validate-all", INSTALLED), ("start", INSTALLED), ("monitor", INSTALLED), ("stop", SUCCESS),
])
def test_without_ietpy_installed(tmp_path: Path, action: str, status: int) -> None:
    """On the PATH is only what the script itself needs to get that far; the places it adds are not ours to empty."""
    for tool in ("dirname", "sh"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    text = (AGENTS / "ietpy-functions").read_text().replace("PATH=$PATH:", "IGNORED=$PATH:")
    (tmp_path / "ietpy-functions").write_text(text)
    shutil.copy(AGENTS / TARGET, tmp_path)
    agent = Node(tmp_path).agent(TARGET, iqn=IQN)
    agent.command = str(tmp_path / TARGET)
    assert agent(action, PATH=str(tmp_path)) == status
    assert "ietadm is not installed" in agent.said


# ocf-tester's sequence -----------------------------------------------------------------------------------------------

SEQUENCE = {
    "validate-all": SUCCESS, "monitor": NOT_RUNNING, "start": SUCCESS, "status": SUCCESS, "start ": SUCCESS,
    "monitor ": SUCCESS, "stop": SUCCESS, "monitor  ": NOT_RUNNING, "stop ": SUCCESS,
}


def walk(agent: Agent, shell: str = "sh") -> None:
    for action, status in SEQUENCE.items():
        assert agent(action.strip(), shell=shell) == status, agent.said


@pytest.mark.parametrize("parameters", [
    pytest.param({}, id="plain"),
    pytest.param({"tid": "40"}, id="tid"),
    pytest.param(CHAP, id="CHAP"),
    pytest.param({"additional_parameters": " Wthreads=4   MaxBurstLength=65536 "}, id="parameters"),
    pytest.param({"allowed_initiators": "127.0.0.1 10.0.0.0/8"}, id="initiators"),
    pytest.param({"portals": "192.0.2.1:3260", "iface": "eth0"}, id="ignored"),
])
def test_a_target_starts_and_stops(node: Node, parameters: dict[str, str]) -> None:
    walk(node.agent(TARGET, iqn=IQN, **parameters))


@pytest.mark.parametrize("shell", SHELLS)
def test_any_shell_will_do(node: Node, shell: str) -> None:
    target = node.agent(TARGET, iqn=IQN, **CHAP)
    unit = node.agent(UNIT, target_iqn=IQN, lun="0", path=node.image("shell.img"))
    assert target("start", shell=shell) == SUCCESS
    walk(unit, shell)
    assert target("stop", shell=shell) == SUCCESS


def test_the_number_that_was_asked_for(node: Node) -> None:
    agent = node.agent(TARGET, iqn=IQN, tid="40")
    assert agent("start") == SUCCESS
    assert node.volume() == f"tid:40 name:{IQN}\n"
    taken = node.agent(TARGET, iqn=OTHER, tid="40")
    assert taken("start") == GENERIC
    assert f"cannot create target {OTHER}: " in taken.said
    assert taken("monitor") == NOT_RUNNING
    assert agent("stop") == SUCCESS


def test_parameters_reach_the_target(node: Node) -> None:
    agent = node.agent(TARGET, iqn=IQN, tid="41", additional_parameters="Wthreads=4 MaxBurstLength=65536")
    assert agent("start") == SUCCESS
    for words, line in ((("--tid=41",), "Wthreads=4"), (("--tid=41", "--sid=0"), "MaxBurstLength=65536")):
        shown = subprocess.run(
            [TOOLS / "ietadm", "--op", "show", *words], env=node.environment, capture_output=True, text=True, check=True
        )
        assert line in shown.stdout.splitlines()
    assert agent("stop") == SUCCESS


def test_what_is_ignored_is_said(node: Node) -> None:
    target = node.agent(TARGET, iqn=IQN, portals="192.0.2.1:3260")
    assert target("start") == SUCCESS
    assert "warn: portals has no effect" in target.said
    unit = node.agent(UNIT, target_iqn=IQN, lun="0", path=node.image("ignored.img"), vendor_id="ACME", product_id="X")
    assert unit("start") == SUCCESS
    assert {"vendor_id", "product_id"} <= {line.split()[2] for line in unit.said.splitlines()}
    with login(node) as client:
        assert client.inquiry(0)[8:32] == b"IET     VIRTUAL-DISK    "
    assert [unit("stop"), target("stop")] == [SUCCESS, SUCCESS]


@pytest.mark.parametrize(("parameters", "status"), [
    ({"additional_parameters": "NoSuchKey=1"}, CONFIGURED),
    ({"additional_parameters": "InitialR2T=perhaps"}, CONFIGURED),
])
def test_a_target_that_cannot_be_made_ready_is_not_left_behind(
    node: Node, parameters: dict[str, str], status: int
) -> None:
    agent = node.agent(TARGET, iqn=IQN, allowed_initiators="10.0.0.1", **CHAP, **parameters)
    assert agent("start") == status
    assert "ocf-exit-reason:cannot set " in agent.said
    assert CHAP["incoming_password"] not in agent.said
    assert node.volume() == ""
    assert list(node.access.iterdir()) == []


def test_the_account_holds_from_the_first_moment(node: Node) -> None:
    agent = node.agent(TARGET, iqn=IQN, **CHAP)
    assert agent("start") == SUCCESS
    with pytest.raises((LoginRefused, AuthenticationFailed)):
        login(node)
    login(node, chap=Chap("joe", "secretsecret12")).close()
    assert list(node.access.iterdir()) == []
    assert agent("stop") == SUCCESS


def test_stopping_ends_sessions(node: Node) -> None:
    agent = node.agent(TARGET, iqn=IQN)
    other = node.agent(TARGET, iqn=OTHER)
    other.more = {"OCF_RESOURCE_INSTANCE": "p_other"}
    assert [agent("start"), other("start")] == [SUCCESS, SUCCESS]
    with login(node) as client, login(node, OTHER) as bystander:
        assert agent("stop") == SUCCESS, agent.said
        assert client.receive_pdu().opcode == Opcode.ASYNC_MESSAGE
        assert client.closed_by_target()
        bystander.ping()
    assert list(node.access.iterdir()) == []
    assert [agent("monitor"), other("monitor"), other("stop")] == [NOT_RUNNING, SUCCESS, SUCCESS]


def test_initiators_that_log_in_again_at_once_do_not_keep_a_target(node: Node) -> None:
    agent = node.agent(TARGET, iqn=IQN)
    assert agent("start") == SUCCESS
    port, ended, logins = node.port, threading.Event(), []

    def insist() -> None:
        while not ended.is_set():
            with Client.connect("127.0.0.1", port) as client:
                try:
                    client.login(LoginPlan(target=IQN))
                    logins.append(1)
                    first.set()
                    client.closed_by_target()
                except InitiatorError:
                    pass

    first = threading.Event()
    initiator = threading.Thread(target=insist)
    initiator.start()
    try:
        assert first.wait(10)
        assert agent("stop") == SUCCESS, agent.said
    finally:
        ended.set()
        initiator.join()
    assert logins
    assert node.volume() == ""


# Logical units -------------------------------------------------------------------------------------------------------


def test_two_logical_units(node: Node, target: Agent) -> None:
    units = [
        node.agent(UNIT, target_iqn=IQN, lun=str(number), path=node.image(f"{number}.img"), **more)
        for number, more in ((0, {}), (300, {"additional_parameters": "IOMode=wb BlockSize=4096"}))
    ]
    for number, unit in enumerate(units):
        unit.more = {"OCF_RESOURCE_INSTANCE": f"p_lun{number}"}
        walk(unit)
        assert unit("start") == SUCCESS
    lines = [line.split() for line in node.volume().splitlines()[1:]]
    assert [line[0] for line in lines] == ["lun:0", "lun:300"]
    assert lines[1][3:6] == ["iomode:wb", "blocks:256", "blocksize:4096"]
    with login(node) as client:
        assert client.report_luns() == [0, 300]
        client.write(0, 0, b"x" * 512)
        assert client.read(0, 0, 1) == b"x" * 512
        assert units[0]("stop") == SUCCESS
        assert client.report_luns() == [300]
    assert units[1].run("monitor", "stop", "monitor") == [SUCCESS, SUCCESS, NOT_RUNNING]


@pytest.mark.parametrize(("resource", "parameters", "identity", "serial"), [
    pytest.param("p_lun0", {}, b"p_lun0", "MD5", id="of the resource's name"),
    pytest.param("p_lu_of_a_long_name", {}, b"p_lu_of_a_long_n", "MD5", id="of a long name"),
    pytest.param("p_lun0", {"scsi_id": "mine", "scsi_sn": "12 34"}, b"mine", "12 34", id="given"),
    pytest.param("p_lun0", {"scsi_id": "", "scsi_sn": ""}, None, "", id="IET's own"),
])
def test_disks_keep_their_identity(
    node: Node, target: Agent, resource: str, parameters: dict[str, str], identity: bytes | None, serial: str
) -> None:
    unit = node.agent(UNIT, target_iqn=IQN, lun="0", path=node.image("id.img"), **parameters)
    unit.more = {"OCF_RESOURCE_INSTANCE": resource}
    assert unit("start") == SUCCESS, unit.said
    if identity is None:
        identity = hashlib.md5(IQN.encode() + bytes(4)).digest()
        serial = identity.hex()
    elif serial == "MD5":
        serial = hashlib.md5(resource.encode()).hexdigest()[:8]
    with login(node) as client:
        assert client.inquiry(0, 0x83)[8:32] == b"IET\0\0\0\0\0" + identity.ljust(16, b"\0")
        assert client.inquiry(0, 0x80)[4:].strip().decode() == serial
    assert unit("stop") == SUCCESS


def test_a_resource_name_has_the_serial_number_that_the_manual_page_shows(node: Node, target: Agent) -> None:
    """ocf_heartbeat_iSCSILogicalUnit(7), made for a resource RESOURCE_ID, has the default b3a49b7f."""
    unit = node.agent(UNIT, target_iqn=IQN, lun="0", path=node.image("serial.img"))
    unit.more = {"OCF_RESOURCE_INSTANCE": "RESOURCE_ID"}
    assert unit("start") == SUCCESS
    with login(node) as client:
        assert client.inquiry(0, 0x80)[4:].strip() == b"b3a49b7f"
    assert unit("stop") == SUCCESS


def test_a_block_device_is_served_past_the_page_cache(node: Node, target: Agent, tmp_path: Path) -> None:
    attached = subprocess.run(
        ["losetup", "--find", "--show", node.image("loop.img")], capture_output=True, text=True, check=False
    )
    if attached.returncode:
        pytest.fail(f"no loop device; run these tests as root: {attached.stderr.strip()}", pytrace=False)
    device = attached.stdout.strip()
    try:
        for more, kind in (({}, "blockio"), ({"additional_parameters": "type=fileio"}, "fileio")):
            unit = node.agent(UNIT, target_iqn=IQN, lun="0", path=device, **more)
            assert unit("start") == SUCCESS, unit.said
            assert f"iotype:{kind} " in node.volume()
            assert unit("stop") == SUCCESS
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@pytest.mark.parametrize(("parameters", "status", "reason"), [
    ({"path": "/nonexistent/disk.img"}, INSTALLED, "No such file or directory."),
    ({"additional_parameters": "Colour=red"}, CONFIGURED, "Invalid argument."),
    ({"target_iqn": OTHER}, GENERIC, f"there is no target {OTHER}"),
])
def test_a_logical_unit_that_cannot_be_served(
    node: Node, target: Agent, parameters: dict[str, str], status: int, reason: str
) -> None:
    unit = node.agent(UNIT, **{"target_iqn": IQN, "lun": "0", "path": node.image("not.img"), **parameters})
    assert unit("start") == status
    assert reason in unit.said
    assert unit.run("monitor", "stop") == [NOT_RUNNING, SUCCESS]


def test_another_resource_s_logical_unit_is_not_ours(node: Node, target: Agent) -> None:
    """The number alone does not make it ours: neither to report, nor to stop."""
    ours = node.agent(UNIT, target_iqn=IQN, lun="1", path=node.image("ours.img"))
    theirs = node.agent(UNIT, target_iqn=IQN, lun="1", path=node.image("theirs.img"))
    assert theirs("start") == SUCCESS
    assert ours.run("monitor", "start", "stop", "monitor") == [NOT_RUNNING, GENERIC, SUCCESS, NOT_RUNNING]
    assert theirs.run("monitor", "stop") == [SUCCESS, SUCCESS]


def test_stopping_waits_for_the_last_command(node: Node, tmp_path: Path) -> None:
    """The device is still open then; here the answer is made up, as no command hangs when it is wanted."""
    unit = node.agent(UNIT, target_iqn=IQN, lun="2", path="/dev/sdx")
    answers = tmp_path / "ietpy"
    line = "tid:1 name:{}\n\tlun:2 state:1 iotype:blockio iomode:wt blocks:8 blocksize:512 path:/dev/sdx\n"
    for name, status in ((IQN, GENERIC), (OTHER, SUCCESS)):
        answers.write_text(f"#!/bin/sh\ncat <<END\n{line.format(name)}END\n")
        answers.chmod(0o755)
        assert unit("stop", PATH=f"{tmp_path}:{node.environment['PATH']}", IETPY_TRIES="1") == status
        assert ("do not end" in unit.said) == (status == GENERIC)


# initiators.allow and initiators.deny --------------------------------------------------------------------------------

Admitted = Callable[[str, str], bool]


@pytest.fixture
def admitted(node: Node) -> Admitted:
    files = AccessFiles(str(node.access))
    return lambda target, peer: files.admits(target, INITIATOR, peer, "127.0.0.1")


@pytest.mark.parametrize(("before", "others"), [
    pytest.param({}, True, id="neither"),
    pytest.param({"initiators.allow": "ALL ALL\n"}, True, id="stock file"),
    pytest.param({"initiators.allow": "# comment\nALL ALL"}, False, id="last line without its end"),
    pytest.param({"initiators.allow": f"{IQN} 10.9.9.9\n"}, False, id="a line of its own already"),
    pytest.param({"initiators.allow": "", "initiators.deny": "# nothing\n"}, True, id="old mode"),
    pytest.param({"initiators.deny": "ALL ALL\n"}, False, id="old mode, all denied"),
])
def test_only_those_allowed(node: Node, admitted: Admitted, before: dict[str, str], others: bool) -> None:
    """And other targets are as open or closed as they were, all the time; afterwards the files are as they were."""
    for name, text in before.items():
        (node.access / name).write_text(text)
    agent = node.agent(TARGET, iqn=IQN, allowed_initiators=f"10.0.0.1 {INITIATOR}2 192.168.0.0/16")
    assert admitted(OTHER, "10.0.0.1") == others
    assert agent.run("start", "monitor", "start") == [SUCCESS] * 3
    verdicts = {peer: admitted(IQN, peer) for peer in ("10.0.0.1", "192.168.7.7", "10.0.0.2", "10.9.9.9")}
    assert verdicts == {"10.0.0.1": True, "192.168.7.7": True, "10.0.0.2": False, "10.9.9.9": False}
    assert admitted(OTHER, "10.0.0.1") == others
    with pytest.raises(LoginRefused):
        login(node)
    assert agent("stop") == SUCCESS
    assert {path.name: path.read_text() for path in node.access.iterdir()} == before


def test_targets_share_the_files(node: Node, admitted: Admitted) -> None:
    agents = [node.agent(TARGET, iqn=name, allowed_initiators=f"10.0.0.{number}")
              for number, name in enumerate((IQN, OTHER))]
    for number, agent in enumerate(agents):
        agent.more = {"OCF_RESOURCE_INSTANCE": f"p_{number}"}
    with ThreadPoolExecutor() as pool:
        assert [*pool.map(lambda agent: agent("start"), agents)] == [SUCCESS, SUCCESS]
    verdicts = [admitted(name, f"10.0.0.{number}") for name in (IQN, OTHER) for number in (0, 1)]
    assert verdicts == [True, False, False, True]
    assert [agent("stop") for agent in agents] == [SUCCESS, SUCCESS]
    assert list(node.access.iterdir()) == []


def test_lines_of_a_node_that_crashed_are_replaced(node: Node) -> None:
    agent = node.agent(TARGET, iqn=IQN, allowed_initiators="10.0.0.1")
    assert agent("start") == SUCCESS
    lines = {path.name: path.read_text() for path in node.access.iterdir()}
    assert agent("stop") == SUCCESS
    for name, text in lines.items():
        (node.access / name).write_text(text)
    assert agent("start") == SUCCESS
    assert {path.name: path.read_text() for path in node.access.iterdir()} == lines
    assert agent("stop") == SUCCESS
    for name, text in lines.items():
        (node.access / name).write_text(text)
    after = node.agent(TARGET, iqn=IQN)
    assert after("start") == SUCCESS
    assert list(node.access.iterdir()) == []
    assert after("stop") == SUCCESS


def test_links_owners_and_modes_stay(node: Node) -> None:
    shared = node.directory / "shared.allow"
    shared.write_text("ALL 10.0.0.0/8\n")
    shared.chmod(0o640)
    (node.access / "initiators.allow").symlink_to(shared)
    agent = node.agent(TARGET, iqn=IQN, allowed_initiators="10.0.0.1")
    assert agent("start") == SUCCESS
    mark = f"# iSCSITarget {agent.more['OCF_RESOURCE_INSTANCE']}\n"
    assert shared.read_text() == f"{mark}{IQN} 10.0.0.1\nALL 10.0.0.0/8\n"
    assert shared.stat().st_mode & 0o777 == 0o640
    assert agent("stop") == SUCCESS
    assert (node.access / "initiators.allow").is_symlink()
    assert shared.read_text() == "ALL 10.0.0.0/8\n"


def test_what_an_administrator_adds_meanwhile_stays(node: Node, admitted: Admitted) -> None:
    agent = node.agent(TARGET, iqn=IQN, allowed_initiators="10.0.0.1")
    assert agent("start") == SUCCESS
    with (node.access / "initiators.allow").open("a") as file:
        file.write(f"{OTHER} 10.0.0.2\n")
    with (node.access / "initiators.deny").open("a") as file:
        file.write(f"{OTHER} ALL\n")
    assert agent("stop") == SUCCESS
    assert [admitted(OTHER, "10.0.0.2"), admitted(OTHER, "10.0.0.1"), admitted(IQN, "10.0.0.3")] == [True, False, True]


def test_each_file_is_written_where_it_is_read(node: Node, tmp_path: Path) -> None:
    """/etc/iet first, then /etc, and each file by itself."""
    first, second = tmp_path / "iet", tmp_path / "etc"
    first.mkdir()
    second.mkdir()
    (second / "initiators.deny").write_text("# old\n")
    agent = node.agent(TARGET, iqn=IQN, allowed_initiators="10.0.0.1")
    directories = f"{first} {second}"
    assert agent("start", IETPY_ACCESS_DIRECTORIES=directories) == SUCCESS
    assert f"{IQN} 10.0.0.1\n" in (first / "initiators.allow").read_text()
    assert f"{IQN} ALL\n" in (second / "initiators.deny").read_text()
    assert not (first / "initiators.deny").exists()
    assert agent("stop", IETPY_ACCESS_DIRECTORIES=directories) == SUCCESS


def test_no_target_where_it_cannot_be_restricted(node: Node) -> None:
    agent = node.agent(TARGET, iqn=IQN, allowed_initiators="10.0.0.1")
    assert agent("start", IETPY_ACCESS_DIRECTORIES="/nonexistent") == GENERIC
    assert "cannot lock /nonexistent" in agent.said
    assert node.volume() == ""


def test_accounts_and_stopping_need_no_place_to_write(node: Node) -> None:
    agent = node.agent(TARGET, iqn=IQN, **CHAP)
    assert agent("start", IETPY_ACCESS_DIRECTORIES="/nonexistent") == SUCCESS
    with login(node, chap=Chap("joe", "secretsecret12")):
        assert agent("stop", IETPY_ACCESS_DIRECTORIES="/nonexistent") == SUCCESS


# The daemon, and Pacemaker's own functions ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "parameters"), [(TARGET, GOOD_TARGET), (UNIT, GOOD_UNIT)])
def test_without_a_daemon(lone: Node, name: str, parameters: dict[str, str]) -> None:
    agent = lone.agent(name, **parameters)
    assert agent.run("monitor", "stop", "start") == [NOT_RUNNING, SUCCESS, GENERIC]
    assert "ocf-exit-reason:" in agent.said


def test_a_daemon_that_was_killed_does_not_serve(lone: Node) -> None:
    """Its files are still there."""
    lone.start()
    target = lone.agent(TARGET, iqn=IQN)
    unit = lone.agent(UNIT, target_iqn=IQN, lun="0", path=lone.image("disk.img"))
    assert [target("start"), unit("start"), unit("monitor")] == [SUCCESS] * 3
    pid = int(lone.pid_file.read_text())
    os.kill(pid, signal.SIGKILL)
    while f"pid {pid}" in subprocess.run(
        [TOOLS / "ietpy-daemon", "status", "--pid-file", lone.pid_file, "--control", lone.control],
        capture_output=True, text=True, check=False,
    ).stdout:
        pass
    assert f"name:{IQN}\n" in lone.volume()
    assert [unit("monitor"), target("monitor")] == [NOT_RUNNING, NOT_RUNNING]
    assert [unit("stop"), target("stop")] == [SUCCESS, SUCCESS]
    lone.start()
    assert [target("start"), unit("start"), unit("stop"), target("stop")] == [SUCCESS] * 4


def test_a_daemon_that_hangs_is_not_one_that_has_stopped(lone: Node) -> None:
    """What it serves it may still be serving: success would let another node take the device."""
    lone.start()
    agents = [lone.agent(TARGET, **GOOD_TARGET), lone.agent(UNIT, **GOOD_UNIT)]
    pid = int(lone.pid_file.read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor() as pool:  # each waits for an answer as long as ietadm does
            assert [*pool.map(lambda agent: agent("stop"), agents)] == [GENERIC, GENERIC]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert all("the daemon runs but does not answer: " in agent.said for agent in agents)
    assert [agent("stop") for agent in agents] == [SUCCESS, SUCCESS]


def test_a_daemon_is_asked_where_its_files_are_not_found(node: Node, target: Agent, tmp_path: Path) -> None:
    elsewhere = {"IETPY_VOLUME": str(tmp_path / "volume")}
    assert target("monitor", **elsewhere) == SUCCESS
    assert target("monitor", IETPY_PIDFILE=str(tmp_path / "ietd.pid")) == SUCCESS


def test_a_deep_check_asks_the_daemon(node: Node, target: Agent, tmp_path: Path) -> None:
    unit = node.agent(UNIT, target_iqn=IQN, lun="0", path=node.image("deep.img"))
    assert unit("start") == SUCCESS
    volume = tmp_path / "volume"
    volume.write_text(node.volume().replace("tid:", "tid:9"))  # which knows no such number
    for agent in (target, unit):
        assert agent("monitor", OCF_CHECK_LEVEL="10") == SUCCESS
        assert agent("monitor", OCF_CHECK_LEVEL="10", IETPY_VOLUME=str(volume)) == INSTALLED
        assert agent("monitor", OCF_CHECK_LEVEL="0", IETPY_VOLUME=str(volume)) == SUCCESS
    assert unit("stop") == SUCCESS


def test_pacemaker_s_functions_are_used_where_they_are(tmp_path: Path) -> None:
    node = Node(tmp_path)
    functions = tmp_path / "lib" / "heartbeat" / "ocf-shellfuncs"
    functions.parent.mkdir(parents=True)
    functions.write_text(
        'OCF_ERR_CONFIGURED=6\nocf_log() { echo "LOG $*" >&2; }\nocf_exit_reason() { echo "REASON $*" >&2; }\n'
    )
    agent = node.agent(TARGET)
    assert agent("start") == CONFIGURED
    assert agent.said == "REASON the parameter iqn is required\n"
    stopped = node.agent(TARGET, iqn=IQN)
    assert stopped("stop") == SUCCESS
    assert stopped.said == f"LOG info {IQN} is not served\n"
