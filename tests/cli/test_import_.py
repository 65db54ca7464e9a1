"""``ietpy import``: files, report, exit statuses."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ietpy.cli import ietpy as cli
from ietpy.config.load import load
from tests.fields import checked

T = "iqn.2003-01.org.linux-iscsi.san:sn.1"


def config(path: Path, secret: str = "joe-secret-0001", **more: object) -> str:
    """A saveconfig.json with one target whose only ACL has this secret."""
    acl = {"node_wwn": "iqn.1993-08.org.debian:01:a", "chap_userid": "joe", "chap_password": secret,
           "mapped_luns": [{"index": 0, "tpg_lun": 0}]}
    group = {"tag": 1, "luns": [{"index": 0, "storage_object": "/backstores/fileio/a"}], "node_acls": [acl],
             "portals": [{"ip_address": "127.0.0.1", "port": 3260}], **more}
    document = {
        "storage_objects": [{"plugin": "fileio", "name": "a", "dev": "/srv/a.img", "size": 4096, "wwn": "ab-cd"}],
        "targets": [{"fabric": "iscsi", "wwn": T, "tpgs": [group]}],
    }
    path.write_text(json.dumps(document, indent=2))
    return str(path)


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.main, ["import", *words])


def test_files_are_written_with_their_modes_and_mean_the_same(tmp_path: Path) -> None:
    out = tmp_path / "new" / "etc"
    result = run(config(tmp_path / "s.json", "two words 0001"), "-o", str(out))
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == ["ietd.conf", "initiators.allow", "secrets"]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (*out.iterdir(), *(out / "secrets").iterdir())}
    secret = next(iter((out / "secrets").iterdir()))
    assert (modes["ietd.conf"], modes["initiators.allow"], modes["secrets"], modes[secret.name]) == (
        0o600, 0o644, 0o700, 0o600,
    )
    (target,) = load(out / "ietd.conf").targets
    assert (target.name, target.incoming[0].secret, target.luns[0].path) == (T, "two words 0001", "/srv/a.img")
    assert f"{tmp_path}/s.json:" in result.output
    assert "3 files written to" in result.output
    assert "two words" not in result.output


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    (tmp_path / "initiators.allow").write_text("mine\n")
    path = config(tmp_path / "s.json")
    result = run(path, "-o", str(tmp_path))
    assert (result.exit_code, (tmp_path / "ietd.conf").exists()) == (2, False)
    assert "initiators.allow is there already; give another directory with -o, or --force" in result.output
    assert run(path, "-o", str(tmp_path), "--force").exit_code == 0
    assert "mine" not in (tmp_path / "initiators.allow").read_text()


def test_a_dry_run_writes_nothing_and_shows_no_secret(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for secret in ("joe-secret-0001", "two words 0001"):
        result = run(config(tmp_path / "s.json", secret), "-o", str(out), "-n")
        assert (result.exit_code, out.exists()) == (0, False)
        assert f"Target {T}" in result.stdout
        assert secret not in result.output
        assert "nothing is written; " in result.stderr


def test_what_initiators_see_is_printed(tmp_path: Path) -> None:
    path = config(tmp_path / "s.json")
    result = run(path, "-n", "--check-initiator-view", "--scratch")
    assert result.exit_code == 0
    table = [line.split() for line in result.stdout.partition("TARGET")[2].splitlines()]
    assert [T, "iqn.1993-08.org.debian:01:a", "0", "vendor", "LIO-ORG", "LIO-ORG"] in table
    result = run(path, "-n", "--check-initiator-view")
    assert result.exit_code == 1
    assert "/srv/a.img" in result.stderr
    assert result.stdout.splitlines()[-1].split()[3:] == ["LUN", "there", "not", "there", "CHANGED"]


def test_what_is_lost_is_an_exit_status(tmp_path: Path) -> None:
    result = run(config(tmp_path / "s.json", parameters={"Odd": "1"}), "-n")
    assert result.exit_code == 1
    assert "refused: unknown parameter Odd" in result.stderr


def test_json(tmp_path: Path) -> None:
    path = config(tmp_path / "s.json")
    plain = json.loads(run(path, "-n", "--json").stdout)
    assert {"view", "unserved"}.isdisjoint(plain)
    result = run(path, "-o", str(tmp_path / "out"), "--json", "--check-initiator-view", "--scratch")
    document = checked("import", result.stdout)
    assert [(row["initiator"], row["lun"], row["same"]) for row in document["view"]] == [
        ("iqn.1993-08.org.debian:01:a", 0, True)
    ]
    assert document["unserved"] == []
    assert (document["source"], document["targets"]) == ("lio", [T])
    assert document["written"] == [str(tmp_path / "out" / name) for name in ("ietd.conf", "initiators.allow")]
    assert sum(document["counts"].values()) == len(document["notes"])
    assert "joe-secret" not in result.output


@pytest.mark.parametrize(("text", "words"), [
    ("{", "s:1:2: error: no name of a member stands here"),
    ("hello", "s:1:1: error: no format is recognised; name it with --from"),
])
def test_a_file_that_is_refused_writes_nothing(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "s").write_text(text)
    kind = ["--from", "lio"] if text == "{" else []
    result = run(str(tmp_path / "s"), "-o", str(tmp_path / "out"), *kind)
    assert (result.exit_code, (tmp_path / "out").exists()) == (2, False)
    assert words in result.output


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    path = config(tmp_path / "s.json")
    result = run(path, "-o", f"{path}/below")
    assert result.exit_code == 2
    assert "cannot be written" in result.output
