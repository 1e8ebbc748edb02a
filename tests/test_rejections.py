from __future__ import annotations

import logging

import pytest

from webhook_receiver import BadSignature, StaleSignature
from webhook_receiver.errors import MethodNotAllowed
from webhook_receiver.rejections import Refusals


def test_each_reason_is_counted_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    time = 1000.0
    refusals = Refusals("webhooks", lambda: time)
    for _ in range(5):
        refusals.add(BadSignature("no secret gives it"))
    refusals.add(StaleSignature("too old"))
    time += 60
    refusals.add(BadSignature("no secret gives it"))
    time -= 3600  # the clock is set back
    refusals.add(BadSignature("no secret gives it"))
    assert refusals.counts == {"BadSignature": 7, "StaleSignature": 1}
    assert [record.getMessage() for record in caplog.records] == [
        "webhooks refused a request: BadSignature: no secret gives it",
        "webhooks refused a request: StaleSignature: too old",
        "webhooks refused a request: BadSignature: no secret gives it (4 more since the last line)",
        "webhooks refused a request: BadSignature: no secret gives it",
    ]


def test_a_bad_signature_is_a_warning_and_a_get_is_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    refusals = Refusals("webhooks", lambda: 0.0)
    refusals.add(BadSignature("no secret gives it"))
    refusals.add(MethodNotAllowed("POST only"))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
