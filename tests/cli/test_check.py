"""``ietpy check``: what it prints, and its exit status (decisions 5)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ietpy.cli.check import check, findings
from ietpy.config import access, load
from ietpy.config.load import loads

SECRET = "topsecret123"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4096))
    return path


def run(tmp_path: Path, text: str, *arguments: str) -> Result:
    path = tmp_path / "ietd.conf"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    return CliRunner().invoke(check, ["-c", str(path), *arguments])


def test_a_good_file_is_one_line(tmp_path: Path, image: Path) -> None:
    result = run(tmp_path, f"Target t\nLun 0 Path={image}\n")
    assert result.exit_code == 0
    assert result.stdout == (
        f"{tmp_path}/ietd.conf (repair): 1 target, 1 LUN; repair 0 errors, 0 warnings; iet 0 errors, 0 warnings;"
        " strict 0 errors, 0 warnings\n"
    )


def test_warnings_alone_are_success(tmp_path: Path, image: Path) -> None:
    result = run(tmp_path, f"Target t\nLun 0 Path={image}, Type=fileio\n")
    assert result.exit_code == 0
    first, summary = result.stdout.splitlines()
    assert first.startswith(f"{tmp_path}/ietd.conf:2:{14 + len(str(image))}: warning: blanks around 'Type=fileio'")
    assert summary.endswith("repair 0 errors, 1 warning; iet 0 errors, 1 warning; strict 1 error, 0 warnings")


def test_the_mode_decides(tmp_path: Path, image: Path) -> None:
    text = f"Target t\nLun 0 Path={image}, Type=fileio\n"
    assert run(tmp_path, text, "--compat", "iet").exit_code == 0
    assert run(tmp_path, text, "--compat", "strict").exit_code == 2
    assert run(tmp_path, "Compat strict\n" + text).exit_code == 2
    assert run(tmp_path, text, "--compat", "nonsense").exit_code == 2


def test_all_modes(tmp_path: Path, image: Path) -> None:
    result = run(tmp_path, f"Target t\nLun 0 Path={image}\nInitialR2T no\n", "--all-modes")
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.endswith(":")] == ["repair:", "iet:", "strict:"]
    assert [": warning: " in line for line in lines[1:6:2]] == [True, True, False]
    assert ": error: " in lines[5]
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("medium", "type_", "words"),
    [
        ("absent", "fileio", "does not exist; correct the Path, or make the file with ietpy mkimage"),
        ("", "fileio", "is a directory"),
        ("disk.img", "blockio", "is a file, not a block device; write Type=fileio"),
        ("pipe", "fileio", "is neither a file nor a block device"),
        ("disk.img/x", "fileio", "Not a directory"),
    ],
)
def test_media(tmp_path: Path, image: Path, medium: str, type_: str, words: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = run(
        tmp_path, f"Target t\nLun 0 Path={tmp_path / medium},Type={type_}\nLun 1 Type=nullio\n", "--compat", "iet"
    )
    assert result.exit_code == 2
    line = result.stdout.splitlines()[0]
    assert line.startswith(f"{tmp_path}/ietd.conf:2:1: error: LUN 0 of t is not served: {tmp_path}")
    assert words in line


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.conf")
    result = CliRunner().invoke(check, ["-c", missing])
    assert (result.exit_code, result.stdout.count("\n")) == (2, 1)
    assert result.stdout.startswith(f"{missing}:1:1: error: cannot read this file: No such file or directory; ")
    document = json.loads(CliRunner().invoke(check, ["-c", missing, "--json"]).stdout)
    assert (document["configuration"], document["modes"]) == (None, {})
    assert [one["code"] for one in document["diagnostics"]] == ["file-unreadable"]


ALGORITHMS = ["MD5", "SHA1", "SHA256", "SHA3-256"]
RICH = f"""\
IncomingUser finder {SECRET}
OutgoingUser self {SECRET}3
Target t\udcff
IncomingUser joe {SECRET}
IncomingUser joe {SECRET}2
Lun 3 Path=IMAGE,IOMode=ro,ScsiId=ab
Lun 4 Type=nullio,Blocks=8
LunOption 4 Naa=5000000000000001,Removable=Yes
HeaderDigest None
foo
"""


def test_json(tmp_path: Path, image: Path) -> None:
    result = run(tmp_path, RICH.replace("IMAGE", str(image)), "--json")
    assert result.exit_code == 0
    assert SECRET not in result.stdout
    document = json.loads(result.stdout)
    assert list(document) == ["format", "diagnostics", "configuration", "modes"]
    assert document["format"] == 1
    again, unknown = document["diagnostics"]
    assert again["code"] == "same-user-twice"
    place = f"{tmp_path}/ietd.conf"
    assert unknown == {
        "file": place,
        "line": 10,
        "column": 1,
        "severity": "warning",
        "code": "unknown-keyword",
        "text": f"{place}:10:1: warning: unknown keyword 'foo'; the line is ignored; IET: ignored the line",
        "problem": "unknown keyword 'foo'",
        "hint": "the line is ignored",
        "iet": "ignored the line",
    }
    configuration = document["configuration"]
    assert (configuration["compat"], configuration["refused"]) == ("repair", False)
    assert configuration["discovery"] == {
        "incoming": ["finder"], "outgoing": "self", "closed": "", "chap_algorithms": ALGORITHMS,
    }
    (target,) = configuration["targets"]
    assert (target["name"], target["incoming"], target["outgoing"]) == ("t\\xff", ["joe"], None)
    assert target["chap_algorithms"] == ALGORITHMS
    disk, nothing = target["luns"]
    identity = disk.pop("identity")
    assert disk == {
        "lun": 3,
        "line": 6,
        "path": str(image),
        "type": "fileio",
        "read_only": True,
        "write_cache": False,
        "block_size": None,
        "scsi_id": "6162",
        "scsi_sn": None,
        "options": {},
        "removable": False,
        "cached": False,
        "iops": None,
        "bytes_per_second": None,
    }
    assert identity == {
        "vendor": "IET",
        "product": "VIRTUAL-DISK",
        "revision": "0",
        "serial": "6162" + "0" * 28,
        "device_id": "6162" + "0" * 28,
        "naa": None,
        "eui": None,
        "page_80": None,
        "page_83": None,
    }
    assert (nothing["options"], nothing["identity"]["naa"]) == ({"Blocks": 8}, "5000000000000001")
    assert nothing["removable"] is True


def test_json_has_what_holds_where_the_file_is_silent(tmp_path: Path) -> None:
    result = run(tmp_path, "Target t\nInitialR2T No\nMaxConnections 4\nMaxXmitDataSegmentLength 8192\n", "--json")
    (target,) = json.loads(result.stdout)["configuration"]["targets"]
    keys = target["session_keys"]
    assert target["session_keys_set"] == ["InitialR2T", "MaxConnections", "MaxXmitDataSegmentLength"]
    assert set(target["session_keys_set"]) < set(keys)
    assert (keys["InitialR2T"], keys["MaxConnections"], keys["MaxXmitDataSegmentLength"]) == (False, 4, 8192)
    assert (keys["HeaderDigest"], keys["MaxBurstLength"], keys["OFMarkInt"]) == (["None", "CRC32C"], 1048576, None)
    assert (target["queued_commands"], target["wthreads"], target["max_sessions"]) == (128, 8, 0)
    silent = run(tmp_path, "Target t\nQueuedCommands 5\n", "--json")
    (target,) = json.loads(silent.stdout)["configuration"]["targets"]
    assert (target["queued_commands"], target["session_keys"]["MaxXmitDataSegmentLength"]) == (5, None)


def test_json_of_all_modes(tmp_path: Path) -> None:
    text = f"Target t\nIncomingUsr joe {SECRET}\nLun 0 Type=nullio,ScsiId=\n"
    plain = json.loads(run(tmp_path, text, "--json").stdout)
    assert plain["modes"] == {
        "repair": {"errors": 1, "warnings": 1, "refused": False},
        "iet": {"errors": 0, "warnings": 2, "refused": False},
        "strict": {"errors": 2, "warnings": 0, "refused": True},
    }
    result = run(tmp_path, text, "--json", "--all-modes", "--compat", "iet")
    assert (result.exit_code, SECRET in result.stdout) == (0, False)
    document = json.loads(result.stdout)
    modes = document["modes"]
    assert list(modes) == ["repair", "iet", "strict"]
    assert modes["iet"]["configuration"] == document["configuration"]
    assert modes["iet"]["diagnostics"] == document["diagnostics"]
    incoming = {mode: one["configuration"]["targets"][0]["incoming"] for mode, one in modes.items()}
    assert incoming == {"repair": ["joe"], "iet": [], "strict": []}
    assert [one["code"] for one in modes["repair"]["diagnostics"]] == ["misspelt-keyword", "lun-refused"]


def test_without_a_file_the_default_and_its_companions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "DEFAULT_PATHS", (str(tmp_path / "ietd.conf"), str(tmp_path / "old.conf")))
    monkeypatch.setattr(access, "DIRECTORIES", (str(tmp_path),))
    result = CliRunner().invoke(check, [])
    assert result.exit_code == 0
    assert "ietd.conf not found, configure through ietadm" in result.stdout
    (tmp_path / "ietd.conf").write_text("Target t\n")
    (tmp_path / "initiators.allow").write_text("ALL 0.0.0.0/0\n")
    result = CliRunner().invoke(check, [])
    assert result.exit_code == 2
    assert f"{tmp_path}/initiators.allow:1:5: error: '0.0.0.0/0' means everybody" in result.stdout


def test_findings_come_in_file_order(tmp_path: Path) -> None:
    configuration = loads("Target t\nLun 0 Path=/nowhere/at/all\nfoo\nLun 1 Path=/nowhere/else\n")
    lines = [one.span.line for one in findings(configuration, companions=False)]
    assert lines == [2, 3, 4]
