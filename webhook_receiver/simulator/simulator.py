"""The sender itself: orders that change, and the deliveries that tell of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeVar

from ..errors import ApiError
from ..events import OrderStatus
from ..redaction import log_failure
from ..senders.up42.models import CANCELABLE, Asset, Order, Webhook
from ..senders.up42.orders_api import TERMINAL
from . import payloads
from .factories import NewOrders, assets_of
from .faults import FaultPlan, Sleep
from .options import SimulatorOptions
from .scheduler import Delivering, OnAttempt
from .store import KeptOrder, Outgoing, SendAttempt, State

USUAL_WAY = (
    OrderStatus.CREATED,
    OrderStatus.BEING_PLACED,
    OrderStatus.PLACED,
    OrderStatus.BEING_FULFILLED,
    OrderStatus.DOWNLOADED,
    OrderStatus.FULFILLED,
)
"""The statuses of an order that all goes well with (inferred from the order of the docs' table)."""

M = TypeVar("M")


def _ignored(outgoing: Outgoing, attempt: SendAttempt) -> None:
    """Stand for whoever wants to hear of attempts."""


class Simulator:
    """Plays UP42 for one account with one workspace; `sender_app` serves its API.

    Use it, as the app's lifespan does, in `async with`: then deliveries are made. From outside of that loop drive it
    by its control API.

    Args:
        options: how it behaves.
        state: a file to keep everything in; in memory if None. A walk of an order does not outlive the process.
        clock: returns the time in Unix seconds; for tests.
        sleep: waits so many seconds; for tests.
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
        on_attempt: OnAttempt = _ignored,
    ) -> None:
        self.options = options or SimulatorOptions()
        self.clock = clock
        self.state = State(state)
        self.delivering = Delivering(self.state, self.options, clock=clock, sleep=sleep, on_attempt=on_attempt)
        self._sleep = sleep
        self._walks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.delivering.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for walk in self._walks:
            walk.cancel()
        await asyncio.gather(*self._walks, return_exceptions=True)
        await self.delivering.__aexit__()

    def close(self) -> None:
        """Close the file of its state."""
        self.state.close()

    @property
    def now(self) -> datetime:
        """The time by its clock."""
        return datetime.fromtimestamp(self.clock(), UTC)

    @property
    def mischief(self) -> FaultPlan:
        """What is done to the deliveries that are made from now on; may be set."""
        return self.state.mischief

    @mischief.setter
    def mischief(self, mischief: FaultPlan) -> None:
        self.delivering.use(mischief)

    def webhook(self, webhook_id: str) -> Webhook:
        """Return a webhook.

        Raises:
            ApiError: there is none of this id.
        """
        return _found(self.state.webhooks.get(webhook_id), "webhook", webhook_id)

    def order(self, order_id: str) -> KeptOrder:
        """Return an order, and what its assets are to be.

        Raises:
            ApiError: there is none of this id.
        """
        return _found(self.state.orders.get(order_id), "order", order_id)

    def asset(self, asset_id: str) -> Asset:
        """Return an asset.

        Raises:
            ApiError: there is none of this id.
        """
        return _found(self.state.assets.get(asset_id), "asset", asset_id)

    def delivery(self, delivery_id: str) -> Outgoing:
        """Return a delivery with its attempts.

        Raises:
            ApiError: there is none of this id.
        """
        return _found(self.state.outgoing.get(delivery_id), "delivery", delivery_id)

    def replay(self, delivery_id: str) -> Outgoing:
        """Deliver the same body once more, as a delivery of its own.

        Raises:
            ApiError: there is no such delivery.
        """
        return self.delivering.replay(self.delivery(delivery_id))

    def create(self, wanted: NewOrders | None = None) -> list[Order]:
        """Create orders, one of the plainest if nothing else is wanted."""
        wanted = wanted or NewOrders()
        made = [*wanted.made(self.options, len(self.state.orders) + 1, self.now)]
        self.state.orders.put(*made)
        if wanted.status is OrderStatus.CREATED and not self.options.every_status:
            return [each.order for each in made]
        return [self._set(each, wanted.status) for each in made]

    def move(self, order_id: str, status: OrderStatus) -> Order:
        """Give an order another status, and tell of it.

        Raises:
            ApiError: there is no such order, or it is in a status that no order leaves.
        """
        kept = self.order(order_id)
        if kept.order.is_terminal:
            raise ApiError(f"the order is {kept.order.status}, and no order leaves that", status=409)
        return self._set(kept, status)

    def cancel(self, order_id: str) -> Order:
        """Cancel an order.

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
        """Move an order, in the background, through the statuses on its way; return those to come.

        Args:
            order_id: which one.
            to: where it ends.
            pace: seconds between two statuses.

        Raises:
            ApiError: there is no such order, it is in a status that no order leaves, or beyond where it is to end.
        """
        order = self.order(order_id).order
        if order.is_terminal:
            raise ApiError(f"the order is {order.status}, and no order leaves that", status=409)
        begin = USUAL_WAY.index(order.status) if order.status in USUAL_WAY else 0
        end = USUAL_WAY.index(to) if to in USUAL_WAY else USUAL_WAY.index(OrderStatus.DOWNLOADED)
        if to in USUAL_WAY[: begin + 1]:
            raise ApiError(f"the order is {order.status}, and {to} is not ahead of it", status=409)
        way = [*USUAL_WAY[begin + 1 : end], to]
        task = asyncio.create_task(self._walk(order, way, pace))
        self._walks.add(task)
        task.add_done_callback(self._walked)
        return way

    async def _walk(self, order: Order, way: Sequence[OrderStatus], pace: float) -> None:
        for status in way:
            await self._sleep(pace)
            if self.order(order.id).order.status is not order.status:
                return  # somebody else has moved it: it is on another way now
            order = self.move(order.id, status)

    def _walked(self, task: asyncio.Task[None]) -> None:
        self._walks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log_failure("a walk has ended early", error)

    def _set(self, kept: KeptOrder, status: OrderStatus) -> Order:
        order = kept.order.model_copy(update={"status": status, "updated_at": self.now})
        if status is OrderStatus.FULFILLED:
            self.state.assets.put(*assets_of(kept, self.now))
        self.state.orders.put(kept.model_copy(update={"order": order}))
        if self.options.every_status or status in TERMINAL:
            self.delivering.announce(payloads.document("order.status", status, order.id, now=self.clock()), order.id)
        return order


def _found(found: M | None, what: str, id: str) -> M:
    if found is None:
        raise ApiError(f"there is no {what} {id[:64]!r}", status=404)
    return found
