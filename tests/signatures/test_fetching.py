"""What a scheme needs is fetched once for all who wait, within bounds, and by a clock that comes with each request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from tests.working import until
from webhook_receiver.errors import BadSignature, ConfigurationError, KeysUnavailable
from webhook_receiver.signatures import fetching
from webhook_receiver.signatures.fetching import (
    INTERVAL,
    MAX_QUEUED,
    PAUSE,
    SLOW,
    FetchCache,
    KeysNeeded,
    checked_span,
    with_keys,
)

NOW = 1000.0


class Source:
    """A source of values, each one the number of calls so far; and what it does instead, once told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.instead: Callable[[], Awaitable[str | None]] | None = None

    async def load(self, key: str) -> str | None:
        self.calls.append(key)
        return f"{key}{len(self.calls)}" if self.instead is None else await self.instead()

    async def fail(self) -> str:
        raise KeysUnavailable("the source is away")


@pytest.fixture
def source() -> Source:
    return Source()


def cache(source: Source, *, max_stale: float = 0, **options: Any) -> FetchCache[str, str]:
    return FetchCache(source.load, what="the keys", lifetime=100, max_stale=max_stale, **options)


async def got(cache: FetchCache[str, str], key: str = "a", now: float = NOW) -> str | None:
    """Return a value as a receiver gets it."""
    get = partial(cache.get, key, now)
    try:
        return get()
    except KeysNeeded as needed:
        return await with_keys(get, needed)


async def test_a_value_is_fetched_once_for_its_lifetime(source: Source) -> None:
    values = cache(source)
    assert [await got(values, now=NOW + at) for at in (0, 50, 99)] == ["a1"] * 3
    assert await got(values, now=NOW + 100) == "a2"
    assert await got(values, now=NOW - 300) == "a3", "a clock that was set back makes nothing last longer"


async def test_a_request_that_took_long_uses_what_was_fetched_meanwhile(source: Source) -> None:
    values = cache(source, max_stale=100)
    await got(values)
    for late in (1, 20, 299):
        assert await got(values, now=NOW - late) == "a1"
        values.renew("a", NOW - late)
    source.instead = source.fail
    assert await got(values, now=NOW + 150) == "a1"
    assert await got(values, now=NOW + 120) == "a1"
    assert source.calls == ["a", "a"]


async def test_all_who_wait_share_one_fetch_that_outlives_each_of_them(source: Source) -> None:
    values, begun, go = cache(source), asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        begun.set()
        await go.wait()
        return "late"

    source.instead = slow
    waiting = [asyncio.create_task(got(values)) for _ in range(10)]
    await begun.wait()
    waiting[0].cancel()  # its client went away
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    go.set()
    assert await asyncio.gather(*waiting[1:]) == ["late"] * 9
    assert source.calls == ["a"]


async def test_what_there_is_not_is_remembered_for_a_while_and_puts_nothing_out(source: Source) -> None:
    values = cache(source, size=2)
    assert await got(values, "known") == "known1"

    async def nothing() -> None:
        return None

    source.instead = nothing
    for key in ("b", "c", "d", "d", "d"):
        assert await got(values, key) is None
    assert source.calls == ["known", "b", "c", "d"]
    assert await got(values, "known") == "known1"
    assert await got(values, "d", NOW + INTERVAL) is None
    assert source.calls[4:] == ["d"]


async def test_that_there_was_none_just_now_is_no_answer_to_what_came_since(source: Source) -> None:
    values = cache(source)

    async def nothing() -> None:
        return None

    source.instead = nothing
    assert await got(values) is None
    source.instead = None
    for later in (0.01, INTERVAL - 1):
        with pytest.raises(KeysUnavailable, match="may be others by now"):
            await got(values, now=NOW + later)
    assert source.calls == ["a"]
    assert await got(values, now=NOW + INTERVAL) == "a2"


async def test_the_value_that_was_not_used_for_longest_goes_first(source: Source) -> None:
    values = cache(source, size=2)
    for key in ("a", "b", "a", "c", "a"):
        await got(values, key)
    assert source.calls == ["a", "b", "c"]
    assert await got(values, "b") == "b4"


async def test_a_value_is_used_beyond_its_lifetime_while_it_cannot_be_fetched(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    values = cache(source, max_stale=200)
    await got(values)
    source.instead = source.fail
    with caplog.at_level(logging.WARNING):
        assert [await got(values, now=NOW + 100 + at) for at in range(int(INTERVAL))] == ["a1"] * int(INTERVAL)
    assert len(source.calls) == 2, "and it is tried again no sooner than after the interval"
    assert caplog.messages == ["the source is away; those of before are used"]
    assert await got(values, now=NOW + 100 + INTERVAL) == "a1"
    assert len(source.calls) == 3
    with pytest.raises(KeysUnavailable, match="the source is away"):
        await got(values, now=NOW + 300)
    source.instead = None
    assert await got(values, now=NOW + 300 + PAUSE) == "a5"


async def test_a_failure_is_remembered_for_a_moment(source: Source) -> None:
    values = cache(source)
    source.instead = source.fail
    for _ in range(20):
        with pytest.raises(KeysUnavailable, match="the source is away"):
            await got(values)
    assert len(source.calls) == 1
    source.instead = None
    assert await got(values, now=NOW + PAUSE) == "a2"


async def test_of_a_failure_no_more_is_told_than_where_it_was(source: Source) -> None:
    async def leak() -> str:
        raise RuntimeError("postgres://user:password@host")

    source.instead = leak
    with pytest.raises(KeysUnavailable, match=r"^the keys cannot be fetched: RuntimeError at .*test_fetching.py:\d+$"):
        await got(cache(source))


async def test_a_fetch_is_bounded_in_time_also_where_the_source_has_time_outs_of_its_own(source: Source) -> None:
    async def never() -> str:
        await asyncio.Event().wait()
        return ""

    async def own() -> str:
        raise TimeoutError

    source.instead = never
    with pytest.raises(KeysUnavailable, match=r"^the keys took more than 0.01 s to fetch$"):
        await got(cache(source, timeout=0.01))
    source.instead = own
    with pytest.raises(KeysUnavailable, match="TimeoutError at"):
        await got(cache(source))


async def test_a_fetch_that_cancels_itself_takes_no_request_with_it(source: Source) -> None:
    async def gives_up() -> str:
        raise asyncio.CancelledError

    source.instead = gives_up
    with pytest.raises(KeysUnavailable, match="was given up"):
        await got(cache(source))


async def test_requests_that_wait_and_fetches_at_once_are_bounded(source: Source) -> None:
    go = asyncio.Event()

    async def slow() -> str:
        await go.wait()
        return "late"

    source.instead = slow
    most = 64 + MAX_QUEUED
    for values, keys, why, taken in [
        (cache(source), ["a"] * 100, "too many requests wait", 64),
        (cache(source, size=most), [str(number) for number in range(most + 36)], "too many fetches", most),
    ]:
        waiting = [asyncio.create_task(got(values, key)) for key in keys]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        go.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        go.clear()
        assert results[:taken] == ["late"] * taken
        assert {str(each).startswith(why) for each in results[taken:]} == {True}


@pytest.mark.parametrize("were_known", [False, True])
async def test_fetches_wait_for_their_turn_and_no_more_run_at_once_than_may(source: Source, were_known: bool) -> None:
    values, go, running, most = cache(source, size=200), asyncio.Event(), 0, 0
    keys = [f"k{number}" for number in range(150)]
    if were_known:
        for key in keys:
            await got(values, key)
        source.calls.clear()

    async def slow() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        await asyncio.sleep(0)
        running -= 1
        return "late"

    source.instead = slow
    waiting = [asyncio.create_task(got(values, key, NOW + 100)) for key in keys]
    gone = waiting.pop(100)
    await until(lambda: len(source.calls) == 64)
    gone.cancel()
    go.set()
    assert await asyncio.gather(*waiting) == ["late"] * 149
    assert most == 64
    assert source.calls == keys[:100] + keys[101:], "in their order, and none for a request that has gone away"


async def test_the_oldest_fetches_make_room_if_they_are_slow(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    values, go = cache(source, size=100), asyncio.Event()

    async def slow() -> str:
        await go.wait()
        return "late"

    source.instead = slow
    waiting = [asyncio.create_task(got(values, f"k{number}", NOW + number / 100)) for number in range(64)]
    await until(lambda: len(source.calls) == 64)
    queued = asyncio.create_task(got(values, "queued", NOW + SLOW - 0.01))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(source.calls) == 64
    source.instead = None
    assert await got(values, "new", NOW + SLOW + 0.01) == "new66"
    assert await queued == "queued65"
    go.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(each) for each in results[:2]} == {"the fetch of the keys was given up"}
    assert results[2:] == ["late"] * 62
    assert "2 that take longest are given up" in caplog.text
    assert await got(values, "k0", NOW + SLOW) == "k067", "it may be tried again at once"


async def test_where_it_is_an_answer_that_there_is_none_it_is_one_for_so_long(source: Source) -> None:
    values = cache(source, absent_for=5)

    async def nothing() -> None:
        return None

    source.instead = nothing
    for later in (0, 1, 4.9, 5, 9.9):
        assert await got(values, now=NOW + later) is None
    assert source.calls == ["a", "a"]
    source.instead = None
    assert await got(values, now=NOW + 10) == "a3"


async def test_a_value_that_is_not_too_old_is_used_where_its_fetch_was_given_up(source: Source) -> None:
    values, go = cache(source, size=100, max_stale=100), asyncio.Event()
    keys = [f"k{number}" for number in range(65)]
    for key in keys:
        await got(values, key)

    async def slow() -> str:
        await go.wait()
        return "late"

    source.instead = slow
    waiting = [asyncio.create_task(got(values, key, NOW + 100)) for key in keys[:64]]
    await until(lambda: len(source.calls) == 65 + 64)
    source.instead = None
    assert await got(values, keys[64], NOW + 100 + SLOW) == "k64130"
    assert await waiting[0] == "k01"
    go.set()
    assert await asyncio.gather(*waiting[1:]) == ["late"] * 63


async def test_requests_for_known_values_are_bounded_in_all(source: Source) -> None:
    values, go = cache(source, size=100), asyncio.Event()
    for key in "abcde":
        await got(values, key)

    async def slow() -> str:
        await go.wait()
        return "late"

    source.instead = slow
    waiting = [asyncio.create_task(got(values, key, NOW + 100)) for key in "abcd" * 64]
    await until(lambda: len(source.calls) == 9)
    with pytest.raises(KeysUnavailable, match="too many requests wait"):
        await got(values, "e", NOW + 100)
    go.set()
    assert await asyncio.gather(*waiting) == ["late"] * 256


async def test_what_strangers_make_up_does_not_keep_a_known_value_from_being_fetched_again(source: Source) -> None:
    values = cache(source, size=100, most_fetches=8)
    assert await got(values) == "a1"
    source.instead = source.fail
    for number in range(20):
        with pytest.raises(KeysUnavailable):
            await got(values, f"forged{number}", NOW + 100)
    assert len(source.calls) == 1 + 4
    source.instead = None
    assert await got(values, now=NOW + 100) == "a6"
    with pytest.raises(KeysUnavailable, match="too many fetches"):
        await got(values, "forged", NOW + 100)


async def test_what_is_fetched_again_counts_not_among_what_is_new(source: Source) -> None:
    values = cache(source, size=100, most_fetches=4)
    for at, key in enumerate("abcd"):
        await got(values, key, NOW + at * INTERVAL / 2)
    for key in "abcd":
        await got(values, key, NOW + 200)
    assert await got(values, "new", NOW + 200) == "new9"


async def test_what_is_asked_for_again_and_again_comes_before_what_strangers_make_up(source: Source) -> None:
    values = cache(source, size=100, most_fetches=8)

    async def refused(key: str) -> bool:
        try:
            return await got(values, key) is None
        except KeysUnavailable:
            return True

    forged = [await refused(f"forged{number}") for number in range(200)]
    assert (forged.count(False), await refused("genuine"), await refused("genuine")) == (4, True, False)
    others = [await refused(f"other{number}") for number in range(200)]
    stubborn = [await refused("stubborn") for _ in range(3)]
    assert (all(others), stubborn) == (True, [True, False, False])
    for _ in range(5):  # the names that came twice take what is left, and no more
        await refused("forged100")
        await refused("forged101")
    assert len(source.calls) == 8


@pytest.mark.parametrize(
    ("rate", "name", "every", "within"),
    [
        *((10, lambda n: n % 16, 20, 150), (40, lambda n: n % 40, 20, 330), (20, lambda n: n % 80, 20, 630)),
        *((5, lambda n: n % 12, 20, 120), (10, lambda n: n % 16, 60, 180), (1, lambda n: n % 80, 20, 630)),
        *((10, lambda n: n, 20, 60), (50, lambda n: n, 20, 60), (10, lambda n: n // 2, 20, 180)),
        *((10, lambda n: n // 200, 20, 180), (20, lambda n: n % 6000, 20, 60), (20, lambda n: n % 3000, 20, 60)),
        *((10, lambda n: n % 40, 300, 1200), (10, lambda n: n // 2, 300, 1200)),
    ],
    ids=[
        *("16 in turn", "40 in turn", "80 in turn", "12, slowly", "a rare delivery", "80, slowly", "new ones"),
        *("many new ones", "each twice", "each for long", "too many to remember", "rarely again"),
        *("a back-off against 40 in turn", "a back-off against new ones"),
    ],
)
async def test_however_strangers_make_up_keys_a_genuine_one_gets_its_turn(
    rate: int, name: Callable[[int], int], every: int, within: int
) -> None:
    now = NOW

    async def load(key: str) -> str:
        if key == "genuine":
            return "value"
        raise KeysUnavailable("there is none")

    values = FetchCache(load, what="the keys", lifetime=86_400, size=32, most_fetches=8)
    for number in range(rate * (40 + within)):
        now = NOW + number / rate
        with pytest.raises(KeysUnavailable):
            await got(values, f"forged{name(number)}", now)
        if number % (rate * every) == 0 and number >= rate * 40:
            try:
                assert await got(values, "genuine", now) == "value"
            except KeysUnavailable:
                continue
            return
    pytest.fail(f"not within {within} s")


async def test_fetches_of_what_strangers_make_up_leave_room_for_known_values(source: Source) -> None:
    values, go = cache(source, size=100), asyncio.Event()
    await got(values)

    async def slow() -> str:
        await go.wait()
        return "late"

    source.instead = slow
    forged = [asyncio.create_task(got(values, f"forged{number}", NOW + 100)) for number in range(64)]
    forged += [asyncio.create_task(got(values, "forged0", NOW + 100)) for _ in range(64)]
    await asyncio.wait(forged, return_when=asyncio.FIRST_COMPLETED)  # the ones that are refused
    genuine = asyncio.create_task(got(values, now=NOW + 100))
    await asyncio.sleep(0)
    assert not genuine.done()
    go.set()
    assert await genuine == "late"
    await asyncio.gather(*forged, return_exceptions=True)


@pytest.mark.parametrize("keys", [["a"] * 100, [str(number) for number in range(100)]], ids=["requests", "fetches"])
async def test_a_value_that_is_not_too_old_is_used_where_its_fetch_is_refused(
    source: Source, keys: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    values, go = cache(source, size=100, max_stale=100), asyncio.Event()
    known = {key: await got(values, key) for key in keys}
    most = 64

    async def slow() -> str:
        await go.wait()
        return "late"

    source.instead = slow
    waiting = [asyncio.create_task(got(values, key, NOW + 100)) for key in keys]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == len(keys) - most
    assert [task.result() for task in waiting[most:]] == [known[key] for key in keys[most:]]
    assert values.get(keys[-1], NOW + 101) == known[keys[-1]], "and nobody waits for it in the next moment"
    assert "those of before are used" in caplog.text
    go.set()
    assert await asyncio.gather(*waiting[:most]) == ["late"] * most
    with pytest.raises(KeysNeeded):
        values.get(keys[-1], NOW + 200 if len(known) == 1 else NOW + 100 + PAUSE)


async def test_a_value_that_is_too_old_is_not_used_where_its_fetch_is_refused(source: Source) -> None:
    values, go = cache(source, max_stale=100), asyncio.Event()
    await got(values)

    async def slow() -> str:
        await go.wait()
        return "late"

    source.instead = slow
    waiting = [asyncio.create_task(got(values, now=NOW + 200)) for _ in range(65)]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert [str(task.exception()) for task in done] == ["too many requests wait for the keys"]
    go.set()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_value_that_did_not_do_is_fetched_again_but_not_at_once(source: Source) -> None:
    values = cache(source)
    await got(values)
    values.renew("a", NOW)  # it was fetched for this very request
    for later in (0.01, INTERVAL - 1):
        with pytest.raises(KeysNeeded) as needed:
            values.renew("a", NOW + later)
        with pytest.raises(KeysUnavailable, match="may be others by now"):
            await needed.value.fetch()
    assert (values.get("a", NOW + 1), len(source.calls)) == ("a1", 1)
    with pytest.raises(KeysNeeded) as needed:
        values.renew("a", NOW + INTERVAL)
    await needed.value.fetch()
    assert values.get("a", NOW + INTERVAL) == "a2"
    values.renew("a", NOW + INTERVAL)
    assert len(source.calls) == 2


async def test_that_it_cannot_be_fetched_again_is_not_taken_for_an_answer(source: Source) -> None:
    values = cache(source)
    await got(values)
    source.instead = source.fail
    for now in (NOW + INTERVAL, NOW + INTERVAL + 1):
        with pytest.raises(KeysNeeded) as needed:
            values.renew("a", now)
        with pytest.raises(KeysUnavailable):
            await needed.value.fetch()
    assert len(source.calls) == 2
    assert values.get("a", NOW + INTERVAL) == "a1", "what it does for is verified meanwhile"


def test_one_cache_serves_one_event_loop_after_the_other(source: Source) -> None:
    values = cache(source)
    begun = asyncio.new_event_loop()

    async def never() -> str:
        await asyncio.Event().wait()
        return ""

    source.instead = never
    left = begun.create_task(got(values))
    begun.run_until_complete(asyncio.sleep(0))
    begun.run_until_complete(asyncio.sleep(0))
    source.instead = None
    assert asyncio.run(got(values)) == "a2"
    tasks = asyncio.all_tasks(begun)
    for task in tasks:
        task.cancel()
    begun.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    assert left.cancelled()
    begun.close()


async def test_a_request_waits_for_several_fetches_within_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch() -> None:
        rounds.append(1)

    async def never() -> None:
        await asyncio.Event().wait()

    def again() -> None:
        raise KeysNeeded(fetch)

    rounds: list[int] = []
    with pytest.raises(KeysUnavailable, match="others are needed"):
        await with_keys(again, KeysNeeded(fetch))
    assert len(rounds) == 3
    monkeypatch.setattr(fetching, "MAX_WAIT", 0.01)
    with pytest.raises(KeysUnavailable, match=r"within 0\.01 s"):
        await with_keys(again, KeysNeeded(never))


async def test_what_the_verification_says_then_is_the_result() -> None:
    async def fetch() -> None:
        return None

    def wrong() -> None:
        raise BadSignature("no")

    assert await with_keys(lambda: 7, KeysNeeded(fetch)) == 7
    with pytest.raises(BadSignature):
        await with_keys(wrong, KeysNeeded(fetch))


def test_a_span_of_time_is_a_number_above_its_least() -> None:
    assert checked_span("lifetime", 0.5) == 0.5
    for wrong in (0, -1, float("inf"), float("nan"), True, "5", None):
        with pytest.raises(ConfigurationError, match="lifetime is a number of seconds above 0"):
            checked_span("lifetime", wrong)  # type: ignore[arg-type]
