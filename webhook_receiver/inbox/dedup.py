"""What a repeat is: the rule by which every store of ours knows that it has a delivery already."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self
from urllib.parse import quote

from ..redaction import storable
from .records import Entry


class PutJob(NamedTuple):
    """A delivery to keep; `since` is when the window of duplicates began."""

    entry: Entry
    now: float
    since: float


class Candidate(NamedTuple):
    """A delivery that is kept, or is about to be, which another may be a repeat of."""

    seq: int
    """Its place in the order of receipt."""
    id: str
    receiver: str
    via: str
    event: str | None
    key: bytes | None
    identity: str | None
    received: float

    @classmethod
    def of(cls, seq: int, entry: Entry) -> Self:
        """Return what is known of an entry once it is kept."""
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
    """Whether the entry says what the kept delivery says: the same key lately, or the same event by backfill."""
    entry = job.entry
    if candidate.receiver != entry.delivery.receiver:
        return False
    if entry.key is not None and entry.key == candidate.key and candidate.received >= job.since:
        return True
    same = entry.identity is not None and (entry.event, entry.identity) == (candidate.event, candidate.identity)
    return same and "backfill" in (entry.delivery.via, candidate.via)


_is_plain = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
"""Whether `quote` would leave a text as it is, which it takes several times as long to find out."""


def digester(receiver: str) -> Callable[..., bytes]:
    """Return the digest of parts, each bytes or a text, that no other parts of any source have."""
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
    """Return a line of text that no other parts have: quoted, with a space between them."""
    if _is_plain("".join(parts)):
        return " ".join(parts)
    return " ".join([quote(storable(part), safe="") for part in parts])


def _wire(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
