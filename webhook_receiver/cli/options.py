"""What the texts of a command line mean; whatever cannot be meant is refused with a sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

import httpx
from typer import BadParameter

from ..errors import ConfigurationError
from ..sender.deliveries import Document, put
from ..signatures import Scheme, Secret, UP42Signature


def checked_url(url: str) -> str:
    """Return `url` if it is one that can be posted to."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise BadParameter(f"{url!r} is no URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadParameter(f"{url!r} is not of the form http://host/path")
    return url


def scheme(secret: str | None, secret_file: Path | None) -> Scheme | None:
    """Return how to sign; None without a secret."""
    try:
        if secret_file is not None:
            return UP42Signature(Secret.from_file(secret_file))
        return None if secret is None else UP42Signature(secret)
    except ConfigurationError as error:
        raise BadParameter(str(error), param_hint="--secret") from None


def read(file: str) -> bytes:
    """Return the bytes of a file, or of the standard input for "-"."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadParameter(f"cannot read {file}: {error.strerror}", param_hint="--data") from None


def parsed(body: bytes) -> Document:
    """Return the JSON object that `body` is, for `--set` to change."""
    try:
        document: object = json.loads(body)
    except ValueError as error:
        raise BadParameter(f"--set needs JSON in --data, and that is none: {error}", param_hint="--set") from None
    if not isinstance(document, dict):
        raise BadParameter("--set needs a JSON object in --data", param_hint="--set")
    return cast("dict[str, Any]", document)


def changed(document: Document, changes: list[str]) -> Document:
    """Return `document` with each `body.key=value` put into it; a value is JSON, else text."""
    for change in changes:
        path, assigned, text = change.partition("=")
        if not assigned:
            raise BadParameter(f"{change!r} is not of the form body.key=value", param_hint="--set")
        try:
            value: object = json.loads(text)
        except ValueError:
            value = text
        try:
            put(document, path, value)
        except ValueError as error:
            raise BadParameter(str(error), param_hint="--set") from None
    return document
