"""How a receiver reads the document of an authentic request: its form, and the event in it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from urllib.parse import unquote_plus

from ..errors import NotAnEvent
from ..event_registry import NoEventName
from ..json_repair import parsed
from ..senders import Sender
from ..senders.event_names import EventNames, decoded
from ..senders.form import form_document
from ..senders.registry import preset_of
from .form import fields_of
from .trial import Case, printable

_MAX_FIELDS = 8  # that are looked at for JSON


def document_hints(case: Case) -> Iterator[str]:
    """Yield how a receiver reads the body of an authentic request, where it is a form or no event."""
    preset = preset_of(case.make)
    if preset is None:
        return
    sender = preset.sender(preset.example)  # its rules are those of any secret
    if sender.decode is not None:
        yield from _about_form(sender, case.body)
    elif form_document(case.body) != case.body:
        yield f"the body is a form, and {preset.title} sends none: give the sender decode=form_document"
        return
    yield from _about_event(sender, case)


def _about_event(sender: Sender, case: Case) -> Iterator[str]:
    """Yield why a receiver finds no event, whatever its classes."""
    names = EventNames(sender.event_name, sender.event_header, sender.event_members, sender.url_places)
    try:
        document = decoded(case.body, sender.decode, sender.envelope, case.headers)
        parts = [document] if sender.split is None else sender.split.parts(document)
        found = [names.named(each, case.headers) for each in parts]
    except NoEventName as error:
        yield f"a receiver finds no event in it, so only a fallback handler takes it: {error}"
    except NotAnEvent as error:
        yield f"a receiver finds no event in it: {error}"
    else:
        if not parts:
            yield "the body is an empty batch: a receiver acknowledges it, and stores and handles nothing"
        elif len(parts) > 1:
            yield f"the body is a batch of {len(parts)} events"
        if not all(map(_is_object, found)):
            yield "a receiver finds no event in it, so only a fallback handler takes it: it is no JSON object"


def _about_form(sender: Sender, body: bytes) -> Iterator[str]:
    """Yield in which field of a form its JSON is, or why it is in none."""
    decode = partial(sender.decode or bytes)  # which flattens a partial of the sender's own
    if decode.func is not form_document or form_document(body) == body:
        return
    field = str(decode.keywords.get("field", "payload"))
    fields = fields_of(body)
    values = [value for name, value in fields if name == field]
    if not values:
        yield f"the body is a form without the field {field}: a receiver reads an object of its {len(fields)} fields"
        others = [name for name, value in fields[:_MAX_FIELDS] if _is_object(_bytes(value))]
        if others:
            name = printable(_bytes(others[0]))
            yield (
                f"its field {name} has a JSON object: let the sender call it {field}, or give the sender "
                f'decode=functools.partial(form_document, field="{name}")'
            )
        return
    if len(values) > 1:
        yield (
            f"the body is a form with {len(values)} fields {field}: a receiver reads an object of its {len(fields)} "
            "fields; let the sender send it once"
        )
        return
    yield f"the body is a form: a receiver reads the JSON in its field {field}"
    if _is_object(_bytes(values[-1])):
        return
    if _is_object(_bytes(unquote_plus(values[-1]))):
        yield f"the JSON in {field} was escaped twice: let the sender, or what is in between, escape it once"
    else:
        yield f"{field} {'has no JSON object' if values[-1] else 'is empty'}: look at what the sender puts there"


def _is_object(text: bytes) -> bool:
    return isinstance(parsed(text), dict)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
