"""A sender that follows Standard Webhooks (standardwebhooks.com), whose events have a type, a timestamp and data.

Run it; the secret is what such senders show in their settings:

    WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw webhook-receiver serve tour_07_standard_webhooks:hooks

Expect a line for each `contact.created`.
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
