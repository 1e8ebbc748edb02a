"""What goes into an inbox, comes out of it and is told about it: frozen records, and the states of a delivery."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from ..delivery import Delivery

DEAD_LETTER_HANDLER = "on_dead "
"""How the names begin under which the progress of those is kept that hear of dead letters; no replay keeps it."""


class State(StrEnum):
    """What a delivery is, or one handler's part of it (never UNHANDLED)."""

    WAITING = "waiting"
    """There is something left to run: now, at its time, when its turn comes, or when a handler is resumed."""
    DONE = "done"
    """Every handler that wanted it is done."""
    UNHANDLED = "unhandled"
    """No handler wanted it. Kept, shown, replayable."""
    DEAD = "dead"
    """A handler gave up or used up its attempts, or it is no event. Kept until it is replayed or purged."""


class HandlerState(NamedTuple):
    """How far one handler is with one delivery."""

    state: State = State.WAITING
    attempts: int = 0
    """How many runs were begun, over all replays: the number of the last one."""
    since_replay: int = 0
    """How many of them since it was put or last replayed: those count against `Backoff.attempts`."""
    due: float = 0
    """While it waits: the Unix time before which it does not run."""
    running: bool = False
    """A run was begun, and noted as such because an earlier one ended with its process."""


class FailedAttempt(NamedTuple):
    """One run of one handler that did not end well; kept for whoever looks into it."""

    handler: str
    number: int
    started: float
    """In Unix seconds."""
    seconds: float
    outcome: str
    """"retry" or "dead": what became of the handler's part by it."""
    error: str
    """The exception's class and message, or our words."""
    traceback: str = ""


class Entry(NamedTuple):
    """A delivery to put, and what its event says about it."""

    delivery: Delivery
    event: str | None = None
    """The event's name; None when the body is no event."""
    key: bytes | None = None
    """Two deliveries of one source with the same key are the same one, sent twice. None: never a duplicate.

    The same key means the same event and identity, too."""
    identity: str | None = None
    """What happened, in a line: the same for a notification and for a backfilled delivery about it."""
    ordering_key: str | None = None
    """Deliveries of one source and order key are handled one at a time, in order of receipt."""
    dead: str | None = None
    """Why it is dead at once: the body is no event."""


class Stored(NamedTuple):
    """`put` has committed the delivery."""

    id: str


class Duplicate(NamedTuple):
    """`put` has kept nothing: the inbox has this delivery already, under another id."""

    id: str
    """The id of the one that is kept."""
    replayed: bool = False
    """It was dead, and is waiting again because of this repeat."""


class Claim(NamedTuple):
    """A delivery under a lease: it is the claimer's to handle until the lease ends."""

    delivery: Delivery
    state: State
    """WAITING; or DEAD, when `on_dead` has to hear of it."""
    handlers: Mapping[str, HandlerState]
    """How far each handler is that was run before, by its name."""
    crashes: int
    """How many leases of it ended without a word: the process died, or was too slow to renew."""
    reason: str | None
    """Why it is dead."""
    lease: Hashable
    """The store's own mark of this lease; nobody else looks into it."""


class Settlement(NamedTuple):
    """What became of a claim. To settle it ends the lease."""

    claim: Claim
    state: State
    handlers: Mapping[str, HandlerState]
    due: float | None = None
    """The Unix time at which it is claimable again; None: not by time."""
    paused_by: str | None = None
    """With state WAITING: a paused handler whose `resume` makes it claimable at once."""
    reason: str | None = None
    """Why it is dead or unhandled."""
    attempts: Sequence[FailedAttempt] = ()
    """The failed runs under this claim, to be kept."""


@dataclass(frozen=True, slots=True)
class DeliverySummary:
    """A kept delivery as it is listed and shown."""

    id: str
    receiver: str
    via: str
    event: str | None
    identity: str | None
    received: float
    state: State
    due: float | None
    """When it is claimable, or its lease ends; None: it waits for its turn or for a paused handler, or is finished."""
    leased: bool
    """Whether it is under a lease; one whose time is up counts until another is given."""
    paused_by: str | None
    reason: str | None
    settled: float | None
    handlers: Mapping[str, HandlerState]
    verified_by: int | None
    body_verified: bool


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """All that the inbox knows of one delivery."""

    summary: DeliverySummary
    delivery: Delivery
    attempts: Sequence[FailedAttempt]
    key: bytes | None
    ordering_key: str | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which deliveries are meant; every part that is given narrows it further."""

    ids: Sequence[str] | None = None
    states: Collection[State] | None = None
    receiver: str | None = None
    event: str | None = None
    handler: str | None = None
    """A handler that was run for it, and in which state is not DONE."""
    since: float | None = None
    """Received at this Unix time or later."""
    before: float | None = None
    """Received before this Unix time."""


@dataclass(frozen=True, slots=True)
class Stats:
    """How an inbox stands."""

    counts: Mapping[State, int]
    running: int
    """How many of the waiting ones are under a lease; one whose time is up counts until another is given."""
    oldest_waiting: float | None
    """When the oldest waiting delivery was received, in Unix seconds."""
    paused: Mapping[str, float] = field(default_factory=dict[str, float])
    """The paused handlers, and since when."""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What only this kind of store can tell, such as its size in bytes."""


def reset_for_replay(
    state: State, handlers: Mapping[str, HandlerState], handler: str | None = None
) -> dict[str, HandlerState]:
    """Return the progress of a kept delivery's handlers when it is replayed; see `Inbox.replay`."""
    found = {name: each for name, each in handlers.items() if not name.startswith(DEAD_LETTER_HANDLER)}
    if handler is not None:
        again = {handler}
    elif state is State.WAITING:
        again = {name for name, each in found.items() if each.state is State.WAITING}
    elif state is State.DEAD:
        again = {name for name, each in found.items() if each.state is not State.DONE}
    else:
        again = set(found)
    return found | {name: HandlerState(attempts=found.get(name, HandlerState()).attempts) for name in again}
