"""SkyFi's orders, as a source.

Read in SkyFi's OpenAPI 2.0.0+8113881: `GET /orders` (pages, `sort_columns`), `GET /orders/{order_id}` (`events`), the
header of the key, and the payload of a webhook. A listing has no time of the last change, so orders that are open are
asked for. That an order without a bucket ends with PROCESSING_COMPLETE is inferred. Limits of rates are not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from ...errors import ApiError
from .access import KeyAccess
from .api import Api, Connection, Query, part_of_path
from .api_source import ApiSource
from .entries import all_of, note
from .listings import ByStart, Item, Page, document_of, ends_with, item_of, items_of, member
from .times import moment_or_never

URL = "https://app.skyfi.com/platform-api"
_SIZE = 100
_ENDS = ends_with(
    "DELIVERY_COMPLETED", "DELIVERY_FAILED", "PAYMENT_FAILED", "PLATFORM_FAILED", "PROCESSING_FAILED", "PROVIDER_FAILED"
)


def skyfi_orders_source(api_key: str, *, url: str = URL) -> ApiSource:
    """Return the source that tells the events of SkyFi's orders, all that an order's history has.

    A document is the body of the webhook, `{"orderInfo", "event"}`. Its links to downloads redirect to signed ones,
    which end.

    Args:
        api_key: the API key.
        url: the address of the API.

    Raises:
        ConfigurationError: the key cannot be in a header, or the address is none of https.
    """
    access = KeyAccess(api_key, header="X-Skyfi-Api-Key", scheme="", name="api_key")
    listing = ByStart(read=_read, one=_one, tell=_tell, has_ended=_has_ended, newest_first=True)
    return ApiSource(name="skyfi-orders", api=Api(url=url, access=access), listing=listing)


async def _read(connection: Connection, begin: datetime, after: str | None) -> Page:
    number = int(after or 0)
    query: Query = {
        "sort_columns": "created_at",
        "sort_directions": "desc",
        "pageNumber": number,
        "pageSize": _SIZE,
    }
    page = await connection.get("/orders", query)
    items = all_of(_item, items_of(page, "orders"))
    total = member(page, "total")
    has_more = bool(items) and (not isinstance(total, int) or (number + 1) * _SIZE < total)
    return Page(items, str(number + 1) if has_more else None)


async def _one(connection: Connection, id: str) -> Item:
    return _item(await connection.get(f"/orders/{part_of_path(id)}"))


def _item(whole: object) -> Item:
    return item_of(whole, id="id", status="status", at="createdAt")


def _has_ended(item: Item) -> bool:
    has_bucket = item.whole.get("deliveryDriver") not in (None, "NONE")
    return _ENDS(item) or (item.status == "PROCESSING_COMPLETE" and not has_bucket)


async def _tell(connection: Connection, item: Item) -> Sequence[bytes]:
    if "events" not in item.whole:  # as in a listing
        try:
            item = await _one(connection, item.id)
        except ApiError as error:
            if error.status not in (404, 410):
                raise
    order = {name: value for name, value in item.whole.items() if name != "events"}
    found: object = item.whole.get("events")
    listed = cast("list[object]", found) if isinstance(found, list) else []
    events = [cast("dict[str, Any]", each) for each in listed if isinstance(each, dict)]
    if len(events) < len(listed):
        note(f"the order {item.id[:100]!r} has events that are no objects: they are not told")
    events.sort(key=lambda event: moment_or_never(event.get("timestamp")))
    if not events:  # so that its status is told
        events = [{"status": item.status, "timestamp": None, "message": None}]
    return [document_of({"orderInfo": {**order, "status": event.get("status")}, "event": event}) for event in events]
