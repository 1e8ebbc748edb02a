"""The arguments and options of a saved request and its verification: REQUEST, secrets and sender."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import SECRET_VARIABLE, checked_sender, sender_names

RequestText = Annotated[
    str, typer.Argument(metavar="REQUEST", help="A file of raw HTTP or HAR, or a curl command; - is stdin.")
]
Entry = Annotated[
    int | None, typer.Option("--entry", metavar="N", help="The number of the HAR's entry, from 1; -1 is the last.")
]
SecretTexts = Annotated[
    list[str] | None, typer.Option("--secret", help=f"The receiver's secret; may be repeated. Else {SECRET_VARIABLE}.")
]
SecretFiles = Annotated[
    list[Path] | None, typer.Option("--secret-file", help="A file with the secret; may be repeated.")
]


SenderName = Annotated[
    str | None,
    typer.Option(
        "--sender",
        "--as",
        callback=checked_sender,
        autocompletion=sender_names,
        metavar="NAME",
        help="Whose delivery it is, such as github; else the one whose headers these are.",
    ),
]
