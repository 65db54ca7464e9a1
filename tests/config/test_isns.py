"""What a file says of an iSNS server; its lines are also in ``rules/scope.py``."""

from __future__ import annotations

import pytest

from ietpy.config.load import loads


@pytest.mark.parametrize(("lines", "findings", "closed"), [
    ("", [], ""),
    ("iSNSServer 192.0.2.1\niSNSAccessControl Yes\n", [], ""),
    ("iSNSAccessControl Yes\n", ["access-control-alone"], ""),
    ("iSNSServer\niSNSAccessControl Yes\n", ["missing-value", "access-control-alone"], "line 1 names no iSNS server"),
])
def test_access_control_needs_a_server(lines: str, findings: list[str], closed: str) -> None:
    configuration = loads(f"{lines}Target t\n")
    assert [one.code for one in configuration.diagnostics] == findings
    assert configuration.targets[0].closed == closed
    assert configuration.isns_decides is ("192.0.2.1" in lines)
