"""`senders`: the senders that come with the package, as a list, or all about one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import options
from .options import Group, Json


class _Senders(Group):
    """The group, which tells who names a sender in place of a command how all about it is shown."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command of the arguments.

        Raises:
            BadParameter: the first is the name of a sender, or like one.
        """
        name = next(iter(args), "")
        if name and name[0] != "-" and self.get_command(ctx, name) is None:
            known = options.checked_sender(name)
            raise typer.BadParameter(f"{name} is a sender: `webhook-receiver senders show {known}` shows all about it")
        return super().resolve_command(ctx, args)


senders = typer.Typer(cls=_Senders, help="List the senders that are known, or show all about one.")


@senders.callback(invoke_without_command=True)
def ls(context: typer.Context, as_json: Json = False) -> None:
    """List the senders that are known, or show all about one."""
    from . import sender_report

    if context.invoked_subcommand is None:
        sender_report.list_all(as_json)
    context.obj = as_json


@senders.command("show")
def show(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            callback=options.checked_sender,
            autocompletion=options.sender_names,
            help="The sender's name, such as slack.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Show all about a sender: how to register, what it proves, its traps."""
    from . import sender_report

    sender_report.show(name, as_json or bool(context.obj))
