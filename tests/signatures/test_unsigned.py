from __future__ import annotations

import pytest

from tests.helpers import NOW, order, signed
from webhook_receiver import UnexpectedSignature, Unsigned
from webhook_receiver.signatures import Verified


def test_it_takes_what_is_not_signed_and_says_that_nothing_is_verified() -> None:
    assert Unsigned().verify_headers([(b"content-type", b"text/plain")], NOW)(b"") == Verified(by=None, body=False)


@pytest.mark.parametrize("header", [b"signature", b"signature-input", b"webhook-signature", b"x-hub-signature-256"])
def test_it_refuses_what_is_signed_even_with_an_empty_value(header: bytes) -> None:
    with pytest.raises(UnexpectedSignature, match="give it the sender's secret"):
        Unsigned().verify_headers([(header, b"")], NOW)


def test_it_signs_nothing() -> None:
    assert Unsigned().sign({"Content-Type": "text/plain"}, order(), NOW) == [(b"content-type", b"text/plain")]
    assert len(signed(order(), scheme=Unsigned())) == 1
