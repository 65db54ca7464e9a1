"""What was imported, served: initiators find the LUNs, names and rules that the source had, and nobody else gets in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.config.access import AccessFiles
from ietpy.config.load import load
from ietpy.config.model import Configuration
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.images import make_image
from ietpy.initiator.client import Client
from ietpy.initiator.errors import CommandFailed, LoginRefused
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.migrate.lio import read_lio
from ietpy.migrate.to_ietd import to_ietd
from ietpy.server.listener import Server
from ietpy.server.portals import bind

T = "iqn.2003-01.org.linux-iscsi.san:sn.1"
ANN, BOB, EVE = (f"iqn.1993-08.org.debian:01:{name}" for name in ("ann", "bob", "eve"))
UUIDS = "b1f6f4e2-0f4c-4c77-9f0e-6f2a8a3c1d01", "0d8e1f3b-2222-4e6e-8a4f-91c1ab77e3b5"
SIZES = 1 << 20, 2 << 20


def saved(directory: Path) -> str:
    """A saveconfig.json with two disks: ann has the second as 0 and the first as 5, to read; bob the first."""
    objects = [
        {"plugin": "fileio", "name": f"disk{number}", "dev": str(directory / f"{number}.img"), "size": size,
         "wwn": UUIDS[number], "write_back": bool(number), "attributes": {"emulate_model_alias": 1}}
        for number, size in enumerate(SIZES)
    ]
    acls = [
        {"node_wwn": ANN, "chap_userid": "ann", "chap_password": "ann secret 0001", "mapped_luns": [
            {"index": 0, "tpg_lun": 1, "write_protect": False}, {"index": 5, "tpg_lun": 0, "write_protect": True}]},
        {"node_wwn": BOB, "chap_userid": "bob", "chap_password": "bob-secret-0001", "mapped_luns": [
            {"index": 0, "tpg_lun": 0, "write_protect": False}]},
    ]
    group = {
        "tag": 1, "attributes": {"authentication": 1, "generate_node_acls": 0}, "node_acls": acls,
        "portals": [{"ip_address": "127.0.0.1", "port": 3260}],
        "luns": [{"index": number, "storage_object": f"/backstores/fileio/disk{number}"} for number in range(2)],
    }
    return json.dumps({"storage_objects": objects, "targets": [{"fabric": "iscsi", "wwn": T, "tpgs": [group]}]})


@pytest.fixture
def login(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Log in to what the import of ``saved`` is served as; the files lie where they were written."""
    for number, size in enumerate(SIZES):
        make_image(str(tmp_path / f"{number}.img"), size)
    made = to_ietd(read_lio(saved(tmp_path), "saveconfig.json"), str(tmp_path))
    for name, text in made.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    inventory = Inventory(Configuration("ietd.conf"), Media(), access=AccessFiles(str(tmp_path)))
    server = Server(inventory.node, bind("127.0.0.1", 0))
    inventory.units.transport = server
    server.start()
    assert inventory.apply(load(tmp_path / "ietd.conf")) == []
    clients: list[Client] = []

    def make(initiator: str, chap: Chap | None) -> Client:
        clients.append(Client.connect("127.0.0.1", server.portals()[0][1]))
        clients[-1].login(LoginPlan(initiator=initiator, target=T, chap=chap))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
    assert server.stop(10)
    assert inventory.close()


def told(command: Callable[..., Any], *arguments: Any) -> Any:
    """A command's result, past the unit attentions of a new session."""
    for _ in range(4):
        try:
            return command(*arguments)
        except CommandFailed as failed:
            if "UNIT_ATTENTION" not in str(failed).upper().replace(" ", "_"):
                raise
    raise AssertionError("unit attentions without end")


def test_luns_sizes_names_and_rights_are_those_of_lio(login: Callable[..., Client]) -> None:
    client = login(ANN, Chap("ann", "ann secret 0001"))
    assert client.report_luns() == [0, 5]
    assert [told(client.read_capacity, lun).size for lun in (0, 5)] == [SIZES[1], SIZES[0]]
    for lun, disk in ((0, 1), (5, 0)):
        assert client.inquiry(lun)[8:36] == f"LIO-ORG disk{disk}           4.0 ".encode()
        serial = client.inquiry(lun, 0x80)
        assert serial[4 : 4 + serial[3]] == UUIDS[disk].encode() + b"\0"
        digits = UUIDS[disk].replace("-", "")[:25]
        assert client.inquiry(lun, 0x83)[4:24] == bytes.fromhex("01030010" + "6001405" + digits)
    told(client.write, 0, 0, bytes(512))
    with pytest.raises(CommandFailed):
        told(client.write, 5, 0, bytes(512))


@pytest.mark.parametrize(("initiator", "chap"), [
    (ANN, None), (ANN, Chap("bob", "bob-secret-0001")), (ANN, Chap("ann", "wrong secret 001")),
    (BOB, Chap("ann", "ann secret 0001")), (EVE, None), (EVE, Chap("ann", "ann secret 0001")),
], ids=["without CHAP", "as another", "a wrong secret", "the other way", "a stranger", "a stranger with a secret"])
def test_nobody_else_gets_in(login: Callable[..., Client], initiator: str, chap: Chap | None) -> None:
    with pytest.raises(LoginRefused):
        login(initiator, chap)


def test_others_have_what_is_theirs(login: Callable[..., Client]) -> None:
    client = login(BOB, Chap("bob", "bob-secret-0001"))
    assert client.report_luns() == [0]
    assert told(client.read_capacity, 0).size == SIZES[0]
    told(client.write, 0, 0, bytes(512))
