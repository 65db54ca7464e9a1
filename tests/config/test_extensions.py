"""Lines IET passed over: they mean the same in every mode, and a mistake in one never opens anything."""

from __future__ import annotations

import pytest

from ietpy.config.findings import MODES
from ietpy.config.load import loads
from ietpy.config.render import target_lines
from ietpy.config.writer import rewrite

T = "Target iqn.2001-04.com.example:disk1\n"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("words", "algorithms"), [
    pytest.param("SHA3-256,SHA256", ("SHA3-256", "SHA256"), id="two"),
    pytest.param("md5", ("MD5",), id="any letter case"),
    pytest.param("SHA1 SHA256", ("SHA1", "SHA256"), id="blanks for commas"),
    pytest.param("SHA256,SHA256", ("SHA256",), id="one twice"),
    pytest.param("SHA256 # the only one", ("SHA256",), id="a comment"),
])
def test_algorithms(mode: str, words: str, algorithms: tuple[str, ...]) -> None:
    configuration = loads(f"{T}CHAPAlgorithms {words}\n", compat=mode)
    assert configuration.diagnostics == ()
    (target,) = configuration.targets
    assert (target.chap_algorithms, target.closed, configuration.chap_algorithms) == (algorithms, "", ())


@pytest.mark.parametrize("mode", MODES)
def test_algorithms_for_all_targets_but_those_that_say(mode: str) -> None:
    text = f"CHAPAlgorithms SHA256\n{T}Target iqn.b\nCHAPAlgorithms MD5\n"
    configuration = loads(text, compat=mode)
    assert configuration.diagnostics == ()
    assert configuration.chap_algorithms == ("SHA256",)
    assert [target.chap_algorithms for target in configuration.targets] == [("SHA256",), ("MD5",)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("words", ["", "SHA512", "# none", ","])
def test_a_line_that_names_none_closes_what_it_is_about(mode: str, words: str) -> None:
    configuration = loads(f"{T}CHAPAlgorithms {words}\n", compat=mode)
    assert {found.code for found in configuration.diagnostics} == {"chap-algorithms"}
    assert configuration.targets[0].closed
    assert not configuration.discovery_closed
    configuration = loads(f"CHAPAlgorithms {words}\n{T}", compat=mode)
    assert configuration.targets[0].closed
    assert configuration.discovery_closed


@pytest.mark.parametrize("mode", MODES)
def test_what_is_no_algorithm_is_left_out(mode: str) -> None:
    configuration = loads(f"{T}CHAPAlgorithms SHA-256,SHA256\n", compat=mode)
    (found,) = configuration.diagnostics
    assert found.severity == ("warning" if mode == "iet" else "error")
    assert "'SHA-256' is no CHAP algorithm" in str(found)
    assert (found.span.line, found.span.column) == (2, 16)
    assert configuration.targets[0].chap_algorithms == ("SHA256",)
    assert not configuration.targets[0].closed


def test_algorithms_are_written() -> None:
    configuration = loads(f"{T}CHAPAlgorithms SHA256,MD5\n")
    assert list(target_lines(configuration.targets[0]))[1:] == ["CHAPAlgorithms SHA256,MD5"]
    assert rewrite("", configuration) == f"{T}    CHAPAlgorithms SHA256,MD5\n"


@pytest.mark.rfc7143("9.2.1-7")
@pytest.mark.parametrize("place", ["", T])
def test_one_secret_in_both_directions_is_found(place: str) -> None:
    configuration = loads(f"{place}IncomingUser joe secretsecret\nIncomingUser ann s\nOutgoingUser us secretsecret\n")
    (found,) = configuration.diagnostics
    assert (found.code, found.severity) == ("same-secret-both-ways", "error")
    assert "'joe'" in found.problem
    assert "secretsecret" not in str(found)
    assert found.span.line == (3 if not place else 4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("text", "count"), [
    pytest.param("", 1, id="none"),
    pytest.param("Processes 4\n", 4, id="some"),
    pytest.param("processes auto # cores\n", 0, id="as many as there are processors"),
    pytest.param(f"{T}Processes 64\n", 64, id="below a target"),
])
def test_processes(mode: str, text: str, count: int) -> None:
    configuration = loads(text, compat=mode)
    assert configuration.diagnostics == ()
    assert configuration.processes == count


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("words", ["", "0", "65", "-1", "many", "# 4", "Auto"])
def test_what_is_no_number_of_processes_leaves_one(mode: str, words: str) -> None:
    configuration = loads(f"Processes {words}\n{T}", compat=mode)
    (found,) = configuration.diagnostics
    assert (found.code, found.span.line) == ("processes", 1)
    assert "write a number from 1 to 64, or auto" in str(found)
    assert configuration.processes == 1


def test_of_two_numbers_of_processes_the_later_counts() -> None:
    configuration = loads("Processes 2\nProcesses 3 4\nProcesses 3\n")
    assert [found.code for found in configuration.diagnostics] == ["repeated", "surplus-words"]
    assert configuration.processes == 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("text", "place"), [
    pytest.param("", "", id="none"),
    pytest.param("Metrics 127.0.0.1:9260\n", "127.0.0.1:9260", id="IPv4"),
    pytest.param("metrics [0:0::1]:09260 # ours\n", "[::1]:9260", id="IPv6"),
    pytest.param(f"{T}Metrics 0.0.0.0:0\n", "0.0.0.0:0", id="below a target"),
])
def test_where_metrics_are(mode: str, text: str, place: str) -> None:
    configuration = loads(text, compat=mode)
    assert configuration.diagnostics == ()
    assert configuration.metrics == place


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("words", [
    "", "9260", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:9260", "[127.0.0.1]:9260", "[::1]9260",
    "[::1]:1x", "localhost:9260", "127.0.0.256:1", "# x",
])
def test_what_is_no_place_for_metrics_is_none(mode: str, words: str) -> None:
    configuration = loads(f"Metrics {words}\n{T}", compat=mode)
    (found,) = configuration.diagnostics
    assert (found.code, found.span.line) == ("metrics", 1)
    assert "write an address and a port, as 127.0.0.1:9260" in str(found)
    assert configuration.metrics == ""


def test_of_two_places_for_metrics_the_later_counts() -> None:
    configuration = loads("Metrics 127.0.0.1:1\nMetrics 127.0.0.1:2 3\nMetrics nowhere\n")
    assert [found.code for found in configuration.diagnostics] == ["repeated", "surplus-words", "metrics"]
    assert configuration.metrics == "127.0.0.1:2"
