"""FastAPI with standardwebhooks and a pydantic model: what one writes by hand. standardwebhooks signs the request."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, Field, TypeAdapter
from standardwebhooks import Webhook, WebhookVerificationError

from .serving import SECRET, Ran, padded, request, serve

ran = Ran()
app = FastAPI()
webhook = Webhook("whsec_" + b64encode(SECRET.encode()).decode())


class Order(BaseModel):
    id: str
    note: str


class OrderFulfilled(BaseModel):
    type: Literal["order.fulfilled"]
    data: Order


class OrderFailed(BaseModel):
    type: Literal["order.failed"]
    data: Order


events: TypeAdapter[OrderFulfilled | OrderFailed] = TypeAdapter(
    Annotated[OrderFulfilled | OrderFailed, Field(discriminator="type")]
)


async def download(event: OrderFulfilled) -> None:
    ran.count += 1


@app.post("/webhooks", status_code=204)
async def receive(request: Request) -> None:
    body = await request.body()
    try:
        webhook.verify(body, dict(request.headers))
    except WebhookVerificationError as error:
        raise HTTPException(401) from error
    event = events.validate_json(body)
    if isinstance(event, OrderFulfilled):
        await download(event)


def requests() -> Iterator[bytes]:
    body = padded({"type": "order.fulfilled", "data": {"id": "o-1"}}, "data")
    while True:
        now = datetime.now(UTC)
        given = [
            ("content-type", "application/json"),
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", str(int(now.timestamp()))),
            ("webhook-signature", webhook.sign("msg_1", now, body.decode())),
        ]
        yield request("/webhooks", given, body)


if __name__ == "__main__":
    serve(app, requests(), ran)
