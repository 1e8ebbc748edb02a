"""`simulator`: run the simulator of UP42, and print a line for each attempt to deliver."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .options import Json, Port, span_of
from .output import fail


def simulator(
    host: Annotated[str, typer.Option(help="The address to listen on; its control API needs no token.")] = "127.0.0.1",
    port: Port = 8042,
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
    import socket

    from pydantic import SecretStr

    from ..errors import ConfigurationError
    from ..simulator import Simulator, SimulatorOptions
    from . import simulator_server
    from .secret_option import read_secret

    waits = [span_of(each, "--retry") for each in retry.split(",") if each.strip()]
    try:
        chosen = SimulatorOptions(
            retry=tuple(waits),
            timeout=span_of(timeout, "--timeout"),
            every_status=every_status,
            user=user,
            password=None if password is None else SecretStr(password),
            expires_in=span_of(expires_in, "--expires-in"),
        )
        shown = simulator_server.show_json if as_json else simulator_server.show
        simulated = Simulator(chosen, state=state, on_attempt=shown)
        if webhook is not None:
            simulator_server.deliver_to(simulated, webhook, read_secret(secret, secret_file))
    except ConfigurationError as error:
        raise fail(str(error)) from None
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise typer.BadParameter(f"cannot listen on {host}:{port}: {error.strerror}", param_hint="--port") from None
    with listener:
        simulator_server.serve(simulated, listener, as_json=as_json)
