"""What the tests of the simulator need: one that is served, with a client, and a receiver that notes what comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.helpers import SECRET, noting, serving
from tests.working import PATIENCE, Clock
from webhook_receiver.delivery import Headers
from webhook_receiver.senders.up42.models import CLIENT_ID, TOKEN
from webhook_receiver.simulator import Simulator, SimulatorOptions, simulator_app
from webhook_receiver.simulator.store import Outgoing, SendAttempt

WORKSPACE = SimulatorOptions().workspace_id
HOOKS = f"/workspaces/{WORKSPACE}/webhooks"


@dataclass
class Got:
    """One request as a receiver got it, and what it answered."""

    headers: Headers
    body: bytes
    status: int

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def order_id(self) -> str:
        order_id: str = self.document["body"]["orderId"]
        return order_id


@dataclass
class Catcher:
    """A receiver that answers by its list, then 204, and notes what it got."""

    answers: list[int | Response] = field(default_factory=list[int | Response])
    got: Queue[Got] = field(default_factory=Queue[Got])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await Request(scope, receive).body()
        answer = self.answers.pop(0) if self.answers else 204
        response = Response(status_code=answer) if isinstance(answer, int) else answer
        self.got.put(Got(scope["headers"], body, response.status_code))
        await response(scope, receive, send)

    def next(self) -> Got:
        return self.got.get(timeout=PATIENCE)


class Real:
    """The receiver itself, verifying with `secrets`; it notes what it answered."""

    def __init__(self, secrets: Iterable[str] = (SECRET,), clock: float | None = None) -> None:
        self.noted = noting(secret=[*secrets], clock=clock)
        self.got: Queue[Got] = Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await Request(scope, receive).body()
        receipt = await self.noted.hooks.receive(scope["headers"], body)
        self.got.put(Got(scope["headers"], body, receipt.response.status))
        await Response(status_code=receipt.response.status)(scope, receive, send)

    def next(self) -> Got:
        return self.got.get(timeout=PATIENCE)


@dataclass
class Played:
    """A simulator that is served, and a client with a token of it."""

    simulator: Simulator
    url: str
    client: httpx.Client
    attempts: Queue[tuple[Outgoing, SendAttempt]]
    clock: Clock | None
    waits: list[float]

    def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """Ask for something; return the answer's JSON."""
        answer = self.client.request(method, path, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    def webhook(self, url: str, secret: str | None = SECRET, **fields: Any) -> Any:
        """Create a webhook, active and subscribed to orders if nothing else is said."""
        given = {"name": "tests", "url": url, "events": ["order.status"], "secret": secret, "active": True} | fields
        return self.ask("POST", HOOKS, json=given)["data"]

    def create(self, **fields: Any) -> Any:
        """Create orders; return them."""
        return self.ask("POST", "/_simulator/orders", json=fields)

    def move(self, order_id: str, status: str = "FULFILLED") -> Any:
        return self.ask("POST", f"/_simulator/orders/{order_id}/status", json={"status": status})

    def deliveries(self) -> Any:
        """Return the deliveries with their attempts, the first one first."""
        return self.ask("GET", "/_simulator/deliveries", params={"limit": 100_000})[::-1]

    def ended(self, many: int = 1) -> list[Outgoing]:
        """Wait until so many more deliveries have ended; return them."""
        ended: list[Outgoing] = []
        while len(ended) < many:
            outgoing, _ = self.attempts.get(timeout=PATIENCE)
            if outgoing.ended:
                ended.append(outgoing)
        return ended


def token(client: httpx.Client, **form: Any) -> httpx.Response:
    given = {"grant_type": "password", "username": "u", "password": "p", "client_id": CLIENT_ID} | form
    return client.post(TOKEN, data={key: value for key, value in given.items() if value is not None})


@contextmanager
def playing(
    *, state: Path | None = None, clock: Clock | None = None, tls: dict[str, str] | None = None, **options: Any
) -> Generator[Played]:
    """Serve a simulator; with a clock, which waiting moves on, nothing takes time."""
    attempts: Queue[tuple[Outgoing, SendAttempt]] = Queue()
    waits: list[float] = []
    timing: dict[str, Any] = {}
    if clock is not None:

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            clock.move(seconds)
            await asyncio.sleep(0)

        timing = {"clock": clock, "sleep": sleep}
    simulator = Simulator(
        SimulatorOptions(**options),
        state=state,
        on_attempt=lambda outgoing, made: attempts.put((outgoing, made)),
        **timing,
    )
    try:
        with serving(simulator_app(simulator)) as url, httpx.Client(base_url=url, trust_env=False) as client:
            client.headers["authorization"] = f"Bearer {token(client).json().get('access_token')}"
            yield Played(simulator, url, client, attempts, clock, waits)
    finally:
        simulator.close()


@contextmanager
def catching(*answers: int | Response) -> Generator[tuple[Catcher, str]]:
    """Serve a receiver that answers so; yield it with its URL."""
    catcher = Catcher([*answers])
    with receiving(catcher) as url:
        yield catcher, url


@contextmanager
def receiving(app: ASGIApp) -> Generator[str]:
    """Serve a receiver; yield its URL."""
    with serving(_with_lifespan(app)) as url:
        yield f"{url}/webhooks"


def _with_lifespan(app: ASGIApp) -> ASGIApp:
    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
        else:
            await app(scope, receive, send)

    return whole
