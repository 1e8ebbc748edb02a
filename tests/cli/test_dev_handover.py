"""Rejected requests of the server of `dev`: from the process that rejects them to the one that shows them."""

from __future__ import annotations

import asyncio
import socket
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.helpers import NOW, SECRET, serving
from tests.inspector.test_rejected import rejected
from tests.working import about, until
from webhook_receiver import WebhookReceiver
from webhook_receiver.capture.rejected_request import MOST_OF_A_BODY, RejectedRequest
from webhook_receiver.cli.dev_handover import watched
from webhook_receiver.cli.dev_rejections import explain, taken
from webhook_receiver.inspector.rejections import Rejections
from webhook_receiver.senders.up42.signature import UP42Signature
from webhook_receiver.signatures import Secret
from webhook_receiver.simulator import payloads


async def _page(request: Request) -> Response:
    return PlainTextResponse(f"{len(await request.body())}", 404)


@contextmanager
def handing_over(*, max_body: int = 1_048_576) -> Generator[tuple[str, Rejections, WebhookReceiver]]:
    """Serve a receiver within a host's middleware, and take what it rejects."""
    hooks = WebhookReceiver(secret=SECRET, max_body=max_body)

    async def through(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    app = Starlette(
        routes=[hooks.route("/webhooks"), Route("/page", _page, methods=["POST"])],
        lifespan=hooks.lifespan,
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=through)],
    )
    rejections = Rejections([hooks], explain)
    with taken(rejections) as place, serving(watched(app, [hooks], place)) as url:
        yield url, rejections, hooks


async def one_of(rejections: Rejections, count: int = 1) -> RejectedRequest:
    """Return the newest request, once there are so many."""
    await until(lambda: rejections.count == count)
    return rejections.newest()[0].request


async def test_what_a_receiver_rejects_is_handed_over_as_it_came_with_its_answer() -> None:
    with handing_over() as (url, rejections, _):
        async with httpx.AsyncClient(trust_env=False) as client:
            head = payloads.forged(about(), now=NOW, url=f"{url}/webhooks")
            headers = [*head.headers, (b"x-note", b"\xe4 \xff")]
            answer = await client.post(f"{url}/webhooks?a=b%20c", headers=headers, content=about())
            found = await one_of(rejections)
        assert (answer.status_code, found.status) == (401, 401)
        assert (found.receiver, found.method, found.target, found.client) == (
            "up42",
            "POST",
            "/webhooks?a=b%20c",
            "127.0.0.1",
        )
        assert (found.body, found.is_whole, found.error) == (about(), True, "BadSignature")
        assert (b"x-note", b"\xe4 \xff") in found.headers


async def test_of_two_receivers_of_one_name_the_one_that_rejected_it_is_told() -> None:
    one, two = receivers = [WebhookReceiver(secret=each) for each in (SECRET, "the secret of the other")]
    rejections = Rejections(receivers, explain)
    app = Starlette(routes=[one.route("/1"), two.route("/2")])
    with taken(rejections) as place, serving(watched(app, receivers, place)) as url:
        async with httpx.AsyncClient(trust_env=False) as client:
            for number, hooks in enumerate(receivers, 1):
                await client.post(f"{url}/{number}", content=about())
                assert rejections.receiver(await one_of(rejections, number)) is hooks


async def test_what_is_accepted_or_is_no_receivers_is_not_handed_over() -> None:
    with handing_over() as (url, rejections, _):
        async with httpx.AsyncClient(trust_env=False) as client:
            good = payloads.signed(about(), UP42Signature(Secret(SECRET)), now=time.time())
            assert (await client.post(f"{url}/webhooks", headers=list(good.headers), content=about())).status_code < 300
            assert (await client.post(f"{url}/page", content=b"x" * 100_000)).text == "100000"
            assert (await client.get(f"{url}/nowhere")).status_code == 404
            await client.post(f"{url}/webhooks", content=b"last")
            found = await one_of(rejections)
        assert (found.body, found.error) == (b"last", "MissingSignature")


async def test_every_kind_of_rejection_is_handed_over() -> None:
    with handing_over(max_body=100) as (url, rejections, _):
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"{url}/webhooks")).status_code == 405
            assert (await one_of(rejections, 1)).error == "MethodNotAllowed"
            assert (await client.post(f"{url}/webhooks", content=b"x" * 101)).status_code == 413
            found = await one_of(rejections, 2)
            assert (found.error, found.status, found.body) == ("BodyTooLarge", 413, b"x" * 101)
            answer = await client.post(f"{url}/webhooks", content=b"x", headers={"content-encoding": "gzip"})
            assert answer.status_code == 415
            assert (await one_of(rejections, 3)).error == "UnsupportedEncoding"


async def test_a_body_of_which_no_more_is_read_is_not_whole_and_not_explained() -> None:
    with handing_over() as (url, rejections, hooks):
        async with httpx.AsyncClient(trust_env=False) as client:
            with suppress(httpx.TransportError):  # it may be cut off before the answer is read
                await client.post(f"{url}/webhooks", content=b"x" * 5_000_000)
            found = await one_of(rejections)
        assert not found.is_whole
        assert len(found.body) <= MOST_OF_A_BODY
        assert explain(hooks, found) is None


async def test_a_burst_of_them_is_taken_whole() -> None:
    with handing_over() as (url, rejections, _):
        async with httpx.AsyncClient(trust_env=False) as client:
            for begin in range(0, 80, 20):
                sent = [client.post(f"{url}/webhooks", content=b"%d" % each) for each in range(begin, begin + 20)]
                assert {each.status_code for each in await asyncio.gather(*sent)} == {401}
            await until(lambda: rejections.count == 80)
        assert {each.request.body for each in rejections.newest()} == {b"%d" % each for each in range(80)}


async def test_only_this_user_reaches_the_socket_and_what_is_no_request_is_dropped() -> None:
    rejections = Rejections([], explain)
    with taken(rejections) as place:
        folder = Path(place).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for message in (
            b"",
            b"\n",
            b"{}\n",
            b"[]\nbody",
            b"[1, 2]\n",
            b"\xff\n",
            b"null\n",
            rejected().as_bytes()[:60],
        ):
            _send(place, message)
        _send(place, rejected().as_bytes())
        await until(lambda: rejections.count > 0)
        assert rejections.count == 1
        assert rejections.newest()[0].request.as_bytes() == rejected().as_bytes()
    assert not folder.exists()


def _send(place: str, message: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)
        connection.sendall(message)


async def test_a_server_whose_dev_is_gone_goes_on() -> None:
    hooks = WebhookReceiver(secret=SECRET)
    app = watched(Starlette(routes=[hooks.route("/webhooks")]), [hooks], "/nonexistent/rejected")
    with serving(app) as url:
        for _ in range(3):
            answer = await asyncio.to_thread(httpx.post, f"{url}/webhooks", content=b"x", trust_env=False)
            assert answer.status_code == 401
