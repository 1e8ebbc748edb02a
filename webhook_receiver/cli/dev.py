"""`dev`: run an app with receivers and the simulator together, and print what becomes of each delivery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .defaults import Target
from .options import Json, Port


def dev(
    module: Target = "",
    port: Port = 8000,
    simulator_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The simulator's port; 0 takes a free one.")
    ] = 8042,
    inspector_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The inspector's port; 0 takes a free one.")
    ] = 8078,
    path: Annotated[
        str, typer.Option(callback=options.checked_path, help="The path of a receiver that is no part of an app.")
    ] = "/webhooks",
    secret: Annotated[
        str | None, typer.Option(envvar=options.SECRET_VARIABLES, help="The receiver's secret; try-me by default.")
    ] = None,
    secret_file: Annotated[Path | None, typer.Option(help="A file with the receiver's secret.")] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Send unsigned deliveries.")] = False,
    retry: Annotated[str, typer.Option(help="The waits before further attempts to deliver.")] = "1s,5s,30s",
    reload: Annotated[bool, typer.Option(help="Restart the receiver when a file changes.")] = True,
    as_json: Json = False,
) -> None:
    """Run your app and a simulator that delivers to it.

    The first line is the address of the inspector: deliveries, the simulator's orders and webhooks, and rejected
    requests, in the browser. Each delivery, its response and the results of its handlers are printed, too. Deliveries
    are kept in a file of their own, such as hooks.dev.db, apart from those of production. The environment of the app
    has the simulator's address in UP42_*, so that nothing asks UP42 itself, and the secret in WEBHOOK_SECRET. Ctrl-C
    ends all once handlers that run are done, and a second one at once.
    """
    from . import dev_loop

    dev_loop.run(
        module,
        port=port,
        simulator_port=simulator_port,
        inspector_port=inspector_port,
        path=path,
        secret=secret,
        secret_file=secret_file,
        unsigned=unsigned,
        retry=[options.span_of(each, "--retry") for each in retry.split(",") if each.strip()],
        reload=reload,
        as_json=as_json,
    )
