"""Inboxes: stores that keep accepted deliveries until they are handled, and afterwards.

Here is the contract of an inbox. The stores are imported when they are used: `MemoryInbox` and `SQLiteInbox` are
names of `webhook_receiver`, `PostgresInbox` is in `webhook_receiver.inbox.postgres`.
"""

from __future__ import annotations

from .base import Inbox
from .records import (
    Claim,
    DamagedDelivery,
    DeliverySummary,
    Duplicate,
    Entry,
    FailedAttempt,
    Filter,
    HandlerState,
    Metric,
    Part,
    Poll,
    PollLease,
    PollOutcome,
    Settlement,
    State,
    Stats,
    Stored,
    StoredDelivery,
)
from .registration import Registration
from .urls import from_url

__all__ = [
    "Claim",
    "DamagedDelivery",
    "DeliverySummary",
    "Duplicate",
    "Entry",
    "FailedAttempt",
    "Filter",
    "HandlerState",
    "Inbox",
    "Metric",
    "Part",
    "Poll",
    "PollLease",
    "PollOutcome",
    "Registration",
    "Settlement",
    "State",
    "Stats",
    "Stored",
    "StoredDelivery",
    "from_url",
]
