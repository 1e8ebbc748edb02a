"""Running the handlers of a delivery before it is answered, where there is no inbox to keep it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from functools import partial
from typing import Any, cast

from ..delivery import Attempt, Delivery
from ..errors import GiveUp, Retry
from ..events import Event
from ..logs import fields
from ..responses import FAILED, HANDLED, Response, retry_after
from ..routing import Handler, Middleware
from ..senders.order_check import OrderCheck
from .attempt_log import AttemptLog
from .context import InOwnContext
from .executor import run, take_back
from .middleware import cancellations, current_task, run_inside

logger = logging.getLogger("webhook_receiver")


_LATER = 10.0  # seconds after which the sender may try what could not be confirmed


async def handle(
    handlers: Sequence[Handler],
    event: Event,
    delivery: Delivery,
    log: AttemptLog,
    order_check: OrderCheck | None = None,
    middlewares: Sequence[Middleware] = (),
) -> Response:
    """Run all handlers once, one after the other; return the response to the sender.

    It is 204 when each is done or has given up, 503 when one is to run again later or the order is not confirmed yet,
    and 500 when one failed. Nothing bounds their time but the server's own timeouts.

    Args:
        handlers: those that match the event, in the order in which they run.
        event: what they get.
        delivery: what the event was parsed from.
        log: logs the attempts that fail.
        order_check: the check that comes first where the body is not verified; no middleware runs round it.
        middlewares: run round each handler, the first outermost.
    """
    if handlers and order_check is not None and order_check.is_about(event, delivery):
        error = await run(own := OwnCancellations(partial(order_check.call, event)))
        if own.count or isinstance(error, asyncio.CancelledError):
            await own.take_back(error)
        if error is not None:
            log.add(error, delivery.id, order_check.name, 1)
            return HANDLED if isinstance(error, GiveUp) else retry_after(_LATER)
    raised: list[BaseException] = []
    for handler in handlers:
        start: Callable[[], Awaitable[object]] = partial(handler.call, event, delivery, 1)
        if middlewares:
            start = partial(run_inside, middlewares, Attempt(delivery, handler.name, 1), start)
        own = OwnCancellations(start if len(handlers) == 1 else partial(InOwnContext, start))
        error = await run(own)
        if own.count or isinstance(error, asyncio.CancelledError):
            await own.take_back(error)
        if error is not None:
            log.add(error, delivery.id, handler.name, 1)
            raised.append(error)
    if logger.isEnabledFor(logging.INFO):
        names = ", ".join(handler.name for handler in handlers) or "no handler"
        extra = fields(delivery_id=delivery.id)
        logger.info("delivery %s: %s: %s", delivery.id, type(event).__name__, names, extra=extra)
    return _response(raised) if raised else HANDLED


class OwnCancellations:
    """The start of an attempt that counts how often the handler's own code cancels the task that runs it.

    The host cancels a request while its handler waits; so what comes while the handler's code runs is its own. A task
    of its own for the handler would tell them apart, too, but cost more than the rest of the request.

    Args:
        start: calls the handler, inside its middleware.
    """

    __slots__ = ("_awaited", "_before", "_start", "_steps", "count")

    def __init__(self, start: Callable[[], Awaitable[object]]) -> None:
        self._start = start
        self.count = 0

    def __call__(self) -> Awaitable[object]:
        """Run the handler until it waits for the first time. Most never do, and cost no generator."""
        cancelling = current_task().cancelling
        self._before = before = cancelling()
        self._steps: Any = self._start().__await__()
        try:
            self._awaited = next(self._steps)
        except StopIteration:
            return _DONE
        finally:
            if (now := cancelling()) != before:
                self._add(now - before)
        return self

    def __await__(self) -> Generator[Any, Any, object]:
        cancelling, steps, awaited = current_task().cancelling, self._steps, self._awaited
        thrown: BaseException | None = None
        before = cancelling()
        try:
            while True:
                try:
                    yield awaited  # asyncio sends nothing
                except BaseException as error:
                    thrown = error
                before = cancelling()
                awaited = next(steps) if thrown is None else steps.throw(thrown)
                thrown = None
                self._add(cancelling() - before)
        except StopIteration:
            return None
        finally:
            self._add(cancelling() - before)
            del thrown, self._steps, self._awaited  # or an error, its frames and this would hold one another

    async def take_back(self, error: BaseException | None) -> None:
        """Take back the handler's own cancellations; raise the error if it is a cancellation by somebody else."""
        if isinstance(error, asyncio.CancelledError) and cancellations() - self._before > self.count:
            raise error
        if self.count:  # the others are the host's
            await take_back(self.count)

    def _add(self, more: int) -> None:
        self.count = max(0, self.count + more)  # asyncio.timeout takes back one that its timer has made


class _Done:
    def __await__(self) -> Generator[Any, Any, None]:
        return cast("Generator[Any, Any, None]", iter(()))


_DONE = _Done()


def _response(raised: list[BaseException]) -> Response:
    """Return the response after at least one error: 500 for a failure, else 503 with the longest wait of a Retry."""
    if not all(isinstance(each, Retry | GiveUp) for each in raised):
        return FAILED
    waits = [each.after for each in raised if isinstance(each, Retry)]
    return retry_after(max(waits)) if waits else HANDLED
