"""The iSNS client of a daemon: there when the file asks for it, closed while it is not, and heard at logins."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.config.access import AccessFiles
from ietpy.config.load import loads
from ietpy.config.model import Configuration
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.daemon.naming import Naming
from ietpy.initiator.client import Client
from ietpy.initiator.errors import LoginRefused
from ietpy.initiator.login import LoginPlan
from ietpy.isns.client import IsnsClient
from ietpy.server.listener import Server
from ietpy.server.portals import bind
from tests.isns.server import IsnsServer

A, B = "iqn.2026-11.test:a", "iqn.2026-11.test:b"
ALICE, BOB = "iqn.2026-11.test:alice", "iqn.2026-11.test:bob"


class Fake:
    """Stands for an IsnsClient."""

    def __init__(self, server: str, **options: Any) -> None:
        self.server, self.options = server, options
        self.calls: list[str] = []

    def start(self) -> None:
        if self.server == "broken":
            raise OSError(24, "Too many open files")
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def refresh(self) -> None:
        self.calls.append("refresh")

    def deregister(self) -> None:
        self.calls.append("deregister")

    def admits(self, target: str, initiator: str) -> bool:
        return initiator == ALICE

    def facts(self) -> dict[str, Any]:
        return {"server": self.server}


@pytest.fixture
def made() -> list[Fake]:
    return []


@pytest.fixture
def naming(made: list[Fake]) -> Naming:
    def make(server: str, **options: Any) -> Any:
        made.append(Fake(server, **options))
        return made[-1]

    return Naming(lambda: [A], lambda: 3260, make)


def asking(server: str, control: bool = True) -> Configuration:
    return Configuration("ietd.conf", isns_server=server, isns_access_control=control)


def test_without_a_server_there_is_no_client(naming: Naming, made: list[Fake]) -> None:
    naming.follow(asking(""))
    naming.refresh()
    naming.deregister()
    assert made == []
    assert naming.facts() is None
    assert not naming.admits(A, ALICE)
    naming.stop()


def test_the_client_that_the_file_asks_for(naming: Naming, made: list[Fake]) -> None:
    naming.follow(asking("h"))
    naming.follow(asking("h"))
    (client,) = made
    assert client.options == {
        "portal_port": 3260, "portal_address": "", "targets": client.options["targets"], "access_control": True,
    }
    assert client.options["targets"]() == [A]
    naming.refresh()
    naming.deregister()
    assert (naming.admits(A, ALICE), naming.admits(A, BOB)) == (True, False)
    assert naming.facts() == {"server": "h"}
    naming.stop()
    naming.stop()
    assert client.calls == ["start", "refresh", "deregister", "stop"]
    assert not naming.admits(A, ALICE)


@pytest.mark.parametrize("change", [("i", True), ("h", False), ("", True)])
def test_another_server_or_say_is_another_client(naming: Naming, made: list[Fake], change: tuple[str, bool]) -> None:
    naming.follow(asking("h"))
    naming.follow(asking(*change))
    assert made[0].calls == ["start", "stop"]
    assert [client.server for client in made[1:]] == ([change[0]] if change[0] else [])


def test_a_client_that_was_not_to_decide_admits_nobody(naming: Naming) -> None:
    """In a reload that switches access control on, it is asked before the one that knows is there."""
    naming.follow(asking("h", False))
    assert not naming.admits(A, ALICE)


def test_an_ended_client_is_not_started_again_by_a_reload_under_way(naming: Naming, made: list[Fake]) -> None:
    naming.follow(asking("h"))
    naming.stop()
    naming.follow(asking("i"))
    assert len(made) == 1


def test_a_client_that_cannot_start_admits_nobody(naming: Naming, caplog: pytest.LogCaptureFixture) -> None:
    naming.follow(asking("broken"))
    assert "the iSNS client cannot start" in caplog.text
    assert not naming.admits(A, ALICE)


# With a server, a target and initiators ------------------------------------------------------------------------------


class Site:
    """A target's server whose iSNS client asks a real one; ``name_server.put`` makes discovery domains."""

    def __init__(self, directory: Path) -> None:
        self.name_server = IsnsServer()
        self.refusals: set[int] = set()
        text = f"iSNSServer 127.0.0.1\niSNSAccessControl Yes\nTarget {A}\n\tLun 0 Type=nullio\nTarget {B}\n"
        self.inventory = Inventory(loads(text), Media(), access=AccessFiles(str(directory)))
        self.server = Server(self.inventory.node, bind("127.0.0.1", 0))
        self.server.start()
        self.naming = self.inventory.rules.gate = Naming(
            lambda: [target.name for target in self.inventory.node.targets.values()],
            lambda: self.server.portals()[0][1],
            functools.partial(IsnsClient, port=self.name_server.port, entity_id="storage.test"),
        )

    def may(self, target: str, initiator: str) -> bool:
        with Client.connect("127.0.0.1", self.server.portals()[0][1]) as client:
            try:
                client.login(LoginPlan(target=target, initiator=initiator))
            except LoginRefused as refused:
                self.refusals.add(refused.status)
                return False
            return True

    def sees(self, initiator: str) -> list[str]:
        with Client.connect("127.0.0.1", self.server.portals()[0][1]) as client:
            client.login(LoginPlan(initiator=initiator))
            return [name for name, _ in client.discover()]

    def close(self) -> None:
        self.naming.stop()
        self.server.stop(10)
        self.inventory.close()
        self.name_server.stop()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_domains_decide_who_sees_and_uses_a_target(site: Site, eventually: Callable[..., None]) -> None:
    names = site.name_server
    assert not site.may(A, ALICE)  # nobody has been asked yet
    assert site.sees(ALICE) == []
    site.naming.follow(site.inventory.configuration)
    names.wait_for(lambda: names.targets == {A, B}, "both targets are registered")
    names.add_initiator(ALICE)
    names.add_initiator(BOB)
    names.put("domain", A, ALICE)
    eventually(lambda: site.may(A, ALICE))
    assert site.sees(ALICE) == [A]
    assert not site.may(B, ALICE)
    assert not site.may(A, BOB)
    names.take("domain", ALICE)
    eventually(lambda: not site.may(A, ALICE))
    assert site.refusals == {0x0203}  # as if there were no such target


def test_targets_made_and_removed_live_are_registered(site: Site) -> None:
    names = site.name_server
    site.naming.follow(site.inventory.configuration)
    names.wait_for(lambda: names.targets == {A, B}, "both targets are registered")
    site.inventory.remove_target(2)
    names.wait_for(lambda: names.targets == {A}, "the removed target has left")
    site.naming.deregister()
    names.wait_for(lambda: names.targets == set(), "the entity has left")
    assert not site.may(A, ALICE)


@pytest.mark.parametrize(("advertised", "address", "port"), [
    ("", "", 3260), ("nas.example.com:3261", "", 3260), ("198.51.100.7:3261", "198.51.100.7", 3261),
    ("[2001:db8::1]:3261", "2001:db8::1", 3261),
])
def test_it_registers_what_is_advertised_if_that_is_an_address(
    made: list[Fake], advertised: str, address: str, port: int
) -> None:
    def make(server: str, **options: Any) -> Any:
        made.append(Fake(server, **options))
        return made[-1]

    told = [advertised]
    naming = Naming(list, lambda: 3260, make, lambda: told[0])
    naming.follow(loads("iSNSServer h\n"))
    assert (made[0].options["portal_address"], made[0].options["portal_port"]) == (address, port)
    told[0] = "192.0.2.200:1"
    naming.follow(loads("iSNSServer h\n"))
    assert made[1].options["portal_address"] == "192.0.2.200"
    naming.stop()
