"""`sender`: the local test server that plays UP42, and a line for each attempt that it makes to deliver."""

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


def sender(
    host: Annotated[
        str, typer.Option(help="The address to listen on; its control API asks for no token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")] = 8042,
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep everything in this file.")] = None,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", callback=options.checked_url_or_none, help="Deliver orders to it.")
    ] = None,
    secret: Annotated[
        str | None, typer.Option(envvar=options.SECRET_VARIABLE, help="The secret of --webhook; else unsigned.")
    ] = None,
    secret_file: Annotated[Path | None, typer.Option(help="Read the secret of --webhook from this file.")] = None,
    retry: Annotated[str, typer.Option(help="The waits before each further attempt.")] = "1s,5s,30s",
    timeout: Annotated[str, typer.Option(help="How long a receiver may take to answer.")] = "10s",
    every_status: Annotated[bool, typer.Option("--every-status", help="Tell each status, not only the last.")] = False,
    user: Annotated[str | None, typer.Option(help="Who gets a token; anybody if left out.")] = None,
    password: Annotated[str | None, typer.Option(help="With what; anything will do if left out.")] = None,
    expires_in: Annotated[str, typer.Option(help="How long a token is valid.")] = "5m",
    as_json: Json = False,
) -> None:
    """Play UP42: its API for webhooks, orders and assets, and real deliveries; Ctrl-C ends it."""
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
        played = Simulator(chosen, state=state, on_attempt=shown)
        if webhook is not None:
            _deliver_to(played, webhook, options.secret(secret, secret_file))
    except ConfigurationError as error:
        raise fail(str(error)) from None
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise typer.BadParameter(f"cannot listen on {host}:{port}: {error.strerror}", param_hint="--port") from None
    with listener:
        _serve(played, listener, as_json=as_json)


class _Server(uvicorn.Server):
    """Says where it is only once it is there: from then on Ctrl-C ends it, whatever it is just doing."""

    introduce: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.introduce()


def _serve(played: Simulator, listener: socket.socket, *, as_json: bool) -> None:
    """Serve until Ctrl-C, or whatever else ends a process in an orderly way."""
    config = uvicorn.Config(simulator_app(played), lifespan="on", log_level="warning", access_log=False, ws="none")
    server = _Server(config)
    server.introduce = partial(_introduce, played, _address(listener), as_json=as_json)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # that is how it is meant to end; uvicorn has stopped everything before it raises this
    finally:
        played.close()


def _deliver_to(played: Simulator, url: str, secret: Secret | None) -> None:
    """Have orders told to a URL; a webhook that the state has for it already is brought up to date."""
    try:
        given = GivenWebhook(name="command line", url=url, events=("order.status",), secret=secret, active=True)
    except ValidationError as error:
        said = error.errors(include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise typer.BadParameter(said, param_hint="--webhook") from None
    put(played, given, next((each for each in played.state.webhooks if each.url == url), None))


def _introduce(played: Simulator, url: str, *, as_json: bool) -> None:
    user = played.options.user or "anybody"
    workspace = played.options.workspace_id
    if as_json:
        output.say_json({"url": url, "workspaceId": workspace, "webhooks": len(played.state.webhooks)})
        return
    output.say(f"the sender is at {url}, its workspace is {workspace}", "bold")
    for webhook in played.state.webhooks:
        signs = "signed" if webhook.secret else "unsigned"
        output.say(f"delivers {', '.join(webhook.events)}, {signs}, to {output.printable(webhook.url)}")
    output.say("for its clients:")
    output.say(f"export UP42_URL={url}")
    output.say(f"export UP42_USERNAME={output.printable(user)}")
    output.say(f"export UP42_PASSWORD={'anything' if played.options.password is None else '  # as given'}")


def _show(outgoing: Outgoing, made: SendAttempt) -> None:
    """Say in a line what came of an attempt, and what is next."""
    about = outgoing.order_id or ("a test" if outgoing.test else "")
    answer = made.reason if made.status is None else f"{made.status} {made.reason}".rstrip()
    then = {"delivered": "", "": f", again in {(outgoing.due or 0) - time.time():.0f} s"}.get(outgoing.ended)
    line = (
        f"{time.strftime('%H:%M:%S', time.localtime(made.at))} {outgoing.event} {about} to {made.url}: {answer} "
        f"in {made.seconds * 1000:.1f} ms, attempt {made.number}"
    )
    output.say(output.printable(line + (then if then is not None else f", {outgoing.ended}")), _style(outgoing, made))


def _style(outgoing: Outgoing, made: SendAttempt) -> str:
    return "green" if made.ok else "yellow" if not outgoing.ended else "red"


def _show_json(outgoing: Outgoing, made: SendAttempt) -> None:
    document: dict[str, Any] = outgoing.as_json() | made.as_json()
    for long in ("body", "headers", "attempts", "mischief"):
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
