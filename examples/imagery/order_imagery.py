"""Order an image at SkyFi and one at Planet, which are told in the order whom to notify: see receive_imagery.py."""

import os
import sys
from urllib.parse import urlsplit

import httpx

from webhook_receiver.senders.imagery.planet_source import URL as PLANET_URL
from webhook_receiver.senders.imagery.skyfi_source import URL as SKYFI_URL

receiver = urlsplit(sys.argv[1])
as_planet = receiver._replace(netloc=f"webhooks:{os.environ['PLANET_SECRET']}@{receiver.netloc}", path="/planet")
as_skyfi = receiver._replace(path=f"/skyfi/{os.environ['SKYFI_SECRET']}")

ordered = httpx.post(
    f"{os.environ.get('SKYFI_URL', SKYFI_URL)}/order-archive",
    headers={"X-Skyfi-Api-Key": os.environ["SKYFI_API_KEY"]},
    json={
        "aoi": "POLYGON ((13.37 52.51, 13.38 52.51, 13.38 52.52, 13.37 52.51))",
        "archiveId": "354b783d-8fad-4050-a167-2eb069653777",
        "webhookUrl": as_skyfi.geturl(),
    },
)
print("ordered at SkyFi:", ordered.raise_for_status().json()["id"])
ordered = httpx.post(
    f"{os.environ.get('PLANET_URL', PLANET_URL)}/compute/ops/orders/v2",
    headers={"Authorization": f"api-key {os.environ['PLANET_API_KEY']}"},
    json={
        "name": "a scene",
        "products": [{"item_ids": ["20260101_000000_00_2438"], "item_type": "PSScene", "product_bundle": "analytic"}],
        "notifications": {"webhook": {"url": as_planet.geturl()}},
    },
)
print("ordered at Planet:", ordered.raise_for_status().json()["id"])
