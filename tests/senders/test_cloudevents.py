"""CloudEvents: structured, batched and binary, and who may send the binary mode."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import pytest

from tests.signatures.keys import ED25519, WHPK, public_pem
from tests.working import durable, until
from webhook_receiver import (
    AllowFrom,
    AnyOf,
    BasicAuth,
    BearerJWT,
    ConfigurationError,
    Event,
    HMACBody,
    PublicKeyBody,
    Scheme,
    Secret,
    SecretsByRequest,
    StandardWebhooks,
    UnknownEvent,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.cloudevents import binary_event, cloudevents
from webhook_receiver.signatures.public_key_body import Algorithm as PublicKeyAlgorithm

EVENT = {"specversion": "1.0", "type": "moved", "source": "/parcels", "id": "1", "data": {"n": 1}}
HEAD = {"ce-specversion": "1.0", "ce-type": "moved", "ce-source": "/parcels", "ce-id": "1"}


def signing(*parts: str) -> HMACBody:
    return HMACBody(
        "secret", signature="x-signature", signed="".join(f"{{header:{each}}}\n" for each in parts) + "{body}"
    )


async def lookup(tenant: str) -> str:
    return "secret"


def event_of(body: bytes, headers: dict[str, str] | None = None, **options: Any) -> UnknownEvent:
    hooks = WebhookReceiver(sender=cloudevents(Unsigned(), **options))
    hooks.fallback(lambda event: None)
    event = hooks.parse(body, RequestHead.of(headers or {}).headers)
    assert isinstance(event, UnknownEvent)
    return event


def binary(body: bytes, kind: str | None = "application/json", **attributes: str) -> dict[str, Any]:
    """Return the document of a delivery in the binary mode."""
    headers = HEAD | {f"ce-{name}": value for name, value in attributes.items()}
    if kind is not None:
        headers["content-type"] = kind
    found: dict[str, Any] = json.loads(binary_event(body, RequestHead.of(headers).headers))
    return found


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_structured_event_is_read_in_any_charset(charset: str) -> None:
    body = json.dumps(EVENT | {"subject": "é"}, ensure_ascii=False).encode(charset)
    event = event_of(body, {"content-type": f"application/cloudevents+json; charset={charset}"})
    assert (event.event, event.model_extra and event.model_extra["subject"]) == ("moved", "é")
    assert not hasattr(event, "time")


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("iso-8859-1", "Müller"),
        ("ISO_8859-1", "é"),
        ("windows-1251", "Привет"),
        ("koi8-r", "мир"),
        ("shift_jis", "東京"),
    ],
)
def test_a_structured_event_is_read_by_the_charset_of_a_proven_content_type(charset: str, text: str) -> None:
    body = json.dumps([EVENT | {"subject": text}], ensure_ascii=False).encode(charset)
    headers = {"content-type": f"application/cloudevents-batch+json; charset={charset}"}
    hooks = WebhookReceiver(sender=cloudevents(BasicAuth("password", username="acme"), binary=True))
    event = hooks.parse(body, RequestHead.of(headers).headers)
    assert (event.model_extra or {})["subject"] == text


@pytest.mark.parametrize("charset", ["iso-8859-1", "koi8-r", "no-such", "punycode"])
def test_an_unproven_content_type_changes_no_text(charset: str) -> None:
    body = json.dumps(EVENT | {"subject": "Müller"}, ensure_ascii=False).encode("latin-1")
    headers = {"content-type": f"application/cloudevents+json; charset={charset}"}
    hooks = WebhookReceiver(sender=cloudevents(BasicAuth("password", username="acme")))
    event = hooks.parse(body, RequestHead.of(headers).headers)
    assert (event.model_extra or {})["subject"] == "Müller"


async def test_a_batch_is_its_events_each_known_by_source_and_id() -> None:
    hooks = durable(sender=cloudevents(Unsigned()))
    noted = list[tuple[str, str]]()
    hooks.fallback(lambda event: noted.append((event.event, (event.model_extra or {})["source"])))
    other = EVENT | {"source": "/letters"}
    async with hooks:
        receipts = [
            await hooks.receive({}, json.dumps(each).encode())
            for each in ([EVENT, other], [], EVENT | {"data": 2}, [other, EVENT | {"id": "2"}])
        ]
        await until(lambda: len(noted) == 3)
    assert [each.response.status for each in receipts] == [202, 202, 200, 202]
    assert sorted(noted) == [("moved", "/letters"), ("moved", "/parcels"), ("moved", "/parcels")]


async def test_a_binary_event_is_handled_with_its_attributes() -> None:
    scheme = BasicAuth("password", username="us")
    hooks = durable(sender=cloudevents(scheme, binary=True))
    noted = list[Event]()
    hooks.on("moved")(noted.append)
    async with hooks:
        for id in ("1", "2", "1"):
            head = scheme.sign(RequestHead.of(HEAD | {"ce-id": id, "content-type": "application/json"}), b"{}", 0)
            await hooks.receive(head.headers, b'{"n": 1.10}')
        await until(lambda: len(noted) == 2)
    found = {each.model_extra["id"]: each.model_extra["data"] for each in noted if each.model_extra}
    assert found == {"1": {"n": 1.1}, "2": {"n": 1.1}}


def test_attributes_are_percent_decoded_and_none_is_made_up() -> None:
    found = binary(b"1", subject="caf%C3%A9 %25 %", quoted='"a \\"b\\" %20"', plain="é", odd="%FF", data="no")
    assert {name: found[name] for name in ("subject", "quoted", "plain", "odd", "data")} == {
        "subject": "café % %",
        "quoted": 'a "b"  ',
        "plain": "é",
        "odd": "ÿ",
        "data": 1,
    }
    assert "time" not in found
    assert found["datacontenttype"] == "application/json"


@pytest.mark.parametrize(
    ("body", "kind", "data"),
    [
        (b'{"a": [1]}', "application/json", {"a": [1]}),
        (b'{"a": 1}', "application/vnd.acme+json; charset=utf-8", {"a": 1}),
        (b'{"a": 1}', None, {"a": 1}),
        (b"null", "application/json", None),
        ('{"a": "é"}'.encode("latin-1"), "application/json; charset=ISO-8859-1", {"a": "é"}),
        ('{"a": "é"}'.encode("utf-16"), "application/json; charset=utf-16", {"a": "é"}),
        (b"{no json", "application/json", "{no json"),
        ("<a>é</a>".encode(), "application/xml", "<a>é</a>"),
        ("<a>é</a>".encode("latin-1"), "text/xml; charset=latin-1", "<a>é</a>"),
        ("<a>é</a>".encode("latin-1"), "text/xml; charset=no-such; x=y", "<a>é</a>"),
        (b"hello", "text/plain", "hello"),
    ],
)
def test_the_data_is_json_or_a_text(body: bytes, kind: str | None, data: Any) -> None:
    assert binary(body, kind)["data"] == data


def test_data_of_another_kind_is_base64_and_an_empty_body_is_none() -> None:
    assert binary(b"\x00\xff", "application/octet-stream")["data_base64"] == "AP8="
    assert {"data", "data_base64"}.isdisjoint(binary(b""))
    assert binary_event(b"{}", [(b"ce-type", b"moved")]) == b"{}"
    structured = [(b"ce-specversion", b"1.0"), (b"content-type", b"Application/CloudEvents+json")]
    assert binary_event(b"{}", structured) == b"{}"


CORE = ("ce-specversion", "ce-id", "ce-source", "ce-type", "content-type")


class Own:
    """A scheme of a user's own, over the body, that says nothing of headers."""

    secret_count = 1

    def __init__(self, scheme: Scheme) -> None:
        self.sign, self.verify = scheme.sign, scheme.verify


def by_key(algorithm: PublicKeyAlgorithm) -> Callable[[list[Secret]], Scheme]:
    return partial(PublicKeyBody, algorithm=algorithm, signature="x-signature")


def of_no_form_that_is_known(secrets: list[Secret]) -> Scheme:
    raise ConfigurationError("that is no secret of a tenant")


@pytest.mark.parametrize(
    "scheme",
    [
        signing(),
        StandardWebhooks("whsec_" + "c2VjcmV0" * 4),
        StandardWebhooks(WHPK[0]),
        PublicKeyBody(public_pem(ED25519[0]), algorithm="ed25519", signature="x-signature"),
        BearerJWT("a secret of 32 characters or more", algorithm="HS256", body_claim="hash"),
        Own(signing(*CORE)),
        *(signing(*(each for each in CORE if each != left_out)) for left_out in CORE),
        AnyOf(signing(*CORE), signing()),
        AnyOf(BasicAuth("p", username="us"), signing()),
        AllowFrom(["192.0.2.0/24"], signing()),
        AllowFrom(["192.0.2.0/24"], Own(BasicAuth("p", username="us"))),
        BearerJWT("a secret of 32 characters or more", algorithm="HS256", header=None, prefix=""),
        *(
            SecretsByRequest(lookup, make, tenant="path")
            for make in (*map(by_key, get_args(PublicKeyAlgorithm)), of_no_form_that_is_known)
        ),
        HMACBody(
            "secret", signature="x-s", signed=[*(f"{{header:{each}?}}" for each in CORE), "{body}"], joined_by="."
        ),
    ],
)
def test_attributes_that_no_signature_covers_are_not_read(scheme: Scheme) -> None:
    with pytest.raises(ConfigurationError, match="binary=True needs a signature over "):
        cloudevents(scheme, binary=True)
    hooks = WebhookReceiver(sender=cloudevents(scheme))
    hooks.fallback(lambda event: None)
    assert hooks.parse(b'{"n": 1}', RequestHead.of(HEAD).headers).event == ""


async def received(scheme: Scheme, signed: dict[str, str], change: dict[str, str | None]) -> tuple[int, object]:
    """Return the status of a signed delivery with some headers changed afterwards, and what its event holds."""
    hooks = WebhookReceiver(sender=cloudevents(scheme, binary=True))
    noted = list[Event]()
    hooks.fallback(noted.append)
    body = json.dumps({"data": 1}).encode()
    signer = PROVEN[0] if isinstance(scheme, SecretsByRequest) else scheme
    headers = {name.decode(): value.decode() for name, value in signer.sign(RequestHead.of(signed), body, 0).headers}
    changed = {name: value for name, value in (headers | change).items() if value is not None}
    receipt = await hooks.receive(changed, body)
    return receipt.response.status, noted[0].model_extra if noted else None


SIGNED = HEAD | {"content-type": "application/json", "ce-subject": "7"}
TEMPLATE: dict[str, Any] = {
    "signature": "x-signature",
    "signed": "".join(f"{{header:{each}}}\n" for each in (*CORE, "ce-subject")) + "{body}",
}
PROVEN: list[Scheme] = [
    signing(*CORE, "ce-subject"),
    AnyOf(signing(*CORE, "ce-subject", "x-more"), signing(*CORE, "ce-subject")),
    SecretsByRequest(lookup, partial(HMACBody, **TEMPLATE), tenant=lambda head: "acme"),
]


@pytest.mark.parametrize("scheme", PROVEN)
@pytest.mark.parametrize("name", [*CORE, "ce-subject"])
@pytest.mark.parametrize("value", [None, "application/cloudevents+json"])
async def test_no_attribute_that_is_covered_is_changed_or_left_out(
    scheme: Scheme, name: str, value: str | None
) -> None:
    rejected = {401, 503} if isinstance(scheme, SecretsByRequest) else {401}  # 503 while the secret may be a new one
    status, event = await received(scheme, SIGNED | {"x-more": ""}, {name: value})
    assert status in rejected
    assert event is None


@pytest.mark.parametrize("scheme", PROVEN)
@pytest.mark.parametrize("name", ["ce-time", "ce-dataschema", "ce-priority"])
async def test_an_attribute_that_is_added_is_not_read(scheme: Scheme, name: str) -> None:
    status, event = await received(scheme, SIGNED | {"x-more": ""}, {name: "2025-12-11T06:50:12Z"})
    assert status == 204
    assert isinstance(event, dict)
    assert (event["subject"], event["data"], name.removeprefix("ce-") in event) == ("7", {"data": 1}, False)


@pytest.mark.parametrize("scheme", [BasicAuth("p", username="us"), Unsigned()])
async def test_of_a_request_that_is_proven_as_a_whole_all_attributes_are_read(scheme: Scheme) -> None:
    _, event = await received(scheme, SIGNED | {"ce-priority": "1"}, {})
    assert isinstance(event, dict)
    assert (event["subject"], event["priority"]) == ("7", "1")


def test_one_optional_header_is_covered_whether_it_is_there_or_not() -> None:
    scheme = HMACBody("secret", signature="x-s", signed=["{header:ce-time?}", "{body}"], joined_by=".")
    assert scheme.covered_headers == {b"ce-time"}


async def test_the_origins_are_answered() -> None:
    hooks = WebhookReceiver(sender=cloudevents(Unsigned(), origins=("acme.example",)))
    receipt = await hooks.receive({"webhook-request-origin": "acme.example"}, b"", method="OPTIONS")
    assert receipt.response.headers["webhook-allowed-origin"] == "acme.example"
