"""The scheme of UP42: an HMAC over the values of listed headers, one of which holds the body's digest.

The rules are those of the receiver snippets that UP42 published (github.com/up42/up42-webhooks): the header
`signature-input` lists header names and a time, `signature` is the base64 of HMAC-SHA256 over those headers'
values, joined without separators, with the secret's UTF-8 bytes as key. The signature covers neither the list nor
the time, so this module trusts the time for nothing but freshness, and requires a signed digest of the body.
"""

from __future__ import annotations

import logging
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from hashlib import sha256, sha512
from typing import Any, Literal

from ...delivery import Headers, RequestHead
from ...errors import (
    BadSignature,
    BodyMismatch,
    ConfigurationError,
    MalformedSignature,
    StaleSignature,
)
from ...signatures.encoding import is_base64, missing
from ...signatures.scheme import BodyCheck, Verified
from ...signatures.secrets import Keyring, Secret, Secrets, is_same, mac, masked

UNNAMED = "which components=... or `explain` would name"
"""The end of an error's message that gives a listed header by its position alone, as in "number 2 of 3, which"."""
logger = logging.getLogger("webhook_receiver")

DIGEST_HEADERS = ("digest", "content-digest")
"""The headers that may hold the body's digest (RFC 3230, RFC 9530)."""
SIGNED_BY_DEFAULT = ("content-type", "digest")
"""The headers that `sign` covers unless `components` are given."""

_USUAL = frozenset(
    b"accept accept-encoding authorization connection content-digest content-encoding content-length content-type "
    b"cookie date digest expect forwarded host keep-alive signature signature-input te transfer-encoding user-agent "
    b"via x-forwarded-for x-forwarded-host x-forwarded-proto x-real-ip x-request-id".split()
)
"""Names of headers that a log line may hold, although a stranger can choose what is listed."""
_LABEL = b"up42-sig=("
_SIGNATURE_HEADERS = (b"signature-input", b"signature")
_MAX_LIST = 4096  # bytes of header names: far more than any sender lists, far less than would cost us
_DIGESTS = {b"sha-256": sha256, b"sha-512": sha512}


class UP42Signature:
    """A scheme that signs and verifies as UP42 does; see the top of this module.

    Args:
        secrets: one secret or several; the first signs, any verifies.
        max_age: the age in seconds from which on a signature is stale.
        max_ahead: the number of seconds that the sender's clock may be ahead of ours.
        body_binding: "required" rejects a signature that covers no digest of the body. "optional" accepts it: for a
            sender that sends no digest. Then whoever saw one delivery can put another body under its signature.
        digest_header: the header with the body's digest, if it is neither `digest` (RFC 3230) nor `content-digest`
            (RFC 9530). Its value has the form of either, with SHA-256 or SHA-512.
        components: the exact list of headers that the sender signs, in order, once it is known; a signature with any
            other list is rejected then. `sign` covers these headers.

    Raises:
        ConfigurationError: a secret or an option cannot work.
    """

    def __init__(
        self,
        secrets: Secrets,
        *,
        max_age: float = 300,
        max_ahead: float = 60,
        body_binding: Literal["required", "optional"] = "required",
        digest_header: str | None = None,
        components: Sequence[str] | None = None,
    ) -> None:
        secrets = masked(secrets)
        if not (max_age > 0 and max_ahead >= 0):
            raise ConfigurationError(
                f"max_age is above 0 and max_ahead at least 0 seconds, not {max_age!r} and {max_ahead!r}"
            )
        if body_binding not in ("required", "optional"):
            raise ConfigurationError(f'body_binding is "required" or "optional", not {body_binding!r}')
        self._max_age = max_age
        self._max_ahead = max_ahead
        self._digest_headers = [_name(digest_header)] if digest_header else [_name(each) for each in DIGEST_HEADERS]
        self._bound = body_binding == "required"
        self._components = None if components is None else _checked_components(components)
        if self._bound and self._components and not set(self._components) & set(self._digest_headers):
            raise ConfigurationError(
                "components=... lists no header with the body's digest, so every delivery would be rejected: "
                'add it, name it with digest_header=..., or accept what body_binding="optional" means'
            )
        self._keyring = Keyring(secrets, _key)
        self.secret_count = len(self._keyring)
        if not self._bound:
            logger.warning(
                'body_binding="optional": where a signature covers no digest, whoever saw one delivery can put '
                "another body under it; see attempt.delivery.body_verified, or have orders read again: confirm=client"
            )
        # A sender lists the same names every time; a stranger's lists must not fill our memory.
        self._read_list = lru_cache(maxsize=64)(self._components_in)

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head with the two headers of the signature, and the body's digest if it is listed and absent.

        Raises:
            ConfigurationError: every secret has expired, or a header that has to be signed is absent.
        """
        names = self._components or tuple(_name(each) for each in SIGNED_BY_DEFAULT)
        fields = dict(head.headers)
        for name in self._digest_headers:
            if name in names and name not in fields:
                fields[name] = _digest(name, body)
                head = head.with_headers((name, fields[name]))
        absent = [name.decode() for name in names if name not in fields]
        if absent:
            raise ConfigurationError(f"cannot sign: the headers lack {', '.join(absent)}")
        listed = b" ".join(b'"%b"' % name for name in names)
        signature = self._keyring.first(now)[0](b"".join(fields[name] for name in names))
        return head.with_headers(
            (b"signature-input", b"%b%b);created=%d" % (_LABEL, listed, int(now))),
            (b"signature", b"up42-sig=" + signature),
        )

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Verify the signature, then its age; return the check of the body by its digest. See `Scheme.verify`."""
        headers = head.headers
        fields = dict(headers)
        try:
            listed, created = _read_input(fields[b"signature-input"])
            claimed = fields[b"signature"].partition(b"=")[2]
            if claimed[:1] == b":":
                claimed = _without_colons(claimed)
        except KeyError as absent:
            raise missing(absent.args[0], headers) from None
        names, digests = self._read_list(listed)
        if len(fields) != len(headers):
            self._reject_repeated(headers, names)
        try:
            signed = b"".join([fields[name] for name in names])
        except KeyError as absent:
            said = self._said(absent.args[0], names)
            raise MalformedSignature(f"the signature lists a header that is absent: {said}") from None
        for mac_of, unbound, bound in self._keyring.at(now):  # noqa: B007 - the rest of it is used below
            if is_same(mac_of(signed), claimed):
                break
        else:
            raise self._mismatch(claimed, now)
        signed_at = int(created)
        age = now - signed_at
        if not -self._max_ahead <= age < self._max_age:
            ago = f"{age:.0f} s" if abs(age) < 86400 else "more than a day"
            raise StaleSignature(
                f"signed {ago} {'ago' if age > 0 else 'ahead'}, by our clock; "
                f"allowed are {self._max_age:g} s ago to {self._max_ahead:g} s ahead"
            )
        if self._bound and not digests:
            raise BodyMismatch(
                f"the signature covers no digest of the body (no {' or '.join(map(bytes.decode, self._digest_headers))}"
                " is listed), so anyone could put another body under it; if the digest is in another header, say "
                'UP42Signature(digest_header=...); if the sender has none, body_binding="optional" with components=... '
                "and WebhookReceiver(confirm=client), which reads the order again"
            )
        # As Verified(...) does, whose call would take a twentieth of all this.
        known = bound if digests else unbound
        verified = tuple.__new__(Verified, (*known, signed_at))  # pyright: ignore[reportUnknownMemberType]
        return partial(_check_body, fields, digests, verified)

    def _reject_repeated(self, headers: Headers, names: Sequence[bytes]) -> None:
        once = {*_SIGNATURE_HEADERS, *names}
        seen: set[bytes] = set()
        for name, _ in headers:
            if name in seen:
                raise MalformedSignature(
                    "a signature header, or a header that it lists, is there more than once: " + self._said(name, names)
                )
            if name in once:
                seen.add(name)

    def _said(self, name: bytes, names: Sequence[bytes]) -> str:
        """Return a listed name for an error message; if it may be a stranger's own, only its position in the list."""
        if self._components is not None or name in _USUAL:
            return name.decode("latin-1")
        return f"number {names.index(name) + 1} of {len(names)}, {UNNAMED}"

    def _mismatch(self, claimed: bytes, now: float) -> MalformedSignature | BadSignature:
        if not is_base64(claimed):
            return MalformedSignature("signature is not of the form label=base64")
        return self._keyring.mismatch(now)

    def _components_in(self, listed: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """Return the names in `up42-sig=("content-type" "digest"`, and which of them hold the body's digest."""
        names = _names(listed)
        if self._components is not None and names != self._components:
            raise MalformedSignature("the signature lists other headers than components=... pins")
        return names, tuple(name for name in self._digest_headers if name in names)


def _key(by: int, secret: Secret) -> tuple[Callable[[bytes], bytes], tuple[Any, ...], tuple[Any, ...]]:
    """Return what signs with a secret, and the result without and with a digest, but for the time of signing."""
    return _mac(secret.get_secret_value().encode()), Verified(by, body=False)[:-1], Verified(by, body=True)[:-1]


def _mac(key: bytes) -> Callable[[bytes], bytes]:
    """Return the base64 of HMAC-SHA256 as a function of the message."""
    digest = mac(key)
    return lambda message: b2a_base64(digest(message), newline=False)


def _name(header: str) -> bytes:
    return header.lower().encode()


def _checked_components(components: Sequence[str]) -> tuple[bytes, ...]:
    if isinstance(components, str):
        raise ConfigurationError("components is a list of header names, not one text")
    try:
        return _names(_LABEL + b" ".join(map(_name, components)))
    except MalformedSignature as error:
        raise ConfigurationError(f"components=... cannot be signed: {error}") from None


def _read_input(value: bytes) -> tuple[bytes, bytes]:
    """Return the list of names and the time in a `signature-input` header; all else in it means nothing."""
    listed, _, created = value.partition(b");created=")
    if not created.isdigit():  # there are other parameters beside it
        listed, _, parameters = value.partition(b");")
        _, *times = (b";" + parameters.replace(b" ", b"")).split(b";created=")
        created = times[0].partition(b";")[0] if len(times) == 1 else b""
    if not (created.isdigit() and 10 <= len(created) <= 20):
        raise MalformedSignature("signature-input is not up42-sig=(names);created=time, with one time in Unix seconds")
    if len(listed) > _MAX_LIST:
        raise MalformedSignature("signature-input lists too many headers")
    return listed, created


def _names(listed: bytes) -> tuple[bytes, ...]:
    if not listed.startswith(_LABEL):
        raise MalformedSignature("signature-input is not up42-sig=(names);created=time")
    names = tuple(listed[len(_LABEL) :].replace(b'"', b" ").split())
    if not names:
        raise MalformedSignature("the signature lists no headers")
    if len(set(names)) != len(names):
        raise MalformedSignature("the signature lists a header twice")
    if not set(_SIGNATURE_HEADERS).isdisjoint(names):
        raise MalformedSignature("the signature lists a signature header")
    return names


def _without_colons(encoded: bytes) -> bytes:
    return encoded[1:-1] if encoded[:1] == b":" == encoded[-1:] else encoded


def _digest(header: bytes, body: bytes) -> bytes:
    encoded = b2a_base64(sha256(body).digest(), newline=False)
    return b"sha-256=:%b:" % encoded if header == b"content-digest" else b"SHA-256=" + encoded


def _check_body(fields: Mapping[bytes, bytes], digests: tuple[bytes, ...], verified: Verified, body: bytes) -> Verified:
    """Compare the body with each digest header that is listed."""
    for header in digests:
        if fields[header] != _digest(header, body):  # the usual spelling, or else one to be read
            _read_digests(fields[header], body)
    return verified


def _read_digests(value: bytes, body: bytes) -> None:
    """Reject the body unless a digest is by a known hash function, and all such digests are right."""
    known = 0
    for each in value.split(b","):
        algorithm, _, encoded = each.strip().partition(b"=")
        digest = _DIGESTS.get(algorithm.lower())
        if digest is None:
            continue
        known += 1
        try:
            expected = a2b_base64(_without_colons(encoded or b"="), strict_mode=True)
        except Base64Error:
            raise BodyMismatch("the body's digest is not base64") from None
        if not is_same(digest(body).digest(), expected):
            raise BodyMismatch("the body is not the one that was signed")
    if not known:
        raise BodyMismatch("the body's digest is neither SHA-256 nor SHA-512")
