"""Servers of OGC API: the callbacks of processes, which say nothing but their URL, and Pub/Sub of pygeoapi."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any, Literal

from ...delivery import Headers
from ...events import ImageryFailed, ImageryProgress, ImageryReady
from ...json_repair import parsed
from ...signatures.secrets import Secrets
from ...signatures.shared_secret import BasicAuth
from ..base import Sender
from ..cloudevents import cloudevents
from ..page import Page
from ..preset import Preset
from .events import ProviderEvent, Reading
from .schemes import EXAMPLE, USERNAME, secret_path
from .statuses import STATUSES, Outcome


class JobSucceeded(ProviderEvent, ImageryReady, frozen=True):
    """A job has ended well. `document` has its results; `order_id` is what the URL says."""

    event: Literal["ogc.job.ready"]


class JobFailed(ProviderEvent, ImageryFailed, frozen=True):
    """A job has failed."""

    event: Literal["ogc.job.failed"]


class JobProgress(ProviderEvent, ImageryProgress, frozen=True):
    """A job has begun, or has any other status."""

    event: Literal["ogc.job.progress"]


class _Jobs(Reading):
    """The reading of callbacks. Most are `{}`, so what they are about is the URL's alone."""

    def read(self, document: Any, headers: Headers) -> dict[str, Any]:
        found = super().read(document, headers)
        told = found["body"]
        if told["order_id"] is not None:
            id = [told["order_id"], told["status"]]
            if self.statuses.outcome(told["status"]) is Outcome.PROGRESS:  # which may come more than once
                id.append(sha256(json.dumps(document).encode()).hexdigest())
            told["id"] = json.dumps(id)
        return found


def ogc_processes(secret: Secrets) -> Sender:
    """Return the sender OGC API - Processes: the callbacks of pygeoapi, ZOO-Project and others.

    The URL says which job it is and what happened to it, in its last three parts: /webhooks/JOB/STATUS/SECRET.

    Args:
        secret: the last part of the URL's path, or several while it is changed.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    reading = _Jobs(
        event="ogc.job",
        statuses=STATUSES["ogc-processes"],
        status=("path:-2",),
        order_id=("path:-3",),
        reads_all=True,
    )
    return reading.sender(
        "ogc-processes",
        secret_path(secret),
        (JobSucceeded, JobFailed, JobProgress),
        facts=(
            "opengeospatial/ogcapi-processes@4a4a1dc, subscriber.yaml: the three URLs",
            "pygeoapi 0.24.0, process/manager/base.py, and its server: a success has the results, all others have {}; "
            "no answer code is looked at, and there is one attempt",
            "ZOO-Project/ZOO-Project@afc0403, service_callback.c: progress has a status document",
        ),
    )


def unquoted(body: bytes) -> bytes:
    """Return the JSON document in a body that is a text of JSON, as pygeoapi sends it; any other body unchanged."""
    text: object = parsed(body)
    return text.encode(errors="surrogatepass") if isinstance(text, str) and text.lstrip()[:1] in ("{", "[") else body


def pygeoapi_pubsub(secret: Secrets, *, username: str = USERNAME) -> Sender:
    """Return the sender pygeoapi, for its Pub/Sub over HTTP: CloudEvents, each as a JSON text.

    Args:
        secret: the password in the broker's URL, or several while it is changed.
        username: the user name in the broker's URL.

    Raises:
        ConfigurationError: a secret or the user name cannot work.
    """
    return replace(
        cloudevents(BasicAuth(secret, username=username), name="pygeoapi-pubsub"),
        decode=unquoted,
        facts=(
            "pygeoapi 0.24.0, pubsub/http.py, api/pubsub.py, and its server: a JSON text with a CloudEvent, and Basic",
            "CloudEvents 1.0.2",
        ),
    )


PRESETS = (
    Preset(
        "ogc-processes",
        "OGC API Processes",
        ogc_processes,
        partial(secret_path),
        example=EXAMPLE,
        page=Page(
            trade="images",
            docs="docs.ogc.org/is/18-062r2/18-062r2.html",
            setup=(
                "In the execute request, subscriber: successUri https://example.com/webhooks/JOB/successful/SECRET, "
                "inProgressUri .../JOB/running/SECRET and failedUri .../JOB/failed/SECRET, with a name of your own as "
                "JOB: the server's id is not known before. The route is /webhooks/{job}/{status}/{token}."
            ),
            answer="pygeoapi and ZOO-Project look at no answer, and call once.",
            backfill="GET /jobs/{jobID} tells the status of one job.",
            verified=("pygeoapi 0.24.0 (Python)", "2026-11-29"),
            traps=(
                "The body says neither the job nor what happened: {} or the results. order_id is JOB of the URL.",
                "pygeoapi takes a finished job for failed if an answer from successUri does not arrive, and calls "
                "failedUri, too: of two calls about a job the last one counts.",
                "It does not execute a job if an answer from inProgressUri does not arrive: the job stays accepted.",
                "Results that are no JSON, such as an image, make a job fail that has a subscriber.",
                "pygeoapi waits for answers without a limit, and refuses a URL of a private network unless the "
                "configuration of the process has allow_internal_requests.",
                "A callback of ZOO-Project that was overtaken by the end is dropped.",
            ),
        ),
    ),
    Preset(
        "pygeoapi-pubsub",
        "pygeoapi Pub/Sub",
        pygeoapi_pubsub,
        partial(BasicAuth, username=USERNAME),
        samples={
            "org.ogc.api.collection.item.create": {
                "specversion": "1.0",
                "type": "org.ogc.api.collection.item.create",
                "source": "https://pygeoapi.example.com",
                "subject": "collections/scenes",
                "id": "0f9d6a52-2f1e-4c0b-8b39-7a1d6a0c7e05",
                "time": "2026-01-01T00:00:00Z",
                "datacontenttype": "application/geo+json",
                "data": {"type": "Feature", "id": "scene-1", "geometry": None, "properties": {}},
            }
        },
        page=Page(
            trade="images",
            docs="docs.pygeoapi.io/en/latest/pubsub.html",
            setup=(
                "The operator sets pubsub.broker.url in the server's configuration, with the credentials in it: "
                f"https://{USERNAME}:SECRET@example.com/webhooks. A further part of the path names the collection or "
                "process, such as collections-scenes, so the route is /webhooks/{channel}."
            ),
            answer=(
                "Nothing is sent again. After a 4xx or 5xx, or without an answer, whoever changed the item is told "
                "500, although it is changed; a job is not affected."
            ),
            verified=("pygeoapi 0.24.0 (Python)", "2026-11-29"),
            traps=(
                "The body is a JSON text that holds a CloudEvent.",
                "org.ogc.api.job.result has what was answered to the execution: of an asynchronous job that it was "
                "accepted, and never its end; of another one its results or its error, without its id.",
                "Results that are no text are not published.",
                "The event of a new item has the item as it was sent: without an id, if the server gave it one.",
                "Its events are named by type, and no words for all providers are made of them.",
            ),
        ),
    ),
)
