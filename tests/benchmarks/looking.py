"""How long a page of the inbox takes to read with 1,000,000 deliveries, in SQLite and in PostgreSQL."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from tests.postgres import database, postgres
from webhook_receiver.inbox import Filter, Inbox, State
from webhook_receiver.inbox.postgres import PostgresInbox
from webhook_receiver.inbox.sqlite import SQLiteInbox

from . import large
from .figures import Cell, Found, Target
from .runner import CORES, Session, on_core, told

MANY = 1_000_000
PER_PAGE = 50
MOST = 100.0
"""Milliseconds that a page may take."""

Ask = Callable[[Inbox], Awaitable[object]]


def look(session: Session) -> Found:
    """Pages, groups of dead letters, totals and series of an inbox with 1,000,000 deliveries."""
    number, minutes = session.some(MANY), session.some(large.WEEK)
    found = Found(f"An inbox with {number:,} deliveries, looked at")
    asked = {**_pages(number), **_figures()}
    whole = {f"{name}, to the end": _whole(which) for name, which in _rare().items()}
    with tempfile.TemporaryDirectory() as folder, told(found, "SQLite"):
        path = Path(folder) / "hooks.db"
        path.touch(mode=0o600)
        session.progress("SQLite: it is filled")
        large.fill_sqlite(path, number, minutes)
        _ask(session, found, "SQLite", SQLiteInbox(path, min_free=0), asked | whole)
    with (
        told(found, "PostgreSQL"),
        on_core(max(CORES)),
        postgres(fsync="off") as server,
        database(server.address) as url,
    ):
        session.progress("PostgreSQL: it is filled")
        large.fill_postgres(url, number, minutes)
        _ask(session, found, "PostgreSQL", PostgresInbox(url), asked | whole)
    for store in ("SQLite", "PostgreSQL"):
        found.targets += [
            Target(f"ms in {store}: {name}", Cell(name, f"{store} ms"), None, "at most", MOST) for name in asked
        ]
    return found


def _rare() -> dict[str, Filter]:
    """Return filters, each of which fits but a few old deliveries."""
    return {
        "a rare event": Filter(event="rare.event"),
        "a rare receiver": Filter(receiver="rare"),
        "a rare handler": Filter(handler="app.rare:on_order"),
        "an order": Filter(receiver="hooks", ordering_key="order-000001"),
    }


def _pages(number: int) -> dict[str, Ask]:
    middle, end = large.START + large.MONTH / 2, large.START + large.MONTH
    id = large.id_of(number // 3, number)
    filters = {
        "first page": Filter(),
        "an event": Filter(event="event.3"),
        "dead": Filter(states=[State.DEAD]),
        "waiting": Filter(states=[State.WAITING]),
        "done": Filter(states=[State.DONE]),
        "a handler": Filter(handler="app.orders:on_1"),
        "a dead handler's error": Filter(
            states=[State.DEAD], handler="app.orders:on_1", handler_states=[State.DEAD], error="KeyError: of order"
        ),
        "before the middle": Filter(before=middle),
        "nothing in the last hour": Filter(since=end - 3600, event="rare.event"),
        "the beginning of an id": Filter(id_begins=id[:10]),
        "the beginning of many ids": Filter(id_begins=id[:1]),
        **_rare(),
    }
    return {name: _page(which) for name, which in filters.items()}


def _figures() -> dict[str, Ask]:
    end = large.START + large.MONTH

    async def overview(inbox: Inbox) -> None:
        await inbox.stats()
        await inbox.polls()
        for span, step in ((3600, 60), (86_400, 3600), (7 * 86_400, 3600)):
            await inbox.series(end - span, end, step)

    return {
        "overview: stats, polls, series of hour, day and week": overview,
        "dead letters in groups": lambda inbox: inbox.dead_letters(Filter()),
        "total of a state": lambda inbox: inbox.total(Filter(states=[State.DEAD])),
        "total of an event": lambda inbox: inbox.total(Filter(event="event.3")),
    }


def _page(which: Filter) -> Ask:
    return lambda inbox: inbox.page(which, limit=PER_PAGE)


def _whole(which: Filter) -> Ask:
    async def ask(inbox: Inbox) -> None:
        found, page = 0, await inbox.page(which, limit=PER_PAGE)
        found += len(page.summaries)
        while page.next is not None:
            page = await inbox.page(which, limit=PER_PAGE, after=page.next)
            found += len(page.summaries)
        assert 1 <= found <= large.RARE, found

    return ask


def _ask(session: Session, found: Found, store: str, inbox: Any, asked: dict[str, Ask]) -> None:
    async def measure() -> None:
        await inbox.open()
        try:
            for ask in asked.values():  # once, so that the first round is as the others
                await ask(inbox)
            for _ in session.turns(store, 7):
                for name, ask in asked.items():
                    began = perf_counter()
                    await ask(inbox)
                    found.add(name, {f"{store} ms": (perf_counter() - began) * 1e3})
        finally:
            await inbox.close()

    asyncio.run(measure())
