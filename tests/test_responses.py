from __future__ import annotations

import json

from starlette.types import Message

from webhook_receiver import VerificationError
from webhook_receiver.errors import (
    BodyTooLarge,
    InboxError,
    KeysUnavailable,
    MethodNotAllowed,
    Overloaded,
    RequestError,
    UnsupportedEncoding,
)
from webhook_receiver.responses import FAILED, HANDLED, problem, rejections, retry_after


def test_a_problem_is_a_document_with_a_stable_type() -> None:
    answer = problem(422, "not-an-event", "The body is not an event", detail="event: missing", allow="POST")
    assert json.loads(answer.body) == {
        "type": "urn:webhook-receiver:problem:not-an-event",
        "title": "The body is not an event",
        "status": 422,
        "detail": "event: missing",
    }
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["allow"] == "POST"


def test_a_wait_is_rounded_up_to_whole_seconds() -> None:
    assert [retry_after(seconds).headers["retry-after"] for seconds in (0, 0.1, 60)] == ["0", "1", "60"]


def test_every_rejection_has_a_response_of_its_own() -> None:
    answers = rejections(401)
    assert set(answers) == {InboxError, KeysUnavailable, VerificationError, *RequestError.__subclasses__()}
    assert answers[VerificationError].headers["www-authenticate"] == "Signature"
    assert answers[MethodNotAllowed].headers["allow"] == "POST"
    assert answers[UnsupportedEncoding].headers["accept-encoding"] == "identity"
    assert rejections(401, encodings=("gzip",))[UnsupportedEncoding].headers["accept-encoding"] == "gzip, identity"
    assert answers[BodyTooLarge].status == 413
    assert (answers[Overloaded].status, answers[Overloaded].headers["retry-after"]) == (503, "10")
    assert (answers[KeysUnavailable].status, answers[KeysUnavailable].headers["retry-after"]) == (503, "10")
    assert "www-authenticate" not in rejections(403)[VerificationError].headers


def test_a_connection_is_closed_by_a_header_where_the_version_of_http_has_it() -> None:
    assert FAILED.closing({"http_version": "1.1"}).headers == {**FAILED.headers, "connection": "close"}
    assert FAILED.closing({"http_version": "1.0"}).headers["connection"] == "close"
    assert FAILED.closing({"http_version": "2"}) is FAILED
    assert "connection" not in FAILED.headers


async def test_what_middleware_writes_into_an_answer_is_not_in_the_next_one() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        message.get("headers", []).append((b"set-cookie", b"a=b"))
        message["more"] = True

    for answer in (HANDLED, FAILED, HANDLED, FAILED):
        await answer.send(send)
    assert [len(message["headers"]) for message in sent if "headers" in message] == [1, 3, 1, 3]
    assert sent[5]["body"] == b""
