"""Those who watch a SQLite inbox in this process; no process hears of another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress


class Watchers:
    """Those who watch an inbox, each in its event loop."""

    def __init__(self) -> None:
        self._watching: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    async def watch(self, poll: float) -> AsyncGenerator[None, None]:
        """Yield whenever `wake` was called, and every `poll` seconds."""
        watcher = asyncio.get_running_loop(), asyncio.Event()
        self._watching.add(watcher)
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(poll):
                        await watcher[1].wait()
                watcher[1].clear()
                yield
        finally:
            self._watching.discard(watcher)

    def wake(self, acknowledged: bool) -> None:
        """Wake those who watch, after a commit. Called in the writer's thread."""
        for loop, due in [*self._watching]:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(due.set)
