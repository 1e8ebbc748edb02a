"""The scheme of most senders: an HMAC (RFC 2104) over the body, in some cases with other parts of the request.

GitHub, Stripe, Slack and Shopify sign so; their options are in `webhook_receiver.senders`.

All options are read when the scheme is made: the template of the signed content, the places, and the keys. For a
request the head gives the content around the body and the signatures that it claims; the body then completes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal, NamedTuple
from uuid import uuid4

from ..delivery import Headers, RequestHead
from ..errors import BadSignature, ConfigurationError, MalformedSignature, MissingSignature
from .body_forms import BodyForm
from .content import Content, Template, form_content
from .encoding import ENCODINGS, TIME_FORMATS, checked_tolerance, missing, reject_stale
from .hmac_keys import KeyForm
from .places import ITEM_SEPARATORS, MAX_SIGNATURES, ItemSeparator, Place, written
from .scheme import BodyCheck, Verified
from .secrets import Keyring, Secret, Secrets, is_same, mac, masked

_HASHES = ("sha1", "sha256", "sha384", "sha512")
_PADDING = b"\0\0\0\0"
"""Bytes that are in all that can be appended to a hashed text without knowing its beginning: the padding of SHA (FIPS
180-4, section 5.1) ends in a length of 64 bits or more, whose upper half is zero."""


class _Key(NamedTuple):
    by: int
    sign: Callable[[list[bytes | None]], bytes]
    """A function of the content's parts, with None for the secret, that returns the signature as it is sent."""


class HMACBody:
    """A scheme that signs and verifies by an HMAC (RFC 2104) over the body: that of most senders with a secret.

    A place is the name of a header; "header:item" for an item of a header such as `t=1765433012,v1=5257a869`; or
    "header[0]" for an item by its position, "header[1:]" for all from a position on.

    The template of the signed content is a text with the field {body}, and others where these are signed:

    - {timestamp} and {id}, which have a place each.
    - {header:x-nonce}, the value of a header.
    - {method}, the method of the request; {url}, the URL that the sender posts to, as `WebhookReceiver(public_url=...)`
      has it; {path}, the path of that URL, or of the request if no URL is known; {query}, the query of the request as
      it came; {target}, the path with `?` and the query if there is one.
    - {form} in place of {body}: the names and values of a form's fields, decoded and sorted, with nothing between them.
      The border between a name and its value is not signed then, so `Verified.body` is False.
    - {secret}: the secret itself. Then the signature is the plain hash of the content, not its HMAC.

    A list of templates is joined by `joined_by`. An item with an optional part, {header:x-nonce?} or {query?}, is left
    out where that is absent. A part whose length is open needs a separator on the side of the body, which its value may
    not contain.

    Args:
        secrets: one secret or several; the first signs, any verifies.
        signature: the place of the signature. An item may occur several times; one right signature is enough. With
            several places, the first secret signs at the first place, the second at the second, and so on; one that is
            absent is passed over.
        prefix: the text in front of the signature, such as "sha256=".
        hash: the hash function: "sha256", "sha512", "sha384" or "sha1".
        encoding: the encoding of the signature: "hex", in lower case; "hex-any-case"; "base64" or "base64url", with
            padding; "base64-unpadded" or "base64url-unpadded".
        item_separator: the text that parts the items of a header: ",", ";", "&", "|" or " ".
        signed: the template of the signed content, or a list of templates.
        joined_by: the text between the templates of a list.
        timestamp: the place of the time of signing. The time has to be signed.
        timestamp_format: the format of that time: "seconds" or "milliseconds", since 1970; or "rfc3339", such as
            `2026-01-31T12:00:00.5Z`.
        id: the place of the sender's id of the delivery, which stays the same when the delivery is sent again. The id
            has to be signed; one that is not is a part of the sender, `Sender.delivery_id`.
        key: the form of the key in the secret: "text" for its UTF-8 bytes, "hex", "base64", or a `KeyForm`.
        key_id: the place of the id of the key that the sender signed with; that key alone verifies.
        key_ids: the ids of the secrets, in their order.
        body_form: a function of the body that returns the bytes to sign in its place, or raises ValueError:
            `gunzipped`, `escaped` or `canonical_json` of `webhook_receiver.signatures.body_forms`, or one of your own.
        tolerance: the number of seconds that the sender's clock may be behind or ahead of ours; without `timestamp`,
            it means nothing.

    Raises:
        ConfigurationError: a secret or an option cannot work, or an extra is missing.
    """

    def __init__(
        self,
        secrets: Secrets,
        *,
        signature: str | Sequence[str],
        prefix: str = "",
        hash: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256",
        encoding: Literal[
            "hex", "hex-any-case", "base64", "base64-unpadded", "base64url", "base64url-unpadded"
        ] = "hex",
        item_separator: ItemSeparator = ",",
        signed: str | Sequence[str] = "{body}",
        joined_by: str = "",
        timestamp: str | None = None,
        timestamp_format: Literal["seconds", "milliseconds", "rfc3339"] = "seconds",
        id: str | None = None,
        key: Literal["text", "hex", "base64"] | KeyForm = "text",
        key_id: str | None = None,
        key_ids: Sequence[str] = (),
        body_form: BodyForm | None = None,
        tolerance: float = 300,
    ) -> None:
        secrets = masked(secrets)
        _check_choice("hash", hash, _HASHES)
        _check_choice("encoding", encoding, tuple(ENCODINGS))
        _check_choice("item_separator", item_separator, ITEM_SEPARATORS)
        _check_choice("timestamp_format", timestamp_format, tuple(TIME_FORMATS))
        places = [signature] if isinstance(signature, str) or not isinstance(signature, Sequence) else signature
        self._signatures = [Place.of(place, item_separator) for place in places]
        self._timestamp, self._id, self._key_id = (
            None if place is None else Place.of(place, item_separator) for place in (timestamp, id, key_id)
        )
        used = [*self._signatures, *(place for place in (self._timestamp, self._id, self._key_id) if place)]
        if not self._signatures or len(set(used)) < len(used):
            raise ConfigurationError("signature, timestamp, id and key_id have places of their own")
        if len(self._signatures) > 1 and len(secrets) > len(self._signatures):
            raise ConfigurationError(f"{len(secrets)} secrets for {len(self._signatures)} places: one has one secret")
        self._key_ids = [each.encode() for each in key_ids]
        if len(self._key_ids) != (0 if key_id is None else len(secrets)) or len({*key_ids}) < len(key_ids):
            raise ConfigurationError("key_ids has an id for each secret, in their order, and key_id is its place")
        self._prefix = prefix.encode()
        self._encoding = ENCODINGS[encoding]
        self._time_format = TIME_FORMATS[timestamp_format]
        self._tolerance = checked_tolerance(tolerance)
        given = {name for name, place in (("timestamp", timestamp), ("id", id)) if place is not None}
        self._template = Template(signed, joined_by, given)
        self.needs_url = self._template.needs_url
        """Whether the URL that the sender posts to is signed. See `Scheme`."""
        self._body_form = _checked_form(body_form)
        self._changes_body = body_form is not None or self._template.is_form or self._template.has_secret
        self._is_body_alone = self._template.is_body_alone and body_form is None
        self._hash = hash
        self._key_form = key if isinstance(key, KeyForm) else KeyForm(key)
        self._keyring = Keyring(secrets, self._key)
        self.secret_count = len(self._keyring)

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head with the headers that prove the delivery. Its id stays; without one, a random id is added.

        Raises:
            ConfigurationError: every secret has expired, the id or the body cannot be signed, or the head lacks a
                part that has to be signed.
        """
        key = self._keyring.first(now)
        time = self._time_format.write(now)
        has_id = self._id is None or any(name == self._id.header for name, _ in head.headers)
        try:
            id = b"" if self._id is None else self._id.value(head.headers) if has_id else uuid4().hex.encode()
            parts = self._parts(self._template.read(head, time, id), body)
        except (MalformedSignature, MissingSignature) as error:
            raise ConfigurationError(f"cannot sign: {error}") from None
        stated = [] if self._id is None or has_id else [(self._id, id)]
        if self._timestamp is not None:
            stated.append((self._timestamp, time))
        if self._key_id is not None:
            stated.append((self._key_id, self._key_ids[key.by]))
        stated.append((self._signatures[key.by if len(self._signatures) > 1 else 0], key.sign(parts)))
        return head.with_headers(*written(stated))

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Read the headers; return the check of the signature, which covers the body. See `Scheme`."""
        headers = head.headers
        claims = self._claimed(headers)
        time, signed_at = b"", None
        if self._timestamp is not None:
            time = self._timestamp.value(headers)
            signed_at = self._time_format.read(time)
            if signed_at is None:
                raise MalformedSignature(f"{self._timestamp} is not {self._time_format.what}")
        id = None if self._id is None else self._id.value(headers)
        chosen = None if self._key_id is None else self._chosen(self._key_id.value(headers))
        content = self._template.read(head, time, id or b"")
        return partial(self._check, claims, content, signed_at, id, chosen, now)

    def _check(
        self,
        claims: list[list[bytes]],
        content: Content,
        signed_at: float | None,
        id: bytes | None,
        chosen: int | None,
        now: float,
        body: bytes,
    ) -> Verified:
        parts: list[bytes | None] = [body] if self._is_body_alone else self._parts(content, body)
        for by, sign in self._keyring.at(now):
            claimed = claims[by if len(claims) > 1 else 0]
            if not claimed or (chosen is not None and chosen != by):
                continue
            expected = sign(parts)
            if any(is_same(expected, each) for each in claimed):
                if signed_at is not None:
                    reject_stale(signed_at, now, self._tolerance)
                text = None if id is None else id.decode("latin-1")
                return Verified(by, body=not self._template.is_form, id=text, fresh=signed_at is not None)
        raise self._keyring.mismatch(now)

    def _parts(self, content: Content, body: bytes) -> list[bytes | None]:
        if self._changes_body:
            body = self._formed(body)
        parts = [*content.before, body, *content.after]
        return parts if self._template.has_secret else [b"".join(parts)]  # type: ignore[arg-type]

    def _claimed(self, headers: Headers) -> list[list[bytes]]:
        """Return the signatures at each place, of which one at least has to be there."""
        if len(self._signatures) == 1:
            return [self._claimed_at(self._signatures[0], headers)]
        present = {name for name, _ in headers}
        claimed = [self._claimed_at(place, headers) if place.header in present else [] for place in self._signatures]
        if not any(claimed):
            raise missing(self._signatures[0].header, headers)
        return claimed

    def _claimed_at(self, place: Place, headers: Headers) -> list[bytes]:
        claimed = place.values(headers)
        if not any(map(self._is_signature, claimed)) or len(claimed) > MAX_SIGNATURES:
            raise MalformedSignature(f"{place} holds no signature: {self._prefix.decode()}, then {self._encoding.what}")
        if self._encoding.any_case:
            length = len(self._prefix)
            return [each[:length] + each[length:].lower() for each in claimed]
        return claimed

    def _is_signature(self, claimed: bytes) -> bool:
        return claimed.startswith(self._prefix) and self._encoding.is_encoded(claimed[len(self._prefix) :])

    def _chosen(self, key_id: bytes) -> int:
        try:
            return self._key_ids.index(key_id)
        except ValueError:
            raise BadSignature(f"{self._key_id} names a key that the receiver does not have") from None

    def _formed(self, body: bytes) -> bytes:
        """Return the bytes that are signed in the place of a body."""
        try:
            if self._body_form is not None:
                body = self._body_form(body)
            if self._template.is_form:
                body = form_content(body)
        except ValueError as error:
            raise MalformedSignature(f"the body is not signed in the declared form: {error}") from None
        if self._template.has_secret and _PADDING in body:
            raise MalformedSignature("the body has zero bytes, as one that was appended to without the secret has")
        return body

    def _key(self, by: int, secret: Secret) -> _Key:
        key, prefix, encoded = self._key_form.bytes_of(secret), self._prefix, self._encoding.encode
        if self._template.has_secret:

            def plain(parts: list[bytes | None]) -> bytes:
                content = b"".join([key if part is None else part for part in parts])
                return prefix + encoded(hashlib.new(self._hash, content).digest())

            return _Key(by, plain)
        digest = mac(key, self._hash)

        def keyed(parts: list[bytes | None]) -> bytes:
            return prefix + encoded(digest(parts[0] or b""))

        return _Key(by, keyed)


def _check_choice(option: str, given: object, choices: Sequence[str]) -> None:
    if given not in choices:
        raise ConfigurationError(f"{option} is one of {', '.join(map(repr, choices))}, not {given!r}")


def _checked_form(body_form: BodyForm | None) -> BodyForm | None:
    """Return a body's form unchanged, having tried it, so that a missing extra is told at the start."""
    if body_form is not None:
        if not callable(body_form):
            raise ConfigurationError(f"body_form is a function of a body, such as gunzipped, not {body_form!r}")
        with suppress(ValueError):
            body_form(b"{}")
    return body_form
