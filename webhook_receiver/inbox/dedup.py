"""What a repeat is: the rule by which every store of ours knows that it has a delivery already."""

from __future__ import annotations

from typing import NamedTuple, Self

from .records import Entry


class Put(NamedTuple):
    """A delivery to keep; `since` is when the window of duplicates began."""

    entry: Entry
    now: float
    since: float


class Known(NamedTuple):
    """A delivery that is kept, or is about to be, which another may be a repeat of."""

    seq: int
    """Its place in the order of receipt."""
    id: str
    source: str
    origin: str
    event: str | None
    key: bytes | None
    identity: str | None
    received: float

    @classmethod
    def of(cls, seq: int, entry: Entry) -> Self:
        """Return what is known of an entry once it is kept."""
        kept = entry.delivery
        return cls(seq, kept.id, kept.source, kept.origin, entry.event, entry.key, entry.identity, kept.received)


def repeats(put: Put, kept: Known) -> bool:
    """Whether the entry says what the kept delivery says: the same key lately, or the same event by backfill."""
    entry = put.entry
    if kept.source != entry.delivery.source:
        return False
    if entry.key is not None and entry.key == kept.key and kept.received >= put.since:
        return True
    same = entry.identity is not None and (entry.event, entry.identity) == (kept.event, kept.identity)
    return same and "backfill" in (entry.delivery.origin, kept.origin)
