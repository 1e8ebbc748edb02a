"""The sender Plaid: a token (JWT) with the body's hash, by keys that its API tells one by one."""

from __future__ import annotations

from ..signatures.bearer_jwt import BearerJWT
from ..signatures.keys_by_id import KeysById, Load
from ..signatures.secrets import Secrets
from .base import Sender
from .catalogue.examples import P256_KEY
from .page import Page
from .preset import Preset


def signature(secrets: Secrets | KeysById) -> BearerJWT:
    """Return Plaid's scheme (plaid.com/docs/api/webhooks/webhook-verification).

    Args:
        secrets: Plaid's keys.
    """
    return BearerJWT(
        secrets,
        algorithm="ES256",
        header="plaid-verification",
        prefix="",
        body_claim="request_body_sha256",
        max_age=240,  # with the leeway, the 5 minutes that Plaid documents
        leeway=60,
    )


def keys(load: Load) -> KeysById:
    """Return Plaid's keys, each of them told by its API for the first delivery that names it.

    Args:
        load: an async function of a key's id that returns the member `key` of the response to
            `/webhook_verification_key/get`, or None if Plaid knows no such key. One whose `expired_at` is past counts
            no more, as in the example at support.plaid.com.
    """
    return KeysById(load, pattern="[A-Za-z0-9-]{1,100}")


def plaid(secret: Secrets | KeysById) -> Sender:
    """Return the sender Plaid.

    Args:
        secret: Plaid's keys, by `keys`; or public keys in PEM that were fetched before.

    Raises:
        ConfigurationError: a key cannot work, or an extra is missing.
    """
    return Sender(
        name="plaid",
        scheme=signature(secret),
        facts=("plaid.com/docs/api/webhooks/webhook-verification, read in November 2026",),
        event_name="{webhook_type}.{webhook_code}",
    )


PRESETS = (
    Preset(
        "plaid",
        "Plaid",
        plaid,
        signature,
        ("plaid-verification",),
        example=P256_KEY,
        page=Page(
            trade="payments",
            docs="plaid.com/docs/api/webhooks/webhook-verification",
            setup=(
                "Each call of the API that creates a link token or an item names the URL as webhook. The keys are told "
                "by /webhook_verification_key/get, with your credentials: say plaid(keys(load)), of the module plaid, "
                "with a function that calls it."
            ),
            traps=(
                "A token names a key by its id. A key that is given as PEM counts until Plaid takes another one.",
                "A token is valid for 5 minutes. A clock of ours may be a minute behind Plaid's.",
                "An event's name is of two members, such as TRANSACTIONS.SYNC_UPDATES_AVAILABLE. It has no id, and "
                "tells what to ask the API for.",
            ),
        ),
    ),
)
