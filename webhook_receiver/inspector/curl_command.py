"""A delivery as a curl command."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from ..capture.pytest_export import own_headers
from ..delivery import Delivery, Headers
from ..errors import ConfigurationError
from ..receiver import WebhookReceiver
from ..senders.registry import presets
from ..signatures import Scheme
from ..simulator.payloads import url_of
from ..testing.wire import signed_head
from .secrecy import harmless, shown_url
from .site import Problem

_MOST_OF_A_BODY = 32 * 1024
"""Bytes of a body that stands in the command; a longer one is in a file."""
PLACEHOLDER = "SECRET"
"""What stands in the place of a secret."""
_PLAIN = re.compile(r"[\n\t\x20-\x7e]*")


class Command(NamedTuple):
    """A command."""

    text: str
    """The command, for a shell such as bash."""
    file: str
    """The name of the file with the body that it reads; empty for none."""
    placeholders: bool
    """Whether a secret is left out: the proof, or one in the address."""


def command(
    delivery: Delivery, url: str, hooks: WebhookReceiver | None, now: float, *, is_signed: bool = False
) -> Command:
    """Return the command that sends a delivery again.

    Args:
        delivery: the delivery.
        url: the address to send it to.
        hooks: its receiver; None if that is not at hand.
        now: the time of signing, in Unix seconds.
        is_signed: whether the scheme of the receiver signs it.

    Raises:
        Problem: the receiver cannot sign.
    """
    scheme = None if hooks is None else hooks.sender.scheme
    preset = None if hooks is None else presets().get(hooks.sender.name)
    kept = harmless(delivery.headers, scheme)
    headers: Headers = own_headers(kept, () if preset is None else preset.headers)
    url, placeholders = _located(url, delivery.headers, scheme)
    if hooks is not None and is_signed:
        headers, url, left_out = _signed(delivery, headers, url, hooks, now)
        placeholders |= left_out
    shown = shown_url(url, scheme, PLACEHOLDER)
    placeholders, url = placeholders or shown != url, shown
    lines = [f"curl {shlex.quote(url)}"]
    # curl leaves out a header that ends in a colon, and sends one without a value for a semicolon.
    lines += [f"-H {_word(name + (b': ' + value if value else b';'))}" for name, value in headers]
    file = ""
    if len(delivery.body) > _MOST_OF_A_BODY or b"\0" in delivery.body:  # no word of a shell has a NUL
        file = f"{delivery.id}.body"
        lines.append(f"--data-binary @{file}")
    else:
        lines.append(f"--data-raw {_word(delivery.body)}")
    return Command(" \\\n  ".join(lines), file, placeholders)


def _located(url: str, headers: Headers, scheme: Scheme | None) -> tuple[str, bool]:
    """Return an address with what a delivery notes of the URL that it came to, and whether a secret was left out.

    That is what its sender tells there, such as the event: see `EventNames.headers`. What else the path had is unknown
    or a secret.
    """
    before, _, query = url.partition("?")
    pairs, parts = query.split("&") if query else [], dict[int, str]()
    for name, value in headers:
        kind, _, place = name.decode("latin-1").partition("=")
        if kind == "path" and re.fullmatch("-[1-9][0-9]?", place):
            parts[int(place)] = quote(value, safe="")
        elif kind == "query" and place not in (pair.partition("=")[0] for pair in pairs):
            pairs.append(f"{place}={quote_plus(value)}")
    tail = [parts.get(at, PLACEHOLDER) for at in range(min(parts, default=0), 0)]
    shown = shown_url(before, scheme, PLACEHOLDER)
    if tail and not shown.endswith("/".join(("", *tail))):
        if -1 not in parts and shown.endswith(f"/{PLACEHOLDER}"):  # the address has the secret already
            before, _, tail[-1] = before.rpartition("/")
        before = "/".join((before.rstrip("/"), *tail))
    return before + "?" * bool(pairs) + "&".join(pairs), PLACEHOLDER in tail


def _signed(
    delivery: Delivery, headers: Headers, url: str, hooks: WebhookReceiver, now: float
) -> tuple[Headers, str, bool]:
    """Return the headers and the address of a signed request, and whether a secret was left out of them."""
    given = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    target = re.sub(r"^https?://[^/?#]*", "", url) or "/"
    at = {"headers": given, "target": target, "url": hooks.public_url or url}
    scheme = hooks.sender.scheme
    at["target"] = re.sub(rf"/{PLACEHOLDER}(?=$|[?#])", "", target)  # of a command that was shown before
    try:
        head = signed_head(delivery.body, scheme, now=now, **at)  # type: ignore[arg-type]
        # What neither the body nor the time changes is no signature, but the secret itself.
        other = signed_head(delivery.body + b" ", scheme, now=now - 1, **at)  # type: ignore[arg-type]
    except ConfigurationError as error:
        raise Problem(409, "This cannot be signed here", f"{error}.") from None
    static = {*other.headers}.intersection(head.headers).difference(headers)
    known = {name for name, _ in headers} | {b"content-type"}
    left_out = {name for name, _ in static} - known
    shown = [(name, PLACEHOLDER.encode() if name in left_out else value) for name, value in head.headers]
    if head.target != target.encode():
        is_secret = head.target == other.target
        head = head._replace(target=_without(head.target, target.encode())) if is_secret else head
        return shown, url_of(head, url), is_secret or bool(left_out)
    return shown, url, bool(left_out)


def _without(target: bytes, before: bytes) -> bytes:
    """Return a signed target with what the scheme has added to it, or put into it, left out."""
    path, mark, query = target.partition(b"?")
    path_before = before.partition(b"?")[0]
    if path != path_before:
        return path.rpartition(b"/")[0] + b"/" + PLACEHOLDER.encode() + mark + query
    names = before.partition(b"?")[2].split(b"&")
    pairs = [
        pair if pair in names else pair.partition(b"=")[0] + b"=" + PLACEHOLDER.encode() for pair in query.split(b"&")
    ]
    return path + mark + b"&".join(pairs)


def _word(data: bytes) -> str:
    """Return bytes as one word of bash, in which nothing moves a terminal's cursor."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if text and _PLAIN.fullmatch(text):
        return shlex.quote(text)
    if not data:
        return "''"
    return "$'" + "".join(_escaped(each) for each in data) + "'"


def _escaped(byte: int) -> str:
    char = chr(byte)
    if char in "\\'":
        return f"\\{char}"
    if 0x20 <= byte < 0x7F:
        return char
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char, f"\\x{byte:02x}")
