"""ICEYE's tasks, as a source.

Read in a third party's copy of the OpenAPI of ICEYE's Tasking API 2.0.0 (`/tasks`, `createdAfter`, `cursor`, statuses)
and in docs.iceye.com. The address of the token endpoint is a third party's, too: it is settable. How a listing is
sorted, and whether FULFILLED is always followed by DONE, is not known.
"""

from __future__ import annotations

from datetime import datetime

from .access import OAuth2
from .api import Api, Connection, Query, part_of_path
from .api_source import ApiSource
from .entries import all_of
from .listings import ByStart, Item, Page, ends_with, item_of, items_of, member
from .times import text_of

URL = "https://platform.iceye.com/api"
TOKEN = "https://auth.iceye.com/oauth2/token"  # noqa: S105
_TASKS = "/tasking/v2/tasks"


def iceye_tasks_source(client_id: str, client_secret: str, *, url: str = URL, token_url: str = TOKEN) -> ApiSource:
    """Return the source that tells ICEYE's tasks whose status changed.

    A document is the task as the API has it. Its products are at `/tasking/v2/tasks/{id}/products`.

    Args:
        client_id: the id of the API client.
        client_secret: its secret.
        url: the address of the API.
        token_url: the URL of the token endpoint.

    Raises:
        ConfigurationError: an address is none of https.
    """
    ends = ends_with("DONE", "REJECTED", "FAILED", "CANCELED")
    listing = ByStart(read=_read, one=_one, has_ended=ends, newest_first=False)
    api = Api(url=url, access=OAuth2(token_url, client_id, client_secret))
    return ApiSource(name="iceye-tasks", api=api, listing=listing)


async def _read(connection: Connection, begin: datetime, after: str | None) -> Page:
    query: Query = {"createdAfter": text_of(begin), "limit": 100, **({"cursor": after} if after else {})}
    page = await connection.get(_TASKS, query)
    token = member(page, "cursor")
    return Page(all_of(_item, items_of(page, "data")), str(token) if token else None)


async def _one(connection: Connection, id: str) -> Item:
    return _item(await connection.get(f"{_TASKS}/{part_of_path(id)}"))


def _item(whole: object) -> Item:
    return item_of(whole, id="id", status="status", at="createdAt")
