"""Configuration files of other people: what IET did with each, what ietpy does, and why they differ.

The files are in ``../shared/corpus/ietd-conf`` beside a checkout. ``tests/config/test_corpus.py`` holds this table to
them; ``reference/corpus.md`` shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ietpy.config.model import Configuration


@dataclass(frozen=True)
class RealFile:
    """What ``summary`` says of a file in ``repair`` and ``iet``, and whether ``strict`` starts.

    ``found``: the findings of ``repair``, as ``code@line``. ``why``: what explains that ``repair`` is not as IET.
    """

    name: str
    verdict: str
    repair: str
    iet: str
    starts: bool
    found: str = ""
    why: str = ""


def summary(configuration: Configuration) -> str:
    """What is served to whom, in a few words and without names."""
    targets = configuration.targets
    luns = [lun for target in targets for lun in target.luns]
    users = sum(len({account.name for account in target.incoming}) for target in targets)
    restricted = sum(bool(target.initiator_addresses or target.initiator_names) for target in targets)
    discoverers = len({account.name for account in configuration.discovery_incoming})
    parts = [_count(len(targets), "target"), _count(len(luns), "LUN")]
    extras = {
        "read-only": sum(lun.read_only for lun in luns),
        "write-back": sum(lun.write_cache for lun in luns),
        "mutual": sum(target.outgoing is not None for target in targets),
        "restricted": restricted,
        "closed": sum(bool(target.closed) for target in targets),
    }
    parts += [_count(users, "user")] if users else []
    parts += [f"{number} {name}" for name, number in extras.items() if number]
    parts += [f"discovery: {_count(discoverers, 'user')}"] if discoverers else []
    parts += ["discovery closed"] if configuration.discovery_closed else []
    parts += ["iSNS"] if configuration.isns_server else []
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


FILES: Final = (
    RealFile(
        "01-linux-tips-tgt-style-keys.conf", "1 target, LUN 0, 1 user; tgt's `initiator-address` ignored",
        "1 target, 1 LUN, 1 user, 1 restricted", "1 target, 1 LUN, 1 user", False, "borrowed-keyword@3",
        "tgt's word inside a target is applied as a restriction.",
    ),
    RealFile(
        "02-iet-parser-flat-no-final-newline.conf",
        "crashed at the last line; with a newline there 19 targets, 19 LUNs and one that failed, 1 user, discovery too",
        "19 targets, 20 LUNs, 1 user, discovery: 1 user", "19 targets, 20 LUNs, 1 user, discovery: 1 user", False,
        "comment-after-lun@45 no-final-newline@82",
        "crashes are never copied. The comment on line 45 is no part of the path, so that LUN is served, too; `iet`"
        " looks for a device whose name ends with the comment, as IET did, and does not find it.",
    ),
    RealFile(
        "04-puppet-comma-space-lun.conf", "1 target, 1 user; the LUN refused, for `, Type=`",
        "1 target, 1 LUN, 1 user", "1 target, 0 LUNs, 1 user", False, "lun-repaired@7",
        "a blank behind the comma is repaired.",
    ),
    RealFile("05-chef-ietd-two-luns.conf", "1 target, LUNs 0 and 1", "1 target, 2 LUNs", "1 target, 2 LUNs", True),
    RealFile(
        "06-chef-iscsi-alias-at-eof.conf", "1 target, LUN 0; the alias at the end, without newline, never used",
        "1 target, 1 LUN", "1 target, 1 LUN", True,
    ),
    RealFile(
        "07-iet-manpage-example.conf", "1 target, a fileio and a nullio LUN, accounts for it and for discovery",
        "1 target, 2 LUNs, 1 user, 1 mutual, discovery: 1 user",
        "1 target, 2 LUNs, 1 user, 1 mutual, discovery: 1 user", True,
    ),
    RealFile("08-iet-readme-vmware-two-targets.conf", "2 targets", "2 targets, 2 LUNs", "2 targets, 2 LUNs", True),
    RealFile(
        "09-openstack-cinder-chap.conf", "1 target, CHAP", "1 target, 1 LUN, 1 user", "1 target, 1 LUN, 1 user", True
    ),
    RealFile(
        "10-proxmox-target-without-lun.conf", "a target without LUN", "1 target, 0 LUNs", "1 target, 0 LUNs", True
    ),
    RealFile(
        "11-cci-moc-ims-same-scsiid.conf", "2 LUNs of one identity", "2 targets, 2 LUNs", "2 targets, 2 LUNs", True
    ),
    RealFile(
        "14-saltstack-ro-lun.conf", "mutual CHAP, a read-only LUN",
        "1 target, 1 LUN, 1 user, 1 read-only, 1 mutual", "1 target, 1 LUN, 1 user, 1 read-only, 1 mutual", True,
    ),
    RealFile(
        "15-openqrm-non-iqn-name-lun1-only.conf", "2 targets named by plain words, each with LUN 1 only",
        "2 targets, 2 LUNs, 2 users", "2 targets, 2 LUNs, 2 users", True,
    ),
    RealFile(
        "16-bing2014-fork-only-dest-param.conf", "both LUNs refused: `Dest=` is of a fork",
        "1 target, 0 LUNs", "1 target, 0 LUNs", False, "lun-refused@2 lun-refused@3",
    ),
    RealFile("17-stratuslab-generated.conf", "1 target", "1 target, 1 LUN", "1 target, 1 LUN", True),
    RealFile(
        "18-legacy-0.2.5-user-and-positional-lun.conf", "1 target, open: `User` ignored, the LUN refused",
        "1 target, 1 LUN, 1 user, discovery: 1 user", "1 target, 0 LUNs", False,
        "borrowed-keyword@1 borrowed-keyword@4 positional-lun@5",
        "`User` of older versions is required as IncomingUser, and their Lun line is understood.",
    ),
    RealFile(
        "19-legacy-0.4.4-positional-lun-fileio.conf", "1 target, accounts for it and for discovery, the LUN refused",
        "1 target, 1 LUN, 1 user, discovery: 1 user", "1 target, 0 LUNs, 1 user, discovery: 1 user", False,
        "positional-lun@5", "the Lun line of older versions is understood.",
    ),
    RealFile(
        "21-engineyard-drbd-quoted-passwords.conf", "mutual CHAP with quotes in the secrets",
        "1 target, 1 LUN, 1 user, 1 mutual", "1 target, 1 LUN, 1 user, 1 mutual", False,
        "quotes@3 same-secret-both-ways@4 quotes@4",
    ),
    RealFile(
        "22-geekshlby-drbd-digests.conf", "1 target, both digests offered",
        "1 target, 1 LUN", "1 target, 1 LUN", True,
    ),
    RealFile(
        "23-ubuntu-forum-empty-outgoinguser.conf", "1 target, CHAP one way: the empty OutgoingUser ignored",
        "1 target, 1 LUN, 1 user", "1 target, 1 LUN, 1 user", False, "empty-outgoinguser@3",
    ),
    RealFile("24-ubuntu-forum-isns.conf", "1 target, iSNS", "1 target, 1 LUN, iSNS", "1 target, 1 LUN, iSNS", True),
    RealFile(
        "26-oracle-rac-luns-without-target.conf", "everything ignored, as no Target line is above it",
        "0 targets, 0 LUNs", "0 targets, 0 LUNs", False,
        "outside-target@1 outside-target@2 outside-target@3 outside-target@4 outside-target@5 outside-target@6",
    ),
    RealFile(
        "27-many-incoming-users-isns.conf", "1 target, 3 users, a write-back LUN, iSNS",
        "1 target, 1 LUN, 3 users, 1 write-back, iSNS", "1 target, 1 LUN, 3 users, 1 write-back, iSNS", True,
    ),
    RealFile(
        "29-debian-cdroms-ro.conf", "mutual CHAP, read-only LUNs 0, 1 and 3",
        "1 target, 3 LUNs, 1 user, 3 read-only, 1 mutual", "1 target, 3 LUNs, 1 user, 3 read-only, 1 mutual", True,
    ),
    RealFile(
        "30-esxi-forum-uppercase-target-colon.conf", "1 target, of a name that is no iSCSI name",
        "1 target, 1 LUN", "1 target, 1 LUN", True,
    ),
)
