"""Telemetry: metrics and spans of a receiver by OpenTelemetry, where the process has configured it.

Whoever wants them sets a provider of OpenTelemetry's SDK before the receiver starts, as `serve --metrics-port` does.
Otherwise nothing is imported, and nothing is measured.

Most metrics cost a delivery nothing: they are read when somebody collects them, from the counters of the runtime and
its worker, which are there anyway, and from what the inbox has (see `figures.py`). Only the durations of handlers, and
spans, are recorded as they happen. `instruments.py` has all metrics, `tracing.py` all spans. No name that a stranger or
a sender chooses is an attribute of a metric; the names that code chooses are bounded.

Names are those of the semantic conventions for messaging, version 1.44.0, where there are some
(opentelemetry.io/docs/specs/semconv/messaging). All others begin with `webhook_receiver.`
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Protocol

from ..delivery import Headers
from ..errors import WebhookError
from ..responses import Receipt
from ..routing import Middleware
from .observed import Observed
from .polled_page import PolledPage

__all__ = ["Observed", "PolledPage", "Telemetry", "found"]


class Telemetry(Protocol):
    """The telemetry of one runtime, as that calls it."""

    middlewares: tuple[Middleware, ...]
    """What runs round every attempt, outside of the user's middleware."""

    async def receive(
        self, headers: Headers, signed_at: float | None, now: float, take: Callable[[str | None], Awaitable[Receipt]]
    ) -> Receipt:
        """Have a verified request taken, and measure that.

        Args:
            headers: the headers of the request.
            signed_at: the time of its signature, in Unix seconds; None if it states none.
            now: the time of receipt, in Unix seconds.
            take: takes it, given the context to keep with its delivery.
        """
        ...

    def poll(self, source: str) -> AbstractContextManager[PolledPage]:
        """Measure a request for a page of a source, until the page is put.

        Args:
            source: the name of the source.
        """
        ...

    def reject(self, error: WebhookError) -> None:
        """Note a request that was rejected before it was taken."""
        ...

    async def look(self) -> None:
        """Look at what the inbox has, at intervals, until the task is cancelled."""
        ...


def found(observed: Observed) -> Telemetry | None:
    """Return the telemetry of a runtime; None where nobody has configured OpenTelemetry in this process.

    Args:
        observed: the runtime.
    """
    if not {"opentelemetry.trace", "opentelemetry.metrics"} & sys.modules.keys():
        return None  # whoever configures it imports it
    from .open_telemetry import configured

    return configured(observed)
