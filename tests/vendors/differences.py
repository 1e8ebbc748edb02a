"""Known differences that several libraries have: what they take that we do not, and the other way round, and why."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error

from tests.signatures.mutants import Request

from .comparison import Difference


def ahead(by: str = "", tolerance: int = 300) -> Difference:
    return Difference(
        "it takes a time in the future, however far", "there", lambda request: request.signed < -tolerance, by
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
        lambda request: not request.header(header).isdigit() and request.header(header).strip()[:1].isdigit(),
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


def lenient_base64(header: str, by: str = "Python") -> Difference:
    """The signature is read as Python's `b64decode` reads it, which passes over what is behind the padding."""

    def holds(request: Request) -> bool:
        for item in request.header(header).split(" "):
            claimed = item.partition(",")[2]
            try:
                if claimed and b64encode(b64decode(claimed)).decode() != claimed:
                    return True
            except (Base64Error, ValueError):
                continue
        return False

    return Difference("it decodes base64 leniently, and stops at the first padding", "there", holds, by)


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


def standard(prefix: str) -> tuple[Difference, ...]:
    """The differences of the libraries of Standard Webhooks, and of those that have copied them."""
    return (
        number_begins(f"{prefix}-timestamp"),
        number_is_float(f"{prefix}-timestamp"),
        lenient_base64(f"{prefix}-signature"),
        time_in_id(f"{prefix}-id"),
        more_behind_a_comma(f"{prefix}-signature"),
    )
