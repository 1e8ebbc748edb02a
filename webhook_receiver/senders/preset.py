"""The preset of a sender: its entry in the registry, by name and by the headers of its requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..delivery import Headers
from ..events import Event
from ..signatures import Scheme
from ..signatures.secrets import Secret, Secrets
from .base import Sender
from .challenges import learn
from .page import Page

Make = Callable[[Secrets], Scheme]
"""A function that makes a scheme of secrets: a scheme's class, or a `functools.partial` of it with options."""

LATE = 43_200
"""Seconds, half a day: the tolerance for senders whose own libraries look at no time. What is sent again may have the
time of the first attempt. What comes twice is told by its id or its body where the sender has ids; where it has none, a
copy runs the handlers again for so long, as `NOT_TOLD` says."""
NOT_TOLD = "Nothing tells a copy, or what is sent again: until half a day after its signing it runs the handlers again."
"""The trap of senders with this tolerance that have no ids."""


@dataclass(frozen=True, eq=False)
class Preset:
    """The entry of a sender in the registry, for commands, `explain`, the guide and tests."""

    name: str
    """The name on the command line, such as "github"."""
    title: str
    """The name in texts, such as "GitHub"."""
    sender: Callable[[Secrets], Sender]
    """The function that makes the sender of secrets. A generated test imports it by its module and name."""
    make: Make
    """The function that makes the sender's scheme of secrets."""
    headers: tuple[str, ...] = ()
    """The names, in lower case, of the headers that prove a request; by the first a request is recognized. None for a
    sender whose proof is in no header of its own."""
    within: bytes = b""
    """A part of the value of the first header, where another sender has headers of the same names; else empty."""
    example: str = "a-secret-for-tests"
    """A valid secret for tests."""
    made_for: Callable[[Headers], Make] | None = None
    """A function of a request's headers that returns what makes the scheme, where they name the key; else None."""
    marks: tuple[str, ...] = field(default=(), kw_only=True)
    """The names, in lower case, of headers that prove nothing and that no other sender has: they tell its requests from
    others with the same `headers`. One such as "content-type:application/webhook+json" is a part of a value."""
    shape: tuple[str, ...] = field(default=(), kw_only=True)
    """The places of members that all of the sender's bodies have, and together no other sender's: of a sender whose
    headers are those of others, too."""
    body: bytes = field(default=b"{}", kw_only=True)
    """A body for tests that can be signed with the secret for tests."""
    samples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]], kw_only=True)
    """Small documents like the sender's own, by the event's name, the most usual one first. Its values are made up."""
    played: Callable[[Secrets, Secret], Sender] | None = field(default=None, kw_only=True)
    """A function of the secret and a private key that returns a sender that signs with the key, for a sender whose
    receivers are not given its key; None where the secret signs."""
    asking: Callable[[Secrets, Secret], Sender] | None = field(default=None, kw_only=True)
    """A function of the secret and a token of the user's that returns the sender with the challenges that show this
    token; None for a sender that shows none."""
    encode: Callable[[Mapping[str, Any]], bytes] | None = field(default=None, kw_only=True)
    """A function of a document that returns a body that delivers it, for a sender whose bodies are no JSON and become
    such by `Sender.decode`; None for all others."""
    tells: str | None = field(default=None, kw_only=True)
    """The place where the sender tells its secret while it is registered, as for `learn`; None if it tells none."""
    sample_id: str | None = field(default=None, kw_only=True)
    """The place in samples that tells one from another, such as "order.id"; that of the sender's ids if None."""
    events: tuple[type[Event], ...] = field(default=(), kw_only=True)
    """The classes of the sender's events in its module, for handlers to be registered for."""
    page: Page | None = field(default=None, kw_only=True)
    """The page of the sender; None without one."""

    @property
    def module(self) -> str:
        """The name of the module that the function is imported from."""
        return self.sender.__module__

    @property
    def function(self) -> str:
        """The name of the function that makes the sender, such as "github"."""
        return self.sender.__name__

    @property
    def code(self) -> str:
        """A Python expression that makes the sender with the secret for tests."""
        return f'{self.function}("{self.example}")'

    def registering(self, secret: Secrets, token: Secret | None = None) -> Sender:
        """Return the sender with the challenges by which it asks whose the URL is.

        Args:
            secret: the secret. A sender that tells its own is answered as by a receiver that waits for it.
            token: the token that the user gives beside the URL, for a sender that shows it; one for tests if None.

        Raises:
            ConfigurationError: the secret cannot work.
        """
        if self.asking is not None:
            return self.asking(secret, token or Secret("a-token-for-tests"))
        sender = self.sender(secret)
        if self.tells is not None:
            return replace(sender, challenges=(learn(self.tells, lambda told, now: True),))
        return sender

    def make_for(self, headers: Headers) -> Make:
        """Return the function that makes the scheme for a request with these headers."""
        return self.make if self.made_for is None else self.made_for(headers)

    def fits(self, headers: Headers) -> bool:
        """Return whether a request with these headers may come from the sender."""
        if not self.headers:
            return False
        first = self.headers[0].encode()
        return any(name == first and self.within in value for name, value in headers)

    def likeness(self, headers: Headers) -> tuple[int, int]:
        """Return how like the sender's a request with these headers is: of two presets that fit, the greater is right.

        A sender with marks is the one if one of them is there, and is none if not.
        """
        present = {name for name, _ in headers}
        marks = sum(_is_there(mark, headers) for mark in self.marks)
        return (marks or -bool(self.marks), sum(name.encode() in present for name in self.headers))


def _is_there(mark: str, headers: Headers) -> bool:
    """Return whether a header with a mark is there. See `Preset.marks`."""
    first, _, value = mark.partition(":")
    return any(name == first.encode() and value.encode() in found for name, found in headers)
