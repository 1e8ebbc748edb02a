"""`inbox`: list, show, replay, purge, export and import deliveries, pause handlers; the commands and their options."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..inbox import DamagedDelivery, DeliverySummary, Filter, State, StoredDelivery
from . import maintenance, output
from .inbox_option import (
    Before,
    Dead,
    EventName,
    HandlerName,
    Ids,
    InboxTarget,
    ReceiverName,
    Since,
    States,
    Where,
    WhereCommand,
    ended_by_sigterm,
    run,
)
from .options import Group, Json, Yes, confirm, moment, span_of
from .output import fail

inbox = typer.Typer(cls=Group, help="List, replay, purge and move the deliveries in an inbox.", no_args_is_help=True)

UNFINISHED = (State.WAITING, State.DEAD, State.UNHANDLED)


@inbox.command("ls", cls=WhereCommand)
def ls(
    where: Where,
    state: States = None,
    dead: Dead = False,
    event: EventName = None,
    receiver: ReceiverName = None,
    handler: HandlerName = None,
    since: Since = None,
    before: Before = None,
    limit: Annotated[int, typer.Option(min=1, help="The largest number to list.")] = 50,
    as_json: Json = False,
) -> None:
    """List deliveries, the newest first."""
    from ..inbox.json_format import summary_document
    from . import listing

    states = {*(state or ()), *((State.DEAD,) if dead else ())}
    start, end = moment(since), moment(before)

    async def work(target: InboxTarget) -> tuple[Sequence[DeliverySummary], dict[str, str], listing.Now]:
        which = target.filter(states=states, event=event, receiver=receiver, handler=handler, since=start, before=end)
        found = await target.inbox.find(which, limit=limit)
        shown = [] if as_json or not output.is_terminal() else [summary.id for summary in found]
        return found, await listing.short_ids(target.inbox, shown), listing.Now.at(target.inbox)

    summaries, short, now = run(where, work)
    if as_json:
        for summary in summaries:
            output.say_json(summary_document(summary))
    else:
        listing.show_summaries(summaries, now, short)


@inbox.command("show", cls=WhereCommand)
def show(
    where: Where,
    id: Annotated[str, typer.Argument(metavar="ID", help="An id, or a unique beginning of one.")],
    body: Annotated[bool, typer.Option("--body", help="Show the body, too.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Print only the bytes of the body.")] = False,
    as_json: Json = False,
) -> None:
    """Show all that is known of a delivery."""
    from ..inbox.json_format import to_document
    from . import listing

    async def work(target: InboxTarget) -> tuple[StoredDelivery | None, listing.Now]:
        return await target.inbox.get(id), listing.Now.at(target.inbox)

    if raw:
        output.keep_stdout()
    stored, now = run(where, work)
    if stored is None:
        raise fail(f"there is no delivery {id!r}")
    if raw and stored.summary.body_removed:
        raise fail(f"the body of {stored.summary.id} was removed some time after it was done (keep_body)")
    if raw:
        output.results().buffer.write(stored.delivery.body)
        output.results().buffer.flush()
    elif as_json:
        output.say_json(to_document(stored))
    else:
        listing.show_delivery(stored, now, body=body)


@inbox.command("replay", cls=WhereCommand)
def replay(
    where: Where,
    ids: Ids = None,
    dead: Dead = False,
    unhandled: Annotated[bool, typer.Option("--unhandled", help="Only unhandled ones.")] = False,
    event: EventName = None,
    receiver: ReceiverName = None,
    handler: Annotated[
        str | None, typer.Option("--handler", help="Only this handler; without ids, where it was run and is not done.")
    ] = None,
    since: Since = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Handle deliveries again.

    Those named, or those that match all the options. Without --dead and --unhandled the options match all but the
    waiting ones.
    """
    from . import listing
    from .bulk import by_pages, chosen, chunks, named, report

    start = moment(since)
    if bool(ids) == bool(dead or unhandled or event or receiver or (handler and not ids) or start is not None):
        raise typer.BadParameter("give ids, or a selection such as --dead: one of the two", param_hint="ID")
    states = [state for state, wanted in ((State.DEAD, dead), (State.UNHANDLED, unhandled)) if wanted]

    emptied = 0  # how many cannot be handled

    async def work(target: InboxTarget) -> int:
        which = Filter()
        if handler is not None and target.hooks is not None:
            target.hooks.name_of(handler)  # raises if there is none of this name
        elif handler is not None:
            which = Filter(handler=handler, handler_states=tuple(State))
            if not await target.inbox.find(which, limit=1):
                raise fail(f"no delivery was given to a handler {handler!r}; give module:hooks as WHERE for a new one")

        async def again(some: Sequence[str]) -> int:
            nonlocal emptied
            # All of the filter again: what has changed since is left alone.
            found = await target.inbox.find(which._replace(ids=some), newest_first=False)
            emptied += sum(summary.body_removed for summary in found)
            return await target.inbox.replay([each.id for each in found], target.inbox.clock(), handler=handler)

        if ids:
            full = await named(target, ids)
            if handler is not None and len(has := await target.inbox.find(which._replace(ids=full))) < len(full):
                left = listing.deliveries(len(full) - len(has))
                output.warn(f"{left} passed over: never given to {handler!r} (module:hooks as WHERE does so)")
            return await by_pages("replaying", len(full), chunks(full), again)
        # Those that came until now: one that is replayed may end as it was while the others still are.
        which = target.filter(
            states=states or set(State) - {State.WAITING},
            event=event,
            receiver=receiver,
            handler=handler,
            since=start,
            before=time.time(),
        )
        found = await chosen(target.inbox, which)
        if found.pages:
            confirm(f"Replay {listing.counted(found.counts)}?", yes=yes)
        return await by_pages("replaying", found.counts.total(), found.ids(), again)

    count = run(where, work)
    if emptied:
        output.warn(f"{listing.deliveries(emptied)} passed over: done, and the body was removed since (keep_body)")
    report(count, "replayed", as_json=as_json)


@inbox.command("purge", cls=WhereCommand)
def purge(
    where: Where,
    ids: Ids = None,
    state: States = None,
    dead: Dead = False,
    older_than: Annotated[
        str | None, typer.Option(help="Only deliveries received longer ago than this, such as 30d.")
    ] = None,
    event: EventName = None,
    receiver: ReceiverName = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove deliveries for good.

    Those named, or those that match all the options. Never those being handled, and waiting ones only with --state
    waiting.
    """
    from . import listing
    from .bulk import by_pages, chosen, named, report

    age = None if older_than is None else span_of(older_than, "--older-than")
    state = [*(state or ()), *((State.DEAD,) if dead else ())]
    if not (ids or state or event or age is not None):
        raise typer.BadParameter("say which: ids, --state, --dead, --older-than or --event", param_hint="ID")
    before = time.time() - (age or 0.0)  # what comes from now on is not removed
    states = state or [each for each in State if each is not State.WAITING]

    async def work(target: InboxTarget) -> int:
        full = await named(target, ids) if ids else None
        which = target.filter(ids=full, states=states, event=event, receiver=receiver, before=before)
        found = await chosen(target.inbox, which, leased=False)
        count = found.counts.total()
        if full and count < len(full):
            spared = listing.deliveries(len(full) - count)
            output.warn(f"{spared} spared: being handled now, or not matched by the options (--state waiting?)")
        if not count:
            return 0
        confirm(f"Remove {listing.counted(found.counts)} for good?", yes=yes)

        def remove(some: Sequence[str]) -> Awaitable[int]:
            # All of the filter again: deliveries replayed since are not removed.
            again, now = which._replace(ids=some), target.inbox.clock()
            return target.inbox.purge(again, now, limit=len(some), unix=time.time())

        return await by_pages("removing", count, found.ids(), remove)

    report(run(where, work), "removed", as_json=as_json)


_WHOLE = (
    *(maintenance.stats, maintenance.check, maintenance.backup, maintenance.vacuum, maintenance.migrate),
    *(maintenance.pause, maintenance.resume),
)
for command in _WHOLE:
    inbox.command(command.__name__, cls=WhereCommand)(command)


@inbox.command("export", cls=WhereCommand)
def export(
    where: Where,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The file; standard output if left out or -.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All deliveries, not only waiting, dead and unhandled ones.")
    ] = False,
    state: States = None,
    event: EventName = None,
    receiver: ReceiverName = None,
    handler: HandlerName = None,
    since: Since = None,
    before: Before = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the number on stderr as JSON.")] = False,
) -> None:
    """Write unfinished deliveries to a file, for `import`.

    The file has them with their bodies, as JSON lines. Exits with 3 if damaged ones were left out.
    """
    from . import listing, transfer

    file = None if file == Path("-") else file
    if file is None:
        output.keep_stdout()
    states = state or (list(State) if everything else list(UNFINISHED))
    start, end = moment(since), moment(before)

    async def work(target: InboxTarget) -> tuple[int, list[DamagedDelivery]]:
        which = target.filter(states=states, event=event, receiver=receiver, handler=handler, since=start, before=end)
        counts = (await target.inbox.stats()).counts
        total = sum(counts[each] for each in set(states))
        with ended_by_sigterm():
            return await transfer.write(target.inbox, which, total, file)

    try:
        if file is not None:
            transfer.check_target(file, force=force)
        count, damaged = run(where, work)
    except OSError as error:
        raise fail(f"cannot write {file or 'the standard output'}: {error.strerror}") from None
    if as_json:
        left_out = [each._asdict() for each in damaged]
        output.warn(json.dumps({"exported": count, "damaged": left_out}))
    else:
        listing.warn_of_damage(damaged)
        output.warn(f"{listing.deliveries(count)} exported{f', {len(damaged)} left out' if damaged else ''}")
    if damaged:
        raise typer.Exit(output.INCOMPLETE)


@inbox.command("import", cls=WhereCommand)
def import_(
    where: Where,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file written by `export`; - is standard input.")] = "-",
    as_json: Json = False,
) -> None:
    """Load a file written by `export`.

    Deliveries that the inbox has already are left out. The inbox is created if it is missing.
    """
    from . import listing, transfer

    with transfer.seekable(file) as lines:
        transfer.check_source(file, where)
        try:
            chunks, count = transfer.checked(lines)
        except transfer.BadLine as error:
            raise fail(f"{error}; nothing was loaded") from None
        new = run(
            where, lambda target: transfer.load(target.inbox, lines, chunks, count, target.inbox.clock()), create=True
        )
    if as_json:
        output.say_json({"new": new, "already_there": count - new})
    else:
        output.say(f"{listing.deliveries(new)} loaded, {count - new} were there already")
