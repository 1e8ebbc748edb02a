"""OpenAPI 3.1: the `webhooks` of receivers (spec.openapis.org/oas/v3.1.1), alone or in the document of their host."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from ..errors import MalformedChallenge, MethodNotAllowed, NotAnEvent
from ..responses import FAILED, HANDLED, Response, not_an_event, rejections, retry_after
from .messages import Documented, Message, described, first_line, messages_of
from .models import Schema, free_key, key_of, merged, with_references
from .proof import Proof, add_security, headers_of, proofs_of

VERSION = "3.1.0"
_PROBLEM: Schema = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status"],
}
_NOT_OF_POST = (MethodNotAllowed, MalformedChallenge)


def openapi(
    receivers: Sequence[tuple[Documented, bool]],
    *,
    into: Mapping[str, Any] | None = None,
    title: str | None = None,
    version: str = "1",
) -> dict[str, Any]:
    """Return the document of receivers.

    Args:
        receivers: the receivers, each with whether it stores deliveries.
        into: the document of their host, which is left as it is; None for one of their own.
        title: the title of a document of their own; the receivers' names if None.
        version: the version of the app, as a document of their own has it.
    """
    own = {
        "openapi": VERSION,
        "info": {"title": title or f"Webhooks: {', '.join(hooks.name for hooks, _ in receivers)}", "version": version},
    }
    document: dict[str, Any] = deepcopy(dict(own if into is None else into))
    for hooks, keeps in receivers:
        _add(document, hooks, keeps)
    return document


def _add(document: dict[str, Any], hooks: Documented, keeps: bool) -> None:
    webhooks = document.setdefault("webhooks", {})
    components = document.setdefault("components", {})
    messages, schemas = messages_of(hooks)
    known = components.setdefault("schemas", {})
    names = merged(known, {**schemas, "Problem": _PROBLEM})
    proofs = proofs_of(hooks.sender)
    security = add_security(components.setdefault("securitySchemes", {}), proofs, "apiKey")
    responses = _responses(hooks, keeps, f"#/components/schemas/{names['Problem']}")
    for message in messages:
        key = free_key(message.key, webhooks)
        operation: Schema = {
            "operationId": key_of(f"{hooks.name}-{key}"),
            "tags": [hooks.name],
            "summary": first_line(message.about) or message.key,
            "description": _about(message),
            **({} if not (parameters := _parameters(message, proofs)) else {"parameters": parameters}),
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": with_references(message.payload, names)}},
            },
            "responses": responses,
            **({"security": [{each: []} for each in security]} if security else {}),
        }
        webhooks[key] = {"post": operation}


def _about(message: Message) -> str:
    """Return what a message is, its names, and its handlers in what they say of themselves."""
    parts = [message.about]
    if message.names:
        parts.append(f"The event's name: {' or '.join(f'`{name}`' for name in message.names)}.")
    for handler in message.handlers:
        about = described(handler)
        parts.append(f"Handled by `{handler.name}`{f': {about}' if about else '.'}")
    return "\n\n".join(filter(None, parts))


def _parameters(message: Message, proofs: Sequence[Proof]) -> list[Schema]:
    secured = {"authorization"} | {proof.place for proof in proofs if proof.kind == "header"}  # which is in `security`
    needed = {name: is_needed for name, is_needed in headers_of(proofs).items() if name not in secured}
    needed |= dict.fromkeys(message.headers, True)
    return [
        {"name": name, "in": "header", "required": each, "schema": message.headers.get(name, {"type": "string"})}
        for name, each in needed.items()
    ]


def _responses(hooks: Documented, keeps: bool, problem: str) -> dict[str, Schema]:
    """Return what a delivery is answered, by status: that which the receiver answers itself."""
    sender = hooks.sender
    stored, duplicate, rejected = sender.responses
    found: dict[int, list[str]] = {}
    if keeps:
        found[stored] = ["Stored; its handlers run afterwards."]
        found.setdefault(duplicate, []).append("Stored already.")
    else:
        found[HANDLED.status] = ["Handled."]
    failures: list[Response] = [
        each for error, each in rejections(rejected).items() if not issubclass(error, _NOT_OF_POST)
    ]
    if not keeps:
        failures += [FAILED, retry_after(1), not_an_event(NotAnEvent(""))]
    for each in failures:
        found.setdefault(each.status, []).append(f"{json.loads(each.body)['title']}.")
    content = {"application/problem+json": {"schema": {"$ref": problem}}}
    return {
        str(status): {
            "description": " ".join(dict.fromkeys(about)),
            **({"content": content} if status >= 400 else {}),
        }
        for status, about in sorted(found.items())
    }
