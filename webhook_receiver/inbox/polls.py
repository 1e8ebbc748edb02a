"""Polls: what every store of this package says about the lease on a source, and about what is put under it."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import randbits
from typing import NamedTuple

from ..errors import InboxError, PollLeaseLost
from ..redaction import storable
from .dedup import PutJob
from .records import MOST_OF_AN_ERROR, Entry, PollLease


class PutAllJob(NamedTuple):
    """A call of `Inbox.put_all`."""

    puts: Sequence[PutJob]
    cursor: str | None
    poll: PollLease

    @classmethod
    def of(cls, entries: Sequence[Entry], cursor: str | None, poll: PollLease, now: float, window: float) -> PutAllJob:
        """Return the job for the arguments of `put_all`, and the deduplication window in seconds.

        Raises:
            InboxError: one of the deliveries is another receiver's.
        """
        if any(entry.delivery.receiver != poll.receiver for entry in entries):
            raise InboxError(f"a poll of the receiver {poll.receiver!r} stores deliveries of that receiver only")
        return cls([PutJob.of(entry, now, window) for entry in entries], cursor, poll)


def new_token() -> int:
    """Return the token of a new lease, which no other one has."""
    return randbits(62)


def lost(poll: PollLease) -> PollLeaseLost:
    """Return the error for a lease that has ended."""
    return PollLeaseLost(f"the lease on the source {poll.source!r} has ended: another process polls it, or did since")


def kept(error: str | None) -> str | None:
    """Return what is kept of a poll's error."""
    return None if error is None else storable(error)[:MOST_OF_AN_ERROR]
