"""`poll`: poll a receiver's sources, once or until a signal, and leave the handlers to the process that serves."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

import typer

from .defaults import Target
from .inbox_option import InboxTarget, run
from .options import Json, moment


def source_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of a receiver's sources that begin so, for the completion of a shell."""
    from .app_loader import load

    with suppress(Exception):  # an option without its value is an error, before which the receiver is not read
        pollers = load(ctx.params["target"] or ctx.args[0]).pollers
        return [each.name for each in pollers if each.name.startswith(incomplete)]
    return []


def poll(
    target: Target = "",
    once: Annotated[bool, typer.Option("--once", help="Poll each source once, now, and end.")] = False,
    since: Annotated[
        str | None, typer.Option(help="Begin at this time, in place of the cursor: 2h (ago), 30d, 2026-03-01.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(autocompletion=source_names, metavar="NAME", help="Only this source; else all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Poll the sources of a receiver.

    What they tell is put into its inbox, for the process that runs the handlers. A server may poll the same sources
    meanwhile. Exits with 1 if a source failed or is polled by another process, with 130 if interrupted with --once.
    """
    import logging.config

    from . import polling
    from .serve import log_config

    if "://" in target:
        raise typer.BadParameter("a receiver is needed, as quickstart:hooks, not an inbox", param_hint="MODULE:HOOKS")
    seconds = moment(since)
    begin = None if seconds is None else datetime.fromtimestamp(max(0.0, seconds), UTC)
    if begin is not None and begin > datetime.now(UTC):
        raise typer.BadParameter(f"{since} is in the future", param_hint="--since")
    config = log_config()
    config["handlers"]["default"]["stream"] = "ext://sys.stderr"
    logging.config.dictConfig(config)

    async def work(target: InboxTarget) -> bool:
        pollers = polling.pollers_of(target, source)
        ok = True
        if once or begin is not None:
            ok = await polling.poll_once(pollers, begin, as_json=as_json)
        if not once:
            await polling.poll_until_signal(pollers, as_json=as_json)
        return ok

    if not run(target, work, create=True) and once:
        raise typer.Exit(1)
