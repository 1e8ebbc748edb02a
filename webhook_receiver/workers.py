"""Which worker handles what is in an inbox: one that the inbox brings, or the usual one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from .handling import Handlers
from .inbox.base import Inbox
from .options import WorkerOptions
from .worker import Worker


@runtime_checkable
class BringsWorker(Protocol):
    """An inbox that is worked on in its own way."""

    def worker(self, source: str, handlers: Handlers, options: WorkerOptions, clock: Callable[[], float]) -> Worker:
        """Return a worker on it; its arguments are those of `Worker`."""
        ...


def worker_on(
    inbox: Inbox, source: str, handlers: Handlers, options: WorkerOptions, clock: Callable[[], float]
) -> Worker:
    """Return a worker, which is not started yet; its arguments are those of `Worker`."""
    if isinstance(inbox, BringsWorker):
        return inbox.worker(source, handlers, options, clock)
    return Worker(inbox, source, handlers, options, clock)
