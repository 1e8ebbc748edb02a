"""The jobs of ASF HyP3, as a source. HyP3 has no webhooks.

Read in the package hyp3-sdk 7.7.8 (addresses, `next`, statuses) and in the server, ASFHyP3/hyp3: the newest job is
first, `start` is compared with `request_time`, and a page may be empty and have a next one.
"""

from __future__ import annotations

from datetime import datetime

from .access import KeyAccess
from .api import Api, Connection, Query, part_of_path
from .api_source import ApiSource
from .entries import all_of
from .listings import ByStart, Item, Page, ends_with, item_of, items_of, member

URL = "https://hyp3-api.asf.alaska.edu"


def hyp3_jobs_source(token: str, *, url: str = URL) -> ApiSource:
    """Return the source that tells the jobs of HyP3 whose status changed.

    A document is the job as the API has it. The `files` of a job that has ended are there until `expiration_time`.

    Args:
        token: the bearer token of Earthdata Login.
        url: the address of the API, or of HyP3+.

    Raises:
        ConfigurationError: the token cannot be in a header, or the address is none of https.
    """
    listing = ByStart(read=_read, one=_one, has_ended=ends_with("SUCCEEDED", "FAILED"), newest_first=True)
    return ApiSource(name="hyp3-jobs", api=Api(url=url, access=KeyAccess(token)), listing=listing)


async def _read(connection: Connection, begin: datetime, after: str | None) -> Page:
    query: Query = {"start": begin.isoformat(timespec="seconds")}
    page = await (connection.get(after) if after else connection.get("/jobs", query))
    return Page(all_of(_item, items_of(page, "jobs")), connection.same_host(member(page, "next")))


async def _one(connection: Connection, id: str) -> Item:
    return _item(await connection.get(f"/jobs/{part_of_path(id)}"))


def _item(whole: object) -> Item:
    return item_of(whole, id="job_id", status="status_code", at="request_time")
