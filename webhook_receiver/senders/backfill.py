"""Backfill: asking the sender's API for the orders whose notifications were missed, now and from time to time."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from ..errors import ApiError, ConfigurationError, WebhookError
from ..redaction import log_failure
from .base import Order

logger = logging.getLogger("webhook_receiver")

SLACK = 300.0
"""Seconds that are looked back further than asked for: two machines' clocks differ."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """What came of asking the API for orders."""

    seen: int = 0
    """How many orders it told of, in a terminal status and changed lately."""
    put: int = 0
    """How many of them were new, and were put into the inbox."""
    known: int = 0
    """How many the inbox had already."""
    unfit: int = 0
    """How many no event could be made of; each is logged."""

    def as_json(self) -> dict[str, int]:
        """Return it as JSON can hold it."""
        return asdict(self)


Keep = Callable[[Order], Awaitable[bool | None]]
"""Keeps an order as a delivery: whether it was new, None if no event can be made of it."""

ProgressCallback = Callable[[Backfill], object]
"""Hears after each order how far a backfill is."""


async def backfill(orders: AsyncGenerator[Order], keep: Keep, progress: ProgressCallback | None = None) -> Backfill:
    """Keep these orders.

    Raises:
        ApiError, InboxError: one of the two failed; what was put until then stays.
    """
    found = Backfill()
    async with aclosing(orders):
        async for order in orders:
            new = await keep(order)
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
    """Return the Unix time that is meant by `since`: a time, or how long ago.

    Raises:
        ConfigurationError: it is a time without a zone, in the future, or no time at all.
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
    """Return the seconds of a span of time, which is the argument `what`.

    Raises:
        ConfigurationError: it is none, or not above 0.
    """
    seconds: object = given.total_seconds() if isinstance(given, timedelta) else given
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise ConfigurationError(f"{what} is a timedelta or a number of seconds, above 0, not {given!r}")
    return seconds


async def keep_on(
    run: Callable[[float], Awaitable[Backfill]],
    name: str,
    *,
    interval: float,
    since: float,
    at_start: bool,
    clock: Callable[[], float],
) -> None:
    """Backfill again and again, until it is cancelled; whatever fails is logged, once, and tried the next time.

    Each run looks back `since` seconds further than to the begin of the last one that ended well, so that nothing
    falls between, however long the API is down. Between two lie 0.9 to 1.1 intervals: several processes that were
    started together shall not ask together for ever.
    """
    last, waits, told = clock(), not at_start, ""
    while True:
        if waits:
            await asyncio.sleep(interval * random.uniform(0.9, 1.1))  # noqa: S311
        waits, begins = True, clock()
        try:
            found = await run(min(last, begins) - since)
        except Exception as error:
            kind = f"{type(error).__name__} {error.status}" if isinstance(error, ApiError) else type(error).__name__
            if kind != told:
                _log(name, error, interval)
            told = kind
            continue
        if told:
            logger.info("%s: the backfill works again", name)
        if found.put:
            logger.info("%s: %d orders were backfilled, %d were there already", name, found.put, found.known)
        last, told = begins, ""


def _log(name: str, error: Exception, interval: float) -> None:
    what = f"{name}: the backfill failed, and is tried again in about {interval:g} s"
    if isinstance(error, WebhookError):
        logger.error("%s: %s", what, error)
    else:
        log_failure(what, error)
