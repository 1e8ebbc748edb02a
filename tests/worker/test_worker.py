from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import NOW
from tests.working import (
    AT_ONCE,
    LEASE,
    PATIENCE,
    Clock,
    Faulty,
    about,
    cancel_own_task,
    deliver,
    durable,
    kept_until,
    settled,
    until,
    waiting,
)
from webhook_receiver import (
    Attempt,
    Backoff,
    Delivery,
    Event,
    GiveUp,
    InboxUnavailable,
    MemoryInbox,
    OrderFailedPermanently,
    OrderFulfilled,
    Retry,
    SQLiteInbox,
    State,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.cli import serve
from webhook_receiver.delivery import new_id
from webhook_receiver.events import order_id_of
from webhook_receiver.inbox import Claim, DeliverySummary, Entry, Filter, Settlement
from webhook_receiver.inbox import clock as inbox_clock
from webhook_receiver.options import WorkerOptions
from webhook_receiver.runtime import background
from webhook_receiver.testing.inbox_suite import put
from webhook_receiver.worker import worker as worker_module
from webhook_receiver.worker.prefetch import Prefetch


class Blocking:
    """A receiver whose handler waits until it is let go, and what it was called for."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.hooks = durable(*arguments, **options)
        self.began: list[str] = []
        self.running = self.most = 0
        self.go_on = asyncio.Event()
        self.hooks.on(Event, name="blocking")(self.handle)

    async def handle(self, event: Event, attempt: Attempt) -> None:
        self.began.append(attempt.delivery.id)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.go_on.wait()
        finally:
            self.running -= 1


async def leased(hooks: WebhookReceiver) -> int:
    return (await hooks.inbox.stats()).running


async def test_no_more_are_handled_at_once_than_the_limit_says() -> None:
    blocking = Blocking(concurrency=3)
    async with blocking.hooks:
        ids = [await deliver(blocking.hooks, about(number)) for number in range(12)]
        await until(lambda: blocking.running == 3)
        assert await leased(blocking.hooks) == 3, "nothing is claimed ahead of handlers that are slow"
        blocking.go_on.set()
        for id in ids:
            await settled(blocking.hooks, id)
    assert (blocking.most, sorted(blocking.began)) == (3, sorted(ids))


@pytest.mark.parametrize("key", [order_id_of, lambda event: event.body.model_extra["customer"], lambda event: 7])
async def test_deliveries_of_one_key_are_handled_one_at_a_time_in_order_id_of_receipt(
    key: Callable[[Any], object],
) -> None:
    hooks = durable(ordering_key=key)
    ran: list[str] = []
    running = 0

    @hooks.on(OrderFulfilled, name="handler")
    async def handler(order: OrderFulfilled, attempt: Attempt) -> None:
        nonlocal running
        running += 1
        assert running == 1
        ran.append(attempt.delivery.id)
        await asyncio.to_thread(int)
        running -= 1

    async with hooks:
        ids = [await deliver(hooks, about("o-1", customer="c-1", number=number)) for number in range(10)]
        for id in ids:
            kept = await settled(hooks, id)
            assert kept.attempts == []
    assert ran == ids


@pytest.mark.parametrize("key", [lambda event: None, lambda event: 1 / 0])
async def test_deliveries_without_a_key_or_whose_key_cannot_be_told_run_in_parallel(
    key: Callable[[Any], object], caplog: pytest.LogCaptureFixture
) -> None:
    blocking = Blocking(ordering_key=key)
    async with blocking.hooks:
        for number in range(3):
            await deliver(blocking.hooks, about("o-1", number=number))
        await until(lambda: blocking.running == 3)
        blocking.go_on.set()
    assert ("ordering_key failed, so it is handled in no order" in caplog.text) == ("ZeroDivisionError" in caplog.text)


async def test_what_is_behind_a_retry_waits_for_it_and_other_keys_do_not() -> None:
    clock, ran = Clock(), list[str]()
    hooks = durable(clock=clock)

    @hooks.on(OrderFulfilled, name="handler")
    async def handler(order: OrderFulfilled) -> None:
        ran.append(str(order.order_id))
        if len(ran) == 1:
            raise Retry(60)

    async with hooks:
        first = await deliver(hooks, about("a"))
        await waiting(hooks, first)
        second, other = await deliver(hooks, about("a", number=2)), await deliver(hooks, about("b"))
        await settled(hooks, other)
        assert ran == ["a", "b"]
        clock.move(60)
        await settled(hooks, second)
    assert ran == ["a", "b", "a", "a"]


async def test_a_dead_one_does_not_block_those_behind_it() -> None:
    hooks = durable()

    @hooks.on(OrderFulfilled, name="handler")
    async def handler(order: OrderFulfilled) -> None:
        if order.body.model_extra and "number" not in order.body.model_extra:
            raise GiveUp("no")

    async with hooks:
        first, second = await deliver(hooks), await deliver(hooks, about(number=2))
        await settled(hooks, second)
        await settled(hooks, first, State.DEAD)


async def test_the_worker_wakes_at_once_when_something_is_put() -> None:
    hooks = durable(poll=3600)
    hooks.on(Event, name="handler")(lambda event: None)
    async with hooks:
        for number in range(3):
            await settled(hooks, await deliver(hooks, about(number)))
        id = await asyncio.to_thread(lambda: asyncio.run(deliver(hooks, about("from another loop"))))
        await settled(hooks, id)


async def test_a_replay_by_a_duplicate_wakes_it_too() -> None:
    hooks, errors = durable(poll=3600), [GiveUp("no")]

    @hooks.on(Event, name="handler")
    async def handler(event: Event) -> None:
        if errors:
            raise errors.pop()

    async with hooks:
        id = await deliver(hooks)
        await settled(hooks, id, State.DEAD)
        assert await deliver(hooks, status=200) == id
        await settled(hooks, id)


async def test_retries_are_looked_at_in_time_also_when_something_was_put_meanwhile() -> None:
    hooks, tries = durable(poll=3600, clock=asyncio.get_running_loop().time), list[int]()

    @hooks.on(OrderFulfilled, name="handler")
    async def handler(order: OrderFulfilled, attempt: Attempt) -> None:
        if order.order_id == "retried":
            tries.append(attempt.number)
            if attempt.number < 3:
                raise Retry(0.1)

    async with hooks:
        id = await deliver(hooks, about("retried"))
        await waiting(hooks, id)
        await settled(hooks, await deliver(hooks, about("another")))
        await settled(hooks, id)
    assert tries == [1, 2, 3]


async def test_what_is_due_again_at_once_is_never_left_to_its_lease() -> None:
    hooks = durable(concurrency=4, poll=3600, backoff=Backoff(0, 0, 100))

    @hooks.on(Event, name="handler")
    async def handler(event: Event, attempt: Attempt) -> None:
        if attempt.number < 10:
            raise Retry(0)

    async with hooks:
        ids = await asyncio.gather(*[deliver(hooks, about(number)) for number in range(40)])
        for id in ids:
            assert (await settled(hooks, id)).summary.handlers["handler"].attempts == 10


async def test_a_worker_with_all_hands_full_rests_also_when_a_retry_is_due() -> None:
    clock, inbox = Clock(), Faulty()
    blocking = Blocking(inbox, clock=clock, concurrency=1)

    @blocking.hooks.on("first", name="first")
    async def first(event: Event, attempt: Attempt) -> None:
        if attempt.number == 1:
            raise Retry(5)

    blocking.go_on.set()
    async with blocking.hooks:
        id = await deliver(blocking.hooks, b'{"event": "first"}')
        await waiting(blocking.hooks, id)
        blocking.go_on.clear()
        await deliver(blocking.hooks)
        await until(lambda: blocking.running == 1)
        clock.move(10)
        rounds, looks = inbox.calls["paused"], clock.looks
        await until(lambda: inbox.calls["paused"] > rounds + 5)
        assert clock.looks == looks
        blocking.go_on.set()
        await settled(blocking.hooks, id)


@pytest.mark.parametrize("error", [InboxUnavailable("the disk is full"), OSError("it broke")])
@pytest.mark.parametrize("operation", ["claim", "paused", "expire", "renew"])
async def test_an_inbox_that_fails_does_not_end_the_worker(
    operation: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    inbox, ran = Faulty(), list[Event]()
    hooks = durable(inbox, lease=0.03)
    hooks.on(Event, name="handler")(ran.append)
    if operation == "expire":  # once it has succeeded it is asked for again after a minute
        inbox.faults[operation] = error
    async with hooks:
        await until(lambda: inbox.calls[operation] > 0)
        inbox.faults[operation] = error
        before = inbox.calls[operation]
        await until(lambda: inbox.calls[operation] > before + 2)
        inbox.faults.clear()
        await settled(hooks, await deliver(hooks))
        await until(lambda: "up42: the inbox works again" in caplog.text)
    assert len(ran) == 1
    assert caplog.text.count(str(error)) == 1


async def test_what_could_not_be_settled_is_settled_later_and_not_handled_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inbox, ran = Faulty(), list[Event]()
    hooks = durable(inbox)
    hooks.on(Event, name="handler")(ran.append)
    inbox.faults["settle"] = InboxUnavailable("the disk is full")
    async with hooks:
        id = await deliver(hooks)
        await until(lambda: inbox.calls["settle"] > 3)
        inbox.faults.clear()
        await settled(hooks, id)
    assert len(ran) == 1
    assert caplog.text.count(f"delivery {id} is not settled: the disk is full") == 1


@pytest.mark.parametrize("is_lost", [True, False])
async def test_a_dead_letter_is_told_once_also_if_the_answer_of_its_commit_was_lost(
    is_lost: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(MemoryInbox):
        calls = 0

        async def settle(self, settlement: Settlement, now: float) -> bool:
            self.calls += 1
            settled = (is_lost or self.calls > 1) and await super().settle(settlement, now)
            if self.calls == 1:
                raise InboxUnavailable("the server is gone")
            return settled

    inbox = Away()
    hooks = durable(inbox)

    @hooks.on(Event, name="handler")
    def handler(event: Event) -> None:
        raise GiveUp("no")

    async with hooks:
        id = await deliver(hooks)
        await until(lambda: f"delivery {id} is dead" in caplog.text)
        assert (hooks.runtime.counters.dead_letters, inbox.calls) == (1, 2)
    assert caplog.text.count(f"delivery {id} is dead") == 1
    assert "its lease was lost" not in caplog.text


async def test_a_worker_stops_also_while_nothing_can_be_settled_or_released() -> None:
    inbox = Faulty()
    hooks = durable(inbox, stop=PATIENCE)
    hooks.on(Event, name="handler")(lambda event: None)
    async with hooks:
        inbox.faults |= dict.fromkeys(["settle", "release"], InboxUnavailable("the disk is full"))
        await deliver(hooks)
        await until(lambda: inbox.calls["settle"] > 1)


async def test_what_is_settled_under_a_lease_that_another_worker_has_is_discarded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    blocking = Blocking(clock=clock, concurrency=1)
    inbox = blocking.hooks.inbox
    async with blocking.hooks:
        id = await deliver(blocking.hooks)
        await until(lambda: blocking.running == 1)
        clock.move(LEASE + 1)
        (claim,) = await inbox.claim("up42", 1, LEASE, clock())
        blocking.go_on.set()
        await until(lambda: f"delivery {id}: its lease was lost, so it is handled again" in caplog.text)
        kept = await inbox.get(id)
        assert kept is not None
        assert (kept.summary.state, kept.summary.leased) == (State.WAITING, True)
        await inbox.release([claim], clock())
        await settled(blocking.hooks, id)
    assert blocking.began == [id, id]


async def test_a_lease_that_ended_under_our_hands_goes_on_if_nobody_else_had_it() -> None:
    clock = Clock()
    blocking = Blocking(clock=clock, concurrency=2)
    async with blocking.hooks:
        id = await deliver(blocking.hooks)
        await until(lambda: blocking.running == 1)
        clock.move(LEASE + 1)  # as after a jump of the clock
        await kept_until(blocking.hooks, id, lambda record: record.due == clock.now + LEASE)
        worker = blocking.hooks._runtime._worker
        await until(lambda: worker is not None and worker._in_flight[id].next is not None)
        blocking.go_on.set()
        await settled(blocking.hooks, id)
    assert blocking.began == [id]


class ByRenewal(SQLiteInbox):
    """A file whose renewals move the clock: leases would end if they were not renewed."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path)
        self.moved = clock
        self.renewals = 0

    async def renew(self, claims: Sequence[Claim], lease: float, now: float) -> None:
        await super().renew(claims, lease, now)
        if claims:
            self.moved.move(lease * 2 / 3)
            self.renewals += 1


@pytest.mark.usefixtures("own_processes")
async def test_the_lease_of_a_long_handler_is_renewed_so_that_no_other_worker_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_clock, "uptime", lambda: 0.0)  # a busy machine must not count beside the clock of here
    clock = Clock()
    inbox = ByRenewal(tmp_path / "hooks.db", clock)
    blocking = Blocking(inbox, clock=clock, lease=0.03)
    other = Blocking(f"sqlite:///{tmp_path}/hooks.db", clock=clock, lease=0.03)
    async with blocking.hooks:
        id = await deliver(blocking.hooks)
        await until(lambda: blocking.running == 1)
        async with other.hooks:
            await until(lambda: inbox.renewals > 10)
            blocking.go_on.set()
            await settled(blocking.hooks, id)
    assert (blocking.began, other.began) == ([id], [])
    assert clock.now > NOW + 0.03 * 6


async def fill(hooks: WebhookReceiver, count: int) -> list[str]:
    """Put deliveries into the inbox before the worker starts, so that it finds many at once."""
    await hooks.inbox.open()
    deliveries = [Delivery(new_id(), hooks.name, (), about(number), NOW, None, False) for number in range(count)]
    await asyncio.gather(*[hooks.inbox.put(Entry(each, "order.status"), NOW) for each in deliveries])
    return [each.id for each in deliveries]


async def test_what_a_dead_worker_had_is_claimed_when_its_lease_has_ended() -> None:
    clock, inbox, ran = Clock(), Faulty(), list[Event]()
    hooks = durable(inbox, clock=clock)
    hooks.on(Event, name="handler")(ran.append)
    (id,) = await fill(hooks, 1)
    assert await inbox.claim("up42", 1, LEASE, clock())
    async with hooks:
        clock.move(LEASE - 1)
        await until(lambda: inbox.calls["claim"] > 4)
        assert ran == []
        clock.move(1)
        await settled(hooks, id)
    assert len(ran) == 1


@pytest.mark.parametrize("born", [True, False])
async def test_what_has_not_begun_when_its_lease_is_over_is_left_to_who_comes_first(
    born: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, inbox, ran = Clock(), Faulty(), list[str]()
    monkeypatch.setattr(Prefetch, "ahead", lambda self: 5)
    hooks = durable(inbox, clock=clock, concurrency=1, poll=3600, ordering_key=lambda event: None)

    @hooks.on(Event)
    async def handle(event: Event, attempt: Attempt) -> None:
        ran.append(attempt.delivery.id)
        if len(ran) == 1:
            clock.move(2 * LEASE)  # as a process is stopped and goes on
            taken.update({each.delivery.id for each in await Faulty.claim(inbox, hooks.name, 10, LEASE, clock())})

    taken, ids = set[str](), ["d-1", "d-2", "d-3"]
    for id in () if born else ids:
        await inbox.open()
        await inbox.put(Entry(Delivery(id, hooks.name, (), about(id), NOW, 0, True), "order.status"), NOW)
    async with hooks:
        if born:
            await until(lambda: hooks._runtime._worker is not None and hooks._runtime._worker._is_hungry)
            ids = await asyncio.gather(*[deliver(hooks, about(number)) for number in range(3)])
        await until(lambda: bool(taken))
        await until(lambda: not hooks._runtime._worker._in_flight if hooks._runtime._worker else False)
    assert ran == ids[:1]
    assert taken >= {*ids[1:]}


@pytest.mark.parametrize("renewed", [False, True])
async def test_what_waits_for_its_turn_until_its_lease_is_over_is_left_to_who_comes_first(renewed: bool) -> None:
    clock, inbox, ran, release = Clock(), Faulty(), list[str](), asyncio.Event()
    hooks = durable(inbox, clock=clock, poll=3600, ordering_key=lambda event: None)

    @hooks.on(Event, concurrency=1)
    async def handle(event: Event, attempt: Attempt) -> None:
        ran.append(attempt.delivery.id)
        await release.wait()

    async with hooks:
        ids = [await deliver(hooks, about(number)) for number in range(2)]
        worker = hooks._runtime._worker
        await until(lambda: worker is not None and worker._turns.waiting == 1)
        assert worker is not None
        clock.move(2 * LEASE)  # as a process is stopped and goes on
        taken = await Faulty.claim(inbox, hooks.name, 10, LEASE, clock())
        if renewed:
            await worker._renew()
        release.set()
        await until(lambda: not worker._in_flight)
    assert ran == ids[:1]
    assert {each.delivery.id for each in taken} == {*ids}


async def died_twice(hooks: WebhookReceiver, clock: Clock, count: int) -> list[str]:
    """Put deliveries into the inbox with which the process has died twice before the worker starts."""
    ids = await fill(hooks, count)
    for _ in range(2):
        assert len(await hooks.inbox.claim("up42", count, LEASE, clock())) == count
        clock.move(LEASE + 1)
    return ids


async def test_deliveries_with_which_the_process_died_twice_run_one_at_a_time() -> None:
    clock = Clock()
    blocking = Blocking(clock=clock)
    blocking.go_on.set()
    ids = await died_twice(blocking.hooks, clock, 5)
    async with blocking.hooks:
        for id in ids:
            await settled(blocking.hooks, id)
    assert (blocking.most, sorted(blocking.began)) == (1, sorted(ids))


async def test_deliveries_with_which_the_process_died_twice_wait_in_the_inbox_and_leave_others_their_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("webhook_receiver.worker.limits._LONGEST_LINE", 3)
    clock = Clock()
    blocking = Blocking(clock=clock, concurrency=2)
    ids = await died_twice(blocking.hooks, clock, 20)
    async with blocking.hooks, asyncio.timeout(PATIENCE):
        while await leased(blocking.hooks) != 4:  # one runs, and three are in the line
            pass
        fresh = await deliver(blocking.hooks, about("o-1"))
        await until(lambda: len(blocking.began) == 2)
        assert (blocking.running, blocking.began[1]) == (2, fresh)
        blocking.go_on.set()
        while (await blocking.hooks.inbox.stats()).counts[State.DONE] < 21:
            clock.move(0 if await leased(blocking.hooks) else 1)
    assert sorted(blocking.began) == sorted([*ids, fresh]), "none has run, or failed, a second time"


async def test_a_handler_that_ignores_its_time_keeps_no_other_with_which_the_process_died_twice_from_running() -> None:
    clock, release, ran = Clock(), asyncio.Event(), list[str]()
    hooks = durable(clock=clock)

    @hooks.on(Event, name="stubborn", timeout=0.05, backoff=Backoff(attempts=1))
    async def stubborn(event: Event, attempt: Attempt) -> None:
        ran.append(attempt.delivery.id)
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()

    ids = await died_twice(hooks, clock, 3)
    async with hooks:
        try:
            for id in ids:
                await settled(hooks, id, State.DEAD)
        finally:
            release.set()
    assert sorted(ran) == sorted(ids)


async def test_a_damaged_delivery_was_settled_in_unix_time_wherever_the_clock_of_the_inbox_is(tmp_path: Path) -> None:
    inbox = await SQLiteInbox(tmp_path / "hooks.db").open()
    await put(inbox, "d-1", receiver="webhooks")
    await inbox.close()
    with closing(sqlite3.connect(tmp_path / "hooks.db")) as file:
        file.execute("UPDATE delivery SET body = x'00'")
        file.execute("UPDATE clock SET booted = booted - 7200")  # as if the system's had been set ahead since
        file.commit()
    found: Sequence[DeliverySummary] = ()
    async with WebhookReceiver(inbox=inbox, scheme=Unsigned(), name="webhooks") as hooks, asyncio.timeout(PATIENCE):
        while not found:
            found = await hooks.inbox.find(Filter(states=[State.DEAD]))
    assert [abs((each.settled or 0) - time.time()) < PATIENCE for each in found] == [True]


class Generous(SQLiteInbox):
    """A file that hands out more than is asked for, so that much is claimed ahead."""

    async def claim(
        self, receiver: str, limit: int, lease: float, now: float, unix: float | None = None
    ) -> Sequence[Claim]:
        return await super().claim(receiver, limit + 10, lease, now, unix)


async def test_what_was_claimed_ahead_of_slow_handlers_is_given_back(tmp_path: Path) -> None:
    blocking = Blocking(Generous(tmp_path / "hooks.db"), concurrency=2, lease=0.03)
    ids = await fill(blocking.hooks, 30)
    async with blocking.hooks:
        await until(lambda: blocking.running == 2)
        async with asyncio.timeout(PATIENCE):
            while await leased(blocking.hooks) > 2:
                pass
        blocking.go_on.set()
        for id in ids:
            await settled(blocking.hooks, id)
    assert sorted(blocking.began) == sorted(ids)


async def test_at_a_stop_nothing_begins_any_more_and_a_second_worker_takes_over_at_once(tmp_path: Path) -> None:
    blocking = Blocking(Generous(tmp_path / "hooks.db"), concurrency=2, stop=0)
    ids = await fill(blocking.hooks, 30)
    async with blocking.hooks:
        await until(lambda: blocking.running == 2)
        assert await leased(blocking.hooks) == 12
    assert len(blocking.began) == 2
    after = Blocking(f"sqlite:///{tmp_path}/hooks.db")
    after.go_on.set()
    async with after.hooks:
        for id in ids:
            kept = await settled(after.hooks, id)
            assert kept.summary.handlers["blocking"].attempts == 1
    assert sorted(after.began) == sorted(ids)


async def test_running_handlers_are_waited_for() -> None:
    blocking = Blocking(stop=PATIENCE, concurrency=1)
    leave = asyncio.Event()

    async def live() -> None:
        async with blocking.hooks:
            await leave.wait()
            asyncio.get_running_loop().call_later(0.05, blocking.go_on.set)
        assert blocking.running == 0

    life = asyncio.create_task(live())
    await until(lambda: blocking.hooks._runtime._worker is not None)
    first, second = await deliver(blocking.hooks), await deliver(blocking.hooks, about("o-2"))
    await until(lambda: blocking.running == 1)
    leave.set()
    await asyncio.wait_for(life, PATIENCE)
    assert blocking.began == [first]
    assert second not in blocking.began


async def left(path: Path, now: float) -> dict[str, int]:
    """Return the deliveries in a file that nobody has, each with the number of its crashes."""
    inbox = await SQLiteInbox(path, min_free=0).open()
    found = await inbox.claim("up42", 10, LEASE, now)
    await inbox.close()
    return {each.delivery.id: each.crashes for each in found}


class Stuck(SQLiteInbox):
    """A file that is slow to settle: it waits until it may go on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, min_free=0)
        self.go_on, self.asked = asyncio.Event(), asyncio.Event()

    async def settle(self, settlement: Settlement, now: float) -> bool:
        self.asked.set()
        await self.go_on.wait()
        return await super().settle(settlement, now)


async def test_what_was_reached_is_written_though_the_time_of_a_stop_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, ran = Stuck(tmp_path / "hooks.db"), list[str]()
    hooks = durable(inbox, stop=0)
    hooks.on(Event, name="handler")(lambda event: ran.append("handler"))
    still_running = worker_module.Worker._still_running

    async def wait(worker: worker_module.Worker, seconds: float) -> Any:
        if seconds:  # the cut is behind us
            inbox.go_on.set()
            seconds = PATIENCE
        return await still_running(worker, seconds)

    monkeypatch.setattr(worker_module.Worker, "_still_running", wait)
    async with hooks:
        await deliver(hooks)
        await inbox.asked.wait()
    assert (await left(tmp_path / "hooks.db", NOW + LEASE + 1), ran) == ({}, ["handler"])


async def test_a_lease_that_was_claimed_anew_while_its_delivery_was_handled_ends_with_the_worker(
    tmp_path: Path,
) -> None:
    clock = Clock()
    blocking = Blocking(SQLiteInbox(tmp_path / "hooks.db", min_free=0), clock=clock)
    hooks, ran = blocking.hooks, list[str]()
    hooks.on(Event, name="second")(lambda event: ran.append("second"))
    (id,) = await fill(hooks, 1)
    await hooks.inbox.claim("up42", 1, LEASE, clock())  # by a process that dies: from now on it is looked at twice
    clock.move(LEASE + 1)
    async with hooks:
        await until(lambda: blocking.running == 1)
        worker = hooks._runtime._worker
        assert worker is not None
        clock.move(LEASE + 1)  # as a process is stopped and goes on
        worker.wake()
        await until(lambda: worker._in_flight[id].next is not None)
        worker._stopping.set()
        blocking.go_on.set()
    assert ([*await left(tmp_path / "hooks.db", clock())], ran) == ([id], [])


@pytest.mark.parametrize("stops", [True, False])
async def test_what_could_not_be_begun_is_given_back_and_is_no_crash(
    stops: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, failed = asyncio.Event(), list[str]()

    async def complete(runtime: object, delivery: Delivery) -> None:
        asked.set()
        if stops:
            await asyncio.Event().wait()
        if not failed:
            failed.append(delivery.id)
            raise InboxUnavailable("the disk is full")

    monkeypatch.setattr("webhook_receiver.runtime.Runtime._complete", complete)
    inbox, ran = SQLiteInbox(tmp_path / "hooks.db", min_free=0), list[str]()
    hooks = durable(inbox, stop=0, lease=0.3)
    hooks.on(Event, name="handler")(lambda event: ran.append("handler"))
    (id,) = await fill(hooks, 1)
    async with hooks:
        await asked.wait()
        if not stops:
            await settled(hooks, id)
    assert (await left(tmp_path / "hooks.db", NOW), ran) == (({id: 0}, []) if stops else ({}, ["handler"]))


async def test_what_is_on_its_way_to_a_worker_that_stops_is_free_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed, ran = list[str](), list[str]()

    def take(worker: Any, owner: Any, claims: Sequence[Claim]) -> bool:
        handed.extend(claim.delivery.id for claim in claims)  # the event loop has not come to it yet
        return True

    hooks = durable(f"sqlite:///{tmp_path}/hooks.db")

    @hooks.on(OrderFulfilled)
    def run(event: OrderFulfilled) -> None:
        ran.append(f"{event.order_id}")

    with monkeypatch.context() as patched:
        patched.setattr(worker_module.Worker, "_take", take)
        async with hooks:
            worker = hooks._runtime._worker
            assert worker is not None
            await until(lambda: worker._owner is not None and worker._is_hungry)
            id = await deliver(hooks)
    assert (handed, ran) == ([id], [])
    async with hooks:
        await settled(hooks, id)
    assert ran == ["o-1"]


async def test_handlers_that_finished_stay_done_when_a_stop_cancels_the_next_one(tmp_path: Path) -> None:
    inbox, ran = f"sqlite:///{tmp_path}/hooks.db", list[str]()
    blocking = Blocking(inbox, stop=0)

    @blocking.hooks.on(OrderFulfilled, name="before")
    async def before(order: OrderFulfilled) -> None:
        ran.append("before")

    async with blocking.hooks:
        id = await deliver(blocking.hooks)
        await until(lambda: blocking.running == 1)
    after = Blocking(inbox)
    after.hooks.on(OrderFulfilled, name="before")(before)
    after.go_on.set()
    async with after.hooks:
        kept = await settled(after.hooks, id)
    assert (ran, after.began) == (["before"], [id])
    assert kept.summary.handlers["blocking"].attempts == 1, "the interrupted run never was"


async def test_a_handler_that_does_not_end_is_named_when_the_process_stops(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook_receiver.worker.worker._PATIENCE", 0.05)
    release, began = asyncio.Event(), asyncio.Event()
    hooks = durable(stop=0)

    @hooks.on(Event, name="stubborn")
    async def stubborn(event: Event) -> None:
        began.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    try:
        async with hooks:
            await deliver(hooks)
            await asyncio.wait_for(began.wait(), PATIENCE)
        assert "up42: stubborn does not end, and is left behind; its lease ends by itself" in caplog.text
    finally:
        release.set()


async def test_what_is_waited_for_and_what_is_cut_off_is_told_when_the_process_stops(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hooks, began = durable(f"sqlite:///{tmp_path}/hooks.db", stop=0.01), asyncio.Semaphore(0)

    @hooks.on(Event, name="long")
    async def long(event: Event) -> None:
        began.release()
        await asyncio.Event().wait()

    @hooks.on(Event, name="never")
    def never(event: Event) -> None: ...

    async with hooks:
        ids = [await deliver(hooks), await deliver(hooks, about("o-2"))]
        for _ in ids:
            await asyncio.wait_for(began.acquire(), PATIENCE)
    assert "up42 stops, and waits up to 0.01 s for long (2 times)" in caplog.messages
    cut_off = [record for record in caplog.records if "is cut off" in record.getMessage()]
    assert {(record.levelname, vars(record)["delivery_id"]) for record in cut_off} == {("WARNING", id) for id in ids}
    assert {(vars(record)["handler"], vars(record)["attempt"]) for record in cut_off} == {("long", 1)}


async def test_a_worker_that_has_nothing_to_wait_for_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    hooks = durable()
    hooks.on(Event, name="handler")(lambda event: None)
    async with hooks:
        await settled(hooks, await deliver(hooks))
        caplog.clear()
        caplog.set_level(logging.INFO)
    assert caplog.messages == []


def test_a_stop_takes_no_longer_than_containers_give_a_process() -> None:
    requests, tasks, threads = 1.0, background._STOP_TIMEOUT, serve._PATIENCE
    assert requests + tasks + WorkerOptions().stop + worker_module._PATIENCE + threads <= 10


async def test_a_worker_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    hooks = durable(backoff=AT_ONCE)
    hooks.on(Event, name="handler")(lambda event: None)
    async with hooks:
        await settled(hooks, await deliver(hooks))
    assert asyncio.all_tasks() == before


if sys.version_info >= (3, 12):  # which brought tasks that begin before whoever makes them goes on

    async def test_tasks_may_begin_at_once() -> None:
        loop, handled = asyncio.get_running_loop(), list[str | None]()
        hooks = durable()

        @hooks.on_fulfilled
        async def download(event: OrderFulfilled) -> None:
            handled.append(event.order_id)

        loop.set_task_factory(asyncio.eager_task_factory)
        async with hooks:
            ids = [await deliver(hooks, about(f"o-{number}")) for number in range(20)]
            for id in ids:
                await settled(hooks, id, State.DONE)
        loop.set_task_factory(None)
        assert sorted(filter(None, handled)) == sorted(f"o-{number}" for number in range(20))


@pytest.mark.parametrize("itself", [True, False])
async def test_a_worker_whose_tasks_a_handler_cancels_says_so_and_goes_on(
    itself: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook_receiver.worker.worker._UNTIL_RESTART", 0)
    hooks, ran, outside = durable(backoff=AT_ONCE), list[str](), asyncio.all_tasks()

    @hooks.on(OrderFulfilled, name="cancelling")
    async def cancelling(order: OrderFulfilled) -> None:
        ran.append(order.order_id or "")
        if order.order_id == "o-1":
            for task in asyncio.all_tasks() - outside - {asyncio.current_task()}:
                task.cancel()
            if itself:
                cancel_own_task()
                await asyncio.sleep(0)

    async with hooks:
        await settled(hooks, await deliver(hooks), State.DEAD if itself else State.DONE)
        assert (await hooks.health()).state == "working"
        await settled(hooks, await deliver(hooks, about("o-2")))
    assert ran == ["o-1"] * (3 if itself else 1) + ["o-2"]
    for name in ("claim", "renew", "refresh_paused", "expire"):
        said = f"up42: a task of the worker's ({name}) was cancelled, and not by the worker: it starts again"
        assert said in caplog.text


@pytest.mark.parametrize("place", range(4))
async def test_each_task_of_a_worker_that_is_cancelled_starts_again(
    place: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook_receiver.worker.worker._UNTIL_RESTART", 0)
    hooks = durable()
    hooks.on(OrderFulfilled)(lambda order: None)

    def restarted(times: int) -> bool:
        return caplog.text.count("it starts again") == times

    async with hooks:
        worker = hooks._runtime._worker
        assert worker is not None
        for times in (1, 2):
            worker._tasks[place].cancel()
            await until(partial(restarted, times))
        assert not any(task.done() for task in worker._tasks)
        await settled(hooks, await deliver(hooks))


async def test_a_worker_that_stops_starts_no_task_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook_receiver.worker.worker._UNTIL_RESTART", 0)
    hooks = durable()
    hooks.on(OrderFulfilled)(lambda order: None)
    async with hooks:
        worker = hooks._runtime._worker
        assert worker is not None
        for task in worker._tasks:
            task.cancel()
    await asyncio.sleep(0)
    assert all(task.done() for task in worker._tasks)
    assert "starts again" not in caplog.text


def test_an_event_loop_that_ends_before_its_worker_is_no_reason_to_start_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hooks = durable()
    hooks.on(OrderFulfilled)(lambda order: None)

    async def leave() -> None:
        await hooks.__aenter__()

    asyncio.run(leave())
    assert "starts again" not in caplog.text


async def test_a_system_clock_that_was_set_changes_no_wait_and_is_what_people_read() -> None:
    hooks = durable(clock=time.time)
    inbox: Any = hooks.inbox
    inbox._clock.booted -= 7200  # the system's clock was set ahead since the inbox has its own

    @hooks.on(OrderFulfilled, name="later")
    async def fail(event: OrderFulfilled) -> None:
        raise ValueError("odd")

    @hooks.on(OrderFailedPermanently, name="never")
    async def never(event: OrderFailedPermanently) -> None:
        raise GiveUp("no")

    async with hooks:
        stored = await waiting(hooks, await deliver(hooks))
        assert stored.summary.due is not None
        assert 0 < stored.summary.due - inbox.clock() <= 10
        assert abs(stored.attempts[0].started - time.time()) < 60
        dead = await settled(hooks, await deliver(hooks, about(2, "FAILED_PERMANENTLY")), State.DEAD)
        assert dead.summary.settled is not None
        assert abs(dead.summary.settled - time.time()) < 60
        assert (await hooks.health()).dead_within_hour == 1
