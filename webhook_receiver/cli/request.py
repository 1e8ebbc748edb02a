"""Reading a saved request, and what it is verified with: secrets, sender and time."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import typer

from ..capture.curl import from_curl, is_curl
from ..capture.request_files import SavedRequest, from_har, from_http, parse_json
from ..errors import ConfigurationError
from ..senders.preset import Preset
from ..senders.registry import presets, recognize
from ..signatures import Secret
from .options import SECRET_VARIABLE, moment

LARGEST = 64 * 1024 * 1024
"""The largest file that is read as a request, in bytes."""


def read_request(text: str, entry: int | None) -> SavedRequest:
    """Return the request that REQUEST names.

    Args:
        text: a file's name, "-" for standard input, or a curl command.
        entry: the number of a HAR's entry, from 1; negative ones count from the end.

    Raises:
        typer.BadParameter: the file cannot be read, or holds no request.
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
    """Return the secrets given as texts or in files, or else the one in the environment; there may be none.

    Raises:
        typer.BadParameter: a secret is empty, or its file cannot be read.
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
    """Return the Unix time to verify at: now for None, and None for "signed", the time that the signature states.

    Raises:
        typer.BadParameter: the text is not a time.
    """
    if text == "signed":
        return None
    if text is not None and re.fullmatch(r"\d{9,11}(\.\d{1,6})?", text):
        return float(text)
    given = moment(text)
    return time.time() if given is None else given
