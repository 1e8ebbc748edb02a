"""The one place that reaches inside a receiver: while it is rehearsed it keeps elsewhere and tells another time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from ..counters import RejectionCounter, SecretUsage
from ..events import Event
from ..inbox.base import Inbox
from ..inbox.memory import MemoryInbox
from ..options import WorkerOptions
from ..receiver import WebhookReceiver
from ..routing import Handler
from ..runtime import Runtime
from ..signatures import Scheme
from .driver import Clock, Driver, Run, watched


class PersistentMemoryInbox(MemoryInbox):
    """An inbox that survives the lives of the app and of the receiver, as a file does, and ends with the test."""

    async def close(self) -> None:
        """Do nothing yet."""

    async def forget(self) -> None:
        """Let go of everything."""
        await super().close()


def scheme_of(hooks: WebhookReceiver) -> Scheme:
    """Return how its deliveries are signed."""
    scheme: Scheme = vars(hooks)["_scheme"]
    return scheme


def event_header_of(hooks: WebhookReceiver) -> str | None:
    """Return the header that names its events, in lower case; None if their bodies do."""
    header: bytes | None = vars(hooks)["_event_header"]
    return None if header is None else header.decode()


@contextmanager
def moved(hooks: WebhookReceiver, inbox: Inbox, clock: Clock, note: Callable[[Run], None]) -> Generator[Driver | None]:
    """Let the receiver itself keep in `inbox`, if it keeps at all, by `clock`, with no worker; note what handlers run.

    Itself, and no copy of it, for an app may have it mounted already. Yields what does a worker's work meanwhile.
    """
    match = hooks.match
    runtime: Runtime | None = vars(hooks)["_runtime"]

    def watching(event: Event) -> tuple[Handler, ...]:
        return tuple(watched(handler, note) for handler in match(event))

    mine: dict[str, Any] = {"match": watching, "_clock": clock, "_rejections": RejectionCounter(hooks.name, clock)}
    mine["_rotation"] = SecretUsage(hooks.name)
    driver = None
    if runtime is not None:
        mine["_runtime"] = Runtime(inbox, hooks.name, hooks, vars(runtime)["_key"], WorkerOptions(), clock, work=False)
        driver = Driver(inbox, hooks.name, hooks, vars(runtime)["_options"], clock)
    with patch.multiple(hooks, **mine):
        yield driver
