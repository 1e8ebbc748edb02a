from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver import ConfigurationError
from webhook_receiver.options import BACKOFF, Backoff


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
def test_one_that_could_not_work_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="0 <= first <= longest seconds, for 1 attempt or more"):
        Backoff(**settings)  # type: ignore[arg-type]
