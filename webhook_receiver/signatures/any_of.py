"""A scheme of several schemes, for the time in which a sender changes from one to another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import accumulate
from typing import TypeVar, cast

from ..delivery import RequestHead
from ..errors import (
    AddressNotAllowed,
    BadSignature,
    BodyMismatch,
    ConfigurationError,
    MalformedSignature,
    MissingSignature,
    StaleSignature,
    UnexpectedSignature,
    VerificationError,
)
from .fetching import KeysNeeded
from .scheme import (
    BodyCheck,
    Scheme,
    Verified,
    check_networks,
    complaint,
    covered_headers,
    has_networks,
    has_secret,
    proves_id,
    secret_headers,
    secret_members,
    secret_places,
    www_authenticate,
)
from .secrets import Secret

_PRECEDENCE = (
    *(KeysNeeded, BodyMismatch, StaleSignature, BadSignature),
    *(MalformedSignature, AddressNotAllowed, UnexpectedSignature, MissingSignature),
)
"""The errors, the most telling first: a scheme that a delivery does not concern says only that something is missing.
One that lacks its keys may accept it yet."""

R = TypeVar("R")
Rejected = VerificationError | KeysNeeded


class AnyOf:
    """A scheme that accepts what any of its schemes accepts, and signs by the first that can.

    Where some of the schemes prove an id and others do not, a copy without the headers of the former is one delivery
    with the original: both are known by the id in the body, or by the body. That holds where the sender has ids, or the
    event an identity, and for bodies that all schemes sign as they are: of one that is signed in a form, such as
    canonical JSON, another spelling is another delivery.

    `Verified.by` is an index of the secrets of all schemes, in their order: with
    `AnyOf(StandardWebhooks([a, b]), UP42Signature(c))`, 2 is c. If all schemes reject a delivery, the error is that of
    the scheme that got furthest in its checks.

    Args:
        schemes: the schemes, the new one first.
        same_secrets: whether all have the same secrets, in the same order, as of a sender that signs each kind of body
            in its own way: `Verified.by` is then an index of these.

    Raises:
        ConfigurationError: no scheme is given, an argument is no scheme, a scheme lets everybody in, or they have not
            as many secrets as one another where they are to have the same.
    """

    def __init__(self, *schemes: Scheme, same_secrets: bool = False) -> None:
        if not schemes:
            raise ConfigurationError("AnyOf(...) takes schemes, such as AnyOf(new, old)")
        for scheme in schemes:
            if wrong := complaint(scheme):
                raise ConfigurationError(f"AnyOf(...) {wrong}")
            if scheme.secret_count < 1:
                raise ConfigurationError(f"AnyOf(...) with {type(scheme).__name__}() would let everybody in")
        counts = [scheme.secret_count for scheme in schemes]
        if same_secrets and len(set(counts)) > 1:
            raise ConfigurationError(
                f"AnyOf(..., same_secrets=True) has schemes with {counts} secrets: give all the same"
            )
        starts = [0] * len(counts) if same_secrets else [*accumulate(counts, initial=0)]
        self._schemes: list[tuple[int, Scheme]] = [*zip(starts, schemes, strict=False)]
        self.schemes = schemes
        """The schemes."""
        self.secret_count = counts[0] if same_secrets else sum(counts)
        self.needs_url = any(getattr(scheme, "needs_url", False) for scheme in schemes)
        """Whether a scheme needs the URL that the sender posts to, and was not given it. See `Scheme`."""
        self.has_networks = any(map(has_networks, schemes))
        """Whether a scheme has networks that it lets in alone. See `Scheme`."""
        ids = {*map(proves_id, schemes)}
        self._is_id_optional = len(ids) > 1
        self.proves_id = False if self._is_id_optional else proves_id(schemes[0])
        """Whether every delivery that it verifies has an id that it proves. See `Scheme`."""
        known = [each for each in map(covered_headers, schemes) if each is not None]
        self.covered_headers: frozenset[bytes] | None = known[0].intersection(*known) if known else None
        """The headers that all signatures cover, by whatever scheme that has some. See `Scheme`."""
        self.secret_headers = frozenset[bytes]().union(*map(secret_headers, schemes))
        """The headers that hold a secret of any scheme. See `Scheme`."""
        self.secret_places = frozenset[str]().union(*map(secret_places, schemes))
        """The places in the URL that hold a secret of any scheme. See `Scheme`."""
        self.secret_members = frozenset[str]().union(*map(secret_members, schemes))
        """The places in the body that hold a secret of any scheme. See `Scheme`."""
        self.www_authenticate = ", ".join(dict.fromkeys(map(www_authenticate, schemes)))
        """What a 401 asks for, by any scheme. See `Scheme`."""

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head as the first scheme signs it that can sign this body. See `Scheme.sign`."""
        why: ConfigurationError | None = None
        for _, scheme in self._schemes:
            try:
                return scheme.sign(head, body, now)
            except ConfigurationError as error:
                why = why or error
        raise cast("ConfigurationError", why)

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Verify the head by each scheme, and return one check of the body for all that accept it.

        Raises:
            VerificationError: no scheme accepts the head. The error is that of the scheme that got furthest.
            KeysNeeded: no scheme accepts it, and one does not have its keys yet.
        """
        tries = (partial(_verify, scheme, first, head, now) for first, scheme in self._schemes)
        checks, rejected = _try_all(tries)
        if not checks:
            raise _most_telling(rejected)
        return partial(self._check, head, checks, rejected)

    def has_secret(self, secret: Secret) -> bool:
        """Return whether a secret is one of any scheme. See `Scheme`."""
        return any(has_secret(scheme, secret) for _, scheme in self._schemes)

    def check_networks(self, head: RequestHead, now: float) -> None:
        """Reject a request from elsewhere than the networks of every scheme that has some. See `Scheme`.

        Raises:
            VerificationError: it comes from elsewhere, or whose networks count is not known.
            KeysNeeded: whose networks count has to be fetched first.
        """
        tries = (partial(check_networks, each, head, now) for _, each in self._schemes if has_networks(each))
        inside, rejected = _try_all(tries)
        if rejected and not inside:
            raise _most_telling(rejected)

    def _check(
        self, head: RequestHead, checks: list[tuple[Scheme, BodyCheck]], errors: list[Rejected], body: bytes
    ) -> Verified:
        rejected = list(errors)
        for at, (scheme, check) in enumerate(checks, 1):
            try:
                verified = check(body)
                if not verified.body:
                    self._check_reading(scheme, head, verified)
            except (VerificationError, KeysNeeded) as error:
                rejected.append(error)
            else:  # what a copy without some headers is not is not counted on, such as its time
                if self._is_id_optional:
                    return verified._replace(is_id_optional=True, fresh=False)
                return _of_all(verified, [other for _, other in checks[at:]], body)
        raise _most_telling(rejected)

    def _check_reading(self, scheme: Scheme, head: RequestHead, verified: Verified) -> None:
        """Reject a content that another scheme has signed of another body: a form could be made to read like it.

        Raises:
            BadSignature: it begins as what another one signs in front of the body.
        """
        least = len(_start(scheme, head))
        others = (_start(other, head) for _, other in self._schemes if other is not scheme)
        if any(len(start) > least and each.startswith(start) for start in others for each in verified.contents):
            raise BadSignature("what is signed begins as that of another scheme does: it is of another kind of body")


def _verify(scheme: Scheme, first: int, head: RequestHead, now: float) -> tuple[Scheme, BodyCheck]:
    check = scheme.verify(head, now)
    return scheme, lambda body: _with_offset(check(body), first)


def _of_all(verified: Verified, others: list[BodyCheck], body: bytes) -> Verified:
    """Return a result with the time for which a copy verifies by any scheme: it may lack the headers of the first."""
    until = verified.copies_until
    for check in others:
        try:
            other = check(body)
        except VerificationError:
            continue
        except KeysNeeded:  # it may verify, by keys that are not known yet
            other = Verified(None, body=False)
        if not other.fresh:
            return verified._replace(fresh=False)
        until = max((each for each in (until, other.copies_until) if each is not None), default=None)
    return verified if until == verified.copies_until else verified._replace(copies_until=until)


def _start(scheme: Scheme, head: RequestHead) -> bytes:
    """Return what a scheme signs in front of the body of such a request. See `Scheme`."""
    start: Callable[[RequestHead], bytes] | None = getattr(scheme, "content_start", None)
    return b"" if start is None else start(head)


def _with_offset(verified: Verified, first: int) -> Verified:
    return verified if verified.by is None else verified._replace(by=first + verified.by)


def _try_all(tries: Iterable[Callable[[], R]]) -> tuple[list[R], list[Rejected]]:
    done: list[R] = []
    errors: list[Rejected] = []
    for each in tries:
        try:
            done.append(each())
        except (VerificationError, KeysNeeded) as error:
            errors.append(error)
    return done, errors


def _most_telling(errors: list[Rejected]) -> Rejected:
    return min(errors, key=_rank).with_traceback(None)


def _rank(error: Rejected) -> int:
    return next((rank for rank, cls in enumerate(_PRECEDENCE) if isinstance(error, cls)), len(_PRECEDENCE))
