"""A page of a source, as a poll and its telemetry tell each other of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class PolledPage:
    """A page of a source: what its deliveries get from telemetry, and what became of it."""

    context: str | None = None
    """The context to keep with its deliveries."""
    documents: int = 0
    """The number of documents that the source returned."""
    stored: int = 0
    """The number of those that were new."""
    known: int = 0
    """The number of those that the inbox had already."""
