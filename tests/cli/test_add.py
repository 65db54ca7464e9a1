"""``ietpy add``: what is added is served at once, saved if asked, and what is wrong is said with the next step."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from ietpy.cli import add
from ietpy.initiator.errors import LoginRefused
from ietpy.initiator.login import Chap
from tests.cli.conftest import A, B, Daemon, make_disk
from tests.cli.terminals import AtTerminal
from tests.fields import checked

NEW = "iqn.2010-06.net.example:new"
UNSAVED = "it holds until the daemon is restarted; ietpy save writes it into ietd.conf\n"


def test_a_target_a_lun_and_a_user_from_nothing(daemon: Daemon, disk: Path) -> None:
    ended = daemon.ietpy("add", "target", NEW)
    assert (ended.exit_code, ended.stderr) == (0, UNSAVED)
    assert ended.stdout.startswith(f"target {NEW} is there; ietpy add lun gives it a disk")
    assert daemon.ietpy("add", "lun", ":new", str(disk)).stdout == f"LUN 0 of {NEW} is {disk}, 1 MiB\n"
    client = daemon.login(NEW)
    client.write(0, 0, b"w" * 512)
    assert daemon.config.read_text() == ""
    daemon.config.chmod(0o644)
    ended = daemon.ietpy("add", "user", NEW, "joe", "--secret-from", "-", "--save", stdin="a-secret-of-16-b\n")
    warning = f"others can read {daemon.config}, and the secrets in it: chmod o-r,g-r {daemon.config}\n"
    assert (ended.exit_code, ended.stderr) == (0, warning)
    assert ended.stdout == f"joe may log in to {NEW}\nsaved in {daemon.config}\n"
    with pytest.raises(LoginRefused):
        daemon.login(NEW)
    daemon.login(NEW, isid=b"\x80\0\0\0\0\7", chap=Chap("joe", "a-secret-of-16-b"))
    lines = [line.split() for line in daemon.config.read_text().splitlines() if line]
    assert lines[0] == ["Target", NEW]
    assert ["IncomingUser", "joe", "a-secret-of-16-b"] in lines
    assert ["Lun", "0", f"Path={disk},Type=fileio"] in lines
    daemon.config.chmod(0o600)
    again = daemon.ietpy("add", "user", NEW, "ann", "--secret-from", "generated", "--save")
    assert again.stderr == "the secret, which is told only here:\n"


def test_a_number_that_another_took_meanwhile_is_passed_over(
    daemon: Daemon, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.ietpy("add", "target", NEW)
    second = disk.with_name("second.img")
    second.write_bytes(bytes(1 << 20))
    look = add.served

    def overtaken(target: str) -> Any:
        found = look(target)
        monkeypatch.setattr(add, "served", look)
        daemon.ietpy("add", "lun", NEW, str(disk))
        return found

    monkeypatch.setattr(add, "served", overtaken)
    assert daemon.ietpy("add", "lun", NEW, str(second)).stdout == f"LUN 1 of {NEW} is {second}, 1 MiB\n"


def test_comments_stay_where_it_is_saved(tmp_path: Path, disk: Path) -> None:
    with Daemon(tmp_path, f"# made by hand\nTarget {A}  # the first\nLun 0 Type=nullio\n") as daemon:
        ended = daemon.ietpy("add", "lun", A, str(disk), "--save")
        assert ended.stdout == f"LUN 1 of {A} is {disk}, 1 MiB\nsaved in {daemon.config}\n"
        text = daemon.config.read_text()
        assert text.startswith(f"# made by hand\nTarget {A}  # the first\nLun 0 Type=nullio\n")
        assert f"Lun 1 Path={disk}" in text


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        (("--lun", "7"), {"number": 7, "mode": "wt"}),
        (("--read-only",), {"number": 1, "mode": "ro"}),
        (("--write-back", "--option", "BlockSize=4096", "--option", "ScsiSN=x"), {"mode": "wb", "block_size": 4096}),
    ],
)
def test_what_may_be_said_of_a_lun(
    busy: Daemon, tmp_path: Path, words: tuple[str, ...], parameters: dict[str, object]
) -> None:
    third = make_disk(tmp_path / "third.img")
    assert busy.ietpy("add", "lun", ":a", str(third), *words).exit_code == 0
    added = next(lun for lun in busy.inventory.facts()[0]["luns"] if lun["path"] == str(third))
    assert {name: added[name] for name in parameters} == parameters


def test_a_path_counts_from_where_one_is(busy: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_disk(tmp_path / "here.img")
    monkeypatch.chdir(tmp_path)
    assert f"is {tmp_path}/here.img, " in busy.ietpy("add", "lun", ":a", "here.img").stdout


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("target", "Disk 1"), 2, "'Disk 1' is no iSCSI name"),
        (("target", "mydisk"), 2, ":mydisk would be one"),
        (("target", "IQN.2010-06.Net.Example:X"), 2, "here iqn.2010-06.net.example:x would be one"),
        (("target", A), 1, f"there is a target {A} already"),
        (("lun", ":a", "{d}/none.img"), 2, "there is no {d}/none.img; ietpy mkimage --size 10G {d}/none.img makes an"),
        (("lun", ":a", "{d}"), 2, "{d} is a directory; name an image in it"),
        (("lun", ":a", "{d}/disk.img/x"), 2, "{d}/disk.img/x cannot be looked at: Not a directory"),
        (("lun", ":a", "{d}/a,b"), 2, "ietd.conf cannot name a path with a comma in it"),
        (("lun", ":a", "{d}/disk.img", "--lun", "0"), 1, "has a LUN 0 already"),
        (("lun", ":a", "{d}/disk.img", "--read-only", "--write-back"), 2, "exclude each other; leave one out"),
        (("lun", ":a", "{d}/third.img", "--option", "BlockSize=7"), 1, "BlockSize"),
        (("lun", "zzz", "{d}/disk.img"), 2, "no target has the name 'zzz'"),
        (("user", "zzz", "joe"), 2, "no target has the name 'zzz'"),
        (("user", ":a", "joe"), 2, "there is no terminal to ask for the secret at; say --secret-from FILE"),
        (("user", ":a", "joe", "--secret-from", "{d}/none"), 2, "{d}/none cannot be read: No such file or directory"),
        (("user", ":a", "joe", "--secret-from", "{d}/empty"), 2, "the secret is empty; ietpy secret makes a good one"),
        (("user", ":a", "joe", "--secret-from", "{d}/long"), 2, "the secret has 256 bytes; at most 255 can be used"),
        (("user", ":a", "two words", "--secret-from", "generated"), 2, "ietd.conf cannot hold this name and secret"),
        (("user", ":a", "joe", "--secret-from", "{d}/words"), 2, "ietd.conf cannot hold this name and secret"),
        (("user", ":a", "joe", "--secret-from", "generated", "--json"), 2, "a generated secret is in no JSON"),
        (("portal", "nowhere:x"), 2, "nowhere:x"),
        (("portal", "10.0.0.1,10.0.0.2"), 2, "is not one portal; write ADDRESS or ADDRESS:PORT"),
    ],
)
def test_mistakes(busy: Daemon, tmp_path: Path, words: tuple[str, ...], status: int, said: str) -> None:
    make_disk(tmp_path / "third.img")
    (tmp_path / "empty").write_text("\nsecond line")
    (tmp_path / "long").write_text("x" * 256)
    (tmp_path / "words").write_text("two words of a secret")
    before = busy.inventory.configuration
    ended = busy.ietpy("add", *(word.format(d=tmp_path) for word in words))
    assert (ended.exit_code, ended.stdout) == (status, "")
    assert said.format(d=tmp_path) in ended.stderr
    assert "two words of" not in ended.stderr
    assert busy.inventory.configuration == before


def test_secrets_are_made_and_read_and_stay_secret(busy: Daemon, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-a-file-1234\r\nnot this\n")
    ended = busy.ietpy("add", "user", ":a", "joe", "--secret-from", str(tmp_path / "secret"))
    assert (ended.exit_code, "from-a-file" in ended.output) == (0, False)
    busy.login(A, isid=b"\x80\0\0\0\0\7", chap=Chap("joe", "from-a-file-1234"))
    ended = busy.ietpy("add", "user", ":b", "ann", "--secret-from", "generated")
    secret = ended.stdout.splitlines()[0]
    assert len(secret) == 16
    busy.login(B, isid=b"\x80\0\0\0\0\7", chap=Chap("ann", secret))
    ended = busy.ietpy("add", "user", ":b", "us", "--outgoing", "--secret-from", "-", stdin="short")
    assert ended.stdout == f"{B} authenticates itself as us\n"
    assert "note: the secret has 5 bytes; below 12 it can be guessed (RFC 7143), and Windows refuses it" in ended.stderr
    ended = busy.ietpy("add", "user", "discovery", "bob", "--secret-from", "-", stdin="x" * 17)
    assert ended.stdout == "bob may log in to discovery (discovery sessions)\n"
    assert "note: the secret has 17 bytes; Windows takes 16 at most" in ended.stderr
    assert [account.name for account in busy.inventory.configuration.discovery_incoming] == ["bob"]


def test_a_secret_is_asked_for_twice_and_not_shown(busy: Daemon) -> None:
    with AtTerminal(["add", "user", ":a", "joe"], busy.environment) as shown:
        shown.see(f"secret of joe of {A}")
        shown.type("a-secret-of-16-b\n")
        shown.see("Repeat for confirmation")
        shown.type("a-secret-of-16-b\n")
        assert shown.ended() == 0
        assert "a-secret" not in shown.text
        assert f"joe may log in to {A}" in shown.text
    busy.login(A, isid=b"\x80\0\0\0\0\7", chap=Chap("joe", "a-secret-of-16-b"))


def test_json_of_what_was_added(busy: Daemon, tmp_path: Path) -> None:
    third = make_disk(tmp_path / "third.img")
    document = checked("add", busy.ietpy("add", "lun", ":a", str(third), "--json", "--save").stdout)
    assert {name: value for name, value in document.items() if value is not None} == {
        "format": 1, "change": "added", "what": "lun", "target": A, "tid": 1, "lun": 1, "path": str(third),
        "saved": True, "file": str(busy.config),
    }
    document = checked("add", busy.ietpy("add", "target", NEW, "--json").stdout)
    assert (document["tid"], document["saved"], document["file"]) == (3, False, None)


def test_what_cannot_be_saved_is_not_done(busy: Daemon, disk: Path) -> None:
    busy.config.write_text("Target iqn.2010-06.net.example:edited\n")
    for words in (("target", NEW), ("user", ":a", "joe", "--secret-from", "generated"), ("portal", "127.0.0.2:3999")):
        ended = busy.ietpy("add", *words, "--save")
        assert (ended.exit_code, ended.stdout) == (1, ""), words
        assert "was edited since it was read" in ended.stderr
    assert len(busy.inventory.configuration.targets) == 2


# Portals --------------------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def reached(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_portal_comes_and_goes(tmp_path: Path) -> None:
    port = free_port()
    with Daemon(tmp_path, f"# ours\nTarget {A}\nLun 0 Type=nullio\n", address="") as daemon:
        client = daemon.login(A)
        ended = daemon.ietpy("add", "portal", f"127.0.0.1:{port}", "--group", "2", "--save")
        assert (ended.exit_code, ended.stderr) == (0, "")
        assert ended.stdout == (
            f"the daemon listens at 127.0.0.1:{port}, too, in portal group 2\nsaved in {daemon.config}\n"
        )
        assert reached(port)
        assert client.ping(b"here") == b"here"
        text = daemon.config.read_text()
        assert "# ours\n" in text
        assert f"Portal 2 127.0.0.1:{port}\n" in text
        assert "Portal 1 *\n" in text
        again = daemon.ietpy("add", "portal", f"127.0.0.1:{port}")
        assert (again.exit_code, "listens at" in again.stderr) == (2, True)
        checked("remove", daemon.ietpy("remove", "portal", f"127.0.0.1:{port}", "--json").stdout)
        assert not reached(port)
        assert client.ping(b"here") == b"here"


def test_portals_that_cannot_be(tmp_path: Path) -> None:
    with Daemon(tmp_path, f"Target {A}\nLun 0 Type=nullio\n", address="") as daemon:
        before = daemon.inventory.configuration.portals
        for words, status, said in (
            (("add", "portal", "*"), 2, "the daemon listens at * already, in portal group 1"),
            (("add", "portal", "127.0.0.1"), 2, "which is all addresses; to have it listen at 127.0.0.1 alone, write"),
            (("add", "portal", f"192.0.2.77:{free_port()}"), 1, "nothing has changed: cannot listen on 192.0.2.77"),
        ):
            ended = daemon.ietpy(*words)
            assert (ended.exit_code, ended.stdout) == (status, ""), words
            assert said in ended.stderr
        ended = daemon.ietpy("remove", "portal", "*")
        assert (ended.exit_code, "has no Portal line; where the daemon listens say -a" in ended.stderr) == (2, True)
        assert daemon.inventory.configuration.portals == before
        assert os.path.getsize(daemon.config) == len(f"Target {A}\nLun 0 Type=nullio\n")


def test_beside_one_address_of_the_command_line_there_are_no_portals(busy: Daemon) -> None:
    ended = busy.ietpy("add", "portal", "127.0.0.2")
    assert (ended.exit_code, "the daemon was started with -a 127.0.0.1, which" in ended.stderr) == (2, True)


def test_the_last_portal_stays(tmp_path: Path) -> None:
    port = free_port()
    with Daemon(tmp_path, f"Portal 1 127.0.0.1:{port}\nTarget {A}\nLun 0 Type=nullio\n", address="") as daemon:
        for word, said in (("127.0.0.1", f"but at 127.0.0.1:{port}"), (f"127.0.0.1:{port}", "is the last portal, and")):
            ended = daemon.ietpy("remove", "portal", word)
            assert (ended.exit_code, ended.stdout, said in ended.stderr) == (2, "", True), ended.stderr
