"""Live pages: server-sent events that say that an inbox has changed, and the one look at it that all tabs share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from hashlib import blake2b

from ..errors import InboxError
from ..inbox.base import Inbox
from ..inbox.records import Filter
from ..logs import log_failure

INTERVAL = 0.4
"""Seconds between two looks at the inbox while somebody watches."""
NEWEST = 50
"""Number of the newest deliveries that are looked at: those of a page."""
_WAITS = (0.0, 0.6, 1.0, 2.0, 3.0, 5.0)
"""Seconds between two messages while the inbox goes on changing: a busy receiver must not work for its watchers."""
_SLOWER, _LONGEST = 1.3, 2.0
"""How much longer the wait before the next look becomes with each change, and the longest one, in seconds."""
_PROMPT, _PROMPT_WAITS = 0.2, (0.0, 0.2)
"""The interval and the waits where somebody at his own machine looks at what he does there."""
_QUIET = 8.0  # seconds without a change after which the next one is told at once again


class Live:
    """Tells all open pages of an inbox that it has changed. It looks at the inbox only while there is one.

    Args:
        inbox: the inbox.
        beside: returns what else the pages show, as a value whose repr changes with it. It is all on the machine of one
            developer then, who is told of each change at once.
    """

    def __init__(self, inbox: Inbox, beside: Callable[[], object] | None = None) -> None:
        self._inbox = inbox
        self._beside = beside
        self._interval = INTERVAL if beside is None else _PROMPT
        self._waits: Sequence[float] = _WAITS if beside is None else _PROMPT_WAITS
        self.version = ""
        """The version of the inbox that was seen last, while somebody watches; empty if nobody does."""
        self._changed = asyncio.Event()
        self._watching = 0
        self._task: asyncio.Task[None] | None = None

    async def changes(self, known: str = "") -> AsyncGenerator[str]:
        """Yield the version of the inbox, at first and after each change; no more often than `_WAITS` has it.

        Args:
            known: the version that the page has seen last; it is not told again.
        """
        self._watching += 1
        if self._task is None:
            self._changed, self._task = asyncio.Event(), asyncio.create_task(self._watch())
        now = asyncio.get_running_loop().time
        in_a_row, told_at = 0, now()
        try:
            while True:
                if self.version in ("", known):
                    await self._changed.wait()
                    continue
                quiet = now() - told_at
                in_a_row = 0 if quiet >= _QUIET else in_a_row
                await asyncio.sleep(max(0.0, self._waits[min(in_a_row, len(self._waits) - 1)] - quiet))
                known, told_at, in_a_row = self.version, now(), in_a_row + 1
                yield known
        finally:
            self._watching -= 1
            if not self._watching:
                self._task.cancel()
                self._task, self.version = None, ""

    async def _watch(self) -> None:
        wait = self._interval
        while True:
            version = await self._look()
            is_same = version == self.version
            is_slower = not is_same and self._beside is None  # nobody is told sooner then
            wait = min(wait * _SLOWER, _LONGEST) if is_slower else self._interval
            if not is_same:
                self.version = version
                changed, self._changed = self._changed, asyncio.Event()
                changed.set()
            await asyncio.sleep(wait)

    async def _look(self) -> str:
        """Return a digest of what the newest deliveries and the figures of the inbox are."""
        try:
            found = await self._inbox.find(Filter(), limit=NEWEST)
            stats = await self._inbox.stats()
        except Exception as error:  # a page that is loaded again says so
            if not isinstance(error, InboxError):
                log_failure("the inspector cannot look at its inbox", error)
            return f"failing: {type(error).__name__}"
        seen = repr(
            (
                [(each.id, each.state, each.settled, each.leased, each.handlers, each.paused_by) for each in found],
                dict(stats.counts),
                dict(stats.paused),
                None if self._beside is None else self._beside(),
            )
        )
        return blake2b(seen.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
