"""Options of start: what restart keeps, and where pid file and control socket are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ietpy.daemon.options import Places, StartOptions
from ietpy.errors import UsageError


def test_facts_come_back() -> None:
    options = StartOptions("/x", address="::1", port=0, uid=1, gid=2, debug=1, compat="iet", state_dir="/s")
    assert StartOptions.from_facts(options.facts()) == options


def test_what_is_given_counts_more_and_the_foreground_is_not_kept() -> None:
    before = StartOptions(config="/x", port=860, foreground=True).facts()
    assert StartOptions.from_facts(before, port=861, config=None) == StartOptions(config="/x", port=861)


def test_facts_of_another_version_are_passed_over() -> None:
    assert StartOptions.from_facts({"port": 1, "workers": 4}) == StartOptions(port=1)


def test_places_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    places = Places.of("a.pid", "sock")
    assert places == Places(str(tmp_path / "a.pid"), str(tmp_path / "sock"))
    places.prepare()
    places.verify()
    assert list(tmp_path.iterdir()) == []


def test_a_plain_users_directory_is_made_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "ietpy-1"
    places = Places(str(directory / "ietd.pid"), str(directory / "control"), str(directory))
    places.verify()
    places.prepare()
    places.verify()
    directory.chmod(0o777)
    with pytest.raises(UsageError, match="mode 0700"):
        places.verify()


def test_a_plain_user_who_names_one_place_still_has_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setenv("TMPDIR", "/t")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert Places.of("/x/a.pid", None) == Places("/x/a.pid", "/t/ietpy-12345/control", "/t/ietpy-12345")
