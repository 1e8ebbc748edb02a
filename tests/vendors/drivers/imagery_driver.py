"""Asks a provider's API by its own client: `python imagery_driver.py CLIENT URL KEY ID`. Prints what it told, as JSON.

It runs in the environment of that client, so it has nothing of this project; what it imports is not known where the
project is checked. It prints the ids and statuses of the client's listing, those of one by its id, and what the client
raises when the key is rejected.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

Pair = tuple[str, str]
CLIENTS: dict[str, Callable[[str, str, str], tuple[list[Pair], Pair]]] = {}
"""Functions of the URL, the key and an id: they return what is listed, and the one with the id."""

Ask = Callable[[str, str, str], tuple[list[Pair], Pair]]


def client(name: str) -> Callable[[Ask], Ask]:
    def named(ask: Ask) -> Ask:
        CLIENTS[name] = ask
        return ask

    return named


def _pairs(items: Iterable[Any], id: str, status: str) -> list[Pair]:
    return [(each[id], each[status]) for each in items]


def _planet(url: str, key: str, ask: Callable[[Any], Any]) -> Any:
    planet = import_module("planet")

    async def asked() -> Any:
        async with planet.Session(auth=planet.Auth.from_key(key)) as session:
            return await ask(session)

    return asyncio.run(asked())


@client("planet-orders")
def planet_orders(url: str, key: str, id: str) -> tuple[list[Pair], Pair]:
    async def ask(session: Any) -> tuple[list[Pair], Pair]:
        orders = import_module("planet").OrdersClient(session, base_url=f"{url}/compute/ops")
        since = "2020-01-01T00:00:00Z/.."
        listed = [each async for each in orders.list_orders(limit=0, last_modified=since, sort_by="last_modified")]
        one = await orders.get_order(id)
        assert [each["name"] for each in one["_links"]["results"]] == [f"{id}/scene.tif", f"{id}/manifest.json"]
        return _pairs(listed, "id", "state"), (one["id"], one["state"])

    found: tuple[list[Pair], Pair] = _planet(url, key, ask)
    return found


@client("planet-subscriptions")
def planet_subscriptions(url: str, key: str, id: str) -> tuple[list[Pair], Pair]:
    async def ask(session: Any) -> tuple[list[Pair], Pair]:
        subscriptions = import_module("planet").SubscriptionsClient(session, base_url=f"{url}/subscriptions/v1")
        since = "2020-01-01T00:00:00Z/.."
        listed = [each async for each in subscriptions.list_subscriptions(limit=0, updated=since, sort_by="updated")]
        one = await subscriptions.get_subscription(id)
        return _pairs(listed, "id", "status"), (one["id"], one["status"])

    found: tuple[list[Pair], Pair] = _planet(url, key, ask)
    return found


@client("planet-results")
def planet_results(url: str, key: str, id: str) -> tuple[list[Pair], Pair]:
    async def ask(session: Any) -> tuple[list[Pair], Pair]:
        subscriptions = import_module("planet").SubscriptionsClient(session, base_url=f"{url}/subscriptions/v1")
        since = "2020-01-01T00:00:00Z/.."
        listed = [each async for each in subscriptions.get_results("s-1", limit=0, updated=since)]
        return _pairs(listed, "id", "status"), next(pair for pair in _pairs(listed, "id", "status") if pair[0] == id)

    found: tuple[list[Pair], Pair] = _planet(url, key, ask)
    return found


@client("capella")
def capella(url: str, key: str, id: str) -> tuple[list[Pair], Pair]:
    capella = import_module("capella_console_client").CapellaConsoleClient(api_key=key, base_url=url)
    listed = capella.search_tasking_requests(last_status_time__gt="2020-01-01T00:00:00Z")

    def pair(request: Any) -> Pair:
        latest = max(request["properties"]["statusHistory"], key=lambda each: str(each["time"]))
        return request["properties"]["taskingrequestId"], latest["code"]

    assert capella.is_task_completed(capella.get_task(id))
    return [pair(each) for each in listed], pair(capella.get_task(id))


@client("hyp3")
def hyp3(url: str, key: str, id: str) -> tuple[list[Pair], Pair]:
    hyp3 = import_module("hyp3_sdk").HyP3(url, token=key)
    listed = hyp3.find_jobs(start="2020-01-01T00:00:00+00:00")
    one = hyp3.get_job_by_id(id)
    assert one.complete()
    assert one.files[0]["filename"] == f"{id}.zip"
    return [(each.job_id, each.status_code) for each in listed], (one.job_id, one.status_code)


@client("harmony")
def harmony(url: str, key: str, id: str) -> tuple[list[Pair], Pair]:
    harmony = import_module("harmony")
    client = harmony.Client(env=harmony.Environment.LOCAL, token=key, should_validate_auth=False)
    client.config.localhost_port = int(url.rpartition(":")[2])
    pages = [client.submit(harmony.JobsRequest(page=page, limit=2)) for page in (1, 2, 3)]
    assert client.status(id)["progress"] == 100
    assert [*client.result_urls(id)] == [f"https://example.com/{id}.tif"]
    return [each for page in pages for each in _pairs(page["jobs"], "jobID", "status")], (
        id,
        client.status(id)["status"],
    )


@client("sentinel-hub")
def sentinel_hub(url: str, key: str, id: str) -> tuple[list[Pair], Pair]:
    sentinelhub = import_module("sentinelhub")
    config = sentinelhub.SHConfig(use_defaults=True)
    config.sh_base_url, config.sh_token_url = url, f"{url}/token"
    config.sh_client_id, config.sh_client_secret = "me", key
    config.max_download_attempts = 1
    batch = import_module("sentinelhub.api.batch.process").BatchProcessClient(config)
    listed = [(each.request_id, each.status.value) for each in batch.iter_requests(sort="created:desc")]
    one = batch.get_request(id)
    return listed, (one.request_id, one.status.value)


@client("openeo")
def openeo(url: str, key: str, id: str) -> tuple[list[Pair], Pair]:
    connection = import_module("openeo").connect(url, auto_validate=False).authenticate_bearer_token(key)
    listed = connection.list_jobs(limit=2)
    links = [each.href for each in listed.links if each.rel == "next"]
    assert links, "the first page tells the next one"
    job = connection.job(id)
    assets = job.get_results().get_assets()
    assert [each.name for each in assets] == ["1.tif"]
    # The client asks for no next page.
    rest = connection.get(links[0].removeprefix(url)).json()
    return [*_pairs(listed, "id", "status"), *_pairs(rest["jobs"], "id", "status")], (id, job.status())


@client("stapi")
def stapi(url: str, key: str, id: str) -> tuple[list[Pair], Pair]:
    """Not a client: the models of the specification, which the stand-in's documents have to be of."""
    stapi, httpx = import_module("stapi_pydantic"), import_module("httpx")
    headers = {"authorization": f"Bearer {key}"}
    listed: list[Pair] = []
    link: str | None = f"{url}/orders"
    while link:
        response = httpx.get(link, headers=headers, trust_env=False).raise_for_status()
        page = stapi.OrderCollection[stapi.OrderStatus].model_validate_json(response.content)
        listed += [(each.id, each.properties.status.status_code.value) for each in page]
        link = next((str(each.href) for each in page.links if each.rel == "next"), None)
    response = httpx.get(f"{url}/orders/{id}", headers=headers, trust_env=False).raise_for_status()
    one = stapi.Order[stapi.OrderStatus].model_validate_json(response.content)
    return listed, (one.id, one.properties.status.status_code.value)


def main(name: str, url: str, key: str, id: str) -> None:
    os.environ["NO_PROXY"] = "*"
    try:  # first, since sentinelhub would use a token again that it has got with another secret
        CLIENTS[name](url, "another-key", id)
        rejected = ""
    except Exception as error:
        rejected = type(error).__name__
    listed, one = CLIENTS[name](url, key, id)
    print(json.dumps({"listed": listed, "one": one, "rejected": rejected}))


if __name__ == "__main__":
    main(*sys.argv[1:])
