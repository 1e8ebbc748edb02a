"""The watchdog: a thread that logs which handler blocks the event loop, since nothing on the loop could."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("webhook_receiver")

SECONDS = 1.0
"""The seconds for which a loop may do nothing else before it counts as blocked."""


class Watchdog:
    """A watch over one event loop, until it is stopped.

    Args:
        loop: the loop, of the thread that makes this.
        handler_of: returns the name of the handler that a task is running, None if it runs none.
        seconds: how long the loop may do nothing else.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handler_of: Callable[[asyncio.Task[Any] | None], str | None],
        seconds: float = SECONDS,
    ) -> None:
        self._loop = loop
        self._handler_of = handler_of
        self._seconds = seconds
        self._watched = threading.get_ident()
        self._beat = threading.Event()
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, name="webhook-loop-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop the watch."""
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._beat.clear()
            try:
                self._loop.call_soon_threadsafe(self._beat.set)
            except RuntimeError:
                return  # the loop is closed
            if not self._beat.wait(self._seconds) and not self._stopped.is_set():
                self._warn()  # once for each time
                while not self._beat.wait(self._seconds):
                    if self._stopped.is_set() or self._loop.is_closed():
                        return

    def _warn(self) -> None:
        handler = self._handler_of(asyncio.current_task(self._loop))
        if handler is None:
            return  # the host's own code; it is not ours to complain about
        frame = sys._current_frames().get(self._watched)  # pyright: ignore[reportPrivateUsage] - but documented
        place = f", just now in {frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
        logger.warning(
            "%s has blocked the event loop for more than %g s%s: no request is answered meanwhile. "
            "Make it a plain function, which runs in a thread, or await what takes long",
            handler,
            self._seconds,
            place,
        )
