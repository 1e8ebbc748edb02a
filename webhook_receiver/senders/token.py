"""Bodies that are signed tokens: the JSON document among their claims, as `Sender.decode` returns it."""

from __future__ import annotations

import json
import re

from ..signatures.encoding import ENCODINGS

_TOKEN = re.compile(rb"[\w-]+\.([\w-]+)\.[\w-]*[\r\n]*", re.ASCII)


def claims_document(body: bytes) -> bytes:
    """Return the claims of a token (JWT, RFC 7519) in its compact form; any other body unchanged.

    Nothing is verified: that is up to `BearerJWT(header=None)`.

    Args:
        body: the bytes of the body.
    """
    found = _TOKEN.fullmatch(body)
    claims = None if found is None else ENCODINGS["base64url-unpadded"].decode(found[1])
    try:
        return claims if claims is not None and isinstance(json.loads(claims), dict) else body
    except (ValueError, RecursionError):
        return body
