"""A receiver inside a FastAPI app, whose own routes show what the handlers remember.

In this folder, with the package and `[standard]` in `../.venv` (see the README): add FastAPI, run it, deliver to it
from another terminal, and ask it:

    ../.venv/bin/pip install fastapi
    WEBHOOK_SECRET=try-me ../.venv/bin/uvicorn tour_02_fastapi:app
    WEBHOOK_SECRET=try-me ../.venv/bin/webhook-receiver send http://127.0.0.1:8000/webhooks --order-id o-7
    curl http://127.0.0.1:8000/orders

Expect JSON in which order o-7 is fulfilled.
"""

from fastapi import FastAPI

from webhook_receiver import Attempt, OrderFailedPermanently, OrderFulfilled, Retry, Secret, WebhookReceiver

hooks = WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET"), inbox="sqlite:///hooks.db")
app = FastAPI(lifespan=hooks.lifespan, routes=[hooks.route("/webhooks")])
orders: dict[str, str] = {}


@hooks.on_fulfilled
async def remember(order: OrderFulfilled, attempt: Attempt) -> None:
    if order.order_id is None:
        raise Retry(after=60)  # the sender will try again
    orders[order.order_id] = f"fulfilled, as delivery {attempt.delivery.id} says"


@hooks.on_failed_permanently
async def regret(order: OrderFailedPermanently) -> None:
    orders[order.order_id or "unknown"] = "failed for good"


@app.get("/orders")
async def list_orders() -> dict[str, str]:
    return orders
