"""Counters of rejected requests and of the secrets in use, and the log lines about them; the counts of each minute."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from ..errors import InboxError, KeysUnavailable, MethodNotAllowed, WebhookError
from ..inbox.base import Inbox
from ..inbox.counters import Counters
from ..inbox.counting import MINUTE
from ..logs import LineLimit, fields, warn_if_disabled
from ..redaction import summary

logger = logging.getLogger("webhook_receiver")


class RejectionCounter:
    """Counts rejected requests by error, and logs them.

    A log line holds the receiver's name and the error's own message, never a byte of the request.

    Args:
        receiver: the receiver's name.
        clock: returns the time in Unix seconds.
    """

    def __init__(self, receiver: str, clock: Callable[[], float]) -> None:
        self.counts: Counter[str] = Counter()
        """The number of rejected requests by the name of the error's class."""
        self.receiver = receiver
        """The receiver's name."""
        self.tell: Callable[[WebhookError], None] | None = None
        """A function of telemetry that is told of each error; None for none."""
        self.note: Callable[[WebhookError], None] | None = None
        """A function of the host's that is told of each error, in the context of its request; None for none."""
        self._limit = LineLimit(clock)

    def add(self, error: WebhookError) -> None:
        """Count an error, and log it unless many lines about the same error were written within the last minute."""
        reason = type(error).__name__
        self.counts[reason] += 1
        if self.tell is not None:
            self.tell(error)
        if self.note is not None:
            self.note(error)
        more = self._limit.left_out(reason)
        if more is None:
            return
        with suppress(RuntimeWarning):  # where warnings are errors, too, the sender gets its response
            warn_if_disabled()
        level = logging.INFO if isinstance(error, MethodNotAllowed) else logging.WARNING  # which is not a delivery
        level = logging.ERROR if isinstance(error, InboxError | KeysUnavailable) else level
        extra = fields(reason=reason)
        logger.log(level, "%s rejected a request: %s: %s%s", self.receiver, reason, error, more, extra=extra)


BETWEEN_WARNINGS = 3600.0
"""Seconds between two warnings about the same old secret."""
QUIET = 86_400.0
"""Seconds without use after which an old secret may go; senders retry with the old signature for hours."""


class SecretUsage:
    """Counts which of a receiver's secrets verify deliveries. The first secret is the new one, all others are old.

    Args:
        receiver: the receiver's name.
    """

    def __init__(self, receiver: str) -> None:
        self.counts: Counter[int] = Counter()
        """The number of deliveries verified, by the index of the secret."""
        self.receiver = receiver
        """The receiver's name."""
        self._used: dict[int, float] = {}
        """The last use of each old secret, in Unix seconds."""
        self._warned: dict[int, float] = {}

    def note(self, by: int, now: float) -> None:
        """Count a delivery verified by the secret of index `by` at the Unix time `now`; warn hourly of an old one."""
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
                self.receiver,
                by,
            )

    def _tell_unused(self, now: float) -> None:
        for by in [by for by, last in self._used.items() if now - last >= QUIET]:
            del self._used[by]
            self._warned.pop(by, None)
            logger.info("%s: for a day secret 0 was used and secret %d was not: that can be removed", self.receiver, by)


async def write_counts(
    counters: Counters, inbox: Inbox, receiver: Callable[[], str], clock: Callable[[], float]
) -> None:
    """Write what was counted at the end of each minute.

    Args:
        counters: what was counted.
        inbox: the inbox that it is written to.
        receiver: returns the name of the receiver.
        clock: returns the time in Unix seconds.
    """
    fails = False
    while True:
        await asyncio.sleep(MINUTE - clock() % MINUTE)
        try:
            await counters.write(inbox, receiver())
            fails = False
        except Exception as error:
            if not fails:
                said = "%s: the counts of the last minute are not written, and are added to the next: %s"
                logger.warning(said, receiver(), summary(error))
            fails = True
