"""The scheme of senders that sign some values in the body, and have the signature in the body, too: Mailgun, Adyen,
Braintree.

What is not signed, a stranger who sees one delivery can change. So `Verified.body` is False.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import urlencode
from uuid import uuid4

from ..delivery import RequestHead
from ..errors import ConfigurationError, MalformedSignature, MissingSignature, VerificationError
from .content import form_fields
from .content_scheme import EncodingName, check_choice
from .encoding import ENCODINGS, checked_tolerance, reject_stale, seconds
from .hmac_keys import KeyForm
from .places import MAX_SIGNATURES
from .scheme import BodyCheck, Verified
from .secrets import Keyring, Secret, Secrets, is_same, mac, masked

_EACH = "*"
_HASHES = ("sha1", "sha256", "sha384", "sha512")


class _Key(NamedTuple):
    by: int
    mac: Callable[[bytes], bytes]


class _Place(NamedTuple):
    """A place in an item, such as "amount.value", or "originalReference?" for one that may be absent."""

    names: tuple[str, ...]
    is_optional: bool

    @classmethod
    def of(cls, text: object) -> _Place:
        if not isinstance(text, str) or not all(text.removesuffix("?").split(".")):
            raise ConfigurationError(f'a place in the body is such as "signature.token", not {text!r}')
        return cls(tuple(text.removesuffix("?").split(".")), text.endswith("?"))

    def __str__(self) -> str:
        return ".".join(self.names)


class HMACFields:
    """A scheme that verifies an HMAC (RFC 2104) over values in the body, by a signature in the body.

    A place is the names of members with dots between them, such as "signature.token". A value is signed as it is
    written: a text without its quotation marks, a number with its digits, true or false.

    Args:
        secrets: one secret or several; any verifies. Signing is up to who makes the body.
        signature: the place of the signature.
        signed: the places of the signed values, in their order; one with "?" behind it may be absent or null, and is
            an empty text then.
        joined_by: the text between the values; without one, a single value and the time may be signed. Where there is a
            time or an id, no value may contain it.
        items: the place of items that are signed one by one, with "*" for each element of an array, such as
            "notificationItems.*.NotificationRequestItem": all have to be signed with one secret. All other places are
            in an item. Empty if the whole document is the one item.
        form: whether the body is a form, whose fields are the members of the one item, and not JSON.
        item_separator: the text between several signatures at the place, such as "&"; empty if there is one.
        label_end: the text that ends a label in front of a signature, such as "|" behind the id of a key; empty if
            there is none. A label proves nothing, and is not looked at.
        hash: the hash function: "sha256", "sha512", "sha384" or "sha1".
        encoding: the encoding of the signature. See `HMACBody`.
        key: the form of the key in the secret: "text", "hex", "base64", or a `KeyForm`.
        timestamp: the place of the time of signing, in Unix seconds, which has to be signed.
        id: the place of the sender's id of the delivery, which has to be signed. What is sent with the same id is a
            duplicate, whatever else is in it.
        tolerance: the number of seconds that the sender's clock may be behind or ahead of ours.

    Raises:
        ConfigurationError: a secret or an option cannot work.
    """

    def __init__(
        self,
        secrets: Secrets,
        *,
        signature: str,
        signed: Sequence[str],
        joined_by: str = "",
        items: str = "",
        form: bool = False,
        item_separator: str = "",
        label_end: str = "",
        hash: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256",
        encoding: EncodingName = "hex",
        key: Literal["text", "hex", "base64"] | KeyForm = "text",
        timestamp: str | None = None,
        id: str | None = None,
        tolerance: float = 300,
    ) -> None:
        check_choice("hash", hash, _HASHES)
        check_choice("encoding", encoding, tuple(ENCODINGS))
        key_form = key if isinstance(key, KeyForm) else KeyForm(key)
        if isinstance(signed, str) or not signed:
            raise ConfigurationError('signed is a list of places, such as ("signature.timestamp", "signature.token")')
        for name, place in (("timestamp", timestamp), ("id", id)):
            if place is not None and (place not in signed or items):
                raise ConfigurationError(f"{name}={place!r} has to be one of signed=..., and there can be no items")
        if not joined_by and sum(place != timestamp for place in signed) > 1:
            raise ConfigurationError(
                "without joined_by=..., one value may be signed, and the time in front of it or behind it: where each "
                "of several ends is open, so that a stranger could move characters from one to another"
            )
        if form and (items or any("." in place for place in (signature, *signed))):
            raise ConfigurationError("form=True has fields alone: no items, and no places with a full stop")
        self._is_form = form
        self._item_separator, self._label_end = item_separator.encode(), label_end.encode()
        self._signature = _Place.of(signature)
        self._signed = [_Place.of(place) for place in signed]
        self._timestamp, self._id = (None if place is None else _Place.of(place) for place in (timestamp, id))
        self._items = items.split(".") if items else []
        self._joined_by = joined_by.encode()
        self._encoding = ENCODINGS[encoding]
        self._tolerance = checked_tolerance(tolerance)

        def make_key(by: int, secret: Secret) -> _Key:
            return _Key(by, mac(key_form.bytes_of(secret), hash))

        self._keyring = Keyring(masked(secrets), make_key)
        self.secret_count = len(self._keyring)
        self.proves_id = id is not None
        """Whether every delivery that it verifies has an id that it proves. See `Scheme`."""
        self.covered_headers = frozenset[bytes]()
        """No header: a signature covers other things. See `Scheme`."""

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head unchanged, if the body is signed with the first secret.

        Raises:
            ConfigurationError: it is not, or with another secret.
        """
        first = self._keyring.first(now)
        try:
            by = self._signer(body, now)[0]
        except VerificationError as error:
            what = f"cannot sign: put the signature into the body, as its {self._signature}"
            raise ConfigurationError(f"{what}: {error}") from None
        if by != first.by:
            raise ConfigurationError("cannot sign: the body is signed with another secret than the first")
        return head

    def sign_body(self, body: bytes, now: float) -> bytes:
        """Return a body with the signature in it, and with a time and an id where these are signed, made of a document.

        Raises:
            ConfigurationError: every secret has expired, or the body is no document that could be signed.
        """
        key = self._keyring.first(now)
        try:
            document: object = dict(_fields(body)) if self._is_form else json.loads(body)
            items = [*_items(document, self._items)]
            for item in items:
                for place, value in ((self._timestamp, f"{now:.0f}"), (self._id, uuid4().hex)):
                    if place is not None:
                        _put(item, place, value)
            written = [*_items(_document(json.dumps(document).encode()), self._items)]
            for item, each in zip(items, written, strict=True):
                signature = self._encoding.encode(key.mac(self._content(each)))
                _put(item, self._signature, (self._label_end + signature).decode())
        except (ValueError, VerificationError) as error:
            raise ConfigurationError(f"cannot sign: {error}") from None
        return (urlencode(cast("dict[str, str]", document)) if self._is_form else json.dumps(document)).encode()

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Return the check of the body; the head proves nothing. See `Scheme.verify`."""
        return lambda body: self._verified(*self._signer(body, now), now)

    def has_secret(self, secret: Secret) -> bool:
        """Return whether a secret is one of these. See `Scheme`."""
        return self._keyring.has(secret)

    def _signer(self, body: bytes, now: float) -> tuple[int, object, tuple[bytes, ...]]:
        """Return the index of the secret that a body is signed with, its first item, and the contents of all.

        Raises:
            VerificationError: it is signed with none.
        """
        items = [*_items(_form(body) if self._is_form else _document(body), self._items)]
        if not items:
            raise MissingSignature(f"the body has nothing that is signed: {'.'.join(self._items)}")
        signed = [(self._content(item), self._claimed(item)) for item in items]
        for key in self._keyring.at(now):
            if all(self._is_right(key, content, claimed) for content, claimed in signed):
                return key.by, items[0], tuple(content for content, _ in signed)
        raise self._keyring.mismatch(now)

    def _verified(self, by: int, item: object, contents: tuple[bytes, ...], now: float) -> Verified:
        signed_at = until = None
        if self._timestamp is not None:
            signed_at = seconds(_value(item, self._timestamp), str(self._timestamp))
            reject_stale(signed_at, now, self._tolerance)
            until = signed_at + self._tolerance
        id = None if self._id is None else _value(item, self._id).decode("utf-8", "replace")
        is_fresh = until is not None
        verified = Verified(by, body=False, id=id or None, fresh=is_fresh, contents=contents)
        return verified._replace(copies_until=until, signed_at=signed_at)

    def _content(self, item: object) -> bytes:
        values = [_value(item, place) for place in self._signed]
        if (self._id or self._timestamp) and self._joined_by and any(self._joined_by in value for value in values):
            raise MalformedSignature("a signed value in the body contains the text that stands between the values")
        return self._joined_by.join(values)

    def _is_right(self, key: _Key, content: bytes, claimed: list[bytes]) -> bool:
        expected = self._encoding.encode(key.mac(content))
        return any(is_same(expected, each) for each in claimed)

    def _claimed(self, item: object) -> list[bytes]:
        """Return the signatures of an item, without their labels."""
        text = _value(item, self._signature)
        if not text:
            raise MissingSignature(f"the body has no signature: {self._signature}")
        parts = text.split(self._item_separator, MAX_SIGNATURES) if self._item_separator else [text]
        if self._label_end:
            parts = [part.partition(self._label_end)[2] for part in parts]
        if len(parts) > MAX_SIGNATURES or not any(map(self._encoding.is_encoded, parts)):
            raise MalformedSignature(f"{self._signature} in the body is no signature: {self._encoding.what}")
        return [part.lower() for part in parts] if self._encoding.any_case else parts


def _document(body: bytes) -> object:
    """Return the document in a body, with each number as the text that it is written as.

    Raises:
        MalformedSignature: the body is no JSON, or a name is twice in an object.
    """
    try:
        return json.loads(
            body.decode(json.detect_encoding(body)),
            strict=False,
            parse_int=str,
            parse_float=str,
            object_pairs_hook=_without_duplicates,
        )
    except (ValueError, RecursionError):  # whose texts quote the body
        raise MalformedSignature("the body is no JSON, or a name is twice in it: nothing in it is signed") from None


def _form(body: bytes) -> object:
    """Return the fields of a form, each of which is there once.

    Raises:
        MalformedSignature: the body is none, or a name is twice in it.
    """
    try:
        return _without_duplicates([*_fields(body)])
    except ValueError:
        raise MalformedSignature("the body is no form, or a name is twice in it: nothing in it is signed") from None


def _fields(body: bytes) -> Iterator[tuple[str, object]]:
    return ((name.decode(), value.decode()) for name, value in form_fields(body))


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object without names that are there twice: of two, a handler could be given the one that is not signed.

    Raises:
        ValueError: one is there twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _items(value: Any, place: Sequence[str]) -> Iterator[object]:
    """Yield the items at a place."""
    if not place:
        yield value
    elif place[0] == _EACH:
        for each in cast("list[object]", value) if isinstance(value, list) else [None]:
            yield from _items(each, place[1:])
    else:
        yield from _items(_member(value, place[0]), place[1:])


def _value(item: object, place: _Place) -> bytes:
    """Return the value at a place of an item, as it is signed.

    Raises:
        MissingSignature: there is none.
        MalformedSignature: it is an object or an array.
    """
    value: object = item
    for name in place.names:
        value = _member(value, name)
    if value is None:
        if not place.is_optional:
            raise MissingSignature(f"the body has no {place}, which is signed")
        return b""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if not isinstance(value, str):
        raise MalformedSignature(f"{place} in the body is no value that could be signed")
    return value.encode("utf-8", "surrogatepass")


def _put(item: object, place: _Place, value: str) -> None:
    """Put a value into an item.

    Raises:
        ValueError: there is no object at the place.
    """
    for name in place.names[:-1]:
        item = cast("dict[str, object]", item).setdefault(name, {}) if isinstance(item, dict) else None
    if not isinstance(item, dict):
        raise ValueError(f"the body has no object for {place}")
    cast("dict[str, object]", item)[place.names[-1]] = value


def _member(value: object, name: str) -> object:
    return cast("Mapping[str, object]", value).get(name) if isinstance(value, Mapping) else None
