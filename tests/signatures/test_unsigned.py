from __future__ import annotations

import traceback

import pytest

from tests.helpers import NOW, order, signed
from webhook_receiver import (
    BadSignature,
    ConfigurationError,
    MalformedSignature,
    MissingSignature,
    UnexpectedSignature,
    Unsigned,
)
from webhook_receiver.signatures import Verified


def test_it_takes_what_is_not_signed_and_says_that_nothing_is_verified() -> None:
    assert Unsigned().verify_headers([(b"content-type", b"text/plain")], NOW)(b"") == Verified(by=None, body=False)


@pytest.mark.parametrize(
    "header", [b"signature", b"signature-input", b"webhook-signature", b"x-hub-signature-256", b"x-shopify-hmac-sha256"]
)
def test_it_refuses_what_is_signed_even_with_an_empty_value(header: bytes) -> None:
    with pytest.raises(UnexpectedSignature, match="give it the sender's secret"):
        Unsigned().verify_headers([(header, b"")], NOW)


def test_it_signs_nothing() -> None:
    assert Unsigned().sign({"Content-Type": "text/plain"}, order(), NOW) == [(b"content-type", b"text/plain")]
    assert len(signed(order(), scheme=Unsigned())) == 1


TOKEN = "sS6-4Vd_bB.q~0123456789"


@pytest.mark.parametrize("path", [f"/{TOKEN}", f"/webhooks/{TOKEN}", f"/a/b/{TOKEN}/", TOKEN])
def test_a_token_is_the_last_part_of_the_path_and_which_one_it_is_is_told(path: str) -> None:
    scheme = Unsigned(token_in_path=["x" * 22, TOKEN])
    assert scheme.verify_headers([(b":path", path.encode())], NOW)(b"") == Verified(by=1, body=False)


def test_it_signs_with_a_path_that_ends_in_the_first_token() -> None:
    scheme = Unsigned(token_in_path=[TOKEN, "x" * 22])
    headers = scheme.sign({"Content-Type": "text/plain"}, b"", NOW)
    assert headers == [(b"content-type", b"text/plain"), (b":path", f"/{TOKEN}".encode())]
    assert scheme.verify_headers(headers, NOW)(b"").by == 0


@pytest.mark.parametrize("path", ["", "/", "/webhooks", f"/{TOKEN}/more", f"/{TOKEN[:-1]}", f"/{TOKEN}x", f"/x{TOKEN}"])
def test_another_path_is_refused(path: str) -> None:
    with pytest.raises(BadSignature):
        Unsigned(token_in_path=TOKEN).verify_headers([(b":path", path.encode())], NOW)


def test_the_path_has_to_be_known_and_nobody_else_may_tell_it() -> None:
    scheme = Unsigned(token_in_path=TOKEN)
    with pytest.raises(MissingSignature, match=r"receive\(\.\.\., path="):
        scheme.verify_headers([], NOW)
    with pytest.raises(MalformedSignature):
        scheme.verify_headers([(b":path", f"/{TOKEN}".encode()), (b":path", b"/webhooks")], NOW)
    with pytest.raises(UnexpectedSignature):
        scheme.verify_headers([(b":path", f"/{TOKEN}".encode()), (b"signature", b"")], NOW)


@pytest.mark.parametrize("token", ["", "short", "x" * 21, "with/slash" * 3, "with space" * 3, "é" * 30, "%41" * 10, []])
def test_a_token_that_can_be_guessed_or_changes_in_a_url_is_refused(token: str) -> None:
    with pytest.raises(ConfigurationError, match=r"secret|token_urlsafe"):
        Unsigned(token_in_path=token)


def test_no_traceback_shows_the_token() -> None:
    try:
        Unsigned(token_in_path=TOKEN).verify_headers([(b":path", b"/webhooks")], NOW)
    except BadSignature as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert "_check_token" in shown
        assert TOKEN not in shown
