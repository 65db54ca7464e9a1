"""Runs a command as systemd would under a unit's limits, as far as that can be done without systemd; for root.

What a system call filter does not allow ends the process (SIGSYS), so whatever it does under it is allowed. Of the
unit's other settings there are here: capabilities, no new privileges, memory never both writable and executable,
address families, a /proc of its own processes, read-only system directories, the mask of files. Namespaces, real-time
scheduling and suid bits are refused by systemd with filters of their own, and devices by the control group.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

#: ``linux/seccomp.h``, ``linux/audit.h``, ``linux/filter.h``, ``linux/prctl.h``.
ALLOW, KILL = 0x7FFF0000, 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
SET_SECCOMP, FILTER, SET_MDWE, REFUSE_EXEC_GAIN = 22, 2, 65, 1
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}

SETTLE = """
mount --make-rslave /
mount -t proc -o subset=pid,hidepid=invisible proc /proc
for place in /usr /boot /etc; do
    [ ! -d $place ] || { mount --bind $place $place && mount -o remount,bind,ro $place; }
done
umask "$1"
shift
exec "$@"
"""


@functools.cache
def members(name: str) -> frozenset[str]:
    """The system calls of a set of systemd's, or the one of this name."""
    if not name.startswith("@"):
        return frozenset({name})
    shown = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    words = [line.split("#")[0].strip() for line in shown.stdout.splitlines()[1:]]
    return frozenset(each for word in words if word for each in members(word))


def allowed(lines: Iterable[str]) -> set[str]:
    """What ``SystemCallFilter=`` lines leave, in their order (systemd.exec(5)); they begin as a list of what may be."""
    found = {*members("@default")}
    for line in lines:
        named = {each for word in line.lstrip("~").split() for each in members(word)}
        found = found - named if line.startswith("~") else found | named
    return found | members("@default")


def numbers(names: Iterable[str]) -> set[int]:
    """Of those calls that this machine has."""
    include = Path("/usr/include")
    header = [*include.glob("*/asm/unistd_64.h"), include / "asm-generic" / "unistd.h"][0]
    known = dict(re.findall(r"#define __NR3?_?(\w+)\s+(\d+)", header.read_text()))
    return {int(known[name]) for name in names if name in known}


def program(calls: set[int], families: Iterable[int]) -> bytes:
    """A filter for seccomp(2): these calls, and socket(2) for these families."""
    (socket_call,) = numbers({"socket"})
    steps = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, ARCHITECTURES[os.uname().machine]), (RETURN, 0, 0, KILL)]
    steps.append((LOAD, 0, 0, NUMBER))
    for number in sorted(calls - {socket_call}):
        steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    steps += [(EQUAL, 1, 0, socket_call), (RETURN, 0, 0, KILL), (LOAD, 0, 0, FIRST_ARGUMENT)]
    for family in families:
        steps += [(EQUAL, 0, 1, family), (RETURN, 0, 0, ALLOW)]
    steps.append((RETURN, 0, 0, KILL))
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def command(service: Mapping[str, str], *words: str) -> list[str]:
    """``words`` under the limits of a unit's [Service] section; settings given twice are lines of one value."""
    limits = {
        "calls": sorted(numbers(allowed(service["SystemCallFilter"].splitlines()))),
        "families": [FAMILIES[name] for name in service["RestrictAddressFamilies"].split()],
    }
    kept = [f"+{name.removeprefix('CAP_').lower()}" for name in service["CapabilityBoundingSet"].split()]
    return [
        "unshare", "--mount", "sh", "-e", "-c", SETTLE, "sh", service["UMask"],
        "setpriv", "--no-new-privs", "--bounding-set", ",".join(["-all", *kept]),
        sys.executable, __file__, json.dumps(limits), *words,
    ]


def confine(limits: Mapping[str, list[int]]) -> None:
    code = program({*limits["calls"]}, limits["families"])
    filters = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(filters))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) and ctypes.get_errno() != 22:  # Linux 6.3
        raise OSError(ctypes.get_errno(), "PR_SET_MDWE")
    if libc.prctl(SET_SECCOMP, FILTER, ctypes.c_char_p(head), 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")


if __name__ == "__main__":
    confine(json.loads(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
