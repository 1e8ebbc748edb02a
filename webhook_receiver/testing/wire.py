"""Requests as a sender makes them: the body of an event, a dict or bytes, and the headers that sign it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from string import Formatter
from typing import Any, cast
from urllib.parse import urlencode
from uuid import uuid4

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from ..delivery import RequestHead, header_pairs
from ..errors import ConfigurationError
from ..events import Event, wire_names
from ..senders import Sender
from ..senders.challenges import Challenge
from ..signatures import KeysNeeded, Scheme
from ..signatures.fetching import fetch_now

Sendable = Event | Mapping[str, Any] | bytes
"""A body to send: an event, a JSON object, or the bytes of any body."""

JSON = {"content-type": "application/json"}
_NO_PROOF = (b"-input", b"-timestamp", b"digest", b"-delivery", b"-id")
"""Ends of the names of headers that a scheme adds and that prove nothing, such as the time of signing."""
_CODED = re.compile(rb"[A-Za-z0-9+/_-]{20,}")
"""A stretch of base64 or hex digits."""


def encode(what: Sendable, *, sender: Sender | None = None) -> bytes:
    """Return the bytes of a body.

    Args:
        what: an event, of which the fields that were given are encoded, by their names in the sender's documents; a
            JSON object; or bytes, which are returned unchanged.
        sender: the sender, whose documents have an event's name in a place of their own, as Stripe's in `type`; None
            for one that has it in `event`.

    Raises:
        TypeError: the argument is none of these, or has a value that JSON cannot represent.
        ValueError: the alias of a field is a path, whose place in the document is not known.
    """
    if isinstance(what, bytes):
        return what
    if not isinstance(what, Event | Mapping):
        raise TypeError(f"what is sent is an event, a dict or bytes, not {type(what).__name__}")
    # A sender whose documents have no names of events may know what they are like.
    known = None if sender is None or not isinstance(what, Event) else _of_sender(sender, "document_of")
    document = None if known is None else known(what)
    if document is None:
        document = as_sent(what)
        if sender is not None and isinstance(what, Event):
            document = named_by(sender, document, what.event)
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def named_by(sender: Sender, document: dict[str, Any], event: str) -> dict[str, Any]:
    """Return the document of an event with its name where the sender has it, instead of in `event`.

    Args:
        sender: the sender. One with the name in a member of an object `event` has there what the event has as `body`.
        document: the document.
        event: the event's name.
    """
    places = [(place, text) for place, text in name_places(sender, event) if ":" not in place]
    if not places or ("event", event) in places:
        return document
    named = {key: value for key, value in document.items() if key != "event"}
    if any(place.startswith("event.") for place, _ in places):
        named["event"] = named.pop("body", {})
    for place, text in places:
        *way, last = place.split(".")
        holder: Any = named
        for step in way:
            holder = holder.setdefault(step, {})
        holder[last] = text
    return named


def as_sent(value: object) -> Any:
    """Return a value as JSON can represent it, with the names of fields in the sender's documents."""
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


def sender_headers(sender: Sender, event: str | None) -> dict[str, str]:
    """Return the headers, besides those of the signature, that a sender gives a request.

    Args:
        sender: the sender.
        event: the event's name, for the header that the sender has it in; None to leave that out.
    """
    headers: dict[str, str] = {}
    for place, value in [] if event is None else name_places(sender, event):
        kind, _, name = place.partition(":")
        if kind == "header":
            headers[name.lower()] = value
    if isinstance(sender.delivery_id, str):
        headers[sender.delivery_id.lower()] = uuid4().hex
    return headers


def name_places(sender: Sender, event: str) -> list[tuple[str, str]]:
    """Return the places of an event's name, and the text at each; none where the sender gives no event such a name.

    Args:
        sender: the sender; of several places, the first that it has counts. See `Sender.event_name`.
        event: the event's name.
    """
    if sender.event_header is not None:
        return [(f"header:{sender.event_header}", event)]
    known = _of_sender(sender, "name_places")
    told: list[tuple[str, str]] = [] if known is None else known(event)
    if told:
        return told
    given = sender.event_name
    template = given if isinstance(given, str) else (*given, "event")[0]
    if "{" not in template:
        return [(template, event)]
    places: list[str] = []
    pattern = ""
    for literal, name, spec, _ in Formatter().parse(template):
        pattern += re.escape(literal)
        if name is not None:
            places.append(f"{name}:{spec}" if spec else name)
            pattern += "(.+?)"
    matched = re.fullmatch(pattern, event)
    return [] if matched is None else [*zip(places, matched.groups(), strict=True)]


def named_target(sender: Sender, event: str, target: str) -> str:
    """Return the target of a request with an event's name in the query, where the sender has it there."""
    for place, text in name_places(sender, event):
        kind, _, name = place.partition(":")
        if kind == "query" and f"{name}=" not in target:
            target += ("&" if "?" in target else "?") + urlencode({name: text})
    return target


def is_of_no_word(sender: Sender, event: str) -> bool:
    """Return whether an event is told by its sender's words, and none is known that tells it."""
    known = _of_sender(sender, "name_places")
    return known is not None and not known(event)


def _of_sender(sender: Sender, method: str) -> Callable[..., Any] | None:
    """Return a method of the function that reads a sender's documents; None if it has none such."""
    return getattr(sender.envelope or sender.decode, method, None)


def batch(place: str, events: Sequence[Mapping[str, Any]]) -> Any:
    """Return a document with events at a place of `Split`; of a step with several names, at the first."""
    if not place:
        return events[0] if events else {}
    step, _, rest = place.partition(".")
    return [batch(rest, [each]) for each in events] if step == "*" else {step.split("|")[0]: batch(rest, events)}


def sign(
    what: Sendable,
    scheme: Scheme,
    *,
    headers: Mapping[str, str] | None = None,
    now: float | None = None,
    target: str = "/",
    url: str | None = None,
) -> dict[str, str]:
    """Return the headers of a signed request, for httpx or a test client. The body is `encode(what)`.

    For `Unsigned(token_in_path=...)` and `QuerySecret` the headers prove nothing: a client has to post to a URL with
    the token or secret.

    Args:
        what: an event, a dict, or the bytes themselves.
        scheme: the scheme that signs, such as `UP42Signature(secret)`.
        headers: more headers, which the scheme may sign.
        now: the time of signing, in Unix seconds; the present time if None.
        target: the path of the request, with the query behind `?`, for a scheme that signs it.
        url: the absolute URL of the request, for a scheme that signs it and was given none itself.

    Raises:
        ConfigurationError: the scheme cannot sign, such as with a public key.
    """
    return readable(signed_head(what, scheme, headers=headers, now=now, target=target, url=url))


def forge(
    what: Sendable,
    scheme: Scheme,
    *,
    headers: Mapping[str, str] | None = None,
    now: float | None = None,
    target: str = "/",
    url: str | None = None,
) -> dict[str, str]:
    """Return the headers of a request by somebody who does not know the secret. The arguments are those of `sign`.

    Raises:
        ConfigurationError: the scheme signs nothing, or proves a delivery by its URL, so there is nothing to forge.
    """
    forged = readable(forged_head(what, scheme, headers=headers, now=now, target=target, url=url))
    if forged.keys() <= {*JSON, *(name.lower() for name in headers or {})}:
        raise ConfigurationError(f"{type(scheme).__name__} proves a delivery by its URL: post to another one")
    return forged


def signed_head(
    what: Sendable,
    scheme: Scheme,
    *,
    headers: Mapping[str, str] | None = None,
    now: float | None = None,
    target: str = "/",
    url: str | None = None,
) -> RequestHead:
    """Return the head of a signed request, with its target. The arguments are those of `sign`."""
    head, body, now = _unsigned(headers, target, url), encode(what), time.time() if now is None else now
    try:
        return scheme.sign(head, body, now)
    except KeysNeeded as needed:
        missing = needed
    fetch_now(missing)
    return scheme.sign(head, body, now)


def forged_head(
    what: Sendable,
    scheme: Scheme,
    *,
    headers: Mapping[str, str] | None = None,
    now: float | None = None,
    target: str = "/",
    url: str | None = None,
) -> RequestHead:
    """Return the head of a request by somebody who does not know the secret. The arguments are those of `sign`.

    Raises:
        ConfigurationError: the scheme signs nothing, so there is nothing to forge.
    """
    given = _unsigned(headers, target, url)
    signed = signed_head(what, scheme, headers=headers, now=now, target=target, url=url)
    names = {name for name, _ in given.headers}
    proofs = {name for name, _ in signed.headers} - names
    if signed.target == given.target and not proofs:
        who = "the body has to hold the secret" if scheme.secret_count else "all are let in"
        raise ConfigurationError(f"{type(scheme).__name__} signs nothing: there is nothing to forge, {who}")
    # The wrong digits, in the form that the scheme expects.
    wrong = [
        (name, _wrong(value) if name in proofs and not name.endswith(_NO_PROOF) else value)
        for name, value in signed.headers
    ]
    forged = signed._replace(headers=wrong)
    if signed.path != given.path:
        return forged._replace(target=_elsewhere(signed.target))
    if signed.target != given.target:
        return forged._replace(target=signed.target + b"0")  # the secret is at the end of the query
    return forged


def challenge(
    asked: Challenge,
    scheme: Scheme | None,
    *,
    token: str,
    headers: Mapping[str, str] | None = None,
    now: float | None = None,
    target: str = "/",
    url: str | None = None,
    client: str | None = None,
) -> tuple[RequestHead, bytes]:
    """Return the head and the body of a challenge, proven as the sender does.

    Args:
        asked: one of `Sender.challenges`.
        scheme: the sender's scheme; None to leave out its proof.
        token: what is to be sent back, where the challenge has such.
        headers: more headers.
        now: the time of signing, in Unix seconds; the present time if None.
        target: the path of the request, with the query behind `?`.
        url: the absolute URL of the request, for a scheme that signs it and was given none itself.
        client: the address of the peer, for a scheme that reads it.

    Raises:
        ConfigurationError: nobody can make the challenge, or the scheme cannot sign it.
    """
    if asked.ask is None:
        raise ConfigurationError("nobody can make this challenge: give it Challenge(ask=...)")
    now = time.time() if now is None else now
    head = RequestHead.of(headers, method=asked.methods[0], target=target, url=url, client=client)
    head, body = asked.ask(head, token)
    if body:
        kind = JSON if body[:1] in b"{[" else {"content-type": "application/x-www-form-urlencoded"}
        head = head._replace(headers=[*header_pairs(kind), *head.headers])
    for each in (scheme if asked.signed else None, asked.scheme):
        if each is not None:
            head = each.sign(head, body, now)
    return head, body


def readable(head: RequestHead) -> dict[str, str]:
    """Return the headers of a head as a dict of str, for httpx and test clients."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}


def _unsigned(headers: Mapping[str, str] | None, target: str, url: str | None) -> RequestHead:
    given = JSON | {name.lower(): value for name, value in (headers or {}).items()}
    return RequestHead.of(given, target=target, url=url)


def _wrong(proof: bytes) -> bytes:
    wrong = _CODED.sub(lambda found: found[0][::-1], proof)
    return wrong if wrong != proof else proof + b"0"  # a token may read the same both ways


def _elsewhere(target: bytes) -> bytes:
    """Return a target with another last part of its path."""
    path, separator, query = target.partition(b"?")
    base, slash, last = path.rpartition(b"/")
    return base + slash + _wrong(last) + separator + query
