"""A step of a deployment: the webhook is there, as it should be, and its deliveries arrive.

In this folder, with the package and `[standard]` in `../.venv` (see the README): run it while the receiver is up:

    export UP42_USERNAME=... UP42_PASSWORD=... WEBHOOK_SECRET=try-me
    ../.venv/bin/python tour_10_register_webhook.py https://example.com/webhooks

Expect `created`, `updated` or `unchanged`, then how many test deliveries succeeded; it ends with 1 if one did not.
"""

import asyncio
import sys

from webhook_receiver import Secret
from webhook_receiver.senders.up42.client import WebhooksClient


async def register(url: str) -> None:
    secret = Secret.from_env("WEBHOOK_SECRET")  # the one that the receiver has
    async with WebhooksClient() as client:
        webhook, done = await client.ensure(name="orders", url=url, events=["order.status"], secret=secret)
        print(f"webhook {webhook.id}: {done}")
        tests = await client.test(webhook.id)
    print(f"{tests.tests_succeeded} of {tests.tests_run} test deliveries succeeded")
    if tests.tests_failed or not tests.tests_run:
        sys.exit(f"is the receiver up at {url}, and has it this secret?")


asyncio.run(register(sys.argv[1]))
