from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver import ConfigurationError
from webhook_receiver.options import BACKOFF, Backoff, WorkerOptions, seconds


def test_the_options_are_one_frozen_value_that_works_as_it_is() -> None:
    options = WorkerOptions()
    assert options == WorkerOptions()
    with pytest.raises(FrozenInstanceError):
        options.concurrency = 2  # type: ignore[misc]


def test_a_worker_need_not_wait_when_it_stops() -> None:
    assert WorkerOptions(stop=0).stop == 0


@pytest.mark.parametrize("name", ["timeout", "lease", "poll"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "30", None])
def test_times_are_above_0_seconds(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"{name} is above 0 seconds, not "):
        WorkerOptions(**{name: value})


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), "10"])
def test_the_time_to_stop_is_0_seconds_or_more(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="stop is 0 seconds or more, not "):
        WorkerOptions(stop=value)


@pytest.mark.parametrize("value", [0, -1, 1.5, "16", None])
def test_at_least_one_delivery_is_handled_at_once(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="concurrency is 1 or more, not "):
        WorkerOptions(concurrency=value)


@given(st.integers(1, 10_000))
def test_a_wait_lies_between_nothing_and_what_doubles_up_to_the_longest(attempts: int) -> None:
    wait = Backoff(first=3, longest=100, attempts=10_001).wait(attempts)
    assert wait is not None
    assert 0 <= wait <= min(100, 3 * 2 ** (attempts - 1))


def test_waits_are_spread_over_their_whole_span_so_that_handlers_do_not_come_back_in_step() -> None:
    waits = [Backoff(first=80, longest=80).wait(1) or 0 for _ in range(1000)]
    assert len({*waits}) > 990
    assert min(waits) < 8
    assert max(waits) > 72


@given(st.just(0.0) | st.floats(1e-9, 10), st.floats(10, 1000), st.integers(1, 200), st.integers(0, 200))
def test_a_backoff_lasts_half_of_its_longest_waits(first: float, longest: float, attempts: int, made: int) -> None:
    backoff = Backoff(first, longest, attempts)
    waits = [min(longest, first * 2.0**number) for number in range(attempts - 1)]
    assert backoff.lasts(made) == pytest.approx(sum(waits[made:]) / 2)


def test_the_default_backoff_lasts_for_half_a_day() -> None:
    assert round(BACKOFF.lasts() / 3600, 1) == 11.6


def test_after_the_last_attempt_there_is_no_other() -> None:
    backoff = Backoff(attempts=3)
    assert [backoff.wait(attempts) is None for attempts in (1, 2, 3, 4)] == [False, False, True, True]
    assert Backoff(attempts=1).wait(1) is None


def test_a_backoff_may_wait_for_nothing() -> None:
    assert Backoff(first=0, longest=0).wait(1) == 0


def test_the_default_goes_on_for_about_half_a_day_on_average() -> None:
    longest = [min(BACKOFF.longest, BACKOFF.first * 2 ** (number - 1)) for number in range(1, BACKOFF.attempts)]
    assert 10 < sum(longest) / 2 / 3600 < 14


@pytest.mark.parametrize(
    "settings",
    [
        {"first": -1.0},
        {"first": 10.0, "longest": 5.0},
        {"longest": float("inf")},
        {"longest": float("nan")},
        {"first": float("nan")},
        {"attempts": 0},
    ],
)
def test_one_that_could_not_work_is_rejected(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="0 <= first <= longest seconds, for 1 attempt or more"):
        Backoff(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45", 45),
        ("45s", 45),
        ("0", 0),
        ("1.5h", 5400),
        ("15m", 900),
        ("2h", 7200),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
        ("200ms", 0.2),
        (" 7 D ", 604_800),
        ("0.25s", 0.25),
    ],
)
def test_a_span_of_time_is_read_as_people_write_it(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1y", "1h30m", "1e3", "inf", "nan", "1.", ".5", "1 000", "9999999999999", "٣d"]
)
def test_anything_else_is_rejected_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is not a span of time such as 45s, 15m, 2h or 30d"):
        seconds(text)
