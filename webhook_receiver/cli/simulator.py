"""`simulator`: run the simulator of UP42 or of another provider, and print a line for each attempt to deliver."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from . import options, output
from .options import Json, Port, span_of
from .output import fail

NEVER = "never"


def simulator(
    provider: Annotated[
        Literal["up42", "copernicus", "ogc", "planet", "skyfi"],
        typer.Option(
            "--as",
            metavar="up42|copernicus|ogc|planet|skyfi",
            help="The provider to play; ogc is a server of OGC API Processes.",
        ),
    ] = "up42",
    host: Annotated[str, typer.Option(help="The address to listen on; its control API needs no token.")] = "127.0.0.1",
    port: Port = 8042,
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Store everything in this file. UP42's alone.")
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            callback=options.checked_url_or_none,
            help="Create a webhook for this URL. Of others than UP42: for orders that name none.",
        ),
    ] = None,
    secret: Annotated[
        str | None, typer.Option(envvar=options.SECRET_VARIABLES, help="The webhook's secret; unsigned if left out.")
    ] = None,
    secret_file: Annotated[Path | None, typer.Option(help="A file with the webhook's secret.")] = None,
    retry: Annotated[
        str | None, typer.Option(help="The waits before further attempts, such as 1s,5s,30s; else the provider's own.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(help="The time-out of an attempt, such as 10s; else the provider's own.")
    ] = None,
    pace: Annotated[
        str | None,
        typer.Option(help="The time between two statuses of an order; never: by `order walk`. Of others than UP42."),
    ] = None,
    every_status: Annotated[
        bool, typer.Option("--every-status", help="Deliver every status, not only final ones. UP42's alone.")
    ] = False,
    user: Annotated[str | None, typer.Option(help="The user name that gets a token; any by default.")] = None,
    password: Annotated[str | None, typer.Option(help="The user's password; any by default.")] = None,
    expires_in: Annotated[str, typer.Option(help="The lifetime of a token.")] = "5m",
    as_json: Json = False,
) -> None:
    """Run a simulator of UP42 or of another provider of images.

    It has the provider's API as far as sources ask it, takes orders, and makes real deliveries. `order` and `faults`
    drive it. Ctrl-C ends it.
    """
    import socket
    from dataclasses import replace

    from pydantic import SecretStr

    from ..errors import ConfigurationError
    from ..simulator import ProviderSimulator, Simulator, SimulatorOptions
    from ..simulator.providers.simulator import PROVIDERS
    from . import simulator_server
    from .secret_option import read_secret, typed

    rules: dict[str, Any] = {}
    if retry is not None:
        rules["retry"] = tuple(span_of(each, "--retry") for each in retry.split(",") if each.strip())
    if timeout is not None:
        rules["timeout"] = span_of(timeout, "--timeout")
    shown = simulator_server.show_json if as_json else simulator_server.show
    simulated: Simulator | ProviderSimulator
    try:
        if provider == "up42":
            _check_unused({"--pace": pace}, f"UP42's orders advance by `{output.program()} order walk` alone")
            chosen = SimulatorOptions(
                **rules,
                every_status=every_status,
                user=user,
                password=None if password is None else SecretStr(password),
                expires_in=span_of(expires_in, "--expires-in"),
            )
            simulated = Simulator(chosen, state=state, on_attempt=shown)
            if webhook is not None:
                simulator_server.deliver_to(simulated, webhook, read_secret(secret, secret_file))
        else:
            up42s = {"--state": state, "--every-status": every_status, "--user": user, "--password": password}
            _check_unused(up42s, "only the simulator of UP42 has it")
            unsigned = "it signs nothing: the URL is the proof, by its path or as https://user:password@host"
            _check_unused({"--secret": typed(secret), "--secret-file": secret_file}, unsigned)
            between = None if pace == NEVER else span_of(pace or "1s", "--pace")
            chosen = replace(PROVIDERS[provider].rules, **rules)
            simulated = ProviderSimulator(provider, chosen, pace=between, webhook=webhook, on_attempt=shown)
    except ConfigurationError as error:
        raise fail(str(error)) from None
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise typer.BadParameter(f"cannot listen on {host}:{port}: {error.strerror}", param_hint="--port") from None
    with listener:
        simulator_server.serve(simulated, listener, as_json=as_json)


def _check_unused(options: Mapping[str, object], why: str) -> None:
    """Refuse options that the chosen simulator has no use for."""
    for name, value in options.items():
        if value:
            raise typer.BadParameter(why, param_hint=name)
