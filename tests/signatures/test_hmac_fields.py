"""The HMAC over values in the body: what is signed counts, what is absent is rejected, and no name is there twice."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode, encodebytes
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest

from webhook_receiver import (
    BadSignature,
    ConfigurationError,
    MalformedSignature,
    MissingSignature,
    Sender,
    StaleSignature,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.catalogue import adyen, braintree, mailgun
from webhook_receiver.senders.challenges import Challenge
from webhook_receiver.senders.registry import presets
from webhook_receiver.signatures.hmac_fields import HMACFields
from webhook_receiver.signatures.scheme import Verified
from webhook_receiver.testing.sender_suite import NOW, SenderSuite
from webhook_receiver.testing.wire import challenge

HEAD = RequestHead.of({"content-type": "application/json"})
SECRET = "a-secret-for-tests"
KEY = presets()["adyen"].example
ITEM = {
    "pspReference": "7914073381342284",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "TestPayment-1407325143704",
    "amount": {"value": 1130, "currency": "EUR"},
    "eventCode": "AUTHORISATION",
    "success": "true",
}
PUBLISHED = "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="
"""The signature of this item in the tests of Adyen's own libraries."""


def mail(secret: str = SECRET, *, time: object = f"{NOW:.0f}", token: str = "t-1", **event: Any) -> bytes:
    digest = hmac.new(secret.encode(), f"{time}{token}".encode(), hashlib.sha256).hexdigest()
    signed = {"timestamp": time, "token": token, "signature": digest}
    return json.dumps({"signature": signed, "event-data": {"event": "delivered", "id": "e-1", **event}}).encode()


def payment(key: str = KEY, **other: Any) -> dict[str, Any]:
    item = ITEM | other
    amount: Any = item["amount"]
    values = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
    ends = (str(amount["value"]), amount["currency"], item["eventCode"], item["success"])
    content = ":".join([*(str(item.get(name) or "") for name in values), *map(str, ends)])
    digest = hmac.new(bytes.fromhex(key), content.encode(), hashlib.sha256).digest()
    return {"NotificationRequestItem": {**item, "additionalData": {"hmacSignature": b64encode(digest).decode()}}}


def payments(*items: object) -> bytes:
    return json.dumps({"live": "false", "notificationItems": items}).encode()


def verified(sender: Sender, body: bytes, now: float = NOW) -> Verified:
    """Return what is proven of a body, without the signed values."""
    return sender.scheme.verify(HEAD, now)(body)._replace(contents=())


class TestMailgun(SenderSuite):
    secrets = (SECRET, "another-secret-for-tests")
    event = "delivered"
    body = mail()

    def sender(self, secrets: Sequence[str]) -> Sender:
        return mailgun(secrets)

    def body_of(self, secrets: Sequence[str]) -> bytes:
        return mail(secrets[0])


class TestAdyen(SenderSuite):
    secrets = (KEY, KEY[::-1])
    event = "AUTHORISATION"
    body = payments(payment())

    def sender(self, secrets: Sequence[str]) -> Sender:
        return adyen(secrets)

    def body_of(self, secrets: Sequence[str]) -> bytes:
        return payments(payment(secrets[0]))


def test_the_published_signature_of_adyen_is_right() -> None:
    assert payment()["NotificationRequestItem"]["additionalData"]["hmacSignature"] == PUBLISHED
    assert verified(adyen(KEY), payments(payment()))[:-1] == Verified(0, body=False)[:-1]
    assert verified(adyen(["00", KEY.lower()]), payments(payment())).by == 1


@pytest.mark.parametrize(
    "other",
    [
        {"pspReference": "7914073381342285"},
        {"originalReference": "7914073381342283"},
        {"merchantAccountCode": "TestMerchanT"},
        {"merchantReference": None},
        {"amount": {"value": 1131, "currency": "EUR"}},
        {"amount": {"value": 1130.0, "currency": "EUR"}},
        {"amount": {"value": 1130, "currency": "USD"}},
        {"eventCode": "CANCELLATION"},
        {"success": "false"},
    ],
)
def test_each_signed_value_counts_and_may_be_another_one_when_it_is_signed(other: dict[str, Any]) -> None:
    changed = payment()
    changed["NotificationRequestItem"].update(other)
    with pytest.raises(BadSignature):
        verified(adyen(KEY), payments(changed))
    assert verified(adyen(KEY), payments(payment(**other))).by == 0


def test_a_value_is_signed_as_it_is_written() -> None:
    assert verified(adyen(KEY), payments(payment(success=True)).replace(b"true", b'"True"')).by == 0
    assert verified(mailgun(SECRET), mail(time=int(NOW))).id == "t-1"
    scheme = HMACFields(SECRET, signature="s", signed=("a", "b"), joined_by=":")
    digest = hmac.new(SECRET.encode(), b"true:1.50", hashlib.sha256).hexdigest()
    assert scheme.verify(HEAD, NOW)(f'{{"a": true, "b": 1.50, "s": "{digest}"}}'.encode()).by == 0


@pytest.mark.parametrize(
    "items",
    [
        [payment(), {"NotificationRequestItem": ITEM}],
        [payment(), {"Another": ITEM}],
        [payment(), None],
        [{}],
        [7],
        [[payment()]],
    ],
)
def test_of_several_items_each_has_to_be_signed(items: list[object]) -> None:
    with pytest.raises(MissingSignature):
        verified(adyen(KEY), payments(*items))


def test_of_several_items_each_is_signed_by_the_same_secret() -> None:
    assert verified(adyen(KEY), payments(payment(), payment(success="false"))).by == 0
    with pytest.raises(BadSignature):
        verified(adyen([KEY, KEY[::-1]]), payments(payment(), payment(KEY[::-1])))


@pytest.mark.parametrize("body", [b'{"notificationItems": []}', b"{}", b"[]", b"7", b'{"notificationItems": {}}'])
def test_a_body_in_which_nothing_is_signed_is_rejected(body: bytes) -> None:
    for sender in (adyen(KEY), mailgun(SECRET)):
        with pytest.raises(MissingSignature):
            verified(sender, body)


def test_a_name_that_is_there_twice_hides_nothing() -> None:
    genuine = payments(payment())[1:-1].partition(b", ")[2]
    forged = b'"notificationItems": [{"NotificationRequestItem": {"pspReference": "1"}}]'
    for body in (b"{%b, %b}" % (forged, genuine), b"{%b, %b}" % (genuine, forged)):
        with pytest.raises(MalformedSignature, match="twice"):
            verified(adyen(KEY), body)


@pytest.mark.parametrize("body", [b"", b"not JSON", b"\xff", b"[" * 100_000, mail()[:-1], b"a=1"])
def test_what_is_no_json_is_malformed_and_not_quoted(body: bytes) -> None:
    with pytest.raises(MalformedSignature) as caught:
        verified(mailgun(SECRET), body)
    assert "body is no JSON" in str(caught.value)


@pytest.mark.parametrize("signature", [None, "", "zz", 7, ["x"], {"a": 1}, "0" * 64])
def test_a_signature_that_is_none_is_rejected(signature: object) -> None:
    document = json.loads(mail())
    document["signature"]["signature"] = signature
    with pytest.raises((MissingSignature, MalformedSignature, BadSignature)):
        verified(mailgun(SECRET), json.dumps(document).encode())


@pytest.mark.parametrize("time", [NOW - 43_201, NOW + 43_201, "soon", -1, 1.5])
def test_a_time_that_is_old_or_none_is_rejected(time: object) -> None:
    time = f"{time:.0f}" if isinstance(time, float) and time > 2 else time
    with pytest.raises((StaleSignature, MalformedSignature)):
        verified(mailgun(SECRET), mail(time=time))


def test_the_token_is_the_id_so_that_another_event_with_it_is_a_duplicate() -> None:
    first, second = (verified(mailgun(SECRET), mail(event=name)) for name in ("delivered", "failed"))
    assert (first.id, first.fresh, first.body) == ("t-1", True, False)
    assert second.id == first.id


@pytest.mark.parametrize(("a", "id"), [("7:x", "y"), ("7", "x:y")])
def test_no_character_moves_from_a_value_into_the_id(a: str, id: str) -> None:
    scheme = HMACFields(SECRET, signature="s", signed=("a", "id"), joined_by=":", id="id")
    digest = hmac.new(SECRET.encode(), b"7:x:y", hashlib.sha256).hexdigest()
    with pytest.raises(MalformedSignature, match="the text that stands between the values"):
        scheme.verify(HEAD, NOW)(json.dumps({"a": a, "id": id, "s": digest}).encode())


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"signed": "a"}, "signed is a list"),
        ({"signed": ()}, "signed is a list"),
        ({"signed": ("a", ""), "joined_by": ":"}, "a place in the body"),
        ({"signed": ("a", 5), "joined_by": ":"}, "a place in the body"),
        ({"signed": ("a", "b")}, "move characters from one to another"),
        ({"signed": ("a", "t", "b"), "timestamp": "t"}, "move characters from one to another"),
        ({"signed": ("a", "b?"), "id": "a"}, "move characters from one to another"),
        ({"signature": "a..b"}, "a place in the body"),
        ({"timestamp": "t"}, "has to be one of signed"),
        ({"id": "t"}, "has to be one of signed"),
        ({"id": "a", "items": "b.*"}, "there can be no items"),
        ({"hash": "md5"}, "hash is one of"),
        ({"encoding": "rot13"}, "encoding is one of"),
        ({"key": "hex"}, "is not hex"),
        ({"form": True, "items": "b.*"}, "fields alone"),
        ({"form": True, "signature": "a.b"}, "fields alone"),
        ({"tolerance": 0}, "tolerance"),
    ],
)
def test_a_mistake_is_told_when_the_scheme_is_made(options: dict[str, Any], complaint: str) -> None:
    good: dict[str, Any] = {"signature": "s", "signed": ("a",)}
    assert HMACFields(SECRET, **good).secret_count == 1
    with pytest.raises(ConfigurationError, match=complaint):
        HMACFields(SECRET, **good | options)


def test_a_body_that_is_not_signed_with_the_first_secret_cannot_be_sent() -> None:
    sender = mailgun(["another", SECRET])
    with pytest.raises(ConfigurationError, match="signed with another secret than the first"):
        sender.scheme.sign(HEAD, mail(), NOW)
    with pytest.raises(ConfigurationError, match="put the signature into the body"):
        sender.scheme.sign(HEAD, b"{}", NOW)
    assert mailgun(SECRET).scheme.sign(HEAD, mail(), NOW) == HEAD


@pytest.mark.parametrize("name", ["adyen", "mailgun"])
def test_a_document_is_signed_for_tests_with_a_time_and_an_id_of_its_own(name: str) -> None:
    preset = presets()[name]
    scheme = preset.make(preset.example)
    assert isinstance(scheme, HMACFields)
    bodies = [scheme.sign_body(preset.body, NOW) for _ in range(2)]
    assert [scheme.verify(HEAD, NOW)(body).by for body in bodies] == [0, 0]
    assert (bodies[0] == bodies[1]) == (name == "adyen")
    for body in (b"", b"[]", b"7", b"not JSON"):
        with pytest.raises(ConfigurationError, match="cannot sign"):
            scheme.sign_body(body, NOW)


# a form

XML = "<notification><kind>check</kind></notification>\n"


def notified(*pairs: tuple[str, str], secret: str = SECRET) -> bytes:
    payload = encodebytes(XML.encode()).decode()
    digest = hmac.new(hashlib.sha1(secret.encode()).digest(), payload.encode(), "sha1").hexdigest()
    fields = {"bt_signature": f"a-public-key|{digest}", "bt_payload": payload, **dict(pairs)}
    return urlencode(fields).encode()


class TestBraintree(SenderSuite):
    event = "check"
    secrets = (SECRET, "another-secret-for-tests")
    body = notified()

    def sender(self, secrets: Sequence[str]) -> Sender:
        return braintree(secrets, public_key="a-public-key")

    def body_of(self, secrets: Sequence[str]) -> bytes:
        return notified(secret=secrets[0])

    def ask(self, asked: Challenge) -> tuple[RequestHead, bytes]:
        return challenge(asked, None, token="7" * 20)


def test_a_form_is_signed_by_one_of_its_signatures_whatever_their_labels_are() -> None:
    sender, right = braintree(SECRET), notified().decode()
    digest = parse_qs(right)["bt_signature"][0].partition("|")[2]
    for text in (f"a|{'0' * 40}&b|{digest}", f"b|{digest}&a|{'0' * 40}", f"|{digest}", f"no-label&b|{digest}"):
        assert verified(sender, notified(("bt_signature", text)))[:-1] == Verified(0, body=False)[:-1]
    for text in (f"a|{'0' * 40}", f"a|b|{digest}&c|{'1' * 40}"):
        with pytest.raises(BadSignature):
            verified(sender, notified(("bt_signature", text)))
    for text in (digest, f"a{digest}", "a|", "&", "|", "&".join([f"a|{digest}"] * 17)):
        with pytest.raises(MalformedSignature):
            verified(sender, notified(("bt_signature", text)))
    with pytest.raises(MissingSignature):
        verified(sender, notified(("bt_signature", "")))


@pytest.mark.parametrize(
    "body",
    [
        b'{"bt_signature": "a", "bt_payload": "b"}',
        notified() + b"&bt_payload=AAAA",
        b"bt_payload=AAAA&" + notified(),
        notified() + b"&x=%22{}",
        notified() + b"&%FF=1",
        notified() + b"&a=1" * 1000,
        b"a",
    ],
    ids=range(7),
)
def test_a_body_that_is_no_form_of_fields_once_each_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedSignature, match="no form, or a name is twice"):
        verified(braintree(SECRET), body)


def test_a_form_without_its_fields_is_not_signed() -> None:
    for body in (b"", b"a=1", b"bt_payload=AAAA"):
        with pytest.raises(MissingSignature):
            verified(braintree(SECRET), body)


def test_a_form_is_signed_for_tests_as_a_form() -> None:
    scheme = braintree(SECRET).scheme
    assert isinstance(scheme, HMACFields)
    body = scheme.sign_body(b"bt_payload=AAAA%0A", NOW)
    assert parse_qs(body.decode())["bt_payload"] == ["AAAA\n"]
    assert scheme.verify(HEAD, NOW)(body).by == 0


def test_the_notification_in_a_form_is_a_document_with_its_kind_and_digest() -> None:
    decode = braintree(SECRET).decode
    assert decode is not None
    assert json.loads(decode(notified())) == {
        "event": "check",
        "digest": hashlib.sha256(XML.encode()).hexdigest(),
        "body": XML,
    }
    for body in (b"a=1", b"{}", b"bt_payload=?", b"bt_payload=/////w==", b""):
        assert decode(body) == body


def test_braintree_gets_its_challenge_back_with_an_hmac_of_it_if_the_public_key_is_known() -> None:
    assert braintree(SECRET).challenges == ()
    (asked,) = braintree(SECRET, public_key="pk").challenges
    digest = hmac.new(hashlib.sha1(SECRET.encode()).digest(), b"0" * 20, "sha1").hexdigest()
    response = asked.answer(RequestHead.of({}, method="GET", target=f"/in?bt_challenge={'0' * 20}"), b"", NOW)
    assert response is not None
    assert response.body == f"pk|{digest}".encode()


async def test_what_nobody_proves_does_not_make_two_deliveries_of_one_token() -> None:
    async with WebhookReceiver(sender=mailgun("key"), inbox="memory:", work=False, clock=lambda: NOW) as hooks:
        known = list[bool]()
        proof = {"timestamp": str(int(NOW)), "token": "t" * 50}
        content = (proof["timestamp"] + proof["token"]).encode()
        proof["signature"] = hmac.new(b"key", content, "sha256").hexdigest()
        for event in ("opened", "complained", "opened"):
            body = json.dumps({"signature": proof, "event-data": {"id": "e-1", "event": event}}).encode()
            receipt = await hooks.receive({"content-type": "application/json"}, body)
            known.append(receipt.duplicate_of is not None)
    assert known == [False, True, True]
