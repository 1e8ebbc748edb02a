from __future__ import annotations

import time

import pytest

from webhook_receiver import Attempt, CallNext, Delivery, OrderFulfilled, WebhookReceiver
from webhook_receiver.testing import Clock, Run, make, rehearse


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


@pytest.mark.parametrize("inbox", ["memory://", None])
async def test_each_run_is_noted_with_its_event_and_how_it_ended(inbox: str | None) -> None:
    hooks, error, asked = WebhookReceiver(secret="s", inbox=inbox), RuntimeError("no"), list[int]()

    @hooks.on(OrderFulfilled, name="works")
    def works(order: OrderFulfilled, attempt: Attempt) -> None:
        asked.append(attempt.number)

    @hooks.on(OrderFulfilled, name="fails")
    async def fails(order: OrderFulfilled) -> None:
        raise error

    event = make(OrderFulfilled)
    with rehearse(hooks) as webhooks:
        receipt = await webhooks.send(event)
        await webhooks.handle_due()
        assert receipt.delivery is not None
        id = receipt.delivery.id
        assert webhooks.ran == [Run("works", 1, id, event), Run("fails", 1, id, event, error)]
    assert asked == [1]


async def test_an_attempt_that_a_middleware_failed_is_noted_as_failed() -> None:
    hooks = WebhookReceiver(secret="s", inbox="memory://")
    handled: list[OrderFulfilled] = []
    hooks.on(OrderFulfilled, name="h")(handled.append)

    @hooks.middleware
    async def strict(attempt: Attempt, call_next: CallNext) -> None:
        await call_next()
        raise LookupError("after all")

    with rehearse(hooks) as webhooks:
        await webhooks.send(make(OrderFulfilled))
        (run,) = await webhooks.handle_due()
        assert isinstance(run.error, LookupError)
        webhooks.assert_handled("h", times=0)
    assert len(handled) == 1


async def test_the_runs_of_dead_letter_handlers_are_not_noted() -> None:
    hooks, buried = WebhookReceiver(secret="s", inbox="memory://"), list[str]()

    @hooks.on_dead
    def bury(delivery: Delivery, attempts: object) -> None:
        buried.append(delivery.id)

    with rehearse(hooks) as webhooks:
        await webhooks.send(b"no event")
        assert await webhooks.drain() == []
    assert len(buried) == 1


def test_a_run_shows_nothing_of_the_event() -> None:
    assert "o-7" not in repr(Run("h", 1, "d-1", make(OrderFulfilled, order_id="o-7")))
