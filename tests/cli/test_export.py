"""``ietpy export``: the allow file counts, what is written is whole or not there, and the report says what is lost."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ietpy.cli import export as module
from ietpy.cli.export import WRITERS
from ietpy.cli.ietpy import main
from tests.fields import checked

MIB = 1 << 20
NAME = "iqn.2001-04.com.example:disk1"
TEXT = f"""\
Target {NAME}
    Lun 1 Path={{image}},Type=fileio,IOMode=wb
    IncomingUser joe joe-secret-12
    MaxSessions 3
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    image = tmp_path / "disk1.img"
    image.write_bytes(bytes(MIB))
    file = tmp_path / "ietd.conf"
    file.write_text(TEXT.format(image=image))
    return file


def run(format_: str, conf: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["export", "--to", format_, "-c", str(conf), *words])


def document(conf: Path) -> Any:
    return json.loads(run("lio", conf).stdout)


@pytest.mark.parametrize("format_", [*WRITERS])
def test_every_format_is_written(format_: str, conf: Path) -> None:
    ended = run(format_, conf)
    assert (ended.exit_code, NAME in ended.stdout, "joe-secret-12" in ended.stdout) == (1, True, True)
    assert str(conf.parent / "disk1.img") in ended.stdout
    assert f"{conf}:2:5: lost: LUN 1 of {NAME}: it is written, but initiators find it changed:" in ended.stderr
    assert ("lost: MaxSessions" in ended.stderr) == (format_ != "scst")
    assert "threads" not in ended.stderr
    assert " lost, " in ended.stderr.splitlines()[-1]
    assert "secret" not in ended.stderr


def test_the_size_of_a_file_is_looked_up(conf: Path) -> None:
    assert document(conf)["storage_objects"][0]["size"] == MIB
    (conf.parent / "disk1.img").unlink()
    ended = run("lio", conf)
    assert "size" not in json.loads(ended.stdout)["storage_objects"][0]
    assert "warning: the size of LUN 1" in ended.stderr


def test_of_an_initiators_own_luns_too(conf: Path) -> None:
    with conf.open("a") as file:
        file.write("Lun 2 Type=nullio,Blocks=8\nInitiator iqn.a Luns=0:1\nWthreads 4\n")
    ended = run("lio", conf)
    (objects,) = (one for one in json.loads(ended.stdout)["storage_objects"] if one["plugin"] == "fileio")
    assert objects["size"] == MIB
    assert "lost: the threads of" in ended.stderr


def test_the_allow_file_counts(conf: Path) -> None:
    (group,) = document(conf)["targets"][0]["tpgs"]
    assert group["attributes"]["generate_node_acls"] == 1
    (conf.parent / "initiators.allow").write_text("ALL 192.0.2.7\n")
    (group,) = document(conf)["targets"][0]["tpgs"]
    assert (group["attributes"]["generate_node_acls"], group["node_acls"]) == (0, [])
    assert "LIO knows no addresses" in run("lio", conf).stderr


def test_without_a_file_named_those_of_etc_are_read(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = conf.parent / "etc"
    elsewhere.mkdir()
    (elsewhere / "initiators.allow").write_text("ALL 192.0.2.7\n")
    monkeypatch.setattr(module, "DIRECTORIES", (str(conf.parent / "none"), str(elsewhere)))
    monkeypatch.setattr(module, "load", lambda _: _loaded(conf))
    ended = CliRunner().invoke(main, ["export", "--to", "tgt"])
    assert "initiator-address 192.0.2.7" in ended.stdout


def _loaded(conf: Path) -> Any:
    from ietpy.config.load import load

    return load(str(conf))


@pytest.mark.parametrize("name", ["initiators.deny", "targets.allow"])
def test_rules_that_nobody_else_has_are_not_passed_over(name: str, conf: Path) -> None:
    file = conf.parent / name
    file.write_text("\n# nothing\n")
    assert run("tgt", conf).exit_code == 1
    file.write_text("# something\nALL 192.0.2.7\n")
    ended = run("tgt", conf)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert f"{file}: no other target has such rules, and without them more could get in" in ended.stderr


def test_a_companion_that_cannot_be_read(conf: Path) -> None:
    (conf.parent / "initiators.allow").mkdir()
    ended = run("tgt", conf)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "initiators.allow: Is a directory; it may say who may use what, so it has to be read" in ended.stderr


def test_a_file_with_mistakes_is_not_exported(conf: Path) -> None:
    with conf.open("a") as file:
        file.write("Lun 1 Path=/other\n")
    ended = run("tgt", conf)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert f"{conf}:5:" in ended.stderr


def test_a_file_is_written_for_its_owner_alone(conf: Path) -> None:
    output = conf.parent / "targets.conf"
    ended = run("tgt", conf, "-o", str(output))
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert output.read_text() == run("tgt", conf).stdout
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    output.write_text("precious\n")
    output.chmod(0o644)
    ended = run("tgt", conf, "-o", str(output))
    assert (ended.exit_code, output.read_text()) == (2, "precious\n")
    assert f"{output} is there already; name another file, or say --force" in ended.stderr
    assert run("tgt", conf, "-o", str(output), "--force").exit_code == 1
    assert output.read_text() == run("tgt", conf).stdout
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert sorted(path.name for path in conf.parent.iterdir()) == ["disk1.img", "ietd.conf", "targets.conf"]


def test_a_file_that_cannot_be_written(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = conf.parent / "none" / "targets.conf"
    ended = run("tgt", conf, "-o", str(output))
    assert ended.exit_code == 2
    assert f"{output} cannot be written: No such file or directory; choose another file" in ended.stderr

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fails)
    ended = run("tgt", conf, "-o", str(conf.parent / "targets.conf"))
    assert ended.exit_code == 2
    assert "No space left on device" in ended.stderr
    assert sorted(path.name for path in conf.parent.iterdir()) == ["disk1.img", "ietd.conf"]


def test_json(conf: Path) -> None:
    found = checked("export", run("ctl", conf, "--json").stdout)
    assert (found["to"], found["file"]) == ("ctl", None)
    assert found["text"] == run("ctl", conf).stdout
    assert {"taken", "lost", "warning"} >= {each["kind"] for each in found["notes"]} > set()
    output = conf.parent / "ctl.conf"
    found = checked("export", run("ctl", conf, "--json", "-o", str(output)).stdout)
    assert (found["file"], found["text"]) == (str(output), None)
    assert output.exists()


def test_what_can_be_said_is_an_exit_status(conf: Path) -> None:
    image = conf.parent / "disk1.img"
    serial, names = b"SN1".ljust(16, b"\0").hex(), b"FREEBSD DEV".ljust(24, b"\0").hex()
    conf.write_text(
        f"Portal 1 192.0.2.1\nTarget {NAME}\nLun 1 Path={image},IOMode=wb\n"
        f"LunOption 1 Vendor=FREEBSD,Product=CTLDISK,Revision=0001,Page80={serial},Page83=02810018{names}\n"
    )
    ended = run("ctl", conf)
    assert (ended.exit_code, ended.stderr) == (0, (
        f"{conf}:3:1: taken: LUN 1 of {NAME}: it is written, with what initiators know it by\n"
        "1 taken, 0 extension, 0 lost, 0 warning, 0 refused\n"
    ))


def test_a_name_is_wanted() -> None:
    assert CliRunner().invoke(main, ["export"]).exit_code == 2
    assert CliRunner().invoke(main, ["export", "--to", "iet"]).exit_code == 2
