"""How the orders of UP42's API become deliveries: which have ended lately, and how a notification about one looks."""

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
"""The statuses that no order leaves again (docs; that it is so for good is inferred)."""

_NEWEST_FIRST = "updatedAt,desc"
_LOOKS = 20


async def changed_since(api: OrdersApi, begin: float, workspace_id: str | None = None) -> AsyncGenerator[Order]:
    """Yield the orders in a terminal status that changed at `begin`, a Unix time, or later; each status of one once.

    An order that changes while we page moves to the front of the list, and pushes others back: those may be met
    twice, and it may be missed, as it leaves a page that was not read for one that was. So we look again, from the
    front down to what was the newest when the last look began, until a look finds the same one at the front: nothing
    has moved since then.
    """
    told: set[tuple[str, str]] = set()
    for _ in range(_LOOKS):
        newest: float | None = None
        orders = api.orders(status=sorted(TERMINAL), workspace_id=workspace_id, sort=_NEWEST_FIRST)
        try:
            async for order in orders:
                changed = _unix(order.updated_at)
                newest = changed if newest is None else newest
                if changed < begin:
                    break
                if (order.id, order.status) not in told:
                    told.add((order.id, order.status))
                    yield order
        finally:
            if isinstance(orders, AsyncGenerator):
                await cast("AsyncGenerator[Order]", orders).aclose()
        if newest is None or newest <= begin:
            return
        begin = newest
    logger.warning("the orders change faster than they can be read: some may be missing until the next backfill")


def _unix(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()  # the API speaks UTC


def body_of(order: Order, order_id_path: Path) -> bytes:
    """Return an order in the form of a notification. Modelled, as all of UP42's payload but `event` and `body.status`.

    Args:
        order: what it is about; the whole of it is in `body.order`.
        order_id_path: where its id is looked for.
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
"""How UP42 is asked for orders."""
