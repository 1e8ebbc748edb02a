"""The time line of a delivery, and the plots, are drawn to scale."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.helpers import NOW
from tests.inspector.stage import DOWNLOAD, TRACEBACK, dead, stored
from webhook_receiver import FailedAttempt, HandlerState, State
from webhook_receiver.inspector import app
from webhook_receiver.inspector.figures import SPANS, Counts
from webhook_receiver.inspector.plots import HEIGHT, plot
from webhook_receiver.inspector.timeline import timeline

CLOCK = 5000.0


def attempt(number: int, begin: float, seconds: float, outcome: str = "retry") -> FailedAttempt:
    return FailedAttempt(DOWNLOAD, number, NOW + begin, seconds, outcome, "OSError", TRACEBACK)


def test_attempts_waits_and_the_outcome_are_at_their_places() -> None:
    attempts = [attempt(1, 0, 10), attempt(2, 30, 20)]
    handlers = {DOWNLOAD: HandlerState(State.DONE, 3, 3)}
    found = timeline(stored(0, attempts=attempts, handlers=handlers, settled=NOW + 100), NOW + 500, CLOCK)
    (lane,) = found.lanes
    assert [(each.kind, each.at, each.width) for each in lane.bars] == [
        ("retry", 0.0, 10.0),
        ("retry", 30.0, 20.0),
        ("done", 100.0, 0),
    ]
    assert [(each.begin, each.end) for each in lane.waits] == [(10.0, 30.0), (50.0, 100.0)]
    assert (found.length, found.now) == ("1 min 40 s", None)
    assert [each[1] for each in found.ticks] == ["received", "+50 s", "+1 min 40 s"]
    assert lane.bars[1].told == "attempt 2, 30 s after receipt, failed after 20 s"


def test_a_wait_that_is_to_come_is_drawn_up_to_its_end_with_the_present_in_it() -> None:
    handlers = {DOWNLOAD: HandlerState(State.WAITING, 1, 1, CLOCK + 50)}
    waits = stored(0, State.WAITING, attempts=[attempt(1, 0, 10)], handlers=handlers, due=CLOCK + 50)
    found = timeline(waits, NOW + 50, CLOCK)
    (lane,) = found.lanes
    assert [(each.begin, each.end) for each in lane.waits] == [(10.0, 100.0)]
    assert found.now == 50.0
    assert lane.told == "waiting, 1 attempt, next in 50 s"


def test_each_handler_has_a_lane_also_one_that_is_not_known_any_more() -> None:
    found = timeline(dead(3), NOW + 100, CLOCK)
    assert [(each.short, each.told) for each in found.lanes] == [
        ("download", "dead, 3 attempts"),
        ("notify", "done, 1 attempt"),
    ]
    (lane,) = timeline(stored(0, attempts=[attempt(1, 0, 1)], handlers={}), NOW, CLOCK).lanes
    assert lane.told == "not run again"


@pytest.mark.parametrize("settled", [NOW, NOW - 100, NOW + 1e9])
def test_no_time_makes_it_fall_out_of_its_place(settled: float) -> None:
    handlers = {DOWNLOAD: HandlerState(State.DONE, 1, 1)}
    found = timeline(stored(0, attempts=[attempt(1, -50, 1)], handlers=handlers, settled=settled), NOW, CLOCK)
    assert all(0 <= bar.at <= 100 and 0 <= bar.width <= 100 for lane in found.lanes for bar in lane.bars)


def test_a_delivery_with_a_thousand_attempts_has_a_bounded_time_line() -> None:
    attempts = [attempt(number, number, 0.5) for number in range(1, 1001)]
    (lane,) = timeline(stored(0, State.DEAD, attempts=attempts, settled=NOW + 2000), NOW + 5000, CLOCK).lanes
    assert len(lane.bars) == 400
    assert lane.bars[-1].told.startswith("attempt 1000")


def test_bars_are_as_high_as_their_numbers_and_stand_on_one_another() -> None:
    counts = Counts({("stored", 2): [0, 30, 10], ("duplicate", 1): [0, 10, 0], ("answered 401", None): [5, 0, 0]}, 3)
    drawn = plot(counts, [NOW, NOW + 60, NOW + 120], SPANS[0])
    assert drawn.most == 40
    by_kind = {(each.kind, round(each.x)): (each.y, each.height) for each in drawn.bars}
    assert by_kind == {
        ("rejected", 3): (HEIGHT - 15, 15),
        ("stored", 36): (HEIGHT - 90, 90),
        ("duplicate", 36): (0, 30),
        ("stored", 70): (HEIGHT - 30, 30),
    }
    assert [each.told for each in drawn.steps] == [
        "06:03: 5 rejected",
        "06:04: 30 new, stored, 10 duplicates",
        "06:05: 10 new, stored",
    ]


@pytest.mark.parametrize(
    ("number", "most"),
    [(0, 2), (1, 2), (3, 4), (5, 10), (17, 20), (21, 40), (49, 50), (51, 100), (101, 200), (4001, 5000)],
)
def test_the_axis_ends_at_a_number_that_reads_well(number: int, most: int) -> None:
    assert plot(Counts({("stored", 0): [number]}, 1), [NOW], SPANS[0]).most == most


def test_quantiles_are_told_by_the_bounds_of_their_buckets() -> None:
    counts = Counts({("stored", 2): [9], ("stored", 9): [1], ("stored", None): [100]}, 1)
    assert [counts.quantile(["stored"], share) for share in (0.5, 0.9, 0.95)] == ["≤ 10 ms", "≤ 10 ms", "> 10 s"]
    assert counts.quantile(["nothing"], 0.5) == "\u2013"


def test_the_library_in_the_package_is_the_one_that_the_notice_names() -> None:
    static = Path(app.__file__).parent / "static"
    found = static.joinpath("htmx.min.js").read_bytes()
    assert b'version:"2.0.11"' in found
    assert hashlib.sha256(found).hexdigest() == "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
    assert "Zero-Clause BSD" in static.joinpath("htmx.LICENSE").read_text(encoding="utf-8")
