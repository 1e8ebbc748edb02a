"""The ten lines: a receiver for UP42's orders, with an inbox in a file.

In this folder, with the package and `[standard]` in `../.venv` (see the README): run it, and deliver to it from another
terminal:

    WEBHOOK_SECRET=try-me ../.venv/bin/webhook-receiver serve tour_01_quickstart:hooks
    WEBHOOK_SECRET=try-me ../.venv/bin/webhook-receiver send http://127.0.0.1:8000/webhooks --order-id o-7

Expect the first terminal to print `ready to download: o-7`.
"""

from webhook_receiver import OrderFailedPermanently, OrderFulfilled, Secret, WebhookReceiver

hooks = WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET"), inbox="sqlite:///hooks.db")


@hooks.on(OrderFulfilled)
async def download(order: OrderFulfilled) -> None:
    print("ready to download:", order.order_id)


@hooks.on(OrderFailedPermanently)
def alert(order: OrderFailedPermanently) -> None:
    print("failed for good:", order.order_id)
