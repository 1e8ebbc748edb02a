"""A sender of your own: how it signs, where its event's name is, what it must be answered, and how you know.

In this folder, with the package and `[standard]` in `../.venv` (see the README): run it, and post what Acme would, from
another terminal:

    WEBHOOK_SECRET=try-me ../.venv/bin/webhook-receiver serve tour_08_own_sender:hooks
    WEBHOOK_SECRET=try-me ../.venv/bin/python - <<'END'
    import httpx
    from tour_08_own_sender import hooks
    from webhook_receiver.testing import encode, sign
    body = encode({"parcel": {"number": "P7"}})
    headers = sign(body, hooks.sender.scheme, headers={"X-Acme-Event": "parcel.delivered"})
    print(httpx.post("http://127.0.0.1:8000/webhooks", content=body, headers=headers).status_code)
    END

Expect 200, as Acme wants it for what was stored, and `P7 was delivered`. The event's name is in the header
X-Acme-Event, the hex HMAC-SHA256 of the body in x-acme-signature.
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
