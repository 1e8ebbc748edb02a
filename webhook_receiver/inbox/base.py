"""The contract of an inbox: a store that keeps accepted deliveries until they are handled, and afterwards.

A receiver puts deliveries into an inbox, and a worker claims them from it. A store of your own fulfils the protocol
`Inbox` below; `webhook_receiver.testing.inbox_suite` states the same rules as tests, and runs them against any store.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol, Self, runtime_checkable

from .reader import InboxReader
from .records import (
    SUCCESS,
    AuditRecord,
    Claim,
    Duplicate,
    Entry,
    Filter,
    HandlerState,
    Metric,
    Poll,
    PollLease,
    PollOutcome,
    Settlement,
    State,
    Stored,
    StoredDelivery,
)
from .registration import Registration


@runtime_checkable
class Inbox(InboxReader, Protocol):
    """A store of deliveries, and of what is left to do for each of them.

    **Clocks.** Times are seconds from the caller, and a store reads no clock for its rules. There are two clocks. Unix
    time is for what people read, and for windows and retentions: when a delivery was received, an attempt began, a
    delivery was finished, a handler was paused. The clock of the inbox (`clock`) is for whatever is a duration: leases,
    signs of life, and when a delivery is due. It was Unix time once, and no step of the system's clock changes it; all
    processes that share a store have the same one, as far as they can. Operations may be called from several tasks, and
    from several event loops in several threads.

    **Durability.** What `put`, `put_all`, `settle`, `save_progress`, `replay`, `pause`, `resume`, `audit` and `load`
    have returned from survives `kill -9` of every process and the loss of power. An operation that raised has not
    happened, or has happened whole; the caller may call it again. A failing operation fails alone, also where many
    share one commit. So does one that is cancelled, and it may have happened.

    **Receivers.** Deliveries are stored under the name of their receiver, and the inbox remembers whose they are: the
    sender of each name that was registered. It never takes a name from a sender while it holds deliveries under it.

    **Uniqueness.** No two stored deliveries of one receiver have the same deduplication key, as long as the older one
    was received within the window (the store's own setting; it ends at the `now` of `put`). If the younger one is put
    with a `lasting` key, none has, however old: the key is known as long as the older one is stored, which is for the
    retention at least. No two of one receiver have the same event and identity if one of them was no push,
    whenever that was. What was purged counts as stored in all this until the window has passed it, but for what is
    loaded. Of a receiver that polls, what was purged or has expired counts as stored for `POLLED_RETENTION` from its
    receipt, whether it was pushed or not: a source may tell again what happened long ago. A delivery with neither key
    nor identity is never a duplicate. All that holds when they are put at the same moment, from whichever processes.

    A store may tell its window as an attribute `window`, in seconds. Of one that tells none it is taken that every copy
    may come after the window: see `Verified.copies_until`.

    **Eligibility.** A delivery may be claimed when its `due` time has come and no lease on it is running, and either it
    is WAITING and no older delivery of the same receiver and ordering key is, or it is DEAD and has a `due` time. A
    lease that was neither settled, released nor renewed in time ends by itself, and that is the whole repair after a
    crash: the next claim of the delivery counts it in `crashes`, until the delivery is finished or replayed. When the
    clock turns out to have been set back, as after the machine has booted, a wait that began in what is now the future
    begins anew.

    **Leases.** At most one lease on a delivery is running; it runs until `due`. Leases are fenced: a settlement,
    progress, a renewal or a release under a lease that has ended changes nothing. A lease has ended when it was settled
    or released, the delivery was replayed, an older delivery of its ordering key went first, or another lease was
    given. A lease whose time is up still counts until then: what its owner settles late is true. But it keeps nobody
    from claiming, replaying or purging the delivery.

    **Ordering.** Among the deliveries of one receiver and ordering key the WAITING one that was received first is the
    only one that may be claimed, also while it waits for its retry or for a paused handler. As soon as it is done, dead
    or unhandled, or purged, the next one may be. An older delivery that is replayed or loaded goes first, but not while
    another one of its ordering key is under a running lease; the one that it overtakes goes after it, and may lose its
    `due` time. All other deliveries are claimed as they become due, the older first.

    **Parts.** One request may bring several events, each a delivery by itself: part 0 has the id of the request, part n
    has that id, a dot and n. They are received in the order in which they were put. Their headers and body are stored
    once, stay as long as one of them does that has not lost them, and are in memory once for all claimed together.

    **Removed bodies.** A store may remove the headers and the body of a DONE delivery before the delivery itself, some
    time after it was settled (the store's own setting). Nothing else changes, but it cannot be replayed any more.

    **Polls.** A source that is polled, such as an API that lists events, has a name for each receiver, and a cursor:
    the text from which the next poll goes on. One process at a time polls a source, under a lease, which is fenced like
    that of a delivery: it has ended once it was released or another one was given, and from then on its holder stores
    nothing and moves no cursor. So a process that was stopped, and goes on when another one polls, sets nothing back. A
    lease whose time is up counts until then. A cursor moves only together with the deliveries that it has passed. The
    holder says at the end how long nobody is to poll: for a while after a success, and for longer after failures.

    **Counts.** Each process counts what happens in it, and adds that to the counts of the inbox about once a minute.
    They are figures for people, and nothing depends on them: a crash loses the last minute of its process, and what a
    call that raised has added all the same is added again.

    **Errors.** Every operation may raise InboxUnavailable (try again), InboxDamaged (the stored data cannot be
    trusted), or another InboxError for a value that the store does not take, such as an id that is stored already.
    """

    @property
    def address(self) -> str:
        """The address of the store, without a secret: two inboxes with the same address are on the same store."""
        ...

    def clock(self) -> float:
        """Return the time in seconds by which leases run and deliveries are due; once the inbox is open.

        It is what Unix time was at some moment, and the seconds since, measured steadily.
        """
        ...

    async def open(self) -> Self:
        """Make the inbox ready, before any other operation.

        To open an inbox twice has no effect; after `close` it may be opened again.

        Returns:
            The inbox itself.

        Raises:
            ConfigurationError: the inbox can never work, as when its schema is newer than this code.
            InboxUnavailable: the store cannot be reached, or not written to.
            InboxDamaged: the store has lost something that it had committed.
        """
        ...

    async def close(self) -> None:
        """Finish the operations under way and free all resources; then every operation raises InboxUnavailable."""
        ...

    async def check(self) -> None:
        """Commit a write without effect, to find out whether `put` would work.

        Raises:
            InboxError: as `put` would.
        """
        ...

    async def register(self, receiver: Registration) -> Registration:
        """Remember a receiver's sender and scheme under its name, in one transaction, and return what counts.

        A receiver that was given a name has that name. One that is left at the default (`by_default`) has the name that
        the first such receiver of this sender got, else the name that it brings. Whatever is stored or purged
        afterwards, it keeps that name.

        "webhooks" was the default of all senders once. If deliveries are stored under that, and no sender is remembered
        for it, nothing is changed for a receiver at the default that has no name yet: the result is "webhooks" with the
        sender "". If they are its own, it registers again and brings that name.

        One that only `looks` has nothing remembered.

        Args:
            receiver: the receiver; its name is the default one if `by_default` says so.

        Returns:
            What the inbox remembered under the receiver's name until now; what was given, under its name, if that was
            nothing, or another sender none of whose deliveries are stored. With another sender in it nothing was
            changed: the name belongs to that sender.
        """
        ...

    async def put(self, entry: Entry, now: float) -> Stored | Duplicate:
        """Store a delivery, and return once it would survive a crash.

        The delivery is WAITING and due at once, or DEAD and due at once if `entry.dead` says so. It counts as received
        after all deliveries that are stored already. If it is a duplicate (see Uniqueness), nothing is stored; if the
        delivery that it duplicates is DEAD or UNHANDLED and this one was pushed, that one is replayed,
        also while a dead-letter handler of it runs, whose lease ends.

        So with each part of the entry. Those that are no duplicates are stored, all or none; of two alike the first is.

        Args:
            entry: the delivery, and what its event says about it.
            now: the time in Unix seconds; the deduplication window ends here.

        Returns:
            `Stored` with the delivery's id, or `Duplicate` with the id of the one that is stored already. Of several
            parts `Stored` if any is new; it says which ones are not.

        Raises:
            InboxError: an id that is stored already, or a value that the store does not take, such as a context of more
                than `MOST_CONTEXT` characters, or a part whose number is below 1.
        """
        ...

    async def put_all(
        self, entries: Sequence[Entry], cursor: str | None, poll: PollLease, now: float
    ) -> Sequence[Stored | Duplicate]:
        """Store the deliveries of a page of a source, and the cursor behind them: all of it, or nothing if this raises.

        Each delivery is stored, or passed over as a duplicate, as by `put`; so is one that repeats another of the page.
        None of them is born leased. One call is one commit, for which others may have to wait: a caller pages, with
        some thousand deliveries in a call at most.

        Args:
            entries: the deliveries, in order; all of them of the receiver of the lease.
            cursor: where the next poll goes on; None for the beginning.
            poll: the lease on the source.
            now: the time in Unix seconds; the deduplication window ends here.

        Returns:
            The result of each delivery, as of `put`.

        Raises:
            PollLeaseLost: the lease has ended.
            InboxError: as of `put`, for any of the deliveries; or one of them is another receiver's.
        """
        ...

    async def lease_poll(
        self, receiver: str, source: str, lease: float, now: float, *, early: bool = False
    ) -> PollLease | None:
        """Take the lease on a source, and its cursor with it.

        Args:
            receiver: the name of the receiver.
            source: the name of the source.
            lease: the length of the lease, in seconds.
            now: the time by the clock of the inbox.
            early: whether the source is polled also before the wait after the last poll is over.

        Returns:
            The lease; None if another one is running, or that wait is not over.
        """
        ...

    async def renew_poll(self, poll: PollLease, lease: float, now: float) -> bool:
        """Extend the lease on a source.

        Args:
            poll: the lease.
            lease: seconds from `now` after which it ends.
            now: the time by the clock of the inbox.

        Returns:
            False if it has ended; then nothing is changed.
        """
        ...

    async def release_poll(
        self, poll: PollLease, now: float, outcome: PollOutcome = SUCCESS, unix: float | None = None
    ) -> bool:
        """End the lease on a source, and remember how the poll went; the cursor stays.

        Args:
            poll: the lease.
            now: the time by the clock of the inbox.
            outcome: how the poll went.
            unix: the time in Unix seconds, at which the poll ended; None for a caller of one clock.

        Returns:
            False if it has ended already; then nothing is changed.
        """
        ...

    async def polls(self) -> Sequence[Poll]:
        """Return how it stands with each source that a lease was ever taken on, by receiver and source.

        A lease of the receiver `polls.NOBODY` is on what one process does for all, and is not among them.
        """
        ...

    async def count(self, counts: Mapping[Metric, int], now: float) -> None:
        """Add to the counts of a minute, in one commit; several processes add up.

        Args:
            counts: what was counted, and how often; of each receiver no more than `MOST_COUNTED` different `what`.
            now: a Unix time in the minute, in seconds.
        """
        ...

    async def audit(self, record: AuditRecord) -> int:
        """Store a record of what somebody is about to do with the inbox; return its number once it survives a crash.

        Whoever acts stores it first, so that nothing is done that no record tells of. Records are not dumped: they tell
        of this inbox, and stay with it.

        Args:
            record: the record; its number and what is `done` do not count.

        Raises:
            InboxError: a text or the parameters have more than `MOST_OF_AUDIT` characters, or are no JSON.
        """
        ...

    async def audit_done(self, number: int, count: int) -> None:
        """Add to the number of deliveries with which an audited action was done.

        Args:
            number: the number of the record; one that is not stored is passed over.
            count: how many more.
        """
        ...

    async def claim(
        self, receiver: str, limit: int, lease: float, now: float, unix: float | None = None
    ) -> Sequence[Claim]:
        """Claim eligible deliveries, the older first, each under a new lease.

        A stored delivery that turns out to be damaged is not returned; it becomes DEAD with a reason that says so.

        Args:
            receiver: the name of the receiver.
            limit: the largest number of deliveries to claim.
            lease: the length of each lease, in seconds.
            now: the time by the clock of the inbox.
            unix: the time in Unix seconds, at which a damaged delivery was settled; None for a caller of one clock.

        Returns:
            The claimed deliveries, at most `limit`.
        """
        ...

    async def renew(self, claims: Sequence[Claim], lease: float, now: float) -> None:
        """Extend leases that still are running.

        Args:
            claims: the claimed deliveries; those whose lease has ended are passed over.
            lease: seconds from `now` after which each lease ends.
            now: the time by the clock of the inbox.
        """
        ...

    async def save_progress(self, claim: Claim, handlers: Mapping[str, HandlerState], now: float) -> bool:
        """Store the state of each handler of a claimed delivery while the lease goes on.

        Args:
            claim: the claimed delivery.
            handlers: the state of each handler, by its name.
            now: the time by the clock of the inbox.

        Returns:
            False if the lease has ended; then nothing is stored.
        """
        ...

    async def settle(self, settlement: Settlement, now: float) -> bool:
        """Settle a claimed delivery: store the settlement and end the lease, in one transaction.

        The failed attempts of the settlement are stored after those that are stored already. A delivery that waits for
        a paused handler is due at once if that handler is not paused (any more).

        Args:
            settlement: what became of the claimed delivery.
            now: the time by the clock of the inbox.

        Returns:
            False if the lease had ended already; then nothing is stored.
        """
        ...

    async def release(self, claims: Sequence[Claim], now: float) -> None:
        """End leases as if they had never been given: the deliveries are due at once, and no crash is counted.

        Args:
            claims: the claimed deliveries.
            now: the time by the clock of the inbox.
        """
        ...

    def watch(self, receiver: str, poll: float) -> AsyncGenerator[None, None]:
        """Yield whenever deliveries of a receiver may have become due, by whichever process, and every `poll` seconds.

        A store that hears of it yields at once, another one at the next poll. It never raises an error of the store's.

        Args:
            receiver: the name of the receiver.
            poll: the longest wait between two times, in seconds.
        """
        ...

    async def pause(self, handler: str, now: float) -> None:
        """Pause a handler for all processes until it is resumed; to pause it twice has no effect.

        Args:
            handler: the handler's name.
            now: the time in Unix seconds.
        """
        ...

    async def resume(self, handler: str) -> bool:
        """End the pause of a handler; the deliveries that waited for it are due at once.

        Args:
            handler: the handler's name.

        Returns:
            False if the handler was not paused.
        """
        ...

    async def paused(self) -> frozenset[str]:
        """Return the names of the handlers that are paused."""
        ...

    async def replay(self, ids: Sequence[str], now: float, *, handler: str | None = None) -> int:
        """Make stored deliveries WAITING again, so that their handlers run once more; return the number of them.

        Of a DEAD delivery those handlers run again that are not DONE; of a DONE or UNHANDLED one all handlers that
        match it then, and so of one whose stored states of handlers are damaged; with `handler` only that one. A
        WAITING delivery is due at once, unless it is under a running lease: then it is left alone. The count of
        attempts goes on; `since_replay`, `crashes` and the times of the handlers begin anew; the states of dead-letter
        handlers are dropped. What was verified at receipt is not verified again.

        Args:
            ids: the ids of the deliveries; those that are not stored, or have no body any more, are passed over, and
                not counted.
            now: the time by the clock of the inbox.
            handler: the name of the only handler that is to run; None for all of them.
        """
        ...

    async def purge(self, which: Filter, now: float, *, limit: int, unix: float | None = None) -> int:
        """Remove deliveries for good, never one under a running lease; return the number of removed deliveries.

        What other parts share with them stays. What duplicates are known by is kept until the window has passed it; of
        a receiver that polls, for `POLLED_RETENTION` from its receipt.

        Args:
            which: the filter that says which deliveries.
            now: the time by the clock of the inbox.
            limit: the largest number of deliveries to remove.
            unix: the time in Unix seconds, at which the window ends; None for a caller of one clock.
        """
        ...

    async def expire(self, now: float) -> int:
        """Remove a small number of the deliveries that are past their retention; return how many, 0 if none is left.

        A finished delivery is removed once it was settled longer ago than the retention of its state (the store's own
        settings); but none under a lease, even if its time is up. What duplicates are known by stays, as by `purge`,
        and is removed, and counted, too, once its time has passed; so are counts older than `COUNTS_RETENTION`, audit
        records older than `AUDIT_RETENTION`, and the bodies of DONE deliveries, if the store removes them earlier.

        Args:
            now: the time in Unix seconds.
        """
        ...

    async def load(self, deliveries: Sequence[StoredDelivery], now: float) -> int:
        """Store the deliveries that another inbox dumped, except those whose ids or keys are stored already; return how
        many.

        They count as received before all deliveries that are stored already, in the order in which they are given.
        Neither leases nor pauses are taken over: a delivery that was leased, or waited for a paused handler, is due at
        once. So may be one that waits for its retry, since the times of its handlers are stored; but no younger
        delivery of its ordering key passes it. The parts of one request share a body again, if theirs are the same. All
        of them are stored, or none when this raises.

        Args:
            deliveries: the deliveries, as `dump` yields them.
            now: the time by the clock of the inbox.
        """
        ...


def window_of(inbox: Inbox | None) -> float:
    """Return the seconds of an inbox's window; 0 if it does not tell them. See `Inbox`."""
    window: object = getattr(inbox, "window", 0)
    return window if isinstance(window, int | float) else 0


async def settle(inbox: Inbox, settlement: Settlement, now: float, *, again: bool) -> bool:
    """Settle a claimed delivery; return whether that counts.

    Args:
        inbox: the inbox.
        settlement: the settlement; its `finished` tells it from others.
        now: the time by the clock of the inbox.
        again: whether it failed before: then it may have been committed all the same, and only the answer was lost.

    Raises:
        InboxUnavailable: it could not be committed, or that is unknown.
    """
    if await inbox.settle(settlement, now):
        return True
    if not again or settlement.state is State.WAITING:
        return False
    found = await inbox.find(Filter(ids=[settlement.claim.delivery.id]))
    ended = settlement.state, settlement.finished, settlement.reason
    return [(each.state, each.settled, each.reason) for each in found] == [ended]
