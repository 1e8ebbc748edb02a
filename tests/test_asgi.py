from __future__ import annotations

import asyncio
import inspect
import ssl
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import django.conf
import httpx
import pytest
import trustme
from anyio.lowlevel import checkpoint
from fastapi import FastAPI
from litestar import Litestar, asgi
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.helpers import SECRET, Noted, noting, order, serving, signed
from webhook_receiver import ConfigurationError, Router, WebhookReceiver
from webhook_receiver.asgi import MAX_DRAINED, BodyReader, live, request_head
from webhook_receiver.delivery import RequestHead
from webhook_receiver.errors import (
    BodyIncomplete,
    BodyTooLarge,
    BodyTooSlow,
    InvalidContentLength,
    Overloaded,
    UnsupportedEncoding,
)


def receiving(*chunks: bytes, then: Sequence[Message] = ()) -> Receive:
    messages = [
        {"type": "http.request", "body": chunk, "more_body": bool(then) or index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]
    left = iter([*messages, *then])

    async def receive() -> Message:
        try:
            return next(left)
        except StopIteration:
            return await asyncio.Event().wait()  # type: ignore[return-value]  # nothing more ever comes

    return receive


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([(b"content-length", b"-1")], InvalidContentLength),
        ([(b"content-length", b"11")], BodyTooLarge),
        ([(b"content-length", b"9" * 5000)], BodyTooLarge),
        ([(b"content-encoding", b"gzip")], UnsupportedEncoding),
    ],
)
def test_a_body_is_rejected_by_its_headers(headers: list[tuple[bytes, bytes]], error: type[Exception]) -> None:
    reader = BodyReader(max_body=10, timeout=30)
    with pytest.raises(error):
        reader.check_headers(headers)
    reader.check_headers([(b"content-length", b"10"), (b"content-encoding", b"Identity")])


async def test_a_body_is_put_together_from_its_chunks() -> None:
    reader = BodyReader(max_body=10, timeout=30)
    assert await reader.read(receiving(b"abc")) == b"abc"
    assert await reader.read(receiving(b"", b"abc", b"", b"de")) == b"abcde"
    assert await reader.read(receiving(b"")) == b""


@pytest.mark.parametrize("chunks", [[b"x" * 11, b""], [b"x" * 10, b"y", b""], [b"x"] * 12, [b"", b"x" * 11, b""]])
async def test_a_body_over_the_limit_is_rejected_before_its_end(chunks: list[bytes]) -> None:
    reader = BodyReader(max_body=10, timeout=30)
    with pytest.raises(BodyTooLarge, match="more than 10 bytes"):
        await reader.read(receiving(*chunks))
    assert await reader.read(receiving(b"x" * 9, b"y")) == b"x" * 9 + b"y"


async def test_a_body_over_the_limit_is_rejected_at_its_end() -> None:
    reader = BodyReader(max_body=10, timeout=30)
    for chunks in ([b"x" * 11], [b"x" * 10, b"y"]):
        with pytest.raises(BodyTooLarge):
            reader.check_body((), await reader.read(receiving(*chunks)))
    reader.check_body((), b"x" * 10)


async def test_a_body_over_the_limit_is_rejected_without_waiting_for_its_end() -> None:
    with pytest.raises(BodyTooLarge):
        await BodyReader(max_body=10, timeout=30).read(endless(b"x" * 4))


def waiting(reader: BodyReader, *chunks: bytes) -> asyncio.Task[bytes]:
    """Start to read a body of which more is to come, and never comes."""
    more: Message = {"type": "http.request", "body": b"", "more_body": True}
    return asyncio.create_task(reader.read(receiving(*chunks, then=[more])))


async def cancel(*tasks: asyncio.Task[bytes]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_the_bodies_being_read_have_a_limit_together() -> None:
    reader = BodyReader(max_body=10, timeout=30, max_bodies=25)
    others = [waiting(reader, b"x" * 10), waiting(reader, b"x", b"x" * 9)]
    await checkpoint()
    assert await reader.read(receiving(b"x" * 2, b"x" * 3)) == b"x" * 5
    with pytest.raises(Overloaded, match="max_bodies"):
        await reader.read(receiving(b"x" * 3, b"x" * 3, b""))
    assert await reader.read(receiving(b"x" * 10)) == b"x" * 10  # it is here, and not waited for
    await cancel(*others)
    assert await reader.read(receiving(b"x" * 9, b"")) == b"x" * 9


async def test_a_body_that_waits_for_keys_counts_with_those_being_read() -> None:
    reader = BodyReader(max_body=10, timeout=30, max_bodies=25)
    with reader.held(b"x" * 10, must=False), reader.held(b"x" * 10, must=False):
        with pytest.raises(Overloaded, match="max_bodies"), reader.held(b"x" * 10, must=False):
            pass
        with pytest.raises(Overloaded):
            await reader.read(receiving(b"x" * 9, b""))
        with reader.held(b"x" * 10, must=True):  # its keys are known: no stranger keeps them from being fetched again
            pass
        assert await reader.read(receiving(b"x" * 5, b"")) == b"x" * 5
    assert await reader.read(receiving(b"x" * 9, b"")) == b"x" * 9


@pytest.mark.parametrize("then", [[{"type": "http.disconnect"}], [{"type": "http.request", "body": b"x" * 99}]])
async def test_whatever_becomes_of_a_body_it_counts_no_longer(then: list[Message]) -> None:
    reader = BodyReader(max_body=10, timeout=30, max_bodies=10)
    for _ in range(3):
        with suppress(BodyIncomplete):
            await reader.read(receiving(b"x" * 5, b"x" * 4, then=then))
        await cancel(waiting(reader, b"x" * 9))
    with pytest.raises(BodyTooLarge):
        await reader.read(endless(b"x" * 4))
    assert await reader.read(receiving(b"x" * 9, b"")) == b"x" * 9


async def test_the_rest_of_a_rejected_body_is_read_up_to_a_limit() -> None:
    reader = BodyReader(max_body=10, timeout=30)
    error = BodyTooLarge("too large")
    assert await reader.drain(error, [], receiving(b"x" * 30_000, b"x" * 30_000))
    assert await reader.drain(error, [], receiving(b"x", then=[{"type": "http.disconnect"}]))
    assert not await reader.drain(error, [], endless(b"x" * 30_000))


async def test_the_rest_of_a_rejected_body_is_waited_for_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook_receiver.asgi.DRAIN_TIMEOUT", 0.01)
    reader = BodyReader(max_body=10, timeout=30, max_bodies=MAX_DRAINED)
    more: Message = {"type": "http.request", "more_body": True}
    for _ in range(2):  # and what it counted is given back
        assert not await reader.drain(BodyTooLarge("too large"), [], receiving(b"x", then=[more]))
        assert not await reader.drain(BodyTooLarge("too large"), [], receiving())
    assert await reader.drain(BodyTooLarge("too large"), [], receiving(b"x"))


@pytest.mark.parametrize(
    ("headers", "error", "max_bodies"),
    [
        ([(b"expect", b"100-Continue")], BodyTooLarge("too large"), 2 * MAX_DRAINED),
        ([], BodyTooSlow("too slow"), 2 * MAX_DRAINED),
        ([], BodyTooLarge("too large"), MAX_DRAINED - 1),
    ],
)
async def test_a_rejected_body_that_must_not_or_cannot_be_read_is_not(
    headers: list[tuple[bytes, bytes]], error: Exception, max_bodies: int
) -> None:
    async def receive() -> Message:
        raise AssertionError("it is read")

    assert not await BodyReader(max_body=10, timeout=30, max_bodies=max_bodies).drain(error, headers, receive)


def endless(chunk: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": chunk, "more_body": True}

    return receive


@pytest.mark.parametrize("chunks", [[], [b"abc"], [b"a", b"b"]])
async def test_a_client_that_goes_away_leaves_no_body(chunks: list[bytes]) -> None:
    receive = receiving(*chunks, then=[{"type": "http.disconnect"}])
    with pytest.raises(BodyIncomplete):
        await BodyReader(max_body=10, timeout=30).read(receive)


READ = "none of it came: a middleware before the receiver may have read it"


@pytest.mark.parametrize(
    ("receive", "error"),
    [
        (receiving(b""), BodyIncomplete),  # as Starlette's middleware hands on a stream that it has read
        (receiving(b"", b""), BodyIncomplete),
        (receiving(then=[{"type": "http.disconnect"}]), BodyIncomplete),  # as servers do once the client gives up
        (receiving(), BodyTooSlow),
        (receiving(b"", then=[]), BodyIncomplete),
    ],
)
async def test_a_body_of_which_nothing_came_although_it_was_announced_may_have_been_read_by_a_middleware(
    receive: Receive, error: type[Exception]
) -> None:
    reader = BodyReader(max_body=10, timeout=0.08)

    async def read() -> None:
        reader.check_body([(b"content-length", b"3")], await reader.read(receive))

    with pytest.raises(error, match=READ):
        await read()


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"0")], [(b"content-length", b"00")]])
def test_an_empty_body_that_is_announced_as_such_is_one(headers: list[tuple[bytes, bytes]]) -> None:
    BodyReader(max_body=10, timeout=30).check_body(headers, b"")


async def test_a_body_of_which_a_part_came_was_read_by_nobody_else() -> None:
    gone = receiving(b"a", then=[{"type": "http.disconnect"}])
    with pytest.raises(BodyIncomplete, match=r"before the end of the body$"):
        await BodyReader(max_body=10, timeout=30).read(gone)
    slow = receiving(b"", then=[{"type": "http.request", "body": b"b", "more_body": True}])
    with pytest.raises(BodyTooSlow, match=r"more than 0\.08 s$"):
        await BodyReader(max_body=10, timeout=0.08).read(slow)


async def test_a_body_that_takes_too_long_is_rejected_whether_it_never_starts_or_never_ends() -> None:
    reader = BodyReader(max_body=10, timeout=0.08)
    for receive in (receiving(), receiving(b"a", then=[{"type": "http.request", "body": b"b", "more_body": True}])):
        with pytest.raises(BodyTooSlow, match=r"more than 0\.08 s"):
            await reader.read(receive)
    assert await reader.read(receiving(b"abc")) == b"abc"


async def test_a_cancellation_from_outside_is_not_taken_for_slowness() -> None:
    reader = BodyReader(max_body=10, timeout=30)
    task = asyncio.create_task(reader.read(receiving()))
    await checkpoint()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_one_reader_serves_one_loop_after_the_other() -> None:
    reader = BodyReader(max_body=10, timeout=0.08)

    async def slow() -> None:
        with pytest.raises(BodyTooSlow):
            await reader.read(receiving())

    asyncio.run(slow())
    asyncio.run(slow())


def test_one_reader_serves_two_loops_at_once() -> None:
    reader = BodyReader(max_body=10, timeout=0.4)
    took: list[float] = []

    async def slow() -> None:
        start = time.monotonic()
        reading = asyncio.create_task(reader.read(receiving()))
        while not reading.done():
            assert await reader.read(receiving(b"abc")) == b"abc"
            await checkpoint()
        assert isinstance(reading.exception(), BodyTooSlow)
        took.append(time.monotonic() - start)

    threads = [threading.Thread(target=asyncio.run, args=(slow(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == 2
    assert all(seconds >= 0.39 for seconds in took)


class App:
    """What has a life, and may fail to begin or to end it."""

    def __init__(self, at_start: Exception | None = None, at_stop: Exception | None = None) -> None:
        self.at_start, self.at_stop = at_start, at_stop
        self.lived: list[str] = []

    async def __aenter__(self) -> None:
        self.lived.append("start")
        if self.at_start:
            raise self.at_start

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.lived.append("stop")
        if self.at_stop:
            raise self.at_stop


async def lived(app: App) -> list[Message]:
    """Return what the server hears of a life from its start to its stop."""
    sent: list[Message] = []
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Message:
        assert app.lived == (["start"] if sent else [])
        return next(messages)

    async def send(message: Message) -> None:
        sent.append(message)

    await live(app, "hooks", receive, send)
    return sent


async def test_it_starts_and_stops_with_the_server() -> None:
    app = App()
    assert await lived(app) == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]
    assert app.lived == ["start", "stop"]


@pytest.mark.parametrize(
    ("app", "told", "life"),
    [
        (App(OSError("no disk")), {"type": "lifespan.startup.failed", "message": "hooks cannot start: no disk"}, 1),
        (
            App(None, OSError("no disk")),
            {"type": "lifespan.shutdown.failed", "message": "hooks cannot stop: no disk"},
            2,
        ),
    ],
)
async def test_the_server_is_told_why_it_cannot_start_or_stop(app: App, told: Message, life: int) -> None:
    assert (await lived(app))[-1] == told
    assert len(app.lived) == life


BODY = order()


async def post(url: str, *, secret: str = SECRET, body: bytes = BODY, **client: Any) -> httpx.Response:
    headers = signed(body, secret=secret, now=time.time())
    async with httpx.AsyncClient(trust_env=False, **client) as http:
        return await http.post(url, content=body, headers=list(headers))


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


@pytest.fixture
def noted() -> Noted:
    return noting(clock=None)


async def test_alone(noted: Noted) -> None:
    with serving(noted.hooks) as url:
        for path in ("", "/", "/any/path?with=query"):
            assert (await post(url + path)).status_code == 204
    assert len(noted.events) == 3


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_with_either_parser_and_either_loop(noted: Noted, http: str, loop: str) -> None:
    with serving(noted.hooks, http=http, loop=loop) as url:
        assert (await post(url)).status_code == 204
        assert (await post(url, secret="another")).status_code == 401
    assert len(noted.events) == 1


async def test_in_starlette_by_route_with_and_without_the_slash(noted: Noted) -> None:
    app = Starlette(routes=[noted.hooks.route("/webhooks"), Route("/", hello)], lifespan=noted.hooks.lifespan)
    with serving(app) as url:
        assert (await post(f"{url}/webhooks")).status_code == 204
        assert (await post(f"{url}/webhooks/")).status_code == 204
        assert (await post(f"{url}/webhooks/deeper")).status_code == 404
        assert app.url_path_for("up42", _="") == "/webhooks"
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{url}/webhooks")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
            assert (await http.get(url)).text == "hello"
    assert len(noted.events) == 2


async def test_a_route_at_the_root(noted: Noted) -> None:
    with serving(Starlette(routes=[noted.hooks.route("/")])) as url:
        assert (await post(url)).status_code == 204


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_a_target_that_is_a_url_is_routed_by_its_path(noted: Noted, http: str) -> None:
    app = Starlette(routes=[noted.hooks.route("/webhooks")], lifespan=noted.hooks.lifespan)
    with serving(app, http=http) as url:
        statuses = []
        for path in ("/webhooks", "/webhooks/?x=1", "/elsewhere", "/"):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            lines = [b"POST http://hooks.example.com%b HTTP/1.1" % path.encode(), b"host: hooks.example.com"]
            lines += [b"%b: %b" % pair for pair in signed(BODY, now=time.time())]
            writer.write(b"\r\n".join([*lines, b"content-length: %d" % len(BODY), b"", BODY]))
            statuses.append(int((await reader.readline()).split()[1]))
            writer.close()
            await writer.wait_closed()
    assert statuses == [204, 204, 404, 404]


async def test_in_starlette_by_mount_which_redirects_what_lacks_the_slash(noted: Noted) -> None:
    with serving(Starlette(routes=[Mount("/webhooks", noted.hooks)])) as url:
        assert (await post(f"{url}/webhooks/")).status_code == 204
        assert (await post(f"{url}/webhooks")).status_code == 307
    assert len(noted.events) == 1


async def test_in_fastapi(noted: Noted) -> None:
    app = FastAPI(lifespan=noted.hooks.lifespan, routes=[noted.hooks.route("/webhooks")])

    @app.get("/hello")
    async def greet() -> str:
        return "hello"

    with serving(app) as url:
        assert (await post(f"{url}/webhooks")).status_code == 204
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{url}/hello")).json() == "hello"
            assert (await http.get(f"{url}/openapi.json")).status_code == 200
    assert len(noted.events) == 1


async def test_in_litestar(noted: Noted) -> None:
    app = Litestar(
        [asgi("/webhooks", is_mount=True, copy_scope=True)(noted.hooks)],
        lifespan=[noted.hooks.lifespan],
        logging_config=None,  # its own would set up the root logger for all tests that follow
    )
    with serving(app) as url:
        assert (await post(f"{url}/webhooks")).status_code == 204
        assert (await post(f"{url}/webhooks/")).status_code == 204
    assert len(noted.events) == 2


async def test_beside_django(noted: Noted) -> None:
    if not django.conf.settings.configured:
        django.conf.settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of django")
    from django.core.asgi import get_asgi_application

    django_app: ASGIApp = get_asgi_application()
    routes = [noted.hooks.route("/webhooks"), Mount("/", django_app)]
    with serving(Starlette(routes=routes, lifespan=noted.hooks.lifespan)) as url:
        assert (await post(f"{url}/webhooks")).status_code == 204
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{url}/django")).text == "from django"
    assert len(noted.events) == 1


def _django_urls() -> list[Any]:
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(b"from django")

    return [path("django", view)]


def __getattr__(name: str) -> Any:
    """Django reads `urlpatterns` from here, and only once it is configured."""
    if name == "urlpatterns":
        return _django_urls()
    raise AttributeError(name)


async def test_two_receivers_with_different_secrets_in_one_app() -> None:
    ours, theirs = noting(clock=None, name="ours"), noting(clock=None, name="theirs", secret="of theirs")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with ours.hooks, theirs.hooks:
            yield

    app = Starlette(routes=[ours.hooks.route("/ours"), theirs.hooks.route("/theirs")], lifespan=lifespan)
    with serving(app) as url:
        assert (await post(f"{url}/ours")).status_code == 204
        assert (await post(f"{url}/theirs", secret="of theirs")).status_code == 204
        assert (await post(f"{url}/theirs")).status_code == 401
        assert (await post(f"{url}/ours", secret="of theirs")).status_code == 401
    assert (len(ours.events), len(theirs.events)) == (1, 1)


async def test_two_levels_deep_and_behind_a_root_path(noted: Noted) -> None:
    inner = Starlette(routes=[noted.hooks.route("/webhooks"), Mount("/mounted", noted.hooks)])
    app = Starlette(routes=[Mount("/a", routes=[Mount("/b", inner)])])
    with serving(app) as url:
        assert (await post(f"{url}/a/b/webhooks")).status_code == 204
        assert (await post(f"{url}/a/b/mounted/")).status_code == 204
    with serving(app, root_path="/prefix") as url:
        assert (await post(f"{url}/a/b/webhooks")).status_code == 204
    with serving(noted.hooks, root_path="/prefix") as url:
        assert (await post(f"{url}/webhooks")).status_code == 204
    assert len(noted.events) == 4


async def test_over_tls(noted: Noted, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with serving(noted.hooks, ssl_certfile=str(tmp_path / "server.pem")) as url:
        assert (await post(url, verify=trusting)).status_code == 204
    assert len(noted.events) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows' asyncio has no Unix sockets")
async def test_over_a_unix_socket(noted: Noted, tmp_path: Path) -> None:
    with serving(noted.hooks, uds=str(tmp_path / "socket")) as url:
        assert (await post(url, transport=httpx.AsyncHTTPTransport(uds=str(tmp_path / "socket")))).status_code == 204
    assert len(noted.events) == 1


class Stamping:
    """Writes into the messages it passes on, as Starlette's own middleware does."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamp(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("x-stamp", "once")
                message["headers"].append((b"x-more", b"more"))
            await send(message)

        await self.app(scope, receive, stamp)


async def test_under_middleware_that_reads_bodies_and_writes_headers(noted: Noted) -> None:
    async def read_first(request: Request, call_next: RequestResponseEndpoint) -> Response:
        await request.body()
        return await call_next(request)

    middleware = [
        Middleware(Stamping),
        Middleware(GZipMiddleware, minimum_size=1),
        Middleware(BaseHTTPMiddleware, dispatch=read_first),
    ]
    app = Starlette(routes=[noted.hooks.route("/webhooks")], middleware=middleware)
    with serving(app) as url:
        answers = [await post(f"{url}/webhooks") for _ in range(3)]
        rejected = [await post(f"{url}/webhooks", secret="another") for _ in range(3)]
    assert [answer.status_code for answer in [*answers, *rejected]] == [204, 204, 204, 401, 401, 401]
    assert all(answer.headers.get_list("x-stamp") == ["once"] for answer in [*answers, *rejected])
    assert rejected[0].json()["status"] == 401
    assert len(noted.events) == 3


async def test_a_limit_of_the_hosts_own_on_bodies_holds_as_well() -> None:
    small, large = noting(clock=None, max_body=10), noting(clock=None)
    app = Starlette(routes=[small.hooks.route("/small"), large.hooks.route("/large")], max_body_size=len(BODY))
    with serving(app) as url:
        assert (await post(f"{url}/small")).status_code == 413
        assert (await post(f"{url}/large")).status_code == 204
        assert (await post(f"{url}/large", body=BODY + b" ")).status_code == 413
    assert (len(small.events), len(large.events)) == (0, 1)


async def test_a_host_that_does_not_start_says_why() -> None:
    class Failing(WebhookReceiver):
        async def __aenter__(self) -> Any:
            raise RuntimeError("not today")

    hooks = Failing(secret="s")
    with pytest.raises(RuntimeError, match="not today"):
        async with hooks.lifespan():
            pass


@pytest.mark.parametrize(
    ("known", "target"),
    [
        ({"raw_path": b"/a%2Fb", "query_string": b"c=%20"}, b"/a%2Fb?c=%20"),
        ({"raw_path": b"/a%2Fb", "query_string": b""}, b"/a%2Fb"),
        ({"raw_path": None, "query_string": b"c"}, b"/a/b%C3%A9%20%FF:@~?c"),
        ({}, b"/a/b%C3%A9%20%FF:@~"),
        ({"raw_path": b"http://hooks.example.com/a%2Fb", "query_string": b"c=1"}, b"/a%2Fb?c=1"),
        ({"raw_path": b"HTTPS://[::1]:8000", "query_string": b"c=1"}, b"/?c=1"),
        ({"path": "http://hooks.example.com/é"}, b"/%C3%A9"),
        ({"raw_path": b"*"}, b"*"),
    ],
)
def test_the_target_is_the_path_and_query_as_sent_or_percent_encoded_anew(known: Any, target: bytes) -> None:
    headers = [(b"x-a", b"1")]
    scope: Scope = {"type": "http", "method": "PUT", "path": "/a/bé \udcff:@~", "headers": headers, **known}
    head = request_head(scope, "https://hooks.example.com/in")
    assert head == ("PUT", target, headers, "https://hooks.example.com/in", None)
    assert type(head) is RequestHead


@pytest.mark.parametrize(
    ("told", "client"),
    [
        ({"client": ("203.0.113.9", 50123)}, "203.0.113.9"),
        ({"client": ["2001:db8::1", None]}, "2001:db8::1"),
        ({"client": None}, None),
        ({}, None),
    ],
)
def test_the_client_is_the_peer_that_the_server_tells(told: Any, client: str | None) -> None:
    assert request_head({"method": "POST", "path": "/", "headers": [], **told}, None).client == client


def test_headers_are_taken_once_and_without_the_white_space_around_them() -> None:
    headers = [(b"x-a", b" 1\t "), (b"x-b", b"\t"), (b"x-c", b"1 \t2"), (b"x-d", b"\xa0")]
    head = request_head({"method": "POST", "path": "/", "headers": headers}, None)
    headers.append((b"x-trailer", b"appended later"))
    assert head.headers == [(b"x-a", b"1"), (b"x-b", b""), (b"x-c", b"1 \t2"), (b"x-d", b"\xa0")]
    assert RequestHead.of({"X-A": "  1 \t"}).headers == [(b"x-a", b"1")]


@pytest.mark.parametrize(
    "give",
    [
        lambda app, hooks: app.post("/webhooks")(hooks),
        lambda app, hooks: app.add_api_route("/webhooks", hooks),
        lambda app, hooks: app.api_route("/webhooks", methods=["POST"])(hooks),
        lambda app, hooks: app.include_router(hooks),
        lambda app, hooks: app.include_router(hooks, prefix="/webhooks"),
        lambda app, hooks: app.include_router(Router()),
    ],
)
def test_fastapi_is_told_at_once_how_to_take_a_receiver(give: Callable[[FastAPI, WebhookReceiver], None]) -> None:
    with pytest.raises((ConfigurationError, AttributeError), match=r"routes=\[hooks\.route\(path\)\]"):
        give(FastAPI(), WebhookReceiver(secret="a"))


@pytest.mark.parametrize("host", [FastAPI, Starlette])
async def test_a_host_with_the_receiver_itself_among_its_routes_does_not_start(host: Any) -> None:
    hooks = WebhookReceiver(secret="a")
    app = host(lifespan=hooks.lifespan, routes=[hooks])
    with pytest.raises(ConfigurationError, match=r"no route by itself: .* routes=\[hooks\.route\(path\)\]"):
        async with app.router.lifespan_context(app):
            pass


@pytest.mark.parametrize("host", [FastAPI, Starlette])
async def test_a_request_says_so_where_the_host_does_not_start_the_receiver(host: Any) -> None:
    hooks = WebhookReceiver(secret="a")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(host(routes=[hooks])), base_url="http://here") as client:
        with pytest.raises(AttributeError, match=r"no route by itself: .* routes=\[hooks\.route\(path\)\]"):
            await client.post("/webhooks")


@pytest.mark.parametrize("host", [FastAPI, Starlette])
async def test_a_lifespan_with_parentheses_is_rejected_at_the_start(host: Any) -> None:
    app = host(lifespan=WebhookReceiver(secret="a").lifespan())
    with pytest.raises(ConfigurationError, match=r"without parentheses: lifespan=hooks\.lifespan$"):
        async with app.router.lifespan_context(app):
            pass


def test_a_receiver_is_an_app_for_those_who_ask_what_it_is() -> None:
    hooks = WebhookReceiver(secret="a")
    assert "secret" in inspect.signature(WebhookReceiver).parameters
    assert not hasattr(hooks, "routes")
    assert Mount("/webhooks", hooks).routes == []
