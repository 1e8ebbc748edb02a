"""The events of UP42: those of orders are in `webhook_receiver.events`, with UP42's spellings here; and job events."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, product, zip_longest
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel

from ...events import Event, OrderFailedPermanently, OrderFulfilled, OrderStatus, OrderStatusChanged

ORDER_ID_PATHS = ("body.orderId", "body.id", "body.order.id")
"""The places of an order's id. UP42 publishes no payload, so these are candidates; the first that has one counts."""

STATUSES: Mapping[str, OrderStatus] = MappingProxyType(
    {
        spelling: status
        for status in OrderStatus
        for marks in product("_ ", repeat=status.value.count("_"))
        if (spelling := "".join(chain(*zip_longest(status.value.split("_"), marks, fillvalue="")))) != status.value
    }
)
"""The statuses in the spelling of UP42's webhook examples, with spaces. UP42's API has underscores."""


class JobBody(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """The body of `job.status`."""

    status: str


class JobStatusChanged(Event, frozen=True):
    """`job.status`: a job of UP42's older workflow product has another status."""

    event: Literal["job.status"]
    body: JobBody

    @property
    def status(self) -> str:
        """The job's new status, as sent."""
        return self.body.status


EVENTS: tuple[type[Event], ...] = (OrderStatusChanged, OrderFulfilled, OrderFailedPermanently, JobStatusChanged)
"""All events that UP42 is known to send."""
