from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.helpers import NOW, SECRET, noting
from webhook_receiver import OrderFulfilled, UP42Signature
from webhook_receiver.simulator import payloads
from webhook_receiver.simulator.payloads import Document, Result


async def test_what_is_made_is_what_the_receiver_takes() -> None:
    noted = noting()
    body = payloads.dump(payloads.document("order.status", "FULFILLED", "o-7", now=NOW))
    headers = payloads.signed(body, UP42Signature(SECRET), now=NOW).headers
    assert (await noted.hooks.receive(headers, body)).response.status == 204
    (event,) = noted.events
    assert isinstance(event, OrderFulfilled)
    assert event.order_id == "o-7"
    assert json.loads(body)["body"]["updatedAt"] == "2025-12-11T06:03:32Z"


async def test_what_is_forged_or_unsigned_is_what_the_receiver_rejects() -> None:
    noted = noting()
    body = payloads.dump(payloads.document("order.status", "FULFILLED", now=NOW))
    for head in (payloads.forged(body, now=NOW), payloads.unsigned()):
        assert (await noted.hooks.receive(head.headers, body)).response.status == 401
    assert noted.hooks.rejected == {"BadSignature": 1, "MissingSignature": 1}


def test_every_document_is_about_an_order_of_its_own_unless_told() -> None:
    made = [payloads.document("order.status", "PLACED", now=NOW)["body"]["orderId"] for _ in range(2)]
    assert made[0] != made[1]


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a", {"a": 1, "b": {"c": 2}}), ("b.c", {"b": {"c": 1}}), ("b.d.e", {"b": {"c": 2, "d": {"e": 1}}})],
)
def test_a_value_is_put_at_a_path(path: str, expected: Document) -> None:
    document: Document = {"b": {"c": 2}}
    payloads.put(document, path, 1)
    assert document == expected


@pytest.mark.parametrize(
    ("path", "complaint"), [("", "not a path"), ("a.", "not a path"), ("b.c.d", "'c' in 'b.c.d' is not")]
)
def test_a_path_that_leads_nowhere_is_rejected(path: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        payloads.put({"b": {"c": 2}}, path, 1)


async def post(response: Response | Exception) -> Result:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if isinstance(response, Exception):
            raise response
        await Request(scope, receive).body()
        await response(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        return await payloads.post(client, "http://receiver/", [(b"x-a", b"\xff")], b"body")


async def test_a_result_has_the_status_and_what_the_receiver_said() -> None:
    result = await post(JSONResponse({"title": "No", "detail": "not today"}, status_code=422))
    assert (result.status, result.ok, result.label, result.reason) == (
        422,
        False,
        "422 Unprocessable Entity",
        "No: not today",
    )
    assert (await post(Response(status_code=204))).ok
    assert (await post(JSONResponse(["no", "problem"], status_code=500))).reason == ""
    assert (await post(Response("text", status_code=499))).label == "499"


async def test_a_redirect_is_not_followed() -> None:
    result = await post(Response(status_code=307, headers={"location": "/elsewhere"}))
    assert (result.status, result.ok, result.location) == (307, False, "/elsewhere")


async def test_no_answer_is_a_result_as_well() -> None:
    result = await post(httpx.ReadTimeout("too slow"))
    assert (result.status, result.ok, result.label) == (None, False, "no response: too slow")
    assert (await post(httpx.ConnectError(""))).label == "no response: ConnectError"


async def test_an_answer_longer_than_anybody_wants_to_hear_is_not_read_to_its_end() -> None:
    long = JSONResponse({"title": "No", "detail": "x" * 70_000}, status_code=500)
    assert (await post(long)).label == "500 Internal Server Error"
    assert (await post(long)).reason == ""
