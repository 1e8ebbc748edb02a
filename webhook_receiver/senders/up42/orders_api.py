"""What a receiver asks the sender's API: its orders. `WebhooksClient` answers it, and so may anything else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, runtime_checkable

from ...errors import ConfigurationError
from ...events import OrderStatus
from .models import Order


@runtime_checkable
class OrdersApi(Protocol):
    """The orders as the sender knows them. Both methods may raise ApiError."""

    def orders(
        self, *, status: Sequence[OrderStatus] | None = None, workspace_id: str | None = None, sort: str | None = None
    ) -> AsyncIterator[Order]:
        """Yield the orders that are in one of these statuses, page by page; each page is asked for when it is due.

        Args:
            status: any of these; all if None.
            workspace_id: only of this workspace; of all that the user sees if None.
            sort: such as "updatedAt,desc".
        """
        ...

    async def order(self, id: str, /) -> Order:
        """Return one order; ApiError has the status 404 where there is none."""
        ...


def checked_api(api: OrdersApi, what: str) -> OrdersApi:
    """Return `api` if it can be asked for orders; `what` is the argument that it was given as.

    Raises:
        ConfigurationError: it cannot.
    """
    if isinstance(api, type) or not isinstance(api, OrdersApi):
        given = f"the class {api.__name__}" if isinstance(api, type) else type(api).__name__
        raise ConfigurationError(f"{what} takes a client of the sender's API, such as WebhooksClient, not {given}")
    return api
