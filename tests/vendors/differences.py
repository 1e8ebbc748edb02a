"""Known differences that several libraries have: what they take that we do not, and the other way round, and why."""

from __future__ import annotations

import json
import random
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error

from tests.signatures.mutants import More, Request

from .comparison import Difference


def ahead(by: str = "", tolerance: int = 300) -> Difference:
    return Difference(
        "it takes a time in the future, however far", "there", lambda request: request.signed < -tolerance, by
    )


def no_time(by: str = "", tolerance: int = 300) -> Difference:
    return Difference(
        "it looks at no time",
        "there",
        lambda request: not -tolerance <= request.signed <= tolerance,
        by,
    )


def cut_at_every_equals_sign(header: str, by: str = "") -> Difference:
    return Difference(
        "it cuts an item at every '=', and takes what is between the first two for the value",
        "there",
        lambda request: any(item.count("=") > 1 for item in request.header(header).split(",")),
        by,
    )


def number_begins(header: str, by: str = "Node") -> Difference:
    """The time is read as JavaScript's `parseInt` reads it."""
    return Difference(
        "of the time it reads the digits at the beginning, and signs these",
        "there",
        lambda request: re.fullmatch(r"\s*\+?\d.*\D.*|\s*\+\d+", request.header(header), re.DOTALL) is not None,
        by,
    )


def number_is_float(header: str, by: str = "Python") -> Difference:
    """The time is read as Python's `float` reads it."""

    def holds(request: Request) -> bool:
        time = request.header(header)
        try:
            return not time.isdigit() and float(time) > 0
        except ValueError:
            return False

    return Difference("it reads the time as a float, and signs what that is cut to", "there", holds, by)


def lenient_base64(header: str, by: str = "") -> Difference:
    """The signature is a part of a header of Standard Webhooks, in base64 that is read leniently."""

    def holds(request: Request) -> bool:
        claims = [item.partition(",")[2] for item in request.header(header).split(" ")]
        return any(not _is_canonical(claimed) for claimed in claims)

    return Difference("it decodes base64 leniently, and passes over what is none", "there", holds, by)


def lenient_base64_text(header: str, by: str = "", *, prefix: str = "") -> Difference:
    """The signature is the whole header, read as `b64decode(text)` and `Buffer.from(text, "base64")` read it."""
    return Difference(
        "it decodes base64 leniently, and passes over what is none",
        "there",
        lambda request: not _is_canonical(request.header(header).removeprefix(prefix)),
        by,
    )


def _is_canonical(text: str) -> bool:
    try:
        return b64encode(b64decode(text, validate=True)).decode() == text
    except (Base64Error, ValueError):
        return False


def lenient_hex(header: str, by: str = "Node", *, prefix: str = "") -> Difference:
    """The signature is read as `Buffer.from(text, "hex")` reads it."""
    return Difference(
        "it decodes hex of either case, and passes over what stands behind it",
        "there",
        lambda request: re.fullmatch("([0-9a-f]{2})+", request.header(header).removeprefix(prefix)) is None,
        by,
    )


HS256, RS256 = r"[\w-]{42}[AEIMQUYcgkosw048]", r"[\w-]{341}[AQgw]"
"""The signatures of tokens, by an HMAC of SHA-256 and by a key of 2048 bits, in base64url without padding."""


def lenient_token(header: str, by: str = "", signature: str = HS256) -> Difference:
    """The base64url of a token is read with padding, or with other characters in it."""
    return Difference(
        "it decodes base64url leniently, where a token has just one spelling",
        "there",
        lambda request: (
            re.fullmatch(rf"[\w-]+\.[\w-]+\.{signature}", request.header(header).rpartition(" ")[2]) is None
        ),
        by,
    )


def token_ahead(by: str = "", leeway: int = 60) -> Difference:
    return Difference("it does not look when a token was issued", "there", lambda request: request.signed < -leeway, by)


def token_expired(by: str = "", leeway: int = 60) -> Difference:
    """Tokens of our own are valid for 300 s."""
    return Difference(
        "it grants no leeway, or less, when a token has expired",
        "here",
        lambda request: 300 <= request.signed < 300 + leeway,
        by,
    )


def time_in_id(header: str, by: str = "") -> Difference:
    return Difference(
        "it takes an id that holds a time between full stops, which may be a part of another content",
        "there",
        lambda request: re.search(r"\.\d{10,12}(\.|$)", request.header(header)) is not None,
        by,
    )


def more_behind_a_comma(header: str, by: str = "Node") -> Difference:
    return Difference(
        "it passes over what stands behind a second comma",
        "there",
        lambda request: any(item.count(",") > 1 for item in request.header(header).split(" ")),
        by,
    )


def any_version(header: str, by: str = "") -> Difference:
    return Difference(
        "it takes a signature behind any version, not v1 alone",
        "there",
        lambda request: any(item.partition(",")[0] != "v1" for item in request.header(header).split(" ")),
        by,
    )


def whole_header(header: str, by: str = "") -> Difference:
    return Difference(
        "it compares the header with one that it makes: nothing else may be in it",
        "here",
        lambda request: request.header(header).count(",") > 1,
        by,
    )


def no_json(by: str = "") -> Difference:
    def holds(request: Request) -> bool:
        try:
            json.loads(request.body)
        except ValueError:
            return True
        return False

    return Difference("it reads the body as well, which has to be JSON", "here", holds, by)


def standard(prefix: str) -> tuple[Difference, ...]:
    """The differences of the libraries of Standard Webhooks, and of those that have copied them."""
    return (
        number_begins(f"{prefix}-timestamp"),
        number_is_float(f"{prefix}-timestamp"),
        lenient_base64(f"{prefix}-signature"),
        time_in_id(f"{prefix}-id"),
        more_behind_a_comma(f"{prefix}-signature"),
    )


def other_url(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    """Change the URL that a request is sent to, in ways that leave most servers unmoved."""
    request.url = rng.choice(
        [
            "https://hooks.example.com/webhooks",
            "https://hooks.example.com/webhooks/?a=1&b=2",
            "https://hooks.example.com/webhooks?b=2&a=1",
            "https://hooks.example.com/webhooks?a=1&b=3",
            "http://hooks.example.com/webhooks?a=1&b=2",
            "https://HOOKS.example.com/webhooks?a=1&b=2",
            "https://hooks.example.com/Webhooks?a=1&b=2",
        ]
    )


def other_version(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    """Put another version in front of a right signature of Standard Webhooks, or none."""
    version = rng.choice([b"v2,", b"v1a,", b"v0,", b""])
    request.headers = [
        (name, value.replace(b"v1,", version) if name.endswith(b"-signature") else value)
        for name, value in request.headers
    ]
