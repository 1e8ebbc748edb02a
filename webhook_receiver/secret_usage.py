"""Watching the change of a secret: said is that an old one is still used, and when it no longer is."""

from __future__ import annotations

import logging
from collections import Counter

logger = logging.getLogger("webhook_receiver")

BETWEEN_WARNINGS = 3600.0  # seconds
QUIET = 86_400.0  # seconds without the old secret; senders retry with the old signature for hours


class Rotation:
    """Which of a receiver's secrets deliveries are verified by. The first is the new one, all others are old.

    Args:
        source: the receiver's name.
    """

    def __init__(self, source: str) -> None:
        self.counts: Counter[int] = Counter()
        """How many deliveries each of them verified."""
        self._source = source
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
