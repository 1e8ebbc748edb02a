"""The provider Arlula: orders and campaigns, in documents that are not known."""

from __future__ import annotations

from functools import partial
from typing import Literal

from ...events import ImageryFailed, ImageryProgress, ImageryReady
from ...signatures.secrets import Secrets
from ..base import Sender
from ..page import Page
from ..preset import Preset
from .events import URL_PLACES, DocumentPlaces, ProviderEvent, Reading
from .schemes import EXAMPLE, secret_path
from .statuses import STATUSES


class ArlulaOrderComplete(ProviderEvent, ImageryReady, frozen=True):
    """An order, a campaign or a dataset is complete."""

    event: Literal["arlula.order.ready"]


class ArlulaOrderFailed(ProviderEvent, ImageryFailed, frozen=True):
    """An order, a campaign or a dataset was rejected, or has failed."""

    event: Literal["arlula.order.failed"]


class ArlulaOrderProgress(ProviderEvent, ImageryProgress, frozen=True):
    """An order, a campaign or a dataset has any other status."""

    event: Literal["arlula.order.progress"]


def arlula(secret: Secrets, *, places: DocumentPlaces = URL_PLACES) -> Sender:
    """Return the sender Arlula, whose documents are not known.

    Args:
        secret: the last part of the URL's path, or several while it is changed.
        places: the places of the order's id, its status and the rest.

    Raises:
        ConfigurationError: a secret or a place cannot work.
    """
    reading = Reading(event="arlula.order", statuses=STATUSES["arlula"], **vars(places))
    return reading.sender(
        "arlula",
        secret_path(secret),
        (ArlulaOrderComplete, ArlulaOrderFailed, ArlulaOrderProgress),
        facts=(
            "arlulacore 4.0.1 for Python and Arlula/nodejs-core-sdk@61fd2d0: webhooks, a list of URLs in an order",
            "The documents, their proof, the answer and the retries are not known",
        ),
    )


PRESETS = (
    Preset(
        "arlula",
        "Arlula",
        arlula,
        partial(secret_path),
        example=EXAMPLE,
        page=Page(
            trade="images",
            docs="arlula.com/documentation",
            setup=(
                "In the order, archive or tasking, webhooks: a list of URLs. The secret is the last part of the URL's "
                "path."
            ),
            answer="Which answers are taken for received is not known.",
            backfill="List /api/orders, /datasets and /campaigns: each has updatedAt.",
            traps=(
                "Its documents are not known: ?order=... in the URL of each order says which one it is, and "
                "arlula(places=...) takes the place of the status once you have seen one. Until then each call is an "
                "ImageryProgress without a status: ask the API.",
            ),
        ),
    ),
)
