from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.helpers import NOW
from tests.odd_errors import ODD
from tests.working import Clock, fail_in_a_task_group, until
from webhook_receiver import Attempt, CallNext, Delivery, Event, GiveUp, Retry, UnknownEvent
from webhook_receiver.options import Limits, Rate
from webhook_receiver.responses import FAILED, HANDLED
from webhook_receiver.routing import Handler, Middleware
from webhook_receiver.worker.attempt_log import AttemptLog
from webhook_receiver.worker.inline import handle
from webhook_receiver.worker.limits import Limiters

EVENT = UnknownEvent(event="an event")
DELIVERY = Delivery("d-1", "webhooks", [], b"", NOW, 0, True)
LOG = AttemptLog(lambda: NOW)


def handlers(*outcomes: BaseException | None) -> tuple[list[Handler], list[int]]:
    """Return a handler for each outcome, and the places of those that ran."""
    ran: list[int] = []

    def handler(place: int, outcome: BaseException | None) -> Handler:
        def function(event: Event, attempt: Attempt) -> None:
            assert (event, attempt.delivery, attempt.number) == (EVENT, DELIVERY, 1)
            ran.append(place)
            if outcome is not None:
                raise outcome

        return Handler(f"handler {place}", function, Event)

    return [handler(place, outcome) for place, outcome in enumerate(outcomes)], ran


@pytest.mark.parametrize(
    "outcomes", [[], [None], [None, GiveUp("no")], [GiveUp("no"), None]], ids=lambda outcomes: str(len(outcomes))
)
async def test_what_is_done_or_given_up_is_handled(outcomes: list[BaseException | None]) -> None:
    made, ran = handlers(*outcomes)
    assert await handle(made, EVENT, DELIVERY, LOG) is HANDLED
    assert ran == [*range(len(outcomes))]


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(3)])
async def test_one_failure_asks_for_another_delivery_whatever_the_others_say(error: BaseException) -> None:
    made, ran = handlers(None, error, Retry(5), GiveUp("no"), None)
    assert await handle(made, EVENT, DELIVERY, LOG) is FAILED
    assert ran == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("fail", ODD.values(), ids=ODD)
async def test_an_odd_error_is_a_failure_too_and_the_next_handler_runs(fail: Callable[[], object]) -> None:
    made, ran = handlers(None)
    odd = Handler("odd", lambda event: fail(), Event)
    assert await handle([odd, *made], EVENT, DELIVERY, AttemptLog(lambda: NOW)) is FAILED
    assert ran == [0]


async def test_the_latest_time_that_a_handler_wants_is_answered() -> None:
    made, _ = handlers(Retry(5), Retry(60.5), GiveUp("no"))
    answer = await handle(made, EVENT, DELIVERY, LOG)
    assert (answer.status, answer.headers["retry-after"]) == (503, "61")


async def test_it_is_logged_who_handled_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await handle(handlers(None, None)[0], EVENT, DELIVERY, LOG)
    await handle([], EVENT, DELIVERY, LOG)
    assert [record.getMessage() for record in caplog.records] == [
        "delivery d-1: UnknownEvent: handler 0, handler 1",
        "delivery d-1: UnknownEvent: no handler",
    ]


async def test_middleware_runs_round_each_handler_with_its_first_attempt_and_decides_on_the_response() -> None:
    seen: list[Attempt] = []

    async def rejecting(attempt: Attempt, call_next: CallNext) -> None:
        seen.append(attempt)
        await call_next()
        if attempt.handler == "handler 1":
            raise Retry(7)

    made, ran = handlers(None, None, GiveUp("no"))
    response = await handle(made, EVENT, DELIVERY, LOG, middlewares=[Middleware(rejecting)])
    assert (response.status, response.headers["retry-after"]) == (503, "7")
    assert ran == [0, 1, 2]
    assert seen == [Attempt(DELIVERY, f"handler {place}", 1) for place in ran]


async def test_a_middleware_that_swallows_a_failure_does_not_make_it_a_success() -> None:
    async def quiet(attempt: Attempt, call_next: CallNext) -> None:
        with suppress(ValueError):
            await call_next()

    made, _ = handlers(ValueError("odd"))
    assert await handle(made, EVENT, DELIVERY, LOG, middlewares=[Middleware(quiet)]) is FAILED


async def test_a_cancellation_of_a_handlers_own_making_is_answered_although_a_task_group_has_failed_before() -> None:
    async def grouped(event: Event) -> None:
        await fail_in_a_task_group()

    async def cancelled(event: Event) -> None:
        raise asyncio.CancelledError

    made = [Handler("grouped", grouped, Event), Handler("cancelled", cancelled, Event)]
    assert await handle(made, EVENT, DELIVERY, LOG) is FAILED
    assert await handle(made, EVENT, DELIVERY, LOG) is FAILED, "another delivery in the same task"


@pytest.mark.parametrize("before", [None, "a task group", "a timeout"])
async def test_a_request_that_the_host_cancels_is_cancelled(before: str | None) -> None:
    started = asyncio.Event()

    async def function(event: Event) -> None:
        with suppress(ExceptionGroup, TimeoutError):
            if before == "a task group":
                await fail_in_a_task_group()
            elif before == "a timeout":
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()
        started.set()
        await asyncio.Event().wait()

    request = asyncio.create_task(handle([Handler("waiting", function, Event)], EVENT, DELIVERY, LOG))
    await started.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert request.cancelling() >= 1, "it is the host's to take back"


async def test_a_handler_at_its_limit_is_answered_at_once_and_none_is_run() -> None:
    go_on = asyncio.Event()
    ran: list[str] = []

    async def first(event: Event) -> None:
        ran.append("first")

    async def slow(event: Event) -> None:
        ran.append("slow")
        await go_on.wait()

    made = [Handler("first", first, Event), Handler("slow", slow, Event, limits=Limits(1, None))]
    limiters = Limiters()
    running = asyncio.create_task(handle(made, EVENT, DELIVERY, LOG, limiters=limiters))
    await until(lambda: "slow" in ran)
    answer = await handle(made, EVENT, DELIVERY, LOG, limiters=limiters)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert ran == ["first", "slow"]
    go_on.set()
    assert await running is HANDLED
    assert await handle(made, EVENT, DELIVERY, LOG, limiters=limiters) is HANDLED


async def test_a_rate_is_answered_with_the_time_to_wait() -> None:
    clock = Clock()
    limiters = Limiters(clock)
    limited = [Handler("it", lambda event: None, Event, limits=Limits(None, Rate(2, 60)))]
    statuses = [(await handle(limited, EVENT, DELIVERY, LOG, limiters=limiters)).status for _ in range(3)]
    assert statuses == [204, 204, 503]
    answer = await handle(limited, EVENT, DELIVERY, LOG, limiters=limiters)
    assert 24 <= int(answer.headers["retry-after"]) <= 60
    clock.move(60)
    assert await handle(limited, EVENT, DELIVERY, LOG, limiters=limiters) is HANDLED


async def test_a_request_that_is_cancelled_ends_its_turn() -> None:
    async def never(event: Event) -> None:
        await asyncio.Event().wait()

    limiters = Limiters()
    made = [Handler("it", never, Event, limits=Limits(1, None))]
    task = asyncio.create_task(handle(made, EVENT, DELIVERY, LOG, limiters=limiters))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert isinstance(limiters.take_all({"it": Limits(1, None)}), list)
