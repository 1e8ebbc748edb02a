"""UP42: notifies when an order of satellite images is fulfilled or has failed for good. The default sender.

The package holds all that is UP42's own: events and spellings, the API's models, and a client of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import ConfigurationError
from ...signatures import Scheme
from ...signatures.secrets import Secrets
from ..base import Sender
from ..preset import Preset
from .events import EVENTS, ORDER_ID_PATHS, STATUSES, JobStatusChanged
from .orders_api import ORDERS
from .signature import UP42Signature

__all__ = ["PRESETS", "JobStatusChanged", "UP42Signature", "up42"]


def up42(
    secret: Secrets | None = None, *, scheme: Scheme | None = None, order_id_paths: Sequence[str] = ORDER_ID_PATHS
) -> Sender:
    """Return UP42 as a sender.

    Args:
        secret: the webhook's secret, or several while it is changed.
        scheme: in its place, a scheme with options, such as `UP42Signature(secret, body_binding="optional")`.
        order_id_paths: where the id of an order is. UP42 publishes no payload: the default are candidates.

    Raises:
        ConfigurationError: there is neither a secret nor a scheme, there are both, or one cannot work.
    """
    if secret is not None and scheme is not None:
        raise ConfigurationError("give the secret to the scheme: scheme=UP42Signature(secret, ...), not both")
    if scheme is None:
        if secret is None:
            raise ConfigurationError("up42(...) takes the secret, or scheme=UP42Signature(secret, ...)")
        scheme = UP42Signature(secret)
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
        orders=ORDERS,
    )


PRESETS = (Preset("up42", "UP42", up42, UP42Signature, ("signature-input", "signature"), b"up42-sig"),)
