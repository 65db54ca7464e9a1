"""The fields of what commands print with ``--json``, by command: name, type, meaning.

``tests/fields.py`` compares them with what is really printed. The names in an object *of* something are data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

Fields: TypeAlias = tuple[tuple[str, str, str], ...]

_FORMAT: Final = ("format", "number", "1")


def _counters(where: str, kind: str, whose: str) -> Fields:
    """Rows of what is counted."""
    return (
        (f"{where}.reads", kind, f"commands that read{whose}"),
        (f"{where}.writes", kind, f"commands that wrote{whose}"),
        (f"{where}.bytes_read", kind, f"bytes they read{whose}"),
        (f"{where}.bytes_written", kind, f"bytes they wrote{whose}"),
    )


_CHANGE: Final = (
    _FORMAT,
    ("change", "string", "`added` or `removed`"),
    ("what", "string", "`target`, `lun`, `user` or `portal`"),
    ("target", "string or null", "the target it is about; null: none, or discovery"),
    ("tid", "number or null", "IET's number of it"),
    ("lun", "number or null", "of a LUN: its number"),
    ("path", "string or null", "of a LUN: what is behind it"),
    ("user", "string or null", "of a user: the name"),
    ("outgoing", "boolean or null", "of a user: whether the target authenticates itself by it"),
    ("portal", "string or null", "of a portal: its address, and the port if it has one of its own"),
    ("group", "number or null", "of a portal that was added: the tag of its group"),
    ("saved", "boolean", "whether it was written into the configuration file"),
    ("file", "string or null", "into which"),
)


_COPY: Final = (
    _FORMAT,
    ("source", "string", "the image it was made of"),
    ("path", "string", "where it is"),
    ("size", "number", "bytes"),
    ("how", "string", "`shared` (blocks, until one is written) or `copied`"),
    ("sessions", "number", "how many had the source meanwhile, as far as the daemon tells"),
)


_REPORT: Final = (
    ("report", "list", "what became of everything, in the order of the source"),
    (
        "report[].kind", "string",
        "`taken`, `extension` (said in words IET did not have), `lost`, `warning` or `refused` (the source is wrong)",
    ),
    ("report[].file", "string", "where it stands, or empty"),
    ("report[].line", "number", "where; 0: nowhere in particular"),
    ("report[].column", "number", "where in the line"),
    ("report[].what", "string", "what it is about"),
    ("report[].why", "string", "what became of it, or why it cannot be"),
)


JSON: Final[Mapping[str, Fields]] = {
    "targets": (
        _FORMAT,
        ("targets", "list", "the targets that are served, in the order of their making"),
        ("targets[].tid", "number", "IET's number of it"),
        ("targets[].name", "string", "its name"),
        ("targets[].luns", "list of numbers", "its LUNs"),
        ("targets[].size", "number", "bytes of all of them together"),
        ("targets[].sessions", "number", "how many are logged in"),
    ),
    "luns": (
        _FORMAT,
        ("luns", "list", "the logical units that are served, by target"),
        ("luns[].tid", "number", "IET's number of its target"),
        ("luns[].target", "string", "its target's name"),
        ("luns[].lun", "number", "its number"),
        ("luns[].type", "string", "`fileio`, `blockio` or `nullio`"),
        ("luns[].path", "string", "what is behind it, or empty"),
        ("luns[].mode", "string", "`wt` (written through), `wb` (written back) or `ro`"),
        ("luns[].block_size", "number", "bytes"),
        ("luns[].size", "number", "bytes"),
        ("luns[].leaving", "boolean", "whether it was removed and finishes its last commands"),
        ("luns[].counters", "object", "since the daemon has served it; null: not told"),
        *_counters("luns[].counters", "number or null", ""),
        ("luns[].errors", "object of numbers or null", "how many commands failed, by the name of the sense key"),
    ),
    "plan": (
        _FORMAT,
        ("file", "string", "the file it is about"),
        ("steps", "list", "what would be done, in this order; empty: nothing"),
        (
            "steps[].action", "string",
            "`add`, `remove`, `replace` (removed and added again), `change`, `resize`, `retry` (what could not be"
            " served is tried again) or `keep` (what should go stays, as it is in use)",
        ),
        (
            "steps[].subject", "string",
            "`target`, `lun`, `accounts`, `access`, `option`, `order`, `portal`, `isns` or `daemon`",
        ),
        ("steps[].target", "string", "the name of the target it is about, or empty"),
        ("steps[].lun", "number or null", "the number of the logical unit it is about"),
        ("steps[].what", "string", "what it is about, in words"),
        ("steps[].why", "string", "why, in words, or empty"),
        ("steps[].notice", "string", "who notices it, and how"),
        ("steps[].sessions", "number", "how many sessions its target has"),
        ("steps[].file", "string", "where it is said; of what goes, where it was said"),
        ("steps[].line", "number", "from 1; 0: in no file, but by hand"),
        ("steps[].column", "number", "from 1"),
        ("steps[].text", "string", "the whole of it, as printed without `--json`"),
    ),
    "snapshot": _COPY,
    "clone": _COPY,
    "add": _CHANGE,
    "remove": _CHANGE,
    "resize": (
        _FORMAT,
        ("path", "string", "what was resized"),
        ("before", "number", "bytes it had"),
        ("after", "number", "bytes it has"),
        ("target", "string or null", "the name of a target that serves it; null: none does"),
        ("lun", "number or null", "its LUN there"),
        ("sessions", "number", "how many sessions were told"),
    ),
    "kick": (
        _FORMAT,
        ("ended", "list", "the sessions that were ended"),
        ("ended[].id", "number", "as `ietpy sessions` has it"),
        ("ended[].sid", "number", "IET's number of it"),
        ("ended[].tid", "number", "IET's number of its target"),
        ("ended[].target", "string", "its target's name"),
        ("ended[].initiator", "string", "the initiator's name"),
        ("ended[].address", "string", "where it was"),
        ("ended[].logged_out", "boolean", "whether it logged out when it was asked to; else it was cut off"),
    ),
    "probe": (
        _FORMAT,
        ("host", "string", "where it looked"),
        ("port", "number", "at which TCP port"),
        ("targets", "list or null", "without a target in the URL: those that were discovered"),
        ("targets[].name", "string", "the name of one"),
        ("targets[].portals", "list of strings", "`ADDRESS:PORT,GROUP`, as it tells them"),
        ("unit", "object or null", "with one: what is there"),
        ("unit.target", "string", "the target's name"),
        ("unit.keys", "object of strings", "what the target said in the login, by key"),
        ("unit.luns", "list of numbers", "the LUNs it has for this initiator"),
        ("unit.lun", "number", "the one that was looked at"),
        ("unit.problem", "string or null", "why it was not read; the exit status is 1 then"),
        ("unit.device_type", "string", "`disk`, or what else it is"),
        ("unit.vendor", "string", "INQUIRY"),
        ("unit.product", "string", "INQUIRY"),
        ("unit.revision", "string", "INQUIRY"),
        ("unit.serial", "string", "VPD page 80h, or empty"),
        ("unit.designators", "list", "VPD page 83h"),
        ("unit.designators[].kind", "string", "`naa`, `eui`, `t10`, `name`, `vendor`, `port`, `port group` or another"),
        ("unit.designators[].of", "string", "`unit`, `target port` or `target device`"),
        ("unit.designators[].name", "string", "a text, or hexadecimal"),
        ("unit.blocks", "number or null", "READ CAPACITY(16)"),
        ("unit.block_size", "number or null", "bytes"),
        ("unit.physical_block_size", "number or null", "bytes"),
        ("unit.size", "number or null", "bytes"),
        ("unit.provisioning", "string or null", "`full`, `thin` or `resource`"),
        ("unit.write_protected", "boolean", "whether writes are refused"),
        ("unit.runs", "list", "what was measured"),
        ("unit.runs[].name", "string", "what was done"),
        ("unit.runs[].size", "number", "bytes of each"),
        ("unit.runs[].depth", "number", "under way at a time"),
        ("unit.runs[].seconds", "number", "how long it took"),
        ("unit.runs[].count", "number", "how many there were"),
        ("unit.runs[].iops", "number", "in a second"),
        ("unit.runs[].bytes", "number", "in a second"),
        ("unit.runs[].latency", "object", "seconds that a part of them took at most"),
        ("unit.runs[].latency.p50", "number or null", "half of them"),
        ("unit.runs[].latency.p90", "number or null", "90 of 100"),
        ("unit.runs[].latency.p99", "number or null", "99 of 100"),
        ("unit.runs[].latency.max", "number or null", "all of them"),
        ("unit.runs[].histogram", "list", "classes whose bounds double"),
        ("unit.runs[].histogram[].le", "number", "seconds that those of the class took at most"),
        ("unit.runs[].histogram[].count", "number", "how many took longer than half of that, and at most that"),
    ),
    "sessions": (
        _FORMAT,
        ("sessions", "list", "the sessions that fit, in the order of their logins"),
        ("sessions[].id", "number", "what `ietpy kick` takes (its TSIH); only one target's are never alike"),
        ("sessions[].sid", "number", "IET's number of it"),
        ("sessions[].tid", "number or null", "IET's number of its target; null: discovery"),
        ("sessions[].target", "string or null", "its target's name; null: discovery"),
        ("sessions[].initiator", "string", "the initiator's name"),
        ("sessions[].isid", "string", "its ISID, in hexadecimal"),
        ("sessions[].user", "string or null", "as whom it authenticated itself by CHAP; null: it did not"),
        ("sessions[].connections", "list", "its connections, the oldest first"),
        ("sessions[].connections[].cid", "number", "the CID"),
        ("sessions[].connections[].address", "string", "where the initiator is"),
        ("sessions[].connections[].portal", "string", "the address of this machine it came by"),
        ("sessions[].connections[].portal_group", "number", "the tag of that portal's group"),
        ("sessions[].connections[].header_digest", "boolean", "whether headers have a CRC32C digest"),
        ("sessions[].connections[].data_digest", "boolean", "whether data has one"),
        ("sessions[].connections[].closing", "boolean", "whether it is about to end"),
        ("sessions[].since", "number or null", "when it logged in, in seconds of 1970"),
        ("sessions[].age", "number or null", "seconds since then"),
        ("sessions[].luns", "list of numbers or null", "the LUNs it has"),
        ("sessions[].keys", "object of strings or null", "what was negotiated, by key"),
        ("sessions[].queue_depth", "number or null", "commands under way"),
        ("sessions[].counters", "object", "since its login; null: not told"),
        *_counters("sessions[].counters", "number or null", ""),
        ("sessions[].counters.commands", "number or null", "commands of every kind"),
        ("sessions[].errors", "object of numbers or null", "how many commands failed, by the name of the sense key"),
        ("sessions[].header_digest_errors", "number or null", "PDUs whose header came damaged"),
        ("sessions[].data_digest_errors", "number or null", "PDUs whose data came damaged"),
        ("sessions[].pace", "object", "the same in a second, on average"),
        ("sessions[].pace.seconds", "number or null", "over so long: of `--interval`, else since its login"),
        *_counters("sessions[].pace", "number or null", " in a second"),
        ("sessions[].pace.commands", "number or null", "commands of every kind in a second"),
        ("sessions[].latency", "object", "how long commands took, over as long"),
        ("sessions[].latency.count", "number", "how many were measured"),
        ("sessions[].latency.p50", "number or null", "seconds that half of them took at most; null: none was measured"),
        ("sessions[].latency.p90", "number or null", "that 90 of 100 took at most"),
        ("sessions[].latency.p99", "number or null", "that 99 of 100 took at most"),
        ("sessions[].latency.le", "list of numbers", "bounds in seconds"),
        (
            "sessions[].latency.counts", "list of numbers",
            "how many took at most as long as each bound and longer than the one before; a last one beyond all bounds",
        ),
    ),
    "boot-line": (
        _FORMAT,
        ("luns", "list", "the logical units, by target"),
        ("luns[].target", "string", "its target's name"),
        ("luns[].lun", "number", "its number"),
        ("luns[].host", "string", "the address, or name, to boot from"),
        ("luns[].port", "number", "its TCP port"),
        ("luns[].users", "list of strings", "as whom one may log in; empty: no authentication"),
        ("luns[].notes", "list of strings", "what the lines alone do not do"),
        ("luns[].lines", "object of strings", "what is told to `ipxe`, `grub`, `dracut` and `initramfs-tools`"),
    ),
    "export": (
        _FORMAT,
        ("to", "string", "whose configuration it is: `lio`, `tgt`, `scst` or `ctl`"),
        ("file", "string or null", "where it was written; null: nowhere, it is `text`"),
        ("text", "string or null", "the configuration, secrets and all; null: it is in `file`"),
        *_REPORT,
    ),
}
