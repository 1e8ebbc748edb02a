"""Context variables: what a request, a handler or a middleware sets is seen by nobody whom it does not concern."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from tests.working import about, deliver, durable, settled
from webhook_receiver import Attempt, CallNext, Event, Retry, Unsigned, WebhookReceiver
from webhook_receiver.worker.context import InOwnContext

USER: ContextVar[str | None] = ContextVar("user", default=None)


async def test_what_runs_in_a_context_of_its_own_is_in_the_same_task_and_its_changes_end_with_it() -> None:
    USER.set("outside")
    tasks = [asyncio.current_task()]

    async def work() -> str | None:
        tasks.append(asyncio.current_task())
        USER.set("inside")
        await asyncio.sleep(0)
        assert USER.get() == "inside"
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            seen = group.create_task(asyncio.to_thread(USER.get))
        return seen.result()

    assert await InOwnContext(work) == "inside"
    assert USER.get() == "outside"
    assert tasks[0] is tasks[1]


async def test_what_runs_in_a_context_of_its_own_is_cancelled_and_may_clean_up_there() -> None:
    began, seen = asyncio.Event(), list[str | None]()

    async def work() -> None:
        USER.set("inside")
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append(USER.get())

    async def outer() -> None:
        await InOwnContext(work)

    task = asyncio.create_task(outer())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["inside"]


class Thrown(Exception):
    """An error that can be watched."""


def test_an_error_out_of_a_context_of_its_own_is_held_by_nothing() -> None:
    async def outer() -> None:
        await InOwnContext(lambda: asyncio.sleep(0))

    gc.disable()
    try:
        error, left = Thrown("into it"), outer()
        left.send(None)
        with suppress(Thrown):
            left.throw(error)
        found = weakref.ref(error)
        del error, left
        assert found() is None
    finally:
        gc.enable()


def test_a_run_that_nobody_ends_is_closed_in_its_context() -> None:
    seen: list[str | None] = []

    async def work() -> None:
        USER.set("inside")
        try:
            await asyncio.sleep(0)
        finally:
            seen.append(USER.get())

    async def outer() -> None:
        await InOwnContext(work)

    left = outer()
    left.send(None)
    left.close()
    assert seen == ["inside"]


def noting_user(seen: list[str | None], name: str) -> Callable[..., Any]:
    async def handler(event: Event) -> None:
        seen.append(USER.get())
        USER.set(name)

    return handler


async def test_a_worker_that_the_first_request_started_has_nothing_of_that_requests_context(tmp_path: Path) -> None:
    hooks, seen = durable(f"sqlite:///{tmp_path}/hooks.db"), list[str | None]()
    hooks.on(Event, name="on the loop")(noting_user(seen, "on the loop"))
    hooks.on(Event, name="in a thread")(lambda event: seen.append(USER.get()))

    async def request(number: int) -> str:
        USER.set(f"request {number}")
        return await deliver(hooks, about(number))

    for number in range(3):
        await settled(hooks, await asyncio.create_task(request(number)))
    assert seen == [None] * 6
    await hooks.runtime.stop()


async def test_a_worker_has_what_was_set_before_the_receiver_was_started() -> None:
    hooks, seen = durable(), list[str | None]()
    hooks.on(Event, name="handler")(noting_user(seen, "handler"))
    USER.set("the app")
    async with hooks:
        USER.set("changed since")
        for number in range(2):
            await settled(hooks, await deliver(hooks, about(number)))
    assert seen == ["the app"] * 2


async def test_no_attempt_sees_what_another_one_set() -> None:
    hooks, seen = durable(), list[str | None]()

    @hooks.middleware
    async def around(attempt: Attempt, call_next: CallNext) -> None:
        seen.append(USER.get())
        USER.set(f"{attempt.handler} {attempt.number}")
        await call_next()

    @hooks.on(Event, name="first")
    async def first(event: Event, attempt: Attempt) -> None:
        seen.append(USER.get())
        USER.set("the first handler")
        if attempt.number == 1:
            raise Retry(after=0)

    hooks.on(Event, name="second")(lambda event: seen.append(USER.get()))
    async with hooks:
        await settled(hooks, await deliver(hooks))
    assert seen == [None, "first 1", None, "second 1", None, "first 2"]


async def test_without_an_inbox_a_handler_sees_the_request_and_leaves_nothing_in_it() -> None:
    hooks, seen = WebhookReceiver(scheme=Unsigned()), list[str | None]()
    hooks.on(Event, name="first")(noting_user(seen, "first"))
    hooks.on(Event, name="second")(noting_user(seen, "second"))
    USER.set("the request")
    assert (await hooks.receive({}, about())).response.status == 204
    assert seen == ["the request"] * 2
    assert USER.get() == "the request"
