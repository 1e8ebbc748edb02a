"""The base of the schemes whose signature covers parts of a request, put together by a template.

All options are read when the scheme is made: the template of the signed content, the places, and the keys. For a
request the head gives the content around the body and the signatures that it claims; the body then completes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile
from typing import Literal, NamedTuple, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

from ..delivery import Headers, RequestHead
from ..errors import BadSignature, ConfigurationError, MalformedSignature, MissingSignature, VerificationError
from ..redaction import place_of
from .body_forms import WEAK, BodyForm
from .content import Content, Template, form_fields
from .encoding import ENCODINGS, TIME_FORMATS, Encoding, checked_tolerance, missing, reject_stale
from .jwks import JWKS, JWKSKeyring
from .keys_by_id import KeysById, KeysByIdKeyring
from .places import ITEM_SEPARATORS, MAX_SIGNATURES, ItemSeparator, Place, written
from .scheme import BodyCheck, Verified
from .secrets import Keyring, Secret

S = TypeVar("S", list[Secret], JWKS, KeysById, list[Secret] | JWKS | KeysById)

EncodingName = Literal["hex", "hex-any-case", "base64", "base64-unpadded", "base64url", "base64url-unpadded"]
TimeFormatName = Literal["seconds", "milliseconds", "rfc3339", "http-date"]
ContentParts = list[bytes | None]
"""The parts of the signed content, with None for the secret; one part if the secret is not in it."""

_PADDING = b"\0\0\0\0"
"""Bytes that are in all that can be appended to a hashed text without knowing its beginning: the padding of SHA (FIPS
180-4, section 5.1) ends in a length of 64 bits or more, whose upper half is zero."""

_LONGEST_TOLERANCE = 100_000_000
"""Less than a digit more or less changes in a time of seconds."""


class ContentKey(NamedTuple):
    """A key of a scheme over parts of a request."""

    by: int
    """The index of its secret."""
    sign: Callable[[ContentParts], bytes] | None
    """A function of the content that returns its signature as it is sent, with the prefix; None for a public key."""
    verifies: Callable[[ContentParts, list[bytes]], bool]
    """A function of the content, and of signatures as they came, that returns whether one of them is right."""


ContentKeyring = Keyring[ContentKey] | JWKSKeyring[ContentKey] | KeysByIdKeyring[ContentKey]


class ContentScheme:
    """The base of `HMACBody` and `PublicKeyBody`, which say what the options mean.

    Args:
        secrets: the secrets or keys; a JWKS has its keys' ids itself.
        make_keyring: a function of the secrets, the encoding of signatures, the prefix in front of them, and whether
            the secret is a part of the content; it returns the keyring.

    Raises:
        ConfigurationError: a secret or an option cannot work, or an extra is missing.
    """

    def __init__(
        self,
        secrets: S,
        make_keyring: Callable[
            [S, Encoding, bytes, bool], Keyring[ContentKey] | JWKSKeyring[ContentKey] | KeysByIdKeyring[ContentKey]
        ],
        *,
        signature: str | Sequence[str],
        prefix: str,
        encoding: EncodingName,
        item_separator: ItemSeparator,
        signed: str | Sequence[str],
        joined_by: str,
        timestamp: str | None,
        timestamp_format: TimeFormatName,
        id: str | None,
        key_id: str | None,
        key_ids: Sequence[str],
        body_form: BodyForm | None,
        tolerance: float,
    ) -> None:
        count = None if isinstance(secrets, JWKS | KeysById) else len(secrets)
        check_choice("encoding", encoding, tuple(ENCODINGS))
        check_choice("item_separator", item_separator, ITEM_SEPARATORS)
        check_choice("timestamp_format", timestamp_format, tuple(TIME_FORMATS))
        if timestamp is None and timestamp_format != "seconds":
            raise ConfigurationError("timestamp_format is the format of a time: say where that is, by timestamp=...")
        places = [signature] if isinstance(signature, str) or not isinstance(signature, Sequence) else signature
        self._signatures = [Place.of(place, item_separator) for place in places]
        self._timestamp, self._id, self._key_id = (
            None if place is None else Place.of(place, item_separator) for place in (timestamp, id, key_id)
        )
        used = [*self._signatures, *(place for place in (self._timestamp, self._id, self._key_id) if place)]
        if not self._signatures or len(set(used)) < len(used):
            raise ConfigurationError("signature, timestamp, id and key_id have places of their own")
        if len(self._signatures) > 1 and (count is None or count > len(self._signatures)):
            raise ConfigurationError(
                f"{count or 'any number of'} secrets for {len(self._signatures)} places: one has one secret"
            )
        key_ids = [] if isinstance(key_ids, str) else [*key_ids]
        self._key_ids = [each.encode() for each in key_ids]
        if len(self._key_ids) != (0 if key_id is None else count or 0) or len({*key_ids}) < len(key_ids):
            raise ConfigurationError("key_ids has an id for each secret, in their order, and key_id is its place")
        if isinstance(secrets, KeysById) and key_id is None:
            raise ConfigurationError("keys by their ids need key_id=..., the place of the id")
        self.proves_id = id is not None
        """Whether every delivery that it verifies has an id that it proves. See `Scheme`."""
        self._prefix = prefix.encode()
        self._encoding = ENCODINGS[encoding]
        self._time_format = TIME_FORMATS[timestamp_format]
        self._tolerance = checked_tolerance(tolerance)
        given = {name for name, place in (("timestamp", timestamp), ("id", id)) if place is not None}
        self._template = Template(signed, joined_by, given)
        self.needs_url = self._template.needs_url
        """Whether the URL that the sender posts to is signed. See `Scheme`."""
        if self._template.has_bare_time and tolerance > _LONGEST_TOLERANCE:
            raise ConfigurationError(
                f"tolerance={tolerance:g} is more than {_LONGEST_TOLERANCE} s, and no separator tells where the time "
                "in signed=... ends: another time would do as well"
            )
        self.covered_headers = self._template.headers
        """The headers that all signatures cover. See `Scheme`."""
        self._body_form = _checked_form(body_form, self._template)
        self._proves_body = not self._template.is_form and body_form not in WEAK
        self._changes_body = (
            body_form is not None or self._template.is_form or self._template.has_secret or self._template.is_vague
        )
        self._is_body_alone = self._template.is_body_alone and body_form is None
        self._keyring = make_keyring(secrets, self._encoding, self._prefix, self._template.has_secret)
        self.secret_count = len(self._keyring)

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head with the headers that prove the delivery. Its id stays; without one, a random id is added.

        Raises:
            ConfigurationError: every secret has expired or the first one is a public key, the id or the body cannot be
                signed, or the head lacks a part that has to be signed.
        """
        key = self._keyring.first(now)
        if key.sign is None:
            raise ConfigurationError("cannot sign with a public key: give the private one")
        time = self._time_format.write(now)
        has_id = self._id is None or any(name == self._id.header for name, _ in head.headers)
        try:
            id = b"" if self._id is None else self._id.value(head.headers) if has_id else uuid4().hex.encode()
            content = self._template.read(head, time, id)
            parts = self._parts(content, self._formed(body)[0] if self._changes_body else body)
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
        content = self._template.read(head, time, id or b"")
        # Last, since they may have to be fetched.
        keys = self._keyring.at(now) if self._key_id is None else self._chosen(self._key_id, headers, now)
        return partial(self._check, claims, content, signed_at, id, keys, now)

    def content_start(self, head: RequestHead) -> bytes:
        """Return what is signed in front of the body; nothing where the head lacks a part. See `Scheme`."""
        try:
            time, id = (b"" if each is None else each.value(head.headers) for each in (self._timestamp, self._id))
            before = self._template.read(head, time, id).before
        except VerificationError:
            return b""
        return b"".join(takewhile(lambda part: part is not None, before))  # type: ignore[arg-type]

    def has_secret(self, secret: Secret) -> bool:
        """Return whether a secret is one of these. See `Scheme`."""
        return isinstance(self._keyring, Keyring) and self._keyring.has(secret)

    def _check(
        self,
        claims: list[list[bytes]],
        content: Content,
        signed_at: float | None,
        id: bytes | None,
        keys: Sequence[ContentKey],
        now: float,
        body: bytes,
    ) -> Verified:
        form = None
        if self._changes_body:
            body, form = self._formed(body)
        parts: ContentParts = [body] if self._is_body_alone else self._parts(content, body)
        for by, _, verifies in keys:
            claimed = claims[by if len(claims) > 1 else 0]
            if claimed and verifies(parts, claimed):
                if signed_at is not None:
                    reject_stale(signed_at, now, self._tolerance)
                text = None if id is None else id.decode("latin-1")
                contents = (parts[0] or b"",)
                verified = Verified(by, self._proves_body, text, form=form, contents=contents)
                if signed_at is None:
                    return verified
                until = signed_at + self._tolerance
                return verified._replace(fresh=True, copies_until=until, signed_at=signed_at)
        raise self._keyring.mismatch(now)

    def _parts(self, content: Content, body: bytes) -> ContentParts:
        parts = [*content.before, body, *content.after]
        return parts if self._template.has_secret else [b"".join(parts)]  # type: ignore[arg-type]

    def _claimed(self, headers: Headers) -> list[list[bytes]]:
        """Return the signatures at each place, of which one at least has to be there."""
        if len(self._signatures) == 1:
            return [self._claimed_at(self._signatures[0], headers)]
        present = {name for name, _ in headers}
        claimed = [
            self._claimed_at(place, headers) if place.header in present and place.values(headers) else []
            for place in self._signatures
        ]
        if not any(claimed):
            raise missing(self._signatures[0].header, headers)
        return claimed

    def _claimed_at(self, place: Place, headers: Headers) -> list[bytes]:
        claimed = place.values(headers)
        if not any(map(self._is_signature, claimed)) or len(claimed) > MAX_SIGNATURES:
            form = f"{self._prefix.decode()}, then {self._encoding.what}" if self._prefix else self._encoding.what
            raise MalformedSignature(f"{place} holds no signature: {form}")
        if self._encoding.any_case:
            length = len(self._prefix)
            return [each[:length] + each[length:].lower() for each in claimed]
        return claimed

    def _is_signature(self, claimed: bytes) -> bool:
        return claimed.startswith(self._prefix) and self._encoding.is_encoded(claimed[len(self._prefix) :])

    def _chosen(self, place: Place, headers: Headers, now: float) -> Sequence[ContentKey]:
        """Return the keys that a header names.

        Raises:
            VerificationError: it names none of ours.
            KeysNeeded: they have to be fetched first.
        """
        key_id = place.value(headers)
        if isinstance(self._keyring, JWKSKeyring | KeysByIdKeyring):
            return self._keyring.with_id(key_id.decode("utf-8", "replace"), now)
        if key_id not in self._key_ids:
            raise BadSignature(f"{place} names a key that the receiver does not have")
        by = self._key_ids.index(key_id)
        return [key for key in self._keyring.at(now) if key.by == by]

    def _formed(self, body: bytes) -> tuple[bytes, bytes]:
        """Return the bytes that are signed in the place of a body, and what all bodies with such bytes tell."""
        try:
            form = body
            if self._body_form is not None:
                body = _bytes(self._body_form(body))
                form = form if self._body_form in WEAK else body
            if self._template.is_form:
                fields = sorted({*form_fields(body)})  # the same one twice counts once
                body, form = b"".join(part for field in fields for part in field), urlencode(fields).encode()
        except ValueError as error:
            raise MalformedSignature(f"the body is not signed in the declared form: {error}") from None
        except Exception as error:  # in a user's function; its text may quote the body
            raise MalformedSignature(f"the body is not signed in the declared form: {place_of(error)}") from None
        if self._template.has_secret and _PADDING in body:
            raise MalformedSignature("the body has zero bytes, as one that was appended to without the secret has")
        self._template.check_border(body)
        return body, form


def check_choice(option: str, given: object, choices: Sequence[str]) -> None:
    """Reject a value of an option that is none of its choices.

    Raises:
        ConfigurationError: the value is none of them.
    """
    if given not in choices:
        raise ConfigurationError(f"{option} is one of {', '.join(map(repr, choices))}, not {given!r}")


def _checked_form(body_form: BodyForm | None, template: Template) -> BodyForm | None:
    """Return a body's form unchanged, having tried it, so that a missing extra is told at the start."""
    if body_form is not None:
        if not callable(body_form):
            raise ConfigurationError(f"body_form is a function of a body, such as gunzipped, not {body_form!r}")
        try:
            formed: object = body_form(b"{}")
        except ConfigurationError:
            raise
        except Exception:  # noqa: S110 - no sender's body
            pass
        else:
            if not isinstance(formed, bytes):
                raise ConfigurationError(f"body_form returns the bytes to sign, not {type(formed).__name__}")
            try:
                template.check_border(formed)
            except MalformedSignature as error:
                raise ConfigurationError(f"body_form does not fit signed=...: {error}") from None
    return body_form


def _bytes(formed: object) -> bytes:
    if not isinstance(formed, bytes):
        raise ValueError(f"body_form returned {type(formed).__name__}, not bytes")
    return formed
