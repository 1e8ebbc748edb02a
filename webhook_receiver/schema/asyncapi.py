"""AsyncAPI 3.0: the channels, operations and messages of receivers.

The rules are those of asyncapi.com/docs/reference/specification/v3.0.0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from .messages import Documented, Message, described, first_line, handlers_of, messages_of
from .models import Schema, free_key, key_of, merged, with_references
from .proof import Proof, add_security, headers_of, proofs_of

VERSION = "3.0.0"
_HTTP = "0.3.0"  # the version of the bindings for HTTP
_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")  # of a path of Starlette's, with a convertor


def asyncapi(
    receivers: Sequence[tuple[Documented, str | None]], *, title: str | None = None, version: str = "1"
) -> dict[str, Any]:
    """Return the document of receivers.

    Args:
        receivers: the receivers, each with the path that its sender posts to; None if that is not known.
        title: the title of the document; the receivers' names if None.
        version: the version of the app, as the document has it.
    """
    document: dict[str, Any] = {
        "asyncapi": VERSION,
        "info": {"title": title or f"Webhooks: {', '.join(hooks.name for hooks, _ in receivers)}", "version": version},
        "defaultContentType": "application/json",
        "channels": {},
        "operations": {},
        "components": {"messages": {}, "schemas": {}, "securitySchemes": {}},
    }
    for hooks, path in receivers:
        _add(document, hooks, path)
    document["components"] = {name: part for name, part in document["components"].items() if part}
    return document


def _add(document: dict[str, Any], hooks: Documented, path: str | None) -> None:
    channel, components = free_key(key_of(hooks.name), document["channels"]), document["components"]
    messages, schemas = messages_of(hooks)
    plain = {name: cast("Schema", _plain(schema)) for name, schema in schemas.items()}
    renamed = merged(components["schemas"], plain)
    proofs = proofs_of(hooks.sender)
    server = _server(document, channel, hooks.public_url)
    address = path if path is not None or hooks.public_url is None else urlsplit(hooks.public_url).path or "/"
    if address is not None and any(proof.kind == "path" for proof in proofs):
        address = f"{address.rstrip('/')}/{{token}}"
    parameters = _PARAMETER.findall(address or "")
    document["channels"][channel] = {
        "address": address and _PARAMETER.sub(r"{\1}", address),
        **({"parameters": {name: _parameter(name, proofs) for name in parameters}} if parameters else {}),
        "description": f"The deliveries of {hooks.sender.name}, by POST.",
        **({} if server is None else {"servers": [server]}),
        "messages": {},
    }
    keys: dict[str, str] = {}
    for message in messages:
        keys[message.key] = key = free_key(message.key, components["messages"])
        components["messages"][key] = with_references(_message(message, proofs), renamed)
        document["channels"][channel]["messages"][key] = {"$ref": f"#/components/messages/{key}"}
    security = add_security(components["securitySchemes"], proofs, "httpApiKey")
    for handler, taken in handlers_of(messages):
        about = described(handler)
        document["operations"][free_key(key_of(handler.name), document["operations"])] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{channel}"},
            "title": handler.name,
            **({"summary": first_line(about), "description": about} if about else {}),
            "messages": [{"$ref": f"#/channels/{channel}/messages/{keys[each.key]}"} for each in taken],
            **(
                {"security": [{"$ref": f"#/components/securitySchemes/{each}"} for each in security]}
                if security
                else {}
            ),
            "bindings": {"http": {"method": "POST", "bindingVersion": _HTTP}},
        }


def _parameter(name: str, proofs: Sequence[Proof]) -> Schema:
    is_secret = name == "token" and any(proof.kind == "path" for proof in proofs)
    return {"description": "The secret of the sender."} if is_secret else {}


def _server(document: dict[str, Any], name: str, url: str | None) -> Schema | None:
    if url is None:
        return None
    parts = urlsplit(url)
    document.setdefault("servers", {})[name] = {"host": parts.netloc, "protocol": parts.scheme}
    return {"$ref": f"#/servers/{name}"}


def _message(message: Message, proofs: Sequence[Proof]) -> Schema:
    of_proofs = headers_of(proofs)
    headers: dict[str, Schema] = {key: {"type": "string"} for key in of_proofs} | {**message.headers}
    required = [key for key in headers if of_proofs.get(key, True) or key in message.headers]
    choices: list[Schema] = [{"required": [*each.headers]} for each in proofs]
    found: Schema = {"name": message.names[0] if message.names else message.key, "title": message.key}
    if message.about:
        found |= {"summary": first_line(message.about), "description": message.about}
    if headers:
        needed: Schema = {"required": required} if required else {}
        needed |= {"anyOf": choices} if len(required) < len(headers) else {}
        found["headers"] = {"type": "object", "properties": headers, **needed}
    return {**found, "payload": _plain(message.payload)}


def _plain(schema: object) -> object:
    """Return a schema without discriminators, which AsyncAPI has as a text, and OpenAPI as an object."""
    if isinstance(schema, list):
        return [*map(_plain, cast("list[object]", schema))]
    if not isinstance(schema, dict):
        return schema
    given = cast("dict[str, object]", schema)
    return {key: _plain(each) for key, each in given.items() if key != "discriminator" or "oneOf" not in given}
