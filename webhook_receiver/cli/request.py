"""Reading a saved request, and what it is verified with: secrets, sender and time."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from typing import Literal, NamedTuple

import typer

from ..capture.curl import from_curl, is_curl
from ..capture.request_files import SavedRequest, from_har, from_http, parse_json
from ..delivery import RequestHead
from ..errors import ConfigurationError
from ..explain.trial import Case, verifying_time
from ..receiver import WebhookReceiver
from ..senders.preset import Preset
from ..senders.registry import alike, asking, candidates, presets
from ..signatures import Secret
from .options import moment, origin_of_secret, secret_in_environment

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
    origin = "--secret"
    try:
        given = [*map(Secret, texts or ()), *map(Secret.from_file, files or ())]
        if given or not (found := secret_in_environment()):
            return given
        origin = origin_of_secret(found)
        return [Secret(found)]
    except ConfigurationError as error:
        raise typer.BadParameter(str(error), param_hint=origin) from None


ITS_OWN = Secret(token_hex(32))
"""What stands for the secrets of a receiver. Nobody can know it, since other senders' schemes are tried with it."""

_MOST_TRIED = 16
"""The number of likely senders that are tried with the secret."""


class Chosen(NamedTuple):
    """The sender that a request is taken to be of."""

    preset: Preset
    """The sender."""
    likely: list[Preset]
    """The senders that its headers and body are those of, the likeliest first; of several, all are as likely."""
    by: Literal["name", "receiver", "secret", "request", "default"]
    """What it was chosen by: the name or the receiver that was given, the secret, which verifies it, the request, or
    nothing: it is not known."""


def chosen_sender(name: str | None, request: SavedRequest, secrets: Sequence[Secret] = ()) -> Chosen:
    """Return the sender of this name, else the one that the request is like, else the first, UP42.

    Args:
        name: the sender's name; None to find it.
        request: the request.
        secrets: the secrets that are known: of several likely senders, the one counts whose request they verify.
    """
    known = presets()
    head = RequestHead(request.method, request.target.encode("latin-1", "replace"), request.headers, request.url)
    found = candidates(head, request.body)
    likely = alike(found)
    if name is not None:
        return Chosen(known[name], likely, "name")
    if len(found) > 1 and secrets:
        for each in found[:_MOST_TRIED]:
            case = Case(head, request.body, secrets, each.preset.make_for(head.headers))
            if verifying_time(case, 0.0) is not None:
                return Chosen(each.preset, likely, "request" if likely == [each.preset] else "secret")
    if likely:
        return Chosen(likely[0], likely, "request")
    likely = asking(head, request.body)
    return Chosen(likely[0], likely, "request") if likely else Chosen(next(iter(known.values())), [], "default")


def sender_of(hooks: WebhookReceiver) -> Chosen:
    """Return a receiver's own sender as a preset, which is made of no secret: it has the receiver's."""
    sender = hooks.sender
    known = presets().get(sender.name)
    title = sender.name if known is None else known.title
    preset = Preset(sender.name, title, lambda _: sender, lambda _: sender.scheme)
    return Chosen(preset, [preset], "receiver")


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
