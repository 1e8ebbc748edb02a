"""Following an inbox: each result of a handler, reported once, as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from ..inbox import DeliverySummary, FailedAttempt, Filter, Inbox, State

_INTERVAL = 0.2  # seconds between two polls: the handlers run in another process
_LATE = 60.0  # seconds from the receipt of a delivery until it is stored, at most: later ones may be stored before it


@dataclass(frozen=True, slots=True)
class HandlerResult:
    """The result of a handler for a delivery, or of a delivery that no handler handles."""

    summary: DeliverySummary
    handler: str | None
    state: State
    """WAITING means that an attempt has failed and another one follows."""
    attempts: int
    error: str | None
    seconds: float | None
    """Seconds: the duration of a failed attempt; else the time from receipt to settlement, if it is settled."""

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON can hold it."""
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


async def follow(inbox: Inbox, receiver: str, since: float) -> AsyncGenerator[HandlerResult]:
    """Yield the results of the deliveries that a receiver gets from a time on, for ever.

    Args:
        inbox: the open inbox.
        receiver: the receiver's name.
        since: the time, in Unix seconds.
    """
    reported: set[object] = set()
    while True:
        summaries = await inbox.find(Filter(receiver=receiver, since=since), newest_first=False)
        for summary in summaries:
            for each, key in await _results(inbox, summary):
                if key not in reported:
                    reported.add(key)
                    yield each
        if unfinished := [summary.received for summary in summaries if summary.state is State.WAITING]:
            since = max(since, min(unfinished) - _LATE)
        await asyncio.sleep(_INTERVAL)


async def _results(inbox: Inbox, summary: DeliverySummary) -> list[tuple[HandlerResult, object]]:
    """Return all results of a delivery so far, each with a key that identifies it."""
    found: list[tuple[HandlerResult, object]] = []
    if summary.state is State.WAITING and not summary.handlers:
        return found  # no handler has been run yet
    stored = await inbox.get(summary.id) if _failed(summary) else None
    for attempt in stored.attempts if stored else ():
        found.append((_failure(summary, attempt), (summary.id, attempt.handler, attempt.number)))
    age = None if summary.settled is None else summary.settled - summary.received
    for name, handler in summary.handlers.items():
        if handler.state is State.DONE:
            done = HandlerResult(summary, name, State.DONE, handler.attempts, None, age)
            found.append((done, (summary.id, name, handler.attempts)))
    if not summary.handlers:
        found.append((HandlerResult(summary, None, summary.state, 0, summary.reason, age), (summary.id, summary.state)))
    return found


def _failed(summary: DeliverySummary) -> bool:
    return any(each.state is not State.DONE or each.attempts > 1 for each in summary.handlers.values())


def _failure(summary: DeliverySummary, attempt: FailedAttempt) -> HandlerResult:
    state = State.DEAD if attempt.outcome == "dead" else State.WAITING
    return HandlerResult(summary, attempt.handler, state, attempt.number, attempt.error, attempt.seconds)
