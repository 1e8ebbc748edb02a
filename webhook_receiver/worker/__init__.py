"""The worker: it claims deliveries, runs their handlers, and settles them. The inbox decides which worker that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from ..inbox.base import Inbox
from ..options import WorkerOptions
from .executor import Dispatcher
from .worker import Worker


def worker_for(
    inbox: Inbox, receiver: str, handlers: Dispatcher, options: WorkerOptions, clock: Callable[[], float]
) -> Worker:
    """Return a worker that fits the inbox, which is not started yet; the arguments are those of `Worker`."""
    if getattr(inbox, "engine", None) == "procrastinate":
        from .procrastinate import JobInbox, JobWorker  # needs [postgres], as that inbox does

        return JobWorker(cast(JobInbox, inbox), receiver, handlers, options, clock)
    return Worker(inbox, receiver, handlers, options, clock)
