"""Tasks of a receiver's own, which run for as long as it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from .errors import ConfigurationError

Chore = Callable[[], Coroutine[Any, Any, None]]
"""Goes on until it is cancelled; whatever fails in it is its own to tell."""

_PATIENCE = 1.0  # seconds for a cancelled task to end when the receiver stops


class Chores:
    """What runs beside a receiver's worker."""

    def __init__(self) -> None:
        self._chores: list[Chore] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False

    def add(self, chore: Chore) -> None:
        """Run it from the next start on.

        Raises:
            ConfigurationError: they run already.
        """
        if self._started:
            raise ConfigurationError("the receiver runs already: what it has to do besides is said before it starts")
        self._chores.append(chore)

    def start(self) -> None:
        """Run them all, each in a task; nothing if they run already, in whichever loop."""
        self._started = True
        if not any(not task.done() and not task.get_loop().is_closed() for task in self._tasks):
            self._tasks = [asyncio.get_running_loop().create_task(chore()) for chore in self._chores]

    async def stop(self) -> None:
        """Cancel them, and wait a bounded time for their end."""
        tasks, self._tasks, self._started = self._tasks, [], False
        ours = [task for task in tasks if task.get_loop() is asyncio.get_running_loop()]  # others ended with their loop
        for task in ours:
            task.cancel()
        if ours:
            await asyncio.wait(ours, timeout=_PATIENCE)
