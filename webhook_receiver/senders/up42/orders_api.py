"""The functions by which orders of UP42's API become deliveries: the search for orders that ended, and their body."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, cast

from ...errors import ConfigurationError
from ...events import OrderStatus, Path
from ..base import Order, Orders, OrdersApi

logger = logging.getLogger("webhook_receiver")

TERMINAL = frozenset({OrderStatus.FULFILLED, OrderStatus.FAILED_PERMANENTLY, OrderStatus.CANCELED})
"""The final statuses, by UP42's documentation; that no order leaves them again is inferred."""

_NEWEST_FIRST = "updatedAt,desc"
_MAX_PASSES = 20  # over the front of the list


async def changed_since(api: OrdersApi, begin: float, workspace_id: str | None = None) -> AsyncGenerator[Order]:
    """Yield the orders in a terminal status that changed at `begin` or later, each status of an order once.

    The list is sorted by the time of change, the newest first. An order that changes while the pages are read moves to
    the front, from a page that is not read yet to one that was, and would be missed; the others move back, and may be
    met twice. So the front of the list is read again, down to the newest order of the last pass, until a pass begins
    with that same order: nothing has moved since.

    Args:
        api: the client of UP42's API.
        begin: the earliest time of change, in Unix seconds.
        workspace_id: the workspace of the orders; all that the client's user may read if None.

    Raises:
        ApiError: the API failed.
    """
    yielded: set[tuple[str, str]] = set()
    for _ in range(_MAX_PASSES):
        newest: float | None = None
        orders = api.orders(status=sorted(TERMINAL), workspace_id=workspace_id, sort=_NEWEST_FIRST)
        try:
            async for order in orders:
                changed = _unix(order.updated_at)
                newest = changed if newest is None else newest
                if changed < begin:
                    break
                if (order.id, order.status) not in yielded:
                    yielded.add((order.id, order.status))
                    yield order
        finally:
            if isinstance(orders, AsyncGenerator):
                await cast("AsyncGenerator[Order]", orders).aclose()
        if newest is None or newest <= begin:
            return
        begin = newest
    logger.warning("the orders change faster than they can be read: some may be missing until the next backfill")


def _unix(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()  # the API's times are in UTC


def body_of(order: Order, order_id_path: Path) -> bytes:
    """Return the body of a notification about an order, as bytes of JSON.

    UP42 publishes no payload: its examples show `event` and `body.status`, and the rest is this package's own form.

    Args:
        order: the order; its whole JSON object is in `body.order`.
        order_id_path: the place of the order's id.

    Raises:
        ConfigurationError: the place leads through a value that is no object.
    """
    whole = order.as_json()
    body = {"status": whole["status"], "updatedAt": whole["updatedAt"], "order": whole}
    document: dict[str, Any] = {"event": "order.status", "body": body}
    *way, last = map(str, order_id_path)
    place = document
    for key in way:
        below: object = place.setdefault(key, {})
        if not isinstance(below, dict):
            raise ConfigurationError(f"order_id_paths leads through {key}, which is no object in a backfilled order")
        place = cast("dict[str, Any]", below)
    place.setdefault(last, order.id)
    return json.dumps(document, separators=(",", ":")).encode()


ORDERS = Orders(changed_since, body_of)
"""The functions by which orders of UP42's API become deliveries."""
