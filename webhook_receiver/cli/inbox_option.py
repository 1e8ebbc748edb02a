"""The arguments and options that select an inbox and deliveries in it, shared by the commands."""

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
    typer.Argument(
        metavar="WHERE", envvar=VARIABLE, help="The inbox: a URL such as sqlite:///hooks.db, or module:hooks."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one document a line.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
States = Annotated[list[State] | None, typer.Option("--state", help="Only deliveries in this state; may be repeated.")]
Dead = Annotated[bool, typer.Option("--dead", help="Only dead deliveries.")]
EventName = Annotated[str | None, typer.Option("--event", help="Only deliveries of this event.")]
ReceiverName = Annotated[str | None, typer.Option("--receiver", help="Only deliveries to this receiver.")]
HandlerName = Annotated[str | None, typer.Option("--handler", help="Only where this handler was run and is not done.")]
Since = Annotated[str | None, typer.Option("--since", help="Received since: 2h (ago), 30d, 2026-03-01.")]
Before = Annotated[str | None, typer.Option("--before", help="Received before: 2h (ago), 30d, 2026-03-01.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids, or unique beginnings of ids.")]
HandlerArgument = Annotated[str, typer.Argument(metavar="HANDLER", help="The handler's name, such as module:function.")]


class WhereCommand(TyperCommand):
    """A command whose first argument, WHERE, may be left out if the environment variable WEBHOOK_INBOX is set."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the variable's value as the first argument, unless the arguments name an inbox themselves."""
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
class InboxTarget:
    """The inbox that a command works on, and its receiver, if the command names that."""

    inbox: Inbox
    hooks: WebhookReceiver | None
    """The receiver; None if the inbox was given by its URL."""

    def filter(
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
        """Return the filter of a command's options; it matches the target's receiver, unless another one is named.

        `since` and `before` are Unix seconds.
        """
        if receiver is None and self.hooks is not None:
            receiver = self.hooks.name
        return Filter(ids, states or None, receiver, event, handler, since, before)


def run(where: str, work: Callable[[InboxTarget], Awaitable[R]], *, create: bool = False, is_opened: bool = True) -> R:
    """Run `work` on the inbox that WHERE names, and return its result.

    Args:
        where: the inbox's URL, or a receiver as module:hooks.
        work: the coroutine function to run.
        create: whether a missing inbox is created.
        is_opened: whether the inbox is opened before.

    Raises:
        typer.Exit: the inbox failed or is misconfigured; the message was printed.
    """
    try:
        return asyncio.run(_run(where, work, create, is_opened))
    except (InboxError, ConfigurationError) as error:
        raise fail(str(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _run(where: str, work: Callable[[InboxTarget], Awaitable[R]], create: bool, is_opened: bool) -> R:
    target = _found(where, create)
    try:
        if is_opened:
            await target.inbox.open()
        return await work(target)
    finally:
        await target.inbox.close()


def _found(where: str, create: bool) -> InboxTarget:
    if "://" in where:
        target = InboxTarget(from_url(where, create=create), None)
    else:
        hooks = load(where)
        inbox = inbox_of(hooks)
        if inbox is None:
            raise ConfigurationError(f"{where} has no inbox: nothing is kept")
        target = InboxTarget(inbox, hooks)
    inbox = target.inbox
    if isinstance(inbox, MemoryInbox):
        raise ConfigurationError("an inbox in memory is in its own process, and cannot be reached from here")
    if isinstance(inbox, SQLiteInbox) and not create and not inbox.path.exists():
        raise ConfigurationError(f"there is no inbox at {inbox.path}")
    return target


def fail(why: str) -> typer.Exit:
    """Print an error message; return the exception that ends the command with 1."""
    output.stderr.print(Text(why, "red"), soft_wrap=True)
    return typer.Exit(1)


def moment(text: str | None) -> float | None:
    """Return the Unix time of a text such as "2h" (ago), "2026-03-01" or "2026-03-01T09:00+02:00"; None for None.

    Raises:
        typer.BadParameter: the text is neither a span of time nor a date.
    """
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
    """Return the seconds in a span of time such as "30d"; None for None.

    Raises:
        typer.BadParameter: the text is not a span of time.
    """
    try:
        return None if text is None else seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation, unless `yes`.

    Raises:
        typer.Exit: the user declined.
        typer.BadParameter: there is no terminal to ask on, and `--yes` was not given.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} Nobody is here to be asked: give --yes", param_hint="--yes")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a running loop would first wait for the reply
    try:
        agreed = typer.confirm(question, err=True)
    finally:
        signal.signal(signal.SIGINT, before)
    if not agreed:
        raise fail("nothing was done")
