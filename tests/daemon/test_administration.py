"""What the control socket can ask: IET's live changes by tid and sid, and what is shown of them."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.admin import proc
from ietpy.config.load import load, loads
from ietpy.config.model import Configuration
from ietpy.daemon.administration import DRAIN, Administration
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.daemon.options import StartOptions
from ietpy.errors import AdminError, ConfigError
from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.tally import Tally
from ietpy.iscsi.target import Portal

NAME = "iqn.2001-04.com.example:t"
TEXT = f"""\
# ours
IncomingUser disco very
Target {NAME}  # the first
    IncomingUser joe first
    IncomingUser joe second
    OutgoingUser jim other
    Lun 0 Type=nullio,Blocks=8
    DataDigest CRC32C,None
    QueuedCommands 64
"""


class Network:
    def __init__(self) -> None:
        self.ended: list[Any] = []

    def sessions(self) -> list[dict[str, Any]]:
        return []

    def measure(self) -> None:
        pass

    def usage(self) -> list[dict[str, Any]]:
        return [{"pid": 1}]

    def portals(self) -> list[Portal]:
        return [Portal("127.0.0.1", 3260)]

    def end_connection(self, connection: Any) -> None:
        self.ended.append(connection)

    def dismiss(self, target: Any, timeout: float) -> None:
        """Their sessions end, but for those that hang."""
        self.ended.append(target)
        for key in [key for key, session in target.sessions.items() if not getattr(session, "hangs", False)]:
            del target.sessions[key]

    def end_sessions(self, sessions: Any, timeout: float) -> list[bool]:
        self.ended.append((sessions, timeout))
        return [timeout > 0 for _ in sessions]


class Names:
    def __init__(self) -> None:
        self.left = 0

    def deregister(self) -> None:
        self.left += 1

    def facts(self) -> dict[str, Any]:
        return {"server": "h"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "ietd.conf"
    path.write_text(TEXT)
    return path


@pytest.fixture
def published() -> list[str]:
    return []


@pytest.fixture
def daemon(config: Path, published: list[str]) -> Iterator[Administration]:
    inventory = Inventory(load(config), Media())

    def read(text: str | None) -> Configuration:
        return load(config) if text is None else loads(text, str(config))

    def reread(text: str | None) -> dict[str, Any]:
        return {"unable": inventory.apply(read(text)), "found": []}

    made = Administration(
        StartOptions(config=str(config)), inventory, Network(), reread=reread, read=read,
        publish=lambda: published.append(made.volume()), published="/run/iet", isns=Names(),
    )
    yield made
    assert inventory.close()


def failure(code: int, match: str | None = None) -> Any:
    return pytest.raises(AdminError, match=match, check=lambda error: error.code == code)


@pytest.fixture
def session(daemon: Administration) -> Any:
    """A live session of the target: ISID and TSIH as a Linux initiator's first one had under IET."""
    made = SimpleNamespace(
        isid=bytes.fromhex("00023d010000"), tsih=1, connections={7: SimpleNamespace(cid=7)}, stranded={},
        tally=Tally(1), parameters=Parameters(header_digest=True, max_xmit_data_segment_length=4096, initial_r2t=False),
    )
    daemon.inventory.target(1).node.sessions["iqn.i", made.isid] = made  # type: ignore[assignment]
    return made


SID = 0x0001_0000_013D_0200


def test_every_change_is_published_before_it_is_answered(daemon: Administration, published: list[str]) -> None:
    changes: list[Callable[[], object]] = [
        lambda: daemon.create_target(0, "new"),
        lambda: daemon.create_lun(2, 0, "Type=nullio"),
        lambda: daemon.update_target(2, {"Wthreads": "3"}),
        lambda: daemon.delete_lun(2, 0),
        lambda: daemon.delete_target(2),
        daemon.reload,
    ]
    for number, change in enumerate(changes, 1):
        change()
        assert len(published) == number
    assert "tid:2 name:new" in published[0]
    assert "lun:0" in published[1].partition("tid:1")[0]


def test_status_is_complete(daemon: Administration) -> None:
    facts = daemon.status()
    assert facts["published"] == "/run/iet"
    assert facts["isns"] == {"server": "h"}
    assert "very" not in str(facts)
    assert "second" not in str(facts)
    assert daemon.ping() == "pong"


@pytest.mark.parametrize("name", ["", "two words", "x" * 256])
def test_a_name_is_one_word(daemon: Administration, name: str) -> None:
    with failure(errno.EINVAL, "one word"):
        daemon.create_target(0, name)


def test_names_and_secrets_are_one_line(daemon: Administration) -> None:
    with failure(errno.EINVAL, "control characters"):
        daemon.create_target(0, "line\nfeed")
    for name, secret in (("line\nfeed", "secret secret"), ("joe", "secret\nsecret")):
        with failure(errno.EINVAL, "control characters") as caught:
            daemon.create_account(1, False, name, secret)
        assert "secret\n" not in str(caught.value)


def test_options_of_a_target(daemon: Administration) -> None:
    shown = daemon.show_target(1)
    assert shown["QueuedCommands"] == "64"
    daemon.create_target(0, "new")
    assert daemon.show_target(2) | {"MaxSessions": "0"} == {
        "MaxSessions": "0", "Wthreads": "8", "Type": "0", "QueuedCommands": "32", "NOPInterval": "0", "NOPTimeout": "0",
    }
    daemon.update_target(2, {"NOPInterval": "5", "Type": "0"})
    assert daemon.show_target(2)["NOPInterval"] == "5"


def test_whether_there_is_a_target_comes_first(daemon: Administration) -> None:
    with failure(errno.ENOENT):
        daemon.update_target(9, {"x": "y"})
    with failure(errno.EINVAL):
        daemon.update_target(1, {"x": "y"})
    with failure(errno.EINVAL, "values are texts"):
        daemon.update_target(1, {"Wthreads": 5})  # type: ignore[dict-item]
    with failure(errno.ENOENT):
        daemon.create_lun(9, 99999, "nonsense")
    with failure(errno.EEXIST):
        daemon.create_lun(1, 0, "nonsense")
    with failure(errno.ENOENT):
        daemon.redirect_target(9, "10.0.0.1")


def test_session_parameters_as_configured(daemon: Administration) -> None:
    shown = daemon.show_session(1, 0)
    assert shown["DataDigest"] == "None,CRC32C"  # in IET's order
    assert shown["HeaderDigest"] == "None"
    assert shown["MaxRecvDataSegmentLength"] == shown["MaxXmitDataSegmentLength"] == "8192"
    assert (shown["OFMarker"], shown["OFMarkInt"]) == ("No", "Reject")
    daemon.update_target(1, {"InitialR2T": "No", "MaxBurstLength": "65536"})
    assert daemon.show_session(1, 0) == shown | {"InitialR2T": "No", "MaxBurstLength": "65536"}


def test_session_parameters_as_negotiated(daemon: Administration, session: Any) -> None:
    assert proc.session_id(session.isid, session.tsih) == SID == 281474997486080
    shown = daemon.show_session(1, SID)
    assert (shown["HeaderDigest"], shown["DataDigest"], shown["InitialR2T"]) == ("CRC32C", "None", "No")
    assert shown["MaxXmitDataSegmentLength"] == "4096"
    assert shown.keys() == daemon.show_session(1, 0).keys()
    with failure(errno.ENOENT):
        daemon.show_session(1, SID + 1)
    with failure(errno.ENOENT):
        daemon.show_session(2, SID)


def test_a_connection_is_closed(daemon: Administration, session: Any) -> None:
    with failure(errno.EEXIST):
        daemon.close_connection(1, SID, 8)
    with failure(errno.ENOENT):
        daemon.close_connection(1, 1, 7)
    assert daemon.network.ended == []  # type: ignore[attr-defined]
    daemon.close_connection(1, SID, 7)
    assert daemon.network.ended == [session.connections[7]]  # type: ignore[attr-defined]


def test_a_connection_that_was_lost_is_closed(daemon: Administration, session: Any) -> None:
    (lost,) = session.connections.values()
    session.connections, session.stranded = {}, [lost]
    daemon.close_connection(1, SID, lost.cid)
    assert daemon.network.ended == [lost]  # type: ignore[attr-defined]


def test_sessions_are_ended_together(daemon: Administration, session: Any) -> None:
    for wrong in ([1], [SID, 1]):
        with failure(errno.ENOENT):
            daemon.end_sessions(1, wrong, True)
    with failure(errno.EINVAL):
        daemon.end_sessions(1, ["1"], True)  # type: ignore[list-item]
    assert daemon.network.ended == []  # type: ignore[attr-defined]
    assert daemon.end_sessions(1, [SID, SID], True) == {str(SID): True}
    assert daemon.end_sessions(1, [SID], False) == {str(SID): False}
    assert daemon.network.ended == [([session], DRAIN), ([session], 0.0)]  # type: ignore[attr-defined]


def test_a_redirection(daemon: Administration) -> None:
    daemon.redirect_target(1, "[::1]:860")
    assert daemon.inventory.target(1).node.redirect == "[::1]:860"
    with failure(errno.EINVAL):
        daemon.redirect_target(1, "nowhere")
    daemon.redirect_target(1, "")
    assert daemon.inventory.target(1).node.redirect == ""


def test_accounts_of_a_target(daemon: Administration) -> None:
    assert daemon.show_accounts(1) == {"incoming": ["joe", "joe"], "outgoing": "jim"}
    assert daemon.show_account(1, False, "joe") == "second"
    daemon.delete_account(1, False, "joe")
    assert daemon.show_account(1, False, "joe") == "first"  # the older one counts again (iet-compat 1.7)
    daemon.create_account(1, False, "ann", "third")
    assert daemon.show_accounts(1)["incoming"] == ["ann", "joe"]
    assert daemon.inventory.target(1).node.accounts.incoming == {"joe": "first", "ann": "third"}
    daemon.create_account(1, True, "tim", "fourth")
    assert daemon.show_account(1, True, "tim") == "fourth"
    with failure(errno.ENOENT):
        daemon.show_account(1, True, "jim")
    daemon.delete_account(1, True, "tim")
    assert daemon.show_accounts(1)["outgoing"] is None
    assert daemon.show_accounts(1)["incoming"] == ["ann", "joe"]
    with failure(errno.ENOENT):
        daemon.delete_account(1, True, "tim")


def test_accounts_of_discovery(daemon: Administration) -> None:
    assert daemon.show_accounts(0) == {"incoming": ["disco"], "outgoing": None}
    daemon.create_account(0, True, "us", "secret")
    daemon.delete_account(0, False, "disco")
    assert daemon.show_accounts(0) == {"incoming": [], "outgoing": "us"}
    assert not daemon.inventory.node.discovery.required


def test_an_account_of_no_target_is_nobodys(daemon: Administration) -> None:
    """IET gave it to discovery; decisions 1 forbids that."""
    with failure(errno.ENOENT):
        daemon.create_account(9, False, "joe", "secret")
    for name, secret in (("", "secret"), ("joe", "")):
        with failure(errno.EINVAL):
            daemon.create_account(1, False, name, secret)


def test_leaving_the_isns_server(daemon: Administration) -> None:
    daemon.deregister()
    assert daemon.isns.left == 1  # type: ignore[attr-defined]
    assert daemon.inventory.targets


# Writing the file ----------------------------------------------------------------------------------------------------


def test_what_did_not_change_is_not_rewritten(daemon: Administration) -> None:
    answer = daemon.rewritten(False)
    assert answer["before"] == answer["after"] == TEXT


def test_live_changes_are_written_into_the_file(daemon: Administration, config: Path) -> None:
    daemon.create_target(0, "new")
    daemon.create_lun(2, 4, "Type=nullio")
    daemon.delete_account(1, False, "joe")
    answer = daemon.rewritten(False)
    assert answer["file"] == str(config)
    assert "# the first\n" in answer["after"]
    assert "second" not in answer["after"]
    config.write_text(answer["after"])
    assert daemon.rewritten(False)["after"] == answer["after"]
    daemon.create_target(0, "newer")
    answer = daemon.rewritten(False)
    assert "Target newer\n" in answer["after"]
    config.write_text(answer["after"])
    daemon.inventory.close()
    again = Inventory(load(config), Media())
    assert [each.config.name for each in again.all()] == [NAME, "new", "newer"]
    assert list(again.target(2).units) == [4]
    again.close()


def test_a_file_edited_since_is_not_overwritten_unless_asked(daemon: Administration, config: Path) -> None:
    daemon.create_target(0, "new")
    config.write_text(f"{TEXT}Target by-hand\n")
    with failure(errno.EBUSY, "was edited since it was read"):
        daemon.rewritten(False)
    assert "by-hand" not in daemon.rewritten(True)["after"]
    config.write_text(f"# a comment more\n{TEXT}")
    assert daemon.rewritten(False)["after"].startswith("# a comment more\n")


def test_a_text_that_was_put_in_place_is_known_though_another_was_handed_out_since(
    daemon: Administration, config: Path
) -> None:
    daemon.create_target(0, "new")
    config.write_text(daemon.rewritten(False)["after"])
    daemon.rewritten(False)
    daemon.create_target(0, "newer")
    daemon.rewritten(True)  # somebody looks, and does not save
    assert "Target newer\n" in daemon.rewritten(False)["after"]
    config.write_text(config.read_text() + "Target by-hand\n")
    daemon.rewritten(True)
    with failure(errno.EBUSY, "was edited since it was read"):
        daemon.rewritten(False)


def test_a_file_that_is_not_there_is_made(daemon: Administration, config: Path) -> None:
    config.unlink()
    with failure(errno.EBUSY):
        daemon.rewritten(False)
    answer = daemon.rewritten(True)
    assert (answer["before"], NAME in answer["after"]) == ("", True)
    config.mkdir()
    with failure(errno.EISDIR):
        daemon.rewritten(False)


@pytest.mark.parametrize(("change", "looks"), [("create", 1), ("delete", 2)])
def test_a_reload_between_looking_and_setting_accounts_is_not_undone(
    daemon: Administration, config: Path, monkeypatch: pytest.MonkeyPatch, change: str, looks: int
) -> None:
    """Else who was struck off the file would be let in again."""
    inventory, left = daemon.inventory, [looks]
    config.write_text(f"Target {NAME}\nIncomingUser ann third\nLun 0 Type=nullio,Blocks=8\n")
    reload = threading.Thread(target=lambda: inventory.apply(load(config)))
    real = inventory.accounts_of

    def accounts_of(tid: int) -> Any:
        found = real(tid)
        left[0] -= 1
        if left[0] == 0:
            reload.start()
            reload.join(0.2)  # it waits for its turn, or it is over before we set what we saw
        return found

    monkeypatch.setattr(inventory, "accounts_of", accounts_of)
    if change == "create":
        daemon.create_account(1, False, "tim", "fourth")
    else:
        daemon.delete_account(1, False, "joe")
    reload.join(20)
    assert inventory.target(1).node.accounts.incoming == {"ann": "third"}


def test_accounts_are_no_longer_than_a_file_may_say(daemon: Administration) -> None:
    daemon.create_account(1, False, "n" * 255, "s" * 255)
    for name, secret in (("n" * 256, "s"), ("n", "\xe9" * 128)):
        with failure(errno.EINVAL, "at most 255 bytes"):
            daemon.create_account(1, False, name, secret)


def test_a_pipe_in_the_place_of_the_file_hangs_nobody(daemon: Administration, config: Path) -> None:
    config.unlink()
    os.mkfifo(config)
    with failure(errno.EINVAL, "not a regular file"):
        daemon.rewritten(True)


def test_a_target_is_drained_and_deleted(daemon: Administration, session: Any, published: list[str]) -> None:
    node = daemon.inventory.target(1).node
    daemon.drain_target(1)
    assert daemon.network.ended == [node]  # type: ignore[attr-defined]
    assert daemon.inventory.targets == {}
    assert published == [""]
    with failure(errno.ENOENT):
        daemon.drain_target(1)


def test_a_target_whose_sessions_do_not_end_stays(
    daemon: Administration, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.hangs = True
    node = daemon.inventory.target(1).node
    with failure(errno.EBUSY, "has sessions"):
        daemon.drain_target(1)
    assert daemon.inventory.node.targets[node.name.lower()] is node
    with monkeypatch.context() as patched:
        patched.setattr(type(daemon.network), "dismiss", None)
        with pytest.raises(TypeError):  # a mistake of ours hides none, either
            daemon.drain_target(1)
    assert daemon.inventory.node.targets[node.name.lower()] is node
    session.hangs = False
    daemon.drain_target(1)
    assert daemon.inventory.node.targets == {}


# Plans, and texts in place of the file's ------------------------------------------------------------------------------


def test_a_plan_changes_nothing_and_shows_no_secret(daemon: Administration, config: Path) -> None:
    before = daemon.inventory.configuration
    assert (daemon.plan(None)["file"], daemon.plan(None)["steps"]) == (str(config), [])
    plan = daemon.plan(TEXT.replace("second", "hidden").replace("Blocks=8", "Blocks=9"))
    assert [(step["action"], step["lun"]) for step in plan["steps"]] == [("change", None), ("replace", 0)]
    assert "hidden" not in str(plan)
    config.write_text(f"{TEXT}\tNonsense 1\n")
    assert "Nonsense" in str(daemon.plan(None)["found"])
    assert daemon.inventory.configuration is before


def test_what_was_adopted_is_what_is_saved(daemon: Administration, config: Path, published: list[str]) -> None:
    text = TEXT.replace("# the first", "# the best") + "\tInitiator iqn.x  # mine\n"
    daemon.adopt(text)
    assert len(published) == 1
    assert daemon.inventory.configuration.targets[0].initiators
    assert config.read_text() == TEXT
    assert daemon.rewritten(False) == {"file": str(config), "before": TEXT, "after": text}
    daemon.create_lun(1, 1, "Type=nullio")
    after = daemon.rewritten(False)["after"]
    assert after.replace("    Lun 1 Type=nullio\n", "") == text
    config.write_text(after)
    assert daemon.rewritten(False)["after"] == after
    daemon.delete_lun(1, 1)
    assert daemon.rewritten(False)["after"] == text


def test_an_edited_file_is_protected_from_what_was_adopted(daemon: Administration, config: Path) -> None:
    adopted = f"{TEXT}    Lun 1 Type=nullio\n"
    daemon.adopt(adopted)
    config.write_text(f"# a word\n{TEXT}")  # means what it meant
    wanted = f"# a word\n{TEXT}".replace("Blocks=8\n", "Blocks=8\n    Lun 1 Type=nullio\n")
    assert daemon.rewritten(False)["after"] == wanted
    daemon.adopt(f"iSNSServer 192.0.2.1\n{TEXT}")
    assert daemon.rewritten(False)["after"] == f"iSNSServer 192.0.2.1\n{TEXT}"
    config.write_text(f"# another\n{TEXT}")
    assert daemon.rewritten(False)["after"] == f"iSNSServer 192.0.2.1\n{TEXT}", "what the writer cannot write"
    config.write_text(f"{TEXT}Alias x\n")
    with failure(errno.EBUSY, "was edited"):
        daemon.rewritten(False)
    config.write_text(TEXT)
    daemon.reload()
    assert daemon.rewritten(False)["after"] == TEXT


def test_without_one_that_was_adopted_what_cannot_be_edited_is_refused(daemon: Administration, config: Path) -> None:
    config.write_text(f"iSNSServer 192.0.2.1\n{TEXT}")
    with pytest.raises(ConfigError, match="cannot be written into this file"):
        daemon.rewritten(True)


def test_a_text_that_cannot_be_read_over_is_not_adopted(daemon: Administration, config: Path) -> None:
    config.unlink()
    config.mkdir()
    with failure(errno.EISDIR):
        daemon.adopt("")
    assert daemon.inventory.configuration.targets
