"""The jobs of NASA Harmony, as a source. Harmony's callbacks are its own; it has no webhooks for users.

Read in the server, nasa/harmony: `/jobs` (the newest first, `page`, `limit`, `links`), `/jobs/{jobID}`, the statuses,
and its documentation of jobs; and in the package harmony-py 1.8.0 (statuses, `linktype`). How often one may ask is not
documented.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ...errors import ApiError
from .access import KeyAccess
from .api import Api, Connection, Query, part_of_path
from .api_source import ApiSource
from .entries import all_of
from .listings import ByStart, Item, Page, document_of, ends_with, item_of, items_of, member, next_link

URL = "https://harmony.earthdata.nasa.gov"
_WITH_DATA = frozenset({"successful", "complete_with_errors"})
_ENDS = ends_with("successful", "complete_with_errors", "failed", "canceled")


def harmony_jobs_source(token: str, *, url: str = URL) -> ApiSource:
    """Return the source that tells the jobs of Harmony whose status changed.

    A document is the job as the API has it. Of a job that has ended it has the links to the first page of its results,
    which are there until `dataExpiration`.

    Args:
        token: the bearer token of Earthdata Login.
        url: the address of Harmony.

    Raises:
        ConfigurationError: the token cannot be in a header, or the address is none of https.
    """
    listing = ByStart(read=_read, one=_one, tell=_tell, has_ended=_ENDS, newest_first=True)
    return ApiSource(name="harmony-jobs", api=Api(url=url, access=KeyAccess(token)), listing=listing)


async def _read(connection: Connection, begin: datetime, after: str | None) -> Page:
    query: Query = {"page": 1, "limit": 100}
    page = await (connection.get(after) if after else connection.get("/jobs", query))
    return Page(all_of(_item, items_of(page, "jobs")), next_link(connection, page))


async def _one(connection: Connection, id: str) -> Item:
    return _item(await connection.get(f"/jobs/{part_of_path(id)}", {"linktype": "https"}))


async def _tell(connection: Connection, item: Item) -> Sequence[bytes]:
    if item.status in _WITH_DATA and not any(member(each, "rel") == "data" for each in _links(item)):
        try:
            item = await _one(connection, item.id)  # a listing leaves out the links to the data
        except ApiError as error:
            if error.status not in (404, 410):
                raise
    return [document_of(item.whole)]


def _links(item: Item) -> list[Any]:
    found: list[Any] = item.whole.get("links") or []
    return found if isinstance(found, list) else []


def _item(whole: object) -> Item:
    return item_of(whole, id="jobID", status="status", at="createdAt")
