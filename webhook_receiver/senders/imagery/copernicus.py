"""The provider Copernicus Data Space: products that are new in its catalogue, changed or deleted."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from ...delivery import Headers
from ...events import ImageryProgress, ImageryReady
from ...signatures.secrets import Secrets
from ..base import Sender
from ..event_names import place_of
from ..page import Page
from ..preset import Preset
from ..split import Split
from .events import ProviderEvent, Reading, id_of
from .schemes import USERNAME, basic_or_path
from .statuses import STATUSES


class CopernicusProductCreated(ProviderEvent, ImageryReady, frozen=True):
    """A product is new in the catalogue. Its id is the one of the items."""

    event: Literal["copernicus.product.ready"]


class CopernicusProductChanged(ProviderEvent, ImageryProgress, frozen=True):
    """A product was modified or deleted, as `status` says."""

    event: Literal["copernicus.product.progress"]


class _Products(Reading):
    """The reading of notifications. Several subscriptions, by push or by pull, tell the same of a product."""

    def read(self, document: Any, headers: Headers) -> dict[str, Any]:
        found = super().read(document, headers)
        told = found["body"]
        dates = () if told["status"].casefold() == "created" else (_changed(document, headers),)
        told["id"] = id_of([*told["items"][:1], told["status"].casefold() or None, *dates]) if told["items"] else None
        return found


def _changed(document: Any, headers: Headers) -> str | None:
    return next((found for place in _CHANGES if (found := place.value(document, headers)) is not None), None)


# The time of the change is the same in all subscriptions; that of the notification is not.
_CHANGES = [*map(place_of, ("value.ModificationDate", "value.DeletionDate", "NotificationDate"))]


def copernicus(secret: Secrets, *, username: str | None = USERNAME) -> Sender:
    """Return the sender Copernicus Data Space, for its push subscriptions. One call may have several notifications.

    Args:
        secret: the password of the subscription, or several while it is changed; without a user name, the last part of
            the URL's path.
        username: the user name of the subscription; None without one.

    Raises:
        ConfigurationError: a secret or the user name cannot work.
    """
    reading = _Products(
        event="copernicus.product",
        statuses=STATUSES["copernicus"],
        status=("SubscriptionEvent",),
        item=("ProductId",),
        parts=Split("*"),
    )
    return reading.sender(
        "copernicus",
        basic_or_path(secret, username),
        (CopernicusProductCreated, CopernicusProductChanged),
        facts=(
            "eu-cdse/documentation@f65bac2, APIs/Subscriptions.qmd: the document, its arrays, the user name and the "
            "password, and three retries",
            "That the user name and the password come as Basic is told by a third party",
            "Which answers are taken for received is not known",
        ),
    )


PRESETS = (
    Preset(
        "copernicus",
        "Copernicus Data Space",
        copernicus,
        partial(basic_or_path),
        samples={
            "copernicus.product.ready": {
                "SubscriptionEvent": "created",
                "SubscriptionId": "991c4730-cf6f-432a-9f6c-47be0230ff45",
                "ProductId": "d2ff986b-9454-43d6-95e0-1a0ae27019d7",
                "ProductName": "S1A_IW_SLC__1SDV_20260101T054626_20260101T054653_052959_066921_3759.SAFE",
                "NotificationDate": "2026-01-01T00:00:00.000Z",
                "value": {"S3Path": "/eodata/Sentinel-1/SAR/IW_SLC__1S/2026/01/01/made-up.SAFE"},
            }
        },
        sample_id="ProductId",
        page=Page(
            trade="images",
            docs="documentation.dataspace.copernicus.eu/APIs/Subscriptions.html",
            setup=(
                "POST /odata/v1/Subscriptions with NotificationEndpoint, "
                f"NotificationEpUsername {USERNAME}, a NotificationEpPassword of your own, FilterParam and "
                "SubscriptionEvent."
            ),
            answer="It is sent again three times, and then given up.",
            backfill=(
                "A pull subscription is a queue to be acknowledged; or read the catalogue by PublicationDate and "
                "ModificationDate."
            ),
            traps=(
                "One subscription runs per user: one URL gets everything, and FilterParam decides what that is.",
                "Some notifications come in an array, and some alone.",
                "A product has no order: order_id is None, and items has its ProductId.",
            ),
        ),
    ),
)
