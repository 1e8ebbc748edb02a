"""Running the handlers of a delivery before it is answered, where there is no inbox to keep it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from ..delivery import Attempt, Delivery
from ..errors import ConfigurationError, GiveUp, Retry
from ..events import Event
from ..logs import fields
from ..responses import FAILED, HANDLED, Response, retry_after
from ..routing import Handler, Middleware
from ..senders.order_check import OrderCheck
from .attempt import run
from .attempt_log import AttemptLog
from .context import InOwnContext
from .dispatcher import Dispatcher
from .limits import Limiters
from .middleware import cancellations, run_inside

logger = logging.getLogger("webhook_receiver")


_LATER = 10.0  # seconds after which the sender may try what could not be confirmed


async def handle(
    handlers: Sequence[Handler],
    event: Event,
    delivery: Delivery,
    log: AttemptLog,
    order_check: OrderCheck | None = None,
    middlewares: Sequence[Middleware] = (),
    limiters: Limiters | None = None,
) -> Response:
    """Run all handlers once, one after the other; return the response to the sender.

    It is 204 when each is done or has given up, 503 when one is to run again later or the order is not confirmed yet,
    and 500 when one failed. Nothing bounds their time but the server's own timeouts. If one of them is at its limit,
    none is run, and the response is 503: a sender that waits does not know for how long.

    Args:
        handlers: those that match the event, in the order in which they run.
        event: what they get.
        delivery: what the event was parsed from.
        log: logs the attempts that fail.
        order_check: the check that comes first where the body is not verified; no middleware runs round it.
        middlewares: run round each handler, the first outermost.
        limiters: those of the handlers with limits; None to run them without.
    """
    limited = {handler.name: handler.limits for handler in handlers if handler.limits is not None}
    if limited and limiters is not None:
        turns = limiters.take_all(limited)
        if not isinstance(turns, list):
            return retry_after(turns)
        try:
            return await handle(handlers, event, delivery, log, order_check, middlewares)
        finally:
            for turn in turns:
                turn.end()
    if handlers and order_check is not None and order_check.is_about(event, delivery):
        error = await _run(partial(order_check.call, event))
        if error is not None:
            log.add(error, delivery.id, order_check.name, 1)
            return HANDLED if isinstance(error, GiveUp) else retry_after(_LATER)
    raised: list[BaseException] = []
    for handler in handlers:
        start: Callable[[], Awaitable[object]] = partial(handler.call, event, delivery, 1)
        if middlewares:
            start = partial(run_inside, middlewares, Attempt(delivery, handler.name, 1), start)
        error = await _run(start if len(handlers) == 1 else partial(InOwnContext, start))
        if error is not None:
            log.add(error, delivery.id, handler.name, 1)
            raised.append(error)
    if logger.isEnabledFor(logging.INFO):
        names = ", ".join(handler.name for handler in handlers) or "no handler"
        extra = fields(delivery_id=delivery.id)
        logger.info("delivery %s: %s: %s", delivery.id, type(event).__name__, names, extra=extra)
    return _response(raised) if raised else HANDLED


async def _run(start: Callable[[], Awaitable[object]]) -> BaseException | None:
    """Run an attempt; return what it raised.

    Raises:
        asyncio.CancelledError: the task of the request was cancelled: by the host, as a rule, which wants no response.
            A handler that cancels it cannot be told from that.
    """
    before = cancellations()
    error = await run(start)
    if isinstance(error, asyncio.CancelledError) and cancellations() > before:
        raise error
    return error


def _response(raised: list[BaseException]) -> Response:
    """Return the response after at least one error: 500 for a failure, else 503 with the longest wait of a Retry."""
    if not all(isinstance(each, Retry | GiveUp) for each in raised):
        return FAILED
    waits = [each.after for each in raised if isinstance(each, Retry)]
    return retry_after(max(waits)) if waits else HANDLED


def check_without_inbox(dispatcher: Dispatcher) -> None:
    """Reject handlers that need an inbox, for a receiver without one.

    Raises:
        ConfigurationError: a handler has a backoff or a timeout, or there is a dead-letter handler.
    """
    if dispatcher.dead_letter_handlers:
        raise ConfigurationError(
            'on_dead needs an inbox, since only an inbox has dead letters: inbox="sqlite:///hooks.db"'
        )
    for handler in dispatcher.handlers:
        if handler.backoff is not None or handler.timeout is not None:
            raise ConfigurationError(
                f"backoff=... and timeout=... of {handler.name} need an inbox, without which a handler is run once, "
                'before the response: inbox="sqlite:///hooks.db"'
            )
