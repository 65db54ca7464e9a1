"""What ietadm says: the parameters of one LUN and keys of one target, in the words of ietd.conf (iet-compat 5.3).

Read by the rules of the file, in the daemon's mode; but a word that is no Yes, No or digest is refused, as IET did.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from ietpy.config.block import LONGEST_NAME
from ietpy.config.findings import Report, quoted
from ietpy.config.lun import HIGHEST_LUN, read_lun
from ietpy.config.model import LunConfig
from ietpy.config.options import LUN_TYPES, OPTION_BY_WORD, Option, Reader, Scope
from ietpy.config.syntax import BLANKS, Statement, Word, split_blanks, to_bytes
from ietpy.config.values import read_value
from ietpy.errors import AdminError
from ietpy.events import Event
from ietpy.iscsi.pdu import DEFAULT_PORT, portal_name
from ietpy.schema import Number

log = logging.getLogger(__name__)

SOURCE: Final = "ietadm"  #: stands for a file's name where something was said by hand
PARAMETERS_LIMIT: Final = 262144  #: characters; IET took 2047, and each costs a hundred times its size to read
#: Keys of a target that IET could not change while it ran.
_FIXED: Final = ("MaxSessions",)
_ADDRESS: Final = re.compile(r"(?:\[(?P<v6>[^\]%]*)\]|(?P<v4>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?")
#: What no file can say, or what ends a line for one of those who read the lists we publish.
_CONTROL: Final = re.compile("[\0-\x08\n-\x1f\x7f-\x9f\u2028\u2029]")
_TYPE: Final = re.compile(rf"(?:^|,)([{BLANKS}]*)type=([^,]*)", re.IGNORECASE)


def one_line(what: str, text: str) -> str:
    """``text``, if it has no control characters. Raises AdminError (EINVAL), which does not repeat it."""
    if _CONTROL.search(text):
        raise AdminError(errno.EINVAL, f"{what} has control characters; leave them out")
    return text


def target_name(name: str) -> str:
    """``name``, if a Target line can say it. Raises AdminError (EINVAL)."""
    one_line("the name", name)
    if split_blanks(name) != [name] or len(to_bytes(name)) > LONGEST_NAME:
        raise AdminError(errno.EINVAL, f"a target's name is one word of at most {LONGEST_NAME} bytes")
    return name


def target_key(name: str) -> Option | None:
    """The key of a target, negotiated or not, of this name in any letter case; None if ietadm knows none."""
    option = OPTION_BY_WORD.get(name.lower())
    if option is None or option.reader is not Reader.VALUE or option.scope is not Scope.TARGET:
        return None
    return None if option.name in _FIXED else option


def target_keys(values: Mapping[str, str], mode: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of TargetConfig, and session keys by name. Raises AdminError (EINVAL) for what means nothing."""
    fields: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    for name, text in values.items():
        option = target_key(name)
        if option is None:
            raise AdminError(errno.EINVAL, f"{quoted(name)} is no key of a target")
        value = _value(option, text, mode)
        if option.session_key:
            keys[option.name] = value
        elif option.attribute != "scsi_type":  # there are only disks
            fields[option.attribute] = value
    return fields, keys


def _value(option: Option, text: str, mode: str) -> Any:
    report = Report(SOURCE, mode)
    try:
        if not isinstance(option.value, Number):
            option.value.parse(text)
        value = read_value(option, (Word(text or "0", 1, 1),), report)
    except ValueError as accepts:
        raise AdminError(errno.EINVAL, f"{quoted(text)} is no value of {option.name}; write {accepts}") from None
    _refuse_errors(report)
    return value


def lun_parameters(number: int, parameters: str, mode: str) -> LunConfig:
    """LUN ``number`` with the parameters of a Lun line. Raises AdminError: EINVAL, or ENOENT for an unknown Type."""
    if not 0 <= number <= HIGHEST_LUN:
        raise AdminError(errno.EINVAL, f"LUN {number} cannot exist; write a number from 0 to {HIGHEST_LUN}")
    if len(parameters) > PARAMETERS_LIMIT:
        raise AdminError(errno.EINVAL, f"parameters have at most {PARAMETERS_LIMIT} characters")
    report = Report(SOURCE, mode)
    lun = read_lun(Statement(Word("Lun", 1, 1), Word(f"{number} {parameters}", 1, 5)), report)
    if lun is None:
        code = errno.EINVAL if _type_is_known(parameters, mode) else errno.ENOENT
        raise AdminError(code, "; ".join(str(found) for found in report.in_order()))
    _refuse_errors(report)
    one_line("the path", lun.path)
    return lun


def _type_is_known(parameters: str, mode: str) -> bool:
    """Whether the last Type is one, or none is given. In ``iet`` neither blanks nor letter case are passed over."""
    found = _TYPE.findall(parameters.strip(BLANKS))
    literal = [value for blank, value in found if not blank]
    types = literal if mode == "iet" else [value.strip(BLANKS).lower() for _, value in found]
    return not types or types[-1] in LUN_TYPES


def _refuse_errors(report: Report) -> None:
    """Raise AdminError (EINVAL) for errors, as a file in this mode would not be served; log what was understood."""
    errors = [found for found in report.in_order() if found.severity == "error"]
    if errors:
        raise AdminError(errno.EINVAL, "; ".join(str(found) for found in errors))
    for found in report.in_order():
        Event.FINDING.tell(log, "%s", found, finding=found.code)


def redirection(text: str) -> str:
    """``ADDR[:PORT]`` with a numeric IPv4 address or ``[IPv6]`` as a TargetAddress; empty for empty (iet-compat 8.5).

    Raises AdminError (EINVAL).
    """
    if not text:
        return ""
    try:
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise ValueError
        port = int(match["port"] or DEFAULT_PORT)
        address = ipaddress.IPv4Address(match["v4"]) if match["v6"] is None else ipaddress.IPv6Address(match["v6"])
        if not 0 < port < 65536:
            raise ValueError
    except ValueError:
        wanted = f"write a numeric IPv4 address or [IPv6], and a port behind a colon if it is not {DEFAULT_PORT}"
        raise AdminError(errno.EINVAL, f"{text[:60]!a} is no address to redirect to; {wanted}") from None
    return portal_name(str(address), port)
