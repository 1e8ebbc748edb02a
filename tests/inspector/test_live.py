"""Live pages: what is told of a change, how soon, how often, and to whom."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from sse_starlette import sse

from tests.helpers import serving
from tests.inspector.stage import receivers, some, sqlite, stored
from tests.working import until
from webhook_receiver import InboxUnavailable, MemoryInbox, SQLiteInbox
from webhook_receiver.inspector import Inspector, live
from webhook_receiver.inspector.live import Live


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL", 0.005)


class Counted(MemoryInbox):
    """An inbox that counts how often it is looked at."""

    looks = 0
    fails = False

    async def find(self, *given: Any, **options: Any) -> Any:
        self.looks += 1
        if self.fails:
            raise InboxUnavailable("gone")
        return await super().find(*given, **options)


@pytest.fixture
async def watched() -> AsyncGenerator[Counted]:
    inbox = Counted()
    await inbox.open()
    yield inbox
    await inbox.close()


async def test_a_page_hears_how_it_stands_and_then_of_each_change(watched: Counted) -> None:
    async with aclosing(Live(watched).changes()) as versions:
        first = await anext(versions)
        await watched.load([stored(1)], 0)
        second = await anext(versions)
        assert first != second


async def test_a_page_that_knows_how_it_stands_hears_nothing_until_that_changes(watched: Counted) -> None:
    there = Live(watched)
    async with aclosing(there.changes()) as versions:
        known = await anext(versions)
        async with aclosing(there.changes(known)) as again:
            waiting = asyncio.ensure_future(anext(again))
            looks = watched.looks
            await until(lambda: watched.looks > looks + 3)
            assert not waiting.done()
            await watched.load([stored(1)], 0)
            assert await waiting != known


async def test_all_pages_share_one_look_and_nobody_looks_for_none(watched: Counted) -> None:
    there = Live(watched)
    assert there.version == ""
    async with aclosing(there.changes()) as one, aclosing(there.changes()) as two:
        assert await anext(one) == await anext(two) == there.version
        looks = watched.looks
        await until(lambda: watched.looks > looks + 3)
        watch = there._task
        assert watch is not None
    assert there.version == ""
    await until(watch.done)


async def test_a_busy_inbox_is_told_of_less_and_less_often(watched: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds == 0 or seconds > 0.3:  # the others are those between two looks
            slept.append(seconds)
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 1000.0)  # no time passes meanwhile
    number = 0
    async with aclosing(Live(watched).changes()) as versions:
        for _ in range(7):
            number += 1
            await watched.load([stored(number)], 0)
            await anext(versions)
    assert slept == [0.0, 0.6, 1.0, 2.0, 3.0, 5.0, 5.0]


async def test_an_inbox_that_fails_is_told_of_and_looked_at_again(watched: Counted) -> None:
    async with aclosing(Live(watched).changes()) as versions:
        first = await anext(versions)
        watched.fails = True
        assert await anext(versions) == "failing: InboxUnavailable"
        watched.fails = False
        assert await anext(versions) == first


class Events:
    """The events of a stream, as a browser reads them."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, str]:
        found: dict[str, str] = {}
        async for line in self._lines:
            name, _, value = line.partition(": ")
            if name:
                found[name] = value
            elif found:
                return found
        raise AssertionError("the stream has ended")


async def test_the_stream_tells_of_a_delivery_within_a_second_and_goes_on_after_a_cut(tmp_path: Path) -> None:
    inbox = sqlite(tmp_path)
    await inbox.open()
    await inbox.load(some(3), inbox.clock())
    with serving(Inspector.on_loopback(receivers(SQLiteInbox(tmp_path / "hooks.db", min_free=0)))) as url:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            async with client.stream("GET", f"{url}/live") as response:
                assert response.headers["content-type"].startswith("text/event-stream")
                assert response.headers["cache-control"] == "no-store"
                assert response.headers["x-frame-options"] == "DENY"
                events = Events(response)
                first = await events.next()
                assert (first["event"], first["retry"]) == ("changed", "2000")
                await inbox.load([stored(7)], inbox.clock())
                async with asyncio.timeout(10):
                    second = await events.next()
                assert second["id"] not in ("", first["id"])
            # The page that was cut off says what it has seen last.
            headers = {"last-event-id": first["id"]}
            async with client.stream("GET", f"{url}/live", headers=headers) as response:
                assert (await Events(response).next())["id"] == second["id"]
            async with client.stream("GET", f"{url}/live?known={first['id']}") as response:
                assert (await Events(response).next())["id"] == second["id"]
    await inbox.close()


@pytest.mark.parametrize("by", ["its own signal", "sse_starlette"])
async def test_the_stream_ends_as_soon_as_the_server_stops(
    watched: Counted, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(sse, "_ensure_watcher_started_on_this_loop", lambda: None)  # it looks only every half second
    server = uvicorn.Server(uvicorn.Config("app", log_config=None))
    before = signal.signal(signal.SIGTERM, server.handle_exit)
    try:
        with serving(Inspector.on_loopback(watched)) as url:
            async with (
                httpx.AsyncClient(trust_env=False, timeout=10) as client,
                client.stream("GET", f"{url}/live") as response,
            ):
                lines = response.aiter_lines()
                assert await anext(lines)
                if by == "sse_starlette":
                    monkeypatch.setattr(sse.AppStatus, "should_exit", True)
                else:
                    server.should_exit = True
                async for _ in lines:  # to its end, in good order
                    pass
    finally:
        signal.signal(signal.SIGTERM, before)
