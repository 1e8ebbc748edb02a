"""The command line: its commands and their options. The other modules of this package do the work."""

from __future__ import annotations

import asyncio
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from ..delivery import RequestHead
from ..errors import DISTRIBUTION, ConfigurationError, InboxError
from ..simulator import payloads
from . import demo, dev_processes, options, output, send, serve
from .app_loader import load
from .backfill import backfill
from .capture import capture, to_test
from .dev import dev
from .explain import explain
from .inbox import inbox as inbox_commands
from .inbox_option import fail
from .order import faults
from .order import order as order_commands
from .simulator import simulator
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
        output.say(f"webhook-receiver {metadata.version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Receive webhooks: verified, parsed, routed to your handlers."""


@app.command("demo")
def demo_command(
    port: Port = 0,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Keep receiver and simulator running afterwards.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a demonstration of a receiver and the simulator.

    It shows what becomes of good, forged, repeated and lost deliveries, of handlers that fail, and of a kill. Exits
    with 0 if every response and result was as expected, with 1 if not, and with 130 if interrupted.
    """
    try:
        port = dev_processes.free_port(port)
    except OSError as error:
        raise typer.BadParameter(f"cannot listen on {port}: {error.strerror}", param_hint="--port") from None
    results: list[demo.Result] = []
    try:
        asyncio.run(demo.run(port, results, keep_running=keep_running, as_json=as_json))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(130) from None
    raise typer.Exit(0 if results and all(result.ok for result in results) else 1)


@app.command("serve")
def serve_command(
    target: Annotated[str, typer.Argument(metavar="MODULE:HOOKS", help="Your receiver, as quickstart:hooks.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Port = 8000,
    path: Annotated[
        str, typer.Option(callback=options.checked_path, help="The path that senders post to.")
    ] = "/webhooks",
    uds: Annotated[str | None, typer.Option(help="Listen on this Unix socket instead.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="The number of server processes.")] = 1,
    reload: Annotated[bool, typer.Option("--reload", help="Restart when a file changes.")] = False,
    root_path: Annotated[str, typer.Option(help="The path prefix that a proxy strips.")] = "",
    ssl_certfile: Annotated[
        Path | None, typer.Option(exists=True, help="Serve TLS with the certificate in this file.")
    ] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option(exists=True, help="The file of the certificate's key.")] = None,
    ssl_keyfile_password: Annotated[
        str | None, typer.Option(envvar="SSL_KEY_PASSWORD", help="The key's password.")
    ] = None,
) -> None:
    """Serve a receiver with uvicorn. Its health is at /healthz: 200, or 503 if nothing can be stored."""
    if reload and workers > 1:
        raise typer.BadParameter("--reload works with one process only", param_hint="--workers")
    options.check_certificate(ssl_certfile, ssl_keyfile, ssl_keyfile_password)
    hooks = load(target)  # here too, so that a mistake is reported at once and in a sentence
    try:
        asyncio.run(serve.try_inbox(hooks))
    except (ConfigurationError, InboxError) as error:
        raise fail(f"{target} cannot start: {error}") from None
    scheme = "https" if ssl_certfile else "http"
    address = f"[{host}]" if ":" in host else host
    at = f"at {scheme}://{address}:{port}{path}" if port else f"at {path}, on a free port"
    where = f"on the socket {uds} at {path}" if uds else at
    names = ", ".join(handler.name for handler in hooks.handlers) or "none yet"
    output.say(f"{target} receives {where}; handlers: {names}", "bold")
    serve.run(
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


@app.command("send")
def send_command(
    url: Annotated[
        str,
        typer.Argument(
            callback=options.checked_url, help="The receiver's URL, such as http://127.0.0.1:8000/webhooks."
        ),
    ],
    event: Annotated[str | None, typer.Option(help="The event's name; order.status by default.")] = None,
    status: Annotated[str | None, typer.Option(help="body.status; FULFILLED by default.")] = None,
    order_id: Annotated[str | None, typer.Option(help="body.orderId; a new one each time by default.")] = None,
    secret: Annotated[
        str | None, typer.Option(envvar=options.SECRET_VARIABLE, help="The secret to sign with; unsigned if left out.")
    ] = None,
    secret_file: Annotated[Path | None, typer.Option(help="A file with the secret to sign with.")] = None,
    data: Annotated[str | None, typer.Option(metavar="FILE", help="Send the bytes of this file; - is stdin.")] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a member, such as body.order.id=7; JSON, else text."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="The number of deliveries.")] = 1,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="The number sent at once.")] = 1,
    forge: Annotated[bool, typer.Option("--forge", help="Sign with a wrong secret.")] = False,
    stale: Annotated[bool, typer.Option("--stale", help="Sign with a time an hour ago.")] = False,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait for a response.")] = 30,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not check the TLS certificate.")] = False,
    as_json: Json = False,
) -> None:
    """Deliver one notification or many, as UP42 would. Exits with 1 if a response was not 2xx."""
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

    make()  # a mistake in the options is reported before anything is sent
    summary = send.Summary()
    client = send.client(url, timeout, concurrency, check_tls=not insecure)
    try:
        asyncio.run(send.send(summary, client, url, make, count=count, concurrency=concurrency))
        code = 1 if summary.rejected else 0
    except KeyboardInterrupt:
        code = 130
    output.say_json(summary.as_json()) if as_json else send.show(summary, genuine=not (forge or stale))
    raise typer.Exit(code)


app.command()(worker)
app.command()(dev)
app.command()(simulator)
app.command()(faults)
app.command()(explain)
app.command()(capture)
app.command("to-test")(to_test)
