"""The sender Kinde: the body is a token (JWT), signed by a key of the account."""

from __future__ import annotations

import re
from typing import Any

from ..delivery import RequestHead
from ..errors import BadSignature, ConfigurationError
from ..signatures.bearer_jwt import BearerJWT
from ..signatures.jwks import JWKS
from ..signatures.secrets import Secrets
from .base import Sender
from .catalogue.examples import RSA_KEY
from .page import Page
from .preset import Preset
from .token import claims_document

_DOMAIN = re.compile(r"https://[a-z0-9.-]+")


_ACCESS = {"azp", "scp"}
"""Claims of the access tokens that an account signs by the same keys, for its users and machines."""


class _EventToken(BearerJWT):
    """Kinde's scheme: a token of an event, which no other token of the account can be taken for.

    Args:
        secrets: the account's keys.

    Raises:
        ConfigurationError: a key cannot work, or an extra is missing.
    """

    def __init__(self, secrets: Secrets | JWKS) -> None:
        super().__init__(secrets, algorithm="RS256", header=None, prefix="")

    def _reject_others(self, claims: dict[str, Any], head: RequestHead) -> None:
        super()._reject_others(claims, head)
        if not claims.get("type") or not claims.get("event_id") or _ACCESS & claims.keys():
            raise BadSignature("the token is none of an event: an event has type and event_id, and no azp or scp")


def signature(secrets: Secrets | JWKS) -> BearerJWT:
    """Return Kinde's scheme (docs.kinde.com/integrate/webhooks).

    Args:
        secrets: the account's keys.
    """
    return _EventToken(secrets)


def kinde(secret: Secrets | JWKS | None = None, *, domain: str | None = None) -> Sender:
    """Return the sender Kinde.

    Args:
        secret: other keys than the account's, for tests; None for those that it publishes at its domain.
        domain: the account's domain, such as "https://acme.kinde.com"; needed without `secret`.

    Raises:
        ConfigurationError: `domain` is missing or none, a key cannot work, or an extra is missing.
    """
    if secret is None:
        if domain is None or not _DOMAIN.fullmatch(domain):
            raise ConfigurationError('kinde(domain=...) needs the domain of the account, "https://acme.kinde.com"')
        secret = JWKS(f"{domain}/.well-known/jwks.json")
    return Sender(
        name="kinde",
        scheme=signature(secret),
        facts=("@kinde/webhooks 1.0.0 for Node, run in November 2026",),
        decode=claims_document,
        event_name="type",
        delivery_id_path="event_id",
    )


_TOKEN = (
    b"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0eXBlIjogInVzZXIuY3JlYXRlZCIsICJldmVudF9pZCI6ICJlLTEiLCAiaWF0IjogMTc2NTQ"
    b"zMzAxMiwgIm5iZiI6IDE3NjU0MzMwMTIsICJleHAiOiAxNzY1NDMzMzEyfQ.KSIFX7mdcVC9sxQRigh9Rny0fTsGdnEofoT1PeS-"
    b"2g9Vc2jtvZwzUEkKZyLaa4yHfyiVK2wCYB8ank5yVYnwQIfE0AlFSQmcMpgN3YX2Yg_Anz8p7hX0lp0PcBmGPHR4mt6yOLVwSxoaNXmKeSHsbt0W"
    b"sdO3xbBCvo6Q9_Gh9IyqdvG-eTqoENqBUI4YsJdkkgXRflpM2j-"
    b"LOGf7Den7P_BusjcyEpvdplwiwROSlIpYlxkJYK5OHBTK5409CeVMDg5H0agk7HofmKDdTQbnivjPbUN30VLz8pCJERkjKAJCUOSlSxGKNi-"
    b"WDhjfG8qiBMByEX75CzSxgWLMwfEyMQ"
)
"""A token with the event user.created, signed with the key for tests at the time 1765433012."""

PRESETS = (
    Preset(
        "kinde",
        "Kinde",
        kinde,
        signature,
        example=RSA_KEY,
        body=_TOKEN,
        page=Page(
            trade="clouds",
            docs="docs.kinde.com/integrate/webhooks/about-webhooks",
            setup=(
                "In Settings, Webhooks, add one with the endpoint URL and the events; say kinde(domain=...) with the "
                "account's own domain. There is no secret. Not confirmed beyond its library."
            ),
            traps=(
                "The whole body is a token (JWT), and the event is in its claims.",
                "The keys are those of the account's domain, which you name: a token's own issuer counts for nothing.",
                "The account signs the access tokens of its users by the same keys: these are rejected.",
            ),
            verified=("@kinde/webhooks 1.0.0 (Node)", "2026-11-29"),
        ),
    ),
)
