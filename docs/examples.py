"""One real mistake for every message of ``ietpy check``: ``reference/messages.md`` is made by running them.

``tests/contracts/test_messages.py`` fails if a message has no example here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ietpy.cli.check import findings
from ietpy.config.access import AccessFiles
from ietpy.config.access_rules import KINDS, read_rules
from ietpy.config.findings import Report
from ietpy.config.load import load, loads, search
from ietpy.errors import ConfigError, Diagnostic

T: Final = "Target iqn.2001-04.com.example:disk1\n"
_LONG: Final = "#" + "x" * 4094


@dataclass(frozen=True)
class Example:
    """What stands in ``file``, read in ``mode``; with ``make``, something else than a text, and what it is."""

    code: str
    text: str
    file: str = "ietd.conf"
    mode: str = "repair"
    make: Callable[[], tuple[Diagnostic, ...]] | None = None

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything that is said about it."""
        if self.make is not None:
            return self.make()
        if self.file == "ietd.conf":
            return loads(self.text, self.file, self.mode).diagnostics
        kind = next(kind for kind in KINDS if kind.name == self.file)
        report = Report(self.file, self.mode)
        for _ in read_rules(self.text, kind, report):
            pass
        return report.in_order()

    def told(self) -> list[Diagnostic]:
        """What is said with its code."""
        return [one for one in self.diagnostics() if one.code == self.code]


def _renamed(found: Iterable[Diagnostic], made: str, shown: str) -> tuple[Diagnostic, ...]:
    """The same of another directory than the example made, or has on no machine."""
    return tuple(
        replace(
            one,
            span=replace(one.span, file=one.span.file.replace(made, shown)),
            problem=one.problem.replace(made, shown),
            hint=one.hint.replace(made, shown),
        )
        for one in found
    )


def _no_file() -> tuple[Diagnostic, ...]:
    return _renamed(search(("/none/iet/ietd.conf", "/none/ietd.conf"), None).diagnostics, "/none", "/etc")


def _second_place() -> tuple[Diagnostic, ...]:
    with TemporaryDirectory() as directory:
        places = f"{directory}/iet/ietd.conf", f"{directory}/ietd.conf"
        Path(places[1]).write_text("# nothing yet\n", "ascii")
        return _renamed(search(places, None).diagnostics, directory, "/etc")


def _unreadable() -> tuple[Diagnostic, ...]:
    try:
        return load("/none/ietd.conf").diagnostics
    except ConfigError as error:
        return _renamed(error.diagnostics, "/none", "/root")


def _unreadable_access_file() -> tuple[Diagnostic, ...]:
    with TemporaryDirectory() as directory:
        Path(directory, "initiators.allow").mkdir()
        return _renamed(AccessFiles(directory).diagnostics(), directory, "/etc/iet")


def _deny_file() -> tuple[Diagnostic, ...]:
    with TemporaryDirectory() as directory:
        Path(directory, "initiators.deny").touch()
        return _renamed(AccessFiles(directory).diagnostics(), directory, "/etc/iet")


def _secret(text: str, secret: str, mode: int) -> tuple[Diagnostic, ...]:
    """A configuration, and a file with a secret beside it that anybody of ``mode`` can read."""
    with TemporaryDirectory() as directory:
        for name, content in (("ietd.conf", text.replace("/etc/iet", directory)), ("joe.secret", secret)):
            path = Path(directory, name)
            path.write_text(content, "ascii")
            path.chmod(mode)
        return _renamed(load(f"{directory}/ietd.conf").diagnostics, directory, "/etc/iet")


def _medium() -> tuple[Diagnostic, ...]:
    return _renamed(findings(loads(f"{T}Lun 0 Path=/none/disk1.img\n"), companions=False), "/none", "/srv")


def _lun(code: str, line: str, mode: str = "repair") -> Example:
    return Example(code, f"{T}{line}\n", mode=mode)


def _allow(code: str, text: str, mode: str = "repair") -> Example:
    return Example(code, text, "initiators.allow", mode)


EXAMPLES: Final = (
    Example("file-not-found", "neither /etc/iet/ietd.conf nor /etc/ietd.conf exists", make=_no_file),
    Example("old-location", "only /etc/ietd.conf exists", make=_second_place),
    Example("file-unreadable", "ietpy check -c /root/ietd.conf, which does not exist", make=_unreadable),
    # lines
    Example("byte-order-mark", f"\ufeff{T}"),
    Example("nul-byte", f"{T}Lun 0 Path=/srv/disk1.img\0,IOMode=ro\n"),
    Example("long-line", f"{T}{_LONG}IncomingUser joe secret\n"),
    Example("no-final-newline", f"{T}IncomingUser joe secret"),
    Example("no-final-newline", f"{T}Target"),
    # keywords
    Example("compat-line", f"{T}Compat strict\n"),
    Example("compat-line", f"Compat easy\n{T}"),
    Example("unknown-keyword", f"{T}WARNING: do not touch\nbacking-store /srv/disk1.img\n"),
    Example("unknown-keyword", f"\ufeff{T}", mode="iet"),
    Example("unknown-keyword", f"{T}IncomingUser joe\nsecretsecret\n"),
    Example("misspelt-keyword", f"{T}MaxBurstLenght 65536\n"),
    Example("misspelt-keyword", f"{T}Incoming User joe secret\n"),
    Example("unclear-keyword", "Targt iqn.2001-04.com.example:disk1\nLun 0 Path=/srv/disk1.img\n"),
    Example("unclear-keyword", f"{T}Initiators-allowed iqn.1993-08.org.debian:01:abc\n"),
    Example("unclear-keyword", f"{T}AuthMethod CHAP\n"),
    Example("unclear-keyword", f"{T}Lun 0 Path=/srv/disk1.img\nreadonly 1\n"),
    Example("unclear-keyword", "iSNSServer 192.0.2.1\niSNSAccess Yes\n"),
    Example("borrowed-keyword", f"{T}initiator-address 192.0.2.7\n"),
    Example("borrowed-keyword", f"{T}User joe secret\n"),
    Example("joined-by-equals", f"{T}InitialR2T=No\n"),
    Example("joined-by-equals", f"{T}InitialR2T = No\n"),
    Example("outside-target", f"InitialR2T No\n{T}"),
    Example("outside-target", f"initiator-address 192.0.2.7\n{T}"),
    # values
    Example("missing-value", f"{T}InitialR2T\n"),
    Example("surplus-words", f"{T}InitialR2T No please\nIncomingUser joe my secret\n"),
    Example("repeated", f"{T}Wthreads 8\nWthreads 16\n"),
    _lun("repeated", "Lun 0 Path=/srv/disk1.img,Type=nullio,Type=fileio"),
    Example("bad-value", f"{T}InitialR2T perhaps\n"),
    Example("repaired-value", f"{T}InitialR2T no\n"),
    Example("repaired-value", f'{T}InitialR2T "No"\n'),
    Example("bad-number", f"{T}Wthreads many\n"),
    Example("number-suffix", f"{T}MaxBurstLength 1M\n"),
    Example("octal-number", f"{T}Wthreads 010\n"),
    _allow("octal-number", "ALL 012.0.0.7\n"),
    Example("out-of-range", f"{T}Wthreads 1000\n"),
    Example("over-kernel-limit", f"{T}MaxRecvDataSegmentLength 1048576\n"),
    Example("forced-value", f"{T}Type 5\n"),
    _lun("no-effect", "Lun 0 Path=/dev/sdb,Type=blockio,IOMode=wb"),
    # targets
    Example("target-name", "Target\nLun 0 Path=/srv/disk1.img\n"),
    Example("target-name", f"Target {'x' * 300}\n"),
    Example("long-target-name", f"Target {'x' * 240}\n"),
    Example("duplicate-target", f"{T}Target iqn.2001-04.com.example:Disk1\n"),
    # accounts and access
    Example("account-without-secret", f"{T}IncomingUser joe\n"),
    Example("account-without-secret", f"{T}IncomingUser joe # the backup host\n"),
    Example("empty-outgoinguser", f"{T}OutgoingUser\n"),
    Example("long-account", f"{T}IncomingUser joe {'s' * 300}\n"),
    Example("quotes", f'{T}IncomingUser joe "secret"\n'),
    _lun("quotes", 'Lun 0 Path=/srv/disk1.img,ScsiSN="7"'),
    Example("second-outgoinguser", f"{T}OutgoingUser me secret\nOutgoingUser me other\n"),
    Example("same-user-twice", f"{T}IncomingUser joe secret\nIncomingUser joe other\n"),
    Example("stray-accounts", f"\ufeff{T}IncomingUser joe secret\n"),
    Example("empty-restriction", f"{T}initiator-address\n"),
    Example("empty-restriction", f"{T}initiator-address backup.example.com\n"),
    Example("access-everybody", f"{T}initiator-address 192.0.2.7 and ALL\n"),
    Example("access-control-alone", f"iSNSAccessControl Yes\n{T}"),
    # LUNs
    _lun("lun-number", "Lun 16384 Path=/srv/disk1.img"),
    _lun("lun-number", "Lun"),
    _lun("lun-without-number", "Lun Path=/srv/disk1.img"),
    _lun("duplicate-lun", "Lun 0 Path=/srv/disk1.img\nLun 0 Path=/srv/disk2.img"),
    _lun("lun-refused", "Lun 0 Path=/srv/disk1.img,Dest=MA"),
    _lun("lun-refused", "Lun 0 Path=/srv/disk1.img,IOMode=readonly"),
    _lun("lun-refused", "Lun 0 Path=/srv/disk1.img,ScsiId="),
    _lun("lun-refused", "Lun 0 /dev/hdc diskio"),
    _lun("lun-refused", "Lun 0 Path=/srv/disk1.img,Path=/srv/disk2.img"),
    _lun("lun-refused", "Lun 0 Path=/srv/disk1.img,ScsiId=0123456789abcdef0"),
    _lun("lun-refused", f"Lun 0 Path=/srv/disk1.img,ScsiSN={'7' * 33}"),
    _lun("lun-refused", "Lun 0 Path=/srv/disk1.img,BlockSize=1000"),
    _lun("lun-refused", "Lun 0 Type=nullio,Blocks=many"),
    _lun("lun-refused", "Lun 0 Path=/srv/disk1.img,Type=nullio"),
    _lun("lun-refused", "Lun 0 Type=fileio"),
    _lun("lun-error-cleared", "Lun 0 Path=/srv/disk1.img,IOMode=rw,ScsiSN=7", "iet"),
    _lun("lun-repaired", "Lun 0 Path=/srv/disk1.img, Type=fileio"),
    _lun("lun-repaired", "Lun 0 Path=/srv/disk1.img IOMode=ro"),
    _lun("lun-repaired", "Lun 0 Path=/srv/disk1.img, ,IOMode=ro"),
    _lun("lun-repaired", "Lun 0 Path=/srv/disk1.img,IOMod=ro"),
    _lun("lun-repaired", "Lun 0 Path=/srv/disk1.img,IOMode=RO"),
    _lun("lun-repaired", 'Lun 0 Path="/srv/disk1.img"'),
    _lun("lun-repaired", "Lun 0 Path=/srv/disk1.img,BlockSize=0x1000"),
    _lun("lun-repaired", "Lun 0 Type=nullio,Blocks=1M"),
    _lun("lun-parameter-ignored", "Lun 0 Path=/srv/disk1.img,BlockSize=4k"),
    _lun("identity-kept", "Lun 0 Path=/srv/disk1.img,ScsiSN=7 # the first"),
    _lun("missing-comma", "Lun 0 Path=/srv/disk1.img,ScsiSN=7 IOMode=ro", "iet"),
    _lun("comment-after-lun", "Lun 0 Path=/srv/disk1.img # the first"),
    _lun("comment-after-lun", "Lun 0 Path=/srv/disk1.img # the first", "iet"),
    _lun("continued-line", "Lun 0 Path=/srv/disk1.img,\\\n    IOMode=ro"),
    _lun("positional-lun", "Lun 0 /dev/hdc fileio"),
    _lun("identity-overlaid", "Lun 0 Path=/srv/disk1.img,ScsiId=abcdef,ScsiId=xy"),
    _lun("relative-path", "Lun 0 Path=disk1.img"),
    Example("backing-file", "Lun 0 Path=/srv/disk1.img, a file that does not exist", make=_medium),
    # LunOption
    _lun("lun-option", "LunOption Naa=5000000000000001"),
    _lun("lun-option", "Lun 0 Type=nullio\nLunOption 0"),
    _lun("lun-option", "Lun 0 Type=nullio\nLunOption 0 Wwn=5000000000000001"),
    _lun("lun-option", "Lun 0 Type=nullio\nLunOption 0 Vendor=ABC,Vendor=DEF"),
    _lun("lun-option", "Lun 0 Type=nullio\nLunOption 0 Naa=x"),
    _lun("lun-option-without-lun", "LunOption 3 Naa=5000000000000001"),
    # CHAP
    Example("chap-algorithms", "CHAPAlgorithms SHA256,SHA512\n"),
    Example("chap-algorithms", f"{T}CHAPAlgorithms\n"),
    Example("secret-file", f"{T}IncomingUserFile joe\n"),
    Example(
        "secret-file", "IncomingUserFile joe /etc/iet/joe.secret, a file without content",
        make=lambda: _secret(f"{T}IncomingUserFile joe /etc/iet/joe.secret\n", "", 0o600),
    ),
    Example(
        "secrets-readable", "IncomingUserFile joe /etc/iet/joe.secret, a file of mode 0644",
        make=lambda: _secret(f"{T}IncomingUserFile joe /etc/iet/joe.secret\n", "secretsecret", 0o644),
    ),
    Example(
        "short-secret", "IncomingUser joe secret",
        make=lambda: _secret(f"{T}IncomingUser joe secret\n", "", 0o600),
    ),
    Example("same-secret-both-ways", f"{T}IncomingUser joe secretsecret\nOutgoingUser us secretsecret\n"),
    # Initiator
    _lun("initiator-line", "Initiator"),
    _lun("initiator-line", "Initiator 192.0.2.0/24"),
    _lun("initiator-line", "Initiator ALL"),
    _lun("initiator-line", "Initiator iqn.1993-08.org.debian:[a-z]+"),
    _lun("initiator-line", "Initiator * Adress=192.0.2.7"),
    _lun("initiator-line", "Initiator * Address=192.0.2.7/24"),
    _lun("initiator-line", "Initiator * Address=backup.example.com"),
    _lun("initiator-line", "Initiator * Mode=readonly"),
    _lun("initiator-line", "Initiator * Mode=ro,Mode=rw"),
    _lun("initiator-line", "Lun 0 Type=nullio\nInitiator * Luns=all"),
    _lun("initiator-line", "Lun 0 Type=nullio\nInitiator * Luns=0,1:0"),
    _lun("initiator-line", "Lun 0 Type=nullio\nInitiator * Luns=0,0"),
    _lun("initiator-line", "IncomingUser joe secret\nInitiator * User=joe Luns=0"),
    _lun("initiator-line", "Initiator *\0Mode=ro"),
    _lun("initiator-without-lun", "Lun 0 Type=nullio\nInitiator * Luns=0-2"),
    _lun("initiator-without-user", "IncomingUser joe secret\nInitiator * User=jim"),
    _lun("initiator-unreached", "Initiator iqn.1993-08.org.debian:*\nInitiator iqn.1993-08.org.debian:01:abc"),
    Example("outside-target", f"Initiator iqn.1993-08.org.debian:01:abc\n{T}"),
    # Processes
    Example("processes", "Processes many\n"),
    Example("processes", "Processes\n"),
    Example("repeated", "Processes 2\nProcesses auto\n"),
    # Metrics
    Example("metrics", "Metrics 9260\n"),
    Example("metrics", "Metrics\n"),
    Example("repeated", "Metrics 127.0.0.1:9260\nMetrics [::1]:9260\n"),
    # Portal and PortalGroups
    Example("portal", "Portal 1\n"),
    Example("portal", f"Portal 1 192.0.2.1\n{T}Portal 1\n"),
    Example("portal", "Portal 1 192.0.2.1,storage.example.com\n"),
    Example("portal", "Portal 1 192.0.2.1,192.0.2.2:0\n"),
    Example("portal", "Portal 1 192.0.2.1,192.0.2.2/24\n"),
    Example("portal", "Portal 1 192.0.2.1,224.0.0.1\n"),
    Example("portal", "Portal 1 192.0.2.1,fe80::1\n"),
    Example("portal", "Portal 1 192.0.2.1,2001:db8::1%eth0\n"),
    Example("portal", "Portal 1 192.0.2.1\nPortal 2 192.0.2.1\n"),
    Example("portal", "Portal 1 *,192.0.2.1\n"),
    Example("portal", "Portal 1 *\nPortal 2 192.0.2.1\n"),
    Example("portal", "Portal 1 Advertise=san.example.com,192.0.2.1\n"),
    Example("portal", "Portal 1 192.0.2.1,Advertise=san.example.com,Advertise=198.51.100.1\n"),
    Example("portal-group", "Portal 0 192.0.2.1\n"),
    Example("portal-group", f"Portal 1 192.0.2.1\n{T}PortalGroups 1,2\n"),
    Example("portal-group", f"{T}PortalGroups # all\n"),
    Example("portal-group", f"Portal 1 192.0.2.1\n{T}Portal Groups 1\n"),
    # allow and deny files
    Example("deny-file", "/etc/iet/initiators.deny exists", make=_deny_file),
    _allow("access-line", "ALL ALL"),
    _allow("access-line", "iqn.2001-04.com.example:disk1 \n"),
    _allow("access-item", "ALL 192.0.2.*\n"),
    _allow("access-item", "ALL [2001:db8::1, 192.0.2.7\n"),
    _allow("access-item", "ALL backup.example.com\n"),
    _allow("access-item", "ALL fe80::1%eth0\n"),
    _allow("access-item", "ALL 0.0.0.0\n"),
    _allow("access-item", "ALL iqn.a\\|iqn.b\n"),
    _allow("access-everybody", "ALL 0.0.0.0/0\n"),
    _allow("access-everybody", "ALL 192.0.2.7 ALL\n"),
    Example("access-everybody", "ALL 192.0.2.*\n", "initiators.deny"),
    _allow("access-repaired", "ALL 192.0.2.7/32\n"),
    _allow("access-repaired", "ALL 192.0.2.7 192.0.2.8\n"),
    Example("access-repaired", "ALL 0.0.0.0/0\n", "initiators.deny"),
    Example("access-file-unreadable", "/etc/iet/initiators.allow is a directory", make=_unreadable_access_file),
)
