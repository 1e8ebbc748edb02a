"""Which request a command is about, and how to verify it: what REQUEST, secrets, a scheme and a time mean."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from ..capture.curl import from_curl, is_curl
from ..capture.request_files import SavedRequest, from_har, from_http, parse_json
from ..errors import ConfigurationError
from ..senders import Preset, presets, recognize
from ..signatures import Secret
from .inbox_option import moment
from .options import SECRET_VARIABLE

LARGEST = 64 * 1024 * 1024
"""Bytes of a file that is read as a request."""

RequestText = Annotated[
    str, typer.Argument(metavar="REQUEST", help="A file of raw HTTP, a HAR, or a curl command; - is stdin.")
]
Entry = Annotated[int | None, typer.Option("--entry", metavar="N", help="The entry of a HAR, from 1; -1 is the last.")]
SecretTexts = Annotated[
    list[str] | None, typer.Option("--secret", help=f"The receiver's; may be repeated. Else {SECRET_VARIABLE} has it.")
]
SecretFiles = Annotated[
    list[Path] | None, typer.Option("--secret-file", help="The secret is in this file; may be repeated.")
]


def _checked_sender(name: str | None) -> str | None:
    if name is not None and name not in presets():
        raise typer.BadParameter(f"{name!r} is none of {', '.join(presets())}")
    return name


SenderName = Annotated[
    str | None,
    typer.Option(
        "--sender",
        callback=_checked_sender,
        help=f"Whose delivery it is: {', '.join(presets())}; else the one whose headers these are.",
    ),
]


def read_request(text: str, entry: int | None) -> SavedRequest:
    """Return the request that REQUEST means.

    Raises:
        typer.BadParameter: it cannot be read, or holds no request.
    """
    try:
        if is_curl(text):
            return from_curl(text)
        raw = _bytes(text)
        if raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
            return from_har(parse_json(raw), entry)
        if entry is not None:
            raise ValueError("only a HAR has entries")
        if is_curl(raw[:200].decode("latin-1")):
            return from_curl(raw.decode("utf-8", "surrogateescape"), None if text == "-" else Path(text).parent)
        return from_http(raw)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="REQUEST") from None


def _bytes(file: str) -> bytes:
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with open(file, "rb") as opened:
                raw = opened.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"cannot read {file}: {why}") from None
    if len(raw) > LARGEST:
        raise ValueError(f"{file} is larger than {LARGEST} bytes")
    if not raw.strip():
        raise ValueError(f"{'the standard input' if file == '-' else file} is empty")
    return raw


def read_secrets(texts: list[str] | None, files: list[Path] | None) -> list[Secret]:
    """Return the secrets that are given, else the one in the environment; there may be none.

    Raises:
        typer.BadParameter: one is empty, or its file cannot be read.
    """
    try:
        given = [*map(Secret, texts or ()), *map(Secret.from_file, files or ())]
        return given or [Secret(each) for each in [os.environ.get(SECRET_VARIABLE)] if each]
    except ConfigurationError as error:
        raise typer.BadParameter(str(error), param_hint="--secret") from None


def chosen_sender(name: str | None, request: SavedRequest) -> Preset:
    """Return the preset of this name, else the one whose headers the request has, else the first, UP42."""
    known = presets()
    named = None if name is None else known.get(name)
    return named or recognize(request.headers) or next(iter(known.values()))


def clock(text: str | None) -> float | None:
    """Return the time to verify at, now if left out; None for "signed", the time that the signature states.

    Raises:
        typer.BadParameter: it is no time.
    """
    if text == "signed":
        return None
    if text is not None and re.fullmatch(r"\d{9,11}(\.\d{1,6})?", text):
        return float(text)
    given = moment(text)
    return time.time() if given is None else given
