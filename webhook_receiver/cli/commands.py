"""The commands and their options; what they do is in the modules beside this one."""

from __future__ import annotations

import asyncio
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from ..delivery import RequestHead
from ..errors import ConfigurationError, InboxError
from ..simulator import payloads
from . import capture as capturing
from . import demo as demos
from . import dev_processes as loops
from . import explain as explaining
from . import options, output
from . import send as sending
from . import serve as serving
from .app_loader import load
from .backfill import backfill
from .dev import dev
from .inbox import inbox as inbox_commands
from .inbox_option import fail
from .order import mischief
from .order import order as order_commands
from .simulator import sender
from .webhooks import webhooks as webhooks_commands
from .worker import worker

app = typer.Typer(
    help="Receive webhooks: verified, parsed, routed to your handlers.",
    no_args_is_help=True,
    rich_markup_mode="rich" if sys.stderr.isatty() else None,  # no boxes in a pipe
    pretty_exceptions_show_locals=False,  # they may hold a secret
)

app.command()(backfill)
app.add_typer(webhooks_commands, name="webhooks")
app.add_typer(inbox_commands, name="inbox")
app.add_typer(order_commands, name="order")

Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one document a line.")]


def _version(wanted: bool) -> None:
    if wanted:
        output.say(f"webhook-receiver {metadata.version('webhook-receiver')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Receive webhooks: verified, parsed, routed to your handlers."""


@app.command()
def demo(
    port: Port = 0,
    keep_running: Annotated[bool, typer.Option("--keep-running", help="Go on listening afterwards.")] = False,
    as_json: Json = False,
) -> None:
    """Live the local loop by itself: a receiver, a sender that delivers to it, and what can go wrong.

    Ends with 0 only if everything was answered and handled as it should be, and with 130 if it was interrupted.
    """
    try:
        port = loops.free_port(port)
    except OSError as error:
        raise typer.BadParameter(f"cannot listen on {port}: {error.strerror}", param_hint="--port") from None
    outcomes: list[demos.Outcome] = []
    try:
        asyncio.run(demos.run(port, outcomes, keep_running=keep_running, as_json=as_json))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(130) from None
    raise typer.Exit(0 if outcomes and all(outcome.right for outcome in outcomes) else 1)


@app.command()
def serve(
    target: Annotated[str, typer.Argument(metavar="MODULE:HOOKS", help="Your receiver, as quickstart:hooks.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Port = 8000,
    path: Annotated[str, typer.Option(callback=options.checked_path, help="Where senders post to.")] = "/webhooks",
    uds: Annotated[str | None, typer.Option(help="Listen on this Unix socket instead.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many processes serve.")] = 1,
    reload: Annotated[bool, typer.Option("--reload", help="Start anew when a file changes.")] = False,
    root_path: Annotated[str, typer.Option(help="The prefix that a proxy in front strips.")] = "",
    ssl_certfile: Annotated[Path | None, typer.Option(exists=True, help="Serve TLS with this certificate.")] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option(exists=True, help="The certificate's key.")] = None,
    ssl_keyfile_password: Annotated[str | None, typer.Option(envvar="SSL_KEY_PASSWORD", help="Its password.")] = None,
) -> None:
    """Serve a receiver with uvicorn; GET /healthz beside it tells how it is: 200, or 503 if nothing can be kept."""
    if reload and workers > 1:
        raise typer.BadParameter("--reload works with one process only", param_hint="--workers")
    options.checked_certificate(ssl_certfile, ssl_keyfile, ssl_keyfile_password)
    hooks = load(target)  # here too, so that a mistake is told at once and in a sentence
    try:
        asyncio.run(serving.try_inbox(hooks))
    except (ConfigurationError, InboxError) as error:
        raise fail(f"{target} cannot start: {error}") from None
    scheme = "https" if ssl_certfile else "http"
    address = f"[{host}]" if ":" in host else host
    at = f"at {scheme}://{address}:{port}{path}" if port else f"at {path}, on a free port"
    where = f"on the socket {uds} at {path}" if uds else at
    names = ", ".join(handler.name for handler in hooks.handlers) or "none yet"
    output.say(f"{target} receives {where}; handlers: {names}", "bold")
    serving.run(
        target,
        path,
        host=host,
        port=port,
        uds=uds,
        workers=workers,
        reload=reload,
        root_path=root_path,
        ssl_certfile=ssl_certfile,
        ssl_keyfile=ssl_keyfile,
        ssl_keyfile_password=ssl_keyfile_password,
    )


@app.command()
def send(
    url: Annotated[str, typer.Argument(callback=options.checked_url, help="As http://127.0.0.1:8000/webhooks.")],
    event: Annotated[str | None, typer.Option(help="The event's name; order.status if left out.")] = None,
    status: Annotated[str | None, typer.Option(help="body.status; FULFILLED if left out.")] = None,
    order_id: Annotated[str | None, typer.Option(help="body.orderId; a new one each time if left out.")] = None,
    secret: Annotated[
        str | None, typer.Option(envvar=options.SECRET_VARIABLE, help="Sign with it; else unsigned.")
    ] = None,
    secret_file: Annotated[Path | None, typer.Option(help="Sign with the secret in this file.")] = None,
    data: Annotated[str | None, typer.Option(metavar="FILE", help="Send its bytes instead; - is stdin.")] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As body.order.id=7; JSON, else text.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many to send.")] = 1,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="How many at once.")] = 1,
    forge: Annotated[bool, typer.Option("--forge", help="Sign with a secret the receiver cannot have.")] = False,
    stale: Annotated[bool, typer.Option("--stale", help="Sign as of an hour ago.")] = False,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait for an answer.")] = 30,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not check the TLS certificate.")] = False,
    as_json: Json = False,
) -> None:
    """Deliver a notification as the sender would, or many; ends with 1 if any was not answered 2xx."""
    scheme = options.scheme(secret, secret_file)
    if data is not None and (event or status or order_id):
        raise typer.BadParameter(
            "a file has its own event, status and order id; change them with --set", param_hint="--data"
        )
    given = None if data is None else options.read(data)
    if given is not None and change:
        given = payloads.dump(options.changed(options.parsed(given), change))

    def make() -> tuple[RequestHead, bytes]:
        now = time.time()
        body = given
        if body is None:
            document = payloads.document(event or "order.status", status or "FULFILLED", order_id, now=now)
            body = payloads.dump(options.changed(document, change or []))
        signed_at = now - 3600 if stale else now
        if forge:
            return payloads.forged(body, now=signed_at, url=url), body
        return (payloads.signed(body, scheme, now=signed_at, url=url) if scheme else payloads.unsigned(url)), body

    make()  # a mistake in the options is told before anything is sent
    summary = sending.Summary()
    client = sending.client(url, timeout, concurrency, check_tls=not insecure)
    try:
        asyncio.run(sending.send(summary, client, url, make, count=count, concurrency=concurrency))
        code = 1 if summary.refused else 0
    except KeyboardInterrupt:
        code = 130
    output.say_json(summary.as_json()) if as_json else sending.show(summary, genuine=not (forge or stale))
    raise typer.Exit(code)


app.command()(worker)
app.command()(dev)
app.command()(sender)
app.command()(mischief)
app.command()(explaining.explain)
app.command()(capturing.capture)
app.command("to-test")(capturing.to_test)
