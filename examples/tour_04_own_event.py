"""An event with a model of your own. This sender calls an event's name `type`.

In this folder, with the package and `[standard]` in `../.venv` (see the README): run it, and deliver such an event from
another terminal:

    WEBHOOK_SECRET=try-me ../.venv/bin/webhook-receiver serve tour_04_own_event:hooks
    echo '{"type": "parcel.delivered", "data": {"number": "P7", "delivered_at": "2026-07-14T12:00:00Z"}}' |
        WEBHOOK_SECRET=try-me ../.venv/bin/webhook-receiver send http://127.0.0.1:8000/webhooks --data -

Expect `P7 arrived on 14 July`; and 422 for a parcel without a number, since there is no inbox.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from webhook_receiver import Event, Secret, WebhookReceiver

hooks = WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET"))


class Parcel(BaseModel, frozen=True):
    number: str
    delivered_at: datetime


class ParcelDelivered(Event, frozen=True):
    event: Literal["parcel.delivered"] = Field(alias="type")
    data: Parcel


@hooks.on(ParcelDelivered)
async def celebrate(delivered: ParcelDelivered) -> None:
    print(f"{delivered.data.number} arrived on {delivered.data.delivered_at:%d %B}")


@hooks.on("parcel.lost")
async def search(event: Event) -> None:
    print("a parcel is lost:", event.model_extra)
