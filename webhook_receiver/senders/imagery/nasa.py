"""The provider NASA: the notifications of the Common Metadata Repository (CMR) about granules."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from ...delivery import Headers
from ...events import ImageryProgress, ImageryReady
from ...json_repair import parsed
from ...responses import ResponseStatuses
from ...signatures.secrets import Secrets
from ..base import Sender
from ..page import Page
from ..preset import Preset
from .events import ProviderEvent, Reading
from .schemes import EXAMPLE, secret_path
from .statuses import STATUSES


class GranuleNew(ProviderEvent, ImageryReady, frozen=True):
    """A granule is new. Its name is the one of the items; `document` has the message as an object in Message."""

    event: Literal["nasa.granule.ready"]


class GranuleChanged(ProviderEvent, ImageryProgress, frozen=True):
    """A granule was updated or deleted, as `status` says."""

    event: Literal["nasa.granule.progress"]


class _Records(Reading):
    """The reading of a record of SNS, whose Message is a text of JSON."""

    def read(self, document: Any, headers: Headers) -> dict[str, Any]:
        message: object = parsed(str(document.get("Message", "")).encode())
        return super().read({**document, "Message": message} if isinstance(message, dict) else document, headers)


def nasa_cmr(secret: Secrets) -> Sender:
    """Return the sender NASA CMR.

    Args:
        secret: the last part of the URL's path, or several while it is changed.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    reading = _Records(
        event="nasa.granule",
        statuses=STATUSES["nasa-cmr"],
        status=("MessageAttributes.mode.Value", "Subject"),
        item=("Message.granule-ur", "Message.concept-id"),
        id=(("MessageId",),),
    )
    return reading.sender(
        "nasa-cmr",
        secret_path(secret),
        (GranuleNew, GranuleChanged),
        responses=ResponseStatuses(stored=200, duplicate=200),
        facts=(
            "nasa/Common-Metadata-Repository@543a30f, subscription/notify-lambda and ingest-app: the record, its "
            "modes, and that 200 alone is a success",
            "Its documentation offers SQS alone, so whether a URL may be subscribed is not known",
            "The members of a record are those of SNS for AWS Lambda",
        ),
    )


PRESETS = (
    Preset(
        "nasa-cmr",
        "NASA CMR",
        nasa_cmr,
        partial(secret_path),
        example=EXAMPLE,
        samples={
            "nasa.granule.ready": {
                "Type": "Notification",
                "MessageId": "3c5a9f3e-4c6c-4f0e-9d5b-7b0f3f1a8d06",
                "Subject": "New Notification",
                "Message": '{"concept-id": "G1-PROV", "granule-ur": "made-up", "location": "https://cmr.example.gov"}',
                "Timestamp": "2026-01-01T00:00:00.000Z",
                "MessageAttributes": {"mode": {"Type": "String", "Value": "New"}},
            }
        },
        sample_id="MessageId",
        page=Page(
            trade="images",
            docs="cmr.earthdata.nasa.gov/ingest/site/docs/ingest/api.html",
            setup=(
                "POST /ingest/subscriptions/{native-id} with Type granule, CollectionConceptId, EndPoint, Mode and "
                "Method ingest. The secret is the last part of the URL's path."
            ),
            answer="200 alone; anything else is logged, and not sent again.",
            backfill="Search granules by revision date.",
            traps=(
                "Its code delivers to a URL, its documentation speaks of SQS alone.",
                "The body is a record of SNS without the headers of SNS, and its signature is not looked at.",
            ),
        ),
    ),
)
