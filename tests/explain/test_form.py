"""Forms that GitHub and Slack send: what changes them, and how a receiver reads them."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import NOW
from webhook_receiver.delivery import RequestHead
from webhook_receiver.explain import Explanation, explain
from webhook_receiver.explain.body import body_suspicions
from webhook_receiver.explain.form import form_of_json
from webhook_receiver.explain.trial import Case
from webhook_receiver.senders.github import signature as github
from webhook_receiver.senders.preset import Make
from webhook_receiver.senders.shopify import signature as shopify
from webhook_receiver.senders.slack import signature as slack

JSON = json.dumps({"ref": "refs/heads/m\u00fc & 1", "commits": [], "pusher": {"name": "a~b*c (x)/!"}})
FORM = urlencode({"payload": JSON}).encode()
PUSH = {"x-github-event": "push"}


def explained(
    body: bytes, signed: bytes | None = None, *, make: Make = github, headers: dict[str, str] | None = None
) -> Explanation:
    """Explain a request with a body, which is signed for another one if that is given."""
    scheme = make("s")
    head = RequestHead.of(
        {"content-type": "application/x-www-form-urlencoded", **(PUSH if headers is None else headers)}
    )
    return explain(scheme.sign(head, body if signed is None else signed, NOW).headers, body, "s", make=make, now=NOW)


@pytest.mark.parametrize(
    ("came", "was", "cause"),
    [
        (JSON, "payload=" + quote_plus(JSON), "form-unwrapped"),
        (JSON, "payload=" + quote(JSON, safe="!'()*~"), "form-unwrapped"),
        (json.dumps({"payload": JSON}), "payload=" + quote_plus(JSON), "form-as-json"),
        ('{"command":"/weather","text":["a b","c"]}', "command=%2Fweather&text=a+b&text=c", "form-as-json"),
        ("payload=" + quote(JSON), "payload=" + quote_plus(JSON), "form-reserialised"),
        ("payload=" + quote_plus(JSON), "payload=" + quote(JSON, safe="!'()*~"), "form-reserialised"),
        ("payload=%7B%22a%22%3A%22%7e%22%7d", "payload=%7b%22a%22%3a%22%7e%22%7d", "form-reserialised"),
        ("text=a b&token=x", "text=a+b&token=x", "form-reserialised"),
        ("text=&token=x~", "text=&token=x%7E", "form-reserialised"),
    ],
)
@pytest.mark.parametrize("make", [github, slack])
def test_a_form_that_was_changed_is_explained_by_that_alone(came: str, was: str, cause: str, make: Make) -> None:
    found = explained(came.encode(), was.encode(), make=make)
    assert [each.name for each in found.causes] == [cause]
    assert not found.ok


@pytest.mark.parametrize(
    ("body", "hints"),
    [
        (FORM, ["the body is a form: a receiver reads the JSON in its field payload"]),
        (
            b"payload=2&" + FORM,
            [
                "the body is a form with 2 fields payload: a receiver reads an object of its 2 fields; "
                "let the sender send it once"
            ],
        ),
        (
            urlencode({"Payload": JSON}).encode(),
            [
                "the body is a form without the field payload: a receiver reads an object of its 1 fields",
                "its field Payload has a JSON object: let the sender call it payload, or give the sender "
                'decode=functools.partial(form_document, field="Payload")',
            ],
        ),
        (b"a=1&b=2", ["the body is a form without the field payload: a receiver reads an object of its 2 fields"]),
    ],
)
def test_a_form_is_read_as_the_receiver_reads_it(body: bytes, hints: list[str]) -> None:
    found = explained(body)
    assert found.ok
    assert [*found.hints] == hints


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (urlencode({"payload": quote(JSON)}).encode(), "the JSON in payload was escaped twice"),
        (b"payload=", "payload is empty"),
        (b"payload=%5B%5D", "payload has no JSON object"),
    ],
)
def test_a_field_that_has_no_json_object_is_told(body: bytes, why: str) -> None:
    found = explained(body)
    assert found.ok
    assert why in found.hints[1]
    assert "no event in it, so only a fallback handler takes it: the body is no JSON object" in found.hints[2]


def test_a_stale_form_is_read_too() -> None:
    scheme = slack("s")
    body = urlencode({"payload": json.dumps({"type": "block_actions"})}).encode()
    found = explain(scheme.sign(RequestHead.of({}), body, NOW).headers, body, "s", make=slack, now=NOW + 900)
    assert found.authentic
    assert found.hints[0] == "the body is a form: a receiver reads the JSON in its field payload"


@pytest.mark.parametrize("body", [FORM, JSON.encode()])
@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "there is no header x-github-event with the event's name"),
        ({"x-github-event": "delete"}, "the body tells another event than the header x-github-event"),
    ],
)
def test_the_event_in_a_header_is_missed_or_contradicted(body: bytes, headers: dict[str, str], why: str) -> None:
    found = explained(body, headers=headers)
    assert found.ok
    assert why in found.hints[-1]
    assert ("fallback" in found.hints[-1]) is (not headers)


def test_a_form_of_a_sender_without_forms_is_told() -> None:
    assert "give the sender decode=form_document" in explained(FORM, make=shopify, headers={}).hints[0]


def test_json_is_no_form() -> None:
    assert explained(JSON.encode()).hints == ()
    assert explained(b'{"type": "event_callback"}', make=slack).hints == ()


def test_a_form_that_is_damaged_beyond_that_is_not_explained_by_it() -> None:
    found = explained(FORM + b"x", FORM)
    assert found.causes == ()
    assert found.error == "BadSignature"


@pytest.mark.parametrize("body", [b'{"a":' * 200, b"[" * 1000, json.dumps([{"a": "b"}] * 100).encode(), FORM * 50])
def test_of_a_long_body_not_every_change_is_tried(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook_receiver.explain.body._MOST_TRIED", 10_000)
    tried = [before.body for _, before in body_suspicions(Case(RequestHead.of({}), body, "s", github))]
    assert 0 < sum(map(len, tried)) <= 10_000


@given(st.dictionaries(st.text(), st.text(st.characters()) | st.lists(st.text()) | st.integers()))
def test_any_json_is_tried_as_a_form(document: dict[str, object]) -> None:
    body = json.dumps(document).encode()
    for form in form_of_json(Case(RequestHead.of([]), body, "s", github)):
        assert form.isascii()
