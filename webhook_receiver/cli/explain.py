"""`explain`: verify a request step by step, and print why it was rejected and what would make it verify."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Json, checked_url_or_none
from .request_options import Entry, RequestText, SecretFiles, SecretTexts, SenderName


def explain(
    request: RequestText,
    secret: SecretTexts = None,
    secret_file: SecretFiles = None,
    scheme: SenderName = None,
    now: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="The time to verify at: Unix seconds, a date, 2h (ago), or signed."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(callback=checked_url_or_none, help="The URL that the sender posts to, if it is not REQUEST's."),
    ] = None,
    hooks: Annotated[
        str | None,
        typer.Option(metavar="MODULE:HOOKS", help="Your receiver: verify by its own sender, with its own secret."),
    ] = None,
    verify_token: Annotated[
        str | None, typer.Option(help="The token that the sender shows with a challenge, such as Meta's.")
    ] = None,
    entry: Entry = None,
    inbox: Annotated[
        str | None, typer.Option(metavar="WHERE", help="REQUEST is the id of a delivery in this inbox.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Explain why a request was rejected.

    Prints each step of its verification, and the changes to the request that would explain a failure. Exits with 0 if
    the request verifies, with 1 if not.
    """
    from . import explain_report
    from .request import read_request

    if inbox is not None:
        if any(each is not None for each in (secret, secret_file, scheme, now, url, hooks, verify_token, entry)):
            raise typer.BadParameter(
                "a stored delivery is without its signature, and not verified again: give its id alone",
                param_hint="--inbox",
            )
        raise typer.Exit(explain_report.of_delivery(inbox, request, as_json=as_json))
    if hooks is not None and any(each is not None for each in (secret, secret_file, scheme, verify_token)):
        raise typer.BadParameter("a receiver has its own sender and secret", param_hint="--hooks")
    found = read_request(request, entry)
    against = explain_report.against(found, hooks, secret, secret_file, scheme, verify_token)
    raise typer.Exit(explain_report.of_request(found, against, now, url, as_json=as_json))
