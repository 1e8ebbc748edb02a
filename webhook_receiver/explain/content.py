"""What is in a request: a challenge with its answer, or the events of a delivery."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from ..delivery import RequestHead
from ..errors import InboxError, KeysUnavailable, NotAnEvent, RequestError, VerificationError
from ..events import Event, parsed_paths, value_at
from ..receiver import WebhookReceiver
from ..responses import Response
from ..senders import Sender
from ..senders.challenges import Challenged, ChallengedScheme
from ..senders.event_names import EventNames, decoded
from ..signatures import KeysNeeded


@dataclass(frozen=True, slots=True)
class AskedFor:
    """A challenge, and what a receiver answers."""

    status: int | None
    """The status of the answer; None for a challenge without the proof that it has to have."""
    content_type: str
    """The type of the answer's body; empty without one."""
    answer: str
    """The answer's body."""

    def as_json(self) -> dict[str, Any]:
        """Return the challenge as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Part:
    """An event in a delivery."""

    event: str | None
    """Its name; None for what is no event."""
    id: str | None
    """The sender's id of it in the body; None without one."""
    handlers: tuple[str, ...] | None = None
    """The names of the handlers of a receiver that would run for it; None where there is no receiver, or no event."""

    def as_json(self) -> dict[str, Any]:
        """Return the event as a JSON object."""
        return asdict(self)


def challenge_in(sender: Sender, head: RequestHead, body: bytes, now: float) -> AskedFor | None:
    """Return the challenge that a request is, with its answer; None for a request that is none.

    Args:
        sender: the sender, with its challenges.
        head: the head of the request.
        body: the body's bytes.
        now: the time in Unix seconds.
    """
    try:
        ChallengedScheme(sender.scheme, sender.challenges).verify(head, now)(body)
    except Challenged as asked:
        answer = asked.response
        return _answered(answer) if answer.status < 300 else AskedFor(None, "", "")
    except (VerificationError, RequestError, KeysNeeded, KeysUnavailable, InboxError):
        pass
    for each in sender.challenges:
        if head.method in each.methods and each.answer(head, body, now) is not None:
            return AskedFor(None, "", "")
    return None


def _answered(response: Response) -> AskedFor:
    return AskedFor(response.status, response.headers.get("content-type", ""), response.body.decode("utf-8", "replace"))


def parts_of(sender: Sender, head: RequestHead, body: bytes, receiver: WebhookReceiver | None = None) -> list[Part]:
    """Return the events in a body, in order, as a receiver reads them; none for an empty batch.

    Args:
        sender: the sender.
        head: the head of the request.
        body: the body's bytes.
        receiver: a receiver of the sender, whose handlers are told; None for none.
    """
    names = EventNames(sender.event_name, sender.event_header, sender.event_members, sender.url_places)
    headers = names.headers(head)
    try:
        document = decoded(body, sender.decode, sender.envelope, headers)
        parts = [document] if sender.split is None else sender.split.parts(document)
    except NotAnEvent:
        parts = [body]
    told = [_part(sender, names, part, headers) for part in parts]
    if receiver is None:
        return told
    found = receiver.parse_all(body, headers)
    return [
        replace(part, handlers=tuple(handler.name for handler in receiver.match(event)))
        if isinstance(event, Event)
        else part
        for part, event in zip(told, found, strict=True)
    ]


def _part(sender: Sender, names: EventNames, part: bytes, headers: Any) -> Part:
    try:
        found: object = json.loads(part)
    except (ValueError, RecursionError):
        found = None
    ids: Sequence[object] = [value_at(found, path) for path in parsed_paths(sender.delivery_id_paths)]
    id = " ".join(map(str, ids)) if ids and None not in ids else None
    try:
        named: object = json.loads(names.named(part, headers))
    except (NotAnEvent, ValueError, RecursionError):
        named = None
    event = cast("dict[str, Any]", named).get("event") if isinstance(named, dict) else None
    return Part(event if isinstance(event, str) else None, id)
