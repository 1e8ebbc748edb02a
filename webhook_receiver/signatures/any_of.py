"""Several schemes at once, for the time in which a sender changes from one to another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from ..delivery import AnyHeaders, Headers
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
from .scheme import BodyCheck, Scheme, Verified

_TELLING = (BodyMismatch, StaleSignature, BadSignature, MalformedSignature, UnexpectedSignature, MissingSignature)
"""The errors, the one first that came furthest: of what a scheme does not concern, it says that it is missing."""

R = TypeVar("R")


class AnyOf:
    """Accepts what any of the schemes accepts; the first signs.

    Which secret verified a delivery is told by an index over the secrets of all schemes, in their order: with
    `AnyOf(StandardWebhooks([a, b]), UP42Signature(c))`, 2 is c. If all refuse, the error is that of the scheme that
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
            if isinstance(scheme, type) or not isinstance(scheme, Scheme):
                raise ConfigurationError(
                    f"AnyOf(...) takes schemes, such as UP42Signature(secret), not {_kind(scheme)}"
                )
            if _count(scheme) < 1:
                raise ConfigurationError(f"AnyOf(...) with {type(scheme).__name__}() would let everybody in")
        self._schemes: list[tuple[int, Scheme]] = []
        self.secret_count = 0
        for scheme in schemes:
            self._schemes.append((self.secret_count, scheme))
            self.secret_count += _count(scheme)
        self.reads_path = any(getattr(scheme, "reads_path", False) for scheme in schemes)

    def sign(self, headers: AnyHeaders, body: bytes, now: float) -> Headers:
        """Sign with the first scheme."""
        return self._schemes[0][1].sign(headers, body, now)

    def verify_headers(self, headers: Headers, now: float) -> BodyCheck:
        """Return the checks of all schemes that take the headers, as one. See `Scheme`.

        Raises:
            VerificationError: no scheme takes them.
        """
        tries = (partial(_verify_headers, scheme, first, headers, now) for first, scheme in self._schemes)
        checks, errors = _try_all(tries)
        if not checks:
            raise _most_telling(errors)
        return partial(_check, checks, errors)


def _kind(given: object) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__


def _count(scheme: Scheme) -> int:
    count: int = getattr(scheme, "secret_count", 1)
    return count


def _verify_headers(scheme: Scheme, first: int, headers: Headers, now: float) -> Callable[[bytes], Verified]:
    check = scheme.verify_headers(headers, now)
    return lambda body: _counted(check(body), first)


def _counted(verified: Verified, first: int) -> Verified:
    return verified if verified.by is None else verified._replace(by=first + verified.by)


def _check(checks: list[BodyCheck], errors: list[VerificationError], body: bytes) -> Verified:
    refused = list(errors)
    for check in checks:
        try:
            return check(body)
        except VerificationError as error:
            refused.append(error)
    raise _most_telling(refused)


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
