from __future__ import annotations

import logging

import pytest

from tests.helpers import NOW
from webhook_receiver import ConfigurationError, GiveUp, Retry, Unconfirmed
from webhook_receiver.options import Breaker
from webhook_receiver.worker.circuit_breaker import CircuitBreaker, CircuitBreakers


def opened(options: Breaker) -> CircuitBreaker:
    """Return a breaker that was opened at NOW."""
    breaker = CircuitBreaker(options)
    told = [breaker.failed(ConnectionError(), NOW) for _ in range(options.failures)]
    assert told == [False] * (options.failures - 1) + [True]
    return breaker


def test_it_is_closed_until_enough_failures_of_one_kind_came_in_a_row() -> None:
    breaker = CircuitBreaker(Breaker(failures=3))
    assert [breaker.failed(ConnectionError(), NOW) for _ in range(2)] == [False, False]
    assert breaker.wait(NOW) == 0
    assert not breaker.is_open
    assert breaker.failed(ConnectionError(), NOW)
    assert breaker.is_open


def test_a_failure_of_another_kind_begins_the_count_anew() -> None:
    breaker = CircuitBreaker(Breaker(failures=2))
    for error in (ConnectionError(), ValueError(), ConnectionError(), ConnectionRefusedError()):
        assert not breaker.failed(error, NOW)
    assert breaker.failed(ConnectionRefusedError(), NOW)


def test_a_success_begins_the_count_anew() -> None:
    breaker = CircuitBreaker(Breaker(failures=2))
    breaker.failed(ValueError(), NOW)
    breaker.succeeded()
    assert not breaker.failed(ValueError(), NOW)


def test_one_failure_may_be_enough() -> None:
    assert CircuitBreaker(Breaker(failures=1)).failed(ValueError(), NOW)


def test_while_it_is_open_nothing_runs_until_its_time_is_over() -> None:
    breaker = opened(Breaker(failures=2, seconds=30))
    assert breaker.wait(NOW) == 30
    assert breaker.wait(NOW + 29) == 1
    assert breaker.wait(NOW + 30) == 0


def test_then_one_delivery_tries_while_the_others_wait() -> None:
    breaker = opened(Breaker(seconds=30))
    assert [breaker.wait(NOW + 31) for _ in range(3)] == [0, 30, 30]


def test_a_try_that_fails_opens_it_again_at_once_whatever_its_kind_and_says_so_only_the_first_time() -> None:
    breaker = opened(Breaker(failures=5, seconds=30))
    assert breaker.wait(NOW + 30) == 0
    assert not breaker.failed(ValueError(), NOW + 31)
    assert breaker.wait(NOW + 32) == 29
    assert breaker.wait(NOW + 61) == 0


def test_a_try_that_succeeds_closes_it() -> None:
    breaker = opened(Breaker(failures=2))
    breaker.wait(NOW + 30)
    breaker.succeeded()
    assert not breaker.is_open
    assert [breaker.wait(NOW + 30) for _ in range(2)] == [0, 0]
    assert not breaker.failed(ConnectionError(), NOW + 30)


def test_a_try_that_says_nothing_lets_another_one_try() -> None:
    breaker = opened(Breaker())
    assert breaker.wait(NOW + 30) == 0
    breaker.undecided()
    assert breaker.is_open
    assert breaker.wait(NOW + 30) == 0


def test_a_try_that_never_tells_how_it_went_is_followed_by_another() -> None:
    breaker = opened(Breaker(seconds=30))
    assert breaker.wait(NOW + 30) == 0
    assert breaker.wait(NOW + 59) == 1
    assert breaker.wait(NOW + 60) == 0


def test_to_say_nothing_opens_nothing() -> None:
    breaker = CircuitBreaker(Breaker(failures=2))
    breaker.undecided()
    assert not breaker.is_open


def test_a_run_that_began_before_it_opened_keeps_it_open() -> None:
    breaker = opened(Breaker(seconds=30))
    assert not breaker.failed(ConnectionError(), NOW + 10)
    assert breaker.wait(NOW + 10) == 30


def test_a_clock_that_is_set_back_does_not_keep_it_open_for_longer() -> None:
    assert opened(Breaker(seconds=30)).wait(NOW - 86_400) == 0


@pytest.mark.parametrize("settings", [{"failures": 0}, {"seconds": 0.0}, {"seconds": -1.0}, {"seconds": float("inf")}])
def test_one_that_could_not_work_is_rejected(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="1 failure or more, and seconds above 0"):
        Breaker(**settings)  # type: ignore[arg-type]


def test_each_handler_has_a_breaker_once_it_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    breakers = CircuitBreakers(Breaker(failures=2, seconds=30))
    for error in (None, Retry(1), GiveUp("never"), Unconfirmed("not yet")):
        breakers.record("a", error, NOW)
        assert breakers.of("a") is None
    breakers.record("a", ValueError(), NOW)
    breakers.record("b", ValueError(), NOW)
    breakers.record("a", ValueError(), NOW)
    a, b = breakers.of("a"), breakers.of("b")
    assert a is not None
    assert b is not None
    assert (a.is_open, b.is_open) == (True, False)
    breakers.record("a", Unconfirmed("not yet"), NOW)  # says nothing about what failed
    assert (a.is_open, a.wait(NOW)) == (True, 0)
    breakers.record("a", None, NOW)
    assert not a.is_open
    assert [record.getMessage() for record in caplog.records] == [
        "a failed 2 times in a row with ValueError, and is left alone for 30 s at a time until it works again",
        "a works again",
    ]
