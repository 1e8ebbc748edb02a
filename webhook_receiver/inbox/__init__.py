"""Inboxes: stores that keep accepted deliveries until they are handled, and afterwards.

Here is the contract of an inbox. The stores are imported when they are used: `MemoryInbox` and `SQLiteInbox` are
names of `webhook_receiver`, `PostgresInbox` is in `webhook_receiver.inbox.postgres`.
"""

from __future__ import annotations

from .base import Inbox
from .latency import Bounds, by_bucket, quantile
from .reader import InboxReader
from .records import (
    AuditRecord,
    Claim,
    DamagedDelivery,
    DeadGroup,
    DeadLetters,
    DeliverySummary,
    Duplicate,
    Entry,
    FailedAttempt,
    Filter,
    HandlerState,
    Metric,
    Page,
    Part,
    Poll,
    PollLease,
    PollOutcome,
    Settlement,
    State,
    Stats,
    Stored,
    StoredDelivery,
    Total,
)
from .registration import Registration
from .urls import from_url

__all__ = [
    "AuditRecord",
    "Bounds",
    "Claim",
    "DamagedDelivery",
    "DeadGroup",
    "DeadLetters",
    "DeliverySummary",
    "Duplicate",
    "Entry",
    "FailedAttempt",
    "Filter",
    "HandlerState",
    "Inbox",
    "InboxReader",
    "Metric",
    "Page",
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
    "Total",
    "by_bucket",
    "from_url",
    "quantile",
]
