"""Sentinel Hub's batch processing requests (API v2), as a source. Sentinel Hub has no webhooks.

Read in the OpenAPI in eu-cdse/documentation at f65bac2 (`/api/v2/batch/process`, `sort`, `viewtoken`, statuses) and in
the package sentinelhub 3.12.0 (addresses, `links`, statuses, `Retry-After` in milliseconds).
"""

from __future__ import annotations

from datetime import datetime

from .access import OAuth2
from .api import Api, Connection, Query, part_of_path
from .api_source import ApiSource
from .entries import all_of
from .listings import ByStart, Item, Page, ends_with, item_of, items_of, member

URL = "https://services.sentinel-hub.com"
TOKEN = "https://services.sentinel-hub.com/auth/realms/main/protocol/openid-connect/token"  # noqa: S105
_BATCH = "/api/v2/batch/process"


def sentinel_hub_batch_source(
    client_id: str, client_secret: str, *, url: str = URL, token_url: str = TOKEN
) -> ApiSource:
    """Return the source that tells the batch requests of Sentinel Hub whose status changed.

    A document is the request as the API has it. A request that was stopped may be started again, and is asked for.

    Args:
        client_id: the id of the OAuth client.
        client_secret: its secret.
        url: the address of the deployment, such as https://sh.dataspace.copernicus.eu.
        token_url: the URL of its token endpoint.

    Raises:
        ConfigurationError: an address is none of https.
    """
    api = Api(url=url, access=OAuth2(token_url, client_id, client_secret), retry_after_unit=0.001)
    listing = ByStart(read=_read, one=_one, has_ended=ends_with("DONE", "FAILED"), newest_first=True)
    return ApiSource(name="sentinel-hub-batch", api=api, listing=listing)


async def _read(connection: Connection, begin: datetime, after: str | None) -> Page:
    query: Query = {"sort": "created:desc", **({"viewtoken": after} if after else {})}
    page = await connection.get(_BATCH, query)
    token = member(page, "links", "nextToken")
    return Page(all_of(_item, items_of(page, "data")), str(token) if token else None)


async def _one(connection: Connection, id: str) -> Item:
    return _item(await connection.get(f"{_BATCH}/{part_of_path(id)}"))


def _item(whole: object) -> Item:
    return item_of(whole, id="id", status="status", at="created")
