"""The commands of a direct access block device: the rows of all sets, in the order they are reported in."""

from __future__ import annotations

from typing import Final

from ietpy.scsi.atomic import ATOMIC
from ietpy.scsi.cache import CACHE
from ietpy.scsi.command import Command
from ietpy.scsi.diagnostics import DIAGNOSTICS
from ietpy.scsi.format_unit import FORMATTING
from ietpy.scsi.identifying import IDENTIFYING
from ietpy.scsi.log_pages import LOGS
from ietpy.scsi.mode_commands import MODE
from ietpy.scsi.persistent_commands import PERSISTENT
from ietpy.scsi.port_groups import PORT_GROUPS
from ietpy.scsi.provisioning import PROVISIONING
from ietpy.scsi.removable import REMOVAL
from ietpy.scsi.reservation import RESERVATIONS
from ietpy.scsi.sanitize import SANITIZING
from ietpy.scsi.sbc import SBC
from ietpy.scsi.spc import SPC
from ietpy.scsi.third_party_copy import COPYING

#: A logical unit has those whose ``available`` says so.
DIRECT_ACCESS: Final[tuple[Command, ...]] = (
    *SPC.rows,
    *MODE.rows,
    *LOGS.rows,
    *PORT_GROUPS.rows,
    *IDENTIFYING.rows,
    *DIAGNOSTICS.rows,
    *RESERVATIONS.rows,
    *PERSISTENT.rows,
    *SBC.rows,
    *ATOMIC.rows,
    *CACHE.rows,
    *PROVISIONING.rows,
    *FORMATTING.rows,
    *SANITIZING.rows,
    *REMOVAL.rows,
    *COPYING.rows,
)
