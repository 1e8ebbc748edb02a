"""One attempt of a handler: what it raises is what the attempt returns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from ..errors import HandlerSignal
from .middleware import current_task


async def run(start: Callable[[], Awaitable[object]]) -> BaseException | None:
    """Run one attempt; return what it raised, None if the handler is done.

    A cancellation is returned, too: only the caller can know whether it is the handler's own.

    Args:
        start: calls the handler, inside its middleware.

    Raises:
        KeyboardInterrupt, GeneratorExit: the process ends, or this coroutine is closed.
    """
    task = current_task()
    try:
        try:
            await start()
        except BaseExceptionGroup as group:  # a task group wraps whatever its body raises
            if (signal := _only_signal(group)) is not None:
                raise signal from None
            raise
    except KeyboardInterrupt:
        raise  # the process ends
    except BaseException as raised:  # sys.exit() is a failure, too
        error = _readable(raised)
        if isinstance(error, GeneratorExit) and not _runs_in(task):
            raise  # this coroutine is closed
        return error
    return None


def _readable(raised: BaseException) -> BaseException:
    """Return what was raised, or an error in its place if nobody can ask for its class or its traceback."""
    try:
        _ = raised.__class__, raised.__traceback__
    except Exception:
        return TypeError(f"a {type(raised).__name__} was raised, whose attributes cannot be read")
    return raised


def _runs_in(task: asyncio.Task[Any]) -> bool:
    """Whether this is a step of a task. A coroutine that is closed is no step of its own task's."""
    try:
        return asyncio.current_task() is task
    except RuntimeError:
        return False  # no event loop runs


def _only_signal(group: BaseExceptionGroup[BaseException]) -> HandlerSignal | None:
    """Return the one `Retry` or `GiveUp` that is all there is in a group; None if there is anything else."""
    if len(group.exceptions) != 1:
        return None
    (only,) = group.exceptions
    if isinstance(only, BaseExceptionGroup):
        return _only_signal(cast("BaseExceptionGroup[BaseException]", only))
    return only if isinstance(only, HandlerSignal) else None
