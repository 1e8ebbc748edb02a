"""The schemes of senders that sign nothing and send the secret itself: in a header, the query or the body.

Such a secret proves who sent a delivery, and neither its body nor its time: who sees one delivery can make any other.
So `Verified.body` is False, and all of these are for senders that can do no better, behind TLS.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, cast
from urllib.parse import quote, unquote_to_bytes

from ..delivery import RequestHead
from ..errors import BadSignature, ConfigurationError, MalformedSignature, MissingSignature
from .encoding import header_name
from .scheme import BodyCheck, Verified
from .secrets import Keyring, Secret, Secrets, is_same, masked

_EACH = "[]"
"""Behind the name of an array: each of its items."""

Key = tuple[int, bytes]
"""The index of a secret, and what a request has in its place."""


class HeaderSecret:
    """A scheme that takes a delivery whose header is the secret, such as `X-Api-Key` or `Authorization: Bearer`.

    The inbox does not store the header.

    Args:
        secrets: one secret or several, of visible characters; the first is sent, any verifies.
        header: the name of the header, in any case.
        prefix: the text in front of the secret, such as "Bearer ".

    Raises:
        ConfigurationError: a secret or an option cannot be in a header.
    """

    def __init__(self, secrets: Secrets, *, header: str, prefix: str = "") -> None:
        secrets = masked(secrets)
        given: object = prefix
        if not isinstance(given, str) or not given.isascii() or not given.isprintable():
            raise ConfigurationError(f'prefix is a text in front of the secret, such as "Bearer ", not {given!r}')
        self._header = header_name("header", header)
        self._keyring = Keyring(secrets, partial(_header_key, prefix))
        self.secret_count = len(self._keyring)
        self.covered_headers = None
        """It covers nothing of a request. See `Scheme`."""
        self.secret_headers = frozenset({self._header})
        """The headers that hold the secret, in lower case. See `Scheme`."""

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head with the header behind its own. See `Scheme.sign`."""
        return head.with_headers((self._header, self._keyring.first(now)[1]))

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Reject a delivery without the secret in its header. See `Scheme.verify`."""
        verified = _verified(
            self._keyring, _found(self._keyring, self._claims(head), now), f"the header {self._header.decode()}", now
        )
        return lambda body: verified

    def _claims(self, head: RequestHead) -> Iterator[list[bytes]]:
        return ([value] for name, value in head.headers if name == self._header)


class BasicAuth:
    """A scheme that takes a delivery with a user name and password in `Authorization: Basic` (RFC 7617), in UTF-8.

    The response to any other delivery asks for them, since some senders send them only then.

    Args:
        secrets: one password or several, of visible characters; the first is sent, any verifies.
        username: the user name, without a colon. For another name while it is being changed, `AnyOf` takes two schemes.

    Raises:
        ConfigurationError: a password or the user name cannot be in the header.
    """

    www_authenticate = 'Basic realm="webhooks", charset="UTF-8"'
    """The value of the header WWW-Authenticate of a 401. See `Scheme`."""

    def __init__(self, secrets: Secrets, *, username: str) -> None:
        secrets = masked(secrets)
        given: object = username
        if not isinstance(given, str) or not given.isprintable() or ":" in given:
            raise ConfigurationError(f"username is a text of visible characters without a colon, not {given!r}")
        self._keyring = Keyring(secrets, partial(_basic_key, username))
        self.secret_count = len(self._keyring)
        self.covered_headers = None
        """It covers nothing of a request. See `Scheme`."""

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head with the header Authorization behind its own. See `Scheme.sign`."""
        return head.with_headers((b"authorization", b"Basic " + self._keyring.first(now)[1]))

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Reject a delivery without the user name and password. See `Scheme.verify`."""
        verified = _verified(
            self._keyring, _found(self._keyring, _basic_claims(head), now), "Basic in the header authorization", now
        )
        return lambda body: verified


class QuerySecret:
    """A scheme that takes a delivery whose URL has the secret in its query, as in `/webhooks?token=...`.

    Servers and proxies write URLs into their logs; this package does not. Turn that off, as by `--no-access-log` of
    uvicorn.

    Args:
        secrets: one secret or several; the first is sent, any verifies.
        parameter: the name of the parameter.

    Raises:
        ConfigurationError: a secret or the name cannot work.
    """

    def __init__(self, secrets: Secrets, *, parameter: str) -> None:
        secrets = masked(secrets)
        given: object = parameter
        if not isinstance(given, str) or not given or not given.isprintable():
            raise ConfigurationError(f'parameter is the name of one in the query, such as "token", not {given!r}')
        self._parameter = parameter
        self._name = parameter.encode()
        self.secret_places = frozenset({f"query:{parameter}"})
        """The place in the URL that holds the secret. See `Scheme`."""
        self._keyring = Keyring(secrets, _plain_key)
        self.secret_count = len(self._keyring)
        self.covered_headers = None
        """It covers nothing of a request. See `Scheme`."""

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head with the parameter at the end of its query, in place of any that is there.

        Raises:
            ConfigurationError: every secret has expired.
        """
        others = [pair for pair in _pairs(head) if unquote_to_bytes(pair.partition(b"=")[0]) != self._name]
        secret = f"{quote(self._parameter, '')}={quote(self._keyring.first(now)[1], '')}".encode()
        return head._replace(target=head.path + b"?" + b"&".join([*others, secret]))

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Reject a delivery without the secret in its query. See `Scheme.verify`."""
        verified = _verified(
            self._keyring,
            _found(self._keyring, self._claims(head), now),
            f"the parameter {self._parameter!r} in the query",
            now,
        )
        return lambda body: verified

    def _claims(self, head: RequestHead) -> Iterator[list[bytes]]:
        for pair in _pairs(head):
            name, _, value = pair.partition(b"=")
            if unquote_to_bytes(name) == self._name:
                # As it is in URLs, and as forms write a space (URL Standard, section 5.1): a URL is typed in by hand.
                yield [unquote_to_bytes(value), unquote_to_bytes(value.replace(b"+", b" "))]


class BodySecret:
    """A scheme that takes a delivery whose body has the secret in a member of its JSON, such as `token`.

    The body is read before it is known whose it is, and the inbox stores it with the secret.

    Args:
        secrets: one secret or several; any verifies. Sending is up to who makes the body.
        member: the place of the secret, such as "token" or "header.token"; or "value[].token", if each item of an array
            has it: one item without it, or with another one, and the delivery is rejected.
        decode: the sender's function that returns the JSON in a body, such as `form_document`; None if the body is it.

    Raises:
        ConfigurationError: a secret or an option cannot work.
    """

    def __init__(self, secrets: Secrets, *, member: str, decode: Callable[[bytes], bytes] | None = None) -> None:
        secrets = masked(secrets)
        given: object = member
        if not isinstance(given, str) or not all(name.removesuffix(_EACH) for name in given.split(".")):
            raise ConfigurationError(f'member is a place in the body, such as "token" or "meta.token", not {given!r}')
        if decode is not None and not callable(decode):
            raise ConfigurationError("decode is a function of a body, such as form_document")
        self._member = member
        self._decode = decode
        self._keyring = Keyring(secrets, _plain_key)
        self.secret_count = len(self._keyring)
        self.covered_headers = None
        """It covers nothing of a request. See `Scheme`."""
        self.secret_members = frozenset({member})
        """The place of the secret in the body. See `Scheme`."""

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head unchanged, if the body has the first secret.

        Raises:
            ConfigurationError: the body has no secret, or another one than the first.
        """
        self._keyring.first(now)
        found = {_found(self._keyring, [claim], now)[1] for claim in self._claims(body)}
        if found != {by for by, _ in self._keyring.at(now)[:1]}:
            raise ConfigurationError(f"cannot sign: put the secret into the body, as its {self._member!r}")
        return head

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Return the check of the body; the head proves nothing. See `Scheme.verify`."""
        return lambda body: _verified(self._keyring, self._found(body, now), f"{self._member!r} in the body", now)

    def _found(self, body: bytes, now: float) -> tuple[int, int | None]:
        """Return what `_found` does, of all items as of one: the index of the oldest secret, None if one is wrong."""
        found = [_found(self._keyring, [claim], now)[1] for claim in self._claims(body)]
        right = [by for by in found if by is not None]
        return min(len(found), 1), max(right) if right and len(right) == len(found) else None

    def _claims(self, body: bytes) -> list[list[bytes]]:
        try:
            decoded = body if self._decode is None else self._decode(body)
            # Whatever else the body holds must not stand in the way: bytes that are no text, or endless numbers.
            text = decoded.decode(json.detect_encoding(decoded), "replace")
            value: Any = json.loads(text, strict=False, parse_int=str, parse_float=str)
        except Exception:  # of no JSON, of too deep nesting, or whatever `decode` raises on a stranger's body
            return []
        found = dict.fromkeys(_texts(value, self._member.split(".")))
        return [] if None in found else [[text.encode(errors="surrogatepass")] for text in found if text is not None]


def _verified(keyring: Keyring[Key], found: tuple[int, int | None], what: str, now: float) -> Verified:
    """Return the result of a comparison of the secrets with what a request has in their place.

    Args:
        keyring: the secrets.
        found: the number of values in that place, and the index of the secret that they are; see `_found`. No frame of
            an error may have the values themselves.
        what: the name of the place, for errors.
        now: the time of receipt, in Unix seconds.

    Raises:
        VerificationError: there is no value, more than one, or a wrong one.
    """
    count, by = found
    if not count:
        raise MissingSignature(f"there is no secret: {what}")
    if count > 1:
        raise MalformedSignature(f"{what}: it is there more than once")
    if by is None:
        raise BadSignature(
            f"{what}: it is none of the receiver's secrets" if keyring.at(now) else "every secret has expired"
        )
    return Verified(by, body=False)


def _found(keyring: Keyring[Key], claims: Iterable[list[bytes]], now: float) -> tuple[int, int | None]:
    """Return the number of values, and the index of the secret that the last one is; None if it is none."""
    count, by = 0, None
    for spellings in claims:
        count += 1
        by = next((by for by, key in keyring.at(now) if any(is_same(key, each) for each in spellings)), None)
    return count, by


def _texts(value: Any, names: list[str]) -> Iterator[str | None]:
    """Yield the text at a place of a document, of an array that of each item; None where there is no text."""
    for at, name in enumerate(names):
        value = cast("Mapping[str, Any]", value).get(name.removesuffix(_EACH)) if isinstance(value, Mapping) else None
        if name.endswith(_EACH):
            for item in cast("list[object]", value) if isinstance(value, list) and value else [None]:
                yield from _texts(item, names[at + 1 :])
            return
    yield value if isinstance(value, str) else None


def _pairs(head: RequestHead) -> list[bytes]:
    return [pair for pair in head.target.partition(b"?")[2].split(b"&") if pair]


def _basic_claims(head: RequestHead) -> Iterator[list[bytes]]:
    for name, value in head.headers:
        if name == b"authorization":
            scheme, _, credentials = value.partition(b" ")
            if scheme.lower() == b"basic":  # in any case: RFC 9110, section 11.1
                yield [credentials.lstrip(b" ")]


def _plain_key(by: int, secret: Secret) -> Key:
    return by, secret.get_secret_value().encode()


def _header_key(prefix: str, by: int, secret: Secret) -> Key:
    _check_visible(secret)
    return by, (prefix + secret.get_secret_value()).encode()


def _basic_key(username: str, by: int, secret: Secret) -> Key:
    _check_visible(secret)
    return by, b64encode(f"{username}:{secret.get_secret_value()}".encode())


def _check_visible(secret: Secret) -> None:
    if not secret.get_secret_value().isprintable():
        raise ConfigurationError("a secret in a header has visible characters and spaces only, and this one has others")
