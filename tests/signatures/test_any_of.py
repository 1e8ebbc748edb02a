from __future__ import annotations

from typing import Any

import pytest

from tests.helpers import NOW, SECRET, came, order, signed
from webhook_receiver import (
    AnyOf,
    BadSignature,
    BodyMismatch,
    ConfigurationError,
    HMACBody,
    MissingSignature,
    StaleSignature,
    StandardWebhooks,
    Unsigned,
    UP42Signature,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders import slack
from webhook_receiver.senders import stripe as stripe_sender

from .keys import whsec

BODY = order()
TOKEN = "x" * 22
CHANGE = AnyOf(StandardWebhooks([whsec("a"), whsec("b")]), UP42Signature([SECRET, "old"]), stripe_sender.signature("c"))


def test_any_of_the_schemes_verifies_and_the_index_is_over_all_their_secrets() -> None:
    made = [
        StandardWebhooks(whsec("b")).sign(RequestHead.of({}), BODY, NOW).headers,
        signed(BODY),
        signed(BODY, secret="old"),
        stripe_sender.signature("c").sign(RequestHead.of({}), BODY, NOW).headers,
    ]
    assert [CHANGE.verify(came(headers), NOW)(BODY).by for headers in made] == [1, 2, 3, 4]
    assert CHANGE.secret_count == 5


def test_the_first_signs() -> None:
    assert CHANGE.verify(came(CHANGE.sign(RequestHead.of({}), BODY, NOW).headers), NOW)(BODY).by == 0


def test_one_may_be_within_another() -> None:
    outer = AnyOf(slack.signature("z"), CHANGE)
    assert outer.verify(came(signed(BODY, secret="old")), NOW)(BODY).by == 4


def test_the_error_is_that_of_the_scheme_that_came_furthest() -> None:
    with pytest.raises(MissingSignature):
        CHANGE.verify(came([]), NOW)
    with pytest.raises(BadSignature):
        CHANGE.verify(came(signed(BODY, secret="another")), NOW)
    with pytest.raises(StaleSignature):
        CHANGE.verify(came(signed(BODY)), NOW + 3600)
    with pytest.raises(BodyMismatch):
        CHANGE.verify(came(signed(BODY)), NOW)(b"another")
    stripe = stripe_sender.signature("c").sign(RequestHead.of({}), BODY, NOW).headers
    with pytest.raises(BadSignature):
        CHANGE.verify(came(stripe), NOW)(b"another")
    both = [*stripe, *signed(BODY, secret="another")]
    assert CHANGE.verify(came(both), NOW)(BODY).by == 4


def test_a_token_in_the_path_is_one_of_the_secrets() -> None:
    change = AnyOf(UP42Signature(SECRET), Unsigned(token_in_path=TOKEN))
    verified = change.verify(came([], target=f"/hooks/{TOKEN}".encode()), NOW)(BODY)
    assert (verified.by, verified.body) == (1, False)


@pytest.mark.parametrize("schemes", [[], ["do-not-show-me"], [UP42Signature], [UP42Signature(SECRET), Unsigned()]])
def test_what_is_no_scheme_or_lets_everybody_in_is_rejected(schemes: list[Any]) -> None:
    with pytest.raises(ConfigurationError, match="AnyOf") as rejected:
        AnyOf(*schemes)
    assert "do-not-show-me" not in str(rejected.value)


def test_it_signs_by_the_first_scheme_that_can_sign_the_body() -> None:
    form, other = (HMACBody("key", signature="x-sig", signed=signed) for signed in ("{form}", "b:{body}"))
    scheme, head = AnyOf(form, other), RequestHead.of({})
    for body, first in [(b"a=1", form), (b'{"a": 1}', other), (b"[1]", other)]:
        signed = scheme.sign(head, body, NOW)
        assert signed == first.sign(head, body, NOW)
        assert scheme.verify(signed, NOW)(body).by == (0 if first is form else 1)
    with pytest.raises(ConfigurationError, match="no form"):
        AnyOf(form, form).sign(head, b"[1]", NOW)
