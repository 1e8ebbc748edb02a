"""Capella's tasking requests, as a source. Capella has no webhooks.

Read in the package capella-console-client 0.20.1 (`POST /tasks/search`, its pages, `lastStatusTime` and
`lastStatusCode`, the header of the key) and in a third party's copy of the OpenAPI of tasking-service 1.0.0 (intervals,
`sort`, `order`). That `lastStatusTime` is a key to sort by is not confirmed, so all pages are read. Whose requests
a search without `userId` finds is not known, so the query is settable. Limits of rates are not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, cast

from ...errors import ApiError
from .access import KeyAccess
from .api import Api, Connection, Query, part_of_path
from .api_source import ApiSource
from .entries import all_of
from .listings import ByChange, Item, Page, item_of, items_of, member, word_of
from .times import moment, text_of

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
    items = all_of(_item, items_of(page, "results"))
    total = member(page, "totalPages")
    return Page(items, str(number + 1) if isinstance(total, int) and number < total else None)


async def _one(connection: Connection, id: str) -> Item:
    return _item(await connection.get(f"/task/{part_of_path(id)}"))


def _item(whole: object) -> Item:
    found = item_of(whole, id="properties.taskingrequestId", status="", at="")
    entries: object = found.whole["properties"].get("statusHistory")
    history: list[tuple[datetime, str]] = []
    for each in cast("list[object]", entries) if isinstance(entries, list) else []:
        with suppress(ApiError):  # of one that is odd, the others tell
            history.append((moment(member(each, "time")), word_of(member(each, "code"))))
    if not history:
        return found
    at, status = max(history, key=lambda each: each[0])
    latest = {**found.whole["properties"], "lastStatusCode": status, "lastStatusTime": text_of(at)}
    return found._replace(status=status, at=at, whole={**found.whole, "properties": latest})
