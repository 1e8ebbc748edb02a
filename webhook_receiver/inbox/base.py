"""The contract of an inbox: where accepted deliveries are kept until they are handled, and after.

An inbox is what a receiver puts deliveries into and what a worker takes them from. Whoever writes one fulfils
the protocol `Inbox` below; `tests/inbox_suite.py` says the same in tests and runs over any store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol, Self, runtime_checkable

from .records import Claim, Duplicate, Entry, Filter, Kept, Outcome, Progress, Record, Stats, Stored


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

        They count as received before all that is kept already, in the order they are given. Neither leases nor
        pauses move: what was leased or held is due at once. So may be what waits for its retry, since the times of
        its handlers are kept; but nobody passes it. All of them are kept, or none when this raises.
        """
        ...
