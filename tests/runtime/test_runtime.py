from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.helpers import NOW, SECRET, signed
from tests.working import PATIENCE, Clock, Faulty, about, deliver, durable, kept_until, settled, until, waiting
from webhook_receiver import (
    Attempt,
    Backoff,
    ConfigurationError,
    Event,
    Filter,
    GiveUp,
    Health,
    InboxUnavailable,
    OrderFulfilled,
    Retry,
    SQLiteInbox,
    State,
    UnknownEvent,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead, kept_headers
from webhook_receiver.events import order_id_of
from webhook_receiver.responses import Receipt
from webhook_receiver.runtime import BackgroundTasks
from webhook_receiver.signatures import BodyCheck, Verified


def idle(*arguments: Any, **options: Any) -> WebhookReceiver:
    hooks = durable(*arguments, **options)
    hooks.on(Event, name="handler")(lambda event: None)
    return hooks


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "proxy-authorization", "cookie", "set-cookie", "signature", "signature-input"),
        *("x-shopify-hmac-sha256", "x-sig", "sig", "x-sig-v2"),
        *("x-hub-signature-256", "webhook-signature", "x-gitlab-token", "x-api-key", "apikey", "x_api_key"),
        *("x-webhook-secret", "x-amz-security-token", "x-auth-user", "x-password", "x-passwd", "x-access-key"),
        # Of proxies: Cloudflare Access, Google's IAP and API Gateway, AWS's load balancers, Azure, oauth2-proxy,
        # Pomerium, Teleport, Vercel; and RFC 9449.
        *("cf-access-jwt-assertion", "x-goog-iap-jwt-assertion", "x-apigateway-api-userinfo", "x-amzn-oidc-data"),
        *("x-amzn-oidc-accesstoken", "x-amzn-oidc-identity", "x-ms-client-principal", "x-ms-token-aad-id-token"),
        *("x-auth-request-access-token", "x-forwarded-access-token", "x-pomerium-jwt-assertion", "x-session-id"),
        *("teleport-jwt-assertion", "x-vercel-oidc-token", "x-vercel-sc-headers", "dpop"),
        *("ocp-apim-subscription-key", "x-functions-key", "x-webhook-key", "x_shared_key", "key", "x-pwd", "x-bearer"),
        # A token may be in the request's target, which proxies hand on.
        *("x-envoy-original-path", "x-original-uri", "x-original-url", "x-forwarded-uri", "x-forwarded-path"),
        *("x-rewrite-url", "x-replaced-path", "x-waws-unencoded-url", "x-request-uri", "referer", "referrer"),
    ],
)
def test_headers_with_credentials_and_signatures_are_not_kept(name: str) -> None:
    assert kept_headers([(name.encode(), b"hush"), (b"digest", b"d"), (b"webhook-id", b"7")]) == (
        (b"digest", b"d"),
        (b"webhook-id", b"7"),
    )


@pytest.mark.parametrize(
    "value",
    [
        b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmVk",
        b'"eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmVk"',
        b"JWT eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmVk",
        *(b"Bearer hush", b"bearer hush", b"Basic aHVzaA==", b"basic aHVzaA=="),
    ],
)
def test_a_credential_is_not_kept_whatever_its_header_is_called(value: bytes) -> None:
    assert kept_headers([(b"x-proof", value), (b"x-note", b"hey")]) == ((b"x-note", b"hey"),)


def test_what_merely_sounds_like_a_credential_is_kept() -> None:
    names = [
        *(b"x-author", b"x-passenger", b"x-github-delivery", b"x-goog-resource-state", b"x-goog-resource-uri"),
        *(b"idempotency-key", b"x-event-key", b"x-ordering-key", b"x-monkey", b"x-request-id", b"x-callback-url"),
    ]
    headers = [(name, value) for name in names for value in (b"7", b"Basically", b"bearers", b"eyes")]
    assert kept_headers(headers) == tuple(headers)


def test_a_header_is_kept_or_not_by_its_name_however_many_others_there_are() -> None:
    many = [(b"x-%d" % number, b"") for number in range(2000)]
    hidden = (b"x-token", b"hush")
    assert kept_headers([hidden, *many, hidden, *many, hidden]) == (*many, *many)


def test_an_event_without_an_order_is_in_no_line() -> None:
    assert order_id_of(UnknownEvent(event="a")) is None


def test_no_credential_or_signature_is_in_the_file(tmp_path: Path) -> None:
    hooks = idle(f"sqlite:///{tmp_path}/hooks.db", secret=SECRET)
    headers = signed(about(), headers={"authorization": "Bearer hush-hush", "x-note": "kept"})

    async def live() -> bytes:
        async with hooks:
            receipt = await hooks.receive(headers, about())
            assert receipt.delivery is not None
            kept = await settled(hooks, receipt.delivery.id)
            assert kept.delivery.header("x-note") == "kept"
            return await asyncio.to_thread(lambda: b"".join(file.read_bytes() for file in tmp_path.iterdir()))

    everything = asyncio.run(live())
    assert b"order.status" in everything
    for hidden in (b"hush-hush", dict(headers)[b"signature"], SECRET.encode()):
        assert hidden not in everything


async def test_an_exact_repeat_runs_nothing_whatever_became_of_the_first() -> None:
    ran: list[Event] = []
    hooks = durable()
    hooks.on(Event, name="handler")(ran.append)
    async with hooks:
        receipts: list[Receipt] = await asyncio.gather(*[hooks.receive({}, about()) for _ in range(10)])
        first = receipts[0].delivery
        assert first is not None
        assert sorted(each.response.status for each in receipts) == [200] * 9 + [202]
        assert [each.duplicate_of for each in receipts] == [None] + [first.id] * 9
        await settled(hooks, first.id)
        assert await deliver(hooks, status=200) == first.id
        assert len(await hooks.inbox.find(Filter())) == 1
    assert len(ran) == 1


@pytest.mark.usefixtures("own_processes")
async def test_a_repeat_from_another_process_on_the_same_file_is_known(tmp_path: Path) -> None:
    inbox = f"sqlite:///{tmp_path}/hooks.db"
    async with idle(inbox) as first, idle(inbox) as second:
        receipts = await asyncio.gather(*[hooks.receive({}, about()) for hooks in (first, second) for _ in range(5)])
    assert sorted(each.response.status for each in receipts) == [200] * 9 + [202]


async def test_a_repeat_whose_created_was_changed_is_known() -> None:
    hooks = idle(secret=SECRET)
    headers = signed(about(), now=NOW)
    later = [
        (name, value.replace(b"created=%d" % NOW, b"created=%d" % (NOW + 1)) if name == b"signature-input" else value)
        for name, value in headers
    ]
    assert later != headers
    async with hooks:
        assert (await hooks.receive(headers, about())).response.status == 202
        assert (await hooks.receive(later, about())).response.status == 200


@pytest.mark.parametrize(("fresh", "status"), [(True, 202), (False, 200)])
async def test_after_the_window_a_repeat_is_a_new_one_unless_copies_verify_for_ever(fresh: bool, status: int) -> None:
    clock = Clock()
    async with idle("memory://?window=60&retention=60", clock=clock, scheme=WithIds(fresh)) as hooks:
        headers = {"webhook-id": "1"}
        assert (await hooks.receive(headers, about())).response.status == 202
        clock.move(61)
        assert (await hooks.receive(headers, about())).response.status == status


async def test_a_captured_delivery_with_a_new_created_is_known_as_long_as_the_first_is_stored() -> None:
    clock = Clock()
    async with idle("memory://?window=60&retention=600", clock=clock, secret=SECRET) as hooks:
        assert (await hooks.receive(signed(about(), now=clock()), about())).response.status == 202
        for _ in range(3):
            clock.move(120)
            assert (await hooks.receive(signed(about(), now=clock()), about())).response.status == 200


async def test_bodies_without_an_identity_are_never_duplicates() -> None:
    body = b'{"event": "parcel.lost"}'
    async with idle() as hooks:
        assert len({await deliver(hooks, body) for _ in range(3)}) == 3
        nameless = json.dumps({"event": "order.status", "body": {"status": "FULFILLED"}}).encode()
        assert len({await deliver(hooks, nameless) for _ in range(3)}) == 3


async def test_a_repeat_of_a_dead_one_replays_it() -> None:
    hooks, errors = durable(), [GiveUp("no")]

    @hooks.on(OrderFulfilled, name="handler")
    async def handler(order: OrderFulfilled) -> None:
        if errors:
            raise errors.pop()

    async with hooks:
        id = await deliver(hooks)
        await settled(hooks, id, State.DEAD)
        assert await deliver(hooks, status=200) == id
        kept = await settled(hooks, id)
    assert kept.summary.handlers["handler"].attempts == 2


class WithIds:
    """A scheme of a sender that gives each delivery an id."""

    secret_count = 4

    def __init__(self, fresh: bool = True) -> None:
        self._fresh = fresh

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        return head

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        identifier = dict(head.headers)[b"webhook-id"].decode()
        return lambda body: Verified(3, True, identifier, self._fresh)


async def test_the_senders_id_tells_what_is_a_repeat() -> None:
    async with idle(scheme=WithIds()) as hooks:

        async def status(id: str, body: bytes) -> int:
            return (await hooks.receive({"webhook-id": id}, body)).response.status

        parcel = b'{"event": "parcel.lost"}'
        assert [await status("1", parcel), await status("1", parcel), await status("2", parcel)] == [202, 200, 202]
        assert [await status("3", about()), await status("4", about()), await status("3", about())] == [202, 202, 200]
        assert [await status("5", b"odd"), await status("5", b"odd")] == [202, 200]


async def test_the_audit_mark_survives_replay_and_no_freshness_is_checked_then() -> None:
    clock, attempts = Clock(), list[Attempt]()
    hooks = durable(clock=clock, secret=["new", SECRET])

    @hooks.on(Event, name="handler")
    async def handler(event: Event, attempt: Attempt) -> None:
        attempts.append(attempt)

    async with hooks:
        receipt = await hooks.receive(signed(about()), about())
        assert receipt.delivery is not None
        id = receipt.delivery.id
        await settled(hooks, id)
        clock.move(86_400)
        await hooks.inbox.replay([id], clock())
        await until(lambda: len(attempts) == 2)
        kept = await settled(hooks, id)
    for delivery in (kept.delivery, attempts[1].delivery):
        assert (delivery.received, delivery.verified_by, delivery.body_verified) == (NOW, 1, True)
    assert (kept.summary.received, kept.summary.verified_by, kept.summary.body_verified) == (NOW, 1, True)


class Parcel(Event, frozen=True):
    event: Literal["parcel"]
    number: int

    @property
    def identity(self) -> tuple[str, ...] | None:
        if self.number == 0:
            raise ZeroDivisionError
        return (self.number,)  # type: ignore[return-value]  # as users do


async def test_an_identity_of_the_users_own_may_be_odd_or_fail(caplog: pytest.LogCaptureFixture) -> None:
    hooks = durable()
    hooks.on(Parcel, name="handler")(lambda event: None)
    one, odd = b'{"event": "parcel", "number": 1}', b'{"event": "parcel", "number": 0}'
    async with hooks:
        first = await deliver(hooks, one)
        assert await deliver(hooks, one, status=200) == first
        assert await deliver(hooks, odd) != await deliver(hooks, odd)
    assert caplog.text.count("its event's identity failed, so a duplicate of it is not recognized") == 2


class ByRevision(OrderFulfilled, frozen=True):
    """An order that tells more than one news of the same status."""

    @property
    def identity(self) -> tuple[str, ...] | None:
        return ("a", "half \ud800")


class Renamed(OrderFulfilled, frozen=True):
    """An order whose id is another one than would be found."""

    @property
    def order_id(self) -> str | None:
        return "renamed"


@pytest.mark.parametrize(
    ("cls", "key", "identity", "ordering_key"),
    [
        (OrderFulfilled, order_id_of, "o%2F1 FULFILLED", "o/1"),
        (OrderFulfilled, lambda event: None, "o%2F1 FULFILLED", None),
        (OrderFulfilled, lambda event: 7, "o%2F1 FULFILLED", "7"),
        (ByRevision, order_id_of, "a half%20%5Cud800", "o/1"),
        (Renamed, order_id_of, "renamed FULFILLED", "renamed"),
    ],
)
async def test_what_an_event_says_is_kept_in_a_line_and_its_order_as_the_key_says(
    cls: type[OrderFulfilled], key: Any, identity: str, ordering_key: str | None
) -> None:
    hooks = durable(ordering_key=key)
    hooks.on(cls, name="handler")(lambda event: None)
    async with hooks:
        kept = await settled(hooks, await deliver(hooks, about("o/1")))
    assert (kept.summary.identity, kept.ordering_key) == (identity, ordering_key)


async def test_health_says_how_it_is() -> None:
    clock = Clock()
    hooks = durable(clock=clock)

    @hooks.on(OrderFulfilled, name="handler")
    async def handler(order: OrderFulfilled) -> None:
        if order.order_id == "dead":
            raise GiveUp("no")

    async with hooks:
        await settled(hooks, await deliver(hooks, about("dead")), State.DEAD)
        await settled(hooks, await deliver(hooks, b'{"event": "parcel.lost"}'), State.UNHANDLED)
        await hooks.pause("handler")
        id = await deliver(hooks, about("held"))
        await kept_until(hooks, id, lambda record: record.paused_by is not None)
        clock.move(90)
        health = await hooks.health()
    assert health == Health(True, "working", None, 1, 90, 1, 1, ("handler",))
    assert json.loads(json.dumps(health.as_json()))["oldest_waiting_seconds"] == 90


async def test_health_says_how_many_will_be_dead_soon() -> None:
    clock = Clock()
    hooks = durable(clock=clock, backoff=Backoff(attempts=2))

    @hooks.on(OrderFulfilled, name="handler")
    def handler(order: OrderFulfilled) -> None:
        raise Retry(after=4000)

    async with hooks:
        await waiting(hooks, await deliver(hooks))
        clock.move(399)
        assert (await hooks.health()).dead_within_hour == 0
        clock.move(1)
        assert (await hooks.health()).dead_within_hour == 1


async def test_health_says_what_waits_before_the_worker_has_started(tmp_path: Path) -> None:
    inbox = f"sqlite:///{tmp_path}/hooks.db"
    before = idle(inbox)
    async with before:
        await before.pause("handler")
        await deliver(before)
    after = idle(inbox)
    health = await after.health()
    assert (health.ok, health.state, health.waiting) == (True, "not started", 1)
    await after.inbox.close()


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (InboxUnavailable("the disk is full"), "the disk is full"),
        (ConfigurationError("no folder"), "no folder"),
        (OSError("it broke"), "the inbox failed: OSError"),
    ],
)
async def test_health_says_what_keeps_the_inbox_from_working(error: Exception, problem: str) -> None:
    inbox = Faulty()
    async with idle(inbox) as hooks:
        inbox.faults["check"] = error
        health = await hooks.health()
    assert (health.ok, health.state, health.problem) == (False, "failing", problem)
    unknown = (health.waiting, health.unhandled, health.dead, health.paused, health.dead_within_hour)
    assert unknown == (None,) * 5, "what is not known is not 0"


HOSTS: dict[str, Callable[[WebhookReceiver], Starlette]] = {
    "starlette": lambda hooks: Starlette(routes=[hooks.health_route("/live")], lifespan=hooks.lifespan),
    "fastapi": lambda hooks: FastAPI(routes=[hooks.health_route("/live")], lifespan=hooks.lifespan),
    "mounted": lambda hooks: Starlette(
        routes=[Mount("/app", routes=[hooks.health_route("/live")]), Mount("/", routes=[hooks.health_route("/live")])],
        lifespan=hooks.lifespan,
    ),
}


def client_of(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host")


@pytest.mark.parametrize("host", HOSTS)
async def test_the_health_route_of_any_host_is_200_until_nothing_can_be_stored(host: str) -> None:
    inbox = Faulty()
    async with idle(inbox) as hooks, client_of(HOSTS[host](hooks)) as client:
        for method in ("GET", "HEAD", "OPTIONS"):
            for path in ("/live", "/live/"):
                assert (await client.request(method, path)).status_code == 200
        assert (await client.post("/live")).status_code == 405
        response = await client.get("/live")
        assert (response.json()["state"], response.json()["waiting"]) == ("working", 0)
        assert response.headers["cache-control"] == "no-store"
        inbox.faults["check"] = InboxUnavailable("the disk is full")
        for method in ("GET", "HEAD", "OPTIONS"):
            assert (await client.request(method, "/live")).status_code == 503
        found = (await client.get("/live")).json()
        assert (found["ok"], found["waiting"], found["dead"]) == (False, None, None)


async def test_the_health_of_a_receiver_without_an_inbox_is_200() -> None:
    hooks = WebhookReceiver(secret=SECRET)
    async with client_of(Starlette(routes=[hooks.health_route("/")])) as client:
        response = await client.get("/")
    assert (response.status_code, response.json()["waiting"]) == (200, 0)


async def test_nested_lives_are_one(caplog: pytest.LogCaptureFixture) -> None:
    hooks = idle()
    async with hooks:
        async with hooks, hooks:
            pass
        await settled(hooks, await deliver(hooks))
    with pytest.raises(InboxUnavailable, match="not open"):
        await hooks.inbox.stats()
    assert "was not started" not in caplog.text


async def test_the_first_deliveries_start_what_nobody_started_and_one_warning_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hooks = idle()
    receipts = await asyncio.gather(*[hooks.receive({}, about(number)) for number in range(5)])
    for receipt in receipts:
        assert receipt.delivery is not None
        await settled(hooks, receipt.delivery.id)
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "up42 was not started" in warning.getMessage()
    assert "lifespan=hooks.lifespan" in warning.getMessage()
    async with hooks:  # it stops, too, once somebody takes its life over
        assert (await hooks.health()).state == "working"


def test_deliveries_in_loops_that_end_at_once_are_not_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ran: list[str] = []
    hooks = durable(f"sqlite:///{tmp_path}/hooks.db", lease=0.5, clock=lambda: 0.0)

    @hooks.on(OrderFulfilled, name="handler")
    async def handler(order: OrderFulfilled) -> None:
        await asyncio.to_thread(int)
        ran.append(str(order.order_id))

    ids = [asyncio.run(deliver(hooks, about(number))) for number in range(5)]

    async def rest() -> None:
        clock = Clock()
        after = durable(hooks.inbox, clock=clock)
        after.on(OrderFulfilled, name="handler")(handler)
        async with after:
            await asyncio.gather(*[settled(after, id) for id in ids])

    asyncio.run(asyncio.wait_for(rest(), PATIENCE))
    assert set(ran) == {"0", "1", "2", "3", "4"}
    assert caplog.text.count("was not started") == 1
    assert caplog.text.count("up42 was not stopped before its event loop ended") == 1
    assert caplog.text.count("work=False), and handle them by `webhook-receiver worker`") == 1


def test_a_portal_for_each_request_as_test_clients_have_it_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    hooks = idle()
    for number in range(3):
        with start_blocking_portal() as portal:
            portal.call(deliver, hooks, about(number))
    assert caplog.text.count("was not stopped before its event loop ended") == 1


def test_who_only_stores_may_have_a_loop_for_each_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "receive")
    hooks = durable(f"sqlite:///{tmp_path}/hooks.db", work=False)
    for number in range(3):
        asyncio.run(deliver(hooks, about(number)))
    asyncio.run(hooks.inbox.close())
    assert caplog.text == ""


def test_a_loop_that_ends_after_the_receiver_has_is_no_cause_for_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = idle(f"sqlite:///{tmp_path}/hooks.db")

    async def live(number: int) -> None:
        async with hooks:
            await deliver(hooks, about(number))

    for number in range(2):
        asyncio.run(live(number))
    assert "loop" not in caplog.text


@pytest.mark.parametrize("inbox", [None, "memory://"])
async def test_on_lambda_a_warning_says_that_handlers_are_cut_off(
    inbox: str | None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "receive")
    hooks = WebhookReceiver(secret=SECRET, inbox=inbox)
    hooks.on(OrderFulfilled, name="handler")(lambda order: None)
    for _ in range(2):
        async with hooks:
            pass
    said = "up42 runs on AWS Lambda, which stands still between two requests, so handlers of stored deliveries are cut"
    assert caplog.text.count(said) == (0 if inbox is None else 1)


@pytest.mark.parametrize("inbox", [SQLiteInbox, 7, None.__class__])
def test_what_is_no_inbox_is_rejected(inbox: Any) -> None:
    with pytest.raises(ConfigurationError, match="takes a URL such as"):
        durable(inbox)


async def test_plain_handlers_have_threads_beside_those_of_the_host() -> None:
    many, limiter = 60, current_default_thread_limiter()
    before = limiter.total_tokens
    together = threading.Barrier(many, timeout=PATIENCE)
    hooks = durable(concurrency=many)
    hooks.on(Event, name="handler")(lambda event: together.wait() and None)
    async with hooks:
        ids = [await deliver(hooks, about(f"o-{number}")) for number in range(many)]
        for id in ids:
            await settled(hooks, id)
    assert limiter.total_tokens == before < many


class Chore:
    """Goes on until it is cancelled, and may ignore that."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.begun = self.ended = 0
        self.enough = asyncio.Event()
        self._stubborn = stubborn

    async def __call__(self) -> None:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            if self._stubborn:
                await self.enough.wait()
            self.ended += 1


async def test_they_run_from_start_to_stop_and_again() -> None:
    chores, chore = BackgroundTasks(), Chore()
    chores.add(chore)
    for times in (1, 2):
        chores.start()
        chores.start()  # once more is nothing
        await until(lambda: chore.begun > chore.ended)
        await chores.stop()
        assert (chore.begun, chore.ended) == (times, times)
    await chores.stop()


async def test_what_comes_while_they_run_comes_too_late() -> None:
    chores = BackgroundTasks()
    chores.start()
    with pytest.raises(ConfigurationError, match="runs already"):
        chores.add(Chore())
    await chores.stop()
    chores.add(Chore())


async def test_one_that_does_not_end_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook_receiver.runtime.background._STOP_TIMEOUT", 0.01)
    chores, chore = BackgroundTasks(), Chore(stubborn=True)
    chores.add(chore)
    chores.start()
    await until(lambda: chore.begun == 1)
    await chores.stop()
    assert chore.ended == 0
    chore.enough.set()
    await until(lambda: chore.ended == 1)


def test_they_start_anew_in_another_loop_when_the_first_has_ended() -> None:
    chores, chore = BackgroundTasks(), Chore()
    chores.add(chore)

    async def start(*, stop: bool) -> None:
        begun = chore.begun
        chores.start()
        await until(lambda: chore.begun == begun + 1)
        if stop:
            await chores.stop()

    asyncio.run(start(stop=False))
    asyncio.run(start(stop=True))
    assert (chore.begun, chore.ended) == (2, 2)
