"""An effect in your own database that happens once, however often the handler runs.

Run it, deliver to it, and replay the delivery:

    WEBHOOK_SECRET=try-me webhook-receiver serve tour_05_exactly_once:hooks
    WEBHOOK_SECRET=try-me webhook-receiver send http://127.0.0.1:8000/webhooks --order-id o-7
    webhook-receiver inbox ls sqlite:///hooks.db
    webhook-receiver inbox replay sqlite:///hooks.db ID

Expect the handler to run twice, and one row in the table `invoice` of shop.db.
"""

import sqlite3
from contextlib import closing

from webhook_receiver import Attempt, OrderFulfilled, Secret, WebhookReceiver

hooks = WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET"), inbox="sqlite:///hooks.db")

with closing(sqlite3.connect("shop.db")) as shop, shop:
    shop.execute("CREATE TABLE IF NOT EXISTS invoice (order_id TEXT)")
    shop.execute("CREATE TABLE IF NOT EXISTS handled (key TEXT PRIMARY KEY)")


@hooks.on_fulfilled
def invoice(order: OrderFulfilled, attempt: Attempt) -> None:
    with closing(sqlite3.connect("shop.db")) as shop, shop:  # one transaction: both, or neither
        noted = shop.execute("INSERT OR IGNORE INTO handled VALUES (?)", [attempt.idempotency_key])
        if noted.rowcount:
            shop.execute("INSERT INTO invoice VALUES (?)", [order.order_id])
