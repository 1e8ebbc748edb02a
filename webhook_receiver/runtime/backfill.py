"""The backfill of a receiver: the orders that ended, by its sender's API, become deliveries, once for each call."""

from __future__ import annotations

import logging

from ..delivery import Delivery, new_id
from ..errors import ConfigurationError
from ..events import OrderStatusChanged, parsed_paths
from ..inbox.records import Stored
from ..senders import Order, OrdersApi
from ..senders.backfill import Backfill, ProgressCallback, checked_orders, store_orders
from ..worker.executor import no_event
from . import Runtime

logger = logging.getLogger("webhook_receiver")


async def backfill(
    runtime: Runtime, api: OrdersApi, workspace_id: str | None, begin: float, progress: ProgressCallback | None = None
) -> Backfill:
    """Store deliveries about the orders that ended and of which the inbox does not know yet.

    Args:
        runtime: the runtime of the receiver.
        api: a client of the sender's API.
        workspace_id: the workspace of the orders; all that the client's user may read if None.
        begin: the earliest time of an order's last change, in Unix seconds.
        progress: a function that is called after each order with the counts so far.

    Raises:
        ConfigurationError: the receiver has no inbox, or its sender no orders.
        ApiError: the API failed. Deliveries that were stored until then stay, as with any other error.
        InboxError: the inbox failed.
    """
    _ = runtime.inbox
    sender = runtime.sender
    orders = checked_orders(sender)
    await runtime.open()  # by a command, it may be, which leaves the handlers to the process that serves
    (place, *_) = parsed_paths(sender.order_id_paths)

    async def store(order: Order) -> bool | None:
        try:
            body = orders.notification(order, place)
            event = runtime.dispatcher.parse(body)
            same = isinstance(event, OrderStatusChanged) and event.order_id == order.id
            if not same or sender.identity(event) is None:
                raise ConfigurationError("its event has another order id (see order_id_paths), or no identity")
        except ConfigurationError as error:
            logger.error("%s: an order cannot be backfilled: %s", runtime.name, error)
            return None
        except Exception as error:  # in a user's class, or a validator of it
            logger.error("%s: an order cannot be backfilled: %s", runtime.name, no_event(error))
            return None
        # The order was read from the sender's API, so an order check has nothing to confirm.
        delivery = Delivery(new_id(), runtime.name, (), body, runtime.clock(), None, True, "backfill")
        return isinstance(await runtime.put(runtime.entries.build(delivery, [event])), Stored)

    return await store_orders(orders.changed_since(api, begin, workspace_id), store, progress)
