"""A preset: a sender that is known by name and by the headers of its requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..delivery import Headers
from ..signatures import Scheme
from ..signatures.secrets import Secrets
from .base import Sender

Make = Callable[[Secrets], Scheme]
"""What makes a scheme of secrets: a class, or one with options by `functools.partial`."""


@dataclass(frozen=True, slots=True)
class Preset:
    """What commands, `explain` and tests know of a sender, beside the `Sender` itself."""

    name: str
    """As it is called on the command line, such as "github"."""
    title: str
    """As people call it, such as "GitHub"."""
    sender: Callable[[Secrets], Sender]
    """What makes the sender of secrets; its module and name are what a test imports that is written for it."""
    make: Make
    """What makes its scheme of secrets."""
    headers: tuple[str, ...]
    """The headers that all its requests have, in lower case; by the first they are recognized."""
    within: bytes = b""
    """What the first of them has in it, where another sender has headers of the same names."""
    example: str = "a-secret-for-tests"
    """A secret that it takes, for tests."""
    made_for: Callable[[Headers], Make] | None = None
    """What makes its scheme as a request's headers say, where they name the key."""

    @property
    def function(self) -> str:
        """The name of the function that makes the sender, such as "github"."""
        return self.sender.__name__

    @property
    def code(self) -> str:
        """The Python that makes the sender with the example of a secret."""
        return f'{self.function}("{self.example}")'

    def make_for(self, headers: Headers) -> Make:
        """Return what makes the scheme for a request with these headers."""
        return self.make if self.made_for is None else self.made_for(headers)

    def fits(self, headers: Headers) -> bool:
        """Whether these are the headers of a request of this sender's."""
        mark = self.headers[0].encode()
        return any(name == mark and self.within in value for name, value in headers)
