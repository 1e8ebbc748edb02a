"""The ten-line program. Run it and send it something, in two terminals:

WEBHOOK_SECRET=try-me webhook-receiver serve quickstart:hooks
WEBHOOK_SECRET=try-me webhook-receiver send http://127.0.0.1:8000/webhooks
"""

from webhook_receiver import OrderFailedPermanently, OrderFulfilled, Secret, WebhookReceiver

hooks = WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET"), inbox="sqlite:///hooks.db")


@hooks.on(OrderFulfilled)
async def download(order: OrderFulfilled) -> None:
    print("ready to download:", order.order_id)


@hooks.on(OrderFailedPermanently)
def alert(order: OrderFailedPermanently) -> None:
    print("failed for good:", order.order_id)
