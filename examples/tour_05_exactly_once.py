"""An effect in your own database that happens once, however often the handler runs.

In this folder, with the package and `[standard]` in `../.venv` (see the README): run it. Then in another terminal
deliver to it, replay the delivery by the id that `ls` shows, and look into the table:

    WEBHOOK_SECRET=try-me ../.venv/bin/webhook-receiver serve tour_05_exactly_once:hooks
    WEBHOOK_SECRET=try-me ../.venv/bin/webhook-receiver send http://127.0.0.1:8000/webhooks --order-id o-7
    ../.venv/bin/webhook-receiver inbox ls sqlite:///hooks.db
    ../.venv/bin/webhook-receiver inbox replay sqlite:///hooks.db ID
    ../.venv/bin/python -c "import sqlite3; print(*sqlite3.connect('shop.db').execute('SELECT * FROM invoice'))"

Expect `invoice for o-7`, after the replay `not again for o-7`, and one row in the table: `('o-7',)`.
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
    print("invoice for" if noted.rowcount else "not again for", order.order_id)
