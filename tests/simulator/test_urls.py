"""What lines for people have of a URL."""

from __future__ import annotations

import pytest

from webhook_receiver.simulator.urls import without_secret


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pw@example.com/webhooks", "https://example.com/webhooks"),
        ("http://127.0.0.1:8000/skyfi/a-secret-path-for-tests", "http://127.0.0.1:8000/skyfi/***"),
        (
            "https://example.com/job-1/successful/a-secret-path-for-tests?token=1",
            "https://example.com/job-1/successful/***",
        ),
        ("https://example.com", "https://example.com"),
    ],
)
def test_a_url_is_shown_without_what_may_be_a_secret(url: str, shown: str) -> None:
    assert without_secret(url).rstrip("/") == shown
