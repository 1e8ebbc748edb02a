"""Receivers of other senders: from the request to the handler, over HTTP where the path matters."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any, Literal

import httpx
import pytest
from pydantic import Field
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.helpers import NOW, call, noting, serving
from tests.working import Clock, durable, settled
from webhook_receiver import (
    AnyOf,
    ConfigurationError,
    Event,
    HTTPMessageSignature,
    StandardWebhooks,
    State,
    UnknownEvent,
    Unsigned,
    UP42Signature,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders import github as github_sender
from webhook_receiver.senders.github import github as sender
from webhook_receiver.senders.standard_webhooks import standard_webhooks
from webhook_receiver.signatures import BodyCheck, Verified

TOKEN = "sS6-4Vd_bB.q~0123456789"
SECRET = "It's a Secret to Everybody"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Push(Event, frozen=True):
    event: Literal["push"]
    ref: str


class ContactCreated(Event, frozen=True):
    event: Literal["contact.created"] = Field(alias="type")
    data: dict[str, Any]


def github(**options: Any) -> WebhookReceiver:
    return WebhookReceiver(sender=sender(SECRET), clock=lambda: NOW, **options)


def from_github(body: bytes, event: str | None = "push", id: str = "72d3162e") -> Any:
    given = {"x-github-delivery": id} | ({} if event is None else {"X-GitHub-Event": event})
    return github_sender.signature(SECRET).sign(RequestHead.of(given), body, NOW).headers


async def test_the_event_is_named_by_a_header() -> None:
    hooks, seen = github(), list[Event]()

    @hooks.on(Push)
    async def push(event: Push) -> None:
        seen.append(event)

    @hooks.on("ping")
    async def ping(event: UnknownEvent) -> None:
        seen.append(event)

    async def receive(body: bytes, event: str | None) -> int:
        return (await hooks.receive(from_github(body, event), body)).response.status

    assert await receive(b'{"ref": "refs/heads/main"}', "push") == 204
    assert await receive(b'{"zen": "Keep it logically awesome."}', "ping") == 204
    assert await receive(b"{}", "star") == 204
    assert [(type(event).__name__, event.event) for event in seen] == [("Push", "push"), ("UnknownEvent", "ping")]
    assert await receive(b"{}", "push") == 422  # the class of that name needs more
    assert await receive(b'{"ref": "refs/heads/main"}', None) == 422
    assert await receive(b"[]", "push") == 422


async def test_an_inbox_keeps_the_name_for_whoever_handles_the_delivery_later() -> None:
    hooks, seen = durable("memory://", sender=sender(SECRET)), list[Push]()

    @hooks.on(Push)
    async def push(event: Push) -> None:
        seen.append(event)

    body = b'{"ref": "refs/heads/main"}'
    async with hooks:
        receipt = await hooks.receive(from_github(body), body)
        assert (receipt.response.status, receipt.delivery is not None) == (202, True)
        kept = await settled(hooks, receipt.delivery.id if receipt.delivery else "")
        assert (kept.summary.event, seen[0].ref) == ("push", "refs/heads/main")
        again, other = from_github(body), from_github(body, id="another")
        assert (await hooks.receive(again, body)).response.status == 200
        assert (await hooks.receive(other, body)).response.status == 200
        nameless = await hooks.receive(from_github(body, None, id="third"), body)
        assert nameless.response.status == 202
        dead = await settled(hooks, nameless.delivery.id if nameless.delivery else "", State.DEAD)
        assert "no header x-github-event" in str(dead.summary)


async def test_an_id_that_is_not_signed_holds_up_no_other_delivery() -> None:
    hooks = github(inbox="memory://", work=False)
    old, new = b'{"ref": "old"}', b'{"ref": "new"}'
    async with hooks:
        replayed = (
            github_sender.signature(SECRET)
            .sign(RequestHead.of({"x-github-delivery": "of the new", "x-github-event": "push"}), old, NOW)
            .headers
        )
        assert (await hooks.receive(replayed, old)).response.status == 202
        assert (await hooks.receive(from_github(new, id="of the new"), new)).response.status == 202


@pytest.mark.parametrize("ids", [["7", "7"], ["7", "8"], [None, None], [None, "7"]])
async def test_a_copy_is_a_duplicate_whatever_id_is_in_a_header_that_is_not_signed(ids: list[str | None]) -> None:
    hooks, body = github(inbox="memory://", work=False), b'{"ref": "refs/heads/main"}'
    seen: list[int] = []
    async with hooks:
        for id in ids:
            headers = [pair for pair in from_github(body, id=id or "x") if id is not None or pair[1] != b"x"]
            seen.append((await hooks.receive(headers, body)).response.status)
    assert seen == [202, 200]


@pytest.mark.parametrize("name", ["", "x event", "X-Évent", 7, "x-event:", "X-Token-Event", "Authorization"])
def test_an_event_header_that_cannot_be_is_rejected_at_once(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="event_header"):
        replace(sender(SECRET), event_header=name)


async def test_the_id_of_standard_webhooks_tells_a_repeat_although_it_is_signed_anew() -> None:
    clock = Clock()
    hooks = durable("memory://", scheme=StandardWebhooks(WHSEC), clock=clock)

    @hooks.on(ContactCreated)
    async def created(event: ContactCreated) -> None: ...

    body = json.dumps({"type": "contact.created", "timestamp": "2022-11-03T20:26:10Z", "data": {"id": 7}}).encode()
    statuses = list[int]()
    async with hooks:
        for id in ("msg_1", "msg_1", "msg_2"):
            clock.move(60)
            headers = StandardWebhooks(WHSEC).sign(RequestHead.of({"webhook-id": id}), body, clock()).headers
            statuses.append((await hooks.receive(headers, body)).response.status)
    assert statuses == [202, 200, 202]


@pytest.mark.parametrize("root", ["", "/behind/a/proxy"])
async def test_a_token_in_the_path_lets_in_wherever_the_receiver_is(
    root: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="webhook_receiver")
    alone, routed, mounted = (noting(scheme=Unsigned(token_in_path=TOKEN)) for _ in range(3))
    app = Starlette(
        routes=[
            routed.hooks.route("/routed/{token}"),
            Mount("/mounted", Starlette(routes=[Mount("/in", mounted.hooks)])),
        ]
    )
    body = b'{"event": "parcel.lost"}'
    with serving(alone.hooks) as by_itself, serving(app, root_path=root) as hosted:
        urls = [by_itself, f"{hosted}/routed", f"{hosted}/mounted/in"]
        async with httpx.AsyncClient(trust_env=False) as http:
            for url in urls:
                for end, status in ((TOKEN, 204), (TOKEN + "/", 204), (TOKEN[:-1], 401), ("x" * 22 + "?" + TOKEN, 401)):
                    assert (await http.post(f"{url}/{end}", content=body)).status_code == status
    assert [len(noted.events) for noted in (alone, routed, mounted)] == [2, 2, 2]
    ours = [record.getMessage() for record in caplog.records if record.name == "webhook_receiver"]
    assert ours
    assert not any(TOKEN[:-1] in line for line in ours)


async def test_a_stranger_cannot_tell_the_path_in_a_header() -> None:
    noted = noting(scheme=AnyOf(UP42Signature("a"), Unsigned(token_in_path=TOKEN)))
    body = b'{"event": "parcel.lost"}'
    with serving(noted.hooks) as url:
        async with httpx.AsyncClient(trust_env=False) as http:
            for name in (":path", "path"):
                try:
                    answer = await http.post(f"{url}/in", content=body, headers=[(name.encode(), f"/{TOKEN}".encode())])
                except httpx.HTTPError:
                    continue
                assert answer.status_code in (400, 401)
    assert (await noted.hooks.receive({":path": f"/{TOKEN}"}, body, target="/in")).response.status == 401
    assert (await noted.hooks.receive({}, body)).response.status == 401
    assert (await noted.hooks.receive({}, body, target=f"/in/{TOKEN}")).response.status == 204


class Noting:
    """A scheme that notes the heads that it is asked about."""

    secret_count = 1

    def __init__(self) -> None:
        self.asked: list[RequestHead] = []

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        return head

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        self.asked.append(head)
        return lambda body: Verified(0, body=True)


async def test_a_scheme_is_asked_about_the_method_the_target_the_headers_and_the_public_url() -> None:
    scheme = Noting()
    hooks = noting(scheme=scheme, public_url="https://hooks.example.com/in").hooks
    for target in ("/é\udcff", b"/a%2Fb?c=%20"):
        assert (await hooks.receive({"X-Id": "7"}, b'{"event": "a"}', target=target)).response.status == 204
    assert (await hooks.receive({}, b'{"event": "a"}')).response.status == 204
    url = "https://hooks.example.com/in"
    assert scheme.asked == [
        RequestHead("POST", b"/\xc3\xa9\xff", [(b"x-id", b"7")], url),
        RequestHead("POST", b"/a%2Fb?c=%20", [(b"x-id", b"7")], url),
        RequestHead("POST", b"/", [], url),
    ]


async def test_over_http_the_target_is_as_it_was_sent() -> None:
    scheme = Noting()
    with serving(noting(scheme=scheme).hooks) as address:
        async with httpx.AsyncClient(trust_env=False) as http:
            for target in ("/a%2Fb/%C3%A9?c=%20&d", "/in"):
                url = httpx.URL(address).copy_with(raw_path=target.encode())
                assert (await http.post(url, content=b'{"event": "a"}')).status_code == 204
    assert [(head.method, head.target, head.url) for head in scheme.asked] == [
        ("POST", b"/a%2Fb/%C3%A9?c=%20&d", None),
        ("POST", b"/in", None),
    ]


async def test_any_other_method_is_rejected_without_asgi_as_with_it() -> None:
    scheme = Noting()
    receipt = await noting(scheme=scheme).hooks.receive({}, b'{"event": "a"}', method="PUT")
    assert (receipt.response.status, scheme.asked) == (405, [])


async def test_a_signature_over_the_url_is_verified_with_the_public_url() -> None:
    scheme = HTTPMessageSignature({"key-1": SECRET}, components=["@method", "@target-uri"])
    noted, body = noting(scheme=scheme, public_url="https://hooks.example.com/in?a=1"), b'{"event": "a"}'
    for url, status in (("https://hooks.example.com/in?a=1", 204), ("https://hooks.example.com/in?a=2", 401)):
        headers = scheme.sign(RequestHead.of({}, url=url), body, NOW).headers
        assert (await call(noted.hooks, headers, [body])).status == status
        assert (await noted.hooks.receive(headers, body)).response.status == status


async def test_the_token_is_not_kept() -> None:
    hooks = WebhookReceiver(inbox="memory://", scheme=Unsigned(token_in_path=TOKEN), work=False, clock=lambda: NOW)
    async with hooks:
        receipt = await hooks.receive({"x-id": "7"}, b'{"event": "a"}', target=f"/in/{TOKEN}")
        kept = await hooks.inbox.get(receipt.delivery.id if receipt.delivery else "")
        assert kept is not None
        assert list(kept.delivery.headers) == [(b"x-id", b"7")]
        assert (kept.delivery.verified_by, kept.delivery.body_verified) == (0, False)


async def test_an_id_that_the_scheme_verified_counts_more_than_a_header() -> None:
    kind = replace(standard_webhooks(WHSEC), delivery_id="X-Acme-Id")
    hooks, body = durable("memory://", sender=kind, work=False), b'{"type": "a.b"}'
    head = kind.scheme.sign(RequestHead.of({}), body, NOW)
    async with hooks:
        statuses = [
            (await hooks.receive([*head.headers, *more], body)).response.status
            for more in ([], [(b"x-acme-id", b"1")], [(b"x-acme-id", b"2")])
        ]
    assert statuses == [202, 200, 200]
