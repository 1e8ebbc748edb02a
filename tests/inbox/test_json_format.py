from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver import Delivery
from webhook_receiver.inbox import DeliverySummary, FailedAttempt, HandlerState, State, StoredDelivery
from webhook_receiver.inbox.json_format import HEADER, check_header, from_document, to_document

texts = st.text(max_size=20)
maybe_texts = st.none() | texts
times = st.floats(allow_nan=False, allow_infinity=False)
maybe_times = st.none() | times
counts = st.integers(0, 2**40)
states = st.sampled_from(State)


@st.composite
def kepts(draw: st.DrawFn) -> StoredDelivery:
    delivery = Delivery(
        id=draw(texts),
        receiver=draw(texts),
        headers=tuple(draw(st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=20)), max_size=4))),
        body=draw(st.binary(max_size=100)),
        received=draw(times),
        verified_by=draw(st.none() | st.integers(0, 9)),
        body_verified=draw(st.booleans()),
        via=draw(st.sampled_from(["http", "poll", "backfill"])),
        part=draw(counts),
        context=draw(maybe_texts),
    )
    record = DeliverySummary(
        id=delivery.id,
        receiver=delivery.receiver,
        via=delivery.via,
        event=draw(maybe_texts),
        identity=draw(maybe_texts),
        received=delivery.received,
        state=draw(states),
        due=draw(maybe_times),
        leased=draw(st.booleans()),
        paused_by=draw(maybe_texts),
        reason=draw(maybe_texts),
        settled=draw(maybe_times),
        handlers=draw(
            st.dictionaries(
                texts, st.builds(HandlerState, states, counts, counts, times, st.booleans(), maybe_times), max_size=3
            )
        ),
        verified_by=delivery.verified_by,
        body_verified=delivery.body_verified,
        part=delivery.part,
        body_removed=draw(st.booleans()),
    )
    attempts = st.builds(FailedAttempt, texts, counts, times, times, st.sampled_from(["retry", "dead"]), texts, texts)
    return StoredDelivery(
        summary=record,
        delivery=delivery,
        attempts=draw(st.lists(attempts, max_size=3)),
        key=draw(st.none() | st.binary(max_size=32)),
        ordering_key=draw(maybe_texts),
    )


@given(kepts())
def test_what_becomes_a_line_of_json_comes_back_as_it_was(kept: StoredDelivery) -> None:
    line = json.dumps(to_document(kept), allow_nan=False)
    assert from_document(json.loads(line)) == kept


def example() -> dict[str, Any]:
    delivery = Delivery("1", "webhooks", ((b"a", b"b"),), b"secret body", 1.0, 0, True)
    record = DeliverySummary(
        id="1",
        receiver="webhooks",
        via="http",
        event=None,
        identity=None,
        received=1.0,
        state=State.DEAD,
        due=None,
        leased=False,
        paused_by=None,
        reason="no event",
        settled=1.0,
        handlers={"app:f": HandlerState()},
        verified_by=0,
        body_verified=True,
    )
    document: dict[str, Any] = json.loads(json.dumps(to_document(StoredDelivery(record, delivery, [], b"key", None))))
    return document


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"body": "not base64"}, "body: not base64"),
        ({"key": "xyz"}, "key: not hexadecimal"),
        ({"headers": [["鍵", "x"]]}, "headers: text beyond latin-1"),
        ({"headers": [["only one"]]}, "headers.0.1: Field required"),
        ({"state": "lost"}, "state: Input should be 'waiting', 'done', 'unhandled' or 'dead'"),
        ({"due": float("nan")}, "due: Input should be a finite number"),
        ({"verified_by": 2**63}, f"verified_by: Input should be less than {2**63}"),
        ({"id": "\ud800"}, "id: value_error"),
        ({"more": 1}, "?: Extra inputs are not permitted"),
        ({"handlers": {"secret": {"state": "done"}}}, "handlers.?.attempts: Field required"),
    ],
)
def test_a_document_that_is_none_is_rejected_with_what_is_wrong_and_nothing_of_it(
    change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(complaint)}") as rejected:
        from_document(example() | change)
    assert "secret" not in str(rejected.value)


@pytest.mark.parametrize("document", [None, [], "text", {}])
def test_what_is_no_object_or_has_nothing_in_it_is_rejected(document: object) -> None:
    with pytest.raises(ValueError, match=r"Input should be|Field required"):
        from_document(document)


def test_only_a_header_of_this_format_and_version_is_taken() -> None:
    check_header(dict(HEADER))
    check_header({**HEADER, "version": 1})
    check_header({**HEADER, "version": 2})
    with pytest.raises(ValueError, match="version 4; this webhook-receiver reads 1 to 3"):
        check_header({**HEADER, "version": 4})
    others: list[object] = [None, [], {}, {"format": "another"}, example()]
    for other in others:
        with pytest.raises(ValueError, match="this is no export of an inbox"):
            check_header(other)


def test_a_document_of_the_first_version_says_the_same_under_its_older_names() -> None:
    older = {"receiver": "source", "via": "origin", "paused_by": "held", "ordering_key": "order_key"}
    new = example()
    old = {older.get(name, name): value for name, value in new.items()}
    assert set(older.values()) <= old.keys()
    assert from_document(old) == from_document(new)
