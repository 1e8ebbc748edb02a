"""Counts of what was rejected and of which secrets are in use, and the log lines about them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from .errors import InboxError, VerificationError, WebhookError

logger = logging.getLogger("webhook_receiver")

SECONDS_BETWEEN_LINES = 60.0


class RejectionCounter:
    """How often which error refused a request, and the log lines about it.

    A line holds the receiver's name and our own words for the reason, never a byte of the request.
    """

    def __init__(self, receiver: str, clock: Callable[[], float]) -> None:
        self.counts: Counter[str] = Counter()
        self._source = receiver
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


BETWEEN_WARNINGS = 3600.0  # seconds
QUIET = 86_400.0  # seconds without the old secret; senders retry with the old signature for hours


class SecretUsage:
    """Which of a receiver's secrets deliveries are verified by. The first is the new one, all others are old.

    Args:
        source: the receiver's name.
    """

    def __init__(self, receiver: str) -> None:
        self.counts: Counter[int] = Counter()
        """How many deliveries each of them verified."""
        self._source = receiver
        self._used: dict[int, float] = {}
        """When old ones were used last."""
        self._warned: dict[int, float] = {}

    def note(self, by: int, now: float) -> None:
        """Note that the secret of this index verified a delivery at `now`; warn at most hourly if it is an old one."""
        self.counts[by] += 1
        if by == 0:
            if self._used:
                self._tell_unused(now)
            return
        self._used[by] = now
        last = self._warned.get(by)
        if last is None or not 0 <= now - last < BETWEEN_WARNINGS:
            self._warned[by] = now
            logger.warning(
                "%s: a delivery was verified by secret %d; its sender does not sign with the first, secret 0, yet",
                self._source,
                by,
            )

    def _tell_unused(self, now: float) -> None:
        for by in [by for by, last in self._used.items() if now - last >= QUIET]:
            del self._used[by]
            self._warned.pop(by, None)
            logger.info("%s: for a day secret 0 was used and secret %d was not: that can be removed", self._source, by)
