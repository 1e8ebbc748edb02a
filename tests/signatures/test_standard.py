"""What is particular to Standard Webhooks; the rest is in the suite and beside the libraries."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode
from typing import Any

import pytest

from tests.helpers import came
from webhook_receiver import BadSignature, ConfigurationError, MalformedSignature, StandardWebhooks
from webhook_receiver.delivery import RequestHead
from webhook_receiver.errors import needs

from .keys import ED25519, WHPK, WHSK, whsec

NOW = 1_674_087_231.0
BODY = b'{"type":"contact.created"}'
SECRET = whsec("a")


def test_the_example_of_its_readme() -> None:
    scheme = StandardWebhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    headers = [
        (b"webhook-id", b"msg_p5jXN8AQM9LWM0D4loKWxJek"),
        (b"webhook-timestamp", b"1614265330"),
        (b"webhook-signature", b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ]
    assert scheme.verify(came(headers), 1_614_265_330)(body).id == "msg_p5jXN8AQM9LWM0D4loKWxJek"


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_"), SECRET.rstrip("=")])
def test_a_secret_comes_with_or_without_its_prefix_and_its_padding(secret: str) -> None:
    headers = StandardWebhooks(secret).sign(RequestHead.of({}), BODY, NOW).headers
    assert StandardWebhooks(SECRET).verify(came(headers), NOW)(BODY).by == 0


@pytest.mark.parametrize(
    "secret",
    [
        "whsec_",
        "whsec_a_b_YWJj",
        "url-safe_YWJj",
        "WHSEC_YWJj",
        "whsec_=",
        "whsec_%%%",
        "not base64",
        "whsk_",
        "whsk_AAAA",
        "whpk_AAAA",
        "whpk_é",
        "é",
    ],
)
def test_what_is_no_secret_of_the_kind_is_rejected_at_once_and_not_shown(secret: str) -> None:
    with pytest.raises(ConfigurationError, match=r"base64|32 bytes") as rejected:
        StandardWebhooks(secret)
    assert (secret.partition("_")[2] or "not base64") not in str(rejected.value)


@pytest.mark.parametrize("options", [{"headers": "other"}, {"tolerance": 0}, {"tolerance": float("nan")}])
def test_options_that_cannot_work_are_rejected(options: Any) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        StandardWebhooks(SECRET, **options)


def test_a_public_key_verifies_what_the_private_one_signs_and_signs_nothing() -> None:
    headers = StandardWebhooks(WHSK[0]).sign(RequestHead.of({}), BODY, NOW).headers
    assert StandardWebhooks([WHPK[1], WHPK[0]]).verify(came(headers), NOW)(BODY).by == 1
    with pytest.raises(ConfigurationError, match="public key"):
        StandardWebhooks(WHPK[0]).sign(RequestHead.of({}), BODY, NOW)


def test_a_private_key_may_have_its_public_one_behind_it() -> None:
    whole = ED25519[0].private_bytes_raw() + ED25519[0].public_key().public_bytes_raw()
    headers = StandardWebhooks("whsk_" + b64encode(whole).decode()).sign(RequestHead.of({}), BODY, NOW).headers
    assert StandardWebhooks(WHPK[0]).verify(came(headers), NOW)(BODY).body


def test_both_kinds_of_secret_live_beside_each_other_and_each_has_its_own_kind_of_signature() -> None:
    both = StandardWebhooks([SECRET, WHPK[0]])
    by_private, by_secret = (
        StandardWebhooks(WHSK[0]).sign(RequestHead.of({}), BODY, NOW).headers,
        StandardWebhooks(SECRET).sign(RequestHead.of({}), BODY, NOW).headers,
    )
    assert [both.verify(came(each), NOW)(BODY).by for each in (by_secret, by_private)] == [0, 1]
    mislabelled = [(name, value.replace(b"v1,", b"v1a,")) for name, value in by_secret]
    with pytest.raises(BadSignature):
        both.verify(came(mislabelled), NOW)(BODY)


def test_of_several_signatures_any_may_be_right() -> None:
    *others, (name, right) = StandardWebhooks(SECRET).sign(RequestHead.of({}), BODY, NOW).headers
    for value in (b"v1,AAAA %b", b"%b v1,AAAA", b"v2,x %b", b"v1a,AAAA v1 %b", b"v1,AAAA " * 15 + b"%b"):
        assert StandardWebhooks(SECRET).verify(came([*others, (name, value % right)]), NOW)(BODY).body
    with pytest.raises(MalformedSignature, match="more than 16"):
        StandardWebhooks(SECRET).verify(came([*others, (name, b"v1,AAAA " * 16 + right)]), NOW)


def test_signing_makes_an_id_unless_there_is_one() -> None:
    made = dict(StandardWebhooks(SECRET).sign(RequestHead.of({}), BODY, NOW).headers)[b"webhook-id"]
    assert made.startswith(b"msg_")
    assert (
        dict(StandardWebhooks(SECRET).sign(RequestHead.of({"Webhook-Id": "mine"}), BODY, NOW).headers)[b"webhook-id"]
        == b"mine"
    )
    with pytest.raises(ConfigurationError, match="full stop"):
        StandardWebhooks(SECRET).sign(RequestHead.of({"webhook-id": "a.b"}), BODY, NOW)


def test_an_id_cannot_take_over_a_part_of_the_body() -> None:
    head = StandardWebhooks(SECRET).sign(RequestHead.of({"webhook-id": "a"}), b"1674087231.{}", NOW)
    id, time, signature = head.headers
    moved = [(id[0], b"a.1674087231"), time, signature]
    with pytest.raises(MalformedSignature, match="full stop"):
        StandardWebhooks(SECRET).verify(came(moved), NOW)


def test_without_the_extra_it_says_which_one_is_missing() -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from webhook_receiver import HTTPMessageSignature, StandardWebhooks\n"
        f"StandardWebhooks({SECRET!r})\n"
        f"for make in (lambda: StandardWebhooks({WHPK[0]!r}), lambda: HTTPMessageSignature({{'key': 'a'}})):\n"
        "    try: make()\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == [
        f"ConfigurationError {needs('an ed25519 key', 'an extra', 'ed25519')}",
        f"ConfigurationError {needs('RFC 9421', 'an extra', 'rfc9421')}",
    ]
