"""Receivers that poll, and are killed and stopped at random moments, while the same changes are pushed to them.

The long form: `pytest -n0 -s -o faulthandler_timeout=0 -m faults tests/faults/test_polls.py`, with FAULTS_KILLS=... and
FAULTS_SEED=... as in test_kills.py.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.faults.harness import Connection, Server, delivery, ended, moment, two_servers
from tests.faults.storm import kills, seeded
from tests.helpers import serving
from webhook_receiver import DeliverySummary, Filter, State
from webhook_receiver.inbox import Poll, from_url

LEASE = 1.0  # seconds, on a source
PAGE = 20


@dataclass
class Listing:
    """A list of orders that have ended. It fails at times, tells some changes again, and some pages twice."""

    chosen: random.Random
    orders: list[str] = field(default_factory=list[str])
    asked: list[int] = field(default_factory=list[int])

    async def page(self, request: Request) -> Response:
        after = int(request.query_params["after"])
        self.asked.append(after)
        mood = self.chosen.random()
        if mood < 0.05:
            return JSONResponse({}, 429, {"retry-after": "0"})
        if mood < 0.1:
            return PlainTextResponse("<html>The service is busy</html>", 200, media_type="text/html")
        end = min(after + PAGE, len(self.orders))
        begin = max(0, after - self.chosen.randrange(PAGE)) if mood < 0.5 else after
        if mood > 0.9:
            end = max(after, end - 1)
        changes = [
            {"event": "order.status", "body": {"orderId": order, "status": "FULFILLED", "number": 0}}
            for order in self.orders[begin:end]
        ]
        return JSONResponse({"changes": changes * (1 + (mood < 0.2)), "next": end, "more": end < len(self.orders)})

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/changes", self.page)])


class Pusher(threading.Thread):
    """Lets orders end, and tells of some of them by a push, too: before the list has them, after, or just then."""

    def __init__(self, listing: Listing, ports: Sequence[int], chosen: random.Random) -> None:
        super().__init__()
        self.listing, self.ports, self.chosen = listing, ports, chosen
        self.done = threading.Event()
        self.answers = Counter[int | None]()

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        connections = [Connection(port, patience=2) for port in self.ports]
        number = 0
        while not self.done.is_set():
            order, number = f"o-{number}", number + 1
            request = delivery(order, 0, status="FULFILLED", note="as pushed")
            mood = self.chosen.random()
            if mood < 0.3:
                await self._push(connections, request)
            self.listing.orders.append(order)
            if 0.2 < mood < 0.6:
                await self._push(connections, request)
            await asyncio.sleep(0.005 if mood < 0.9 else 0.05)
        for each in connections:
            await each.close()

    async def _push(self, connections: Sequence[Connection], request: bytes) -> None:
        answer = None
        with suppress(TimeoutError, OSError):
            answer = await self.chosen.choice(connections).ask(request)
        self.answers[None if answer is None else answer.status] += 1


class Watch(threading.Thread):
    """Watches the cursor in a file, which must never go back."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file, self.done = file, threading.Event()
        self.seen = [0]

    def run(self) -> None:
        while not self.done.wait(0.01):
            with suppress(sqlite3.OperationalError), closing(sqlite3.connect(self.file)) as connection:
                for (cursor,) in connection.execute("SELECT cursor FROM poll WHERE cursor IS NOT NULL"):
                    if int(cursor) != self.seen[-1]:
                        self.seen.append(int(cursor))


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_what_is_polled_and_pushed_is_stored_once_in_spite_of_8_kills(
    tmp_path: Path, request: pytest.FixtureRequest, store: str
) -> None:
    survive(tmp_path, 8, request.getfixturevalue("postgres_url") if store == "postgres" else None)


@pytest.mark.faults
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_what_is_polled_and_pushed_is_stored_once_in_spite_of_200_kills(
    tmp_path: Path, request: pytest.FixtureRequest, store: str
) -> None:
    survive(tmp_path, kills(200), request.getfixturevalue("postgres_url") if store == "postgres" else None)


def survive(folder: Path, kills: int, url: str | None) -> None:
    chosen = seeded()
    listing = Listing(chosen)
    options: dict[str, Any] = {"url": url, "interval": 0.1, "poll_lease": LEASE}
    with serving(listing.app) as api, two_servers(folder, changes=api, **options) as servers:
        pusher = Pusher(listing, [each.port for each in servers], chosen)
        watch = Watch(servers[0].inbox)
        servers[0].wait_for(lambda: listing.asked, "the first poll")
        pusher.start()
        if url is None:
            watch.start()
        try:
            for _ in range(kills):
                moment(chosen.uniform(0.05, 0.8))
                torment(chosen.choice(servers), chosen)
        finally:
            pusher.done.set()
            pusher.join()
        total = len(listing.orders)
        where = url or f"sqlite:///{servers[0].inbox}?min_free=0"
        servers[0].wait_for(lambda: finished(where) == (total, str(total)), "the end of all orders", 90)
        watch.done.set()
        for each in servers:
            each.stop()
    stored, (poll,) = asyncio.run(look(where))
    print(f"{total} orders, {Counter(each.via for each in stored)}, {pusher.answers}, {len(listing.asked)} calls")
    assert sorted(each.identity or "" for each in stored) == sorted(f"o-{number} FULFILLED" for number in range(total))
    assert {each.via for each in stored} == {"http", "poll"}
    assert {order for order, _ in ended(folder)} == {*listing.orders}
    assert watch.seen == sorted(watch.seen), "the cursor went back"
    assert poll.cursor == str(total)


def torment(server: Server, chosen: random.Random) -> None:
    """Kill a receiver and start it again, or let it stand still for longer than its lease on the source."""
    if chosen.random() < 0.3:
        server.process.send_signal(signal.SIGSTOP)
        moment(LEASE * 1.5)
        server.process.send_signal(signal.SIGCONT)
    else:
        server.kill()
        server.start()


def finished(where: str) -> tuple[int, str | None]:
    """Return how many deliveries are done, and the cursor, once nothing waits."""
    stored, polls = asyncio.run(look(where))
    return sum(each.state is State.DONE for each in stored), polls[0].cursor if polls else None


async def look(where: str) -> tuple[Sequence[DeliverySummary], Sequence[Poll]]:
    inbox = await from_url(where).open()
    try:
        return await inbox.find(Filter()), await inbox.polls()
    finally:
        await inbox.close()
