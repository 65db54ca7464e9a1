"""Which daemon a command speaks to: the named one, else this user's, if its place is safe."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ietpy.admin.paths import RuntimePaths
from ietpy.cli import control
from ietpy.errors import UsageError


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a plain user's daemon; it is not there yet."""
    directory = tmp_path / "ietpy-4711"
    paths = RuntimePaths("pid", f"{directory}/control", "iet", str(directory))
    monkeypatch.setattr(control, "runtime_paths", lambda environment, uid: paths)
    monkeypatch.delenv("IETPY_CONTROL", raising=False)
    return directory


def test_a_named_socket_is_taken_as_it_is(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private.mkdir(mode=0o755)
    monkeypatch.setenv("IETPY_CONTROL", "/somewhere/else")
    assert control.control_socket() == "/somewhere/else"


def test_without_a_name_it_is_this_users(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert control.control_socket() == f"{private}/control"
    private.mkdir(mode=0o700)
    assert control.control_socket() == f"{private}/control"
    monkeypatch.setenv("IETPY_CONTROL", "")
    assert control.control_socket() == f"{private}/control"


@pytest.mark.parametrize("kind", ["link", "mode", "file"])
def test_a_place_others_may_have_made_is_refused(private: Path, kind: str) -> None:
    if kind == "link":
        private.symlink_to("/tmp")
    elif kind == "file":
        private.write_text("")
    else:
        private.mkdir()
        os.chmod(private, 0o770)
    with pytest.raises(UsageError, match="is not a directory of user"):
        control.control_socket()


def test_roots_place_is_nobody_elses(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "runtime_paths", lambda environment, uid: RuntimePaths("pid", "/run/x", "iet"))
    assert control.control_socket() == "/run/x"
