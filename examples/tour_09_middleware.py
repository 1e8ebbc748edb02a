"""Middleware: code of yours around every attempt of every handler, and handlers that get what they depend on.

In this folder, with the package and `[standard]` in `../.venv` (see the README): run it, and deliver to it from another
terminal:

    WEBHOOK_SECRET=try-me ../.venv/bin/webhook-receiver serve tour_09_middleware:hooks
    WEBHOOK_SECRET=try-me ../.venv/bin/webhook-receiver send http://127.0.0.1:8000/webhooks --order-id o-7

Expect `attempt 1 of tour_09_middleware:invoice begins`, the invoice, and how the attempt ended. An attempt is done only
if the handler itself returned: middleware can make a failure of it, never the reverse.
"""

import sqlite3
from contextlib import closing
from contextvars import ContextVar

from webhook_receiver import Attempt, CallNext, OrderFulfilled, Secret, WebhookReceiver

hooks = WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET"), inbox="sqlite:///hooks.db")
shop: ContextVar[sqlite3.Connection] = ContextVar("shop")


@hooks.middleware  # the first is the outermost
async def log(attempt: Attempt, call_next: CallNext) -> None:
    print(f"attempt {attempt.number} of {attempt.handler} begins")
    try:
        await call_next()
    except BaseException as error:  # a time-out is a cancellation
        print(f"it failed: {type(error).__name__}")
        raise
    print("it is done")


@hooks.middleware
async def with_shop(attempt: Attempt, call_next: CallNext) -> None:
    with closing(sqlite3.connect("shop.db")) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS invoice (order_id TEXT)")
        shop.set(connection)
        await call_next()  # what is raised here rolls the transaction back


@hooks.on_fulfilled
async def invoice(order: OrderFulfilled) -> None:
    shop.get().execute("INSERT INTO invoice VALUES (?)", [order.order_id])
    print("invoiced:", order.order_id)
