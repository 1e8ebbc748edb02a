"""The sender Telegram: a secret in a header. An event is named by the member that holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from ..signatures.secrets import Secrets
from ..signatures.shared_secret import HeaderSecret
from .base import Sender
from .page import Page
from .preset import Preset

_signature = partial(HeaderSecret, header="x-telegram-bot-api-secret-token")


def named(body: bytes) -> bytes:
    """Return an update (core.telegram.org/bots/api#update) with the name of the member beside `update_id` as its event.

    Any other body is returned unchanged.
    """
    try:
        update: object = json.loads(body)
    except (ValueError, RecursionError):
        return body
    document = cast("dict[str, Any]", update) if isinstance(update, dict) else {}
    kinds = [name for name in document if name != "update_id"]
    if "update_id" not in document or len(kinds) != 1:
        return body
    return json.dumps({**document, "event": kinds[0]}, ensure_ascii=False).encode("utf-8", "surrogatepass")


def telegram(secret: Secrets) -> Sender:
    """Return the sender Telegram, for the updates of a bot. An event's name is such as "message" or "callback_query".

    Args:
        secret: the secret_token that was given to setWebhook, or several while it is changed.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    return Sender(
        name="telegram",
        scheme=_signature(secret),
        facts=("python-telegram-bot 22.8 and aiogram 3.31.0 for Python, run in November 2026",),
        decode=named,
        delivery_id_path="update_id",
    )


_FROM = {"id": 1111111, "is_bot": False, "first_name": "Ada"}
_CHAT = {"id": 1111111, "first_name": "Ada", "type": "private"}
_MESSAGE: Mapping[str, Any] = {
    "message_id": 1365,
    "from": _FROM,
    "chat": _CHAT,
    "date": 1764000188,
    "text": "Where is my parcel?",
}
_POST: Mapping[str, Any] = {
    "message_id": 7,
    "chat": {"id": -1001111111, "title": "Parcels", "type": "channel"},
    "date": 1764000188,
    "text": "On its way.",
}
SAMPLES: Mapping[str, Mapping[str, Any]] = {
    kind: {"update_id": 10000, kind: content}
    for kind, content in {
        "message": _MESSAGE,
        "edited_message": {**_MESSAGE, "edit_date": 1764000199},
        "channel_post": _POST,
        "edited_channel_post": {**_POST, "edit_date": 1764000199},
        "callback_query": {"id": "4382bfdwdsb323b2d9", "from": _FROM, "chat_instance": "42", "data": "track"},
        "inline_query": {"id": "134567890097", "from": _FROM, "query": "parcel", "offset": ""},
        "my_chat_member": {
            "chat": _CHAT,
            "from": _FROM,
            "date": 1764000188,
            "old_chat_member": {"user": _FROM, "status": "member"},
            "new_chat_member": {"user": _FROM, "status": "kicked"},
        },
    }.items()
}
"""A few members each of the updates that core.telegram.org/bots/api#update describes; the values are made up."""

PRESETS = (
    Preset(
        "telegram",
        "Telegram",
        telegram,
        _signature,
        ("x-telegram-bot-api-secret-token",),
        samples=SAMPLES,
        page=Page(
            trade="chat",
            docs="core.telegram.org/bots/api#setwebhook",
            setup="Call setWebhook of the bot's API with the URL and a secret_token of your own.",
            traps=("An event's name is that of the member beside update_id, such as message.",),
            verified=("python-telegram-bot 22.8 (Python)", "2026-11-29"),
        ),
    ),
)
