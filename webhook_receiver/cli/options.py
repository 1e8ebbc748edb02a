"""Reading and checking values of the command line; a wrong one raises typer.BadParameter with a sentence."""

from __future__ import annotations

import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any, cast

import httpx
from starlette.types import Receive, Scope, Send
from typer import BadParameter

from ..asgi import slash_or_not
from ..errors import ConfigurationError
from ..senders.up42.signature import UP42Signature
from ..signatures import Scheme, Secret
from ..simulator.payloads import Document, put

SECRET_VARIABLE = "WEBHOOK_SECRET"  # noqa: S105 - its name


def checked_url(url: str) -> str:
    """Return `url`, checked to be an http or https URL."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise BadParameter(f"{url!r} is not a URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadParameter(f"{url!r} is not of the form http://host/path")
    if not 0 < (parsed.port or 80) < 65536:
        raise BadParameter(f"there is no port {parsed.port}")
    return url


def checked_url_or_none(url: str | None) -> str | None:
    """Return `url`, checked to be an http or https URL, or None."""
    return None if url is None else checked_url(url)


def checked_path(path: str) -> str:
    """Return `path`, checked to be one that a receiver can be served at, besides the health check."""
    try:
        slash_or_not(path, _nothing, name="receiver")
    except (ConfigurationError, AssertionError) as error:
        raise BadParameter(f"{path!r} is not a path to serve at: {error}") from None
    if path.rstrip("/") == "/healthz":
        raise BadParameter("the health check is at /healthz: choose another path")
    return path


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Do nothing: an ASGI app in place of the receiver while its path is checked."""


def check_certificate(certfile: Path | None, keyfile: Path | None, password: str | None) -> None:
    """Check that TLS can be served with a certificate and a key."""
    if certfile is None:
        if keyfile is not None:
            raise BadParameter("a key needs its certificate: --ssl-certfile", param_hint="--ssl-keyfile")
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile, password or "")
    except OSError as error:  # an SSLError is one
        raise BadParameter(f"cannot serve TLS with it: {error}", param_hint="--ssl-certfile") from None


def scheme(given: str | None, file: Path | None) -> Scheme | None:
    """Return the scheme to sign with; None without a secret."""
    found = secret(given, file)
    return None if found is None else UP42Signature(found)


def secret(given: str | None, file: Path | None) -> Secret | None:
    """Return the secret given as text or in a file; None if neither is given."""
    if given is not None and file is not None and given != os.environ.get(SECRET_VARIABLE):
        raise BadParameter("give --secret or --secret-file, not both", param_hint="--secret-file")
    try:
        if file is not None:
            return Secret.from_file(file)
        return None if given is None else Secret(given)
    except ConfigurationError as error:
        raise BadParameter(str(error), param_hint="--secret") from None


def read(file: str) -> bytes:
    """Return the bytes of a file, or of the standard input for "-"."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadParameter(f"cannot read {file}: {error.strerror}", param_hint="--data") from None


def parsed(body: bytes) -> Document:
    """Return `body` as a JSON object, for `--set` to change."""
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadParameter(f"--set needs JSON in --data, and that is none: {error}", param_hint="--set") from None
    if not isinstance(document, dict):
        raise BadParameter("--set needs a JSON object in --data", param_hint="--set")
    return cast("dict[str, Any]", document)


def changed(document: Document, changes: list[str]) -> Document:
    """Return `document` with each `body.key=value` set in it; a value is JSON, or else text."""
    for change in changes:
        path, assigned, text = change.partition("=")
        if not assigned:
            raise BadParameter(f"{change!r} is not of the form body.key=value", param_hint="--set")
        try:
            value: object = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        try:
            put(document, path, value)
        except ValueError as error:
            raise BadParameter(str(error), param_hint="--set") from None
    return document
