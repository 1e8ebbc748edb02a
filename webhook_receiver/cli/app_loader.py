"""Loading the user's receiver, given as `module:hooks` on a command line."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import typer

from ..errors import ConfigurationError
from ..inbox.base import Inbox
from ..receiver import WebhookReceiver


def load(target: str) -> WebhookReceiver:
    """Import and return the receiver `module:name`, from the current directory or an installed package.

    Args:
        target: the module and the receiver's name in it, "hooks" if left out; a path of a file will do for the module.

    Raises:
        typer.BadParameter: there is no such module or name, or it is not a receiver.
    """
    form = re.fullmatch(r"([^\W\d]\w*(?:[./][^\W\d]\w*)*?)(?:\.py)?(?::([^\W\d]\w*))?", target)
    if form is None:
        raise typer.BadParameter(f"{target!r} is not of the form module:hooks")
    module_name, name = form[1].replace("/", "."), form[2]
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, but imports one that is not
        raise typer.BadParameter(
            f"there is no module {module_name!r} in {here} or among the installed packages"
        ) from None
    except ConfigurationError as error:
        raise typer.BadParameter(f"{module_name} is not configured correctly: {error}") from None
    receivers = [key for key, value in vars(module).items() if isinstance(value, WebhookReceiver)]
    found = getattr(module, name or "hooks", None)
    if isinstance(found, WebhookReceiver):
        return found
    hint = f"; it has {', '.join(f'{module_name}:{key}' for key in receivers)}" if receivers else ""
    if found is not None:
        raise typer.BadParameter(f"{name or 'hooks'} in {module_name} is not a WebhookReceiver{hint}")
    raise typer.BadParameter(f"{module_name} has nothing called {name or 'hooks'}{hint}")


def inbox_of(hooks: WebhookReceiver) -> Inbox | None:
    """Return a receiver's inbox, or None if it has none."""
    try:
        return hooks.inbox
    except ConfigurationError:
        return None
