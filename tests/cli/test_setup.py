"""``ietpy setup``: what it puts where, what it leaves alone, and that ``--remove`` takes away exactly that."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ietpy.cli import setup
from ietpy.cli.ietpy import main
from ietpy.config.load import load

ROOT = Path(__file__).parents[2]
COMMAND = "/opt/ietpy/bin/ietpy-daemon"
SAMPLES = {
    "etc/iet/ietd.conf": 0o600, "etc/iet/initiators.allow": 0o644, "etc/iet/targets.allow": 0o644,
    setup.RECORD: 0o644,
}
UNITS = {
    "systemd": {"etc/systemd/system/ietpy.service": 0o644, "etc/systemd/system/ietpy.socket": 0o644},
    "openrc": {"etc/init.d/iscsitarget": 0o755, "etc/conf.d/iscsitarget": 0o644},
    "sysv": {"etc/init.d/iscsitarget": 0o755, "etc/default/iscsitarget": 0o644},
    "none": {},
}
Setup = Callable[..., Result]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a pip install into /opt/ietpy; this checkout's commands may be in /tmp."""
    monkeypatch.setattr(setup, "_command", lambda: COMMAND)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def run(root: Path) -> Setup:
    return lambda *words: CliRunner().invoke(main, ["setup", "--root", str(root), *words])


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of all files below a directory, by name; directories with nothing but their names."""
    found = {str(path.relative_to(root)): path for path in root.rglob("*")}
    return {
        name: (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) if path.is_file() else (0, b"")
        for name, path in found.items()
    }


def done(ended: Result) -> list[str]:
    assert (ended.exit_code, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


@pytest.mark.parametrize("init", UNITS)
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_what_is_put_where(init: str, umask: int, root: Path, run: Setup) -> None:
    before = os.umask(umask)
    try:
        lines = done(run("--init", init))
    finally:
        os.umask(before)
    files = {name: mode for name, (mode, content) in tree(root).items() if content}
    assert {**files, setup.RECORD: 0o644} == {**SAMPLES, **UNITS[init]}
    assert lines[0] == f"{root}/etc/iet/ietd.conf: installed, readable by its owner alone"
    assert lines[-2] == "edit /etc/iet/ietd.conf, then: ietpy check"
    assert load(root / "etc/iet/ietd.conf").diagnostics == ()
    for name in UNITS[init]:
        text = (root / name).read_text()
        assert setup.DAEMON not in text
    if init == "systemd":
        assert f"\nExecStart={COMMAND} start -f " in (root / "etc/systemd/system/ietpy.service").read_text()
    elif init != "none":
        subprocess.run(["sh", "-n", str(root / "etc/init.d/iscsitarget")], check=True)
        assert COMMAND in (root / "etc/init.d/iscsitarget").read_text()
    else:
        assert lines[-1].startswith("no unit was installed; ")


@pytest.mark.parametrize("init", UNITS)
def test_removing_leaves_what_was_there_before(init: str, root: Path, run: Setup) -> None:
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("root\n")
    before = tree(root)
    done(run("--init", init))
    assert tree(root) != before
    lines = done(run("--remove"))
    assert lines[0] == f"{root}/etc/iet/ietd.conf: removed"
    assert tree(root) == before
    assert done(run("--remove")) == [f"{root}/{setup.RECORD}: is not there; setup has put nothing in place"]


def test_a_dry_run_changes_nothing(root: Path, run: Setup) -> None:
    lines = done(run("--dry-run", "--init", "systemd"))
    assert lines[0] == f"{root}/etc/iet/ietd.conf: would be installed, readable by its owner alone"
    assert tree(root) == {}
    done(run("--init", "systemd"))
    (root / "etc/iet/targets.allow").write_text("mine\n")
    before = tree(root)
    lines = done(run("-n", "--remove"))
    assert f"{root}/etc/iet/ietd.conf: would be removed" in lines
    assert f"{root}/etc/iet/targets.allow: was edited, and would be kept; --force removes it, too" in lines
    assert tree(root) == before


def test_nothing_of_yours_is_overwritten_or_removed(root: Path, run: Setup) -> None:
    (root / "etc" / "iet").mkdir(parents=True)
    yours = root / "etc" / "iet" / "ietd.conf"
    yours.write_text("Target yours\n")
    link = root / "etc" / "iet" / "targets.allow"
    link.symlink_to("/nowhere")
    lines = done(run("--init", "none"))
    assert f"{yours}: is there already, and was kept" in lines
    assert f"{link}: is there already, and was kept" in lines
    done(run("--remove", "--force"))
    assert yours.read_text() == "Target yours\n"
    assert sorted(os.listdir(yours.parent)) == ["ietd.conf", "targets.allow"]


def test_what_was_edited_stays_until_it_is_forced(root: Path, run: Setup) -> None:
    done(run("--init", "systemd"))
    edited = root / "etc" / "iet" / "ietd.conf"
    edited.write_text("Target edited\n")
    (root / "etc" / "iet" / "targets.allow").unlink()
    lines = done(run("--remove"))
    assert f"{edited}: was edited, and is kept; --force removes it, too" in lines
    assert f"{root}/etc/iet/targets.allow: is gone already" in lines
    assert sorted(os.listdir(edited.parent)) == [".setup.json", "ietd.conf"]
    assert done(run("--remove", "--force")) == [f"{edited}: removed"]
    assert tree(root) == {}


def test_again_after_an_upgrade(root: Path, run: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody edited follows; what somebody edited does not."""
    done(run("--init", "systemd"))
    lines = done(run("--init", "systemd"))
    assert {line.partition(": ")[2] for line in lines[:5]} == {"is there already, the same"}
    unit = root / "etc" / "systemd" / "system" / "ietpy.service"
    sample = root / "etc" / "iet" / "ietd.conf"
    sample.write_text("Target edited\n")
    monkeypatch.setattr(setup, "_command", lambda: "/opt/newer/bin/ietpy-daemon")
    lines = done(run("--init", "systemd"))
    assert f"{unit}: brought up to date" in lines
    assert f"{sample}: is there already, and was kept" in lines
    assert "ExecStart=/opt/newer/bin/ietpy-daemon " in unit.read_text()
    done(run("--remove"))
    assert not unit.exists()
    assert sample.read_text() == "Target edited\n"


@pytest.mark.parametrize(
    ("places", "found"),
    [
        (("run/systemd/system", "etc/init.d"), "etc/systemd/system/ietpy.service"),
        (("run/openrc", "usr/lib/systemd/systemd"), "etc/conf.d/iscsitarget"),
        (("usr/lib/systemd/systemd", "etc/init.d"), "etc/systemd/system/ietpy.service"),
        (("sbin/openrc-run", "etc/init.d"), "etc/conf.d/iscsitarget"),
        (("etc/init.d",), "etc/default/iscsitarget"),
        ((), ""),
    ],
)
def test_which_init_system_it_is(places: tuple[str, ...], found: str, root: Path, run: Setup) -> None:
    for place in places:
        (root / place).mkdir(parents=True)
    lines = done(run())
    known = {f"{root}/{name}" for files in UNITS.values() for name in files}
    units = known & {line.partition(":")[0] for line in lines}
    assert (f"{root}/{found}" in units) if found else not units


def test_a_packages_unit_is_not_hidden_by_another(root: Path, run: Setup) -> None:
    theirs = root / "lib" / "systemd" / "system" / "ietpy.service"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    lines = done(run("--init", "systemd"))
    assert f"{theirs}: is there already, a package's" in lines
    assert os.listdir(root / "etc" / "systemd" / "system") == ["ietpy.socket"]


@pytest.mark.parametrize(
    ("init", "link", "complaint"),
    [
        ("systemd", "etc/systemd/system/multi-user.target.wants/ietpy.service", "systemctl disable --now ietpy"),
        ("openrc", "etc/runlevels/default/iscsitarget", "rc-update delete iscsitarget"),
        ("sysv", "etc/rc3.d/S39iscsitarget", "update-rc.d iscsitarget remove"),
    ],
)
def test_what_starts_at_boot_is_not_taken_away(init: str, link: str, complaint: str, root: Path, run: Setup) -> None:
    done(run("--init", init))
    before = tree(root)
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to("anything")
    ended = run("--remove")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "still starts it at boot" in ended.stderr
    assert complaint in ended.stderr
    (root / link).unlink()
    (root / link).parent.rmdir()
    assert before.items() <= tree(root).items()
    done(run("--remove"))


def test_a_command_that_the_unit_would_not_find(run: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this machine; below --root the command may be anywhere."""
    monkeypatch.setattr(setup, "_command", lambda: "/tmp/venv/bin/ietpy-daemon")
    ended = CliRunner().invoke(main, ["setup", "--dry-run", "--init", "systemd"])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "/tmp/venv/bin/ietpy-daemon is where systemd's unit would not find it" in ended.stderr
    done(CliRunner().invoke(main, ["setup", "--dry-run", "--init", "sysv"]))
    done(run("--dry-run", "--init", "systemd"))


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', '{"format": 1, "files": 7}'])
def test_a_record_that_is_none(text: str, root: Path, run: Setup) -> None:
    (root / "etc" / "iet").mkdir(parents=True)
    (root / setup.RECORD).write_text(text)
    for words in ((), ("--remove",)):
        ended = run(*words)
        assert ended.exit_code == 2
        assert "cannot be read as the record of an earlier setup" in ended.stderr


def test_force_alone_means_nothing(run: Setup) -> None:
    assert "--force is about --remove" in run("--force").stderr


def test_a_plain_user_is_told_who_may(plain_user: list[str]) -> None:
    program = (
        "import sys; from ietpy.cli import setup; setup._command = lambda: '/x'; from ietpy.cli.ietpy import main;"
        " main(['setup', '--root', sys.argv[1], '--init', 'none'])"
    )
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o555)
        ended = subprocess.run(
            [*plain_user, sys.executable, "-c", program, root], capture_output=True, text=True, check=False
        )
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr == f"ietpy: {root}/etc: Permission denied; say it as root\n"


def test_when_the_disk_is_full_what_was_put_is_known(root: Path, run: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    put = setup._put

    def fail(record: setup.Record, each: setup.Installed, *others: object) -> None:
        if each.target.endswith("targets.allow"):
            raise OSError(28, "No space left on device", str(root / each.target))
        put(record, each, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(setup, "_put", fail)
    ended = run("--init", "none")
    assert ended.exit_code == 1
    told = "No space left on device; mend that, and say it again"
    assert ended.stderr == f"ietpy: {root}/etc/iet/targets.allow: {told}\n"
    monkeypatch.undo()
    done(run("--remove"))
    assert tree(root) == {}


def test_the_samples_are_those_of_the_repository() -> None:
    """They are in the package by links, so that there are no copies."""
    for name in ("etc", "init"):
        assert (setup.SHARE / name).is_symlink()
        assert (setup.SHARE / name).resolve() == ROOT / name
    named = {each.source for each in (*setup.SAMPLES, *(each for init in setup.INITS for each in init.files))}
    assert all((ROOT / source).is_file() for source in named)


def test_where_the_command_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    program = tmp_path / "ietpy-daemon"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(tmp_path / "ietpy")])
    assert setup._command() == str(program)
    program.unlink()
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert setup._command() == setup.DAEMON
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ietpy-daemon").write_text("")
    (tmp_path / "bin" / "ietpy-daemon").chmod(0o755)
    assert setup._command() == str(tmp_path / "bin" / "ietpy-daemon")
