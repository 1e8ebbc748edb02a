"""`settings`: print the settings that count, and where each comes from."""

from __future__ import annotations

import typer

from ..errors import ConfigurationError
from . import output
from .options import Json


def settings(as_json: Json = False) -> None:
    """Print the settings, and where each comes from. Secrets are masked.

    A setting such as port is WEBHOOK_RECEIVER_PORT in the environment, or port under [tool.webhook-receiver] in the
    pyproject.toml of this folder. The environment counts first; an option of a command before both. Exits with 4 if a
    variable that begins so is no setting.
    """
    from ..settings import origins, unknown_variables

    try:
        found = origins()
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None
    unknown = unknown_variables()
    if as_json:
        for each in found:
            output.say_json(each._asdict())
    else:
        output.table(("setting", "value", "from"), [(each.name, each.value, each.origin) for each in found])
    for name, near in unknown:
        output.warn(f"{name} is no setting{f': did you mean {near}?' if near else ''}", "yellow")
    if unknown:
        raise typer.Exit(output.WARNED)
