"""What a sender puts on the wire: the bytes of an event, a dict or bytes, and the headers that sign them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from ..delivery import Headers
from ..errors import ConfigurationError
from ..events import Event, wire_names
from ..signatures import Scheme

Sendable = Event | Mapping[str, Any] | bytes
"""What can be sent: an event, a JSON object, or the bytes of any body."""

JSON = {"content-type": "application/json"}
_SAID = ("-input", "-timestamp", "digest", "-delivery", "-id")
"""How the names of headers end that say how and when what was signed, and prove nothing."""
_CODED = re.compile(r"[A-Za-z0-9+/_-]{20,}")
"""A stretch of base64 or hex digits."""


def encode(what: Sendable) -> bytes:
    """Return the body: of an event all that was given to it, under the names that its sender uses; bytes as they are.

    Raises:
        TypeError: it is none of these, or holds what JSON cannot.
        ValueError: a field of the event is read from a path, so nobody can tell where it stands.
    """
    if isinstance(what, bytes):
        return what
    if not isinstance(what, Event | Mapping):
        raise TypeError(f"what is sent is an event, a dict or bytes, not {type(what).__name__}")
    return json.dumps(as_sent(what), separators=(",", ":"), allow_nan=False).encode()


def as_sent(value: object) -> Any:
    """Return a value as JSON holds it, with the names that the sender uses."""
    if isinstance(value, BaseModel):
        fields = {_sent_name(value, name): as_sent(getattr(value, name)) for name in _given(value)}
        return fields | as_sent(value.model_extra or {})
    if isinstance(value, Mapping):
        return {str(key): as_sent(each) for key, each in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_sent(each) for each in cast("list[object]", value)]
    return to_jsonable_python(value)


def _given(model: BaseModel) -> list[str]:
    return [name for name in type(model).model_fields if name in model.model_fields_set]


def _sent_name(model: BaseModel, name: str) -> str:
    names = wire_names(name, type(model).model_fields[name])
    if not names:
        raise ValueError(f"{type(model).__name__}.{name} is read from a path: send the document as a dict or as bytes")
    return str(names[0])


def sign(
    what: Sendable, scheme: Scheme, *, headers: Mapping[str, str] | None = None, now: float | None = None
) -> dict[str, str]:
    """Return the headers that deliver `what`, for httpx or a test client; the body is `encode(what)`.

    For `Unsigned(token_in_path=...)` there is `:path` among them, which is no header: `hooks.receive` takes it as it
    is, a client has to post to a URL that ends so.

    Args:
        what: an event, a dict, or the bytes themselves.
        scheme: how it is signed, such as `UP42Signature(secret)`.
        headers: more headers, which the scheme may sign.
        now: when it is signed, in Unix seconds; the present time if None.
    """
    given = JSON | {name.lower(): value for name, value in (headers or {}).items()}
    return _readable(scheme.sign(given, encode(what), time.time() if now is None else now))


def forge(
    what: Sendable, scheme: Scheme, *, headers: Mapping[str, str] | None = None, now: float | None = None
) -> dict[str, str]:
    """Return headers as `sign` does, made by somebody who does not know the secret.

    Raises:
        ConfigurationError: the scheme signs nothing, so there is nothing to forge.
    """
    signed = sign(what, scheme, headers=headers, now=now)
    proofs = {name for name in signed if name not in JSON and name not in {each.lower() for each in headers or {}}}
    if not proofs:
        raise ConfigurationError(f"{type(scheme).__name__} signs nothing: there is nothing to forge, all are let in")
    # The wrong digits, in the form that the scheme expects.
    wrong = {name: _wrong(signed[name]) for name in proofs if not name.endswith(_SAID)}
    return signed | wrong


def _wrong(proof: str) -> str:
    wrong = _CODED.sub(lambda found: found[0][::-1], proof)
    return wrong if wrong.strip("/") != proof.strip("/") else proof + "0"  # a token may read the same both ways


def _readable(headers: Headers) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
