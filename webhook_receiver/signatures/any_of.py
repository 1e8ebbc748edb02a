"""Several schemes at once, for the time in which a sender changes from one to another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from ..delivery import RequestHead
from ..errors import (
    BadSignature,
    BodyMismatch,
    ConfigurationError,
    MalformedSignature,
    MissingSignature,
    StaleSignature,
    UnexpectedSignature,
    VerificationError,
)
from .scheme import BodyCheck, Scheme, Verified, complaint

_TELLING = (BodyMismatch, StaleSignature, BadSignature, MalformedSignature, UnexpectedSignature, MissingSignature)
"""The errors, the one first that came furthest: of what a scheme does not concern, it says that it is missing."""

R = TypeVar("R")


class AnyOf:
    """Accepts what any of the schemes accepts; the first signs.

    Which secret verified a delivery is told by an index over the secrets of all schemes, in their order: with
    `AnyOf(StandardWebhooks([a, b]), UP42Signature(c))`, 2 is c. If all reject, the error is that of the scheme that
    came furthest.

    Args:
        schemes: the new one first.

    Raises:
        ConfigurationError: there is none, one is no scheme, or one lets everybody in.
    """

    def __init__(self, *schemes: Scheme) -> None:
        if not schemes:
            raise ConfigurationError("AnyOf(...) takes schemes, such as AnyOf(new, old)")
        for scheme in schemes:
            if wrong := complaint(scheme):
                raise ConfigurationError(f"AnyOf(...) {wrong}")
            if scheme.secret_count < 1:
                raise ConfigurationError(f"AnyOf(...) with {type(scheme).__name__}() would let everybody in")
        self._schemes: list[tuple[int, Scheme]] = []
        self.secret_count = 0
        for scheme in schemes:
            self._schemes.append((self.secret_count, scheme))
            self.secret_count += scheme.secret_count
        self.needs_url = any(getattr(scheme, "needs_url", False) for scheme in schemes)
        """Whether one of the schemes needs the URL that the sender posts to, and was not given it."""

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head that the first scheme signs; see `Scheme`."""
        return self._schemes[0][1].sign(head, body, now)

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Return one check of the body for all schemes that take the head; see `Scheme`.

        Raises:
            VerificationError: no scheme takes the head; the error of the scheme that came furthest.
        """
        tries = (partial(_verify, scheme, first, head, now) for first, scheme in self._schemes)
        checks, errors = _try_all(tries)
        if not checks:
            raise _most_telling(errors)
        return partial(_check, checks, errors)


def _verify(scheme: Scheme, first: int, head: RequestHead, now: float) -> Callable[[bytes], Verified]:
    check = scheme.verify(head, now)
    return lambda body: _counted(check(body), first)


def _counted(verified: Verified, first: int) -> Verified:
    return verified if verified.by is None else verified._replace(by=first + verified.by)


def _check(checks: list[BodyCheck], errors: list[VerificationError], body: bytes) -> Verified:
    rejected = list(errors)
    for check in checks:
        try:
            return check(body)
        except VerificationError as error:
            rejected.append(error)
    raise _most_telling(rejected)


def _try_all(tries: Iterable[Callable[[], R]]) -> tuple[list[R], list[VerificationError]]:
    done: list[R] = []
    errors: list[VerificationError] = []
    for each in tries:
        try:
            done.append(each())
        except VerificationError as error:
            errors.append(error)
    return done, errors


def _most_telling(errors: list[VerificationError]) -> VerificationError:
    return min(errors, key=_rank).with_traceback(None)


def _rank(error: VerificationError) -> int:
    return next((rank for rank, cls in enumerate(_TELLING) if isinstance(error, cls)), len(_TELLING))
