"""The assets API: read and list the assets of fulfilled orders, and download them from a URL that expires."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ..errors import ApiError
from ..senders.up42.models import ASSET, ASSETS, DOWNLOAD, Asset
from .envelope import Paging, paged, query
from .files import file_response
from .simulator import Simulator
from .tokens import guarded, stamp

FILE = "/_simulator/files/{asset_id}"


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
    return file_response(request, asset.id, asset.size, asset.content_type)


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
