"""Watching an inbox: what becomes of each delivery in it, told once, as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from ..inbox import DeliverySummary, FailedAttempt, Filter, Inbox, State

_EVERY = 0.2  # seconds between two looks: the handlers run in another process


@dataclass(frozen=True, slots=True)
class News:
    """What became of one handler's part of a delivery, or of a delivery that no handler has a part in."""

    summary: DeliverySummary
    handler: str | None
    state: State
    """WAITING: an attempt has failed, and another one follows."""
    attempts: int
    error: str | None
    seconds: float | None
    """How long after its receipt, for what is finished; how long the attempt took, for one that failed."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "delivery": self.summary.id,
            "event": self.summary.event,
            "identity": self.summary.identity,
            "handler": self.handler,
            "state": self.state,
            "attempts": self.attempts,
            "error": self.error,
            "seconds": self.seconds,
        }


async def news(inbox: Inbox, receiver: str, since: float) -> AsyncGenerator[News]:
    """Yield what becomes of the deliveries to `receiver` that are received from the Unix time `since` on."""
    told: set[object] = set()
    while True:
        records = await inbox.find(Filter(receiver=receiver, since=since), newest_first=False)
        for record in records:
            for each, mark in await _of(inbox, record):
                if mark not in told:
                    told.add(mark)
                    yield each
        if unfinished := [record.received for record in records if record.state is State.WAITING]:
            since = max(since, min(unfinished))
        await asyncio.sleep(_EVERY)


async def _of(inbox: Inbox, record: DeliverySummary) -> list[tuple[News, object]]:
    """Return all there is to tell of a delivery, each with a mark by which it is known again."""
    found: list[tuple[News, object]] = []
    if record.state is State.WAITING and not record.handlers:
        return found  # nothing has been run for it
    kept = await inbox.get(record.id) if _failed(record) else None
    for attempt in kept.attempts if kept else ():
        found.append((_failure(record, attempt), (record.id, attempt.handler, attempt.number)))
    age = None if record.settled is None else record.settled - record.received
    for handler, progress in record.handlers.items():
        if progress.state is State.DONE:
            done = News(record, handler, State.DONE, progress.attempts, None, age)
            found.append((done, (record.id, handler, progress.attempts)))
    if not record.handlers:
        found.append((News(record, None, record.state, 0, record.reason, age), (record.id, record.state)))
    return found


def _failed(record: DeliverySummary) -> bool:
    return any(each.state is not State.DONE or each.attempts > 1 for each in record.handlers.values())


def _failure(record: DeliverySummary, attempt: FailedAttempt) -> News:
    state = State.DEAD if attempt.outcome == "dead" else State.WAITING
    return News(record, attempt.handler, state, attempt.number, attempt.error, attempt.seconds)
