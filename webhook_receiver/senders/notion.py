"""The sender Notion: an HMAC over the body, by a token that Notion tells when a webhook is created."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from ..events import Event
from ..signatures.hmac_body import HMACBody
from ..signatures.learnt_secret import ToldSecrets
from ..signatures.secrets import Secrets
from .base import Sender
from .challenges import told
from .page import Page
from .preset import Preset


def signature(secrets: Secrets) -> HMACBody:
    """Return Notion's scheme (developers.notion.com/reference/webhooks).

    Args:
        secrets: the verification token, or several while it is changed.
    """
    return HMACBody(secrets, signature="x-notion-signature", prefix="sha256=", encoding="hex-any-case")


class Entity(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """What an event is about."""

    id: str
    type: str


class PageChanged(Event, frozen=True):
    """The events of pages, such as `page.created`."""

    event: Literal[
        "page.created",
        "page.content_updated",
        "page.properties_updated",
        "page.moved",
        "page.deleted",
        "page.undeleted",
        "page.locked",
        "page.unlocked",
    ]
    id: str
    timestamp: datetime
    workspace_id: str
    entity: Entity


def notion(secret: ToldSecrets) -> Sender:
    """Return the sender Notion.

    Args:
        secret: the verification token, or several while it is changed; or a `LearntSecret`, whose file then has it, to
            be copied into Notion's page.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    secrets, challenges = told("body:verification_token", secret)
    return Sender(
        name="notion",
        scheme=signature(secrets),
        facts=(
            "@notionhq/client 5.26.0 for Node, run in November 2026",
            "developers.notion.com/reference/v2-webhooks, read in November 2026",
        ),
        event_name="type",
        delivery_id_path="id",
        challenges=challenges,
    )


PRESETS = (
    Preset(
        "notion",
        "Notion",
        notion,
        signature,
        ("x-notion-signature",),
        tells="body:verification_token",
        events=(PageChanged,),
        page=Page(
            arguments=('LearntSecret("notion.secret")',),
            imports=("from webhook_receiver.signatures.learnt_secret import LearntSecret",),
            trade="business",
            docs="developers.notion.com/reference/webhooks",
            setup=(
                "In the integration's settings, Webhooks: the URL. Notion posts a verification_token to it, once and "
                "unsigned: a LearntSecret takes it into its file while it is open. Paste it into the settings; it is "
                "the secret."
            ),
            traps=("A delivery tells that something changed: ask the API for what it is now.",),
            verified=("@notionhq/client 5.26.0 (Node)", "2026-11-28"),
        ),
    ),
)
