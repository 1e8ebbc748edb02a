"""A context of its own for an attempt that shares its task with others: what it sets there, none of them sees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextvars import copy_context
from typing import Any


class InOwnContext:
    """An awaitable that runs another one in a copy of the present context, in the same task.

    A task of its own would do it, too (`create_task(context=...)`), but cost as much as to run a handler, and take the
    cancellation of the attempt from it.

    Args:
        start: returns the other awaitable; called in the copy, too.
    """

    __slots__ = ("_start",)

    def __init__(self, start: Callable[[], Awaitable[object]]) -> None:
        self._start = start

    def __await__(self) -> Generator[Any, Any, object]:
        context = copy_context()
        steps: Any = context.run(self._start).__await__()
        thrown: BaseException | None = None
        try:
            while True:
                awaited = context.run(next, steps) if thrown is None else context.run(steps.throw, thrown)
                thrown = None
                try:
                    yield awaited  # asyncio sends nothing
                except BaseException as error:
                    thrown = error
        except StopIteration as ended:
            return ended.value
        finally:
            del thrown  # or an error, its frames and this one would hold one another
