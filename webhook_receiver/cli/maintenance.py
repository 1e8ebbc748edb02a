"""The commands on an inbox as a whole: `inbox stats`, `check`, `backup`, `vacuum`, `migrate`, `pause` and `resume`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import typer

from ..errors import ConfigurationError
from ..inbox.base import Inbox
from ..inbox.records import DamagedDelivery, Filter, Poll, Stats
from . import output
from .inbox_option import HandlerArgument, InboxTarget, Where, ended_by_sigterm, run
from .options import Json

_MOST_LOOKED_AT = 1000  # deliveries, the newest


def stats(where: Where, as_json: Json = False) -> None:
    """Show numbers of deliveries, paused handlers, and counts.

    The counts are those of the last hour and day, as the processes write them each minute.
    """
    from . import counts, listing

    async def work(target: InboxTarget) -> tuple[Stats, Sequence[Poll], counts.Spans, listing.Now]:
        inbox = target.inbox
        found = await inbox.stats()
        now = listing.Now.at(inbox)
        return found, await inbox.polls(), await counts.lately(inbox, now.unix), now

    found, polls, lately, now = run(where, work)
    if not as_json:
        listing.show_stats(found, now)
        counts.show_polls(polls, now)
        counts.show(lately)
        return
    oldest = None if found.oldest_waiting is None else max(0.0, now.unix - found.oldest_waiting)
    numbers: dict[str, object] = {
        "counts": dict(found.counts),
        "running": found.running,
        "oldest_waiting_seconds": oldest,
    }
    numbers["dead_within_hour"] = found.dead_within_hour(now.clock)
    numbers |= {"paused": dict(found.paused)} | dict(found.extra) | {"polls": counts.poll_documents(polls, now)}
    output.say_json(numbers | counts.documents(lately))


def vacuum(where: Where, as_json: Json = False) -> None:
    """Return the space of removed deliveries to the file system. Writers wait meanwhile."""
    from ..inbox.sqlite import SQLiteInbox

    async def work(target: InboxTarget) -> int:
        if not isinstance(target.inbox, SQLiteInbox):
            raise ConfigurationError("only an inbox in a SQLite file can be vacuumed")
        before: int = (await target.inbox.stats()).extra["bytes"]
        await target.inbox.vacuum()
        after: int = (await target.inbox.stats()).extra["bytes"]
        return max(0, before - after)

    freed = run(where, work)
    output.say_json({"freed_bytes": freed}) if as_json else output.say(f"{freed} bytes given back")


def backup(
    where: Where,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy, which is an inbox by itself.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: Json = False,
) -> None:
    """Copy an inbox in a SQLite file while it is in use. All that was acknowledged until now is in the copy."""
    from ..inbox.sqlite import SQLiteInbox
    from ..inbox.sqlite.backup import check_target, contents
    from .rich_output import progress_bar

    async def work(target: InboxTarget) -> None:
        if not isinstance(target.inbox, SQLiteInbox):
            raise ConfigurationError("this copies a SQLite file: PostgreSQL has pg_dump and its own backups")
        check_target(target.inbox.path, file)
        if file.exists() and not force:
            found = contents(file)
            if found is None:
                raise ConfigurationError(f"{file} is there already: --force overwrites it")
            raise ConfigurationError(
                f"{file} is there already, {found}. Is the order right? The inbox comes first, then its copy. "
                "--force overwrites it"
            )
        await target.inbox.open()  # after that: it may migrate the file
        with progress_bar() as bar, ended_by_sigterm():
            task = bar.add_task("copying", total=None)
            await target.inbox.backup(file, lambda copied, pages: bar.update(task, completed=copied, total=pages))

    run(where, work, is_opened=False)
    size = file.stat().st_size
    output.say_json({"file": str(file), "bytes": size}) if as_json else output.say(f"{size} bytes copied to {file}")


def check(where: Where, as_json: Json = False) -> None:
    """Read every delivery, and check that it is what was stored. Exits with 1 if one is damaged."""
    from ..inbox.sqlite import SQLiteInbox
    from . import listing
    from .rich_output import progress_bar

    async def work(target: InboxTarget) -> tuple[int, list[DamagedDelivery]]:
        await target.inbox.check()
        total = sum((await target.inbox.stats()).counts.values())
        damaged: list[DamagedDelivery] = []
        count = 0
        with progress_bar() as bar:
            task = bar.add_task("checking", total=total)
            async for stored in target.inbox.dump(Filter()):
                count += 1
                bar.advance(task)
                if isinstance(stored, DamagedDelivery):
                    damaged.append(stored)
        if isinstance(target.inbox, SQLiteInbox):
            await target.inbox.check_integrity()
        return count, damaged

    count, damaged = run(where, work)
    if as_json:
        output.say_json({"checked": count, "damaged": [each._asdict() for each in damaged]})
    else:
        listing.warn_of_damage(damaged)
        output.say(f"{listing.deliveries(count)} checked, {len(damaged) or 'none'} damaged")
    if damaged:
        raise typer.Exit(1)


@runtime_checkable
class Migrates(Protocol):
    """An inbox whose tables are created before it is opened."""

    async def migrate(self, role: str | None = None) -> list[str]:
        """Create or update the tables, and let `role` use them; return the names of the steps taken."""
        ...


def migrate(
    where: Where,
    grant: Annotated[str | None, typer.Option(metavar="ROLE", help="Let this database role use the tables.")] = None,
    backup: Annotated[
        bool, typer.Option("--backup/--no-backup", help="Copy a SQLite file of an older version first, beside it.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Create or update the tables of an inbox. Safe to repeat, and to run at the same time."""
    from ..inbox.sqlite import SQLiteInbox

    async def work(target: InboxTarget) -> list[str]:
        if isinstance(target.inbox, Migrates):
            return await target.inbox.migrate(grant)
        if grant is not None:
            raise ConfigurationError("only an inbox on PostgreSQL has roles: leave out --grant")
        if isinstance(target.inbox, SQLiteInbox):
            target.inbox.backs_up = backup
        await target.inbox.open()  # which does it
        return []

    steps = run(where, work, create=True, is_opened=False)
    if as_json:
        output.say_json({"steps": steps})
    else:
        output.say(f"the tables are up to date now: {len(steps)} steps" if steps else "the tables are up to date")


def pause(where: Where, handler: HandlerArgument, as_json: Json = False) -> None:
    """Pause a handler in all processes until it is resumed. Its deliveries wait."""

    async def work(target: InboxTarget) -> None:
        if target.hooks is None:
            await _check_known(target.inbox, handler)
            await target.inbox.pause(handler, time.time())
        else:
            await target.hooks.pause(handler)

    run(where, work)
    _report(handler, "is paused", as_json=as_json, paused=True)


async def _check_known(inbox: Inbox, handler: str) -> None:
    """Reject a handler that has not run on the inbox: its name may be mistyped, and an inbox knows no others."""
    found = await inbox.find(Filter(), limit=_MOST_LOOKED_AT)
    known = {name for each in found for name in each.handlers}
    if handler not in known:
        raise ConfigurationError(
            f"no handler {handler} has run on this inbox lately; known are: {', '.join(sorted(known)) or 'none'}; "
            "to pause one that has not run yet, name its app in place of the inbox, such as app:hooks"
        )


def resume(where: Where, handler: HandlerArgument, as_json: Json = False) -> None:
    """Resume a paused handler; it handles the deliveries that waited."""

    async def work(target: InboxTarget) -> bool:
        return await (target.inbox if target.hooks is None else target.hooks).resume(handler)

    resumed = run(where, work)
    _report(handler, "runs again" if resumed else "was not paused", as_json=as_json, resumed=resumed)


def _report(handler: str, said: str, *, as_json: bool, **facts: bool) -> None:
    output.say_json({"handler": handler, **facts}) if as_json else output.say(f"{output.printable(handler)} {said}")
