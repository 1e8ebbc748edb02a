from __future__ import annotations

import pytest

from webhook_receiver.events import OrderStatus
from webhook_receiver.senders.imagery.statuses import STATUSES, Outcome, Statuses


@pytest.mark.parametrize(
    ("provider", "word", "outcome"),
    [
        ("up42", "FULFILLED", Outcome.READY),
        ("planet-orders", "success", Outcome.READY),
        ("planet-orders", "partial", Outcome.PARTLY_READY),
        ("planet-subscriptions", "status.backfill.completed", Outcome.READY),
        ("airbus-radar", "approvalRejected", Outcome.FAILED),
        ("copernicus", "deleted", Outcome.PROGRESS),
        ("copernicus-production", "in progress", Outcome.PROGRESS),
        ("skyfi", "PROVIDER_FAILED", Outcome.FAILED),
        ("maxar", "PARTIALLY-FULFILLED", Outcome.PARTLY_READY),
        ("maxar", "PARTIAL-DELIVERY", Outcome.PROGRESS),
        ("iceye", "FULFILLED", Outcome.PARTLY_READY),
        ("iceye", "DONE", Outcome.READY),
        ("harmony", "complete_with_errors", Outcome.PARTLY_READY),
        ("eodms", "AVAILABLE_FOR_DOWNLOAD", Outcome.READY),
        ("earth-engine", "READY", Outcome.PROGRESS),
    ],
)
def test_a_providers_word_means_what_the_provider_says(provider: str, word: str, outcome: Outcome) -> None:
    assert STATUSES[provider].outcome(word) is outcome


@pytest.mark.parametrize("provider", STATUSES)
def test_a_word_that_is_new_tomorrow_is_progress(provider: str) -> None:
    for word in ("", "a word of tomorrow", "DELIVERED_TO_THE_MOON", "succès", "ready\n"):
        assert STATUSES[provider].outcome(word) is Outcome.PROGRESS


@pytest.mark.parametrize("provider", STATUSES)
def test_each_word_is_in_the_table_once_and_its_case_does_not_count(provider: str) -> None:
    statuses = STATUSES[provider]
    words = [word.lower() for word, _ in statuses.words()]
    assert sorted(words) == sorted(set(words))
    for word, outcome in statuses.words():
        assert word == word.strip() != ""
        assert statuses.outcome(word) is statuses.outcome(word.upper()) is statuses.outcome(word.lower()) is outcome


@pytest.mark.parametrize("provider", STATUSES)
def test_every_row_says_what_is_ready_and_where_that_is_from(provider: str) -> None:
    statuses = STATUSES[provider]
    assert isinstance(statuses, Statuses)
    assert Outcome.READY in [outcome for _, outcome in statuses.words()]
    assert len(statuses.source) > 10


def test_the_row_of_up42_has_each_of_its_statuses() -> None:
    assert {word for word, _ in STATUSES["up42"].words()} == set(OrderStatus)
