"""The provider SkyWatch: the pipelines of EarthCache, in documents that are not known."""

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
from .statuses import Statuses


class SkyWatchReady(ProviderEvent, ImageryReady, frozen=True):
    """A pipeline has a status that you say is ready."""

    event: Literal["skywatch.pipeline.ready"]


class SkyWatchFailed(ProviderEvent, ImageryFailed, frozen=True):
    """A pipeline has a status that you say is a failure."""

    event: Literal["skywatch.pipeline.failed"]


class SkyWatchProgress(ProviderEvent, ImageryProgress, frozen=True):
    """Any news of a pipeline."""

    event: Literal["skywatch.pipeline.progress"]


NOT_KNOWN = Statuses(source="no status is known")
"""The statuses: none is known, so all are progress."""


def skywatch(secret: Secrets, *, places: DocumentPlaces = URL_PLACES, statuses: Statuses = NOT_KNOWN) -> Sender:
    """Return the sender SkyWatch EarthCache, whose documents and statuses are not known.

    Args:
        secret: the last part of the URL's path, or several while it is changed.
        places: the places of the pipeline's id, its status and the rest.
        statuses: the statuses that are ready or failed, once you have seen them.

    Raises:
        ConfigurationError: a secret or a place cannot work.
    """
    reading = Reading(event="skywatch.pipeline", statuses=statuses, **vars(places))
    return reading.sender(
        "skywatch",
        secret_path(secret),
        (SkyWatchReady, SkyWatchFailed, SkyWatchProgress),
        facts=(
            "api-evangelist/skywatch@34a66c7, of a third party: how a subscription is made, and its sample",
            "The documents, the statuses, their proof, the answer and the retries are not known",
        ),
    )


PRESETS = (
    Preset(
        "skywatch",
        "SkyWatch EarthCache",
        skywatch,
        partial(secret_path),
        example=EXAMPLE,
        page=Page(
            trade="images",
            docs="docs.skywatch.com",
            setup=(
                "POST /earthcache/subscriptions with callback_uri. The secret is the last part of the URL's path. POST "
                "/subscriptions/{id}/sample sends a sample."
            ),
            answer="Which answers are taken for received is not known.",
            backfill="GET /callbacks lists the calls of three months; the results of pipelines tell the rest.",
            traps=(
                "Neither its documents nor its statuses are known: each call is an ImageryProgress. Have a sample "
                "sent, look at document, and say skywatch(places=..., statuses=...).",
            ),
        ),
    ),
)
