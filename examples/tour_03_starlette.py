"""Two receivers with secrets of their own in one Starlette app, and handlers in a router that both include.

In this folder, with the package and `[standard]` in `../.venv` (see the README): run it, and deliver to either from
another terminal:

    WEBHOOK_SECRET=try-me PARTNER_SECRET=try-me-too ../.venv/bin/uvicorn tour_03_starlette:app
    ../.venv/bin/webhook-receiver send --secret try-me http://127.0.0.1:8000/webhooks
    ../.venv/bin/webhook-receiver send --secret try-me-too --status BEING_FULFILLED http://127.0.0.1:8000/partner/webhooks

Expect `ready to download: ...` for the first, `on its way: ...` for the second.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from webhook_receiver import Event, OrderFulfilled, OrderStatus, OrderStatusChanged, Router, Secret, WebhookReceiver

tasks = Router()


@tasks.on(OrderFulfilled)
def download(order: OrderFulfilled) -> None:
    print("ready to download:", order.order_id)


@tasks.on(OrderStatusChanged, where=lambda order: order.status == OrderStatus.BEING_FULFILLED)
def follow(order: OrderStatusChanged) -> None:
    print("on its way:", order.order_id)


@tasks.fallback
def note(event: Event) -> None:
    print("something else:", event)


ours = WebhookReceiver(name="ours", secret=Secret.from_env("WEBHOOK_SECRET"))
partner = WebhookReceiver(name="partner", secret=Secret.from_env("PARTNER_SECRET"))
for receiver in (ours, partner):
    receiver.include(tasks)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None]:
    async with ours, partner:
        yield


app = Starlette(lifespan=lifespan, routes=[ours.route("/webhooks"), partner.route("/partner/webhooks")])
