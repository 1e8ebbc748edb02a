"""UP42's events: those of orders are the core's own, and here is how UP42 writes them; those of jobs are its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel

from ...events import Event, OrderFailedPermanently, OrderFulfilled, OrderStatus, OrderStatusChanged

ORDER_ID_PATHS = ("body.orderId", "body.id", "body.order.id")
"""Where an order's id is looked for. UP42 publishes no payload: these are candidates, in order."""

STATUSES: Mapping[str, OrderStatus] = MappingProxyType(
    {status.value.replace("_", " "): status for status in OrderStatus if "_" in status.value}
)
"""The statuses that UP42 spells with spaces in its webhook examples, and with underscores in its API."""


class JobBody(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """The body of `job.status`."""

    status: str


class JobStatusChanged(Event, frozen=True):
    """`job.status`: a job of UP42's older workflow product has another status."""

    event: Literal["job.status"]
    body: JobBody

    @property
    def status(self) -> str:
        """The job's new status, as it was sent."""
        return self.body.status


EVENTS: tuple[type[Event], ...] = (OrderStatusChanged, OrderFulfilled, OrderFailedPermanently, JobStatusChanged)
"""All events that UP42 is known to send."""
