"""The contract of an inbox: where accepted deliveries are kept until they are handled, and after.

An inbox is what a receiver puts deliveries into and what a worker takes them from. Whoever writes one fulfils
the protocol `Inbox` below; `tests/inbox_suite.py` says the same in tests and runs over any store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

from ..delivery import Delivery

NOTICE = "on_dead "
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


class Progress(NamedTuple):
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


class PastAttempt(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class Entry:
    """A delivery to put, and what its event says about it."""

    delivery: Delivery
    event: str | None = None
    """The event's name; None when the body is no event."""
    key: bytes | None = None
    """Two deliveries of one source with the same key are the same one, sent twice. None: never a duplicate.

    The same key means the same event and identity, too."""
    identity: str | None = None
    """What happened, in a line: the same for a notification and for a backfilled delivery about it."""
    order_key: str | None = None
    """Deliveries of one source and order key are handled one at a time, in order of receipt."""
    dead: str | None = None
    """Why it is dead at once: the body is no event."""


@dataclass(frozen=True, slots=True)
class Stored:
    """`put` has committed the delivery."""

    id: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """`put` has kept nothing: the inbox has this delivery already, under another id."""

    id: str
    """The id of the one that is kept."""
    replayed: bool = False
    """It was dead, and is waiting again because of this repeat."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery under a lease: it is the claimer's to handle until the lease ends."""

    delivery: Delivery
    state: State
    """WAITING; or DEAD, when `on_dead` has to hear of it."""
    handlers: Mapping[str, Progress]
    """How far each handler is that was run before, by its name."""
    crashes: int
    """How many leases of it ended without a word: the process died, or was too slow to renew."""
    reason: str | None
    """Why it is dead."""
    lease: Hashable
    """The store's own mark of this lease; nobody else looks into it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a claim. To settle it ends the lease."""

    claim: Claim
    state: State
    handlers: Mapping[str, Progress]
    due: float | None = None
    """The Unix time at which it is claimable again; None: not by time."""
    held: str | None = None
    """With state WAITING and no `due`: the paused handler whose `resume` makes it claimable."""
    reason: str | None = None
    """Why it is dead or unhandled."""
    attempts: Sequence[PastAttempt] = ()
    """The failed runs under this claim, to be kept."""


@dataclass(frozen=True, slots=True)
class Record:
    """A kept delivery as it is listed and shown."""

    id: str
    source: str
    origin: str
    event: str | None
    identity: str | None
    received: float
    state: State
    due: float | None
    """When it is claimable, or its lease ends; None: it waits for its turn or for a paused handler, or is finished."""
    leased: bool
    held: str | None
    reason: str | None
    settled: float | None
    handlers: Mapping[str, Progress]
    verified_by: int | None
    body_verified: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """All that the inbox knows of one delivery."""

    record: Record
    delivery: Delivery
    attempts: Sequence[PastAttempt]
    key: bytes | None
    order_key: str | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which deliveries are meant; every part that is given narrows it further."""

    ids: Sequence[str] | None = None
    states: Collection[State] | None = None
    source: str | None = None
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
    """How many of the waiting ones are under a lease."""
    oldest_waiting: float | None
    """When the oldest waiting delivery was received, in Unix seconds."""
    paused: Mapping[str, float] = field(default_factory=dict[str, float])
    """The paused handlers, and since when."""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What only this kind of store can tell, such as its size in bytes."""


@runtime_checkable
class Inbox(Protocol):
    """Keeps deliveries. All times are Unix seconds from the caller's clock; a store reads no clock for its rules.

    **What survives what.** What `put`, `settle`, `note`, `replay`, `pause`, `resume` and `load` have returned from
    survives `kill -9` of every process and the loss of power. What they raised from has not happened, or has
    happened whole; a caller may do it again. A failing operation fails alone, also where many share one commit.

    **Uniqueness.** No two kept deliveries of one source have the same key, as long as the older one was received
    within the window (the store's own setting). No two have the same event and identity if one of them came by
    backfill. Both hold when they are put at the same moment, from whichever processes.

    **Eligibility.** A delivery may be claimed when its `due` has come and no lease on it is running, and either
    it is WAITING and no older delivery of the same source and order key is, or it is DEAD and has a `due`. A lease
    that was neither settled, released nor renewed in time ends by itself, and that is the whole repair after a
    crash. When the clock turns out to have been set back, a wait that began in what is now the future begins anew.

    **Leases.** At most one lease on a delivery is running. They are fenced: what is settled, noted, renewed or
    released under a lease that has ended, because another one was given, changes nothing.

    **Ordering.** Among deliveries of one source and order key the WAITING one that was received first is the only
    one that may be claimed, also while it waits for its retry or for a paused handler. As soon as it is done, dead
    or unhandled, the next one may be. All others are claimed as they become due, the older first.

    Every operation may raise InboxUnavailable (try again) or InboxDamaged (what is kept cannot be trusted).
    """

    async def open(self) -> Self:
        """Make it ready; called once, before anything else.

        Raises:
            ConfigurationError: it can never work, such as a schema that is newer than this code.
            InboxUnavailable: it cannot be reached, or not written to.
            InboxDamaged: it has lost something that it had committed.
        """
        ...

    async def close(self) -> None:
        """Finish what was asked for and let go of everything."""
        ...

    async def check(self) -> None:
        """Commit something that means nothing; raise what `put` would raise."""
        ...

    async def put(self, entry: Entry, now: float) -> Stored | Duplicate:
        """Keep a delivery; return once it would survive.

        It is WAITING and due at once, or DEAD and due at once if it came so. If it is a duplicate of a kept one
        (see Uniqueness) nothing is kept; if that one is dead and this one came by HTTP, that one is replayed.
        """
        ...

    async def claim(self, source: str, limit: int, lease: float, now: float) -> Sequence[Claim]:
        """Take up to `limit` eligible deliveries of `source`, each under a lease of `lease` seconds.

        A kept delivery that turns out to be damaged is not returned; it becomes DEAD and says so.
        """
        ...

    async def renew(self, claims: Sequence[Claim], lease: float, now: float) -> None:
        """Let the leases that still are running end `lease` seconds from now."""
        ...

    async def note(self, claim: Claim, handlers: Mapping[str, Progress], now: float) -> bool:
        """Keep how far the handlers are while the lease goes on; False if it has ended."""
        ...

    async def settle(self, outcome: Outcome, now: float) -> bool:
        """End the lease with what became of it, all at once; False if it had ended already.

        A delivery held by a handler that is not paused (any more) is due at once instead.
        """
        ...

    async def release(self, claims: Sequence[Claim], now: float) -> None:
        """End the leases as if they had never been: due at once, no crash."""
        ...

    async def pause(self, handler: str, now: float) -> None:
        """Let everybody know that this handler does not run until it is resumed."""
        ...

    async def resume(self, handler: str) -> bool:
        """End the pause; what was held for it is due at once. False if there was none."""
        ...

    async def paused(self) -> frozenset[str]:
        """Return the handlers that are paused."""
        ...

    async def find(self, which: Filter, *, limit: int | None = None, newest_first: bool = True) -> Sequence[Record]:
        """Return the records that fit, in order of receipt."""
        ...

    async def get(self, id: str) -> Kept | None:
        """Return all that is known of one delivery, by its id or by the only id that begins so; None if there is none.

        Raises:
            AmbiguousId: several ids begin so.
        """
        ...

    async def replay(self, ids: Sequence[str], now: float, *, handler: str | None = None) -> int:
        """Let kept deliveries be handled again; return how many.

        Of a dead one the dead handlers run again, of any other one all that want it then; with `handler` just
        that one. Waiting ones are due at once. What was verified at receipt is not verified again.
        """
        ...

    async def purge(self, which: Filter, now: float, *, limit: int) -> int:
        """Remove up to `limit` deliveries for good; never one that is under a lease. Return how many."""
        ...

    async def tidy(self, now: float) -> int:
        """Take a small step of what keeps the store small: remove what is DONE and past its retention, how many."""
        ...

    async def stats(self) -> Stats:
        """Return how it stands."""
        ...

    def dump(self, which: Filter) -> AsyncIterator[Kept]:
        """Yield all that is known of the deliveries that fit, in order of receipt."""
        ...

    async def load(self, kept: Sequence[Kept], now: float) -> int:
        """Keep what another inbox dumped, except ids and keys that are kept already; return how many.

        They count as received before all that is kept already, in the order they are given. Leases do not move.
        """
        ...
