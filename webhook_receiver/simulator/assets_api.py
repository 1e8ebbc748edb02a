"""The assets API: read and list what orders brought, and download it from a URL that expires."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from ..errors import ApiError
from ..senders.up42.models import ASSET, ASSETS, DOWNLOAD, Asset
from .envelope import Paging, paged, query
from .simulator import Simulator
from .tokens import guarded, stamp

FILE = "/_sender/files/{asset_id}"

_BLOCK = 65_536  # bytes that are made at once


class AssetsQuery(Paging):
    """Which assets are wanted (SDK)."""

    workspace_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    search: str | None = None
    """What its name, or the id of its order, contains."""

    def fits(self, asset: Asset) -> bool:
        """Whether an asset is wanted."""
        search = (self.search or "").lower()
        return (
            self.workspace_id in (None, asset.workspace_id)
            and (self.created_after is None or asset.created_at > _in_utc(self.created_after))
            and (self.created_before is None or asset.created_at < _in_utc(self.created_before))
            and (search in (asset.name or "").lower() or search in (asset.order_id or "").lower())
        )


_KEYS = {
    "createdAt": attrgetter("created_at"),
    "updatedAt": attrgetter("updated_at"),
    "name": attrgetter("name"),
    "size": attrgetter("size"),
}


def routes(sender: Simulator) -> list[BaseRoute]:
    """Return the routes of the assets API, and of the files."""
    return [
        guarded(sender, ASSETS, all_assets),
        guarded(sender, ASSET, get),
        guarded(sender, DOWNLOAD, download_url, "POST"),
        Route(FILE, partial(file, sender), name=FILE),
    ]


async def all_assets(sender: Simulator, request: Request) -> Response:
    """List assets, a page of them."""
    wanted = query(request, AssetsQuery)
    return paged([each for each in sender.state.assets if wanted.fits(each)], wanted, _KEYS)


async def get(sender: Simulator, request: Request) -> Response:
    """Return what is known of an asset, bare."""
    return JSONResponse(sender.asset(request.path_params["asset_id"]).as_json())


async def download_url(sender: Simulator, request: Request) -> Response:
    """Return a URL that the asset can be downloaded from for a while, without a token."""
    asset = sender.asset(request.path_params["asset_id"])
    until = f"{sender.clock() + sender.options.download_expires_in:.3f}"
    url = request.url_for(FILE, asset_id=asset.id).include_query_params(
        expires=until, signature=stamp(sender, f"file/{asset.id}/{until}")
    )
    return JSONResponse({"url": str(url)})


async def file(sender: Simulator, request: Request) -> Response:
    """Serve an asset's bytes, or a range of them (RFC 9110 section 14); always the same for the same asset."""
    asset = sender.asset(request.path_params["asset_id"])
    until, signature = (request.query_params.get(name, "") for name in ("expires", "signature"))
    if not hmac.compare_digest(signature.encode(), stamp(sender, f"file/{asset.id}/{until}").encode()):
        raise ApiError("the URL is not one that this sender gave", status=403)
    if sender.clock() >= float(until):
        raise ApiError(f"the URL has expired: ask for a new one at {DOWNLOAD}", status=403)
    tag = f'"{asset.id}-{asset.size}"'
    headers = {"accept-ranges": "bytes", "etag": tag, "content-type": asset.content_type}
    wanted = request.headers.get("range", "")
    start, end = 0, asset.size
    status = 200
    if wanted and request.method == "GET" and request.headers.get("if-range", tag) == tag:
        found = _range(wanted, asset.size)
        if found is not None:
            start, end = found
            if start >= end:
                headers["content-range"] = f"bytes */{asset.size}"
                return Response(status_code=416, headers=headers)
            status = 206
            headers["content-range"] = f"bytes {start}-{end - 1}/{asset.size}"
    headers["content-length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(content(asset.id, start, end), status, headers)


def content(asset_id: str, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of an asset from `start` up to `end`; they follow from its id."""
    for number in range(start // _BLOCK, -(-end // _BLOCK)):
        block = hashlib.shake_128(f"{asset_id}/{number}".encode()).digest(_BLOCK)
        at = number * _BLOCK
        yield block[max(0, start - at) : end - at]


def _range(wanted: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one behind the last; None for what is to be answered with everything."""
    found = re.fullmatch(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))", wanted, re.ASCII)
    if found is None:
        return None  # several ranges, another unit, nonsense: a server may ignore those
    first, final, suffix = found.groups()
    if suffix is not None:
        return max(0, size - int(suffix)), size
    if final is not None and int(final) < int(first):
        return None
    return int(first), size if final is None else min(size, int(final) + 1)


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
