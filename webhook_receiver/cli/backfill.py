"""`backfill`: put orders that the sender's API knows and the receiver's inbox does not into the inbox."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from ..errors import ApiError
from . import output
from .defaults import Target
from .inbox_option import InboxTarget, run
from .options import Json, moment
from .output import fail
from .up42_options import Address, InRegion


def backfill(
    target: Target = "",
    since: Annotated[str, typer.Option(help="Only orders changed since then: 2h (ago), 30d, 2026-03-01.")] = "1d",
    workspace: Annotated[
        str | None,
        typer.Option(envvar="UP42_WORKSPACE_ID", help="Only orders of this workspace; else all that the user sees."),
    ] = None,
    at: Address = None,
    region: InRegion = None,
    as_json: Json = False,
) -> None:
    """Put missed orders into the inbox.

    Those whose notifications did not arrive. A server may run on the inbox meanwhile. Credentials: UP42_USERNAME and
    UP42_PASSWORD, or UP42_TOKEN. Exits with 1 if the API or the inbox failed, or an order could not be made into an
    event; deliveries put before that stay.
    """
    from ..receiver import WebhookReceiver
    from ..senders.backfill import Backfill
    from ..senders.up42.client import WebhooksClient
    from .rich_output import progress_bar

    if "://" in target:
        raise typer.BadParameter("a receiver is needed, as quickstart:hooks, not an inbox", param_hint="MODULE:HOOKS")
    begin = datetime.fromtimestamp(max(0.0, moment(since) or 0), UTC)  # there were no orders before 1970
    reached = Backfill()

    async def work(target: InboxTarget) -> None:
        nonlocal reached
        assert isinstance(target.hooks, WebhookReceiver)  # noqa: S101 - for the type checkers
        async with WebhooksClient(url=at, region=region, workspace_id=workspace) as client:
            with progress_bar() as bar:
                task = bar.add_task("orders", total=None)

                def progress(found: Backfill) -> None:
                    nonlocal reached
                    reached = found
                    bar.update(task, completed=found.seen)

                reached = await target.hooks.backfill(client, since=begin, workspace_id=workspace, progress=progress)

    def said() -> str:
        unfit = f", {reached.unfit} that no event could be made of" if reached.unfit else ""
        return f"{reached.seen} orders: {reached.put} put into the inbox, {reached.known} were there already{unfit}"

    try:
        run(target, work, create=True)
    except ApiError as error:
        raise fail(f"{output.printable(str(error))}; {said()} until then") from None
    output.say_json(reached.as_json()) if as_json else output.say(said())
    if reached.unfit:
        raise typer.Exit(1)
