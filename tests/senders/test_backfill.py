from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import field_validator

from tests.helpers import NOW, SECRET
from tests.orders import Client, Simulator, order
from tests.working import PATIENCE, Clock, Ticking, about, deliver, durable, settled, until
from webhook_receiver import (
    ApiError,
    Backfill,
    ConfigurationError,
    Event,
    Filter,
    GiveUp,
    InboxError,
    OrderFulfilled,
    OrdersApi,
    OrderStatus,
    OrderStatusChanged,
    State,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.events import FulfilledBody
from webhook_receiver.senders.backfill import SLACK, OrdersSource, moment
from webhook_receiver.senders.source import Changes
from webhook_receiver.senders.standard_webhooks import standard_webhooks
from webhook_receiver.senders.up42 import up42
from webhook_receiver.senders.up42.models import Order
from webhook_receiver.senders.up42.orders_api import TERMINAL, body_of, changed_since

HOUR = 3600.0
BEGIN = NOW - HOUR


def noting(**options: Any) -> tuple[WebhookReceiver, list[tuple[str | None, str]]]:
    """Return a receiver, and what its handler was told of which orders."""
    hooks, told = durable(**options), list[tuple[str | None, str]]()

    @hooks.on(OrderStatusChanged)
    async def note(event: OrderStatusChanged) -> None:
        told.append((event.order_id, event.status))

    return hooks, told


async def all_handled(hooks: WebhookReceiver) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await hooks.inbox.stats()).counts[State.WAITING]:
            await asyncio.to_thread(int)


async def test_orders_that_ended_while_nobody_listened_are_handled(sender: Simulator, client: Client) -> None:
    for status in OrderStatus:
        sender.change(f"o-{status}", status, NOW - 60)
    hooks, told = noting()
    async with hooks:
        assert await hooks.backfill(client, since=HOUR) == Backfill(seen=3, put=3)
        await all_handled(hooks)
    assert sorted(told) == sorted((f"o-{status}", str(status)) for status in TERMINAL)


async def test_a_cancelled_order_goes_to_the_fallback_where_nobody_wants_every_status(
    sender: Simulator, client: Client
) -> None:
    sender.change("o-1", "CANCELED")
    hooks, fell = durable(), list[Event]()
    hooks.on(OrderFulfilled, name="download")(lambda event: None)
    hooks.fallback(fell.append)
    async with hooks:
        await hooks.backfill(client, since=HOUR)
        await all_handled(hooks)
    assert [event.identity for event in fell] == [("o-1", "CANCELED")]


async def test_a_backfilled_delivery_says_that_it_is_one(sender: Simulator, client: Client) -> None:
    sender.change("o-1")
    hooks, _ = noting()
    async with hooks:
        await hooks.backfill(client, since=HOUR)
        (record,) = await hooks.inbox.find(Filter())
        kept = await hooks.inbox.get(record.id)
    assert kept is not None
    delivery = kept.delivery
    assert (record.via, record.event, record.receiver) == ("backfill", "order.status", "up42")
    assert (delivery.via, delivery.verified_by, delivery.body_verified) == ("backfill", None, True)
    assert (delivery.headers, delivery.received) == ((), NOW)


def test_the_body_has_the_form_of_a_notification_and_the_whole_order() -> None:
    whole = order("o-1", "FAILED PERMANENTLY").model_copy(update={"order_details": {"subStatus": "QUOTATION_REJECTED"}})
    document = json.loads(body_of(whole, ("body", "orderId")))
    at = datetime.fromtimestamp(NOW, UTC).isoformat().replace("+00:00", "Z")
    assert document == {
        "event": "order.status",
        "body": {"orderId": "o-1", "status": "FAILED_PERMANENTLY", "updatedAt": at, "order": whole.as_json()},
    }
    assert document["body"]["order"]["orderDetails"] == {"subStatus": "QUOTATION_REJECTED"}


@pytest.mark.parametrize("path", ["body.orderId", "body.order.id", "body.data.0.number", "number"])
async def test_the_order_id_is_where_the_receiver_looks_for_it(sender: Simulator, client: Client, path: str) -> None:
    sender.change("o-1")
    hooks, told = noting(sender=up42(SECRET, order_id_paths=[path]))
    async with hooks:
        assert (await hooks.backfill(client, since=HOUR)).put == 1
        assert (await hooks.backfill(client, since=HOUR)).known == 1
        await all_handled(hooks)
    assert told == [("o-1", "FULFILLED")]


@pytest.mark.parametrize("path", ["event", "body.status", "event.id"])
async def test_an_id_that_cannot_be_where_the_receiver_looks_for_it_is_told(
    sender: Simulator, client: Client, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    sender.change("o-1")
    hooks, _ = noting(sender=up42(SECRET, order_id_paths=[path]))
    async with hooks:
        assert await hooks.backfill(client, since=HOUR) == Backfill(seen=1, unfit=1)
        assert not await hooks.inbox.find(Filter())
    assert "an order cannot be backfilled" in caplog.text


async def test_what_was_notified_is_known_whatever_became_of_it(sender: Simulator, client: Client) -> None:
    hooks = durable(stop=0)

    @hooks.on(OrderStatusChanged)
    def handler(event: OrderStatusChanged) -> None:
        if event.order_id == "o-dead":
            raise GiveUp("never")

    @hooks.on(OrderStatusChanged)
    async def second(event: OrderStatusChanged) -> None:
        if event.order_id == "o-waiting":
            await asyncio.Event().wait()

    for id in ("o-done", "o-dead", "o-waiting", "o-new"):
        sender.change(id)
    async with hooks:
        done, dead = await deliver(hooks, about("o-done")), await deliver(hooks, about("o-dead"))
        await deliver(hooks, about("o-waiting"))
        await settled(hooks, done)
        await settled(hooks, dead, State.DEAD)
        assert await hooks.backfill(client, since=HOUR) == Backfill(seen=4, put=1, known=3)
        await settled(hooks, dead, State.DEAD)  # still: a backfill replays nothing
        assert len(await hooks.inbox.find(Filter())) == 4


async def test_a_notification_that_comes_after_the_backfill_is_a_repeat(sender: Simulator, client: Client) -> None:
    sender.change("o-1")
    hooks, told = noting()
    async with hooks:
        await hooks.backfill(client, since=HOUR)
        await deliver(hooks, about("o-1"), status=200)
        await deliver(hooks, about("o-1", "FAILED PERMANENTLY"))
        await all_handled(hooks)
    assert told == [("o-1", "FULFILLED"), ("o-1", "FAILED_PERMANENTLY")]


async def test_no_more_pages_are_read_than_needed(sender: Simulator, client: Client) -> None:
    for number in range(100):
        sender.change(f"o-{number}", at=NOW - 60 * number)
    hooks, _ = noting()
    async with hooks:
        found = await hooks.backfill(client, since=timedelta(minutes=30) - timedelta(seconds=SLACK))
    assert found == Backfill(seen=31, put=31)
    assert sender.asked == ["page 0", "page 1", "page 0"]  # and one more look at the front


async def test_nothing_is_asked_twice_where_there_is_nothing(sender: Simulator, client: Client) -> None:
    hooks, _ = noting()
    async with hooks:
        assert await hooks.backfill(client, since=HOUR) == Backfill()
        assert sender.asked == ["page 0"]
        sender.change("o-old", at=NOW - 2 * HOUR)
        assert await hooks.backfill(client, since=HOUR) == Backfill()
    assert sender.asked == ["page 0"] * 2


async def test_an_order_that_moves_from_a_page_ahead_to_one_behind_is_not_missed(
    sender: Simulator, client: Client
) -> None:
    for number in range(50):
        sender.change(f"o-{number}", at=NOW - 60 - number)

    def move(page: int) -> None:
        if page == 1:
            sender.change("o-45", at=NOW)
            sender.before_page = lambda page: None

    sender.before_page = move
    assert {each.id async for each in changed_since(client, BEGIN)} == set(sender.orders)


@given(
    st.integers(0, 12),
    st.integers(1, 4),
    st.lists(st.lists(st.integers(0, 15), max_size=3), max_size=12),
)
def test_no_order_is_missed_or_told_twice_however_they_move(count: int, size: int, moves: list[list[int]]) -> None:
    """Each list of `moves` are the orders that change, or appear, before a page is read."""
    orders = {str(number): order(str(number), changed=NOW - 100 + number) for number in range(count)}
    at_first = set(orders)
    ticks = iter(range(1, 1000))
    ahead = iter(moves)

    class Moving:
        async def orders(
            self,
            *,
            status: Sequence[OrderStatus] | None = None,
            workspace_id: str | None = None,
            sort: str | None = None,
        ) -> AsyncIterator[Order]:
            page = 0
            while True:
                for number in next(ahead, ()):
                    orders[str(number)] = order(str(number), changed=NOW + next(ticks))
                found = sorted(orders.values(), key=lambda each: each.updated_at, reverse=True)
                content = found[page * size : (page + 1) * size]
                if not content:
                    return
                for each in content:
                    yield each
                page += 1

        async def order(self, id: str, /) -> Order:
            raise NotImplementedError

    async def look() -> list[str]:
        return [each.id async for each in changed_since(Moving(), BEGIN)]

    told = asyncio.run(look())
    assert at_first <= set(told)
    assert len(set(told)) == len(told)


async def test_orders_that_never_stand_still_are_told_of_instead_of_reading_for_ever(
    sender: Simulator, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    ticks = iter(range(1000))
    sender.before_page = lambda page: sender.change("o-1", at=NOW + next(ticks))
    assert [each.id async for each in changed_since(client, BEGIN)] == ["o-1"]
    assert "change faster than they can be read" in caplog.text


def test_since_is_a_time_or_how_long_ago() -> None:
    assert moment(90, NOW) == moment(timedelta(seconds=90), NOW) == NOW - 90
    assert moment(datetime.fromtimestamp(NOW - 5, UTC), NOW) == NOW - 5


@pytest.mark.parametrize(
    ("since", "said"),
    [
        (0, "above 0, not 0"),
        (-1.5, "above 0"),
        (float("nan"), "above 0"),
        (True, "above 0"),
        ("2h", "above 0, not '2h'"),
        (timedelta(0), "above 0"),
        (datetime(2025, 12, 1), "has no time zone"),
        (datetime(2100, 1, 1, tzinfo=UTC), "in the future"),
    ],
)
async def test_a_since_that_means_nothing_is_rejected(client: Client, since: Any, said: str) -> None:
    hooks, _ = noting()
    with pytest.raises(ConfigurationError, match=said):
        await hooks.backfill(client, since=since)


async def test_without_an_inbox_or_a_client_it_is_rejected(client: Client) -> None:
    bare = WebhookReceiver(scheme=Unsigned())
    with pytest.raises(ConfigurationError, match="has no inbox"):
        await bare.backfill(client, since=HOUR)
    with pytest.raises(ConfigurationError, match="has no inbox"):
        bare.poll_every(HOUR, OrdersSource(up42(SECRET), client, None, HOUR, lambda: NOW))
    hooks, _ = noting()
    wrong: Any = object()
    with pytest.raises(ConfigurationError, match=r"backfill\(...\) takes a client of the sender's API.*, not object"):
        await hooks.backfill(wrong, since=HOUR)
    uncalled: Any = Client
    with pytest.raises(ConfigurationError, match="not the class Client"):
        hooks.orders(uncalled)


async def test_other_workspaces_are_left_out_where_one_is_named(sender: Simulator, client: Client) -> None:
    sender.change("o-1")
    sender.orders["o-2"] = order("o-2", workspace="w-2")
    hooks, told = noting()
    async with hooks:
        assert (await hooks.backfill(client, since=HOUR, workspace_id="w-2")).put == 1
        await until(lambda: told == [("o-2", "FULFILLED")])
    hooks.poll_every(HOUR, hooks.orders(client, workspace_id="w-1"))
    async with hooks:
        await until(lambda: told == [("o-2", "FULFILLED"), ("o-1", "FULFILLED")])


async def test_an_error_of_the_api_is_raised_and_what_was_put_stays(sender: Simulator, client: Client) -> None:
    for number in range(30):
        sender.change(f"o-{number:02}", at=NOW - number)

    def fail(page: int) -> None:
        sender.failure = 500 if page else None

    sender.before_page = fail
    hooks, _ = noting()
    heard: list[Backfill] = []
    async with hooks:
        with pytest.raises(ApiError, match="500"):
            await hooks.backfill(client, since=HOUR, progress=heard.append)
        assert len(await hooks.inbox.find(Filter())) == 20
        sender.before_page = lambda page: None
        sender.failure = None
        assert await hooks.backfill(client, since=HOUR) == Backfill(seen=30, put=10, known=20)
    assert heard == [Backfill(seen=number, put=number) for number in range(1, 21)]


class Picky(OrderFulfilled, frozen=True):
    body: PickyBody

    @property
    def identity(self) -> tuple[str, ...] | None:
        return None if self.order_id == "o-nameless" else super().identity


class PickyBody(FulfilledBody, frozen=True):
    status: Literal[OrderStatus.FULFILLED]
    orderId: str  # noqa: N815

    @field_validator("orderId")
    @classmethod
    def _picky(cls, value: str) -> str:
        if value == "o-bad":
            raise ValueError(f"hush: {value}")
        if value == "o-worse":
            raise KeyError(f"hush: {value}")
        return value


async def test_an_order_that_the_users_class_rejects_does_not_hold_up_the_others(
    sender: Simulator, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for id in ("o-1", "o-bad", "o-worse", "o-nameless", "o-2"):
        sender.change(id)
    hooks = durable()
    hooks.on(Picky, name="picky")(lambda event: None)
    async with hooks:
        for _ in range(2):
            await hooks.backfill(client, since=HOUR)
        found = await hooks.backfill(client, since=HOUR)
        assert len(await hooks.inbox.find(Filter())) == 2
    assert found == Backfill(seen=5, known=2, unfit=3)
    assert caplog.text.count("an order cannot be backfilled") == 9
    assert "hush" not in caplog.text


async def test_a_receiver_that_is_not_started_only_keeps_what_it_is_backfilled(
    sender: Simulator, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sender.change("o-1")
    hooks, told = noting(inbox=f"sqlite:///{tmp_path}/hooks.db?min_free=0")
    assert (await hooks.backfill(client, since=HOUR)).put == 1
    assert (await hooks.health()).state == "not started"
    await hooks.inbox.close()
    assert told == []
    assert "was not started" not in caplog.text
    async with hooks:
        await all_handled(hooks)
    assert told == [("o-1", "FULFILLED")]


async def test_orders_are_polled_for_as_long_as_the_receiver_runs(sender: Simulator, client: Client) -> None:
    hooks, told = noting(clock=Ticking())
    sender.change("o-1")
    hooks.poll_every(0.01, hooks.orders(client))
    async with hooks:
        await until(lambda: len(told) == 1)
        sender.change("o-2", "FAILED_PERMANENTLY")
        await until(lambda: len(told) == 2)
    asked = len(sender.asked)
    async with hooks:  # once more
        await until(lambda: len(sender.asked) > asked)
    assert sorted(told) == [("o-1", "FULFILLED"), ("o-2", "FAILED_PERMANENTLY")]


async def test_polls_end_with_the_receiver_and_leave_no_task(sender: Simulator, client: Client) -> None:
    hooks, _ = noting()
    hooks.poll_every(timedelta(days=1), hooks.orders(client))
    before = asyncio.all_tasks()
    async with hooks, hooks:
        assert asyncio.all_tasks() > before
    assert asyncio.all_tasks() == before


async def test_polls_start_with_the_first_delivery_where_the_host_does_not_start_it(
    sender: Simulator, client: Client
) -> None:
    hooks, told = noting()
    sender.change("o-1")
    hooks.poll_every(HOUR, hooks.orders(client))
    await deliver(hooks, about("o-2"))
    await until(lambda: len(told) == 2)
    await hooks.__aexit__()


async def test_after_the_start_it_is_too_late_to_ask_for_it(client: Client) -> None:
    hooks, _ = noting()
    async with hooks:
        with pytest.raises(ConfigurationError, match="runs already"):
            hooks.poll_every(HOUR, hooks.orders(client))
    hooks.poll_every(HOUR, hooks.orders(client))


@pytest.mark.parametrize("interval", [0, -1, "1h", timedelta(0)])
def test_an_interval_that_is_none_is_rejected(interval: Any) -> None:
    hooks, _ = noting()
    with pytest.raises(ConfigurationError, match="interval is a timedelta or a number of seconds"):
        hooks.poll_every(interval, hooks.orders(Failing([])))


class Failing:
    """An API that raises, one error after the other, then has no orders."""

    def __init__(self, errors: list[Exception]) -> None:
        self.errors = errors
        self.begun = 0

    async def orders(
        self, *, status: Sequence[str] | None = None, workspace_id: str | None = None, sort: str | None = None
    ) -> AsyncIterator[Order]:
        self.begun += 1
        if self.errors:
            raise self.errors.pop(0)
        for each in list[Order]():
            yield each

    async def order(self, id: str, /) -> Order:
        raise NotImplementedError


async def test_whatever_fails_is_logged_once_per_kind_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    down, ours = ApiError("down", status=500), InboxError("full")
    api = Failing([down, down, ApiError("down", status=502), RuntimeError("odd"), RuntimeError("odd"), ours])
    hooks, _ = noting(clock=Ticking())
    hooks.poll_every(0.001, hooks.orders(api))
    async with hooks:
        await until(lambda: api.begun > 8)
        await deliver(hooks)  # it works as ever
    said = [record.getMessage() for record in caplog.records if "the source orders" in record.getMessage()]
    said = [re.sub(r"about \S+ s", "about _ s", each).partition(" at ")[0] for each in said]
    again = "up42: the source orders failed, and is asked again in about _ s"
    failed = [f"{again}: {why}" for why in ("down", "down", "RuntimeError", "full")]
    assert said == [*failed, "up42: the source orders works again"]
    assert "in orders\n" in caplog.text, "where it was raised"
    assert "odd" not in caplog.text, "what an error says may hold a key"


async def test_after_the_api_was_down_it_looks_back_to_what_was_missed_meanwhile(
    sender: Simulator, client: Client
) -> None:
    clock = Clock()
    hooks, told = noting(clock=clock)
    hooks.poll_every(0.01, hooks.orders(client, since=60))

    def asked_again() -> bool:
        clock.move(0.01)
        return len(sender.asked) > asked + 1

    async with hooks:
        asked = 0
        await until(asked_again)
        sender.failure, asked = 503, len(sender.asked)
        await until(asked_again)
        clock.move(60)
        sender.change("o-missed", at=clock.now)
        clock.move(7 * 24 * HOUR)
        asked = len(sender.asked)
        await until(asked_again)
        sender.failure = None
        await until(lambda: asked_again() and len(told) == 1)
    assert told == [("o-missed", "FULFILLED")]


async def test_the_cursor_of_orders_is_the_time_of_the_latest_change_and_never_in_the_future(
    sender: Simulator, client: Client
) -> None:
    source = OrdersSource(up42(SECRET), client, None, HOUR, lambda: NOW)
    assert await source(None) == Changes([], cursor_at(NOW))
    sender.change("o-1", at=NOW - 100)
    sender.change("o-2", at=NOW - 200)
    changes = await source(None)
    assert [json.loads(each)["body"]["orderId"] for each in changes.documents] == ["o-2", "o-1"], "the oldest first"
    assert changes.cursor == cursor_at(NOW - 100)
    sender.change("o-of-tomorrow", at=NOW + 24 * HOUR)
    assert (await source(changes.cursor)).cursor == cursor_at(NOW)
    sender.orders.clear()
    assert (await source(changes.cursor)).cursor == changes.cursor, "and does not go back"
    assert source.cursor_at(datetime.fromtimestamp(NOW, UTC)) == cursor_at(NOW)


async def test_a_cursor_that_is_none_of_its_own_is_rejected(client: Client) -> None:
    source = OrdersSource(up42(SECRET), client, None, HOUR, lambda: NOW)
    with pytest.raises(ConfigurationError, match="begin anew"):
        await source("page 7")


async def test_the_orders_of_each_workspace_are_a_source_of_their_own(client: Client) -> None:
    hooks, _ = noting()
    hooks.poll_every(HOUR, hooks.orders(client, workspace_id="w-1"))
    hooks.poll_every(HOUR, hooks.orders(client, workspace_id="w-2"))
    assert [each.name for each in hooks.pollers] == ["orders of w-1", "orders of w-2"]


async def test_a_sender_without_orders_has_no_source_of_them(client: Client) -> None:
    hooks = durable(sender=standard_webhooks(SECRET))
    with pytest.raises(ConfigurationError, match="standard-webhooks has no orders"):
        hooks.orders(client)


def cursor_at(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


@pytest.mark.usefixtures("own_processes")
async def test_several_receivers_on_one_file_put_each_order_once(
    sender: Simulator, client: Client, tmp_path: Path
) -> None:
    for number in range(100):
        sender.change(f"o-{number}", at=NOW - number)
    some = [noting(inbox=f"sqlite:///{tmp_path}/hooks.db?min_free=0") for _ in range(4)]
    for hooks, _ in some:
        await hooks.__aenter__()
    found = await asyncio.gather(*(hooks.backfill(client, since=HOUR) for hooks, _ in some))
    await all_handled(some[0][0])
    for hooks, _ in some:
        await hooks.__aexit__()
    assert sum(each.put for each in found) == 100
    assert sum(each.known for each in found) == 300
    assert sorted(order for _, told in some for order, _ in told if order) == sorted(sender.orders)


def test_whatever_has_orders_is_an_orders_api() -> None:
    for api in (Failing([]), Client(httpx.AsyncClient())):
        checked: OrdersApi = api
        assert isinstance(checked, OrdersApi)


def test_a_report_is_json() -> None:
    assert Backfill(3, 1, 1, 1).as_json() == {"seen": 3, "put": 1, "known": 1, "unfit": 1}
