"""``ietd``: IET's daemon command, with its options and exit statuses (iet-compat section 4).

It starts what ``ietpy-daemon start`` starts; what IET told nobody or only syslog it says on stderr too.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

from ietpy.cli import getopts
from ietpy.cli.ietadm import VERSION
from ietpy.errors import IetpyError, UsageError

_SHORT: Final = "c:fd:s:u:g:a:p:vh"
_LONG: Final = ("config=", "foreground", "debug=", "uid=", "gid=", "address=", "port=", "version", "help")
_LONG_OF: Final = {
    "-c": "--config", "-f": "--foreground", "-d": "--debug", "-u": "--uid", "-g": "--gid", "-a": "--address",
    "-p": "--port", "-v": "--version", "-h": "--help",
}
_NUMBER: Final = re.compile("[0-9]{1,10}")
#: Options that are numbers, and how large these may be.
_LARGEST: Final = {"debug": 2**31 - 1, "uid": 2**32 - 2, "gid": 2**32 - 2, "port": 65535}
TRY: Final = "Try `iscsid --help' for more information."
HELP: Final = """\
Usage: iscsid [OPTION]
iSCSI Target Daemon (ietpy).

  -c, --config=[path]     execute in the config file.
  -f, --foreground        make the program run in the foreground
  -d, --debug debuglevel  print debugging information
  -u, --uid=uid           run as uid, default is current user
  -g, --gid=gid           run as gid, default is current user group
  -a, --address=address   listen on specified local address instead of all
  -p, --port=port         listen on specified port instead of 3260
  -v, --version           display the version
  -h, --help              display this help and exit
"""
LOG_FORMAT: Final = "%(created)f: %(message)s"  #: of -f (iet-compat 4.4)

#: Exit statuses (iet-compat 4.1, 4.2).
USAGE: Final = 1
NO_PORTAL: Final = 1
FAILED: Final = 255


def main() -> None:
    sys.exit(run(sys.argv[1:], dict(os.environ)))


def run(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Do what ``arguments`` say and return the exit status; in the daemon itself, at its end."""
    given: dict[str, Any] = {"lenient": True}
    try:
        for name, value in getopts.parse("ietd", arguments, _SHORT, _LONG, _LONG_OF):
            if name == "--version":
                print(f"iscsid version {VERSION}")
                return 0
            if name == "--help":
                print(HELP, end="")
                return USAGE  # as IET did
            if name == "-s":  # IET's parser let it pass and then refused it
                return _usage("")
            if name:  # else a word that is no option, which IET did not look at
                given[name.removeprefix("--")] = True if name == "--foreground" else value
    except UsageError as error:
        return _usage(str(error))
    for name in _LARGEST.keys() & given.keys():
        text, largest = given[name], _LARGEST[name]
        if not _NUMBER.fullmatch(text) or int(text) > largest:
            return _usage(f"ietd: --{name} takes a number from 0 to {largest}, not {text[:60]!a}")
        given[name] = int(text)
    if given.get("config"):
        given["config"] = os.path.abspath(given["config"])
    return _start(given, environment)


def _usage(problem: str) -> int:
    _complain(f"{problem}\n{TRY}" if problem else TRY)
    return USAGE


def _complain(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _start(given: dict[str, Any], environment: Mapping[str, str]) -> int:
    from ietpy.daemon import lifecycle, portals
    from ietpy.daemon.options import Places, StartOptions
    from ietpy.daemon.pidfile import AlreadyRunning

    try:
        places = Places.of(None, environment.get("IETPY_CONTROL"))
        return lifecycle.start(StartOptions(**given), places, lambda sentence: None, _complain, LOG_FORMAT)
    except AlreadyRunning as error:
        _complain(f"unable to lock pid file: {error}")
        return FAILED
    except portals.CannotListen as error:
        _complain(f"ietd: {error}")
        return NO_PORTAL
    except (IetpyError, OSError) as error:
        _complain(f"ietd: {error}")
        return FAILED


if __name__ == "__main__":
    main()
