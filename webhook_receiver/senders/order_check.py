"""The order check: where no signature covers a body, its order is read from the sender's API before a handler runs."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, TypeGuard

from ..delivery import EDIT, Delivery
from ..errors import ApiError, ConfigurationError, GiveUp, Unconfirmed
from ..events import Event, OrderStatus, OrderStatusChanged
from ..options import Backoff, Limits
from .base import OrdersApi, Sender, checked_api

NAME = "confirm the order"
"""The name of the order check among the handlers of a stored delivery."""

_API_TIMEOUT = 30.0  # seconds for the API to respond


class OrderCheck(NamedTuple):
    """A check that an order is in the status that a delivery states, by the sender's API.

    The check runs like a handler, before the handlers, until it succeeds. Then the delivery is confirmed for good: the
    retry of a handler does not repeat the check. Its attempts are counted apart from those of the handlers.

    - The order is in that status: the delivery is confirmed. That holds for the order's id and status; the rest of the
      body is still unproved.
    - The order is in another terminal status: the delivery is contradicted, and dead at once.
    - The order is in another status, the API does not know it (404, since an API may lag behind), or the API fails: the
      check is tried again, with the worker's `Backoff`, and the delivery is dead when the attempts are used up.
    """

    api: OrdersApi
    """The client of the sender's API."""
    name: str = NAME
    backoff: Backoff | None = None
    timeout: float | None = None
    limits: Limits | None = None

    def is_about(self, event: Event, delivery: Delivery) -> TypeGuard[OrderStatusChanged]:
        """Return whether the check applies: to an event with an order's id, in a body that no signature covers.

        What somebody has edited is not checked: the API would contradict it, and whoever may edit it answers for it.
        """
        is_unproven = not delivery.body_verified and delivery.via != EDIT
        return is_unproven and isinstance(event, OrderStatusChanged) and event.order_id is not None

    async def call(self, event: OrderStatusChanged) -> None:
        """Read the order, and compare its status with that of the event; return if they are equal.

        Raises:
            GiveUp: the order is in another terminal status.
            Unconfirmed: the order is in another status that is not terminal, or the API does not know it.
            ApiError: the API failed. Other errors of the client are raised unchanged.
            TimeoutError: the API has not responded within 30 seconds.
        """
        try:
            async with asyncio.timeout(_API_TIMEOUT):
                order = await self.api.order(event.order_id or "")
        except ApiError as error:
            if error.status != 404:
                raise
            raise Unconfirmed("the sender's API knows no such order (404)") from None
        if order.status == event.status:
            return
        actual, stated = _known_or_hidden(order.status), _known_or_hidden(event.status)
        if order.is_terminal:
            raise GiveUp(f"the sender's API contradicts it: the order is {actual}, not {stated}")
        raise Unconfirmed(f"the order is {actual} by the sender's API, not {stated}")


def _known_or_hidden(status: str) -> str:
    """Return a known status, or a text in place of one that a stranger may have made up."""
    return str(status) if status in OrderStatus.__members__ else "in a status unknown here"


def order_check_of(sender: Sender, confirm: OrdersApi) -> OrderCheck:
    """Return the order check by a client of the sender's API; reject one that has nothing to read."""
    if sender.orders is None:
        raise ConfigurationError(f"confirm=... needs a sender with orders=...; {sender.name} has none")
    return OrderCheck(checked_api(confirm, "confirm=..."))
