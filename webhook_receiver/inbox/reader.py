"""What can be asked of an inbox: the operations of `Inbox` that change nothing in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from .records import (
    LOOK,
    AuditRecord,
    DamagedDelivery,
    DeadLetters,
    DeliverySummary,
    Filter,
    Metric,
    Page,
    Stats,
    StoredDelivery,
    Total,
)


@runtime_checkable
class InboxReader(Protocol):
    """The deliveries of an inbox, its counts and its audit records, to look at.

    Every operation raises as those of `Inbox` do.
    """

    async def counted(self, since: float, until: float) -> Mapping[Metric, int]:
        """Return the sums of what was counted in the minutes that began in a span of time.

        Args:
            since: the begin of the span, in Unix seconds.
            until: its end, which is not in it.
        """
        ...

    async def series(self, since: float, until: float, step: float) -> Mapping[Metric, Sequence[int]]:
        """Return the sums of what was counted, for each step of a span of time.

        A minute belongs to the step in which it began. Steps of whole hours cost little, however long the span is.

        Args:
            since: the begin of the span, in Unix seconds; the first step is the one that it is in.
            until: its end; the last step is whole, too, and is the one that has the last moment before it.
            step: the length of a step in seconds: whole minutes. Steps begin at multiples of it in Unix time.

        Returns:
            For each metric that was counted a number for each step, in order.

        Raises:
            InboxError: a step that is not whole minutes, or more than `MOST_POINTS` steps.
        """
        ...

    async def find(
        self, which: Filter, *, limit: int | None = None, newest_first: bool = True, after: str | None = None
    ) -> Sequence[DeliverySummary]:
        """Return the summaries of the deliveries that match a filter.

        One whose stored states of handlers are damaged is among them, with `DeliverySummary.damage`.

        Args:
            which: the filter.
            limit: the largest number of summaries; None for all.
            newest_first: whether they come in reverse order of receipt.
            after: the id of the delivery behind which they begin, such as the last one of the page before.

        Raises:
            InboxError: no delivery has the id `after`, or not any more.
        """
        ...

    async def page(
        self,
        which: Filter,
        *,
        limit: int,
        newest_first: bool = True,
        after: str | None = None,
        seconds: float = LOOK,
    ) -> Page:
        """Return a page of the deliveries that match a filter, by a bounded look through the inbox.

        What is rare is found by an index where there is one: ids, the beginning of one, states but DONE. Else
        deliveries are looked at in order until the page is full or the time is up; the next page goes on from there. So
        a page that is not full is no sign that there are no more: `Page.next` is. Where nobody changes the inbox
        meanwhile, the pages together have what `find` returns, but for this: with `since` and `before` a delivery may
        be left out whose time of receipt is out of order by more than `OUT_OF_ORDER`, as while a clock was wrong.

        Args:
            which: the filter.
            limit: the largest number of deliveries on the page.
            newest_first: whether they come in reverse order of receipt.
            after: the cursor of another page; None to begin at the end that comes first.
            seconds: how long to look, about. With 0, little is looked at, but always some.

        Raises:
            InboxError: `after` is no cursor.
        """
        ...

    async def total(self, which: Filter, *, seconds: float = LOOK) -> Total:
        """Return how many deliveries match a filter, as far as they can be counted in a bounded time.

        For a filter of nothing but states the number is always exact.

        Args:
            which: the filter.
            seconds: how long to count, about; as for `page`.
        """
        ...

    async def get(self, id: str) -> StoredDelivery | None:
        """Return one delivery with all that is stored about it, or None if no id begins so.

        Args:
            id: the delivery's id, or a beginning of it that no other id has.

        Raises:
            AmbiguousId: several ids begin so, and none of them is this one.
            InboxDamaged: the delivery is damaged; if only the stored states of its handlers are, it is returned, with
                `DeliverySummary.damage`.
        """
        ...

    async def dead_letters(self, which: Filter, *, seconds: float = LOOK) -> DeadLetters:
        """Return the DEAD deliveries that match a filter in groups, by a bounded look; the newest are looked at first.

        The deliveries of a group are those of its `DeadGroup.filter`, together with `which`.

        Args:
            which: the filter; its states do not count.
            seconds: how long to look, about; as for `page`.
        """
        ...

    async def audited(self, *, limit: int, before: int | None = None) -> Sequence[AuditRecord]:
        """Return audit records, the newest first.

        Args:
            limit: the largest number of records.
            before: the number of the record behind which they begin, such as that of the last one of the page before.
        """
        ...

    async def stats(self) -> Stats:
        """Return the numbers of deliveries by state, and other figures of the inbox."""
        ...

    def dump(self, which: Filter) -> AsyncIterator[StoredDelivery | DamagedDelivery]:
        """Yield the deliveries that match a filter, with all that is stored about them, in order of receipt.

        However long that takes, no other operation has to wait; each delivery is yielded as it is at that moment. One
        that is damaged does not keep the others from being yielded.

        Args:
            which: the filter.
        """
        ...
