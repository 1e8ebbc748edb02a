"""`simulator`: run the simulator of UP42, and print a line for each attempt to deliver."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from pydantic import SecretStr, ValidationError

from ..errors import ConfigurationError
from ..options import seconds
from ..signatures import Secret
from ..simulator import Simulator, SimulatorOptions, simulator_app
from ..simulator.store import Outgoing, SendAttempt
from ..simulator.webhooks_api import GivenWebhook, put
from . import options, output
from .inbox_option import Json, fail


def simulator(
    host: Annotated[str, typer.Option(help="The address to listen on; its control API needs no token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")] = 8042,
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="Store everything in this file.")] = None,
    webhook: Annotated[
        str | None,
        typer.Option(metavar="URL", callback=options.checked_url_or_none, help="Create a webhook for this URL."),
    ] = None,
    secret: Annotated[
        str | None, typer.Option(envvar=options.SECRET_VARIABLE, help="The webhook's secret; unsigned if left out.")
    ] = None,
    secret_file: Annotated[Path | None, typer.Option(help="A file with the webhook's secret.")] = None,
    retry: Annotated[str, typer.Option(help="The waits before further attempts.")] = "1s,5s,30s",
    timeout: Annotated[str, typer.Option(help="The time-out of an attempt.")] = "10s",
    every_status: Annotated[
        bool, typer.Option("--every-status", help="Deliver every status, not only final ones.")
    ] = False,
    user: Annotated[str | None, typer.Option(help="The user name that gets a token; any by default.")] = None,
    password: Annotated[str | None, typer.Option(help="The user's password; any by default.")] = None,
    expires_in: Annotated[str, typer.Option(help="The lifetime of a token.")] = "5m",
    as_json: Json = False,
) -> None:
    """Run a simulator of UP42.

    It has the API for webhooks, orders and assets, and makes real deliveries. Ctrl-C ends it.
    """
    waits = [_span(each, "--retry") for each in retry.split(",") if each.strip()]
    try:
        chosen = SimulatorOptions(
            retry=tuple(waits),
            timeout=_span(timeout, "--timeout"),
            every_status=every_status,
            user=user,
            password=None if password is None else SecretStr(password),
            expires_in=_span(expires_in, "--expires-in"),
        )
        shown = _show_json if as_json else _show
        simulated = Simulator(chosen, state=state, on_attempt=shown)
        if webhook is not None:
            _deliver_to(simulated, webhook, options.secret(secret, secret_file))
    except ConfigurationError as error:
        raise fail(str(error)) from None
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise typer.BadParameter(f"cannot listen on {host}:{port}: {error.strerror}", param_hint="--port") from None
    with listener:
        _serve(simulated, listener, as_json=as_json)


class _Server(uvicorn.Server):
    """A server that prints its address only once it listens: from then on Ctrl-C ends it."""

    introduce: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.introduce()


def _serve(simulated: Simulator, listener: socket.socket, *, as_json: bool) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    config = uvicorn.Config(simulator_app(simulated), lifespan="on", log_level="warning", access_log=False, ws="none")
    server = _Server(config)
    server.introduce = partial(_introduce, simulated, _address(listener), as_json=as_json)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # that is how it is meant to end; uvicorn has stopped everything before it raises this
    finally:
        simulated.close()


def _deliver_to(simulated: Simulator, url: str, secret: Secret | None) -> None:
    """Create the webhook for a URL, or update the one that the store has for it."""
    try:
        given = GivenWebhook(name="command line", url=url, events=("order.status",), secret=secret, active=True)
    except ValidationError as error:
        said = error.errors(include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise typer.BadParameter(said, param_hint="--webhook") from None
    put(simulated, given, next((each for each in simulated.store.webhooks if each.url == url), None))


def _introduce(simulated: Simulator, url: str, *, as_json: bool) -> None:
    user = simulated.options.user or "anybody"
    workspace = simulated.options.workspace_id
    if as_json:
        output.say_json({"url": url, "workspaceId": workspace, "webhooks": len(simulated.store.webhooks)})
        return
    output.say(f"the simulator is at {url}, its workspace is {workspace}", "bold")
    for webhook in simulated.store.webhooks:
        signs = "signed" if webhook.secret else "unsigned"
        output.say(f"delivers {', '.join(webhook.events)}, {signs}, to {output.printable(webhook.url)}")
    output.say("for its clients:")
    output.say(f"export UP42_URL={url}")
    output.say(f"export UP42_USERNAME={output.printable(user)}")
    output.say(f"export UP42_PASSWORD={'anything' if simulated.options.password is None else '  # as given'}")


def _show(outgoing: Outgoing, made: SendAttempt) -> None:
    """Print an attempt, its response and when the next one follows, in a line."""
    about = outgoing.order_id or ("a test" if outgoing.test else "")
    response = made.reason if made.status is None else f"{made.status} {made.reason}".rstrip()
    then = {"delivered": "", "": f", again in {(outgoing.due or 0) - time.time():.0f} s"}.get(outgoing.ended)
    line = (
        f"{time.strftime('%H:%M:%S', time.localtime(made.at))} {outgoing.event} {about} to {made.url}: {response} "
        f"in {made.seconds * 1000:.1f} ms, attempt {made.number}"
    )
    output.say(output.printable(line + (then if then is not None else f", {outgoing.ended}")), _style(outgoing, made))


def _style(outgoing: Outgoing, made: SendAttempt) -> str:
    return "green" if made.ok else "yellow" if not outgoing.ended else "red"


def _show_json(outgoing: Outgoing, made: SendAttempt) -> None:
    document: dict[str, Any] = outgoing.as_json() | made.as_json()
    for long in ("body", "headers", "attempts", "faults"):
        document.pop(long)
    output.say_json(document | {"id": outgoing.id, "number": outgoing.number, "attempt": made.number})


def _span(text: str, option: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _address(listener: socket.socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
