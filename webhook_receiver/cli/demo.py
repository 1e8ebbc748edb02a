"""`demo`: a receiver on the loopback gets what a sender would send it, and what strangers would."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from ..delivery import Headers
from ..events import Event, OrderFailedPermanently, OrderFulfilled
from ..receiver import MAX_BODY, WebhookReceiver
from ..sender import deliveries as make
from ..sender.deliveries import Result, post
from ..signatures import UP42Signature
from . import output
from .serve import beside_health

PATH = "/webhooks"


@dataclass(frozen=True, slots=True)
class Case:
    """One delivery, the answer that is right, and the handler that has to run."""

    what: str
    headers: Headers
    body: bytes
    status: int
    handler: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case."""

    case: Case
    result: Result
    handlers: list[str]
    """The handlers that ran."""

    @property
    def right(self) -> bool:
        expected = [self.case.handler] if self.case.handler else []
        return self.result.status == self.case.status and self.handlers == expected

    def as_json(self) -> dict[str, Any]:
        return {
            "delivery": self.case.what,
            "status": self.result.status,
            "expected_status": self.case.status,
            "handlers": self.handlers,
            "right": self.right,
        }


class Demo:
    """A receiver whose handlers note that they ran."""

    def __init__(self, secret: str) -> None:
        self.ran: list[str] = []
        self.hooks = hooks = WebhookReceiver(secret=secret, name="demo")

        @hooks.on_fulfilled
        async def download(order: OrderFulfilled) -> None:
            self.ran.append("download")

        @hooks.on_failed_permanently
        def alert(order: OrderFailedPermanently) -> None:
            self.ran.append("alert")

        @hooks.fallback
        async def other(event: Event) -> None:
            self.ran.append("other")

    async def deliver(self, client: httpx.AsyncClient, url: str, case: Case) -> Outcome:
        """Deliver one case over HTTP; the handlers run before the answer comes."""
        before = len(self.ran)
        result = await post(client, url, case.headers, case.body)
        return Outcome(case, result, self.ran[before:])


def cases(secret: str, now: float) -> Iterator[Case]:
    """Yield what is delivered, genuine and hostile."""
    scheme = UP42Signature(secret)

    def signed(body: bytes, seconds_ago: float = 0) -> Headers:
        return make.signed(body, scheme, now=now - seconds_ago)

    def order(status: str) -> bytes:
        return make.dump(make.document("order.status", status, now=now))

    fulfilled, failed, placed = order("FULFILLED"), order("FAILED_PERMANENTLY"), order("PLACED")
    unheard_of = make.dump(make.document("storage.cleaned", "DONE", now=now))
    large = b'{"padding": "' + b"x" * MAX_BODY + b'"}'
    yield Case("order fulfilled", signed(fulfilled), fulfilled, 204, "download")
    yield Case("order failed permanently", signed(failed), failed, 204, "alert")
    yield Case("another status of an order", signed(placed), placed, 204, "other")
    yield Case("an event nobody knows", signed(unheard_of), unheard_of, 204, "other")
    yield Case("forged: signed with another secret", make.forged(fulfilled, now=now), fulfilled, 401)
    yield Case("forged: not signed at all", make.unsigned(), fulfilled, 401)
    yield Case("replayed with another body", signed(fulfilled), failed, 401)
    yield Case("stale: signed an hour ago", signed(fulfilled, seconds_ago=3600), fulfilled, 401)
    yield Case("oversized: more than 1 MiB", signed(large), large, 413)
    yield Case("signed, but not JSON", signed(b"<xml/>"), b"<xml/>", 422)


def listen(port: int) -> socket.socket:
    """Return a socket that listens on the loopback; port 0 is a free one.

    Raises:
        OSError: the port is taken, or not ours to take.
    """
    return socket.create_server(("127.0.0.1", port))


async def run(listener: socket.socket, outcomes: list[Outcome], *, keep_running: bool, as_json: bool) -> None:
    """Show every case with its answer; put what became of them into `outcomes` when all are done."""
    secret = secrets.token_urlsafe(24)
    demo = Demo(secret)
    with listener, _quiet():
        url = f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}"
        async with _serving(demo.hooks, listener) as server:
            if not as_json:
                output.say(f"A receiver listens at {url}. It gets what a sender, and what strangers, would send:\n")
            async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
                now = time.time()
                outcomes += [_shown(await demo.deliver(client, url, case), as_json) for case in cases(secret, now)]
            if not as_json:
                _conclude(outcomes)
            if keep_running:
                output.stderr.print("\nIt still listens; Ctrl-C ends it. Send it more:")
                output.stderr.print(f"  webhook-receiver send {url} --secret {secret}", soft_wrap=True)
                await server


def _conclude(outcomes: list[Outcome]) -> None:
    right = sum(outcome.right for outcome in outcomes)
    style = "bold green" if right == len(outcomes) else "bold red"
    output.say(f"\n{right} of {len(outcomes)} deliveries were answered and handled as they should be.", style)


@asynccontextmanager
async def _serving(hooks: WebhookReceiver, listener: socket.socket) -> AsyncGenerator[asyncio.Task[None]]:
    """Serve under uvicorn, as `serve` does, on a socket that listens already; yield the server's task."""
    server = uvicorn.Server(uvicorn.Config(beside_health(hooks, PATH), log_level="critical", lifespan="on"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield task
    finally:
        server.should_exit = True
        await task


@contextmanager
def _quiet() -> Generator[None]:
    """Keep the receiver's log, which tells of every refusal, out of what the demo shows."""
    logger = logging.getLogger("webhook_receiver")
    handler = logging.NullHandler()
    logger.addHandler(handler)
    logger.propagate, propagate = False, logger.propagate
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _shown(outcome: Outcome, as_json: bool) -> Outcome:
    if as_json:
        output.say_json(outcome.as_json())
        return outcome
    case = outcome.case
    verdict = "ok" if outcome.right else f"WRONG: {case.status}, {case.handler or 'no handler'} expected"
    handlers = ", ".join(outcome.handlers) or "-"
    line = f"{case.what:37}{outcome.result.label:30}{handlers:12}{verdict}"
    output.say(line, "green" if outcome.right else "bold red")
    return outcome
