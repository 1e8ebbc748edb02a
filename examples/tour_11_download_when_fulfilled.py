"""Download the images of an order the moment it is fulfilled: streamed to disk, resumed where it broke off, once.

In this folder, with the package and `[standard]` in `../.venv` (see the README): run it beside the simulator, and have
an order fulfilled from another terminal:

    ../.venv/bin/webhook-receiver dev tour_11_download_when_fulfilled:hooks
    ../.venv/bin/webhook-receiver order create --status FULFILLED

Expect the images in the folder `images`. With an account of UP42, `serve` it.
"""

import os
from datetime import timedelta
from pathlib import Path

import httpx
from anyio import open_file
from rich.progress import DownloadColumn, Progress

from webhook_receiver import ApiError, OrderFulfilled, Retry, Secret, WebhookReceiver
from webhook_receiver.senders.up42.client import WebhooksClient
from webhook_receiver.senders.up42.models import Asset

IMAGES = Path(os.environ.get("IMAGES", "images"))

hooks = WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET"), inbox="sqlite:///hooks.db")
client = WebhooksClient()
hooks.poll_every(timedelta(minutes=30), hooks.orders(client, since=timedelta(days=7)))  # for what was never delivered


@hooks.on(OrderFulfilled, timeout=6 * 3600)
async def download(event: OrderFulfilled) -> None:
    async with WebhooksClient() as client, httpx.AsyncClient(timeout=60) as web:
        try:
            order = await client.order(event.order_id or "")
        except ApiError as error:
            if error.status == 404:
                return  # a test of the webhook: there is no such order
            raise
        assets = [asset async for asset in client.assets(order.id, created_after=order.created_at)]
        if not assets:
            raise Retry(after=60)  # not in storage yet
        (folder := IMAGES / order.id).mkdir(parents=True, exist_ok=True)
        for asset in assets:
            await save(web, await client.download_url(asset.id), asset, folder)
    print(f"order {order.id}: {len(assets)} in {folder}", flush=True)


async def save(web: httpx.AsyncClient, url: str, asset: Asset, folder: Path) -> None:
    whole, part = folder / f"{asset.id} {Path(asset.name or '').name}", folder / f"{asset.id}.part"
    if whole.exists():  # by an earlier attempt: a handler may run again
        return
    begun = part.stat().st_size if part.exists() else -1
    if begun != asset.size:
        asked = {"range": f"bytes={begun}-"} if 0 < begun < asset.size else {}
        async with web.stream("GET", url, headers=asked) as answer:
            resumed = answer.raise_for_status().status_code == 206
            async with await open_file(part, "ab" if resumed else "wb") as file:
                with Progress(*Progress.get_default_columns(), DownloadColumn()) as bar:
                    task = bar.add_task(whole.name, total=asset.size, completed=begun if resumed else 0)
                    async for chunk in answer.aiter_bytes():
                        bar.advance(task, await file.write(chunk))
    if part.stat().st_size != asset.size:
        raise OSError(f"{part} is {part.stat().st_size} bytes, not {asset.size}")
    part.replace(whole)  # under its name it is whole
