"""Who gets in: accounts of every kind against libiscsi and our own initiator, and accounts changed while it runs."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ietpy.cli import ietadm
from ietpy.initiator.client import Client
from ietpy.initiator.errors import AuthenticationFailed, LoginRefused
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.iscsi.chap import ALGORITHMS

NAME = "iqn.2001-04.com.example:"
CONFIGURATION = f"""\
IncomingUser finder findersecret1
OutgoingUser found foundfound123
Target {NAME}open
	Lun 0 Type=nullio
Target {NAME}chap
	IncomingUser joe outdated-secret
	IncomingUser ann annsecret1234
	IncomingUser joe secretsecret12
	Lun 0 Type=nullio
Target {NAME}both
	IncomingUser joe secretsecret12
	OutgoingUser itself mutualmutual12
	Lun 0 Type=nullio
Target {NAME}same
	IncomingUser joe secretsecret12
	OutgoingUser itself secretsecret12
	Lun 0 Type=nullio
Target {NAME}quoted
	IncomingUser joe "quotedquoted"
	Lun 0 Type=nullio
"""


@dataclass(frozen=True)
class Row:
    """``target``: the name's end, empty for discovery; ``proof``: user and secret the target must prove."""

    target: str
    user: str = ""
    secret: str = ""
    proof: tuple[str, str] = ("", "")
    admitted: bool = False


ROWS = {
    "none": Row("open", admitted=True),
    "one way": Row("chap", "joe", "secretsecret12", admitted=True),
    "one way, another user": Row("chap", "ann", "annsecret1234", admitted=True),
    "one way, the other's secret": Row("chap", "ann", "secretsecret12"),
    "one way, the earlier line of the user": Row("chap", "joe", "outdated-secret"),
    "one way, no account": Row("chap"),
    "one way, wrong secret": Row("chap", "joe", "secretsecret13"),
    "one way, a longer secret": Row("chap", "joe", "secretsecret122"),
    "one way, wrong user": Row("chap", "jo", "secretsecret12"),
    "one way, the user in capitals": Row("chap", "JOE", "secretsecret12"),
    "one way, discovery's account": Row("chap", "finder", "findersecret1"),
    "one way, the target's own account": Row("both", "itself", "mutualmutual12"),
    "mutual": Row("both", "joe", "secretsecret12", ("itself", "mutualmutual12"), admitted=True),
    "mutual, not asked for": Row("both", "joe", "secretsecret12", admitted=True),
    "mutual, the target's secret is another": Row("both", "joe", "secretsecret12", ("itself", "mutualmutual13")),
    "mutual, the initiator's secret is another": Row("both", "joe", "secretsecret13", ("itself", "mutualmutual12")),
    "mutual, where the target has no account": Row("chap", "joe", "secretsecret12", ("itself", "mutualmutual12")),
    "mutual, one secret for both": Row("same", "joe", "secretsecret12", ("itself", "secretsecret12")),
    "quotes are part of a secret": Row("quoted", "joe", '"quotedquoted"', admitted=True),
    "quotes left out": Row("quoted", "joe", "quotedquoted"),
    "discovery": Row("", "finder", "findersecret1", admitted=True),
    "discovery, mutual": Row("", "finder", "findersecret1", ("found", "foundfound123"), admitted=True),
    "discovery, no account": Row(""),
    "discovery, wrong secret": Row("", "finder", "findersecret2"),
    "discovery, a target's account": Row("", "joe", "secretsecret12"),
    "discovery, the target's secret is another": Row("", "finder", "findersecret1", ("found", "foundfound124")),
}
#: libiscsi takes an empty user for no user at all.
OURS_ALONE = {
    "an empty user name": Row("chap", "", "secretsecret12"),
    "an empty user name and secret": Row("chap", "", ""),
}


_GUESSES = itertools.count(1)


@pytest.fixture(scope="module")
def guarded(serve_module: Any) -> Any:
    return serve_module(CONFIGURATION)


def libiscsi_gets_in(daemon: Any, run: Callable[..., Any], row: Row) -> bool:
    account = f"{row.user}%{row.secret}" if row.user else ""
    names = ("LIBISCSI_CHAP_TARGET_USERNAME", "LIBISCSI_CHAP_TARGET_PASSWORD")
    environment = dict(zip(names, row.proof, strict=True)) if row.proof[0] else {}
    if row.target:
        answer = run("iscsi-inq", daemon.url(NAME + row.target, account=account), env=environment, status=None)
        shown = "Vendor:IET" in answer.stdout
    else:
        answer = run("iscsi-ls", daemon.portal(account), env=environment, status=None)
        shown = f"Target:{NAME}chap" in answer.stdout
    assert shown is (answer.returncode == 0), answer
    return shown


def ours_gets_in(daemon: Any, row: Row, algorithms: tuple[int, ...] = (5,), *, chap: bool | None = None) -> bool:
    account = Chap(row.user, row.secret, *row.proof, algorithms=algorithms)
    plan = LoginPlan(
        target=NAME + row.target if row.target else "",
        chap=account if (bool(row.user) if chap is None else chap) else None,
    )
    # Each from an address of its own, as guesses from one are slowed down.
    guess = next(_GUESSES)
    source = f"127.1.{guess >> 8}.{guess & 255}"
    with Client(socket.create_connection(("127.0.0.1", daemon.port), 10, (source, 0))) as client:
        try:
            client.login(plan)
        except (LoginRefused, AuthenticationFailed):
            return False
        if row.target:
            client.inquiry(0)
        else:
            assert NAME + "chap" in dict(client.discover())
        return True


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_libiscsi(guarded: Any, serve: Any, run: Callable[..., Any], row: Row) -> None:
    daemon = guarded if row.admitted else serve(CONFIGURATION)  # which has heard no guess yet, and slows none down
    assert libiscsi_gets_in(daemon, run, row) is row.admitted


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.target and not row.proof[0]])
def test_qemu(guarded: Any, serve: Any, run: Callable[..., Any], name: str) -> None:
    row = ROWS[name]
    daemon = guarded if row.admitted else serve(CONFIGURATION)
    account = f"{row.user}%{row.secret}" if row.user else ""
    answer = run("qemu-img", "info", "-f", "raw", daemon.url(NAME + row.target, account=account), status=None)
    assert ("virtual size" in answer.stdout) is (answer.returncode == 0) is row.admitted, answer


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("row", [*ROWS.values(), *OURS_ALONE.values()], ids=[*ROWS, *OURS_ALONE])
def test_our_initiator(guarded: Any, row: Row, algorithm: int) -> None:
    assert ours_gets_in(guarded, row, (algorithm,), chap=True if row in OURS_ALONE.values() else None) is row.admitted


def test_accounts_changed_live_decide_the_next_login(serve: Any, run: Callable[..., Any]) -> None:
    daemon = serve(f"Target {NAME}live\n\tLun 0 Type=nullio\n")

    def accounts(operation: str, *words: str) -> None:
        arguments = ["--op", operation, "--tid=1", "--user", f"--params={','.join(words)}"]
        assert ietadm.run(arguments, {"IETPY_CONTROL": str(daemon.directory / "control")}) == 0

    def check(**admitted: bool) -> None:
        for row in (nobody, first, second):
            name = next(name for name, value in rows.items() if value is row)
            assert libiscsi_gets_in(daemon, run, row) is admitted[name], name
            assert ours_gets_in(daemon, row) is admitted[name], name

    nobody, first, second = Row("live"), Row("live", "joe", "firstsecret12"), Row("live", "joe", "secondsecret1")
    rows = {"nobody": nobody, "first": first, "second": second}
    assert ours_gets_in(daemon, nobody)
    with Client.connect("127.0.0.1", daemon.port) as client:  # who is in stays in
        client.login(LoginPlan(target=f"{NAME}live", isid=b"\x80\0\0\0\0\2"))
        accounts("new", "IncomingUser=joe", "Password=firstsecret12")
        check(nobody=False, first=True, second=False)
        accounts("new", "IncomingUser=joe", "Password=secondsecret1")
        check(nobody=False, first=False, second=True)
        accounts("delete", "IncomingUser=joe")  # uncovers the older one
        check(nobody=False, first=True, second=False)
        proven = Row("live", "joe", "firstsecret12", ("itself", "mutualmutual12"))
        assert not libiscsi_gets_in(daemon, run, proven)
        accounts("new", "OutgoingUser=itself", "Password=mutualmutual12")
        assert libiscsi_gets_in(daemon, run, proven)
        assert ours_gets_in(daemon, proven)
        accounts("delete", "IncomingUser=joe")
        assert ours_gets_in(daemon, nobody)
        client.inquiry(0)
