"""A sender of your own: how it signs, where its event's name is, what it must be answered, and how you know.

Run it; there is nothing to install from Acme, since one value says all that is special about it:

    WEBHOOK_SECRET=try-me webhook-receiver serve tour_08_own_sender:hooks

Expect `P7 was delivered` for a post with the event's name in the header X-Acme-Event, and the hex HMAC-SHA256 of the
body in x-acme-signature. What was stored is answered 200, as Acme wants it.
"""

from typing import Literal

from pydantic import BaseModel

from webhook_receiver import Event, HMACBody, ResponseStatuses, Secret, Sender, WebhookReceiver


class Parcel(BaseModel, frozen=True):
    number: str


class ParcelDelivered(Event, frozen=True):
    event: Literal["parcel.delivered"]
    parcel: Parcel


acme = Sender(
    name="acme",
    scheme=HMACBody(Secret.from_env("WEBHOOK_SECRET"), signature="x-acme-signature"),
    facts=("Acme's docs, 2026-11",),
    events=(ParcelDelivered,),
    event_header="X-Acme-Event",
    responses=ResponseStatuses(stored=200),
)
hooks = WebhookReceiver(sender=acme, inbox="sqlite:///acme.db")


@hooks.on(ParcelDelivered)
async def celebrate(delivered: ParcelDelivered) -> None:
    print(delivered.parcel.number, "was delivered")
