from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.helpers import NOW, SECRET, call, signed
from tests.orders import Client, Simulator, order
from tests.working import AT_ONCE, PATIENCE, Clock, about, deliver, durable, kept_until, settled, until, waiting
from webhook_receiver import (
    ApiError,
    Backoff,
    Breaker,
    ConfigurationError,
    Delivery,
    Event,
    FailedAttempt,
    HandlerState,
    State,
    Unsigned,
    UP42Signature,
    WebhookReceiver,
)
from webhook_receiver.senders.order_check import NAME
from webhook_receiver.senders.up42.models import Order


@dataclass
class Given:
    """A receiver that confirms, what its two handlers were told, and which dead letters were heard of."""

    hooks: WebhookReceiver
    ran: list[str] = field(default_factory=list[str])
    heard: list[tuple[str, list[str]]] = field(default_factory=list[tuple[str, list[str]]])


def confirming(client: Any, **options: Any) -> Given:
    given = Given(durable(confirm=client, **options))
    given.hooks.on(Event, name="first")(lambda event: given.ran.append("first"))
    given.hooks.on(Event, name="second")(lambda event: given.ran.append("second"))

    @given.hooks.on_dead
    def hear(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        given.heard.append((delivery.id, [attempt.error for attempt in attempts]))

    return given


async def test_a_confirmed_delivery_is_handled_and_asked_for_once(sender: Simulator, client: Client) -> None:
    sender.change("o-1")
    given = confirming(client)
    async with given.hooks:
        kept = await settled(given.hooks, await deliver(given.hooks))
    assert given.ran == ["first", "second"]
    assert sender.asked == ["o-1"]
    assert kept.summary.handlers[NAME] == HandlerState(State.DONE, 1, 1)


async def test_another_terminal_status_contradicts_it(sender: Simulator, client: Client) -> None:
    sender.change("o-1", "FAILED_PERMANENTLY")
    given = confirming(client)
    async with given.hooks:
        id = await deliver(given.hooks)
        kept = await settled(given.hooks, id, State.DEAD)
        await until(lambda: bool(given.heard))
    why = "GiveUp: the sender's API contradicts it: the order is FAILED_PERMANENTLY, not FULFILLED"
    assert kept.summary.reason == f"{NAME}: {why}"
    assert given.heard == [(id, [why])]
    assert given.ran == []
    assert {name for name in kept.summary.handlers if not name.startswith("on_dead")} == {NAME}


@pytest.mark.parametrize("status", ["BEING_FULFILLED", "FAILED", "SOMETHING NEW"])
async def test_what_is_not_terminal_yet_is_asked_again_and_costs_the_handlers_nothing(
    sender: Simulator, client: Client, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    sender.change("o-1", status)
    clock = Clock()
    given = confirming(client, clock=clock)
    async with given.hooks:
        id = await deliver(given.hooks)
        kept = await waiting(given.hooks, id)
        (state,) = kept.summary.handlers.values()
        assert state == HandlerState(State.WAITING, 1, 1, kept.summary.due or 0, expected_dead=state.expected_dead)
        assert [*kept.summary.handlers] == [NAME]
        assert 0 <= (kept.summary.due or 0) - NOW <= 10
        assert given.ran == []
        sender.change("o-1")
        clock.move(10)
        kept = await settled(given.hooks, id)
    assert given.ran == ["first", "second"]
    assert {name: each.attempts for name, each in kept.summary.handlers.items()} == {NAME: 2, "first": 1, "second": 1}
    assert "SOMETHING NEW" not in caplog.text
    assert "Traceback" not in caplog.text


async def test_it_is_not_asked_for_ever(sender: Simulator, client: Client) -> None:
    sender.change("o-1", "PLACED")
    given = confirming(client, backoff=AT_ONCE)
    async with given.hooks:
        kept = await settled(given.hooks, await deliver(given.hooks), State.DEAD)
    assert kept.summary.reason == f"{NAME}: Unconfirmed: the order is PLACED by the sender's API, not FULFILLED"
    assert sender.asked == ["o-1"] * AT_ONCE.attempts
    assert given.ran == []


async def test_an_order_that_is_unknown_may_not_be_known_yet(sender: Simulator, client: Client) -> None:
    given = confirming(client, backoff=AT_ONCE)
    async with given.hooks:
        kept = await settled(given.hooks, await deliver(given.hooks), State.DEAD)
        assert kept.summary.reason == f"{NAME}: Unconfirmed: the sender's API knows no such order (404)"
        assert len(sender.asked) == AT_ONCE.attempts
        sender.change("o-1")
        assert await given.hooks.inbox.replay([kept.summary.id], NOW) == 1
        await settled(given.hooks, kept.summary.id)
    assert given.ran == ["first", "second"]


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_an_api_that_fails_is_asked_again(sender: Simulator, client: Client, status: int) -> None:
    sender.change("o-1")
    sender.failure = status
    clock = Clock()
    given = confirming(client, clock=clock)
    async with given.hooks:
        id = await deliver(given.hooks)
        kept = await waiting(given.hooks, id)
        assert [(each.handler, each.outcome) for each in kept.attempts] == [(NAME, "retry")]
        assert kept.attempts[0].error == f"ApiError: GET /v2/orders/o-1 was answered {status}"
        sender.failure = None
        clock.move(10)
        await settled(given.hooks, id)


async def test_an_api_that_is_down_for_long_uses_up_no_attempts(sender: Simulator, client: Client) -> None:
    sender.failure = 503
    given = confirming(client, backoff=AT_ONCE, breaker=Breaker(failures=2), concurrency=1)
    async with given.hooks:
        ids = [await deliver(given.hooks, about(f"o-{number}")) for number in range(10)]
        for id in ids:
            kept = await kept_until(given.hooks, id, lambda record: bool(record.handlers) and not record.leased)
            assert kept.summary.state is State.WAITING
    assert len(sender.asked) == 2


class Raising:
    """A client with errors of its own."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = [*errors]

    def orders(
        self, *, status: Sequence[str] | None = None, workspace_id: str | None = None, sort: str | None = None
    ) -> AsyncIterator[Order]:
        raise NotImplementedError

    async def order(self, id: str, /) -> Order:
        if self.errors:
            raise self.errors.pop(0)
        return order(id)


async def test_whatever_the_client_raises_does_not_end_the_worker() -> None:
    api = Raising(ValueError("odd"), TimeoutError(), ApiError("no answer"), asyncio.CancelledError(), SystemExit(1))
    given = confirming(api, backoff=Backoff(first=0, longest=0, attempts=6))
    async with given.hooks:
        await settled(given.hooks, await deliver(given.hooks))
    assert given.ran == ["first", "second"]


async def test_what_is_confirmed_is_not_asked_for_again_when_a_handler_is_retried(
    sender: Simulator, client: Client
) -> None:
    sender.change("o-1")
    hooks = durable(confirm=client, backoff=AT_ONCE)
    runs: list[int] = []

    @hooks.on(Event)
    def handler(event: Event) -> None:
        runs.append(1)
        if len(runs) < 3:
            raise OSError("not yet")

    async with hooks:
        await settled(hooks, await deliver(hooks))
    assert (len(runs), sender.asked) == (3, ["o-1"])


@pytest.mark.parametrize("handler", [None, "first"])
async def test_a_replay_asks_again(sender: Simulator, client: Client, handler: str | None) -> None:
    sender.change("o-1", "CANCELED")
    given = confirming(client)
    async with given.hooks:
        id = await deliver(given.hooks)
        await settled(given.hooks, id, State.DEAD)
        await given.hooks.inbox.replay([id], NOW, handler=handler)
        await until(lambda: len(sender.asked) == 2)
        await settled(given.hooks, id, State.DEAD)
        sender.change("o-1")
        await given.hooks.inbox.replay([id], NOW, handler=handler)
        await settled(given.hooks, id)
    assert given.ran == ["first", "second"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"event":"a"}',
        b'{"event":"job.status","body":{"status":"x"}}',
        b'{"event":"order.status","body":{"status":"PLACED"}}',
    ],
)
async def test_what_has_no_order_passes(sender: Simulator, client: Client, body: bytes) -> None:
    given = confirming(client)
    async with given.hooks:
        await settled(given.hooks, await deliver(given.hooks, body))
    assert given.ran == ["first", "second"]
    assert sender.asked == []


async def test_what_the_signature_covers_passes(sender: Simulator, client: Client) -> None:
    unbound = UP42Signature(SECRET, body_binding="optional", components=["content-type"])
    bound = UP42Signature(SECRET)
    for scheme, asked in ((bound, []), (unbound, ["o-1"])):
        sender.change("o-1")
        given = confirming(client, scheme=UP42Signature(SECRET, body_binding="optional"))
        async with given.hooks:
            receipt = await given.hooks.receive(signed(about(), scheme=scheme), about())
            assert receipt.delivery is not None
            await settled(given.hooks, receipt.delivery.id)
        assert given.ran == ["first", "second"]
        assert sender.asked == asked


async def test_what_was_backfilled_passes(sender: Simulator, client: Client) -> None:
    sender.change("o-1")
    given = confirming(client)
    async with given.hooks:
        await given.hooks.backfill(client, since=60)
        await until(lambda: len(given.ran) == 2)
    assert not [what for what in sender.asked if not what.startswith("page")]


async def test_nobody_asks_for_what_nobody_handles(sender: Simulator, client: Client) -> None:
    hooks = durable(confirm=client)
    hooks.on("other", name="handler")(lambda event: None)
    async with hooks:
        await settled(hooks, await deliver(hooks), State.UNHANDLED)
        await hooks.pause("handler")
    assert sender.asked == []


async def test_nobody_asks_while_all_handlers_are_paused(sender: Simulator, client: Client) -> None:
    sender.change("o-1")
    given = confirming(client)
    async with given.hooks:
        for name in ("first", "second"):
            await given.hooks.pause(name)
        id = await deliver(given.hooks)
        await kept_until(given.hooks, id, lambda record: record.paused_by is not None)
        assert sender.asked == []
        for name in ("first", "second"):
            await given.hooks.resume(name)
        await settled(given.hooks, id)


async def test_to_pause_the_asking_holds_the_deliveries(sender: Simulator, client: Client) -> None:
    sender.change("o-1")
    given = confirming(client)
    async with given.hooks:
        await given.hooks.inbox.pause(NAME, NOW)
        # Until the worker has heard of it, a delivery may still be asked for.
        async with asyncio.timeout(PATIENCE):
            while True:
                id = await deliver(given.hooks, about(f"o-{len(sender.asked)}"), status=202)
                kept = await kept_until(given.hooks, id, lambda record: not record.leased)
                if kept.summary.paused_by == NAME:
                    break
        await given.hooks.inbox.resume(NAME)
        await kept_until(given.hooks, id, lambda record: record.paused_by is None)


async def test_a_client_that_hangs_does_not_hold_up_the_end(sender: Simulator) -> None:
    begun = asyncio.Event()

    class Hanging(Raising):
        async def order(self, id: str, /) -> Order:
            begun.set()
            await asyncio.Event().wait()
            raise NotImplementedError

    given = confirming(Hanging(), stop=0.01)
    async with given.hooks:
        id = await deliver(given.hooks)
        await begun.wait()
    await given.hooks.inbox.open()
    kept = await given.hooks.inbox.get(id)
    await given.hooks.inbox.close()
    assert kept is None or kept.summary.state is State.WAITING  # what is in memory goes with it


async def test_a_client_that_hangs_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook_receiver.senders.order_check._API_TIMEOUT", 0.01)

    class Hanging(Raising):
        async def order(self, id: str, /) -> Order:
            await asyncio.Event().wait()
            raise NotImplementedError

    given = confirming(Hanging(), backoff=AT_ONCE)
    async with given.hooks:
        kept = await settled(given.hooks, await deliver(given.hooks), State.DEAD)
    assert kept.summary.reason == f"{NAME}: TimeoutError"


@pytest.mark.parametrize(
    ("prepare", "status", "ran"),
    [
        (lambda sender: sender.change("o-1"), 204, ["handler"]),
        (lambda sender: sender.change("o-1", "CANCELED"), 204, []),
        (lambda sender: sender.change("o-1", "PLACED"), 503, []),
        (lambda sender: None, 503, []),
        (lambda sender: setattr(sender, "failure", 500), 503, []),
    ],
)
async def test_without_an_inbox_it_is_asked_before_the_answer(
    sender: Simulator, client: Client, prepare: Callable[[Simulator], None], status: int, ran: list[str]
) -> None:
    prepare(sender)
    found: list[str] = []
    hooks = WebhookReceiver(scheme=Unsigned(), confirm=client)
    hooks.on(Event, name="handler")(lambda event: found.append("handler"))
    answered = await call(hooks, (), [about()])
    assert (answered.status, found) == (status, ran)
    assert (answered.headers.get(b"retry-after") == b"10") == (status == 503)


def test_what_is_no_client_is_rejected() -> None:
    wrong: Any
    for wrong in ("https://api.up42.com", Raising, object()):
        with pytest.raises(ConfigurationError, match=r"confirm=\.\.\. takes a client of the sender's API"):
            WebhookReceiver(scheme=Unsigned(), confirm=wrong)


async def test_a_made_up_status_is_in_no_log(
    sender: Simulator, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sender.change("o-1", "PLACED")
    given = confirming(client)
    body = json.dumps({"event": "order.status", "body": {"orderId": "o-1", "status": "hush\x1b[31m"}}).encode()
    async with given.hooks:
        await waiting(given.hooks, await deliver(given.hooks, body))
    assert "the order is PLACED by the sender's API, not in a status unknown here" in caplog.text
    assert "hush" not in caplog.text
