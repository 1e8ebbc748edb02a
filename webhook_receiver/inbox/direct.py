"""The contract of an inbox that hands what is put in a worker's own process to that worker."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol, runtime_checkable

from .base import Inbox
from .owner import Owner


@runtime_checkable
class DirectInbox(Inbox, Protocol):
    """An inbox that hands what is put in a worker's own process to that worker, without a claim. A store need not.

    **Born leases.** A delivery may be born leased: from the commit of its put on it is under a lease of its owner, a
    worker of the same process, and in that worker's hands. It is settled, noted, renewed and released like any claimed
    one, and fenced like it. So at every commit each WAITING delivery is exactly one of these: free, if nothing was
    written about it since and it has no owner, or one whose sign of life has ended; born leased, if its owner is alive
    and nothing was written about it since; or as what was written about it since says, which alone counts from then on.

    The lease runs as long as the owner's sign of life. When that ends, what was not written about is free, and no crash
    is counted: nobody knows that it had begun. A settlement that comes late counts if nobody has claimed, replayed or
    purged the delivery meanwhile. A sign of life that has ended is never renewed.

    Whoever completes the commit hands the delivery over, not the caller of `put`, who may have been cancelled. No more
    are born leased than the owner has room for, and a claim takes as many fewer as were born meanwhile. None is while
    an older delivery of its ordering key is waiting, or an older one of any is due.

    `watch` yields at once also when an operation of this process has made a delivery due: a settlement the next one of
    its ordering key, a replay, a resume, a release.
    """

    async def own(self, owner: Owner, lease: float, now: float) -> bool:
        """Begin an owner's sign of life at the first call, and renew it at each later one.

        At a renewal everything in the owner's hands gets a lease as if claimed, and what was born to it but is not in
        its hands is free.

        Args:
            owner: the worker.
            lease: seconds from `now` after which the sign of life ends.
            now: the time by the clock of the inbox.

        Returns:
            False if it has ended, and stays so: a new owner is needed.
        """
        ...

    async def disown(self, owner: Owner, held: Collection[str] = ()) -> None:
        """End an owner's sign of life. What was born to it is free, also what is on its way to the worker.

        Args:
            owner: the worker.
            held: the ids of what it does not let go of: that is under its lease until the lease ends by itself.
        """
        ...
