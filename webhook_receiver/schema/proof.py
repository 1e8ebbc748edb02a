"""How a delivery proves itself, for a document of a receiver: what its scheme adds to a request, which is tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..delivery import RequestHead
from ..errors import ConfigurationError
from ..senders import Sender
from ..signatures import KeysNeeded, Scheme
from ..signatures.any_of import AnyOf
from .models import Schema, free_key, key_of

_NOW = 1_765_433_012.0
_URL = "https://example.com/webhooks"
_BODY = b'{"event": "order.status"}'


class Proof(NamedTuple):
    """What a delivery has to prove itself by."""

    name: str
    """The name of the scheme."""
    kind: str
    """"basic", "bearer", "header", "query" or "path"."""
    place: str
    """The name of the header or of the part of the query; empty for a path."""
    headers: tuple[str, ...]
    """The names of all headers that it has for that, in lower case."""


def proofs_of(sender: Sender) -> list[Proof]:
    """Return what a delivery has to prove itself by, one of these; none if it proves nothing, or in its body alone."""
    found = [_proof(sender, each) for each in _alternatives(sender.scheme)]
    return [] if None in found else [*dict.fromkeys(each for each in found if each is not None)]


def _alternatives(scheme: Scheme) -> Iterator[Scheme]:
    if not isinstance(scheme, AnyOf):
        yield scheme
        return
    for each in scheme.schemes:
        yield from _alternatives(each)


def _proof(sender: Sender, scheme: Scheme) -> Proof | None:
    if scheme.secret_count == 0:
        return None
    head = RequestHead.of({"content-type": "application/json"}, target="/webhooks", url=_URL)
    signed = _signed(scheme, head)
    if signed is None:
        return _known(sender, type(scheme).__name__)
    return _added(type(scheme).__name__, head, signed)


def headers_of(proofs: Sequence[Proof]) -> dict[str, bool]:
    """Return the names of the headers of proofs, each with whether all of them have it."""
    return {name: all(name in each.headers for each in proofs) for proof in proofs for name in proof.headers}


def _signed(scheme: Scheme, head: RequestHead) -> RequestHead | None:
    try:
        return scheme.sign(head, _BODY, _NOW)
    except (ConfigurationError, KeysNeeded):  # whose key only the sender has
        return None


def _added(name: str, head: RequestHead, signed: RequestHead) -> Proof | None:
    before = {key for key, _ in head.headers}
    added = {key.decode("latin-1"): value for key, value in signed.headers if key not in before}
    if "authorization" in added:
        word = added["authorization"].partition(b" ")[0].lower()
        kind = {b"basic": "basic", b"bearer": "bearer"}.get(word, "header")
        return Proof(name, kind, "authorization", tuple(added))
    if added:
        signatures = [key for key in added if "signature" in key]  # beside "signature-input" there is "signature"
        place = min(signatures, key=len) if signatures else next(iter(added))
        return Proof(name, "header", place, tuple(added))
    path, _, query = signed.target.partition(b"?")
    if query:
        return Proof(name, "query", query.partition(b"=")[0].decode("latin-1"), ())
    return Proof(name, "path", "", ()) if path != head.path else None


def _known(sender: Sender, scheme: str) -> Proof | None:
    """Return the headers that are known of a sender, whose signatures nobody else can make."""
    from ..senders.registry import presets

    preset = presets().get(sender.name)
    headers = () if preset is None else preset.headers
    return Proof(scheme, "header", headers[0], headers) if headers else None


def add_security(schemes: dict[str, Schema], proofs: Sequence[Proof], api_key: str) -> list[str]:
    """Add security schemes for proofs to those of a document, and return their names; none where one is not needed.

    Args:
        schemes: the security schemes of the document, by name.
        proofs: what a delivery proves itself by, one of these.
        api_key: the type of a scheme with a header or a part of the query, as the kind of document has it.
    """
    if any(proof.kind == "path" for proof in proofs):
        return []
    return [*dict.fromkeys(_add_security(schemes, proof, api_key) for proof in proofs)]


def _add_security(schemes: dict[str, Schema], proof: Proof, api_key: str) -> str:
    http: dict[str, Schema] = {"basic": {"scheme": "basic"}, "bearer": {"scheme": "bearer", "bearerFormat": "JWT"}}
    scheme: Schema = {"type": "http", **http[proof.kind]} if proof.kind in http else {}
    scheme = scheme or {"type": api_key, "in": proof.kind, "name": proof.place}
    scheme["description"] = f"Deliveries prove themselves by {proof.name}."
    name = free_key(key_of(proof.name), {key: each for key, each in schemes.items() if each != scheme})
    schemes[name] = scheme
    return name
