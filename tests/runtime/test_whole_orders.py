"""Whole orders: one event of each, once all of its items have ended, however these are told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.working import AT_ONCE, PATIENCE, durable
from webhook_receiver import (
    DeliverySummary,
    Filter,
    ImageryEvent,
    ImageryFailed,
    ImageryPartlyReady,
    ImageryProgress,
    ImageryReady,
    Sender,
    State,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.runtime.whole_orders import NAME, VIA
from webhook_receiver.senders import Split
from webhook_receiver.senders.imagery.events import ProviderEvent, Reading
from webhook_receiver.senders.imagery.statuses import Statuses


class AcmeReady(ProviderEvent, ImageryReady, frozen=True):
    event: Literal["acme.item.ready"]


class AcmePartlyReady(ProviderEvent, ImageryPartlyReady, frozen=True):
    event: Literal["acme.item.partly-ready"]


class AcmeFailed(ProviderEvent, ImageryFailed, frozen=True):
    event: Literal["acme.item.failed"]


class AcmeProgress(ProviderEvent, ImageryProgress, frozen=True):
    event: Literal["acme.item.progress"]


def acme(**parts: Any) -> Sender:
    """Return a sender that tells the items of an order, alone or several in one call."""
    reading = Reading(
        event="acme.item",
        statuses=Statuses(ready="done", partly_ready="part", failed="lost", progress="underway", source="made up"),
        status=("state",),
        order_id=("order",),
        item=("file",),
        expires_at=("until",),
        item_count=("count", "query:items"),
        id=(("order",), ("file",), ("state",)),
        parts=Split("files.*", {"order": "order", "count": "count"}),
    )
    scheme = parts.pop("scheme", Unsigned())
    sender = reading.sender(
        "acme", scheme, (AcmeReady, AcmePartlyReady, AcmeFailed, AcmeProgress), facts=("made up for tests",)
    )
    return replace(sender, **parts)


def item(file: str, state: str = "done", order: object = "o-1", **more: Any) -> dict[str, Any]:
    return {"order": order, "file": file, "state": state, **more}


def grouped(*files: str, order: str = "o-1", **more: Any) -> dict[str, Any]:
    return {"order": order, "files": [{"file": each, "state": "done"} for each in files], **more}


COUNT = {"order": "o-1", "state": "underway", "count": 3}
"""A document that tells how many items the order has."""


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an inbox of each kind."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/hooks.db?min_free=0"


Make = Callable[..., WebhookReceiver]


@pytest.fixture
def make(url: str) -> Make:
    return partial(durable, url, clock=time.time, backoff=AT_ONCE)


def noting(hooks: WebhookReceiver) -> tuple[list[str], list[ImageryEvent]]:
    """Have a receiver note the items that are told, and the whole orders."""
    items, orders = list[str](), list[ImageryEvent]()

    @hooks.on(ImageryReady)
    def ready(image: ImageryReady) -> None:
        items.extend(image.items)

    @hooks.on(ImageryEvent, whole_order=True)
    def whole(image: ImageryEvent) -> None:
        orders.append(image)

    return items, orders


def told(orders: Sequence[ImageryEvent]) -> list[tuple[str, list[str], list[str], bool]]:
    """Return what events of whole orders tell: their class, the items, and whether they are late."""
    return [
        (
            type(each).__name__.removeprefix("WholeOrder"),
            sorted(each.items),
            sorted(each.failed_items),
            each.late,
        )
        for each in orders
    ]


async def send(hooks: WebhookReceiver, *documents: object, target: str = "/webhooks") -> None:
    for document in documents:
        body = json.dumps(document).encode()
        head = hooks.sender.scheme.sign(RequestHead.of({}, target=target), body, hooks.runtime.clock())
        receipt = await hooks.receive(head.headers, body, target=head.target)
        assert receipt.response.status in (200, 202), receipt


async def finished(hooks: WebhookReceiver) -> Sequence[DeliverySummary]:
    """Wait until all deliveries are finished; return them in order of receipt."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await hooks.inbox.find(Filter(), newest_first=False)
            if not any(each.leased or each.state is State.WAITING for each in found):
                assert {each.state for each in found} <= {State.DONE}
                return found
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    "documents",
    [
        [item("a", count=3), item("b"), item("c")],
        [item("a"), item("b", count=3), item("c")],
        [item("c"), item("b"), item("a", count=3)],
        [COUNT, item("c"), item("a"), item("b")],
        [item("a"), COUNT, item("b"), item("c")],
        [item("a"), item("b"), item("c"), COUNT],
        [grouped("a", "b", "c", count=3)],
        [grouped("a", "b"), COUNT, item("c")],
        [item("b"), grouped("a", "b", "c"), item("a"), COUNT],
        [item("a"), item("a"), item("b", "underway"), item("b"), item("b"), item("c"), COUNT, COUNT],
    ],
)
async def test_an_order_is_told_once_however_its_items_and_their_number_are_told(
    make: Make, documents: list[Any]
) -> None:
    hooks = make(sender=acme())
    items, orders = noting(hooks)
    async with hooks:
        await send(hooks, *documents)
        found = await finished(hooks)
    assert sorted(items) == ["a", "b", "c"]
    assert told(orders) == [("Ready", ["a", "b", "c"], [], False)]
    (order,) = orders
    assert (order.provider, order.order_id, order.status, order.item_count) == ("acme", "o-1", "done", 3)
    assert {name: each["file"] for name, each in order.document.items()} == {"a": "a", "b": "b", "c": "c"}
    assert [each.via for each in found].count(VIA) == 1
    assert all(NAME in each.handlers for each in found if each.via != VIA)
