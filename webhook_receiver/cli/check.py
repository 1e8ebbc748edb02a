"""`check`: tell what is wrong with a receiver and with the app that it is in, before a deploy."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from . import options, output
from .defaults import Target
from .options import Json


def check_names(incomplete: str) -> list[tuple[str, str]]:
    """Return the names of checks that begin so, each with what it finds, for the completion of a shell."""
    from .checks import CHECKS

    return [(name, what) for name, what in CHECKS.items() if name.startswith(incomplete)]


def check(
    target: Target = "",
    ignore: Annotated[
        list[str] | None,
        typer.Option(autocompletion=check_names, metavar="CHECK", help="Leave this check out; may be repeated."),
    ] = None,
    time_from: Annotated[
        str | None,
        typer.Option(
            callback=options.checked_url_or_none, metavar="URL", help="Compare the clock with that of this server."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell what is wrong with a receiver, before a deploy.

    The module is imported and the inbox opened, as at the start; nothing is handled, and no lifespan is run. An inbox
    that is missing or old stays as it is. Exits with 0 if nothing is wrong, with 1 after errors, and with 4 if there
    are only warnings.
    """
    from . import checks

    for name in ignore or ():
        if name not in checks.CHECKS:
            raise typer.BadParameter(f"there is no check {name!r}: {', '.join(checks.CHECKS)}", param_hint="--ignore")
    with redirect_stdout(sys.stderr):  # what the module prints is no finding
        everything = checks.found(target, time_from)
    found = [each for each in everything if each.finding.check not in (ignore or ())]
    found.sort(key=lambda each: not each.finding.is_error)
    for each in found:
        _show(each.level, each.where, each.finding.check, each.finding.message, as_json=as_json)
    errors = sum(each.finding.is_error for each in found)
    warnings = len(found) - errors
    if not as_json:
        said = f"{target}: {_counted(errors, 'error')}, {_counted(warnings, 'warning')}"
        output.warn(said, "red" if errors else "yellow" if warnings else "green")
    if found:
        raise typer.Exit(1 if errors else output.WARNED)


def _show(level: str, where: str, name: str, message: str, *, as_json: bool) -> None:
    if as_json:
        output.say_json({"level": level, "where": where, "check": name, "message": message})
    elif output.is_terminal():
        output.say(f"{level} {name} {output.printable(where)}", "red" if level == "error" else "yellow")
        for paragraph in message.splitlines():
            for line in output.wrapped(output.printable(paragraph)):
                output.say(line)
    else:
        output.say("\t".join((level, where, name, output.printable(message))))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
