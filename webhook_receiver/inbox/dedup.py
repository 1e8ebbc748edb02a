"""Duplicates: the rule by which every store of this package decides that it has a delivery already."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple, Self
from urllib.parse import quote

from ..errors import InboxError
from ..redaction import storable
from .owner import Owner
from .records import Duplicate, Entry, Stored

PUSH = "http"
"""`Delivery.via` of what the sender pushed; all else was read from its API."""


class PutJob(NamedTuple):
    """A call of `Inbox.put`."""

    entry: Entry
    now: float
    """Unix time of the call, in seconds."""
    since: float
    """Unix time at which the deduplication window began, in seconds; minus infinity for a lasting key."""

    owner: Owner | None = None
    """Who the delivery may be born to; None for nobody."""
    shares: str | None = None
    """What all jobs have that share a body, one for each part of an entry; None for an entry without parts."""

    @classmethod
    def of(cls, entry: Entry, now: float, window: float, owner: Owner | None = None) -> Self:
        """Return the job for the arguments of `put`, and the window in seconds."""
        return cls(entry, now, float("-inf") if entry.lasting else now - window, owner)


def put_parts(
    jobs: Sequence[PutJob], put: Callable[[Sequence[PutJob]], list[Stored | Duplicate]]
) -> list[Stored | Duplicate]:
    """Put entries with parts, each part by a job of its own; return the result of each entry.

    Args:
        jobs: the jobs, of entries with parts or without.
        put: does the jobs of all parts in one transaction.

    Raises:
        InboxError: the number of a part is none.
    """
    if not any(job.entry.parts for job in jobs):
        return put(jobs)
    by_part = [_by_part(job) for job in jobs]
    results = iter(put([part for parts in by_part for part in parts]))
    return [_whole([*islice(results, len(parts))], parts) for parts in by_part]


def _by_part(job: PutJob) -> list[PutJob]:
    whole, entry = job.entry.delivery, job.entry
    if not entry.parts:
        return [job]
    entries = [entry._replace(parts=())]
    for number, event, key, identity, ordering_key, dead, parsed in entry.parts:
        if not 0 < number < 2**31:
            raise InboxError(f"a part of a delivery has a number from 1 on, not {number!r:.20}")
        part = whole.as_part(number)
        entries.append(Entry(part, event, key, identity, ordering_key, dead, parsed, entry.lasting))
    return [job._replace(entry=each, shares=whole.id) for each in entries]


def _whole(results: Sequence[Stored | Duplicate], parts: Sequence[PutJob]) -> Stored | Duplicate:
    """Return the result of an entry from those of its parts."""
    if len(results) == 1:
        return results[0]
    known = {
        part.entry.delivery.part: each for each, part in zip(results, parts, strict=True) if isinstance(each, Duplicate)
    }
    new = [each for each in results if isinstance(each, Stored)]
    if new:
        return Stored(new[0].id, all(each.leased for each in new), known)
    return Duplicate(results[0].id, any(each.replayed for each in known.values()))


class Candidate(NamedTuple):
    """A delivery that is stored, or about to be, and that another delivery may be a duplicate of."""

    seq: int
    """Number of its row, which is its place in the order of receipt."""
    id: str
    receiver: str
    via: str
    event: str | None
    key: bytes | None
    identity: str | None
    received: float
    """Unix time of receipt, in seconds."""

    @classmethod
    def of(cls, seq: int, entry: Entry) -> Self:
        """Return the candidate that an entry becomes once it is stored under the row number `seq`."""
        candidate = entry.delivery
        return cls(
            seq,
            candidate.id,
            candidate.receiver,
            candidate.via,
            entry.event,
            entry.key,
            entry.identity,
            candidate.received,
        )


def is_duplicate(job: PutJob, candidate: Candidate) -> bool:
    """Return whether an entry is a duplicate of a stored delivery.

    Both belong to one receiver, and have the same key, received within the window; or the same event and identity, and
    one of them was no push.
    """
    entry = job.entry
    if candidate.receiver != entry.delivery.receiver:
        return False
    if entry.key is not None and entry.key == candidate.key and candidate.received >= job.since:
        return True
    same = entry.identity is not None and (entry.event, entry.identity) == (candidate.event, candidate.identity)
    return same and not (entry.delivery.via == candidate.via == PUSH)


_is_plain = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
"""The match of a text that `quote` would leave as it is; `quote` takes several times as long to find that out."""


def digester(receiver: str) -> Callable[..., bytes]:
    """Return a function that digests parts, bytes or texts, into 32 bytes that only these parts of this receiver
    have."""
    begun = hashlib.sha256(_wire(receiver))

    def digest(*parts: str | bytes) -> bytes:
        whole = begun.copy()
        for part in parts:
            data = part if isinstance(part, bytes) else _wire(part)
            whole.update(b"\0%d\0" % len(data))
            whole.update(data)
        return whole.digest()

    return digest


def identity_text(parts: Sequence[str]) -> str:
    """Return a text that only these parts have: each one percent-encoded, with a space between them."""
    if _is_plain("".join(parts)):
        return " ".join(parts)
    return " ".join([quote(storable(part), safe="") for part in parts])


def _wire(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
