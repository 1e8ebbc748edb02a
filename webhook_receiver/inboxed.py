"""What the owner of a receiver asks its inbox and tells it, beside the deliveries that come in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from .delivery import Delivery, Headers, new_id
from .errors import ConfigurationError
from .event_registry import named
from .events import ORDER_ID_PATHS, Event, OrderStatusChanged
from .inbox.base import Inbox
from .inbox.records import Stored
from .routing import Function, Router
from .runtime import Health, Runtime
from .senders.backfill import SLACK, Backfill, ProgressCallback, backfill, body_of, changed_since, keep_on, moment, span
from .senders.up42.models import Order
from .senders.up42.orders_api import OrdersApi, checked_api
from .worker.executor import no_event

logger = logging.getLogger("webhook_receiver")

DAY = 86_400.0  # seconds


class InboxedRouter(Router):
    """A router with an inbox, or without: all of a receiver but how deliveries come in."""

    name: str
    _clock: Callable[[], float]
    _keeper: Runtime | None
    _event_header: bytes | None

    @property
    def inbox(self) -> Inbox:
        """The inbox, to list, replay or purge what is in it; open while the receiver is.

        Raises:
            ConfigurationError: it has none.
        """
        return self._kept_by().inbox

    def parse(self, body: bytes, headers: Headers = ()) -> Event:
        """Return the event that a body is; the headers are needed where one of them is the `event_header`.

        Raises:
            NotAnEvent: it is none.
        """
        return self._catalog.parse(body if self._event_header is None else named(body, headers, self._event_header))

    def set_to_work(self, concurrency: int | None = None) -> None:
        """Run the handlers in this process whatever `work` says: for one that does nothing else.

        Args:
            concurrency: how many deliveries are handled at once; as `worker` says if left out.

        Raises:
            ConfigurationError: there is no inbox, or the number cannot work.
        """
        self._kept_by().set_to_work(concurrency)

    async def pause(self, handler: str | Function) -> None:
        """Run a handler no more, in any process on this inbox, until it is resumed; what it has to do waits.

        Args:
            handler: the function, or its name.

        Raises:
            ConfigurationError: there is no such handler, or no inbox.
            InboxError: the inbox cannot keep it.
        """
        await self._kept_by().pause(self.name_of(handler))

    async def resume(self, handler: str | Function) -> bool:
        """Let a handler run again, with all that waited for it; False if it was not paused. See `pause`."""
        return await self._kept_by().resume(self.name_of(handler))

    async def health(self) -> Health:
        """Return how it is. Without an inbox it is well as long as it answers."""
        return Health(ok=True, state="working") if self._keeper is None else await self._keeper.health()

    async def backfill(
        self,
        client: OrdersApi,
        *,
        since: datetime | timedelta | float,
        workspace_id: str | None = None,
        progress: ProgressCallback | None = None,
    ) -> Backfill:
        """Put into the inbox what the sender's API tells of orders and the inbox does not have yet.

        Such are orders that were fulfilled, failed or cancelled while nobody listened. Each becomes a delivery of the
        origin "backfill" with the body of an `order.status`, unless a delivery about the same order and status is
        kept, whatever became of it; also of two that are put at the same moment, by whichever processes, one is kept.
        A cancelled order, of which it is not known whether the sender notifies, goes to the handlers of
        `OrderStatusChanged`, else to the fallback. A receiver that is not started keeps what is put for who is.

        Args:
            client: the sender's API.
            since: how far back, as a time, a timedelta or seconds; not beyond the inbox's retention, after which it
                does not know what it had. Five minutes more are looked at, since clocks differ.
            workspace_id: only the orders of this workspace, which the webhook is of; all that the client's user sees
                if None.
            progress: called after each order with what was reached.

        Raises:
            ConfigurationError: there is no inbox, or an argument cannot work.
            ApiError: the API failed. What was put until then stays, as with any other error.
            InboxError: the inbox failed.
        """
        begin = moment(since, self._clock()) - SLACK
        return await self._backfill(checked_api(client, "backfill(...)"), workspace_id, begin, progress)

    def backfill_every(
        self,
        interval: timedelta | float,
        client: OrdersApi,
        *,
        since: timedelta | float = DAY,
        workspace_id: str | None = None,
        at_start: bool = True,
    ) -> None:
        """Backfill for as long as the receiver runs; whatever fails is logged and tried again at the next interval.

        Any number of processes may do so on one inbox. Each run looks back `since` beyond the begin of the last one
        that ended well, so nothing falls between, however long the API is down.

        Args:
            interval: how long to wait after each, as a timedelta or seconds; a tenth more or less, at random.
            client: the sender's API.
            since: how far back the first one looks: longer than the receiver is ever down.
            workspace_id: only the orders of this workspace, as with `backfill`.
            at_start: whether the first one is at once, not after an interval.

        Raises:
            ConfigurationError: there is no inbox, or an argument cannot work.
        """
        api = checked_api(client, "backfill_every(...)")
        seconds, back = span(interval, "interval"), span(since, "since") + SLACK
        run = partial(self._backfill, api, workspace_id)
        self._kept_by().chores.add(
            lambda: keep_on(run, self.name, interval=seconds, since=back, at_start=at_start, clock=self._clock)
        )

    async def _backfill(
        self, api: OrdersApi, workspace_id: str | None, begin: float, progress: ProgressCallback | None = None
    ) -> Backfill:
        keeper = self._kept_by()
        path = (self._catalog.order_id_paths or ORDER_ID_PATHS)[0]

        async def keep(order: Order) -> bool | None:
            try:
                body = body_of(order, path)
                event = self._event_about(order, body)
            except ConfigurationError as error:
                logger.error("%s: an order cannot be backfilled: %s", self.name, error)
                return None
            except Exception as error:  # of a class of the user's, or of a validator in it
                logger.error("%s: an order cannot be backfilled: %s", self.name, no_event(error))
                return None
            # What it says was read from the sender itself, so there is nothing left to confirm.
            delivery = Delivery(new_id(), self.name, (), body, self._clock(), None, True, "backfill")
            return isinstance(await keeper.put(delivery, event), Stored)

        return await backfill(changed_since(api, begin, workspace_id), keep, progress)

    def _event_about(self, order: Order, body: bytes) -> Event:
        event = self.parse(body)
        if not isinstance(event, OrderStatusChanged) or event.order_id != order.id or event.identity is None:
            raise ConfigurationError("its event has another order id (see order_id_paths), or no identity")
        return event

    def _kept_by(self) -> Runtime:
        if self._keeper is None:
            raise ConfigurationError(f'{self.name} has no inbox: inbox="sqlite:///hooks.db" gives it one')
        return self._keeper
