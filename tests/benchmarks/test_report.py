"""Figures of benchmarks: ratios within rounds, targets, and what is made of them. That all runs, `--smoke` sees."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from .__main__ import MEASURES, main
from .figures import Cell, Found, Spread, Target
from .report import as_json, as_svg, judged, missed, show

OURS, PEER = Cell("this package", "CPU µs"), Cell("<peer>", "CPU µs")
ABOUT: dict[str, Any] = {
    "processor": "a & b",
    "cores": 2,
    "python": "3.11",
    "load average": "0.1",
    "measured": "2026-01-01T00:00",
}


@pytest.fixture
def found() -> Found:
    """Three rounds, the second one of which was slow for everybody."""
    found = Found("Without an inbox", "this package")
    for ours, peer in ((10.0, 20.0), (30.0, 90.0), (10.0, 40.0)):
        found.add(OURS.candidate, {OURS.unit: ours})
        found.add(PEER.candidate, {PEER.unit: peer})
    return found


def test_ratios_are_taken_within_each_round(found: Found) -> None:
    assert found.spread(PEER, OURS) == Spread(3.0, 2.0, 4.0)
    assert found.spread(PEER) == Spread(40.0, 20.0, 90.0)


@pytest.mark.parametrize(
    ("bound", "value", "met"),
    [("at least", 3.0, True), ("at least", 3.1, False), ("at most", 3.0, True), ("at most", 2.9, False)],
)
def test_a_target_is_met_by_the_median(found: Found, bound: Any, value: float, met: bool) -> None:
    target = Target("CPU of the peer", PEER, OURS, bound, value)
    found.targets = [target]
    assert judged(found, target).endswith(": 3.00 (2.00 to 4.00), " + ("met" if met else "missed"))
    assert len(missed({"requests": found})) == (not met)


def test_what_could_not_be_measured_has_no_figures_and_is_told_with_the_reason(found: Found) -> None:
    found.drop(PEER.candidate, "there is no Node here")
    found.targets = [Target("CPU of the peer", PEER, OURS, "at least", 3)]
    console = Console(record=True, width=200, force_terminal=False, file=StringIO())
    show(console, found, judges=True)
    said = console.export_text()
    assert "<peer> was not measured: there is no Node here" in said
    assert "CPU of the peer: at least 3: not measured" in said
    assert missed({"requests": found}) == []


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_gets_a_table_and_a_pipe_a_line_for_each_figure(found: Found, terminal: bool) -> None:
    console = Console(record=True, width=200, force_terminal=terminal, file=StringIO())
    show(console, found, judges=False)
    said = console.export_text()
    assert "40.0 (20.0 to 90.0)" in said
    assert "3.00 (2.00 to 4.00)" in said
    assert ("  <peer>: CPU µs 40.0" in said) is not terminal


def test_the_json_has_each_rounds_values_and_says_what_was_missed(found: Found) -> None:
    found.targets = [Target("CPU of the peer", PEER, OURS, "at least", 4)]
    measure = json.loads(as_json(ABOUT, {"requests": found}))["measures"]["requests"]
    assert measure["rounds"]["<peer>"] == {"CPU µs": [20, 90, 40]}
    assert measure["medians"]["<peer>"]["CPU µs"] == {"median": 40, "low": 20, "high": 90}
    assert [(target["found"]["median"], target["met"]) for target in measure["targets"]] == [(3, False)]


def test_the_chart_is_svg_with_a_bar_and_a_description_for_each_candidate(found: Found) -> None:
    chart = ElementTree.fromstring(as_svg(ABOUT, [found, found], "CPU µs", ["this"]))
    names = {"svg": "http://www.w3.org/2000/svg"}
    assert len(chart.findall("svg:rect", names)) == 4
    description = chart.find("svg:desc", names)
    assert description is not None
    said = "Without an inbox: this package 10.0 (10.0 to 30.0), <peer> 40.0 (20.0 to 90.0)"
    assert description.text == f"{said}; {said}"


def test_every_measure_is_listed_with_what_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    listed = [line.split(None, 1) for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in listed] == [*MEASURES]
    assert all(said.strip().endswith(".") for _, said in listed)


def test_a_chart_of_what_is_not_measured_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "idle", "--svg", "chart.svg"])
    assert "--svg needs one of requests, kept-16" in capsys.readouterr().err
