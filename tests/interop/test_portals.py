"""Portals on interfaces and IPv6 addresses with a zone, in a network namespace of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.interop.conftest import Daemons, Run, command

NAME = "iqn.2001-04.com.example:storage.disk1"
#: What ietd.conf of the daemon in the namespace says. fe80::9 is no portal, and one interface is another's peer.
CONF = f"""\
Portal 1 [::1]:3260
Portal 2 near0:3260
Portal 3 [fe80::3%far0]:3260
Target {NAME}
    Lun 0 Type=nullio,Blocks=8
    PortalGroups 2,3
    Initiator * Address=fe80::/10
"""
#: Run there: it makes the interfaces, starts the daemon, asks it, and prints what came out.
SCRIPT = """\
import subprocess, sys
from ietpy.initiator.client import Client
from ietpy.initiator.errors import LoginRefused
from ietpy.initiator.login import LoginPlan

def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout

ip, directory, name = sys.argv[1:]
run(ip, "link", "set", "lo", "up")
run(ip, "link", "add", "near0", "type", "veth", "peer", "name", "far0")
for interface, address in (("near0", "fe80::2"), ("near0", "2001:db8::2"), ("far0", "fe80::3")):
    run(ip, "link", "set", interface, "addrgenmode", "none")
    run(ip, "link", "set", interface, "up")
    run(ip, "-6", "address", "add", f"{address}/64", "dev", interface, "nodad")
daemon = [sys.executable, "-m", "ietpy.daemon.main"]
places = ["--pid-file", f"{directory}/pid", "--control", f"{directory}/control"]
run(*daemon, "start", *places, "-c", f"{directory}/ietd.conf", "--state-dir", directory)
try:
    status = run(*daemon, "status", *places)
    print(*sorted(line for line in status.splitlines() if line.startswith("portal")), sep="\\n")
    for address in ("fe80::2%near0", "fe80::3%far0", "2001:db8::2", "::1"):
        with Client.connect(address, 3260) as client:
            client.login(LoginPlan())
            print(address, client.discover())
        try:
            with Client.connect(address, 3260) as client:
                client.login(LoginPlan(target=name))
                print(address, "logged in")
        except LoginRefused as refused:
            print(address, f"{refused.status:04x}")
finally:
    run(*daemon, "stop", *places)
"""


def test_addresses_with_a_zone_and_of_an_interface(tmp_path: Path) -> None:
    (tmp_path / "ietd.conf").write_text(CONF)
    alone = [command("unshare"), "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    script = [sys.executable, "-c", textwrap.dedent(SCRIPT), command("ip"), str(tmp_path), NAME]
    result = subprocess.run([*alone, *script], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "portal: [2001:db8::2]:3260, group 2",
        "portal: [::1]:3260, group 1",
        "portal: [fe80::2%near0]:3260, group 2",
        "portal: [fe80::3%far0]:3260, group 3",
        f"fe80::2%near0 [('{NAME}', ['[fe80::2]:3260,2', '[2001:db8::2]:3260,2'])]",
        "fe80::2%near0 logged in",
        f"fe80::3%far0 [('{NAME}', ['[fe80::3]:3260,3', '[2001:db8::2]:3260,2'])]",
        "fe80::3%far0 logged in",
        "2001:db8::2 []",
        "2001:db8::2 0203",
        "::1 []",
        "::1 0203",
    ]


def test_iscsi_ls_goes_where_a_portal_is_advertised(serve: Daemons, run: Run) -> None:
    """By discovery at one address, to the LUNs by another one, which stands for a router's."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.2", 0)) as other:
        inner, outer = one.getsockname()[1], other.getsockname()[1]
    conf = f"Portal 1 127.0.0.1:{inner} Advertise=127.0.0.2:{outer}\nPortal 1 127.0.0.2:{outer}\n"
    daemon = serve(f"{conf}Target {NAME}\n    Lun 0 Type=nullio,Blocks=65536\n", "-a", "")
    lines = run("iscsi-ls", "-s", f"iscsi://127.0.0.1:{inner}").stdout.splitlines()
    assert lines == [f"Target:{NAME} Portal:127.0.0.2:{outer},1", "Lun:0    Type:DIRECT_ACCESS (Size:31M)"]
    assert daemon.status()["portals"][0]["advertised"] == f"127.0.0.2:{outer}"
