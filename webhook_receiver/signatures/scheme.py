"""The protocol of a signature scheme, the result of a check, and the complaint about an object that is no scheme."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from ..delivery import RequestHead
from ..errors import ConfigurationError
from .secrets import Secret


class Verified(NamedTuple):
    """The result of a successful verification."""

    by: int | None
    """The index of the secret that verified the delivery; None for an unsigned delivery."""
    body: bool
    """Whether the signature covers the body, so that nobody can have changed it."""
    id: str | None = None
    """The sender's id of the delivery, the same when the delivery is sent again; None if the scheme verifies none."""
    fresh: bool = False
    """Whether the signature covers the time of signing, which was checked: a copy of the delivery does not verify for
    long. Otherwise the inbox recognizes a copy for as long as it stores the delivery, if it knows the sender's
    deliveries by an id, by what they tell of, or by their bodies: not where a sender has none of these, and two equal
    bodies may tell of two things. A copy runs the handlers again there."""
    tenant: str | None = None
    """The tenant by whose secrets it was verified; None where all deliveries have the same secrets."""
    form: bytes | None = None
    """What all bodies with this signature have in common, where these are not the same bytes: a body unpacked, or as
    canonical JSON. Duplicates are known by it. None for the body itself."""
    contents: tuple[bytes, ...] = ()
    """The contents of which the delivery has the HMACs, each of which has to be right; empty for another proof. A
    challenge that tells the HMAC of a token must not tell one of these. See `Challenge.tells`."""
    is_id_optional: bool = False
    """Whether the same delivery may also be verified without its id, by another scheme of an `AnyOf`: a copy may lack
    the headers that have it. So duplicates are known by an id in the body, or by the body, if the sender has ids or the
    event an identity."""
    copies_until: float | None = None
    """The Unix time up to which a copy of a `fresh` delivery verifies. Where the inbox's window ends before that, or is
    not known, a copy is recognized as if no time was covered. None if a copy verifies for no longer than any window."""
    signed_at: float | None = None
    """The time of signing that the delivery states, in Unix seconds, for the age at its receipt; None if it states none
    that was checked."""


BodyCheck = Callable[[bytes], Verified]
"""A function of the body's bytes that returns a `Verified`, or raises a VerificationError."""


@runtime_checkable
class Scheme(Protocol):
    """A way to sign and verify a delivery. A scheme does no I/O and reads no clock: `now` is in Unix seconds.

    A scheme may have more attributes:

    - `needs_url`, a bool, of a scheme whose signatures cover the URL that the sender posts to: True where the scheme
      itself was given no URL, so that a receiver cannot be made without `public_url=...`.
    - `secret_headers`, a frozenset of bytes: the names, in lower case, of headers that hold a secret itself. An inbox
      stores none of them. Headers whose names suggest a secret, such as Authorization, need not be among them.
    - `secret_places`, a frozenset of str: the places in the URL that hold a secret itself, such as "query:token", or
      "path:-1" for the end of its path. An inbox stores nothing of them.
    - `secret_members`, a frozenset of str: the places in the body that hold a secret itself, such as "auth.token" or
      "value[].token". An inbox stores the body with it, and a page masks it.
    - `sign_body`, a method of a scheme whose signature is in the body: it takes a body and the time, and returns the
      body with the signature in it, for tests and `send`.
    - `covered_headers`, a frozenset of bytes: the names, in lower case, of headers that all of its signatures cover, so
      that nobody can add, change or leave out one; None if it covers nothing, not even the body, and proves a request
      as a whole. Without it, it is taken to cover no header.
    - `has_networks`, a bool, of a scheme with networks that it lets in alone: True to have its method
      `check_networks(head, now)` asked before a challenge that the sender does not sign. It raises AddressNotAllowed.
    - `has_secret`, a method of a scheme with `Verified.contents`: it takes a `Secret`, and returns whether that is one
      of its own. Without it, every secret is taken for one.
    - `content_start`, a method of a scheme with `Verified.contents`: it takes a head, and returns the bytes that are
      signed in front of the body, by which `AnyOf` tells its contents from those of another scheme.
    - `proves_id`, a bool: whether every delivery that it verifies has an id that it proves, as `Verified.id`.
    - `www_authenticate`, a str: the value of the header WWW-Authenticate of a 401 (RFC 9110, section 11.6.1);
      "Signature" without it.
    """

    @property
    def secret_count(self) -> int:
        """The number of secrets; `Verified.by` is an index of them. 0 for a scheme that lets everybody in."""
        ...

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Sign a delivery with the first secret.

        Args:
            head: the head of the request as it would be sent unsigned.
            body: the body's bytes.
            now: the time of signing, in Unix seconds.

        Returns:
            The head with the headers of the signature behind its own, or with another target.

        Raises:
            ConfigurationError: the secret cannot sign, or the head lacks a header that has to be signed.
            KeysNeeded: the secret has to be fetched first.
        """
        ...

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Verify the head before the body is read, so that a stranger costs next to nothing.

        Args:
            head: the head of the request as received.
            now: the time of receipt, in Unix seconds.

        Returns:
            The check of the body: a function of all of its bytes.

        Raises:
            VerificationError: the head does not prove the delivery. No other error is raised, whatever the head holds.
            KeysNeeded: keys have to be fetched first; see `webhook_receiver.signatures.KeysNeeded`. The check of the
                body may raise it, too. The receiver awaits its function, and verifies the request again.
        """
        ...


def verify_all(
    verify: Callable[[RequestHead, float], BodyCheck], head: RequestHead, body: bytes, now: float
) -> Verified:
    """Return the result of a scheme's `verify`, first of the head and then of the body."""
    return verify(head, now)(body)


def secret_headers(scheme: Scheme | None) -> frozenset[bytes]:
    """Return the names of the headers that hold a secret of a scheme. See `Scheme`."""
    return getattr(scheme, "secret_headers", frozenset())


def secret_places(scheme: Scheme | None) -> frozenset[str]:
    """Return the places in the URL that hold a secret of a scheme. See `Scheme`."""
    return getattr(scheme, "secret_places", frozenset())


def secret_members(scheme: Scheme | None) -> frozenset[str]:
    """Return the places in the body that hold a secret of a scheme. See `Scheme`."""
    return getattr(scheme, "secret_members", frozenset())


def covered_headers(scheme: Scheme | None) -> frozenset[bytes] | None:
    """Return the names of the headers that a scheme covers; None if it covers nothing at all. See `Scheme`."""
    return getattr(scheme, "covered_headers", frozenset())


def proves_as_a_whole(scheme: Scheme) -> bool:
    """Return whether all that a scheme proves is that the sender knows its secret: who can write one part of a request
    can write any, so that an id in a header is as good as one in the body."""
    return covered_headers(scheme) is None and scheme.secret_count > 0


def has_networks(scheme: Scheme | None) -> bool:
    """Return whether a scheme has networks that it lets in alone. See `Scheme`."""
    return bool(getattr(scheme, "has_networks", False))


def proves_id(scheme: Scheme | None) -> bool | None:
    """Return whether a scheme proves an id of every delivery; None if it does not say so. See `Scheme`."""
    return getattr(scheme, "proves_id", None)


def check_networks(scheme: Scheme, head: RequestHead, now: float) -> None:
    """Reject a request from elsewhere than the networks of a scheme that has some, whatever else would prove it.

    Raises:
        VerificationError: it comes from elsewhere, or whose networks count is not known.
        KeysNeeded: whose networks count has to be fetched first.
    """
    check: Callable[[RequestHead, float], None] | None = getattr(scheme, "check_networks", None)
    if check is not None and has_networks(scheme):
        check(head, now)


def has_secret(scheme: Scheme, secret: Secret) -> bool:
    """Return whether a secret is, or may be, one of a scheme. See `Scheme`."""
    has: Callable[[Secret], bool] | None = getattr(scheme, "has_secret", None)
    return has is None or has(secret)


def www_authenticate(scheme: Scheme | None) -> str:
    """Return the value of WWW-Authenticate that asks for the proof of a scheme. See `Scheme`."""
    return getattr(scheme, "www_authenticate", "Signature")


_MEMBERS = {
    "secret_count": "the number of its secrets, an int: Verified.by is an index of them",
    "sign": "the method sign(head: RequestHead, body: bytes, now: float) -> RequestHead",
    "verify": "the method verify(head: RequestHead, now: float) -> BodyCheck",
}


def complaint(given: object) -> str | None:
    """Return why an object is no scheme, as a predicate, such as "takes a scheme, ..."; None for a scheme."""
    if isinstance(given, type):
        return f"takes a scheme, such as HMACBody(secret, signature=...), not the class {given.__name__}"
    name = type(given).__name__
    if hasattr(given, "verify_headers"):
        return (
            f"takes a scheme, and {name} has the method of an old one: verify_headers(headers, now) has become "
            "verify(head: RequestHead, now) -> BodyCheck, with the headers in head.headers and the path in head.target"
        )
    missing = [member for member in _MEMBERS if not hasattr(given, member)]
    if len(missing) == len(_MEMBERS):
        return f"takes a scheme, such as HMACBody(secret, signature=...), not {name}"
    if missing:
        return f"takes a scheme, and {name} lacks {missing[0]}: {_MEMBERS[missing[0]]}"
    count: object = getattr(given, "secret_count", None)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        return f"takes a scheme, and the secret_count of {name} is no number from 0 up: {_MEMBERS['secret_count']}"
    for method in ("sign", "verify"):
        if not callable(getattr(given, method)):
            return f"takes a scheme, and the {method} of {name} is no method: {_MEMBERS[method]}"
    return None


def check_has_url(scheme: Scheme, public_url: str | None) -> None:
    """Reject a scheme whose signatures cover the URL that the sender posts to, if that is not given."""
    if public_url is None and getattr(scheme, "needs_url", False):
        raise ConfigurationError(
            f"the signatures of {type(scheme).__name__} cover the URL that the sender posts to: say which one that is, "
            'WebhookReceiver(public_url="https://example.com/webhooks")'
        )
