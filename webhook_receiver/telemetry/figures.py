"""Figures of an inbox: how many deliveries it has in each state, how long the oldest waits, how polls stand.

Of all the processes on an inbox one looks: to look costs queries, and a sum over the processes would count everything
several times. That process holds a lease in the inbox itself, and another one takes over when it ends. Polls are looked
at by each process that has them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from ..errors import InboxError
from ..inbox.polls import NOBODY
from ..inbox.records import Poll, PollLease, PollOutcome, Stats
from .observed import Observed

INTERVAL = 15.0
"""Seconds between two looks."""
LEASE = 25.0
"""Seconds after which another process may look, when the one that did was killed: it asks every `INTERVAL`. A look that
takes longer than the difference of the two loses the lease, which the next look takes anew."""


class Look(NamedTuple):
    """What was seen of an inbox."""

    stats: Stats | None
    """Its figures; None if it failed."""
    at: float
    """When, by the monotonic clock, in seconds."""

    @property
    def is_old(self) -> bool:
        """Whether it is of no use any more, as when the event loop stands still."""
        return monotonic() - self.at > 4 * INTERVAL


class Figures:
    """The figures of the inbox of one runtime. What was seen is read in any thread.

    Args:
        observed: the runtime.
    """

    def __init__(self, observed: Observed) -> None:
        self.latest: Look | None = None
        """What was seen last; None where another process looks, or nobody has yet."""
        self.polls: Sequence[Poll] = ()
        """How the receiver's polls stand."""
        self.began = observed.clock()
        """Since when somebody looks, in Unix seconds."""
        self._observed = observed
        self._lease: PollLease | None = None
        self._looking = asyncio.Lock()

    async def run(self) -> None:
        """Look at intervals until the task is cancelled. No error of the inbox ends it."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(INTERVAL)
        finally:
            await self._release()

    async def look(self) -> None:
        """Look once, if no other process does."""
        inbox = self._observed.inbox
        async with self._looking:
            try:
                await self._look_at_polls()
                if not await self._is_mine():
                    self.latest = None
                    return
                await inbox.check()
                self.latest = Look(await inbox.stats(), monotonic())
            except Exception:  # which is logged where it is in anybody's way
                self.latest = None if self._lease is None else Look(None, monotonic())

    async def _look_at_polls(self) -> None:
        observed = self._observed
        if observed.sources:
            found = await observed.inbox.polls()
            self.polls = [each for each in found if each.receiver == observed.name]

    async def _is_mine(self) -> bool:
        """Whether this process has the lease, renewed or taken now."""
        inbox, now = self._observed.inbox, self._observed.inbox_clock()
        if self._lease is not None and await inbox.renew_poll(self._lease, LEASE, now):
            return True
        self._lease = await inbox.lease_poll(NOBODY, "figures", LEASE, now)
        return self._lease is not None

    async def _release(self) -> None:
        lease, self._lease, self.latest = self._lease, None, None
        if lease is not None:
            with suppress(InboxError):
                await self._observed.inbox.release_poll(
                    lease, self._observed.inbox_clock(), PollOutcome(stopped=True), self._observed.clock()
                )
