"""`senders`: the senders that come with the package, as a list, or all about one."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options
from .options import Group, Json

senders = typer.Typer(cls=Group, help="List the senders that are known, or show all about one.")


@senders.callback(invoke_without_command=True)
def ls(context: typer.Context, as_json: Json = False) -> None:
    """List the senders that are known, or show all about one."""
    from . import sender_report

    if context.invoked_subcommand is None:
        sender_report.list_all(as_json)


@senders.command("show")
def show(
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

    sender_report.show(name, as_json)
