"""The assets API, and downloads: whole, in ranges, and no longer than their URL is valid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.simulator.playing import WORKSPACE, Played, playing
from tests.working import Clock
from webhook_receiver.senders.up42.models import ASSET, ASSETS, DOWNLOAD, Asset, Page

SIZE = 150_001


@pytest.fixture
def played() -> Iterator[Played]:
    with playing(clock=Clock()) as played:
        yield played


@pytest.fixture
def url(played: Played) -> str:
    played.create(displayName="harbour", status="FULFILLED", assetSize=SIZE)
    (asset,) = found(played)
    url: str = played.ask("POST", DOWNLOAD.format(asset_id=asset.id))["url"]
    return url


def found(played: Played, **query: Any) -> tuple[Asset, ...]:
    return Page[Asset].model_validate(played.ask("GET", ASSETS, params=query)).content


def get(url: str, method: str = "GET", **headers: str) -> httpx.Response:
    return httpx.request(method, url, headers={k.replace("_", "-"): v for k, v in headers.items()}, trust_env=False)


def test_an_order_has_assets_once_it_is_fulfilled(played: Played) -> None:
    (made,) = played.create(displayName="harbour", assets=2, assetSize=7)
    assert found(played) == ()
    played.move(made["id"])
    assets = found(played, search=made["id"])
    assert sorted(str(asset.name) for asset in assets) == ["harbour 1.bin", "harbour 2.bin"]
    assert {(asset.order_id, asset.size, asset.workspace_id) for asset in assets} == {(made["id"], 7, WORKSPACE)}
    assert Asset.model_validate(played.ask("GET", ASSET.format(asset_id=assets[0].id))) == assets[0]
    assert played.ask("GET", ASSET.format(asset_id="x"), status=404)["error"]["message"] == "there is no asset 'x'"
    assert played.ask("POST", DOWNLOAD.format(asset_id="x"), status=404)["error"]["code"] == "NOT_FOUND"


def test_an_order_that_fails_has_none(played: Played) -> None:
    played.create(status="FAILED_PERMANENTLY")
    assert found(played) == ()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"search": "HARB"}, ["harbour"]),
        ({"workspaceId": WORKSPACE}, ["field", "harbour"]),
        ({"workspaceId": "elsewhere"}, []),
        ({"createdAfter": "2025-12-11T06:03:33Z"}, ["field"]),
        ({"createdBefore": "2025-12-11T06:03:33"}, ["harbour"]),
        ({"createdAfter": "2025-12-12"}, []),
        ({"sort": "size,asc"}, ["harbour", "field"]),
        ({"sort": "name,desc", "size": 1}, ["harbour"]),
    ],
)
def test_assets_are_sought_and_sorted(played: Played, query: dict[str, Any], names: list[str]) -> None:
    played.create(displayName="harbour", status="FULFILLED", assetSize=1)
    assert played.clock
    played.clock.move(10)
    played.create(displayName="field", status="FULFILLED", assetSize=2)
    assert [str(asset.name).removesuffix(" 1.bin") for asset in found(played, **query)] == names


def test_a_moment_that_is_none_is_rejected(played: Played) -> None:
    told = played.ask("GET", ASSETS, status=400, params={"createdAfter": "soon"})
    assert told["error"]["message"].startswith("createdAfter: ")


def test_a_download_needs_no_token_and_brings_the_same_bytes_every_time(url: str) -> None:
    whole = get(url)
    assert (whole.status_code, len(whole.content)) == (200, SIZE)
    assert whole.headers["content-length"] == str(SIZE)
    assert whole.headers["accept-ranges"] == "bytes"
    assert get(url).content == whole.content
    assert len(set(whole.content)) == 256  # nothing that compresses


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, SIZE),
        ("bytes=65535-65536", 65_535, 65_537),
        ("bytes=100000-", 100_000, SIZE),
        ("bytes=131072-999999999", 131_072, SIZE),
        ("bytes=-5", SIZE - 5, SIZE),
        ("bytes=-999999999", 0, SIZE),
    ],
)
def test_a_range_is_that_part_of_the_whole(url: str, wanted: str, start: int, end: int) -> None:
    part = get(url, range=wanted)
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert part.content == get(url).content[start:end]


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", "bytes=999999999-9999999999", "bytes=-0"])
def test_a_range_beyond_the_end_is_rejected(url: str, wanted: str) -> None:
    rejected = get(url, range=wanted)
    assert (rejected.status_code, rejected.headers["content-range"]) == (416, f"bytes */{SIZE}")


@pytest.mark.parametrize("wanted", ["bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=-", "nonsense"])
def test_a_range_that_is_none_is_ignored(url: str, wanted: str) -> None:
    assert (get(url, range=wanted).status_code, len(get(url, range=wanted).content)) == (200, SIZE)


def test_a_range_of_what_has_changed_since_is_everything(url: str) -> None:
    tag = get(url).headers["etag"]
    assert get(url, range="bytes=1-", if_range=tag).status_code == 206
    assert get(url, range="bytes=1-", if_range='"another"').status_code == 200


def test_how_large_it_is_can_be_asked_for_alone(url: str) -> None:
    head = get(url, "HEAD")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(SIZE), b"")


def test_an_empty_asset_is_downloaded_too(played: Played) -> None:
    played.create(status="FULFILLED", assetSize=0)
    url = played.ask("POST", DOWNLOAD.format(asset_id=found(played)[0].id))["url"]
    assert (get(url).status_code, get(url).content) == (200, b"")
    assert get(url, range="bytes=0-").status_code == 416


def test_the_url_of_a_download_expires(played: Played, url: str) -> None:
    assert played.clock
    played.clock.move(299)
    assert get(url).status_code == 200
    played.clock.move(2)
    assert get(url).status_code == 403
    assert "has expired" in get(url).json()["error"]["message"]


def test_the_url_of_a_download_cannot_be_made_up(url: str) -> None:
    for wrong in (url.replace("expires=1", "expires=2"), url.partition("?")[0], url[:-1] + "é"):
        assert get(wrong).json()["error"]["message"] == "the URL is not one that this simulator gave"
