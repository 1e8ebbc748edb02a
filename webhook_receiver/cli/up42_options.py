"""Options that the commands on UP42's API share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Address = Annotated[str | None, typer.Option("--api", metavar="URL", help="The API's URL; else UP42_URL.")]
InRegion = Annotated[
    Literal["eu", "sa"] | None,
    typer.Option("--region", metavar="eu|sa", help="UP42's region; else UP42_REGION, else eu."),
]
Workspace = Annotated[
    str | None, typer.Option("--workspace", help="The workspace's id; else UP42_WORKSPACE_ID, else your own.")
]
SecretFile = Annotated[Path | None, typer.Option("--secret-file", help="A file with the secret.")]
ShowSecret = Annotated[bool, typer.Option("--show-secret", help="Print the secret, too.")]
