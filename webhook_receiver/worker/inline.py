"""Handling a delivery before it is answered, where there is no inbox to keep it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from ..delivery import Delivery
from ..errors import GiveUp, Retry
from ..events import Event
from ..responses import FAILED, HANDLED, Response, retry_after
from ..routing import Handler
from ..senders.order_check import OrderCheck
from .executor import run

logger = logging.getLogger("webhook_receiver")


_LATER = 10.0  # seconds after which the sender may try what could not be confirmed


async def handle(
    handlers: Sequence[Handler], event: Event, delivery: Delivery, confirmation: OrderCheck | None = None
) -> Response:
    """Run the handlers, all of them, one after the other; return what the sender is answered."""
    if handlers and confirmation is not None and confirmation.is_about(event, delivery):
        error = await run(partial(confirmation.call, event), confirmation.name, delivery.id)
        if error is not None:
            return HANDLED if isinstance(error, GiveUp) else retry_after(_LATER)
    raised: list[BaseException] = []
    for handler in handlers:
        error = await run(partial(handler.call, event, delivery, 1), handler.name, delivery.id)
        if error is not None:
            raised.append(error)
    if logger.isEnabledFor(logging.INFO):
        names = ", ".join(handler.name for handler in handlers) or "no handler"
        logger.info("delivery %s: %s: %s", delivery.id, type(event).__name__, names)
    return _answer(raised) if raised else HANDLED


def _answer(raised: list[BaseException]) -> Response:
    """One failure asks the sender to try again; so does a handler's wish to, at the latest time of any."""
    if not all(isinstance(each, Retry | GiveUp) for each in raised):
        return FAILED
    waits = [each.after for each in raised if isinstance(each, Retry)]
    return retry_after(max(waits)) if waits else HANDLED
