"""Replies: the body of the response to a stored delivery, which costs no delivery whatever becomes of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.helpers import NOW, SECRET, Noted, noting, serving
from tests.working import PATIENCE, durable
from webhook_receiver import ConfigurationError, Event, HMACBody, Receipt, Response, Sender, WebhookReceiver
from webhook_receiver.delivery import RequestHead
from webhook_receiver.responses import as_json, as_xml, plain
from webhook_receiver.senders.reply import Reply
from webhook_receiver.senders.slack import slack
from webhook_receiver.senders.split import Split

SCHEME = HMACBody(SECRET, signature="x-sig")
EVENT = b'{"event": "command", "name": "weather"}'
USUAL = (202, {"content-length": "0"}, b"")


def sender(make: Any, timeout: float = 5.0) -> Sender:
    return Sender(name="acme", scheme=SCHEME, facts=("made up",), delivery_id_path="name", reply=Reply(make, timeout))


async def deliver(hooks: WebhookReceiver, body: bytes = EVENT) -> Receipt:
    return await hooks.receive(SCHEME.sign(RequestHead.of({}), body, NOW).headers, body)


async def answer(make: Any, within: float = 5.0, body: bytes = EVENT) -> tuple[int, dict[str, str], bytes]:
    """Return the response to a delivery, after a check that it was stored."""
    hooks = durable("memory://", sender=sender(make, within), work=False)
    async with hooks:
        response = (await deliver(hooks, body)).response
        assert sum((await hooks.inbox.stats()).counts.values()) == 1
    return response.status, dict(response.headers), response.body


def with_body(kind: str, body: bytes, status: int = 200) -> tuple[int, dict[str, str], bytes]:
    return status, {"content-type": kind, "content-length": str(len(body)), "x-content-type-options": "nosniff"}, body


async def asynchronous(event: Any) -> Response:
    await asyncio.sleep(0)
    return as_json({"text": f"the {event.name}"})


class Asynchronous:
    async def __call__(self, event: Any) -> Response:
        return await asynchronous(event)


@pytest.mark.parametrize(
    "make",
    [
        asynchronous,
        Asynchronous(),
        lambda event: asynchronous(event),
        lambda event: as_json({"text": f"the {event.name}"}),
    ],
    ids=["async", "async object", "lambda of async", "lambda"],
)
async def test_the_reply_to_a_stored_delivery_is_made_of_its_event(make: Any) -> None:
    assert await answer(make) == with_body("application/json", b'{"text": "the weather"}')


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (plain("ok"), with_body("text/plain; charset=utf-8", b"ok")),
        (plain("é", 201), with_body("text/plain; charset=utf-8", "é".encode(), 201)),
        (as_json({"type": 5}), with_body("application/json", b'{"type": 5}')),
        (as_xml("<Response/>"), with_body("text/xml; charset=utf-8", b"<Response/>")),
        (
            Response(200, {"Content-Type": "text/csv", "content-length": "99"}, b"a,b"),
            (200, {"content-type": "text/csv", "content-length": "3"}, b"a,b"),
        ),
        (Response(204), (204, {}, b"")),
        (None, USUAL),
    ],
)
async def test_a_reply_has_any_kind_and_the_length_of_its_body(made: Any, expected: Any) -> None:
    assert await answer(lambda event: made) == expected


def fail(event: Event) -> Response:
    raise RuntimeError("a bug of mine")


async def fail_later(event: Event) -> Response:
    await asyncio.sleep(0)
    raise RuntimeError("a bug of mine")


async def cancel_itself(event: Event) -> Response:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (fail, "a bug of mine"),
        (fail_later, "a bug of mine"),
        (cancel_itself, "the reply failed"),
        (lambda event: {"text": "no response"}, "not dict"),
        (lambda event: b"ok", "not bytes"),
        (lambda event: Response(500), "not 500"),
        (lambda event: Response(302, {"location": "/"}), "not 302"),
        (lambda event: Response(204, {}, b"body"), "has no body"),
        (lambda event: Response(200, {"x": "a\r\nset-cookie: b"}), "printable"),
        (lambda event: Response(200, {"x\n": "a"}), "printable"),
        (lambda event: event.nothing, "nothing"),
    ],
)
async def test_a_reply_that_fails_is_left_out_and_logged(
    make: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await answer(make) == USUAL
    (record,) = [each for each in caplog.records if "the reply failed" in each.getMessage()]
    assert said in caplog.text
    assert getattr(record, "delivery_id", None)


async def late(event: Event) -> Response:
    await asyncio.Event().wait()
    return plain("too late")


async def stubborn(event: Event) -> Response:
    for _ in range(3):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            break
    return plain("too late")


async def late_and_wrong(event: Event) -> Response:
    try:
        await asyncio.Event().wait()
    finally:
        raise RuntimeError("too late, and wrong")


@pytest.mark.parametrize("make", [late, stubborn, late_and_wrong])
async def test_a_reply_that_is_late_is_left_out_and_logged(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert await answer(make, 0.01) == USUAL
    assert "the reply took longer than 0.01 s" in caplog.text
    await asyncio.sleep(0)
    assert "never retrieved" not in caplog.text


async def test_replies_that_hang_keep_no_delivery_waiting_and_have_no_more_than_their_threads(
    caplog: pytest.LogCaptureFixture,
) -> None:
    over, running = threading.Event(), threading.Semaphore(0)

    def hang(event: Event) -> Response:
        running.release()
        over.wait(PATIENCE)
        return plain("too late")

    hooks = durable("memory://", sender=sender(hang, 0.2), work=False)
    try:
        async with hooks:
            for begin in (0, 20):  # those of the first time hang still when the others come
                bodies = [b'{"event": "command", "number": %d}' % (begin + number) for number in range(20)]
                receipts = await asyncio.gather(*(deliver(hooks, body) for body in bodies))
                assert {each.response.status for each in receipts} == {202}
            assert sum((await hooks.inbox.stats()).counts.values()) == 40
            for _ in range(16):
                assert running.acquire(timeout=PATIENCE)
            assert not running.acquire(blocking=False)
    finally:
        over.set()


async def test_a_reply_that_hung_gives_its_place_to_the_next_one() -> None:
    over = threading.Event()

    def hang(event: Event) -> Response:
        over.wait(PATIENCE)
        return plain("here")

    hooks = durable("memory://", sender=sender(hang, 0.2), work=False)
    async with hooks:
        bodies = [b'{"event": "command", "number": %d}' % number for number in range(17)]
        assert {each.response.body for each in await asyncio.gather(*(deliver(hooks, body) for body in bodies))} == {
            b""
        }
        over.set()
        async with asyncio.timeout(PATIENCE):
            while (await deliver(hooks, bodies[0])).response.body != b"here":
                pass


async def test_a_duplicate_has_the_same_reply_and_is_not_stored_again() -> None:
    hooks = durable("memory://", sender=sender(lambda event: plain("ok")), work=False)
    async with hooks:
        first, second = await deliver(hooks), await deliver(hooks)
        assert (second.duplicate_of, second.response) == (first.delivery and first.delivery.id, first.response)
        assert sum((await hooks.inbox.stats()).counts.values()) == 1


async def test_the_reply_is_made_after_the_commit() -> None:
    stored: list[int] = []

    async def make(event: Event) -> Response:
        stored.append(sum((await hooks.inbox.stats()).counts.values()))
        return plain("ok")

    hooks = durable("memory://", sender=sender(make), work=False)
    async with hooks:
        await deliver(hooks)
    assert stored == [1]


@pytest.mark.parametrize("body", [b"no JSON", b"[1]", b'{"event": 7}'])
async def test_what_is_no_event_has_no_reply(body: bytes) -> None:
    hooks = WebhookReceiver(sender=sender(lambda event: plain("ok")), inbox="memory://", work=False, clock=lambda: NOW)
    async with hooks:
        assert (await deliver(hooks, body)).response.status == 202


async def test_what_is_rejected_has_no_reply() -> None:
    made: list[Event] = []
    hooks = durable("memory://", sender=sender(made.append), work=False)
    async with hooks:
        assert (await hooks.receive({"x-sig": "0" * 64}, EVENT)).response.status == 401
        assert (await hooks.receive({}, EVENT, method="GET")).response.status == 405
    assert made == []


async def test_without_an_inbox_it_is_made_after_the_handlers() -> None:
    noted: Noted = noting(sender=sender(lambda event: plain(f"{len(noted.events)} handled")))
    assert (await deliver(noted.hooks)).response == plain("1 handled")
    failing = WebhookReceiver(sender=sender(lambda event: plain("ok")), clock=lambda: NOW)

    @failing.on(Event)
    def handle(event: Event) -> None:
        raise RuntimeError("no")

    assert (await deliver(failing)).response.status == 500


async def test_a_request_that_is_cancelled_cancels_its_reply() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def make(event: Event) -> Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return plain("")

    hooks = durable("memory://", sender=sender(make, 30), work=False)
    async with hooks:
        request = asyncio.create_task(deliver(hooks))
        await begun.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await asyncio.wait_for(ended.wait(), 5)
        assert sum((await hooks.inbox.stats()).counts.values()) == 1


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_slash_commands_are_answered_over_http(http: str) -> None:
    def make(event: Any) -> Response:
        return as_json({"response_type": "ephemeral", "text": f"{event.command} of {event.text}"})

    command = replace(slack(SECRET), reply=Reply(make))
    noted: Noted = noting(sender=command)
    body = b"token=a&command=%2Fweather&text=94070"
    head = command.scheme.sign(RequestHead.of({"content-type": "application/x-www-form-urlencoded"}), body, NOW)
    with serving(noted.hooks, http=http) as url:
        async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
            response = await client.post("/", content=body, headers=[*head.headers])
    assert (response.status_code, response.json()) == (200, {"response_type": "ephemeral", "text": "/weather of 94070"})
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reply({"text": "ok"}),  # type: ignore[arg-type]
        lambda: Reply(plain, 0),
        lambda: Reply(plain, 61),
        lambda: Reply(plain, True),
        lambda: Reply(plain, "3"),  # type: ignore[arg-type]
        lambda: Sender(name="a", scheme=SCHEME, facts=("made up",), reply=fail),  # type: ignore[arg-type]
        lambda: replace(sender(fail), split=Split("events.*")),
    ],
)
def test_a_reply_that_cannot_work_is_rejected(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError, match="reply"):
        make()
