"""The sender UP42, a marketplace of satellite images: it notifies when an order is fulfilled or has failed for good.

UP42 is the default sender. This folder holds all that is UP42's own: its events and spellings of statuses, its
signature, the models of its API, and a client.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import ConfigurationError
from ...events import parsed_paths
from ...signatures import Scheme
from ...signatures.secrets import Secrets
from ..base import Sender
from ..page import Page
from ..preset import Preset
from .events import EVENTS, ORDER_ID_PATHS, STATUSES, JobStatusChanged
from .orders_api import ORDERS
from .signature import UP42Signature

__all__ = ["PRESETS", "JobStatusChanged", "UP42Signature", "up42"]


def up42(
    secret: Secrets | None = None, *, scheme: Scheme | None = None, order_id_paths: Sequence[str] = ORDER_ID_PATHS
) -> Sender:
    """Return the sender UP42.

    Args:
        secret: the webhook's secret, or several while it is changed.
        scheme: a scheme with options in place of a secret, such as `UP42Signature(secret, body_binding="optional")`.
        order_id_paths: the places of an order's id. UP42 publishes no payload, so the default is a list of candidates.

    Raises:
        ConfigurationError: both a secret and a scheme are given, or neither; or one cannot work.
    """
    if secret is not None and scheme is not None:
        raise ConfigurationError("give the secret to the scheme: scheme=UP42Signature(secret, ...), not both")
    if scheme is None:
        if secret is None:
            raise ConfigurationError("up42(...) takes the secret, or scheme=UP42Signature(secret, ...)")
        scheme = UP42Signature(secret)
    parsed_paths(order_id_paths)  # before a single text becomes a tuple of its letters
    return Sender(
        name="up42",
        scheme=scheme,
        facts=(
            "the receiver's snippets in github.com/up42/up42-webhooks",
            "UP42's SDK for Python, versions 2.5.0 and 4.3.0, run against the simulator",
            "older copies of UP42's documentation; the payload and the list of signed headers are not published",
        ),
        events=EVENTS,
        order_id_paths=tuple(order_id_paths),
        statuses=STATUSES,
        order_items="whole",
        orders=ORDERS,
    )


PRESETS = (
    Preset(
        "up42",
        "UP42",
        up42,
        UP42Signature,
        ("signature-input", "signature"),
        b"up42-sig",
        page=Page(
            trade="images",
            docs="docs.up42.com",
            setup=(
                "`webhook-receiver webhooks ensure`, or the API, creates a webhook of a workspace with the URL, a "
                "secret of your own and the events."
            ),
            traps=("It publishes neither its list of signed headers nor the fields of its payload.",),
        ),
    ),
)
