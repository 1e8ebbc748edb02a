"""`senders`: the senders that come with the package, as a list, or all about one."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from . import options, output
from .options import Group, Json

if TYPE_CHECKING:
    from ..senders.profile import Profile

senders = typer.Typer(cls=Group, help="List the senders that are known, or show all about one.")

_WIDEST = 100  # characters of a line of text on a terminal


@senders.callback(invoke_without_command=True)
def ls(context: typer.Context, as_json: Json = False) -> None:
    """List the senders that are known, or show all about one."""
    if context.invoked_subcommand is not None:
        return
    from ..senders.profile import profile_of
    from ..senders.registry import presets

    profiles = sorted(map(profile_of, presets().values()), key=lambda each: (each.page.trade, each.preset.name))
    if as_json:
        for each in profiles:
            output.say_json(each.as_json())
        return
    short = output.is_terminal()
    rows = [
        (each.preset.name, each.page.trade, each.proof.covered, each.verified_on if short else each.verified)
        for each in profiles
    ]
    output.table(("name", "trade", "proves", "how sure"), rows, shortest={"trade": 8, "proves": 8})
    if output.is_terminal():
        output.say("all about one: webhook-receiver senders show NAME", "dim")


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
    from ..senders.profile import profile_of
    from ..senders.registry import presets

    profile = profile_of(presets()[name])
    if as_json:
        output.say_json(profile.as_json())
    else:
        _show(profile)


def _show(profile: Profile) -> None:
    preset, page = profile.preset, profile.page
    output.say(f"{preset.title} ({preset.name}), {page.trade}", "bold")
    if page.docs:
        output.say(f"https://{page.docs}", "dim")
    output.say("")
    for line in profile.code:
        output.say(f"  {line}".rstrip())
    for heading, sentences in profile.sections():
        output.say("")
        output.say(heading, "bold")
        for sentence in sentences:
            for line in _wrapped(output.printable(sentence)):
                output.say(line)


def _wrapped(sentence: str) -> list[str]:
    """Return the lines of a sentence: as wide as the terminal, and one in a pipe."""
    if not output.is_terminal():
        return [f"  {sentence}"]
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    return textwrap.wrap(
        sentence, width, initial_indent="  ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
