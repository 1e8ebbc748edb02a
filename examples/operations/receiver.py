"""The receiver that the files beside this one deploy. `serve` stores what comes, `worker` runs the handlers.

WEBHOOK_RECEIVER_SECRET=try-me WEBHOOK_RECEIVER_INBOX=sqlite:///hooks.db webhook-receiver serve receiver:hooks
"""

from datetime import timedelta

from webhook_receiver import OrderFulfilled, WebhookReceiver
from webhook_receiver.settings import Settings

settings = Settings()
# Senders switch webhooks off, and tell nobody. Say how long it may be quiet, such as over a weekend: after that the
# health is `silent`, and the alert WebhookSilence fires.
hooks = WebhookReceiver(secret=settings.secret, inbox=settings.inbox, work=False, expect_every=timedelta(days=1))


@hooks.on_fulfilled
async def download(order: OrderFulfilled) -> None:
    print("ready to download:", order.order_id, flush=True)
