"""UP42, SkyFi and Planet in one program: whatever is ready there is downloaded, once, however it was heard of.

Each provider is received at a URL of its own, and polled as well, for what was never delivered. One handler serves all
of them. A download goes on where it broke off, in the same process or in the next one, and is checked by its size.

In this folder, with the package and `[standard]` in `../../.venv` (see the README): run a simulator of each provider,
this program, and order something, each in a terminal of its own, after `. ./settings.sh`:

    ../../.venv/bin/webhook-receiver simulator
    ../../.venv/bin/webhook-receiver simulator --as skyfi --port 8043
    ../../.venv/bin/webhook-receiver simulator --as planet --port 8044
    ../../.venv/bin/uvicorn --no-access-log receive_imagery:app
    ../../.venv/bin/python order_imagery.py http://127.0.0.1:8000
    ../../.venv/bin/webhook-receiver order create --status FULFILLED

Expect `saved ...` for each image, in the folder `images`. With accounts, set their keys, and leave out the addresses.
SkyFi's secret is in the path, which an access log would have.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from download_image import progress, save
from image_links import links, planet_source, skyfi_source
from starlette.applications import Starlette

from webhook_receiver import ImageryReady, Router, Secret, WebhookReceiver, WorkerOptions
from webhook_receiver.senders.catalogue import planet_orders, skyfi
from webhook_receiver.senders.up42.client import WebhooksClient

SECRET = Secret.from_env("WEBHOOK_SECRET")
INBOX = "sqlite:///imagery.db"
INTERVAL = timedelta(seconds=float(os.environ.get("POLL_SECONDS", "300")))
TWO_AT_ONCE = WorkerOptions(
    concurrency=2, lease=10
)  # of each provider; ten seconds after a kill another process goes on

router = Router()


@router.on(ImageryReady, timeout=6 * 3600)
async def download(event: ImageryReady) -> None:
    event = await receivers[event.provider].fresh(event)  # with links that have not ended
    async with httpx.AsyncClient(timeout=60) as web:
        async for link in links(event, web):
            if await save(web, link, Path("images", event.provider)):
                print("saved", event.provider, event.order_id, link.name, flush=True)


def receiver(name: str, **proof: Any) -> WebhookReceiver:
    hooks = WebhookReceiver(name=name, inbox=INBOX, worker=TWO_AT_ONCE, **proof)
    hooks.include(router)
    return hooks


as_up42 = receiver("up42", secret=SECRET)
as_skyfi = receiver("skyfi", sender=skyfi(Secret.from_env("SKYFI_SECRET")))
as_planet = receiver("planet", sender=planet_orders(Secret.from_env("PLANET_SECRET")))
receivers = {"up42": as_up42, "skyfi": as_skyfi, "planet": as_planet}
as_up42.poll_every(INTERVAL, as_up42.orders(WebhooksClient()))
as_skyfi.poll_every(INTERVAL, skyfi_source)
as_planet.poll_every(INTERVAL, planet_source)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None]:
    if url := os.environ.get("PUBLIC_URL"):  # SkyFi and Planet are told the URL in each order
        async with WebhooksClient() as client:
            await client.ensure(name="imagery", url=f"{url}/up42", events=["order.status"], secret=SECRET)
    with progress:
        async with as_up42, as_skyfi, as_planet:
            yield


app = Starlette(
    lifespan=lifespan,
    routes=[as_up42.route("/up42"), as_skyfi.route("/skyfi/{token}"), as_planet.route("/planet")],
)
