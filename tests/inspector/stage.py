"""An inspector to look at: receivers on an inbox, deliveries of every kind in it, and a browser without a screen."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.helpers import NOW, SECRET
from webhook_receiver import (
    Event,
    FailedAttempt,
    HandlerState,
    Inbox,
    OrderFulfilled,
    SQLiteInbox,
    State,
    StoredDelivery,
    WebhookReceiver,
)
from webhook_receiver.delivery import Delivery, Headers
from webhook_receiver.inbox.records import DeliverySummary, Metric
from webhook_receiver.inspector import Inspector
from webhook_receiver.inspector.gate import COOKIE
from webhook_receiver.senders.github import github

HERE = "http://127.0.0.1:8000"
TRACEBACK = (
    'Traceback (most recent call last):\n  File "/app/handlers.py", line 7, in download\nValueError: no such tile'
)
DOWNLOAD = "app:download"


def receivers(inbox: Inbox | str) -> list[WebhookReceiver]:
    """Return a receiver of UP42 with two handlers, and one of GitHub with one, on the same inbox."""
    up42 = WebhookReceiver(secret=[SECRET, "an-older-secret"], inbox=inbox)

    @up42.on(OrderFulfilled, name=DOWNLOAD)
    async def download(order: OrderFulfilled) -> None: ...

    @up42.on(OrderFulfilled, name="app:notify", timeout=5, concurrency=2, rate="10/s")
    async def notify(order: OrderFulfilled) -> None: ...

    hub = WebhookReceiver(sender=github("a-secret-of-github"), inbox=up42.inbox)

    @hub.on("push", name="app:deploy")
    async def deploy(event: Event) -> None: ...

    return [up42, hub]


def sqlite(path: Path) -> SQLiteInbox:
    return SQLiteInbox(path / "hooks.db", min_free=0)


def body(order: str = "o-1", status: str = "FULFILLED", **more: Any) -> bytes:
    return json.dumps({"event": "order.status", "body": {"orderId": order, "status": status, **more}}).encode()


def stored(
    number: int,
    state: State = State.DONE,
    *,
    content: bytes | None = None,
    headers: Headers = ((b"content-type", b"application/json"), (b"user-agent", b"up42/1")),
    receiver: str = "up42",
    event: str | None = "order.status",
    identity: str | None = None,
    order: str | None = None,
    handlers: dict[str, HandlerState] | None = None,
    attempts: Sequence[FailedAttempt] = (),
    reason: str | None = None,
    received: float | None = None,
    verified_by: int | None = 0,
    body_verified: bool = True,
    via: str = "http",
    due: float | None = None,
    settled: float | None = None,
) -> StoredDelivery:
    """Return a delivery as an inbox has it, that came `number` seconds after NOW."""
    id, at = f"{number:08x}" + "0" * 24, NOW + number if received is None else received
    order = f"o-{number}" if order is None else order
    settled = at + 2 if settled is None and state is not State.WAITING else settled
    if handlers is None:
        handlers = {DOWNLOAD: HandlerState(state, 1, 1)} if state in (State.DONE, State.DEAD) else {}
    summary = DeliverySummary(
        id,
        receiver,
        via,
        event,
        f"{order} FULFILLED" if identity is None else identity,
        at,
        state,
        due,
        False,
        None,
        reason,
        settled,
        handlers,
        verified_by,
        body_verified,
    )
    content = body(order) if content is None else content
    delivery = Delivery(id, receiver, headers, content, at, verified_by, body_verified, via)
    return StoredDelivery(summary, delivery, attempts, f"key-{number}".encode(), order)


def dead(number: int, error: str = "ValueError: no such tile", **more: Any) -> StoredDelivery:
    """Return a delivery that died in `download` after three attempts."""
    attempts = [
        FailedAttempt(DOWNLOAD, each, NOW + number + 10 * each, 0.5, "dead" if each == 3 else "retry", error, TRACEBACK)
        for each in (1, 2, 3)
    ]
    handlers = {DOWNLOAD: HandlerState(State.DEAD, 3, 3), "app:notify": HandlerState(State.DONE, 1, 1)}
    reason = f"{DOWNLOAD}: {error}"
    return stored(
        number, State.DEAD, handlers=handlers, attempts=attempts, reason=reason, settled=NOW + number + 31, **more
    )


def some(count: int) -> list[StoredDelivery]:
    """Return deliveries of all kinds."""
    found: list[StoredDelivery] = []
    for number in range(count):
        if number % 7 == 3:
            found.append(dead(number))
        elif number % 7 == 5:
            found.append(stored(number, State.UNHANDLED, reason="no handler wants it", handlers={}))
        elif number % 11 == 6:
            found.append(
                stored(number, receiver="github", event="push", identity="", handlers={"app:deploy": DONE}, order="")
            )
        else:
            found.append(stored(number))
    return found


DONE = HandlerState(State.DONE, 1, 1)
COUNTS = {
    Metric("up42", "answered 202"): 40,
    Metric("up42", "answered 200"): 3,
    Metric("up42", "answered 401"): 5,
    Metric("up42", "answered 503"): 1,
    Metric("up42", "stored", 2): 30,
    Metric("up42", "stored", 4): 10,
    Metric("up42", "duplicate", 1): 3,
    Metric("up42", "rejected BadSignature"): 4,
    Metric("up42", "rejected StaleSignature"): 1,
    Metric("up42", "secret 0"): 38,
    Metric("up42", "secret 1"): 5,
    Metric("up42", f"done {DOWNLOAD}", 3): 30,
    Metric("up42", f"retry {DOWNLOAD}", 6): 6,
    Metric("up42", f"dead {DOWNLOAD}", 6): 3,
    Metric("github", "answered 202"): 7,
    Metric("github", "stored", 3): 7,
    Metric("github", "done app:deploy", 5): 7,
    Metric("github", "secret 0"): 7,
}
"""What was counted in the minute of NOW."""


class Page:
    """A page, as a test reads it."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.status = response.status_code
        self.html = response.text

    @property
    def text(self) -> str:
        """What is read, without tags, in lines."""
        kept = re.sub(r"<(script|style|title)\b.*?</\1>", "", self.html, flags=re.DOTALL)
        kept = re.sub(r"</?(bdi|b|strong|code)( title=[^>]*)?>", "", kept)
        return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", kept))).strip()

    @property
    def links(self) -> list[str]:
        return [html.unescape(each) for each in re.findall(r'href="([^"]*)"', self.html)]

    def field(self, name: str) -> str:
        """Return the value of a hidden field."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.html)
        assert found is not None, f"there is no field {name}:\n{self.text}"
        return html.unescape(found[1])

    @property
    def form(self) -> dict[str, str]:
        """The hidden fields of the page, as a browser sends them."""
        found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', self.html)
        return {name: html.unescape(value) for name, value in found}


class Browser:
    """A client that does what a browser does with the forms of a page."""

    def __init__(self, inspector: Any, *, base: str = HERE, peer: str = "127.0.0.1", **options: Any) -> None:
        transport = httpx.ASGITransport(inspector, client=(peer, 50_000))
        self.client = httpx.AsyncClient(transport=transport, base_url=base, **options)
        self.origin = base

    async def get(self, path: str, **headers: str) -> Page:
        return Page(await self.client.get(path, headers=_named(headers)))

    async def post(self, path: str, data: dict[str, str], **headers: str) -> Page:
        """Send a form, and follow to where that leads."""
        given = {"origin": self.origin, "sec-fetch-site": "same-origin", **_named(headers)}
        response = await self.client.post(path, data=data, headers={name: each for name, each in given.items() if each})
        while response.status_code == 303:
            response = await self.client.get(response.headers["location"])
        return Page(response)

    async def confirm(self, path: str, **fields: str) -> Page:
        """Open the confirmation of an action, and confirm it; follow its parts to the end."""
        page = await self.get(path)
        assert page.status == 200, page.text
        page = await self.post(path.partition("?")[0], page.form | fields)
        for _ in range(100):
            if 'id="progress"' not in page.html:
                break
            page = await self.post(path.partition("?")[0], page.form)
        return page

    @property
    def token(self) -> str:
        return self.client.cookies[COOKIE]


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def looked_at(inspector: Inspector) -> Inspector:
    """Let an inspector's clock stand at 100 s after NOW."""
    inspector.site.clock = lambda: NOW + 100
    return inspector
