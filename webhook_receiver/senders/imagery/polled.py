"""Senders of providers that do not push: each takes what its source tells, and lets nobody in."""

from __future__ import annotations

from typing import Any, Literal

from ...events import ImageryEvent, ImageryFailed, ImageryPartlyReady, ImageryProgress, ImageryReady
from ...signatures.no_pushes import NoPushes
from ..base import Sender
from .events import ProviderEvent, Reading
from .iceye import IceyeTaskDone, IceyeTaskFailed, IceyeTaskFulfilled, IceyeTaskProgress
from .planet import PlanetSubscriptionFailed, PlanetSubscriptionProgress, PlanetSubscriptionReady
from .statuses import STATUSES


class CapellaTaskCompleted(ProviderEvent, ImageryReady, frozen=True):
    """A tasking request is completed."""

    event: Literal["capella.task.ready"]


class CapellaTaskFailed(ProviderEvent, ImageryFailed, frozen=True):
    """A tasking request was rejected, has expired or has failed."""

    event: Literal["capella.task.failed"]


class CapellaTaskProgress(ProviderEvent, ImageryProgress, frozen=True):
    """A tasking request has any other status."""

    event: Literal["capella.task.progress"]


class CopernicusProductionCompleted(ProviderEvent, ImageryReady, frozen=True):
    """A production order is completed."""

    event: Literal["copernicus.production.ready"]


class CopernicusProductionFailed(ProviderEvent, ImageryFailed, frozen=True):
    """A production order has failed; `StatusMessage` says why."""

    event: Literal["copernicus.production.failed"]


class CopernicusProductionProgress(ProviderEvent, ImageryProgress, frozen=True):
    """A production order has any other status."""

    event: Literal["copernicus.production.progress"]


class HarmonyJobSuccessful(ProviderEvent, ImageryReady, frozen=True):
    """A job is successful; the results are there until `expires_at`."""

    event: Literal["harmony.job.ready"]


class HarmonyJobCompleteWithErrors(ProviderEvent, ImageryPartlyReady, frozen=True):
    """A job has ended, and some of its results are missing."""

    event: Literal["harmony.job.partly-ready"]


class HarmonyJobFailed(ProviderEvent, ImageryFailed, frozen=True):
    """A job has failed."""

    event: Literal["harmony.job.failed"]


class HarmonyJobProgress(ProviderEvent, ImageryProgress, frozen=True):
    """A job has any other status."""

    event: Literal["harmony.job.progress"]


class HyP3JobSucceeded(ProviderEvent, ImageryReady, frozen=True):
    """A job has succeeded; its files are there until `expires_at`."""

    event: Literal["hyp3.job.ready"]


class HyP3JobFailed(ProviderEvent, ImageryFailed, frozen=True):
    """A job has failed."""

    event: Literal["hyp3.job.failed"]


class HyP3JobProgress(ProviderEvent, ImageryProgress, frozen=True):
    """A job has any other status."""

    event: Literal["hyp3.job.progress"]


class _OpenEOJob(ProviderEvent, frozen=True):
    """A batch job, which may be started again: then it has the same statuses at other times."""

    @property
    def identity(self) -> tuple[str, ...] | None:
        """The job, its status, and when it was last updated, if the back-end says so."""
        known = super().identity
        return None if known is None else (*known, str(self.document.get("updated") or ""))


class OpenEOJobFinished(_OpenEOJob, ImageryReady, frozen=True):
    """A batch job has finished; `results` in the document has its links, until `expires_at`."""

    event: Literal["openeo.job.ready"]


class OpenEOJobFailed(_OpenEOJob, ImageryFailed, frozen=True):
    """A batch job has stopped with an error."""

    event: Literal["openeo.job.failed"]


class OpenEOJobProgress(_OpenEOJob, ImageryProgress, frozen=True):
    """A batch job has any other status."""

    event: Literal["openeo.job.progress"]


class PlanetTaskingFulfilled(ProviderEvent, ImageryReady, frozen=True):
    """A tasking order is fulfilled."""

    event: Literal["planet.tasking.ready"]


class PlanetTaskingFailed(ProviderEvent, ImageryFailed, frozen=True):
    """A tasking order was rejected, has expired or has failed."""

    event: Literal["planet.tasking.failed"]


class PlanetTaskingProgress(ProviderEvent, ImageryProgress, frozen=True):
    """A tasking order has any other status."""

    event: Literal["planet.tasking.progress"]


class SentinelHubBatchDone(ProviderEvent, ImageryReady, frozen=True):
    """A batch request is done."""

    event: Literal["sentinel-hub.batch.ready"]


class SentinelHubBatchFailed(ProviderEvent, ImageryFailed, frozen=True):
    """A batch request has failed."""

    event: Literal["sentinel-hub.batch.failed"]


class SentinelHubBatchProgress(ProviderEvent, ImageryProgress, frozen=True):
    """A batch request has any other status, STOPPED among them: it may be started again."""

    event: Literal["sentinel-hub.batch.progress"]


class StapiOrderCompleted(ProviderEvent, ImageryReady, frozen=True):
    """An order is completed."""

    event: Literal["stapi.order.ready"]


class StapiOrderFailed(ProviderEvent, ImageryFailed, frozen=True):
    """An order was rejected, has expired or has failed."""

    event: Literal["stapi.order.failed"]


class StapiOrderProgress(ProviderEvent, ImageryProgress, frozen=True):
    """An order has any other status."""

    event: Literal["stapi.order.progress"]


def capella_tasks() -> Sender:
    """Return the sender Capella, for `capella_tasks_source`."""
    return _sender(
        "capella",
        Reading(
            event="capella.task",
            statuses=STATUSES["capella"],
            status=("properties.lastStatusCode",),
            order_id=("properties.taskingrequestId",),
        ),
        (CapellaTaskCompleted, CapellaTaskFailed, CapellaTaskProgress),
        "capella-console-client 0.20.1 for Python, read in November 2026: it polls, and has no webhooks",
    )


def copernicus_production() -> Sender:
    """Return the sender of the on-demand production of Copernicus, for `copernicus_production_source`."""
    return _sender(
        "copernicus-production",
        Reading(
            event="copernicus.production",
            statuses=STATUSES["copernicus-production"],
            status=("Status",),
            order_id=("Id",),
        ),
        (CopernicusProductionCompleted, CopernicusProductionFailed, CopernicusProductionProgress),
        "eu-cdse/documentation@f65bac2, On-Demand Production API.qmd: its NotificationEndpoint is not used",
    )


def harmony_jobs() -> Sender:
    """Return the sender NASA Harmony, for `harmony_jobs_source`."""
    return _sender(
        "harmony",
        Reading(
            event="harmony.job",
            statuses=STATUSES["harmony"],
            status=("status",),
            order_id=("jobID",),
            expires_at=("dataExpiration",),
        ),
        (HarmonyJobSuccessful, HarmonyJobCompleteWithErrors, HarmonyJobFailed, HarmonyJobProgress),
        "nasa/harmony and harmony-py 1.8.0 for Python, read in November 2026: its callbacks are internal",
    )


def hyp3_jobs() -> Sender:
    """Return the sender ASF HyP3, for `hyp3_jobs_source`."""
    return _sender(
        "hyp3",
        Reading(
            event="hyp3.job",
            statuses=STATUSES["hyp3"],
            status=("status_code",),
            order_id=("job_id",),
            expires_at=("expiration_time",),
        ),
        (HyP3JobSucceeded, HyP3JobFailed, HyP3JobProgress),
        "ASFHyP3/hyp3 and hyp3-sdk 7.7.8 for Python, read in November 2026: there are no webhooks",
    )


def iceye_tasks() -> Sender:
    """Return the sender ICEYE as it is polled, for `iceye_tasks_source`. What it pushes has another form, not known."""
    return _sender(
        "iceye-tasks",
        Reading(event="iceye.task", statuses=STATUSES["iceye"], status=("status",), order_id=("id",)),
        (IceyeTaskDone, IceyeTaskFulfilled, IceyeTaskFailed, IceyeTaskProgress),
        "A third party's copy of the OpenAPI of ICEYE's Tasking API 2.0.0, read in November 2026",
    )


def openeo_jobs() -> Sender:
    """Return the sender openEO, for `openeo_jobs_source`."""
    return _sender(
        "openeo",
        Reading(
            event="openeo.job",
            statuses=STATUSES["openeo"],
            status=("status",),
            order_id=("id",),
            expires_at=("results.properties.expires", "results.expires"),
        ),
        (OpenEOJobFinished, OpenEOJobFailed, OpenEOJobProgress),
        "The OpenAPI of openEO 1.2.0, read in November 2026: there are no webhooks",
    )


def planet_subscriptions_polled() -> Sender:
    """Return the sender Planet Subscriptions as it is polled.

    It is for `planet_subscriptions_source` and `planet_subscription_results_source`. What Planet pushes has another
    form, which is not known.
    """
    return _sender(
        "planet-subscriptions-polled",
        Reading(
            event="planet.subscription",
            statuses=STATUSES["planet-subscriptions-polled"],
            status=("result.status", "status"),
            order_id=("subscription_id", "id"),
            item=("result.properties.item_id", "result.id"),
            # A subscription may have several results of one item, as of its stages of publishing.
            id=(("subscription_id",), ("result.id",), ("result.status",)),
        ),
        (PlanetSubscriptionReady, PlanetSubscriptionFailed, PlanetSubscriptionProgress),
        "planet 3.7.0 for Python, read in November 2026: the statuses of subscriptions and of their results",
        "That a result has its item's id in properties.item_id is not confirmed; else the result's id counts",
    )


def planet_tasking() -> Sender:
    """Return the sender Planet Tasking, for `planet_tasking_source`."""
    return _sender(
        "planet-tasking",
        Reading(event="planet.tasking", statuses=STATUSES["planet-tasking"], status=("status",), order_id=("id",)),
        (PlanetTaskingFulfilled, PlanetTaskingFailed, PlanetTaskingProgress),
        "docs.planet.com/develop/apis/tasking, read in November 2026: no webhooks were found",
        "The form of an order and its statuses are those of third parties",
    )


def sentinel_hub_batch() -> Sender:
    """Return the sender Sentinel Hub, for `sentinel_hub_batch_source`."""
    return _sender(
        "sentinel-hub",
        Reading(event="sentinel-hub.batch", statuses=STATUSES["sentinel-hub"], status=("status",), order_id=("id",)),
        (SentinelHubBatchDone, SentinelHubBatchFailed, SentinelHubBatchProgress),
        "sentinelhub 3.12.0 for Python and the OpenAPI of API v2, read in November 2026: no webhooks were found",
    )


def stapi_orders(name: str = "stapi") -> Sender:
    """Return the sender of a provider with a STAPI, for `stapi_orders_source`.

    Args:
        name: the sender's name, such as the provider's.

    Raises:
        ConfigurationError: the name cannot work.
    """
    return _sender(
        name,
        Reading(
            event="stapi.order",
            statuses=STATUSES["stapi"],
            status=("properties.status.status_code",),
            order_id=("id",),
        ),
        (StapiOrderCompleted, StapiOrderFailed, StapiOrderProgress),
        "stapi-spec/stapi-spec@9b459e1, read in November 2026: there are no webhooks",
    )


def _sender(name: str, reading: Reading, events: tuple[type[ProviderEvent], ...], *facts: str) -> Sender:
    return reading.sender(name, NoPushes(), events, facts=facts, ordering_key=_order_of)


def _order_of(event: Any) -> str | None:
    return event.order_id if isinstance(event, ImageryEvent) else None
