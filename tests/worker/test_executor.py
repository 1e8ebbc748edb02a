from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

import pytest
from pydantic import field_validator

from tests.helpers import NOW
from tests.odd_errors import ODD
from tests.working import (
    AT_ONCE,
    LATER,
    LEASE,
    PATIENCE,
    Clock,
    Faulty,
    about,
    cancel_own_task,
    deliver,
    durable,
    fail_in_a_task_group,
    kept_until,
    settled,
    until,
    waiting,
)
from webhook_receiver import (
    Attempt,
    Backoff,
    Breaker,
    Delivery,
    DeliverySummary,
    Event,
    FailedAttempt,
    Filter,
    GiveUp,
    HandlerState,
    InboxUnavailable,
    MemoryInbox,
    OrderFailedPermanently,
    OrderFulfilled,
    Retry,
    State,
    UnknownEvent,
    Unsigned,
    WebhookReceiver,
    WorkerOptions,
)
from webhook_receiver.delivery import Headers, new_id
from webhook_receiver.inbox import Claim, Entry, Inbox, Part
from webhook_receiver.inbox.counters import UNTIMED, bucket_of
from webhook_receiver.worker.worker import Worker


def failing(ran: list[str], name: str, *errors: BaseException) -> Callable[[Event], None]:
    """Return a handler that raises these, one on each run, and is done after them."""
    left = [*errors]

    def handler(event: Event) -> None:
        ran.append(name)
        if left:
            raise left.pop(0)

    return handler


@asynccontextmanager
async def ending(event: asyncio.Event) -> AsyncGenerator[None]:
    """Set an event that a handler waits for at the end, whatever happens: it would never end."""
    try:
        yield
    finally:
        event.set()


async def keep(inbox: Inbox, body: bytes, *, event: str | None = "order.status") -> str:
    """Keep a delivery as if it had been received before."""
    delivery = Delivery(new_id(), "up42", (), body, NOW, None, False)
    await inbox.put(Entry(delivery, event), NOW)
    return delivery.id


def worker_of(hooks: WebhookReceiver) -> Worker:
    worker = hooks._runtime._worker
    assert worker is not None
    return worker


async def tried(hooks: WebhookReceiver, id: str, handler: str, times: int, due: float | None = None) -> None:
    """Wait until a handler has failed so often, and waits; until then if `due` is given."""

    def holds(record: DeliverySummary) -> bool:
        each = record.handlers.get(handler, HandlerState())
        return each.attempts == times and not each.running and not record.leased and due in (None, record.due)

    await kept_until(hooks, id, holds)


async def crash(inbox: Inbox, clock: Clock, times: int = 1) -> None:
    """Let a process claim what there is and die, again and again."""
    for _ in range(times):
        assert await inbox.claim("up42", 100, LEASE, clock())
        clock.move(LEASE + 1)


async def test_of_three_handlers_only_the_one_that_failed_runs_again() -> None:
    clock, ran = Clock(), list[str]()
    hooks = durable(clock=clock)

    @hooks.on(OrderFulfilled)
    async def first(order: OrderFulfilled) -> None:
        ran.append("first")

    hooks.on(OrderFulfilled, name="second")(failing(ran, "second", OSError("gone"), OSError("gone")))
    hooks.on(OrderFulfilled, name="third")(failing(ran, "third"))
    async with hooks:
        id = await deliver(hooks)
        for _ in range(2):
            kept = await waiting(hooks, id)
            assert {name: each.state for name, each in kept.summary.handlers.items()} == {
                f"{__name__}:test_of_three_handlers_only_the_one_that_failed_runs_again.<locals>.first": "done",
                "second": "waiting",
                "third": "done",
            }
            clock.move(10)
            await kept_until(hooks, id, lambda record: record.handlers["second"].due > clock.now or not record.due)
        await settled(hooks, id)
    assert ran == ["first", "second", "third", "second", "second"]


async def test_a_handler_that_asks_for_a_later_time_runs_then() -> None:
    clock, ran = Clock(), list[str]()
    hooks = durable(clock=clock)
    hooks.on(Event, name="later")(failing(ran, "later", Retry(after=90)))
    async with hooks:
        id = await deliver(hooks)
        assert (await waiting(hooks, id)).summary.due == NOW + 90
        clock.move(90)
        kept = await settled(hooks, id)
    assert kept.attempts == [FailedAttempt("later", 1, NOW, 0, "retry", "Retry: try again after 90 s")]
    assert ran == ["later", "later"]


async def test_a_handler_that_asks_for_more_than_its_attempts_is_told_that_none_is_left() -> None:
    hooks = durable()
    again = [Retry(after=0), Retry(after=0)]
    hooks.on(Event, name="later", backoff=Backoff(first=0, longest=0, attempts=2))(failing([], "later", *again))
    async with hooks:
        kept = await settled(hooks, await deliver(hooks), State.DEAD)
    assert kept.summary.reason == "later: Retry: no attempt of 2 is left"
    assert [each.error for each in kept.attempts] == [
        "Retry: try again after 0 s",
        "Retry: no attempt of 2 is left",
    ]


async def test_a_handler_that_gives_up_is_not_run_again() -> None:
    ran: list[str] = []
    hooks = durable()
    hooks.on(Event, name="hopeless")(failing(ran, "hopeless", GiveUp("no such order")))
    async with hooks:
        kept = await settled(hooks, await deliver(hooks), State.DEAD)
    assert kept.summary.reason == "hopeless: GiveUp: no such order"
    assert [attempt.outcome for attempt in kept.attempts] == ["dead"]
    assert ran == ["hopeless"]


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("odd"),
        SystemExit(3),
        BaseExceptionGroup("many", [SystemExit()]),
        asyncio.CancelledError("of its own making"),
        StopIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_handler_raises_is_a_failed_attempt(error: BaseException, is_async: bool) -> None:
    hooks, ran = durable(backoff=AT_ONCE), list[str]()
    handler = failing(ran, "it", error)

    @hooks.on(Event, name="plain", where=lambda event: not is_async)
    def plain(event: Event) -> None:
        handler(event)

    @hooks.on(Event, name="async", where=lambda event: is_async)
    async def awaited(event: Event) -> None:
        handler(event)

    async with hooks:
        kept = await settled(hooks, await deliver(hooks))
    (attempt,) = kept.attempts
    assert (attempt.number, attempt.outcome) == (1, "retry")
    assert "in handler" in attempt.traceback
    assert ran == ["it", "it"]


async def test_a_delivery_is_dead_after_the_last_attempt_and_every_attempts_error_is_kept() -> None:
    clock = Clock()
    hooks = durable(clock=clock, backoff=LATER)
    hooks.on(Event, name="broken")(failing([], "broken", *[ValueError(f"number {number}") for number in (1, 2, 3)]))
    async with hooks:
        id = await deliver(hooks)
        for number in (1, 2):
            await tried(hooks, id, "broken", number)
            clock.move(10)
        kept = await settled(hooks, id, State.DEAD)
    assert [(each.number, each.outcome, each.error) for each in kept.attempts] == [
        (1, "retry", "ValueError: number 1"),
        (2, "retry", "ValueError: number 2"),
        (3, "dead", "ValueError: number 3"),
    ]
    assert all("in handler" in attempt.traceback for attempt in kept.attempts)
    assert [attempt.started for attempt in kept.attempts] == [NOW, NOW + 10, NOW + 20]
    assert kept.summary.reason == "broken: ValueError: number 3"


@pytest.mark.parametrize("fail", ODD.values(), ids=ODD)
async def test_an_odd_error_uses_up_its_attempts_and_the_next_delivery_is_handled(
    fail: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    hooks, ran = durable(backoff=AT_ONCE), list[int]()

    @hooks.on(Event, name="handler")
    async def handler(event: Event, attempt: Attempt) -> None:
        ran.append(attempt.number)
        if b"o-1" in attempt.delivery.body:
            fail()

    async with hooks:
        kept = await settled(hooks, await deliver(hooks, about("o-1")), State.DEAD)
        await settled(hooks, await deliver(hooks, about("o-2")))
    assert ran == [1, 2, 3, 1]
    assert [each.outcome for each in kept.attempts] == ["retry", "retry", "dead"]
    assert [record.getMessage() for record in caplog.records if "stumbled" in record.getMessage()] == []
    assert len(caplog.records) == 4


async def test_a_route_has_its_own_backoff() -> None:
    ran: list[str] = []
    hooks = durable(backoff=AT_ONCE)
    errors = [OSError()] * 9
    hooks.on(Event, name="once", backoff=Backoff(attempts=1))(failing(ran, "once", *errors))
    hooks.on(Event, name="as all")(failing(ran, "as all", *errors))
    async with hooks:
        await settled(hooks, await deliver(hooks), State.DEAD)
    assert sorted(ran) == ["as all", "as all", "as all", "once"]


async def test_the_number_counts_over_replays_and_the_key_stays() -> None:
    attempts: list[Attempt] = []
    others: list[Attempt] = []
    hooks = durable(backoff=Backoff(first=0, longest=0, attempts=2))

    @hooks.on(Event, name="a")
    async def a(event: Event, attempt: Attempt) -> None:
        attempts.append(attempt)
        if len(attempts) < 4:
            raise OSError

    @hooks.on(Event, name="b")
    def b(event: Event, attempt: Attempt) -> None:
        others.append(attempt)

    async with hooks:
        id = await deliver(hooks)
        await settled(hooks, id, State.DEAD)
        assert await hooks.inbox.replay([id], NOW) == 1
        kept = await settled(hooks, id)
    assert [attempt.number for attempt in attempts] == [1, 2, 3, 4]
    assert len({attempt.idempotency_key for attempt in attempts}) == 1
    assert {attempt.delivery for attempt in attempts} == {kept.delivery}
    assert [attempt.number for attempt in others] == [1]
    assert others[0].idempotency_key != attempts[0].idempotency_key


async def test_the_newest_code_decides_who_handles_what_was_kept_before(tmp_path: Path) -> None:
    inbox, clock, ran = f"sqlite:///{tmp_path}/hooks.db", Clock(), list[str]()
    before = durable(inbox, clock=clock)
    before.on(OrderFulfilled, name="stays")(failing(ran, "stays"))
    before.on(OrderFulfilled, name="old name")(failing(ran, "old name", OSError()))
    before.on(OrderFailedPermanently, name="removed")(failing(ran, "removed", OSError()))
    async with before:
        renamed, removed = await deliver(before, about(1)), await deliver(before, about(2, "FAILED_PERMANENTLY"))
        await waiting(before, renamed)
        await waiting(before, removed)
    clock.move(10)
    after = durable(inbox, clock=clock)
    for name in ("added", "stays", "new name"):
        after.on(OrderFulfilled, name=name)(failing(ran, name))
    async with after:
        await settled(after, renamed)
        kept = await settled(after, removed, State.UNHANDLED)
    assert ran[-2:] == ["added", "new name"]
    assert sorted(ran[:-2]) == ["old name", "removed", "stays"]
    assert kept.summary.reason == "the handlers that wanted it are gone"
    assert [attempt.handler for attempt in kept.attempts] == ["removed"]


async def test_what_nobody_wants_is_kept_shown_and_replayable() -> None:
    hooks, ran = durable(), list[str]()
    async with hooks:
        id = await deliver(hooks, b'{"event": "parcel.lost"}')
        kept = await settled(hooks, id, State.UNHANDLED)
        assert kept.summary.reason == "no handler wants it"
        assert [each.id for each in await hooks.inbox.find(Filter(states=[State.UNHANDLED]))] == [id]
        hooks.on("parcel.lost", name="late")(failing(ran, "late"))
        await hooks.inbox.replay([id], NOW)
        await settled(hooks, id)
    assert ran == ["late"]


async def test_what_is_no_event_any_more_becomes_a_dead_letter_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Event, frozen=True):
        event: Literal["broken"]
        word: str

        @field_validator("word")
        @classmethod
        def look_up(cls, word: str) -> str:
            return dict[str, str]()[word]

    hooks, heard = durable(), list[str]()
    hooks.on(Broken, name="handler")(lambda event: None)

    @hooks.on_dead
    def hear(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        heard.append(delivery.id)

    async with hooks:
        odd = await keep(hooks.inbox, b'{"event": "order.status", "body": {"note": "hush"}}')
        broken = await keep(hooks.inbox, b'{"event": "broken", "word": "hush"}')
        first, second = await settled(hooks, odd, State.DEAD), await settled(hooks, broken, State.DEAD)
        await until(lambda: len(heard) == 2)
    assert first.summary.reason is not None
    assert "status" in first.summary.reason
    assert second.summary.reason == "a validator failed with KeyError"
    assert "hush" not in first.summary.reason
    assert f"delivery {broken}: a validator failed" in caplog.text


class Batches(WebhookReceiver):
    """A receiver whose sender has a list of events in each body."""

    def parse(self, body: bytes, headers: Headers = (), part: int = 0) -> Event:
        return super().parse(json.dumps(json.loads(body)[part]).encode(), headers)


async def test_a_handler_gets_the_event_of_its_part_and_each_part_is_retried_by_itself() -> None:
    clock, ran = Clock(), list[str]()
    hooks = Batches(
        inbox=MemoryInbox(), scheme=Unsigned(), worker=WorkerOptions(backoff=AT_ONCE, poll=0.01), clock=clock
    )

    @hooks.on(UnknownEvent)
    def handler(event: UnknownEvent, attempt: Attempt) -> None:
        ran.append(f"{attempt.delivery.id} {event.event} {attempt.number}")
        if event.event == "b" and attempt.number == 1:
            raise ValueError

    body = json.dumps([{"event": name} for name in "abc"]).encode()
    delivery = Delivery("d-1", hooks.name, (), body, clock(), None, False)
    await hooks.inbox.open()
    await hooks.inbox.put(Entry(delivery, "a", parts=[Part(1, "b"), Part(2, "c")]), clock())
    async with hooks:
        for id in ("d-1", "d-1.1", "d-1.2"):
            await settled(hooks, id, State.DONE)
    assert sorted(ran) == ["d-1 a 1", "d-1.1 b 1", "d-1.1 b 2", "d-1.2 c 1"]


async def test_a_part_that_the_body_does_not_have_is_dead_with_the_reason() -> None:
    hooks = durable()
    hooks.on(UnknownEvent)(lambda event: None)
    async with hooks:
        delivery = Delivery("d-1", "up42", (), b'{"event": "x"}', NOW, None, False)
        await hooks.inbox.put(Entry(delivery, "x", parts=[Part(1, "x")]), NOW)
        await settled(hooks, "d-1", State.DONE)
        dead = await settled(hooks, "d-1.1", State.DEAD)
    assert dead.summary.reason == "a delivery from up42 is one event: there is no part 1 of it"


async def test_a_predicate_that_raises_fails_as_its_handler_would() -> None:
    ran: list[str] = []
    hooks = durable(backoff=AT_ONCE)
    hooks.on(Event, name="other")(failing(ran, "other"))
    answers = [ZeroDivisionError(), None]

    def where(event: Event) -> bool:
        if error := answers.pop(0):
            raise error
        return True

    hooks.on(Event, name="picky", where=where)(failing(ran, "picky"))
    async with hooks:
        kept = await settled(hooks, await deliver(hooks))
    assert [(each.handler, each.error) for each in kept.attempts] == [("picky", "ZeroDivisionError")]
    assert ran == ["other", "picky"]


async def test_on_dead_hears_once_it_is_committed_and_again_until_it_succeeds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hooks = durable(backoff=AT_ONCE)
    heard: list[tuple[Delivery, Sequence[FailedAttempt], State | None]] = []
    hooks.on(Event, name="broken")(failing([], "broken", *[OSError(f"number {each}") for each in (1, 2, 3)]))

    @hooks.on_dead
    async def hear(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        kept = await hooks.inbox.get(delivery.id)
        heard.append((delivery, attempts, kept.summary.state if kept else None))
        if len(heard) < 3:
            raise ConnectionError("no mail today")

    async with hooks:
        id = await deliver(hooks)
        kept = await settled(hooks, id, State.DEAD)
    assert [(delivery.id, state) for delivery, _, state in heard] == [(id, State.DEAD)] * 3
    assert [attempt.error for attempt in heard[0][1]] == ["OSError: number 1", "OSError: number 2", "OSError: number 3"]
    assert kept.summary.reason == "broken: OSError: number 3"
    assert caplog.text.count("hear failed") == 2
    assert [each.error for each in kept.attempts if "hear" in each.handler] == ["ConnectionError: no mail today"] * 2


async def test_on_dead_that_fails_for_good_leaves_the_delivery_dead() -> None:
    hooks, heard = durable(backoff=AT_ONCE), list[str]()
    hooks.on(Event, name="hopeless")(failing([], "hopeless", GiveUp("no")))

    @hooks.on_dead
    def hear(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        heard.append(delivery.id)
        raise ConnectionError

    async with hooks:
        id = await deliver(hooks)
        kept = await settled(hooks, id, State.DEAD)
        assert heard == [id] * 3
        assert kept.summary.reason == "hopeless: GiveUp: no"


async def test_a_dead_letter_that_somebody_hears_of_while_the_process_stops_stays_dead(tmp_path: Path) -> None:
    inbox, heard, blocked = f"sqlite:///{tmp_path}/hooks.db", list[str](), asyncio.Event()
    hooks = durable(inbox, stop=0)
    hooks.on(Event, name="hopeless")(failing([], "hopeless", GiveUp("no")))

    async def never(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        blocked.set()
        await asyncio.Event().wait()

    def hear(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        heard.append(delivery.id)

    hooks.on_dead(never)
    async with hooks:
        id = await deliver(hooks)
        await asyncio.wait_for(blocked.wait(), PATIENCE)
    after = durable(inbox)
    after.on_dead(hear)
    async with after:
        kept = await settled(after, id, State.DEAD)
        assert (heard, kept.summary.reason) == ([id], "hopeless: GiveUp: no")


@pytest.mark.parametrize("itself", [True, False])
async def test_a_handler_that_takes_too_long_fails_although_a_task_group_has_failed_before(itself: bool) -> None:
    hooks = durable(backoff=Backoff(attempts=1))

    @hooks.on(Event, name="grouped")
    async def grouped(event: Event) -> None:
        await fail_in_a_task_group()

    @hooks.on(Event, name="slow", timeout=0.05)
    async def slow(event: Event) -> None:
        if itself:
            with suppress(ExceptionGroup):
                await fail_in_a_task_group()
        await asyncio.Event().wait()

    @hooks.on(Event, name="cancelled")
    async def cancelled(event: Event) -> None:
        raise asyncio.CancelledError("of its own making")

    async with hooks:
        kept = await settled(hooks, await deliver(hooks), State.DEAD)
    assert [(each.handler, each.error.partition(":")[0]) for each in kept.attempts] == [
        ("grouped", "ExceptionGroup"),
        ("slow", "TimeoutError"),
        ("cancelled", "CancelledError"),
    ]


async def _cancel_at_once() -> None:
    cancel_own_task()
    await asyncio.sleep(0)


async def _cancel_later() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.Event().wait()


async def _cancel_twice() -> None:
    try:
        await _cancel_at_once()
    finally:
        cancel_own_task()


@pytest.mark.parametrize("cancel", [_cancel_at_once, _cancel_later, _cancel_twice])
async def test_a_handler_that_cancels_its_own_task_has_failed_and_the_others_run(
    cancel: Callable[[], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    hooks, ran = durable(concurrency=1, backoff=AT_ONCE), list[str]()

    @hooks.on(Event, name="cancelling")
    async def cancelling(event: Event) -> None:
        ran.append("cancelling")
        await cancel()

    @hooks.on(Event, name="other")
    async def other(event: Event) -> None:
        await asyncio.sleep(0)
        ran.append("other")

    async with hooks:
        kept = await settled(hooks, await deliver(hooks), State.DEAD)
    assert [(each.handler, each.error) for each in kept.attempts] == [("cancelling", "CancelledError")] * 3
    assert (ran.count("cancelling"), ran.count("other")) == (3, 1)
    assert "cancelling failed" in caplog.text


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("others", [0, 1])
async def test_a_handler_that_raises_what_closes_a_coroutine_has_failed(others: int, plain: bool) -> None:
    hooks = durable(backoff=AT_ONCE)
    for place in range(others):
        hooks.on(Event, name=f"other {place}")(failing([], "other"))

    async def closing(event: Event) -> None:
        raise GeneratorExit

    hooks.on(Event, name="closing")(failing([], "", *[GeneratorExit()] * 3) if plain else closing)
    async with hooks:
        kept = await settled(hooks, await deliver(hooks), State.DEAD)
    assert [(each.handler, each.error) for each in kept.attempts] == [("closing", "GeneratorExit")] * 3


async def _leave_it() -> None:
    cancel_own_task()


async def _swallow_it() -> None:
    with suppress(asyncio.CancelledError):
        await _cancel_at_once()


async def _swallow_and_leave_it() -> None:
    await _swallow_it()
    cancel_own_task()


async def _fail_with_it() -> None:
    cancel_own_task()
    raise GiveUp("no")


@pytest.mark.parametrize("leak", [_leave_it, _swallow_it, _swallow_and_leave_it, _fail_with_it])
async def test_a_cancellation_that_a_handler_leaves_in_its_task_does_not_fail_the_next_one(
    leak: Callable[[], Awaitable[None]],
) -> None:
    hooks, seen = durable(), list[int]()

    @hooks.on(Event, name="leaking")
    async def leaking(event: Event) -> None:
        await leak()

    @hooks.on(Event, name="next", timeout=0.05, backoff=Backoff(attempts=1))
    async def late(event: Event) -> None:
        task = asyncio.current_task()
        assert task is not None
        seen.append(task.cancelling())
        await asyncio.Event().wait()

    async with hooks:
        kept = await settled(hooks, await deliver(hooks), State.DEAD)
    errors = [each.error for each in kept.attempts if each.handler == "next"]
    assert errors == ["TimeoutError: it took more than 0.05 s"]
    assert seen == [0]


async def test_a_handler_that_cancels_its_own_task_is_backed_off() -> None:
    hooks = durable()

    @hooks.on(Event, name="again")
    async def again(event: Event) -> None:
        await _cancel_at_once()

    async with hooks:
        kept = await waiting(hooks, await deliver(hooks))
    assert (kept.summary.due or 0) > NOW
    assert kept.summary.handlers["again"].attempts == 1


async def test_a_dead_letter_handler_that_cancels_its_own_task_has_failed() -> None:
    hooks = durable(backoff=AT_ONCE)

    @hooks.on(Event, name="hopeless")
    async def hopeless(event: Event) -> None:
        raise GiveUp("no")

    @hooks.on_dead
    async def alert(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        await _cancel_at_once()

    async with hooks:
        id = await deliver(hooks)
        kept = await kept_until(hooks, id, lambda record: record.state is State.DEAD and record.due is None)
    assert [each.error for each in kept.attempts] == ["GiveUp: no"] + ["CancelledError"] * 3


async def test_an_async_handler_that_takes_too_long_fails_and_the_others_run(caplog: pytest.LogCaptureFixture) -> None:
    hooks, ran = durable(timeout=0.05, backoff=AT_ONCE), list[str]()

    @hooks.on(Event, name="slow")
    async def slow(event: Event) -> None:
        ran.append("slow")
        await asyncio.Event().wait()

    hooks.on(Event, name="other", timeout=PATIENCE)(failing(ran, "other"))
    async with hooks:
        kept = await settled(hooks, await deliver(hooks), State.DEAD)
    assert ran == ["slow", "other", "slow", "slow"]
    assert [each.error for each in kept.attempts] == ["TimeoutError: it took more than 0.05 s"] * 3
    assert "slow failed: TimeoutError: it took more than 0.05 s" in caplog.text


async def test_a_handler_has_its_own_time_whatever_those_have_that_run_beside_it() -> None:
    hooks, running, release = durable(backoff=Backoff(attempts=1)), asyncio.Event(), asyncio.Event()

    @hooks.on(OrderFulfilled, name="patient", timeout=PATIENCE)
    async def patient(order: OrderFulfilled) -> None:
        running.set()
        await release.wait()

    @hooks.on(OrderFailedPermanently, name="hasty", timeout=0.05)
    async def hasty(order: OrderFailedPermanently) -> None:
        await asyncio.Event().wait()

    async with hooks, ending(release):
        long = await deliver(hooks, about("o-1"))
        await asyncio.wait_for(running.wait(), PATIENCE)
        short = await settled(hooks, await deliver(hooks, about("o-2", "FAILED_PERMANENTLY")), State.DEAD)
        assert [each.error for each in short.attempts] == ["TimeoutError: it took more than 0.05 s"]
        release.set()
        assert (await settled(hooks, long)).attempts == []


async def test_a_handler_that_ends_in_time_after_it_was_told_to_is_done() -> None:
    hooks = durable()

    @hooks.on(Event, name="tidy", timeout=0.05)
    async def expire(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    ran: list[str] = []
    hooks.on(Event, name="other")(failing(ran, "other"))
    async with hooks:
        kept = await settled(hooks, await deliver(hooks))
    assert (kept.attempts, ran) == ([], ["other"])


async def test_a_handler_that_ignores_its_time_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    hooks, ran, release = durable(concurrency=1, backoff=AT_ONCE), list[str](), asyncio.Event()

    @hooks.on(Event, name="stubborn", timeout=0.05, backoff=Backoff(attempts=1))
    async def stubborn(event: Event) -> None:
        ran.append("stubborn")
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    hooks.on(Event, name="other")(failing(ran, "other"))
    async with hooks, ending(release):
        kept = await settled(hooks, await deliver(hooks), State.DEAD)
        assert ran == ["stubborn", "other"]
        assert [each.error for each in kept.attempts] == ["TimeoutError: it took more than 0.05 s"]
        assert "stubborn ignores that its time is up" in caplog.text
        attempts = hooks.runtime.counters.attempts
        assert {key: sum(numbers) for key, numbers in attempts.items()} == {
            ("dead", "stubborn"): 1,
            ("done", "other"): 1,
        }
        assert attempts["dead", "stubborn"][bucket_of(0.05)] == 1


async def test_a_plain_handler_that_takes_too_long_is_left_to_its_thread() -> None:
    hooks, ran, release = durable(), list[str](), threading.Event()

    @hooks.on(Event, name="slow", timeout=0.05, backoff=Backoff(attempts=1))
    def slow(event: Event) -> None:
        release.wait(PATIENCE)

    hooks.on(Event, name="other")(failing(ran, "other"))
    try:
        async with hooks:
            kept = await settled(hooks, await deliver(hooks), State.DEAD)
    finally:
        release.set()
    assert [(each.handler, each.outcome) for each in kept.attempts] == [("slow", "dead")]
    assert ran == ["other"]


def time_is_up(hooks: WebhookReceiver) -> None:
    """Let the time of all that runs be up, as the timer does: a thread may begin late, and its attempt end before."""
    timeouts = worker_of(hooks)._executor._timeouts
    for each in [*timeouts._ends]:
        timeouts.end(each)
        timeouts._is_up(each)


async def test_a_plain_handler_waits_while_too_many_of_its_threads_go_on_although_their_time_is_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("webhook_receiver.worker.executor._MOST_LEFT_BEHIND", 2)
    caplog.set_level(logging.INFO, "webhook_receiver")
    clock, release, begun = Clock(), threading.Event(), list[int]()
    hooks = durable(clock=clock, concurrency=1, backoff=Backoff(60, 60, 9))
    loop = asyncio.get_running_loop()

    @hooks.on(OrderFulfilled, name="hanging", timeout=PATIENCE)
    def hang(event: OrderFulfilled, attempt: Attempt) -> None:
        begun.append(attempt.number)
        if not release.is_set():
            loop.call_soon_threadsafe(time_is_up, hooks)
        release.wait(PATIENCE)

    hooks.on(OrderFailedPermanently, name="other")(lambda event: None)
    async with hooks:
        try:
            hung = [await deliver(hooks, about(f"o-{number}")) for number in (1, 2)]
            for each in hung:
                await tried(hooks, each, "hanging", 1)
            waits = await deliver(hooks, about("o-3"))
            await kept_until(hooks, waits, lambda record: record.due == NOW + 10)
            await settled(hooks, await deliver(hooks, about("o-4", "FAILED_PERMANENTLY")))
            assert begun == [1, 1], "no other thread has begun, and no slot is taken"
        finally:
            release.set()
        await until(lambda: hooks.handlers[0].threads.left_behind == 0)
        clock.move(100)
        for each in (*hung, waits):
            await settled(hooks, each)
    assert sorted(begun) == [1, 1, 1, 2, 2]
    assert caplog.text.count("hanging waits: 2 of its threads go on although their time is up") == 1
    assert caplog.text.count("hanging runs again") == 1


async def test_a_retry_fails_while_the_thread_of_the_attempt_before_goes_on() -> None:
    clock, release, begun = Clock(), threading.Event(), list[int]()
    hooks = durable(clock=clock, backoff=Backoff(60, 60, 9))
    loop = asyncio.get_running_loop()

    @hooks.on(OrderFulfilled, name="hanging", timeout=PATIENCE)
    def hang(event: OrderFulfilled, attempt: Attempt) -> None:
        begun.append(attempt.number)
        if not release.is_set():
            loop.call_soon_threadsafe(time_is_up, hooks)
        release.wait(PATIENCE)

    async with hooks:
        try:
            id = await deliver(hooks, about("o-1"))
            await tried(hooks, id, "hanging", 1)
            clock.move(100)
            await tried(hooks, id, "hanging", 2)
        finally:
            release.set()
        kept = await hooks.inbox.get(id)
        assert kept is not None
        assert "TimeoutError: its thread of an attempt before goes on" in str(kept.attempts[-1].error)
        await until(lambda: hooks.handlers[0].threads.left_behind == 0)
        clock.move(100)
        await settled(hooks, id)
    assert begun == [1, 3]


class Down:
    """A receiver with a handler whose dependency is down until it is up."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.error: type[Exception] | None = ConnectionError
        self.ran = 0
        self.hooks = durable(
            clock=self.clock,
            concurrency=1,
            breaker=Breaker(failures=2, seconds=30),
            backoff=Backoff(0, 0, 9),
        )
        self.hooks.on(Event, name="dependent")(self.handle)

    def handle(self, event: Event) -> None:
        self.ran += 1
        if self.error is not None:
            raise self.error

    async def at_rest(self, ids: Sequence[str], due: float) -> list[int]:
        """Wait until nothing runs before `due`; return how many attempts each delivery has had."""
        found = [await kept_until(self.hooks, id, lambda record: not record.leased and record.due == due) for id in ids]
        return [kept.summary.handlers["dependent"].attempts for kept in found]


async def test_the_circuit_opens_after_failures_of_the_same_kind_and_no_attempts_are_burnt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    down = Down()
    async with down.hooks:
        ids = [await deliver(down.hooks, about(number)) for number in range(4)]
        assert sum(await down.at_rest(ids, NOW + 30)) == down.ran == 2
        assert "dependent failed 2 times in a row with ConnectionError, and is left alone for 30 s" in caplog.text
        down.clock.move(30)
        assert sum(await down.at_rest(ids, NOW + 60)) == down.ran == 3, "one delivery tries"
        down.error = None
        down.clock.move(30)
        for id in ids:
            await settled(down.hooks, id)
    assert down.ran == 7
    assert caplog.text.count("is left alone") == 1
    assert "dependent works again" in caplog.text


async def test_failures_of_different_kinds_open_no_circuit() -> None:
    errors = [OSError(), ValueError(), OSError(), ValueError()]
    down = Down()
    down.hooks.on(Event, name="varied")(failing([], "varied", *errors))
    down.error = None
    async with down.hooks:
        kept = await settled(down.hooks, await deliver(down.hooks))
    assert len(kept.attempts) == 4


async def test_a_trial_that_says_nothing_of_the_dependency_lets_another_one_try() -> None:
    down = Down()
    async with down.hooks:
        ids = [await deliver(down.hooks, about(number)) for number in range(3)]
        await down.at_rest(ids, NOW + 30)
        down.error = type("Later", (Retry,), {"__init__": lambda self: Retry.__init__(self, 500)})
        down.clock.move(30)
        await until(lambda: down.ran == 5)
        down.error = None
        for id in ids:
            await kept_until(down.hooks, id, lambda record: not record.leased and record.due == NOW + 530)
        down.clock.move(500)
        for id in ids:
            await settled(down.hooks, id)


async def test_a_trial_that_is_left_behind_is_a_failed_one_and_there_is_another() -> None:
    clock, release, ran = Clock(), asyncio.Event(), list[str]()
    hooks = durable(clock=clock, breaker=Breaker(failures=1, seconds=30), backoff=Backoff(0, 0, 9))

    @hooks.on(Event, name="stubborn", timeout=0.05)
    async def stubborn(event: Event) -> None:
        ran.append("stubborn")
        while len(ran) < 3 and not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with hooks, ending(release):
        id = await deliver(hooks)
        for tries in (1, 2):
            await tried(hooks, id, "stubborn", tries, clock.now + 30)
            clock.move(30)
        await settled(hooks, id)
    assert len(ran) == 3


async def test_a_paused_handler_does_not_run_until_it_is_resumed_and_the_others_do() -> None:
    hooks, ran = durable(), list[str]()
    paused = failing(ran, "paused")
    hooks.on(Event, name="paused")(paused)
    hooks.on(Event, name="other")(failing(ran, "other"))
    async with hooks:
        await hooks.pause(paused)
        id = await deliver(hooks)
        kept = await kept_until(hooks, id, lambda record: record.paused_by == "paused")
        assert (ran, kept.summary.due) == (["other"], None)
        assert await hooks.resume("paused")
        await settled(hooks, id)
        assert not await hooks.resume("paused")
    assert ran == ["other", "paused"]


async def test_dead_letters_wait_for_a_paused_dead_letter_handler_and_keep_nobody_from_running() -> None:
    inbox, ran, heard = Faulty(), list[str](), list[str]()
    hooks = durable(inbox, concurrency=1)
    hooks.on(OrderFailedPermanently, name="failing")(failing(ran, "failing", *[GiveUp("no")] * 3))
    hooks.on(OrderFulfilled, name="other")(failing(ran, "other"))

    @hooks.on_dead
    async def tell(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        heard.append(delivery.id)

    (name,) = [each.name for each in hooks.dead_letter_handlers]
    async with hooks:
        await hooks.pause(tell)
        dead = [await deliver(hooks, about(f"o-{number}", "FAILED_PERMANENTLY")) for number in range(3)]
        for id in dead:
            kept = await kept_until(hooks, id, lambda record: record.paused_by == name)
            assert (kept.summary.state, kept.summary.reason) == (State.DEAD, "failing: GiveUp: no")
        settles = inbox.calls["settle"]
        await settled(hooks, await deliver(hooks, about("o-9")))
        assert (heard, ran[-1], inbox.calls["settle"]) == ([], "other", settles + 1)
        assert await hooks.resume(name)
        for id in dead:
            await settled(hooks, id, State.DEAD)
    assert sorted(heard) == sorted(dead)


@pytest.mark.usefixtures("own_processes")
async def test_a_handler_is_paused_and_resumed_from_elsewhere_and_over_restarts(tmp_path: Path) -> None:
    inbox, ran = f"sqlite:///{tmp_path}/hooks.db", list[str]()

    def receiver() -> WebhookReceiver:
        hooks = durable(inbox)
        hooks.on(Event, name="paused")(failing(ran, "paused"))
        return hooks

    async with receiver() as elsewhere:
        async with receiver() as hooks:
            await elsewhere.inbox.pause("paused", NOW)
            await until(lambda: "paused" in hooks._runtime._worker._executor.paused)  # type: ignore[union-attr]
        await elsewhere.pause("paused")
        ids = [await deliver(elsewhere, about(number)) for number in range(5)]
    async with receiver() as hooks:  # knows it before it claims anything
        for id in ids:
            await kept_until(hooks, id, lambda record: record.paused_by == "paused" and not record.leased)
        assert ran == []
        async with receiver() as elsewhere:
            await elsewhere.inbox.resume("paused")
            for id in ids:
                await settled(hooks, id)
    assert ran == ["paused"] * 5


async def test_what_was_resumed_elsewhere_is_run_at_once_and_not_claimed_again_and_again() -> None:
    inbox, ran = Faulty(), list[str]()
    hooks = durable(inbox, poll=1000.0)  # seconds until it would be read again who is paused
    hooks.on(Event, name="paused")(failing(ran, "paused"))
    async with hooks:
        await hooks.pause("paused")
        id = await deliver(hooks)
        await kept_until(hooks, id, lambda record: record.paused_by == "paused" and not record.leased)
        settles = inbox.calls["settle"]
        await hooks.inbox.resume("paused")  # as another process does
        hooks.runtime._worker.wake()  # type: ignore[union-attr]
        await settled(hooks, id)
    assert ran == ["paused"]
    assert inbox.calls["settle"] <= settles + 2


async def test_what_is_held_is_not_looked_at_again_until_it_is_resumed() -> None:
    inbox = Faulty()
    hooks = durable(inbox)
    hooks.on(Event, name="paused")(failing([], "paused"))
    async with hooks:
        await hooks.pause("paused")
        id = await deliver(hooks)
        await kept_until(hooks, id, lambda record: record.paused_by == "paused")
        settles, claims = inbox.calls["settle"], inbox.calls["claim"]
        await until(lambda: inbox.calls["claim"] >= claims + 3)
        assert inbox.calls["settle"] == settles


async def test_after_a_crash_a_run_is_noted_before_it_begins() -> None:
    clock, noted = Clock(), list[HandlerState]()
    hooks = durable(clock=clock)

    @hooks.on(Event, name="careful")
    async def careful(event: Event, attempt: Attempt) -> None:
        kept = await hooks.inbox.get(attempt.delivery.id)
        assert kept is not None
        noted.append(kept.summary.handlers["careful"])

    await hooks.inbox.open()
    id = await keep(hooks.inbox, about())
    await crash(hooks.inbox, clock)
    async with hooks:
        kept = await settled(hooks, id)
    assert noted == [HandlerState(State.WAITING, 1, 1, 0, running=True)]
    assert kept.summary.handlers["careful"] == HandlerState(State.DONE, 1, 1)


async def test_a_run_that_was_noted_and_never_ended_is_a_failed_attempt(caplog: pytest.LogCaptureFixture) -> None:
    clock, ran = Clock(), list[str]()
    hooks = durable(clock=clock, backoff=AT_ONCE)
    hooks.on(Event, name="deadly")(failing(ran, "deadly"))
    await hooks.inbox.open()
    id = await keep(hooks.inbox, about())
    await crash(hooks.inbox, clock)
    for number in (1, 2, 3):
        (claim,) = await hooks.inbox.claim("up42", 1, LEASE, clock())
        await hooks.inbox.save_progress(
            claim, {"deadly": HandlerState(State.WAITING, number, number, 0, running=True)}, clock()
        )
        clock.move(LEASE + 1)
    async with hooks:
        kept = await settled(hooks, id, State.DEAD)
    assert [(each.number, each.outcome, each.error) for each in kept.attempts] == [
        (3, "dead", "ProcessEnded: the process ended while it ran")
    ]
    assert f"delivery {id}: deadly failed: ProcessEnded: the process ended while it ran" in caplog.text
    assert hooks.runtime.counters.attempts["dead", "deadly"][UNTIMED] == 1
    assert ran == []


async def test_a_run_that_cannot_be_noted_does_not_begin_but_will(caplog: pytest.LogCaptureFixture) -> None:
    clock, inbox, ran = Clock(), Faulty(), list[str]()
    hooks = durable(inbox, clock=clock)
    hooks.on(Event, name="careful")(failing(ran, "careful"))
    await inbox.open()
    id = await keep(inbox, about())
    await crash(inbox, clock)
    inbox.faults["save_progress"] = InboxUnavailable("no room")
    async with hooks:
        await kept_until(hooks, id, lambda record: "careful" in record.handlers and not record.leased)
        assert ran == []
        del inbox.faults["save_progress"]
        clock.move(1)
        kept = await settled(hooks, id)
    assert kept.summary.handlers["careful"].attempts == 1
    assert f"delivery {id}: no room" in caplog.text


async def test_an_inbox_that_cannot_be_read_only_delays_who_hears_of_dead_letters(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, inbox, heard = Clock(), Faulty(), list[str]()
    hooks = durable(inbox, clock=clock)
    hooks.on(Event, name="hopeless")(failing([], "hopeless", GiveUp("no")))

    @hooks.on_dead
    def hear(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        heard.append(delivery.id)

    inbox.faults["get"] = InboxUnavailable("too many files are open")
    async with hooks:
        id = await deliver(hooks)
        await until(lambda: f"delivery {id}: too many files are open" in caplog.text)
        claims = inbox.calls["claim"]
        await until(lambda: inbox.calls["claim"] > claims + 2)
        assert (heard, inbox.calls["get"]) == ([], 1)
        inbox.faults.clear()
        clock.move(1)
        kept = await settled(hooks, id, State.DEAD)
    assert (heard, kept.summary.reason) == ([id], "hopeless: GiveUp: no")


async def test_a_lease_that_was_lost_is_noticed_before_a_careful_run(caplog: pytest.LogCaptureFixture) -> None:
    clock, ran = Clock(), list[str]()
    first_began, go_on = asyncio.Event(), asyncio.Event()
    hooks = durable(clock=clock, concurrency=1)

    @hooks.on(Event, name="first")
    async def first(event: Event) -> None:
        first_began.set()
        await go_on.wait()

    hooks.on(Event, name="second")(failing(ran, "second"))
    await hooks.inbox.open()
    id = await keep(hooks.inbox, about())
    await crash(hooks.inbox, clock)
    async with hooks:
        await asyncio.wait_for(first_began.wait(), PATIENCE)
        clock.move(LEASE + 1)
        (claim,) = await hooks.inbox.claim("up42", 1, LEASE, clock())
        go_on.set()
        await until(lambda: "its lease was lost, another worker has it" in caplog.text)
        assert ran == []
        await hooks.inbox.release([claim], clock())
        await tried(hooks, id, "first", 1)  # the run that was noted has failed
        clock.move(10)
        await settled(hooks, id)


@pytest.mark.parametrize("born", [False, True])
@pytest.mark.parametrize("taken", [False, True])
async def test_a_later_handler_begins_after_the_lease_is_over_only_if_nobody_has_the_delivery(
    born: bool, taken: bool, caplog: pytest.LogCaptureFixture
) -> None:
    clock, ran, others = Clock(), list[str](), list[Claim]()
    hooks = durable(clock=clock, poll=3600)

    @hooks.on(Event, name="first")
    async def first(event: Event) -> None:
        ran.append("first")
        if len(ran) == 1:
            clock.move(2 * LEASE)  # as a process is stopped and goes on
            others.extend(await hooks.inbox.claim("up42", 1, LEASE, clock()) if taken else [])

    hooks.on(Event, name="second")(failing(ran, "second"))
    hooks.on(Event, name="third", concurrency=1)(failing(ran, "third"))
    await hooks.inbox.open()
    id = "" if born else await keep(hooks.inbox, about())
    async with hooks:
        if born:
            await until(lambda: worker_of(hooks)._is_hungry)
            id = await deliver(hooks)
        if taken:
            await until(lambda: "its lease was lost, another worker has it" in caplog.text)
            assert ran == ["first"]
            await hooks.inbox.release(others, clock())
            worker_of(hooks).wake()
        await settled(hooks, id)
    assert ran == ["first"] * taken + ["first", "second", "third"]


async def test_while_the_inbox_fails_no_handler_begins_after_the_lease_is_over() -> None:
    clock, inbox, ran = Clock(), Faulty(), list[str]()
    hooks = durable(inbox, clock=clock)

    @hooks.on(Event, name="first")
    async def first(event: Event) -> None:
        ran.append("first")
        clock.move(2 * LEASE)
        inbox.faults |= dict.fromkeys(["renew", "settle"], InboxUnavailable("database is locked"))

    hooks.on(Event, name="second")(failing(ran, "second"))
    async with hooks:
        id = await deliver(hooks)
        await until(lambda: inbox.calls["settle"] > 1)
        assert ran == ["first"]
        inbox.faults.clear()
        await kept_until(hooks, id, lambda kept: not kept.leased)
        clock.move(1)
        kept = await settled(hooks, id)
    assert ran == ["first", "second"]
    assert kept.summary.handlers == {name: HandlerState(State.DONE, 1, 1) for name in ran}, "nothing was counted"


async def test_a_dead_letter_handler_begins_after_the_lease_is_over_only_if_nobody_has_the_delivery() -> None:
    clock, heard, others = Clock(), list[str](), list[Claim]()
    hooks = durable(clock=clock, poll=3600)

    @hooks.on_dead
    async def first(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        heard.append("first")
        if len(heard) == 1:
            clock.move(2 * LEASE)
            others.extend(await hooks.inbox.claim("up42", 1, LEASE, clock()))

    @hooks.on_dead
    async def second(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        heard.append("second")

    async with hooks:
        await deliver(hooks, b"no event")
        await until(lambda: bool(others) and not worker_of(hooks)._in_flight)
        assert heard == ["first"]
        await hooks.inbox.release(others, clock())
        worker_of(hooks).wake()
        await until(lambda: "second" in heard)
    assert heard == ["first", "first", "second"]


async def test_what_was_handled_is_logged_with_the_outcome(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    hooks = durable()
    hooks.on("a.name", name="handler")(lambda event: None)
    async with hooks:
        done, unhandled = await deliver(hooks, b'{"event": "a.name"}'), await deliver(hooks)
        await settled(hooks, done)
        await settled(hooks, unhandled, State.UNHANDLED)
    assert f"delivery {done}: {UnknownEvent.__name__}: handler: done" in caplog.text
    assert f"delivery {unhandled}: OrderFulfilled: no handler: unhandled" in caplog.text


async def test_what_a_script_has_done_is_not_done_again_when_its_app_is_imported(tmp_path: Path) -> None:
    url, ran, keys = f"sqlite:///{tmp_path}/hooks.db", list[str](), set[str]()

    def charge(event: Event, attempt: Attempt) -> None:
        ran.append("charge")

    def mail(event: Event, attempt: Attempt) -> None:
        ran.append("mail")
        keys.add(attempt.idempotency_key)
        if len(ran) == 2:
            raise OSError("the mail server is down")

    def report(event: Event) -> None:
        ran.append("report")

    script, app = durable(url, backoff=AT_ONCE, poll=60), durable(url)
    for each in (charge, mail, report):
        script.on(Event, name=f"__main__:{each.__qualname__}")(each)
        app.on(Event)(each)
    async with script:
        await script.pause(mail)
        await script.pause(report)
        id = await deliver(script)
        await waiting(script, id)
        await script.resume(mail)
        await kept_until(script, id, lambda kept: len(ran) == 2)
    async with app:
        await kept_until(app, id, lambda kept: ran == ["charge", "mail", "mail"] and kept.paused_by is not None)
        assert await app.inbox.paused() == {app.name_of(report)}
        await app.resume(report)
        await settled(app, id)
    assert ran == ["charge", "mail", "mail", "report"]
    assert len(keys) == 1
