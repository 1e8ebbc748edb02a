"""Tasks that run beside a receiver's worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ..errors import ConfigurationError

Task = Callable[[], Coroutine[Any, Any, None]]
"""An async function that runs until it is cancelled, and logs its own failures."""

_STOP_TIMEOUT = 1.0  # seconds for cancelled tasks to end when the receiver stops


class BackgroundTasks:
    """The tasks that run beside a receiver's worker, such as polls at intervals."""

    def __init__(self) -> None:
        self._functions: list[Task] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False

    def add(self, task: Task) -> None:
        """Add a task that runs from the next start on.

        Raises:
            ConfigurationError: the tasks run already.
        """
        if self._started:
            raise ConfigurationError(
                "the receiver runs already: add background tasks, such as poll_every(...), before it starts"
            )
        self._functions.append(task)

    def start(self) -> None:
        """Start the tasks, unless they run already, in this event loop or in another."""
        self._started = True
        if not any(not task.done() and not task.get_loop().is_closed() for task in self._tasks):
            self._tasks = [asyncio.get_running_loop().create_task(function()) for function in self._functions]

    def forget(self) -> None:
        """Forget the tasks that run: they are another process's."""
        self._tasks, self._started = [], False

    async def stop(self) -> None:
        """Cancel the tasks, and wait a bounded time for their end."""
        tasks, self._tasks, self._started = self._tasks, [], False
        ours = [task for task in tasks if task.get_loop() is asyncio.get_running_loop()]  # others ended with their loop
        for task in ours:
            task.cancel()
        if ours:
            await asyncio.wait(ours, timeout=_STOP_TIMEOUT)
