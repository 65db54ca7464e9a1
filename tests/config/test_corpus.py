"""Files of real life: all load in all modes, and what they mean is what iet-compat section 10 says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ietpy.config.findings import MODES
from ietpy.config.load import load
from ietpy.config.model import Configuration

#: File: targets and LUNs in ``repair``, then in ``iet``; whether ``strict`` starts.
EXPECTED = {
    "01-linux-tips-tgt-style-keys.conf": (1, 1, 1, 1, False),
    "02-iet-parser-flat-no-final-newline.conf": (19, 20, 19, 20, False),
    "04-puppet-comma-space-lun.conf": (1, 1, 1, 0, False),
    "05-chef-ietd-two-luns.conf": (1, 2, 1, 2, True),
    "06-chef-iscsi-alias-at-eof.conf": (1, 1, 1, 1, True),
    "07-iet-manpage-example.conf": (1, 2, 1, 2, True),
    "08-iet-readme-vmware-two-targets.conf": (2, 2, 2, 2, True),
    "09-openstack-cinder-chap.conf": (1, 1, 1, 1, True),
    "10-proxmox-target-without-lun.conf": (1, 0, 1, 0, True),
    "11-cci-moc-ims-same-scsiid.conf": (2, 2, 2, 2, True),
    "14-saltstack-ro-lun.conf": (1, 1, 1, 1, True),
    "15-openqrm-non-iqn-name-lun1-only.conf": (2, 2, 2, 2, True),
    "16-bing2014-fork-only-dest-param.conf": (1, 0, 1, 0, False),
    "17-stratuslab-generated.conf": (1, 1, 1, 1, True),
    "18-legacy-0.2.5-user-and-positional-lun.conf": (1, 1, 1, 0, False),
    "19-legacy-0.4.4-positional-lun-fileio.conf": (1, 1, 1, 0, False),
    "21-engineyard-drbd-quoted-passwords.conf": (1, 1, 1, 1, True),
    "22-geekshlby-drbd-digests.conf": (1, 1, 1, 1, True),
    "23-ubuntu-forum-empty-outgoinguser.conf": (1, 1, 1, 1, False),
    "24-ubuntu-forum-isns.conf": (1, 1, 1, 1, True),
    "26-oracle-rac-luns-without-target.conf": (0, 0, 0, 0, False),
    "27-many-incoming-users-isns.conf": (1, 1, 1, 1, True),
    "29-debian-cdroms-ro.conf": (1, 3, 1, 3, True),
    "30-esxi-forum-uppercase-target-colon.conf": (1, 1, 1, 1, True),
}


def size(configuration: Configuration) -> tuple[int, int]:
    return len(configuration.targets), sum(len(target.luns) for target in configuration.targets)


@pytest.mark.parametrize("name", EXPECTED)
def test_ietd_conf(corpus: Path, name: str) -> None:
    path = corpus / "ietd-conf" / name
    repair, iet, strict = (load(path, mode) for mode in MODES)
    assert (*size(repair), *size(iet), not strict.refused) == EXPECTED[name]


def test_every_file_is_expected(corpus: Path) -> None:
    assert sorted(path.name for path in (corpus / "ietd-conf").glob("*.conf")) == sorted(EXPECTED)


def test_every_file_of_other_targets_loads(corpus: Path) -> None:
    paths = [path for path in sorted((corpus / "peer-config").rglob("*.*")) if path.is_file()]
    assert paths
    for path in paths:
        for mode in MODES:
            assert load(path, mode).compat == mode


def test_accounts_of_real_files(corpus: Path, dump: Callable[[Configuration], str]) -> None:
    folder = corpus / "ietd-conf"
    assert dump(load(folder / "01-linux-tips-tgt-style-keys.conf")) == (
        "iqn.2017-01.com.attava:target00: 0=/home/serg/iscsi_disks/lun1.img +serg/jgf23 from=10.1.2.180"
    )
    assert dump(load(folder / "18-legacy-0.2.5-user-and-positional-lun.conf")) == (
        "+joe/secret; iqn.2001-04.com.example:storage.disk2.sys1.xyz: 0=/dev/hdc +joe/secret alias=Test"
    )
    assert '+engineyard-devcloud/"HAHAEYdev383"' in dump(load(folder / "21-engineyard-drbd-quoted-passwords.conf"))


def test_lines_continued_with_a_backslash_stay_read_only(corpus: Path) -> None:
    first, _ = load(corpus / "peer-config" / "iet" / "03-case-and-oddities.conf").targets
    assert [(lun.number, lun.path, lun.read_only) for lun in first.luns] == [
        (0, "/srv/iscsi/a.img", True),
        (1, "/srv/iscsi/joined.img", True),
    ]
