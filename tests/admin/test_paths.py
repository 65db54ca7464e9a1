"""Where pid file and control socket lie, and which directories are trusted."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from ietpy.admin.paths import RuntimePaths, check_private, make_private, runtime_paths, state_directory
from ietpy.errors import UsageError

ME = os.geteuid()


def test_root_uses_the_places_iet_used() -> None:
    found = runtime_paths({"XDG_RUNTIME_DIR": "/x"}, 0)
    assert found == RuntimePaths("/run/ietd.pid", "/run/ietpy/control", "/run/iet")


def test_a_plain_user_has_his_own_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1) if ME == 0 else None
    owner = tmp_path.stat().st_uid
    found = runtime_paths({"XDG_RUNTIME_DIR": str(tmp_path)}, owner)
    assert found.control == str(tmp_path / "ietpy" / "control")
    assert found.private == str(tmp_path / "ietpy")


@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        pytest.param({"XDG_RUNTIME_DIR": "/", "TMPDIR": "/t"}, "/t/ietpy-12345", id="another user's"),
        pytest.param({"XDG_RUNTIME_DIR": "/nowhere"}, "/tmp/ietpy-12345", id="not there"),
        pytest.param({}, "/tmp/ietpy-12345", id="no variables"),
    ],
)
def test_without_a_session_directory_it_is_below_tmpdir(environment: dict[str, str], directory: str) -> None:
    found = runtime_paths(environment, 12345)
    assert found == RuntimePaths(f"{directory}/ietd.pid", f"{directory}/control", f"{directory}/iet", directory)


@pytest.mark.parametrize(("environment", "uid", "directory"), [
    pytest.param({"HOME": "/root"}, 0, "/var/lib/ietpy", id="root"),
    pytest.param({"STATE_DIRECTORY": "/var/lib/x"}, 0, "/var/lib/x", id="root below systemd"),
    pytest.param({"STATE_DIRECTORY": "/a/x:/a/y"}, 12345, "/a/x", id="the first of several"),
    pytest.param({"STATE_DIRECTORY": ":/a/y", "HOME": "/h"}, 12345, "/h/.local/state/ietpy", id="an empty first"),
    pytest.param({"XDG_STATE_HOME": "/s", "HOME": "/h"}, 12345, "/s/ietpy", id="a place for state"),
    pytest.param({"XDG_STATE_HOME": "s", "HOME": "/h"}, 12345, "/h/.local/state/ietpy", id="a relative one"),
    pytest.param({"HOME": "/h"}, 12345, "/h/.local/state/ietpy", id="a home"),
    pytest.param({"HOME": "h"}, 12345, "", id="a relative home"),
    pytest.param({}, 12345, "", id="none of a user nobody knows"),
])
def test_where_state_is_kept(environment: dict[str, str], uid: int, directory: str) -> None:
    assert state_directory(environment, uid) == directory


def test_who_has_no_variables_has_a_home_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.getpwuid(0)
    monkeypatch.setattr(pwd, "getpwuid", {12345: entry}.__getitem__)
    assert state_directory({}, 12345) == os.path.join(entry.pw_dir, ".local", "state", "ietpy")


def test_the_private_directory_is_made_once(tmp_path: Path) -> None:
    directory = tmp_path / "ietpy-0"
    make_private(str(directory), ME)
    make_private(str(directory), ME)
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_directory_others_may_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(UsageError, match="not a directory of user"):
        check_private(str(tmp_path), ME)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(UsageError, match="not a directory of user"):
        make_private(str(tmp_path / "link"), ME)


def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(UsageError, match="not a directory of user"):
        check_private(str(tmp_path), ME + 1)


def test_a_directory_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be made"):
        make_private(str(tmp_path / "missing" / "ietpy"), ME)
