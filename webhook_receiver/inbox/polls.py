"""Polls: what every store of this package says about the lease on a source, and about what is put under it."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import randbits
from typing import NamedTuple

from ..errors import InboxError, PollLeaseLost
from ..redaction import storable
from .dedup import PutJob
from .records import MOST_OF_AN_ERROR, Entry, PollLease, PollOutcome

NOBODY = " webhook_receiver"
"""The receiver of leases on what one process does for all receivers, which are not among the polls. No receiver's name
begins with a space."""


class PutAllJob(NamedTuple):
    """A call of `Inbox.put_all`."""

    puts: Sequence[PutJob]
    cursor: str | None
    poll: PollLease
    now: float

    @classmethod
    def of(cls, entries: Sequence[Entry], cursor: str | None, poll: PollLease, now: float, window: float) -> PutAllJob:
        """Return the job for the arguments of `put_all`, and the deduplication window in seconds.

        Raises:
            InboxError: one of the deliveries is another receiver's.
        """
        if any(entry.delivery.receiver != poll.receiver for entry in entries):
            raise InboxError(f"a poll of the receiver {poll.receiver!r} stores deliveries of that receiver only")
        return cls([PutJob.of(entry, now, window) for entry in entries], cursor, poll, now)


class LeaseJob(NamedTuple):
    """A call of `Inbox.lease_poll`; `lease` is in seconds, `now` the time by the clock of the inbox."""

    receiver: str
    source: str
    lease: float
    now: float
    early: bool


class ReleaseJob(NamedTuple):
    """A call of `Inbox.release_poll`."""

    poll: PollLease
    now: float
    outcome: PollOutcome
    unix: float

    @classmethod
    def of(cls, poll: PollLease, now: float, outcome: PollOutcome, unix: float | None) -> ReleaseJob:
        """Return the job for the arguments of `release_poll`."""
        return cls(poll, now, outcome._replace(error=kept(outcome.error)), now if unix is None else unix)

    @property
    def times(self) -> tuple[float | None, float | None]:
        """When the wait after the poll begins and ends, by the clock of the inbox; None without one."""
        wait = self.outcome.wait
        return (self.now, self.now + wait) if wait else (None, None)

    @property
    def succeeded(self) -> float | None:
        """When the poll ended without an error, in Unix seconds; None if it had one."""
        return self.unix if self.outcome.error is None else None


def new_token() -> int:
    """Return the token of a new lease, which no other one has."""
    return randbits(62)


def lost(poll: PollLease) -> PollLeaseLost:
    """Return the error for a lease that has ended."""
    return PollLeaseLost(f"the lease on the source {poll.source!r} has ended: another process polls it, or did since")


def kept(error: str | None) -> str | None:
    """Return what is kept of a poll's error."""
    return None if error is None else storable(error)[:MOST_OF_AN_ERROR]
