"""What the commands `inbox stats | vacuum | migrate | pause | resume` do: they are about an inbox as a whole."""

from __future__ import annotations

import time
from typing import Annotated, Protocol, runtime_checkable

import typer

from ..errors import ConfigurationError
from ..inbox import SQLiteInbox
from . import listing, output
from .inbox_option import HandlerArgument, Json, Place, Where, run


def stats(where: Where, as_json: Json = False) -> None:
    """Tell how an inbox stands."""
    found = run(where, lambda place: place.inbox.stats())
    now = time.time()
    if not as_json:
        listing.show_stats(found, now)
        return
    oldest = None if found.oldest_waiting is None else max(0.0, now - found.oldest_waiting)
    counts = {"counts": dict(found.counts), "running": found.running, "oldest_waiting_seconds": oldest}
    output.say_json(counts | {"paused": dict(found.paused)} | dict(found.extra))


def vacuum(where: Where, as_json: Json = False) -> None:
    """Give the space of what was removed back to the file system; who writes waits meanwhile."""

    async def work(place: Place) -> int:
        if not isinstance(place.inbox, SQLiteInbox):
            raise ConfigurationError("only an inbox in a SQLite file can be vacuumed")
        before: int = (await place.inbox.stats()).extra["bytes"]
        await place.inbox.vacuum()
        after: int = (await place.inbox.stats()).extra["bytes"]
        return max(0, before - after)

    freed = run(where, work)
    output.say_json({"freed_bytes": freed}) if as_json else output.say(f"{freed} bytes given back")


@runtime_checkable
class Migrates(Protocol):
    """An inbox whose tables are made before it is opened."""

    async def migrate(self, role: str | None = None) -> list[str]:
        """Make the tables; let `role` use them; return the steps that were taken."""
        ...


def migrate(
    where: Where,
    grant: Annotated[
        str | None, typer.Option(metavar="ROLE", help="Let this role use the tables; it need not be able to make any.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the tables of an inbox on PostgreSQL, or bring them to the newest version; safe to run twice and at once."""

    async def work(place: Place) -> list[str]:
        if isinstance(place.inbox, Migrates):
            return await place.inbox.migrate(grant)
        if grant is not None:
            raise ConfigurationError("only an inbox on PostgreSQL has roles: leave out --grant")
        await place.inbox.open()  # which does it
        return []

    steps = run(where, work, create=True, is_opened=False)
    if as_json:
        output.say_json({"steps": steps})
    else:
        output.say(f"the tables are up to date now: {len(steps)} steps" if steps else "the tables are up to date")


def pause(where: Where, handler: HandlerArgument, as_json: Json = False) -> None:
    """Run a handler no more, in any process, until it is resumed; what it has to do waits."""

    async def work(place: Place) -> None:
        if place.hooks is None:
            await place.inbox.pause(handler, time.time())
        else:
            await place.hooks.pause(handler)

    run(where, work)
    _tell_of(handler, "is paused", as_json=as_json, paused=True)


def resume(where: Where, handler: HandlerArgument, as_json: Json = False) -> None:
    """Let a handler run again, with all that waited for it."""

    async def work(place: Place) -> bool:
        return await (place.inbox if place.hooks is None else place.hooks).resume(handler)

    resumed = run(where, work)
    _tell_of(handler, "runs again" if resumed else "was not paused", as_json=as_json, resumed=resumed)


def _tell_of(handler: str, said: str, *, as_json: bool, **facts: bool) -> None:
    output.say_json({"handler": handler, **facts}) if as_json else output.say(f"{output.printable(handler)} {said}")
