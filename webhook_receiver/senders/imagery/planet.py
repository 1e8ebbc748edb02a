"""The provider Planet: orders, which tell each item or all of them at once, and subscriptions."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from ...events import ImageryFailed, ImageryPartlyReady, ImageryProgress, ImageryReady
from ...signatures.secrets import Secrets
from ..base import Sender
from ..page import Page
from ..preset import Preset
from ..split import Split
from .events import URL_PLACES, DocumentPlaces, Places, ProviderEvent, Reading
from .schemes import EXAMPLE, USERNAME, basic_or_path, secret_path
from .statuses import STATUSES, Outcome


class PlanetOrderDelivered(ProviderEvent, ImageryReady, frozen=True):
    """An item of an order is delivered."""

    event: Literal["planet.order.ready"]


class PlanetOrderPartlyDelivered(ProviderEvent, ImageryPartlyReady, frozen=True):
    """An order has ended in the state partial: some of its items are delivered."""

    event: Literal["planet.order.partly-ready"]


class PlanetOrderFailed(ProviderEvent, ImageryFailed, frozen=True):
    """An order, or an item of one, has failed."""

    event: Literal["planet.order.failed"]


class PlanetOrderProgress(ProviderEvent, ImageryProgress, frozen=True):
    """An order, or an item of one, has any other state."""

    event: Literal["planet.order.progress"]


class PlanetSubscriptionReady(ProviderEvent, ImageryReady, frozen=True):
    """Something of a subscription is delivered, or the subscription or its backfill is complete."""

    event: Literal["planet.subscription.ready"]


class PlanetSubscriptionFailed(ProviderEvent, ImageryFailed, frozen=True):
    """A delivery of a subscription, or the subscription, has failed."""

    event: Literal["planet.subscription.failed"]


class PlanetSubscriptionProgress(ProviderEvent, ImageryProgress, frozen=True):
    """Any other news of a subscription, also of a topic that nobody has told."""

    event: Literal["planet.subscription.progress"]


COUNT = "item_count"
"""The member with the number of items, in the documents of `planet_orders_source(key, whole_orders=True)`."""


class _Orders(Reading):
    """The reading of orders. An order that is ready and tells no items is no news of an image: its links are gone, or
    it tells the number of items alone."""

    def outcome(self, status: str, document: Any) -> Outcome:
        found = super().outcome(status, document)
        return Outcome.PROGRESS if found is Outcome.READY and "delivery" not in document else found


def planet_orders(secret: Secrets, *, username: str | None = USERNAME, item_count: Places = ()) -> Sender:
    """Return the sender Planet Orders. Each item is an event of its own, also where one call has all of an order's.

    Args:
        secret: the password in the URL, or several while it is changed; without a user name, the last part of its path.
        username: the user name in the URL; None without one.
        item_count: the places of the number of items of the whole order, which Planet does not tell, such as
            ("query:items",) for `?items=3` in the URL of an order's notifications.

    Raises:
        ConfigurationError: a secret, the user name or a place cannot work.
    """
    reading = _Orders(
        event="planet.order",
        statuses=STATUSES["planet-orders"],
        status=("delivery", "state"),
        order_id=("order_id", "id"),
        item=("name",),
        expires_at=("expires_at",),
        item_count=(*item_count, COUNT),
        id=(("order_id",), ("name",), ("delivery",)),
        parts=Split("items.*", {"order_id": "order_id"}),
    )
    return reading.sender(
        "planet-orders",
        basic_or_path(secret, username),
        (PlanetOrderDelivered, PlanetOrderPartlyDelivered, PlanetOrderFailed, PlanetOrderProgress),
        order_items="counted" if item_count else "unknown",
        facts=(
            "docs.planet.com/develop/apis/orders/notifications, read in November 2026: the URL, its credentials, and "
            "one call for each item unless per_order is true",
            "planet 3.7.0 for Python: the states of orders; a delivery of an item is known as success alone",
            "The Content-Type, the answer that is wanted and whether a call is repeated are not known",
        ),
    )


def planet_subscriptions(secret: Secrets, *, places: DocumentPlaces = URL_PLACES) -> Sender:
    """Return the sender Planet Subscriptions, whose documents are not known.

    Args:
        secret: the last part of the URL's path, or several while it is changed.
        places: the places of the topic, such as "delivery.success", as the status, and of the rest.

    Raises:
        ConfigurationError: a secret or a place cannot work.
    """
    reading = Reading(event="planet.subscription", statuses=STATUSES["planet-subscriptions"], **vars(places))
    return reading.sender(
        "planet-subscriptions",
        secret_path(secret),
        (PlanetSubscriptionReady, PlanetSubscriptionFailed, PlanetSubscriptionProgress),
        order_items="counted" if places.item_count else "unknown",  # for a subscription goes on
        facts=(
            "docs.planet.com/develop/apis/subscriptions/notifications and planet 3.7.0 for Python, read in November "
            "2026: the topics, and that each is delivered in order, at best effort",
            "The documents, and whether the credentials of the URL are sent, are not known",
        ),
    )


PRESETS = (
    Preset(
        "planet-orders",
        "Planet Orders",
        planet_orders,
        partial(basic_or_path),
        samples={
            "planet.order.ready": {
                "order_id": "2c6a7bd4-7b8f-4b4e-8a7c-0f6c0d5d8e11",
                "items": [
                    {
                        "name": "2c6a7bd4/PSScene/20260101_000000_00_2438_3B_AnalyticMS_clip.tif",
                        "delivery": "success",
                        "location": "https://api.planet.com/compute/ops/download/?token=made-up",
                        "expires_at": "2027-01-02T00:00:00Z",
                    }
                ],
            }
        },
        sample_id="order_id",
        page=Page(
            trade="images",
            docs="docs.planet.com/develop/apis/orders/notifications",
            setup=(
                "In the order, notifications.webhook.url, with the credentials in it: "
                f"https://{USERNAME}:SECRET@example.com/webhooks. Planet sends them as Basic."
            ),
            answer="What is taken for received, and whether a call is repeated, is not known.",
            backfill="List the orders by last_modified, and read the results of each.",
            traps=(
                "Without per_order, each item is a call of its own: a big order is a burst.",
                "With per_order, one call has the links of all items: some 1,000 items need more than the default "
                "max_body of 1 MiB. The source tells them by 200.",
                "The links in location end at expires_at.",
                "No call says how many items an order has: the API tells, by planet_orders_source(key, "
                "whole_orders=True), or ?items=3 in the URL of the order, with "
                'planet_orders(secret, item_count=("query:items",)).',
            ),
        ),
    ),
    Preset(
        "planet-subscriptions",
        "Planet Subscriptions",
        planet_subscriptions,
        partial(secret_path),
        example=EXAMPLE,
        page=Page(
            trade="images",
            docs="docs.planet.com/develop/apis/subscriptions/notifications",
            setup=(
                "In the subscription, notifications.webhook.url (https) and its topics. The secret is the last part of "
                "the URL's path."
            ),
            answer="Any 2xx; a redirect is a failure.",
            backfill="List the subscriptions, or the results of one, by updated.",
            traps=(
                "Its documents are not known, so what the URL says counts: with the topic delivery.success alone, "
                "?status=delivery.success makes each call an ImageryReady, and &order=... names what it is about. "
                "planet_subscriptions(places=...) takes the places once you have seen them.",
            ),
        ),
    ),
)
