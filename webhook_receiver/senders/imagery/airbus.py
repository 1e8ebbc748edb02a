"""The provider Airbus, for OneAtlas Radar: the items of an order, grouped where several change at once."""

from __future__ import annotations

from functools import partial
from typing import Literal

from ...events import ImageryFailed, ImageryProgress, ImageryReady
from ...signatures.secrets import Secrets
from ..base import Sender
from ..page import Page
from ..preset import Preset
from ..split import Split
from .events import Places, ProviderEvent, Reading
from .schemes import USERNAME, basic_or_path
from .statuses import STATUSES


class AirbusItemReady(ProviderEvent, ImageryReady, frozen=True):
    """An item of an order is delivered."""

    event: Literal["airbus.item.ready"]


class AirbusItemFailed(ProviderEvent, ImageryFailed, frozen=True):
    """An item has failed, was not approved or is unavailable."""

    event: Literal["airbus.item.failed"]


class AirbusItemProgress(ProviderEvent, ImageryProgress, frozen=True):
    """An item has any other status."""

    event: Literal["airbus.item.progress"]


def airbus_radar(secret: Secrets, *, username: str | None = USERNAME, item_count: Places = ()) -> Sender:
    """Return the sender Airbus OneAtlas Radar. Each item is an event of its own.

    Args:
        secret: the password in the URL, or several while it is changed; without a user name, the last part of its path.
        username: the user name in the URL; None without one.
        item_count: the places of the number of items of the whole order, which Airbus does not tell, such as
            ("query:items",) for `?items=3` in the URL of an order's notifications.

    Raises:
        ConfigurationError: a secret, the user name or a place cannot work.
    """
    reading = Reading(
        event="airbus.item",
        statuses=STATUSES["airbus-radar"],
        status=("properties.status",),
        order_id=("properties.orderId", "collection.orderId", "properties.basketId", "collection.basketId"),
        item=("properties.orderItemId", "properties.itemId"),
        item_count=item_count,
        id=(
            ("properties.orderItemId", "properties.itemId"),
            ("properties.status",),
            ("properties.lastUpdateTime",),
        ),
        parts=Split("features.*", {"collection": "properties"}),
    )
    return reading.sender(
        "airbus-radar",
        basic_or_path(secret, username, id="idempotency-key"),
        (AirbusItemReady, AirbusItemFailed, AirbusItemProgress),
        delivery_id="Idempotency-Key",
        facts=(
            "Airbus's SAR-API OpenAPI 2.7.0, read in November 2026 in the copy of "
            "robert-malhotra/go-sar-vendor@31f1177: the document, "
            "the credentials in the URL, the header, and that no answer is looked at",
            "Whether the collection has properties of its own is not known, so those are read as well",
        ),
    )


PRESETS = (
    Preset(
        "airbus-radar",
        "Airbus OneAtlas Radar",
        airbus_radar,
        partial(basic_or_path),
        samples={
            "airbus.item.ready": {
                "type": "FeatureCollection",
                "features": [
                    {
                        "type": "Feature",
                        "properties": {
                            "orderId": "12345",
                            "orderItemId": "12345-1",
                            "itemId": "0c0f4a34-6d7a-4a86-9c7a-2d1f5d1f7b03",
                            "status": "completed",
                            "lastUpdateTime": "2026-01-01T00:00:00Z",
                        },
                    }
                ],
            }
        },
        sample_id="features.0.properties.orderItemId",
        page=Page(
            trade="images",
            docs="sar.api.oneatlas.airbus.com",
            setup=(
                "notifyEndpoint of a basket (POST /sar/baskets) or an order (PATCH /sar/orders/{id}), with the "
                f"credentials in it: https://{USERNAME}:SECRET@example.com/webhooks. null unsubscribes."
            ),
            answer="No answer is looked at, and after a 4xx or 5xx there is no further attempt.",
            backfill="List the items with their status and lastUpdateTime: what was missed never comes again.",
            traps=(
                "Items that change within a moment come in one call, in any order.",
                "No call says how many items an order has: ?items=3 in the URL of the order, and "
                'airbus_radar(secret, item_count=("query:items",)), tells it.',
                "The header Idempotency-Key is that of a call; an item is known by its id, status and lastUpdateTime. "
                "One without that time is known by the bytes of its call alone, so it may come twice.",
            ),
        ),
    ),
)
