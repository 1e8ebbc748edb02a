"""The contract of an inbox: where accepted deliveries are kept until they are handled, and after.

An inbox is what a receiver puts deliveries into and what a worker takes them from. Whoever writes one fulfils
the protocol `Inbox` below; `webhook_receiver.testing.inbox_suite` says the same in tests and runs over any store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol, Self, runtime_checkable

from .records import (
    Claim,
    DeliverySummary,
    Duplicate,
    Entry,
    Filter,
    HandlerState,
    Settlement,
    Stats,
    Stored,
    StoredDelivery,
)


@runtime_checkable
class Inbox(Protocol):
    """Keeps deliveries. All times are Unix seconds from the caller's clock; a store reads no clock for its rules.

    Operations may be called from several tasks, and from several event loops in several threads.

    **What survives what.** What `put`, `settle`, `note`, `replay`, `pause`, `resume` and `load` have returned from
    survives `kill -9` of every process and the loss of power. What they raised from has not happened, or has
    happened whole; a caller may do it again. A failing operation fails alone, also where many share one commit. So
    does one that is cancelled, and it may have happened.

    **Uniqueness.** No two kept deliveries of one source have the same key, as long as the older one was received
    within the window (the store's own setting; it ends at the `now` of `put`). No two of one source have the same
    event and identity if one of them came by backfill, whenever that was. What has neither key nor identity is never
    a duplicate. All that holds when they are put at the same moment, from whichever processes.

    **Eligibility.** A delivery may be claimed when its `due` has come and no lease on it is running, and either
    it is WAITING and no older delivery of the same source and order key is, or it is DEAD and has a `due`. A lease
    that was neither settled, released nor renewed in time ends by itself, and that is the whole repair after a
    crash: the next claim of the delivery counts it in `crashes`, until the delivery is finished or replayed. When
    the clock turns out to have been set back, a wait that began in what is now the future begins anew.

    **Leases.** At most one lease on a delivery is running; it runs until `due`. They are fenced: what is settled,
    noted, renewed or released under a lease that has ended, because it was settled or released, the delivery was
    replayed, an older one of its line went first, or another one was given, changes nothing. One whose time is up
    still counts until then: what its owner settles late is true. But it keeps nobody from claiming, replaying or
    purging the delivery.

    **Ordering.** Among deliveries of one source and order key the WAITING one that was received first is the only
    one that may be claimed, also while it waits for its retry or for a paused handler. As soon as it is done, dead
    or unhandled, or purged, the next one may be. An older one that is replayed or loaded goes first, but not while
    another one of its line is under a running lease; that one goes after it, and its `due` may be forgotten. All
    others are claimed as they become due, the older first.

    Every operation may raise InboxUnavailable (try again) or InboxDamaged (what is kept cannot be trusted), or
    another InboxError for what it does not take, such as an id that is kept already.
    """

    async def open(self) -> Self:
        """Make it ready, before anything else; once more is nothing, after `close` it is opened again.

        Raises:
            ConfigurationError: it can never work, such as a schema that is newer than this code.
            InboxUnavailable: it cannot be reached, or not written to.
            InboxDamaged: it has lost something that it had committed.
        """
        ...

    async def close(self) -> None:
        """Finish what was asked for and let go of everything; then every operation raises InboxUnavailable."""
        ...

    async def check(self) -> None:
        """Commit something that means nothing; raise what `put` would raise."""
        ...

    async def put(self, entry: Entry, now: float) -> Stored | Duplicate:
        """Keep a delivery; return once it would survive.

        It is WAITING and due at once, or DEAD and due at once if it came so. It is received after all that are kept.
        If it is a duplicate of a kept one (see Uniqueness) nothing is kept; if that one is dead and this one did not
        come by backfill, that one is replayed.
        """
        ...

    async def claim(self, receiver: str, limit: int, lease: float, now: float) -> Sequence[Claim]:
        """Take up to `limit` eligible deliveries of `source`, the older first, each under a lease of `lease` seconds.

        A kept delivery that turns out to be damaged is not returned; it becomes DEAD and says so.
        """
        ...

    async def renew(self, claims: Sequence[Claim], lease: float, now: float) -> None:
        """Let the leases that still are running end `lease` seconds from now."""
        ...

    async def save_progress(self, claim: Claim, handlers: Mapping[str, HandlerState], now: float) -> bool:
        """Keep how far the handlers are while the lease goes on; False if it has ended."""
        ...

    async def settle(self, settlement: Settlement, now: float) -> bool:
        """End the lease with what became of it, all at once; False if it had ended already, and nothing is kept.

        Its failed attempts are kept behind those that are there. A delivery held
        by a handler that is not paused (any more) is due at once instead.
        """
        ...

    async def release(self, claims: Sequence[Claim], now: float) -> None:
        """End the leases as if they had never been: due at once, no crash."""
        ...

    async def pause(self, handler: str, now: float) -> None:
        """Let everybody know that this handler does not run until it is resumed; once more is nothing."""
        ...

    async def resume(self, handler: str) -> bool:
        """End the pause; what was held for it is due at once. False if there was none."""
        ...

    async def paused(self) -> frozenset[str]:
        """Return the handlers that are paused."""
        ...

    async def find(
        self, which: Filter, *, limit: int | None = None, newest_first: bool = True
    ) -> Sequence[DeliverySummary]:
        """Return the records that fit, or the first `limit` of them, in order of receipt or against it."""
        ...

    async def get(self, id: str) -> StoredDelivery | None:
        """Return all that is known of one delivery, by its id or by the only id that begins so; None if there is none.

        Raises:
            AmbiguousId: several ids begin so.
        """
        ...

    async def replay(self, ids: Sequence[str], now: float, *, handler: str | None = None) -> int:
        """Let kept deliveries be handled again; return how many.

        Of a dead one those handlers run again that are not DONE, of a done or unhandled one all that want it then;
        with `handler` just that one. A waiting one is due at once, unless it is under a running lease: then it is
        left alone. Attempts go on counting, and `since_replay`, `crashes` and the handlers' times begin anew; the
        progress of NOTICEs is dropped. What was verified at receipt is not verified again. Ids that are not there
        do not count.
        """
        ...

    async def purge(self, which: Filter, now: float, *, limit: int) -> int:
        """Remove up to `limit` deliveries for good, never one under a running lease. Return how many."""
        ...

    async def expire(self, now: float) -> int:
        """Take a small step of what keeps the store small; return how many were removed, 0 when nothing is left to do.

        Only what is DONE is removed, once it was settled longer ago than the retention (the store's own setting).
        """
        ...

    async def stats(self) -> Stats:
        """Return how it stands."""
        ...

    def dump(self, which: Filter) -> AsyncIterator[StoredDelivery]:
        """Yield all that is known of the deliveries that fit, in order of receipt.

        However long that takes, nothing else is held up; each is yielded as it is then.
        """
        ...

    async def load(self, deliveries: Sequence[StoredDelivery], now: float) -> int:
        """Keep what another inbox dumped, except ids and keys that are kept already; return how many.

        They count as received before all that is kept already, in the order they are given. Neither leases nor
        pauses move: what was leased or held is due at once. So may be what waits for its retry, since the times of
        its handlers are kept; but nobody passes it. All of them are kept, or none when this raises.
        """
        ...
