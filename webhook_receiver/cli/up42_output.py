"""Calls of UP42's API for commands, and the output of what it returns."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import typer

from ..errors import ApiError, ConfigurationError
from ..senders.up42.client import WebhooksClient
from ..senders.up42.models import Region, Webhook, WebhookTests
from ..signatures import Secret
from . import output
from .output import fail

R = TypeVar("R")

MASK = "**********"
UNSIGNED = "none: its deliveries are unsigned"


def run(
    work: Callable[[WebhooksClient], Awaitable[R]],
    at: str | None = None,
    region: Region | None = None,
    workspace: str | None = None,
) -> R:
    """Run `work` with a client of the API, and return its result; an error ends the command with a sentence and 1."""

    async def connected() -> R:
        async with WebhooksClient(url=at, region=region, workspace_id=workspace) as client:
            return await work(client)

    try:
        return asyncio.run(connected())
    except (ApiError, ConfigurationError) as error:
        raise fail(output.printable(str(error))) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def id_of(client: WebhooksClient, text: str) -> str:
    """Return the id of the webhook that a text names: by its id, its name, or the beginning of its id.

    A text that names none is returned as it is, so that the API says so.

    Raises:
        typer.BadParameter: the text names several.
    """
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text, re.IGNORECASE):
        return text  # a whole id, which is not looked for
    known = await client.list()
    named = [each for each in known if each.id == text] or [each for each in known if each.name == text]
    named = named or [each for each in known if text and each.id.startswith(text)]
    if len(named) > 1:
        which = ", ".join(f"{each.id} ({each.name})" for each in named)
        raise typer.BadParameter(output.printable(f"{text!r} names several webhooks: {which}"), param_hint="ID")
    return named[0].id if named else text


def new_secret(file: Path | None) -> Secret:
    """Return a new secret, after writing it to a new file that only this user can read, if one is given.

    Raises:
        typer.BadParameter: the file exists, or cannot be written.
    """
    made = secrets.token_urlsafe(32)
    if file is None:
        return Secret(made)
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as written:
            written.write(f"{made}\n")
    except OSError as error:
        why = "is there already, and may be in use" if isinstance(error, FileExistsError) else error.strerror
        raise typer.BadParameter(f"{file}: {why}", param_hint="--secret-file") from None
    return Secret(made)


def document(webhook: Webhook, *, secret: bool) -> dict[str, Any]:
    """Return a webhook as JSON can hold it, with its secret masked unless `secret`."""
    found = webhook.as_json()
    return found if secret or webhook.secret is None else found | {"secret": MASK}


def show(webhook: Webhook, *, secret: bool) -> None:
    """Print all the fields of a webhook."""
    known = document(webhook, secret=secret)
    if webhook.secret is None:
        known["secret"] = UNSIGNED
    known["events"] = ", ".join(webhook.events)
    first = {name: known.pop(name) for name in ("id", "name", "url", "events", "active", "secret")}
    output.table(
        ("field", "value"), [(output.printable(name), _text(value)) for name, value in (first | known).items()]
    )


def _text(value: object) -> str:
    return output.printable(value if isinstance(value, str) else json.dumps(value))


def show_all(webhooks: tuple[Webhook, ...], *, secret: bool) -> None:
    """Print a table of webhooks; on a terminal that is too narrow for it, some lines for each."""
    headings = ("id", "name", "url", "events", "active", "secret")
    rows = [tuple(map(output.printable, _row(each, secret))) for each in webhooks]
    widest = [max(cells, key=len) for cells in zip(headings, *rows, strict=True)]
    if not output.is_terminal() or output.fits(widest):
        output.table(headings, rows)
        return
    for id, *cells in rows:
        output.say(id, "bold")
        for heading, cell in zip(headings[1:], cells, strict=True):
            output.say(f"  {heading:8}{cell}")


def _row(webhook: Webhook, secret: bool) -> tuple[str, ...]:
    active = "active" if webhook.active else "inactive"
    signed = "unsigned" if webhook.secret is None else webhook.secret.get_secret_value() if secret else "signed"
    return webhook.id, webhook.name, webhook.url, ", ".join(webhook.events), active, signed


def show_tests(tests: WebhookTests) -> None:
    """Print the results of testing a webhook."""
    rows = [
        (
            output.printable(test.event),
            "ok" if test.succeeded else "failed",
            "no response" if test.status is None else str(test.status),
            output.printable(test.error or ""),
        )
        for test in tests.tests
    ]
    if rows:
        output.table(("event", "result", "response", "reason"), rows)
    good = succeeded(tests)
    output.say(f"{tests.tests_succeeded} of {tests.tests_run} succeeded", "green" if good else "red")
    if not tests.tests_run:
        output.say("none was run: has it events, and is it active?", "yellow")
    elif not good and not rows:
        output.say("the sender does not say why: look into the receiver's log and its inbox", "yellow")


def succeeded(tests: WebhookTests) -> bool:
    """Whether a test was run, and none failed."""
    return 0 < tests.tests_run <= tests.tests_succeeded and all(test.succeeded for test in tests.tests)


def tell(webhook: Webhook, done: str, *, as_json: bool, show_secret: bool) -> None:
    """Print a webhook, and what was `done` to it."""
    if as_json:
        output.say_json(document(webhook, secret=show_secret))
        return
    if done:
        output.say(done, "green")
    show(webhook, secret=show_secret)
