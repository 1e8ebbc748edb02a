"""The arguments and options that select an inbox and deliveries in it, shared by the commands."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Generator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import typer
from typer.core import TyperCommand

from ..errors import ConfigurationError, InboxError
from ..inbox import Filter, Inbox, State, from_url
from .defaults import PREFIX
from .defaults import where as where_of_settings
from .output import fail

R = TypeVar("R")

VARIABLES = [f"{PREFIX}INBOX", "WEBHOOK_INBOX"]
"""The variables that name the inbox; the first one counts."""

Where = Annotated[
    str,
    typer.Argument(
        metavar="WHERE",
        envvar=VARIABLES,
        help="The inbox: a URL such as sqlite:///hooks.db, its file, or module:hooks.",
    ),
]
States = Annotated[
    list[State] | None,
    typer.Option("--state", help=f"Only deliveries in this state: {', '.join(State)}; may be repeated."),
]
Dead = Annotated[bool, typer.Option("--dead", help="Only dead deliveries.")]
EventName = Annotated[str | None, typer.Option("--event", help="Only deliveries of this event.")]
ReceiverName = Annotated[str | None, typer.Option("--receiver", help="Only deliveries to this receiver.")]
HandlerName = Annotated[str | None, typer.Option("--handler", help="Only where this handler was run and is not done.")]
Since = Annotated[str | None, typer.Option("--since", help="Received since: 2h (ago), 30d, 2026-03-01.")]
Before = Annotated[str | None, typer.Option("--before", help="Received before: 2h (ago), 30d, 2026-03-01.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids, or unique beginnings of ids.")]
HandlerArgument = Annotated[str, typer.Argument(metavar="HANDLER", help="The handler's name, such as module:function.")]


def named() -> str | None:
    """Return the inbox that the settings name, or the variable that came before them."""
    return where_of_settings() or os.environ.get(VARIABLES[1])


class WhereCommand(TyperCommand):
    """A command whose first argument, WHERE, may be left out if a setting or WEBHOOK_INBOX names it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the inbox that is set as the first argument, unless the arguments name one themselves."""
        if not {"-h", "--help"} & {*args} and not self._names_inbox(ctx, args) and (where := named()):
            args = [where, *args]
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if not error.message:  # an argument is missing
                others = [f" {param.metavar}" for param in self._required(ctx) if param.name != "where"]
                error.message = (
                    "WHERE is the inbox: its file, its URL, or module:hooks. It comes first, or is the value of "
                    f"{VARIABLES[0]}:  inbox {self.name} hooks.db{''.join(others)}"
                )
            raise

    def _required(self, ctx: Any) -> list[Any]:
        """Return the arguments that are required, and take one value."""
        return [
            param
            for param in self.get_params(ctx)
            if param.param_type_name == "argument" and param.required and param.nargs == 1
        ]

    def _names_inbox(self, ctx: Any, args: list[str]) -> bool:
        """Whether the first argument may be a WHERE, which an id or a file hardly is, and no other one is missing."""
        given, _, _ = self.make_parser(ctx).parse_args([*args])
        required: list[object] = [given.get(param.name or "") for param in self._required(ctx)]
        where = given.get("where")
        if not isinstance(where, str) or not all(isinstance(each, str) for each in required):
            return False
        if "file" in given and not isinstance(given["file"], str):
            return _is_inbox(where)  # and not the file to write or to read, whatever its suffix
        return ":" in where or _is_file(where)


class Opened(Protocol):
    """What opens the inbox of a receiver: its runtime."""

    async def open(self) -> object:
        """Open the inbox, in which the receiver's name is looked up."""
        ...


class Hooks(Protocol):
    """What the commands on an inbox need of a receiver, whose own module is slow to import."""

    @property
    def name(self) -> str:
        """The receiver's name; what its deliveries have, once its inbox is opened."""
        ...

    @property
    def runtime(self) -> Opened:
        """What opens the inbox."""
        ...

    def name_of(self, handler: str) -> str:
        """Return the name of a handler; raise ConfigurationError if there is none of this name."""
        ...

    async def pause(self, handler: str) -> None:
        """Pause a handler."""
        ...

    async def resume(self, handler: str) -> bool:
        """Resume a handler; return whether it was paused."""
        ...


@dataclass(frozen=True, slots=True)
class InboxTarget:
    """The inbox that a command works on, and its receiver, if the command names that."""

    inbox: Inbox
    hooks: Hooks | None
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
    import asyncio

    try:
        return asyncio.run(_run(where, work, create, is_opened))
    except (InboxError, ConfigurationError) as error:
        raise fail(str(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except asyncio.CancelledError:
        raise typer.Exit(143) from None


@contextmanager
def ended_by_sigterm() -> Generator[None]:
    """Let SIGTERM end this task as Ctrl-C does, so that nothing is left of a file that is not whole."""
    import asyncio

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    with suppress(NotImplementedError, RuntimeError, ValueError):  # on Windows, or in a thread
        if task is not None:
            loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.remove_signal_handler(signal.SIGTERM)


async def _run(where: str, work: Callable[[InboxTarget], Awaitable[R]], create: bool, is_opened: bool) -> R:
    target = _found(where, create)
    try:
        if is_opened:
            opened: Opened = target.inbox if target.hooks is None else target.hooks.runtime
            await opened.open()
        return await work(target)
    finally:
        await target.inbox.close()


_SQLITE = b"SQLite format 3\0"
"""How a SQLite file begins (sqlite.org/fileformat2.html, section 1.3.1)."""
_SUFFIXES = (".db", ".sqlite", ".sqlite3")


def _is_file(where: str) -> bool:
    """Return whether WHERE is the file of an inbox, such as hooks.db, and no module; it may be missing."""
    if Path(where).is_file():
        return not where.endswith(".py")
    return where.endswith(_SUFFIXES) and ":" not in where and not Path(f"{where.replace('.', '/')}.py").is_file()


def _is_inbox(where: str) -> bool:
    """Return whether WHERE is a URL, a receiver, or the file of an inbox that is there."""
    if "://" in where or re.fullmatch(r"[\w./-]+:[^\W\d]\w*", where):
        return True
    try:
        with Path(where).open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except (OSError, ValueError):
        return False


def inbox_at(where: str, *, create: bool = False) -> Inbox | None:
    """Return the inbox that a URL or a file names, which is not opened; None if WHERE is a module.

    Raises:
        ConfigurationError: there is no such inbox, or it is in the memory of another process.
    """
    from ..inbox.sqlite import SQLiteInbox

    if "://" in where:
        return _reached(from_url(where, create=create), create)
    return _reached(SQLiteInbox(where, create=create), create) if _is_file(where) else None


def _found(where: str, create: bool) -> InboxTarget:
    if (named := inbox_at(where, create=create)) is not None:
        target = InboxTarget(named, None)
    else:
        from .app_loader import inbox_of, load  # with the receiver, which a file does not need

        with redirect_stdout(sys.stderr):  # what the module prints is nothing of the inbox
            hooks = load(where, otherwise=", and no URL or file of an inbox")
        inbox = inbox_of(hooks)
        if inbox is None:
            raise ConfigurationError(f"{where} has no inbox: nothing is kept")
        target = InboxTarget(_reached(inbox, create), hooks)
    return target


def _reached(inbox: Inbox, create: bool) -> Inbox:
    """Return an inbox, if this process can reach it.

    Raises:
        ConfigurationError: it is in the memory of another process, or a file that is not there.
    """
    from ..inbox.memory import MemoryInbox
    from ..inbox.sqlite import SQLiteInbox

    if isinstance(inbox, MemoryInbox):
        raise ConfigurationError("an inbox in memory is in its own process, and cannot be reached from here")
    if isinstance(inbox, SQLiteInbox) and not create and not inbox.path.exists():
        raise ConfigurationError(f"there is no inbox at {inbox.path}")
    return inbox
