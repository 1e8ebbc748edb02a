"""Names of events: from wherever a sender has them, into the document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webhook_receiver import NotAnEvent
from webhook_receiver.senders.event_names import EventNames


def named(body: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    return EventNames(event_header="X-Event").named(body, headers)


HEADERS = [(b"content-type", b"application/json"), (b"x-event", b"push")]


@pytest.mark.parametrize("body", ["{}", " {\n} ", '{"a": 1}', '\t{"a": {"event": "other"}}\r\n', '{"a": "}"}'])
def test_the_name_is_as_if_it_were_in_the_body(body: str) -> None:
    assert json.loads(named(body.encode(), HEADERS)) == json.loads(body) | {"event": "push"}


values = st.none() | st.integers() | st.text(max_size=5) | st.dictionaries(st.text(max_size=5), st.text(max_size=5))


@given(st.dictionaries(st.text(max_size=5), values, max_size=4), st.text(min_size=1, max_size=9))
def test_whatever_the_object_and_the_name_are(document: dict[str, Any], name: str) -> None:
    wire = name.encode("utf-8", "surrogatepass")
    found = json.loads(named(json.dumps(document).encode(), [(b"x-event", wire)]))
    assert found == document | {"event": wire.decode("latin-1")}


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'"{}"', b"{", b"}", b"\xef\xbb\xbf[]", b"a{}", b"{}a"])
def test_what_is_no_object_is_no_event(body: bytes) -> None:
    with pytest.raises(NotAnEvent, match="no JSON object"):
        named(body, HEADERS)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_body_in_another_encoding_gets_its_event_from_the_header(encoding: str) -> None:
    assert json.loads(named('{"a": "é"}'.encode(encoding), HEADERS)) == {
        "a": "é",
        "event": "push",
    }


def is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@given(st.text('{}[]",:a1\\ ', max_size=12).map(lambda inner: f"{{{inner}}}".encode()))
@example(b'{"a":"}')
@example(b'{"a":1,}')
@example(b'{"a":1}{"a":1}')
def test_what_is_no_json_does_not_become_any(body: bytes) -> None:
    assert is_json(named(body, HEADERS)) == is_json(body)


@pytest.mark.parametrize("headers", [[], [(b"x-event", b"")], [(b"x-events", b"push")]])
def test_a_delivery_without_the_header_is_no_event(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(NotAnEvent, match="no header x-event"):
        named(b"{}", headers)
