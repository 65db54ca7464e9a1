"""IET's /proc/net/iet as text: each line by itself, and two dumps of a real IET byte for byte (iet-compat 6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ietpy.admin import proc as text
from ietpy.config.access import AccessFiles
from ietpy.config.load import loads
from ietpy.daemon.administration import Administration
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.daemon.options import StartOptions
from ietpy.initiator.login import LoginPlan
from ietpy.scsi.store import Capabilities
from tests.cli.conftest import Daemon, until

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "ietd-conf"
VOLUME, SESSION = CORPUS / "99-iet-parser.proc-volume.txt", CORPUS / "99-iet-parser.proc-session.txt"

# The text -------------------------------------------------------------------------------------------------------------


def target(tid: int, name: str, *luns: Mapping[str, Any]) -> dict[str, Any]:
    return {"tid": tid, "name": name, "luns": luns}


def lun(number: int, **changed: Any) -> dict[str, Any]:
    facts = {"type": "fileio", "mode": "wt", "size": 1 << 20, "block_size": 512, "path": "/d", "leaving": False}
    return {"number": number, **facts, **changed}


def session(name: str, **changed: Any) -> dict[str, Any]:
    return {
        "target": name, "isid": "00023d010000", "tsih": 1, "cid": 0, "initiator": "iqn.i", "address": "10.0.0.7",
        "closing": False, "header_digest": False, "data_digest": False, **changed,
    }


def test_numbers_of_sessions_are_those_of_the_captures() -> None:
    """iet-compat 6.2."""
    assert text.session_id(bytes.fromhex("400001370000"), 4) == 1125900829655104
    assert text.session_id(bytes.fromhex("00023d010000"), 1) == 281474997486080
    assert text.session_id(b"\xff" * 6, 0xFFFF) == 2**64 - 1


def test_volume() -> None:
    assert text.volume([]) == ""
    served = [
        target(1, "a", lun(3), lun(0, mode="ro", leaving=True), lun(1, block_size=4096, mode="wb", path="/x y:z")),
        target(12, "b"),
        target(7, "c", lun(0, type="nullio", path="", size=(1 << 20) + 511), lun(1, type="blockio")),
    ]
    assert text.volume(served) == (
        "tid:7 name:c\n"
        "\tlun:0 state:0 iotype:nullio iomode:wt blocks:2048 blocksize:512\n"
        "\tlun:1 state:0 iotype:blockio iomode:wt blocks:2048 blocksize:512 path:/d\n"
        "tid:12 name:b\n"
        "tid:1 name:a\n"
        "\tlun:3 state:0 iotype:fileio iomode:wt blocks:2048 blocksize:512 path:/d\n"
        "\tlun:0 state:1 iotype:fileio iomode:ro blocks:2048 blocksize:512 path:/d\n"
        "\tlun:1 state:0 iotype:fileio iomode:wb blocks:256 blocksize:4096 path:/x y:z\n"
    )


def test_session() -> None:
    sessions = [
        session("a"),
        session(None, initiator="iqn.discovering"),
        session("a", tsih=2, cid=1, initiator="iqn.j", closing=True),
        session("b", address="2001:db8::1", header_digest=True),
        session("gone"),
        session("a", tsih=3, address="::ffff:10.0.0.7", data_digest=True),
    ]
    assert text.session([], sessions) == ""
    assert text.session([target(1, "a", lun(0)), target(2, "b"), target(3, "c")], sessions) == (
        "tid:3 name:c\n"
        "tid:2 name:b\n"
        "\tsid:281474997486080 initiator:iqn.i\n"
        "\t\tcid:0 ip:[2001:0db8:0000:0000:0000:0000:0000:0001] state:active hd:crc32c dd:none\n"
        "tid:1 name:a\n"
        "\tsid:844424950907392 initiator:iqn.i\n"
        "\t\tcid:0 ip:[0000:0000:0000:0000:0000:ffff:0a00:0007] state:active hd:none dd:crc32c\n"
        "\tsid:562949974196736 initiator:iqn.j\n"
        "\t\tcid:1 ip:10.0.0.7 state:closing hd:none dd:none\n"
        "\tsid:281474997486080 initiator:iqn.i\n"
        "\t\tcid:0 ip:10.0.0.7 state:active hd:none dd:none\n"
    )


# The two dumps of a real IET ------------------------------------------------------------------------------------------


def dump(path: Path) -> str:
    """A dump as /proc had it; its owner made 8 blanks of each TAB, and one lost its last line end."""
    if not path.exists():
        pytest.skip("no ../shared")
    return path.read_text().rstrip("\n").replace(" " * 8, "\t") + "\n"


def fields(line: str) -> dict[str, str]:
    """The words of a line, parted at the first colon."""
    return {key: value for key, _, value in (word.partition(":") for word in line.split())}


def blocks(dumped: str) -> list[tuple[dict[str, str], list[dict[str, str]]]]:
    """Targets in the order of their creation, each with what stands below it."""
    found: list[tuple[dict[str, str], list[dict[str, str]]]] = []
    for line in dumped.splitlines():
        if line.startswith("\t"):
            found[-1][1].append(fields(line))
        else:
            found.append((fields(line), []))
    return found[::-1]


class Store:
    """A medium of which only the size matters."""

    capabilities = Capabilities()
    block_size = physical_block_size = 512

    def __init__(self, size: int) -> None:
        self.size = size

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"nobody reads or writes here ({name})")


class Network:
    """Sessions that are there, each with the number a dump has for it."""

    def __init__(self, dumped: str) -> None:
        self.found: list[dict[str, Any]] = []
        for owner, below in blocks(dumped):
            for facts, connection in zip(below[::2], below[1::2], strict=True):
                number = int(facts["sid"]).to_bytes(8, "little")
                self.found.append(session(
                    owner["name"], isid=number[:6].hex(), tsih=int.from_bytes(number[6:], "little"),
                    initiator=facts["initiator"], cid=int(connection["cid"]), address=connection["ip"],
                ))
        self.found.sort(key=lambda facts: facts["tsih"])  # IET counted them up

    def sessions(self) -> list[dict[str, Any]]:
        return self.found

    def portals(self) -> list[tuple[str, int]]:
        return []

    def end_connection(self, connection: Any) -> None:
        raise AssertionError


class NoNames:
    """There is no iSNS server."""

    def deregister(self) -> None: ...

    def facts(self) -> None: ...


def running(dumped: str, network: Any) -> Administration:
    """A daemon that runs with an ietd.conf equivalent to a dump: targets, and logical units in their order."""
    lines, sizes = [], {}
    for owner, luns in blocks(dumped):
        lines.append(f"Target {owner['name']}")
        for each in luns:
            if "path" in each:
                sizes[each["path"]] = int(each["blocks"]) * int(each["blocksize"])
                lines.append(f"Lun {each['lun']} Path={each['path']},Type={each['iotype']},IOMode={each['iomode']}")
    configuration = loads("\n".join([*lines, ""]))
    assert configuration.errors == ()
    media = Media("/", lambda type, path, **more: Store(sizes[path]))
    inventory = Inventory(configuration, media, access=AccessFiles())
    assert inventory.problems == []
    return Administration(
        StartOptions(), inventory, network, reread=dict, read=loads, publish=lambda: None, published="", isns=NoNames()
    )


def test_the_volume_dump_of_the_corpus_byte_for_byte() -> None:
    expected = dump(VOLUME)
    assert running(expected, Network("")).volume().encode() == expected.encode()
    assert expected.count("\n") == 18 + 20


def test_the_session_dump_of_the_corpus_byte_for_byte() -> None:
    expected = dump(SESSION)
    assert running(expected, Network(expected)).session().encode() == expected.encode()
    assert expected.count("\n") == 18 + 17 * 2


def test_the_session_dump_again_with_real_sessions(tmp_path: Path) -> None:
    """Initiators of these names and ISIDs log in, in IET's order; all but addresses comes out as it was.

    One of the 17 is left out: its owner wrote it into the dump by hand, and TSIH 8 is there twice.
    """
    expected = re.sub(r"\t[^\n]*com\.microsoft:server\n[^\n]*\n", "", dump(SESSION))
    assert dump(SESSION).count("\n") - expected.count("\n") == 2
    text_of_file = "".join(f"Target {owner['name']}\nLun 0 Type=nullio\n" for owner, _ in blocks(expected))
    with Daemon(tmp_path, text_of_file) as daemon:
        tsih = 0
        for facts in Network(expected).found:
            while facts["tsih"] > tsih + 1:  # discovery sessions are not shown, but counted
                daemon.dial().login(LoginPlan())
                tsih += 1
            plan = {"initiator": facts["initiator"], "isid": bytes.fromhex(facts["isid"]), "cid": facts["cid"]}
            daemon.login(facts["target"], **plan)
            tsih += 1
        seen = re.sub(r" ip:\S+ ", " ip:127.0.0.1 ", expected)
        until(lambda: daemon.session() == seen)
