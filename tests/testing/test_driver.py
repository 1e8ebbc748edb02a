from __future__ import annotations

import time

import pytest

from tests.helpers import NOW
from webhook_receiver import Attempt, Delivery, OrderFulfilled, WebhookReceiver
from webhook_receiver.routing import Handler
from webhook_receiver.testing import Clock, Run, make
from webhook_receiver.testing.driver import watched

DELIVERY = Delivery("d-1", "hooks", (), b"", NOW, 0, True)


def test_a_clock_begins_at_the_present_and_stands_still() -> None:
    before = time.time()
    clock = Clock()
    assert before <= clock.now <= time.time()
    assert clock() == clock.now == clock.now


def test_a_clock_is_moved_by_seconds_or_to_a_time_and_never_back() -> None:
    clock = Clock()
    now = clock.now
    clock.advance(1.5)
    clock.advance_to(now)
    assert clock.now == now + 1.5
    clock.advance_to(now + 9)
    assert clock.now == now + 9
    with pytest.raises(ValueError, match="from 0 up, not -1"):
        clock.advance(-1)


async def test_a_watched_handler_gets_what_it_asks_for_and_its_run_is_noted() -> None:
    got: list[object] = []
    runs: list[Run] = []

    def handle(order: OrderFulfilled, attempt: Attempt) -> None:
        got.extend([order, attempt.number])

    event = make(OrderFulfilled)
    await watched(Handler("h", handle, OrderFulfilled), runs.append).call(event, DELIVERY, 3)
    assert got == [event, 3]
    assert runs == [Run("h", 3, "d-1", event)]


async def test_a_failed_run_is_noted_with_its_error_and_fails_all_the_same() -> None:
    runs: list[Run] = []
    error = RuntimeError("no")

    async def handle(order: OrderFulfilled) -> None:
        raise error

    with pytest.raises(RuntimeError, match="no"):
        await watched(Handler("h", handle, OrderFulfilled), runs.append).call(make(OrderFulfilled), DELIVERY, 1)
    assert [run.error for run in runs] == [error]


def test_a_watched_handler_keeps_all_its_options() -> None:
    hooks = WebhookReceiver(secret="s")

    @hooks.on(OrderFulfilled, where=lambda order: True, name="h", timeout=7)
    def handle(order: OrderFulfilled) -> None: ...

    (handler,) = hooks.handlers
    same = watched(handler, print)
    for field in ("name", "function", "route", "where", "backoff", "timeout", "takes_attempt", "is_async"):
        assert getattr(same, field) == getattr(handler, field)


def test_a_run_shows_nothing_of_the_event() -> None:
    assert "o-7" not in repr(Run("h", 1, "d-1", make(OrderFulfilled, order_id="o-7")))
