"""The provider SkyFi: orders, and new images in its archive. It signs nothing, and wants to be answered 200 in 2 s."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, cast

from ...events import ImageryFailed, ImageryProgress, ImageryReady
from ...responses import ResponseStatuses
from ...signatures.secrets import Secrets
from ..base import Sender
from ..page import Page
from ..preset import Preset
from .events import ProviderEvent, Reading
from .schemes import EXAMPLE, secret_path
from .statuses import STATUSES, Outcome, Statuses

_RESPONSES = ResponseStatuses(stored=200, duplicate=200)
_OPENAPI = "SkyFi's OpenAPI 2.0.0+8113881, read in November 2026 in the copy of ianzepp-gauntlet/skyfi-mcp@263624c"
_PATH = "The secret is the last part of the URL's path."


class SkyFiOrderReady(ProviderEvent, ImageryReady, frozen=True):
    """An order is delivered; of one without a bucket, its processing is complete."""

    event: Literal["skyfi.order.ready"]


class SkyFiOrderFailed(ProviderEvent, ImageryFailed, frozen=True):
    """A payment, the provider of the image, the processing or the delivery has failed."""

    event: Literal["skyfi.order.failed"]


class SkyFiOrderProgress(ProviderEvent, ImageryProgress, frozen=True):
    """An order has any other status."""

    event: Literal["skyfi.order.progress"]


class SkyFiArchiveImage(ProviderEvent, ImageryReady, frozen=True):
    """A new image in the archive fits one of your notifications: it can be ordered. Its id is the one of the items."""

    event: Literal["skyfi.archive.ready"]


class _Orders(Reading):
    """The reading of orders. An order without a bucket is not delivered, so its end is that of its processing; a
    document that does not say whether there is a bucket tells no end."""

    def outcome(self, status: str, document: Any) -> Outcome:
        info: object = document.get("orderInfo")
        told = cast("dict[str, object]", info) if isinstance(info, dict) else {}
        if status.upper() == "PROCESSING_COMPLETE" and told.get("deliveryDriver", "") in (None, "NONE"):
            return Outcome.READY
        return super().outcome(status, document)


def skyfi(secret: Secrets) -> Sender:
    """Return the sender SkyFi, for the statuses of orders.

    Args:
        secret: the last part of the URL's path, or several while it is changed.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    reading = _Orders(
        event="skyfi.order",
        statuses=STATUSES["skyfi"],
        status=("event.status", "orderInfo.status"),
        order_id=("orderInfo.id", "order_info.id", "orderInfo.orderId", "order_info.order_id"),
        item=("orderInfo.itemId", "order_info.item_id"),
        id=(("orderInfo.id", "order_info.id"), ("event.status",), ("event.timestamp",)),
    )
    return reading.sender(
        "skyfi",
        secret_path(secret),
        (SkyFiOrderReady, SkyFiOrderFailed, SkyFiOrderProgress),
        responses=_RESPONSES,
        order_items="whole",
        facts=(
            f"{_OPENAPI}: the document, the statuses, the deadline, the answer and the retries",
            "Its prose calls orderInfo order_info, so both are read",
            "That PROCESSING_COMPLETE is the end of an order without a bucket (deliveryDriver) is inferred",
        ),
    )


def skyfi_archive(secret: Secrets) -> Sender:
    """Return the sender SkyFi, for new images in its archive.

    Args:
        secret: the last part of the URL's path, or several while it is changed.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    reading = Reading(
        event="skyfi.archive",
        statuses=Statuses(ready="new", source=_OPENAPI),
        status=("text:new",),
        item=("archiveId",),
        id=(("archiveId",), ("query:notification",)),
    )
    return reading.sender(
        "skyfi-archive",
        secret_path(secret),
        (SkyFiArchiveImage,),
        responses=_RESPONSES,
        facts=(
            f"{_OPENAPI}: the document, the deadline, the answer and the retries",
            "No member tells which notification an image fits, so the URL may say it",
        ),
    )


PRESETS = (
    Preset(
        "skyfi",
        "SkyFi",
        skyfi,
        partial(secret_path),
        example=EXAMPLE,
        samples={
            "skyfi.order.ready": {
                "orderInfo": {
                    "id": "8d2f3a90-5c1e-4a77-9b0f-3f5f1f0c2a01",
                    "orderType": "ARCHIVE",
                    "status": "DELIVERY_COMPLETED",
                },
                "event": {"status": "DELIVERY_COMPLETED", "timestamp": "2026-01-01T00:00:00Z", "message": None},
            }
        },
        sample_id="orderInfo.id",
        page=Page(
            trade="images",
            docs="app.skyfi.com/platform-api/docs",
            setup=f"In the order (POST /order-archive or /order-tasking), webhookUrl. {_PATH}",
            answer="Exactly 200 within 2 seconds; else it is sent again, up to three times.",
            backfill="GET /orders, the latest first, and GET /orders/{id} for the history of one.",
            traps=(
                "Two seconds leave no time for a handler: give the receiver an inbox.",
                "Code of third parties verifies a header X-SkyFi-Signature: its OpenAPI has none, and no secret.",
                "An order without a bucket is ready at PROCESSING_COMPLETE, and downloaded from the API: one whose "
                "deliveryDriver is null or NONE. A document without that member tells no end.",
            ),
        ),
    ),
    Preset(
        "skyfi-archive",
        "SkyFi archive",
        skyfi_archive,
        partial(secret_path),
        example=EXAMPLE,
        samples={
            "skyfi.archive.ready": {
                "archiveId": "5e1b7c1a-0f5d-4b59-8f2c-6f2f3c9d1b02",
                "provider": "SIWEI",
                "constellation": "SUPERVIEW",
                "productType": "DAY",
                "captureTimestamp": "2026-01-01T00:00:00+00:00",
                "footprint": "POLYGON ((0 0, 0 1, 1 1, 1 0, 0 0))",
            }
        },
        sample_id="archiveId",
        page=Page(
            trade="images",
            docs="app.skyfi.com/platform-api/docs",
            setup=f"POST /notifications with aoi, webhookUrl and filters. {_PATH}",
            answer="Exactly 200 within 2 seconds; else it is sent again, up to three times.",
            backfill="GET /notifications/{id} has the history of one.",
            traps=(
                "An ImageryReady of the archive is an image that can be ordered: it is not yours yet.",
                "No member tells which notification an image fits: put ?notification=... into the URL of each.",
            ),
        ),
    ),
)
