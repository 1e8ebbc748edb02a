from __future__ import annotations

import json
import logging
import sqlite3
import traceback
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import field_validator
from starlette.types import Message

from tests.helpers import NOW, SECRET, call, noting, order, signed
from tests.working import Faulty, deliver, durable, settled
from webhook_receiver import (
    AnyOf,
    Attempt,
    Backoff,
    BodyMismatch,
    ConfigurationError,
    Delivery,
    Event,
    FailedAttempt,
    Filter,
    GiveUp,
    Health,
    HTTPMessageSignature,
    InboxUnavailable,
    MemoryInbox,
    MissingSignature,
    NotAnEvent,
    OrderFulfilled,
    Retry,
    Scheme,
    Sender,
    StaleSignature,
    State,
    UnknownEvent,
    Unsigned,
    UP42Signature,
    WebhookReceiver,
    WorkerOptions,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.errors import BodyTooLarge
from webhook_receiver.responses import Receipt, ResponseStatuses
from webhook_receiver.runtime import Runtime
from webhook_receiver.senders import github
from webhook_receiver.senders.up42 import up42
from webhook_receiver.signatures import BodyCheck

BODY = order()
HUSH = "hush-hush"
"""What must not be in any log."""


async def test_a_genuine_delivery_is_handled_and_answered_204() -> None:
    noted = noting()
    exchange = await call(noted.hooks, signed(BODY), [BODY[:10], BODY[10:]])
    assert (exchange.status, exchange.headers, exchange.sent[1]["body"]) == (204, {}, b"")
    assert [type(event) for event in noted.events] == [OrderFulfilled]
    assert noted.hooks.rejected == {}


async def test_a_delivery_that_nothing_wants_is_answered_204() -> None:
    hooks = WebhookReceiver(secret=SECRET, clock=lambda: NOW)
    assert (await call(hooks, signed(BODY), [BODY])).status == 204


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"])
async def test_only_a_post_delivers(method: str) -> None:
    noted = noting()
    exchange = await call(noted.hooks, signed(BODY), [BODY], method=method)
    assert (exchange.status, exchange.headers[b"allow"], exchange.read) == (405, b"POST", 1)
    assert noted.events == []


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([], "MissingSignature"),
        ([(b"signature", b""), (b"signature-input", b"")], "MalformedSignature"),
        (signed(BODY, secret="another"), "BadSignature"),
        (signed(BODY, now=NOW - 300), "StaleSignature"),
    ],
)
async def test_a_stranger_is_rejected_before_the_body_is_read(headers: Any, error: str) -> None:
    noted = noting()
    exchange = await call(noted.hooks, [*headers, (b"expect", b"100-continue")], [BODY])
    assert (exchange.status, exchange.read) == (401, 0)
    assert exchange.problem == {
        "type": "urn:webhook-receiver:problem:rejected",
        "title": "The signature was rejected",
        "status": 401,
    }
    assert noted.hooks.rejected == {error: 1}
    assert noted.events == []


async def test_another_body_under_a_genuine_signature_is_rejected() -> None:
    noted = noting()
    exchange = await call(noted.hooks, signed(BODY), [order("FAILED_PERMANENTLY")])
    assert (exchange.status, noted.hooks.rejected, noted.events) == (401, {"BodyMismatch": 1}, [])


async def test_the_sender_says_which_statuses_it_is_answered() -> None:
    sender = replace(up42(SECRET), responses=ResponseStatuses(stored=204, duplicate=208))
    hooks = WebhookReceiver(sender=sender, inbox="memory://", work=False, clock=lambda: NOW)
    async with hooks:
        receipts = [await hooks.receive(signed(BODY), BODY) for _ in range(2)]
    assert [receipt.response.status for receipt in receipts] == [204, 208]
    assert [dict(receipt.response.headers) for receipt in receipts] == [{}, {"content-length": "0"}]


async def test_the_answer_to_a_bad_signature_is_settable() -> None:
    exchange = await call(
        noting(sender=replace(up42(SECRET), responses=ResponseStatuses(rejected=403))).hooks, [], [BODY]
    )
    assert (exchange.status, exchange.problem["status"]) == (403, 403)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-length": "ten"}, 400),
        ({"content-length": "-1"}, 400),
        ({"content-length": "1_0"}, 400),
        ({"content-length": "²"}, 400),
        ({"content-length": ""}, 400),
        ({"content-length": "1048577"}, 413),
        ({"content-length": "9" * 10_000}, 413),
        ({"content-length": "0000000000000000000000000"}, 204),
        ({"content-length": "1048576"}, 204),
        ({"content-encoding": "gzip"}, 415),
        ({"content-encoding": "br, identity"}, 415),
        ({"content-encoding": "Identity"}, 204),
        ({"content-encoding": ""}, 204),
    ],
)
async def test_what_the_headers_say_of_the_body_is_checked_before_it_is_read(
    headers: dict[str, str], status: int
) -> None:
    noted = noting()
    exchange = await call(noted.hooks, signed(BODY, headers={**headers, "expect": "100-Continue"}), [BODY])
    assert exchange.status == status
    assert exchange.read == (1 if status == 204 else 0)
    assert len(noted.events) == exchange.read


async def test_a_body_over_the_limit_is_rejected_whatever_its_length_claims() -> None:
    noted = noting(max_body=len(BODY))
    assert (await call(noted.hooks, signed(BODY), [BODY[:5], BODY[5:]])).status == 204
    for chunks in ([BODY + b" "], [BODY, b" "]):
        exchange = await call(noted.hooks, signed(BODY + b" "), chunks)
        assert (exchange.status, exchange.problem["type"]) == (413, "urn:webhook-receiver:problem:body-too-large")
    assert len(noted.events) == 1


async def test_a_client_that_goes_away_is_answered_all_the_same_since_middleware_waits_for_it() -> None:
    noted = noting()
    exchange = await call(noted.hooks, signed(BODY), [BODY[:5]], gone=True)
    assert (exchange.status, noted.events, noted.hooks.rejected) == (400, [], {"BodyIncomplete": 1})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'{"event": "order.status", "body": {}}'])
async def test_an_authentic_body_that_is_no_event_is_answered_422_with_the_field(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    noted = noting()
    exchange = await call(noted.hooks, signed(body), [body])
    assert (exchange.status, noted.events) == (422, [])
    assert exchange.problem["type"] == "urn:webhook-receiver:problem:not-an-event"
    assert exchange.problem["detail"] in caplog.text


class Outcomes:
    """A receiver with a handler for each of some outcomes, and the names of those that ran."""

    def __init__(self, **outcomes: Exception | None) -> None:
        self.hooks = WebhookReceiver(secret=SECRET, clock=lambda: NOW)
        self.ran: list[str] = []
        for name, outcome in outcomes.items():
            self.hooks.on(Event, name=name)(self._handler(name, outcome))

    def _handler(self, name: str, outcome: Exception | None) -> Any:
        def handler(event: Event) -> None:
            self.ran.append(name)
            if outcome is not None:
                raise outcome

        return handler


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ({"a": None, "b": None}, 204),
        ({"a": ValueError("x"), "b": None}, 500),
        ({"a": GiveUp("no"), "b": None}, 204),
        ({"a": Retry(5), "b": None}, 503),
        ({"a": Retry(5), "b": ValueError("x"), "c": GiveUp("no")}, 500),
        ({"a": ValueError("x"), "b": KeyError("y")}, 500),
    ],
)
async def test_all_handlers_run_and_the_answer_is_that_of_the_worst(
    outcomes: dict[str, Exception | None], status: int
) -> None:
    made = Outcomes(**outcomes)
    assert (await call(made.hooks, signed(BODY), [BODY])).status == status
    assert made.ran == list(outcomes)


async def test_the_longest_wait_that_a_handler_wants_is_answered() -> None:
    exchange = await call(Outcomes(a=Retry(5), b=Retry(60.5), c=Retry(0)).hooks, signed(BODY), [BODY])
    assert exchange.headers[b"retry-after"] == b"61"


async def test_an_exception_that_claims_to_be_nothing_is_a_failure_all_the_same() -> None:
    class Falsy(Exception):
        def __bool__(self) -> bool:
            return False

    assert (await call(Outcomes(a=Falsy()).hooks, signed(BODY), [BODY])).status == 500


async def test_a_handler_gets_the_delivery_as_it_was_received() -> None:
    hooks = WebhookReceiver(secret=["new", SECRET], name="orders", clock=lambda: NOW)
    attempts: list[Attempt] = []

    @hooks.on_fulfilled
    async def handler(order: OrderFulfilled, attempt: Attempt) -> None:
        attempts.append(attempt)

    headers = signed(BODY)
    await call(hooks, headers, [BODY])
    await call(hooks, headers, [BODY])
    first, second = (attempt.delivery for attempt in attempts)
    assert first == Delivery(first.id, "orders", tuple(headers), BODY, NOW, verified_by=1, body_verified=True)
    assert hash(first) != hash(second)
    assert first.id != second.id
    assert attempts[0].number == 1


async def test_without_a_signature_scheme_everything_unsigned_comes_in_and_nothing_signed() -> None:
    noted = noting(scheme=Unsigned())
    assert (await call(noted.hooks, [], [BODY])).status == 204
    assert (await call(noted.hooks, signed(BODY), [BODY])).status == 401
    assert noted.hooks.rejected == {"UnexpectedSignature": 1}
    assert len(noted.events) == 1


async def test_receive_is_the_same_way_without_asgi() -> None:
    noted = noting()
    receipt = await noted.hooks.receive(signed(BODY), BODY)
    assert (receipt.response.status, receipt.event, receipt.error) == (204, noted.events[0], None)
    assert receipt.delivery is not None
    rejected = await noted.hooks.receive({"Content-Type": "application/json"}, BODY)
    assert rejected == Receipt(rejected.response, None, None, rejected.error)
    assert (rejected.response.status, type(rejected.error)) == (401, MissingSignature)
    mismatch = await noted.hooks.receive(signed(BODY), b"another")
    assert (mismatch.response.status, type(mismatch.error)) == (401, BodyMismatch)
    odd = await noted.hooks.receive(signed(b"[]"), b"[]")
    assert (odd.response.status, odd.event) == (422, None)
    assert isinstance(odd.error, NotAnEvent)
    assert odd.delivery is not None
    large = await noting(max_body=2).hooks.receive(signed(BODY), BODY)
    assert (large.response.status, type(large.error)) == (413, BodyTooLarge)


@pytest.mark.parametrize("headers", [None, {}, []])
async def test_a_request_without_headers_is_rejected_as_unsigned(headers: Any) -> None:
    receipt = await noting().hooks.receive(headers, BODY)
    assert (receipt.response.status, type(receipt.error)) == (401, MissingSignature)
    assert str(receipt.error) == "the request has no headers"


@pytest.mark.parametrize("headers", [{"a": 1}, {"a": None}, {None: "a"}, [("a", 1.5)]])
async def test_receive_takes_headers_of_text_or_bytes_only(headers: Any) -> None:
    with pytest.raises(TypeError, match=r"names and values of headers are texts or bytes, not (int|NoneType|float)$"):
        await noting().hooks.receive(headers, BODY)


@pytest.mark.parametrize("body", ["text", {"event": "parsed"}, None, bytearray(b"{}")])
async def test_receive_takes_bytes_only(body: Any) -> None:
    with pytest.raises(TypeError, match="bytes as they came"):
        await noting().hooks.receive({}, body)


async def test_an_id_is_found_where_the_receiver_was_told_to_look() -> None:
    noted = noting(sender=up42(SECRET, order_id_paths=["top", "body.orders.1.id", "body.orders.0.id", "body.0"]))
    body = order(orders=[{"id": 12}])
    await call(noted.hooks, signed(body), [body])
    (event,) = noted.events
    assert isinstance(event, OrderFulfilled)
    assert event.order_id == "12"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, r"needs the secret .*Secret\.from_env\(\"WEBHOOK_SECRET\"\).* scheme=Unsigned\(\)"),
        ({"secret": ""}, "must not be empty"),
        ({"secret": []}, "list of secrets is empty"),
        ({"secret": "a", "scheme": Unsigned()}, "give the secret to the scheme"),
        ({"scheme": "up42"}, "takes a scheme, such as"),
        ({"scheme": Unsigned}, "takes a scheme, such as"),
        ({"secret": "a", "max_body": 0}, "max_body"),
        ({"secret": "a", "body_timeout": 0}, "body_timeout"),
        ({"secret": "a", "max_bodies": 1000}, r"no smaller than max_body \(1048576\)"),
        ({"secret": "a", "max_bodies": "2G"}, "max_bodies"),
        ({"sender": up42}, r"sender=.* takes a Sender, such as github\(secret\), not up42"),
        ({"sender": up42("a"), "secret": "a"}, "give the secret to the sender"),
        ({"sender": up42("a"), "scheme": Unsigned()}, "give the secret to the sender"),
        ({"secret": "a", "max_body": "1MB"}, "max_body"),
        ({"secret": "a", "body_timeout": "3"}, "body_timeout"),
        ({"secret": "a", "worker": WorkerOptions()}, r"worker=.*ordering_key=.* need an inbox"),
        ({"secret": "a", "ordering_key": lambda event: None}, r"worker=.*ordering_key=.* need an inbox"),
        (
            {"secret": "a", "inbox": "memory://", "ordering_key": "order_id"},
            r"ordering_key=\.\.\. is a function of an event",
        ),
        ({"secret": "a", "clock": 3}, r"clock=\.\.\. is a function that returns the time"),
        ({"secret": "a", "name": 3}, r"name=\.\.\. is a text"),
        ({"secret": "a", "name": ""}, r"name=\.\.\. is a text"),
        ({"secret": "a", "name": "two\nlines"}, r"name=\.\.\. is a text, .* in one line"),
        ({"secret": "a", "name": " partner"}, r"name=\.\.\. is a text, .* without white space around it"),
        ({"secret": "a", "inbox": "memory://", "work": "no"}, r"work=\.\.\. is True or False, not 'no'"),
        ({"secret": "a", "inbox": "memory://", "work": 1}, r"work=\.\.\. is True or False, not 1"),
        ({"secret": "a", "body_timeout": True}, "body_timeout is a number of seconds above 0, not True"),
        ({"secret": "a", "inbox": "memory://", "worker": {"timeout": 3}}, r"worker=\.\.\. takes WorkerOptions"),
        ({"sender": github}, "not the module webhook_receiver.senders.github: import the function"),
        ({"secret": "a", "inbox": "redis://host"}, "'redis' is no kind of inbox"),
        ({"secret": "a", "inbox": MemoryInbox}, "takes a URL such as"),
    ],
)
def test_a_receiver_that_cannot_work_or_would_let_strangers_in_is_rejected(
    options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        WebhookReceiver(**options)


@pytest.mark.parametrize("options", [{"max_body": 0}, {"scheme": Unsigned()}, {"ordering_key": len}])
def test_a_rejected_receiver_shows_no_secret_even_in_a_traceback_with_locals(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as rejected:
        WebhookReceiver(secret=[HUSH, "b"], **options)
    frames = traceback.TracebackException.from_exception(rejected.value, capture_locals=True)
    assert "unfinished" in "".join(frames.format())
    ours = [frame for frame in frames.stack if "webhook_receiver" in frame.filename.rpartition("tests")[2]]
    assert ours
    assert not any(HUSH in value for frame in ours for value in (frame.locals or {}).values())


def test_a_scheme_that_is_none_is_not_quoted() -> None:
    with pytest.raises(ConfigurationError) as rejected:
        WebhookReceiver(scheme=HUSH)  # type: ignore[arg-type]
    assert HUSH not in str(rejected.value)


async def test_a_validator_that_fails_is_a_failure_with_the_deliverys_id(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Event, frozen=True):
        event: Literal["broken"]
        word: str

        @field_validator("word")
        @classmethod
        def look_up(cls, word: str) -> str:
            return dict[str, str]()[word]

    hooks = WebhookReceiver(secret=SECRET, clock=lambda: NOW)
    hooks.on(Broken, name="handler")(lambda event: None)
    body = b'{"event": "broken", "word": "x"}'
    receipt = await hooks.receive(signed(body), body)
    assert receipt.response.status == 500
    assert receipt.delivery is not None
    assert f"delivery {receipt.delivery.id}: a validator failed" in caplog.text


async def test_a_receipt_shows_nothing_of_what_came() -> None:
    hush = order(note=HUSH)
    noted = noting()
    odd = f"[{HUSH!r}".encode()
    for receipt in (await noted.hooks.receive(signed(hush), hush), await noted.hooks.receive(signed(odd), odd)):
        assert HUSH not in repr(receipt)
        if receipt.error is not None:
            assert receipt.error.__traceback__ is None
            assert receipt.error.__context__ is None


def test_its_repr_names_it_and_its_scheme() -> None:
    assert repr(noting().hooks) == "<WebhookReceiver 'up42': 1 handlers, UP42Signature>"


async def test_nothing_a_stranger_sends_is_in_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    noted = noting()
    body = order("FULFILLED", note=HUSH)
    for headers in (
        [(b"signature", HUSH.encode()), (b"signature-input", HUSH.encode())],
        [*signed(body, secret="another"), (b"x-note", HUSH.encode())],
        signed(body, headers={"content-encoding": HUSH}),
        signed(body, headers={"content-length": HUSH}),
    ):
        await call(noted.hooks, headers, [body])
    await call(noted.hooks, signed(body), [body], method=HUSH)
    await call(noted.hooks, signed(HUSH.encode()), [HUSH.encode()])
    await call(noted.hooks, signed(body), [body])
    assert len(caplog.records) == 7
    assert HUSH not in caplog.text
    assert SECRET not in caplog.text


async def test_what_was_handled_is_logged_with_the_deliverys_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    receipt = await noting().hooks.receive(signed(BODY), BODY)
    assert receipt.delivery is not None
    assert [record.getMessage() for record in caplog.records] == [
        f"delivery {receipt.delivery.id}: OrderFulfilled: tests.helpers:noting.<locals>.note"
    ]
    body = b'{"event": "never heard of"}'
    await WebhookReceiver(secret=SECRET, clock=lambda: NOW).receive(signed(body), body)
    assert caplog.records[-1].getMessage().endswith("UnknownEvent: no handler")


async def converse(hooks: WebhookReceiver, scope_type: str) -> list[Message]:
    sent: list[Message] = []
    messages = iter([{"type": f"{scope_type}.startup"}, {"type": f"{scope_type}.shutdown"}])

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        sent.append(message)

    await hooks({"type": scope_type}, receive, send)
    return sent


async def test_it_lives_with_its_server() -> None:
    assert [message["type"] for message in await converse(noting().hooks, "lifespan")] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_it_tells_the_server_why_it_cannot_start() -> None:
    class Failing(WebhookReceiver):
        async def __aenter__(self) -> NoReturn:
            raise ConfigurationError("the disk is full")

    assert await converse(Failing(secret=SECRET), "lifespan") == [
        {"type": "lifespan.startup.failed", "message": "up42 cannot start: the disk is full"}
    ]


async def test_a_websocket_is_closed() -> None:
    assert await converse(noting().hooks, "websocket") == [{"type": "websocket.close"}]


@pytest.mark.parametrize("target", ["/\ud800", "/x?a=\udcff", "/\udfff/\ud800", b"/\xff", "", "/ü"])
@pytest.mark.parametrize(
    "scheme",
    [
        UP42Signature(SECRET),
        Unsigned(),
        Unsigned(token_in_path="t" * 32),
        HTTPMessageSignature({"k": SECRET}, components=["@path", "@query", "@method"]),
    ],
    ids=["UP42", "unsigned", "token", "RFC 9421"],
)
async def test_half_characters_in_what_a_host_hands_over_are_no_error(scheme: Scheme, target: str | bytes) -> None:
    signature = {
        "signature-input": 'k=("@path" "@query" "@method" "content-digest");created=1;keyid="k"',
        "signature": "k=:AAAA:",
        "content-digest": f"sha-256=:{b64encode(sha256(order()).digest()).decode()}:",
    }
    hooks = noting(scheme=scheme, public_url="https://example.com/webhooks").hooks
    for headers in ({}, {"x\ud800": "\ud800"}, signature):
        for method, statuses in (("POST", {204, 401}), ("\ud800", {405})):
            assert (await hooks.receive(headers, order(), method=method, target=target)).response.status in statuses


@pytest.mark.parametrize("inbox", [None, "memory://"])
def test_another_event_loop_than_asyncio_is_rejected_at_once(inbox: str | None) -> None:
    hooks = noting(inbox=inbox).hooks
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    waits: Any = None  # receive and send are never awaited
    for started in (
        hooks.__aenter__(),
        hooks.lifespan().__aenter__(),
        hooks(scope, waits, waits),
        hooks.receive({}, b""),
    ):
        with pytest.raises(ConfigurationError, match=r"needs asyncio, and another event loop .*hypercorn -k asyncio"):
            started.send(None)  # as trio begins a task


async def test_a_receiver_without_handlers_warns_when_it_starts(caplog: pytest.LogCaptureFixture) -> None:
    async with WebhookReceiver(secret=SECRET, name="idle"):
        assert "idle has no handlers" in caplog.text
    caplog.clear()
    async with noting().hooks.lifespan():
        assert caplog.text == ""


async def test_a_scheme_of_the_users_own_is_asked() -> None:
    class Stale(UP42Signature):
        def verify(self, head: RequestHead, now: float) -> BodyCheck:
            raise StaleSignature("never in time")

    assert (await call(noting(scheme=Stale(SECRET)).hooks, signed(BODY), [BODY])).status == 401


class Old:
    """A scheme as they were once."""

    def sign(self, headers: Any, body: bytes, now: float) -> Any: ...
    def verify_headers(self, headers: Any, now: float) -> Any: ...


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"sign": 1, "secret_count": 1}, r"Mine lacks verify: the method verify\(head: RequestHead, now: float\)"),
        ({"verify": 1, "secret_count": 1}, r"Mine lacks sign: the method sign\(head: RequestHead, body: bytes"),
        ({"verify": 1, "sign": 1}, "Mine lacks secret_count: the number of its secrets"),
        ({"verify": 1, "sign": 1, "secret_count": None}, "secret_count of Mine is no number from 0 up"),
        ({"verify": 1, "sign": 1, "secret_count": -1}, "secret_count of Mine is no number from 0 up"),
        ({}, r"such as HMACBody\(secret, signature=\.\.\.\), not Mine"),
        (vars(Old), r"verify_headers\(headers, now\) has become verify\(head: RequestHead, now\)"),
    ],
)
def test_a_scheme_that_lacks_something_is_rejected_with_what_that_is(members: dict[str, Any], complaint: str) -> None:
    mine: Any = type("Mine", (), {name: each for name, each in members.items() if not name.startswith("__")})()
    with pytest.raises(ConfigurationError, match=complaint):
        WebhookReceiver(scheme=mine)
    with pytest.raises(ConfigurationError, match=complaint):
        AnyOf(mine)


@pytest.mark.parametrize(
    "url",
    [
        *("", "/webhooks", "hooks.example.com/in", "ftp://hooks.example.com/in", "https://", "https:///in", 7),
        *("https://hooks.example.com/in#a", "https://hooks.example.com/i n", "https://hooks.example.com/in\n"),
        *("https://hooks.example.com/é", "https://[::1/in", "https://hooks.example.com:port/in"),
    ],
)
def test_a_public_url_that_is_no_absolute_url_is_rejected_at_once_and_not_shown(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="public_url is the URL that the sender posts to") as rejected:
        WebhookReceiver(secret=SECRET, public_url=url)
    assert "hooks.example.com" not in str(rejected.value)


@pytest.mark.parametrize("url", ["https://hooks.example.com", "http://127.0.0.1:8000/in?a=%20", "https://[::1]/in"])
def test_a_public_url_is_one_of_http_or_https(url: str) -> None:
    WebhookReceiver(secret=SECRET, public_url=url)


def test_a_scheme_that_signs_the_url_needs_the_public_url() -> None:
    scheme = HTTPMessageSignature({"key-1": "a"}, components=["@target-uri"])
    for each in (scheme, AnyOf(UP42Signature(SECRET), scheme)):
        with pytest.raises(ConfigurationError, match="public_url="):
            WebhookReceiver(scheme=each)
        WebhookReceiver(scheme=each, public_url="https://hooks.example.com/in")
    WebhookReceiver(scheme=HTTPMessageSignature({"key-1": "a"}, components=["@method", "content-type"]))


header_names = st.sampled_from(
    [b"signature", b"signature-input", b"digest", b"content-type", b"content-length", b"content-encoding", b"host"]
)
header_values = st.binary(max_size=50) | st.sampled_from([value for _, value in signed(BODY)])


@given(
    st.lists(st.tuples(header_names | st.binary(max_size=8), header_values), max_size=10),
    st.lists(st.binary(max_size=50) | st.just(BODY), min_size=1, max_size=4),
    st.sampled_from(["POST", "GET", "\x00"]),
    st.booleans(),
)
async def test_no_stranger_gets_a_5xx_an_exception_or_a_handler(
    headers: list[tuple[bytes, bytes]], chunks: list[bytes], method: str, gone: bool
) -> None:
    noted = noting()
    exchange = await call(noted.hooks, headers, chunks, method=method, gone=gone)
    assert 400 <= exchange.status <= 499
    assert noted.events == []
    receipt = await noted.hooks.receive(headers, chunks[0])
    assert 400 <= receipt.response.status <= 499
    assert noted.events == []


@given(st.binary(max_size=200) | st.just(BODY))
async def test_whatever_the_sender_signs_is_handled_or_no_event(body: bytes) -> None:
    noted = noting()
    exchange = await call(noted.hooks, signed(body), [body])
    assert exchange.status == (204 if noted.events else 422)


def test_an_unknown_event_compares_by_what_it_holds() -> None:
    assert UnknownEvent(event="a") == UnknownEvent(event="a") != UnknownEvent(event="b")


async def test_with_an_inbox_a_delivery_is_answered_once_it_is_kept() -> None:
    noted = noting(inbox="memory://")
    headers = signed(BODY)
    async with noted.hooks:
        exchange = await call(noted.hooks, headers, [BODY])
        assert (exchange.status, exchange.sent[1]["body"]) == (202, b"")
        (record,) = await noted.hooks.inbox.find(Filter())
        await settled(noted.hooks, record.id)
        again = await call(noted.hooks, headers, [BODY])
        assert (again.status, again.sent[1]["body"]) == (200, b"")
    assert len(noted.events) == 1


async def test_what_is_rejected_is_not_kept() -> None:
    noted = noting(inbox="memory://", max_body=len(BODY))
    async with noted.hooks:
        statuses = [
            (await call(noted.hooks, headers, chunks, method=method)).status
            for headers, chunks, method in [
                ([], [BODY], "POST"),
                (signed(BODY, secret="another"), [BODY], "POST"),
                (signed(BODY), [order("FAILED")], "POST"),
                (signed(BODY), [BODY], "GET"),
                (signed(BODY), [BODY, b" "], "POST"),
                (signed(BODY, headers={"content-encoding": "gzip"}), [BODY], "POST"),
            ]
        ]
        assert statuses == [401, 401, 401, 405, 413, 415]
        assert await noted.hooks.inbox.find(Filter()) == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[]", b'{"event": "order.status", "body": {"note": "hush-hush"}}']
)
async def test_an_authentic_body_that_is_no_event_is_kept_as_a_dead_letter(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    noted = noting(inbox="memory://")
    async with noted.hooks:
        receipt = await noted.hooks.receive(signed(body), body)
        assert receipt.response.status == 202
        assert receipt.delivery is not None
        kept = await settled(noted.hooks, receipt.delivery.id, State.DEAD)
    assert kept.delivery.body == body
    assert kept.summary.reason
    assert HUSH not in kept.summary.reason
    assert HUSH not in caplog.text
    assert f"delivery {receipt.delivery.id} is dead: {kept.summary.reason}" in caplog.text


async def test_a_validator_that_fails_makes_a_dead_letter_that_quotes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Event, frozen=True):
        event: Literal["broken"]
        word: str

        @field_validator("word")
        @classmethod
        def look_up(cls, word: str) -> str:
            return dict[str, str]()[word]

    hooks = durable()
    hooks.on(Broken, name="handler")(lambda event: None)
    async with hooks:
        id = await deliver(hooks, b'{"event": "broken", "word": "hush-hush"}')
        kept = await settled(hooks, id, State.DEAD)
    assert kept.summary.reason == "a validator failed with KeyError"
    assert f"delivery {id}: a validator failed" in caplog.text


@pytest.mark.parametrize("error", [InboxUnavailable("the disk is full"), OSError("it broke")])
@pytest.mark.parametrize("operation", ["put", "open"])
async def test_what_cannot_be_kept_is_never_answered_2xx(
    operation: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Faulty()
    inbox.faults[operation] = error
    noted = noting(inbox=inbox)
    exchange = await call(noted.hooks, signed(BODY), [BODY])
    assert (exchange.status, exchange.headers[b"retry-after"]) == (503, b"10")
    assert exchange.problem["type"] == "urn:webhook-receiver:problem:inbox-unavailable"
    receipt = await noted.hooks.receive(signed(BODY), BODY)
    assert receipt.response.status == 503
    assert str(error) in caplog.text
    inbox.faults.clear()
    async with noted.hooks:
        assert (await call(noted.hooks, signed(BODY), [BODY])).status == 202


def newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id = 0x57484B52")
    connection.execute("PRAGMA user_version = 99")
    connection.close()


async def test_an_inbox_that_cannot_work_keeps_the_server_from_starting(tmp_path: Path) -> None:
    newer(tmp_path / "newer.db")
    for file, why in {"nowhere/hooks.db": "there is no folder", "newer.db": "was written by a newer"}.items():
        hooks = noting(inbox=f"sqlite:///{tmp_path}/{file}").hooks
        (told,) = await converse(hooks, "lifespan")
        assert told["type"] == "lifespan.startup.failed"
        assert told["message"].startswith("up42 cannot start: ")
        assert why in told["message"]


async def test_its_inbox_lives_with_its_server_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hooks = noting(inbox=f"sqlite:///{tmp_path}/hooks.db").hooks
    assert [message["type"] for message in await converse(hooks, "lifespan")] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    async with hooks.lifespan():
        await settled(hooks, (await hooks.receive(signed(BODY), BODY)).delivery.id)  # type: ignore[union-attr]
    assert "was not started" not in caplog.text


@pytest.mark.parametrize("options", [{"backoff": Backoff()}, {"timeout": 5.0}])
async def test_what_only_a_worker_can_do_is_rejected_at_the_start_where_there_is_none(options: dict[str, Any]) -> None:
    hooks = WebhookReceiver(secret=SECRET)
    hooks.on(Event, name="handler", **options)(lambda event: None)
    with pytest.raises(ConfigurationError, match="of handler need an inbox, without which a handler is run once"):
        await hooks.__aenter__()


async def test_nobody_hears_of_dead_letters_where_there_is_no_inbox() -> None:
    hooks = noting().hooks
    hooks.on_dead(lambda delivery, attempts: None)
    with pytest.raises(ConfigurationError, match="on_dead needs an inbox"):
        await hooks.__aenter__()


async def test_what_needs_an_inbox_says_so() -> None:
    hooks = noting().hooks
    with pytest.raises(ConfigurationError, match=r'up42 has no inbox: inbox="sqlite:///hooks\.db" gives it one'):
        assert hooks.inbox
    for ask in (hooks.pause, hooks.resume):
        with pytest.raises(ConfigurationError, match="has no inbox"):
            await ask("handler")
    assert await hooks.health() == Health(True, "working")


async def test_only_a_handler_that_there_is_can_be_paused() -> None:
    noted = noting(inbox="memory://")
    with pytest.raises(ConfigurationError, match=r"there is no handler nobody; there is tests\.helpers:noting"):
        await noted.hooks.pause("nobody")
    with pytest.raises(ConfigurationError, match="there is no handler"):
        await noted.hooks.resume(print)


async def test_a_dead_letter_handler_can_be_paused_by_its_function_or_its_name() -> None:
    hooks = noting(inbox="memory://").hooks

    @hooks.on_dead
    def tell(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None: ...

    (name,) = [each.name for each in hooks.dead_letter_handlers]
    async with hooks:
        await hooks.pause(tell)
        assert await hooks.inbox.paused() == {name}
        assert await hooks.resume(name)
    with pytest.raises(ConfigurationError, match="there is no handler"):
        hooks.name_of(tell)  # it is no handler of events, to be replayed for


def test_a_body_can_be_parsed_by_hand() -> None:
    hooks = noting().hooks
    assert isinstance(hooks.parse(BODY), OrderFulfilled)
    with pytest.raises(NotAnEvent):
        hooks.parse(b"[]")


async def test_a_receiver_runs_on_another_runtime_until_the_block_ends_in_whatever_order() -> None:
    hooks, other = WebhookReceiver(secret="a"), WebhookReceiver(secret="b")
    own = hooks.runtime
    first, second = (Runtime(hooks.name, hooks.sender, hooks) for _ in range(2))
    outer, inner = hooks.running_on(first), hooks.running_on(second)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert hooks.runtime is second
    inner.__exit__(None, None, None)
    assert hooks.runtime is own
    with pytest.raises(ConfigurationError, match="takes a runtime of 'up42'"), hooks.running_on(other.runtime):
        pass


async def test_what_was_started_is_what_is_stopped() -> None:
    hooks = WebhookReceiver(secret="a", inbox="memory://")
    runtime = Runtime(hooks.name, hooks.sender, hooks, inbox="memory://")
    with hooks.running_on(runtime):
        await hooks.__aenter__()
        assert (await hooks.health()).state == "working"
    await hooks.__aexit__(None, None, None)
    with hooks.running_on(runtime):
        assert (await hooks.health()).state == "not started"
    await runtime.inbox.close()


NO_EVENTS = [
    b"",
    b"<order/>",
    b"[1]",
    b'"text"',
    b'{"type": "named elsewhere"}',
    b'{"event": {"type": "x"}}',
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("body", NO_EVENTS)
@pytest.mark.parametrize("inbox", [None, "memory://"])
async def test_an_authentic_body_that_is_no_event_reaches_the_fallback_with_its_bytes(
    body: bytes, inbox: str | None
) -> None:
    noted, got = noting(inbox=inbox), list[tuple[UnknownEvent, bytes]]()

    @noted.hooks.fallback
    async def keep(event: Event, attempt: Attempt) -> None:
        assert isinstance(event, UnknownEvent)
        got.append((event, attempt.delivery.body))

    async with noted.hooks:
        receipt = await noted.hooks.receive(signed(body), body)
        assert (receipt.response.status, receipt.error) == (202 if inbox else 204, None)
        assert receipt.delivery is not None
        if inbox:
            await settled(noted.hooks, receipt.delivery.id)
    assert noted.events == []  # the handler of all events gets events only
    value = json.loads(body) if body[:1] in (b"[", b'"', b"{") else None
    assert got == [(UnknownEvent(event="", body=value), body)]


async def test_a_handler_of_unknown_events_gets_what_is_no_event_before_the_fallback() -> None:
    hooks, got = WebhookReceiver(secret=SECRET, clock=lambda: NOW), list[str]()
    hooks.on(UnknownEvent, name="unknown")(lambda event: got.append("unknown"))
    hooks.fallback(lambda event: got.append("fallback"))
    assert (await hooks.receive(signed(b"[]"), b"[]")).response.status == 204
    assert got == ["unknown"]


async def test_what_does_not_fit_the_class_that_claims_it_is_not_passed_off_as_unknown() -> None:
    hooks = WebhookReceiver(secret=SECRET, clock=lambda: NOW)
    hooks.fallback(lambda event: None)
    body = b'{"event": "order.status", "body": {}}'
    assert (await hooks.receive(signed(body), body)).response.status == 422


async def test_a_decode_that_fails_leaves_the_bytes_to_the_fallback(caplog: pytest.LogCaptureFixture) -> None:
    def decode(body: bytes) -> bytes:
        return {b"good": b'{"event": "good"}', b"text": "no bytes"}[body]  # type: ignore[return-value]

    sender = Sender(name="acme", scheme=Unsigned(), facts=("made up",), decode=decode)
    hooks, got = WebhookReceiver(sender=sender), list[Event]()
    with pytest.raises(NotAnEvent, match="decode gave no bytes, but KeyError"):
        hooks.parse(b"bad")
    with pytest.raises(NotAnEvent, match="decode gave no bytes, but str"):
        hooks.parse(b"text")
    hooks.fallback(got.append)
    for body in (b"good", b"bad"):
        assert (await hooks.receive({}, body)).response.status == 204
    assert [event.event for event in got] == ["good", ""]
    assert "the sender's decode failed" in caplog.text
    text: Any = "json"
    with pytest.raises(ConfigurationError, match=r"decode of the sender acme is a function of a body"):
        replace(sender, decode=text)
