"""What is particular to the schemes of a secret that is sent itself; what holds for all schemes is in the suite."""

from __future__ import annotations

import json
import logging
import traceback
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.helpers import NOW, came, noting, serving
from tests.working import durable
from webhook_receiver import (
    AnyOf,
    BadSignature,
    BasicAuth,
    BodySecret,
    ConfigurationError,
    Filter,
    HeaderSecret,
    HMACBody,
    MalformedSignature,
    MissingSignature,
    QuerySecret,
    Scheme,
    Secret,
    StoredDelivery,
    VerificationError,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.explain import explain
from webhook_receiver.senders.form import form_document
from webhook_receiver.signatures import Verified
from webhook_receiver.testing import forge, rehearse, sign
from webhook_receiver.testing.scheme_suite import HOSTILE_VALUES, SchemeSuite
from webhook_receiver.testing.wire import forged_head, signed_head

OLD, NEW = "the old one / 1+1", "the new one & é"
EVENT = b'{"event": "parcel.lost"}'


class TestHeaderSecret(SchemeSuite):
    covers_body = False

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return HeaderSecret(secrets, header="X-Acme-Key")


class TestBearer(TestHeaderSecret):
    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return HeaderSecret(secrets, header="Authorization", prefix="Bearer ")


class TestBasicAuth(SchemeSuite):
    covers_body = False
    spelt_freely = frozenset({"authorization"})  # the case of "Basic"

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return BasicAuth(secrets, username="acme")


def query(target: str, scheme: Scheme) -> Verified:
    return scheme.verify(came([], target=target.encode()), NOW)(EVENT)


def body(text: bytes, scheme: Scheme) -> Verified:
    return scheme.verify(came([]), NOW)(text)


def basic(credentials: str) -> bytes:
    return b64encode(credentials.encode())


# Basic authentication


def test_the_example_of_the_rfc_is_let_in() -> None:
    scheme = BasicAuth("open sesame", username="Aladdin")
    headers = [(b"authorization", b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")]  # RFC 7617, section 2
    assert scheme.verify(came(headers), NOW)(b"") == Verified(0, body=False)
    assert scheme.sign(RequestHead.of({}), b"", NOW).headers == headers


@pytest.mark.parametrize("name", [b"basic ", b"BASIC ", b"Basic  "])
def test_the_name_of_the_method_is_in_any_case(name: bytes) -> None:
    assert BasicAuth("p:w", username="u").verify(came([(b"authorization", name + basic("u:p:w"))]), NOW)(b"").by == 0


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (b"Basic " + basic("u:pw "), BadSignature),
        (b"Basic " + basic("U:pw"), BadSignature),
        (b"Basic " + basic(":pw"), BadSignature),
        (b"Basic u:pw", BadSignature),
        (b"Basic", BadSignature),
        (basic("u:pw"), MissingSignature),
        (b"Bearer " + basic("u:pw"), MissingSignature),
        (b"", MissingSignature),
    ],
)
def test_other_credentials_are_rejected(value: bytes, error: type[VerificationError]) -> None:
    with pytest.raises(error):
        BasicAuth("pw", username="u").verify(came([(b"authorization", value)]), NOW)


@pytest.mark.parametrize("username", ["a:b", "a\nb", "\0", 7, None])
def test_a_user_name_that_cannot_be_sent_is_rejected(username: Any) -> None:
    with pytest.raises(ConfigurationError, match="username is a text"):
        BasicAuth("pw", username=username)


# a header


@pytest.mark.parametrize("header", ["", "x y", "x:y", "é", 7])
def test_what_is_no_header_is_rejected(header: Any) -> None:
    with pytest.raises(ConfigurationError, match="header is the name of a header"):
        HeaderSecret("pw", header=header)


@pytest.mark.parametrize("make", [partial(HeaderSecret, header="X-Key"), partial(BasicAuth, username="u")])
def test_a_secret_that_no_header_can_hold_is_rejected_and_not_told(make: Any) -> None:
    with pytest.raises(ConfigurationError, match="visible characters") as rejected:
        make("do-not\nshow-me")
    shown = "".join(traceback.TracebackException.from_exception(rejected.value, capture_locals=True).format())
    assert "do-not" not in shown.replace('make("do-not', "")


# the query


@pytest.mark.parametrize(
    "target",
    [
        f"/?token={quote(NEW, '')}",
        f"/in?a=1&token={quote(NEW).replace('%20', '+')}&b",
        f"/in?&%74oken={quote(NEW)}",
        f"https://example.com/in?token={quote(NEW)}",
    ],
)
def test_a_secret_in_the_query_is_decoded(target: str) -> None:
    assert query(target, QuerySecret([OLD, NEW], parameter="token")) == Verified(1, body=False)


def test_a_plus_stands_for_itself_and_for_a_space() -> None:
    scheme = QuerySecret(["1+1", "1 1"], parameter="token")
    assert [query(f"/?token={text}", scheme).by for text in ("1%2B1", "1+1", "1%201")] == [0, 0, 1]


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("/", MissingSignature),
        ("/?", MissingSignature),
        ("/token=pw", MissingSignature),
        ("/?Token=pw", MissingSignature),
        ("/?token", BadSignature),
        ("/?token=", BadSignature),
        ("/?token=pw%20", BadSignature),
        ("/?token=p", BadSignature),
        ("/?token=pw=", BadSignature),
        ("/?token=%ff%", BadSignature),
        ("/?token=pw&token=pw", MalformedSignature),
        ("/?token=x&%74oken=pw", MalformedSignature),
    ],
)
def test_another_query_is_rejected(target: str, error: type[VerificationError]) -> None:
    with pytest.raises(error):
        query(target, QuerySecret("pw", parameter="token"))


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_whatever_a_stranger_puts_into_the_query_is_rejected(value: bytes) -> None:
    scheme = QuerySecret("pw", parameter="token")
    for target in (b"/?" + value, b"/?token=" + value, b"/?token=pw&token=" + value):
        with pytest.raises(VerificationError):
            scheme.verify(came([], target=target), NOW)


@pytest.mark.parametrize(
    ("target", "signed"),
    [
        ("/", "/?token=the%20new%20one%20%26%20%C3%A9"),
        ("/in?token=x&a=1", "/in?a=1&token=the%20new%20one%20%26%20%C3%A9"),
    ],
)
def test_signing_writes_the_parameter_and_a_forger_has_another(target: str, signed: str) -> None:
    scheme = QuerySecret([NEW, OLD], parameter="token")
    genuine, forged = (make(EVENT, scheme, target=target, now=NOW) for make in (signed_head, forged_head))
    assert genuine.target == signed.encode()
    assert scheme.sign(genuine, EVENT, NOW) == genuine
    assert scheme.verify(genuine, NOW)(EVENT).by == 0
    with pytest.raises(BadSignature):
        scheme.verify(forged, NOW)
    with pytest.raises(ConfigurationError, match="by its URL"):
        forge(EVENT, scheme)


async def test_a_receiver_by_a_query_is_rehearsed() -> None:
    with rehearse(WebhookReceiver(scheme=QuerySecret(NEW, parameter="token"), inbox="memory://")) as hooks:
        assert (await hooks.send({"event": "a"})).response.status == 202
        assert isinstance((await hooks.send_forged({"event": "a"})).error, BadSignature)


# the body


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"meta": {"token": NEW}, "text": "\ud83d"}).encode(),
        b"\xef\xbb\xbf" + json.dumps({"meta": {"token": NEW}}).encode(),
        json.dumps({"meta": {"token": NEW}}, ensure_ascii=False).encode("utf-16"),
        json.dumps({"meta": {"token": NEW}, "latin-1": "?"}, ensure_ascii=False).encode().replace(b"?", b"\xfc\n"),
        json.dumps({"meta": {"token": NEW}, "n": 0}).encode().replace(b'"n": 0', b'"n": ' + b"9" * 5000),
    ],
)
def test_a_secret_in_the_body_is_found_whatever_else_is_in_it(text: bytes) -> None:
    assert body(text, BodySecret([OLD, NEW], member="meta.token")) == Verified(1, body=False)


def test_a_form_has_it_too() -> None:
    scheme = BodySecret("pw", member="token", decode=form_document)
    form = b"payload=" + quote('{"token": "pw"}').encode()
    assert body(form, scheme).by == 0
    with pytest.raises(VerificationError):
        body(form.replace(b"pw", b"xx"), scheme)


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"",
            b"{}",
            b"[]",
            b"null",
            b'"pw"',
            b"token=pw",
            b'{"token": "pw"',
            b'{"token": null}',
            b'{"token": ["pw"]}',
        ),
        *(
            b'{"Token": "pw"}',
            b'{"a": {"token": "pw"}}',
            b'{"token": "pw "}',
            b'{"token": ""}',
            b'{"token": "\\ud800"}',
        ),
        *(b"[" * 100_000, b'{"token":' * 100_000, b'{"token": ' + b"9" * 1_000_000, b"\xff\xfe", b"\0" * 7),
    ],
)
def test_a_body_without_it_is_rejected(text: bytes) -> None:
    with pytest.raises(VerificationError):
        body(text, BodySecret("pw", member="token"))


def test_a_decode_that_fails_on_a_body_rejects_it() -> None:
    def decode(body: bytes) -> bytes:
        raise KeyError(body)

    with pytest.raises(MissingSignature) as rejected:
        body(b"do-not-show-me", BodySecret("pw", member="token", decode=decode))
    assert "do-not-show-me" not in f"{rejected.value!r} {rejected.value.__context__!r}"


def test_nobody_but_who_makes_the_body_puts_the_secret_into_it() -> None:
    scheme = BodySecret(["pw", "old"], member="token")
    assert sign({"token": "pw"}, scheme) == {"content-type": "application/json"}
    for wrong in ({}, {"token": "old"}):
        with pytest.raises(ConfigurationError, match="put the secret into the body, as its 'token'"):
            sign(wrong, scheme)
    with pytest.raises(ConfigurationError, match="the body has to hold the secret"):
        forge({"token": "pw"}, scheme)


def test_each_item_of_an_array_has_it() -> None:
    scheme = BodySecret([Secret("new"), Secret("old")], member="value[].clientState")

    def text(*secrets: Any) -> bytes:
        return json.dumps({"value": [{"clientState": secret} for secret in secrets]}).encode()

    assert [body(text(*secrets), scheme).by for secrets in (("new",), ("old", "old"), ("old", "new"))] == [0, 1, 1]
    for wrong in (text(), text("new", "xx"), text("xx", "new"), text("new", None), text("new", ["new"])):
        with pytest.raises(VerificationError):
            body(wrong, scheme)
    for wrong in (
        b'{"value": {"clientState": "new"}}',
        b'{"value": [["new"]]}',
        b'{"value": [{"clientState": "new"}, 7]}',
    ):
        with pytest.raises(VerificationError):
            body(wrong, scheme)
    assert sign(json.loads(text("new", "new")), scheme)
    for wrong in (text("new", "old"), text()):
        with pytest.raises(ConfigurationError, match="put the secret into the body"):
            sign(json.loads(wrong), scheme)


def test_the_items_of_arrays_in_arrays_have_it_and_an_array_of_texts() -> None:
    assert body(b'{"a": [{"b": [{"c": "pw"}]}, {"b": [{"c": "pw"}]}]}', BodySecret("pw", member="a[].b[].c")).by == 0
    assert body(b'{"a": ["pw", "pw"]}', BodySecret("pw", member="a[]")).by == 0
    for wrong in (b'{"a": [{"b": []}]}', b'{"a": [{"b": [{"c": "pw"}]}, {"b": []}]}', b'{"a": "pw"}'):
        with pytest.raises(VerificationError):
            body(wrong, BodySecret("pw", member="a[].b[].c"))


@pytest.mark.parametrize(
    "options",
    [{"member": ""}, {"member": "a..b"}, {"member": "[].b"}, {"member": 7}, {"member": "a", "decode": 7}],
)
def test_a_place_in_the_body_that_cannot_be_is_rejected(options: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"member is a place|decode is a function"):
        BodySecret("pw", **options)


@pytest.mark.parametrize("parameter", ["", "a\nb", 7])
def test_a_name_that_no_parameter_has_is_rejected(parameter: Any) -> None:
    with pytest.raises(ConfigurationError, match="parameter is the name"):
        QuerySecret("pw", parameter=parameter)


# all of them

MAKES: dict[str, Any] = {
    "header": partial(HeaderSecret, header="X-Acme"),
    "basic": partial(BasicAuth, username="acme"),
    "query": partial(QuerySecret, parameter="token"),
    "body": partial(BodySecret, member="token"),
}


def request(make: Any, secret: str) -> tuple[RequestHead, bytes]:
    """Return a request as the sender of a scheme makes it."""
    text = json.dumps({"event": "parcel.lost", "token": secret}).encode()
    return make(secret).sign(RequestHead.of({"x-id": "7"}), text, NOW), text


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_an_old_secret_ends_and_a_file_is_read_again(make: Any, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("a first one")
    scheme = make([Secret.from_file(file), Secret("an old one", until=datetime.fromtimestamp(NOW + 60, UTC))])
    head, text = request(make, "an old one")
    assert scheme.verify(head, NOW + 59)(text).by == 1
    with pytest.raises(BadSignature):
        scheme.verify(head, NOW + 61)(text)
    file.write_text("a second secret")
    head, text = request(make, "a second secret")
    assert scheme.verify(head, NOW + 70)(text).by == 0
    ended = make(Secret("an old one", until=datetime.fromtimestamp(NOW, UTC)))
    head, text = request(make, "an old one")
    with pytest.raises(BadSignature, match="every secret has expired"):
        ended.verify(head, NOW)(text)


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_neither_repr_nor_error_nor_frame_shows_a_secret(make: Any) -> None:
    head, text = request(make, "do-not-show-me")
    scheme = make(["do-not-show-me-either", "nor-me"])
    with pytest.raises(BadSignature) as rejected:
        scheme.verify(head, NOW)(text)
    error = rejected.value
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    local = [text for frame in frames if "/tests/" not in frame.filename for text in (frame.locals or {}).values()]
    shown = "".join(local).replace(repr(text), "")  # a body is in frames whatever the scheme
    hidden = ["do-not-show-me", "nor-me", basic("acme:do-not-show-me").decode()]
    assert not any(each in f"{scheme!r} {error} {error!r} {shown}" for each in hidden)


@pytest.mark.parametrize("name", MAKES)
async def test_over_http_only_who_knows_the_secret_is_let_in_and_nothing_of_it_is_stored_or_logged(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="webhook_receiver")
    make, secret = MAKES[name], "s3cret-do-not-log"
    statuses: list[int] = []
    hooks = durable("memory://", scheme=make([secret, "another"]), work=False)
    async with hooks, httpx.AsyncClient(trust_env=False) as http:
        with serving(hooks) as url:
            for given in (secret, "another", "s3cret-do-not-lo", "S3cret-do-not-log"):
                head, text = request(make, given)
                target = f"{url}{head.target.decode()}"
                statuses.append((await http.post(target, content=text, headers=[*head.headers])).status_code)
        kept = [each.delivery async for each in hooks.inbox.dump(Filter()) if isinstance(each, StoredDelivery)]
    assert statuses == [202, 202, 401, 401]
    assert not any(b"cret-do-not" in value for each in kept for _, value in each.headers)
    assert [(each.verified_by, each.body_verified) for each in kept] == [(0, False), (1, False)]
    assert "3cret-do-not" not in caplog.text


@pytest.mark.parametrize(
    ("scheme", "asked"),
    [
        (BasicAuth("pw", username="u"), 'Basic realm="webhooks", charset="UTF-8"'),
        (HeaderSecret("pw", header="X-Key"), "Signature"),
        (
            AnyOf(HMACBody("a", signature="x-sig"), BasicAuth("pw", username="u"), QuerySecret("pw", parameter="t")),
            'Signature, Basic realm="webhooks", charset="UTF-8"',
        ),
    ],
)
async def test_a_401_asks_for_what_the_scheme_takes(scheme: Scheme, asked: str) -> None:
    response = (await noting(scheme=scheme).hooks.receive({}, EVENT)).response
    assert (response.status, response.headers["www-authenticate"]) == (401, asked)


async def test_a_header_with_a_secret_is_not_stored_under_any_of_several_schemes() -> None:
    scheme = AnyOf(HMACBody("a", signature="x-sig"), HeaderSecret("pw", header="X-Acme"))
    hooks = durable("memory://", scheme=scheme, work=False)
    async with hooks:
        receipt = await hooks.receive({"X-Acme": "pw", "X-Other": "pw"}, EVENT)
        assert receipt.delivery is not None
        assert list(receipt.delivery.headers) == [(b"x-other", b"pw")]


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_explain_finds_a_mistake_in_the_secret(make: Any) -> None:
    head, text = request(make, "s3cret")
    right = explain(head.headers, text, "s3cret", make=make, now=NOW, target=head.target)
    assert (right.ok, right.verified_by, "does not cover the body" in str(right)) == (True, 0, True)
    wrong = explain(head.headers, text, '"s3cret"', make=make, now=NOW, target=head.target)
    assert ([cause.name for cause in wrong.causes], wrong.error) == (["secret-quotes"], "BadSignature")
    assert "s3cret" not in str(wrong)
