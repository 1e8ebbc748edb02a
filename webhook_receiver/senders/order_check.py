"""Confirming a delivery whose body no signature covers: its order is read again before any handler runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeGuard

from ..delivery import Delivery
from ..errors import ApiError, GiveUp, Unconfirmed
from ..events import Event, OrderStatus, OrderStatusChanged
from ..options import Backoff
from .base import OrdersApi

NAME = "confirm the order"
"""Its progress is kept under this name, among those of the handlers."""

_PATIENCE = 30.0  # seconds for the API to answer


@dataclass(frozen=True, slots=True)
class OrderCheck:
    """Asks the sender's API whether an order is in the status that a delivery says.

    It is run as a handler is, before all others, until it is done: then the delivery is confirmed for good, and is
    not asked about again when a handler is retried. Its attempts are its own, and none of the handlers'.

    - The order is in that status: confirmed. Nothing but the order's id and status is; whatever else the body holds
      is still only what came with it.
    - It is in another terminal status: contradicted, so that trying again cannot help.
    - It is in another one, is unknown (404: it may not be known everywhere yet), or the API does not do what it is
      asked: not now. It is asked again by the worker's `Backoff`, and the delivery is dead when that ends.
    """

    api: OrdersApi
    name: str = NAME
    backoff: Backoff | None = None
    timeout: float | None = None

    def is_about(self, event: Event, delivery: Delivery) -> TypeGuard[OrderStatusChanged]:
        """Whether there is something to ask: an order's id, in a body that its signature does not cover."""
        return not delivery.body_verified and isinstance(event, OrderStatusChanged) and event.order_id is not None

    async def call(self, event: OrderStatusChanged) -> None:
        """Ask.

        Raises:
            GiveUp: the delivery is contradicted.
            Unconfirmed: not yet; ApiError, TimeoutError or whatever else the client raises: not now.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                order = await self.api.order(event.order_id or "")
        except ApiError as error:
            if error.status != 404:
                raise
            raise Unconfirmed("the sender's API knows no such order (404)") from None
        if order.status == event.status:
            return
        said, told = _named(order.status), _named(event.status)
        if order.is_terminal:
            raise GiveUp(f"the sender's API contradicts it: the order is {said}, not {told}")
        raise Unconfirmed(f"the order is {said} by the sender's API, not {told}")


def _named(status: str) -> str:
    """Return a status as it is named here; what a stranger made up is not repeated."""
    return str(status) if status in OrderStatus.__members__ else "in a status unknown here"
