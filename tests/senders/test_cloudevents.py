"""CloudEvents: structured, batched and binary, and who may send the binary mode."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.working import durable, until
from webhook_receiver import (
    BasicAuth,
    ConfigurationError,
    Event,
    HMACBody,
    Scheme,
    StandardWebhooks,
    UnknownEvent,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.cloudevents import binary_event, cloudevents

EVENT = {"specversion": "1.0", "type": "moved", "source": "/parcels", "id": "1", "data": {"n": 1}}
HEAD = {"ce-specversion": "1.0", "ce-type": "moved", "ce-source": "/parcels", "ce-id": "1"}


def signing(*parts: str) -> HMACBody:
    return HMACBody(
        "secret", signature="x-signature", signed="".join(f"{{header:{each}}}." for each in parts) + "{body}"
    )


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


@pytest.mark.parametrize(
    "scheme",
    [signing(), StandardWebhooks("whsec_" + "c2VjcmV0" * 4), signing("ce-id", "ce-type"), signing("ce-source")],
)
def test_attributes_that_no_signature_covers_are_not_read(scheme: Scheme) -> None:
    with pytest.raises(ConfigurationError, match="binary=True needs a signature over ce-"):
        cloudevents(scheme, binary=True)
    hooks = WebhookReceiver(sender=cloudevents(scheme))
    hooks.fallback(lambda event: None)
    assert hooks.parse(b'{"n": 1}', RequestHead.of(HEAD).headers).event == ""


@pytest.mark.parametrize(
    "scheme", [signing("ce-id", "ce-source", "ce-type"), BasicAuth("p", username="us"), Unsigned()]
)
def test_attributes_that_are_proven_are_read(scheme: Scheme) -> None:
    assert cloudevents(scheme, binary=True).envelope is binary_event


async def test_the_origins_are_answered() -> None:
    hooks = WebhookReceiver(sender=cloudevents(Unsigned(), origins=("acme.example",)))
    receipt = await hooks.receive({"webhook-request-origin": "acme.example"}, b"", method="OPTIONS")
    assert receipt.response.headers["webhook-allowed-origin"] == "acme.example"
