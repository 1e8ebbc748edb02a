"""Bodies that are text: XML and whatever else is no JSON."""

from __future__ import annotations

import json

import pytest

from tests.working import deliver, durable, settled
from webhook_receiver import Event, Sender, Unsigned, WebhookReceiver
from webhook_receiver.senders.cloudevents import binary_event
from webhook_receiver.senders.text import text_document, text_of

XML = '<?xml version="1.0" encoding="{}"?><a>é</a>'


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<a>é</a>".encode(), "<a>é</a>"),
        ("<a>é</a>".encode("utf-8-sig"), "<a>é</a>"),
        ("<a>é</a>".encode("utf-16"), "<a>é</a>"),
        (XML.format("ISO-8859-15").encode("latin-1"), XML.format("ISO-8859-15")),
        (XML.format("hex").encode(), XML.format("hex")),  # no encoding of texts
        (XML.format("utf-8").encode("latin-1"), XML.format("utf-8")),
        (b"\xff\x00", "ÿ\x00"),
        (b"plain", "plain"),
        (b"", ""),
    ],
)
def test_a_text_is_the_body_of_a_document(body: bytes, text: str) -> None:
    assert json.loads(text_document(body)) == {"body": text}
    assert text_of(body) == text


@pytest.mark.parametrize("body", [b'{"a": 1}', b"[]", '{"a": 1}'.encode("utf-16"), b'{"a": "\\ud83d"}', b"null"])
def test_json_stays_as_it_is(body: bytes) -> None:
    assert text_document(body) == body


async def test_xml_reaches_the_handler_of_its_name() -> None:
    sender = Sender(name="old", scheme=Unsigned(), facts=("x",), decode=text_document, event_name="text:order")
    hooks = durable(sender=sender)
    noted = list[object]()
    hooks.on("order")(lambda event: noted.append(event.body))
    async with hooks:
        await settled(hooks, await deliver(hooks, b"<order/>"))
    assert noted == ["<order/>"]


@pytest.mark.parametrize("depth", [1, 2, 3])
async def test_a_text_of_json_is_read_as_that_json(depth: int) -> None:
    hooks = WebhookReceiver(scheme=Unsigned())
    noted = list[Event]()
    hooks.on("moved")(noted.append)
    body: object = {"event": "moved", "n": 1}
    for _ in range(depth):
        body = json.dumps(body)
    for encoding in ("utf-8", "utf-16"):
        receipt = await hooks.receive({}, json.dumps(body).encode(encoding))
        assert (receipt.response.status, receipt.event) == (204, noted[-1])


@pytest.mark.parametrize("text", ["moved", "{moved", '{"n": 1}', "[1]"])
async def test_a_text_of_anything_else_goes_to_the_fallback(text: str) -> None:
    hooks = WebhookReceiver(scheme=Unsigned())
    noted = list[Event]()
    hooks.fallback(noted.append)
    await hooks.receive({}, json.dumps(text).encode())
    assert [each.event for each in noted] == [""]


@pytest.mark.parametrize(
    "charset",
    [
        *(
            "utf-8",
            "UTF8",
            "utf_16",
            "UTF-16LE",
            "utf-32-be",
            "us-ascii",
            "ASCII",
            "ISO-8859-1",
            "iso8859_15",
            "latin1",
        ),
        *("windows-1252", "cp1251", "KOI8-R", "koi8_u", "Shift_JIS", "EUC-JP", "euc_kr", "GB2312", "GBK", "gb18030"),
        "Big5",
    ],
)
def test_the_usual_encodings_are_read(charset: str) -> None:
    assert text_of("<a b='1'>".encode(charset), charset) == "<a b='1'>"


@pytest.mark.parametrize(
    ("charset", "body"),
    [
        ("punycode", b"a-caf"),
        ("idna", b"xn--caf-dma"),
        ("utf-7", b"+ADw-a+AD4-"),
        ("utf_7", b"+ADw-a+AD4-"),
        ("unicode_escape", b"\\x3ca\\x3e"),
        ("raw-unicode-escape", b"\\u003c"),
        ("cp037", b"LmL"),
        ("mbcs", b"a"),
        ("utf-8-sig", b"a"),
        ("rot13", b"abc"),
        ("no-such", b"a"),
    ],
)
def test_another_encoding_does_not_count(charset: str, body: bytes) -> None:
    assert text_of(body, charset) == body.decode()
    declared = f"<?xml version='1.0' encoding='{charset}'?>".encode() + body
    assert text_of(declared) == declared.decode()
    headers = {"ce-specversion": "1.0", "content-type": f"text/plain; charset={charset}"}
    event = binary_event(body, [(name.encode(), value.encode()) for name, value in headers.items()])
    assert json.loads(event)["data"] == body.decode()
