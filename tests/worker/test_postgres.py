"""The worker on PostgreSQL: each test is a receiver and a real database."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from tests.postgres import execute, migrated, postgres
from tests.working import AT_ONCE, about, deliver, durable, kept_until, settled, until, waiting
from webhook_receiver import (
    Attempt,
    Backoff,
    Delivery,
    FailedAttempt,
    OrderFulfilled,
    Retry,
    State,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.testing.inbox_suite import entry
from webhook_receiver.worker.worker import Worker

SOON = Backoff(first=0.2, longest=0.2, attempts=5)

Make = Callable[..., WebhookReceiver]


@pytest.fixture
def make(postgres_url: str) -> Make:
    def make(**options: Any) -> WebhookReceiver:
        return durable(postgres_url, clock=time.time, **({"poll": 0.2} | options))

    return make


@pytest.fixture
async def ran(make: Make) -> AsyncIterator[tuple[WebhookReceiver, list[str | None]]]:
    """A receiver that notes the orders that it has handled."""
    hooks = make()
    orders: list[str | None] = []

    @hooks.on(OrderFulfilled)
    async def note(order: OrderFulfilled) -> None:
        orders.append(order.order_id)

    async with hooks:
        yield hooks, orders


async def test_a_delivery_is_handled(ran: tuple[WebhookReceiver, list[str | None]]) -> None:
    hooks, orders = ran
    id = await deliver(hooks)
    await settled(hooks, id)
    assert orders == ["o-1"]


async def test_what_another_process_has_put_wakes_the_worker(make: Make) -> None:
    hooks = make(poll=600)  # nobody waits for that
    handled = asyncio.Event()

    @hooks.on(OrderFulfilled)
    async def note(order: OrderFulfilled) -> None:
        handled.set()

    elsewhere = make()
    await elsewhere.inbox.open()
    async with hooks:
        await settled(hooks, await deliver(hooks, about("o-0")))  # now it listens
        handled.clear()
        await elsewhere.inbox.put(entry("d-1", receiver="up42", body=about("o-9"), received=time.time()), time.time())
        async with asyncio.timeout(30):
            await handled.wait()
    await elsewhere.inbox.close()


async def test_those_of_one_order_are_handled_one_after_the_other_without_waiting_for_a_poll(make: Make) -> None:
    hooks = make(poll=600)
    seen: list[int] = []

    @hooks.on(OrderFulfilled)
    async def note(order: OrderFulfilled) -> None:
        seen.append((order.body.model_extra or {})["number"])

    async with hooks:
        for number in range(12):
            await deliver(hooks, about(number=number))
        await until(lambda: len(seen) == 12)
    assert seen == [*range(12)]


async def test_a_retry_comes_at_its_time_and_nobody_of_its_order_passes_it(make: Make) -> None:
    hooks = make(backoff=SOON)
    seen: list[tuple[int, int]] = []

    @hooks.on(OrderFulfilled)
    async def fail_once(order: OrderFulfilled, attempt: Attempt) -> None:
        seen.append(((order.body.model_extra or {})["number"], attempt.number))
        if attempt.number == 1:
            raise Retry(after=0.3)

    async with hooks:
        ids = [await deliver(hooks, about(number=number)) for number in (1, 2)]
        for id in ids:
            await settled(hooks, id)
    assert seen == [(1, 1), (1, 2), (2, 1), (2, 2)]


async def test_of_three_handlers_only_the_one_that_failed_runs_again_and_then_it_is_dead(make: Make) -> None:
    hooks = make(backoff=AT_ONCE)
    seen: list[str] = []
    heard: list[str] = []

    @hooks.on(OrderFulfilled)
    async def good(order: OrderFulfilled) -> None:
        seen.append("good")

    @hooks.on(OrderFulfilled)
    async def bad(order: OrderFulfilled) -> None:
        seen.append("bad")
        raise ValueError("no")

    @hooks.on_dead
    async def hear(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        heard.append(delivery.id)

    async with hooks:
        id = await deliver(hooks)
        await settled(hooks, id, State.DEAD)
    assert (seen, heard) == (["good", "bad", "bad", "bad"], [id])


async def test_one_that_is_dead_and_not_heard_of_yet_holds_nobody_up(make: Make) -> None:
    hooks = make(backoff=Backoff(first=0, longest=0, attempts=1))
    may_hear = asyncio.Event()

    @hooks.on(OrderFulfilled)
    async def bad(order: OrderFulfilled) -> None:
        if (order.body.model_extra or {})["number"] == 1:
            raise ValueError("no")

    @hooks.on_dead
    async def hear(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        if not may_hear.is_set():
            raise Retry(after=0.1)

    async with hooks:
        first = await deliver(hooks, about(number=1))
        second = await deliver(hooks, about(number=2))
        await settled(hooks, second)
        may_hear.set()
        await settled(hooks, first, State.DEAD)


async def test_a_replayed_one_runs_again_at_once_although_it_waits_for_its_retry(make: Make) -> None:
    hooks = make(backoff=Backoff(first=3600, longest=3600, attempts=5))
    runs: list[int] = []

    @hooks.on(OrderFulfilled)
    async def fail_once(order: OrderFulfilled, attempt: Attempt) -> None:
        runs.append(attempt.number)
        if attempt.number == 1:
            raise ValueError("not the first time")

    async with hooks:
        id = await deliver(hooks)
        await waiting(hooks, id)
        assert await hooks.inbox.replay([id], time.time()) == 1
        await settled(hooks, id)
    assert runs == [1, 2]


async def test_what_waits_for_a_paused_handler_runs_when_it_is_resumed(
    ran: tuple[WebhookReceiver, list[str | None]],
) -> None:
    hooks, orders = ran
    (name,) = [handler.name for handler in hooks.handlers]
    await hooks.pause(name)
    first = await deliver(hooks, about(number=1))
    second = await deliver(hooks, about(number=2))
    await kept_until(hooks, first, lambda record: record.paused_by == name and not record.leased)
    assert orders == []
    assert await hooks.resume(name)
    for id in (first, second):
        await settled(hooks, id)
    assert len(orders) == 2


async def test_when_it_stops_what_has_not_ended_is_left_to_others(make: Make, postgres_url: str) -> None:
    hooks = make(stop=0.1)
    begun, attempts = asyncio.Event(), list[int]()

    @hooks.on(OrderFulfilled)
    async def hang_once(order: OrderFulfilled, attempt: Attempt) -> None:
        attempts.append(attempt.number)
        if len(attempts) == 1:
            begun.set()
            await asyncio.Event().wait()

    async with hooks:
        id = await deliver(hooks)
        await begun.wait()
    assert execute(postgres_url, "SELECT state, due, lease, crashes FROM progress") == [("waiting", 0, None, 0)]
    async with hooks:
        await settled(hooks, id)
    assert attempts == [1, 1], "a run that was interrupted does not count"


def only_keeping(url: str) -> WebhookReceiver:
    """Return a receiver that only keeps."""
    return WebhookReceiver(inbox=url, scheme=Unsigned(), work=False)


async def test_it_stops_without_the_server_and_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with postgres() as server:
        hooks = durable(migrated(f"{server.address}/postgres") + "?timeout=1", clock=time.time, poll=0.2)
        began, goes_on = asyncio.Event(), asyncio.Event()

        @hooks.on(OrderFulfilled)
        async def wait(order: OrderFulfilled) -> None:
            began.set()
            await goes_on.wait()

        async with hooks:
            await deliver(hooks)
            await began.wait()
            server.stop(signal.SIGQUIT)
            goes_on.set()
            await until(lambda: "is not settled" in caplog.text)
    gc.collect()
    assert [record for record in caplog.records if record.exc_info and record.levelno > logging.INFO] == []


async def test_receivers_that_only_keep_have_no_worker(postgres_url: str) -> None:
    hooks = only_keeping(postgres_url)
    async with hooks:
        id = await deliver(hooks)
        assert hooks._runtime._worker is None
        assert (await hooks.health()).state == "working"
        kept = await hooks.inbox.get(id)
    assert kept is not None
    assert kept.summary.state is State.WAITING


async def test_a_receiver_that_only_keeps_may_be_set_to_work(postgres_url: str) -> None:
    hooks = only_keeping(postgres_url)
    orders: list[str | None] = []

    @hooks.on(OrderFulfilled)
    async def note(order: OrderFulfilled) -> None:
        orders.append(order.order_id)

    hooks.set_to_work(3)
    async with hooks:
        worker = hooks._runtime._worker
        assert isinstance(worker, Worker)
        assert worker._options.concurrency == 3
        await settled(hooks, await deliver(hooks))
    assert orders == ["o-1"]


async def test_no_more_handlers_run_at_once_than_there_may(make: Make) -> None:
    hooks = make(concurrency=2)
    running, most, go_on = 0, 0, asyncio.Event()

    @hooks.on(OrderFulfilled)
    async def count(order: OrderFulfilled) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        await asyncio.sleep(0)  # so that others may begin
        running -= 1

    async with hooks:
        ids = [await deliver(hooks, about(f"o-{number}")) for number in range(12)]
        await until(lambda: running == 2)
        go_on.set()
        for id in ids:
            await settled(hooks, id)
    assert most == 2


@pytest.mark.parametrize("step", [3600.0, -3600.0])
async def test_a_step_of_the_clock_makes_no_retry_wait_as_long_as_the_step(postgres_url: str, step: float) -> None:
    stepped = 0.0
    hooks = durable(postgres_url, clock=lambda: time.time() + stepped, poll=0.1, backoff=SOON)
    attempts: list[int] = []

    @hooks.on(OrderFulfilled)
    async def fail_twice(order: OrderFulfilled, attempt: Attempt) -> None:
        nonlocal stepped
        attempts.append(attempt.number)
        if attempt.number == 1:
            stepped = step
        if attempt.number < 3:
            raise Retry(after=0.2)

    async with hooks, asyncio.timeout(30):
        for id in [await deliver(hooks, about(f"o-{number}")) for number in range(3)]:
            await settled(hooks, id)
    assert sorted(attempts) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
