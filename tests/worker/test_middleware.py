"""Middleware round the attempts of handlers and dead-letter handlers, with an inbox and without."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

import anyio
import pytest
from pydantic import BaseModel, ValidationError

from tests.helpers import NOW
from tests.orders import Simulator, client_at, sending
from tests.working import AT_ONCE, PATIENCE, Clock, deliver, durable, fail_in_a_task_group, settled, until, waiting
from webhook_receiver import (
    Attempt,
    Backoff,
    Breaker,
    CallNext,
    Delivery,
    Event,
    FailedAttempt,
    GiveUp,
    HandlerSignal,
    Retry,
    Router,
    State,
    StoredDelivery,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.errors import MiddlewareError
from webhook_receiver.routing import Middleware
from webhook_receiver.worker.middleware import run_inside

ONCE = Backoff(attempts=1)


class Noting:
    """A middleware that notes when it begins and how the rest ends."""

    def __init__(self, ran: list[str], name: str) -> None:
        self.ran = ran
        self.name = name

    async def __call__(self, attempt: Attempt, call_next: CallNext) -> None:
        self.ran.append(f"{self.name} begins")
        try:
            await call_next()
        except BaseException as error:
            self.ran.append(f"{self.name} sees {type(error).__name__}")
            raise
        self.ran.append(f"{self.name} ends")


async def passing(attempt: Attempt, call_next: CallNext) -> None:
    await call_next()


def without_inbox() -> WebhookReceiver:
    return WebhookReceiver(scheme=Unsigned(), clock=lambda: NOW)


async def answered(hooks: WebhookReceiver) -> int:
    """Deliver an event to a receiver without inbox; return the status of its response."""
    async with hooks:
        return (await hooks.receive({}, b'{"event": "a.name"}')).response.status


async def failed(hooks: WebhookReceiver) -> FailedAttempt:
    """Return the one failed attempt of a delivery that is dead after it."""
    async with hooks:
        kept = await settled(hooks, await deliver(hooks), State.DEAD)
    (attempt,) = kept.attempts
    return attempt


async def test_it_runs_round_each_attempt_of_each_handler_the_first_registered_outermost(tmp_path: Path) -> None:
    ran, router = list[str](), Router()
    hooks = durable(f"sqlite:///{tmp_path}/hooks.db", backoff=AT_ONCE)
    hooks.middleware(Noting(ran, "outer"))
    router.middleware(Noting(ran, "included"))
    hooks.include(router)
    hooks.middleware(Noting(ran, "inner"))
    errors = [OSError("gone")]

    @hooks.on(Event, name="async")
    async def first(event: Event) -> None:
        ran.append("async")

    @hooks.on(Event, name="plain")
    def second(event: Event) -> None:
        ran.append("plain")
        if errors:
            raise errors.pop()

    async with hooks:
        await settled(hooks, await deliver(hooks))
    begins = ["outer begins", "included begins", "inner begins"]
    ends = ["inner ends", "included ends", "outer ends"]
    sees = ["inner sees OSError", "included sees OSError", "outer sees OSError"]
    assert ran == [*begins, "async", *ends, *begins, "plain", *sees, *begins, "plain", *ends]


async def test_without_an_inbox_it_runs_round_each_handler_as_well() -> None:
    ran, hooks = list[str](), without_inbox()
    hooks.middleware(Noting(ran, "outer"))
    hooks.middleware(Noting(ran, "inner"))
    hooks.on("a.name", name="plain")(lambda event: ran.append("plain"))

    @hooks.on("a.name", name="async")
    async def broken(event: Event) -> None:
        raise OSError

    assert await answered(hooks) == 500
    begins = ["outer begins", "inner begins"]
    assert ran == [*begins, "plain", "inner ends", "outer ends", *begins, "inner sees OSError", "outer sees OSError"]


async def test_it_gets_the_attempt_that_the_handler_gets() -> None:
    seen, got, hooks = list[Attempt](), list[Attempt](), durable(backoff=AT_ONCE)

    @hooks.middleware
    async def note(attempt: Attempt, call_next: CallNext) -> None:
        seen.append(attempt)
        await call_next()

    @hooks.on(Event, name="handler")
    async def handler(event: Event, attempt: Attempt) -> None:
        got.append(attempt)
        if attempt.number < 3:
            raise OSError

    async with hooks:
        kept = await settled(hooks, await deliver(hooks))
    assert seen == got == [Attempt(kept.delivery, "handler", number) for number in (1, 2, 3)]
    assert len({attempt.idempotency_key for attempt in seen}) == 1


async def test_it_runs_round_dead_letter_handlers_too() -> None:
    seen, heard, hooks = list[Attempt](), list[str](), durable(backoff=AT_ONCE)

    @hooks.middleware
    async def note(attempt: Attempt, call_next: CallNext) -> None:
        seen.append(attempt)
        await call_next()

    @hooks.on(Event, name="hopeless")
    async def hopeless(event: Event) -> None:
        raise GiveUp("no")

    @hooks.on_dead
    def hear(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        heard.append(delivery.id)
        if len(heard) < 2:
            raise ConnectionError

    async with hooks:
        id = await deliver(hooks)
        await settled(hooks, id, State.DEAD)
    assert heard == [id, id]
    (dead_letter_handler,) = hooks.dead_letter_handlers
    name = dead_letter_handler.name
    assert [(each.handler, each.number) for each in seen] == [("hopeless", 1), (name, 1), (name, 2)]
    assert {each.delivery.id for each in seen} == {id}


async def test_the_check_of_an_order_is_no_handler_and_has_no_middleware() -> None:
    seen, sender = list[str](), Simulator()
    sender.change("o-1")
    with sending(sender) as url:
        async with client_at(url) as client:
            hooks = durable(confirm=client)

            @hooks.middleware
            async def note(attempt: Attempt, call_next: CallNext) -> None:
                seen.append(attempt.handler)
                await call_next()

            hooks.on(Event, name="handler")(lambda event: None)
            async with hooks:
                await settled(hooks, await deliver(hooks))
    assert sender.asked == ["o-1"]
    assert seen == ["handler"]


async def test_a_middleware_that_does_not_call_next_fails_the_attempt_and_the_handler_does_not_run() -> None:
    ran, hooks = list[str](), durable(backoff=ONCE)
    hooks.middleware(Noting(ran, "outer"))

    @hooks.middleware
    async def forgetful(attempt: Attempt, call_next: CallNext) -> None: ...

    hooks.on(Event, name="handler")(lambda event: ran.append("handler"))
    attempt = await failed(hooks)
    assert attempt.error == (
        f"MiddlewareError: {__name__}:{forgetful.__qualname__} returned without `await call_next()`, so the handler "
        "did not run: await it, or raise Retry(after=...) or GiveUp(reason) if it shall not run"
    )
    assert ran == ["outer begins", "outer sees MiddlewareError"]


@pytest.mark.parametrize("error", [ValueError("odd"), GiveUp("no"), Retry(5), asyncio.CancelledError("its own")])
async def test_a_middleware_that_swallows_what_call_next_raised_fails_the_attempt(error: BaseException) -> None:
    hooks = durable(backoff=ONCE)

    @hooks.middleware
    async def quiet(attempt: Attempt, call_next: CallNext) -> None:
        try:
            await call_next()
        except BaseException:
            return

    @hooks.on(Event, name="handler")
    async def handler(event: Event) -> None:
        raise error

    attempt = await failed(hooks)
    name = f"{__name__}:{quiet.__qualname__}"
    assert attempt.error.startswith(
        f"MiddlewareError: {name} swallowed what call_next() raised, {type(error).__name__}: "
    )
    assert attempt.error.endswith("raise it again, or another error, since the handler is not done")
    assert "in handler" in attempt.traceback


@pytest.mark.parametrize("swallows", [True, False])
async def test_without_an_inbox_too_no_middleware_makes_a_success_of_a_failure(swallows: bool) -> None:
    hooks = without_inbox()

    @hooks.middleware
    async def quiet(attempt: Attempt, call_next: CallNext) -> None:
        if swallows:
            try:
                await call_next()
            except OSError:
                return

    @hooks.on("a.name")
    def handler(event: Event) -> None:
        raise OSError

    assert await answered(hooks) == 500


async def test_what_pydantic_would_quote_of_the_body_is_neither_logged_nor_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Strict(BaseModel):
        size: int

    hooks = durable(backoff=ONCE)

    @hooks.middleware
    async def quiet(attempt: Attempt, call_next: CallNext) -> None:
        try:
            await call_next()
        except ValidationError:
            return

    @hooks.on(Event)
    def handler(event: Event) -> None:
        Strict.model_validate({"size": "-".join(["hush"] * 2)})

    attempt = await failed(hooks)
    assert "ValidationError: ?: Input should be a valid integer" in attempt.error
    assert not any("hush-hush" in text for text in (attempt.error, attempt.traceback, caplog.text))


async def test_the_handler_runs_once_however_often_next_is_called() -> None:
    ran, raised, hooks = list[str](), list[str](), durable()

    @hooks.middleware
    async def twice(attempt: Attempt, call_next: CallNext) -> None:
        await call_next()
        try:
            await call_next()
        except MiddlewareError as error:
            raised.append(str(error))

    hooks.on(Event)(lambda event: ran.append("handler"))
    async with hooks:
        kept = await settled(hooks, await deliver(hooks))
    assert (ran, kept.attempts) == (["handler"], [])
    assert raised == [
        f"{__name__}:{twice.__qualname__} awaited call_next() a second time, but a handler runs once in an attempt: "
        "to have it run again later, let its error through or raise Retry(after=...)"
    ]


async def test_a_middleware_that_tries_again_by_itself_fails_with_what_to_do_instead() -> None:
    ran, hooks = list[str](), durable(backoff=ONCE)

    @hooks.middleware
    async def stubborn(attempt: Attempt, call_next: CallNext) -> None:
        try:
            await call_next()
        except OSError:
            await call_next()

    @hooks.on(Event)
    def handler(event: Event) -> None:
        ran.append("handler")
        raise OSError

    attempt = await failed(hooks)
    assert "awaited call_next() a second time" in attempt.error
    assert ran == ["handler"]


async def test_a_success_may_become_a_failure() -> None:
    ran, hooks = list[str](), durable(backoff=AT_ONCE)

    @hooks.middleware
    async def strict(attempt: Attempt, call_next: CallNext) -> None:
        await call_next()
        if attempt.number == 1:
            raise RuntimeError("the commit failed")

    hooks.on(Event)(lambda event: ran.append("handler"))
    async with hooks:
        kept = await settled(hooks, await deliver(hooks))
    assert [each.error for each in kept.attempts] == ["RuntimeError: the commit failed"]
    assert ran == ["handler", "handler"]


@pytest.mark.parametrize("signal", [Retry(after=90), GiveUp("switched off")], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("place", ["before", "instead", "after"])
async def test_retry_and_give_up_mean_what_they_mean_in_a_handler(signal: HandlerSignal, place: str) -> None:
    clock, ran, signals = Clock(), list[str](), [signal]
    hooks, short = durable(clock=clock), without_inbox()

    async def switched(attempt: Attempt, call_next: CallNext) -> None:
        if signals and place == "before":
            raise signals.pop()
        try:
            await call_next()
        except OSError:
            raise signals.pop() from None
        if signals and place == "after":
            raise signals.pop()

    async def handler(event: Event) -> None:
        ran.append("handler")
        if signals and place == "instead":
            raise OSError

    for each in (hooks, short):
        each.middleware(switched)
        each.on(Event, name="handler")(handler)
    async with hooks:
        id = await deliver(hooks)
        if isinstance(signal, Retry):
            assert (await waiting(hooks, id)).summary.due == NOW + 90
            clock.move(90)
            kept = await settled(hooks, id)
        else:
            kept = await settled(hooks, id, State.DEAD)
            assert kept.summary.reason == "handler: GiveUp: switched off"
    assert [(each.error, each.traceback) for each in kept.attempts] == [(f"{type(signal).__name__}: {signal}", "")]
    assert len(ran) == (place != "before") + isinstance(signal, Retry)
    signals.append(signal)
    assert await answered(short) == (503 if isinstance(signal, Retry) else 204)


async def test_its_time_counts_in_the_handlers_timeout_and_it_sees_the_cancellation() -> None:
    seen, hooks = list[str](), durable(timeout=0.05, backoff=ONCE)
    hooks.middleware(Noting(seen, "outer"))

    @hooks.middleware
    async def slow(attempt: Attempt, call_next: CallNext) -> None:
        await asyncio.Event().wait()

    hooks.on(Event)(lambda event: seen.append("handler"))
    attempt = await failed(hooks)
    assert attempt.error == "TimeoutError: it took more than 0.05 s"
    assert seen == ["outer begins", "outer sees CancelledError"]


async def test_a_middleware_cannot_swallow_that_the_time_is_up() -> None:
    seen, hooks = list[str](), durable(timeout=0.05, backoff=ONCE)

    @hooks.middleware
    async def quiet(attempt: Attempt, call_next: CallNext) -> None:
        try:
            await call_next()
        except asyncio.CancelledError:
            seen.append("cancelled")

    @hooks.on(Event)
    async def slow(event: Event) -> None:
        await asyncio.Event().wait()

    attempt = await failed(hooks)
    assert attempt.error == "TimeoutError: it took more than 0.05 s"
    assert seen == ["cancelled"]


async def test_a_handler_that_ends_in_time_after_it_was_told_to_is_done_inside_a_middleware_too() -> None:
    hooks = durable()
    hooks.middleware(passing)

    @hooks.on(Event, timeout=0.05)
    async def tidy(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async with hooks:
        assert (await settled(hooks, await deliver(hooks))).attempts == []


async def test_a_middleware_that_ignores_its_time_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    hooks, release = durable(concurrency=1, timeout=0.05, backoff=ONCE), asyncio.Event()

    @hooks.middleware
    async def stubborn(attempt: Attempt, call_next: CallNext) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        await call_next()

    hooks.on(Event, name="handler")(lambda event: None)
    async with hooks:
        try:
            kept = await settled(hooks, await deliver(hooks), State.DEAD)
        finally:
            release.set()
    assert [each.error for each in kept.attempts] == ["TimeoutError: it took more than 0.05 s"]
    assert "handler ignores that its time is up" in caplog.text


async def test_an_attempt_that_the_process_interrupts_is_uncounted_whatever_a_middleware_makes_of_it(
    tmp_path: Path,
) -> None:
    inbox, running, seen = f"sqlite:///{tmp_path}/hooks.db", asyncio.Event(), list[str]()
    hooks = durable(inbox, stop=0)

    @hooks.middleware
    async def quiet(attempt: Attempt, call_next: CallNext) -> None:
        try:
            await call_next()
        except asyncio.CancelledError:
            seen.append("cancelled")

    @hooks.on(Event, name="handler")
    async def endless(event: Event) -> None:
        running.set()
        await asyncio.Event().wait()

    async with hooks:
        id = await deliver(hooks)
        await asyncio.wait_for(running.wait(), PATIENCE)
    numbers: list[int] = []
    after = durable(inbox)

    @after.on(Event, name="handler")
    def handler(event: Event, attempt: Attempt) -> None:
        numbers.append(attempt.number)

    async with after:
        kept = await settled(after, id)
    assert (seen, numbers, kept.attempts) == (["cancelled"], [1], [])


async def with_asyncio(call_next: CallNext) -> None:
    async with asyncio.timeout(0.01):
        await call_next()


async def with_wait_for(call_next: CallNext) -> None:
    await asyncio.wait_for(call_next(), 0.01)


async def with_anyio(call_next: CallNext) -> None:
    with anyio.fail_after(0.01):
        await call_next()


@pytest.mark.parametrize("bounded", [with_asyncio, with_wait_for, with_anyio])
async def test_a_time_of_the_middlewares_own_is_a_failure(bounded: Callable[[CallNext], Awaitable[None]]) -> None:
    hooks = durable(backoff=ONCE)

    @hooks.middleware
    async def hasty(attempt: Attempt, call_next: CallNext) -> None:
        await bounded(call_next)

    @hooks.on(Event)
    async def slow(event: Event) -> None:
        await asyncio.Event().wait()

    assert (await failed(hooks)).error == "TimeoutError"


async def test_a_time_of_its_own_that_passes_silently_is_swallowed() -> None:
    hooks = durable(backoff=ONCE)

    @hooks.middleware
    async def hasty(attempt: Attempt, call_next: CallNext) -> None:
        with anyio.move_on_after(0.01):
            await call_next()

    @hooks.on(Event)
    async def slow(event: Event) -> None:
        await asyncio.Event().wait()

    assert "swallowed what call_next() raised, CancelledError" in (await failed(hooks)).error


async def test_what_a_middleware_starts_and_does_not_wait_for_is_cancelled_and_fails_the_attempt() -> None:
    tasks, seen, hooks = list["asyncio.Future[None]"](), list[str](), durable(backoff=ONCE)
    running = asyncio.Event()

    @hooks.middleware
    async def careless(attempt: Attempt, call_next: CallNext) -> None:
        tasks.append(asyncio.ensure_future(call_next()))
        await running.wait()

    @hooks.on(Event)
    async def handler(event: Event) -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    attempt = await failed(hooks)
    assert "returned before its call_next() had ended: await it, wherever it runs" in attempt.error
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    assert seen == ["cancelled"]


async def test_next_that_is_called_after_the_middleware_has_ended_runs_nothing() -> None:
    tasks, ran, hooks = list["asyncio.Future[None]"](), list[str](), durable(backoff=ONCE)

    @hooks.middleware
    async def careless(attempt: Attempt, call_next: CallNext) -> None:
        tasks.append(asyncio.ensure_future(call_next()))

    hooks.on(Event)(lambda event: ran.append("handler"))
    assert "returned without `await call_next()`" in (await failed(hooks)).error
    with pytest.raises(MiddlewareError, match=r"had returned when its call_next\(\) began: await it before that"):
        await tasks[0]
    assert ran == []


async def test_a_predicate_that_raises_is_seen_as_the_error_of_its_handler() -> None:
    seen, hooks = list[str](), durable(backoff=ONCE)
    hooks.middleware(Noting(seen, "it"))
    hooks.on(Event, where=lambda event: 1 / 0 > 1)(lambda event: None)
    assert (await failed(hooks)).error.startswith("ZeroDivisionError")
    assert seen == ["it begins", "it sees ZeroDivisionError"]


async def test_a_broken_middleware_opens_the_breaker_of_a_handler(caplog: pytest.LogCaptureFixture) -> None:
    hooks = durable(breaker=Breaker(failures=2), backoff=AT_ONCE)

    @hooks.middleware
    async def broken(attempt: Attempt, call_next: CallNext) -> None:
        raise ConnectionError

    hooks.on(Event, name="handler")(lambda event: None)
    async with hooks:
        await deliver(hooks)
        await until(lambda: "handler failed 2 times in a row with ConnectionError" in caplog.text)


async def test_a_context_variable_is_seen_by_both_kinds_of_handlers_and_reset_for_the_next_attempt() -> None:
    current: ContextVar[str | None] = ContextVar("current", default=None)
    before, inside, hooks = list[str | None](), list[tuple[str | None, bool]](), durable(backoff=AT_ONCE)

    @hooks.middleware
    async def naming(attempt: Attempt, call_next: CallNext) -> None:
        before.append(current.get())
        token = current.set(f"{attempt.handler} {attempt.number}")
        try:
            await call_next()
        finally:
            current.reset(token)

    def note() -> None:
        inside.append((current.get(), threading.current_thread() is threading.main_thread()))

    @hooks.on(Event, name="async")
    async def awaited(event: Event) -> None:
        note()

    @hooks.on(Event, name="plain")
    def plain(event: Event, attempt: Attempt) -> None:
        note()
        if attempt.number == 1:
            raise OSError

    async with hooks:
        await settled(hooks, await deliver(hooks))
    assert inside == [("async 1", True), ("plain 1", False), ("plain 2", False)]
    assert before == [None, None, None]


# Three documented uses.


class Reporter:
    """Stands in for a client such as Sentry's: it collects what it is told."""

    def __init__(self) -> None:
        self.reported: list[tuple[str, dict[str, str]]] = []

    def capture(self, error: BaseException, **tags: str) -> None:
        self.reported.append((repr(error), tags))


async def test_a_use_is_to_report_each_failure_of_a_handler() -> None:
    reporter, hooks = Reporter(), durable(backoff=AT_ONCE)
    errors = [Retry(0), OSError("gone"), ValueError("odd")]

    @hooks.middleware
    async def report(attempt: Attempt, call_next: CallNext) -> None:
        try:
            await call_next()
        except HandlerSignal:
            raise  # Retry and GiveUp: meant, and no failure
        except Exception as error:
            reporter.capture(error, handler=attempt.handler, delivery=attempt.delivery.id)
            raise

    @hooks.on(Event, name="download")
    def download(event: Event) -> None:
        raise errors.pop(0)

    async with hooks:
        id = await deliver(hooks)
        kept: StoredDelivery = await settled(hooks, id, State.DEAD)
    tags = {"handler": "download", "delivery": id}
    assert reporter.reported == [("OSError('gone')", tags), ("ValueError('odd')", tags)]
    assert [each.error for each in kept.attempts] == ["Retry: try again after 0 s", "OSError: gone", "ValueError: odd"]


async def test_a_use_is_to_say_in_each_log_record_which_delivery_it_is_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    delivery_id: ContextVar[str] = ContextVar("delivery_id", default="-")
    hooks, log = durable(), logging.getLogger("an.app")
    found: list[tuple[str, str]] = []

    def stamp(record: logging.LogRecord) -> bool:
        found.append((record.getMessage(), delivery_id.get()))
        return True

    @hooks.middleware
    async def with_id(attempt: Attempt, call_next: CallNext) -> None:
        token = delivery_id.set(attempt.delivery.id)
        try:
            await call_next()
        finally:
            delivery_id.reset(token)

    @hooks.on(Event)
    async def awaited(event: Event) -> None:
        log.warning("on the loop")

    @hooks.on(Event)
    def plain(event: Event) -> None:
        log.warning("in a thread")

    log.addFilter(stamp)
    try:
        async with hooks:
            id = await deliver(hooks)
            await settled(hooks, id)
    finally:
        log.removeFilter(stamp)
    assert found == [("on the loop", id), ("in a thread", id)]


class Session:
    """Stands in for a database session."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.state = "open"

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Session]:
        try:
            yield self
        except BaseException:
            self.state = "rolled back"
            raise
        self.state = "committed"


async def test_a_use_is_to_hand_a_resource_to_the_handler_that_is_opened_round_the_attempt() -> None:
    current: ContextVar[Session] = ContextVar("current")
    sessions, hooks = list[Session](), durable(backoff=AT_ONCE)

    @hooks.middleware
    async def with_session(attempt: Attempt, call_next: CallNext) -> None:
        session = Session()
        sessions.append(session)
        async with session.transaction():
            token = current.set(session)
            try:
                await call_next()
            finally:
                current.reset(token)

    @hooks.on(Event)
    async def handler(event: Event, attempt: Attempt) -> None:
        current.get().rows.append(f"row {attempt.number}")
        if attempt.number == 1:
            raise OSError

    async with hooks:
        await settled(hooks, await deliver(hooks))
    assert [(each.rows, each.state) for each in sessions] == [(["row 1"], "rolled back"), (["row 2"], "committed")]


async def in_a_task_group(call_next: CallNext) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_awaited(call_next))


async def in_the_body_of_anyios(call_next: CallNext) -> None:
    async with anyio.create_task_group():
        await call_next()


async def _awaited(call_next: CallNext) -> None:
    await call_next()


@pytest.mark.parametrize("grouping", [in_a_task_group, in_the_body_of_anyios])
async def test_a_signal_that_a_task_group_wraps_is_still_that_signal(
    grouping: Callable[[CallNext], Awaitable[None]],
) -> None:
    hooks, later = durable(), without_inbox()

    @hooks.middleware
    async def grouped(attempt: Attempt, call_next: CallNext) -> None:
        await grouping(call_next)

    later.middleware(grouped)
    hooks.on(Event, name="h")(raising(GiveUp("never")))
    later.on(Event, name="h")(raising(Retry(5)))
    attempt = await failed(hooks)
    assert (attempt.outcome, attempt.error) == ("dead", "GiveUp: never")
    assert await answered(later) == 503


def raising(error: BaseException) -> Callable[[Event], None]:
    def handler(event: Event) -> None:
        raise error

    return handler


QUOTED = "mark" + "ed"  # which no line of a traceback has


class Strict(BaseModel):
    number: int


async def wrapped_in_a_group(call_next: CallNext) -> None:
    await in_a_task_group(call_next)


async def wrapped_as_a_cause(call_next: CallNext) -> None:
    try:
        await call_next()
    except ValidationError as error:
        raise RuntimeError("odd") from error


async def wrapped_as_a_context(call_next: CallNext) -> None:
    try:
        await call_next()
    except ValidationError:
        raise RuntimeError("odd")  # noqa: B904 - as people forget it


@pytest.mark.parametrize("wrapping", [wrapped_in_a_group, wrapped_as_a_cause, wrapped_as_a_context])
@pytest.mark.parametrize("inbox", [True, False])
async def test_an_error_that_comes_of_pydantics_quotes_the_body_nowhere(
    caplog: pytest.LogCaptureFixture, wrapping: Callable[[CallNext], Awaitable[None]], inbox: bool
) -> None:
    hooks = durable(backoff=ONCE) if inbox else without_inbox()

    @hooks.middleware
    async def odd(attempt: Attempt, call_next: CallNext) -> None:
        await wrapping(call_next)

    @hooks.on(Event, name="h")
    async def parse(event: Event) -> None:
        Strict.model_validate({"number": QUOTED})

    if inbox:
        attempt = await failed(hooks)
        assert "marked" not in attempt.traceback + attempt.error
        assert "in parse" in attempt.traceback
        assert "Input should be a valid integer" in attempt.traceback
    else:
        assert await answered(hooks) == 500
    assert "h failed" in caplog.text
    assert "marked" not in caplog.text


async def test_a_stop_that_a_middleware_swallows_before_it_calls_next_is_uncounted(tmp_path: Path) -> None:
    hooks, begun = durable(f"sqlite:///{tmp_path}/hooks.db", stop=0), asyncio.Event()
    hooks.on(Event, name="h")(lambda event: None)

    @hooks.middleware
    async def deaf(attempt: Attempt, call_next: CallNext) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async with hooks:
        id = await deliver(hooks)
        await asyncio.wait_for(begun.wait(), PATIENCE)
    await hooks.inbox.open()
    kept = await hooks.inbox.get(id)
    await hooks.inbox.close()
    assert kept is not None
    assert not kept.attempts
    assert kept.summary.handlers["h"].attempts == 0


async def test_an_error_that_passes_is_let_go_of() -> None:
    hooks, seen = without_inbox(), list[CallNext]()

    @hooks.middleware
    async def keeping(attempt: Attempt, call_next: CallNext) -> None:
        seen.append(call_next)
        await call_next()

    hooks.on(Event, name="h")(raising(Retry(5)))
    assert await answered(hooks) == 503
    (call_next,) = seen
    assert not [each for each in vars(call_next).values() if isinstance(each, BaseException)]


async def test_a_task_group_that_failed_before_hides_no_mistake_of_a_middleware() -> None:
    hooks = durable(backoff=ONCE)

    @hooks.on(Event, name="grouped")
    async def grouped(event: Event) -> None:
        await fail_in_a_task_group()

    @hooks.on(Event, name="next")
    async def after(event: Event) -> None:
        raise asyncio.CancelledError

    @hooks.middleware
    async def swallow(attempt: Attempt, call_next: CallNext) -> None:
        if attempt.handler == "grouped":
            await call_next()
        with suppress(asyncio.CancelledError):
            await call_next()

    async with hooks:
        kept = await settled(hooks, await deliver(hooks), State.DEAD)
    assert [each.error.partition(":")[0] for each in kept.attempts] == ["ExceptionGroup", "MiddlewareError"]


async def test_one_that_is_not_checked_runs_round_the_attempt_and_inside_of_others() -> None:
    ran: list[str] = []

    async def rest() -> None:
        ran.append("runs")
        raise OSError("odd")

    round_it = (Middleware(Noting(ran, "first"), is_checked=False), Middleware(Noting(ran, "second")))
    attempt = Attempt(Delivery("d-1", "hooks", (), b"{}", NOW, None, True, "http"), "handler", 1)
    with pytest.raises(OSError, match="odd"):
        await run_inside(round_it, attempt, rest)
    assert ran == ["first begins", "second begins", "runs", "second sees OSError", "first sees OSError"]
