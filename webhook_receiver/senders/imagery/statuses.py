"""The table of all providers' statuses: for each of their words the event that it becomes.

A word that is not in it, or is new tomorrow, is progress. Upper and lower case count as equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class Outcome(StrEnum):
    """What a status means. The name of a provider's event ends in it, such as "skyfi.order.ready"."""

    READY = "ready"
    """`ImageryReady`."""
    PARTLY_READY = "partly-ready"
    """`ImageryPartlyReady`."""
    FAILED = "failed"
    """`ImageryFailed`."""
    PROGRESS = "progress"
    """`ImageryProgress`."""


@dataclass(frozen=True, kw_only=True)
class Statuses:
    """The statuses of one kind of thing at a provider: the words for each outcome, with ", " between them."""

    ready: str = ""
    partly_ready: str = ""
    failed: str = ""
    progress: str = ""
    """The other words that are known."""
    source: str
    """Where the words are from, and which of them nobody has confirmed."""

    def outcome(self, word: str) -> Outcome:
        """Return what a word means: progress if it is not known."""
        return self._outcomes.get(word.lower(), Outcome.PROGRESS)

    def words(self) -> Iterator[tuple[str, Outcome]]:
        """Yield the words that are known, as the provider spells them, and what each means."""
        for outcome in Outcome:
            text: str = getattr(self, outcome.name.lower())
            yield from ((word, outcome) for word in text.split(", ") if word)

    @cached_property
    def _outcomes(self) -> Mapping[str, Outcome]:
        return {word.lower(): outcome for word, outcome in self.words()}


STATUSES: Mapping[str, Statuses] = {
    "up42": Statuses(
        ready="FULFILLED",
        failed="FAILED_PERMANENTLY",
        progress=(
            "CREATED, BEING_PLACED, PLACEMENT_FAILED, PLACED, BEING_FULFILLED, DELIVERY_INITIALIZATION_FAILED, "
            "DOWNLOAD_FAILED, DOWNLOADED, CANCELED, FAILED"
        ),
        source="UP42's SDK for Python; these are classes of webhook_receiver.events",
    ),
    "geopera": Statuses(
        ready="order.fulfilled",
        source="docs.geopera.com, guides/webhooks, and geopera 2.1.0 for Python; the word for a failure is not known",
    ),
    "planet-orders": Statuses(
        ready="success",
        partly_ready="partial",
        failed="failed",
        progress="queued, running, cancelled",
        source="planet 3.7.0 for Python: states of orders. Of an item's delivery only success is documented",
    ),
    "planet-subscriptions": Statuses(
        ready="delivery.success, status.completed, status.backfill.completed",
        failed="delivery.failed, status.failed",
        progress="delivery.match, status.cancelled, status.pending, status.suspended, status.all",
        source="planet 3.7.0 for Python and docs.planet.com: the topics; the payload is not known",
    ),
    "planet-subscriptions-polled": Statuses(
        ready="completed, success",
        failed="failed, invalid",
        progress="preparing, pending, running, suspended, cancelled, created, queued, processing",
        source=(
            "planet 3.7.0 for Python: the statuses of subscriptions, and of their results; that invalid is final is "
            "inferred"
        ),
    ),
    "planet-tasking": Statuses(
        ready="FULFILLED",
        failed="FAILED, EXPIRED, REJECTED",
        progress="RECEIVED, PENDING, IN_PROGRESS, CANCELLED, REQUESTED, FINALIZING, PENDING_CANCELLATION",
        source="code of third parties, not confirmed",
    ),
    "airbus-radar": Statuses(
        ready="completed",
        failed="failed, approvalRejected, unavailable",
        progress=(
            "feasible, availableInArchive, submitted, waitingForAcquisitionApproval, accepted, planned, acquisition, "
            "transition, downlink, waitingForOrbit, processing, waitingForDeliveryApproval, delivery, cancelled"
        ),
        source="Airbus's SAR-API OpenAPI 2.7.0; that approvalRejected and unavailable are final is inferred",
    ),
    "airbus-oneatlas": Statuses(
        ready="SUCCEEDED",
        failed="FAILED",
        progress="QUEUED, RUNNING, ON_HOLD, CANCELED, WAITING_CANCEL, ARCHIVED",
        source="a third party's copy of the OpenAPI of OneAtlas Notify",
    ),
    "copernicus": Statuses(
        ready="created",
        progress="modified, deleted",
        source="eu-cdse/documentation, APIs/Subscriptions.qmd",
    ),
    "copernicus-production": Statuses(
        ready="completed",
        failed="failed",
        progress="queued, in progress",
        source="documentation.dataspace.copernicus.eu, on-demand production",
    ),
    "skyfi": Statuses(
        ready="DELIVERY_COMPLETED",
        failed="PAYMENT_FAILED, PLATFORM_FAILED, PROVIDER_FAILED, PROCESSING_FAILED, DELIVERY_FAILED",
        progress=(
            "CREATED, STARTED, PROVIDER_PENDING, PROVIDER_COMPLETE, PROCESSING_PENDING, PROCESSING_COMPLETE, "
            "DELIVERY_PENDING, INTERNAL_IMAGE_PROCESSING_PENDING"
        ),
        source="SkyFi's OpenAPI 2.0.0+8113881; that PROCESSING_COMPLETE is the end without a bucket is inferred",
    ),
    "maxar": Statuses(
        ready="SUCCESS, FULFILLED",
        partly_ready="PARTIALLY-FULFILLED",
        failed="FAIL, ERROR, DENIED",
        progress=(
            "RECEIVED, IN_PROGRESS, CANCELED, FINAL, INITIAL, ACCEPTED, AWAITING-COLLECTION, IN-PRODUCTION, "
            "PARTIAL-DELIVERY"
        ),
        source="developers.maxar.com: notifications of ordering and of tasking v2; the payload is not known",
    ),
    "iceye": Statuses(
        ready="DONE, closed",
        partly_ready="FULFILLED",
        failed="REJECTED, FAILED",
        progress="RECEIVED, ACTIVE, CANCELED",
        source="docs.iceye.com: FULFILLED is that of the contracted products, DONE of all; closed is a third party's",
    ),
    "arlula": Statuses(
        ready="complete",
        failed="rejected, failed",
        progress=(
            "created, pending, processing, post-processing, manual, pending-screen, pending-approval, rescheduled, "
            "cancelled"
        ),
        source="arlulacore 4.0.1 for Python: states in the API; the payload of a webhook is not known",
    ),
    "ogc-processes": Statuses(
        ready="successful",
        failed="failed",
        progress="accepted, running, dismissed",
        source="OGC API Processes, statusInfo.yaml",
    ),
    "nasa-cmr": Statuses(
        ready="New, New Notification",
        progress="Update, Update Notification, Delete, Delete Notification",
        source="nasa/Common-Metadata-Repository@543a30f, subscription: the modes, and the subjects made of them",
    ),
    "capella": Statuses(
        ready="completed",
        failed="rejected, expired, failed, error, anomaly",
        progress="received, review, submitted, active, accepted, canceled",
        source="capella-console-client for Python; that anomaly is final is inferred",
    ),
    "umbra": Statuses(
        ready="DELIVERED, COMPLETED",
        failed="REJECTED, EXPIRED, ERROR, ANOMALY, INCOMPLETE",
        progress="RECEIVED, SCHEDULED, TASKED, TRANSMITTED, PROCESSED, DELIVERING, CANCELED",
        source="code of third parties, not confirmed; that INCOMPLETE is final is inferred",
    ),
    "sentinel-hub": Statuses(
        ready="DONE",
        failed="FAILED",
        progress="CREATED, ANALYSING, ANALYSIS_DONE, PROCESSING, STOPPED",
        source="sentinelhub for Python: batch requests",
    ),
    "hyp3": Statuses(
        ready="SUCCEEDED",
        failed="FAILED",
        progress="PENDING, RUNNING",
        source="hyp3-sdk for Python",
    ),
    "harmony": Statuses(
        ready="successful",
        partly_ready="complete_with_errors",
        failed="failed",
        progress="accepted, running, running_with_errors, paused, previewing, canceled",
        source="harmony-py for Python",
    ),
    "stapi": Statuses(
        ready="completed",
        failed="rejected, expired, failed",
        progress=("received, accepted, scheduled, held, processing, reserved, tasked, cancelled, user_cancelled"),
        source="the specification of STAPI",
    ),
    "openeo": Statuses(
        ready="finished",
        failed="error",
        progress="created, queued, running, canceled",
        source="the OpenAPI of openEO 1.x: batch jobs",
    ),
    "eodms": Statuses(
        ready="AVAILABLE_FOR_DOWNLOAD",
        failed="FAILED, EXPIRED, CANCELLED",
        progress="DELIVERED, MEDIA_ORDER_SUBMITTED, AWAITING_PAYMENT",
        source="py-eodms-rapi for Python",
    ),
    "earth-engine": Statuses(
        ready="COMPLETED",
        failed="FAILED",
        progress="UNSUBMITTED, READY, RUNNING, CANCEL_REQUESTED, CANCELLED",
        source="earthengine-api for Python",
    ),
}
"""The statuses by provider, or by provider and kind of thing where it has several."""
