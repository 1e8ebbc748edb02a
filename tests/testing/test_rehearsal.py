from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from tests.helpers import NOW, SECRET
from webhook_receiver import (
    AnyOf,
    Attempt,
    Backoff,
    BadSignature,
    BasicAuth,
    Breaker,
    ConfigurationError,
    Delivery,
    Event,
    GiveUp,
    HeaderSecret,
    HTTPMessageSignature,
    OrderFailedPermanently,
    OrderFulfilled,
    Retry,
    Scheme,
    Sender,
    SQLiteInbox,
    StandardWebhooks,
    State,
    Unsigned,
    UP42Signature,
    WebhookReceiver,
    WorkerOptions,
)
from webhook_receiver.inbox import Entry
from webhook_receiver.senders import github as github_sender
from webhook_receiver.senders import shopify, slack, stripe
from webhook_receiver.senders.github import github
from webhook_receiver.testing import Rehearsal, Run, Sync, make, rehearse
from webhook_receiver.testing.rehearsal import PersistentMemoryInbox

FULFILLED = make(OrderFulfilled, order_id="o-7")


@dataclass
class Shop:
    """A user's module: a receiver on a file of its own, and handlers that do as they are told."""

    hooks: WebhookReceiver
    errors: list[BaseException] = field(default_factory=list[BaseException])
    """What `download` raises, one after the other, before it does well."""
    downloaded: list[str | None] = field(default_factory=list[str | None])
    dead: list[str] = field(default_factory=list[str])

    async def download(self, order: OrderFulfilled) -> None:
        self.downloaded.append(order.order_id)
        if self.errors:
            raise self.errors.pop(0)

    def alert(self, order: OrderFailedPermanently, attempt: Attempt) -> None:
        raise GiveUp(f"nobody is there at attempt {attempt.number}")

    def bury(self, delivery: Delivery, attempts: object) -> None:
        self.dead.append(delivery.id)


def open_shop(**options: Any) -> Shop:
    shop = Shop(WebhookReceiver(secret=SECRET, **options))
    shop.hooks.on(OrderFulfilled, name="download")(shop.download)
    shop.hooks.on(OrderFailedPermanently, name="alert")(shop.alert)
    return shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    options = WorkerOptions(backoff=Backoff(first=3600, longest=3600, attempts=4))
    shop = open_shop(inbox=f"sqlite:///{tmp_path}/production.db", worker=options)
    shop.hooks.on_dead(shop.bury)
    return shop


@pytest.fixture
def webhooks(shop: Shop) -> Generator[Rehearsal]:
    with rehearse(shop.hooks) as webhooks:
        yield webhooks


def numbers(runs: list[Run]) -> list[int]:
    return [run.attempt for run in runs]


async def test_what_is_sent_is_kept_and_handled_only_when_the_test_says_so(webhooks: Rehearsal, shop: Shop) -> None:
    receipt = await webhooks.send(FULFILLED)
    assert receipt.response.status == 202
    assert receipt.event == FULFILLED
    assert (await webhooks.kept(receipt)).summary.state is State.WAITING
    assert (shop.downloaded, webhooks.ran) == ([], [])
    (run,) = await webhooks.drain()
    assert (run.handler, run.attempt, run.event, run.error) == ("download", 1, FULFILLED, None)
    assert shop.downloaded == ["o-7"]
    assert (await webhooks.kept(receipt)).summary.state is State.DONE
    webhooks.assert_handled(shop.download)


async def test_the_receivers_own_inbox_is_not_touched(webhooks: Rehearsal, tmp_path: Path) -> None:
    await webhooks.send(FULFILLED)
    await webhooks.drain()
    assert os.listdir(tmp_path) == []


async def test_a_failed_handler_is_run_again_without_any_real_wait(webhooks: Rehearsal, shop: Shop) -> None:
    shop.errors = [TimeoutError(), Retry(after=7 * 86400)]
    await webhooks.send(FULFILLED)
    then, began = webhooks.clock.now, time.monotonic()
    assert numbers(await webhooks.drain()) == [1, 2, 3]
    assert webhooks.clock.now - then >= 7 * 86400
    assert time.monotonic() - began < 30
    assert [type(run.error) for run in webhooks.runs_of("download")] == [TimeoutError, Retry, type(None)]
    webhooks.assert_handled("download")


async def test_between_two_attempts_the_test_may_look_and_move_the_clock_itself(
    webhooks: Rehearsal, shop: Shop
) -> None:
    shop.errors = [Retry(after=60)]
    await webhooks.send(FULFILLED)
    assert numbers(await webhooks.handle_due()) == [1]
    webhooks.clock.advance(59)
    assert await webhooks.handle_due() == []
    webhooks.clock.advance(1)
    assert numbers(await webhooks.handle_due()) == [2]


async def test_the_same_request_twice_is_handled_once(webhooks: Rehearsal, shop: Shop) -> None:
    first, second = await webhooks.send_twice(FULFILLED)
    assert (first.response.status, second.response.status) == (202, 200)
    assert first.delivery is not None
    assert second.duplicate_of == first.delivery.id
    assert (await webhooks.kept(second)).delivery == first.delivery
    await webhooks.drain()
    webhooks.assert_handled(shop.download, times=1)


async def test_a_forged_request_is_rejected_by_the_receivers_own_verifier(webhooks: Rehearsal, shop: Shop) -> None:
    receipt = await webhooks.send_forged(FULFILLED)
    assert receipt.response.status == 401
    assert isinstance(receipt.error, BadSignature)
    assert shop.hooks.rejected == {"BadSignature": 1}
    assert await webhooks.drain() == []
    with pytest.raises(ValueError, match=r"not stored: the response was 401 \(no secret gives this signature"):
        await webhooks.kept(receipt)


async def test_the_sender_may_have_more_headers(webhooks: Rehearsal) -> None:
    more = {"X-Tenant": "acme"}
    receipts = [
        await webhooks.send(FULFILLED, headers=more),
        *await webhooks.send_twice(make(OrderFulfilled), headers=more),
    ]
    assert [each.delivery.header("x-tenant") for each in receipts if each.delivery is not None] == ["acme"] * 3
    assert webhooks.request(FULFILLED, headers=more)["headers"]["x-tenant"] == "acme"
    assert (await webhooks.send_forged(FULFILLED, headers=more)).response.status == 401


async def test_events_may_come_out_of_order(webhooks: Rehearsal, shop: Shop) -> None:
    receipts = await webhooks.send_out_of_order(make(OrderFulfilled, 1), make(OrderFulfilled, 2))
    assert [receipt.response.status for receipt in receipts] == [202, 202]
    await webhooks.drain()
    assert shop.downloaded == [make(OrderFulfilled, number).order_id for number in (2, 1)]


async def test_what_was_committed_is_handled_by_the_next_process(webhooks: Rehearsal, shop: Shop) -> None:
    await webhooks.send(FULFILLED)
    await webhooks.crash()
    assert numbers(await webhooks.drain()) == [1]
    webhooks.assert_handled(shop.download)


async def test_a_process_that_dies_after_the_handlers_runs_them_again(webhooks: Rehearsal, shop: Shop) -> None:
    receipt = await webhooks.send(FULFILLED)
    assert numbers(await webhooks.crash_after_handling()) == [1]
    assert (await webhooks.kept(receipt)).summary.state is State.WAITING
    assert await webhooks.handle_due() == [], "its lease still runs"
    assert numbers(await webhooks.drain()) == [1]
    assert shop.downloaded == ["o-7", "o-7"]
    webhooks.assert_handled(shop.download, times=2)


async def test_a_dead_process_takes_its_open_circuits_with_it(tmp_path: Path) -> None:
    options = WorkerOptions(breaker=Breaker(failures=1, seconds=50), backoff=Backoff(first=0, longest=0))
    shop = open_shop(inbox="memory://", worker=options)
    shop.errors = [TimeoutError()]
    with rehearse(shop.hooks) as webhooks:
        await webhooks.send(FULFILLED)
        assert numbers(await webhooks.handle_due()) == [1]
        await webhooks.crash()
        webhooks.clock.advance(1)
        assert numbers(await webhooks.handle_due()) == []  # its delivery was told to wait for the circuit
        await webhooks.send(make(OrderFulfilled, order_id="o-8"))
        assert numbers(await webhooks.handle_due()) == [1]


async def test_dead_letters_are_seen_heard_of_and_replayed(webhooks: Rehearsal, shop: Shop) -> None:
    receipt = await webhooks.send(make(OrderFailedPermanently))
    await webhooks.drain()
    (dead,) = await webhooks.dead_letters()
    assert dead.summary.reason == "alert: GiveUp: nobody is there at attempt 1"
    assert [attempt.number for attempt in dead.attempts] == [1]
    assert shop.dead == [dead.summary.id]
    await webhooks.replay(receipt)
    await webhooks.replay(dead)
    assert numbers(await webhooks.drain()) == [2]
    assert shop.dead == [dead.summary.id] * 2


async def test_a_handler_that_uses_up_its_attempts_leaves_a_dead_letter(webhooks: Rehearsal, shop: Shop) -> None:
    shop.errors = [OSError("down")] * 9
    await webhooks.send(FULFILLED)
    assert numbers(await webhooks.drain()) == [1, 2, 3, 4]
    (dead,) = await webhooks.dead_letters()
    assert dead.summary.reason == "download: OSError: down"


async def test_what_is_no_event_is_a_dead_letter(webhooks: Rehearsal, shop: Shop) -> None:
    receipt = await webhooks.send(b"not JSON")
    await webhooks.drain()
    (dead,) = await webhooks.dead_letters()
    assert dead.delivery == receipt.delivery
    assert shop.dead == [dead.summary.id]


async def test_a_paused_handler_is_left_alone_until_it_is_resumed(webhooks: Rehearsal, shop: Shop) -> None:
    await webhooks.send(FULFILLED)
    await shop.hooks.pause("download")
    assert await webhooks.drain() == []
    await shop.hooks.resume("download")
    assert numbers(await webhooks.drain()) == [1]


async def test_events_of_one_order_wait_for_the_older_one_of_it(webhooks: Rehearsal, shop: Shop) -> None:
    shop.errors = [Retry(after=60)]
    await webhooks.send(FULFILLED)
    await webhooks.send(make(OrderFailedPermanently, order_id="o-7"))
    await webhooks.send(make(OrderFailedPermanently, order_id="o-8"))
    ran = await webhooks.drain()
    assert [run.handler for run in ran] == ["download", "alert", "download", "alert"]


async def test_a_handler_whose_time_is_up_has_failed_and_one_that_ignores_that_is_left_behind() -> None:
    hooks = WebhookReceiver(
        secret=SECRET, inbox="memory://", worker=WorkerOptions(timeout=0.01, backoff=Backoff(attempts=1))
    )
    ends = asyncio.Event()

    @hooks.on(OrderFulfilled, name="late")
    async def late(order: OrderFulfilled) -> None:
        await ends.wait()

    @hooks.on(OrderFailedPermanently, name="deaf")
    async def deaf(order: OrderFailedPermanently) -> None:
        while not ends.is_set():
            try:
                await ends.wait()
            except asyncio.CancelledError:
                continue

    with rehearse(hooks) as webhooks:
        await webhooks.send(FULFILLED)
        await webhooks.send(make(OrderFailedPermanently))
        await webhooks.drain()
        reasons = [dead.summary.reason for dead in await webhooks.dead_letters()]
        assert reasons == [f"{name}: TimeoutError: it took more than 0.01 s" for name in ("late", "deaf")]
    ends.set()


async def test_a_test_that_is_cancelled_takes_its_handler_along() -> None:
    hooks = WebhookReceiver(secret=SECRET, inbox="memory://")
    begun, cancelled = asyncio.Event(), asyncio.Event()

    @hooks.on(OrderFulfilled)
    async def hang(order: OrderFulfilled) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with rehearse(hooks) as webhooks:
        await webhooks.send(FULFILLED)
        draining = asyncio.create_task(webhooks.drain())
        await begun.wait()
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining
        async with asyncio.timeout(30):
            await cancelled.wait()


def test_a_plain_function_may_do_all_that_through_sync(webhooks: Rehearsal, shop: Shop) -> None:
    shop.errors = [TimeoutError()]
    receipt = webhooks.sync.send(FULFILLED)
    assert numbers(webhooks.sync.drain()) == [1, 2]
    assert webhooks.sync.kept(receipt).summary.state is State.DONE
    assert [each.response.status for each in webhooks.sync.send_twice(make(OrderFulfilled, 2))] == [202, 200]
    assert webhooks.sync.send_forged(FULFILLED).response.status == 401
    webhooks.sync.crash()
    assert numbers(webhooks.sync.crash_after_handling()) == [1]
    webhooks.sync.replay(*webhooks.sync.send_out_of_order(make(OrderFailedPermanently, 5)))
    assert numbers(webhooks.sync.drain()) == [1, 1]
    assert len(webhooks.sync.dead_letters()) == 1
    assert webhooks.sync.handle_due() == []


def test_sync_does_all_that_a_test_awaits() -> None:
    verbs = {name for name, verb in vars(Rehearsal).items() if inspect.iscoroutinefunction(verb)}
    offered = {name for name in vars(Sync) if not name.startswith("_")}
    assert offered == {name for name in verbs if not name.startswith("_")}


def host(shop: Shop, kind: type) -> Any:
    return kind(routes=[shop.hooks.route("/webhooks")], lifespan=shop.hooks.lifespan)


@pytest.mark.parametrize("kind", [FastAPI, Starlette])
@pytest.mark.filterwarnings("ignore::starlette.exceptions.StarletteDeprecationWarning")
def test_the_test_client_of_an_app_that_has_the_receiver_may_deliver(
    kind: type, webhooks: Rehearsal, shop: Shop
) -> None:
    from starlette.testclient import TestClient

    app = host(shop, kind)
    with TestClient(app) as client:
        assert client.post("/webhooks", **webhooks.request(FULFILLED)).status_code == 202
        assert shop.downloaded == [], "the app's own worker is still"
        webhooks.sync.drain()
        assert client.post("/webhooks", **webhooks.request(make(OrderFulfilled, 2))).status_code == 202
    assert client.post("/webhooks", **webhooks.request(make(OrderFulfilled, 3))).status_code == 202
    webhooks.sync.drain()  # what came is still there when the app has ended
    webhooks.assert_handled(shop.download, times=3)


async def test_httpx_may_deliver_too(webhooks: Rehearsal, shop: Shop) -> None:
    transport = httpx.ASGITransport(host(shop, Starlette))
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        assert (await client.post("/webhooks", **webhooks.request(FULFILLED))).status_code == 202
    await webhooks.drain()
    webhooks.assert_handled(shop.download)


async def test_the_clock_is_the_receivers(webhooks: Rehearsal) -> None:
    request = webhooks.request(FULFILLED)
    webhooks.clock.advance(301)
    stale = await webhooks.hooks.receive(request["headers"], request["content"])
    assert stale.response.status == 401
    assert (await webhooks.send(FULFILLED)).response.status == 202


async def test_a_receiver_without_an_inbox_runs_its_handlers_before_it_answers() -> None:
    shop = open_shop()
    shop.errors = [TimeoutError()]
    with rehearse(shop.hooks) as webhooks:
        assert (await webhooks.send(FULFILLED)).response.status == 500
        assert (await webhooks.send(FULFILLED)).response.status == 204
        assert numbers(webhooks.ran) == [1, 1]
        assert await webhooks.drain() == []
        await webhooks.crash()
        webhooks.assert_handled("download")


async def test_afterwards_the_receiver_is_as_it_was(shop: Shop, tmp_path: Path) -> None:
    before = dict(vars(shop.hooks))
    with rehearse(shop.hooks) as webhooks:
        await webhooks.send(FULFILLED)
    assert vars(shop.hooks) == before
    async with shop.hooks:
        assert (tmp_path / "production.db").exists()
        assert await shop.hooks.inbox.get("") is None


async def test_two_rehearsals_know_nothing_of_each_other(shop: Shop) -> None:
    for _ in range(2):
        with rehearse(shop.hooks) as webhooks:
            assert (await webhooks.send(FULFILLED)).response.status == 202
            assert numbers(await webhooks.drain()) == [1]


async def test_many_may_send_at_once(webhooks: Rehearsal, shop: Shop) -> None:
    await asyncio.gather(*[webhooks.send(make(OrderFulfilled, number)) for number in range(20)])
    await webhooks.drain()
    webhooks.assert_handled(shop.download, times=20)


async def test_another_inbox_may_be_given(shop: Shop, tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "other.db")
    with rehearse(shop.hooks, inbox=inbox) as webhooks:
        receipt = await webhooks.send(FULFILLED)
        assert receipt.delivery is not None
        assert await inbox.get(receipt.delivery.id) is not None
        await webhooks.drain()
    async with asyncio.timeout(30):
        await inbox.open()
        assert (await inbox.stats()).counts[State.DONE] == 1
        await inbox.close()


def test_a_receiver_that_only_keeps_has_its_handlers_run_all_the_same() -> None:
    shop = open_shop(inbox="memory://", work=False)
    with rehearse(shop.hooks) as webhooks:
        webhooks.sync.send(FULFILLED)
        webhooks.sync.drain()
        webhooks.assert_handled("download")


async def test_the_fallback_and_a_failing_predicate_are_runs_too() -> None:
    hooks = WebhookReceiver(scheme=Unsigned(), inbox="memory://")

    @hooks.on(OrderFulfilled, where=lambda order: bool(1 / 0), name="never")
    def never(order: OrderFulfilled) -> None: ...

    @hooks.fallback
    def rest(event: Event) -> None: ...

    with rehearse(hooks) as webhooks:
        await webhooks.send({"event": "never.heard.of"})
        await webhooks.send(FULFILLED)
        ran = await webhooks.handle_due()
        assert [type(run.error) for run in ran] == [type(None), ZeroDivisionError]
        webhooks.assert_handled(rest)


def test_what_was_not_handled_is_told_run_by_run(webhooks: Rehearsal, shop: Shop) -> None:
    with pytest.raises(AssertionError) as never:
        webhooks.assert_handled(shop.download)
    said = "download ended well 0 times, not 1:\n  it was never run"
    assert str(never.value) == f"{said}{'; what is stored waits for drain()' * webhooks.hooks.runtime.keeps}"
    shop.errors = [OSError("down")]
    webhooks.sync.send(FULFILLED)
    webhooks.sync.drain()
    with pytest.raises(AssertionError) as once:
        webhooks.assert_handled(shop.download, times=2)
    assert str(once.value) == "download ended well 1 times, not 2:\n  attempt 1: OSError: down\n  attempt 2: ended well"
    shop.errors = [OSError("down") for _ in range(5)]
    webhooks.sync.send(make(OrderFulfilled, order_id="o-8"))
    webhooks.sync.drain()
    with pytest.raises(AssertionError, match=r"attempts 1 to 4: OSError: down$"):
        webhooks.assert_handled(shop.download, times=7)


def test_a_handler_that_the_receiver_does_not_have_is_told_as_such(webhooks: Rehearsal) -> None:
    with pytest.raises(ConfigurationError, match="there is no handler uplaod; there is alert, download"):
        webhooks.assert_handled("uplaod")


async def test_misuse_is_told_at_once(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="a WebhookReceiver, not FastAPI"), rehearse(FastAPI()):  # type: ignore[arg-type]
        pass
    inbox = SQLiteInbox(tmp_path / "i.db")
    with pytest.raises(ConfigurationError, match="up42 has no inbox"), rehearse(open_shop().hooks, inbox=inbox):
        pass
    hooks = WebhookReceiver(secret=SECRET)
    hooks.on(OrderFulfilled, name="h", timeout=7)(shop.download)
    with rehearse(hooks) as webhooks:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="inbox"):
                await webhooks.send(FULFILLED)


async def test_what_is_not_kept_any_more_is_told_as_such(webhooks: Rehearsal, shop: Shop) -> None:
    receipt = await webhooks.send(FULFILLED)
    await webhooks.drain()
    webhooks.clock.advance(90 * 86400)
    await shop.hooks.inbox.expire(webhooks.clock.now)
    with pytest.raises(ValueError, match="not in the inbox any more"):
        await webhooks.kept(receipt)


def test_without_asyncio_it_says_what_is_missing(webhooks: Rehearsal) -> None:
    sending = webhooks.send(FULFILLED)
    with pytest.raises(ConfigurationError, match="let the fixture anyio_backend return"):
        sending.send(None)


TOKEN = "sS6-4Vd_bB.q~0123456789"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    "scheme",
    [
        UP42Signature(SECRET),
        StandardWebhooks(WHSEC),
        StandardWebhooks(WHSEC, headers="svix"),
        github_sender.signature(SECRET),
        stripe.signature(SECRET),
        slack.signature(SECRET),
        shopify.signature(SECRET),
        HTTPMessageSignature({"key-1": SECRET}, nonce="required"),
        BasicAuth(SECRET, username="acme"),
        HeaderSecret("short", header="X-Key"),
        Unsigned(token_in_path=TOKEN),
        AnyOf(Unsigned(token_in_path=TOKEN), UP42Signature(SECRET)),
        AnyOf(UP42Signature(SECRET), Unsigned(token_in_path=TOKEN)),
    ],
    ids=lambda scheme: type(scheme).__name__,
)
async def test_a_receiver_is_rehearsed_whatever_its_scheme(scheme: Scheme) -> None:
    hooks = WebhookReceiver(scheme=scheme, inbox="memory://")
    app = Starlette(routes=[hooks.route("/webhooks/{token}")])
    with rehearse(hooks) as webhooks:
        assert [receipt.response.status for receipt in await webhooks.send_twice(FULFILLED)] == [202, 200]
        assert isinstance((await webhooks.send_forged(FULFILLED)).error, BadSignature)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            another = webhooks.request(make(OrderFulfilled, 2))
            assert (await client.post(f"/webhooks/{TOKEN}", **another)).status_code == 202


class Push(Event, frozen=True):
    event: Literal["push"]
    ref: str


async def test_an_event_is_named_in_the_header_where_the_receiver_looks_for_its_name() -> None:
    hooks = WebhookReceiver(sender=github(SECRET), inbox="memory://")
    pushed: list[str] = []

    @hooks.on(Push)
    def build(push: Push) -> None:
        pushed.append(push.ref)

    with rehearse(hooks) as webhooks:
        await webhooks.send(make(Push, ref="main"))
        await webhooks.send({"ref": "dev"}, headers={"X-GitHub-Event": "push"})
        await webhooks.send(make(Push, ref="other"), headers={"X-GitHub-Event": "star"})
        await webhooks.drain()
    assert pushed == ["main", "dev"]


async def test_a_persistent_inbox_keeps_what_it_has_until_it_is_told_to_forget() -> None:
    inbox = PersistentMemoryInbox()
    await inbox.open()
    await inbox.put(Entry(Delivery("d-1", "hooks", (), b"", NOW, 0, True)), NOW)
    await inbox.close()
    assert (await inbox.stats()).counts[State.WAITING] == 1
    await inbox.close_for_good()
    await inbox.open()
    assert (await inbox.stats()).counts[State.WAITING] == 0
    await inbox.close_for_good()


async def test_the_receivers_own_inbox_and_counts_are_not_touched() -> None:
    hooks = WebhookReceiver(secret=SECRET, inbox="memory://")
    own = hooks.inbox
    await hooks.receive({}, b"")
    with rehearse(hooks) as webhooks:
        assert hooks.inbox is not own
        assert (hooks.rejected, hooks.verified) == ({}, {})
        await webhooks.send(FULFILLED)
        assert (hooks.rejected, hooks.verified) == ({}, {0: 1})
    assert hooks.inbox is own
    assert (hooks.rejected, hooks.verified) == ({"MissingSignature": 1}, {})


@pytest.mark.parametrize("sender", [github(SECRET), shopify.shopify(SECRET)], ids=["github", "shopify"])
async def test_the_second_of_two_is_a_duplicate_where_an_id_is_in_a_header_that_is_not_signed(sender: Sender) -> None:
    hooks = WebhookReceiver(sender=sender, inbox="memory://")
    with rehearse(hooks) as webhooks:
        first, second = await webhooks.send_twice({"n": 1}, headers={sender.event_header or "": "push"})
        assert [each.response.status for each in (first, second)] == [202, 200]
        under_another_id = await webhooks.send({"n": 1}, headers={sender.event_header or "": "push"})
        assert under_another_id.response.status == 200
        another = await webhooks.send({"n": 2}, headers={sender.event_header or "": "push"})
        assert another.response.status == 202
