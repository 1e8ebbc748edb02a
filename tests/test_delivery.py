from __future__ import annotations

import json
import os
import re
import warnings
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.helpers import NOW
from webhook_receiver import Attempt, Delivery
from webhook_receiver.delivery import RequestHead, header_pairs, new_id

DELIVERY = Delivery("d-1", "webhooks", [(b"x-a", b"1"), (b"x-a", b"2"), (b"x-b", b"\xe9")], b"a body", NOW, 0, True)


def test_a_delivery_is_immutable_and_shows_neither_headers_nor_body() -> None:
    with pytest.raises(AttributeError):
        DELIVERY.body = b""  # type: ignore[misc]
    assert repr(DELIVERY) == "<Delivery d-1 to 'webhooks' at 2025-12-11 06:03:32 UTC>"
    attempt = Attempt(DELIVERY, "module:handler", 1)
    assert not any("a body" in shown for shown in (repr(attempt), f"{attempt}", json.dumps(attempt, default=repr)))


def test_an_edited_delivery_has_another_body_and_is_proven_by_nobody() -> None:
    first = replace(DELIVERY, part=2, context="trace", headers=((b"stored=events", b"3"), (b"x-a", b"1")))
    edited = first.edited("d-2", b"another", NOW + 1)
    assert edited == Delivery(
        *("d-2", "webhooks", ((b"edited=of", b"d-1"), (b"x-a", b"1")), b"another", NOW + 1, None, False, "edit")
    )
    assert (edited.edited_of, first.edited_of, edited.stored_events) == ("d-1", None, None)
    assert replace(edited, via="http").edited_of is None, "the header alone says nothing"
    assert edited.edited("d-3", b"", NOW).headers == ((b"edited=of", b"d-2"), (b"x-a", b"1"))


def test_a_header_is_found_in_any_case_and_the_first_one_counts() -> None:
    assert DELIVERY.header("X-A") == "1"
    assert DELIVERY.header("x-b") == "é"
    assert DELIVERY.header("x-c") is None
    assert DELIVERY.header("鍵") is None


def test_it_was_received_at_a_time_in_utc() -> None:
    assert DELIVERY.received_at == datetime(2025, 12, 11, 6, 3, 32, tzinfo=UTC)


def test_the_idempotency_key_depends_on_delivery_and_handler_and_not_on_the_attempt() -> None:
    key = Attempt(DELIVERY, "module:handler", 1).idempotency_key
    assert key == Attempt(DELIVERY, "module:handler", 2).idempotency_key
    assert key != Attempt(DELIVERY, "module:other", 1).idempotency_key
    assert key != Attempt(replace(DELIVERY, id="d-2"), "module:handler", 1).idempotency_key
    assert len(key) == 32


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("plain", b"plain"),
        ("grüße", "grüße".encode()),  # decoded as UTF-8
        ("grüße".encode().decode("latin-1"), "grüße".encode()),  # the same bytes, decoded as latin-1
        ("鍵", "鍵".encode()),
        ("\udcff", b"\xff"),
        ("\ud800", b"\xed\xa0\x80"),  # no wire brings it, but JSON can
    ],
)
def test_text_becomes_the_bytes_that_were_on_the_wire(text: str, wire: bytes) -> None:
    assert header_pairs({"X-Name": text}) == [(b"x-name", wire)]
    assert header_pairs([("X-Name", text), (b"Y", b"z")]) == [(b"x-name", wire), (b"y", b"z")]


def test_no_two_deliveries_have_one_id_even_in_a_forked_process() -> None:
    ours = [new_id() for _ in range(1000)]
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of threads
        child = os.fork()
    if not child:
        os.write(write, "".join(new_id() for _ in range(1000)).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        theirs = pipe.read()
    assert len({*ours, *(theirs[at : at + 32] for at in range(0, len(theirs), 32))}) == 2000


def test_ids_of_one_second_differ_early_and_those_of_later_seconds_come_later() -> None:
    ids = [new_id(1_765_433_012.5 + number // 256) for number in range(1024)]
    assert all(re.fullmatch(r"[0-9a-f]{32}", id) for id in ids)
    assert len({id[:12] for id in ids}) == 1024
    assert [id[:8] for id in ids] == sorted(id[:8] for id in ids)
    assert re.fullmatch(r"[0-9a-f]{32}", new_id(-1.0))


def test_a_head_is_immutable_and_shows_neither_target_nor_headers() -> None:
    head = RequestHead("POST", b"/in/a-token?b", [(b"x-a", b"1")], "https://hooks.example.com/a-token")
    with pytest.raises(AttributeError):
        head.target = b"/"  # type: ignore[misc]
    assert repr(head) == "<RequestHead POST, 1 headers>"
    assert head.path == b"/in/a-token"


def test_a_head_is_made_from_headers_in_any_form() -> None:
    head = RequestHead.of({"X-A": "é"}, target="/in?a=é")
    assert head == RequestHead("POST", "/in?a=é".encode(), [(b"x-a", "é".encode())], None)
    more = head.with_headers((b"x-b", b"2"), (b"x-a", b"3"))
    assert more == head._replace(headers=[*head.headers, (b"x-b", b"2"), (b"x-a", b"3")])
    assert len(head.headers) == 1
