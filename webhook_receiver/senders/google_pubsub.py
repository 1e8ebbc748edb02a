"""The sender Google Pub/Sub, for push subscriptions: a token (OpenID Connect) of a service account of yours."""

from __future__ import annotations

from ..errors import ConfigurationError
from ..signatures.bearer_jwt import BearerJWT, request_url
from ..signatures.jwks import JWKS
from ..signatures.secrets import Secrets
from .base import Sender
from .catalogue.examples import RSA_KEY
from .page import Page
from .preset import Preset

KEYS = "https://www.googleapis.com/oauth2/v3/certs"
"""The URL of Google's public keys."""


def signature(secrets: Secrets | JWKS, *, email: str | None = None, audience: str | None = None) -> BearerJWT:
    """Return the scheme of push subscriptions (cloud.google.com/pubsub/docs/authenticate-push-subscriptions).

    Args:
        secrets: Google's keys, or others for tests.
        email: the service account whose tokens count; None for any.
        audience: the audience of the subscription; None for the URL.
    """
    return BearerJWT(
        secrets,
        algorithm="RS256",
        issuer=("https://accounts.google.com", "accounts.google.com"),
        required=("iat", "exp"),
        claims={
            "aud": request_url if audience is None else audience,
            **({} if email is None else {"email": email}),
        },
    )


def google_pubsub(
    secret: Secrets | JWKS | None = None, *, email: str | None = None, audience: str | None = None
) -> Sender:
    """Return the sender Google Pub/Sub.

    Args:
        secret: other keys than Google's, for tests; None for Google's, which are fetched from Google.
        email: the service account of the subscription. Google's keys sign for the accounts of anybody, so it is needed
            with them.
        audience: the audience of the subscription, if it has one of its own; None for the URL.

    Raises:
        ConfigurationError: `email` is missing, a key cannot work, or an extra is missing.
    """
    if secret is None and not email:
        raise ConfigurationError(
            "google_pubsub(email=...) needs the service account of the subscription: Google signs for anybody's"
        )
    scheme = signature(JWKS(KEYS) if secret is None else secret, email=email, audience=audience)
    return Sender(
        name="google-pubsub",
        scheme=scheme,
        facts=("google-auth 2.62.2 for Python and google-auth-library 10.5.0 for Node, run in November 2026",),
        event_name=("message.attributes.eventType", "text:message"),
        delivery_id_path="message.messageId",
    )


PRESETS = (
    Preset(
        "google-pubsub",
        "Google Pub/Sub",
        google_pubsub,
        signature,
        example=RSA_KEY,
        shape=("message.messageId", "subscription"),
        body=(
            b'{"message": {"attributes": {"eventType": "OBJECT_FINALIZE"}, "data": "e30=", "messageId": "first-number"'
            b', "publishTime": "2026-11-29T00:00:00Z"}, "subscription": "projects/parcels/subscriptions/push"}'
        ),
        page=Page(
            arguments=('email="push@parcels.iam.gserviceaccount.com"',),
            trade="clouds",
            docs="cloud.google.com/pubsub/docs/authenticate-push-subscriptions",
            setup=(
                "Create a push subscription with the URL and a service account of yours for authentication; say "
                "google_pubsub(email=...) with that account. There is no secret."
            ),
            traps=(
                "The audience is the URL as the subscription has it: a slash at its end counts.",
                "What was published is in message.data, in base64.",
                "An event's name is the attribute eventType, as of Cloud Storage, or else message.",
            ),
            verified=("google-auth 2.62.2 (Python), google-auth-library 10.5.0 (Node)", "2026-11-29"),
        ),
    ),
)
