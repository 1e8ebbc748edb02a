"""Loading the user's receiver, or the app that it is mounted in, given as `module:hooks` on a command line."""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import cast

import typer
from starlette.types import ASGIApp

from ..errors import ConfigurationError
from ..inbox.base import Inbox
from ..receiver import WebhookReceiver
from ..redaction import summary
from .mounted import all_in

_AN_APP = "a WebhookReceiver but an app, which uvicorn serves"


class NotLoaded(typer.BadParameter):
    """The error for a module that is there, and fails when it is imported."""


def load(target: str, *, otherwise: str = "", or_in_app: bool = True) -> WebhookReceiver:
    """Import and return the receiver `module:name`, from the current directory or an installed package.

    Args:
        target: the module and the receiver's name in it, "hooks" if left out; a path of a file will do for the module.
        otherwise: what else the target is not, for the message.
        or_in_app: whether an app will do that has one receiver.

    Raises:
        typer.BadParameter: there is no such module or name, it cannot be imported, or it is not a receiver. The message
            has no line of the module, which may hold a secret.
    """
    return _found(target, otherwise, or_in_app=or_in_app)[0]


def load_with_app(target: str) -> tuple[WebhookReceiver, ASGIApp | None]:
    """Import and return a receiver, as `load` does, and the app that was named in its place; None if there is none."""
    return _found(target)


def _found(target: str, otherwise: str = "", *, or_in_app: bool = True) -> tuple[WebhookReceiver, ASGIApp | None]:
    module, name = _imported(target, otherwise)
    found = getattr(module, name or "hooks", None)
    if isinstance(found, WebhookReceiver):
        return found, None
    inside = all_in(found)
    if or_in_app and len(inside) == 1:
        return inside[0].hooks, found
    raise _not_there(module, name or "hooks", found, "a WebhookReceiver" if or_in_app or not inside else _AN_APP)


def load_app(target: str) -> ASGIApp:
    """Import and return the receiver or the app `module:name`, as `load` does.

    Args:
        target: the module and the name in it; if the name is left out, "hooks" if that is a receiver, else "app".

    Raises:
        typer.BadParameter: there is no such module or name, or it is no app.
    """
    module, name = _imported(target)
    if name is None:
        name = "hooks" if isinstance(getattr(module, "hooks", None), WebhookReceiver) else "app"
    found: object = getattr(module, name, None)
    if callable(found):
        return cast("ASGIApp", found)
    raise _not_there(module, name, found, "a WebhookReceiver or an app")


def module_of(target: str) -> ModuleType:
    """Import and return the module of a target, as `load` does."""
    return _imported(target)[0]


def _imported(target: str, otherwise: str = "") -> tuple[ModuleType, str | None]:
    """Import the module of a target, and return it with the name behind the colon."""
    form = re.fullmatch(r"([^\W\d]\w*(?:[./][^\W\d]\w*)*?)(?:\.py)?(?::([^\W\d]\w*))?", target)
    if form is None:
        # A connection string in the wrong place may hold a password.
        quoted = repr(target) if re.fullmatch(r"[\w./:-]*", target) else "what is given"
        raise typer.BadParameter(f"{quoted} is not of the form module:hooks{otherwise}")
    module_name, name = form[1].replace("/", "."), form[2]
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _not_imported(module_name, error) from None  # it is there, but imports one that is not
        raise typer.BadParameter(
            f"there is no module {module_name!r} in {here} or among the installed packages{_instead(module_name)}"
        ) from None
    except ConfigurationError as error:
        raise NotLoaded(f"{module_name} is not configured correctly: {error}") from None
    except (Exception, SystemExit) as error:
        raise _not_imported(module_name, error) from None
    return module, name


def _instead(module_name: str) -> str:
    """Return what may be meant by `module.hooks`, if that is there; `module` was imported on the way to it."""
    package, _, name = module_name.rpartition(".")
    found = package in sys.modules and hasattr(sys.modules[package], name)
    return f": did you mean {package}:{name}?" if found else ""


def _not_there(module: ModuleType, name: str, found: object, wanted: str) -> typer.BadParameter:
    receivers = [key for key, value in vars(module).items() if isinstance(value, WebhookReceiver)]
    hint = f"; it has {', '.join(f'{module.__name__}:{key}' for key in receivers)}" if receivers else ""
    if found is not None:
        return typer.BadParameter(f"{name} in {module.__name__} is not {wanted}{hint}")
    file = str(getattr(module, "__file__", None))
    if not hint and not file.startswith(str(Path.cwd())):  # as of the module `secrets`, which Python has
        hint = f": it is the module at {file}. If you mean a file of yours, give that another name"
    return typer.BadParameter(f"{module.__name__} has nothing called {name}{hint}")


def no_receiver_in(target: str) -> typer.BadParameter:
    """Return the error for an app without a receiver."""
    return typer.BadParameter(
        f"{target} has no receiver among its routes: give it one, hooks.route(path). Only routes of "
        "Starlette, FastAPI and Litestar are looked through: in another framework name the receiver itself"
    )


def target_of(hooks: WebhookReceiver, near: str) -> str | None:
    """Return the target that `load` finds a receiver by, first looked for in the module of another target."""
    first, _ = _imported(near)
    for module in [first, *sys.modules.copy().values()]:
        for name, value in [*getattr(module, "__dict__", {}).items()]:
            if value is hooks:
                return f"{module.__name__}:{name}"
    return None


def _not_imported(module_name: str, error: BaseException) -> NotLoaded:
    """Return the error for a module that raised one when it was imported: what and where, without its source."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith("<frozen ")]
    theirs = [each for each in frames if each.filename not in (__file__, importlib.__file__)]
    places = "".join(f"\n  {each.filename}, line {each.lineno}, in {each.name}" for each in theirs)
    return NotLoaded(f"{module_name} cannot be imported: {summary(error)}{places}")


def inbox_of(hooks: WebhookReceiver) -> Inbox | None:
    """Return a receiver's inbox, or None if it has none."""
    try:
        return hooks.inbox
    except ConfigurationError:
        return None
