"""The schemes by name: how each is made from secrets, and by which headers it is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..delivery import Headers
from .base import Scheme, Secrets
from .up42 import UP42Signature

Make = Callable[[Secrets], Scheme]
"""What makes a scheme of secrets: its class, or one with options by `functools.partial`."""


@dataclass(frozen=True, slots=True)
class Known:
    """A scheme that can be told by a request's headers."""

    name: str
    """As it is called on the command line."""
    title: str
    make: Make
    marks: tuple[str, ...]
    """The headers that all its requests have, in lower case; by the first they are known."""
    within: bytes = b""
    """What the first of them has in it, where another scheme has headers of the same names."""
    example: str = "a-secret-for-tests"
    """A secret that it takes, for tests."""

    def fits(self, headers: Headers) -> bool:
        """Whether a request's headers are those of this scheme."""
        mark = self.marks[0].encode()
        return any(name == mark and self.within in value for name, value in headers)


KNOWN = (Known("up42", "UP42Signature", UP42Signature, ("signature-input", "signature"), b"up42-sig"),)
"""In the order in which they are tried: the first whose headers these are is the one."""


def known_as(make: Make) -> Known | None:
    """Return the scheme that is made so, None if it is no known one as it is."""
    return next((known for known in KNOWN if known.make == make), None)


def recognised(headers: Headers) -> Known | None:
    """Return the scheme whose headers these are, None if no known one's."""
    return next((known for known in KNOWN if known.fits(headers)), None)
