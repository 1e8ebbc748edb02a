"""Jobs in one process, without HTTP: `python -m apps.inbox JOB ARGUMENTS`. Each prints its figures as JSON."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.types import Message, Scope

from webhook_receiver import Delivery, WebhookReceiver
from webhook_receiver.delivery import new_id
from webhook_receiver.inbox import (
    DeliverySummary,
    Entry,
    Filter,
    HandlerState,
    Inbox,
    Settlement,
    State,
    StoredDelivery,
    from_url,
)
from webhook_receiver.senders.up42 import up42

from .jobs import CALLERS, Figures, Stopwatch, together
from .receiver import body, headers, ran, receiver
from .serving import SECRET

if TYPE_CHECKING:
    from webhook_receiver.inspector import Inspector

NAME = "benchmark"
orders = count(1)


def entries(number: int) -> list[Entry]:
    """Return entries of so many new orders, as a receiver would put them."""
    made: list[Entry] = []
    for order in islice(orders, number):
        said = body(order)
        delivery = Delivery(new_id(), NAME, HEADERS, said, time.time(), 0, True)
        made.append(Entry(delivery, "order.status", sha256(said).digest(), f"{order} FULFILLED", f"order {order}"))
    return made


HEADERS = ((b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"content-length", b"600"))


def resident() -> float:
    """Return the MiB of memory of this process."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1024


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[Inbox]:
    inbox = await from_url(url).open()
    try:
        yield inbox
    finally:
        await inbox.close()


async def put_all(inbox: Inbox, made: Iterable[Entry], callers: int = CALLERS) -> None:
    await together(callers, made, lambda entry: inbox.put(entry, entry.delivery.received))


async def put(url: str, number: str, callers: str) -> Figures:
    """Put with so many callers, each one delivery at a time."""
    made = entries(int(number))
    async with opened(url) as inbox:
        await put_all(inbox, entries(len(made) // 10), int(callers))
        watch = Stopwatch()
        await put_all(inbox, made, int(callers))
        return {**watch.cpu(len(made)), "puts/s": len(made) / watch.seconds}


async def single(file: str, number: str) -> Figures:
    """Keep bodies in the plainest way that is as durable: an insert and a commit each."""
    made = [(entry.delivery.id, entry.delivery.body) for entry in entries(int(number))]
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE delivery (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, body BLOB)")
    watch = Stopwatch()
    for row in made:
        connection.execute("INSERT INTO delivery (id, body) VALUES (?, ?)", row)
    return {**watch.cpu(len(made)), "puts/s": len(made) / watch.seconds}


async def whole(url: str, number: str, callers: str, telemetry: str = "") -> Figures:
    """Receive and handle, all in this process, with so many callers, and with telemetry as `configure` has it."""
    beside = _nothing
    if telemetry:  # an older build has none
        from .collecting import BY_HAND, by_hand, configure

        if telemetry == BY_HAND:
            beside = by_hand()
        else:
            configure(telemetry)
    many = int(number)
    hooks = receiver(inbox=url)
    async with hooks:
        await _receive(hooks, many // 10, int(callers), beside=beside)
        watch = Stopwatch()
        await _receive(hooks, many, int(callers), beside=beside)
        return {**watch.bytes(many), **watch.cpu(many)}


def _nothing() -> None:
    pass


async def batch(url: str, number: str, callers: str, size: str) -> Figures:
    """Receive and handle as `whole` does, with so many events in each delivery."""
    from webhook_receiver.senders import Split  # which an older build has not

    many = int(number)
    hooks = receiver(sender=replace(up42(SECRET), split=Split("*")), inbox=url)
    async with hooks:
        await _receive(hooks, many // 10, int(callers), int(size))
        watch = Stopwatch()
        await _receive(hooks, many, int(callers), int(size))
        return {**watch.bytes(many), **watch.cpu(many)}


async def watched(url: str, number: str, callers: str, tabs: str) -> Figures:
    """Receive and handle as `whole` does, while so many tabs have the inspector's list open, in this process, too."""
    from webhook_receiver.inspector import Inspector  # which an older build has not

    many = int(number)
    hooks = receiver(inbox=url)
    async with hooks:
        await _receive(hooks, many // 10, int(callers))
        inspector = Inspector.on_loopback(hooks)
        watching = [asyncio.create_task(_tab(inspector)) for _ in range(int(tabs))]
        watch = Stopwatch()
        await _receive(hooks, many, int(callers))
        found = {**watch.bytes(many), **watch.cpu(many)}
        for each in watching:
            each.cancel()
        ended = await asyncio.gather(*watching, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended
        return found


async def _tab(inspector: Inspector) -> None:
    """Load the list of deliveries anew at each change, as a page does that is seen."""
    import httpx

    transport = httpx.ASGITransport(inspector)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        async for _ in inspector.site.inspected[0].live.changes():
            (await client.get("/deliveries")).raise_for_status()


async def _receive(
    hooks: WebhookReceiver, number: int, callers: int, size: int = 1, beside: Callable[[], None] = _nothing
) -> None:
    """Have a receiver acknowledge new deliveries; return when they are handled, and that is committed.

    `beside` is called once for each.
    """
    before = ran.count
    events = map(body, islice(orders, number))
    batches = (b"[%b]" % b",".join(each) for each in iter(lambda: [*islice(events, size)], []))
    bodies = events if size == 1 else batches
    await together(callers, bodies, partial(_call, hooks, beside))
    while ran.count < before + number:  # noqa: ASYNC110 - a handler that told it would be measured, too
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)  # for the commit of the last ones


async def _call(hooks: WebhookReceiver, beside: Callable[[], None], said: bytes) -> None:
    scope: Scope = {"type": "http", "method": "POST", "path": "/", "root_path": "", "headers": list(headers(said))}

    async def receive() -> Message:
        return {"type": "http.request", "body": said, "more_body": False}

    async def send(message: Message) -> None:
        assert message.get("status", 202) == 202, message

    await hooks(scope, receive, send)
    beside()


async def worker(url: str, number: str) -> Figures:
    """Have empty handlers run by one worker for deliveries that wait already."""
    many = int(number)
    hooks = receiver(inbox=url)
    async with opened(url) as inbox:
        made = entries(many)
        watch = Stopwatch()
        await put_all(inbox, made)
        put_each_second = many / watch.seconds
    watch = Stopwatch()
    async with hooks:
        while ran.count < many:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.002)
        while (await hooks.inbox.stats()).counts.get(State.DONE, 0) < many:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
        return {"handled/s": many / watch.seconds, **watch.cpu(many), "puts/s": put_each_second}


async def memory(url: str, number: str) -> Figures:
    """Receive and handle a great many; return the memory after a sixth of them, and after all."""
    many = int(number)
    hooks = receiver(inbox=url)
    figures: Figures = {}
    async with hooks:
        for part in range(6):
            await _receive(hooks, many // 6, CALLERS)
            if part in (0, 5):
                figures[f"MiB after {many // 6 * (part + 1):,}"] = resident()
    return figures


def finished(number: int) -> Iterator[StoredDelivery]:
    """Yield deliveries that were handled."""
    done = {"download": HandlerState(State.DONE, 1, 1)}
    for entry in entries(number):
        delivery = entry.delivery
        summary = DeliverySummary(
            id=delivery.id,
            receiver=NAME,
            via="http",
            event=entry.event,
            identity=entry.identity,
            received=delivery.received,
            state=State.DONE,
            due=None,
            leased=False,
            paused_by=None,
            reason=None,
            settled=delivery.received,
            handlers=done,
            verified_by=0,
            body_verified=True,
        )
        yield StoredDelivery(summary, delivery, (), entry.key, entry.ordering_key)


async def full(folder: str, number: str, turns: str) -> Figures:
    """Put, claim and settle in a file with many handled deliveries, in turns with an empty one; look at the full one.

    An operation's figure is the sum over all turns: some put has to pay for the index of what was put before.
    """
    found = {"": dict[str, float](), "empty ": dict[str, float]()}
    async with opened(f"sqlite:///{folder}/full.db?min_free=0") as inbox:
        for loaded in range(0, int(number), 10_000):
            await inbox.load([*finished(min(10_000, int(number) - loaded))], time.time())
        for turn in range(int(turns)):
            async with opened(f"sqlite:///{folder}/empty-{turn}.db?min_free=0") as empty:
                for kind, one in (("empty ", empty), ("", inbox)):
                    for what, took in (await _turn(one, 5_000)).items():
                        found[kind][what] = found[kind].get(what, 0.0) + took
    figures = {what: took / found["empty "][what] for what, took in found[""].items()}
    hooks = receiver(inbox=f"sqlite:///{folder}/full.db?min_free=0", work=False)
    async with hooks:
        for what, look in {
            "ls ms": lambda: hooks.inbox.find(Filter(), limit=50),
            "stats ms": hooks.inbox.stats,
            "readiness ms": hooks.health,
        }.items():
            start = time.perf_counter()
            await look()
            figures[what] = (time.perf_counter() - start) * 1e3
    return figures


async def _turn(inbox: Inbox, number: int) -> Figures:
    """Return the CPU that some puts took, and their claims and settlements."""
    made = entries(number)
    watch = Stopwatch()
    await put_all(inbox, made)
    figures = {"put, of an empty file": watch.cpu(1)["CPU µs"]}
    done = {"download": HandlerState(State.DONE, 1, 1)}
    watch = Stopwatch()
    while claims := await inbox.claim(NAME, 256, 30, time.time()):
        await asyncio.gather(*(inbox.settle(Settlement(claim, State.DONE, done), time.time()) for claim in claims))
    return figures | {"claim and settle, of an empty file": watch.cpu(1)["CPU µs"]}


JOBS = {job.__name__: job for job in (put, single, whole, batch, watched, worker, memory, full)}

if __name__ == "__main__":
    print(json.dumps(asyncio.run(JOBS[sys.argv[1]](*sys.argv[2:]))))
