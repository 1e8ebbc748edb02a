"""The JSON document of a stored delivery, which export, import and other programs read and write."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, NoReturn, cast

from pydantic import AfterValidator, AliasChoices, BaseModel, Field, FiniteFloat, ValidationError

from ..delivery import Delivery
from ..redaction import reason
from .records import DeliverySummary, FailedAttempt, HandlerState, State, StoredDelivery

HEADER: Mapping[str, Any] = {"format": "webhook-receiver inbox", "version": 3}
"""The first line of an export: the name of the format, and the version of the documents that follow."""
_READS = (1, 2, 3)
"""The versions that are read. Version 1 has other names for four members: source, origin, held and order_key. Parts,
contexts and removed bodies came with version 3."""
_SHARED = "body_of"
"""The member with the id of another delivery, in place of headers and body: those are on its line, before this one."""


def _storable(text: str) -> str:
    text.encode()  # the error for a lone surrogate, which JSON can bring and no store takes, is a ValueError
    return text


Text = Annotated[str, AfterValidator(_storable)]
Count = Annotated[int, Field(ge=0, lt=2**63)]


class _StrictModel(BaseModel, frozen=True, extra="forbid"):
    """A model of a document, or of one of its objects; unknown members are errors."""


class _Progress(_StrictModel, frozen=True):
    state: State
    attempts: Count
    since_replay: Count
    due: FiniteFloat
    running: bool
    expected_dead: FiniteFloat | None = None  # not there in what older versions wrote


class _Attempt(_StrictModel, frozen=True):
    handler: Text
    number: Count
    started: FiniteFloat
    seconds: FiniteFloat
    outcome: Text
    error: Text
    traceback: Text


class _Document(_StrictModel, frozen=True):
    # The second names are those of version 1.
    id: Text
    receiver: Text = Field(validation_alias=AliasChoices("receiver", "source"))
    via: Text = Field(validation_alias=AliasChoices("via", "origin"))
    event: Text | None
    identity: Text | None
    received: FiniteFloat
    state: State
    due: FiniteFloat | None
    leased: bool
    paused_by: Text | None = Field(validation_alias=AliasChoices("paused_by", "held"))
    reason: Text | None
    settled: FiniteFloat | None
    handlers: dict[Text, _Progress]
    verified_by: Count | None
    body_verified: bool
    key: Text | None
    ordering_key: Text | None = Field(validation_alias=AliasChoices("ordering_key", "order_key"))
    headers: list[tuple[Text, Text]]
    body: Text
    part: Count = 0
    context: Text | None = None
    body_removed: bool = False
    attempts: list[_Attempt]


_FIELDS = [name for name in DeliverySummary._fields if name != "damage"]  # what is damaged is not exported


def summary_document(summary: DeliverySummary) -> dict[str, Any]:
    """Return a summary as a JSON object."""
    document = {name: getattr(summary, name) for name in _FIELDS}
    if summary.damage is not None:
        document["damage"] = summary.damage
    return document | {"handlers": {name: each._asdict() for name, each in summary.handlers.items()}}


def to_document(stored: StoredDelivery, sharing: StoredDelivery | None = None) -> dict[str, Any]:
    """Return a stored delivery as a JSON object: the body in base64, the headers as latin-1 text.

    Args:
        stored: the delivery.
        sharing: another part of the same request that has the same headers and body; the document names it instead.
    """
    delivery = stored.delivery
    document = summary_document(stored.summary) | {
        "key": None if stored.key is None else stored.key.hex(),
        "ordering_key": stored.ordering_key,
        "context": delivery.context,
        "attempts": [attempt._asdict() for attempt in stored.attempts],
    }
    if sharing is not None:
        return document | {_SHARED: sharing.delivery.id}
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in delivery.headers]
    return document | {"headers": headers, "body": b64encode(delivery.body).decode("ascii")}


def may_share(stored: StoredDelivery, other: StoredDelivery) -> bool:
    """Return whether two deliveries are parts of one request, with the same headers and body."""
    one, two = stored.delivery, other.delivery
    return (one.request_id, one.receiver, one.headers, one.body) == (
        two.request_id,
        two.receiver,
        two.headers,
        two.body,
    )


def has_body(document: object) -> bool:
    """Return whether a document has the headers and the body itself, and names no other delivery that has them."""
    return not (isinstance(document, dict) and _SHARED in document)


def from_document(document: object, sharing: StoredDelivery | None = None) -> StoredDelivery:
    """Return the stored delivery of a JSON object that `to_document` made.

    Args:
        document: the object.
        sharing: the delivery of the last document before that has a body.

    Raises:
        ValueError: the object is no such document; the message says why, and quotes nothing of it.
    """
    if isinstance(document, dict) and _SHARED in document:
        document = cast("dict[str, Any]", document)
        if sharing is None or document[_SHARED] != sharing.delivery.id:
            _reject(f"{_SHARED}: the line that has its headers and its body does not come before it")
        own: dict[str, Any] = {name: value for name, value in document.items() if name != _SHARED}
        own["headers"], own["body"] = [], ""
        headers, body = sharing.delivery.headers, sharing.delivery.body
        stored = from_document(own)
        return stored._replace(delivery=replace(stored.delivery, headers=headers, body=body))
    try:
        found = _Document.model_validate(document)
    except ValidationError as error:
        raise ValueError(reason(error, _Document)) from None
    known = {name: getattr(found, name) for name in _FIELDS}
    known["handlers"] = {name: HandlerState(**dict(each)) for name, each in found.handlers.items()}
    return StoredDelivery(
        summary=DeliverySummary(**known),
        delivery=Delivery(
            id=found.id,
            receiver=found.receiver,
            headers=tuple((_wire(name), _wire(value)) for name, value in found.headers),
            body=_body(found.body),
            received=found.received,
            verified_by=found.verified_by,
            body_verified=found.body_verified,
            via=found.via,
            part=found.part,
            context=found.context,
        ),
        attempts=[FailedAttempt(**dict(attempt)) for attempt in found.attempts],
        key=None if found.key is None else _key(found.key),
        ordering_key=found.ordering_key,
    )


def check_header(header: object) -> None:
    """Check that the first line of an export is a HEADER of a version that this code reads.

    Raises:
        ValueError: it is no header, or one of another version.
    """
    if not isinstance(header, dict) or header.get("format") != HEADER["format"]:  # pyright: ignore[reportUnknownMemberType]
        raise ValueError("this is no export of an inbox: its first line does not say so")
    version: object = header.get("version")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if version not in _READS:
        raise ValueError(
            f"this export has version {version!r:.20}; this webhook-receiver reads {_READS[0]} to {_READS[-1]}"
        )


def _wire(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        _reject("headers: text beyond latin-1")


def _body(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        _reject("body: not base64")


def _key(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        _reject("key: not hexadecimal")


def _reject(why: str) -> NoReturn:
    raise ValueError(why) from None
