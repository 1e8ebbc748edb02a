"""Backfills: orders whose notifications were missed are read from the sender's API, once or at intervals."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import NamedTuple

from ..errors import ApiError, ConfigurationError, WebhookError
from ..logs import log_failure
from .base import Order

logger = logging.getLogger("webhook_receiver")

SLACK = 300.0
"""The seconds that a backfill looks back beyond `since`, since the clocks of two machines differ."""


class Backfill(NamedTuple):
    """The counts of a backfill."""

    seen: int = 0
    """Number of orders that the API returned: in a terminal status, and changed since the given time."""
    put: int = 0
    """Number of orders that were new, and were put into the inbox."""
    known: int = 0
    """Number of orders about which the inbox had a delivery already."""
    unfit: int = 0
    """Number of orders of which no event could be made; each is logged."""

    def as_json(self) -> dict[str, int]:
        """Return the counts as a JSON object."""
        return self._asdict()


Store = Callable[[Order], Awaitable[bool | None]]
"""A function that stores an order as a delivery: True if it was new, None if no event can be made of it."""

ProgressCallback = Callable[[Backfill], object]
"""A function that is called after each order with the counts so far."""


async def backfill(orders: AsyncGenerator[Order], store: Store, progress: ProgressCallback | None = None) -> Backfill:
    """Store orders as deliveries, and return the counts.

    Args:
        orders: the orders, from the sender's API; the generator is closed at the end.
        store: the function that stores one order.
        progress: the function that is called after each order with the counts so far.

    Raises:
        ApiError: the API failed. Deliveries that were stored until then stay, as with any other error.
        InboxError: the inbox failed.
    """
    found = Backfill()
    async with aclosing(orders):
        async for order in orders:
            new = await store(order)
            found = Backfill(
                found.seen + 1,
                found.put + (new is True),
                found.known + (new is False),
                found.unfit + (new is None),
            )
            if progress is not None:
                progress(found)
    return found


def moment(since: datetime | timedelta | float, now: float) -> float:
    """Return a moment in the past in Unix seconds.

    Args:
        since: the moment as a datetime with a time zone, or how long ago it was, as a timedelta or in seconds.
        now: the present time, in Unix seconds.

    Raises:
        ConfigurationError: `since` is a datetime without a time zone or in the future, or no time at all.
    """
    if isinstance(since, datetime):
        if since.tzinfo is None:
            raise ConfigurationError(f"since={since} has no time zone: say datetime(..., tzinfo=UTC)")
        begin = since.timestamp()
        if begin > now:
            raise ConfigurationError(f"since={since} is in the future")
        return begin
    return now - span(since, "since")


def span(given: timedelta | float, what: str) -> float:
    """Return a span of time in seconds.

    Args:
        given: the span, as a timedelta or in seconds.
        what: the name of the argument, for the error.

    Raises:
        ConfigurationError: the value is no span of time, or is not above 0.
    """
    seconds: object = given.total_seconds() if isinstance(given, timedelta) else given
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise ConfigurationError(f"{what} is a timedelta or a number of seconds, above 0, not {given!r}")
    return seconds


async def backfill_at_intervals(
    run: Callable[[float], Awaitable[Backfill]],
    name: str,
    *,
    interval: float,
    since: float,
    at_start: bool,
    clock: Callable[[], float],
) -> None:
    """Backfill at intervals until the task is cancelled. A run that fails is logged, and the next run catches up.

    Each run looks back `since` seconds beyond the begin of the last successful run, so no order is missed, however long
    the API is down. Between two runs lie 0.9 to 1.1 intervals, at random, so that processes that were started together
    do not ask together for ever. The same error in several runs is logged once.

    Args:
        run: the function that backfills from a Unix time on.
        name: the receiver's name, for the log.
        interval: the seconds between two runs.
        since: the seconds that each run looks back; see above.
        at_start: whether the first run is at once, not after an interval.
        clock: a function that returns the time in Unix seconds.
    """
    last, waits, logged = clock(), not at_start, ""
    while True:
        if waits:
            await asyncio.sleep(interval * random.uniform(0.9, 1.1))  # noqa: S311
        waits, begins = True, clock()
        try:
            found = await run(min(last, begins) - since)
        except Exception as error:
            kind = f"{type(error).__name__} {error.status}" if isinstance(error, ApiError) else type(error).__name__
            if kind != logged:
                _log_failed_run(name, error, interval)
            logged = kind
            continue
        if logged:
            logger.info("%s: the backfill works again", name)
        if found.put:
            logger.info("%s: %d orders were backfilled, %d were there already", name, found.put, found.known)
        last, logged = begins, ""


def _log_failed_run(name: str, error: Exception, interval: float) -> None:
    what = f"{name}: the backfill failed, and is tried again in about {interval:g} s"
    if isinstance(error, WebhookError):
        logger.error("%s: %s", what, error)
    else:
        log_failure(what, error)
