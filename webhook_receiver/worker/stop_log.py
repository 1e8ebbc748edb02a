"""What is logged when a worker stops: what it waits for, what it cuts off, and what does not end."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

from ..logs import fields
from .executor import InFlight

logger = logging.getLogger("webhook_receiver")


def log_wait(receiver: str, in_flight: Iterable[InFlight], seconds: float) -> None:
    """Log which handlers a stop waits for, up to a time in seconds."""
    running = Counter(each.handler.name for each in in_flight if each.handler is not None)
    if running:
        names = ", ".join(name if count == 1 else f"{name} ({count} times)" for name, count in running.items())
        logger.info("%s stops, and waits up to %g s for %s", receiver, seconds, names)


def log_cut_off(in_flight: InFlight, seconds: float) -> None:
    """Log that the handler of a delivery, if one is running, is cut off after that time in seconds."""
    id, handler, progress = in_flight.claim.delivery.id, in_flight.handler, in_flight.progress
    if handler is None or progress is None:
        return
    said = "delivery %s: %s was still running after %g s and is cut off, since the process stops: it will run again"
    attempt = progress.of(handler).attempts
    extra = fields(delivery_id=id, handler=handler.name, attempt=attempt, reason="the process stops")
    logger.warning(said, id, handler.name, seconds, extra=extra)


def log_left_behind(receiver: str, handler: str) -> None:
    """Log that a handler does not end."""
    said = "%s: %s does not end, and is left behind; its lease ends by itself"
    logger.error(said, receiver, handler, extra=fields(handler=handler, reason="the process stops"))
