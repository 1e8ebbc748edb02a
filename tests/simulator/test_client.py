"""The client and the test server, each as the other's proof."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.helpers import SECRET, noting
from tests.simulator.playing import Played, playing, receiving
from tests.working import Clock
from webhook_receiver import ApiError, OrderFulfilled
from webhook_receiver.senders.up42.client import WebhooksClient


@pytest.fixture
def played() -> Generator[Played]:
    with playing() as played:
        yield played


def client_of(played: Played) -> WebhooksClient:
    return WebhooksClient(url=played.url, username="anybody", password="anything")


async def test_a_webhook_lives_from_ensure_to_delete(played: Played) -> None:
    noted = noting(clock=None)
    with receiving(noted.hooks) as url:
        async with client_of(played) as client:
            assert "order.status" in [each.name for each in await client.event_types()]
            for done in ("created", "unchanged"):
                webhook, was = await client.ensure(name="images", url=url, events=["order.status"], secret=SECRET)
                assert was == done
            assert (await client.test(webhook.id)).tests_succeeded == 1
            assert await client.get(webhook.id) == webhook
            await client.update(webhook.id, secret="another one")
            tests = await client.test(webhook.id)
            assert [(test.succeeded, test.status) for test in tests.tests] == [(False, 401)]
            await client.delete(webhook.id)
            assert await client.list() == ()
            with pytest.raises(ApiError) as rejected:
                await client.get(webhook.id)
    assert rejected.value.status == 404
    assert [type(event) for event in noted.events] == [OrderFulfilled]


async def test_what_the_server_rejects_arrives_as_a_sentence(played: Played) -> None:
    async with client_of(played) as client:
        with pytest.raises(ApiError, match="name: String should have at most") as rejected:
            await client.create("n" * 20_000, "https://example.com/", ["order.status"])
        with pytest.raises(ApiError, match=r"there is no event 'order\.lost'"):
            await client.create("images", "https://example.com/", ["order.lost"])
        with pytest.raises(ApiError, match="sort: it is one of"):
            [order async for order in client.orders(sort="nope")]
    assert (rejected.value.status, rejected.value.code) == (400, "BAD_REQUEST")


async def test_orders_are_read_over_all_pages_and_by_status(played: Played) -> None:
    made = played.create(count=45)
    played.move(made[7]["id"])
    async with client_of(played) as client:
        found = [order.id async for order in client.orders()]
        fulfilled = [order.id async for order in client.orders(status=["FULFILLED", "CANCELED"], sort="updatedAt,asc")]
        assert (await client.order(made[7]["id"])).is_terminal
    assert sorted(found) == sorted(order["id"] for order in made)
    assert fulfilled == [made[7]["id"]]


async def test_the_assets_of_an_order_are_found(played: Played) -> None:
    made = played.create(count=3)
    for order in made:
        played.move(order["id"])
    async with client_of(played) as client:
        assets = [asset async for asset in client.assets(made[1]["id"])]
    assert [asset.order_id for asset in assets] == [made[1]["id"]]


async def test_a_token_that_ends_in_the_middle_is_got_anew() -> None:
    clock = Clock()
    with playing(clock=clock) as played:
        async with client_of(played) as client:
            assert await client.list() == ()
            clock.move(3600)
            assert await client.list() == ()
