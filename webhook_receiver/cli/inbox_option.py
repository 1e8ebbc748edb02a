"""Which inbox, and which deliveries in it, a command is about: what WHERE and the options of a selection mean."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

import typer
from rich.text import Text
from typer.core import TyperCommand

from ..errors import ConfigurationError, InboxError
from ..inbox import Filter, Inbox, MemoryInbox, SQLiteInbox, State, from_url
from ..options import seconds
from ..receiver import WebhookReceiver
from . import output
from .app_loader import inbox_of, load

R = TypeVar("R")

VARIABLE = "WEBHOOK_INBOX"

Where = Annotated[
    str,
    typer.Argument(metavar="WHERE", envvar=VARIABLE, help="An inbox's URL, as sqlite:///hooks.db, or module:hooks."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one document a line.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
States = Annotated[list[State] | None, typer.Option("--state", help="Only in this state; may be repeated.")]
Dead = Annotated[bool, typer.Option("--dead", help="Only dead ones.")]
EventName = Annotated[str | None, typer.Option("--event", help="Only of this event.")]
ReceiverName = Annotated[str | None, typer.Option("--receiver", help="Only of the receiver of this name.")]
HandlerName = Annotated[str | None, typer.Option("--handler", help="Only where this handler was run and is not done.")]
Since = Annotated[str | None, typer.Option("--since", help="Received since: 2h (ago), 30d, 2026-03-01.")]
Before = Annotated[str | None, typer.Option("--before", help="Received before: 2h (ago), 30d, 2026-03-01.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids, or beginnings that only one has.")]
HandlerArgument = Annotated[str, typer.Argument(metavar="HANDLER", help="Its name, as module:function.")]


class WhereCommand(TyperCommand):
    """A command whose first argument, WHERE, may be left out where the environment variable is set."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the variable's value in front, unless the arguments name an inbox themselves."""
        where = os.environ.get(VARIABLE)
        if where and "--help" not in args and not self._names_inbox(ctx, args):
            args = [where, *args]
        return super().parse_args(ctx, args)

    def _names_inbox(self, ctx: Any, args: list[str]) -> bool:
        """Whether the first argument may be a WHERE, which an id or a file hardly is, and no other one is missing."""
        given, _, _ = self.make_parser(ctx).parse_args([*args])
        required: list[object] = [
            given.get(param.name or "")
            for param in self.get_params(ctx)
            if param.param_type_name == "argument" and param.required and param.nargs == 1
        ]
        where = given.get("where")
        return isinstance(where, str) and ":" in where and all(isinstance(each, str) for each in required)


@dataclass(frozen=True, slots=True)
class Place:
    """An open inbox, and the receiver that it was found by, if it was."""

    inbox: Inbox
    hooks: WebhookReceiver | None

    def chosen(
        self,
        *,
        ids: list[str] | None = None,
        states: Collection[State] | None = None,
        event: str | None = None,
        receiver: str | None = None,
        handler: str | None = None,
        since: float | None = None,
        before: float | None = None,
    ) -> Filter:
        """Return the filter that options mean; a receiver's own deliveries, unless another one is named."""
        if receiver is None and self.hooks is not None:
            receiver = self.hooks.name
        return Filter(ids, states or None, receiver, event, handler, since, before)


def run(where: str, work: Callable[[Place], Awaitable[R]], *, create: bool = False, is_opened: bool = True) -> R:
    """Do some work on an inbox; what the inbox cannot do ends the command with a sentence and 1."""
    try:
        return asyncio.run(_run(where, work, create, is_opened))
    except (InboxError, ConfigurationError) as error:
        raise fail(str(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _run(where: str, work: Callable[[Place], Awaitable[R]], create: bool, is_opened: bool) -> R:
    place = _found(where, create)
    try:
        if is_opened:
            await place.inbox.open()
        return await work(place)
    finally:
        await place.inbox.close()


def _found(where: str, create: bool) -> Place:
    if "://" in where:
        place = Place(from_url(where, create=create), None)
    else:
        hooks = load(where)
        inbox = inbox_of(hooks)
        if inbox is None:
            raise ConfigurationError(f"{where} has no inbox: nothing is kept")
        place = Place(inbox, hooks)
    inbox = place.inbox
    if isinstance(inbox, MemoryInbox):
        raise ConfigurationError("an inbox in memory is in its own process, and cannot be reached from here")
    if isinstance(inbox, SQLiteInbox) and not create and not inbox.path.exists():
        raise ConfigurationError(f"there is no inbox at {inbox.path}")
    return place


def fail(why: str) -> typer.Exit:
    """Say what is wrong, and return what ends the command with 1."""
    output.stderr.print(Text(why, "red"), soft_wrap=True)
    return typer.Exit(1)


def moment(text: str | None) -> float | None:
    """Return the Unix time that "2h" (ago), "2026-03-01" or "2026-03-01T09:00+02:00" means."""
    if text is None:
        return None
    try:
        if len(text) != 8 or not text.isdigit():  # that is a date, too: 20260301
            return time.time() - seconds(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(f"{text!r} is neither a span of time such as 2h or 30d nor a date") from None


def span(text: str | None) -> float | None:
    """Return the seconds in a span of time."""
    try:
        return None if text is None else seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def confirm(question: str, *, yes: bool) -> None:
    """Ask; go on only after a yes. Where nobody can be asked, only `--yes` will do."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} Nobody is here to be asked: give --yes", param_hint="--yes")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a running loop would first wait for the answer
    try:
        agreed = typer.confirm(question, err=True)
    finally:
        signal.signal(signal.SIGINT, before)
    if not agreed:
        raise fail("nothing was done")
