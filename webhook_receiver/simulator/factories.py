"""New orders and their assets, with every field that the SDK reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import ConfigDict, Field

from ..events import OrderStatus
from ..senders.up42.models import Asset, Order, Resource, SpeltStatus
from .options import SimulatorOptions
from .store import StoredOrder

_AREA = {"type": "Polygon", "coordinates": [[[13.37, 52.51], [13.38, 52.51], [13.38, 52.52], [13.37, 52.51]]]}


class NewOrders(Resource):
    """A request to create orders, all alike."""

    model_config = ConfigDict(extra="forbid")

    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    status: SpeltStatus = OrderStatus.CREATED
    """Their first status; one that is notified of is delivered at once, for all of them: a burst."""
    display_name: Annotated[str, Field(max_length=256)] = ""
    """The display name of each; "order 7" and the like if empty."""
    type: Literal["ARCHIVE", "TASKING"] = "ARCHIVE"
    tags: tuple[str, ...] | None = None
    sub_status: str | None = None
    """The sub-status of tasking orders."""
    assets: Annotated[int, Field(ge=0, le=1000)] = 1
    """The number of assets of each order once it is fulfilled."""
    asset_size: Annotated[int, Field(ge=0, le=1 << 40)] = 1 << 20
    """The size of each asset, in bytes."""

    def made(self, options: SimulatorOptions, first: int, now: datetime) -> Iterator[StoredOrder]:
        """Yield the new orders, all CREATED, numbered from `first`."""
        for number in range(first, first + self.count):
            order = Order(
                id=str(uuid4()),
                display_name=self.display_name or f"order {number}",
                status=OrderStatus.CREATED,
                workspace_id=options.workspace_id,
                account_id=options.account_id,
                type=self.type,
                tags=self.tags,
                order_details=self._details(now),
                created_at=now,
                updated_at=now,
            )
            yield StoredOrder(order=order, assets=self.assets, asset_size=self.asset_size)

    def _details(self, now: datetime) -> dict[str, Any]:
        if self.type == "ARCHIVE":
            return {"aoi": _AREA, "imageId": None}
        day = now.isoformat()
        return {"acquisitionStart": day, "acquisitionEnd": day, "geometry": _AREA, "subStatus": self.sub_status}


def assets_of(kept: StoredOrder, now: datetime) -> list[Asset]:
    """Return the assets of a fulfilled order."""
    order = kept.order
    return [
        Asset(
            id=str(uuid4()),
            order_id=order.id,
            name=f"{order.display_name} {number}.bin",
            size=kept.asset_size,
            content_type="application/octet-stream",
            workspace_id=order.workspace_id,
            account_id=order.account_id,
            created_at=now,
            updated_at=now,
        )
        for number in range(1, kept.assets + 1)
    ]
