from __future__ import annotations

import logging

import pytest

from tests.helpers import NOW, order, signed
from tests.working import Clock
from webhook_receiver import BadSignature, Event, StaleSignature, Unsigned, UP42Signature, WebhookReceiver
from webhook_receiver.errors import MethodNotAllowed
from webhook_receiver.runtime.counters import RejectionCounter, SecretUsage


def test_each_reason_is_counted_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    time = 1000.0
    rejections = RejectionCounter("webhooks", lambda: time)
    for _ in range(5):
        rejections.add(BadSignature("no secret gives it"))
    rejections.add(StaleSignature("too old"))
    time += 60
    rejections.add(BadSignature("no secret gives it"))
    time -= 3600  # the clock is set back
    rejections.add(BadSignature("no secret gives it"))
    assert rejections.counts == {"BadSignature": 7, "StaleSignature": 1}
    assert [record.getMessage() for record in caplog.records] == [
        "webhooks rejected a request: BadSignature: no secret gives it",
        "webhooks rejected a request: StaleSignature: too old",
        "webhooks rejected a request: BadSignature: no secret gives it (4 more since the last line)",
        "webhooks rejected a request: BadSignature: no secret gives it",
    ]


def test_a_bad_signature_is_a_warning_and_a_get_is_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rejections = RejectionCounter("webhooks", lambda: 0.0)
    rejections.add(BadSignature("no secret gives it"))
    rejections.add(MethodNotAllowed("POST only"))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


BODY = order()


def test_an_old_secret_is_warned_of_once_an_hour_and_each_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    rotation = SecretUsage("webhooks")
    for seconds in (0, 1, 3599):
        rotation.note(1, NOW + seconds)
    rotation.note(2, NOW + 3599)
    rotation.note(1, NOW + 3600)
    rotation.note(1, NOW - 7200)  # the clock is set back
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        f"webhooks: a delivery was verified by secret {by}" for by in (1, 2, 1, 1)
    ]


def test_it_is_said_once_when_an_old_secret_was_not_used_for_a_day_although_the_new_one_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    rotation = SecretUsage("webhooks")
    for by, seconds in ((0, 0), (1, 0), (0, 86_399)):
        rotation.note(by, NOW + seconds)
    assert len(caplog.records) == 1
    for by, seconds in ((0, 86_400), (0, 86_401)):
        rotation.note(by, NOW + seconds)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert caplog.messages[1] == "webhooks: for a day secret 0 was used and secret 1 was not: that can be removed"
    rotation.note(1, NOW + 90_000)  # a late retry: it is news again
    assert caplog.records[2].levelname == "WARNING"


async def test_a_receiver_tells_of_the_old_secret_and_of_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    hooks = WebhookReceiver(secret=["new", "old"], clock=clock)

    @hooks.on(Event)
    async def note(event: Event) -> None: ...

    async def deliver(secret: str) -> int | None:
        headers = signed(BODY, scheme=UP42Signature(secret), now=clock())
        receipt = await hooks.receive(headers, BODY)
        assert receipt.delivery is not None
        return receipt.delivery.verified_by

    assert [await deliver("old"), await deliver("old"), await deliver("new")] == [1, 1, 0]
    clock.move(86_400)
    assert [await deliver("new"), await deliver("new")] == [0, 0]
    told = [record.levelname for record in caplog.records if record.module == "counters"]
    assert told == ["WARNING", "INFO"]


async def test_it_is_counted_how_often_each_secret_verified() -> None:
    hooks = WebhookReceiver(secret=["new", "old"], clock=lambda: NOW)
    assert hooks.verified == {}
    for secret in ("new", "old", "old", "of a stranger"):
        await hooks.receive(signed(BODY, scheme=UP42Signature(secret)), BODY)
    assert hooks.verified == {0: 1, 1: 2}
    assert hooks.rejected == {"BadSignature": 1}
    unsigned = WebhookReceiver(scheme=Unsigned())
    assert (await unsigned.receive({}, BODY)).response.status == 204
    assert unsigned.verified == {}
