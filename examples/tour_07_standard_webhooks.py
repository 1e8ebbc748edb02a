"""A sender that follows Standard Webhooks (standardwebhooks.com), whose events have a type, a timestamp and data.

In this folder, with the package and `[standard]` in `../.venv` (see the README): run it, and post a signed event from
another terminal. The secret is of the form that such senders show in their settings:

    export WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw  # in both terminals
    ../.venv/bin/webhook-receiver serve tour_07_standard_webhooks:hooks
    ../.venv/bin/python - <<'END'
    import httpx
    from tour_07_standard_webhooks import hooks
    from webhook_receiver.testing import encode, sign
    body = encode({"type": "contact.created", "timestamp": "2022-11-03T20:26:10Z", "data": {"id": "1f81eb52"}})
    headers = sign(body, hooks.sender.scheme)
    print(httpx.post("http://127.0.0.1:8000/webhooks", content=body, headers=headers).status_code)
    END

Expect 202, and `contact 1f81eb52 was created on 03 November`.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from webhook_receiver import Event, Secret, WebhookReceiver
from webhook_receiver.senders.standard_webhooks import standard_webhooks

hooks = WebhookReceiver(sender=standard_webhooks(Secret.from_env("WEBHOOK_SECRET")), inbox="sqlite:///contacts.db")


class Contact(BaseModel, frozen=True, extra="allow"):
    id: str


class ContactCreated(Event, frozen=True):
    event: Literal["contact.created"] = Field(alias="type")
    timestamp: datetime
    data: Contact


@hooks.on(ContactCreated)
async def greet(created: ContactCreated) -> None:
    print(f"contact {created.data.id} was created on {created.timestamp:%d %B}")
