"""Serving the simulator for a command, and printing its attempts to deliver."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Any

import typer
import uvicorn
from pydantic import ValidationError

from ..signatures import Secret
from ..simulator import ProviderSimulator, Simulator, provider_app, simulator_app
from ..simulator.providers.base import KEY
from ..simulator.store import Outgoing, SendAttempt
from ..simulator.urls import without_secret
from ..simulator.webhooks_api import GivenWebhook, put
from . import output
from .addresses import base_url
from .browsers import NoStrangersPages


class _Server(uvicorn.Server):
    """A server that prints its address only once it listens: from then on Ctrl-C ends it."""

    introduce: Callable[[], None]
    close: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.introduce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self.close()  # now: uvicorn goes on to raise the signal again, by which SIGTERM ends the process


def serve(simulated: Simulator | ProviderSimulator, listener: socket.socket, *, as_json: bool) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    app = simulator_app(simulated) if isinstance(simulated, Simulator) else provider_app(simulated)
    guarded = NoStrangersPages(app, loopback=ip_address(listener.getsockname()[0]).is_loopback)
    config = uvicorn.Config(guarded, lifespan="on", log_level="warning", access_log=False, ws="none")
    server = _Server(config)
    introduce = partial(_introduce, simulated) if isinstance(simulated, Simulator) else partial(_present, simulated)
    server.introduce = partial(introduce, base_url(*listener.getsockname()[:2]), as_json=as_json)
    server.close = simulated.close
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # that is how it is meant to end; uvicorn has stopped everything before it raises this
    finally:
        simulated.close()


def deliver_to(simulated: Simulator, url: str, secret: Secret | None) -> None:
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


def _present(simulated: ProviderSimulator, url: str, *, as_json: bool) -> None:
    provider, webhook = simulated.provider, simulated.api.webhook
    if as_json:
        output.say_json({"url": url, "provider": provider, "key": KEY})
        return
    output.say(f"the simulator of {provider} is at {url}, its key is {KEY}", "bold")
    if webhook is not None:
        output.say(f"orders that name no URL are told to {output.printable(without_secret(webhook))}")
    output.say("order something:")
    output.say(f"{output.program()} order create --simulator {url}", "cyan")


def show(outgoing: Outgoing, made: SendAttempt) -> None:
    """Print an attempt, its response and when the next one follows, in a line."""
    about = outgoing.order_id or ("a test" if outgoing.test else "")
    response = made.reason if made.status is None else f"{made.status} {made.reason}".rstrip()
    then = {"delivered": "", "": f", again in {(outgoing.due or 0) - time.time():.0f} s"}.get(outgoing.ended)
    line = (
        f"{time.strftime('%H:%M:%S', time.localtime(made.at))} {outgoing.event} {about} to {without_secret(made.url)}: "
        f"{response} in {made.seconds * 1000:.1f} ms, attempt {made.number}"
    )
    output.say(output.printable(line + (then if then is not None else f", {outgoing.ended}")), _style(outgoing))


def _style(outgoing: Outgoing) -> str:
    return {"delivered": "green", "": "yellow"}.get(outgoing.ended, "red")


def show_json(outgoing: Outgoing, made: SendAttempt) -> None:
    """Print an attempt as JSON, without what is long."""
    document: dict[str, Any] = outgoing.as_json() | made.as_json() | {"url": without_secret(made.url)}
    for long in ("body", "headers", "attempts", "faults"):
        document.pop(long)
    output.say_json(document | {"id": outgoing.id, "number": outgoing.number, "attempt": made.number})
