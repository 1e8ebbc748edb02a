"""What a receiver counts, and when it adds that to the counts of its inbox."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.helpers import NOW, signed
from tests.working import AT_ONCE, Faulty, about, deliver, durable, settled, until
from webhook_receiver import (
    BadSignature,
    Event,
    GiveUp,
    Inbox,
    InboxUnavailable,
    Retry,
    SQLiteInbox,
)
from webhook_receiver.inbox.records import State

MINUTE = NOW - NOW % 60


@asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[Inbox]:
    inbox = await SQLiteInbox(path).open()
    yield inbox
    await inbox.close()


async def counted(inbox: Inbox) -> dict[str, int]:
    """Return what was counted in the minute of the clock, whatever the bucket."""
    found = Counter[str]()
    for metric, number in (await inbox.counted(MINUTE, MINUTE + 60)).items():
        assert (metric.bucket is not None) == metric.what.startswith(("stored", "duplicate", "done", "retry", "dead"))
        found[metric.what] += number
    return dict(found)


async def test_receipts_rejections_duplicates_secrets_and_attempts_are_there_after_the_stop(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    hooks = durable(SQLiteInbox(path), backoff=AT_ONCE)
    tries = 0

    @hooks.on(Event, name="one")
    def one(event: Event) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Retry(after=0)

    @hooks.on(Event, name="two")
    def two(event: Event) -> None:
        raise GiveUp("never")

    async with hooks:
        id = await deliver(hooks)
        await settled(hooks, id, State.DEAD)
        await hooks.receive({}, b"", method="GET")
        await hooks.receive({"content-encoding": "br"}, b"")
    async with opened(path) as inbox:
        assert await counted(inbox) == {
            "answered 202": 1,
            "answered 405": 1,
            "answered 415": 1,
            "rejected MethodNotAllowed": 1,
            "rejected UnsupportedEncoding": 1,
            "stored": 1,
            "retry one": 1,
            "done one": 1,
            "dead two": 1,
        }


async def test_what_comes_over_http_is_counted_too_with_the_secret_that_verified_it(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    hooks = durable(SQLiteInbox(path), secret=["new-secret-of-some-length", "old-secret-of-some-length"], work=False)
    async with hooks, httpx.AsyncClient(transport=httpx.ASGITransport(hooks), base_url="http://test") as client:
        for secret in ("new-secret-of-some-length", "old-secret-of-some-length", "another-secret-of-some-length"):
            body = about()
            await client.post("/", content=body, headers=signed(body, secret=secret))
    async with opened(path) as inbox:
        assert await counted(inbox) == {
            "answered 202": 1,
            "answered 200": 1,
            "answered 401": 1,
            "rejected BadSignature": 1,
            "secret 0": 1,
            "secret 1": 1,
            "stored": 1,
            "duplicate": 1,
        }
    assert hooks.rejected == {BadSignature.__name__: 1}, "as before"


async def test_several_processes_add_up(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    for number in range(3):
        async with durable(SQLiteInbox(path), work=False) as hooks:
            await deliver(hooks, about(number))
    async with opened(path) as inbox:
        assert await counted(inbox) == {"answered 202": 3, "stored": 3}


async def test_they_are_written_at_the_end_of_each_minute(tmp_path: Path) -> None:
    now = MINUTE
    hooks = durable(SQLiteInbox(tmp_path / "hooks.db"), clock=lambda: now, work=False)
    now = MINUTE + 60 - 1 / 64  # so that the end is near
    async with hooks:
        await deliver(hooks)
        async with asyncio.timeout(30):
            while not await hooks.inbox.counted(MINUTE, MINUTE + 60):
                await asyncio.to_thread(int)
        assert await counted(hooks.inbox) == {"answered 202": 1, "stored": 1}


class Uncounted(Faulty):
    """An inbox that does not count."""

    counts = 0

    async def count(self, counts: object, now: float) -> None:
        """See `Inbox`."""
        self.counts += 1
        self._meet("count")


async def test_an_inbox_that_does_not_count_fails_no_request_and_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inbox = Uncounted()
    inbox.faults["count"] = InboxUnavailable("the disk is full")
    hooks = durable(inbox, clock=lambda: NOW - NOW % 60 + 60 - 1 / 64)
    hooks.on(Event, name="handler")(lambda event: None)
    async with hooks:
        await settled(hooks, await deliver(hooks))
        await until(lambda: inbox.counts > 3)
        await settled(hooks, await deliver(hooks, about("o-2")))
    said = [message for message in caplog.messages if "counts" in message]
    assert said == [
        "up42: the counts of the last minute are not written, and are added to the next: "
        "InboxUnavailable: the disk is full"
    ]


async def test_an_inbox_that_does_not_answer_does_not_hold_up_the_stop() -> None:
    class Slow(Faulty):
        async def count(self, counts: object, now: float) -> None:
            await asyncio.Event().wait()

    async with asyncio.timeout(30):
        async with durable(Slow()) as hooks:
            await deliver(hooks)


async def test_a_child_of_a_fork_begins_anew(tmp_path: Path) -> None:
    hooks = durable(work=False)
    await hooks.receive({}, b"", method="GET")
    hooks.runtime.after_fork_in_child()
    async with opened(tmp_path / "hooks.db") as inbox:
        await hooks.runtime.counters.write(inbox, "hooks")
        assert await counted(inbox) == {}
