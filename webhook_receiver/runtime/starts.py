"""The starts and stops of a receiver, in whatever event loop: a start waits for a stop, and a stop for late starts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from ..errors import InboxUnavailable

logger = logging.getLogger("webhook_receiver")

_PATIENCE = 10.0  # seconds for another event loop to stop a receiver, beside those for its handlers


class Starts:
    """The starts of one receiver: how many of them count, and that no worker starts while the receiver stops."""

    def __init__(self) -> None:
        self._count = 0  # of starts that were not stopped yet
        self._late: set[_Step] = set()
        self._stop: _Step | None = None

    async def begin(self) -> None:
        """Wait for the end of the stop that is under way, if one is, and count a start."""
        await self._stopped()
        self._count += 1

    def end(self) -> bool:
        """Count a start no more; return whether none counts."""
        self._count = max(0, self._count - 1)  # one that a delivery has started is stopped without a start
        return not self._count

    @contextmanager
    def late(self, receiver: str) -> Generator[None]:
        """A start by a delivery, which no stop counts; the next stop waits for its end.

        Raises:
            InboxUnavailable: the receiver stops just now. By its end it could lose what it takes until then.
        """
        if self._stop is not None and self._stop.is_under_way:
            raise InboxUnavailable(f"{receiver} stops just now")
        step = _Step()
        self._late.add(step)
        try:
            yield
        finally:
            self._late.discard(step)
            step.end()

    @asynccontextmanager
    async def stop(self) -> AsyncGenerator[None]:
        """A stop, which begins once no late start is under way."""
        await self._stopped()
        self._stop = step = _Step()
        try:
            for late in [*self._late]:
                await late.wait()
            yield
        finally:
            step.end()

    async def _stopped(self) -> None:
        while self._stop is not None and self._stop.is_under_way:
            await self._stop.wait()

    def forget(self) -> None:
        """Forget all of them: they are another process's."""
        self._count, self._late, self._stop = 0, set(), None


class _Step:
    """A start or a stop that is under way in the running event loop; others may wait for it in theirs."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = Future[None]()
        self._ended.set_running_or_notify_cancel()  # or whoever waits, and is cancelled, would end it

    @property
    def is_under_way(self) -> bool:
        return not (self._ended.done() or self._loop.is_closed())

    def end(self) -> None:
        self._ended.set_result(None)

    async def wait(self) -> None:
        if self.is_under_way:
            await asyncio.wrap_future(self._ended)


async def stop_in(
    loop: asyncio.AbstractEventLoop | None, stop: Callable[[], Coroutine[Any, Any, None]], receiver: str, seconds: float
) -> None:
    """Stop a receiver in the event loop where it runs, if that still runs; else in this one.

    Args:
        loop: that event loop; None if it runs in none.
        stop: the function that stops it.
        receiver: its name.
        seconds: how long its handlers may take.
    """
    if loop is None or loop is asyncio.get_running_loop() or not loop.is_running():
        await stop()
        return
    stopping = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(stop(), loop))
    ended, _ = await asyncio.wait([stopping], timeout=seconds + _PATIENCE)
    for each in ended:
        each.result()
    if not ended:  # as when that loop's thread waits for this one
        logger.error("%s stops only when the event loop that it was started in goes on, which is blocked", receiver)
