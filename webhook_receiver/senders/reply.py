"""The reply to a delivery: a body in the response, for senders that want one, such as Slack, Discord and Twilio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError
from ..responses import Response

Make = Callable[[Any], Response | Awaitable[Response | None] | None]
"""A function of an event, async or not, that returns the response with the reply, as `as_json`, `plain` and `as_xml` of
`webhook_receiver.responses` make one; None for an event without a reply."""


@dataclass(frozen=True)
class Reply:
    """The reply to each delivery of a sender, for `Sender(reply=...)`.

    With an inbox it is made once the delivery is stored, before any handler has run; without one, after the handlers.
    It replaces the response to a stored delivery, and to a duplicate, so it may be made several times for one event and
    should have no effect. If it fails, or is late, that is logged, and the response is the usual one without a body.

    Raises:
        ConfigurationError: a field cannot work.
    """

    make: Make
    """The function that makes it. One that is not async runs in a thread."""
    timeout: float = 2.0
    """The seconds that it may take: the sender's deadline, less the time for the way and the commit."""

    def __post_init__(self) -> None:
        if not callable(self.make):
            raise ConfigurationError(
                f"a reply is made by a function of an event, such as lambda event: as_json({{}}), not {self.make!r}"
            )
        if isinstance(self.timeout, bool) or not isinstance(self.timeout, int | float) or not 0 < self.timeout <= 60:
            raise ConfigurationError(f"the timeout of a reply is a number of seconds up to 60, not {self.timeout!r}")
