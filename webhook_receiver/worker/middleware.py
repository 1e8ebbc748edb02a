"""Running an attempt inside its middleware: each is called with a `call_next` that runs those registered after it.

What an attempt comes to is the handler's to say. A middleware can turn a success into a failure, by raising; it
cannot turn a failure into a success, nor pass over the handler: the attempt then fails with a `MiddlewareError`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

from pydantic import ValidationError

from ..delivery import Attempt, Delivery
from ..errors import MiddlewareError
from ..redaction import summary
from ..routing import CallNext, Middleware


def current_task() -> asyncio.Task[Any]:
    """Return the current task: an attempt runs in one, always."""
    return asyncio.current_task()  # type: ignore[return-value]


def cancellations() -> int:
    """Return how often the current task was cancelled, as far as that was not taken back.

    Only what comes on top during an attempt is of that attempt: before Python 3.12.4 a task group whose task has failed
    cancels the task around it, and does not take that back (github.com/python/cpython/issues/117407).
    """
    return current_task().cancelling()


async def take_back(count: int) -> None:
    """Take back so many cancellations of the current task, so that what runs in it next has none of them.

    Args:
        count: at least 1.
    """
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)  # one that came without an await is still to be raised, and uncancel() leaves it so
    for _ in range(count):
        current_task().uncancel()


Start = Callable[[int], Awaitable[object]]
"""Begins the run of a handler, given the attempt's number."""


def inside(middlewares: Sequence[Middleware], delivery: Delivery, handler: str, start: Start) -> Start:
    """Return the start of a run inside `middlewares`, the first of them outermost; `start` itself if there are none.

    Args:
        middlewares: in order of registration.
        delivery: what the attempt is for.
        handler: the name of the handler that `start` runs.
        start: begins the run of the handler itself.
    """
    return partial(_start_inside, middlewares, delivery, handler, start) if middlewares else start


def _start_inside(
    middlewares: Sequence[Middleware], delivery: Delivery, handler: str, start: Start, number: int
) -> Awaitable[object]:
    return run_inside(middlewares, Attempt(delivery, handler, number), partial(start, number))


def run_inside(
    middlewares: Sequence[Middleware], attempt: Attempt, run: Callable[[], Awaitable[object]]
) -> Awaitable[object]:
    """Run an attempt inside its middleware. Await what this returns.

    Args:
        middlewares: in order of registration.
        attempt: what each of them gets.
        run: runs the handler itself.
    """
    for middleware in reversed(middlewares):
        if middleware.is_checked:
            run = partial(_run_one, middleware, attempt, run)
        else:  # it awaits it once, and lets its error through
            run = partial(middleware.function, attempt, cast("CallNext", run))
    return run()


async def _run_one(middleware: Middleware, attempt: Attempt, rest: Callable[[], Awaitable[object]]) -> None:
    """Run one middleware round the rest of the attempt; raise unless the rest has returned."""
    call_next = _CallNext(middleware.name, rest)
    try:
        await middleware.function(attempt, call_next)
    except BaseException:
        call_next.forget()  # or the error, its frames and this would hold one another
        raise
    finally:
        call_next.close()
    call_next.raise_unless_returned()


class _CallNext:
    """The `call_next` of a middleware: it runs the rest of the attempt, once, while the middleware runs.

    Args:
        middleware: the middleware's name.
        rest: runs the middleware further in and the handler.
    """

    def __init__(self, middleware: str, rest: Callable[[], Awaitable[object]]) -> None:
        self._middleware = middleware
        self._rest = rest
        self._task: asyncio.Task[Any] | None = None
        """The task that runs the rest, while it does."""
        self._was_called = False
        self._has_returned = False
        self._is_closed = False
        self._raised: BaseException | None = None
        self._cancellations = cancellations()
        """The cancellations before the middleware began."""

    async def __call__(self) -> None:
        if self._was_called:
            raise MiddlewareError(
                f"{self._middleware} awaited call_next() a second time, but a handler runs once in an attempt: "
                "to have it run again later, let its error through or raise Retry(after=...)"
            )
        if self._is_closed:
            raise MiddlewareError(f"{self._middleware} had returned when its call_next() began: await it before that")
        self._was_called = True
        self._task = asyncio.current_task()
        try:
            await self._rest()
            self._has_returned = True
        except BaseException as error:
            self._raised = error
            raise
        finally:
            self._task = None

    def forget(self) -> None:
        """Let go of the error that was raised."""
        self._raised = None

    def close(self) -> None:
        """Let the attempt begin no more, and cancel what a middleware left running in a task of its own.

        Nobody waits for that: a handler that ignores the cancellation runs on beside the next attempt.
        """
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()  # one of the middleware's own, which it did not wait for

    def raise_unless_returned(self) -> None:
        """Raise a MiddlewareError unless the rest of the attempt was run and has returned."""
        if self._has_returned:
            return
        raised, self._raised = self._raised, None
        is_cancelled = cancellations() > self._cancellations
        if is_cancelled and (raised is None or isinstance(raised, asyncio.CancelledError)):
            # The time is up, or the process stops: that is not for a middleware to end.
            raise raised or asyncio.CancelledError()
        if raised is None:
            raise MiddlewareError(
                f"{self._middleware} returned before its call_next() had ended: await it, wherever it runs"
                if self._was_called
                else f"{self._middleware} returned without `await call_next()`, so the handler did not run: await it, "
                "or raise Retry(after=...) or GiveUp(reason) if it shall not run"
            )
        # The message of one of pydantic's errors quotes the body, and would be logged with the chain.
        cause = None if isinstance(raised, ValidationError) else raised
        raise MiddlewareError(
            f"{self._middleware} swallowed what call_next() raised, {summary(raised)}: raise it again, "
            "or another error, since the handler is not done"
        ) from cause
