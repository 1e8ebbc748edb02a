"""The threads of plain functions. None can be stopped: one whose time is up is left behind, and ends by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from anyio.to_thread import run_sync


class Threads:
    """The runs of a plain function in threads, with a count of those that nobody waits for any more."""

    def __init__(self) -> None:
        self._left: list[_Run] = []

    @property
    def left_behind(self) -> int:
        """The number of threads that were left behind and have not ended."""
        self._left = [run for run in self._left if run.is_running]
        return len(self._left)

    async def call(self, function: Callable[..., Any], arguments: tuple[object, ...], of: str) -> object:
        """Call the function in a thread, which is left behind when this is cancelled; return what it returned.

        Args:
            function: the function.
            arguments: what it is called with.
            of: the id of the delivery that it is called for. Two threads of one would do the same work at once, and
                one that hangs would take all that there may be.

        Raises:
            TimeoutError: a thread of this delivery was left behind, and goes on.
            BaseException: whatever the function raises.
        """
        if any(run.is_running and run.of == of for run in self._left):
            raise TimeoutError("its thread of an attempt before goes on")
        run = _Run(function, arguments, of)
        try:
            result, raised = await run_sync(run, abandon_on_cancel=True)
        except asyncio.CancelledError:
            self._left = [*(each for each in self._left if each.is_running), run]  # it may be about to begin
            raise
        if raised is not None:
            try:
                raise raised
            finally:
                del raised  # or the error and this frame would hold one another
        return result


class _Run:
    def __init__(self, function: Callable[..., Any], arguments: tuple[object, ...], of: str) -> None:
        self.of = of
        self._function = function
        self._arguments = arguments
        self.is_running = False

    def __call__(self) -> tuple[object, BaseException | None]:
        """Call the function; return what it returned or raised. A future asks what it gets for its class, and may
        stumble."""
        self.is_running = True
        try:
            return self._function(*self._arguments), None
        except BaseException as error:
            return None, error
        finally:
            self.is_running = False
