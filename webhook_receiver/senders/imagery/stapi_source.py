"""The orders of a provider with a STAPI (Satellite Tasking API), as a source. STAPI has no webhooks.

Read in stapi-spec/stapi-spec at 9b459e1 (orders, statuses, pages) and in stapi-pydantic 0.1.0 (the form of an order).
STAPI says nothing of how a listing is sorted, or of how one proves who asks: the header is settable.
"""

from __future__ import annotations

from datetime import datetime

from .access import Access
from .api import Api, Connection, Query, part_of_path
from .api_source import ApiSource
from .entries import all_of
from .listings import ByStart, Item, Page, ends_with, item_of, items_of, next_link

_ENDS = ends_with("completed", "rejected", "expired", "failed", "cancelled", "user_cancelled")


def stapi_orders_source(access: Access, *, url: str, name: str = "stapi-orders") -> ApiSource:
    """Return the source that tells the orders of a STAPI whose status changed.

    A document is the order as the API has it, a GeoJSON feature.

    Args:
        access: what proves to this provider who is asking, such as `KeyAccess("token")`.
        url: the address of the API, its landing page.
        name: the source's name, for a receiver with several of them.

    Raises:
        ConfigurationError: the address is none of https.
    """
    listing = ByStart(read=_read, one=_one, has_ended=_ENDS, newest_first=False)
    return ApiSource(name=name, api=Api(url=url, access=access), listing=listing)


async def _read(connection: Connection, begin: datetime, after: str | None) -> Page:
    query: Query = {"limit": 100}
    page = await (connection.get(after) if after else connection.get("/orders", query))
    return Page(all_of(_item, items_of(page, "features")), next_link(connection, page))


async def _one(connection: Connection, id: str) -> Item:
    return _item(await connection.get(f"/orders/{part_of_path(id)}"))


def _item(whole: object) -> Item:
    # The time of the last status, which a job that was created long ago may have just now: all pages are read anyway.
    return item_of(whole, id="id", status="properties.status.status_code", at="properties.status.timestamp")
