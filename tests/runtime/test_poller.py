"""Polls: what a source tells is handled once, whatever it does, whoever polls it, and whatever is pushed meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from tests.helpers import NOW, SECRET
from tests.working import Clock, Faulty, Ticking, about, deliver, durable, until
from webhook_receiver import (
    ApiError,
    ConfigurationError,
    Event,
    Filter,
    InboxUnavailable,
    OrderStatusChanged,
    State,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.errors import PollLeaseLost
from webhook_receiver.inbox.records import Metric
from webhook_receiver.responses import Receipt
from webhook_receiver.runtime import poller
from webhook_receiver.runtime.health import PollHealth
from webhook_receiver.runtime.poller import Polled, Poller
from webhook_receiver.senders.github import github
from webhook_receiver.senders.source import MOST_OF_A_CURSOR, Changes, NotAllTold, Source
from webhook_receiver.senders.split import Split
from webhook_receiver.senders.standard_webhooks import standard_webhooks

HOUR = 3600.0
MINUTES = timedelta(minutes=5)


class Api:
    """An API that lists its changes by number; a cursor is the number of the next one."""

    name = "tasks"

    def __init__(self, *orders: str, size: int = 1000) -> None:
        self.documents = [about(order) for order in orders]
        self.size = size
        self.asked: list[str | None] = []
        self.errors: list[BaseException] = []

    async def __call__(self, cursor: str | None) -> Changes:
        self.asked.append(cursor)
        if self.errors:
            raise self.errors.pop(0)
        begin = int(cursor or 0)
        end = min(begin + self.size, len(self.documents))
        return Changes(self.documents[begin:end], str(end), more=end < len(self.documents))

    def cursor_at(self, moment: datetime) -> str:
        return "1"


def polling(source: Source, interval: timedelta | float = MINUTES, **options: Any) -> tuple[WebhookReceiver, list[str]]:
    """Return a receiver that polls a source, and the orders that its handler was told of."""
    hooks, told = durable(**options), list[str]()

    @hooks.on(OrderStatusChanged)
    async def note(event: OrderStatusChanged) -> None:
        told.append(event.order_id or "")

    hooks.poll_every(interval, source)
    return hooks, told


@asynccontextmanager
async def opened(hooks: WebhookReceiver) -> AsyncGenerator[Poller]:
    """Yield the receiver's poller while its inbox is open, and no task of it runs."""
    await hooks.runtime.open()
    try:
        (only,) = hooks.pollers
        yield only
    finally:
        await hooks.inbox.close()


def returning(given: Any) -> Source:
    """Return a source that returns whatever it is given."""

    async def odd(cursor: str | None) -> Changes:
        found: Changes = given
        return found

    return odd


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an inbox that several processes may have."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/hooks.db?min_free=0"
    url: str = request.getfixturevalue("postgres_url")
    return url


async def test_what_a_source_tells_is_handled_and_the_next_poll_goes_on_behind_it() -> None:
    api = Api("o-1", "o-2", "o-3", size=2)
    hooks, told = polling(api, 0.01, clock=Ticking())
    async with hooks:
        await until(lambda: len(told) == 3)
        api.documents.append(about("o-4"))
        await until(lambda: len(told) == 4)
    assert told == ["o-1", "o-2", "o-3", "o-4"]
    assert api.asked[:3] == [None, "2", "3"]


async def test_a_polled_delivery_says_that_it_is_one() -> None:
    hooks, _ = polling(Api("o-1"))
    async with opened(hooks) as each:
        assert await each.poll() == Polled(documents=1, stored=1)
        (record,) = await hooks.inbox.find(Filter())
        kept = await hooks.inbox.get(record.id)
    assert kept is not None
    delivery = kept.delivery
    assert (delivery.via, delivery.verified_by, delivery.body_verified) == ("poll", None, True)
    assert (delivery.headers, delivery.body, delivery.received) == ((), about("o-1"), NOW)


@pytest.mark.usefixtures("own_processes")
@pytest.mark.parametrize("pushed_first", [True, False])
async def test_what_is_pushed_and_polled_is_handled_once_whichever_came_first(store: str, pushed_first: bool) -> None:
    hooks, _ = polling(Api("o-1"), inbox=store)
    pushed = about("o-1", note="the push has another body")
    async with durable(store, work=False) as pushing, opened(hooks) as each:
        if pushed_first:
            await deliver(pushing, pushed)
        assert await each.poll() == Polled(1, not pushed_first, pushed_first)
        if not pushed_first:
            await deliver(pushing, pushed, status=200)
        assert len(await hooks.inbox.find(Filter())) == 1


@pytest.mark.usefixtures("own_processes")
async def test_pushes_and_a_poll_of_the_same_changes_within_a_moment_are_one_delivery_each(store: str) -> None:
    orders = [f"o-{number}" for number in range(300)]
    hooks, _ = polling(Api(*orders, size=100), inbox=store)
    async with durable(store, work=False) as pushing, opened(hooks) as each:
        forwards = [pushing.receive({}, about(order, pushed=True)) for order in orders[::2]]
        backwards = [pushing.receive({}, about(order, pushed=True)) for order in orders[:0:-2]]
        polled, *receipts = await asyncio.gather(each.poll(), *forwards, *backwards)
        assert isinstance(polled, Polled)
        known = [receipt for receipt in receipts if isinstance(receipt, Receipt) and receipt.duplicate_of is not None]
        assert (polled.known, len(known)) == (300 - polled.stored, polled.stored)
        assert len(await hooks.inbox.find(Filter())) == 300


class Parcel(Event, frozen=True):
    event: Literal["parcel"]
    number: int

    @property
    def delivery_id(self) -> str | None:
        return str(self.number)


@pytest.mark.usefixtures("own_processes")
async def test_an_event_with_an_id_of_its_own_and_no_identity_is_known_by_that(store: str) -> None:
    push = b'{"event": "parcel", "number": 7}'
    hooks, pushing = durable(store), durable(store, work=False)
    for each in (hooks, pushing):
        each.on(Parcel, name="book")(lambda event: None)
    source = Changes([push, b'{"event": "parcel",  "number": 7, "again": true}'], "1")
    hooks.poll_every(MINUTES, returning(source))
    async with pushing, opened(hooks) as only:
        assert await only.poll() == Polled(2, 1, 1)
        await deliver(pushing, push, status=200)


async def test_what_has_neither_id_nor_identity_is_known_by_its_bytes_however_late_it_is_told_again() -> None:
    clock = Clock()
    hooks = durable(clock=clock)
    hooks.fallback(lambda event: None)
    hooks.poll_every(MINUTES, returning(Changes([b'{"event": "odd"}'], "1")))
    async with opened(hooks) as each:
        assert await each.poll() == Polled(1, 1)
        clock.move(20 * 24 * HOUR)
        assert await each.poll() == Polled(1, 0, 1)


async def test_what_is_listed_again_after_the_retention_runs_no_handler_again(tmp_path: Path) -> None:
    clock = Clock()
    url = f"sqlite:///{tmp_path}/hooks.db?min_free=0"
    hooks, told = polling(returning(Changes([about("o-1"), about("o-2")], "1")), inbox=url, clock=clock)
    async with hooks:
        await until(lambda: len(told) == 2)  # what was run is settled before the inbox is closed
    clock.move(40 * 24 * HOUR)
    hooks, told = polling(returning(Changes([about("o-1"), about("o-2")], "1")), inbox=url, clock=clock)
    async with opened(hooks) as each:
        while await hooks.inbox.expire(clock()):
            pass
        assert await hooks.inbox.find(Filter()) == []
        assert await each.poll(early=True) == Polled(2, 0, 2)


async def test_a_source_may_go_back_skip_and_repeat() -> None:
    hooks, _ = polling(api := Api("o-1", "o-2", "o-3", "o-4"))
    odd = iter([("0", "2"), ("1", "3"), ("0", "0"), ("0", "4")])

    async def unsteady(cursor: str | None) -> Changes:
        begin, end = next(odd)
        return Changes(api.documents[int(begin) : int(end)] * 2, begin)

    hooks.poll_every(MINUTES, unsteady)
    _, each = hooks.pollers
    await hooks.runtime.open()
    found = [await each.poll(early=True) for _ in range(4)]
    assert [(polled.stored, polled.known) for polled in found if polled is not None] == [(2, 2), (1, 3), (0, 0), (1, 7)]
    await hooks.inbox.close()


async def test_a_page_of_100_000_changes_is_kept_whole_in_small_steps() -> None:
    puts: list[tuple[int, str | None]] = []

    class Counting(Faulty):
        async def put_all(self, entries: Sequence[Any], cursor: str | None, poll: Any, now: float) -> Any:
            puts.append((len(entries), cursor))
            return await super().put_all(entries, cursor, poll, now)

    hooks = durable(Counting())
    changes = [about(f"o-{number}") for number in range(5_000)] * 20
    hooks.poll_every(MINUTES, returning(Changes(changes, "end")))
    async with opened(hooks) as each:
        assert await each.poll() == Polled(100_000, 5_000, 95_000)
        assert (await hooks.inbox.stats()).counts[State.WAITING] == 5_000
    assert max(size for size, _ in puts) <= 100
    assert [cursor for _, cursor in puts if cursor is not None] == ["end"]


async def test_what_a_source_tells_again_is_known_without_a_look_unless_it_is_asked_for_what_is_past() -> None:
    puts = 0

    class Counting(Faulty):
        async def put_all(self, entries: Sequence[Any], cursor: str | None, poll: Any, now: float) -> Any:
            nonlocal puts
            puts += len(entries)
            return await super().put_all(entries, cursor, poll, now)

    api = Api("o-0", "o-1", "o-2")
    hooks, _ = polling(api, inbox=Counting())
    past = datetime.fromtimestamp(NOW, UTC)
    async with opened(hooks) as each:
        await each.poll()
        api.documents.extend(api.documents)
        assert await each.poll(early=True) == Polled(3, 0, 3)
        assert puts == 3
        assert await each.poll(early=True, since=past) == Polled(5, 0, 5)
        assert puts == 8


async def test_of_what_a_source_has_told_only_the_latest_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "_MOST_TOLD", 10)
    api = Api(*(f"o-{number}" for number in range(30)))
    hooks, _ = polling(api, inbox=(inbox := Faulty()))
    async with opened(hooks) as each:
        await each.poll()
        api.documents += api.documents[:1] + api.documents[-1:]
        assert await each.poll(early=True) == Polled(2, 0, 2)
        assert len(await inbox.find(Filter())) == 30


async def test_what_is_no_event_is_a_dead_letter_once(caplog: pytest.LogCaptureFixture) -> None:
    hooks, _ = polling(returning(Changes([b"<html>Please log in</html>", about("o-1")], "1")))
    async with opened(hooks) as each:
        assert await each.poll() == Polled(2, 2, 0, 1)
        assert await each.poll(early=True) == Polled(2, 0, 2)
        (dead,) = await hooks.inbox.find(Filter(states=[State.DEAD]))
    assert dead.via == "poll"
    assert caplog.text.count("is dead") == 1
    assert "log in" not in caplog.text


async def test_an_empty_batch_moves_the_cursor_all_the_same() -> None:
    hooks = durable(sender=replace(standard_webhooks(SECRET), split=Split("items.*")))
    hooks.poll_every(MINUTES, returning(Changes([b'{"items": []}', b'{"items": [{"type": "a"}, {"type": "b"}]}'], "7")))
    async with opened(hooks) as each:
        assert (await each.poll() or Polled()).stored == 1
        assert [found.cursor for found in await hooks.inbox.polls()] == ["7"]
        assert len(await hooks.inbox.find(Filter())) == 2


# What a source must not return


def page(documents: Any, cursor: Any, more: Any = False) -> Any:
    """Return a page with whatever is given."""
    return Changes(documents, cursor, more)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "returned NoneType, and not Changes"),
        (([], "1", False), "returned tuple, and not Changes"),
        (page(b"{}", "1"), "bytes as documents, and not a list"),
        (page("{}", "1"), "str as documents"),
        (page({b"{}"}, "1"), "set as documents"),
        (page([b"{}", "{}"], "1"), "as document 2 of a page str, and not bytes"),
        (page([{}], "1"), "as document 1 of a page dict"),
        (page([], None), "NoneType as cursor"),
        (page([], b"1"), "bytes as cursor"),
        (page([], 17), "int as cursor"),
        (page([], "x" * 3_000_000), "a cursor of 3000000 characters"),
        (page([], "x" * (MOST_OF_A_CURSOR + 1)), "a cursor of 10001 characters"),
        (page([], "\ud800"), "half a surrogate pair"),
        (page([], "1", more=1), "int as more"),
        (page([], "1", more="no"), "str as more"),
    ],
)
async def test_what_a_source_must_not_return_is_told_and_the_cursor_stays(given: Any, said: str) -> None:
    hooks, _ = polling(returning(given))
    async with opened(hooks) as each:
        with pytest.raises(ApiError, match=said):
            await each.poll()
        (found,) = await hooks.inbox.polls()
        assert (found.cursor, found.leased, found.failures) == (None, False, 1)
        assert found.error is not None
        assert found.error.startswith("the source odd returned ")


async def test_a_document_that_is_too_large_is_left_out_and_named_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    large = about("o-2", note="x" * 1_048_577)
    asked: list[str | None] = []

    async def source(cursor: str | None) -> Changes:
        asked.append(cursor)
        if cursor is None:
            return Changes([about("o-1"), large, b"x" * 1_048_577, about("o-3")], "1", more=True)
        return Changes([about(f"o-{len(asked) + 2}")], str(len(asked)))

    hooks, _ = polling(source)
    said = r"told a document of \d+ bytes about the order 'o-2'; a document of 1048577 bytes: .*\(max_body=...\) allows"
    async with opened(hooks) as each:
        with pytest.raises(ApiError, match=said):
            await each.poll()
        (found,) = await hooks.inbox.polls()
        assert (found.cursor, found.failures) == ("2", 1)
        assert found.error is not None
        assert "'o-2'" in found.error
        assert len(await hooks.inbox.find(Filter())) == 3
        assert await each.poll(early=True) == Polled(1, 1)
        (found,) = await hooks.inbox.polls()
        assert (found.cursor, found.failures, found.error) == ("3", 0, None)
    assert [record.getMessage().count("is left out") for record in caplog.records][:2] == [1, 1]
    assert "xxx" not in caplog.text


@pytest.mark.parametrize(("error", "most"), [(NotAllTold, 1.1), (ApiError, 4.4)])
async def test_the_next_poll_is_not_put_off_by_what_a_part_of_it_fails_with(error: type[ApiError], most: float) -> None:
    async def source(cursor: str | None) -> Changes:
        raise error("one order cannot be told", status=500)

    hooks, _ = polling(source, 60.0)
    async with opened(hooks) as each:
        for _ in range(3):
            with pytest.raises(ApiError):
                await each.poll(early=True)
        (found,) = await hooks.inbox.polls()
        assert found.until is not None
        assert most * 0.8 * 60 <= found.until - hooks.runtime.inbox_clock() <= most * 60
        assert (await health_of(hooks)).state == "failing"


async def test_a_source_that_is_not_async_is_told() -> None:
    def plain(cursor: str | None) -> Any:
        return Changes([], "1")

    hooks, _ = polling(plain)
    async with opened(hooks) as each:
        with pytest.raises(ApiError, match="plain is not async"):
            await each.poll()


@pytest.mark.parametrize("circle", [["1"], ["1", "2"], ["1", "2", "3", "1"]])
async def test_more_behind_a_cursor_that_it_had_before_does_not_go_on_for_ever(circle: list[str]) -> None:
    cursors = itertools.cycle(circle)
    asked = 0

    async def round_and_round(cursor: str | None) -> Changes:
        nonlocal asked
        asked += 1
        return Changes([about(f"o-{asked}")], next(cursors), more=True)

    hooks, _ = polling(round_and_round)
    async with opened(hooks) as each:
        with pytest.raises(ApiError, match="goes in a circle"):
            await each.poll()
        assert asked == len({*circle}) + 1
        assert len(await hooks.inbox.find(Filter())) == asked, "what it told is kept"


async def test_a_poll_ends_after_many_pages_and_the_next_one_goes_on_there(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(poller, "MOST_PAGES", 3)
    hooks, _ = polling(api := Api(*"abcdefg", size=2))
    async with opened(hooks) as each:
        assert await each.poll() == Polled(6, 6)
        assert "has more behind 3 pages" in caplog.text
        assert await each.poll(early=True) == Polled(1, 1)
    assert api.asked == [None, "2", "4", "6"]


async def test_a_source_gets_a_bounded_time_for_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "PAGE_TIMEOUT", 0.01)

    async def endless(cursor: str | None) -> Changes:
        await asyncio.Event().wait()
        raise AssertionError

    hooks, _ = polling(endless)
    async with opened(hooks) as each:
        with pytest.raises(ApiError, match=r"the source endless gave no page within 0\.01 s"):
            await each.poll()


async def test_a_source_that_is_cancelled_from_within_or_exits_does_not_end_the_polls() -> None:
    api = Api("o-1")
    api.errors = [
        asyncio.CancelledError(),
        TimeoutError(),
        SystemExit(3),
        ExceptionGroup("two", [KeyError()]),
    ]
    hooks, told = polling(api, 0.001, clock=Ticking())
    async with hooks:
        await until(lambda: told == ["o-1"])


# Failures


async def failing(each: Poller) -> None:
    with pytest.raises(ApiError):
        await each.poll(early=True)


async def health_of(hooks: WebhookReceiver) -> PollHealth:
    """Return the health of the only source."""
    polls = (await hooks.health()).polls
    assert polls is not None
    (found,) = polls
    return found


async def waits(hooks: WebhookReceiver) -> float:
    (found,) = await hooks.inbox.polls()
    assert found.until is not None
    return found.until - NOW


async def test_after_failures_the_wait_doubles_up_to_an_hour_and_a_success_ends_it() -> None:
    api = Api()
    api.errors = [ApiError("busy", status=503) for _ in range(9)]
    hooks, _ = polling(api, MINUTES)
    found: list[float] = []
    async with opened(hooks) as each:
        for _ in range(9):
            await failing(each)
            found.append(await waits(hooks))
        await each.poll(early=True)
        after = await waits(hooks)
    for wait, wanted in zip(found, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600], strict=True):
        assert 0.9 * wanted <= wait <= 1.1 * wanted
    assert 270 <= after <= 330
    assert len({round(wait / wanted, 6) for wait, wanted in zip(found[-3:], [3600] * 3, strict=True)}) > 1, "jitter"


@pytest.mark.parametrize(
    ("interval", "wanted"), [(5, [5, 10, 20]), (24 * HOUR, [60, 120, 240])], ids=["seconds", "a day"]
)
async def test_the_first_wait_is_an_interval_and_a_minute_at_most(interval: float, wanted: list[float]) -> None:
    api = Api()
    api.errors = [ApiError("busy") for _ in wanted]
    hooks, _ = polling(api, interval)
    async with opened(hooks) as each:
        for wait in wanted:
            await failing(each)
            assert 0.9 * wait <= await waits(hooks) <= 1.1 * wait


@pytest.mark.parametrize(
    ("asked", "at_least", "at_most"),
    [
        (1800, 1800, 1980),
        (3, 54, 66),
        (-5, 54, 66),
        (float("nan"), 54, 66),
        ("soon", 54, 66),
        (1e12, 86_400, 95_040),
        (float("inf"), 86_400, 95_040),
    ],
)
async def test_nobody_polls_before_the_api_wants_it_within_a_day(asked: Any, at_least: float, at_most: float) -> None:
    api = Api()
    api.errors = [ApiError("too many", status=429, retry_after=asked)]
    hooks, _ = polling(api)
    async with opened(hooks) as each:
        await failing(each)
        assert at_least <= await waits(hooks) <= at_most


async def test_429_for_an_hour_is_asked_a_few_times_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    begun: list[float] = []

    async def busy(cursor: str | None) -> Changes:
        begun.append(clock.now)
        if clock.now < NOW + HOUR:
            raise ApiError("too many", status=429, retry_after=600)
        return Changes([about("o-1")], "1")

    hooks, told = polling(busy, 0.01, clock=clock)

    def later() -> bool:
        clock.move(1)
        return bool(told) and "told 1 changes" in caplog.text

    async with hooks:
        await until(later)
    failed = [at for at in begun if at < NOW + HOUR]  # behind them there may be any number of polls
    assert 3 <= len(failed) <= 6
    assert all(after - before >= 600 for before, after in itertools.pairwise(begun[: len(failed) + 1]))
    said = [record.getMessage() for record in caplog.records if "the source busy" in record.getMessage()]
    assert len(said) == 3
    assert said[1:] == ["up42: the source busy works again", "up42: the source busy told 1 changes, 0 were known"]


async def test_the_errors_of_httpx_are_understood_and_their_url_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, headers={"retry-after": "1200"}, text="<html>slow down</html>")

    async def tasks(cursor: str | None) -> Changes:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            page = await client.get("https://api.test/tasks", params={"api_key": "hush"})
        page.raise_for_status()
        return Changes([], "1")

    hooks, _ = polling(tasks, 0.01)
    async with hooks:
        polls: list[Any] = []
        while not (polls and polls[0].error):
            polls = [*await hooks.inbox.polls()]
        health = await health_of(hooks)
        await until(lambda: "the source tasks failed" in caplog.text)
    assert polls[0].error == health.error == "the API answered 429"
    assert 1200 <= (health.next_poll_seconds or 0) <= 1320
    assert "hush" not in caplog.text + str(health)


async def test_of_an_error_that_is_none_of_ours_only_its_class_and_places_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = "hush"

    async def tasks(cursor: str | None) -> Changes:
        raise RuntimeError(f"https://api.test/?key={key}")

    hooks, _ = polling(tasks)
    async with hooks:
        await until(lambda: "the source tasks failed" in caplog.text)
        found = await health_of(hooks)
    assert found.error is not None
    assert found.error.startswith("RuntimeError")
    assert "in tasks\n" in caplog.text
    assert key not in found.error + caplog.text


async def test_a_source_that_fails_stops_neither_pushes_nor_other_sources() -> None:
    down = Api()
    down.name = "down"
    down.errors = [ApiError("down") for _ in range(1000)]
    hooks, told = polling(Api("o-polled"), clock=Ticking())
    hooks.poll_every(0.01, down)
    async with hooks:
        await until(lambda: len(down.errors) < 995)
        await deliver(hooks, about("o-pushed"))
        await until(lambda: sorted(told) == ["o-polled", "o-pushed"])
        health = await hooks.health()
    assert (health.ok, health.state) == (True, "working")
    assert [(each.source, each.state) for each in health.polls or ()] == [("tasks", "working"), ("down", "failing")]


async def test_an_inbox_that_fails_is_told_and_the_poll_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    class Full(Faulty):
        async def put_all(self, entries: Sequence[Any], cursor: str | None, poll: Any, now: float) -> Any:
            self._meet("put_all")
            return await super().put_all(entries, cursor, poll, now)

    inbox = Full()
    inbox.faults["put_all"] = InboxUnavailable("the disk is full")
    hooks, told = polling(Api("o-1"), 0.001, inbox=inbox, clock=Ticking())
    async with hooks:
        await until(lambda: inbox.calls["put_all"] > 2)
        del inbox.faults["put_all"]
        await until(lambda: told == ["o-1"])
    assert caplog.text.count("the disk is full") == 1


# Several processes


@pytest.mark.usefixtures("own_processes")
async def test_all_processes_poll_a_source_once_in_an_interval_together(store: str) -> None:
    api = Api("o-1", "o-2")
    some = [polling(api, inbox=store) for _ in range(4)]
    for hooks, _ in some:
        await hooks.__aenter__()
    await until(lambda: sum(len(told) for _, told in some) == 2)
    for hooks, _ in some:
        await hooks.__aexit__()
    assert api.asked == [None]
    assert sorted(order for _, told in some for order in told) == ["o-1", "o-2"]


async def test_two_that_poll_at_once_are_one_after_the_other(store: str) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(cursor: str | None) -> Changes:
        begun.set()
        await go_on.wait()
        return Changes([about("o-1")], "1")

    (one, _), (two, _) = (polling(slow, inbox=store) for _ in range(2))
    async with opened(one) as first, opened(two) as second:
        running = asyncio.create_task(first.poll())
        await begun.wait()
        assert await second.poll() is None
        assert await second.poll(early=True) is None
        go_on.set()
        assert await running == Polled(1, 1)
        assert await second.poll() is None, "too early"
        assert await second.poll(early=True) == Polled(1, 0, 1)


async def test_who_was_stopped_while_another_one_polled_puts_nothing_and_sets_no_cursor_back(store: str) -> None:
    clock = Clock()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def stopped(cursor: str | None) -> Changes:
        begun.set()
        await go_on.wait()
        return Changes([about("o-late")], "0")

    hooks, _ = polling(stopped, inbox=store, clock=clock)
    api = Api("o-1", "o-2")
    api.name = "stopped"
    other, _ = polling(api, inbox=store, clock=clock)
    async with opened(hooks) as each, opened(other) as another:
        running = asyncio.create_task(each.poll())
        await begun.wait()
        clock.move(poller.LEASE)
        assert await another.poll() == Polled(2, 2)
        go_on.set()
        with pytest.raises(PollLeaseLost):
            await running
        (found,) = await hooks.inbox.polls()
        assert (found.cursor, found.error) == ("2", None)
        assert [each.identity for each in await hooks.inbox.find(Filter(), newest_first=False)] == [
            *("o-1 FULFILLED", "o-2 FULFILLED")
        ]


async def looked_at(clock: Clock) -> None:
    """Wait until everybody had a look at a clock."""
    looks = clock.looks
    await until(lambda: clock.looks > looks + 2)


async def test_a_lease_is_renewed_for_as_long_as_the_source_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "LEASE", 0.01)
    clock, begun, go_on = Clock(), asyncio.Event(), asyncio.Event()

    async def slow(cursor: str | None) -> Changes:
        if not begun.is_set():
            begun.set()
            await go_on.wait()
        return Changes([about("o-1")], "1")

    hooks, _ = polling(slow, clock=clock)
    async with opened(hooks) as each:
        running = asyncio.create_task(each.poll())
        await begun.wait()
        for _ in range(5):
            clock.move(poller.LEASE * 2 / 3)
            await looked_at(clock)
            assert await each.poll() is None
        go_on.set()
        assert await running == Polled(1, 1)


async def test_a_receiver_that_stops_gives_the_source_back_at_once(store: str) -> None:
    begun = asyncio.Event()

    async def endless(cursor: str | None) -> Changes:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    hooks, _ = polling(endless, inbox=store)
    async with hooks:
        await begun.wait()
    api = Api("o-1")
    api.name = "endless"
    other, _ = polling(api, inbox=store)
    async with opened(other) as each:
        (found,) = await other.inbox.polls()
        assert (found.leased, found.error, found.failures, found.succeeded) == (False, None, 0, None)
        assert await each.poll() == Polled(1, 1)


async def test_a_source_that_swallows_its_end_does_not_hold_up_the_stop() -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def stubborn(cursor: str | None) -> Changes:
        begun.set()
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue
        return Changes([], "1")

    hooks, _ = polling(stubborn)
    async with asyncio.timeout(10):
        async with hooks:
            await begun.wait()
    end.set()


# How it stands


async def test_the_health_tells_how_each_source_stands() -> None:
    clock, api = Clock(), Api("o-1")
    hooks, _ = polling(api, clock=clock)

    async with opened(hooks) as each:
        assert await health_of(hooks) == PollHealth("tasks", "new", None, None, 0.0, 0, None)
        await each.poll()
        clock.move(100)
        found = await health_of(hooks)
        assert 170 <= (found.next_poll_seconds or 0) <= 230
        assert (found.state, found.last_success_seconds, found.cursor_age_seconds) == ("working", 100, 100)
        clock.move(300)
        assert (await health_of(hooks)).next_poll_seconds == 0
        api.errors = [ApiError("the API is down", status=503)]
        await failing(each)
        found = await health_of(hooks)
        assert (found.state, found.failures, found.error) == ("failing", 1, "the API is down")
        assert (found.last_success_seconds, found.cursor_age_seconds) == (400, 400)


async def test_polls_are_counted_in_the_inbox() -> None:
    api = Api("o-1", "o-2")
    hooks, _ = polling(api)
    async with opened(hooks) as each:
        await each.poll()
        await each.poll(early=True, since=datetime.fromtimestamp(NOW, UTC))
        api.errors = [ApiError("down")]
        await failing(each)
        await hooks.runtime.counters.write(hooks.inbox, hooks.name)
        found = await hooks.inbox.counted(NOW - 60, NOW + 60)
    counted = {metric.what: number for metric, number in found.items()}
    assert counted == {"poll stored tasks": 2, "poll known tasks": 1, "poll failed tasks": 1}
    assert all(isinstance(metric, Metric) for metric in found)


async def test_who_polls_may_hear_of_each_step() -> None:
    hooks, _ = polling(Api("o-1", "o-2", "o-3", size=2))
    heard: list[Polled] = []
    async with opened(hooks) as each:
        await each.poll(progress=heard.append)
    assert heard == [Polled(2, 2), Polled(3, 3)]
    assert heard[-1].as_json() == {"documents": 3, "stored": 3, "known": 0, "dead": 0}


async def test_a_poll_may_begin_at_a_time_and_goes_on_from_there() -> None:
    hooks, _ = polling(api := Api("o-1", "o-2"))
    async with opened(hooks) as each:
        await each.poll()
        assert await each.poll(early=True, since=datetime.fromtimestamp(NOW, UTC)) == Polled(1, 0, 1)
        assert api.asked == [None, "1"]
        assert [found.cursor for found in await hooks.inbox.polls()] == ["2"]


async def test_a_source_without_cursor_at_cannot_begin_at_a_time() -> None:
    hooks, _ = polling(returning(Changes([], "1")))
    async with opened(hooks) as each:
        with pytest.raises(ConfigurationError, match="the source odd cannot begin at a time"):
            await each.poll(since=datetime.fromtimestamp(NOW, UTC))
        assert await hooks.inbox.polls() == []


# Misuse


def test_a_source_needs_an_inbox() -> None:
    with pytest.raises(ConfigurationError, match="has no inbox"):
        WebhookReceiver(scheme=Unsigned()).poll_every(MINUTES, Api())


def test_two_sources_of_one_name_are_rejected_on_one_receiver_only() -> None:
    hooks, _ = polling(Api())
    with pytest.raises(ConfigurationError, match="up42 polls a source tasks already: give this one another name"):
        hooks.poll_every(MINUTES, Api())
    polling(Api())


@pytest.mark.parametrize("given", [Api, None, "tasks", Changes([], "1"), lambda cursor: None])
def test_what_is_no_source_is_rejected(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="a source"):
        durable().poll_every(MINUTES, given)


@pytest.mark.parametrize("interval", [0, -1, float("inf"), "5m", None, True])
def test_what_is_no_interval_is_rejected(interval: Any) -> None:
    with pytest.raises(ConfigurationError, match="interval is a timedelta or a number of seconds"):
        durable().poll_every(interval, Api())


async def test_a_receiver_that_runs_takes_no_further_source() -> None:
    hooks = durable()
    async with hooks:
        with pytest.raises(ConfigurationError, match="runs already"):
            hooks.poll_every(MINUTES, Api())
        assert hooks.pollers == ()
        assert (await hooks.health()).polls == ()


def test_a_sender_whose_events_are_named_in_a_header_is_not_polled() -> None:
    hooks = durable(sender=github(SECRET))
    with pytest.raises(ConfigurationError, match="github names its events in a header"):
        hooks.poll_every(MINUTES, Api())
