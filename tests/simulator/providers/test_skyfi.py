"""SkyFi as it is played: orders with a webhook, 200 within two seconds, images behind links that end."""

from __future__ import annotations

import pytest

from tests.simulator.playing import catching
from webhook_receiver.simulator.files import content

from .playing import playing

ORDER = {"aoi": "POLYGON ((0 0, 0 1, 1 1, 1 0, 0 0))", "archiveId": "a-7"}
WITHOUT_A_BUCKET = [
    *("CREATED", "STARTED", "PROVIDER_PENDING", "PROVIDER_COMPLETE", "PROCESSING_PENDING", "PROCESSING_COMPLETE")
]


@pytest.mark.parametrize(
    ("driver", "statuses"),
    [(None, WITHOUT_A_BUCKET), ("S3", [*WITHOUT_A_BUCKET, "DELIVERY_PENDING", "DELIVERY_COMPLETED"])],
)
def test_an_order_tells_its_webhook_of_each_status(driver: str | None, statuses: list[str]) -> None:
    given = ORDER if driver is None else {**ORDER, "deliveryDriver": driver}
    with catching(*[200] * 8) as (catcher, hook), playing("skyfi", pace=1) as played:
        order = played.ask("POST", "/order-archive", 201, json={**given, "webhookUrl": hook})
        got = [catcher.next().document for _ in statuses]
        assert {each["orderInfo"]["id"] for each in got} == {order["id"]}
        assert sorted(each["event"]["status"] for each in got) == sorted(statuses)
        assert all(each["orderInfo"]["status"] == each["event"]["status"] for each in got)
        assert "events" not in got[0]["orderInfo"]
        history = played.ask("GET", f"/orders/{order['id']}")
        assert [each["status"] for each in history["events"]] == statuses
        assert history["archiveId"] == "a-7"


@pytest.mark.parametrize("answer", [202, 204, 302, 500])
def test_anything_but_200_is_tried_again_three_times(answer: int) -> None:
    with catching(*[answer] * 9) as (_, hook), playing("skyfi", webhook=hook) as played:
        played.create()
        (ended,) = played.ended()
        assert (ended.ended, [each.status for each in ended.attempts]) == ("failed", [answer] * 4)


def test_200_ends_the_attempts() -> None:
    with catching(202, 200) as (_, hook), playing("skyfi", webhook=hook) as played:
        played.create()
        (ended,) = played.ended()
        assert (ended.ended, [each.status for each in ended.attempts]) == ("delivered", [202, 200])
    assert played.simulator.options.timeout == 2


def test_an_image_is_behind_a_link_that_ends_and_comes_in_parts() -> None:
    with playing("skyfi") as played:
        id = played.create(assetSize=1000)
        played.ask("GET", f"/orders/{id}/image", 404)
        played.move(id)
        (order,) = played.ask("GET", "/orders")["orders"]
        redirect = played.client.get(order["downloadImageUrl"])
        assert redirect.status_code == 307
        link = redirect.headers["location"]
        whole = b"".join(content(id, 0, 1000))
        assert played.client.get(link, headers={"x-skyfi-api-key": ""}).content == whole
        part = played.client.get(link, headers={"range": "bytes=900-"})
        assert (part.status_code, part.content) == (206, whole[900:])
        played.clock.move(86_401)
        assert played.client.get(link).status_code == 403
        again = played.client.get(played.client.get(order["downloadImageUrl"]).headers["location"])
        assert again.content == whole


def test_an_order_without_what_it_needs_is_refused_and_so_is_who_has_no_key() -> None:
    with playing("skyfi") as played:
        problem = played.ask("POST", "/order-archive", 422, json={"aoi": "POLYGON EMPTY"})
        assert problem["detail"][0]["loc"] == ["body", "archiveId"]
        played.ask("POST", "/order-archive", 400, content=b"[]")
        played.ask("GET", "/orders", 401, headers={"x-skyfi-api-key": "another"})
        assert played.simulator.orders == {}
