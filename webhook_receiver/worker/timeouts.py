"""The timeouts of the attempts that run: one timer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from contextvars import copy_context
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_NEVER = float("inf")
_TICK = 0.001  # seconds: the clock of some event loops goes by milliseconds


class Timeouts(Generic[K]):
    """The timeouts of all that runs in one event loop, on one timer. What began in another loop is forgotten.

    Args:
        is_up: called with what was given to `begin`, once, as soon as its time is up.
    """

    def __init__(self, is_up: Callable[[K], None]) -> None:
        self._is_up = is_up
        self._context = copy_context()  # not that of the task which happens to set the timer
        self._ends: dict[K, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rings = _NEVER
        """When the timer does: at the first of the ends or before, since it is left alone when something ends."""

    def begin(self, what: K, seconds: float) -> None:
        """Give it so many seconds from now on."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._ends, self._timer, self._rings = loop, {}, None, _NEVER
        ends = self._ends[what] = loop.time() + seconds
        if ends < self._rings:
            self._ring_at(ends, loop)

    def end(self, what: K) -> None:
        """Take its timeout away: it has ended, in its time or not."""
        self._ends.pop(what, None)

    def stop(self) -> None:
        """Cancel the timer if nothing is left to time; what still begins sets another one."""
        if self._timer is not None and not self._ends:
            self._timer.cancel()
            self._rings = _NEVER

    def _ring_at(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings = when
        self._timer = loop.call_at(when, self._ring, loop, context=self._context)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        now, self._rings = loop.time(), _NEVER
        late = [what for what, ends in self._ends.items() if ends <= now]
        for what in late:
            del self._ends[what]
        if self._ends:
            self._ring_at(max(min(self._ends.values()), now + _TICK), loop)
        for what in late:
            self._is_up(what)
