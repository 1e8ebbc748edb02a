"""The metrics: what is counted, timed, and seen of the inbox."""

from __future__ import annotations

import asyncio
import gc
import secrets
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from opentelemetry.semconv._incubating.metrics import messaging_metrics

from tests.helpers import NOW, SECRET, signed
from tests.telemetry.collecting import Collected, Labels, collecting
from tests.working import AT_ONCE, Clock, Faulty, about, deliver, durable, settled, until
from webhook_receiver import (
    Changes,
    Event,
    GiveUp,
    InboxUnavailable,
    MemoryInbox,
    OrderFulfilled,
    Retry,
    SQLiteInbox,
    State,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.errors import RequestError, VerificationError
from webhook_receiver.inbox import Inbox
from webhook_receiver.inbox.postgres import PostgresInbox
from webhook_receiver.telemetry import figures, names
from webhook_receiver.telemetry.instruments import COMMIT_COUNTERS, COUNTERS, GAUGES, INBOX_GAUGES
from webhook_receiver.telemetry.names import LONGEST, MOST, OTHER, Bounded
from webhook_receiver.testing.inbox_suite import entry

HOUR = 3600.0


def bucket(found: Mapping[str, Mapping[Labels, float]], name: str, le: str) -> float:
    """Return the number of values of a histogram that are no larger than `le`."""
    (value,) = [each for labels, each in found[f"webhook_receiver.{name}.bucket"].items() if ("le", le) in labels]
    return value


async def test_what_is_received_verified_put_and_attempted_is_counted() -> None:
    hooks, tries = durable(backoff=AT_ONCE), 0

    @hooks.on(OrderFulfilled, name="one")
    def one(event: Event) -> None: ...

    @hooks.on(OrderFulfilled, name="two")
    async def two(order: OrderFulfilled) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Retry(after=0)
        raise GiveUp("never")

    with collecting() as collected:
        async with hooks:
            id = await deliver(hooks)
            await settled(hooks, id, State.DEAD)
            await until(lambda: hooks.runtime.counters.dead_letters == 1)
            await deliver(hooks, b"{")
            await deliver(hooks, b"{", status=200)
            await hooks.receive({"content-encoding": "br"}, b"")
            got = collected.value
            assert got("webhook_receiver.receipts", status_code=202) == 2
            assert got("webhook_receiver.receipts", status_code=200, name="up42") == 1
            assert got("webhook_receiver.receipts", status_code=415) == 1
            assert got("webhook_receiver.rejections", type="UnsupportedEncoding") == 1
            assert got("webhook_receiver.puts", result="stored") == 2
            assert got("webhook_receiver.puts", result="duplicate") == 1
            assert got("webhook_receiver.attempts", handler="one", outcome="done") == 1
            assert got("webhook_receiver.attempts", handler="two", outcome="retry") == 1
            assert got("webhook_receiver.attempts", handler="two", outcome="dead") == 1
            assert got("webhook_receiver.dead_letters") == 2
            found = collected.metrics()
    assert bucket(found, "put.duration_seconds", "+Inf") == bucket(found, "put.duration_seconds", "10.0") == 3
    assert bucket(found, "put.duration_seconds", "0.001") <= 3
    by_handler = {
        (dict(labels)["webhook_receiver.handler"], dict(labels).get("error.type")): count
        for labels, count in found["messaging.process.duration"].items()
    }
    assert by_handler == {("one", None): 1, ("two", "Retry"): 1, ("two", "GiveUp"): 1}
    (commits,), (operations,) = (found[f"webhook_receiver.inbox.{name}"].values() for name in ("commits", "operations"))
    assert 0 < commits <= operations


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_puts_are_told_beside_the_commits_that_they_shared_and_apart_from_other_operations(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if store == "postgres":
        inbox: Inbox = await PostgresInbox(request.getfixturevalue("postgres_url")).open()
    else:
        inbox = await SQLiteInbox(tmp_path / "hooks.db").open()
    with collecting() as collected:
        WebhookReceiver(scheme=Unsigned()).runtime._equip()

        def counted() -> dict[str, float]:
            found = collected.metrics()
            return {name: sum(found[f"webhook_receiver.{name}"].values()) for name in COMMIT_COUNTERS}

        def since(before: Mapping[str, float]) -> dict[str, float]:
            return {name.removeprefix("inbox."): value - before[name] for name, value in counted().items()}

        before = counted()
        await asyncio.gather(*[inbox.put(entry(f"d-{number}"), NOW) for number in range(50)])
        found = since(before)
        assert 1 <= found["commits"] <= 10
        assert (found["put_commits"], found["put_operations"]) == (found["commits"], found["operations"])
        assert found["put_operations"] == 50
        before = counted()
        await inbox.pause("handler", NOW)
        lease = await inbox.lease_poll("hooks", "api", HOUR, NOW)
        assert lease is not None
        await inbox.put_all([entry("d-50"), entry("d-51")], "page 1", lease, NOW)
        found = since(before)
        assert (found["put_commits"], found["put_operations"]) == (0, 0)
        assert found["operations"] == found["commits"] >= 3
    await inbox.close()


async def test_verifications_are_told_by_the_index_of_the_secret_and_the_age_by_the_signature() -> None:
    hooks = WebhookReceiver(secret=[SECRET, "old"], inbox="memory://", clock=lambda: NOW, work=False)
    with collecting() as collected:
        async with hooks:
            for number, (secret, ago) in enumerate(((SECRET, 7), ("old", 100), ("old", -30))):
                body = about(number)
                assert (await hooks.receive(signed(body, secret=secret, now=NOW - ago), body)).response.status == 202
            await hooks.receive(signed(about(), now=NOW - 4000), about())
            assert collected.value("webhook_receiver.verifications", secret="0") == 1
            assert collected.value("webhook_receiver.verifications", secret="1") == 2
            assert collected.value("webhook_receiver.rejections", type="StaleSignature") == 1
            found = collected.metrics()
            assert [bucket(found, "receipt.age_seconds", le) for le in ("5.0", "10.0", "60.0", "120.0", "+Inf")] == [
                *(1, 2, 2, 3, 3)
            ]


def test_rejections_that_alerts_are_about_are_told_by_their_reason_before_the_first_one() -> None:
    own = [each for base in (RequestError, VerificationError) for each in base.__subclasses__()]
    reasons = {each.__name__ for each in own if each.__module__ == RequestError.__module__} - {"MethodNotAllowed"}
    assert {"BadSignature", "UnsupportedEncoding", "BodyTooLarge"} <= reasons
    hooks = WebhookReceiver(scheme=Unsigned())
    with collecting() as collected:
        hooks.runtime._equip()
        found = {reason: collected.value("webhook_receiver.rejections", type=reason) for reason in reasons}
    assert found == dict.fromkeys(reasons, 0)


def test_names_and_units_are_those_of_the_semantic_conventions_where_there_are_some() -> None:
    with collecting() as collected:
        WebhookReceiver(scheme=Unsigned()).runtime._equip()
        asked = collected.instruments()
    conventional = {value for name, value in vars(messaging_metrics).items() if name.startswith("MESSAGING_")}
    assert messaging_metrics.MESSAGING_CLIENT_CONSUMED_MESSAGES in conventional
    claimed = {name for name in asked if not name.startswith("webhook_receiver.")}
    assert claimed == {messaging_metrics.MESSAGING_PROCESS_DURATION} <= conventional
    assert asked[messaging_metrics.MESSAGING_PROCESS_DURATION] == "s"
    ours = {name.removeprefix("webhook_receiver.") for name in asked} - claimed
    assert ours == {*COUNTERS, *GAUGES, *INBOX_GAUGES, *COMMIT_COUNTERS}


async def test_depth_and_age_are_seen_of_the_inbox(tmp_path: Path) -> None:
    clock = Clock()
    hooks = durable(SQLiteInbox(tmp_path / "hooks.db"), clock=clock)

    @hooks.on(OrderFulfilled, name="handler")
    def handler(order: OrderFulfilled) -> None:
        if order.order_id == "dead":
            raise GiveUp("no")
        raise OSError

    with collecting() as collected:
        async with hooks:
            await settled(hooks, await deliver(hooks, about("dead")), State.DEAD)
            await settled(hooks, await deliver(hooks, b'{"event": "parcel.lost"}'), State.UNHANDLED)
            await deliver(hooks, about("waits"))
            await until(lambda: hooks.runtime.counters.attempts["retry", "handler"] != [0] * 11)
            await hooks.pause("handler")
            await hooks.runtime.telemetry._figures.look()  # type: ignore[union-attr]
            clock.move(90)
            got = collected.value
            inbox = str(tmp_path / "hooks.db")
            assert got("webhook_receiver.inbox.up", inbox=inbox) == 1
            assert {state: got("webhook_receiver.inbox.deliveries", state=str(state)) for state in State} == {
                State.WAITING: 1,
                State.DONE: 0,
                State.UNHANDLED: 1,
                State.DEAD: 1,
            }
            assert got("webhook_receiver.inbox.oldest_waiting") == 90
            assert got("webhook_receiver.inbox.dead_within_hour") == 1
            assert got("webhook_receiver.inbox.paused_handlers") == 1
            assert (got("webhook_receiver.inbox.size") or 0) > 10_000
            assert (got("webhook_receiver.inbox.disk_free") or 0) > 1_000_000
            assert got("webhook_receiver.worker.slots") == 16
            assert got("webhook_receiver.worker.busy") == 0
            assert got("webhook_receiver.worker.stalled") == 0
        assert got("webhook_receiver.inbox.up") is None  # somebody else looks now


async def test_slots_that_run_a_handler_are_busy() -> None:
    hooks, may_end = durable(concurrency=2), asyncio.Event()
    started = 0

    @hooks.on(Event, name="slow")
    async def slow(event: Event) -> None:
        nonlocal started
        started += 1
        await may_end.wait()

    with collecting() as collected:
        async with hooks:
            ids = [await deliver(hooks, about(number)) for number in range(5)]
            await until(lambda: started == 2)
            assert collected.value("webhook_receiver.worker.busy") == 2
            may_end.set()
            for id in ids:
                await settled(hooks, id)
            await until(lambda: collected.value("webhook_receiver.worker.busy") == 0)


async def test_of_all_processes_on_an_inbox_one_tells_of_it_and_another_takes_over(
    tmp_path: Path, own_processes: None
) -> None:
    clock = Clock()

    def process() -> WebhookReceiver:
        return durable(SQLiteInbox(tmp_path / "hooks.db"), clock=clock)

    async def look(*receivers: WebhookReceiver) -> list[float | None]:
        for each in receivers:
            await each.runtime.telemetry._figures.look()  # type: ignore[union-attr]
        return [each.value("webhook_receiver.inbox.up") for each in (one, two)]

    first, second = process(), process()
    with collecting() as one:
        await first.__aenter__()
    await first.runtime.telemetry._figures.look()  # type: ignore[union-attr]  # before the second one does
    with collecting() as two:
        await second.__aenter__()
    assert await look(first, second) == [1, None]
    assert await look(second, first) == [1, None]
    assert one.value("webhook_receiver.worker.slots") == two.value("webhook_receiver.worker.slots") == 16
    await first.__aexit__(None, None, None)  # which gives it back
    assert await look(second) == [None, 1]
    third = process()
    with collecting() as one:
        await third.__aenter__()
    assert await look(third, second) == [None, 1]
    clock.move(30)  # seconds for which the second one is stopped
    assert await look(third) == [1, 1]
    assert await look(second) == [1, None]
    await second.__aexit__(None, None, None)
    await third.__aexit__(None, None, None)
    inbox = await SQLiteInbox(tmp_path / "hooks.db").open()
    assert await inbox.polls() == []
    await inbox.close()


async def test_an_inbox_that_fails_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Faulty()
    with collecting() as collected:
        async with durable(inbox) as hooks:
            look = hooks.runtime.telemetry._figures.look  # type: ignore[union-attr]
            await look()
            inbox.faults["check"] = InboxUnavailable("the disk is full")
            await look()
            assert collected.value("webhook_receiver.inbox.up") == 0
            assert collected.value("webhook_receiver.inbox.deliveries", state="dead") is None
            del inbox.faults["check"]
            await look()
            assert collected.value("webhook_receiver.inbox.up") == 1
            later = time.monotonic() + 1000
            monkeypatch.setattr(figures, "monotonic", lambda: later)  # the loop stands still, and nobody looks
            assert collected.value("webhook_receiver.inbox.up") is None


async def test_polls_tell_what_they_bring_and_how_late_they_are() -> None:
    clock = Clock()
    hooks = durable(clock=clock)
    pages: list[Changes | OSError] = [
        Changes([about("1"), about("2")], "2"),
        Changes([about("2")], "3"),
        OSError("away"),
    ]

    async def tasks(cursor: str | None) -> Changes:
        page = pages.pop(0)
        if isinstance(page, OSError):
            raise page
        return page

    hooks.poll_every(timedelta(hours=1), tasks)
    (poller,) = hooks.pollers
    hooks.runtime.tasks._functions.remove(poller.run)
    with collecting() as collected:
        async with hooks:
            look = hooks.runtime.telemetry._figures.look  # type: ignore[union-attr]
            await poller.poll(early=True)
            await poller.poll(early=True)
            clock.move(100)
            with pytest.raises(OSError, match="away"):
                await poller.poll(early=True)
            clock.move(10)
            await look()
            source = poller.name
            assert collected.value("webhook_receiver.poll.documents", source=source, result="stored") == 2
            assert collected.value("webhook_receiver.poll.documents", source=source, result="known") == 1
            assert collected.value("webhook_receiver.poll.failures", source=source) == 1
            assert collected.value("webhook_receiver.poll.lag", source=source) == 110


async def test_silence_is_a_metric() -> None:
    clock = Clock()
    with collecting() as collected:
        async with durable(clock=clock, expect_every=HOUR) as hooks:
            await deliver(hooks)
            clock.move(90)
            assert collected.value("webhook_receiver.silence", name="up42") == 90
            assert collected.value("webhook_receiver.silence.limit") == HOUR


async def test_two_receivers_on_one_inbox_are_told_apart_and_their_inbox_is_told_once() -> None:
    inbox = MemoryInbox()
    with collecting() as collected:
        async with durable(inbox, name="a") as a, durable(inbox, name="b") as b:
            await deliver(a)
            await deliver(b)
            await deliver(b, about("2"))
            await asyncio.sleep(0)
            for each in (a, b):
                await each.runtime.telemetry._figures.look()  # type: ignore[union-attr]
            assert collected.value("webhook_receiver.receipts", name="a", status_code=202) == 1
            assert collected.value("webhook_receiver.receipts", name="b", status_code=202) == 2
            assert len(collected.metrics()["webhook_receiver.inbox.up"]) == 1


async def test_a_receiver_that_is_gone_is_told_no_more() -> None:
    with collecting() as collected:
        hooks = WebhookReceiver(scheme=Unsigned(), name="short")
        await hooks.receive({}, about())
        assert collected.value("webhook_receiver.receipts", name="short") == 1
        del hooks
        gc.collect()
        assert collected.value("webhook_receiver.receipts", name="short") is None


def series(collected: Collected) -> Mapping[str, int]:
    return {name: len(values) for name, values in collected.metrics().items()}


async def test_whatever_strangers_senders_and_code_name_the_number_of_series_is_bounded() -> None:
    hooks = WebhookReceiver(scheme=Unsigned(), clock=lambda: NOW)
    for number in range(3 * MOST):
        hooks.on(f"event.{number}", name=f"handler {number} {'x' * 1000}")(lambda event: None)
    with collecting() as collected:
        for number in range(3 * MOST):
            body = b'{"event": "event.%d"}' % number
            assert (await hooks.receive({"x-event": secrets.token_hex(20)}, body)).response.status == 204
            hostile = b'{"event": "%s", "body": {"status": "%s"}}' % (secrets.token_hex(20).encode(), b"\xff" * number)
            await hooks.receive({secrets.token_hex(9): secrets.token_hex(9)}, hostile, target=secrets.token_hex(9))
            await hooks.receive({}, b"", method=secrets.token_hex(9))
            hooks.runtime.rejections.add(type(f"Reason{number}", (RequestError,), {})("from a scheme of somebody's"))
            hooks.runtime.counters.attempts["done", f"{number}"][0] += 1
            hooks.runtime.secret_usage.note(number, NOW)
            hooks.runtime.polled[f"stored source {number}"] += 1
        found, values = series(collected), collected.metrics()
    assert found["messaging.process.duration"] == MOST + 1
    assert found["webhook_receiver.attempts"] <= MOST + 1
    assert found["webhook_receiver.rejections"] <= MOST + 1
    assert found["webhook_receiver.verifications"] <= MOST + 1
    assert found["webhook_receiver.poll.documents"] <= MOST + 1
    assert found["webhook_receiver.receipts"] < 10
    assert sum(found.values()) < 8 * MOST
    assert sum(values["messaging.process.duration"].values()) == 3 * MOST
    assert sum(values["webhook_receiver.verifications"].values()) == 3 * MOST  # none is lost
    for labels in (dict(each) for by_label in values.values() for each in by_label):
        for value in labels.values():
            assert len(str(value).encode()) <= 4 * LONGEST
    assert any(dict(each).get(names.HANDLER) == OTHER for each in values["messaging.process.duration"])


def test_the_first_values_of_an_attribute_keep_their_names() -> None:
    bounded = Bounded()
    told = [bounded.of(f"{number}") for number in range(MOST + 5)]
    assert told[:MOST] == [f"{number}" for number in range(MOST)]
    assert told[MOST:] == [OTHER] * 5
    assert bounded.of("7") == "7"


async def test_metrics_without_spans_and_spans_without_metrics() -> None:
    for spans, values in ((True, False), (False, True)):
        hooks = durable()
        hooks.on(Event, name="handler")(lambda event: None)
        with collecting(spans=spans, values=values) as collected:
            async with hooks:
                stored = await settled(hooks, await deliver(hooks))
                assert bool(collected.metrics()) == values
            assert bool(collected.spans) == spans
            assert (stored.delivery.context is not None) == spans


async def test_without_a_provider_nothing_is_there_to_be_called() -> None:
    hooks = durable()
    async with hooks:
        await deliver(hooks)
        assert hooks.runtime.telemetry is None
        assert hooks.runtime.rejections.tell is None
