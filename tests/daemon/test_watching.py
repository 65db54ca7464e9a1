"""Metrics and the status page in a daemon: where, when, and what becomes of one that cannot have them."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ietpy.config.load import loads
from ietpy.daemon.options import StartOptions
from ietpy.daemon.watching import Watching
from ietpy.server.portals import bind
from tests.cli.conftest import Daemon, make_disk, until

TARGET = "iqn.2026-11.test:t"


def get(place: str, path: str, accept: str = "*/*") -> tuple[bytes, str]:
    """Body and Content-Type."""
    request = urllib.request.Request(f"http://{place}{path}", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read(), answer.headers["Content-Type"]


def text(tmp_path: Path, first: str = "Metrics 127.0.0.1:0") -> str:
    return f"{first}\nTarget {TARGET}\nLun 0 Path={make_disk(tmp_path / 'd.img')},Type=fileio\n"


def watching(line: str = "", option: str = "") -> Watching:
    made = Watching(StartOptions(metrics=option), loads(f"{line}\nTarget t\n", "ietd.conf"))
    made.open()
    return made


def test_everything_is_served(tmp_path: Path) -> None:
    with Daemon(tmp_path, text(tmp_path)) as daemon:
        place = daemon.instance.administration.status()["metrics"]
        assert place == daemon.instance.watching.place != "127.0.0.1:0"
        client = daemon.login(TARGET)
        assert client.command(0, bytes(6)).status == 2
        client.read(0, 0, 8)
        body, kind = get(place, "/metrics")
        assert b'ietpy_lun_operations_total{lun="0",operation="read",target="iqn.2026-11.test:t"} 1.0\n' in body
        assert kind.startswith("text/plain")
        assert get(place, "/metrics", "application/openmetrics-text")[0].endswith(b"# EOF\n")
        told, kind = get(place, "/status.json")
        assert json.loads(told)["targets"][0]["luns"][0]["reads"] == 1
        assert kind == "application/json"
        page, kind = get(place, "/")
        assert TARGET.encode() in page
        assert kind == "text/html; charset=utf-8"
        assert get(place, "/status.js")[1] == "text/javascript; charset=utf-8"
        assert get(place, "/status.css")[1] == "text/css; charset=utf-8"
        for nowhere in ("/status.html", "/../ietd.conf", "/assets/status.js"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(place, nowhere)
    with pytest.raises(urllib.error.URLError):
        get(place, "/")
    assert "web" not in {thread.name for thread in threading.enumerate()}


def test_commands_are_measured_from_the_start(tmp_path: Path) -> None:
    with Daemon(tmp_path, text(tmp_path)) as daemon:
        client = daemon.login(TARGET)
        assert client.command(0, bytes(6)).status == 2
        (session,) = daemon.inventory.target(1).node.sessions.values()
        with session.line.lock:  # its batch is over, and nobody has asked for sessions
            assert session.nexuses[0].latency is not None


def test_what_is_published_by_itself_measures_nothing(tmp_path: Path) -> None:
    with Daemon(tmp_path, text(tmp_path, "")) as daemon:
        daemon.login(TARGET)
        until(lambda: "sid:" in daemon.session())
        assert not daemon.instance.server.measuring.on
        daemon.instance.administration.sessions()
        assert daemon.instance.server.measuring.on


def test_by_default_there_is_nothing() -> None:
    made = watching()
    made.start(dict)
    assert (made.place, made.problems) == ("", [])
    made.stop()


@pytest.mark.parametrize(("line", "option", "host"), [
    ("Metrics 127.0.0.1:0", "", "127.0.0.1"), ("Metrics 127.0.0.1:0", "[::1]:0", "[::1]"),
    ("Metrics 127.0.0.1:0", "off", ""), ("", "127.0.0.2:0", "127.0.0.2"),
])
def test_the_command_line_outranks_the_file(line: str, option: str, host: str) -> None:
    made = watching(line, option)
    assert made.place.rpartition(":")[0] == host
    assert made.problems == []
    made.close()


def test_a_port_that_is_taken_is_a_problem_and_disks_are_served(tmp_path: Path) -> None:
    (taken,) = bind("127.0.0.1", 0)
    with taken, Daemon(tmp_path, text(tmp_path, f"Metrics 127.0.0.1:{taken.getsockname()[1]}")) as daemon:
        facts = daemon.instance.administration.status()
        assert [problem["code"] for problem in facts["problems"]] == ["metrics-not-served"]
        assert "Address already in use" in facts["problems"][0]["text"]
        assert (facts["degraded"], facts["metrics"]) == (True, "")
        assert len(daemon.login(TARGET).read_capacity.__self__.report_luns()) == 1


def test_a_package_that_is_missing_is_a_problem_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "prometheus_client" else find(name, *more)
    )
    made = watching("Metrics 127.0.0.1:0")
    (problem,) = made.problems
    assert (problem.code, made.place) == ("metrics-not-served", "")
    assert "pip install 'ietpy[metrics]'" in str(problem)
    made.start(dict)
    made.stop()


def test_whoever_reaches_it_may_read_it_is_a_warning() -> None:
    made = watching("Metrics 0.0.0.0:0")
    (problem,) = made.problems
    assert (problem.code, problem.severity) == ("metrics-open", "warning")
    assert made.place in problem.problem
    made.close()


def test_without_a_thread_nothing_is_served(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def none_left(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    made = watching("Metrics 127.0.0.1:0")
    monkeypatch.setattr(threading.Thread, "start", none_left)
    made.start(dict)
    assert "metrics are not served: can't start new thread" in caplog.text
    made.stop()


def test_a_reload_says_that_it_takes_a_restart(tmp_path: Path) -> None:
    with Daemon(tmp_path, text(tmp_path)) as daemon:
        daemon.config.write_text(text(tmp_path, "Metrics 127.0.0.1:1"))
        (sentence,) = daemon.instance.administration.reload()["unable"]
        assert sentence.startswith("Metrics has changed")


def test_what_is_off_is_not_loaded() -> None:
    names = {"prometheus_client", "ietpy.daemon.metrics", "ietpy.daemon.web", "ietpy.daemon.status_page", "http.server"}
    code = f"import sys, ietpy.daemon.lifecycle; print({{*sys.modules}} & {names})"
    import subprocess

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "set()\n"
