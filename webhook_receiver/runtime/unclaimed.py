"""Deliveries that nobody claims, as after a receiver has got another name: the log tells of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..inbox.base import Inbox
from ..inbox.names import unclaimed
from ..logs import log_failure

logger = logging.getLogger("webhook_receiver")

_UNTIL_ALL_RUN = 60.0
"""Seconds after a start in which other receivers start, too, and claim what is theirs."""
_HOUR = 3600.0


async def watch_unclaimed(
    inbox: Inbox, receiver: Callable[[], str], unix: Callable[[], float], clock: Callable[[], float]
) -> None:
    """Warn of what nobody claims: soon after the start, and then every hour by the receiver's clock.

    Args:
        inbox: the inbox.
        receiver: returns the name of the receiver that looks.
        unix: returns the time in Unix seconds.
        clock: returns the time by the clock of the inbox.
    """
    told: float | None = None
    while True:
        await asyncio.sleep(_UNTIL_ALL_RUN)
        now = clock()
        if told is None or abs(now - told) >= _HOUR:  # a clock may be set back
            told = now
            await _tell(inbox, receiver(), unix(), now)


async def _tell(inbox: Inbox, receiver: str, unix: float, now: float) -> None:
    try:
        for name in await unclaimed(inbox, unix, now):
            logger.warning(
                "the inbox has deliveries of a receiver %r that have been due for over an hour, and no process "
                "claims them: let it run; if it has another name now, WebhookReceiver(name=%r) gives it back",
                name,
                name,
            )
    except Exception as error:
        log_failure(f"{receiver}: the inbox failed", error)
