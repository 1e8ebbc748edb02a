"""One endpoint with many tenants, each with secrets of its own, which come from a function of the user's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote, unquote

import pytest

from tests.helpers import NOW, order
from tests.working import until
from webhook_receiver import (
    AllowFrom,
    AnyOf,
    BasicAuth,
    BearerJWT,
    ConfigurationError,
    Delivery,
    Event,
    Filter,
    HeaderSecret,
    HMACBody,
    KeysUnavailable,
    MalformedSignature,
    MissingSignature,
    PublicKeyBody,
    Secret,
    SecretsByRequest,
    Sender,
    StandardWebhooks,
    UnknownEvent,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.runtime.entries import EntryBuilder
from webhook_receiver.senders.challenges import echo
from webhook_receiver.senders.github import signature as github_signature
from webhook_receiver.senders.up42 import up42
from webhook_receiver.signatures import Scheme, Verified
from webhook_receiver.signatures.by_request import UNKNOWN_FOR
from webhook_receiver.signatures.fetching import INTERVAL
from webhook_receiver.signatures.jwks import JWKS
from webhook_receiver.testing import rehearse
from webhook_receiver.testing.scheme_suite import SchemeSuite
from webhook_receiver.testing.wire import signed_head

from .key_server import Fetching, jwk, jwks
from .keys import RSA, whsec
from .test_jwks import bearer

BODY = b'{"event": "parcel.lost", "id": "7", "order": "o-1"}'
acme = partial(HMACBody, signature="x-acme-signature")


class Tenants:
    """The user's own table of secrets, and what was asked of it."""

    def __init__(self, **secrets: Any) -> None:
        self.secrets: dict[str, Any] = secrets
        self.asked: list[str] = []

    async def secrets_of(self, tenant: str) -> Any:
        self.asked.append(tenant)
        found = self.secrets[tenant]
        if isinstance(found, Exception):
            raise found
        return found


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def hooks_for(scheme: Scheme, clock: Any = lambda: NOW, **options: Any) -> WebhookReceiver:
    sender = Sender(
        name="acme", scheme=scheme, facts=("made up",), delivery_id_path="id", ordering_key=lambda event: event.event
    )
    hooks = WebhookReceiver(sender=sender, clock=clock, **options)
    hooks.on(Event)(lambda event: None)
    return hooks


def by_path(tenants: Tenants, make: Any = acme, **options: Any) -> SecretsByRequest:
    return SecretsByRequest(tenants.secrets_of, make, tenant="path", **options)


async def post(
    hooks: WebhookReceiver, tenant: str, secret: str, make: Any = acme, body: bytes = BODY, target: str | None = None
) -> int:
    head = make(secret).sign(RequestHead.of({}), body, NOW)
    return (await hooks.receive(head.headers, body, target=target or f"/hooks/{tenant}")).response.status


async def test_each_tenant_has_secrets_of_its_own() -> None:
    tenants = Tenants(a="a's", b=["b's new", "b's old"])
    hooks = hooks_for(by_path(tenants))
    assert [await post(hooks, *each) for each in [("a", "a's"), ("b", "b's new"), ("b", "b's old")]] == [204] * 3
    assert [await post(hooks, *each) for each in [("a", "b's new"), ("b", "a's"), ("c", "a's")]] == [401] * 3
    assert tenants.asked == ["a", "b", "c"]
    assert hooks.verified == {0: 2, 1: 1}


@pytest.mark.parametrize(
    ("make", "secret"),
    [
        (acme, "secret"),
        (github_signature, "secret"),
        (StandardWebhooks, whsec("secret")),
        (partial(BearerJWT, algorithm="HS256"), "a secret of thirty-two bytes, or more"),
        (partial(BasicAuth, username="acme"), "secret"),
        (partial(HeaderSecret, header="x-key"), "secret"),
    ],
    ids=["HMACBody", "github", "StandardWebhooks", "BearerJWT", "BasicAuth", "HeaderSecret"],
)
async def test_it_is_for_every_scheme(make: Any, secret: str) -> None:
    hooks = hooks_for(by_path(Tenants(a=secret), make))
    assert await post(hooks, "a", secret, make) == 204
    other = whsec("another") if secret.startswith("whsec") else f"another {secret}"
    assert await post(hooks, "a", other, make) == 401


async def test_keys_of_a_tenant_may_have_to_be_fetched_as_well() -> None:
    fetched: list[str] = []

    async def fetch(url: str) -> bytes:
        fetched.append(url)
        return jwks(jwk(RSA[0], kid="a"))

    def make(secrets: list[Secret]) -> Scheme:
        url = secrets[0].get_secret_value()
        return BearerJWT(JWKS(url if "/" in url else "https://example.com/", fetch=fetch), algorithm="RS256")

    clock = Clock()
    hooks = hooks_for(by_path(Tenants(a="https://a.example.com/keys"), make), clock)
    target = "/hooks/a"
    good, forged = bearer(RSA[0], kid="a"), bearer(RSA[1], kid="a")
    assert (await hooks.receive(good, BODY, target=target)).response.status == 204
    for _ in range(3):
        clock.now += INTERVAL
        assert (await hooks.receive(forged, BODY, target=target)).response.status == 401
    assert fetched == ["https://a.example.com/keys"] * 4, "the keys outlast that the tenant is asked for again"


async def test_tenants_that_strangers_make_up_do_not_keep_a_known_one_from_being_asked_for_again() -> None:
    clock, go, asked = Clock(), asyncio.Event(), 0

    async def secrets_of(tenant: str) -> str | None:
        nonlocal asked
        if tenant == "a":
            return "secret"
        asked += 1
        await go.wait()
        return None

    hooks = hooks_for(SecretsByRequest(secrets_of, acme, tenant="path", lifetime=60), clock)
    assert await post(hooks, "a", "secret") == 204
    clock.now += 60
    names = [f"made-up{number % 80}" for number in range(400)]
    forged = [asyncio.create_task(post(hooks, name, "secret")) for name in names]
    await until(lambda: asked == 64)
    assert await post(hooks, "a", "secret") == 204
    go.set()
    assert {await each for each in forged} == {401}


async def test_known_keys_of_a_tenant_are_used_at_once_while_their_host_is_slow() -> None:
    clock, go, fetched = Clock(), asyncio.Event(), list[str]()

    async def fetch(url: str) -> bytes:
        if fetched:
            await go.wait()
        fetched.append(url)
        return jwks(jwk(RSA[0], kid="a"))

    def make(secrets: list[Secret]) -> Scheme:
        keys = JWKS("https://a.example.com/keys", lifetime=60, fetch=fetch)
        return BearerJWT(keys, algorithm="RS256", audience=secrets[0].get_secret_value())

    hooks = hooks_for(by_path(Tenants(a="acme"), make), clock)
    token = bearer(RSA[0], claims={"aud": "acme"}, kid="a")
    assert (await hooks.receive(token, BODY, target="/hooks/a")).response.status == 204
    clock.now += 60
    waiting = [asyncio.create_task(hooks.receive(token, BODY, target="/hooks/a")) for _ in range(70)]
    assert {receipt.response.status for receipt in await asyncio.gather(*waiting[64:])} == {204}
    assert not any(task.done() for task in waiting[:64])
    go.set()
    assert {receipt.response.status for receipt in await asyncio.gather(*waiting)} == {204}
    assert len(fetched) == 2


# where the tenant is


@pytest.mark.parametrize(
    ("place", "target", "headers", "tenant"),
    [
        ("path", "/hooks/a", {}, "a"),
        ("path", "/hooks/a/", {}, "a"),
        ("path", "/hooks/a?b=c", {}, "a"),
        ("path", "/hooks/M%C3%BCller%20%26%2FCo", {}, "Müller &/Co"),
        ("header:X-Account", "/", {"x-account": "a"}, "a"),
        ("header:X-Account", "/", {"x-account": "Müller"}, "Müller"),
        ("query:account", "/?x=1&account=a+b", {}, "a b"),
        (lambda head: head.path.split(b"/")[2].decode(), "/hooks/a/orders", {}, "a"),
    ],
)
async def test_a_request_names_its_tenant(place: Any, target: str, headers: Any, tenant: str) -> None:
    tenants = Tenants(**{tenant: "secret"})
    hooks = hooks_for(SecretsByRequest(tenants.secrets_of, acme, tenant=place))
    head = acme("secret").sign(RequestHead.of(headers), BODY, NOW)
    receipt = await hooks.receive(head.headers, BODY, target=target)
    assert receipt.response.status == 204
    assert receipt.delivery is not None
    assert receipt.delivery.tenant == tenant


@pytest.mark.parametrize(
    ("place", "target", "headers", "error"),
    [
        ("path", "/", {}, MissingSignature),
        ("path", "/" + "a" * 201, {}, MalformedSignature),
        ("path", "/a%00b", {}, MalformedSignature),
        ("path", "/%ff", {}, MalformedSignature),
        ("header:x-account", "/", {}, MissingSignature),
        ("header:x-account", "/", [("x-account", "a"), ("x-account", "a")], MalformedSignature),
        ("header:x-account", "/", [(b"x-account", b"\xff")], MalformedSignature),
        ("query:account", "/", {}, MissingSignature),
        ("query:account", "/?account=", {}, MissingSignature),
        ("query:account", "/?account=a&account=b", {}, MalformedSignature),
        ("query:account", "/?account=%ff", {}, MalformedSignature),
        ("query:account", "/?" + "a=1&" * 200, {}, MalformedSignature),
        (lambda head: None, "/", {}, MissingSignature),
        (lambda head: 7, "/", {}, MalformedSignature),
        (lambda head: {}[head], "/", {}, MalformedSignature),
    ],
)
async def test_a_request_without_a_tenant_is_rejected(place: Any, target: str, headers: Any, error: Any) -> None:
    tenants = Tenants()
    hooks = hooks_for(SecretsByRequest(tenants.secrets_of, acme, tenant=place))
    receipt = await hooks.receive(headers, BODY, target=target)
    assert (receipt.response.status, type(receipt.error)) == (401, error)
    assert tenants.asked == []


# the function of secrets


async def test_unknown_tenants_are_remembered_and_put_no_known_one_out() -> None:
    tenants = Tenants(a="secret", nobody=None)
    hooks = hooks_for(by_path(tenants, max_tenants=2))
    assert await post(hooks, "a", "secret") == 204
    for tenant in ("nobody", "x", "y", "y", "nobody"):
        assert await post(hooks, tenant, "secret") == 401
    assert await post(hooks, "a", "secret") == 204
    assert tenants.asked == ["a", "nobody", "x", "y", "nobody"]


async def test_an_unknown_tenant_is_always_401_and_one_that_is_added_counts_after_five_seconds() -> None:
    tenants, clock = Tenants(), Clock()
    hooks = hooks_for(by_path(tenants), clock)
    for _ in range(12):
        assert await post(hooks, "a", "secret") == 401
        clock.now += 1
    assert tenants.asked == ["a"] * 3
    tenants.secrets["a"] = "secret"
    clock.now += UNKNOWN_FOR
    assert await post(hooks, "a", "secret") == 204


async def test_a_flood_of_made_up_tenants_keeps_no_genuine_one_out_that_comes_for_the_first_time() -> None:
    going = asyncio.Semaphore(0)

    async def secrets_of(tenant: str) -> str | None:
        await going.acquire()
        return "secret" if tenant == "genuine" else None

    hooks = hooks_for(SecretsByRequest(secrets_of, acme, tenant="path"))
    made_up = [asyncio.create_task(post(hooks, f"made-up{number}", "secret")) for number in range(200)]
    genuine = asyncio.create_task(post(hooks, "genuine", "secret"))
    for _ in range(201):
        going.release()
    assert await genuine == 204
    assert {await each for each in made_up} == {401}


async def test_what_changes_just_after_a_fetch_loses_no_delivery() -> None:
    tenants, clock = Tenants(b="old"), Clock()
    hooks = hooks_for(by_path(tenants), clock)
    assert [await post(hooks, *each) for each in (("a", "secret"), ("b", "forged"))] == [401, 401]
    tenants.secrets.update(a="secret", b="new")
    clock.now += 1
    given = ("a", "secret"), ("b", "new"), ("b", "old")
    assert [await post(hooks, *each) for each in given] == [401, 503, 204], "and nothing is asked within the interval"
    assert tenants.asked == ["a", "b"]
    clock.now += INTERVAL
    assert [await post(hooks, *each) for each in given] == [204, 204, 401]


async def test_a_new_secret_counts_with_the_first_delivery_signed_by_it() -> None:
    tenants, clock = Tenants(a="old"), Clock()
    hooks = hooks_for(by_path(tenants), clock)
    assert await post(hooks, "a", "old") == 204
    tenants.secrets["a"] = ["new", Secret("old", until=datetime.fromtimestamp(NOW + 100, UTC))]
    clock.now += INTERVAL
    assert [await post(hooks, "a", each) for each in ("old", "new", "old", "older")] == [204, 204, 204, 401]
    assert tenants.asked == ["a", "a"]
    clock.now += 100
    assert [await post(hooks, "a", each) for each in ("new", "old")] == [204, 401]


async def test_a_secret_that_was_taken_away_does_not_outlast_its_lifetime() -> None:
    tenants, clock = Tenants(a="old"), Clock()
    hooks = hooks_for(by_path(tenants, lifetime=60), clock)
    assert await post(hooks, "a", "old") == 204
    tenants.secrets["a"] = "new"
    clock.now += 60
    assert await post(hooks, "a", "old") == 401
    del tenants.secrets["a"]
    clock.now += 60
    assert await post(hooks, "a", "new") == 401


async def test_a_known_tenant_goes_on_with_its_last_secrets_while_the_function_fails() -> None:
    tenants, clock = Tenants(a="old", b="b's"), Clock()
    hooks = hooks_for(by_path(tenants, lifetime=60, max_stale=600), clock)
    assert await post(hooks, "a", "old") == 204
    tenants.secrets["a"] = tenants.secrets["b"] = OSError("the data base is away")
    for at, status in ((60, 204), (600, 204), (659, 204), (661, 503)):
        clock.now = NOW + at
        assert (at, await post(hooks, "a", "old")) == (at, status)
        assert await post(hooks, "b", "b's") == 503
    clock.now = NOW + 700
    tenants.secrets["a"] = "new"
    assert [await post(hooks, "a", secret) for secret in ("new", "old")] == [204, 401]


async def test_a_tenant_that_is_gone_is_gone_at_once_however_long_its_secrets_would_have_served() -> None:
    tenants, clock = Tenants(a="old"), Clock()
    hooks = hooks_for(by_path(tenants, lifetime=60, max_stale=600), clock)
    assert await post(hooks, "a", "old") == 204
    tenants.secrets["a"] = None
    clock.now += 60
    assert await post(hooks, "a", "old") == 401


@pytest.mark.parametrize("names", [["slow"], [f"slow{number}" for number in range(100)]], ids=["one", "many"])
@pytest.mark.parametrize("were_known", [False, True])
async def test_slow_tenants_keep_no_other_out(names: list[str], were_known: bool) -> None:
    go, clock, is_slow, asked = asyncio.Event(), Clock(), not were_known, list[str]()

    async def secrets_of(tenant: str) -> str:
        if tenant.startswith("slow") and is_slow:
            asked.append(tenant)
            await go.wait()
        return "secret"

    scheme = SecretsByRequest(secrets_of, acme, tenant="path", lifetime=60, max_stale=-0.5)
    hooks = hooks_for(scheme, clock)
    if were_known:
        assert {await post(hooks, name, "secret") for name in [*names, "quick"]} == {204}
        clock.now, is_slow = NOW + 60, True
    slow = [asyncio.create_task(post(hooks, name, "secret")) for name in names * (200 // len(names))]
    await until(lambda: len(asked) == min(len(names), 64))
    clock.now += 3
    assert await post(hooks, "quick", "secret") == 204
    assert await post(hooks, "new", "secret") == 204
    go.set()
    assert set(await asyncio.gather(*slow)) == {204, 503}


@pytest.mark.parametrize(
    ("secrets", "why"),
    [
        (OSError("postgres://user:password@host"), "cannot be fetched: OSError at .*test_by_request.py:"),
        (ValueError("password"), "cannot be fetched: ValueError"),
        ([], "the secrets of a tenant cannot work: the list of secrets is empty"),
        ("", "cannot work: a secret must not be empty"),
        (7, "cannot work: a secret is a text, not int"),
        (["secret"] * 17, "cannot work: a tenant has 1 to 16 secrets, not 17"),
    ],
)
async def test_a_function_that_fails_is_a_503_and_nothing_is_told_of_secrets(
    secrets: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = hooks_for(by_path(Tenants(a=secrets)))
    head = acme("secret").sign(RequestHead.of({}), BODY, NOW)
    receipt = await hooks.receive(head.headers, BODY, target="/a")
    assert receipt.response.status == 503
    assert "retry-after" in receipt.response.headers
    with pytest.raises(KeysUnavailable, match=why):
        raise receipt.error  # type: ignore[misc]
    assert hooks.rejected == {"KeysUnavailable": 1}
    assert "password" not in f"{caplog.text}{receipt!r}"


async def test_a_function_that_is_not_async_is_told() -> None:
    hooks = hooks_for(SecretsByRequest(lambda tenant: "secret", acme, tenant="path"))  # type: ignore[arg-type, return-value]
    head = acme("secret").sign(RequestHead.of({}), BODY, NOW)
    receipt = await hooks.receive(head.headers, BODY, target="/a")
    assert (receipt.response.status, str(receipt.error)) == (
        503,
        "the function of a tenant's secrets has to be async: async def secrets_of(tenant)",
    )


async def test_a_scheme_that_lets_everybody_in_lets_nobody_in() -> None:
    def make(secrets: list[Secret]) -> Scheme:
        return Unsigned() if secrets[0].get_secret_value() == "none" else acme(secrets)

    assert await post(hooks_for(by_path(Tenants(a="none"), make)), "a", "none") == 503
    with pytest.raises(ConfigurationError, match="with Unsigned would let everybody in"):
        by_path(Tenants(), lambda secrets: Unsigned())


# what becomes of the tenant


async def test_a_delivery_keeps_its_tenant(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/hooks.db"
    hooks = hooks_for(by_path(Tenants(Müller="secret")), inbox=url, work=False)
    async with hooks:
        assert await post(hooks, "M%C3%BCller", "secret") == 202
        (found,) = await hooks.inbox.find(Filter())
        stored = await hooks.inbox.get(found.id)
    assert stored is not None
    assert stored.delivery.tenant == "Müller"


@pytest.mark.parametrize("inbox", ["memory:", None])
@pytest.mark.parametrize("value", [b"a", b"a\x00\x1b", b"\xff", b"a" * 100_000])
async def test_no_header_makes_a_tenant(inbox: str | None, value: bytes) -> None:
    hooks = hooks_for(acme("secret"), inbox=inbox)
    head = acme("secret").sign(RequestHead.of([(b"Verified=Tenant", value)]), BODY, NOW)
    async with hooks:
        receipt = await hooks.receive(head.headers, BODY)
    assert receipt.delivery is not None
    assert receipt.delivery.tenant is None


@pytest.mark.parametrize("inbox", ["memory:", None])
@pytest.mark.parametrize("name", ["a\0", "a\x1b[2J", "a\r\nb", "é\u2028", "a" * 201, "\ud83d", "a\x7f"])
@pytest.mark.parametrize("place", ["header:x-tenant", "query:tenant", "path", lambda head: head.target.decode()])
async def test_no_control_character_and_nothing_endless_names_a_tenant(inbox: Any, name: str, place: Any) -> None:
    tenants = Tenants(**{name: "secret"})
    hooks = hooks_for(SecretsByRequest(tenants.secrets_of, acme, tenant=place), inbox=inbox)
    raw = name.encode("utf-8", "surrogatepass")
    target = f"/{quote(raw)}?tenant={quote(raw)}"
    head = acme("secret").sign(RequestHead.of([(b"x-tenant", raw)], target=target), BODY, NOW)
    async with hooks:
        receipt = await hooks.receive(head.headers, BODY, target=name if callable(place) else target)
    assert (receipt.response.status, receipt.delivery, tenants.asked) == (401, None, [])


async def test_deliveries_of_two_tenants_are_no_duplicates() -> None:
    hooks = hooks_for(by_path(Tenants(a="secret", b="secret")), inbox="memory:", work=False)
    other = b'{"event": 7}'
    async with hooks:
        for body in (BODY, other):
            assert [await post(hooks, tenant, "secret", body=body) for tenant in "aba"] == [202, 202, 200]


async def test_a_function_of_the_head_gives_a_tenant_one_name_however_it_is_spelt() -> None:
    def tenant(head: RequestHead) -> str:
        return unquote(head.path.rpartition(b"/")[2].decode()).casefold().rstrip()

    tenants = Tenants(a="secret")
    hooks = hooks_for(SecretsByRequest(tenants.secrets_of, acme, tenant=tenant), inbox="memory:", work=False)
    async with hooks:
        targets = ("/hooks/a", "/hooks/A", "/hooks/a%20")
        assert [await post(hooks, "a", "secret", target=each) for each in targets] == [202, 200, 200]
    assert tenants.asked == ["a"]


# beside other schemes


async def test_it_may_be_one_of_several() -> None:
    scheme = AnyOf(by_path(Tenants(a=["a's", "a's other"])), acme("everybody's"))
    hooks = hooks_for(scheme)
    assert [await post(hooks, *each) for each in [("a", "a's other"), ("a", "everybody's"), ("b", "x")]] == [
        204,
        204,
        401,
    ]
    assert hooks.verified == {1: 1, 16: 1}


def test_it_has_what_its_scheme_has() -> None:
    header = by_path(Tenants(), partial(HeaderSecret, header="x-acme"))
    assert header.secret_headers == {b"x-acme"}
    assert by_path(Tenants(), partial(BasicAuth, username="acme")).www_authenticate.startswith("Basic ")
    assert by_path(Tenants(), partial(acme, signed="{url}\n{body}")).needs_url
    with pytest.raises(ConfigurationError, match="cover the URL"):
        hooks_for(by_path(Tenants(), partial(acme, signed="{url}\n{body}")))


@pytest.mark.parametrize(("target", "why"), [("/", "names no tenant"), ("/b", "that the receiver does not know")])
def test_it_signs_for_no_tenant_that_is_not_known(target: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        signed_head(BODY, by_path(Tenants(a="secret")), target=target)


async def test_a_rehearsal_delivers_for_a_tenant() -> None:
    tenants = Tenants(a="secret", b=["new", "old"])
    ways: list[tuple[str, dict[str, Any]]] = [
        ("path", {"target": "/hooks/b"}),
        ("header:x-account", {"headers": {"x-account": "b"}}),
    ]
    for place, more in ways:
        scheme = SecretsByRequest(tenants.secrets_of, acme, tenant=place)
        hooks = WebhookReceiver(sender=Sender(name="acme", scheme=scheme, facts=("made up",)))
        hooks.on(Event)(lambda event: None)
        with rehearse(hooks) as webhooks:
            receipt = await webhooks.send(BODY, **more)
            assert receipt.delivery is not None
            assert (receipt.response.status, receipt.delivery.tenant) == (204, "b")
            forged = await webhooks.send_forged(BODY, **more)
            assert forged.response.status == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenant": "body:account"},
        {"tenant": "header:"},
        {"tenant": "header:a b"},
        {"tenant": None},
        {"max_tenants": 0},
        {"max_tenants": True},
        {"lifetime": 0},
        {"timeout": -1},
        {"max_stale": -1},
        {"make": None},
        {"make": lambda secrets: None},
        {"secrets_of": "secret"},
    ],
    ids=lambda wrong: str({**wrong, "make": "lambda"} if callable(wrong.get("make")) else wrong),
)
def test_what_cannot_work_is_rejected(wrong: Any) -> None:
    given = {"secrets_of": Tenants().secrets_of, "make": acme, "tenant": "path"} | wrong
    with pytest.raises(ConfigurationError):
        SecretsByRequest(given.pop("secrets_of"), given.pop("make"), **given)


class TestSecretsByRequest(SchemeSuite):
    target = "/hooks/a"
    bits = 2

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return Fetching(acme(secrets), by_path(Tenants(a=list(secrets))))

    def test_it_says_how_many_secrets_it_has(self) -> None:
        assert self.scheme(self.secrets).secret_count == 16


def test_deliveries_of_two_tenants_do_not_wait_for_one_another() -> None:
    sender = hooks_for(by_path(Tenants())).sender
    event = UnknownEvent(event="parcel.lost", body={})
    delivery = Delivery("d-1", "acme", (), BODY, NOW, 0, True)
    entries = [
        EntryBuilder("acme", sender).build(delivery, [event], Verified(0, body=True, tenant=tenant))
        for tenant in ("a", "b", None)
    ]
    assert [entry.ordering_key for entry in entries] == ["a parcel.lost", "b parcel.lost", "parcel.lost"]
    assert len({entry.key for entry in entries}) == 3


def test_what_two_tenants_tell_of_is_not_the_same() -> None:
    sender = replace(up42("secret"), scheme=by_path(Tenants()))
    event = WebhookReceiver(secret="secret").parse(order())
    delivery = Delivery("d-1", "up42", (), BODY, NOW, 0, True)
    entries = [
        EntryBuilder("up42", sender).build(delivery, [event], Verified(0, body=True, tenant=tenant))
        for tenant in ("a", "b", None)
    ]
    assert [entry.identity for entry in entries] == ["a o-1 FULFILLED", "b o-1 FULFILLED", "o-1 FULFILLED"]


# what is known of the schemes of all tenants


@pytest.mark.parametrize(
    "make",
    [
        partial(PublicKeyBody, algorithm="ed25519", signature="x-sig"),
        partial(PublicKeyBody, algorithm="rsa-v1_5-sha256", signature="x-sig"),
        partial(PublicKeyBody, algorithm="ecdsa-p384-sha384", signature="x-sig", signed="{url}{body}"),
        lambda keys: AnyOf(BearerJWT(keys, algorithm="ES256"), HeaderSecret("s", header="x-token")),
        partial(StandardWebhooks, key="prefixed"),
    ],
)
def test_a_scheme_of_public_keys_is_known_as_one_of_texts_is(make: Any) -> None:
    def behind(keys: list[Secret]) -> Scheme:
        return AllowFrom(["203.0.113.0/24"], make(keys))

    scheme = by_path(Tenants(), behind)
    assert scheme.has_networks
    assert scheme.covered_headers == (None if "lambda" in repr(make) else frozenset())
    assert scheme.needs_url == ("{url}" in repr(make))
    assert scheme.secret_headers == (frozenset({b"x-token"}) if "lambda" in repr(make) else frozenset())


def of_a_form_of_its_own(secrets: list[Secret]) -> Scheme:
    if not secrets[0].get_secret_value().startswith("acme-"):
        raise ConfigurationError("a secret begins with acme-")
    return AllowFrom(["203.0.113.0/24"], HeaderSecret(secrets, header="x-token"))


async def test_without_an_example_a_tenants_own_networks_are_asked_and_nothing_is_taken_for_covered() -> None:
    scheme = by_path(Tenants(a="acme-7"), of_a_form_of_its_own)
    assert (scheme.has_networks, scheme.covered_headers) == (True, frozenset())
    sender = Sender(
        name="acme", scheme=scheme, facts=("x",), challenges=(echo("query:c", methods=("GET",), signed=False),)
    )
    hooks = WebhookReceiver(sender=sender)
    found = [
        (await hooks.receive({}, b"", method="GET", target=f"/{tenant}?c=1", client=client)).response.status
        for tenant, client in (("a", "203.0.113.7"), ("a", "198.51.100.7"), ("b", "203.0.113.7"))
    ]
    assert found == [200, 401, 401]


def test_an_example_tells_what_no_usual_secret_does() -> None:
    scheme = SecretsByRequest(Tenants().secrets_of, of_a_form_of_its_own, tenant="path", example="acme-0")
    assert scheme.has_networks
    assert scheme.covered_headers is None
    assert scheme.secret_headers == {b"x-token"}
    with pytest.raises(ConfigurationError, match="begins with acme-"):
        SecretsByRequest(Tenants().secrets_of, of_a_form_of_its_own, tenant="path", example="another")
