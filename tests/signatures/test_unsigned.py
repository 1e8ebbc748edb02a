from __future__ import annotations

import traceback
from typing import Any

import pytest

from tests.helpers import NOW, came, order, signed
from tests.working import durable
from webhook_receiver import (
    BadSignature,
    ConfigurationError,
    MalformedSignature,
    MissingSignature,
    UnexpectedSignature,
    Unsigned,
)
from webhook_receiver.delivery import Headers, RequestHead
from webhook_receiver.signatures import Verified


def test_it_takes_what_is_not_signed_and_says_that_nothing_is_verified() -> None:
    assert Unsigned().verify(came([(b"content-type", b"text/plain")]), NOW)(b"") == Verified(by=None, body=False)


@pytest.mark.parametrize(
    "header", [b"signature", b"signature-input", b"webhook-signature", b"x-hub-signature-256", b"x-shopify-hmac-sha256"]
)
def test_it_rejects_what_is_signed_even_with_an_empty_value(header: bytes) -> None:
    with pytest.raises(UnexpectedSignature, match="give it the sender's secret"):
        Unsigned().verify(came([(header, b"")]), NOW)


def test_it_signs_nothing() -> None:
    assert Unsigned().sign(RequestHead.of({"Content-Type": "text/plain"}), order(), NOW).headers == [
        (b"content-type", b"text/plain")
    ]
    assert len(signed(order(), scheme=Unsigned())) == 1


TOKEN = "sS6-4Vd_bB.q~0123456789"


@pytest.mark.parametrize(
    "target",
    [
        *(f"/{TOKEN}", f"/webhooks/{TOKEN}", f"/a/b/{TOKEN}/", TOKEN, f"/in/{TOKEN}?more=/x", f"/in/{TOKEN}?"),
        *(f"https://hooks.example.com/in/{TOKEN}", f"/in/{TOKEN.replace('~', '%7E').replace('s', '%73')}"),
    ],
)
def test_a_token_is_the_last_part_of_the_path_and_which_one_it_is_is_told(target: str) -> None:
    scheme = Unsigned(token_in_path=["x" * 22, TOKEN])
    assert scheme.verify(came([], target=target.encode()), NOW)(b"") == Verified(by=1, body=False)


@pytest.mark.parametrize(
    ("target", "signed"),
    [
        ("/", f"/{TOKEN}"),
        ("/in", f"/in/{TOKEN}"),
        ("/in/?a=1", f"/in/{TOKEN}?a=1"),
        (f"/in/{TOKEN}", f"/in/{TOKEN}"),
        (f"/in/{'x' * 22}/?a=/1", f"/in/{TOKEN}?a=/1"),
    ],
)
def test_it_signs_with_a_path_that_ends_in_the_first_token(target: str, signed: str) -> None:
    scheme = Unsigned(token_in_path=[TOKEN, "x" * 22])
    head = scheme.sign(RequestHead.of({"Content-Type": "text/plain"}, target=target), b"", NOW)
    assert (head.headers, head.target) == ([(b"content-type", b"text/plain")], signed.encode())
    assert scheme.verify(head, NOW)(b"").by == 0


@pytest.mark.parametrize(
    "target",
    ["/webhooks", f"/{TOKEN}/more", f"/{TOKEN[:-1]}", f"/{TOKEN}x", f"/x{TOKEN}", f"/in?{TOKEN}", f"/in?/{TOKEN}"],
)
def test_another_path_is_rejected(target: str) -> None:
    with pytest.raises(BadSignature):
        Unsigned(token_in_path=TOKEN).verify(came([], target=target.encode()), NOW)


@pytest.mark.parametrize("target", ["", "/", "//", f"/?{TOKEN}", f"/?/{TOKEN}"])
def test_an_empty_path_has_no_token_and_the_reason_says_how_to_tell_the_path(target: str) -> None:
    with pytest.raises(MissingSignature, match=r"receive\(\.\.\., target="):
        Unsigned(token_in_path=TOKEN).verify(came([], target=target.encode()), NOW)


def test_no_header_tells_the_path_and_a_signature_is_rejected_with_the_token_too() -> None:
    scheme = Unsigned(token_in_path=TOKEN)
    with pytest.raises(BadSignature):
        scheme.verify(came([(b":path", f"/{TOKEN}".encode())], target=b"/webhooks"), NOW)
    with pytest.raises(UnexpectedSignature):
        scheme.verify(came([(b"signature", b"")], target=f"/{TOKEN}".encode()), NOW)


@pytest.mark.parametrize("token", ["", "short", "x" * 21, "with/slash" * 3, "with space" * 3, "é" * 30, "%41" * 10, []])
def test_a_token_that_can_be_guessed_or_changes_in_a_url_is_rejected(token: str) -> None:
    with pytest.raises(ConfigurationError, match=r"secret|token_urlsafe"):
        Unsigned(token_in_path=token)


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    ("headers", "id"),
    [
        ([(b"x-id", b"7")], "7"),
        ([(b"x-id", "é".encode())], "Ã©"),
        ([(b"x-id", b"")], None),
        ([(b"id", b"7")], None),
        ([], None),
    ],
)
def test_the_senders_id_is_in_a_header(headers: Headers, id: str | None, token: str | None) -> None:
    scheme = Unsigned(token_in_path=token, id="X-Id")
    verified = scheme.verify(came(headers, target=f"/in/{TOKEN}".encode()), NOW)(b"")
    assert (verified.id, verified.body, verified.fresh) == (id, False, False)


async def test_two_deliveries_with_one_id_are_one_and_without_an_id_equal_bodies_are() -> None:
    hooks = durable("memory://", scheme=Unsigned(id="x-id"), work=False)
    sent: list[tuple[dict[str, str], bytes]] = [
        *(({"x-id": "7"}, b'{"event": "a"}'), ({"x-id": "7"}, b'{"event": "a", "again": true}')),
        *(({"x-id": "8"}, b'{"event": "a"}'), ({"x-id": ""}, b'{"event": "a"}'), ({"x-id": ""}, b'{"event": "b"}')),
    ]
    async with hooks:
        assert [(await hooks.receive(*each)).response.status for each in sent] == [202, 200, 202, 202, 202]


def test_an_id_that_is_there_twice_is_none() -> None:
    with pytest.raises(MalformedSignature, match="the header x-id is there more than once"):
        Unsigned(id="x-id").verify(came([(b"x-id", b"7"), (b"x-id", b"8")]), NOW)


@pytest.mark.parametrize("id", ["", "x id", "é", 7])
def test_an_id_that_no_header_has_is_rejected(id: Any) -> None:
    with pytest.raises(ConfigurationError, match="id is the name of a header"):
        Unsigned(id=id)


def test_no_traceback_shows_the_token() -> None:
    try:
        Unsigned(token_in_path=TOKEN).verify(came([], target=b"/webhooks"), NOW)
    except BadSignature as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert "_check_token" in shown
        assert TOKEN not in shown
