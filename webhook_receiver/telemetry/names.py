"""The names of attributes, and their values: what code names, such as handlers, is bounded in number and length."""

from __future__ import annotations

from functools import lru_cache

from ..redaction import storable

SCOPE = "webhook_receiver"
"""The name of the instrumentation, and of the messaging system."""
SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions."""

SYSTEM = "messaging.system"
DESTINATION = "messaging.destination.name"
"""The receiver's name."""
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
MESSAGE = "messaging.message.id"
"""The id of the delivery."""
DOCUMENTS = "messaging.batch.message_count"
"""The number of documents of a page that was polled."""
ERROR = "error.type"
STATUS = "http.response.status_code"
HANDLER = "webhook_receiver.handler"
ATTEMPT = "webhook_receiver.attempt"
EVENT = "webhook_receiver.event"
KNOWN = "webhook_receiver.known"
STORED = "webhook_receiver.stored"
INBOX = "webhook_receiver.inbox"
OUTCOME = "webhook_receiver.outcome"
RESULT = "webhook_receiver.result"
SECRET = "webhook_receiver.secret"  # noqa: S105 - its index
SOURCE = "webhook_receiver.source"
STATE = "webhook_receiver.state"

OTHER = "_OTHER"
"""What everything beyond `MOST` is called: the conventions' own word for an error that is none of the known."""
MOST = 100
"""The number of different values of an attribute, at most."""
LONGEST = 200
"""The number of characters of a value, at most."""


class Bounded:
    """The values of one attribute of metrics: the first `MOST` are told, all others are `OTHER`."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, value: str) -> str:
        """Return a value as it is told. Called in any thread."""
        found = self._known.get(value)
        if found is None:
            if len(self._known) >= MOST:
                return OTHER
            found = self._known[value] = cut(value)
        return found


@lru_cache
def cut(text: str) -> str:
    """Return a text as the value of an attribute."""
    return storable(text)[:LONGEST]
