"""The scheme of most senders: an HMAC (RFC 2104) over the body, in some cases with a time and an id, in a header.

GitHub, Stripe, Slack and Shopify sign so; their options are in `webhook_receiver.senders`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from string import Formatter
from typing import Literal, NamedTuple
from uuid import uuid4

from ..delivery import Headers, RequestHead
from ..errors import ConfigurationError, MalformedSignature
from .encoding import checked_tolerance, is_base64, only, reject_stale, seconds, to_base64
from .scheme import BodyCheck, Verified
from .secrets import Keyring, Secret, Secrets, is_same, mac, masked

_HASHES = ("sha1", "sha256", "sha384", "sha512")
_HEX = b"0123456789abcdef"
_MAX_SIGNATURES = 16  # in one header


class _Place(NamedTuple):
    """The place of a value: a header, or an item of a header such as `t=1765433012,v1=5257a869`."""

    header: bytes
    item: bytes | None

    def values(self, headers: Headers) -> list[bytes]:
        value = only(headers, self.header)
        if self.item is None:
            return [value]
        items = [each.strip(b" \t").partition(b"=") for each in value.split(b",", 2 * _MAX_SIGNATURES)]
        return [value for name, _, value in items if name == self.item]

    def value(self, headers: Headers) -> bytes:
        values = self.values(headers)
        if len(values) != 1:
            raise MalformedSignature(f"{self} is there {len(values) or 'no'} times, not once")
        return values[0]

    def __str__(self) -> str:
        return self.header.decode() if self.item is None else f"{self.item.decode()} in {self.header.decode()}"


class _Template:
    """The template of the signed content, such as "{timestamp}.{body}", split into literal parts and fields."""

    def __init__(self, signed: str, given: set[str]) -> None:
        try:
            cut = [*Formatter().parse(signed)]
        except ValueError as error:
            raise ConfigurationError(f"signed={signed!r} cannot be read: {error}") from None
        if any(spec or conversion for _, _, spec, conversion in cut):
            raise ConfigurationError(
                f"signed={signed!r} has a field with a format: write {{body}}, {{timestamp}} and {{id}} without one"
            )
        pieces = [piece for literal, field, _, _ in cut for piece in (literal.encode() or None, field)]
        self._parts = [piece for piece in pieces if piece is not None]
        fields = [part for part in self._parts if isinstance(part, str)]
        if unknown := set(fields) - {"body", "timestamp", "id"}:
            raise ConfigurationError(f"signed=... knows {{body}}, {{timestamp}} and {{id}}, not {unknown.pop()!r}")
        if fields.count("body") != 1:
            raise ConfigurationError(
                "signed=... needs {body} exactly once: otherwise the signature would not prove the body"
            )
        if lacking := set(fields) - {"body"} - given:
            raise ConfigurationError(
                f"signed=... has {{{lacking.copy().pop()}}}, so name its header: {lacking.copy().pop()}=..."
            )
        if "id" in given and "id" not in fields:
            raise ConfigurationError(
                "an id that is not signed proves nothing: put {id} into signed=..., or say Sender(delivery_id=...)"
            )
        if "timestamp" in given and "timestamp" not in fields:
            raise ConfigurationError("a timestamp that is not signed proves nothing: put {timestamp} into signed=...")
        self._end_of_id = b""
        if "id" not in fields:
            return
        if isinstance(end := [*self._parts, b""][self._parts.index("id") + 1], bytes):
            self._end_of_id = end
        else:
            raise ConfigurationError(
                "signed=... needs a separator behind {id}, such as a full stop: without one, where the id ends is open"
            )

    def fill(self, timestamp: bytes, id: bytes, body: bytes) -> bytes:
        if len(self._parts) == 1:
            return body
        if self._end_of_id and self._end_of_id in id:
            raise MalformedSignature("the delivery's id contains the separator that stands behind {id} in signed=...")
        values = {"timestamp": timestamp, "id": id, "body": body}
        return b"".join([values[part] if isinstance(part, str) else part for part in self._parts])


class HMACBody:
    """A scheme that signs and verifies by an HMAC (RFC 2104) over the body: that of most senders with a secret.

    A place is the name of a header, or "header:item" for an item of a header such as `t=1765433012,v1=5257a869`.

    Args:
        secrets: one secret or several, used as their UTF-8 bytes; the first signs, any verifies.
        signature: the place of the signature. An item may occur several times; one right signature is enough.
        prefix: the text in front of the signature, such as "sha256=".
        hash: the hash function: "sha256", "sha512", "sha384" or "sha1".
        encoding: the encoding of the signature: "hex", in lower case, or "base64".
        signed: the template of the signed content: a text with {body}, and {timestamp} and {id} where these are signed.
        timestamp: the place of the time of signing, in Unix seconds. The time has to be signed.
        id: the place of the sender's id of the delivery, which stays the same when the delivery is sent again. The id
            has to be signed; one that is not is a part of the sender, `Sender.delivery_id`.
        tolerance: the number of seconds that the sender's clock may be behind or ahead of ours; without `timestamp`,
            it means nothing.

    Raises:
        ConfigurationError: a secret or an option cannot work.
    """

    def __init__(
        self,
        secrets: Secrets,
        *,
        signature: str,
        prefix: str = "",
        hash: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256",
        encoding: Literal["hex", "base64"] = "hex",
        signed: str = "{body}",
        timestamp: str | None = None,
        id: str | None = None,
        tolerance: float = 300,
    ) -> None:
        secrets = masked(secrets)
        if hash not in _HASHES:
            raise ConfigurationError(f"hash is one of {', '.join(_HASHES)}, not {hash!r}")
        if encoding not in ("hex", "base64"):
            raise ConfigurationError(f'encoding is "hex" or "base64", not {encoding!r}')
        self._signature = _place(signature)
        self._timestamp = None if timestamp is None else _place(timestamp)
        self._id = None if id is None else _place(id)
        if self._signature in (self._timestamp, self._id) or (self._id and self._id == self._timestamp):
            raise ConfigurationError("signature, timestamp and id have places of their own")
        self._prefix = prefix.encode()
        self._encoding = encoding
        self._tolerance = checked_tolerance(tolerance)
        given = {name for name, place in (("timestamp", timestamp), ("id", id)) if place is not None}
        self._template = _Template(signed, given)
        self._keyring = Keyring(secrets, partial(_key, hash, self._encode))
        self.secret_count = len(self._keyring)

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        """Return the head with the headers that prove the delivery. Its id stays; without one, a random id is added.

        Raises:
            ConfigurationError: every secret has expired, or the id cannot be signed.
        """
        time = b"%d" % int(now)
        has_id = self._id is None or any(name == self._id.header for name, _ in head.headers)
        try:
            id = b"" if self._id is None else self._id.value(head.headers) if has_id else uuid4().hex.encode()
            content = self._template.fill(time, id, body)
        except MalformedSignature as error:
            raise ConfigurationError(f"cannot sign: {error}") from None
        signature = self._prefix + self._keyring.first(now)[1](content)
        added: dict[bytes, list[bytes]] = {}
        for place, value in ((None if has_id else self._id, id), (self._timestamp, time), (self._signature, signature)):
            if place is not None:
                added.setdefault(place.header, []).append(value if place.item is None else place.item + b"=" + value)
        return head.with_headers(*((name, b",".join(values)) for name, values in added.items()))

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Read the headers; return the check of the signature, which covers the body. See `Scheme`."""
        headers = head.headers
        claims = self._signature.values(headers)
        if not any(self._is_signature(claimed) for claimed in claims) or len(claims) > _MAX_SIGNATURES:
            raise MalformedSignature(
                f"{self._signature} holds no signature: {self._prefix.decode()}, then {self._encoding}"
            )
        time = b"" if self._timestamp is None else self._timestamp.value(headers)
        signed_at = None if self._timestamp is None else seconds(time, str(self._timestamp))
        id = None if self._id is None else self._id.value(headers)
        self._template.fill(time, id or b"", b"")
        return partial(self._check, claims, time, signed_at, id, now)

    def _check(
        self, claims: list[bytes], time: bytes, signed_at: int | None, id: bytes | None, now: float, body: bytes
    ) -> Verified:
        content = self._template.fill(time, id or b"", body)
        for by, digest in self._keyring.at(now):
            expected = self._prefix + digest(content)
            if any(is_same(expected, claimed) for claimed in claims):
                if signed_at is not None:
                    reject_stale(signed_at, now, self._tolerance)
                text = None if id is None else id.decode("latin-1")
                return Verified(by, body=True, id=text, fresh=signed_at is not None)
        raise self._keyring.mismatch(now)

    def _is_signature(self, claimed: bytes) -> bool:
        encoded = claimed.removeprefix(self._prefix)
        if not claimed.startswith(self._prefix):
            return False
        return is_base64(encoded) if self._encoding == "base64" else bool(encoded) and not encoded.strip(_HEX)

    def _encode(self, digest: bytes) -> bytes:
        return to_base64(digest) if self._encoding == "base64" else digest.hex().encode()


def _key(hash: str, encode: Callable[[bytes], bytes], by: int, secret: Secret) -> tuple[int, Callable[[bytes], bytes]]:
    digest = mac(secret.get_secret_value().encode(), hash)
    return by, lambda content: encode(digest(content))


def _place(text: str) -> _Place:
    header, colon, item = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not header or (colon and not item) or not text.isascii() or not text.isprintable():
        raise ConfigurationError(f'a place is "header" or "header:item", such as "stripe-signature:v1", not {text!r}')
    return _Place(header.strip().lower().encode(), item.strip().encode() if item else None)
