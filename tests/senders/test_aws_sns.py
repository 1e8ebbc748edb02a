"""AWS SNS: messages that are signed in their bodies, here by keys of our own, whose certificates are served here."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

from tests.helpers import NOW
from tests.signatures.key_server import Fetching, fetched, ok, serving
from tests.signatures.keys import P256, RSA
from tests.working import until
from webhook_receiver import (
    Attempt,
    BadSignature,
    ConfigurationError,
    Delivery,
    Event,
    GiveUp,
    KeysUnavailable,
    MalformedSignature,
    MissingSignature,
    Sender,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.explain import explain
from webhook_receiver.senders.aws_sns import (
    Certificates,
    Notification,
    SNSSignature,
    SubscriptionConfirmation,
    aws_sns,
    confirm,
    signed_message,
)
from webhook_receiver.senders.aws_sns.signature import host_of, is_certificate, is_of_host
from webhook_receiver.senders.imagery.maxar import maxar_sns
from webhook_receiver.senders.split import Split
from webhook_receiver.signatures import KeysNeeded, Verified
from webhook_receiver.testing.sender_suite import SenderSuite

TOPIC = "arn:aws:sns:eu-central-1:123456789012:orders"
OTHER = "arn:aws:sns:eu-central-1:123456789012:others"
HOST = "sns.eu-central-1.amazonaws.com"
URL = f"https://{HOST}/SimpleNotificationService-{'0a' * 16}.pem"
NOTIFICATION = {
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": TOPIC,
    "Subject": "My First Message",
    "Message": "Hello world!",
    "Timestamp": "2012-05-02T00:54:06.655Z",
    "UnsubscribeURL": f"https://{HOST}/?Action=Unsubscribe&SubscriptionArn={TOPIC}:c9135db0",
}
SUBSCRIPTION = {
    "Type": "SubscriptionConfirmation",
    "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
    "Token": "2336412f37",
    "TopicArn": TOPIC,
    "Message": "You have chosen to subscribe to the topic.\nTo confirm, visit the SubscribeURL.",
    "SubscribeURL": f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37",
    "Timestamp": "2012-04-26T20:45:04.751Z",
}


def certificate(key: Any = RSA[0], begin: float = NOW - 86_400, end: float = NOW + 86_400) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    first, last = (datetime.fromtimestamp(each, UTC) for each in (begin, end))
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, first, last)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class AWS:
    """The host of the certificates, and what it was asked for."""

    def __init__(self, document: bytes | Exception | None = None) -> None:
        self.document = certificate() if document is None else document
        self.asked: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if isinstance(self.document, Exception):
            raise self.document
        return self.document

    def scheme(self, topics: Any = TOPIC) -> SNSSignature:
        return SNSSignature(topics, certificates=Certificates(self.fetch))

    def sender(self, topics: Any = TOPIC) -> Sender:
        return aws_sns(topics, certificates=Certificates(self.fetch))


def signed(message: Mapping[str, Any] = NOTIFICATION, *, url: str = URL, version: str = "2", **members: Any) -> bytes:
    given = {name: value for name, value in {**message, **members}.items() if value is not ...}
    return signed_message(given, RSA[0], url, version)


def by_hand(content: str, key: Any = RSA[0], hash: Any = None) -> str:
    """Return a signature, made without any of the code under test."""
    return b64encode(key.sign(content.encode(), PKCS1v15(), hash or hashes.SHA256())).decode()


def verified(body: bytes, aws: AWS | None = None, now: float = NOW) -> Any:
    scheme = (aws or AWS()).scheme()
    return Fetching(scheme, scheme).verify(RequestHead.of({}), now)(body)


def changed(body: bytes, **members: Any) -> bytes:
    return json.dumps(json.loads(body) | members).encode()


# what is signed


@pytest.mark.parametrize(("version", "hash"), [("1", hashes.SHA1()), ("2", hashes.SHA256())])
def test_a_notification_is_verified_by_the_members_that_aws_documents(version: str, hash: Any) -> None:
    content = (
        "Message\nHello world!\nMessageId\n22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\nSubject\nMy First Message\n"
        f"Timestamp\n2012-05-02T00:54:06.655Z\nTopicArn\n{TOPIC}\nType\nNotification\n"
    )
    proof = {"SignatureVersion": version, "SigningCertURL": URL, "Signature": by_hand(content, hash=hash)}
    body = json.dumps(NOTIFICATION | proof).encode()
    assert verified(body) == Verified(0, body=True, id=NOTIFICATION["MessageId"])
    with pytest.raises(BadSignature, match="does not give this signature"):
        verified(changed(body, SignatureVersion="1" if version == "2" else "2"))


@pytest.mark.parametrize("subject", [None, ...])
def test_a_notification_without_a_subject_is_signed_without_it(subject: Any) -> None:
    content = (
        "Message\nHello world!\nMessageId\n22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\n"
        f"Timestamp\n2012-05-02T00:54:06.655Z\nTopicArn\n{TOPIC}\nType\nNotification\n"
    )
    body = signed(Subject=subject)
    assert json.loads(body)["Signature"] == by_hand(content)
    assert verified(body).body


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_a_confirmation_is_verified_with_its_token_and_url(kind: str) -> None:
    content = (
        f"Message\n{SUBSCRIPTION['Message']}\nMessageId\n165545c9-2a5c-472c-8df2-7ff2be2b3b1b\n"
        f"SubscribeURL\n{SUBSCRIPTION['SubscribeURL']}\nTimestamp\n2012-04-26T20:45:04.751Z\nToken\n2336412f37\n"
        f"TopicArn\n{TOPIC}\nType\n{kind}\n"
    )
    body = signed(SUBSCRIPTION, Type=kind)
    assert json.loads(body)["Signature"] == by_hand(content)
    assert verified(body) == Verified(0, body=True, id=SUBSCRIPTION["MessageId"])
    for member in ("Token", "SubscribeURL", "Message", "Timestamp"):
        with pytest.raises(BadSignature):
            verified(changed(body, **{member: "another"}))


VALIDATED = json.loads(Path(__file__).with_name("sns_validator.json").read_text(encoding="utf-8"))
"""Messages, and what AWS's own validator for Node says of each."""


@pytest.mark.parametrize("message", VALIDATED["messages"], ids=lambda each: each["what"])
def test_the_validator_of_aws_says_the_same(message: dict[str, Any]) -> None:
    scheme = SNSSignature(TOPIC, certificates=Certificates(known={URL: VALIDATED["certificate"].encode()}))
    check = scheme.verify(RequestHead.of({}), NOW)
    # It reads an UnsubscribeConfirmation as a Notification, without its Token, which AWS documents as signed.
    if message["accepted"] or message["what"].startswith("unsubscribe"):
        assert check(message["body"].encode()).by == 0
    else:
        with pytest.raises(BadSignature):
            check(message["body"].encode())


def test_a_certificate_that_is_at_hand_is_not_fetched() -> None:
    aws = AWS()
    known = SNSSignature(TOPIC, certificates=Certificates(aws.fetch, known={URL: certificate()}))
    assert known.verify(RequestHead.of({}), NOW)(signed()).body
    assert aws.asked == []
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Certificates(known={URL: b"none"})


def test_what_aws_does_not_sign_makes_the_body_unproven() -> None:
    body = signed()
    assert verified(changed(body, MessageAttributes={"a": {"Type": "String", "Value": "b"}})).body is False
    assert verified(changed(body, New="member")).body is False
    assert verified(changed(body, UnsubscribeURL="https://example.com/")).body is False
    assert verified(changed(signed(SUBSCRIPTION), Subject="not signed in a confirmation")).body is False


@pytest.mark.parametrize(
    "target",
    [
        f"?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=x",
        f"?Action=Unsubscribe&SubscriptionArn={TOPIC}2:c9135db0",
        f"?Action=Unsubscribe&SubscriptionArn={TOPIC}",
        f"?Action=Unsubscribe&Action=DeleteTopic&SubscriptionArn={TOPIC}:c9135db0",
        f"?Action=Unsubscribe&SubscriptionArn={TOPIC}:c9135db0&TopicArn={TOPIC}",
        f"?Action=DeleteTopic&SubscriptionArn={TOPIC}:c9135db0",
        f"more?Action=Unsubscribe&SubscriptionArn={TOPIC}:c9135db0",
        "?Action=Unsubscribe",
        "",
    ],
)
def test_a_url_of_aws_that_does_more_than_end_a_subscription_makes_the_body_unproven(target: str) -> None:
    assert verified(signed()).body
    assert verified(changed(signed(), UnsubscribeURL=f"https://{HOST}/{target}")).body is False


# what is rejected


@pytest.mark.parametrize(
    ("body", "error", "why"),
    [
        (b"", MissingSignature, "no message of AWS SNS"),
        (b"{}", MissingSignature, "no message of AWS SNS"),
        (b"[]", MissingSignature, "no message of AWS SNS"),
        (b"\xff", MissingSignature, "no message of AWS SNS"),
        (b"[" * 100_000, MissingSignature, "no message of AWS SNS"),
        (b'{"order": 7}', MissingSignature, "a raw one has none"),
        (signed()[:-1] + b', "Message": "another"}', MissingSignature, "no message"),
        (changed(signed(), Type="Other"), MalformedSignature, "the Type of the message"),
        (changed(signed(), Type=["Notification"]), MissingSignature, "no message"),
        (changed(signed(), Message=None), MalformedSignature, "the message has no Message"),
        (changed(signed(), Message={"a": 1}), MalformedSignature, "the message has no Message"),
        (changed(signed(), Subject=7), MalformedSignature, "the message has no Subject"),
        (changed(signed(), MessageId="a" * 3000), MalformedSignature, "the message has no MessageId"),
        (changed(signed(), SignatureVersion="3"), MalformedSignature, "SignatureVersion"),
        (changed(signed(), SignatureVersion=1), MalformedSignature, "SignatureVersion"),
        (changed(signed(), SignatureVersion=["1"]), MalformedSignature, "SignatureVersion"),
        (changed(signed(), Signature=""), MalformedSignature, "not base64"),
        (changed(signed(), Signature="é"), MalformedSignature, "not base64"),
        (changed(signed(), Signature="AAAA AAAA"), MalformedSignature, "not base64"),
        (changed(signed(), Signature=None), MalformedSignature, "not base64"),
        (signed(TopicArn=OTHER), BadSignature, "of another topic"),
        (signed(TopicArn=TOPIC + "x"), BadSignature, "of another topic"),
        (changed(signed(), SigningCertURL=None), BadSignature, "SigningCertURL"),
        (signed(url="https://example.com/SimpleNotificationService-0.pem"), BadSignature, "SigningCertURL"),
        (signed(url=URL.replace("eu-central-1", "us-east-1")), BadSignature, f"a certificate at {HOST}"),
    ],
)
def test_what_is_no_message_of_the_topic_is_rejected_and_nothing_is_fetched(body: bytes, error: Any, why: str) -> None:
    aws = AWS()
    with pytest.raises(error, match=why):
        verified(body, aws)
    assert aws.asked == []


def test_a_copy_cannot_be_read_in_another_way() -> None:
    """The bytes that are signed stay the same, and a piece moves from one member to the next."""
    body = signed(Message="Hello\nMessageId\n7", Subject=...)
    moved = changed(body, Message="Hello", MessageId=f"7\nMessageId\n{NOTIFICATION['MessageId']}")
    with pytest.raises(MalformedSignature, match="MessageId"):
        verified(moved)
    with_subject = signed(Message="Hello")
    moved = changed(with_subject, MessageId=f"{NOTIFICATION['MessageId']}\nSubject\nMy First Message", Subject=None)
    with pytest.raises(MalformedSignature, match="MessageId"):
        verified(moved)


@pytest.mark.parametrize("now", [NOW - 86_401, NOW + 86_401])
def test_a_certificate_counts_for_its_time_only(now: float) -> None:
    assert verified(signed(), now=NOW + 86_399).body
    with pytest.raises(BadSignature, match="not valid at this time, by our clock"):
        verified(signed(), now=now)


# certificates


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        (URL, True),
        (URL.replace("https", "http"), False),
        (URL + "?", False),
        (URL + "#x", False),
        (URL + "\n", False),
        (URL.replace("/Simple", "/../Simple"), False),
        (URL.replace("/Simple", "//Simple"), False),
        (URL.replace(".pem", ".crt"), False),
        (URL.replace("0a", "0A"), False),
        (URL.replace("0a0a", "%30a0a"), False),
        (URL.replace(HOST, HOST + ":443"), False),
        (URL.replace(HOST, HOST + "."), False),
        (URL.replace(HOST, HOST.upper()), False),
        (URL.replace(HOST, "user@" + HOST), False),
        (URL.replace(HOST, HOST + "@example.com"), False),
        (URL.replace(HOST, HOST + ".example.com"), False),
        (URL.replace(HOST, "example.com/" + HOST), False),
        (URL.replace(HOST, "example.com\\" + HOST), False),
        (URL.replace(HOST, "sns.us-east-1.amazonaws.com"), False),
        (URL.replace(HOST, "s3.eu-central-1.amazonaws.com"), False),
        (URL.replace("https://", "https:"), False),
        ("", False),
        (None, False),
        ([URL], False),
    ],
)
def test_a_certificate_is_at_the_host_of_the_topic_or_none(url: Any, is_one: bool) -> None:
    assert is_certificate(url, HOST) is is_one


@pytest.mark.parametrize(
    ("topic", "host"),
    [
        (TOPIC, HOST),
        ("arn:aws-cn:sns:cn-north-1:123456789012:orders", "sns.cn-north-1.amazonaws.com.cn"),
        ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:orders", "sns.us-gov-west-1.amazonaws.com"),
        ("arn:aws:sns:ap-southeast-2:123456789012:orders_A-1.fifo", "sns.ap-southeast-2.amazonaws.com"),
    ],
)
def test_a_topic_has_one_host(topic: str, host: str) -> None:
    assert host_of(topic) == host
    assert is_of_host(f"https://{host}/", host)


@pytest.mark.parametrize(
    "topic",
    [
        "orders",
        "arn:aws:sqs:eu-central-1:123456789012:orders",
        "arn:aws:sns:eu-central-1:123456789012:",
        "arn:aws:sns:eu-central-1:123456789012:a b",
        "arn:aws:sns:example.com/:123456789012:orders",
        "arn:aws:sns:eu-central-1.example.com:123456789012:orders",
        "arn:aws:sns:eu-central-1:123:orders",
        TOPIC + "\nx",
        "",
        [],
    ],
)
def test_a_topic_is_an_arn(topic: Any) -> None:
    with pytest.raises(ConfigurationError):
        aws_sns(topic)


def receiver(sender: Sender, **options: Any) -> WebhookReceiver:
    hooks = WebhookReceiver(sender=sender, clock=lambda: NOW, **options)
    hooks.on(Event)(lambda event: None)
    return hooks


async def test_a_certificate_is_fetched_once() -> None:
    aws = AWS()
    hooks = receiver(aws.sender([OTHER, TOPIC]))
    for body in (signed(), signed(TopicArn=OTHER), signed(Message="another"), signed(SUBSCRIPTION)):
        assert (await hooks.receive({}, body)).response.status == 204
    assert (await hooks.receive({}, changed(signed(), Message="forged"))).response.status == 401
    assert aws.asked == [URL]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (KeysUnavailable(f"{HOST} answered 503"), "answered 503"),
        (OSError("away"), "OSError"),
        (b"<html>", "cannot be read"),
        (b"", "cannot be read"),
        (certificate(P256[0]), "no key of RSA"),
    ],
)
async def test_while_no_certificate_can_be_had_it_is_503(document: Any, why: str) -> None:
    aws = AWS(document)
    receipt = await receiver(aws.sender()).receive({}, signed())
    assert receipt.response.status == 503
    assert why in str(receipt.error)


async def test_strangers_cannot_make_us_ask_aws_for_ever_and_known_certificates_go_on() -> None:
    aws = AWS()
    hooks = receiver(aws.sender())
    assert (await hooks.receive({}, signed())).response.status == 204
    aws.document = KeysUnavailable(f"{HOST} answered 404")
    made_up = [URL.replace("0a0a", f"{number:04x}") for number in range(50)]
    answered = [(await hooks.receive({}, signed(url=url))).response.status for url in made_up]
    assert answered == [503] * 50
    assert len(aws.asked) == 8
    assert (await hooks.receive({}, signed())).response.status == 204


async def test_after_a_restart_made_up_certificates_keep_no_genuine_one_out() -> None:
    aws = AWS()
    hooks = receiver(aws.sender())
    genuine, aws.document = aws.document, KeysUnavailable(f"{HOST} answered 404")
    for number in range(200):
        url = URL.replace("0a0a", f"{number:04x}")
        assert (await hooks.receive({}, signed(url=url))).response.status == 503
    aws.document = genuine
    answered = [(await hooks.receive({}, signed())).response.status for _ in range(3)]
    assert answered == [503, 204, 204], "no stranger names a certificate again"


async def test_who_knows_one_topic_keeps_out_no_topic_of_another_region() -> None:
    far = TOPIC.replace("eu-central-1", "us-east-1")
    there = HOST.replace("eu-central-1", "us-east-1")
    aws = AWS()
    hooks = receiver(aws_sns([TOPIC, far], certificates=Certificates(aws.fetch)))
    for number in range(50):
        await hooks.receive({}, signed(url=URL.replace("0a0a", f"{number:04x}")))
    message = signed(url=URL.replace(HOST, there), TopicArn=far)
    assert (await hooks.receive({}, message)).response.status == 204


async def test_the_certificate_comes_from_a_server_over_tls() -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with serving(ok(certificate()), tls) as served:

        async def fetch(url: str) -> bytes:
            import httpx

            context = ssl.create_default_context()
            authority.configure_trust(context)
            async with httpx.AsyncClient(verify=context) as client:
                return (await client.get(url.replace(f"https://{HOST}/", served.url + "/"))).content

        hooks = receiver(aws_sns(TOPIC, certificates=Certificates(fetch)))
        assert (await hooks.receive({}, signed())).response.status == 204
        assert served.paths == ["/keys/" + URL.rpartition("/")[2]]


# events


async def test_the_messages_are_events_of_their_own() -> None:
    hooks, seen = WebhookReceiver(sender=AWS().sender(), clock=lambda: NOW), list[Any]()

    @hooks.on(Notification)
    def note(event: Notification) -> None:
        seen.append((event.message, event.subject, event.message_id, event.topic_arn, event.timestamp))

    assert (await hooks.receive({"content-type": "text/plain; charset=UTF-8"}, signed())).response.status == 204
    names = ("Message", "Subject", "MessageId", "TopicArn", "Timestamp")
    assert seen == [tuple(NOTIFICATION[name] for name in names)]


async def test_a_message_that_comes_again_is_a_duplicate_and_the_same_text_again_is_none() -> None:
    hooks = receiver(AWS().sender(), inbox="memory:", work=False)
    async with hooks:
        bodies = [
            signed(),
            changed(signed(), UnsubscribeURL=NOTIFICATION["UnsubscribeURL"] + "1"),
            signed(MessageId="2"),
        ]
        answered = [(await hooks.receive({}, body)).response.status for body in bodies]
    assert answered == [202, 200, 202]


@pytest.mark.parametrize("extra", [{"MessageAttributes": {"x": 1}}, {"Unsigned": 1}])
@pytest.mark.parametrize("split", [None, Split("Message.Records.*")])
async def test_a_copy_with_a_member_that_nobody_signs_is_a_duplicate(extra: Any, split: Split | None) -> None:
    hooks = receiver(replace(AWS().sender(), split=split), inbox="memory:", work=False)
    records = json.dumps({"Records": [{"Type": "put"}, {"Type": "put"}]})
    first, second = signed(Message=records), signed(Message=records, MessageId="2")
    async with hooks:
        bodies = first, changed(first, **extra), changed(second, **extra), second
        answered = [(await hooks.receive({}, body)).response.status for body in bodies]
    assert answered == [202, 200, 202, 200]


async def test_the_text_of_a_message_may_be_the_events() -> None:
    hooks, seen = (
        WebhookReceiver(sender=replace(AWS().sender(), split=Split("Message.Records.*")), clock=lambda: NOW),
        [],
    )
    hooks.on(Event)(lambda event: seen.append(event.model_dump()))
    records = json.dumps({"Records": [{"Type": "put", "key": 1}, {"Type": "put", "key": 2}]})
    assert (await hooks.receive({}, signed(Message=records))).response.status == 204
    assert len(seen) == 2


async def test_certificates_that_strangers_make_up_keep_no_genuine_message_out() -> None:
    aws, now = AWS(), [NOW]
    hooks = WebhookReceiver(sender=aws.sender(), clock=lambda: now[0])
    assert (await hooks.receive({}, signed())).response.status == 204
    now[0] += 86_400
    genuine, aws.document = aws.document, KeysUnavailable("there is none")
    for number in range(10):
        url = f"https://{HOST}/SimpleNotificationService-{number:032x}.pem"
        assert (await hooks.receive({}, signed(url=url))).response.status == 503
    assert len(aws.asked) == 1 + 8
    aws.document = genuine
    assert (await hooks.receive({}, signed(MessageId="2"))).response.status == 204
    assert aws.asked[9:] == [URL]


async def test_bodies_that_wait_for_certificates_are_bounded_in_bytes_and_known_ones_go_on() -> None:
    aws, now, go = AWS(), [NOW], asyncio.Event()

    async def fetch(url: str) -> bytes:
        aws.asked.append(url)
        await go.wait()
        return certificate(end=NOW + 10 * 86_400)

    go.set()
    scheme = SNSSignature(TOPIC, certificates=Certificates(fetch))
    sender = replace(aws.sender(), scheme=scheme)
    hooks = WebhookReceiver(sender=sender, clock=lambda: now[0], max_body=10_000, max_bodies=50_000)
    hooks.on(Event)(lambda event: None)
    assert (await hooks.receive({}, signed())).response.status == 204
    go.clear()
    now[0] += 86_400
    large = [signed(url=URL.replace("0a0a", f"{number % 4:04x}"), Message="x" * 8_000) for number in range(20)]
    posts = [asyncio.create_task(hooks.receive({}, each)) for each in large]
    await until(lambda: sum(not each.done() for each in posts) == 5)
    assert {each.result().response.status for each in posts if each.done()} == {503}
    assert hooks.rejected == {"Overloaded": 15}
    known = asyncio.create_task(hooks.receive({}, signed(MessageId="2")))
    await until(lambda: aws.asked[-1] == URL)
    go.set()
    assert (await known).response.status == 204
    assert sorted([(await each).response.status for each in posts]) == [204] * 5 + [503] * 15
    assert (await hooks.receive({}, signed(MessageId="3", Message="x" * 8_000))).response.status == 204


# confirming


def subscription(**members: Any) -> SubscriptionConfirmation:
    return SubscriptionConfirmation.model_validate({"event": "SubscriptionConfirmation", **SUBSCRIPTION, **members})


def attempt(body: bytes, body_verified: bool = True) -> Attempt:
    return Attempt(Delivery("d-1", "aws_sns", (), body, NOW, 0, body_verified), "confirm", 1)


async def test_a_subscription_is_confirmed_only_where_that_is_asked_for() -> None:
    confirmed: list[str] = []

    async def fetch(url: str) -> bytes:
        confirmed.append(url)
        return b"<ConfirmSubscriptionResponse/>"

    hooks = receiver(AWS().sender())
    assert (await hooks.receive({}, signed(SUBSCRIPTION))).response.status == 204
    assert confirmed == []

    @hooks.on(SubscriptionConfirmation)
    async def confirming(event: SubscriptionConfirmation, attempt: Attempt) -> None:
        await confirm(event, attempt, fetch=fetch)

    forged = changed(signed(SUBSCRIPTION), Token="another")
    assert (await hooks.receive({}, forged)).response.status == 401
    assert (await hooks.receive({}, signed(SUBSCRIPTION, TopicArn=OTHER))).response.status == 401
    assert confirmed == []
    assert (await hooks.receive({}, signed(SUBSCRIPTION))).response.status == 204
    assert confirmed == [SUBSCRIPTION["SubscribeURL"]]


def test_it_can_be_registered_as_it_is() -> None:
    hooks = WebhookReceiver(sender=AWS().sender())
    hooks.on(SubscriptionConfirmation)(confirm)
    assert hooks.handlers[0].name == "webhook_receiver.senders.aws_sns:confirm"


async def test_a_confirmation_that_fails_is_delivered_again() -> None:
    async def fetch(url: str) -> bytes:
        raise KeysUnavailable(f"{HOST} answered 500")

    hooks = WebhookReceiver(sender=AWS().sender(), clock=lambda: NOW)

    @hooks.on(SubscriptionConfirmation)
    async def confirming(event: SubscriptionConfirmation, attempt: Attempt) -> None:
        await confirm(event, attempt, fetch=fetch)

    assert (await hooks.receive({}, signed(SUBSCRIPTION))).response.status == 500


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/?Action=ConfirmSubscription&TopicArn=" + TOPIC,
        f"https://{HOST}.example.com/?Action=ConfirmSubscription&TopicArn={TOPIC}",
        f"http://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}",
        f"https://{HOST}/other?Action=ConfirmSubscription&TopicArn={TOPIC}",
        f"https://{HOST}/?Action=DeleteTopic&TopicArn={TOPIC}",
        f"https://{HOST}/?Action=ConfirmSubscription&Action=DeleteTopic&TopicArn={TOPIC}",
        f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={OTHER}",
        f"https://{HOST}/?Action=ConfirmSubscription",
    ],
)
async def test_no_other_url_is_requested(url: str) -> None:
    async def fetch(url: str) -> bytes:
        raise AssertionError("it is requested")

    with pytest.raises(GiveUp, match="none that confirms"):
        await confirm(subscription(SubscribeURL=url), attempt(signed(SUBSCRIPTION, SubscribeURL=url)), fetch=fetch)
    with pytest.raises(GiveUp, match="not verified"):
        await confirm(subscription(), attempt(signed(SUBSCRIPTION), body_verified=False), fetch=fetch)


@pytest.mark.parametrize("topic", [TOPIC, OTHER])
@pytest.mark.parametrize(("place", "inside"), [("Message", "{}"), ("Message.Records.*", '{{"Records": [{}]}}')])
async def test_what_somebody_has_published_confirms_nothing(topic: str, place: str, inside: str) -> None:
    confirmed: list[str] = []

    async def fetch(url: str) -> bytes:
        confirmed.append(url)
        return b""

    hooks = WebhookReceiver(sender=replace(AWS().sender(), split=Split(place)), clock=lambda: NOW)
    given_up: list[str] = []

    @hooks.on(SubscriptionConfirmation)
    async def confirming(event: SubscriptionConfirmation, attempt: Attempt) -> None:
        try:
            await confirm(event, attempt, fetch=fetch)
        except GiveUp as error:
            given_up.append(str(error))

    forged = SUBSCRIPTION | {"TopicArn": topic, "SubscribeURL": SUBSCRIPTION["SubscribeURL"].replace(TOPIC, topic)}
    for members in (forged, json.loads(signed(forged))):
        text = inside.format(json.dumps(members))
        assert (await hooks.receive({}, signed(Message=text, MessageId=str(len(members))))).response.status == 204
    assert (confirmed, len(given_up)) == ([], 2)
    assert (await hooks.receive({}, signed(SUBSCRIPTION))).response.status == 204
    assert confirmed == [SUBSCRIPTION["SubscribeURL"]], "one from AWS is confirmed, where its text is no event"


@pytest.mark.parametrize("body", [b"", b"[]", json.dumps(SUBSCRIPTION).encode(), signed(TopicArn=OTHER)])
async def test_a_delivery_that_is_no_confirmation_confirms_nothing(body: bytes) -> None:
    async def fetch(url: str) -> bytes:
        raise AssertionError("it is requested")

    with pytest.raises(GiveUp, match="confirm"):
        await confirm(subscription(), attempt(body), fetch=fetch)


def test_no_token_is_shown() -> None:
    assert SUBSCRIPTION["Token"] not in repr(subscription())


# the rest of a scheme


def test_it_signs_nothing_itself() -> None:
    scheme = AWS().scheme()
    head = scheme.sign(RequestHead.of({}), signed(), NOW)
    assert dict(head.headers)[b"x-amz-sns-message-type"] == b"Notification"
    for body in (b"{}", signed(TopicArn=OTHER)):
        with pytest.raises(ConfigurationError, match=r"which signed_message\(\.\.\.\) does"):
            scheme.sign(RequestHead.of({}), body, NOW)


def test_it_is_explained() -> None:
    aws = AWS()
    certificates = Certificates(aws.fetch)
    told = partial(explain, {}, secrets=TOPIC, make=partial(SNSSignature, certificates=certificates), now=NOW)
    assert told(body=signed()).ok
    assert "is of another topic" in str(told(body=signed(TopicArn=OTHER)))
    assert "the message was changed on the way" in str(told(body=changed(signed(), Message="x")))
    aws.document = KeysUnavailable(f"{HOST} answered 500")
    assert told(body=signed(url=URL.replace("0a0a", "0b0b"))).error == "KeysUnavailable"


_KNOWN = Certificates(AWS().fetch)


class TestAwsSns(SenderSuite):
    secrets = (TOPIC, OTHER)
    event = None
    body = signed()
    uncovered = frozenset({"x-amz-sns-message-type", "x-amz-sns-message-id", "x-amz-sns-topic-arn"})

    @pytest.fixture(autouse=True)
    def _know_the_certificate(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        try:
            _KNOWN.get(URL, 1_765_433_012.0)
        except KeysNeeded as needed:
            fetched(needed)

    def sender(self, secrets: Sequence[str]) -> Sender:
        return aws_sns(list(secrets), certificates=_KNOWN)

    def body_of(self, secrets: Sequence[str]) -> bytes:
        return signed(TopicArn=secrets[0])

    async def test_without_any_part_of_the_proof_it_is_rejected(self) -> None:
        for member in ("Signature", "SignatureVersion", "SigningCertURL"):
            await self.reject(self.receiver(), self.request(), self.body.replace(f'"{member}"'.encode(), b'"x"'))

    async def test_every_byte_of_the_body_counts_if_it_is_signed(self) -> None:
        handled, body = self.receiver(), json.loads(self.body)
        for member in body.keys() - {"UnsubscribeURL", "SigningCertURL"}:
            for at, char in enumerate(body[member]):
                other = body[member][:at] + ("x" if char != "x" else "y") + body[member][at + 1 :]
                await self.reject(handled, self.head(), changed(self.body, **{member: other}))

    async def test_while_the_secret_is_changed_both_are_taken(self) -> None:
        handled = self.receiver()
        for topic in self.secrets:
            await self.accept(handled, self.head(), self.body_of([topic]))
        assert handled.hooks.verified == {0: 2}

    async def test_somebody_else_with_another_secret_is_rejected(self) -> None:
        await self.reject(self.receiver(secrets=[TOPIC]), self.head(), self.body_of([OTHER]))

    async def test_a_secret_is_told_nowhere(self, caplog: pytest.LogCaptureFixture) -> None:
        """There is none: a topic is no secret, and the signature is in the body, which is stored."""


class TestMaxarBySns(TestAwsSns):
    """Maxar's notifications are messages of AWS SNS: all that holds for these holds for them."""

    def sender(self, secrets: Sequence[str]) -> Sender:
        return replace(maxar_sns(list(secrets)), scheme=super().sender(secrets).scheme)
