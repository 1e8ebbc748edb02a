"""Inboxes: where accepted deliveries are kept until they are handled, and after.

The stores themselves are imported when they are asked for: a receiver without an inbox does not need SQLite.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .base import Inbox
from .records import (
    Claim,
    DeliverySummary,
    Duplicate,
    Entry,
    FailedAttempt,
    Filter,
    HandlerState,
    Settlement,
    State,
    Stats,
    Stored,
    StoredDelivery,
)
from .urls import from_url

__all__ = [
    "Claim",
    "DeliverySummary",
    "Duplicate",
    "Entry",
    "FailedAttempt",
    "Filter",
    "HandlerState",
    "Inbox",
    "MemoryInbox",  # pyright: ignore[reportUnsupportedDunderAll] - see __getattr__
    "SQLiteInbox",  # pyright: ignore[reportUnsupportedDunderAll] - see __getattr__
    "Settlement",
    "State",
    "Stats",
    "Stored",
    "StoredDelivery",
    "from_url",
]

_STORES = {"MemoryInbox": ".memory", "SQLiteInbox": ".sqlite"}


def __getattr__(name: str) -> Any:
    if name not in _STORES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_STORES[name], __name__), name)
