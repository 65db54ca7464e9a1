"""``ietadm``: IET's administration command, with its options, texts and exit statuses (iet-compat section 5).

Scripts compare all three, so this is the one place where IET's words are spoken; everything else is an operation of
the control socket. ``--force`` and ``--verbose`` are ours; the latter prints the number of a new target, and why
something failed.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import ietpy
from ietpy.admin.client import Unreachable, ask
from ietpy.admin.paths import runtime_paths
from ietpy.cli import getopts
from ietpy.errors import AdminError, UsageError

#: The IET whose ways these are; scripts ask for it.
IET_VERSION: Final = "1.4.20.3"
VERSION: Final = f"{IET_VERSION} (ietpy {ietpy.__version__})"

_SHORT: Final = "o:t:s:c:l:r:p:uvh"
_LONG: Final = ("op=", "tid=", "sid=", "cid=", "lun=", "redirect=", "params=", "user", "version", "help")
_OURS: Final = ("verbose", "force")
_LONG_OF: Final = {
    "-o": "--op", "-t": "--tid", "-s": "--sid", "-c": "--cid", "-l": "--lun", "-r": "--redirect", "-p": "--params",
    "-u": "--user", "-v": "--version", "-h": "--help",
}
_DIGITS: Final = re.compile(r"[ \t-\r]*([+-]?)0*([0-9]*)")
_LARGEST: Final = 2**64 - 1  #: of C's unsigned long
TRY: Final = "Try `ietadm --help' for more information."
HELP: Final = """\
Usage: ietadm [OPTION]
iSCSI Enterprise Target administration utility (ietpy).

  --op new --tid=[id] --params Name=[name]
                        serve a new target; tid 0: the next free number
  --op delete --tid=[id]
                        serve a target no more; it must have no sessions, or with --force
                        its initiators are asked to log out, and dropped if they do not
  --op show --tid=[id]  show the options of a target
  --op show --tid=[id] --sid=[sid]
                        show session parameters: of a session, or as configured (sid 0)
  --op new --tid=[id] --lun=[lun] --params Path=[path],Type=[fileio|blockio|nullio],...
                        serve a logical unit, with the parameters of a Lun line
  --op delete --tid=[id] --lun=[lun]
                        serve a logical unit no more
  --op delete --tid=[id] --sid=[sid] --cid=[cid]
                        close a connection
  --op delete           leave the iSNS server
  --op update --tid=[id] --params=key1=value1,key2=value2,...
                        change options and session parameters of a target
  --op update --tid=[id] --redirect=[address[:port]]
                        send logins elsewhere; an empty address ends it
  --op new --tid=[id] --user --params=[IncomingUser|OutgoingUser]=[name],Password=[secret]
                        add an account; without tid: of discovery
  --op delete --tid=[id] --user --params=[IncomingUser|OutgoingUser]=[name]
                        remove an account
  --op show --tid=[id] --user [--params=[IncomingUser|OutgoingUser]=[name]]
                        list accounts, or show the secret of one
  --verbose             say the number of a new target, and why something failed
  --version             show the version
  --help                show this text

What changes here is not written to ietd.conf; "ietpy save" does that. $IETPY_CONTROL names another control socket.
"""

_TEXTS: Final[Mapping[str, str]] = {"--version": f"ietadm version {VERSION}", "--help": HELP.rstrip("\n")}

#: What ``--op show --tid`` and ``--sid`` print, in this order.
TARGET_KEYS: Final = ("Wthreads", "Type", "QueuedCommands", "NOPInterval", "NOPTimeout")
SESSION_KEYS: Final = (
    "InitialR2T", "ImmediateData", "MaxConnections", "MaxRecvDataSegmentLength", "MaxXmitDataSegmentLength",
    "MaxBurstLength", "FirstBurstLength", "DefaultTime2Wait", "DefaultTime2Retain", "MaxOutstandingR2T",
    "DataPDUInOrder", "DataSequenceInOrder", "ErrorRecoveryLevel", "HeaderDigest", "DataDigest", "OFMarker",
    "IFMarker", "OFMarkInt", "IFMarkInt",
)
_USERS: Final = {"IncomingUser": False, "OutgoingUser": True}  #: whether it is an outgoing account


class Failed(Exception):
    """``text`` for stderr, which may be empty; the exit status is that of IET for ``code``."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.status = -code & 0xFF


def _unsupported() -> Failed:
    return Failed(errno.EINVAL, "Unsupported.")


@dataclass
class Request:
    """The options of one call; numbers as IET read them. None: not given."""

    control: str
    op: str = ""
    tid: int | None = None
    sid: int | None = None
    cid: int | None = None
    lun: int | None = None
    params: str | None = None  #: of --params or --redirect, whichever came last
    redirect: bool = False
    user: bool = False
    force: bool = False
    verbose: bool = False
    say: list[str] = field(default_factory=list)

    def ask(self, operation: str, **arguments: Any) -> Any:
        """The daemon's answer. Raises Failed with the text of its errno."""
        try:
            return ask(self.control, operation, arguments)
        except AdminError as error:
            code = _UNREACHABLE.get(error.code, error.code) if isinstance(error, Unreachable) else error.code
            why = f"ietadm: {error}\n" if self.verbose else ""
            raise Failed(code, f"{why}{os.strerror(code)}.") from None


#: A daemon that is not there was always "Connection refused", a wrong user "Operation not permitted".
_UNREACHABLE: Final = {errno.ENOENT: errno.ECONNREFUSED, errno.EACCES: errno.EPERM}


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else it is closed
            stream.reconfigure(errors="surrogateescape")  # names are bytes to IET
    sys.exit(run(sys.argv[1:], dict(os.environ)))


def run(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Do what ``arguments`` say and return the exit status."""
    control = environment.get("IETPY_CONTROL") or runtime_paths(dict(environment), os.geteuid()).control
    request = Request(control)
    try:
        if _parse(arguments, request):
            _DISPATCH[_kind(request)](request)
    except Failed as failed:
        if failed.text:
            print(failed.text, file=sys.stderr)
        return failed.status
    finally:
        for line in request.say:
            print(line)
    return 0


def _parse(arguments: list[str], request: Request) -> bool:
    """Fill ``request``; whether there is something to do."""
    rest = []
    try:
        for name, value in getopts.parse("ietadm", arguments, _SHORT, _LONG, _LONG_OF, _OURS):
            if name in _TEXTS:
                request.say.append(_TEXTS[name])
                return False
            if name:
                _SET[name](request, value)
            else:
                rest.append(value)
    except UsageError as error:
        raise Failed(errno.EPERM, f"{error}\n{TRY}") from None
    if rest:
        raise Failed(errno.EPERM, f"unrecognized: {''.join(rest)}\n{TRY}")
    if request.op not in ("new", "delete", "update", "show"):
        raise Failed(errno.EINVAL, "You must specify the operation type")
    return True


def _number(text: str, bits: int = 32) -> int:
    """C's strtoul with base 10: what follows the digits does not count, no digits are 0, and -1 is the largest."""
    match = _DIGITS.match(text)
    sign, digits = match.groups() if match else ("", "")
    number = int(digits[:24] or "0")
    if number > _LARGEST:
        sign, number = "", _LARGEST
    return (-number if sign == "-" else number) & (1 << bits) - 1


def _set_redirect(request: Request, value: str) -> None:
    request.params, request.redirect = value, True


_SET: Final[Mapping[str, Callable[[Request, str], None]]] = {
    "--op": lambda request, value: setattr(request, "op", value),
    "--tid": lambda request, value: setattr(request, "tid", _number(value)),
    "--sid": lambda request, value: setattr(request, "sid", _number(value, 64)),
    "--cid": lambda request, value: setattr(request, "cid", _number(value)),
    "--lun": lambda request, value: setattr(request, "lun", _number(value)),
    "--params": lambda request, value: setattr(request, "params", value),
    "--redirect": _set_redirect,
    "--user": lambda request, value: setattr(request, "user", True),
    "--force": lambda request, value: setattr(request, "force", True),
    "--verbose": lambda request, value: setattr(request, "verbose", True),
}


def _kind(request: Request) -> str:
    """Whom the request is about: IET looked at the options in this order, and the first one given decided."""
    if request.redirect and request.tid is None:
        raise Failed(errno.EPERM, TRY)
    if request.user:
        return "user"
    return next((name for name in ("lun", "cid", "sid", "tid") if getattr(request, name) is not None), "system")


# One function for each kind ------------------------------------------------------------------------------------------


def _user(request: Request) -> None:
    if request.redirect or any(getattr(request, name) is not None for name in ("lun", "sid", "cid")):
        raise Failed(errno.EINVAL)
    tid = request.tid or 0
    if request.op == "update":
        raise Failed(errno.EINVAL, "Unsupported")
    if request.op == "show" and not request.params:
        known = request.ask("show-accounts", tid=tid)
        request.say += [f"IncomingUser {name}" for name in known["incoming"]]
        request.say += [f"OutgoingUser {known['outgoing']}"] if known["outgoing"] is not None else []
        return
    values = dict(_pairs(request.params or ""))
    kind = next((name for name in _USERS if name in values), None)
    if kind is None or not values[kind] or (request.op == "new" and not values.get("Password")):
        raise Failed(errno.EINVAL, "Username and password must be specified" if request.op == "new" else "")
    account = {"tid": tid, "outgoing": _USERS[kind], "name": values[kind]}
    if request.op == "new":
        request.ask("create-account", **account, secret=values["Password"])
    elif request.op == "delete":
        request.ask("delete-account", **account)
    else:
        request.say.append(f"{kind} {values[kind]} {request.ask('show-account', **account)}")


def _lun(request: Request) -> None:
    tid, lun = request.tid or 0, request.lun or 0
    if request.op == "new":
        request.ask("create-lun", tid=tid, lun=lun, parameters=request.params or "")
    elif request.op == "delete":
        request.ask("delete-lun", tid=tid, lun=lun)
    elif request.op == "update":
        raise _unsupported()


def _connection(request: Request) -> None:
    if request.op == "delete":
        request.ask("close-connection", tid=request.tid or 0, sid=request.sid or 0, cid=request.cid or 0)
    elif request.op != "show":
        raise _unsupported()


def _session(request: Request) -> None:
    if request.op == "delete":
        raise Failed(errno.EINVAL)
    if request.op != "show":
        raise _unsupported()
    shown = request.ask("show-session", tid=request.tid or 0, sid=request.sid or 0)
    request.say += [f"{name}={shown[name]}" for name in SESSION_KEYS]


def _target(request: Request) -> None:
    tid = request.tid or 0
    if request.op == "new":
        key, equals, name = (request.params or "").partition("=")
        if key != "Name" or not equals:
            raise Failed(errno.EINVAL, "Invalid argument.")
        number = request.ask("create-target", tid=tid, name=name)
        if request.verbose:
            request.say.append(str(number))
    elif request.op == "delete":
        request.ask("drain-target" if request.force else "delete-target", tid=tid)
    elif request.op == "show":
        shown = request.ask("show-target", tid=tid)
        request.say += [f"{name}={shown[name]}" for name in TARGET_KEYS]
    elif request.redirect:
        request.ask("redirect-target", tid=tid, address=request.params or "")
    else:
        request.ask("update-target", tid=tid, values=_target_values(request.params or ""))


def _target_values(params: str) -> dict[str, str]:
    """Keys and values, checked as IET's ietadm did before it asked."""
    from ietpy.config.live import target_key
    from ietpy.schema import Number

    values = {}
    for name, text in _pairs(params):
        option = target_key(name)
        if option is None:
            raise Failed(errno.EINVAL, f'Unknown parameter "{name}".')
        if not isinstance(option.value, Number):
            try:
                option.value.parse(text)
            except ValueError:
                raise Failed(errno.EINVAL, f'Invalid {option.name} value "{text}".') from None
        values[option.name] = text
    return values


def _pairs(params: str) -> list[tuple[str, str]]:
    """``key=value`` items between commas; what has no ``=`` is passed over."""
    return [(name, value) for name, equals, value in (item.partition("=") for item in params.split(",")) if equals]


def _system(request: Request) -> None:
    if request.op != "delete":
        raise Failed(errno.EINVAL, "Invalid argument.")
    request.ask("deregister")


_DISPATCH: Final[Mapping[str, Callable[[Request], None]]] = {
    "user": _user,
    "lun": _lun,
    "cid": _connection,
    "sid": _session,
    "tid": _target,
    "system": _system,
}

if __name__ == "__main__":
    main()
