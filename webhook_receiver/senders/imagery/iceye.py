"""The provider ICEYE: tasks, purchases and deliveries, in documents that are not known."""

from __future__ import annotations

from functools import partial
from typing import Literal

from ...events import ImageryFailed, ImageryPartlyReady, ImageryProgress, ImageryReady
from ...signatures.secrets import Secrets
from ..base import Sender
from ..page import Page
from ..preset import Preset
from .events import URL_PLACES, DocumentPlaces, ProviderEvent, Reading
from .schemes import EXAMPLE, secret_path
from .statuses import STATUSES


class IceyeTaskDone(ProviderEvent, ImageryReady, frozen=True):
    """All products of a task are available, or a purchase is closed."""

    event: Literal["iceye.task.ready"]


class IceyeTaskFulfilled(ProviderEvent, ImageryPartlyReady, frozen=True):
    """The contracted products of a task are available, and others may follow."""

    event: Literal["iceye.task.partly-ready"]


class IceyeTaskFailed(ProviderEvent, ImageryFailed, frozen=True):
    """A task was rejected, or has failed."""

    event: Literal["iceye.task.failed"]


class IceyeTaskProgress(ProviderEvent, ImageryProgress, frozen=True):
    """A task has any other status."""

    event: Literal["iceye.task.progress"]


def iceye(secret: Secrets, *, places: DocumentPlaces = URL_PLACES) -> Sender:
    """Return the sender ICEYE, whose documents are not known.

    Args:
        secret: the last part of the URL's path, or several while it is changed.
        places: the places of the task's id, its status and the rest.

    Raises:
        ConfigurationError: a secret or a place cannot work.
    """
    reading = Reading(event="iceye.task", statuses=STATUSES["iceye"], **vars(places))
    return reading.sender(
        "iceye",
        secret_path(secret),
        (IceyeTaskDone, IceyeTaskFulfilled, IceyeTaskFailed, IceyeTaskProgress),
        facts=(
            "docs.iceye.com, constellation/api/notifications and the changelog of 2025-06-03, read in November 2026: "
            "how a webhook is registered, and that ICEYE can get a token of yours",
            "The documents, the answer and the retries are not known",
        ),
    )


PRESETS = (
    Preset(
        "iceye",
        "ICEYE",
        iceye,
        partial(secret_path),
        example=EXAMPLE,
        page=Page(
            trade="images",
            docs="docs.iceye.com/constellation/api/notifications",
            setup=(
                "POST /notifications/v1/webhooks with the URL gives an id, which a task has as "
                "notifications.webhook.id. The secret is the last part of the URL's path."
            ),
            answer="Which answers are taken for received is not known.",
            backfill="List the tasks by createdAfter, and GET /delivery/v1/deliveries.",
            traps=(
                "ICEYE can get a token by OAuth2 from an issuer of yours and send it: then "
                "replace(iceye(secret), scheme=BearerJWT(JWKS(...), algorithm=..., issuer=..., audience=...)).",
                "Its documents are not known: ?order=...&status=... in the URL says what a call is about, or "
                "iceye(places=...) once you have seen one. Otherwise each is an ImageryProgress without a status.",
            ),
        ),
    ),
)
