"""Secrets are on no page: not those of a receiver, and nothing in a body, a URL or an error that is like one."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import NOW, SECRET
from tests.inspector.stage import DOWNLOAD, Browser, looked_at, receivers, stored
from webhook_receiver import FailedAttempt, HandlerState, SQLiteInbox, State, WebhookReceiver
from webhook_receiver.inspector import Inspector
from webhook_receiver.inspector.secrecy import masked_body, masked_text, shown_target, shown_url
from webhook_receiver.inspector.wording import MASK
from webhook_receiver.signatures import Scheme
from webhook_receiver.signatures.any_of import AnyOf
from webhook_receiver.signatures.hmac_body import HMACBody
from webhook_receiver.signatures.shared_secret import HeaderSecret, QuerySecret
from webhook_receiver.signatures.unsigned import Unsigned

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
OWN = "Zq8-a-secret/of the receiver's"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (JSON, b' \r\n\t{"token": "s3cret"}'),
        (JSON, b'\xef\xbb\xbf{"token": "s3cret"}'),
        (JSON, b'\n[{"token": "s3cret"}]'),
        (JSON, b'{"Token": "s3cret", "API_KEY": "s3cret", "Authorization": "Bearer s3cret", "accessToken": "s3cret"}'),
        (JSON, b'{"ACCESS_TOKEN": "s3cret", "Password": "s3cret", "accesstoken": "s3cret", "Client-Secret": "s3cret"}'),
        (JSON, b'{"secret_key": "s3cret", "secretKey": "s3cret", "awsSecretKey": "s3cret", "SECRET-KEY": "s3cret"}'),
        (JSON, b'{"tokens": ["s3cret", "s3cret"], "apiKeys": {"a": "s3cret"}, "n": 1}'),
        (JSON, b'{"secret": {"v": "s3cret", "w": ["s3cret", {"x": "}"}]}, "n": 1}'),
        (JSON, b'{"secret": ["]", "s3cret"'),
        (JSON, b'{"token" :\n "s3cret'),
        (JSON, b'{"tok\\u0065n": "s3cret"}'),
        (JSON, b'{"city": "M\xfcnchen", "token": "s3cret"}'),
        (JSON, b'{"response_url": "https://hooks.example/s3cret"}'),
        (FORM, b"payload=" + quote('{"type": "x", "token": "s3cret", "n": {"secret": ["s3cret"]}}').encode()),
        (FORM, b"payload=" + quote('{"response_url": "https://hooks.example/s3cret"}').encode()),
        (JSON, b'{"url": "https://ann:s3cret@example.com/x?a=1", "other": "https:\\/\\/:s3cret@example.com"}'),
        ("text/plain", b"see https://ann:s3cret@example.com"),
        (FORM, b"a=1&url=https%3A%2F%2Fann%3As3cret%40example.com"),
        (FORM, b"a=1&response_url=https%3A%2F%2Fhooks.example%2Fs3cret"),
        ("Application/X-WWW-Form-Urlencoded", b"token=s3cret"),
        (FORM, b"a=1&%74oken=s3cret&user%5Bpassword%5D=s3cret"),
    ],
)
async def test_a_credential_in_a_body_is_masked_in_all_forms_of_it(
    browser: Browser, inbox: SQLiteInbox, kind: str, content: bytes
) -> None:
    await inbox.load([stored(73, content=content, headers=((b"content-type", kind.encode()),))], inbox.clock())
    for form in ("pretty", "tree", "fields", "raw", "hex"):
        page = await browser.get(f"/deliveries/00000049?form={form}")
        assert (page.status, "s3cret" in page.html) == (200, False)
        assert b"s3cret".hex(" ") not in page.html
        assert "A value that may be a credential is masked" in page.text
    assert "s3cret" not in (await browser.get("/deliveries/00000049/edit")).html
    for path, status in {"body": 403, "curl": 409, "test": 409, "test?save=1": 409}.items():
        page = await browser.get(f"/deliveries/00000049/{path}")
        assert (page.status, "s3cret" in page.html) == (status, False)


def test_a_number_of_such_a_name_is_masked_and_a_count_is_not() -> None:
    shown = masked_body(b'{"pwd": 123456, "tokens": 12, "max_tokens": 3, "token": null, "secret": {}}', JSON, None)
    assert json.loads(shown) == {"pwd": MASK, "tokens": 12, "max_tokens": 3, "token": None, "secret": {}}


def test_what_is_no_credential_keeps_its_bytes() -> None:
    for content in (
        b'{"a": "\\"token\\": \\"x\\""}',
        b'[ {"key" : "o-1"} ]',
        b'{"a": "https://ann@x:80/a:b@c"}',
        b"plain",
        b"\xff\x00",
        b'{"a": \xff}',
    ):
        assert masked_body(content, JSON, None) == content
    for content in (b"a=1&b=%7B%22c%22%3A+2%7D&=&&c", b"a=%FF&b=+"):
        assert masked_body(content, FORM, None) == content


@given(st.dictionaries(st.sampled_from(["a", "token", "b_secret", "key"]), st.text(min_size=1) | st.lists(st.text())))
def test_what_is_masked_is_still_the_same_document(document: dict[str, Any]) -> None:
    shown = json.loads(masked_body(json.dumps(document).encode(), JSON, None))
    kept = {"a", "key"} | {name for name, value in document.items() if value == []}
    assert shown == {name: value if name in kept else MASK for name, value in document.items()}


@pytest.mark.parametrize(
    "content",
    [
        b'{"' + b'"\\' * 400_000,
        b'{"a":' * 200_000,
        b'{"token":{' * 80_000,
        b'{"token":"x",' * 80_000,
        b"[" + b'"' * 999_999,
        b"://a:" * 200_000,
    ],
    ids=["backslashes", "deep", "objects", "members", "quotes", "urls"],
)
def test_no_body_takes_long_to_mask(content: bytes) -> None:
    began = time.thread_time()
    masked_body(content, JSON, None)
    masked_body(b"a=" + content, FORM, None)
    assert time.thread_time() - began < 3.0


OWN_SCHEMES = [
    HMACBody([OWN, "another-secret"], signature="x-sign"),
    AnyOf(
        HMACBody("another-secret", signature="x-sign"),
        HeaderSecret("A" + "b" * 20, header="x-key"),
        QuerySecret(OWN, parameter="p"),
    ),
]


@pytest.mark.parametrize("scheme", OWN_SCHEMES, ids=["own", "inside"])
@pytest.mark.parametrize("form", [OWN, quote(OWN, ""), json.dumps(OWN), repr(OWN), urlencode({"a": OWN})])
def test_the_secret_of_a_receiver_is_masked_in_a_text(scheme: Any, form: str) -> None:
    shown = masked_text(f"cannot do it with {form}, sorry", [None, scheme])
    assert "Zq8" not in shown
    assert shown.startswith("cannot do it with ")
    assert shown.endswith(", sorry")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot get https://user:hunter2pw@example.com/x", f"cannot get https://{MASK}@example.com/x"),
        ("postgresql://ann@db/hooks?a=1", f"postgresql://{MASK}@db/hooks?a=1"),
        ("at https://a.example/x?api_key=k3y&n=1: 404", f"at https://a.example/x?api_key={MASK}&n=1: 404"),
        ("GET /x?n=1&%74oken=k3y", f"GET /x?n=1&%74oken={MASK}"),
        ("/x?X-Amz-Signature=k3y&sig=k3y", f"/x?X-Amz-Signature={MASK}&sig={MASK}"),
        ("a mail to ann@example.com about key=o-1", "a mail to ann@example.com about key=o-1"),
        ("see https://example.com/a@b?page=2", "see https://example.com/a@b?page=2"),
    ],
)
def test_credentials_of_urls_are_masked_in_a_text(text: str, shown: str) -> None:
    assert masked_text(text, []) == shown


def test_short_credentials_are_masked_in_a_target() -> None:
    shown = f"/in?sig={MASK}&code={MASK}&key={MASK}&n=1&zip_code=1"
    assert shown_target("/in?sig=k3y&code=k3y&key=k3y&n=1&zip_code=1", None) == shown


def test_the_path_of_the_url_of_a_receiver_is_masked_where_its_token_is() -> None:
    scheme = Unsigned(token_in_path="an-unguessable-part-of-it")
    other = "another-unguessable-part-of-it"
    assert shown_url(f"https://x.example/in-a-rather-long-name-of-a-path/{other}?a=1", scheme, "SECRET") == (
        "https://x.example/in-a-rather-long-name-of-a-path/SECRET?a=1"
    )
    assert shown_url("https://x.example/webhooks", scheme) == "https://x.example/webhooks"
    assert shown_url("https://x.example", scheme) == "https://x.example"


@pytest.fixture
async def failing(inbox: SQLiteInbox) -> AsyncGenerator[Browser]:
    """A browser at an inbox with a delivery that failed, and one that died, of an error that tells secrets."""
    error = f"ValueError: cannot get https://user:hunter2pw@example.com/x?api_key=SEKRET with {SECRET}"
    trace = f'Traceback (most recent call last):\n  File "/app/handlers.py", line 7, in download\n{error}'
    attempts = [FailedAttempt(DOWNLOAD, 1, NOW + 80, 0.5, "dead", error, trace)]
    state = {DOWNLOAD: HandlerState(State.DEAD, 1, 1)}
    await inbox.load(
        [stored(90, State.DEAD, attempts=attempts, handlers=state, reason=f"{DOWNLOAD}: {error}")], inbox.clock()
    )
    browser = Browser(looked_at(Inspector.on_loopback(receivers(inbox), writable=True)))
    async with browser.client:
        yield browser


@pytest.mark.parametrize("path", ["/deliveries/0000005a", "/deliveries", "/deliveries?state=dead", "/dead"])
async def test_no_error_tells_a_secret(failing: Browser, path: str) -> None:
    page = await failing.get(path)
    assert page.status == 200
    assert "cannot get https://" in page.text
    assert not [each for each in ("hunter", "SEKRET", SECRET) if each in page.html]


async def test_dead_letters_of_another_error_keep_their_address(failing: Browser) -> None:
    page = await failing.get("/dead")
    assert any("error=ValueError%3A+no+such+tile" in each for each in page.links)
    assert not any("cannot" in each for each in page.links), "the error would be in it"


TOKEN = "a-token-that-nobody-guesses"
IN_URL: dict[str, tuple[Scheme, str, str]] = {
    "query": (
        QuerySecret(TOKEN, parameter="token"),
        f"https://hooks.example/in?token={TOKEN}",
        "https://hooks.example/in?token=SECRET",
    ),
    "path": (Unsigned(token_in_path=TOKEN), f"https://hooks.example/in/{TOKEN}", "https://hooks.example/in/SECRET"),
    "user": (HMACBody(TOKEN, signature="x-sign"), "https://ann:pw@hooks.example/in", "https://SECRET@hooks.example/in"),
}


@pytest.mark.parametrize("case", IN_URL)
async def test_a_secret_in_the_address_of_a_receiver_is_left_out_of_the_command(inbox: SQLiteInbox, case: str) -> None:
    scheme, url, shown = IN_URL[case]
    hooks = WebhookReceiver(scheme=scheme, inbox=inbox, name="up42", public_url=url)
    referer = (
        (b"referer", f"http://x/?token={TOKEN}".encode()),
        (b"x-seen", b"it"),
        (b"content-type", b"application/json"),
    )
    await inbox.load([stored(90, headers=referer)], inbox.clock())
    browser = Browser(looked_at(Inspector.on_loopback(hooks, writable=True)))
    one = "/deliveries/0000005a"
    async with browser.client:
        page = await browser.get(f"{one}/curl")
        assert f'name="url" type="url" value="{shown}"' in page.html
        typed = ["", shown, url, url.replace("hooks.example", "h.example")]
        pages = [page, *[await browser.post(f"{one}/curl", page.form | {"url": each}) for each in typed]]
        pages += [await browser.get(path) for path in ("/audit", one, f"{one}/test")]
    for each in pages:
        assert each.status == 200, each.text
        assert not [word for word in (TOKEN, "ann:pw") if word in each.html], each.text
    for each in pages[:4]:
        assert f"curl {shown}" in each.text.replace("'", ""), each.text
        assert "x-seen" in each.text
    records = await inbox.audited(limit=9)
    assert {record.parameters["url"] for record in records[1:]} == {shown}


async def test_a_password_in_an_address_that_was_typed_is_not_in_the_audit(
    browser: Browser, inbox: SQLiteInbox
) -> None:
    page = await browser.get("/deliveries/00000003/curl")
    await browser.post("/deliveries/00000003/curl", page.form | {"url": "http://ann:pw@h/?token=s3cret"})
    (record,) = await inbox.audited(limit=9)
    assert record.parameters["url"] == "http://SECRET@h/?token=SECRET"
