"""Samples of what senders send, each time with another id: two that are equal would be duplicates."""

from __future__ import annotations

import copy
import json
import secrets
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast, get_args
from uuid import uuid4

from typer import BadParameter

from ..delivery import Headers
from ..errors import NotAnEvent
from ..events import Event
from ..senders import Sender, Split
from ..senders.event_names import EventNames, decoded
from ..senders.preset import Preset
from ..signatures import Secret
from ..testing.wire import is_of_no_word, name_places, named_by

_IDS = ("id", "mid")  # the members that most senders have ids in, and the messages of some
_LEAST = 8  # digits and letters of an id that chance does not make twice


def event_names(preset: Preset, sender: Sender) -> list[str]:
    """Return the names of a sender's events that are known: of its samples and classes, and one for all events."""
    if not preset.samples and preset.body != b"{}":
        samples = [name for name in names_in(sender, preset.body, []) if name is not None]
    else:
        samples = [*preset.samples]
    classes = [name for cls in sender.events or preset.events for name in names_of(cls)]
    classes.sort(key=lambda name: is_of_no_word(sender, name))
    template = sender.event_name if isinstance(sender.event_name, str) else next(iter(sender.event_name[-1:]), "")
    kind, _, text = template.partition(":")
    return [*dict.fromkeys([*samples, *classes, *([text] if kind == "text" else [])])]


def names_in(sender: Sender, body: bytes, headers: Headers) -> list[str | None]:
    """Return the names of the events in a body, as a receiver reads them; None for what it reads no name of."""
    rule = EventNames(sender.event_name, sender.event_header, sender.event_members)
    try:
        document = decoded(body, sender.decode, sender.envelope, headers)
        parts = [document] if sender.split is None else sender.split.parts(document)
        return [json.loads(rule.named(part, headers)).get("event") for part in parts]
    except (NotAnEvent, ValueError, AttributeError):
        return [None]


def names_of(cls: type[Event]) -> list[str]:
    """Return the names of the events of a class."""
    names = get_args(cls.model_fields["event"].annotation)
    return [str(getattr(name, "value", name)) for name in names]


def document_of(preset: Preset, sender: Sender, event: str | None, secret: Secret | None) -> dict[str, Any] | None:
    """Return a new document of a sender about an event; None where its documents are not known.

    Args:
        preset: the preset of the sender.
        sender: the sender.
        event: the event's name.
        secret: the secret, for a sender whose body holds it; None for the one for tests.

    Raises:
        BadParameter: the body that proves a delivery is no JSON object.
    """
    sample = preset.samples.get(event or "")
    if sample is None:
        held = preset.example if secret is None else secret.get_secret_value()
        body = _with_secret(preset, json.dumps(held)[1:-1])
        if not body:
            return None
        is_named = names_in(sender, json.dumps(body).encode(), []) == [event]
        sample = body if is_named else _named(body, sender, event)
    return with_new_id(sample, preset.sample_id or next(iter(sender.delivery_id_paths[-1:]), None), sender.split)


def with_new_id(sample: Mapping[str, Any], place: str | None, split: Split | None = None) -> dict[str, Any]:
    """Return a copy of a sample with a new id like its own.

    Args:
        sample: the sample.
        place: the place of the id, such as "meta.id"; the first member `id` or `mid` if None or absent, wherever
            it is.
        split: the place of the events in the sample, the first of which gets the id; None if it is an event itself.
    """
    document = copy.deepcopy(dict(sample))
    event = _first_event(document, split)
    holder, key = _holder(event, place.split(".") if place else []) or _first_id(event) or (event, "id")
    holder[key] = new_id(holder.get(key))
    return document


def _named(document: dict[str, Any], sender: Sender, event: str | None) -> dict[str, Any]:
    """Return a document whose first event has a name where the sender has it."""
    first = _first_event(document, sender.split)
    if event is not None and any(":" not in place for place, _ in name_places(sender, event)):
        own = {"body": first["event"]} if isinstance(first.get("event"), dict) else {}
        named = named_by(sender, {**first, **own, "event": event}, event)
        first.clear()
        first.update(named)
    return document


def _first_event(document: dict[str, Any], split: Split | None) -> dict[str, Any]:
    """Return the first event in a document; the document itself where there is none at the place of `split`."""
    found: Any = document
    for step in [] if split is None else split.place.split("."):
        if isinstance(found, list) and step == "*":
            found = next(iter(cast("Sequence[Any]", found)), None)
        else:
            of = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
            found = next((of[name] for name in step.split("|") if name in of), None)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else document


def new_id(like: object) -> int | str:
    """Return a new id like another: a number, or a text with other digits and letters behind its last underscore."""
    if isinstance(like, int):
        least: int = 10 ** max(len(str(like)) - 1, _LEAST)
        return least + secrets.randbelow(9 * least)
    prefix, underscore, digits = str(like or "").rpartition("_")
    if sum(map(str.isalnum, digits)) < _LEAST:
        return str(uuid4())
    letters = "abcdef" if {*digits.lower()} <= {*string.hexdigits, "-"} else string.ascii_letters
    others = [secrets.choice(string.digits + letters) if each.isalnum() else each for each in digits]
    return prefix + underscore + "".join(others)


def _with_secret(preset: Preset, secret: str) -> dict[str, Any]:
    """Return the body for tests with a secret in the place of the one for tests; empty where it is no JSON object.

    Raises:
        BadParameter: such a body has the secret in it, so that it proves a delivery.
    """
    try:
        found: object = json.loads(preset.body.replace(preset.example.encode(), secret.encode()))
    except ValueError:
        found = None
    if isinstance(found, dict):
        return cast("dict[str, Any]", found)
    if preset.example.encode() in preset.body:
        why = f"{preset.title} proves a delivery by a body that is no JSON object: give it with --data"
        raise BadParameter(why, param_hint="--data")
    return {}


def _holder(document: Any, path: list[str]) -> tuple[dict[str, Any], str] | None:
    """Return the object that has the last key of a path, and the key; None without one."""
    for key in path[:-1]:
        if isinstance(document, list) and key.isdecimal():
            document = next(iter(cast("Sequence[Any]", document)[int(key) :]), None)
        else:
            document = cast("dict[str, Any]", document).get(key) if isinstance(document, dict) else None
    return (cast("dict[str, Any]", document), path[-1]) if path and isinstance(document, dict) else None


def _first_id(value: Any) -> tuple[dict[str, Any], str] | None:
    """Return the first object that has a text or a number as its id, from the outside in, and that key."""
    level: list[Any] = [value]
    while level:
        for each in level:
            of = cast("dict[str, Any]", each) if isinstance(each, dict) else {}
            for key in _IDS:
                if isinstance(of.get(key), int | str):
                    return of, key
        level = [inner for each in level for inner in _inner(each)]
    return None


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("Iterable[Any]", value) if isinstance(value, list) else ()
