from __future__ import annotations

import json
from base64 import b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver.capture.request_files import SavedRequest, from_har, from_http, parse_json

BODY = b'{"a":\n "b"}\r\n\0\xff'
HEAD = b"POST /in?a=b HTTP/1.1\r\nHost: x\r\nX-Name:  two  words \r\nContent-Length: %d\r\n\r\n"


def test_a_body_is_taken_byte_for_byte() -> None:
    saved = from_http(HEAD % len(BODY) + BODY)
    assert (saved.method, saved.target, saved.body, saved.notes) == ("POST", "/in?a=b", BODY, ())
    assert list(saved.headers) == [(b"host", b"x"), (b"x-name", b"two  words"), (b"content-length", b"15")]


def test_a_head_may_end_its_lines_as_an_editor_does() -> None:
    assert from_http((HEAD % len(BODY)).replace(b"\r\n", b"\n") + BODY).body == BODY


@pytest.mark.parametrize("line", [b"POST /in HTTP/1.0", b"POST /in HTTP/2", b"POST /in", b"\r\nPOST /in HTTP/3"])
def test_any_version_will_do_and_a_host_is_not_needed(line: bytes) -> None:
    saved = from_http(line + b"\r\nX: y\r\n\r\nbody")
    assert (saved.method, saved.target, saved.body) == ("POST", "/in", b"body")


def test_a_body_in_chunks_is_put_together() -> None:
    chunks = (
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n2;x=y\r\n\r\n\r\n0\r\nTrailer: z\r\n\r\n"
    )
    assert from_http(chunks).body == b"abcd\r\n"
    assert from_http(chunks).notes == ()


def test_a_body_that_was_put_together_already_is_taken_as_it_is() -> None:
    saved = from_http(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nplain")
    assert saved.body == b"plain"
    assert "no chunks" in saved.notes[0]


def test_what_an_editor_added_is_left_out_and_told() -> None:
    saved = from_http(HEAD % 4 + b"body\n")
    assert saved.body == b"body"
    assert saved.notes == ("the file goes on 1 bytes after the 4 of Content-Length: they are left out",)


def test_what_was_lost_is_told() -> None:
    saved = from_http(HEAD % 9 + b"body")
    assert saved.body == b"body"
    assert "the body has 4 bytes, its Content-Length says 9" in saved.notes[0]


def test_a_head_alone_is_a_request_without_a_body() -> None:
    assert from_http(b"GET / HTTP/1.1\r\nX: y\r\n").body == b""
    assert from_http(b"GET / HTTP/1.1\r\n").headers == []


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"", "its first line is not of the form"),
        (b"{}", "its first line is not of the form"),
        (b"\0" * 100, "its first line is not of the form"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "cannot be read|its first line"),
        (b"POST / HTTP/1.1\r\nX: y\r\nSECRET\r\n\r\n", "illegal header line: line 3 is not of the form  name: value"),
        (b"POST / HTTP/1.1\r\nContent-Length: SECRET\r\n\r\n", "bad Content-Length"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "conflicting Content-Length"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: SECRET\r\n\r\n", "Transfer-Encoding"),
    ],
)
def test_what_is_no_request_is_told_without_quoting_it(raw: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as rejected:
        from_http(raw)
    assert "SECRET" not in str(rejected.value)


def test_its_repr_shows_neither_headers_nor_body() -> None:
    assert repr(from_http(HEAD % 4 + b"body")) == "<SavedRequest POST, 3 headers, 4 bytes>"


parts = st.sampled_from(
    [
        b"POST / HTTP/1.1",
        b"\r\n",
        b"\n",
        b"Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"3\r\nabc\r\n0\r\n\r\n",
        b":",
    ]
)


@given(st.lists(parts | st.binary(max_size=20), max_size=12).map(b"".join))
def test_hostile_files_end_in_a_request_or_a_sentence(raw: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(from_http(raw), SavedRequest)


def har(**request: Any) -> dict[str, Any]:
    return {
        "request": {
            "method": "POST",
            "url": "https://x/in",
            "headers": [{"name": ":method", "value": "POST"}, {"name": "X-Name", "value": "v"}],
            "postData": {"mimeType": "application/json", "text": '{"a": 1}'},
            **request,
        }
    }


def test_a_har_entry_is_read_without_the_headers_of_http_2_itself() -> None:
    for document in (har(), har()["request"], {"log": {"entries": [har()]}}):
        saved = from_har(document)
        assert (saved.method, saved.target, saved.body, saved.notes) == ("POST", "https://x/in", b'{"a": 1}', ())
        assert list(saved.headers) == [(b"x-name", b"v")]


def test_a_har_body_may_be_in_base64() -> None:
    assert from_har(har(postData={"text": b64encode(BODY).decode(), "encoding": "base64"})).body == BODY


@pytest.mark.parametrize("text", [None, ""])
def test_a_har_may_have_the_fields_of_a_form_alone(text: str | None) -> None:
    fields = [{"name": "payload", "value": '{"a": "é"}'}, {"name": "b", "value": ""}]
    saved = from_har(har(postData={"params": fields, "text": text}))
    assert saved.body == b"payload=%7B%22a%22%3A+%22%C3%A9%22%7D&b="
    assert "its escapes may be others" in saved.notes[0]


def test_of_several_entries_one_has_to_be_named() -> None:
    whole = {"log": {"entries": [har(url=f"/{number}") for number in (1, 2, 3)]}}
    assert [from_har(whole, number).target for number in (1, 3, -1, -3)] == ["/1", "/3", "/3", "/1"]
    for number, complaint in (
        (None, "3 entries: say which"),
        (4, "no entry 4"),
        (0, "no entry 0"),
        (-4, "no entry -4"),
    ):
        with pytest.raises(ValueError, match=complaint):
            from_har(whole, number)
    with pytest.raises(ValueError, match="one entry of a HAR"):
        from_har(har(), 2)


def test_what_a_har_cannot_know_is_told() -> None:
    assert "no postData" in from_har(har(postData=None)).notes[0]
    assert "taken as UTF-8" in from_har(har(postData={"text": "é"})).notes[0]
    (note,) = from_har(har(headers=[{"name": "Content-Length", "value": "9"}])).notes
    assert "Content-Length says 9" in note


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "a HAR is a JSON object"),
        ({}, "this is no HAR"),
        ({"log": []}, "the log of a HAR"),
        ({"log": {}}, "no entries"),
        ({"log": {"entries": [1]}}, "each entry"),
        ({"request": 1}, "the request"),
        (har(headers={}), "this is no HAR"),
        (har(headers=[1]), "each header"),
        (har(headers=[{"name": 1, "value": ""}]), "name in a HAR is a text"),
        (har(headers=[{"name": "x"}]), "value in a HAR is a text"),
        (har(method=1), "method"),
        (har(postData=1), "postData"),
        (har(postData={"params": []}), "no text"),
        (har(postData={"params": [{"name": "SECRET"}]}), "value in a HAR is a text"),
        (har(postData={"text": "SECRET!", "encoding": "base64"}), "not base64"),
    ],
)
def test_what_is_no_har_is_told_without_quoting_it(document: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as rejected:
        from_har(document)
    assert "SECRET" not in str(rejected.value)


json_values: Any = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda each: (
        st.lists(each, max_size=3)
        | st.dictionaries(
            st.sampled_from(["log", "entries", "request", "headers", "postData", "text", "encoding", "name", "value"]),
            each,
        )
    ),
)


@given(json_values, st.none() | st.integers(-3, 3))
def test_hostile_hars_end_in_a_request_or_a_sentence(document: object, number: int | None) -> None:
    with suppress(ValueError):
        assert isinstance(from_har(document, number), SavedRequest)


def test_json_that_is_none_is_told_by_its_line() -> None:
    assert parse_json(b'{"a": 1}') == {"a": 1}
    for text, complaint in (
        (b'{"a":\n SECRET', "none at line 2"),
        (b"[" * 200_000, "but is none"),
        (b"\xff\xfe{", "none"),
    ):
        with pytest.raises(ValueError, match=complaint) as rejected:
            parse_json(text)
        assert "SECRET" not in str(rejected.value)
    assert json.loads(b"1") == 1
