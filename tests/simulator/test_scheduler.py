"""The scheduler: to whom, signed with what, how often, and what is noted of it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, RedirectResponse

from tests.helpers import NOW, SECRET, serving
from tests.simulator.playing import HOOKS, Real, catching, playing, receiving
from tests.working import PATIENCE, Clock
from webhook_receiver import OrderFulfilled, UP42Signature
from webhook_receiver.delivery import header_pairs
from webhook_receiver.events import OrderStatus
from webhook_receiver.simulator import NewOrders, Simulator, SimulatorOptions
from webhook_receiver.simulator.store import Outgoing, SendAttempt
from webhook_receiver.simulator.webhooks_api import GivenWebhook, put


def test_a_fulfilled_order_is_delivered_and_the_receiver_takes_it() -> None:
    real = Real()
    with playing() as played, receiving(real) as url:
        played.webhook(url)
        (made,) = played.create()
        played.move(made["id"])
        assert real.next().status == 204
        (event,) = real.noted.events
        assert isinstance(event, OrderFulfilled)
        assert event.order_id == made["id"]


def test_what_has_no_secret_is_signed_by_the_scheme_that_is_there_for_it_or_not_at_all() -> None:
    real = Real(["of the scheme's own"])
    with playing(retry=()) as played, receiving(real) as url:
        hook = played.webhook(url, secret=None)
        played.create(status="FULFILLED")
        assert real.next().status == 401
        played.simulator.scheduler.schemes[hook["id"]] = UP42Signature("of the scheme's own")
        played.create(status="FULFILLED")
        assert real.next().status == 204
        played.ask("PUT", f"{HOOKS}/{hook['id']}", json=hook | {"secret": "of the webhook"})
        played.create(status="FULFILLED")
        assert real.next().status == 401


def test_only_active_webhooks_that_are_subscribed_hear_of_it() -> None:
    with playing() as played, catching() as (catcher, url):
        played.webhook(f"{url}?active")
        played.webhook(f"{url}?inactive", active=False)
        played.webhook(f"{url}?jobs", events=["job.status"])
        gone = played.webhook(f"{url}?deleted")
        played.ask("DELETE", f"{HOOKS}/{gone['id']}")
        played.create(status="FULFILLED")
        (ended,) = played.ended()
        assert ended.attempts[0].url == f"{url}?active"
        assert len(played.deliveries()) == 1
        assert catcher.next()
        assert catcher.got.empty()


def test_what_fails_is_attempted_again_by_the_schedule_signed_anew_each_time() -> None:
    clock = Clock()
    with playing(clock=clock, retry=(1, 5, 30)) as played, catching(500, 404, 503) as (catcher, url):
        played.webhook(url)
        played.create(status="FULFILLED")
        (ended,) = played.ended()
        assert ended.ended == "delivered"
        assert [attempt.status for attempt in ended.attempts] == [500, 404, 503, 204]
        assert [attempt.number for attempt in ended.attempts] == [1, 2, 3, 4]
        assert played.waits == [1, 5, 30]
        assert [attempt.at for attempt in ended.attempts] == [NOW, NOW + 1, NOW + 6, NOW + 36]
        got = [catcher.next() for _ in range(4)]
        assert len({each.body for each in got}) == 1
        assert len({dict(each.headers)[b"signature-input"] for each in got}) == 4


def test_after_the_last_attempt_a_delivery_has_failed() -> None:
    with playing(clock=Clock(), retry=(1,)) as played, catching(500, 500) as (_, url):
        played.webhook(url)
        played.create(status="FULFILLED")
        (ended,) = played.ended()
        assert (ended.ended, ended.due, len(ended.attempts)) == ("failed", None, 2)


def test_each_attempt_is_noted_with_its_request_and_answer() -> None:
    answer = JSONResponse({"title": "No", "detail": "not today"}, status_code=422)
    with playing(clock=Clock(), retry=()) as played, catching(answer) as (catcher, url):
        hook = played.webhook(url)
        (order,) = played.create(status="FAILED_PERMANENTLY")
        played.ended()
        got = catcher.next()
        (delivery,) = played.ask("GET", "/_simulator/deliveries", params={"orderId": order["id"]})
        assert (delivery["webhookId"], delivery["orderId"]) == (hook["id"], order["id"])
        assert (delivery["event"], delivery["body"].encode()) == ("order.status", got.body)
        assert got.document["body"]["status"] == "FAILED_PERMANENTLY"
        (attempt,) = delivery["attempts"]
        assert (attempt["url"], attempt["status"], attempt["reason"]) == (url, 422, "No: not today")
        assert attempt["at"] == NOW
        assert attempt["seconds"] > 0
        assert {*header_pairs([(name, value) for name, value in attempt["headers"]])} <= {*got.headers}


def test_a_redirect_is_not_followed_but_told() -> None:
    with playing(clock=Clock(), retry=()) as played, catching(RedirectResponse("/elsewhere")) as (catcher, url):
        played.webhook(url)
        played.create(status="FULFILLED")
        (attempt,) = played.ended()[0].attempts
        assert (attempt.status, attempt.reason) == (307, "redirects to /elsewhere")
        catcher.next()
        assert catcher.got.empty()


def test_a_receiver_that_is_too_slow_or_away_is_a_failed_attempt() -> None:
    held = threading.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.to_thread(held.wait, PATIENCE)

    with playing(retry=(), timeout=0.2) as played:
        try:
            with receiving(slow) as url:
                played.webhook(url)
                played.create(status="FULFILLED")
                (attempt,) = played.ended()[0].attempts
                assert (attempt.status, attempt.reason[:12]) == (None, "no response:")
                held.set()
        finally:
            held.set()
        played.create(status="FULFILLED")
        (attempt,) = played.ended()[0].attempts
        assert (attempt.status, attempt.reason[:12]) == (None, "no response:")


def test_a_webhook_that_was_deleted_or_switched_off_meanwhile_is_left_alone() -> None:
    with playing(retry=(1e6, 1e6)) as played, catching(500, 500) as (_, url):
        hook = played.webhook(url)
        (order,) = played.create(status="FULFILLED")
        played.attempts.get(timeout=PATIENCE)
        played.ask("DELETE", f"{HOOKS}/{hook['id']}")
        (waiting,) = played.deliveries()
        again = played.ask("POST", f"/_simulator/deliveries/{waiting['id']}/replay", status=202)
        assert again["orderId"] == order["id"]
        (dropped,) = _until_ended(played, again["id"])
        assert (dropped["ended"], dropped["attempts"]) == ("dropped", [])


def _until_ended(played: Any, id: str) -> list[Any]:
    while True:
        found = [each for each in played.deliveries() if each["id"] == id and each["ended"]]
        if found:
            return found


def test_no_more_attempts_are_made_at_once_than_there_are_places() -> None:
    now, most, lock = 0, 0, threading.Lock()
    full = threading.Barrier(3)

    async def count(scope: Any, receive: Any, send: Any) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        await asyncio.to_thread(full.wait, PATIENCE)  # until there are three, which there always are
        with lock:
            now -= 1
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with playing(concurrency=3) as played, receiving(count) as url:
        played.webhook(url)
        played.create(count=12, status="FULFILLED")
        assert {each.ended for each in played.ended(12)} == {"delivered"}
    assert most == 3


def test_the_secret_and_the_address_of_today_are_used_for_what_was_made_before() -> None:
    real = Real(["new secret"])
    with playing(retry=(0.01,) * 1000) as played, catching(*[500] * 1000) as (_, old), receiving(real) as url:
        hook = played.webhook(old)
        played.create(status="FULFILLED")
        played.attempts.get(timeout=PATIENCE)
        played.ask("PUT", f"{HOOKS}/{hook['id']}", json=hook | {"url": url, "secret": "new secret"})
        assert real.next().status == 204
        assert played.ended()[0].attempts[-1].url == url


def test_every_status_is_told_where_that_is_wanted() -> None:
    with playing(clock=Clock(), every_status=True) as played, catching() as (catcher, url):
        played.webhook(url)
        (order,) = played.create()
        told = [catcher.next().document["body"]["status"]]
        for status in ("BEING_PLACED", "PLACED"):
            played.move(order["id"], status)
            told.append(catcher.next().document["body"]["status"])
        assert told == ["CREATED", "BEING_PLACED", "PLACED"]


async def test_what_waits_is_delivered_by_the_next_simulator_on_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "simulator.db"
    with catching() as (catcher, url):
        first = Simulator(state=file)
        put(first, GivenWebhook(name="tests", url=url, events=("order.status",), active=True))
        (order,) = first.create(NewOrders(status=OrderStatus.FULFILLED))
        first.close()  # it was never entered: nothing was delivered, as if it had been killed
        assert catcher.got.empty()
        second = Simulator(state=file)
        async with second:
            got = await asyncio.to_thread(catcher.next)
        second.close()
    assert got.order_id == order.id


async def test_a_simulator_that_stops_waits_for_the_attempt_that_is_being_made_and_begins_no_other() -> None:
    begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    noted: list[tuple[Outgoing, SendAttempt]] = []

    async def held(scope: Any, receive: Any, send: Any) -> None:
        loop.call_soon_threadsafe(begun.set)
        await asyncio.to_thread(may_end.wait, PATIENCE)
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body"})

    options = SimulatorOptions(retry=(0.0,) * 5, stop=PATIENCE, concurrency=1)
    simulator = Simulator(options, on_attempt=lambda outgoing, made: noted.append((outgoing, made)))
    with receiving(held) as url:
        async with simulator:
            put(simulator, GivenWebhook(name="tests", url=url, events=("order.status",), active=True))
            simulator.create(NewOrders(count=2, status=OrderStatus.FULFILLED))
            await begun.wait()
            loop.call_soon(may_end.set)
    assert [(outgoing.ended, made.status) for outgoing, made in noted] == [("", 500)]
    assert [len(each.attempts) for each in simulator.store.outgoing] == [1, 0]


async def test_a_simulator_that_stops_waits_no_longer_than_it_was_told() -> None:
    begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def held(scope: Any, receive: Any, send: Any) -> None:
        loop.call_soon_threadsafe(begun.set)
        await asyncio.to_thread(may_end.wait, PATIENCE)

    simulator = Simulator(SimulatorOptions(stop=0, timeout=PATIENCE))
    with receiving(held) as url:
        async with simulator:
            put(simulator, GivenWebhook(name="tests", url=url, events=("order.status",), active=True))
            simulator.create(NewOrders(status=OrderStatus.FULFILLED))
            await begun.wait()
        may_end.set()
    (left,) = simulator.store.outgoing
    assert (left.attempts, left.ended) == ((), "")
    assert left.due is not None


def test_a_receiver_with_tls_is_trusted_by_its_authority(tmp_path: Path) -> None:
    import ssl

    import trustme

    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "receiver.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    real = Real()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (real.noted.hooks if scope["type"] == "lifespan" else real)(scope, receive, send)

    with serving(app, ssl_certfile=str(tmp_path / "receiver.pem")) as url:
        for verify, status in ((context, 204), (None, None)):
            with playing(retry=(), verify=verify) as played:
                played.webhook(f"{url}/webhooks")
                played.create(status="FULFILLED")
                assert played.ended()[0].attempts[0].status == status


@pytest.mark.parametrize("what", [Outgoing, SendAttempt])
def test_what_is_noted_shows_no_body_and_no_signature_in_its_repr(what: type) -> None:
    attempt = SendAttempt(number=1, at=NOW, seconds=1, url="u", headers=(("signature", SECRET),), status=None)
    outgoing = Outgoing(id="d", number=1, webhook_id="w", event="e", body=SECRET, created=NOW, attempts=(attempt,))
    assert SECRET not in repr(outgoing)
    assert SECRET not in repr(attempt)
    assert what.__name__ in repr(outgoing)
