from .base import Inbox
from .memory import MemoryInbox
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
from .sqlite import SQLiteInbox
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
    "MemoryInbox",
    "SQLiteInbox",
    "Settlement",
    "State",
    "Stats",
    "Stored",
    "StoredDelivery",
    "from_url",
]
