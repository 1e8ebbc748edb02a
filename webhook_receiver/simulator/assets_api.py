"""The assets API: read and list the assets of fulfilled orders, and download them from a URL that expires."""

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

FILE = "/_simulator/files/{asset_id}"

_BLOCK = 65_536  # bytes generated at a time


class AssetsQuery(Paging):
    """The query of a list of assets (SDK)."""

    workspace_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    search: str | None = None
    """A text that the asset's name or its order's id contains."""

    def fits(self, asset: Asset) -> bool:
        """Whether an asset matches the query."""
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


def routes(simulator: Simulator) -> list[BaseRoute]:
    """Return the routes of the assets API and of the files to download."""
    return [
        guarded(simulator, ASSETS, all_assets),
        guarded(simulator, ASSET, get),
        guarded(simulator, DOWNLOAD, download_url, "POST"),
        Route(FILE, partial(file, simulator), name=FILE),
    ]


async def all_assets(simulator: Simulator, request: Request) -> Response:
    """Return one page of the list of assets."""
    wanted = query(request, AssetsQuery)
    return paged([each for each in simulator.store.assets if wanted.fits(each)], wanted, _KEYS)


async def get(simulator: Simulator, request: Request) -> Response:
    """Return the metadata of an asset, without an envelope."""
    return JSONResponse(simulator.asset(request.path_params["asset_id"]).as_json())


async def download_url(simulator: Simulator, request: Request) -> Response:
    """Return a URL that the asset can be downloaded from without a token, until it expires."""
    asset = simulator.asset(request.path_params["asset_id"])
    until = f"{simulator.clock() + simulator.options.download_expires_in:.3f}"
    url = request.url_for(FILE, asset_id=asset.id).include_query_params(
        expires=until, signature=stamp(simulator, f"file/{asset.id}/{until}")
    )
    return JSONResponse({"url": str(url)})


async def file(simulator: Simulator, request: Request) -> Response:
    """Return the bytes of an asset, always the same ones, or a range of them (RFC 9110 section 14)."""
    asset = simulator.asset(request.path_params["asset_id"])
    until, signature = (request.query_params.get(name, "") for name in ("expires", "signature"))
    if not hmac.compare_digest(signature.encode(), stamp(simulator, f"file/{asset.id}/{until}").encode()):
        raise ApiError("the URL is not one that this simulator gave", status=403)
    if simulator.clock() >= float(until):
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
    """Yield the bytes of an asset from offset `start` up to `end`; they are derived from its id."""
    for number in range(start // _BLOCK, -(-end // _BLOCK)):
        block = hashlib.shake_128(f"{asset_id}/{number}".encode()).digest(_BLOCK)
        at = number * _BLOCK
        yield block[max(0, start - at) : end - at]


def _range(wanted: str, size: int) -> tuple[int, int] | None:
    """Return the range's first offset and the one after its last; None if the whole asset is to be sent."""
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
