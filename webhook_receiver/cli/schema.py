"""`schema`: print what receivers take, as a document of AsyncAPI or OpenAPI."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from . import output
from .defaults import Target
from .options import Json


def schema(
    target: Target = "",
    kind: Annotated[
        Literal["asyncapi", "openapi"],
        typer.Option("--format", metavar="asyncapi|openapi", help="AsyncAPI 3.0, or the webhooks of OpenAPI 3.1."),
    ] = "asyncapi",
    title: Annotated[str | None, typer.Option(help="The title; the receivers' names by default.")] = None,
    api_version: Annotated[str, typer.Option(metavar="VERSION", help="The version of your app.")] = "1",
    as_json: Json = False,
) -> None:
    """Print what a receiver takes, as AsyncAPI or OpenAPI.

    Of an app, main:app, all of its receivers, with their paths. The document is JSON, on one line with --json.
    """
    from ..receiver import WebhookReceiver
    from ..schema.asyncapi import asyncapi
    from ..schema.openapi import openapi
    from .app_loader import load_app, no_receiver_in
    from .mounted import Mounted, all_in

    output.keep_stdout()  # what the module prints is no part of the document
    app = load_app(target)
    found = [Mounted(app, "")] if isinstance(app, WebhookReceiver) else all_in(app)
    if not found:
        raise no_receiver_in(target)
    if kind == "asyncapi":
        document = asyncapi([(hooks, path or None) for hooks, path in found], title=title, version=api_version)
    else:
        document = openapi([(hooks, hooks.runtime.keeps) for hooks, _ in found], title=title, version=api_version)
    output.say_json(document, indent=None if as_json else 2)
