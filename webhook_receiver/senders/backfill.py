"""Orders whose notifications were missed, read from the sender's API: once by a backfill, or by polls of a source."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..errors import ConfigurationError
from ..events import parsed_paths
from .base import Order, Orders, OrdersApi, Sender
from .source import Changes

SLACK = 300.0
"""The seconds that a backfill looks back beyond `since`, since the clocks of two machines differ."""


class Backfill(NamedTuple):
    """The counts of a backfill."""

    seen: int = 0
    """Number of orders that the API returned: in a terminal status, and changed since the given time."""
    put: int = 0
    """Number of orders that were new, and were put into the inbox."""
    known: int = 0
    """Number of orders about which the inbox had a delivery already."""
    unfit: int = 0
    """Number of orders of which no event could be made; each is logged."""

    def as_json(self) -> dict[str, int]:
        """Return the counts as a JSON object."""
        return self._asdict()


Store = Callable[[Order], Awaitable[bool | None]]
"""A function that stores an order as a delivery: True if it was new, None if no event can be made of it."""

ProgressCallback = Callable[[Backfill], object]
"""A function that is called after each order with the counts so far."""


async def store_orders(
    orders: AsyncGenerator[Order], store: Store, progress: ProgressCallback | None = None
) -> Backfill:
    """Store orders as deliveries, and return the counts.

    Args:
        orders: the orders, from the sender's API; the generator is closed at the end.
        store: the function that stores one order.
        progress: the function that is called after each order with the counts so far.

    Raises:
        ApiError: the API failed. Deliveries that were stored until then stay, as with any other error.
        InboxError: the inbox failed.
    """
    found = Backfill()
    async with aclosing(orders):
        async for order in orders:
            new = await store(order)
            found = Backfill(
                found.seen + 1,
                found.put + (new is True),
                found.known + (new is False),
                found.unfit + (new is None),
            )
            if progress is not None:
                progress(found)
    return found


def moment(since: datetime | timedelta | float, now: float) -> float:
    """Return a moment in the past in Unix seconds.

    Args:
        since: the moment as a datetime with a time zone, or how long ago it was, as a timedelta or in seconds.
        now: the present time, in Unix seconds.

    Raises:
        ConfigurationError: `since` is a datetime without a time zone or in the future, or no time at all.
    """
    if isinstance(since, datetime):
        if since.tzinfo is None:
            raise ConfigurationError(f"since={since} has no time zone: say datetime(..., tzinfo=UTC)")
        begin = since.timestamp()
        if begin > now:
            raise ConfigurationError(f"since={since} is in the future")
        return begin
    return now - span(since, "since")


def span(given: timedelta | float, what: str) -> float:
    """Return a span of time in seconds.

    Args:
        given: the span, as a timedelta or in seconds.
        what: the name of the argument, for the error.

    Raises:
        ConfigurationError: the value is no span of time, or is not above 0.
    """
    seconds: object = given.total_seconds() if isinstance(given, timedelta) else given
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise ConfigurationError(f"{what} is a timedelta or a number of seconds, above 0, not {given!r}")
    return seconds


def checked_orders(sender: Sender) -> Orders:
    """Return the functions by which a sender's orders become deliveries.

    Raises:
        ConfigurationError: the sender has none.
    """
    if sender.orders is None or not sender.order_id_paths:
        raise ConfigurationError(
            f"the sender {sender.name} has no orders to read: give it orders=... and order_id_paths=..."
        )
    return sender.orders


class OrdersSource:
    """The source of a sender's orders that ended, for `WebhookReceiver.poll_every`. Fulfils `Source`.

    Its cursor is the time of the latest change of an order, by the API's clock.

    Args:
        sender: the sender.
        api: a client of its API.
        workspace_id: the workspace of the orders; all that the client's user may read if None.
        since: seconds before the cursor, and before the first poll, from which on orders are read each time: what the
            API lists late is found all the same.
        clock: a function that returns the time in Unix seconds.

    Raises:
        ConfigurationError: the sender has no orders.
    """

    def __init__(
        self, sender: Sender, api: OrdersApi, workspace_id: str | None, since: float, clock: Callable[[], float]
    ) -> None:
        self.name = "orders" if workspace_id is None else f"orders of {workspace_id}"
        """The name of the source."""
        self._orders = checked_orders(sender)
        (self._place, *_) = parsed_paths(sender.order_id_paths)
        self._api = api
        self._workspace_id = workspace_id
        self._since = since
        self._clock = clock

    async def __call__(self, cursor: str | None) -> Changes:
        """Return notifications about the orders that have ended since, the first one first."""
        now = self._clock()
        latest = now if cursor is None else self._moment(cursor)
        orders: list[Order] = []
        begin = max(0.0, latest - self._since)  # there were no orders before 1970
        async with aclosing(self._orders.changed_since(self._api, begin, self._workspace_id)) as changed:
            async for order in changed:
                orders.append(order)
        orders.sort(key=_changed)
        if orders:  # never ahead of our own clock: an order of tomorrow must not hide those of today
            newest = min(now, _changed(orders[-1]))
            latest = newest if cursor is None else max(latest, newest)
        documents = [self._orders.notification(order, self._place) for order in orders]
        return Changes(documents, self.cursor_at(datetime.fromtimestamp(latest, UTC)))

    def cursor_at(self, moment: datetime, /) -> str:
        """See `StartsAt`."""
        return moment.astimezone(UTC).isoformat()

    def _moment(self, cursor: str) -> float:
        try:
            return datetime.fromisoformat(cursor).timestamp()
        except ValueError:
            raise ConfigurationError(
                f"the source {self.name} has a cursor that is none of its own: begin anew, by  "
                "webhook-receiver poll module:hooks --once --since 7d"
            ) from None


def _changed(order: Order) -> float:
    at = order.updated_at
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
