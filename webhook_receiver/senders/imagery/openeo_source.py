"""The batch jobs of an openEO back-end, as a source. openEO 1.x has no webhooks.

Read in the OpenAPI of openEO 1.2.0 (`/jobs`, `/jobs/{job_id}/results`, statuses, pages) and in the package openeo
0.53.0 (the form of a token). openEO says nothing of how a listing is sorted, so it is read to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ...errors import ApiError
from .access import KeyAccess
from .api import Api, Connection, Query, part_of_path
from .api_source import ApiSource
from .entries import all_of
from .listings import ByStart, Item, Page, document_of, ends_with, item_of, items_of, member, next_link

_ENDS = ends_with("finished", "error", "canceled")


def openeo_jobs_source(token: str, *, url: str, name: str = "openeo-jobs") -> ApiSource:
    """Return the source that tells the batch jobs of an openEO back-end whose status changed.

    A document is the job as the API has it. A job that has finished has `results` in it, the response of
    `/jobs/{job_id}/results`: its links are signed, and end at `expires` there, if the back-end says so. A job that has
    ended and is started again is told again.

    Args:
        token: the bearer token, as openEO has it: "oidc/PROVIDER/TOKEN" or "basic//TOKEN".
        url: the address of the API with its version, such as https://openeo.example.com/openeo/1.2.
        name: the source's name, for a receiver with several of them.

    Raises:
        ConfigurationError: the token cannot be in a header, or the address is none of https.
    """
    listing = ByStart(read=_read, one=_one, tell=_tell, has_ended=_has_ended, newest_first=False)
    return ApiSource(name=name, api=Api(url=url, access=KeyAccess(token)), listing=listing)


async def _read(connection: Connection, begin: datetime, after: str | None) -> Page:
    query: Query = {"limit": 100}
    page = await (connection.get(after) if after else connection.get("/jobs", query))
    return Page(all_of(_item, items_of(page, "jobs")), next_link(connection, page))


async def _one(connection: Connection, id: str) -> Item:
    return _item(await connection.get(f"/jobs/{part_of_path(id)}"))


async def _tell(connection: Connection, item: Item) -> Sequence[bytes]:
    if item.status != "finished":
        return [document_of(item.whole)]
    try:
        results = await connection.get(f"/jobs/{part_of_path(item.id)}/results")
    except ApiError as error:
        if error.status is None or not 400 <= error.status <= 499 or error.status in (401, 403, 429):
            raise
        results = None  # such as after their end
    return [document_of({**item.whole, "results": results})]


def _item(whole: object) -> Item:
    # The time of the last status, if the back-end tells it: all pages are read anyway.
    at = "created" if member(whole, "updated") is None else "updated"
    found = item_of(whole, id="id", status="status", at=at)
    # A job may be started again, and end between two polls.
    return found._replace(run=str(member(whole, "updated") or "")) if _ENDS(found) else found


def _has_ended(item: Item) -> bool:
    """Return whether nothing comes by itself: many jobs are created and never started."""
    return _ENDS(item) or (item.status == "created" and member(item.whole, "updated") is not None)
