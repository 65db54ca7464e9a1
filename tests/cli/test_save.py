"""``ietpy save``: what ietadm changed is in the file, all else in it is as it was, and nobody's edits are lost."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ietpy.cli.ietpy import main
from ietpy.cli.save import count_changes, replace_file
from ietpy.errors import UsageError
from tests.cli.conftest import Daemon, Ended, make_disk
from tests.cli.test_ietd import Ietd
from tests.fields import checked

FILE = """\
# The file of an administrator who writes comments.
IncomingUser finder "of targets"x   # discovery

# --- production ---
Target iqn.2001-04.com.example:one
\tLun 0 Path={dir}/a,Type=fileio
\t# Lun 1 was retired in 2012
\tIncomingUser joe secretsecret
\tMaxBurstLength  65536\t# for the old switch
\tMisspelt 1

   Target   iqn.2001-04.com.example:two
   Alias what ever
   Lun 5 Path={dir}/b
# the end
"""


def save(daemon: Daemon, *words: str) -> Ended:
    ended = CliRunner().invoke(main, ["save", *words], env=daemon.environment)
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


@pytest.fixture
def commented(tmp_path: Path) -> Iterator[Daemon]:
    for name in "abcd":
        make_disk(tmp_path / name)
    with Daemon(tmp_path, FILE.replace("{dir}", str(tmp_path))) as daemon:
        yield daemon


def change(daemon: Daemon) -> None:
    """One of everything ietadm can change."""
    directory = daemon.directory
    for words in (
        ("--op=new", "--tid=0", "--params=Name=iqn.2001-04.com.example:three"),
        ("--op=new", "--tid=3", "--lun=0", f"--params=Path={directory}/d,Type=fileio,IOMode=ro,ScsiId=abc"),
        ("--op=new", "--tid=3", "--user", "--params=OutgoingUser=jim,Password=tellnobody12"),
        ("--op=new", "--tid=1", "--lun=7", f"--params=Path={directory}/c"),
        ("--op=new", "--tid=1", "--user", "--params=IncomingUser=jack,Password=tellnobody34"),
        ("--op=update", "--tid=1", "--params=MaxBurstLength=131072,Wthreads=16,HeaderDigest=CRC32C"),
        ("--op=update", "--tid=1", "--redirect=10.0.0.1"),
        ("--op=delete", "--tid=2", "--lun=5"),
        ("--op=new", "--user", "--params=OutgoingUser=we,Password=tellnobody56"),
    ):
        daemon.do(*words)


def shown(daemon: Daemon) -> list[str]:
    """All that ietadm and /proc show of what is served, but for accounts of discovery."""
    calls = (("--tid=%d",), ("--tid=%d", "--sid=0"), ("--tid=%d", "--user"))
    return [daemon.volume()] + [
        daemon.do("--op=show", *(word.replace("%d", str(tid)) for word in words))
        for tid in (1, 2, 3)
        for words in calls
    ]


def test_round_trip(tmp_path: Path) -> None:
    for name in "abcd":
        make_disk(tmp_path / name)
    with Daemon(tmp_path, FILE.replace("{dir}", str(tmp_path))) as first:
        change(first)
        served = shown(first)
        assert save(first) == Ended(0, f"{first.config}: saved; 10 lines added, 2 removed\n", "")
        assert save(first) == Ended(0, f"{first.config}: nothing has changed\n", "")
    text = first.config.read_text()
    before = FILE.replace("{dir}", str(tmp_path)).splitlines()
    gone = {"\tMaxBurstLength  65536\t# for the old switch", f"   Lun 5 Path={tmp_path}/b"}
    kept = [line for line in text.splitlines() if line and line in before]
    assert kept == [line for line in before if line and line not in gone]
    assert "\tMaxBurstLength  131072\t# for the old switch\n" in text
    assert "10.0.0.1" not in text
    with Daemon(tmp_path, text) as again:
        assert shown(again) == served
        assert again.do("--op=show", "--tid=3", "--user", "--params=OutgoingUser=jim") == (
            "OutgoingUser jim tellnobody12\n"
        )
        assert again.do("--op=show", "--user") == "IncomingUser finder\nOutgoingUser we\n"


def test_secrets_are_not_shown(commented: Daemon) -> None:
    change(commented)
    for words in (("--dry-run",), ()):
        ended = save(commented, *words)
        assert "tellnobody" not in ended.out + ended.err


def test_without_changes_the_file_is_not_touched(commented: Daemon) -> None:
    before = commented.config.stat()
    assert save(commented) == Ended(0, f"{commented.config}: nothing has changed\n", "")
    commented.do("--op=update", "--tid=1", "--redirect=10.0.0.1")
    commented.do("--op=update", "--tid=1", "--params=Wthreads=3")
    commented.do("--op=update", "--tid=1", "--params=Wthreads=8")
    assert save(commented).out == f"{commented.config}: nothing has changed\n"
    after = commented.config.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_dry_run_writes_nothing(commented: Daemon) -> None:
    before = commented.config.read_bytes()
    commented.do("--op=delete", "--tid=2")
    for option in ("-n", "--dry-run"):
        ended = save(commented, option)
        assert ended == Ended(0, f"{commented.config}: would be saved; 0 lines added, 3 removed\n", "")
    assert commented.config.read_bytes() == before
    assert save(commented).status == 0
    assert commented.config.read_bytes() != before


def test_saving_again_and_again(commented: Daemon) -> None:
    first = commented.config.read_bytes()
    commented.do("--op=new", "--tid=0", "--params=Name=x")
    assert save(commented).status == 0
    commented.do("--op=update", "--tid=3", "--params=Wthreads=9")
    assert save(commented).status == 0
    assert b"Target x\n" in commented.config.read_bytes()
    assert b"Wthreads 9\n" in commented.config.read_bytes()
    commented.do("--op=delete", "--tid=3")
    assert save(commented).status == 0
    assert commented.config.read_bytes() == first


@pytest.mark.parametrize("saved", [False, True])
def test_an_edited_file_is_not_overwritten(commented: Daemon, saved: bool) -> None:
    commented.do("--op=new", "--tid=0", "--params=Name=live")
    if saved:
        assert save(commented).status == 0
        commented.do("--op=new", "--tid=0", "--params=Name=later")
    edited = commented.config.read_text().replace("joe secretsecret", "joe another secret")
    commented.config.write_text(edited)
    for option in ((), ("--dry-run",)):
        ended = save(commented, *option)
        assert (ended.status, ended.out) == (1, "")
        assert ended.err == (
            f"ietpy: {commented.config} was edited since it was read; ietpy-daemon reload takes what it says now and"
            " gives up what was changed by hand, ietpy save --force the other way round\n"
        )
        assert commented.config.read_text() == edited
    assert save(commented, "--force").status == 0
    text = commented.config.read_text()
    assert "IncomingUser joe secretsecret\n" in text
    assert "Target live\n" in text
    assert "# --- production ---\n" in text


def test_an_edited_comment_is_no_reason_to_refuse(commented: Daemon) -> None:
    commented.config.write_text(commented.config.read_text().replace("in 2012", "in 2013"))
    commented.do("--op=update", "--tid=1", "--params=Wthreads=4")
    assert save(commented).status == 0
    assert "in 2013\n" in commented.config.read_text()
    assert "Wthreads 4\n" in commented.config.read_text()


def test_json_of_what_was_saved(commented: Daemon) -> None:
    for words, changed, saved in ((("--dry-run",), True, False), ((), True, True), ((), False, False)):
        if words:
            change(commented)
        document = checked("save", save(commented, "--json", *words).out)
        assert (document["changed"], document["saved"], document["file"]) == (changed, saved, str(commented.config))
        assert bool(document["added"]) == changed


def test_a_file_that_is_gone_is_not_made_anew_unasked(commented: Daemon) -> None:
    commented.do("--op=update", "--tid=1", "--params=Wthreads=4")
    commented.config.unlink()
    assert save(commented).status == 1
    assert not commented.config.exists()
    assert save(commented, "--force").status == 0
    assert stat.S_IMODE(commented.config.stat().st_mode) == 0o600
    assert "IncomingUser joe secretsecret\n" in commented.config.read_text()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o444])
def test_mode_and_owner_stay(commented: Daemon, mode: int) -> None:
    owner = (65534, 65533) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(commented.config, *owner)
    commented.config.chmod(mode)
    change(commented)
    assert save(commented).status == 0
    found = commented.config.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (mode, *owner)


def test_a_link_stays_one(commented: Daemon) -> None:
    (commented.directory / "etc").mkdir()
    real = commented.directory / "etc" / "real.conf"
    commented.config.rename(real)
    commented.config.symlink_to("etc/real.conf")
    change(commented)
    assert save(commented).status == 0
    assert os.readlink(commented.config) == "etc/real.conf"
    assert "Target iqn.2001-04.com.example:three\n" in real.read_text()
    assert os.listdir(real.parent) == ["real.conf"]


def test_nothing_is_left_beside_the_file(commented: Daemon) -> None:
    before = set(os.listdir(commented.directory))
    change(commented)
    assert save(commented).status == 0
    assert set(os.listdir(commented.directory)) == before


def test_what_no_file_can_say_is_refused(commented: Daemon) -> None:
    before = commented.config.read_bytes()
    commented.do("--op=new", "--tid=1", "--user", "--params=IncomingUser=two words,Password=x")
    ended = save(commented)
    assert (ended.status, ended.out) == (1, "")
    assert "IncomingUser two words of iqn.2001-04.com.example:one has a name or a secret" in ended.err
    assert commented.config.read_bytes() == before


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    text = os.fsdecode(b"# caf\xe9\nTarget n\xff\nLun 0 Type=nullio\n")
    with Daemon(tmp_path, text) as daemon:
        name = os.fsdecode(b"m\xfe\xc3")
        daemon.do("--op=new", "--tid=0", f"--params=Name={name}")
        daemon.do("--op=new", "--tid=2", "--user", f"--params=IncomingUser={name},Password={name}")
        assert save(daemon).status == 0
        written = daemon.config.read_bytes()
        assert written.startswith(os.fsencode(text))
        assert b"Target m\xfe\xc3\n" in written
        assert b"IncomingUser m\xfe\xc3 m\xfe\xc3\n" in written
        assert save(daemon).out == f"{daemon.config}: nothing has changed\n"


@pytest.mark.parametrize("compat", ["", "iet"])
def test_a_file_with_a_mode_of_its_own_keeps_it(tmp_path: Path, compat: str) -> None:
    with Daemon(tmp_path, "Compat iet\nTarget one\nLun 0 Path=/x, Type=nullio\n", compat) as daemon:
        assert daemon.volume() == "tid:1 name:one\n"
        daemon.do("--op=update", "--tid=1", "--params=Wthreads=4")
        assert save(daemon).status == 0
        text = daemon.config.read_text()
        assert text.startswith("Compat iet\nTarget one\nLun 0 Path=/x, Type=nullio\n")
        assert "Wthreads 4\n" in text


def test_a_thousand_targets(tmp_path: Path) -> None:
    with Daemon(tmp_path, "".join(f"Target t{number}\nLun 0 Type=nullio\n\n" for number in range(1000))) as daemon:
        for tid in range(1, 1001, 100):
            daemon.do("--op=delete", f"--tid={tid}")
        daemon.do("--op=new", "--tid=0", "--params=Name=last")
        assert save(daemon).status == 0
        assert daemon.config.read_text().count("Target t") == 990


def test_without_a_daemon(tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["save"], env={"IETPY_CONTROL": str(tmp_path / "none")})
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert "the daemon is not running" in ended.stderr


# Where and by whom ----------------------------------------------------------------------------------------------------


@pytest.fixture
def ietd(plain_user: list[str]) -> Iterator[Ietd]:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        found = Ietd(Path(directory), plain_user)
        yield found
        found.stop()


def test_a_file_that_never_was_is_made_for_its_owner_alone(ietd: Ietd) -> None:
    assert ietd.start(config="new.conf")[0] == 0
    assert ietd.run("--op=new", "--tid=0", "--params=Name=x", module="ietadm")[0] == 0
    assert ietd.run("--op=new", "--tid=1", "--user", "--params=IncomingUser=a,Password=b", module="ietadm")[0] == 0
    path = ietd.directory / "new.conf"
    assert ietd.run("save", module="ietpy") == (0, f"{path}: saved; 2 lines added, 0 removed\n", "")
    assert [line.split() for line in path.read_text().splitlines()] == [["Target", "x"], ["IncomingUser", "a", "b"]]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_uid == ietd.places.stat().st_uid


@pytest.mark.usefixtures("root")
def test_a_directory_that_may_not_be_written(ietd: Ietd) -> None:
    (ietd.directory / "etc").mkdir(mode=0o755)
    path = ietd.directory / "etc" / "ietd.conf"
    path.write_text("Target x\n")
    assert ietd.start(config="etc/ietd.conf")[0] == 0
    assert ietd.run("--op=update", "--tid=1", "--params=Wthreads=4", module="ietadm")[0] == 0
    assert ietd.run("save", module="ietpy") == (
        2, "", f"ietpy: {path} cannot be written: Permission denied; nothing has changed\n"
    )
    assert path.read_text() == "Target x\n"
    assert os.listdir(path.parent) == ["ietd.conf"]
    path.parent.chmod(0o777)
    status, out, err = ietd.run("save", module="ietpy")
    assert (status, out) == (2, ""), "the owner cannot be kept by one who is not root"
    assert err == f"ietpy: {path} cannot be written: Operation not permitted; nothing has changed\n"
    assert os.listdir(path.parent) == ["ietd.conf"]
    os.chown(path, 65534, 65534)
    assert ietd.run("save", module="ietpy")[0] == 0
    assert "Wthreads 4\n" in path.read_text()


# The parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "counted"),
    [
        ("", "a\n", (1, 0)),
        ("a\n", "", (0, 1)),
        ("a\nb\nc\n", "a\nc\nd\n", (1, 1)),
        ("a\nb\n", "a\nB\n", (1, 1)),
        ("a\fb\u2028c\n", "a\fb\u2028c\nd\n", (1, 0)),
        ("a", "a\nb", (1, 0)),
        ("x\n" * 500, "x\n" * 300, (0, 200)),
    ],
)
def test_counting(before: str, after: str, counted: tuple[int, int]) -> None:
    assert count_changes(before, after) == counted


def test_a_file_that_changed_a_moment_ago_stays(tmp_path: Path) -> None:
    path = tmp_path / "ietd.conf"
    path.write_text("theirs\n")
    for before in ("", "ours\n"):
        with pytest.raises(UsageError, match="was changed a moment ago by somebody else; look at it and try again"):
            replace_file(str(path), before, "ours, changed\n")
    path.unlink()
    with pytest.raises(UsageError, match="was changed a moment ago"):
        replace_file(str(path), "ours\n", "ours, changed\n")
    assert os.listdir(tmp_path) == []


def test_when_writing_fails_half_way_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ietd.conf"
    path.write_text("ours\n")

    def fsync(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UsageError, match="cannot be written: No space left on device; nothing has changed"):
        replace_file(str(path), "ours\n", "ours, changed\n")
    assert (os.listdir(tmp_path), path.read_text()) == (["ietd.conf"], "ours\n")


def test_a_directory_that_cannot_be_synced_does_not_deny_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems have nothing to sync there; the file is in place by then."""
    path, real = tmp_path / "ietd.conf", os.fsync
    path.write_text("before")

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    replace_file(str(path), "before", "after")
    assert path.read_text() == "after"


def test_secrets_in_files_stay_there(tmp_path: Path) -> None:
    """What is saved names the file; reload reads it again, and live accounts beside it hold meanwhile."""
    secret = tmp_path / "joe.secret"
    secret.write_text("s3cret-of-joe\n")
    text = f"Target t\nIncomingUserFile joe {secret}\nOutgoingUserFile us {secret}2\n"
    with Daemon(tmp_path, text) as daemon:
        daemon.do("--op=new", "--tid=1", "--user", "--params=IncomingUser=ann,Password=s3cret-of-ann")
        secret.write_text("another-of-joe\n")  # between two reads of it
        assert save(daemon).status == 0
        saved = daemon.config.read_text()
        assert saved == (
            f"Target t\nIncomingUserFile joe {secret}\nIncomingUser ann s3cret-of-ann\nOutgoingUserFile us {secret}2\n"
        )
        node = daemon.inventory.target(1).node
        assert node.accounts.incoming == {"joe": "s3cret-of-joe", "ann": "s3cret-of-ann"}
        daemon.instance.administration.reload()
        assert node.accounts.incoming == {"joe": "another-of-joe", "ann": "s3cret-of-ann"}
        daemon.do("--op=delete", "--tid=1", "--user", "--params=IncomingUser=joe")
        assert save(daemon).status == 0
        assert str(secret) + "\n" not in daemon.config.read_text()
        secret.unlink()
        assert node.accounts.incoming == {"ann": "s3cret-of-ann"}
