"""Receivers whose documents are looked at: the usual one, and those that are hard to describe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AliasPath, BaseModel, Field

from webhook_receiver import Attempt, BasicAuth, Event, HMACBody, Sender, Unsigned, WebhookReceiver
from webhook_receiver.senders.registry import presets
from webhook_receiver.senders.split import Split

SECRET = "KbsDE5kGZoDiPCFd"


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Card(BaseModel):
    kind: Literal["card"]
    number: str


class Cash(BaseModel):
    """Money in hand."""

    kind: Literal["cash"]
    amount: Decimal
    discriminator: dict[str, Any] = {}


class Box(BaseModel):
    size: tuple[int, int, float]
    inside: list[Box] = []
    colour: Colour = Colour.RED


class Shipped(Event, frozen=True):
    """A parcel is on its way.

    It may be lost later.
    """

    event: Literal["parcel.shipped", "parcel.sent"]
    at: datetime
    payment: Annotated[Card | Cash, Field(discriminator="kind")]
    box: Box | None = None
    carrier: str = Field(validation_alias=AliasPath("meta", "carrier", 0))


class Lost(Event, frozen=True):
    event: Literal["parcel.lost"]


def acme(**given: Any) -> Sender:
    scheme = HMACBody(SECRET, signature="x-acme-signature")
    return replace(Sender(name="acme", scheme=scheme, facts=("its documents",)), **given)


def handled(hooks: WebhookReceiver) -> WebhookReceiver:
    """Register handlers of everything."""

    @hooks.on(Shipped)
    async def follow(event: Shipped, attempt: Attempt) -> None:
        """Follow a parcel.

        Until it has arrived.
        """

    @hooks.on(Event)
    def every(event: Event) -> None: ...

    @hooks.on("parcel/lost & found")
    def named(event: Any) -> None: ...

    return hooks


def usual() -> WebhookReceiver:
    hooks = WebhookReceiver(secret=SECRET, inbox="memory://", public_url="https://example.com/webhooks")

    @hooks.on_fulfilled
    async def download(order: Any) -> None:
        """Download the images."""

    @hooks.fallback
    def rest(event: Event) -> None: ...

    return hooks


RECEIVERS: dict[str, Callable[[], WebhookReceiver]] = {
    "usual": usual,
    "without handlers": lambda: WebhookReceiver(secret=SECRET),
    "rich models": lambda: handled(WebhookReceiver(sender=acme())),
    "a name in a header": lambda: handled(WebhookReceiver(sender=acme(event_header="X-Event"))),
    "a name elsewhere": lambda: handled(WebhookReceiver(sender=acme(event_name="meta.type"))),
    "a name inside event": lambda: handled(WebhookReceiver(sender=acme(event_name="event.type"))),
    "a name of parts": lambda: handled(WebhookReceiver(sender=acme(event_name=("{type}.{header:x-action}", "kind")))),
    "a name in the URL": lambda: handled(WebhookReceiver(sender=acme(event_name="query:topic"))),
    "batches": lambda: handled(WebhookReceiver(sender=acme(split=Split("*")))),
    "batches inside": lambda: handled(WebhookReceiver(sender=acme(split=Split("entry.*.changes|messaging.*")))),
    "a password": lambda: handled(WebhookReceiver(scheme=BasicAuth(SECRET, username="me"))),
    "a token in the path": lambda: handled(
        WebhookReceiver(scheme=Unsigned(token_in_path="q8-J3nVw0aKx7ZcEr5TyLm")),
    ),
    "unsigned": lambda: handled(WebhookReceiver(scheme=Unsigned())),
}


def of_sender(name: str) -> WebhookReceiver:
    """Return a receiver of a known sender, with a handler for each class of its events."""
    preset = presets()[name]
    sender = preset.sender(preset.example)
    hooks = WebhookReceiver(sender=sender, inbox="memory://", public_url="https://example.com/webhooks")
    for number, cls in enumerate(preset.events):
        hooks.on(cls, name=f"{name}:{number}")(lambda event: None)
    hooks.fallback(print)
    return hooks
