"""``init/release``: sdist and wheel are the same bytes wherever and whenever they are built, and all is in them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EPOCH = "1700000000"
PARTS = ("ietpy", "init", "etc", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
#: What a wheel needs beside its modules.
DATA = (
    "ietpy/config/ietd.lark", "ietpy/py.typed", "ietpy/cli/share/etc/iet/ietd.conf",
    "ietpy/cli/share/init/systemd/ietpy.service", "ietpy/cli/share/init/sysv/iscsitarget",
)


def release(tree: Path, into: Path, umask: int) -> dict[str, Path]:
    """What it makes, by the end of its name."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    program = "import os, sys; os.umask(int(sys.argv[1])); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
    command = [sys.executable, "-c", program, str(umask), str(tree / "init" / "release"), "--into", str(into)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    made = {path.suffix: path for path in map(Path, ended.stdout.splitlines())}
    assert made.keys() == {".gz", ".whl"}
    return made


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Path]]:
    """Two releases: of this tree's parts in two places, of two times, by people of two umasks."""
    made = []
    for umask, time in ((0o022, 1.0e9), (0o077, 1.1e9)):
        here = tmp_path_factory.mktemp("release")
        (here / "tree").mkdir()
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, here / "tree" / part)
        for path in (here / "tree").rglob("*"):
            os.utime(path, (time, time))
        made.append(release(here / "tree", here / "made", umask))
    return made


@pytest.mark.parametrize("kind", [".gz", ".whl"])
def test_the_same_bytes(kind: str, copies: list[dict[str, Path]]) -> None:
    assert copies[0][kind].name == copies[1][kind].name
    first, second = (hashlib.sha256(made[kind].read_bytes()).hexdigest() for made in copies)
    assert first == second


def test_everything_is_in_them(copies: list[dict[str, Path]]) -> None:
    with zipfile.ZipFile(copies[0][".whl"]) as wheel:
        names = set(wheel.namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "ietpy").rglob("*.py")}
    assert {*modules, *DATA} - names == set()
    assert [name for name in names if not name.startswith(("ietpy/", "ietpy-"))] == []
    with tarfile.open(copies[0][".gz"]) as sdist:
        packed = {member.name.partition("/")[2]: member for member in sdist.getmembers()}
    assert {*modules, *DATA, "setup.cfg", "pyproject.toml", "README.md", "LICENSE"} - packed.keys() == set()
    assert {(member.uid, member.uname, int(member.mtime)) for member in packed.values()} == {(0, "", int(EPOCH))}


def test_what_was_installed_from_the_wheel_sets_up(copies: list[dict[str, Path]], tmp_path: Path) -> None:
    """By links in the repository, by files in the wheel."""
    place, root = tmp_path / "site", tmp_path / "root"
    with zipfile.ZipFile(copies[0][".whl"]) as wheel:
        wheel.extractall(place)
    program = (
        "import ietpy, sys; from ietpy.cli.ietpy import main; print(ietpy.__file__, file=sys.stderr);"
        " main(['setup', '--init', 'sysv', '--root', sys.argv[1]])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(root)], env={**os.environ, "PYTHONPATH": str(place)}, cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, f"{place}/ietpy/__init__.py\n")
    assert (root / "etc/iet/ietd.conf").read_bytes() == (ROOT / "etc/iet/ietd.conf").read_bytes()
    assert (root / "etc/init.d/iscsitarget").stat().st_mode & 0o777 == 0o755


def test_without_git_and_a_time_it_asks_for_one(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "init", tmp_path / "tree" / "init")
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "tree" / "init" / "release"), "--into", str(tmp_path / "made")],
        env={**environment, "GIT_CEILING_DIRECTORIES": str(tmp_path)}, capture_output=True, text=True, check=False,
    )
    assert ended.returncode == 1
    assert "set SOURCE_DATE_EPOCH" in ended.stderr
