"""From the model back to lines of ietd.conf, without indentation or line end. Extensions only where there are any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from ietpy.config import lun_option
from ietpy.config.findings import printable
from ietpy.config.initiator import rendered
from ietpy.config.model import Account, InitiatorConfig, LunConfig, TargetConfig
from ietpy.config.options import LUN_OPTION_BY_WORD, OPTIONS, Option, Reader, Scope
from ietpy.config.portals import groups_line
from ietpy.config.syntax import split_blanks, to_text

#: Keys of a target that a file can set; the SCSI device type is none, as there are only disks.
TARGET_KEYS: Final = tuple(
    option
    for option in OPTIONS
    if option.reader is Reader.VALUE and option.scope is Scope.TARGET and option.attribute != "scsi_type"
)


class UnwritableError(ValueError):
    """Something ietd.conf cannot say; a sentence, without secrets."""


def account_line(keyword: str, account: Account, owner: str) -> str:
    """``keyword`` is IncomingUser or OutgoingUser; ``owner``, for messages, whose account it is."""
    value = account.file or account.secret
    if not (_is_word(account.name) and _is_word(value)):
        raise UnwritableError(
            f"{keyword} {printable(account.name)} of {printable(owner)} has a name or a secret that is empty or holds a"
            " blank or a line end, which ietd.conf cannot say; give it another with ietadm"
        )
    return f"{keyword}{'File' if account.file else ''} {account.name} {value}"


def target_line(name: str) -> str:
    if not _is_word(name):
        raise UnwritableError(f"the target name '{printable(name)}' holds a blank, which ietd.conf cannot say")
    return f"Target {name}"


def lun_line(lun: LunConfig) -> str:
    """With its Type even if that is the default: there are programs that expect two parameters (iet-compat 6.3)."""
    modes = [name for name, set_ in (("wb", lun.write_cache), ("ro", lun.read_only)) if set_]
    parameters = [
        *_parameter("Path", lun.path or None),
        f"Type={lun.type}",
        *_parameter("ScsiId", lun.scsi_id, to_text),
        *_parameter("ScsiSN", lun.scsi_sn),
        *(f"IOMode={mode}" for mode in modes),
        *_parameter("BlockSize", lun.block_size),
        *(f"{name}={LUN_OPTION_BY_WORD[name.lower()].value.render(value)}" for name, value in lun.options.items()),
    ]
    line = f"Lun {lun.number} {','.join(parameters)}"
    if "\n" in line or "\0" in line:
        raise UnwritableError(f"LUN {lun.number} has a parameter with a line end, which ietd.conf cannot say")
    return line


def initiator_line(line: InitiatorConfig, owner: str) -> str:
    """``owner``, for messages, whose line it is."""
    if line.closed:
        raise UnwritableError(
            f"an Initiator line of {printable(owner)} has a mistake and is no longer in the file; correct it and reload"
        )
    return rendered(line)


def key_value(target: TargetConfig, option: Option) -> Any:
    """What ``target`` says about a key of ``TARGET_KEYS``; None if nothing."""
    return target.session_keys.get(option.name) if option.session_key else getattr(target, option.attribute)


def key_line(option: Option, value: Any) -> str:
    return f"{option.name} {option.value.render(value)}"


def target_lines(target: TargetConfig) -> Iterator[str]:
    """A whole block; the first line is the Target line. Keys with their default values are left out."""
    yield target_line(target.name)
    for account in target.incoming:
        yield account_line("IncomingUser", account, target.name)
    if target.outgoing is not None:
        yield account_line("OutgoingUser", target.outgoing, target.name)
    if target.chap_algorithms:
        yield f"CHAPAlgorithms {','.join(target.chap_algorithms)}"
    for lun in target.luns:
        yield lun_line(lun)
        if lun_option.said(lun) != lun_option.UNSAID:
            yield lun_option.rendered(lun)
    if target.alias:
        yield f"Alias {target.alias}"
    for address in target.initiator_addresses:
        yield f"initiator-address {address}"
    for name in target.initiator_names:
        yield f"initiator-name {name}"
    for line in target.initiators:
        yield initiator_line(line, target.name)
    if target.portal_groups:
        yield groups_line(target.portal_groups)
    silent = TargetConfig(target.name, target.span, nop_timeout=target.nop_interval)
    for option in TARGET_KEYS:
        value = key_value(target, option)
        if value != key_value(silent, option):
            yield key_line(option, value)


def _parameter(name: str, value: Any, text: Callable[[Any], str] = str) -> list[str]:
    return [] if value is None else [f"{name}={text(value)}"]


def _is_word(text: str) -> bool:
    return split_blanks(text) == [text] and "\n" not in text and "\0" not in text
