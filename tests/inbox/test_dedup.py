"""Duplicates; the suite for inboxes asks the same of every store."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webhook_receiver.delivery import Delivery
from webhook_receiver.inbox.dedup import Candidate, PutJob, digester, identity_text, is_duplicate
from webhook_receiver.inbox.records import Entry

KEPT_AT, KEY = 1_000.0, b"k"


def entry(
    *, via: str = "http", receiver: str = "webhooks", key: bytes | None = KEY, event: str = "order.status"
) -> Entry:
    delivery = Delivery("d-1", receiver, (), b"{}", KEPT_AT, 0, True, via)
    return Entry(delivery, event, key, "o-1 FULFILLED")


@pytest.mark.parametrize(
    ("given", "kept", "since", "is_one"),
    [
        (entry(), entry(), 0, True),
        (entry(), entry(), KEPT_AT, True),
        (entry(), entry(), KEPT_AT + 1, False),
        (entry(receiver="another"), entry(), 0, False),
        (entry(key=b"other"), entry(), 0, False),
        (entry(key=b"other"), entry(via="backfill"), KEPT_AT + 1, True),
        (entry(key=None, via="backfill"), entry(), KEPT_AT + 1, True),
        (entry(key=None, via="poll"), entry(), KEPT_AT + 1, True),
        (entry(key=b"other"), entry(via="poll"), KEPT_AT + 1, True),
        (entry(key=None, via="poll"), entry(via="backfill"), KEPT_AT + 1, True),
        (entry(key=None, via="backfill", event="job.status"), entry(), 0, False),
    ],
)
def test_the_same_key_lately_or_the_same_news_by_a_poll(given: Entry, kept: Entry, since: float, is_one: bool) -> None:
    assert is_duplicate(PutJob(given, KEPT_AT, since), Candidate.of(1, kept)) is is_one


ANY = st.text(st.characters(exclude_categories=()))
"""Texts of all characters, halves of some among them: classes of the user's can bring those."""

PLAIN = st.text("ABCXYZabcxyz0189_.-~")


def spelt_out(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


@given(st.lists(PLAIN | ANY | st.text(" /%+\n:é")))
@example([])
@example(["o-1", "FULFILLED"])
@example(["a b", ""])
@example(["plain", "\ud800"])
@example(["a line\n"])
def test_an_identity_is_its_parts_quoted_each_and_a_space_between_them(parts: list[str]) -> None:
    assert identity_text(parts) == " ".join(quote(spelt_out(part), safe="") for part in parts)


@given(ANY, st.lists(ANY | st.binary()))
def test_a_digest_is_that_of_the_receiver_and_of_each_part_behind_its_length(
    receiver: str, parts: list[str | bytes]
) -> None:
    everything = receiver.encode("utf-8", "surrogatepass")
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        everything += b"\0" + str(len(data)).encode() + b"\0" + data
    digest = digester(receiver)
    assert digest(*parts) == hashlib.sha256(everything).digest() == digest(*parts)
