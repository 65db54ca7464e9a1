"""What a file says of an iSNS server, wherever it stands (iet-compat 2.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ietpy.config.block import Block
from ietpy.config.findings import Finding, Report
from ietpy.config.syntax import Word


@dataclass(slots=True)
class IsnsLines:
    """The values of its keywords, and what matters about their lines."""

    values: dict[str, Any] = field(default_factory=dict)
    control: Word | None = None  #: the line that switched access control on
    lost: Word | None = None  #: a line that should name a server

    def check(self, everywhere: Block, report: Report) -> None:
        """Access control needs a server to ask; one that a line failed to name must not mean everybody."""
        if self.control is None or "iSNSServer" in self.values:
            return
        effect = "has no effect"
        if self.lost is not None:
            effect = "closes all targets"
            everywhere.close(f"line {self.lost.line} names no iSNS server")
        problem = f"iSNSAccessControl without iSNSServer {effect}"
        report.add(Finding.ISNS_ALONE, self.control, problem, "name the server, or remove this line")
