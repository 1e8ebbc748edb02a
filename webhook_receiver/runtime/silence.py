"""Silence: how long no push has come to a receiver, and whether that is longer than expected.

Senders switch webhooks off, as after failures, and nobody hears of it. The times of pushes are among the counts of the
inbox, by the minute, so that all processes know of them, and those that start later.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from ..errors import ConfigurationError
from ..inbox.base import Inbox
from ..inbox.counting import MINUTE
from ..inbox.records import Metric
from ..inbox.retention import COUNTS_RETENTION
from ..logs import fields
from ..redaction import summary
from ..senders.backfill import span

logger = logging.getLogger("webhook_receiver")

_SHORTEST, _LONGEST = 60.0, 30 * 86_400.0  # seconds: counts are by the minute, and kept for some time
_LATE = 2 * MINUTE  # seconds after which other processes have told of a push
_BETWEEN_LOOKS = 15.0  # seconds
_PUSH, _START = "push", "start"


class Silence:
    """The time without a push, and the longest that is expected. See the top of this module.

    Args:
        every: the longest time without a push that is expected, as a timedelta or in seconds.
        clock: returns the time in Unix seconds.

    Raises:
        ConfigurationError: the time is none, or shorter than a minute or longer than 30 days.
    """

    def __init__(self, every: timedelta | float, clock: Callable[[], float]) -> None:
        self.limit = span(every, "expect_every")
        """The longest time without a push that is expected, in seconds."""
        if not _SHORTEST <= self.limit <= _LONGEST:
            raise ConfigurationError(f"expect_every=... is from a minute to 30 days, not {self.limit:g} s")
        self.counts = Counter[str]()
        """The numbers of pushes and of starts of this process, for the counts of the inbox."""
        self._clock = clock
        self._push: float | None = None
        """The time of the latest push that is known, in Unix seconds."""
        self._begin = clock()
        """The time since when one is expected, in Unix seconds."""
        self._looked: float | None = None
        """The time up to which the counts of the inbox are known, in Unix seconds."""

    def start(self) -> None:
        """Note that a process begins to receive."""
        self.counts[_START] += 1

    def hear(self, now: float) -> None:
        """Note a push at a Unix time in seconds."""
        self.counts[_PUSH] += 1
        self._push = now

    @property
    def seconds(self) -> float:
        """The seconds since the latest push that is known, or since one was expected first."""
        return max(0.0, self._clock() - (self._begin if self._push is None else self._push))

    @property
    def problem(self) -> str | None:
        """What is wrong, in a sentence; None if nothing is. A minute more is given: processes tell by the minute."""
        seconds = self.seconds
        if seconds <= self.limit + MINUTE:
            return None
        return (
            f"no push has come for {seconds:.0f} s, and one is expected every {self.limit:g} s: see whether the sender "
            "has switched the webhook off, or posts elsewhere"
        )

    async def look(self, inbox: Inbox, receiver: str) -> None:
        """Learn from an inbox when the latest push came to any process.

        Args:
            inbox: the inbox.
            receiver: the receiver's name there.

        Raises:
            InboxError: the inbox failed.
        """
        now = self._clock()
        if self._push is not None and now - self._push < MINUTE:
            return
        begin = now - COUNTS_RETENTION if self._looked is None else self._looked - _LATE
        first, last = int(begin // MINUTE), int(now // MINUTE) + 1
        minute = await _search(inbox, receiver, _PUSH, first, last, latest=True)
        if minute is not None:
            self._push = max(self._push or 0.0, min(now, (minute + 1) * MINUTE))
        elif self._looked is None:
            minute = await _search(inbox, receiver, _START, first, last, latest=False)
            self._begin = self._begin if minute is None else min(self._begin, minute * MINUTE)
        self._looked = now

    async def watch(self, inbox: Inbox, receiver: Callable[[], str]) -> None:
        """Log when the silence becomes too long, and when it ends, until the task is cancelled."""
        was_told = fails = False
        while True:
            try:
                await self.look(inbox, receiver())
                problem = self.problem
            except Exception as error:
                if not fails:
                    logger.warning("%s: the time of the latest push is not known: %s", receiver(), summary(error))
                fails = True
            else:
                fails = False
                if problem is not None and not was_told:
                    logger.error("%s: %s", receiver(), problem, extra=fields(reason="silence"))
                elif problem is None and was_told:
                    logger.info("%s: pushes come again", receiver(), extra=fields(reason="silence"))
                was_told = problem is not None
            await asyncio.sleep(_BETWEEN_LOOKS)


async def _search(inbox: Inbox, receiver: str, what: str, first: int, last: int, *, latest: bool) -> int | None:
    """Return the first or the latest minute with a count, of those from `first` to before `last`; None without one."""
    metric = Metric(receiver, f"expected {what}")

    async def is_in(first: int, last: int) -> bool:
        return metric in await inbox.counted(first * MINUTE, last * MINUTE)

    if not await is_in(first, last):
        return None
    while last - first > 1:
        middle = (first + last) // 2
        is_later = await is_in(middle, last) if latest else not await is_in(first, middle)
        first, last = (middle, last) if is_later else (first, middle)
    return first
