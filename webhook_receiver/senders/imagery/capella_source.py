"""Capella's tasking requests, as a source. Capella has no webhooks.

Read in the package capella-console-client 0.20.1 (`POST /tasks/search`, its pages, `lastStatusTime` and
`lastStatusCode`, the header of the key) and in a third party's copy of the OpenAPI of tasking-service 1.0.0 (intervals,
`sort`, `order`). That `lastStatusTime` is a key to sort by is not confirmed, so all pages are read. Whose requests
a search without `userId` finds is not known, so the query is settable. Limits of rates are not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from ...errors import ApiError
from .access import KeyAccess
from .api import Api, Connection, Query, part_of_path
from .api_source import ApiSource
from .listings import ByChange, Item, Page, items_of, member, moment, text_of

URL = "https://api.capellaspace.com"
_SIZE = 250  # the least


def capella_tasks_source(api_key: str, *, query: Mapping[str, Any] | None = None, url: str = URL) -> ApiSource:
    """Return the source that tells Capella's tasking requests whose status changed.

    A document is the tasking request as the API has it, with the latest entry of its `statusHistory` as
    `lastStatusCode` and `lastStatusTime` in its properties, as the API calls them in searches.

    Args:
        api_key: the API key.
        query: what else the search asks for, such as {"userId": "..."} or {"organizationIds": ["..."]}.
        url: the address of the API.

    Raises:
        ConfigurationError: the key cannot be in a header, or the address is none of https.
    """
    access = KeyAccess(api_key, scheme="ApiKey", name="api_key")
    listing = ByChange(read=partial(_read, dict(query or {})), one=_one, is_sorted=False)
    return ApiSource(name="capella-tasks", api=Api(url=url, access=access), listing=listing)


async def _read(query: dict[str, Any], connection: Connection, begin: datetime, after: str | None) -> Page:
    number = int(after or 1)
    body = {
        "query": {**query, "lastStatusTime": f"{text_of(begin)}/.."},
        "sort": "lastStatusTime",
        "order": "asc",
        "page": number,
        "limit": _SIZE,
    }
    place: Query = {"page": number, "limit": _SIZE, "sort": "lastStatusTime", "order": "asc"}
    page = await connection.post("/tasks/search", place, body)
    items = [_item(each) for each in items_of(page, "results")]
    total = member(page, "totalPages")
    return Page(items, str(number + 1) if isinstance(total, int) and number < total else None)


async def _one(connection: Connection, id: str) -> Item:
    return _item(await connection.get(f"/task/{part_of_path(id)}"))


def _item(whole: Any) -> Item:
    try:
        properties = whole["properties"]
        history = [(moment(each["time"]), str(each["code"])) for each in properties["statusHistory"]]
        at, status = max(history, key=lambda each: each[0])
        latest = {**properties, "lastStatusCode": status, "lastStatusTime": text_of(at)}
        return Item(str(properties["taskingrequestId"]), status, at, {**whole, "properties": latest})
    except (KeyError, TypeError, ValueError):
        raise ApiError("the API told a tasking request without an id or a statusHistory") from None
