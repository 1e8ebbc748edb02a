"""Counting and logging what was refused: each reason once a minute, since strangers decide how often."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from .errors import InboxError, VerificationError, WebhookError

logger = logging.getLogger("webhook_receiver")

SECONDS_BETWEEN_LINES = 60.0


class Refusals:
    """How often which error refused a request, and the log lines about it.

    A line holds the receiver's name and our own words for the reason, never a byte of the request.
    """

    def __init__(self, source: str, clock: Callable[[], float]) -> None:
        self.counts: Counter[str] = Counter()
        self._source = source
        self._clock = clock
        self._logged: dict[str, tuple[float, int]] = {}

    def add(self, error: WebhookError) -> None:
        """Count it; log it unless a line about the same reason was written within the last minute."""
        reason = type(error).__name__
        self.counts[reason] += 1
        now = self._clock()
        last, count = self._logged.get(reason, (None, 0))
        if last is not None and 0 <= now - last < SECONDS_BETWEEN_LINES:
            return
        self._logged[reason] = (now, self.counts[reason])
        level = logging.WARNING if isinstance(error, VerificationError) else logging.INFO
        level = logging.ERROR if isinstance(error, InboxError) else level
        unlogged = self.counts[reason] - count - 1
        more = f" ({unlogged} more since the last line)" if unlogged else ""
        logger.log(level, "%s refused a request: %s: %s%s", self._source, reason, error, more)
