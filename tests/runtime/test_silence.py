"""What a receiver says when no push has come for longer than one is expected."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import NOW, SECRET, signed
from tests.working import Clock, Faulty, about, deliver, durable, until
from webhook_receiver import ConfigurationError, InboxUnavailable, SQLiteInbox, Unsigned, WebhookReceiver
from webhook_receiver.inbox.records import Metric
from webhook_receiver.runtime import silence

HOUR = 3600.0


def hourly(path: Path, clock: Clock, **more: Any) -> WebhookReceiver:
    """Return a receiver that expects a push every hour."""
    return durable(SQLiteInbox(path), clock=clock, expect_every=timedelta(hours=1), **more)


async def state(hooks: WebhookReceiver) -> tuple[str, float | None]:
    health = await hooks.health()
    assert health.ok  # a restart would not help
    return health.state, health.since_push_seconds


async def test_silence_is_told_once_it_is_longer_than_expected_and_ends_with_a_push(tmp_path: Path) -> None:
    clock = Clock()
    async with hourly(tmp_path / "hooks.db", clock) as hooks:
        await deliver(hooks)
        clock.move(HOUR + 60)
        assert await state(hooks) == ("working", HOUR + 60)
        clock.move(1)
        health = await hooks.health()
        assert (health.state, health.expect_every_seconds) == ("silent", HOUR)
        assert health.problem == (
            "no push has come for 3661 s, and one is expected every 3600 s: see whether the sender has switched the "
            "webhook off, or posts elsewhere"
        )
        await deliver(hooks, status=200)  # a duplicate is a sign of life
        assert await state(hooks) == ("working", 0)


async def test_it_goes_on_over_restarts(tmp_path: Path) -> None:
    path, clock = tmp_path / "hooks.db", Clock()
    async with hourly(path, clock) as hooks:
        await deliver(hooks)
    for expected in ("working", "working", "silent"):
        clock.move(1500)
        async with hourly(path, clock) as hooks:
            found, seconds = await state(hooks)
            assert found == expected
    assert seconds == 4500 - 60 + NOW % 60  # counts are by the minute, of which the end is taken


async def test_where_none_has_ever_come_it_counts_from_the_first_start(tmp_path: Path) -> None:
    path, clock = tmp_path / "hooks.db", Clock()
    for expected in ("working", "working", "silent"):
        async with hourly(path, clock) as hooks:
            assert (await state(hooks))[0] == expected
        clock.move(2000)


async def test_a_push_to_another_process_counts(tmp_path: Path, own_processes: None) -> None:
    path, clock = tmp_path / "hooks.db", Clock()
    async with hourly(path, clock) as hooks, hourly(path, clock) as other:
        assert (await state(hooks))[0] == "working"
        for _ in range(3):
            clock.move(HOUR / 2)
            await other.runtime.counters.write(other.inbox, other.name)  # as it does each minute
            await deliver(other, about(clock.now))
            await other.runtime.counters.write(other.inbox, other.name)
        assert await state(hooks) == ("working", 0)
        clock.move(2 * HOUR)
        assert (await state(hooks))[0] == "silent"


async def test_what_is_rejected_or_asked_for_is_no_sign_of_the_sender(tmp_path: Path) -> None:
    clock = Clock()
    hooks = WebhookReceiver(secret=SECRET, inbox=SQLiteInbox(tmp_path / "hooks.db"), clock=clock, expect_every=HOUR)
    async with hooks:
        clock.move(HOUR + 61)
        await hooks.receive({}, b"")
        await hooks.receive(signed(about(), secret="another", now=clock.now), about())
        assert (await state(hooks))[0] == "silent"
        await hooks.receive(signed(about(), now=clock.now), about())
        assert (await state(hooks))[0] == "working"


async def test_without_an_inbox_the_pushes_of_this_process_count() -> None:
    clock = Clock()
    hooks = WebhookReceiver(scheme=Unsigned(), clock=clock, expect_every=timedelta(minutes=5))
    assert await state(hooks) == ("working", 0)
    clock.move(361)
    assert await state(hooks) == ("silent", 361)
    await hooks.receive({}, about())
    assert await state(hooks) == ("working", 0)


async def test_without_expect_every_nothing_is_counted_and_told(tmp_path: Path) -> None:
    clock = Clock()
    async with durable(SQLiteInbox(tmp_path / "hooks.db"), clock=clock) as hooks:
        await deliver(hooks)
        clock.move(1000 * HOUR)
        assert await state(hooks) == ("working", None)
        await hooks.runtime.counters.write(hooks.inbox, hooks.name)
        counted = await hooks.inbox.counted(0, 2 * clock.now)
    assert not [metric for metric in counted if metric.what.startswith("expected")]


async def test_a_clock_that_is_set_back_makes_no_silence(tmp_path: Path) -> None:
    clock = Clock()
    async with hourly(tmp_path / "hooks.db", clock) as hooks:
        await deliver(hooks)
        clock.move(-5 * HOUR)
        assert await state(hooks) == ("working", 0)


async def test_the_log_tells_when_it_begins_and_ends_and_goes_on_while_the_inbox_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "_BETWEEN_LOOKS", 0.001)
    caplog.set_level(logging.INFO)
    clock, inbox = Clock(), Faulty()

    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if getattr(record, "reason", None) == "silence"]

    async with durable(inbox, clock=clock, expect_every=HOUR) as hooks:
        await deliver(hooks)
        inbox.faults["counted"] = InboxUnavailable("away")
        clock.move(2 * HOUR)
        await until(lambda: "up42: the time of the latest push is not known: InboxUnavailable: away" in caplog.messages)
        inbox.faults.pop("counted")
        await until(lambda: len(told()) == 1)
        await deliver(hooks, about("another"))
        await until(lambda: len(told()) == 2)
    began, ended = told()
    assert began.startswith("up42: no push has come for 7200 s")
    assert ended == "up42: pushes come again"
    assert len([each for each in caplog.messages if "is not known" in each]) == 1


async def test_a_time_before_all_counts_is_found_in_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, looks = Clock(), 0
    clock.move(80 * 24 * HOUR)
    async with durable(clock=clock) as hooks:
        found = silence.Silence(HOUR, clock)
        counted = hooks.inbox.counted

        async def looked(since: float, until: float) -> Any:
            nonlocal looks
            looks += 1
            return await counted(since, until)

        monkeypatch.setattr(hooks.inbox, "counted", looked)
        await hooks.inbox.count({Metric("up42", "expected push"): 1}, NOW)
        await found.look(hooks.inbox, "up42")
        assert found.seconds == pytest.approx(80 * 24 * HOUR, abs=60)
        assert looks < 20
        await found.look(hooks.inbox, "up42")
        assert looks < 21


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (0, "expect_every is a timedelta or a number of seconds, above 0, not 0"),
        ("1h", "expect_every is a timedelta or a number of seconds, above 0, not '1h'"),
        (59, "expect_every=... is from a minute to 30 days, not 59 s"),
        (timedelta(days=31), "expect_every=... is from a minute to 30 days, not 2.6784e"),
    ],
)
def test_a_time_that_cannot_work_is_an_error(given: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        WebhookReceiver(scheme=Unsigned(), expect_every=given)
