"""Samples of what senders send, each time with another id: two that are equal would be duplicates."""

from __future__ import annotations

import copy
import json
import secrets
import string
from collections.abc import Iterable, Mapping
from typing import Any, cast
from uuid import uuid4

from typer import BadParameter

from ..senders import Sender
from ..senders.preset import Preset
from ..signatures import Secret

_LEAST = 8  # digits and letters of an id that chance does not make twice


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
    if sample is None and preset.example.encode() not in preset.body:
        return None
    if sample is None:
        held = preset.example if secret is None else secret.get_secret_value()
        sample = _with_secret(preset, json.dumps(held)[1:-1])
    return with_new_id(sample, next(iter(sender.delivery_id_paths[-1:]), None))


def with_new_id(sample: Mapping[str, Any], place: str | None) -> dict[str, Any]:
    """Return a copy of a sample with a new id like its own.

    Args:
        sample: the sample.
        place: the place of the id, such as "meta.id"; the first member `id` if None or absent, wherever it is.
    """
    document = copy.deepcopy(dict(sample))
    holder, key = _holder(document, place.split(".") if place else []) or _first_id(document) or (document, "id")
    holder[key] = new_id(holder.get(key))
    return document


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


def _with_secret(preset: Preset, secret: str) -> Mapping[str, Any]:
    """Return the body for tests with a secret in the place of the one for tests."""
    try:
        found: object = json.loads(preset.body.replace(preset.example.encode(), secret.encode()))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        why = f"{preset.title} proves a delivery by a body that is no JSON object: give it with --data"
        raise BadParameter(why, param_hint="--data")
    return cast("dict[str, Any]", found)


def _holder(document: Any, path: list[str]) -> tuple[dict[str, Any], str] | None:
    """Return the object that has the last key of a path, and the key; None without one."""
    for key in path[:-1]:
        document = cast("dict[str, Any]", document).get(key) if isinstance(document, dict) else None
    return (cast("dict[str, Any]", document), path[-1]) if path and isinstance(document, dict) else None


def _first_id(value: Any) -> tuple[dict[str, Any], str] | None:
    """Return the first object that has a text or a number as its `id`, from the outside in, and that key."""
    level: list[Any] = [value]
    while level:
        for each in level:
            if isinstance(each, dict) and isinstance(cast("dict[str, Any]", each).get("id"), int | str):
                return cast("dict[str, Any]", each), "id"
        level = [inner for each in level for inner in _inner(each)]
    return None


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("Iterable[Any]", value) if isinstance(value, list) else ()
