"""What a repeat is; the suite for inboxes asks the same of every store."""

from __future__ import annotations

import pytest

from webhook_receiver.delivery import Delivery
from webhook_receiver.inbox.dedup import Known, Put, repeats
from webhook_receiver.inbox.records import Entry

KEPT_AT, KEY = 1_000.0, b"k"


def entry(
    *, origin: str = "http", source: str = "webhooks", key: bytes | None = KEY, event: str = "order.status"
) -> Entry:
    delivery = Delivery("d-1", source, (), b"{}", KEPT_AT, 0, True, origin)
    return Entry(delivery, event, key, "o-1 FULFILLED")


@pytest.mark.parametrize(
    ("given", "kept", "since", "is_one"),
    [
        (entry(), entry(), 0, True),
        (entry(), entry(), KEPT_AT, True),
        (entry(), entry(), KEPT_AT + 1, False),
        (entry(source="another"), entry(), 0, False),
        (entry(key=b"other"), entry(), 0, False),
        (entry(key=b"other"), entry(origin="backfill"), KEPT_AT + 1, True),
        (entry(key=None, origin="backfill"), entry(), KEPT_AT + 1, True),
        (entry(key=None, origin="backfill", event="job.status"), entry(), 0, False),
    ],
)
def test_the_same_key_lately_or_the_same_news_by_backfill(
    given: Entry, kept: Entry, since: float, is_one: bool
) -> None:
    assert repeats(Put(given, KEPT_AT, since), Known.of(1, kept)) is is_one
