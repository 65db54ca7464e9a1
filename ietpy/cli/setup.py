"""``ietpy setup``: the samples and the unit of this machine's init system put in place, and taken away again.

What it has put where is remembered with each file's hash, so that it takes away nothing of anybody else's, and nothing
that was edited. The files are those of ``etc/`` and ``init/`` of the repository, which are in the wheel
(decisions 94).
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from ietpy.errors import IetpyError, UsageError

SHARE: Final = Path(__file__).parent / "share"
#: Below the root; what ``--remove`` reads.
RECORD: Final = "etc/iet/.setup.json"
RECORD_FORMAT: Final = 1
#: The command that units name, which may be elsewhere after a pip install.
DAEMON: Final = "/usr/bin/ietpy-daemon"
_PRIVATE: Final = 0o600  #: of what holds secrets
_HIDDEN: Final = ("/tmp/", "/var/tmp/")  #: which systemd's unit hides from the daemon


@dataclass(frozen=True, slots=True)
class Installed:
    """One file: where below ``share`` it comes from, where below the root it goes, and its mode.

    ``packaged``: where a distribution's package has the same; then there is nothing to do.
    """

    source: str
    target: str
    mode: int = 0o644
    packaged: tuple[str, ...] = ()


def _unit(name: str) -> Installed:
    """One of systemd's."""
    packaged = tuple(f"{place}/systemd/system/{name}" for place in ("usr/lib", "lib"))
    return Installed(f"init/systemd/{name}", f"etc/systemd/system/{name}", packaged=packaged)


@dataclass(frozen=True, slots=True)
class Init:
    """One init system: how it is recognised, what it gets, and what a person does then.

    ``running``, ``installed``: paths below the root, of which one being there tells. ``enabled``: patterns of the links
    that say it starts the daemon at boot.
    """

    name: str
    title: str
    running: tuple[str, ...]
    installed: tuple[str, ...]
    files: tuple[Installed, ...]
    enable: str
    disable: str
    enabled: tuple[str, ...]


SAMPLES: Final = (
    Installed("etc/iet/ietd.conf", "etc/iet/ietd.conf", _PRIVATE),
    Installed("etc/iet/initiators.allow", "etc/iet/initiators.allow"),
    Installed("etc/iet/targets.allow", "etc/iet/targets.allow"),
)

#: The first that fits is taken: who has systemd often has /etc/init.d, too.
INITS: Final = (
    Init(
        "systemd", "systemd", ("run/systemd/system",), ("usr/lib/systemd/systemd", "lib/systemd/systemd"),
        (
            _unit("ietpy.service"),
            _unit("ietpy.socket"),
        ),
        "systemctl daemon-reload && systemctl enable --now ietpy", "systemctl disable --now ietpy.service ietpy.socket",
        ("etc/systemd/system/*.wants/ietpy.*",),
    ),
    Init(
        "openrc", "OpenRC", ("run/openrc",), ("sbin/openrc-run", "usr/sbin/openrc-run"),
        (
            Installed("init/openrc/iscsitarget", "etc/init.d/iscsitarget", 0o755),
            Installed("init/openrc/iscsitarget.confd", "etc/conf.d/iscsitarget"),
        ),
        "rc-update add iscsitarget && rc-service iscsitarget start",
        "rc-service iscsitarget stop && rc-update delete iscsitarget",
        ("etc/runlevels/*/iscsitarget",),
    ),
    Init(
        "sysv", "System V init", (), ("etc/init.d",),
        (
            Installed("init/sysv/iscsitarget", "etc/init.d/iscsitarget", 0o755),
            Installed("init/default/iscsitarget", "etc/default/iscsitarget"),
        ),
        "update-rc.d iscsitarget defaults && service iscsitarget start",
        "service iscsitarget stop && update-rc.d iscsitarget remove",
        ("etc/rc*.d/S??iscsitarget",),
    ),
)
NONE: Final = "none"
_NAMES: Final = tuple(init.name for init in INITS)

Say = Callable[[str], None]


class CannotInstall(IetpyError):
    """The system refused."""


@dataclass(slots=True)
class Record:
    """What was put in place below ``root``: each file's hash, and the directories that were made, outermost first."""

    root: Path
    files: dict[str, str] = field(default_factory=dict)
    directories: list[str] = field(default_factory=list)
    init: str = NONE

    @classmethod
    def read(cls, root: Path) -> Record:
        """The one that was written; an empty one without. Raises UsageError when it cannot be understood."""
        try:
            found: dict[str, Any] = json.loads((root / RECORD).read_text("utf-8"))
            if found["format"] != RECORD_FORMAT:
                raise ValueError
            return cls(root, dict(found["files"]), list(found["directories"]), str(found["init"]))
        except FileNotFoundError:
            return cls(root)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{root / RECORD} cannot be read as the record of an earlier setup ({error}); move it away, and what it"
                " was about is yours to remove"
            ) from None

    def write(self) -> None:
        """Keep it, or remove it when there is nothing in it."""
        path = self.root / RECORD
        if not self.files:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return
        facts = {"format": RECORD_FORMAT, "init": self.init, "files": self.files, "directories": self.directories}
        path.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")


@click.command()
@click.option("--init", "wanted", type=click.Choice([*_NAMES, NONE]),
              help="For this init system, instead of the one that is found.")
@click.option("--remove", is_flag=True, help="Take away what setup has put in place, but for what was edited.")
@click.option("--force", is_flag=True, help="With --remove: also what was edited.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--root", default="/", metavar="DIR", help="Below DIR, as for a package or an image of a system.")
def setup(wanted: str | None, remove: bool, force: bool, dry_run: bool, root: str) -> None:
    """Install samples of ietd.conf and its access files into /etc/iet, and the unit of this init system.

    No file of yours is overwritten. What setup has put there and nobody edited is brought up to date. It starts
    nothing; the last line it prints says how to.

    Exit status 1: the system refused. 2: wrong usage, or it is not the moment for it.
    """
    if force and not remove:
        raise UsageError("--force is about --remove: setup overwrites nothing")
    try:
        record = Record.read(Path(root))
        if remove:
            _remove(record, force, dry_run, click.echo)
        else:
            _install(record, wanted, dry_run, click.echo)
    except PermissionError as error:
        raise CannotInstall(f"{error.filename}: {error.strerror}; say it as root") from None
    except OSError as error:
        raise CannotInstall(f"{error.filename}: {error.strerror}; mend that, and say it again") from None


# Installing -----------------------------------------------------------------------------------------------------------


def _install(record: Record, wanted: str | None, dry_run: bool, say: Say) -> None:
    init = _init(record.root, wanted)
    command = _command()
    here = record.root == Path("/")
    if here and init is not None and init.name == "systemd" and command.startswith(_HIDDEN):
        raise UsageError(
            f"{command} is where systemd's unit would not find it, as it hides /tmp; install ietpy elsewhere, or say"
            f" --init {NONE}"
        )
    if init is not None:
        record.init = init.name
    try:
        for each in (*SAMPLES, *(init.files if init else ())):
            _put(record, each, _content(each, command), dry_run, say)
    finally:
        if not dry_run and record.files:
            record.write()
    say("edit /etc/iet/ietd.conf, then: ietpy check")
    if init is None:
        say(f"no unit was installed; ietpy-daemon start serves, or choose one with --init: {', '.join(_NAMES)}")
    else:
        say(f"{init.title} starts it, now and at boot, with: {init.enable}")


def _init(root: Path, wanted: str | None) -> Init | None:
    """The init system that was named; else the one that runs, which is known of this machine alone; else one there."""
    if wanted is not None:
        return next((init for init in INITS if init.name == wanted), None)
    for places in ("running", "installed"):
        for init in INITS:
            if any((root / place).exists() for place in getattr(init, places)):
                return init
    return None


def _command() -> str:
    """Where ietpy-daemon is: beside this command, or beside this Python, or on the PATH."""
    beside = [Path(sys.argv[0]).absolute().with_name("ietpy-daemon"), Path(sys.executable).with_name("ietpy-daemon")]
    found = next((str(path) for path in beside if os.access(path, os.X_OK)), None) or shutil.which("ietpy-daemon")
    return found or DAEMON


def _content(each: Installed, command: str) -> bytes:
    """What goes into a file: paths of commands are those of this installation."""
    return (SHARE / each.source).read_bytes().replace(DAEMON.encode(), command.encode())


def _put(record: Record, each: Installed, content: bytes, dry_run: bool, say: Say) -> None:
    """Write one file, and say what was done."""
    path, known = record.root / each.target, record.files.get(each.target)
    for place in each.packaged:
        if (record.root / place).exists():
            say(f"{record.root / place}: is there already, a package's")
            return
    there = _hash(path)
    if there == _digest(content):
        say(f"{path}: is there already, the same")
        return
    if there is not None and there != known:
        say(f"{path}: is there already, and was kept")
        return
    said = "brought up to date" if there is not None else "installed"
    private = ", readable by its owner alone" if each.mode == _PRIVATE else ""
    if dry_run:
        say(f"{path}: would be {said}{private}")
        return
    for directory in _missing(path.parent):
        directory.mkdir()
        record.directories.append(str(directory.relative_to(record.root)))
    if there is not None:
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
    with open(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(descriptor, each.mode)
    record.files[each.target] = _digest(content)
    say(f"{path}: {said}{private}")


def _missing(directory: Path) -> Sequence[Path]:
    """``directory`` and those above it that are not there, outermost first."""
    missing = []
    while not directory.is_dir():
        missing.append(directory)
        directory = directory.parent
    return missing[::-1]


def _hash(path: Path) -> str | None:
    """The hash of what is there; None where nothing is. What is no file has one that nothing else has."""
    if not os.path.lexists(path):
        return None
    return _digest(path.read_bytes()) if path.is_file() and not path.is_symlink() else "no file"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# Removing -------------------------------------------------------------------------------------------------------------


def _remove(record: Record, force: bool, dry_run: bool, say: Say) -> None:
    if not record.files:
        say(f"{record.root / RECORD}: is not there; setup has put nothing in place")
        return
    for init in INITS:
        if init.name == record.init and any(_enabled(record.root, init)):
            raise UsageError(f"{init.title} still starts it at boot; say {init.disable} first, then this again")
    would = "would be " if dry_run else ""
    try:
        for target, known in list(record.files.items()):
            path = record.root / target
            there = _hash(path)
            if there is not None and there != known and not force:
                say(f"{path}: was edited, and {would or 'is '}kept; --force removes it, too")
                continue
            if not dry_run:
                path.unlink(missing_ok=True)
                del record.files[target]
            say(f"{path}: {f'{would}removed' if there is not None else 'is gone already'}")
    finally:
        if not dry_run:
            record.write()
    if not dry_run and not record.files:
        for directory in reversed(record.directories):
            with contextlib.suppress(OSError):  # something of somebody else's is in it
                (record.root / directory).rmdir()


def _enabled(root: Path, init: Init) -> Iterator[str]:
    """The links by which it is started at boot, also those that lead nowhere, which pathlib does not see."""
    for pattern in init.enabled:
        yield from glob.iglob(pattern, root_dir=root)
