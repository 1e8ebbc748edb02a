"""What the settings give to commands: the defaults of their options, and the receiver or inbox to work on.

The model of the settings is slow to import, so it is left alone where nothing is set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigurationError

PREFIX = "WEBHOOK_RECEIVER_"
_TABLES = ("webhook-receiver", "webhook_receiver")  # the second is a mistake, which the model tells
"""Our table below `tool`, in `pyproject.toml`."""

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "serve": (
        *("host", "port", "path", "uds", "fd", "workers", "http", "max_connections", "root_path"),
        *("ssl_certfile", "ssl_keyfile", "ssl_keyfile_password"),
        *("inspector", "inspector_passwords", "inspector_writable", "metrics_port", "metrics_host", "log_format"),
    ),
    "worker": ("concurrency", "health_host", "health_port", "metrics_port", "metrics_host", "log_format"),
    "check": ("ignore",),
}
"""The options of each command that are settings, by the names of both."""
FINDS = "check"
"""The command that finds what is wrong with the settings, and so takes what it needs of them one by one."""

_NO_TARGET = (
    "name your receiver, as quickstart:hooks; or say it once and for all, in pyproject.toml:  [tool.webhook-receiver] "
    f'app = "quickstart:hooks"  or in {PREFIX}APP'
)


def is_given() -> bool:
    """Return whether anything may be set."""
    if any(name.upper().startswith(PREFIX) for name in os.environ):
        return True
    try:
        text = Path("pyproject.toml").read_text(encoding="utf-8")
        if not any(each in text for each in _TABLES):
            return False
        import tomllib

        return not tomllib.loads(text).get("tool", {}).keys().isdisjoint(_TABLES)
    except OSError:
        return False
    except (ValueError, AttributeError):  # which the model tells
        return True


def settings() -> Any:
    """Return the settings.

    Raises:
        typer.BadParameter: one is not valid.
    """
    from ..settings import Settings

    try:
        return Settings()
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None


def defaults(command: str) -> dict[str, Any]:
    """Return the defaults that the settings give to the options of a command, by their names.

    Raises:
        typer.BadParameter: a setting is not valid, and the command does not find that itself.
    """
    if command not in OPTIONS or not is_given():
        return {}
    if command == FINDS:
        from ..settings import alone

        return {name: value for name in OPTIONS[command] if (value := alone(name)) is not None}
    found = settings()
    values = {name: getattr(found, name) for name in OPTIONS[command] if name in found.model_fields_set}
    return {name: getattr(value, "get_secret_value", lambda value=value: value)() for name, value in values.items()}


def logs_json(command: str, arguments: Sequence[str]) -> bool:
    """Return whether a command is to log JSON, by its arguments or the settings, before either is checked."""
    if "log_format" not in OPTIONS.get(command, ()):
        return False
    pairs = zip(arguments, [*arguments, ""][1:], strict=True)
    given = [f"{name}={value}" if name == "--log-format" else name for name, value in pairs]
    if said := [each.partition("=")[2] for each in given if each.startswith("--log-format=")]:
        return said[-1] == "json"
    if not is_given():
        return False
    from ..settings import alone

    return bool(alone("log_format") == "json")


def checked_target(ctx: typer.Context, target: str) -> str:
    """Return the receiver that a command is given, else that of the settings.

    Raises:
        typer.BadParameter: there is none.
    """
    found = target or app_of_settings(ctx.info_name)
    if not found:
        raise typer.BadParameter(_NO_TARGET)
    return str(found)


def app_of_settings(command: str | None = None) -> str | None:
    """Return the receiver that the settings name for a command; None if they name none.

    Raises:
        typer.BadParameter: a setting is not valid, and the command does not find that itself.
    """
    if not is_given():
        return None
    if command == FINDS:
        from ..settings import alone

        if app := alone("app"):
            return str(app)
    app = settings().app
    return None if app is None else str(app)


def where() -> str | None:
    """Return the inbox that the settings name, else the receiver, for commands on an inbox; None if they name none."""
    if not is_given():
        return None
    found = settings()
    named: str | None = found.inbox or found.app
    return named


Target = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:HOOKS",
        callback=checked_target,
        show_default=False,
        help="Your receiver, as quickstart:hooks; else the setting app.",
    ),
]
