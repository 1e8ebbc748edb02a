"""The simulator itself: orders, their statuses, and the deliveries that notify of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import ApiError
from ..events import OrderStatus
from ..senders.up42.models import CANCELABLE, Asset, Order, Webhook
from ..senders.up42.orders_api import TERMINAL
from . import payloads
from .base import BaseSimulator, ignored, known
from .factories import NewOrders, assets_of
from .faults import Sleep
from .options import SimulatorOptions
from .scheduler import OnAttempt
from .store import StoredOrder

USUAL_WAY = (
    OrderStatus.CREATED,
    OrderStatus.BEING_PLACED,
    OrderStatus.PLACED,
    OrderStatus.BEING_FULFILLED,
    OrderStatus.DOWNLOADED,
    OrderStatus.FULFILLED,
)
"""The statuses of an order that all goes well with (inferred from the order of the docs' table)."""


class Simulator(BaseSimulator):
    """A simulation of UP42 for one account with one workspace; `simulator_app` serves its API.

    Deliveries are made within `async with`, which the app's lifespan enters. From outside of its event loop drive the
    simulator by its control API.

    Args:
        options: the simulator's options.
        state: the file that holds everything; memory if None. A walk of an order does not outlive the process.
        clock: returns the time in Unix seconds; for tests.
        sleep: waits for a number of seconds; for tests.
        on_attempt: called after each attempt of a delivery.

    Raises:
        ConfigurationError: the file cannot be used.
    """

    def __init__(
        self,
        options: SimulatorOptions | None = None,
        *,
        state: Path | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        on_attempt: OnAttempt = ignored,
    ) -> None:
        super().__init__(options or SimulatorOptions(), state=state, clock=clock, sleep=sleep, on_attempt=on_attempt)

    def webhook(self, webhook_id: str) -> Webhook:
        """Return a webhook.

        Raises:
            ApiError: there is no webhook of this id.
        """
        return known(self.store.webhooks.get(webhook_id), "webhook", webhook_id)

    def order(self, order_id: str) -> StoredOrder:
        """Return an order with the number and size of its assets.

        Raises:
            ApiError: there is no order of this id.
        """
        return known(self.store.orders.get(order_id), "order", order_id)

    def asset(self, asset_id: str) -> Asset:
        """Return an asset.

        Raises:
            ApiError: there is no asset of this id.
        """
        return known(self.store.assets.get(asset_id), "asset", asset_id)

    def create(self, wanted: NewOrders | None = None) -> list[Order]:
        """Create orders, by default a single CREATED one; return them."""
        wanted = wanted or NewOrders()
        made = [*wanted.made(self.options, len(self.store.orders) + 1, self.now)]
        self.store.orders.put(*made)
        if wanted.status is OrderStatus.CREATED and not self.options.every_status:
            return [each.order for each in made]
        return [self._set(each, wanted.status) for each in made]

    def move(self, order_id: str, status: OrderStatus) -> Order:
        """Set an order's status, notify of it, and return the order.

        Raises:
            ApiError: there is no such order, or its status is final.
        """
        kept = self.order(order_id)
        if kept.order.is_terminal:
            raise ApiError(f"the order is {kept.order.status}, and no order leaves that", status=409)
        return self._set(kept, status)

    def cancel(self, order_id: str) -> Order:
        """Cancel an order, notify of it, and return the order.

        Raises:
            ApiError: there is no such order, or it can no longer be cancelled.
        """
        kept = self.order(order_id)
        if kept.order.status not in CANCELABLE:
            allowed = " or ".join(sorted(CANCELABLE))
            raise ApiError(f"an order can be cancelled while {allowed}; this one is {kept.order.status}", status=400)
        return self._set(kept, OrderStatus.CANCELED)

    def walk(
        self, order_id: str, to: OrderStatus = OrderStatus.FULFILLED, *, pace: float = 1.0
    ) -> Sequence[OrderStatus]:
        """Move an order in the background through the usual statuses up to a last one; return the statuses to come.

        Args:
            order_id: the order's id.
            to: the last status.
            pace: seconds between two statuses.

        Raises:
            ApiError: there is no such order, its status is final, or `to` is not ahead of it.
        """
        order = self.order(order_id).order
        if order.is_terminal:
            raise ApiError(f"the order is {order.status}, and no order leaves that", status=409)
        begin = USUAL_WAY.index(order.status) if order.status in USUAL_WAY else 0
        end = USUAL_WAY.index(to) if to in USUAL_WAY else USUAL_WAY.index(OrderStatus.DOWNLOADED)
        if to in USUAL_WAY[: begin + 1]:
            raise ApiError(f"the order is {order.status}, and {to} is not ahead of it", status=409)
        way = [*USUAL_WAY[begin + 1 : end], to]
        self._walk_on(self._walk(order, way, pace))
        return way

    async def _walk(self, order: Order, way: Sequence[OrderStatus], pace: float) -> None:
        for status in way:
            await self._sleep(pace)
            if self.order(order.id).order.status is not order.status:
                return  # the order was moved from elsewhere: this walk is over
            order = self.move(order.id, status)

    def _set(self, kept: StoredOrder, status: OrderStatus) -> Order:
        order = kept.order.model_copy(update={"status": status, "updated_at": self.now})
        if status is OrderStatus.FULFILLED:
            self.store.assets.put(*assets_of(kept, self.now))
        self.store.orders.put(kept.model_copy(update={"order": order}))
        if self.options.every_status or status in TERMINAL:
            self.scheduler.announce(payloads.document("order.status", status, order.id, now=self.clock()), order.id)
        return order
