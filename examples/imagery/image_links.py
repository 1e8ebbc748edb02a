"""Where the images of an event are downloaded from."""

import os
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import httpx

from webhook_receiver import ImageryReady, Retry
from webhook_receiver.senders.imagery.planet_source import URL as PLANET_URL
from webhook_receiver.senders.imagery.planet_source import planet_orders_source
from webhook_receiver.senders.imagery.skyfi_source import URL as SKYFI_URL
from webhook_receiver.senders.imagery.skyfi_source import skyfi_orders_source
from webhook_receiver.senders.up42.client import WebhooksClient

SKYFI_KEY = os.environ["SKYFI_API_KEY"]
skyfi_source = skyfi_orders_source(SKYFI_KEY, url=os.environ.get("SKYFI_URL", SKYFI_URL))
planet_source = planet_orders_source(os.environ["PLANET_API_KEY"], url=os.environ.get("PLANET_URL", PLANET_URL))


class Link(NamedTuple):
    name: str  # of the image, unlike that of any other of its provider
    url: str  # without a key


async def links(event: ImageryReady, web: httpx.AsyncClient) -> AsyncGenerator[Link]:
    if event.provider == "up42":
        async for link in _of_up42(event.order_id or ""):
            yield link
    elif event.provider == "skyfi":
        order: dict[str, Any] = event.document["orderInfo"]
        answer = await web.get(order["downloadImageUrl"], headers={"X-Skyfi-Api-Key": SKYFI_KEY})
        if not answer.is_redirect:
            answer.raise_for_status()
        yield Link(order["id"], answer.headers["location"])  # which is asked without the key
    elif event.provider == "planet" and event.items:  # else no image is in it
        yield Link(event.document["name"], event.document["location"])


async def _of_up42(order_id: str) -> AsyncGenerator[Link]:
    async with WebhooksClient() as client:
        order = await client.order(order_id)
        assets = [asset async for asset in client.assets(order.id, created_after=order.created_at)]
        if not assets:
            raise Retry(after=60)  # not in storage yet
        for asset in assets:
            yield Link(asset.id, await client.download_url(asset.id))
