"""Rejected requests of a receiver in the local loop: the latest of them, in memory, with why each was rejected.

An inbox has none of them: whoever reaches a receiver could fill it. On a developer's own machine they are what he looks
for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock

from ..capture.rejected_request import RejectedRequest
from ..explain import Explanation
from ..logs import log_failure
from ..receiver import WebhookReceiver

MOST = 100
"""Requests that are kept, the latest."""
MOST_BYTES = 16 * 1024 * 1024
"""Bytes of the bodies that are kept together."""
_EXPLAINED = 10  # of the newest that a list tells the cause of


class Rejection:
    """A rejected request with its number, and with its explanation once somebody has asked for it."""

    def __init__(self, number: int, request: RejectedRequest) -> None:
        self.number = number
        """Its number, from 1."""
        self.request = request
        self.explanation: Explanation | None = None
        """The explanation; None if there is none yet, or none at all."""
        self.is_explained = False
        """Whether it was tried to explain it."""


class Rejections:
    """The latest rejected requests. They may be added in another thread than that of the pages.

    An explanation takes up to seconds, so that only those are explained that somebody looks at, one after the other.

    Args:
        receivers: the receivers that are at hand, in the order of their app: they know which of a request is secret.
        explain: returns the explanation of a request that one of them has rejected; None where none can be given.
    """

    def __init__(
        self,
        receivers: Sequence[WebhookReceiver],
        explain: Callable[[WebhookReceiver, RejectedRequest], Explanation | None],
    ) -> None:
        self._receivers = tuple(receivers)
        self.count = 0
        """The number of requests that were rejected so far."""
        self._explain = explain
        self._kept: deque[Rejection] = deque(maxlen=MOST)
        self._bytes = 0
        self._adding = Lock()
        self._explaining = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def add(self, request: RejectedRequest) -> None:
        """Keep a request; the oldest ones go."""
        with self._adding:
            self.count += 1
            if len(self._kept) == MOST:
                self._bytes -= len(self._kept.popleft().request.body)
            self._kept.append(Rejection(self.count, request))
            self._bytes += len(request.body)
            while self._bytes > MOST_BYTES and len(self._kept) > 1:
                self._bytes -= len(self._kept.popleft().request.body)

    def newest(self) -> Sequence[Rejection]:
        """Return those that are kept, the newest first."""
        with self._adding:
            return [*self._kept][::-1]

    def get(self, number: int) -> Rejection | None:
        """Return the one of a number; None if it is kept no more."""
        return next((each for each in self.newest() if each.number == number), None)

    def receiver(self, request: RejectedRequest) -> WebhookReceiver | None:
        """Return the receiver that has rejected a request; None if it is not at hand."""
        named = {place: each for place, each in enumerate(self._receivers) if each.name == request.receiver}
        return next(iter(named.values())) if len(named) == 1 else named.get(request.place)

    def clear(self) -> None:
        """Forget all that are kept."""
        with self._adding:
            self._kept.clear()
            self._bytes = 0

    def version(self) -> object:
        """Return a value that changes with what is shown."""
        kept = self.newest()
        return self.count, len(kept), sum(each.is_explained for each in kept)

    async def explain(self, rejection: Rejection) -> None:
        """Explain one, unless it is explained already."""
        async with self._explaining:
            if rejection.is_explained:
                return
            hooks = self.receiver(rejection.request)
            try:
                if hooks is not None:
                    rejection.explanation = await asyncio.to_thread(self._explain, hooks, rejection.request)
            except Exception as error:  # the page says that there is none
                log_failure("a rejected request cannot be explained", error)
            rejection.is_explained = True

    def explain_newest(self) -> None:
        """Have the newest ones explained in the background; pages that are live are told of each."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._explain_newest())

    async def _explain_newest(self) -> None:
        while left := [each for each in self.newest()[:_EXPLAINED] if not each.is_explained]:
            await self.explain(left[0])
