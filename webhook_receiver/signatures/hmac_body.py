"""The scheme of most senders: an HMAC (RFC 2104) over the body, in some cases with other parts of the request.

GitHub, Stripe, Slack and Shopify sign so; their options are in `webhook_receiver.senders`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from .body_forms import BodyForm
from .content_scheme import ContentKey, ContentParts, ContentScheme, EncodingName, TimeFormatName, check_choice
from .encoding import Encoding
from .hmac_keys import KeyForm
from .places import ItemSeparator
from .secrets import Keyring, Secret, Secrets, is_same, mac, masked

_HASHES = ("sha1", "sha256", "sha384", "sha512")


class HMACBody(ContentScheme):
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
        item_separator: the text that parts the items of a header: ",", ";", "&", "|" or " "; ", " where the sender
            writes a space behind the comma, with or without which items are read.
        signed: the template of the signed content, or a list of templates.
        joined_by: the text between the templates of a list.
        timestamp: the place of the time of signing. The time has to be signed.
        timestamp_format: the format of that time: "seconds" or "milliseconds", since 1970; "rfc3339", such as
            `2026-01-31T12:00:00.5Z`; or "http-date", such as `Sat, 31 Jan 2026 12:00:00 GMT`.
        id: the place of the sender's id of the delivery, which stays the same when the delivery is sent again. The id
            has to be signed; one that is not is a part of the sender, `Sender.delivery_id`.
        key: the form of the key in the secret: "text" for its UTF-8 bytes, "hex", "base64", or a `KeyForm`.
        key_id: the place of the id of the key that the sender signed with; that key alone verifies.
        key_ids: the ids of the secrets, in their order.
        body_form: a function of the body that returns the bytes to sign in its place, or raises ValueError:
            `gunzipped`, `escaped`, `canonical_json` or `sha256_hex` of `webhook_receiver.signatures.body_forms`, or one
            of your own.
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
        encoding: EncodingName = "hex",
        item_separator: ItemSeparator = ",",
        signed: str | Sequence[str] = "{body}",
        joined_by: str = "",
        timestamp: str | None = None,
        timestamp_format: TimeFormatName = "seconds",
        id: str | None = None,
        key: Literal["text", "hex", "base64"] | KeyForm = "text",
        key_id: str | None = None,
        key_ids: Sequence[str] = (),
        body_form: BodyForm | None = None,
        tolerance: float = 300,
    ) -> None:
        check_choice("hash", hash, _HASHES)
        form = key if isinstance(key, KeyForm) else KeyForm(key)

        def keyring(secrets: list[Secret], encoding: Encoding, prefix: bytes, has_secret: bool) -> Keyring[ContentKey]:
            return Keyring(
                secrets, lambda by, secret: _key(by, form.bytes_of(secret), hash, encoding, prefix, has_secret)
            )

        super().__init__(
            masked(secrets),
            keyring,
            signature=signature,
            prefix=prefix,
            encoding=encoding,
            item_separator=item_separator,
            signed=signed,
            joined_by=joined_by,
            timestamp=timestamp,
            timestamp_format=timestamp_format,
            id=id,
            key_id=key_id,
            key_ids=key_ids,
            body_form=body_form,
            tolerance=tolerance,
        )


def _key(by: int, key: bytes, hash: str, encoding: Encoding, prefix: bytes, has_secret: bool) -> ContentKey:
    encode = encoding.encode
    keyed = mac(key, hash)

    def sign(parts: ContentParts) -> bytes:
        return prefix + encode(keyed(parts[0] or b""))

    def sign_plain(parts: ContentParts) -> bytes:
        content = b"".join([key if part is None else part for part in parts])
        return prefix + encode(hashlib.new(hash, content).digest())

    signs = sign_plain if has_secret else sign

    def verifies(parts: ContentParts, claimed: list[bytes]) -> bool:
        expected = signs(parts)
        for each in claimed:  # noqa: SIM110 - any() of a generator costs a tenth of a verification
            if is_same(expected, each):
                return True
        return False

    return ContentKey(by, signs, verifies)
