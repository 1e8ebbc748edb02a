"""What is particular to Standard Webhooks; the rest is in the suite and beside the libraries."""

from __future__ import annotations

import hmac
import subprocess
import sys
from base64 import b64encode
from typing import Any

import pytest

from tests.helpers import came
from webhook_receiver import BadSignature, ConfigurationError, MalformedSignature, MissingSignature, StandardWebhooks
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


@pytest.mark.parametrize(
    "options", [{"headers": "other"}, {"key": "hex"}, {"tolerance": 0}, {"tolerance": float("nan")}]
)
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
    for id in ("", "a.1674087231", "a.1674087231.b"):
        with pytest.raises(ConfigurationError, match="full stop"):
            StandardWebhooks(SECRET).sign(RequestHead.of({"webhook-id": id}), BODY, NOW)


@pytest.mark.parametrize("id", ["a", "a.b", "1674087231", "1674087231.000100"])
@pytest.mark.parametrize("rest", [b"{}", b'{"event": "a"}', b"", b"1674087231.{}"])
def test_an_id_cannot_take_over_a_part_of_the_body(id: str, rest: bytes) -> None:
    head = StandardWebhooks(SECRET).sign(RequestHead.of({"webhook-id": id}), b"1674087231.%b" % rest, NOW)
    (name, _), time, signature = head.headers
    moved = [(name, b"%b.1674087231" % id.encode()), time, signature]
    with pytest.raises(MalformedSignature, match="full stop"):
        StandardWebhooks(SECRET).verify(came(moved), NOW)(rest)


def test_an_id_has_any_visible_characters() -> None:
    visible = "".join(map(chr, range(0x21, 0x7F)))
    for id in (visible, "evt.1", "1674087231.000100", "a.b.c", "evt.1674087231000", "...", ".1674087231a"):
        head = StandardWebhooks(SECRET).sign(RequestHead.of([("webhook-id", id)]), BODY, NOW)
        assert StandardWebhooks(SECRET).verify(head, NOW)(BODY).id == id


@pytest.mark.parametrize("headers", ["webhook", "svix"])
def test_headers_of_either_prefix_are_read(headers: Any) -> None:
    names = [f"{prefix}-{part}".encode() for prefix in ("webhook", "svix") for part in ("id", "timestamp", "signature")]
    for prefix in ("webhook", "svix"):
        signed = StandardWebhooks(SECRET, headers=prefix).sign(RequestHead.of({}), BODY, NOW).headers
        assert [name for name, _ in signed] == [name for name in names if name.startswith(prefix.encode())]
        assert StandardWebhooks(SECRET, headers=headers).verify(came(signed), NOW)(BODY).id
        with pytest.raises(MalformedSignature, match="more than once"):
            StandardWebhooks(SECRET, headers=headers).verify(came([*signed, signed[1]]), NOW)


def test_its_own_prefix_goes_before_the_other_one() -> None:
    right = StandardWebhooks(SECRET).sign(RequestHead.of({}), BODY, NOW).headers
    wrong = StandardWebhooks(whsec("b"), headers="svix").sign(RequestHead.of({}), BODY, NOW).headers
    for both in ([*right, *wrong], [*wrong, *right]):
        assert StandardWebhooks(SECRET).verify(came(both), NOW)(BODY).by == 0
        with pytest.raises(BadSignature):
            StandardWebhooks(SECRET, headers="svix").verify(came(both), NOW)(BODY)
    with pytest.raises(MissingSignature, match="webhook-id"):
        StandardWebhooks(SECRET).verify(came([(b"content-type", b"application/json")]), NOW)


TEXTS = ["polar_whs_7Xw1ZxT9b0QF", "a secret of theirs", "whsec_7Xw1ZxT9b0QF", "whpk_é", "YWJj"]


@pytest.mark.parametrize("secret", TEXTS)
def test_a_secret_may_be_its_text(secret: str) -> None:
    scheme = StandardWebhooks(secret, key="text")
    headers = scheme.sign(RequestHead.of({"webhook-id": "a"}), BODY, NOW).headers
    expected = hmac.digest(secret.encode(), b"a.%d.%b" % (NOW, BODY), "sha256")
    assert dict(headers)[b"webhook-signature"] == b"v1," + b64encode(expected)
    assert scheme.verify(came(headers), NOW)(BODY).by == 0


@pytest.mark.parametrize("secret", [*TEXTS, SECRET, *WHSK[:1]])
def test_a_secret_may_be_its_text_where_it_has_no_prefix(secret: str) -> None:
    has_prefix = secret.startswith(("whsec_", "whsk_"))
    as_such = StandardWebhooks(secret, key="base64" if has_prefix else "text")
    if secret == "whpk_é":
        with pytest.raises(ConfigurationError, match="base64"):
            StandardWebhooks(secret, key="prefixed")
        return
    scheme = StandardWebhooks(secret, key="prefixed")
    head = RequestHead.of({"webhook-id": "a"})
    assert scheme.sign(head, BODY, NOW) == as_such.sign(head, BODY, NOW)


@pytest.mark.parametrize("padding", ["", "=", "==", "===", "===="])
def test_a_secret_has_any_padding(padding: str) -> None:
    for text in ("YWJjZA", "YWJjZGU", "YWJjZGVm"):
        signed = StandardWebhooks(f"whsec_{text}{'=' * (-len(text) % 4)}").sign(RequestHead.of({}), BODY, NOW)
        assert StandardWebhooks(f"whsec_{text}{padding}").verify(signed, NOW)(BODY).body


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
