from __future__ import annotations

from webhook_receiver.worker.prefetch import MOST_AHEAD, SOON, Prefetch


class Counter:
    """A clock that is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def pace(finished: int, seconds: float, clock: Counter | None = None) -> Prefetch:
    clock = clock or Counter()
    found = Prefetch(clock)
    for _ in range(finished):
        clock.now += seconds / finished
        found.count()
    return found


def test_nothing_is_worth_claiming_ahead_before_anything_was_finished() -> None:
    assert pace(0, 0).ahead() == 0
    assert pace(0, 10).ahead() == 0


def test_slow_handlers_get_nothing_ahead() -> None:
    assert pace(16, 16).ahead() == 0
    assert pace(1, 1).ahead() == 0


def test_as_many_are_worth_claiming_ahead_as_will_be_finished_soon() -> None:
    assert pace(100, 1).ahead() == round(100 * SOON)


def test_handlers_that_end_at_once_get_many_but_not_more_than_a_limit_also_where_the_clock_stands_still() -> None:
    assert pace(16, 0.001).ahead() == MOST_AHEAD
    assert pace(16, 0).ahead() == MOST_AHEAD


def test_the_wait_for_more_of_them_does_not_count() -> None:
    clock = Counter()
    found = pace(16, 0.16, clock)
    clock.now += 10
    assert found.ahead() == round(SOON / 0.01)
    found.begin()
    assert found.ahead() == round(SOON / 0.01)
    for _ in range(16):
        clock.now += 0.005
        found.count()
    assert found.ahead() == round(SOON / 0.005)


def test_an_inbox_that_is_far_away_is_asked_for_more() -> None:
    found = pace(16, 0.16)
    found.away = 0.2
    assert found.ahead() == round((SOON + 0.2) / 0.01)


def test_a_rate_that_is_forgotten_counts_no_more() -> None:
    found = pace(100, 1)
    found.reset()
    assert found.ahead() == 0
