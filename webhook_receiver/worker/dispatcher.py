"""The dispatcher: a receiver as its worker sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..events import Event
from ..routing import DeadLetterHandler, Handler, Middleware
from ..senders.order_check import OrderCheck


class Dispatcher(Protocol):
    """A receiver as the executor sees it: its events, handlers and middleware."""

    def parse(self, body: bytes, headers: Sequence[tuple[bytes, bytes]] = (), part: int = 0) -> Event:
        """Return the event that a part of a body is, or raise NotAnEvent."""
        ...

    def parse_all(self, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Sequence[Event | Exception]:
        """Return the events that a body holds, in order; for a part that is none the error of `parse`."""
        ...

    def number_of_events(self, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> int:
        """Return the number of events that a body holds, without parsing them; 1 for a body that is none."""
        ...

    def match(self, event: Event) -> Sequence[Handler]:
        """Return the handlers of an event, in the order in which they run."""
        ...

    @property
    def handlers(self) -> Sequence[Handler]:
        """All handlers."""
        ...

    @property
    def dead_letter_handlers(self) -> Sequence[DeadLetterHandler]:
        """The dead-letter handlers, in order of registration."""
        ...

    @property
    def middlewares(self) -> tuple[Middleware, ...]:
        """The middleware round every attempt, the outermost first."""
        ...

    @property
    def order_check(self) -> OrderCheck | None:
        """The order check before the handlers of a delivery whose body is not verified; None without `confirm=`."""
        ...
